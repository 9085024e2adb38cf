//! Durations and outcomes of tests, in SQLite.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, Error, ErrorCode, OpenFlags, TransactionBehavior, params};

use super::aside::set_aside;
use crate::event::Event;
use crate::outcome::Outcome;
use crate::plan::{Memory, Past};
use crate::report::{ReportError, Reporter};

/// What is known of tests, read once.
#[derive(Debug, Default)]
pub struct Store {
    known: HashMap<String, Past>,
}

impl Memory for Store {
    fn recall(&self, id: &str) -> Option<Past> {
        self.known.get(id).copied()
    }
}

fn open(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, flags)?;
    // Another run may be writing; it takes a moment.
    connection.busy_timeout(Duration::from_secs(10))?;
    Ok(connection)
}

/// Whether an error says that this is no history of ours; all else may pass: no room, no right to read, somebody writing.
fn is_corrupt(path: &Path, error: &Error) -> bool {
    match error {
        Error::SqliteFailure(error, _) => match error.code {
            ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt => true,
            ErrorCode::CannotOpen => path.is_dir(),
            _ => false,
        },
        // Other tables, other columns, other types.
        Error::SqlInputError { .. }
        | Error::InvalidColumnType(..)
        | Error::FromSqlConversionFailure(..)
        | Error::Utf8Error(..) => true,
        _ => false,
    }
}

/// Sets a broken database aside, with the journal that SQLite would otherwise apply to the next one.
fn aside(path: &Path, run: &str, is_broken: impl Fn() -> bool) -> io::Result<Option<PathBuf>> {
    let aside = set_aside(path, run, is_broken)?;
    if aside.is_some() {
        for suffix in ["-journal", "-wal", "-shm"] {
            let mut beside = path.as_os_str().to_owned();
            beside.push(suffix);
            let _ = fs::remove_file(beside);
        }
    }
    Ok(aside)
}

impl Store {
    /// Reads all that is known. A database that is broken is set aside for the run's own; that, or what else keeps it from
    /// being read, is said.
    #[must_use]
    pub fn read(path: &Path, run: &str) -> (Self, Option<String>) {
        let error = match Self::try_read(path) {
            Ok(store) => return (store, None),
            Err(error) => error,
        };
        let is_broken = || matches!(Self::try_read(path), Err(error) if is_corrupt(path, &error));
        let done = if is_corrupt(path, &error) {
            match aside(path, run, is_broken) {
                Ok(Some(aside)) => {
                    let name = aside.file_name().unwrap_or_default().display();
                    format!(", and is set aside as {name}")
                }
                // Another run has done it.
                Ok(None) => String::new(),
                Err(error) => format!(", and can't be set aside ({error})"),
            }
        } else {
            String::new()
        };
        let warning = format!(
            "the history can't be read ({error}){done}; tests run in the order of their listing"
        );
        (Self::default(), Some(warning))
    }

    fn try_read(path: &Path) -> rusqlite::Result<Self> {
        if !path.exists() {
            return Ok(Self::default());
        }
        // Nothing is made here: a repository that can't be written can still be read.
        let connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        if !connection.table_exists(None, "tests")? {
            return Ok(Self::default());
        }
        let mut statement = connection.prepare("SELECT id, seconds, outcome FROM tests")?;
        let rows = statement.query_map([], |row| {
            let (id, seconds, outcome): (String, f64, String) =
                (row.get(0)?, row.get(1)?, row.get(2)?);
            let failed = Outcome::ALL
                .iter()
                .any(|known| known.word() == outcome && known.is_failure());
            let duration = Duration::try_from_secs_f64(seconds).unwrap_or_default();
            Ok((id, Past { duration, failed }))
        })?;
        let known = rows.collect::<rusqlite::Result<_>>()?;
        Ok(Self { known })
    }
}

/// Remembers a run's results: written at its end, in one transaction.
#[derive(Debug)]
pub struct Recorder {
    path: PathBuf,
    run: String,
    results: Vec<(String, f64, Outcome)>,
}

impl Recorder {
    /// A recorder of a run for a database.
    #[must_use]
    pub fn new(path: PathBuf, run: &str) -> Self {
        Self {
            path,
            run: run.to_owned(),
            results: Vec::new(),
        }
    }

    fn write(&self) -> rusqlite::Result<()> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        let mut connection = open(&self.path, flags)?;
        // At once for writing: of two that read first and both want to write then, one is turned away without a wait.
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(
            "CREATE TABLE IF NOT EXISTS tests (id TEXT PRIMARY KEY, seconds REAL NOT NULL, outcome TEXT NOT NULL) WITHOUT ROWID",
        )?;
        {
            let mut insert = transaction.prepare(
                "INSERT OR REPLACE INTO tests (id, seconds, outcome) VALUES (?1, ?2, ?3)",
            )?;
            for (id, seconds, outcome) in &self.results {
                insert.execute(params![id, seconds, outcome.word()])?;
            }
        }
        transaction.commit()
    }
}

impl Reporter for Recorder {
    fn event(&mut self, _: f64, event: &Event) -> Result<(), ReportError> {
        if let Event::TestFinished(test) = event
            && test.worker.is_some()
            && test.outcome != Outcome::Cancelled
        {
            self.results
                .push((test.id.clone(), test.seconds, test.outcome));
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), ReportError> {
        let Err(error) = self.write() else {
            return Ok(());
        };
        // It was whole, or not there, when the run began.
        if is_corrupt(&self.path, &error)
            && aside(&self.path, &self.run, || true).is_ok()
            && self.write().is_ok()
        {
            let why = format!("it was broken ({error}), and is begun anew");
            return Err(ReportError::advisory("the history", &self.path, why));
        }
        Err(ReportError::advisory("the history", &self.path, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Break = Box<dyn Fn(&Path)>;

    fn record(path: &Path) -> Result<(), ReportError> {
        let mut recorder = Recorder::new(path.to_owned(), "run");
        recorder
            .results
            .push(("unit::a".into(), 1.5, Outcome::Failed));
        recorder.finish()
    }

    fn knows(path: &Path) -> bool {
        let (store, warning) = Store::read(path, "run");
        assert_eq!(warning, None);
        let past = store.recall("unit::a");
        past.is_some_and(|past| past.duration == Duration::from_millis(1500) && past.failed)
    }

    #[test]
    fn what_is_recorded_is_recalled() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.db");
        assert!(!knows(&path));
        record(&path).unwrap();
        assert!(knows(&path));
    }

    #[test]
    fn whatever_is_broken_is_set_aside_and_begun_anew() {
        let other = |sql: &'static str| {
            move |path: &Path| Connection::open(path).unwrap().execute_batch(sql).unwrap()
        };
        let breaks: [Break; 5] = [
            Box::new(|path| {
                fs::write(path, "not a database, but long enough to look like one").unwrap();
            }),
            Box::new(|path| fs::create_dir(path).unwrap()),
            // The first page is whole, and names others that are not there.
            Box::new(|path| {
                let mut bytes = b"SQLite format 3\0".to_vec();
                bytes.resize(9000, 0xff);
                fs::write(path, bytes).unwrap();
            }),
            Box::new(other("CREATE TABLE tests (name TEXT)")),
            Box::new(other(
                "CREATE TABLE tests (id, seconds, outcome); INSERT INTO tests VALUES (x'ff', 'long', NULL)",
            )),
        ];
        for (number, make) in breaks.iter().enumerate() {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("history.db");
            make(&path);
            let (store, warning) = Store::read(&path, "run");
            assert!(store.known.is_empty(), "{number}");
            let warning = warning.unwrap();
            assert!(
                warning.contains("set aside as history.db.corrupt-run;"),
                "{number}: {warning}"
            );
            assert!(folder.path().join("history.db.corrupt-run").exists());
            record(&path).unwrap();
            assert!(knows(&path));
        }
    }

    #[test]
    fn what_breaks_while_tests_run_is_begun_anew_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.db");
        fs::write(&path, "not a database, but long enough to look like one").unwrap();
        let error = record(&path).unwrap_err();
        assert!(
            error.is_advisory && error.to_string().contains("begun anew"),
            "{error}"
        );
        assert!(knows(&path));
    }
}
