//! An attempt: one job handed to a lane's worker, and what its end means for each of its tests.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use super::command::{Place, request};
use super::environment::Environment;
use super::found::{Inside, by_item, share};
use super::hooks::{self, Failure, Subject};
use super::job::Job;
use super::lane::{Lane, Ran};
use super::running::{self, Current, RunningJob};
use super::values::JobValues;
use super::whole;
use crate::event::{Event, TestFinished};
use crate::manifest::config::Hook;
use crate::manifest::model::Expect;
use crate::outcome::Outcome;
use crate::plan::{Item, full_id};
use crate::runner::read::{self, Results, Verdict};
use crate::secrets::Secrets;
use crate::worker::frame::{Cause, Clock, Ended, Output, Status};

/// How often in a row there may be nothing to run a job with; then what is left is errored.
const MOST_SHORTAGES: u32 = 100;

impl Lane<'_, '_> {
    /// Runs a job, with the hooks around it.
    pub(super) fn job(&mut self, job: &Arc<Job>, number: usize, global_slot: usize) -> Ran {
        let shared = self.shared;
        if let Err(failure) = self.ready(global_slot) {
            return self.unready(job, failure);
        }
        let pid = self.client.as_ref().map_or(0, |client| client.pid);
        self.begin(job, number, pid);
        let ended = self.run(job, number, global_slot);
        shared.state().running.remove(&number);
        let mut ended = match ended {
            Ok(ended) => ended,
            Err(error) => {
                self.lose();
                Ended::not_started(error.to_string())
            }
        };
        let outcomes = if ended.cause == Cause::Shortage {
            let why = match &ended.status {
                Status::NotStarted(why) => why.clone(),
                _ => String::new(),
            };
            self.short(job, why)
        } else if self.gives_way(job, &mut ended) {
            self.shortages = 0;
            Ran::Over(0, vec![job.alone(job.items.clone())])
        } else {
            self.shortages = 0;
            let results = self.results(job, &mut ended);
            let secrets = &shared.discovery.secrets;
            let output = secrets.text(std::mem::take(&mut ended.output));
            let (failed, again) = self.report(job, &ended, output, results);
            Ran::Over(failed, again)
        };
        shared.send(Event::JobFinished {
            job: number,
            outcome: job_outcome(&ended),
            seconds: ended.duration.as_secs_f64(),
            cpu: ended.cpu.as_secs_f64(),
            memory: ended.memory,
            exit: match ended.status {
                Status::Exit(code) => Some(code),
                _ => None,
            },
            signal: match ended.status {
                Status::Signal(signal) => Some(signal),
                _ => None,
            },
        });
        outcomes
    }

    /// The results of a job's tests.
    ///
    /// The exit code of a process that runs all tests of its group may be about all of them: too little coverage, snapshots that
    /// no test uses. If it is bad and no test is, it is not a test that fails but the group.
    fn results(&self, job: &Job, ended: &mut Ended) -> Results {
        let shared = self.shared;
        let config = self.config();
        let judge = |ended: &Ended| {
            let root = config.folder(&shared.discovery.root);
            read::judge(
                &config.runner,
                &root,
                &job.items,
                job.settings.timeout,
                ended,
            )
        };
        let is_bad = matches!(ended.status, Status::Exit(code) if code != 0);
        if config.one_process.is_none() || !is_bad || ended.cause != Cause::Itself {
            return judge(ended);
        }
        let status = std::mem::replace(&mut ended.status, Status::Exit(0));
        let results = judge(ended);
        let is_good = |verdict: &Option<Verdict>| {
            let outcome = verdict.as_ref().map(|verdict| verdict.outcome);
            outcome.is_some_and(Outcome::is_success)
        };
        let mut inside = results.found.iter().map(|test| test.verdict.outcome);
        if !results.verdicts.iter().all(is_good) || !inside.all(Outcome::is_success) {
            ended.status = status;
            return judge(ended);
        }
        let why = format!("all tests are over, but their process ended badly: {status}");
        let output = shared.discovery.secrets.text(ended.output.clone());
        whole::failed(shared, self.group, why, output);
        results
    }

    /// Tells that a job begins, and keeps it among those that run.
    pub(super) fn begin(&mut self, job: &Arc<Job>, number: usize, pid: u32) {
        let shared = self.shared;
        let placement = self.placement(job);
        let slot = placement.slot;
        self.tell_start(Event::JobStarted {
            job: number,
            group: job.group_name(shared.plan).to_owned(),
            worker: self.slot,
            pid,
            attempt: job.attempt,
            tests: job.ids(shared.plan),
            placement,
        });
        let running = RunningJob {
            job: job.clone(),
            worker: self.slot,
            pid,
            since: Instant::now(),
            held: shared.clients.held(),
            current: if self.config().session.is_warm() {
                Current::Told(None)
            } else {
                Current::Job
            },
            slow: BTreeSet::new(),
            slot,
            makes_room: self.asked_anew(),
            helper: None,
        };
        shared.state().running.insert(number, running);
    }

    /// What becomes of a job whose worker is not ready.
    pub(super) fn unready(&mut self, job: &Job, failure: Failure) -> Ran {
        if failure.outcome == Outcome::NotRun {
            return self.short(job, failure.message);
        }
        let failed = self.all(job, failure.outcome, &failure.reason(), None);
        match failure.hook {
            // It has run once for all of the group's workers: no other can do better.
            Some(Hook::BeforeAll) => Ran::Over(failed, Vec::new()),
            Some(hook) => Ran::NoWorker(format!("{} failed", hook.key()), failed),
            None => Ran::NoWorker(failure.message, failed),
        }
    }

    /// Puts a job back that there was nothing to run with, until that has been so often enough in a row.
    pub(super) fn short(&mut self, job: &Job, why: String) -> Ran {
        self.shortages += 1;
        if self.shortages > MOST_SHORTAGES {
            return Ran::Over(self.all(job, Outcome::Errored, &why, None), Vec::new());
        }
        Ran::Nothing(why, Box::new(job.with(job.items.clone())))
    }

    /// Hands a job to the worker.
    fn run(&mut self, job: &Job, number: usize, global_slot: usize) -> io::Result<Ended> {
        let shared = self.shared;
        let planned = &shared.plan.groups[self.group];
        let group = &planned.config;
        let Some(client) = &mut self.client else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let mut values = JobValues {
            discovery: shared.discovery,
            group,
            run: &shared.options.run,
            pid: client.pid,
            slot: self.slot,
            attempt: job.attempt,
            repetition: job.repetition,
            tmp: client.tmp.join(format!("job-{}", client.jobs)),
            report: client.tmp.join(format!("{}.report", client.jobs)),
            port: self.port.as_ref().map(|port| port.number),
            workers: job.workers_of(group),
            items: &job.items,
            launch: job.items.first().and_then(|item| item.launch.as_deref()),
            granted: Some(&self.granted),
        };
        if let Some(report) = &group.runner.report {
            match report.expand(&values) {
                Ok(report) => values.report = report.into(),
                Err(unset) => return Ok(Ended::not_started(unset.to_string())),
            }
        }
        let place = Place {
            global_slot,
            workers: planned.workers,
            run: shared.options.run.clone(),
            shard: shared.options.shard(),
            capture: shared.options.capture,
        };
        let mut variables = self.variables.clone();
        let (items, launch) = (values.items, values.launch);
        // A hook runs in the group's folder, whatever its job runs in.
        (values.items, values.launch) = (&[], None);
        let before = hooks::run(
            shared,
            client,
            Hook::BeforeJob,
            &Subject {
                group,
                values: &values,
                place: &place,
                variables: &variables,
                of: None,
            },
        );
        (values.items, values.launch) = (items, launch);
        let ended = match before {
            Ok(set) => {
                variables.extend(set);
                let environment = match self.environment.take() {
                    Some(known) => Ok(known),
                    None => Environment::new(group, &values, &place),
                };
                let request = environment.and_then(|environment| {
                    let environment = self.environment.insert(environment);
                    request(group, job, &values, &place, environment, &variables)
                });
                match request {
                    Ok(request) => {
                        if request.clock == Clock::Events && job.items.len() > 1 {
                            let mut state = shared.state();
                            if let Some(running) = state.running.get_mut(&number) {
                                running.current = Current::Report(values.report.clone());
                            }
                        }
                        client.run(request)?
                    }
                    Err(unset) => Ended::not_started(unset.with_remedy()),
                }
            }
            Err(failure) => failure.into_ended(),
        };
        (values.items, values.launch) = (&[], None);
        let subject = Subject {
            group,
            values: &values,
            place: &place,
            variables: &variables,
            of: None,
        };
        // Its failure is told by its event, and by the exit code of the run. A worker that is lost by it is noticed before
        // the next job.
        if hooks::run(shared, client, Hook::AfterJob, &subject).is_err() {
            shared.hook_failed(self.group);
        }
        Ok(ended)
    }

    /// Sends the results; failed tests that have a try left are put together again.
    fn report(
        &self,
        job: &Job,
        ended: &Ended,
        output: String,
        results: Results,
    ) -> (usize, Vec<Job>) {
        let shared = self.shared;
        let group = job.group_name(shared.plan);
        for index in &results.started {
            shared.send(Event::TestStarted {
                id: full_id(group, &job.items[*index].id),
                group: group.to_owned(),
                worker: self.slot,
                attempt: job.attempt,
            });
        }
        let leaks = (ended.leaked > 0).then(|| leaks(ended.leaked));
        let (mut inside, others) = by_item(job.items.len(), results.found);
        let is_alone = job.items.len() == 1 && inside.iter().all(Vec::is_empty);
        if let (Some(leaks), false) = (&leaks, is_alone) {
            let ids = job.ids(shared.plan).join(", ");
            let message = format!("one of these {leaks}: {ids}");
            shared.send(Event::Warning { message });
        }
        let count = results.verdicts.iter().flatten().count().max(1);
        let share = share(ended.duration, count);
        let runner = &shared.plan.groups[self.group].config.runner;
        let reading = read::of_items(runner, &job.items);
        let stdout_is_report = reading.stdout_is_report;
        let mut output = read::printed(reading, output);
        let mut failed = self.others(job, others);
        let mut retry = Vec::new();
        for ((item, verdict), inside) in job.items.iter().zip(results.verdicts).zip(&mut inside) {
            let Some(mut verdict) = verdict else { continue };
            let inside = std::mem::take(inside);
            if !inside.is_empty() {
                match self.inside(job, item, &mut verdict, inside, share) {
                    Inside::Told { failures } => {
                        failed += failures;
                        if verdict.outcome.is_success() {
                            continue;
                        }
                    }
                    Inside::AsOne => {}
                    Inside::Again { failed_inside } => {
                        retry.push((
                            item.clone(),
                            self.retried(job, item, verdict, share),
                            failed_inside,
                        ));
                        continue;
                    }
                }
            }
            let mut verdict = expected(job, &ended.status, verdict);
            if let (Some(leaks), Outcome::Passed, true) = (&leaks, verdict.outcome, is_alone) {
                verdict.outcome = Outcome::Leaked;
                verdict.message = Some(leaks.clone());
            }
            let shown = if verdict.outcome == Outcome::Passed {
                // Told of failures alone, so it is copied for those alone.
                None
            } else {
                let of_job = |output: &mut String| match job.items.len() {
                    1 => std::mem::take(output),
                    _ => output.clone(),
                };
                Some(match verdict.output.take() {
                    // What went to standard error is not in the report.
                    Some(own) if stdout_is_report => self.cut(own) + &of_job(&mut output),
                    Some(own) => self.cut(own),
                    None => of_job(&mut output),
                })
            };
            verdict.message = with_notes(verdict.message, ended);
            let (finished, again) = self.conclude(job, item, verdict, shown, share);
            if again {
                retry.push((item.clone(), Box::new(finished.clone()), Vec::new()));
                shared.send(Event::TestRetried(finished));
            } else {
                failed += usize::from(finished.outcome.is_failure());
                shared.send(Event::TestFinished(finished));
            }
        }
        let mut again = Vec::new();
        for list in results.again {
            let items = list
                .into_iter()
                .map(|index| job.items[index].clone())
                .collect();
            again.push(job.with(items));
        }
        let retry = retry.into_iter();
        again.extend(
            retry.map(|(item, failed, inside)| job.again(shared.plan, item, failed, inside)),
        );
        (failed, again)
    }

    /// What becomes of a verdict: the result, and whether the test has another try.
    pub(super) fn conclude(
        &self,
        job: &Job,
        item: &Item,
        verdict: Verdict,
        output: Option<String>,
        seconds: f64,
    ) -> (TestFinished, bool) {
        let again = self.is_again(job, verdict.outcome.is_failure());
        let outcome = verdict.outcome;
        let output = output.filter(|text| outcome != Outcome::Passed && !text.is_empty());
        let mut finished = TestFinished {
            seconds: verdict.seconds.unwrap_or(seconds),
            worker: Some(self.slot),
            message: self.bounded(verdict.message),
            output,
            ..job.finished(self.shared.plan, item, outcome, String::new())
        };
        if outcome == Outcome::Passed && job.attempt > 1 {
            finished = job.flaky(finished);
        }
        if matches!(outcome, Outcome::Cancelled | Outcome::NotRun) {
            let state = self.shared.state();
            let plan = &self.shared.plan.groups[self.group];
            if state.scheduler.is_group_stopped(self.group) {
                finished.message = Some(running::why_over(plan));
            } else if let Some(reason) = state.reason {
                finished.message = Some(reason.to_string());
            }
        }
        (finished, again)
    }

    /// What reports keep of a text that a runner reported: as much as of output.
    pub(super) fn bounded(&self, text: Option<String>) -> Option<String> {
        text.map(|text| self.cut(text))
    }

    pub(super) fn cut(&self, text: String) -> String {
        let secrets = &self.shared.discovery.secrets;
        cut(text, self.config().bounds.output_limit, secrets)
    }

    /// Whether a test that has failed has another try.
    pub(super) fn is_again(&self, job: &Job, has_failed: bool) -> bool {
        if !has_failed || job.attempt > job.settings.retries {
            return false;
        }
        let scheduler = &self.shared.state().scheduler;
        !scheduler.is_stopped() && !scheduler.is_group_stopped(self.group)
    }

    /// Ends all tests of a job alike. Returns how many of them count as failed.
    pub(super) fn all(
        &self,
        job: &Job,
        outcome: Outcome,
        why: &str,
        output: Option<&String>,
    ) -> usize {
        for item in &job.items {
            let finished = TestFinished {
                output: output.cloned(),
                ..job.finished(self.shared.plan, item, outcome, why.to_owned())
            };
            self.shared.send(Event::TestFinished(finished));
        }
        if outcome.is_failure() {
            job.items.len()
        } else {
            0
        }
    }
}

/// A text without its middle, if it is longer than `limit`.
fn cut(text: String, limit: u64, secrets: &Secrets) -> String {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    if text.len() <= limit {
        return text;
    }
    let bytes = text.into_bytes();
    let (head, tail) = (&bytes[..limit / 2], &bytes[bytes.len() - limit / 2..]);
    let output = Output {
        head: head.to_vec(),
        tail: tail.to_vec(),
        total: bytes.len() as u64,
    };
    secrets.text(output)
}

/// What was left behind, in words.
pub(super) fn leaks(count: u32) -> String {
    let noun = if count == 1 { "process" } else { "processes" };
    format!("left {count} {noun} running, ended now")
}

/// A reason, and what a person should know of the job besides.
fn with_notes(message: Option<String>, ended: &Ended) -> Option<String> {
    let kept = ended
        .kept
        .as_ref()
        .map(|path| format!("its temporary folder is kept: {}", path.to_string_lossy()));
    let notes: Vec<String> = message
        .into_iter()
        .chain(kept)
        .chain(ended.trouble.clone())
        .collect();
    (!notes.is_empty()).then(|| notes.join("\n"))
}

/// What a failure becomes that was expected.
pub(super) fn expected(job: &Job, status: &Status, mut verdict: Verdict) -> Verdict {
    let Some(expect) = job.settings.expect else {
        return verdict;
    };
    let as_expected = match (expect, status) {
        (Expect::Fail, _) => matches!(verdict.outcome, Outcome::Failed | Outcome::Crashed),
        (Expect::Exit(code), Status::Exit(exit)) => {
            *exit == i32::from(code) && verdict.outcome != Outcome::TimedOut
        }
        (Expect::Exit(_), _) => false,
    };
    if as_expected {
        verdict.outcome = Outcome::Xfailed;
    } else if verdict.outcome == Outcome::Passed {
        verdict.outcome = Outcome::Xpassed;
        verdict.message = Some("passed, though it was expected to fail".to_owned());
    }
    verdict
}

pub(super) fn job_outcome(ended: &Ended) -> Outcome {
    match &ended.status {
        _ if ended.cause == Cause::Stop => Outcome::Cancelled,
        _ if ended.cause == Cause::Timeout => Outcome::TimedOut,
        _ if matches!(ended.cause, Cause::Memory | Cause::Starved) => Outcome::Oom,
        Status::Exit(0) => Outcome::Passed,
        Status::Exit(_) => Outcome::Failed,
        Status::Signal(_) => Outcome::Crashed,
        Status::NotStarted(_) => Outcome::Errored,
    }
}
