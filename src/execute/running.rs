//! What runs just now, for whoever asks; and what of it takes too long: tests that are slow, groups whose time is over.
//!
//! It is looked at now and then, by the thread that waits for orders: to wake that one for each job would cost as much as a short job.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use super::Shared;
use super::job::Job;
use crate::event::{self, Event};
use crate::plan::{GroupPlan, Plan, full_id};
use crate::runner::read;
use crate::worker::{monotonic, read_report};

/// How often is looked: at a tenth of the shortest time that is asked for, within these bounds.
const LEAST_PAUSE: Duration = Duration::from_millis(20);
const MOST_PAUSE: Duration = Duration::from_secs(1);

/// A job that runs.
#[derive(Clone)]
pub(super) struct RunningJob {
    pub(super) job: Arc<Job>,
    pub(super) worker: usize,
    pub(super) pid: u32,
    pub(super) since: Instant,
    /// How long the run had been held by then.
    pub(super) held: Duration,
    /// Who says which of its tests runs.
    pub(super) current: Current,
    /// Which tests were told to be slow, by their index; the first where it was the whole job.
    pub(super) slow: BTreeSet<usize>,
    /// Its slot in the scheduler.
    pub(super) slot: usize,
    /// Whether it was asked to end, so that others have its memory.
    pub(super) makes_room: Arc<AtomicBool>,
    /// A worker that does something for it meanwhile, which then ends too.
    pub(super) helper: Option<u32>,
}

/// How it is known which test of a job runs.
#[derive(Clone)]
pub(super) enum Current {
    /// There is one, or nobody knows.
    Job,
    /// It is told as it begins: this one, since then.
    Told(Option<(usize, Instant)>),
    /// It is in the report, as events.
    Report(PathBuf),
}

/// When a group began, and how long the run had been held by then.
pub(super) type Begun = Option<(Instant, Duration)>;

/// How often it is to be looked whether something takes too long; none if nothing may.
pub(super) fn pause(plan: &Plan) -> Option<Duration> {
    let groups = plan.groups.iter();
    let timeouts = groups.filter_map(|group| group.config.timeout);
    let jobs = plan.groups.iter().flat_map(|group: &GroupPlan| &group.jobs);
    let slow = jobs.filter_map(|job| job.settings.slow_after);
    let shortest = timeouts.chain(slow).min()?;
    Some((shortest / 10).clamp(LEAST_PAUSE, MOST_PAUSE))
}

impl RunningJob {
    /// Which test of it is slow, by its index, and for how long it has run.
    fn is_slow(&self, held: Duration) -> Option<(usize, Duration)> {
        let slow_after = self.job.settings.slow_after?;
        let held = held.saturating_sub(self.held);
        let ran = |since: Instant| since.elapsed().saturating_sub(held);
        let whole = ran(self.since);
        if whole < slow_after {
            return None;
        }
        let (index, ran, limit) = match &self.current {
            Current::Told(current) => {
                let (index, since) = (*current)?;
                (index, ran(since), slow_after)
            }
            Current::Report(path) => {
                let (index, at) = read::running(&read_report(path).ok()?, &self.job.items)?;
                let ran = monotonic().saturating_sub(at).saturating_sub(held);
                // A test may change the clock that its runner reads.
                (index, ran.min(whole), slow_after)
            }
            Current::Job => {
                let tests = u32::try_from(self.job.items.len()).unwrap_or(u32::MAX);
                (0, whole, slow_after.saturating_mul(tests))
            }
        };
        (ran >= limit && !self.slow.contains(&index)).then_some((index, ran))
    }

    fn told(&self, plan: &Plan, seconds: Duration, only: Option<usize>) -> event::Running {
        let group = self.job.group_name(plan);
        let items = self.job.items.iter().enumerate();
        let items = items.filter(|(index, _)| only.is_none_or(|only| only == *index));
        event::Running {
            group: group.to_owned(),
            worker: self.worker,
            pid: self.pid,
            seconds: seconds.as_secs_f64(),
            tests: items.map(|(_, item)| full_id(group, &item.id)).collect(),
        }
    }
}

impl Shared<'_> {
    /// Tells what runs.
    pub(super) fn tell(&self) {
        let running: Vec<RunningJob> = self.state().running.values().cloned().collect();
        let running = running.iter();
        let running = running.map(|job| job.told(self.plan, job.since.elapsed(), None));
        self.send(Event::Status {
            running: running.collect(),
        });
    }

    /// Looks for what takes too long.
    pub(super) fn look(&self) {
        let held = self.clients.held();
        let groups = self.plan.groups.iter().zip(self.state().begun.clone());
        for (index, (group, begun)) in groups.enumerate() {
            if let (Some(timeout), Some((since, before))) = (group.config.timeout, begun)
                && since.elapsed().saturating_sub(held.saturating_sub(before)) >= timeout
            {
                self.end_group(index);
            }
        }
        let running: Vec<(usize, RunningJob)> = {
            let state = self.state();
            let running = state.running.iter();
            running
                .map(|(number, job)| (*number, job.clone()))
                .collect()
        };
        for (number, job) in running {
            let Some((index, ran)) = job.is_slow(held) else {
                continue;
            };
            let mut state = self.state();
            // It may have ended since.
            if let Some(known) = state.running.get_mut(&number) {
                known.slow.insert(index);
                let only = (!matches!(job.current, Current::Job)).then_some(index);
                self.send(Event::Slow(job.told(self.plan, ran, only)));
            }
        }
    }

    /// A group has begun, if it had not.
    pub(super) fn begin_group(&self, group: usize, begun: &mut [Begun]) {
        if begun[group].is_none() {
            begun[group] = Some((Instant::now(), self.clients.held()));
        }
    }

    /// A group's time is over: nothing of it starts any more, and what runs of it is ended.
    fn end_group(&self, group: usize) {
        let mut state = self.state();
        state.begun[group] = None;
        state.scheduler.stop_group(group);
        // It could not pass in another round either.
        if self.options.repeat.until_fail {
            state.scheduler.last_round();
        }
        self.wake(state);
        self.clients.stop_those_of(group);
    }
}

/// Why what a group's timeout has ended or left out has no result of its own.
pub(super) fn why_over(plan: &GroupPlan) -> String {
    let limit = plan.config.timeout.unwrap_or_default();
    let name = &plan.config.name;
    format!("group {name} timed out: its `group-timeout` is {limit:?}")
}
