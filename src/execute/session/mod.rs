//! Jobs of a warm group: a lane keeps a connection to a fork of its session's host, sends it chunks, and tells each result as it
//! comes.
//!
//! A fork ends with the lane, or after each chunk where the group asks for that. One that ends early is charged to the test that
//! ran; the others of its chunk go to another.

mod fork;
mod leave;
mod on_timeout;
mod watch;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use serde_json::json;

use super::attempt::{expected, job_outcome};
use super::job::Job;
use super::lane::{Lane, Ran};
use super::running::Current;
use crate::event::{Event, TestFinished};
use crate::manifest::model::Isolation;
use crate::outcome::Outcome;
use crate::plan::{Item, full_id};
use crate::runner::read::{self, Reported, Verdict};
use crate::runner::session::{Heard, Told};
use crate::worker::frame::{Cause, Ended, Status};
use fork::NoSitting;
pub use fork::{Sitting, files};
pub use leave::finish;
use watch::{Ending, Watch};

/// How a chunk goes.
struct Progress {
    /// By item: whether it has its result.
    told: Vec<bool>,
    /// The items that have begun, in order.
    started: Vec<usize>,
    failed: usize,
    retry: Vec<(Item, Box<TestFinished>)>,
    cpu: f64,
    memory: u64,
    /// How many results have come.
    results: usize,
    /// Why a line of the fork could not be read.
    unreadable: Option<String>,
    since: Instant,
}

impl Lane<'_, '_> {
    /// Runs a job in this lane's fork.
    pub(super) fn warm_job(&mut self, job: &Arc<Job>, number: usize, global_slot: usize) -> Ran {
        let shared = self.shared;
        if let Err(failure) = self.ready(global_slot) {
            return self.unready(job, failure);
        }
        let mut sitting = match self.sitting.take() {
            Some(sitting) => sitting,
            None => match self.sit(global_slot) {
                Ok(sitting) => sitting,
                Err(NoSitting::Shortage(why)) => return self.short(job, why),
                // It never began: it is told of with the others that the stop has left.
                Err(NoSitting::Stopped) => return Ran::Over(0, vec![(**job).clone()]),
                Err(NoSitting::Broken(why)) => {
                    let (first, rest) = why.split_once('\n').unwrap_or((&why, ""));
                    let rest = Some(rest.to_owned()).filter(|rest| !rest.is_empty());
                    let failed = self.all(job, Outcome::Errored, first, rest.as_ref());
                    return Ran::Over(failed, Vec::new());
                }
            },
        };
        self.shortages = 0;
        let pid = self
            .client
            .as_ref()
            .map_or(sitting.pid, |client| client.pid);
        self.begin(job, number, pid);
        let since = Instant::now();
        let held = shared.clients.held();
        let mut progress = Progress::new(job.items.len());
        let is_last = self.config().isolation != Isolation::Worker
            || shared.state().scheduler.is_drained(self.group);
        let broken = self.chunk((job, number), &mut sitting, &mut progress, is_last);
        // Whatever it is asked from now on comes too late.
        self.makes_room = Arc::default();
        let seconds = since
            .elapsed()
            .saturating_sub(shared.clients.held().saturating_sub(held));
        let mut again = Vec::new();
        let (outcome, exit, signal) = match broken {
            None if self.config().isolation == Isolation::Worker => {
                self.sitting = Some(sitting);
                (Outcome::Passed, Some(0), None)
            }
            None => {
                progress.failed += self.rise(sitting);
                (Outcome::Passed, Some(0), None)
            }
            Some(ending) => {
                let (ended, rest) = self.broken_off(job, sitting, ending, &mut progress);
                again = rest;
                let (exit, signal) = match ended.status {
                    Status::Exit(code) => (Some(code), None),
                    Status::Signal(signal) => (None, Some(signal)),
                    Status::NotStarted(_) => (None, None),
                };
                (job_outcome(&ended), exit, signal)
            }
        };
        shared.state().running.remove(&number);
        shared.send(Event::JobFinished {
            job: number,
            outcome,
            seconds: seconds.as_secs_f64(),
            cpu: progress.cpu,
            memory: progress.memory,
            exit,
            signal,
        });
        let retry = progress.retry.into_iter();
        again.extend(retry.map(|(item, failed)| job.again(shared.plan, item, failed, Vec::new())));
        Ran::Over(progress.failed, again)
    }

    /// Sends a chunk and tells its results. Returns how the fork broke off, if it did.
    fn chunk(
        &mut self,
        (job, number): (&Job, usize),
        sitting: &mut Sitting,
        progress: &mut Progress,
        is_last: bool,
    ) -> Option<Ending> {
        let shared = self.shared;
        let ids: Vec<&str> = job.items.iter().map(|item| item.id.as_str()).collect();
        let places: HashMap<&str, usize> = ids.iter().copied().zip(0..).collect();
        let slow = job.settings.slow_after.is_some();
        let runs = |index: Option<usize>| {
            if let Some(running) = shared.state().running.get_mut(&number).filter(|_| slow) {
                running.current = Current::Told(index.map(|index| (index, Instant::now())));
            }
        };
        let order = json!({ "run": {
            "ids": ids,
            "last": is_last,
            "env": {
                "ORCHESTRATE_ATTEMPT": job.attempt.to_string(),
                "ORCHESTRATE_REPETITION": job.repetition.to_string(),
            },
        } });
        // One that is gone is noticed by what is heard of it.
        let _ = sitting.connection.send(&order);
        let mut watch = Watch::new(shared, (&job.settings, job.attempt), sitting.has_begun);
        let mut ending = Ending::default();
        loop {
            self.oversee(sitting, &watch, &mut ending);
            let until = ending.wake(watch.next(Instant::now()));
            let heard = match sitting.connection.next(until) {
                Ok(Heard::Told(told)) => told,
                Ok(Heard::Unreadable(why)) => {
                    let why = format!("a line of its session cannot be read: {why}");
                    progress.unreadable.get_or_insert(why);
                    continue;
                }
                Ok(Heard::Nothing) if sitting.has_ended() => return Some(ending),
                Ok(Heard::Nothing) => continue,
                Ok(Heard::End) | Err(_) => return Some(ending),
            };
            match heard {
                Told::Ended { exit, signal } => ending.has_ended(exit, signal),
                // The test's time was over, whatever it still does: what is told now comes too late, and is no other test's either.
                _ if ending.cause == Some(Cause::Timeout) => {}
                Told::Started { id, written } => {
                    self.release(sitting, None);
                    sitting.written = written.unwrap_or_default();
                    sitting.has_begun = true;
                    watch.begin(shared);
                    if let Some(index) = places.get(id.as_str()) {
                        progress.started.push(*index);
                        runs(Some(*index));
                        shared.send(Event::TestStarted {
                            id: full_id(self.config().name.as_str(), &id),
                            group: self.config().name.to_string(),
                            worker: self.slot,
                            attempt: job.attempt,
                        });
                    }
                }
                Told::Finished {
                    id,
                    outcome,
                    seconds,
                    message,
                    output,
                    left,
                } => {
                    watch.begin(shared);
                    if !left.is_empty() {
                        sitting.left.insert(self.full(&id), left);
                    }
                    runs(None);
                    progress.results += 1;
                    let output = output.unwrap_or_default();
                    let mut verdict = Verdict {
                        outcome,
                        seconds,
                        message: message.filter(|text| !text.is_empty()),
                        output: Some(self.cut(output)),
                    };
                    verdict.bound(progress.since.elapsed());
                    match places.get(id.as_str()).copied() {
                        Some(index) if !progress.told[index] => {
                            self.finished(job, index, verdict, sitting, progress);
                        }
                        index => {
                            let unlisted = index.is_none() && !sitting.holds(&self.full(&id));
                            if unlisted {
                                let test = Reported {
                                    id,
                                    item: None,
                                    verdict,
                                };
                                progress.failed += self.others(job, vec![test]);
                            } else {
                                progress.failed += self.release(sitting, Some((&id, verdict)));
                            }
                        }
                    }
                }
                Told::Done {
                    results,
                    pending,
                    cpu,
                    memory,
                } => {
                    (progress.cpu, progress.memory) = (cpu, memory);
                    self.clear_suspects(sitting);
                    self.complete(job, results, sitting, progress);
                    if pending.is_none() && !self.ends_with_test() {
                        self.release(sitting, None);
                    }
                    return None;
                }
                Told::Ready { .. } | Told::Refused { .. } | Told::Over | Told::Other => {}
            }
        }
    }

    /// A chunk is over. A test without a result is errored, and the last one is where a result may have been lost.
    fn complete(
        &self,
        job: &Job,
        sent: Option<usize>,
        sitting: &mut Sitting,
        progress: &mut Progress,
    ) {
        let miscounted = sent
            .filter(|sent| *sent != progress.results)
            .map(|sent| read::miscounted(sent, progress.results));
        let wrong = progress.unreadable.take().or(miscounted);
        let has_all = progress.told.iter().all(|told| *told);
        for index in 0..job.items.len() {
            if !progress.told[index] {
                let why = wrong.clone();
                let why = why.unwrap_or_else(|| "its session does not know it".to_owned());
                let verdict = Verdict::new(Outcome::Errored, why);
                self.finished(job, index, verdict, sitting, progress);
            }
        }
        let Some(why) = wrong.filter(|_| has_all) else {
            return;
        };
        if let Some(held) = &mut sitting.held {
            let was_failure = held.outcome.is_failure();
            let verdict = read::doubted(Some(Verdict::new(held.outcome, held.message.take())), why);
            (held.outcome, held.message) = (verdict.outcome, verdict.message);
            progress.failed += usize::from(!was_failure);
            sitting.has_failed = true;
        } else {
            // Its last test has another try.
            self.warn(&why);
        }
    }

    /// A test of the chunk has its result. The last one's is held: what it tears down may yet fail.
    fn finished(
        &self,
        job: &Job,
        index: usize,
        verdict: Verdict,
        sitting: &mut Sitting,
        progress: &mut Progress,
    ) {
        let finished = self.take(job, index, (verdict, &Status::Exit(0)), progress);
        sitting.has_failed |= progress.failed > 0 || !progress.retry.is_empty();
        if progress.told.iter().all(|told| *told) {
            // Of a test that never began there is no other word that those before it are over.
            self.release(sitting, None);
            sitting.held = finished;
        } else if let Some(finished) = finished {
            self.deliver(sitting, finished);
        }
    }

    /// The id of a test in the run.
    fn full(&self, id: &str) -> String {
        full_id(self.config().name.as_str(), id)
    }

    /// Sends a result, unless it may yet turn out that the test has leaked.
    fn deliver(&self, sitting: &mut Sitting, finished: TestFinished) {
        if finished.outcome == Outcome::Passed && sitting.left.contains_key(&finished.id) {
            sitting.suspects.push(finished);
        } else {
            self.shared.send(Event::TestFinished(finished));
        }
    }

    /// Sends the results of tests whose processes have ended by now.
    fn clear_suspects(&self, sitting: &mut Sitting) {
        if sitting.suspects.is_empty() {
            return;
        }
        let left = &sitting.left;
        let all = left.values().flatten().copied().collect();
        let running = sitting.session.with_client(|client| client.running(all));
        // If its worker is gone, so is what it had left.
        let running = running.and_then(Result::ok).unwrap_or_default();
        let runs = |test: &TestFinished| {
            let left = left.get(&test.id);
            left.is_some_and(|left| left.iter().any(|pid| running.contains(pid)))
        };
        let (suspects, cleared) = std::mem::take(&mut sitting.suspects)
            .into_iter()
            .partition(runs);
        sitting.suspects = suspects;
        for finished in cleared {
            self.shared.send(Event::TestFinished(finished));
        }
    }

    /// Takes in a verdict, and how the process ended that it is of. Returns the result, if the test has no other try.
    fn take(
        &self,
        job: &Job,
        index: usize,
        (verdict, status): (Verdict, &Status),
        progress: &mut Progress,
    ) -> Option<TestFinished> {
        progress.told[index] = true;
        let item = &job.items[index];
        let mut verdict = expected(job, status, verdict);
        let output = verdict.output.take();
        let (finished, again) = self.conclude(job, item, verdict, output, 0.0);
        if again {
            let failed = Box::new(finished.clone());
            progress.retry.push((item.clone(), failed));
            self.shared.send(Event::TestRetried(finished));
            return None;
        }
        progress.failed += usize::from(finished.outcome.is_failure());
        Some(finished)
    }

    /// Tells the result that was held, with what has become of it. Returns how many tests have failed by that.
    pub(super) fn release(&self, sitting: &mut Sitting, late: Option<(&str, Verdict)>) -> usize {
        let Some(mut finished) = sitting.held.take() else {
            return 0;
        };
        let mut failed = 0;
        let name = self.config().name.as_str();
        if let Some((id, verdict)) = late
            && full_id(name, id) == finished.id
            && verdict.outcome.is_failure()
        {
            failed = usize::from(!finished.outcome.is_failure());
            finished.outcome = verdict.outcome;
            finished.message = self.bounded(verdict.message);
            finished.output = verdict.output.filter(|text| !text.is_empty());
            sitting.has_failed = true;
        }
        self.deliver(sitting, finished);
        failed
    }

    /// What becomes of a chunk whose fork broke off.
    fn broken_off(
        &self,
        job: &Job,
        mut sitting: Sitting,
        ending: Ending,
        progress: &mut Progress,
    ) -> (Ended, Vec<Job>) {
        sitting.session.stay();
        let mut ended = self.settle(&mut sitting, ending);
        self.release(&mut sitting, None);
        self.name_leaks(&mut sitting);
        if self.gives_way(job, &mut ended) {
            let items = job.items.iter().zip(&progress.told);
            let rest: Vec<Item> = items
                .filter(|(_, told)| !**told)
                .map(|(item, _)| item.clone())
                .collect();
            let again = (!rest.is_empty()).then(|| job.alone(rest));
            return (ended, Vec::from_iter(again));
        }
        let results = read::broken_off(
            &progress.told,
            &progress.started,
            job.settings.timeout,
            &ended,
        );
        let output = {
            let secrets = &self.shared.discovery.secrets;
            read::without_frames(secrets.text(ended.output.clone()))
        };
        for (index, verdict) in results.verdicts.into_iter().enumerate() {
            let Some(mut verdict) = verdict.filter(|_| !progress.told[index]) else {
                continue;
            };
            verdict.output = Some(output.clone());
            let finished = self.take(job, index, (verdict, &ended.status), progress);
            if let Some(finished) = finished {
                self.shared.send(Event::TestFinished(finished));
            }
        }
        let again = results.again.into_iter().map(|list| {
            let items = list.into_iter().map(|index| job.items[index].clone());
            job.with(items.collect())
        });
        (ended, again.collect())
    }
}

impl Progress {
    fn new(items: usize) -> Self {
        Self {
            told: vec![false; items],
            started: Vec::new(),
            failed: 0,
            retry: Vec::new(),
            cpu: 0.0,
            memory: 0,
            results: 0,
            unreadable: None,
            since: Instant::now(),
        }
    }
}
