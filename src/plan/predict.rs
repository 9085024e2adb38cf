//! The makespan of a plan, predicted by the very scheduler that will run it, under a virtual clock.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::schedule::{GroupSpec, JobSpec, Limits, Next, Scheduler};

/// How long a run takes whose jobs take so many seconds each, by their numbers: when the last one ends.
///
/// Lanes ask in turn, and each group has as many as it may run jobs. A group whose needs fail is none of this: here all pass.
#[must_use]
pub fn run(groups: Vec<GroupSpec>, limits: Limits, seconds: &[f64]) -> f64 {
    let lanes: Vec<usize> = groups.iter().map(|group| group.workers.max(1)).collect();
    let mut busy = vec![0; lanes.len()];
    let mut scheduler = Scheduler::new(groups, limits);
    // In whole nanoseconds, which have an order.
    let mut ends: BinaryHeap<Reverse<(u64, usize, usize)>> = BinaryHeap::new();
    let mut now = 0;
    loop {
        for group in 0..lanes.len() {
            while busy[group] < lanes[group] {
                let Next::Run(start) = scheduler.next(group) else {
                    break;
                };
                let length = seconds.get(start.job).copied().unwrap_or(0.0);
                ends.push(Reverse((now + nanos(length), start.slot, group)));
                busy[group] += 1;
            }
        }
        let Some(Reverse((end, slot, group))) = ends.pop() else {
            return seconds_of(now);
        };
        now = end;
        busy[group] -= 1;
        scheduler.finished(slot, false, &[]);
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
