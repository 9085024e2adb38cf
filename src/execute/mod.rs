//! Execution: from a plan to events.
//!
//! Each group has a rayon pool of as many lanes as it has workers, and `ThreadPool::broadcast` runs [`lane`] on all of them:
//! a lane asks the one shared scheduler for a job, runs it in its own worker process, and tells what became of it. One job a
//! worker at a time; a panic becomes a result. Nothing here judges tests: `runner::read` does.

mod attempt;
mod command;
mod environment;
mod found;
mod granted;
mod group;
mod hooks;
mod job;
mod lane;
mod on_timeout;
mod owed;
mod port;
mod probe;
mod relief;
mod rounds;
mod running;
mod session;
mod stop;
mod values;
mod whole;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::sync::mpsc;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rayon::ThreadPoolBuilder;
use rustix::process::{Signal, getpid, kill_process};

use crate::event::{Event, GroupStarted, ShardStarted};
use crate::machine;
use crate::manifest::config::{GroupConfig, Hook};
use crate::manifest::model::StopAt;
use crate::outcome::Outcome;
use crate::pending::PendingVariables;
use crate::plan::shard::{Part, Shard};
use crate::plan::{GroupPlan, Plan};
use crate::report::Sender;
use crate::runner::{Discovery, parts};
use crate::schedule::Scheduler;
use crate::secrets::SHORTEST;
use crate::worker::client::Clients;
use crate::worker::inherited;
use crate::worker::{adopt_orphans, kill_strays};
use group::GroupHooks;
use job::Job;
use relief::Seen;
use running::{Begun, RunningJob};

pub use owed::{Owed, owed};
pub use probe::probe;
pub use relief::Reserve;
pub use rounds::Repeat;
pub use stop::{Order, Reason, Stop};

/// How a run is executed.
#[derive(Clone, Debug)]
pub struct Options {
    /// The run's id.
    pub run: String,
    /// Stop after this many failed tests, and how.
    pub max_fail: Option<(usize, StopAt)>,
    /// How often each test runs.
    pub repeat: Repeat,
    /// When the whole run must be over, and how long it may take.
    pub deadline: Option<(Instant, Duration)>,
    /// Whether output is captured.
    pub capture: bool,
    /// How long listing and planning took.
    pub prepared: Duration,
    /// What runs that were killed owe, with the groups as they are now.
    pub owed: Vec<(Owed, GroupConfig)>,
    /// Where variables are kept that a cleanup by another run would need.
    pub pending: Arc<PendingVariables>,
    /// The full ids of the tests that were listed and not selected.
    pub unselected: Vec<String>,
    /// What the run is of a whole that several machines share.
    pub part: Option<Part>,
    /// What says that the run goes on, for as long as somebody has it open: its workers have it too.
    pub hold: Option<Arc<OwnedFd>>,
    /// The memory that is to stay free.
    pub reserve: Reserve,
}

impl Options {
    /// Which shard this is, if it is one.
    fn shard(&self) -> Option<Shard> {
        self.part.as_ref().map(|part| part.shard)
    }
}

/// What all lanes share.
struct Shared<'a> {
    plan: &'a Plan,
    options: &'a Options,
    /// The scheduler's time is counted from here.
    begun: Instant,
    discovery: &'a Discovery,
    events: &'a Sender,
    state: Mutex<State>,
    changed: Condvar,
    clients: Arc<Clients>,
    groups: Vec<GroupHooks>,
    /// Held while a fork of a group's shared session is asked for, so that the last one is asked for last.
    forking: Vec<Mutex<()>>,
    /// See [`Shared::is_listed`].
    listed: OnceLock<HashSet<String>>,
}

struct State {
    /// By the number of their start.
    running: BTreeMap<usize, RunningJob>,
    scheduler: Scheduler,
    /// Every job by its number in the scheduler.
    jobs: Vec<Arc<Job>>,
    /// How many jobs were started.
    started: usize,
    failures: usize,
    reason: Option<Reason>,
    /// The last round that was told of.
    told_round: u32,
    /// When each group has begun; none before, and when it is over.
    begun: Vec<Begun>,
    /// How many lanes wait for something to change.
    waiting: usize,
    /// How many lanes of each group are at work.
    lanes: Vec<usize>,
    /// The full ids of tests that were reported in this round and not listed: whether they were told to have failed.
    found: HashMap<String, bool>,
    /// What was seen of the memory that is free.
    memory: Seen,
}

impl Shared<'_> {
    fn state(&self) -> MutexGuard<'_, State> {
        // A lane's panic is caught outside of the lock, so it can't be poisoned by one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the lanes that wait look again; to wake nobody would cost a system call a job.
    fn wake(&self, state: MutexGuard<'_, State>) {
        let anybody = state.waiting > 0;
        drop(state);
        if anybody {
            self.changed.notify_all();
        }
    }

    /// Waits until something has changed, or for so long.
    fn wait<'s>(
        &self,
        state: MutexGuard<'s, State>,
        longest: Option<Duration>,
    ) -> MutexGuard<'s, State> {
        match longest {
            None => {
                let woken = self.changed.wait(state);
                woken.unwrap_or_else(PoisonError::into_inner)
            }
            Some(longest) => {
                let woken = self.changed.wait_timeout(state, longest);
                woken.unwrap_or_else(PoisonError::into_inner).0
            }
        }
    }

    /// Whether a test was listed, selected or not. Few runs ask.
    fn is_listed(&self, id: &str) -> bool {
        let all = || {
            let selected = self.plan.groups.iter().flat_map(GroupPlan::ids);
            let part = self.options.part.iter();
            let elsewhere = part.flat_map(|part| part.elsewhere.values().flatten());
            let others = elsewhere.chain(&self.options.unselected).cloned();
            selected.chain(others).collect()
        };
        self.listed.get_or_init(all).contains(id)
    }

    fn send(&self, event: Event) {
        self.events.send(event);
    }

    fn obey(&self, order: Order) {
        match order {
            Order::Stop(reason) => self.stop(reason),
            Order::Pause => {
                self.clients.pause_all();
                // The shell that we belong to sees us stopped. Other threads may go on for a moment after this call, so
                // it says nothing of when we are continued.
                let _ = kill_process(getpid(), Signal::STOP);
            }
            Order::Continue => self.clients.resume_all(),
            Order::Tell => self.tell(),
            Order::Look => self.look(),
        }
    }

    /// A hook of the group failed that takes back what another has done: the group has not passed.
    fn hook_failed(&self, group: usize) {
        self.state().scheduler.fail(group);
    }

    /// Nothing starts any more, and what runs is ended.
    fn stop(&self, reason: Reason) {
        let mut state = self.state();
        state.scheduler.stop();
        if state.reason.is_none() {
            state.reason = Some(reason);
        }
        self.wake(state);
        if reason.ends_jobs() {
            self.clients.stop_all();
        }
    }
}

/// Executes a plan; everything that happens is sent as events. Returns why the run was stopped, if it was.
#[must_use]
pub fn execute(
    plan: &Plan,
    options: &Options,
    discovery: &Discovery,
    events: &Sender,
    stop: &Stop,
) -> Option<Reason> {
    // What a worker that is killed leaves behind comes to us.
    adopt_orphans();
    discovery
        .clients
        .begin(options.capture, options.hold.clone());
    let state = initial(plan, options.repeat, &options.reserve);
    let shared = Shared {
        plan,
        options,
        begun: Instant::now(),
        discovery,
        events,
        state: Mutex::new(state),
        changed: Condvar::new(),
        clients: discovery.clients.clone(),
        groups: plan.groups.iter().map(|_| GroupHooks::default()).collect(),
        forking: plan.groups.iter().map(|_| Mutex::default()).collect(),
        listed: OnceLock::new(),
    };
    shared.send(started(plan, options));
    owed::make_up(&shared, &options.owed);
    shared.tell_known(1);
    thread::scope(|scope| {
        let pause = running::pause(plan);
        let shared = &shared;
        let watch = move || stop.watch(options.deadline, pause, |order| shared.obey(order));
        let watcher = thread::Builder::new()
            .name("orders".into())
            .spawn_scoped(scope, watch);
        if let Err(error) = &watcher {
            shared.send(Event::Warning {
                message: format!(
                    "can't start a thread ({error}): signals and the run's timeout are not obeyed"
                ),
            });
        }
        let over = watch_memory(shared, scope);
        thread::scope(|scope| {
            for (index, group) in plan
                .groups
                .iter()
                .enumerate()
                .filter(|(_, group)| !group.jobs.is_empty())
            {
                let shared = &shared;
                let run = move || run_group(shared, index, group.workers);
                let name = group.config.name.to_string();
                let started = thread::Builder::new().name(name).spawn_scoped(scope, run);
                if let Err(error) = started {
                    let name = &group.config.name;
                    shared.send(Event::Warning {
                        message: format!("group {name}: can't start a thread: {error}"),
                    });
                    shared.stop(Reason::NoThreads);
                }
            }
        });
        drop(over);
        stop.finish();
        let _ = watcher.map(thread::ScopedJoinHandle::join);
    });
    // All workers are gone by now.
    kill_strays(&BTreeSet::new());
    let short = discovery.secrets.too_short();
    if !short.is_empty() {
        shared.send(Event::Warning {
            message: format!(
                "`secrets`: the values of {} are shorter than {SHORTEST} bytes, and are not masked",
                short.join(", ")
            ),
        });
    }
    let state = shared.state();
    for left in state.scheduler.left() {
        let group = state.jobs[left.job].group;
        let why = match (left.blocked_by, state.reason) {
            _ if left.barred_by.is_some() => {
                let barred_by = left.barred_by.and_then(|job| state.jobs.get(job));
                why_barred(plan, barred_by)
            }
            _ if state.scheduler.is_group_stopped(group) => running::why_over(&plan.groups[group]),
            (Some(group), _) => format!("group {} did not pass", plan.groups[group].config.name),
            (None, Some(reason)) => reason.to_string(),
            (None, None) => "its workers could not start".to_owned(),
        };
        let job = Job::in_round(&state.jobs[left.job], left.round);
        // Another try was meant for it, but it did run.
        if let Some(failed) = &job.failed {
            shared.send(Event::TestFinished((**failed).clone()));
            continue;
        }
        for item in &job.items {
            let finished = job.finished(plan, item, Outcome::NotRun, why.clone());
            shared.send(Event::TestFinished(finished));
        }
    }
    state.reason
}

/// Why a job did not run that was to run only after another had passed.
fn why_barred(plan: &Plan, by: Option<&Arc<Job>>) -> String {
    let ids = by.map(|job| job.ids(plan)).unwrap_or_default();
    format!("{} must pass first, and did not", ids.join(", "))
}

/// Watches memory until what is returned is dropped, where there is anything to relieve.
fn watch_memory<'s>(
    shared: &'s Shared<'_>,
    scope: &'s thread::Scope<'s, '_>,
) -> Option<mpsc::Sender<()>> {
    let plan = shared.plan;
    let jobs: usize = plan.groups.iter().map(|group| group.jobs.len()).sum();
    if shared.options.reserve.least == 0 || plan.workers < 2 || jobs < 2 {
        return None;
    }
    // Before the first job starts.
    relief::look(shared);
    let (over, ended) = mpsc::channel();
    let watch = move || relief::watch(shared, &ended);
    let started = thread::Builder::new()
        .name("memory".into())
        .spawn_scoped(scope, watch);
    if let Err(error) = started {
        shared.send(Event::Warning {
            message: format!("can't start a thread ({error}): `min-free-memory` is not obeyed"),
        });
    }
    Some(over)
}

fn run_group(shared: &Shared<'_>, group: usize, workers: usize) {
    let config = &shared.plan.groups[group].config;
    let name = &config.name;
    if let Err(error) = parts::prepare(shared.discovery, config) {
        shared.send(Event::Warning {
            message: format!("group {name}: there is no folder for what its jobs leave: {error}"),
        });
    }
    let pool = ThreadPoolBuilder::new()
        .num_threads(workers)
        .thread_name({
            let name = name.clone();
            move |slot| format!("{name}-{slot}")
        })
        .build();
    match pool {
        Ok(pool) => {
            pool.broadcast(|context| lane::lane(shared, group, context.index()));
        }
        // No threads to be had: one is here already.
        Err(error) => {
            shared.send(Event::Warning {
                message: format!(
                    "group {name}: can't start {workers} lanes ({error}), going on with one"
                ),
            });
            shared.state().lanes[group] = 1;
            lane::lane(shared, group, 0);
        }
    }
    shared.state().begun[group] = None;
    if config.session.is_warm() {
        session::finish(shared, group, &shared.discovery.session(&config.name));
    }
    whole::finish(shared, group);
    shared.groups[group].close(shared, group);
    let mut state = shared.state();
    state.scheduler.close(group);
    shared.wake(state);
}

/// Whether something was short that may be there again in a moment.
fn is_shortage(error: &std::io::Error) -> bool {
    use rustix::io::Errno;
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(
        errno,
        Some(Errno::AGAIN | Errno::NOMEM | Errno::MFILE | Errno::NFILE)
    )
}

fn initial(plan: &Plan, repeat: Repeat, reserve: &Reserve) -> State {
    let mut jobs = Vec::new();
    let specs = plan.specs();
    for (number, (group, spec)) in plan.groups.iter().zip(&specs).enumerate() {
        for (planned, spec) in group.jobs.iter().zip(&spec.jobs) {
            jobs.push(Arc::new(Job {
                group: number,
                items: planned.items.clone(),
                settings: planned.settings.clone(),
                memory: planned.memory,
                predicted: planned.seconds,
                of: None,
                attempt: 1,
                repetition: 1,
                failed: None,
                failed_inside: Vec::new(),
                wait: Duration::ZERO,
                alone: false,
                after: spec.after.clone(),
            }));
        }
    }
    let mut each_round = Vec::new();
    if repeat.rounds != Some(1) {
        let groups = specs.iter().map(|spec| (spec.jobs.clone(), spec.failed));
        each_round.extend(groups);
    }
    let has_failed = specs.iter().any(|spec| spec.failed);
    let scheduler = Scheduler::new(specs, plan.limits());
    let mut scheduler = scheduler.with_rounds(repeat.rounds, each_round);
    for (index, group) in plan.groups.iter().enumerate() {
        // What its session, its runner or its hooks do at its end may fail, and what they take down may be what another group
        // sets up. Without a job there is none.
        let config = &group.config;
        let has_end = config.session.is_warm()
            || config.runner.finish.is_some()
            || [Hook::AfterWorker, Hook::AfterAll]
                .iter()
                .any(|hook| !config.hooks.of(*hook).is_empty());
        if has_end && !group.jobs.is_empty() {
            scheduler.keep_open(index);
        }
    }
    if repeat.until_fail && has_failed {
        scheduler.last_round();
    }
    State {
        scheduler,
        jobs,
        running: BTreeMap::new(),
        waiting: 0,
        lanes: plan.groups.iter().map(|group| group.workers).collect(),
        started: 0,
        failures: 0,
        reason: None,
        told_round: 1,
        begun: vec![None; plan.groups.len()],
        found: HashMap::new(),
        memory: Seen::new(reserve, plan.memory),
    }
}

fn started(plan: &Plan, options: &Options) -> Event {
    let groups = plan.groups.iter().map(|group| GroupStarted {
        name: group.config.name.to_string(),
        tests: group.tests(),
        workers: group.workers,
        order: group.config.order,
        needs: {
            let needs = group.config.needs.iter();
            let needs =
                needs.filter(|name| plan.groups.iter().any(|known| known.config.name == **name));
            needs.map(ToString::to_string).collect()
        },
        session: group.config.session.told().map(|(word, _)| word.to_owned()),
        because: group.config.session.told().map(|(_, why)| why.to_owned()),
        one_process: group.config.one_process.clone(),
        ids: group.ids(),
    });
    Event::RunStarted {
        run: options.run.clone(),
        groups: groups.collect(),
        tests: plan.tests(),
        workers: plan.workers,
        seed: plan.seed,
        repeat: options.repeat.rounds.unwrap_or(0),
        prepared: options.prepared.as_secs_f64(),
        cores: machine::cores(),
        memory: plan.memory,
        pools: {
            let pools = plan.pools.iter();
            pools
                .map(|pool| (pool.name.clone(), pool.members.len()))
                .collect()
        },
        shard: options.part.as_ref().map(ShardStarted::from),
    }
}

/// What is of the environment of `orchestrate` for its jobs, as a map.
#[must_use]
pub fn environment() -> HashMap<OsString, OsString> {
    inherited::environment().collect()
}
