//! Remembers a run's results: gathered from its events, written at its end in one transaction.
//!
//! Every try that ran counts, also one that failed or ran out of time: what it took is what the next one may take. What a
//! job's start costs is its duration without its tests'.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;

use super::database::{self, DatabaseError};
use super::load::{Span, alone, loads};
use super::store::median;
use crate::event::{Event, Moment};
use crate::outcome::Outcome;
use crate::report::{ReportError, Reporter};

/// See the module.
#[derive(Debug)]
pub struct Recorder {
    path: PathBuf,
    run: String,
    commit: Option<String>,
    cores: usize,
    jobs: BTreeMap<usize, Job>,
    /// The job of each worker: group and slot.
    current: HashMap<(String, usize), usize>,
    /// Tests that are inside an item, and which: it is the item that is planned next time.
    inside: HashMap<String, String>,
    /// Tests of an item that ran only some of its own: what they took is not what the item takes.
    of_parts: HashSet<String>,
    /// Which repetition of the tests goes on.
    repetition: u32,
}

/// After so many repetitions only failures are kept.
const MOST_REPETITIONS: u32 = 100;

#[derive(Debug)]
struct Job {
    group: String,
    start: f64,
    seconds: f64,
    cpu: f64,
    memory: u64,
    is_over: bool,
    results: Vec<Tried>,
}

/// One try of a test.
#[derive(Debug)]
struct Tried {
    id: String,
    attempt: u32,
    outcome: Outcome,
    seconds: f64,
}

/// A row of the table of results.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The test's full id.
    pub id: String,
    /// Which try it was, from 1.
    pub attempt: u32,
    /// How it ended.
    pub outcome: String,
    /// How long it took.
    pub seconds: f64,
    /// How long it would have taken alone.
    pub alone: f64,
    /// Its processor time.
    pub cpu: f64,
    /// Its peak memory in bytes.
    pub memory: u64,
    /// How many jobs ran at the same time, on average.
    pub workers: f64,
}

impl Recorder {
    /// A recorder of a run for a database, on a machine with so many processors.
    #[must_use]
    pub fn new(path: PathBuf, run: &str, commit: Option<String>, cores: usize) -> Self {
        Self {
            path,
            run: run.to_owned(),
            commit,
            cores,
            jobs: BTreeMap::new(),
            current: HashMap::new(),
            inside: HashMap::new(),
            of_parts: HashSet::new(),
            repetition: 1,
        }
    }

    /// What was measured: results, and by group what starting a chunk costs, with the number of jobs that say so.
    fn measured(&self) -> (Vec<Row>, Vec<(String, f64, usize)>) {
        let jobs: Vec<&Job> = self.jobs.values().collect();
        let spans: Vec<Span> = jobs
            .iter()
            .map(|job| Span {
                start: job.start,
                end: job.start + job.seconds,
                cpu: job.cpu,
            })
            .collect();
        #[expect(clippy::cast_precision_loss, reason = "processors are few")]
        let loads = loads(&spans, self.cores as f64);
        let mut rows = Vec::new();
        let mut tries: HashMap<&str, u32> = HashMap::new();
        let mut starts: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for (job, load) in jobs.iter().zip(loads) {
            let tests: f64 = job.results.iter().map(|tried| tried.seconds).sum();
            // Where nobody tells what the tests took, they were given equal shares of the job: its start is in them.
            let is_told = job.is_over && (job.seconds - tests).abs() > job.seconds * 1e-6;
            let has_ended = job.results.iter().all(|tried| {
                !matches!(
                    tried.outcome,
                    Outcome::TimedOut | Outcome::Crashed | Outcome::Oom
                )
            });
            if is_told && has_ended && tests < job.seconds && !job.results.is_empty() {
                let start = (job.seconds - tests) / load.stretch;
                starts.entry(&job.group).or_default().push(start);
            }
            let busy = if job.seconds > 0.0 {
                job.cpu / job.seconds
            } else {
                0.0
            };
            rows.extend(job.results.iter().map(|tried| {
                let cpu = tried.seconds * busy;
                // Each repetition is a try of its own, and they are told apart by number.
                let count = tries.entry(&tried.id).or_default();
                *count += 1;
                Row {
                    id: tried.id.clone(),
                    attempt: if self.repetition > 1 {
                        *count
                    } else {
                        tried.attempt
                    },
                    outcome: tried.outcome.word().to_owned(),
                    seconds: tried.seconds,
                    alone: alone(tried.seconds, cpu, load.stretch),
                    cpu,
                    memory: job.memory,
                    workers: load.workers,
                }
            }));
        }
        let starts = starts.into_iter();
        let starts = starts
            .map(|(group, mut list)| (group.to_owned(), median(&mut list), list.len()))
            .collect();
        (rows, starts)
    }

    /// Forgets a job that is over if nothing of it is kept: a run may repeat its tests for days.
    fn forget(&mut self, job: usize) {
        let is_empty = |job: &Job| job.results.is_empty();
        if self.repetition > MOST_REPETITIONS && self.jobs.get(&job).is_some_and(is_empty) {
            self.jobs.remove(&job);
        }
    }

    fn write(&self) -> Result<(), DatabaseError> {
        let (rows, starts) = self.measured();
        if rows.is_empty() {
            return Ok(());
        }
        database::change(&self.path, |transaction| {
            let run = database::run_key(transaction, &self.run, self.commit.as_deref())?;
            for row in &rows {
                insert(transaction, run, row)?;
            }
            let mut insert = transaction.prepare_cached(
                "INSERT OR REPLACE INTO starts (name, run, seconds, jobs) VALUES (?1, ?2, ?3, ?4)",
            )?;
            for (group, seconds, jobs) in &starts {
                let jobs = i64::try_from(*jobs).unwrap_or(i64::MAX);
                insert.execute((group, run, seconds, jobs))?;
            }
            drop(insert);
            database::tidy(transaction, run)
        })
    }
}

/// Adds a result to a run. A second one of the same try is the same one, imported again.
pub fn insert(
    transaction: &rusqlite::Transaction<'_>,
    run: i64,
    row: &Row,
) -> Result<bool, DatabaseError> {
    let test = database::test_key(transaction, &row.id)?;
    let memory = i64::try_from(row.memory).unwrap_or(i64::MAX);
    let mut insert = transaction.prepare_cached(
        "INSERT OR IGNORE INTO results (test, run, attempt, outcome, seconds, alone, cpu, memory, workers)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    let added = insert.execute(rusqlite::params![
        test,
        run,
        row.attempt,
        row.outcome,
        row.seconds,
        row.alone,
        row.cpu,
        memory,
        row.workers
    ])?;
    Ok(added > 0)
}

impl Reporter for Recorder {
    fn event(&mut self, when: Moment, event: &Event) -> Result<(), ReportError> {
        match event {
            Event::RepetitionStarted { repetition, .. } => self.repetition = *repetition,
            Event::JobStarted {
                job, group, worker, ..
            } => {
                self.current.insert((group.clone(), *worker), *job);
                let begun = Job {
                    group: group.clone(),
                    start: when.at,
                    seconds: 0.0,
                    cpu: 0.0,
                    memory: 0,
                    is_over: false,
                    results: Vec::new(),
                };
                self.jobs.insert(*job, begun);
            }
            Event::JobFinished {
                job,
                seconds,
                cpu,
                memory,
                ..
            } => {
                if let Some(job) = self.jobs.get_mut(job) {
                    (job.seconds, job.cpu, job.memory) = (*seconds, *cpu, *memory);
                    job.is_over = true;
                }
                self.forget(*job);
            }
            Event::TestsFound {
                of: Some(of),
                tests,
                part,
                ..
            } => {
                if *part {
                    self.of_parts.extend(tests.iter().cloned());
                }
                let inside = tests.iter().map(|test| (test.clone(), of.clone()));
                self.inside.extend(inside);
            }
            Event::TestFinished(test) | Event::TestRetried(test) => {
                // The run's end is not the test's fault.
                let ran = !matches!(test.outcome, Outcome::Cancelled | Outcome::NotRun)
                    && !self.of_parts.contains(&test.id);
                let worker = test.worker.filter(|_| ran);
                let job = worker.and_then(|worker| {
                    let number = self.current.get(&(test.group.clone(), worker))?;
                    self.jobs.get_mut(number)
                });
                if let Some(job) = job {
                    let of = self.inside.remove(&test.id);
                    let id = of.clone().unwrap_or_else(|| test.id.clone());
                    let tried = Tried {
                        attempt: test.attempt,
                        id,
                        // What the manifest counts it as does not change what it did.
                        outcome: if test.flaky {
                            Outcome::Flaky
                        } else {
                            test.outcome
                        },
                        seconds: test.seconds,
                    };
                    // All tests of an item together are one try of it.
                    let mut known = job.results.iter_mut().filter(|_| of.is_some());
                    let same =
                        |known: &&mut Tried| known.id == tried.id && known.attempt == tried.attempt;
                    match known.find(same) {
                        Some(known) => {
                            known.seconds += tried.seconds;
                            if !known.outcome.is_failure() {
                                known.outcome = tried.outcome;
                            }
                        }
                        None if self.repetition > MOST_REPETITIONS
                            && !tried.outcome.is_failure() => {}
                        None => job.results.push(tried),
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), ReportError> {
        let Err(error) = self.write() else {
            return Ok(());
        };
        // It was whole, or not there, when the run began.
        if error.is_corrupt(&self.path)
            && database::aside(&self.path, &self.run, || true).is_ok()
            && self.write().is_ok()
        {
            let why = format!("it was broken ({error}), and is begun anew");
            return Err(ReportError::advisory("the history", &self.path, why));
        }
        Err(ReportError::advisory("the history", &self.path, error))
    }
}
