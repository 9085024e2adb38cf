//! The database of results: its tables, where they come from, and what becomes of one that is broken.
//!
//! Each run adds what it has measured and takes nothing back but what is older than the last few results of a test. Runs are
//! told apart by a number that only grows, not by the clock on the wall, which may jump.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, Error, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

use super::aside::set_aside;
use crate::kept_file;

/// The version of the tables below, as `PRAGMA user_version` has it. 0 is a database that is empty, or that has the first
/// version's only table, `tests(id, seconds, outcome)`.
pub const VERSION: i64 = 2;

/// How many of a test's last runs are kept. Old ones go every few runs, so there may be a few more.
pub const KEPT: usize = 8;

/// A test that did not run in this many runs is forgotten.
pub const FORGOTTEN: usize = 1000;

/// After how many runs old results are looked for.
const EVERY: i64 = 4;

/// How many steps of SQLite's machine anything may take: for an empty database, and more for each byte of a large one. Reading
/// and pruning take some ten steps a byte.
const LEAST_STEPS: u64 = 20_000_000;
const STEPS_A_BYTE: u64 = 500;
const STEPS_A_LOOK: u64 = 10_000;

/// What keeps the history from being read or written.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// SQLite says why.
    #[error(transparent)]
    Sql(#[from] Error),
    /// It is no file of ours, or holds what no history of ours does.
    #[error("{0}")]
    Foreign(String),
    /// A later version of `orchestrate` has written it.
    #[error("a newer orchestrate has written it (version {0}; this one knows {VERSION})")]
    Newer(i64),
}

impl DatabaseError {
    /// Whether this says that it is no history of ours; all else may pass: no room, no right to read, somebody writing.
    pub fn is_corrupt(&self, path: &Path) -> bool {
        let error = match self {
            Self::Sql(error) => error,
            Self::Foreign(_) => return true,
            Self::Newer(_) => return false,
        };
        match error {
            Error::SqliteFailure(error, _) => match error.code {
                // The last is what it is where a statement does not fit the tables.
                ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt | ErrorCode::Unknown => true,
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
}

/// Opens it. A history comes from anywhere (a cache, a pull request), so it is input: it may run nothing of its own and is
/// given up where it takes far more steps than a history of its size can need.
pub fn open(path: &Path, flags: OpenFlags) -> Result<Connection, DatabaseError> {
    open_for(path, flags, 0)
}

fn open_for(path: &Path, flags: OpenFlags, added: u64) -> Result<Connection, DatabaseError> {
    refuse_foreign(path)?;
    let size = fs::metadata(path).map_or(0, |meta| meta.len());
    let size = size.saturating_add(added);
    let mut connection =
        Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NOFOLLOW)?;
    // Another run may be writing; it takes a moment.
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    let mut left = (LEAST_STEPS.saturating_add(size.saturating_mul(STEPS_A_BYTE))) / STEPS_A_LOOK;
    let look = move || {
        left = left.saturating_sub(1);
        left == 0
    };
    let often = i32::try_from(STEPS_A_LOOK).unwrap_or(i32::MAX);
    connection.progress_handler(often, Some(look))?;
    let foreign: i64 = connection.query_row(
        "SELECT count(*) FROM sqlite_master
         WHERE type NOT IN ('table', 'index') OR sql LIKE 'create virtual%'",
        [],
        |row| row.get(0),
    )?;
    if foreign > 0 {
        let why = "it has a view, a trigger or a virtual table, and no history of ours does";
        return Err(DatabaseError::Foreign(why.to_owned()));
    }
    Ok(connection)
}

/// Refuses what is no regular file of a trusted owner: the database, and what SQLite would apply to it unasked.
fn refuse_foreign(path: &Path) -> Result<(), DatabaseError> {
    let mut all = vec![path.to_owned()];
    all.extend(SUFFIXES.map(|suffix| beside(path, suffix)));
    for path in all {
        match kept_file::check(&path) {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                let name = path.file_name().unwrap_or_default().display();
                return Err(DatabaseError::Foreign(format!("{name}: {error}")));
            }
            // SQLite finds the words for all else.
            _ => {}
        }
    }
    Ok(())
}

/// What SQLite keeps beside a database.
const SUFFIXES: [&str; 3] = ["-journal", "-wal", "-shm"];

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The version of its tables; an error where they are of the future.
pub fn version(connection: &Connection) -> Result<i64, DatabaseError> {
    let version = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if version > VERSION {
        return Err(DatabaseError::Newer(version));
    }
    Ok(version)
}

/// Opens it for writing, changes it as `what` says, and all of that or nothing is on disk then.
pub fn change<T>(
    path: &Path,
    what: impl FnOnce(&Transaction<'_>) -> Result<T, DatabaseError>,
) -> Result<T, DatabaseError> {
    change_more(path, 0, what)
}

/// The same for a change that adds about so many bytes.
pub fn change_more<T, E: From<DatabaseError>>(
    path: &Path,
    added: u64,
    what: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
) -> Result<T, E> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let mut connection = open_for(path, flags, added)?;
    // At once for writing: of two that read first and both want to write then, one is turned away without a wait.
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(DatabaseError::from)?;
    migrate(&transaction)?;
    let result = what(&transaction)?;
    transaction.commit().map_err(DatabaseError::from)?;
    Ok(result)
}

/// Makes its tables those of today.
fn migrate(transaction: &Transaction<'_>) -> Result<(), DatabaseError> {
    if version(transaction)? == VERSION {
        return Ok(());
    }
    let is_first = transaction.table_exists(None, "tests")?;
    if is_first {
        transaction.execute_batch("ALTER TABLE tests RENAME TO first_tests")?;
    }
    transaction.execute_batch(
        "CREATE TABLE runs (key INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, \"commit\" TEXT);
         CREATE TABLE tests (key INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE);
         CREATE TABLE results (test INTEGER NOT NULL, run INTEGER NOT NULL, attempt INTEGER NOT NULL, outcome TEXT NOT NULL,
             seconds REAL NOT NULL, alone REAL NOT NULL, cpu REAL NOT NULL, memory INTEGER NOT NULL, workers REAL NOT NULL,
             PRIMARY KEY (test, run, attempt)) WITHOUT ROWID;
         CREATE TABLE starts (name TEXT NOT NULL, run INTEGER NOT NULL, seconds REAL NOT NULL, jobs INTEGER NOT NULL,
             PRIMARY KEY (name, run)) WITHOUT ROWID",
    )?;
    if is_first {
        transaction.execute_batch(
            "INSERT INTO runs (key, id) VALUES (1, 'migrated');
             INSERT INTO tests (id) SELECT id FROM first_tests;
             INSERT INTO results SELECT key, 1, 1, outcome, seconds, seconds, 0, 0, 1
                 FROM first_tests JOIN tests USING (id);
             DROP TABLE first_tests",
        )?;
    }
    transaction.pragma_update(None, "user_version", VERSION)?;
    Ok(())
}

/// The number of a run that has the id, made if there is none.
pub fn run_key(
    transaction: &Transaction<'_>,
    id: &str,
    commit: Option<&str>,
) -> Result<i64, DatabaseError> {
    transaction
        .prepare_cached("INSERT INTO runs (id, \"commit\") VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
        .execute((id, commit))?;
    let mut known = transaction.prepare_cached("SELECT key FROM runs WHERE id = ?1")?;
    Ok(known.query_row([id], |row| row.get(0))?)
}

/// The number of a test, made if there is none.
pub fn test_key(transaction: &Transaction<'_>, id: &str) -> Result<i64, DatabaseError> {
    use rusqlite::OptionalExtension;
    let mut known = transaction.prepare_cached("SELECT key FROM tests WHERE id = ?1")?;
    if let Some(key) = known.query_row([id], |row| row.get(0)).optional()? {
        return Ok(key);
    }
    transaction
        .prepare_cached("INSERT INTO tests (id) VALUES (?1)")?
        .execute([id])?;
    Ok(transaction.last_insert_rowid())
}

/// Takes away what is too old, if it is time for that.
pub fn tidy(transaction: &Transaction<'_>, run: i64) -> Result<(), DatabaseError> {
    if run % EVERY == 0 {
        prune(transaction, KEPT, FORGOTTEN)?;
    }
    Ok(())
}

/// Keeps the last `kept` runs of each test, and forgets tests that did not run in the last `forgotten` runs. Returns how many
/// results and tests went.
pub fn prune(
    transaction: &Transaction<'_>,
    kept: usize,
    forgotten: usize,
) -> Result<(usize, usize), DatabaseError> {
    let number = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let mut results = transaction.execute(
        "DELETE FROM results WHERE run <= (SELECT coalesce(max(key), 0) FROM runs) - ?1",
        [number(forgotten)],
    )?;
    results += transaction.execute(
        "DELETE FROM results WHERE (test, run) IN (
             SELECT test, run FROM (
                 SELECT test, run, row_number() OVER (PARTITION BY test ORDER BY run DESC) AS number
                 FROM (SELECT DISTINCT test, run FROM results))
             WHERE number > ?1)",
        [number(kept)],
    )?;
    let tests = transaction.execute(
        "DELETE FROM tests WHERE key NOT IN (SELECT test FROM results)",
        [],
    )?;
    transaction.execute_batch(
        "DELETE FROM starts WHERE run <= (SELECT max(key) FROM runs) - 20;
         DELETE FROM runs WHERE key NOT IN (SELECT run FROM results) AND key NOT IN (SELECT run FROM starts)
             AND key < (SELECT max(key) FROM runs)",
    )?;
    Ok((results, tests))
}

/// Sets a broken database aside, with the journal that SQLite would otherwise apply to the next one.
pub fn aside(path: &Path, run: &str, is_broken: impl Fn() -> bool) -> io::Result<Option<PathBuf>> {
    let aside = set_aside(path, run, is_broken)?;
    if aside.is_some() {
        for suffix in SUFFIXES {
            let _ = fs::remove_file(beside(path, suffix));
        }
    }
    Ok(aside)
}
