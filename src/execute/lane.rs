//! A lane: one of a group's parallel workers, from the first job that it gets to the last.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::client::Client;
use super::command::{Place, request};
use super::job::Job;
use super::port::Port;
use super::values::JobValues;
use super::{Reason, Shared};
use crate::event::{Event, TestFinished};
use crate::manifest::model::Expect;
use crate::manifest::template::Name;
use crate::outcome::Outcome;
use crate::plan::full_id;
use crate::runner::read::{self, Results, Verdict};
use crate::schedule::Next;
use crate::worker::frame::{Cause, Ended, Status};

/// Runs jobs until there are no more for the group.
pub fn lane(shared: &Shared<'_>, group: usize, slot: usize) {
    let mut worker = Lane {
        shared,
        group,
        slot,
        client: None,
        port: None,
    };
    loop {
        let mut state = shared.state();
        let (number, global_slot) = loop {
            match state.scheduler.next(group) {
                Next::Run(number, global_slot) => break (number, global_slot),
                Next::Done => {
                    drop(state);
                    // Another lane may wait for what only this one's look has settled.
                    shared.changed.notify_all();
                    return;
                }
                Next::Wait => {
                    state = shared
                        .changed
                        .wait(state)
                        .unwrap_or_else(std::sync::PoisonError::into_inner);
                }
            }
        };
        let job = state.jobs[number].clone();
        state.started += 1;
        let started = state.started;
        drop(state);
        let ran = catch_unwind(AssertUnwindSafe(|| worker.job(&job, started, global_slot)));
        let (failed, again) = ran.unwrap_or_else(|_| {
            worker.client = None;
            let why = "orchestrate itself failed while it ran the test: please report this";
            (worker.all_errored(&job, why), Vec::new())
        });
        worker.finish(failed, again, global_slot);
    }
}

struct Lane<'a> {
    shared: &'a Shared<'a>,
    group: usize,
    slot: usize,
    client: Option<Client<'a>>,
    port: Option<Port>,
}

/// How many tests failed for good, and what runs again.
type Outcomes = (usize, Vec<Job>);

impl Lane<'_> {
    fn finish(&self, failed: usize, again: Vec<Job>, global_slot: usize) {
        let mut state = self.shared.state();
        let mut specs = Vec::new();
        for job in again {
            specs.push(job.spec(state.jobs.len()));
            state.jobs.push(job);
        }
        state.failures += failed;
        state.scheduler.finished(global_slot, failed > 0, specs);
        let most = self.shared.options.max_fail;
        let stop = most.is_some_and(|most| state.failures >= most) && !state.scheduler.is_stopped();
        drop(state);
        if stop {
            self.shared.stop(Reason::MaxFail);
        }
        self.shared.changed.notify_all();
    }

    fn job(&mut self, job: &Job, number: usize, global_slot: usize) -> Outcomes {
        let shared = self.shared;
        if self.client.is_none() {
            match Client::start(&shared.clients) {
                Ok(client) => self.client = Some(client),
                Err(error) => {
                    let why = format!("can't start a worker: {error}");
                    return (self.all_errored(job, &why), Vec::new());
                }
            }
        }
        let pid = self.client.as_ref().map_or(0, |client| client.pid);
        shared.send(Event::JobStarted {
            job: number,
            group: job.group_name(shared.plan).to_owned(),
            worker: self.slot,
            pid,
            attempt: job.attempt,
            tests: job.ids(shared.plan),
        });
        let ended = self.run(job, global_slot).unwrap_or_else(|error| {
            // The worker is gone, and everything below it; the next job gets a new one.
            self.client = None;
            Ended::not_started(format!("its worker ended: {error}"))
        });
        let group = &shared.plan.groups[self.group].config;
        let results = read::judge(
            &group.runner,
            &shared.discovery.root,
            &job.items,
            job.settings.timeout,
            &ended,
        );
        let outcomes = self.report(job, &ended, results);
        shared.send(Event::JobFinished {
            job: number,
            outcome: job_outcome(&ended),
            seconds: ended.duration.as_secs_f64(),
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

    /// Hands a job to the worker.
    fn run(&mut self, job: &Job, global_slot: usize) -> io::Result<Ended> {
        let shared = self.shared;
        let planned = &shared.plan.groups[self.group];
        let group = &planned.config;
        let names_port = |name: &Name| *name == Name::Port;
        let env = group
            .env
            .iter()
            .chain(&group.resources)
            .map(|(_, template)| template);
        if self.port.is_none()
            && (env
                .flat_map(super::super::manifest::template::Template::names)
                .any(names_port)
                || group.runner.run.names().any(names_port))
        {
            self.port = Some(Port::lease()?);
        }
        let Some(client) = &mut self.client else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let values = JobValues {
            discovery: shared.discovery,
            group,
            pid: client.pid,
            slot: self.slot,
            attempt: job.attempt,
            tmp: client.tmp.join(client.jobs.to_string()),
            report: client.tmp.join(format!("{}.report", client.jobs)),
            port: self.port.as_ref().map(|port| port.number),
            items: &job.items,
            launch: job.items.first().and_then(|item| item.launch.as_deref()),
        };
        let place = Place {
            global_slot,
            workers: planned.workers,
            run: shared.options.run.clone(),
            capture: shared.options.capture,
        };
        match request(group, job, &values, &place) {
            Ok(request) => client.run(request),
            Err(unset) => Ok(Ended::not_started(format!(
                "{unset}: set the variable, or give it a default with <env:NAME|default>"
            ))),
        }
    }

    /// Sends the results; failed tests that have a try left are put together again.
    fn report(&self, job: &Job, ended: &Ended, results: Results) -> Outcomes {
        let shared = self.shared;
        let group = job.group_name(shared.plan);
        for warning in results.warnings {
            let message = format!("{group}: {warning}");
            shared.send(Event::Warning { message });
        }
        for index in &results.started {
            shared.send(Event::TestStarted {
                id: full_id(group, &job.items[*index].id),
                group: group.to_owned(),
                worker: self.slot,
                attempt: job.attempt,
            });
        }
        let leaks = (ended.leaked > 0).then(|| {
            let noun = if ended.leaked == 1 {
                "process"
            } else {
                "processes"
            };
            format!("left {} {noun} running, ended now", ended.leaked)
        });
        if let (Some(leaks), true) = (&leaks, job.items.len() > 1) {
            let ids = job.ids(shared.plan).join(", ");
            let message = format!("one of these {leaks}: {ids}");
            shared.send(Event::Warning { message });
        }
        let count = results.verdicts.iter().flatten().count().max(1);
        #[expect(clippy::cast_precision_loss, reason = "a chunk has few items")]
        let share = ended.duration.as_secs_f64() / count as f64;
        let runner = &shared.plan.groups[self.group].config.runner;
        let output = read::printed(runner, &ended.output.text());
        let mut failed = 0;
        let mut retry = Vec::new();
        for (item, verdict) in job.items.iter().zip(results.verdicts) {
            let Some(verdict) = verdict else { continue };
            let mut verdict = expected(job, &ended.status, verdict);
            if let (Some(leaks), Outcome::Passed, 1) = (&leaks, verdict.outcome, job.items.len()) {
                verdict.outcome = Outcome::Leaked;
                verdict.message = Some(leaks.clone());
            }
            let again = verdict.outcome.is_failure() && job.attempt <= job.settings.retries;
            let outcome = if verdict.outcome == Outcome::Passed && job.attempt > 1 {
                Outcome::Flaky
            } else {
                verdict.outcome
            };
            let shown = if outcome == Outcome::Passed {
                None
            } else {
                Some(verdict.output.unwrap_or_else(|| output.clone()))
            };
            let finished = TestFinished {
                id: full_id(group, &item.id),
                group: group.to_owned(),
                outcome,
                seconds: verdict.seconds.unwrap_or(share),
                attempt: job.attempt,
                worker: Some(self.slot),
                file: item.file.clone(),
                line: item.line,
                message: verdict.message,
                output: shown.filter(|text| !text.is_empty()),
            };
            if again && !shared.state().scheduler.is_stopped() {
                retry.push(item.clone());
                shared.send(Event::TestRetried(finished));
            } else {
                failed += usize::from(outcome.is_failure());
                shared.send(Event::TestFinished(finished));
            }
        }
        let mut again = Vec::new();
        for list in results.again {
            let items = list
                .into_iter()
                .map(|index| job.items[index].clone())
                .collect();
            again.push(job.with(items, job.attempt));
        }
        // Each alone: what failed together may have failed of it.
        again.extend(
            retry
                .into_iter()
                .map(|item| job.with(vec![item], job.attempt + 1)),
        );
        (failed, again)
    }

    fn all_errored(&self, job: &Job, why: &str) -> usize {
        for item in &job.items {
            let finished = job.finished(self.shared.plan, item, Outcome::Errored, why.to_owned());
            self.shared.send(Event::TestFinished(finished));
        }
        job.items.len()
    }
}

/// What a failure becomes that was expected.
fn expected(job: &Job, status: &Status, mut verdict: Verdict) -> Verdict {
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

fn job_outcome(ended: &Ended) -> Outcome {
    match &ended.status {
        _ if ended.cause == Cause::Stop => Outcome::Cancelled,
        _ if ended.cause == Cause::Timeout => Outcome::TimedOut,
        _ if ended.cause == Cause::Memory => Outcome::Oom,
        Status::Exit(0) => Outcome::Passed,
        Status::Exit(_) => Outcome::Failed,
        Status::Signal(_) => Outcome::Crashed,
        Status::NotStarted(_) => Outcome::Errored,
    }
}
