//! Jobs that may not start before some time of the run. They take up nothing until then, not even a place in the queue.

use std::collections::BTreeMap;
use std::time::Duration;

use super::JobSpec;

/// See the module.
#[derive(Debug, Default)]
pub struct Delayed {
    now: Duration,
    /// By when they may start, then by the order in which they came.
    jobs: BTreeMap<(Duration, u64), (usize, JobSpec)>,
    count: u64,
}

impl Delayed {
    /// Whether it is too early for a job.
    pub fn holds(&self, spec: &JobSpec) -> bool {
        spec.not_before > self.now
    }

    /// Keeps a job of a group until its time has come.
    pub fn push(&mut self, group: usize, spec: JobSpec) {
        self.count += 1;
        self.jobs
            .insert((spec.not_before, self.count), (group, spec));
    }

    /// When the next job may start.
    pub fn next_due(&self) -> Option<Duration> {
        self.jobs.keys().next().map(|(due, _)| *due)
    }

    /// It is `now`: takes out those whose time has come, the last one first, as each goes before all that wait.
    pub fn pass_to(&mut self, now: Duration) -> Vec<(usize, JobSpec)> {
        self.now = self.now.max(now);
        let later = self.jobs.split_off(&(self.now, u64::MAX));
        let due = std::mem::replace(&mut self.jobs, later);
        due.into_values().rev().collect()
    }

    /// Those that still wait, the next one first.
    pub fn left(&self) -> impl Iterator<Item = usize> {
        self.jobs.values().map(|(_, spec)| spec.id)
    }
}
