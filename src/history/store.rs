//! Durations and outcomes of tests, in SQLite.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, params};

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

fn open(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    // Another run may be writing; it takes a moment.
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS tests (id TEXT PRIMARY KEY, seconds REAL NOT NULL, outcome TEXT NOT NULL) WITHOUT ROWID",
    )?;
    Ok(connection)
}

impl Store {
    /// Reads all that is known.
    ///
    /// # Errors
    /// The database is broken.
    pub fn read(path: &Path) -> Result<Self, String> {
        if !path.exists() {
            return Ok(Self::default());
        }
        let read = || -> rusqlite::Result<HashMap<String, Past>> {
            let connection = open(path)?;
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
            rows.collect()
        };
        read()
            .map(|known| Self { known })
            .map_err(|error| error.to_string())
    }
}

/// Remembers a run's results: written at its end, in one transaction.
#[derive(Debug)]
pub struct Recorder {
    path: std::path::PathBuf,
    results: Vec<(String, f64, Outcome)>,
}

impl Recorder {
    /// A recorder for a database.
    #[must_use]
    pub fn new(path: std::path::PathBuf) -> Self {
        Self {
            path,
            results: Vec::new(),
        }
    }

    fn write(&self) -> rusqlite::Result<()> {
        let mut connection = open(&self.path)?;
        let transaction = connection.transaction()?;
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
        self.write()
            .map_err(|error| ReportError::advisory("the history", &self.path, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_recorded_is_recalled_and_a_broken_file_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.db");
        let mut recorder = Recorder::new(path.clone());
        recorder
            .results
            .push(("unit::a".into(), 1.5, Outcome::Failed));
        recorder.finish().unwrap();
        let past = Store::read(&path).unwrap().recall("unit::a").unwrap();
        assert_eq!(
            (past.duration, past.failed),
            (Duration::from_millis(1500), true)
        );
        std::fs::write(&path, "not a database, but long enough to look like one").unwrap();
        assert!(Store::read(&path).is_err());
    }
}
