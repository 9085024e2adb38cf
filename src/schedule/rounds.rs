//! Rounds: all jobs of the run again, once everything of the round before is over. So no test runs beside itself, and what a
//! group needs is passed anew.

use super::{JobSpec, Scheduler};

/// What the next round is made from.
#[derive(Debug)]
pub struct Rounds {
    /// The round that goes on, from 1.
    now: u32,
    /// The last; none where only failures or a stop end the run.
    last: Option<u32>,
    /// The jobs by their groups, and whether each group has failed before any: what each round begins with.
    groups: Vec<(Vec<JobSpec>, bool)>,
    /// How many jobs had started when this one began.
    started_before: u64,
    /// The jobs that rounds have left out, with the round and the group that kept them from running.
    left: Vec<Left>,
}

/// A job that did not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// The job.
    pub job: usize,
    /// In which round, from 1.
    pub round: u32,
    /// The group that kept it from it, where one did.
    pub blocked_by: Option<usize>,
    /// The job that had to pass before it and did not.
    pub barred_by: Option<usize>,
}

impl Default for Rounds {
    fn default() -> Self {
        Self {
            now: 1,
            last: Some(1),
            groups: Vec::new(),
            started_before: 0,
            left: Vec::new(),
        }
    }
}

impl Rounds {
    /// Whether another round comes, as things are.
    pub fn is_last(&self) -> bool {
        self.last.is_some_and(|last| self.now >= last)
    }
}

impl Scheduler {
    /// The run has so many rounds; none is without an end. `groups` are the jobs of each group, as at the beginning, and whether
    /// it has failed before any.
    #[must_use]
    pub fn with_rounds(mut self, rounds: Option<u32>, groups: Vec<(Vec<JobSpec>, bool)>) -> Self {
        self.rounds.last = rounds;
        self.rounds.groups = groups;
        self
    }

    /// The round that goes on, from 1.
    #[must_use]
    pub fn round(&self) -> u32 {
        self.rounds.now
    }

    /// There will be no other round.
    pub fn last_round(&mut self) {
        self.rounds.last = Some(self.rounds.now);
    }

    /// Begins the next round if this one is over. It does so even if the run was stopped, so that what is missing is told of.
    pub(super) fn turn(&mut self) {
        if self.rounds.is_last() || self.active > 0 || self.delayed.next_due().is_some() {
            return;
        }
        // One is blocked by another that is: as often as the longest chain may be.
        for _ in 0..self.groups.len() {
            (0..self.groups.len()).for_each(|group| self.settle(group));
        }
        let mut groups = self.groups.iter();
        if !groups.all(|group| group.is_done() || group.blocked_by.is_some()) {
            return;
        }
        if self.started == self.rounds.started_before {
            // Nothing could run, and nothing will.
            self.last_round();
            return;
        }
        self.rounds.started_before = self.started;
        let left = self.left();
        self.rounds.left = left;
        self.rounds.now += 1;
        self.edges.clear();
        for group in 0..self.groups.len() {
            self.give_back_ticket(group);
            let (jobs, failed) = self.rounds.groups.get(group).cloned().unwrap_or_default();
            let state = &mut self.groups[group];
            state.queue.clear();
            state.failed = failed;
            state.blocked_by = None;
            state.is_ready = state.needs.is_empty();
            state.held = 0;
            self.queue_all(group, &jobs);
        }
    }

    /// The jobs that never ran.
    #[must_use]
    pub fn left(&self) -> Vec<Left> {
        let left = |job, blocked_by| Left {
            job,
            round: self.rounds.now,
            blocked_by,
            barred_by: None,
        };
        let queued = self.groups.iter().flat_map(|group| {
            let jobs = group.queue.left().into_iter();
            jobs.map(move |job| left(job, group.blocked_by))
        });
        let delayed = self.delayed.left().map(|job| left(job, None));
        let held = self.edges.left().into_iter();
        let held = held.map(|(job, group)| left(job, self.groups[group].blocked_by));
        let barred = self.edges.barred().iter().map(|barred| Left {
            barred_by: Some(barred.by),
            ..left(barred.job, None)
        });
        let earlier = self.rounds.left.iter().copied();
        let now = queued.chain(delayed).chain(held).chain(barred);
        earlier.chain(now).collect()
    }
}
