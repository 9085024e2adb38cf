//! The makespan of a plan, predicted by the very scheduler that will run it, under a virtual clock.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use crate::schedule::{GroupSpec, JobSpec, Limits, Next, Scheduler, Start};

/// What jobs do in a run that is simulated.
pub trait Course {
    /// How long a job takes that begins, in seconds.
    fn takes(&mut self, begun: &Begun<'_>) -> f64;

    /// A job is over, `at` so many seconds: the jobs that run in its place.
    fn over(&mut self, _job: usize, _at: f64) -> Vec<JobSpec> {
        Vec::new()
    }

    /// What is seen of memory, in this order.
    fn memory(&self) -> Vec<MemorySeen> {
        Vec::new()
    }
}

/// What is seen of memory in a simulated run.
#[derive(Clone, Copy, Debug)]
pub struct MemorySeen {
    /// When, in seconds since the run began.
    pub at: f64,
    /// Whether it is short: see [`Scheduler::short_of_memory`].
    pub short: bool,
    /// What there is for jobs: see [`Scheduler::may_take`].
    pub most: Option<u64>,
}

/// A job that begins in a simulated run.
#[derive(Clone, Copy, Debug)]
pub struct Begun<'a> {
    /// Which, and in which slot.
    pub start: &'a Start,
    /// Its group, by index.
    pub group: usize,
    /// When, in seconds since the run began.
    pub at: f64,
    /// How many workers of its group there were before, where this is the first job of another one.
    pub new_worker: Option<usize>,
}

impl Course for &[f64] {
    fn takes(&mut self, begun: &Begun<'_>) -> f64 {
        self.get(begun.start.job).copied().unwrap_or(0.0)
    }
}

/// How long a run takes whose jobs take so many seconds each, by their numbers: when the last one ends.
#[must_use]
pub fn run(groups: Vec<GroupSpec>, limits: Limits, mut seconds: &[f64]) -> f64 {
    simulate(groups, limits, &mut seconds)
}

/// How long a run takes: when the last job ends.
///
/// Lanes ask in turn, and each group has as many as it may run jobs. A group whose needs fail is none of this: here all pass.
pub fn simulate(groups: Vec<GroupSpec>, limits: Limits, course: &mut impl Course) -> f64 {
    let lanes: Vec<usize> = groups.iter().map(|group| group.workers.max(1)).collect();
    let mut busy = vec![0; lanes.len()];
    // A worker that is there is taken before another is started.
    let mut started = vec![0; lanes.len()];
    let mut scheduler = Scheduler::new(groups, limits);
    // In whole nanoseconds, which have an order.
    let mut ends: BinaryHeap<Reverse<(u64, usize, usize, usize)>> = BinaryHeap::new();
    let mut now = 0;
    let mut memory = course.memory().into_iter().peekable();
    loop {
        while let Some(seen) = memory.next_if(|seen| nanos(seen.at) <= now) {
            scheduler.short_of_memory(seen.short);
            seen.most.map(|most| scheduler.may_take(most));
        }
        for group in 0..lanes.len() {
            while busy[group] < lanes[group] {
                let Next::Run(start) = scheduler.next(group) else {
                    break;
                };
                let is_new = busy[group] == started[group];
                let length = course.takes(&Begun {
                    start: &start,
                    group,
                    at: seconds_of(now),
                    new_worker: is_new.then_some(started[group]),
                });
                started[group] += usize::from(is_new);
                ends.push(Reverse((
                    now.saturating_add(nanos(length)),
                    start.slot,
                    group,
                    start.job,
                )));
                busy[group] += 1;
            }
        }
        // What is to wait for its time may come before what runs is over; so may what is seen of memory.
        let end = ends.peek().map(|Reverse((end, ..))| *end);
        let due = scheduler.next_due();
        let nanos_of = |due: Duration| u64::try_from(due.as_nanos()).unwrap_or(u64::MAX);
        if let Some(seen) = memory.peek().map(|seen| nanos(seen.at))
            && end.is_some_and(|end| seen < end)
            && due.is_none_or(|due| seen < nanos_of(due))
        {
            now = seen;
            continue;
        }
        if let Some(due) = due {
            let at = nanos_of(due);
            if end.is_none_or(|end| at < end) {
                now = at.max(now);
                scheduler.pass_to(due);
                continue;
            }
        }
        let Some(Reverse((end, slot, group, job))) = ends.pop() else {
            return seconds_of(now);
        };
        now = end;
        scheduler.pass_to(Duration::from_nanos(now));
        busy[group] -= 1;
        let again = course.over(job, seconds_of(now));
        scheduler.finished(slot, false, &again);
    }
}

/// The same for the jobs of one group that claim nothing, in this order.
#[must_use]
pub fn makespan(seconds: &[f64], workers: usize) -> f64 {
    let jobs = (0..seconds.len()).map(|id| JobSpec {
        id,
        ..JobSpec::default()
    });
    let group = GroupSpec {
        workers,
        jobs: jobs.collect(),
        ..GroupSpec::default()
    };
    let limits = Limits {
        slots: workers,
        ..Limits::default()
    };
    run(vec![group], limits, seconds)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast of a float is held to the range of the integer"
)]
fn nanos(seconds: f64) -> u64 {
    (seconds * 1e9) as u64
}

#[expect(clippy::cast_precision_loss, reason = "a prediction is no more exact")]
fn seconds_of(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_job_to_end_is_the_end() {
        assert!((makespan(&[3.0, 2.0, 2.0], 2) - 4.0).abs() < 1e-6);
        assert!((makespan(&[1.0, 1.0, 3.0], 2) - 4.0).abs() < 1e-6);
        assert!((makespan(&[], 2) - 0.0).abs() < 1e-6);
    }

    #[test]
    fn needs_and_exclusive_jobs_cost_what_they_cost() {
        let job = |id, exclusive| JobSpec {
            id,
            exclusive,
            ..JobSpec::default()
        };
        let groups = vec![
            GroupSpec {
                workers: 2,
                jobs: vec![job(0, false), job(1, true)],
                ..GroupSpec::default()
            },
            GroupSpec {
                workers: 2,
                needs: vec![0],
                jobs: vec![job(2, false)],
                ..GroupSpec::default()
            },
        ];
        let limits = Limits {
            slots: 4,
            ..Limits::default()
        };
        assert!((run(groups, limits, &[1.0, 2.0, 4.0]) - 7.0).abs() < 1e-6);
    }
}
