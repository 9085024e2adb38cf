//! The history for a person: what each test took and how it ended, run by run.

use std::collections::BTreeMap;
use std::path::Path;

use indexmap::IndexMap;
use rusqlite::OpenFlags;

use super::database::{self, DatabaseError};
use super::store::Store;
use crate::outcome::Outcome;
use crate::plan::{Memory, Past};

/// A test's history.
#[derive(Clone, Debug)]
pub struct Known {
    /// Its full id.
    pub id: String,
    /// What the next run thinks of it.
    pub estimate: Past,
    /// Its tries, the last ones first.
    pub tries: Vec<Try>,
}

/// A try of a test.
#[derive(Clone, Debug)]
pub struct Try {
    /// The run.
    pub run: String,
    /// The commit, if it was known.
    pub commit: Option<String>,
    /// Which try of the run it was, from 1.
    pub attempt: u32,
    /// How it ended.
    pub outcome: String,
    /// How long it took.
    pub seconds: f64,
    /// Its processor time.
    pub cpu: f64,
    /// Its peak memory in bytes.
    pub memory: u64,
    /// How many jobs ran at the same time, on average.
    pub workers: f64,
}

impl Known {
    /// Of how many runs in how many the test passed only at a later try, or both failed and passed at one commit. None if it
    /// always did the same.
    #[must_use]
    pub fn flakes(&self) -> Option<(usize, usize)> {
        let mut runs: IndexMap<&str, Vec<&Try>> = IndexMap::new();
        for one in &self.tries {
            runs.entry(&one.run).or_default().push(one);
        }
        let failed = |tries: &[&Try]| tries.iter().any(|one| is_failure(&one.outcome));
        let flaky =
            |tries: &[&Try]| failed(tries) && tries.iter().any(|one| !is_failure(&one.outcome));
        let mut flakes = runs.values().filter(|tries| flaky(tries)).count();
        let mut by_commit: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for tries in runs.values().filter(|tries| !flaky(tries)) {
            let Some(commit) = tries.first().and_then(|one| one.commit.as_deref()) else {
                continue;
            };
            let (bad, good) = by_commit.entry(commit).or_default();
            *(if failed(tries) { bad } else { good }) += 1;
        }
        flakes += by_commit
            .values()
            .filter(|(_, good)| *good > 0)
            .map(|(bad, _)| bad)
            .sum::<usize>();
        (flakes > 0).then_some((flakes, runs.len()))
    }
}

fn is_failure(word: &str) -> bool {
    let mut all = Outcome::ALL.into_iter();
    all.any(|outcome| outcome.word() == word && outcome.is_failure())
}

/// Everything that is known, by id.
///
/// # Errors
/// The database can't be read.
pub fn look(path: &Path) -> Result<Vec<Known>, DatabaseError> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    // A history of the first version is brought up to date.
    database::change(path, |_| Ok(()))?;
    let (store, _) = Store::read(path, "");
    let connection = database::open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let mut statement = connection.prepare(
        "SELECT tests.id, runs.id, runs.\"commit\", attempt, outcome, seconds, cpu, memory, workers
         FROM results JOIN tests ON tests.key = test JOIN runs ON runs.key = run
         ORDER BY tests.id, run DESC, attempt DESC",
    )?;
    let mut known: Vec<Known> = Vec::new();
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let id: String = row.get(0)?;
        let one = Try {
            run: row.get(1)?,
            commit: row.get(2)?,
            attempt: row.get(3)?,
            outcome: row.get(4)?,
            seconds: row.get(5)?,
            cpu: row.get(6)?,
            memory: row.get::<_, i64>(7)?.unsigned_abs(),
            workers: row.get(8)?,
        };
        match known.last_mut() {
            Some(last) if last.id == id => last.tries.push(one),
            _ => known.push(Known {
                estimate: store.recall(&id).unwrap_or_default(),
                id,
                tries: vec![one],
            }),
        }
    }
    Ok(known)
}

/// Keeps the last `kept` runs of each test and forgets those that did not run in the last `runs` runs. Returns how many results
/// and tests went.
///
/// # Errors
/// The database can't be written.
pub fn prune(path: &Path, kept: usize, runs: usize) -> Result<(usize, usize), DatabaseError> {
    if !path.exists() {
        return Ok((0, 0));
    }
    let gone = database::change(path, |transaction| database::prune(transaction, kept, runs))?;
    let connection = database::open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.execute_batch("VACUUM")?;
    Ok(gone)
}
