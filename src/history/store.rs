//! What is known of tests from earlier runs, read once at the beginning of a run.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::database::{DatabaseError, aside, open, version};
use crate::outcome::Outcome;
use crate::plan::{Memory, Past};

/// The results that an estimate is made from, at most: the last ones.
const MOST: usize = 5;
/// The runs that the cost of a start is made from: only the last one, since how jobs are started may have changed.
const STARTS: usize = 1;

/// What is known of tests.
#[derive(Debug, Default)]
pub struct Store {
    known: HashMap<String, Past>,
    starts: HashMap<String, Duration>,
}

impl Memory for Store {
    fn recall(&self, id: &str) -> Option<Past> {
        self.known.get(id).copied()
    }

    fn start_cost(&self, group: &str) -> Option<Duration> {
        self.starts.get(group).copied()
    }
}

/// One result, as far as an estimate needs it.
struct Measured {
    run: i64,
    outcome: Option<Outcome>,
    alone: f64,
    memory: u64,
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
        let is_broken = || matches!(Self::try_read(path), Err(error) if error.is_corrupt(path));
        let done = if error.is_corrupt(path) {
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

    fn try_read(path: &Path) -> Result<Self, DatabaseError> {
        if !path.exists() {
            return Ok(Self::default());
        }
        // Nothing is made here: a repository that can't be written can still be read.
        let connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        let version = version(&connection)?;
        if !connection.table_exists(None, "tests")? {
            return Ok(Self::default());
        }
        if version == 0 {
            return Ok(Self {
                known: first_version(&connection)?,
                starts: HashMap::new(),
            });
        }
        Ok(Self {
            known: known(&connection)?,
            starts: starts(&connection)?,
        })
    }
}

fn outcome_of(word: &str) -> Option<Outcome> {
    Outcome::ALL
        .into_iter()
        .find(|outcome| outcome.word() == word)
}

fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

/// What a database has that nobody has written to since the first version.
fn first_version(connection: &Connection) -> Result<HashMap<String, Past>, DatabaseError> {
    let mut statement = connection.prepare("SELECT id, seconds, outcome FROM tests")?;
    let rows = statement.query_map([], |row| {
        let (id, seconds, outcome): (String, f64, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let past = Past {
            duration: duration(seconds),
            failed: outcome_of(&outcome).is_some_and(Outcome::is_failure),
            memory: 0,
        };
        Ok((id, past))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn known(connection: &Connection) -> Result<HashMap<String, Past>, DatabaseError> {
    let mut ids: HashMap<i64, String> = HashMap::new();
    let mut statement = connection.prepare("SELECT key, id FROM tests")?;
    for row in statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))? {
        let (key, id) = row?;
        ids.insert(key, id);
    }
    // In the order of the table's key, so that nothing is sorted.
    let mut statement = connection.prepare(
        "SELECT test, run, outcome, alone, memory FROM results ORDER BY test, run, attempt",
    )?;
    let mut rows = statement.query([])?;
    let mut known = HashMap::with_capacity(ids.len());
    let mut current: Option<(i64, Vec<Measured>)> = None;
    let mut settle = |current: Option<(i64, Vec<Measured>)>| {
        if let Some((test, results)) = current
            && let Some(id) = ids.remove(&test)
        {
            known.insert(id, estimate(&results));
        }
    };
    while let Some(row) = rows.next()? {
        let test: i64 = row.get(0)?;
        let measured = Measured {
            run: row.get(1)?,
            outcome: outcome_of(row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?),
            alone: row.get(3)?,
            memory: row.get::<_, i64>(4)?.unsigned_abs(),
        };
        match &mut current {
            Some((of, results)) if *of == test => {
                // A later try of the same run takes the place of the earlier one.
                if results.last().is_some_and(|last| last.run == measured.run) {
                    results.pop();
                }
                results.push(measured);
            }
            _ => settle(current.replace((test, vec![measured]))),
        }
    }
    settle(current);
    Ok(known)
}

/// What a test is thought to take and need. Its results are in the order of the runs, one a run.
fn estimate(results: &[Measured]) -> Past {
    let is_skip = |result: &&Measured| result.outcome == Some(Outcome::Skipped);
    let last = results.last();
    // A test that is skipped now and then takes either no time or its own: what it did last, it is thought to do again.
    let skips = last.as_ref().is_some_and(is_skip);
    let alike = results
        .iter()
        .rev()
        .filter(|result| is_skip(result) == skips);
    let mut seconds: Vec<f64> = alike.take(MOST).map(|result| result.alone).collect();
    let memory = results.iter().rev().take(MOST).map(|result| result.memory);
    Past {
        duration: duration(median(&mut seconds)),
        failed: last
            .and_then(|last| last.outcome)
            .is_some_and(Outcome::is_failure),
        memory: memory.max().unwrap_or(0),
    }
}

/// What starting a chunk costs, by group.
fn starts(connection: &Connection) -> Result<HashMap<String, Duration>, DatabaseError> {
    let mut by_group: HashMap<String, Vec<f64>> = HashMap::new();
    let mut statement =
        connection.prepare("SELECT name, seconds FROM starts ORDER BY name, run DESC")?;
    for row in statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))? {
        let (name, seconds) = row?;
        let list = by_group.entry(name).or_default();
        if list.len() < STARTS {
            list.push(seconds);
        }
    }
    let starts = by_group.into_iter();
    Ok(starts
        .map(|(name, mut list)| (name, duration(median(&mut list))))
        .collect())
}

/// The one in the middle, or the lower of the two; 0 of none.
pub fn median(numbers: &mut [f64]) -> f64 {
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len().saturating_sub(1) / 2;
    numbers.get(middle).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests;
