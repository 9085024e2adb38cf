//! A lane: one of a group's parallel workers, from the first job that it gets to the last, with its hooks.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use super::command::Place;
use super::environment::Environment;
use super::granted::{self, Granted};
use super::hooks::{self, Failure, Subject};
use super::job::Job;
use super::port::Port;
use super::session::Sitting;
use super::values::{JobValues, Variables};
use super::{Reason, Shared};
use crate::event::{Event, Placement, Wait};
use crate::manifest::config::{GroupConfig, Hook};
use crate::manifest::template::Name;
use crate::outcome::Outcome;
use crate::runner::session::Session;
use crate::schedule::{Next, Start};
use crate::worker::client::Client;
use crate::worker::frame::Home;

/// Runs jobs until there are no more for the group.
pub fn lane(shared: &Shared<'_>, group: usize, slot: usize) {
    let mut worker = Lane {
        shared,
        group,
        slot,
        client: None,
        port: None,
        variables: Variables::new(),
        environment: None,
        is_new: true,
        owed: Vec::new(),
        shortages: 0,
        sitting: None,
        own_session: None,
        sittings: 0,
        handed: Handed::default(),
        granted: Granted::new(),
        begun: None,
        makes_room: Arc::default(),
    };
    while let Some(start) = worker.next() {
        let (number, global_slot) = (start.job, start.slot);
        worker.granted = granted::granted(worker.config(), &start.granted);
        let mut state = shared.state();
        let job = Job::in_round(&state.jobs[number], start.round);
        state.started += 1;
        let started = state.started;
        drop(state);
        let run = || {
            if worker.config().session.is_warm() {
                worker.warm_job(&job, started, global_slot)
            } else {
                worker.job(&job, started, global_slot)
            }
        };
        let ran = catch_unwind(AssertUnwindSafe(run));
        let ran = ran.unwrap_or_else(|_| {
            worker.lose();
            let why = "orchestrate itself failed while it ran the test: please report this";
            Ran::Over(worker.all(&job, Outcome::Errored, why, None), Vec::new())
        });
        match ran {
            Ran::Over(failed, again) => worker.finish(failed, again, started, global_slot),
            Ran::Nothing(why, job) => {
                let is_last = worker.retires(&why);
                worker.finish(0, vec![*job], started, global_slot);
                if !is_last {
                    break;
                }
                thread::sleep(SHORTAGE_PAUSE);
            }
            Ran::NoWorker(why, failed) => {
                worker.finish(failed, Vec::new(), started, global_slot);
                if !worker.retires(&why) {
                    break;
                }
            }
        }
    }
    worker.close();
}

pub(super) struct Lane<'l, 'a> {
    pub(super) shared: &'l Shared<'a>,
    pub(super) group: usize,
    pub(super) slot: usize,
    pub(super) client: Option<Client>,
    pub(super) port: Option<Port>,
    /// What hooks have set for the group and this worker.
    pub(super) variables: Variables,
    /// What its jobs find in their environment.
    pub(super) environment: Option<Environment<'a>>,
    /// Whether no job of this worker was told of yet.
    is_new: bool,
    /// Workers whose `after-worker` is still to run, by process id, with their variables.
    pub(super) owed: Vec<(u32, Variables)>,
    /// How often in a row there was nothing to run a job with.
    pub(super) shortages: u32,
    /// The fork that runs this lane's tests, where its group is warm.
    pub(super) sitting: Option<Sitting>,
    /// The session of this worker alone.
    pub(super) own_session: Option<Arc<Session>>,
    /// How many forks it had.
    pub(super) sittings: usize,
    handed: Handed,
    /// What the job that it runs has of pools.
    pub(super) granted: Granted,
    /// When that began.
    pub(super) begun: Option<Instant>,
    /// Whether it was asked to end, so that others have its memory.
    pub(super) makes_room: Arc<AtomicBool>,
}

/// How the job that a lane has came to it.
#[derive(Default)]
struct Handed {
    /// When it was handed out.
    at: Option<Instant>,
    chunk: usize,
    slot: usize,
    waited: Vec<Wait>,
}

/// What became of a job.
pub(super) enum Ran {
    /// So many tests failed for good, and these jobs are to run in its place.
    Over(usize, Vec<Job>),
    /// There was nothing to run it with: why, and the job.
    Nothing(String, Box<Job>),
    /// This worker could not be made ready: why, and how many tests have failed by that.
    NoWorker(String, usize),
}

/// How long the last lane of a group waits when there are no processes, descriptors or memory.
const SHORTAGE_PAUSE: Duration = Duration::from_millis(100);

impl<'l> Lane<'l, '_> {
    /// The next job; none when there will be no more for the group.
    fn next(&mut self) -> Option<Start> {
        let shared = self.shared;
        let mut waited = Vec::new();
        let mut state = shared.state();
        loop {
            if state.scheduler.next_due().is_some() {
                state.scheduler.pass_to(shared.begun.elapsed());
            }
            let next = state.scheduler.next(self.group);
            shared.tell_rounds(&mut state);
            match next {
                Next::Run(start) => {
                    shared.begin_group(self.group, &mut state.begun);
                    self.handed = Handed {
                        at: Some(Instant::now()),
                        chunk: start.job,
                        slot: start.slot,
                        waited,
                    };
                    return Some(start);
                }
                Next::Done => {
                    // Another lane may wait for what only this one's look has settled.
                    shared.wake(state);
                    return None;
                }
                Next::Wait => {
                    let due = state.scheduler.next_due();
                    let until_due = due.map(|due| due.saturating_sub(shared.begun.elapsed()));
                    let why = state.scheduler.waits(self.group);
                    let since = Instant::now();
                    state.waiting += 1;
                    state = shared.wait(state, until_due);
                    state.waiting -= 1;
                    let group = why
                        .group
                        .map(|group| &shared.plan.groups[group].config.name);
                    let wait = Wait {
                        what: why.what,
                        name: why.name.or(group.map(ToString::to_string)),
                        seconds: since.elapsed().as_secs_f64(),
                    };
                    wait.add(&mut waited);
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

    /// The place of the job that it has.
    pub(super) fn placement(&mut self, job: &Job) -> Placement {
        let handed = std::mem::take(&mut self.handed);
        let ready = handed.at.map_or(Duration::ZERO, |at| at.elapsed());
        Placement {
            chunk: handed.chunk,
            of: job.of,
            delay: job.wait.as_secs_f64(),
            slot: handed.slot,
            predicted: job.predicted,
            ready: ready.as_secs_f64(),
            waited: handed.waited,
            claims: job.spec(0, Duration::ZERO),
            granted: granted::told(&self.granted),
        }
    }

    /// A job is over that was the `started`th to start; `again` run in its place.
    fn finish(&self, failed: usize, again: Vec<Job>, started: usize, global_slot: usize) {
        let mut state = self.shared.state();
        let mut specs = Vec::new();
        let now = self.shared.begun.elapsed();
        for mut job in again {
            job.of = Some(started);
            specs.push(job.spec(state.jobs.len(), now));
            state.jobs.push(Arc::new(job));
        }
        state.failures += failed;
        if failed > 0 && self.shared.options.repeat.until_fail {
            state.scheduler.last_round();
        }
        state.scheduler.finished(global_slot, failed > 0, &specs);
        self.shared.tell_rounds(&mut state);
        let max_fail = self.shared.options.max_fail;
        let max_fail = max_fail.filter(|(most, _)| state.failures >= *most);
        let is_stopped = state.scheduler.is_stopped();
        self.shared.wake(state);
        if let (Some((most, stop)), false) = (max_fail, is_stopped) {
            self.shared.stop(Reason::MaxFail(most, stop));
        }
    }

    /// Tells that a job starts: a worker's first at once, since from then on its hooks are owed should we be killed.
    pub(super) fn tell_start(&mut self, event: Event) {
        if std::mem::take(&mut self.is_new) {
            self.shared.events.send_now(event);
        } else {
            self.shared.send(event);
        }
    }

    pub(super) fn config(&self) -> &'l GroupConfig {
        &self.shared.plan.groups[self.group].config
    }

    /// Where a worker of this lane lives.
    fn home(&self) -> Home {
        self.shared.discovery.confinement(self.config()).home()
    }

    /// Where the session of this lane lives: its hooks and its tests are in one place.
    pub(super) fn home_of_session(&self) -> Home {
        match &self.client {
            Some(client) => client.home(),
            None => self.home(),
        }
    }

    /// Makes sure that there is a worker whose hooks have run.
    pub(super) fn ready(&mut self, global_slot: usize) -> Result<(), Failure> {
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
        if self.is_light() {
            self.variables = of_group;
            return Ok(());
        }
        self.client = Some(Client::start(&self.shared.clients, &self.home())?);
        self.client
            .iter()
            .for_each(|client| client.serves(self.group));
        self.environment = None;
        self.is_new = true;
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
            repetition: 1,
            tmp: client.tmp.join("worker"),
            report: PathBuf::new(),
            port: self.port.as_ref().map(|port| port.number),
            workers: 1,
            items: &[],
            launch: None,
            granted: None,
        };
        let place = Place {
            global_slot,
            workers: shared.plan.groups[self.group].workers,
            run: shared.options.run.clone(),
            shard: shared.options.shard(),
            capture: true,
        };
        let subject = Subject {
            group,
            values: &values,
            place: &place,
            variables,
            of: None,
        };
        let result = hooks::run(shared, client, hook, &subject);
        // Where its worker was lost, it runs again in another.
        let is_failed = |failure: &Failure| failure.outcome != Outcome::Crashed;
        if hook.takes_back() && result.as_ref().is_err_and(is_failed) {
            shared.hook_failed(self.group);
        }
        result
    }

    /// Runs the hooks that killed workers could not.
    fn make_up(&mut self, global_slot: usize) {
        for lost in std::mem::take(&mut self.owed) {
            let _ = self.hook(Hook::AfterWorker, global_slot, Some(&lost));
        }
    }

    /// The worker is gone, and everything below it; the next job gets a new one.
    pub(super) fn lose(&mut self) {
        // Its session was told of it.
        self.sitting = None;
        self.own_session = None;
        if let Some(client) = self.client.take()
            && !self.config().hooks.of(Hook::AfterWorker).is_empty()
        {
            self.owed
                .push((client.pid, std::mem::take(&mut self.variables)));
        }
    }

    /// The worker's end.
    fn close(mut self) {
        self.close_session();
        if self.client.is_some() {
            let result = self.hook(Hook::AfterWorker, 0, None);
            if result.is_err_and(|failure| failure.outcome == Outcome::Crashed) {
                self.lose();
            }
        }
        if !self.owed.is_empty() {
            if self.client.is_none() {
                self.client = Client::start(&self.shared.clients, &self.home()).ok();
            }
            self.make_up(0);
        }
    }
}

/// Whether what a group runs names a port.
pub(super) fn names_port(group: &GroupConfig) -> bool {
    let is_port = |name: &Name| *name == Name::Port;
    let mut values = group.env.iter().chain(&group.resources);
    let hooks = Hook::ALL.iter().flat_map(|hook| group.hooks.of(*hook));
    let mut commands = hooks.chain(group.on_timeouts());
    values.any(|(_, template)| template.names().any(is_port))
        || group.runner.run.names().any(is_port)
        || commands.any(|command| command.names().any(is_port))
}
