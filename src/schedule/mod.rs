//! The scheduler: a state machine that says what runs next.
//!
//! Pure: it knows jobs, slots, caps and locks, but no clock, thread or process. A lane asks [`Scheduler::next`] and tells
//! [`Scheduler::finished`]; between the two the job holds its locks. Locks are taken all at once, so no order of taking
//! them can deadlock; a job that waits keeps later ones from overtaking it with its locks, so none starves.

mod locks;

use std::collections::VecDeque;

pub use locks::Locks;

use crate::manifest::model::Lock;

/// A group as the scheduler sees it.
#[derive(Clone, Debug, Default)]
pub struct GroupSpec {
    /// The most of its jobs at once.
    pub workers: usize,
    /// The groups, by index, that must have passed before it starts.
    pub needs: Vec<usize>,
    /// Its jobs, in order.
    pub jobs: Vec<JobSpec>,
    /// Whether a test of it failed before any job: one that could not be listed.
    pub failed: bool,
}

/// A job as the scheduler sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobSpec {
    /// Whoever hands the job over finds it by this number.
    pub id: usize,
    /// Nothing else of its group runs meanwhile.
    pub serial: bool,
    /// Nothing else of the run runs meanwhile.
    pub exclusive: bool,
    /// The locks that it holds.
    pub locks: Vec<Lock>,
}

/// What a lane should do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Run this job; the second number is its slot among all that run, small and reused.
    Run(usize, usize),
    /// Ask again when some job has finished.
    Wait,
    /// Go: there will be no more for this group.
    Done,
}

/// See the module.
#[derive(Debug)]
pub struct Scheduler {
    groups: Vec<GroupState>,
    cap: usize,
    /// By slot: what runs there.
    running: Vec<Option<Running>>,
    locks: Locks,
    stopped: bool,
}

#[derive(Debug)]
struct GroupState {
    workers: usize,
    needs: Vec<usize>,
    queue: VecDeque<JobSpec>,
    running: usize,
    serial_running: bool,
    failed: bool,
    /// Why its jobs will not run: the group that it needs and that failed.
    blocked_by: Option<usize>,
}

#[derive(Debug)]
struct Running {
    group: usize,
    job: JobSpec,
}

impl GroupState {
    fn is_done(&self) -> bool {
        self.queue.is_empty() && self.running == 0
    }
}

impl Scheduler {
    /// A scheduler for a run with at most `cap` jobs at once.
    #[must_use]
    pub fn new(groups: Vec<GroupSpec>, cap: usize) -> Self {
        let groups = groups
            .into_iter()
            .map(|spec| GroupState {
                workers: spec.workers.max(1),
                needs: spec.needs,
                queue: spec.jobs.into(),
                running: 0,
                serial_running: false,
                failed: spec.failed,
                blocked_by: None,
            })
            .collect();
        Self {
            groups,
            cap: cap.max(1),
            running: Vec::new(),
            locks: Locks::default(),
            stopped: false,
        }
    }

    /// What a free lane of `group` should do.
    pub fn next(&mut self, group: usize) -> Next {
        self.block(group);
        let state = &self.groups[group];
        if self.stopped || state.blocked_by.is_some() || state.queue.is_empty() {
            // What still runs may come back to be run again.
            return if !self.stopped && state.blocked_by.is_none() && state.running > 0 {
                Next::Wait
            } else {
                Next::Done
            };
        }
        let needs_unfinished = state
            .needs
            .iter()
            .any(|needed| !self.groups[*needed].is_done());
        if needs_unfinished
            || self.active() >= self.cap
            || state.running >= state.workers
            || state.serial_running
            || self.exclusive_runs()
            || self.exclusive_waits(group)
        {
            return Next::Wait;
        }
        match self.admissible(group) {
            Some(index) => self.start(group, index),
            None => Next::Wait,
        }
    }

    /// The first job of the group's queue that may start now.
    fn admissible(&self, group: usize) -> Option<usize> {
        let state = &self.groups[group];
        let mut ahead = Locks::default();
        for (index, job) in state.queue.iter().enumerate() {
            let alone =
                (!job.serial || state.running == 0) && (!job.exclusive || self.active() == 0);
            let free = self.locks.admit(&job.locks) && ahead.admit(&job.locks);
            if alone && free {
                return Some(index);
            }
            if !alone {
                // Nobody overtakes a job that waits to be alone, or it would wait for ever.
                return None;
            }
            ahead.take(&job.locks);
        }
        None
    }

    fn start(&mut self, group: usize, index: usize) -> Next {
        let state = &mut self.groups[group];
        let Some(job) = state.queue.remove(index) else {
            return Next::Wait;
        };
        state.running += 1;
        state.serial_running = job.serial;
        self.locks.take(&job.locks);
        let id = job.id;
        let running = Some(Running { group, job });
        let slot = if let Some(slot) = self.running.iter().position(Option::is_none) {
            self.running[slot] = running;
            slot
        } else {
            self.running.push(running);
            self.running.len() - 1
        };
        Next::Run(id, slot)
    }

    /// A job has finished: `slot` is free. `failed` says whether its tests failed for good; jobs `again` are to run in its
    /// place, first of all.
    pub fn finished(&mut self, slot: usize, failed: bool, again: Vec<JobSpec>) {
        let Some(running) = self.running.get_mut(slot).and_then(Option::take) else {
            return;
        };
        self.locks.release(&running.job.locks);
        let state = &mut self.groups[running.group];
        state.running -= 1;
        state.serial_running = false;
        state.failed |= failed;
        for job in again.into_iter().rev() {
            // What waits to be alone stays behind the rest, as the plan has it.
            let first_alone = state
                .queue
                .iter()
                .position(|job| job.serial || job.exclusive);
            let at = if job.serial || job.exclusive {
                first_alone.unwrap_or(state.queue.len())
            } else {
                0
            };
            state.queue.insert(at, job);
        }
    }

    /// Nothing starts any more.
    pub fn stop(&mut self) {
        self.stopped = true;
    }

    /// Whether [`Scheduler::stop`] was called.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// The jobs that never ran, and the group that kept them from it, where one did.
    #[must_use]
    pub fn left(&self) -> Vec<(usize, Option<usize>)> {
        let groups = self.groups.iter();
        groups
            .flat_map(|group| group.queue.iter().map(|job| (job.id, group.blocked_by)))
            .collect()
    }

    fn active(&self) -> usize {
        self.groups.iter().map(|group| group.running).sum()
    }

    fn exclusive_runs(&self) -> bool {
        let mut running = self.running.iter().flatten();
        running.any(|running| running.job.exclusive)
    }

    /// Whether another group's next job waits to be alone in the run: then nothing else starts.
    fn exclusive_waits(&self, group: usize) -> bool {
        self.groups.iter().enumerate().any(|(index, state)| {
            let is_ready = state.blocked_by.is_none()
                && state
                    .needs
                    .iter()
                    .all(|needed| self.groups[*needed].is_done() && !self.groups[*needed].failed);
            let first = state.queue.front();
            // Of two that wait, the first group's goes first.
            is_ready && index != group && first.is_some_and(|job| job.exclusive) && {
                let mine = self.groups[group].queue.front();
                !(mine.is_some_and(|job| job.exclusive) && group < index)
            }
        })
    }

    /// Finds whether a needed group failed, or can't pass any more.
    fn block(&mut self, group: usize) {
        if self.groups[group].blocked_by.is_some() {
            return;
        }
        let cause = self.groups[group].needs.iter().copied().find(|needed| {
            let needed = &self.groups[*needed];
            needed.blocked_by.is_some() || (needed.failed && needed.is_done())
        });
        self.groups[group].blocked_by = cause;
    }
}

#[cfg(test)]
mod tests;
