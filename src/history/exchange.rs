//! The history as lines of JSON: what a shard in CI has measured, carried to where the next run begins.
//!
//! A line has one result, or what starting a chunk of a group cost in a run. Those of one run are in one place only, so the
//! exports of shards have no line in common; importing them, in whatever order and however often, gives the same history.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Seek, Write};
use std::path::Path;

use rusqlite::OpenFlags;
use serde::{Deserialize, Serialize};

use super::database::{self, DatabaseError};
use super::recorder::{Row, insert};
use crate::kept_file::{self, ReadLine};
use crate::outcome::Outcome;

/// The version of the lines.
const VERSION: u8 = 1;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    v: u8,
    run: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    commit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    test: Option<Result>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    start: Option<Start>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Result {
    id: String,
    attempt: u32,
    outcome: Outcome,
    seconds: f64,
    alone: f64,
    cpu: f64,
    memory: u64,
    workers: f64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Start {
    group: String,
    seconds: f64,
    jobs: u32,
}

/// Why an exchange failed.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The database.
    #[error("the history: {0}")]
    Database(#[from] DatabaseError),
    /// The file.
    #[error("{0}")]
    File(#[from] io::Error),
    /// A line that is none of ours.
    #[error("line {line} is no result: {why}")]
    Line {
        /// From 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
}

impl From<rusqlite::Error> for ExchangeError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error.into())
    }
}

/// Writes what is known: all of it, or of one run, or of the last. The lines are in the order of runs, then ids. Returns how
/// many there are.
///
/// # Errors
/// The database can't be read, or the lines can't be written.
pub fn export(
    path: &Path,
    run: Option<&str>,
    to: &mut dyn Write,
) -> std::result::Result<usize, ExchangeError> {
    if !path.exists() {
        return Ok(0);
    }
    let connection = database::open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // A database of the first version is brought up to date first, or there would be two ways to read it.
    let connection = if database::version(&connection)? == database::VERSION {
        connection
    } else {
        drop(connection);
        database::change(path, |_| Ok(()))?;
        database::open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?
    };
    let which = match run {
        None => "1 OR ?1",
        Some("last") => "runs.key = (SELECT max(key) FROM runs) OR ?1 = ''",
        Some(_) => "runs.id = ?1",
    };
    let mut count = 0;
    let mut line = |line: &Line| -> std::result::Result<(), ExchangeError> {
        count += 1;
        serde_json::to_writer(&mut *to, line).map_err(io::Error::from)?;
        Ok(to.write_all(b"\n")?)
    };
    let mut statement = connection.prepare(&format!(
        "SELECT runs.id, runs.\"commit\", tests.id, attempt, outcome, seconds, alone, cpu, memory, workers
         FROM results JOIN tests ON tests.key = test JOIN runs ON runs.key = run
         WHERE {which} ORDER BY run, tests.id, attempt"
    ))?;
    let mut rows = statement.query([run.unwrap_or("")])?;
    while let Some(row) = rows.next()? {
        let word: String = row.get(4)?;
        let outcome = Outcome::ALL
            .into_iter()
            .find(|outcome| outcome.word() == word);
        let result = Result {
            id: row.get(2)?,
            attempt: row.get(3)?,
            outcome: outcome.unwrap_or(Outcome::Errored),
            seconds: row.get(5)?,
            alone: row.get(6)?,
            cpu: row.get(7)?,
            memory: row.get::<_, i64>(8)?.unsigned_abs(),
            workers: row.get(9)?,
        };
        line(&Line {
            v: VERSION,
            run: row.get(0)?,
            commit: row.get(1)?,
            test: Some(result),
            start: None,
        })?;
    }
    let mut statement = connection.prepare(&format!(
        "SELECT runs.id, runs.\"commit\", name, seconds, jobs FROM starts JOIN runs ON runs.key = run
         WHERE {which} ORDER BY run, name"
    ))?;
    let mut rows = statement.query([run.unwrap_or("")])?;
    while let Some(row) = rows.next()? {
        line(&Line {
            v: VERSION,
            run: row.get(0)?,
            commit: row.get(1)?,
            test: None,
            start: Some(Start {
                group: row.get(2)?,
                seconds: row.get(3)?,
                jobs: row.get(4)?,
            }),
        })?;
    }
    Ok(count)
}

/// The longest line that is read. The id of a test is by far the longest part of one.
const LONGEST_LINE: usize = 1 << 20;

/// Takes in lines that were exported; all of them or none. What is known already changes nothing. Returns how many were new.
///
/// They are read twice, so that no more of them is in memory than the ids of their runs.
///
/// # Errors
/// A line is none of ours, or the database can't be written.
pub fn import(
    path: &Path,
    from: &mut (impl BufRead + Seek),
) -> std::result::Result<usize, ExchangeError> {
    // Runs get their numbers in the order of their ids, which begin with the time.
    let mut runs: BTreeMap<String, Option<String>> = BTreeMap::new();
    each_line(from, |line| {
        runs.entry(line.run).or_insert(line.commit);
        Ok(())
    })?;
    let length = from.stream_position()?;
    from.rewind()?;
    if let Some(folder) = path.parent() {
        crate::kept_file::make_folder(folder)?;
    }
    database::change_more(path, length, |transaction| {
        for (run, commit) in &runs {
            database::run_key(transaction, run, commit.as_deref())?;
        }
        let mut added = 0;
        each_line(from, |line| {
            let run = database::run_key(transaction, &line.run, line.commit.as_deref())?;
            if let Some(result) = line.test {
                let row = Row {
                    id: result.id,
                    attempt: result.attempt,
                    outcome: result.outcome.word().to_owned(),
                    seconds: result.seconds,
                    alone: result.alone,
                    cpu: result.cpu,
                    memory: result.memory,
                    workers: result.workers,
                };
                added += usize::from(insert(transaction, run, &row)?);
            }
            if let Some(start) = &line.start {
                added += transaction
                    .prepare_cached(
                        "INSERT OR IGNORE INTO starts (name, run, seconds, jobs) VALUES (?1, ?2, ?3, ?4)",
                    )?
                    .execute((&start.group, run, start.seconds, start.jobs))?;
            }
            Ok(())
        })?;
        Ok(added)
    })
}

/// Reads line by line.
fn each_line(
    from: &mut impl BufRead,
    mut take: impl FnMut(Line) -> std::result::Result<(), ExchangeError>,
) -> std::result::Result<(), ExchangeError> {
    let mut bytes = Vec::new();
    for number in 1.. {
        let wrong = |why: String| ExchangeError::Line { line: number, why };
        match kept_file::read_line(from, &mut bytes, LONGEST_LINE)? {
            ReadLine::End => break,
            ReadLine::TooLong => {
                return Err(wrong(format!("it is longer than {LONGEST_LINE} bytes")));
            }
            ReadLine::Whole => {}
        }
        if bytes.trim_ascii().is_empty() {
            continue;
        }
        let line: Line =
            serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
        if line.v != VERSION {
            return Err(wrong(format!("it is of version {}, not {VERSION}", line.v)));
        }
        take(line)?;
    }
    Ok(())
}
