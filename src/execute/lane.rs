//! A lane: one of a group's parallel workers, from the first job that it gets to the last.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use super::command::{Place, request};
use super::hooks::{self, Failure, Subject, Variables};
use super::job::Job;
use super::port::Port;
use super::values::JobValues;
use super::{Reason, RunningJob, Shared};
use crate::event::{Event, TestFinished};
use crate::manifest::config::{GroupConfig, Hook};
use crate::manifest::model::Expect;
use crate::manifest::template::Name;
use crate::outcome::Outcome;
use crate::plan::full_id;
use crate::runner::read::{self, Results, Verdict};
use crate::schedule::Next;
use crate::worker::client::Client;
use crate::worker::frame::{Cause, Ended, Status};

/// Runs jobs until there are no more for the group.
pub fn lane(shared: &Shared<'_>, group: usize, slot: usize) {
    let mut worker = Lane {
        shared,
        group,
        slot,
        client: None,
        port: None,
        variables: Variables::new(),
        owed: Vec::new(),
        shortages: 0,
    };
    while let Some((number, global_slot)) = worker.next() {
        let mut state = shared.state();
        let job = state.jobs[number].clone();
        state.started += 1;
        let started = state.started;
        drop(state);
        let ran = catch_unwind(AssertUnwindSafe(|| worker.job(&job, started, global_slot)));
        let ran = ran.unwrap_or_else(|_| {
            worker.lose();
            let why = "orchestrate itself failed while it ran the test: please report this";
            Ran::Over(worker.all(&job, Outcome::Errored, why, None), Vec::new())
        });
        match ran {
            Ran::Over(failed, again) => worker.finish(failed, again, global_slot),
            Ran::Nothing(why, job) => {
                let is_last = worker.retires(&why);
                worker.finish(0, vec![job], global_slot);
                if !is_last {
                    break;
                }
                thread::sleep(SHORTAGE_PAUSE);
            }
            Ran::NoWorker(failed) => {
                worker.finish(failed, Vec::new(), global_slot);
                if !worker.retires("before-worker failed") {
                    break;
                }
            }
        }
    }
    worker.close();
}

struct Lane<'l, 'a> {
    shared: &'l Shared<'a>,
    group: usize,
    slot: usize,
    client: Option<Client>,
    port: Option<Port>,
    /// What hooks have set for the group and this worker.
    variables: Variables,
    /// Workers whose `after-worker` is still to run, by process id, with their variables.
    owed: Vec<(u32, Variables)>,
    /// How often in a row there was nothing to run a job with.
    shortages: u32,
}

/// What became of a job.
enum Ran {
    /// So many tests failed for good, and these jobs are to run in its place.
    Over(usize, Vec<Job>),
    /// There was nothing to run it with: why, and the job.
    Nothing(String, Job),
    /// Its tests have failed since this worker could not be made ready.
    NoWorker(usize),
}

/// How long the last lane of a group waits when there are no processes, descriptors or memory.
const SHORTAGE_PAUSE: Duration = Duration::from_millis(100);
/// How often in a row that may be; then what is left is errored.
const MOST_SHORTAGES: u32 = 100;

impl<'l> Lane<'l, '_> {
    /// The next job, and its slot among all that run; none when there will be no more for the group.
    fn next(&self) -> Option<(usize, usize)> {
        let shared = self.shared;
        let mut state = shared.state();
        loop {
            match state.scheduler.next(self.group) {
                Next::Run(number, global_slot) => return Some((number, global_slot)),
                Next::Done => {
                    // Another lane may wait for what only this one's look has settled.
                    shared.wake(state);
                    return None;
                }
                Next::Wait => {
                    state.waiting += 1;
                    state = shared
                        .changed
                        .wait(state)
                        .unwrap_or_else(std::sync::PoisonError::into_inner);
                    state.waiting -= 1;
                }
            }
        }
    }

    /// Leaves the group's jobs to its other lanes, if there are any. Returns whether this is the last.
    fn retires(&self, why: &str) -> bool {
        let mut state = self.shared.state();
        let lanes = &mut state.lanes[self.group];
        if *lanes == 1 {
            return true;
        }
        *lanes -= 1;
        let left = *lanes;
        drop(state);
        let name = &self.shared.plan.groups[self.group].config.name;
        self.shared.send(Event::Warning {
            message: format!("group {name}: {why}; going on with {left} of its workers"),
        });
        false
    }

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
        self.shared.wake(state);
        if stop {
            self.shared.stop(Reason::MaxFail);
        }
    }

    fn config(&self) -> &'l GroupConfig {
        &self.shared.plan.groups[self.group].config
    }

    /// Makes sure that there is a worker whose hooks have run.
    fn ready(&mut self, global_slot: usize) -> Result<(), Failure> {
        let of_group = self.shared.groups[self.group].ready(self.shared, self.group)?;
        if self
            .client
            .as_ref()
            .is_some_and(|client| !client.is_alive())
        {
            self.lose();
        }
        if self.client.is_some() {
            return Ok(());
        }
        self.client = Some(Client::start(&self.shared.clients)?);
        self.make_up(global_slot);
        self.variables = of_group;
        if self.port.is_none() && names_port(self.config()) {
            self.port = Some(Port::lease()?);
        }
        let set = self.hook(Hook::BeforeWorker, global_slot, None);
        match set {
            Ok(set) => {
                self.variables.extend(set);
                Ok(())
            }
            Err(failure) => {
                // It has started, so what it did is taken back.
                let _ = self.hook(Hook::AfterWorker, global_slot, None);
                self.client = None;
                Err(failure)
            }
        }
    }

    /// Runs a hook of this worker, or of another one in its place.
    fn hook(
        &mut self,
        hook: Hook,
        global_slot: usize,
        instead: Option<&(u32, Variables)>,
    ) -> Result<Variables, Failure> {
        let shared = self.shared;
        let group = self.config();
        let Some(client) = &mut self.client else {
            return Ok(Variables::new());
        };
        let (pid, variables) =
            instead.map_or((client.pid, &self.variables), |(pid, set)| (*pid, set));
        let values = JobValues {
            discovery: shared.discovery,
            group,
            run: &shared.options.run,
            pid,
            slot: self.slot,
            attempt: 1,
            tmp: client.tmp.join("worker"),
            report: PathBuf::new(),
            port: self.port.as_ref().map(|port| port.number),
            items: &[],
            launch: None,
        };
        let place = Place {
            global_slot,
            workers: shared.plan.groups[self.group].workers,
            run: shared.options.run.clone(),
            capture: true,
        };
        let subject = Subject {
            group,
            values: &values,
            place: &place,
            variables,
            of: None,
        };
        hooks::run(shared, client, hook, &subject)
    }

    /// Runs the hooks that killed workers could not.
    fn make_up(&mut self, global_slot: usize) {
        for lost in std::mem::take(&mut self.owed) {
            let _ = self.hook(Hook::AfterWorker, global_slot, Some(&lost));
        }
    }

    /// The worker is gone, and everything below it; the next job gets a new one.
    fn lose(&mut self) {
        if let Some(client) = self.client.take()
            && !self.config().hooks.of(Hook::AfterWorker).is_empty()
        {
            self.owed
                .push((client.pid, std::mem::take(&mut self.variables)));
        }
    }

    /// The worker's end.
    fn close(mut self) {
        if self.client.is_some() {
            let result = self.hook(Hook::AfterWorker, 0, None);
            if result.is_err_and(|failure| failure.outcome == Outcome::Crashed) {
                self.lose();
            }
        }
        if !self.owed.is_empty() {
            if self.client.is_none() {
                self.client = Client::start(&self.shared.clients).ok();
            }
            self.make_up(0);
        }
    }

    fn job(&mut self, job: &Job, number: usize, global_slot: usize) -> Ran {
        let shared = self.shared;
        if let Err(failure) = self.ready(global_slot) {
            return self.unready(job, failure);
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
        let running = RunningJob {
            group: job.group_name(shared.plan).to_owned(),
            worker: self.slot,
            pid,
            since: Instant::now(),
            tests: job.ids(shared.plan),
        };
        shared.state().running.insert(number, running);
        let ended = self.run(job, global_slot);
        shared.state().running.remove(&number);
        let ended = match ended {
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
        } else {
            self.shortages = 0;
            let runner = &self.config().runner;
            let results = read::judge(
                runner,
                &shared.discovery.root,
                &job.items,
                job.settings.timeout,
                &ended,
            );
            let (failed, again) = self.report(job, &ended, results);
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

    /// What becomes of a job whose worker is not ready.
    fn unready(&mut self, job: &Job, failure: Failure) -> Ran {
        if failure.outcome == Outcome::NotRun {
            return self.short(job, failure.message);
        }
        let output = Some(&failure.output).filter(|output| !output.is_empty());
        Ran::NoWorker(self.all(job, failure.outcome, &failure.message, output))
    }

    /// Puts a job back that there was nothing to run with, until that has been so often enough in a row.
    fn short(&mut self, job: &Job, why: String) -> Ran {
        self.shortages += 1;
        if self.shortages > MOST_SHORTAGES {
            return Ran::Over(self.all(job, Outcome::Errored, &why, None), Vec::new());
        }
        Ran::Nothing(why, job.clone())
    }

    /// Hands a job to the worker.
    fn run(&mut self, job: &Job, global_slot: usize) -> io::Result<Ended> {
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
            tmp: client.tmp.join(format!("job-{}", client.jobs)),
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
        let mut variables = self.variables.clone();
        let (items, launch) = (values.items, values.launch);
        // A hook runs in the root, whatever its job runs in.
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
                match request(group, job, &values, &place, &variables) {
                    Ok(request) => client.run(request)?,
                    Err(unset) => Ended::not_started(format!(
                        "{unset}: set the variable, or give it a default with <env:NAME|default>"
                    )),
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
        let _ = hooks::run(shared, client, Hook::AfterJob, &subject);
        Ok(ended)
    }

    /// Sends the results; failed tests that have a try left are put together again.
    fn report(&self, job: &Job, ended: &Ended, results: Results) -> (usize, Vec<Job>) {
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
                message: with_notes(verdict.message, ended),
                output: shown.filter(|text| !text.is_empty()),
            };
            if again && !shared.state().scheduler.is_stopped() {
                retry.push((item.clone(), Box::new(finished.clone())));
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
        again.extend(retry.into_iter().map(|(item, failed)| Job {
            failed: Some(failed),
            ..job.with(vec![item], job.attempt + 1)
        }));
        (failed, again)
    }

    /// Ends all tests of a job alike. Returns how many of them count as failed.
    fn all(&self, job: &Job, outcome: Outcome, why: &str, output: Option<&String>) -> usize {
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

/// Whether a group's jobs or hooks name a port.
fn names_port(group: &GroupConfig) -> bool {
    let is_port = |name: &Name| *name == Name::Port;
    let mut values = group.env.iter().chain(&group.resources);
    let mut hooks = Hook::ALL.iter().flat_map(|hook| group.hooks.of(*hook));
    values.any(|(_, template)| template.names().any(is_port))
        || group.runner.run.names().any(is_port)
        || hooks.any(|command| command.names().any(is_port))
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
