//! The scheduler: a state machine that says what runs next.
//!
//! Pure: it knows jobs, slots, caps, locks, pools and memory, but no clock, thread or process: what time it is, it is told. A lane asks [`Scheduler::next`]
//! and tells [`Scheduler::finished`]; between the two the job holds what it claims. All of that is taken at once, so no order of
//! taking can deadlock.
//!
//! A group whose first job has to wait gets a ticket. Nobody with a later one, or with none, may take a lock or a name that the
//! ticket's job wants, nor slots or memory without which it could not start: so none starves, and groups take turns. Within a
//! group a job may overtake those that wait for a lock or a name, as long as it wants none of theirs; nobody overtakes one that
//! waits for room. What a job needs is never more than there is: when nothing runs, the first ticket's job starts.

mod claim;
mod delayed;
mod edges;
mod holdings;
mod queue;
mod rounds;
mod waits;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

pub use edges::{After, closing};
pub use holdings::Pool;
pub use rounds::Left;
pub use waits::{Obstruction, WaitFor};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::manifest::model::Lock;
use claim::{Claim, NameNumber, Names};
use delayed::Delayed;
use edges::Edges;
use holdings::Holdings;
use queue::{Position, Queue, Queued};
use rounds::Rounds;

/// How many classes of jobs are looked at for one that may start: a bound on what a decision costs.
const MOST_LOOKS: usize = 64;

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

/// A job as the scheduler sees it. A run's journal has it too, without what is as usual.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct JobSpec {
    /// Whoever hands the job over finds it by this number.
    #[serde(skip)]
    pub id: usize,
    /// Nothing else of its group runs meanwhile.
    #[serde(skip_serializing_if = "is_usual")]
    pub serial: bool,
    /// Nothing else of the run runs meanwhile.
    #[serde(skip_serializing_if = "is_usual")]
    pub exclusive: bool,
    /// It runs alone in the run, after everything else of its group: a last try.
    #[serde(skip_serializing_if = "is_usual")]
    pub last: bool,
    /// How many of the run's slots it takes up; 0 is one. More than there are is all.
    #[serde(skip_serializing_if = "is_one")]
    pub slots: usize,
    /// The locks that it holds.
    #[serde(skip_serializing_if = "is_usual")]
    pub locks: Vec<Lock>,
    /// How many names of which pools it uses.
    #[serde(skip_serializing_if = "is_usual")]
    pub uses: Vec<(String, usize)>,
    /// The memory that it is thought to need, in bytes; 0 is not known.
    #[serde(skip_serializing_if = "is_usual")]
    pub memory: u64,
    /// The jobs of its group that must be over before it starts.
    #[serde(skip_serializing_if = "is_usual")]
    pub after: Vec<After>,
    /// The time of the run, as [`Scheduler::pass_to`] tells it, before which it does not start. It takes up nothing until then.
    #[serde(skip)]
    pub not_before: Duration,
}

/// A job as its queue has it.
fn queued(spec: &JobSpec) -> Queued {
    Queued {
        id: spec.id,
        memory: spec.memory,
    }
}

/// Whether a value is as it is where nothing is asked for.
fn is_usual<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_one(slots: &usize) -> bool {
    *slots <= 1
}

impl JobSpec {
    /// Whether it claims no more than any job does.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        let plain = Self {
            id: self.id,
            slots: self.slots.min(1),
            not_before: self.not_before,
            ..Self::default()
        };
        *self == plain
    }
}

/// What bounds all groups together.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// The most slots at once.
    pub slots: usize,
    /// The memory that jobs may need together; one that needs more runs alone. None is no bound.
    pub memory: Option<u64>,
    /// What jobs can use by name.
    pub pools: Vec<Pool>,
}

/// What a lane should do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Run a job.
    Run(Start),
    /// Ask again when some job has finished.
    Wait,
    /// Go: there will be no more for this group.
    Done,
}

/// A job that starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Start {
    /// The job.
    pub job: usize,
    /// In which round, from 1; a job that is run again in place of another is of that one's round.
    pub round: u32,
    /// Its slot among all that run, small and reused.
    pub slot: usize,
    /// The names it has for itself, by pool.
    pub granted: Vec<(String, Vec<String>)>,
}

/// See the module.
#[derive(Debug)]
pub struct Scheduler {
    groups: Vec<Group>,
    cap: usize,
    memory: Option<u64>,
    /// Whether the machine is short of memory just now.
    is_short: bool,
    /// By slot: what runs there.
    running: Vec<Option<Running>>,
    /// The slots below `running`'s length that are free.
    free: BinaryHeap<Reverse<usize>>,
    active: usize,
    started: u64,
    holdings: Holdings,
    locks: Names,
    pools: Names,
    /// What may not start yet.
    delayed: Delayed,
    /// What waits for other jobs.
    edges: Edges,
    rounds: Rounds,
    /// The groups whose first job waits, by their tickets.
    tickets: BTreeMap<u64, usize>,
    last_ticket: u64,
    stopped: bool,
}

#[derive(Debug)]
struct Group {
    workers: usize,
    needs: Vec<usize>,
    queue: Queue,
    /// How many jobs of it are delayed.
    delayed: usize,
    /// How many jobs of it wait for others.
    held: usize,
    /// How many jobs run.
    running: usize,
    /// How many workers those take up.
    taken: usize,
    failed: bool,
    /// Whether nothing of it starts any more.
    stopped: bool,
    /// Whether it may yet fail when its last job is over.
    is_open: bool,
    /// Whether all that it needs has passed.
    is_ready: bool,
    /// Why its jobs will not run: the group that it needs and that failed.
    blocked_by: Option<usize>,
    ticket: Option<u64>,
}

#[derive(Debug)]
struct Running {
    group: usize,
    job: usize,
    claim: Claim,
    memory: u64,
    granted: Vec<(NameNumber, Vec<usize>)>,
    /// The number of its start.
    since: u64,
}

impl Group {
    /// Whether a job of it has not started.
    fn has_more(&self) -> bool {
        !self.queue.is_empty() || self.delayed > 0 || self.held > 0
    }

    fn is_done(&self) -> bool {
        self.running == 0 && (self.stopped || !self.has_more())
    }
}

/// Why a job can't start now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Obstacle {
    /// A lock is held, or a name is used.
    Names,
    /// There are no slots, workers or memory for it.
    Room,
}

impl Scheduler {
    /// A scheduler for a run.
    #[must_use]
    pub fn new(groups: Vec<GroupSpec>, limits: Limits) -> Self {
        let mut pools = Names::default();
        let mut members = Vec::new();
        for pool in limits.pools {
            pools.number(&pool.name);
            members.push(pool.members);
        }
        let mut scheduler = Self {
            groups: Vec::new(),
            cap: limits.slots.max(1),
            memory: limits.memory,
            is_short: false,
            running: Vec::new(),
            free: BinaryHeap::new(),
            active: 0,
            started: 0,
            holdings: Holdings::with_pools(members),
            locks: Names::default(),
            pools,
            delayed: Delayed::default(),
            edges: Edges::default(),
            rounds: Rounds::default(),
            tickets: BTreeMap::new(),
            last_ticket: 0,
            stopped: false,
        };
        for (index, spec) in groups.into_iter().enumerate() {
            scheduler.groups.push(Group {
                workers: spec.workers.max(1),
                is_ready: spec.needs.is_empty(),
                needs: spec.needs,
                queue: Queue::default(),
                delayed: 0,
                held: 0,
                running: 0,
                taken: 0,
                failed: spec.failed,
                stopped: false,
                is_open: false,
                blocked_by: None,
                ticket: None,
            });
            scheduler.queue_all(index, &spec.jobs);
        }
        scheduler
    }

    /// Queues the jobs that a group begins with.
    fn queue_all(&mut self, group: usize, jobs: &[JobSpec]) {
        for job in self.edges.prepare(jobs) {
            if job.after.is_empty() {
                self.queue(group, &job, false);
            } else {
                let state = &mut self.groups[group];
                state.held += 1;
                let place = state.queue.reserve();
                self.edges.hold(group, job, place);
            }
        }
    }

    fn queue(&mut self, group: usize, spec: &JobSpec, in_front: bool) {
        if self.delayed.holds(spec) {
            self.delayed.push(group, spec.clone());
            self.groups[group].delayed += 1;
            return;
        }
        let workers = self.groups[group].workers;
        let claim = claim::claim(spec, self.cap, workers, &mut self.locks, &mut self.pools);
        // A last try is behind all, whenever it comes.
        let in_front = in_front && !spec.last;
        let queue = &mut self.groups[group].queue;
        let place = if in_front {
            queue.reserve_front()
        } else {
            queue.reserve()
        };
        queue.insert(claim, queued(spec), place);
    }

    /// A job is over for which `again` run: queues what waited for it alone.
    fn release(&mut self, group: usize, job: usize, failed: bool, again: &[JobSpec]) {
        let again = again.iter().map(|spec| spec.id);
        let released = self.edges.over(job, failed, again);
        self.groups[group].held -= released.jobs.len() + released.barred.len();
        for (group, spec, place) in released.jobs {
            let workers = self.groups[group].workers;
            let (locks, pools) = (&mut self.locks, &mut self.pools);
            let claim = claim::claim(&spec, self.cap, workers, locks, pools);
            let queue = &mut self.groups[group].queue;
            queue.insert(claim, queued(&spec), place);
        }
    }

    /// The run's time is `now`: jobs that were to wait until then may start, first of all. It never goes back.
    pub fn pass_to(&mut self, now: Duration) {
        for (group, spec) in self.delayed.pass_to(now) {
            self.groups[group].delayed -= 1;
            self.queue(group, &spec, true);
        }
    }

    /// The time at which the next job may start that must wait until then.
    #[must_use]
    pub fn next_due(&self) -> Option<Duration> {
        self.delayed.next_due()
    }

    /// What a free lane of `group` should do.
    pub fn next(&mut self, group: usize) -> Next {
        self.turn();
        self.settle(group);
        let state = &self.groups[group];
        let is_stopped = self.stopped || state.stopped;
        if is_stopped || state.blocked_by.is_some() || state.queue.is_empty() {
            // What still runs may come back to be run again.
            let is_over = state.running == 0 && state.delayed == 0 && state.held == 0;
            let may_be_again = state.blocked_by.is_none() && !is_over;
            let may_come = !is_stopped && (may_be_again || !self.rounds.is_last());
            self.give_back_ticket(group);
            return if may_come { Next::Wait } else { Next::Done };
        }
        if !state.is_ready {
            return Next::Wait;
        }
        let Some(position) = self.admissible(group) else {
            if self.groups[group].ticket.is_none() {
                self.last_ticket += 1;
                self.groups[group].ticket = Some(self.last_ticket);
                self.tickets.insert(self.last_ticket, group);
            }
            return Next::Wait;
        };
        self.start(group, position)
    }

    fn give_back_ticket(&mut self, group: usize) {
        if let Some(ticket) = self.groups[group].ticket.take() {
            self.tickets.remove(&ticket);
        }
    }

    /// The place of the first job of the group's queue that may start now.
    fn admissible(&self, group: usize) -> Option<Position> {
        let mut ahead: Vec<&Claim> = Vec::new();
        let heads = self.groups[group].queue.heads();
        for (position, claim, job) in heads.take(MOST_LOOKS) {
            let is_first = ahead.is_empty();
            // What runs alone comes after the rest: it must not hold up what only waits for a lock.
            if !is_first && claim.zone > 0 {
                return None;
            }
            let is_held = ahead.iter().any(|earlier| earlier.meets(claim));
            let obstacle = if is_held {
                Some(Obstacle::Names)
            } else {
                self.obstacle(group, claim, job.memory, is_first)
            };
            match obstacle {
                None => return Some(position),
                Some(Obstacle::Room) => return None,
                Some(Obstacle::Names) => ahead.push(claim),
            }
        }
        None
    }

    /// What keeps a job from starting: what runs, or a job with an earlier ticket for which something would be missing then.
    fn obstacle(
        &self,
        group: usize,
        claim: &Claim,
        memory: u64,
        is_first: bool,
    ) -> Option<Obstacle> {
        let state = &self.groups[group];
        if self.is_short && self.active > 0 || state.taken + claim.workers > state.workers {
            return Some(Obstacle::Room);
        }
        let mut slots = self.holdings.slots + claim.slots;
        let mut needed = self.holdings.memory.saturating_add(memory);
        // When nothing runs there is nothing to wait for: what needs more memory than there is has it for itself.
        if slots > self.cap || self.active > 0 && !self.fits(needed) {
            return Some(Obstacle::Room);
        }
        if claim.names_any() && !self.holdings.names_are_free(claim) {
            return Some(Obstacle::Names);
        }
        for (ticket, earlier) in &self.tickets {
            if *earlier == group {
                // Its own first job's turn has come, or else that waits for a name and may be overtaken.
                if is_first && state.ticket == Some(*ticket) {
                    break;
                }
                continue;
            }
            let waits = &self.groups[*earlier];
            let Some((_, wanted, job)) = waits.queue.first() else {
                continue;
            };
            if wanted.meets(claim) {
                return Some(Obstacle::Names);
            }
            // Room is kept for one that could start with it, not for one that waits for a name, or for its own group.
            let could_start = self.holdings.names_are_free(wanted)
                && waits.taken + wanted.workers <= waits.workers;
            if could_start {
                slots += wanted.slots;
                needed = needed.saturating_add(job.memory);
                if slots > self.cap || !self.fits(needed) {
                    return Some(Obstacle::Room);
                }
            }
        }
        None
    }

    fn fits(&self, memory: u64) -> bool {
        self.memory.is_none_or(|most| memory <= most)
    }

    fn start(&mut self, group: usize, position: Position) -> Next {
        let state = &mut self.groups[group];
        let is_first = state
            .queue
            .first()
            .is_some_and(|(first, ..)| first == position);
        let Some((claim, job)) = state.queue.take(position) else {
            return Next::Wait;
        };
        state.running += 1;
        state.taken += claim.workers;
        if is_first {
            self.give_back_ticket(group);
        }
        let granted = self.holdings.take(&claim, job.memory);
        let named = granted.iter().map(|(pool, members)| {
            let members = members.iter();
            let members = members.map(|member| self.holdings.member(*pool, *member).to_owned());
            (self.pools.name(*pool).to_owned(), members.collect())
        });
        let named = named.collect();
        self.active += 1;
        self.started += 1;
        let running = Some(Running {
            group,
            job: job.id,
            claim,
            memory: job.memory,
            granted,
            since: self.started,
        });
        let slot = if let Some(Reverse(slot)) = self.free.pop() {
            self.running[slot] = running;
            slot
        } else {
            self.running.push(running);
            self.running.len() - 1
        };
        Next::Run(Start {
            job: job.id,
            round: self.round(),
            slot,
            granted: named,
        })
    }

    /// A job has finished: `slot` is free. `failed` says whether its tests failed for good; jobs `again` are to run in its
    /// place, first of all.
    pub fn finished(&mut self, slot: usize, failed: bool, again: &[JobSpec]) {
        let Some(running) = self.running.get_mut(slot).and_then(Option::take) else {
            return;
        };
        self.free.push(Reverse(slot));
        self.active -= 1;
        self.holdings
            .release(&running.claim, running.memory, &running.granted);
        let state = &mut self.groups[running.group];
        state.running -= 1;
        state.taken -= running.claim.workers;
        state.failed |= failed;
        for job in again.iter().rev() {
            self.queue(running.group, job, true);
        }
        self.release(running.group, running.job, failed, again);
        self.turn();
    }

    /// Whether the machine is short of memory: while it is and something runs, nothing starts.
    pub fn short_of_memory(&mut self, is_short: bool) {
        self.is_short = is_short;
    }

    /// So much memory is there for jobs besides what those that run have taken. Returns whether that is more than was known of.
    pub fn may_take(&mut self, memory: u64) -> bool {
        let is_more = self.memory.is_some_and(|most| memory > most);
        if is_more {
            self.memory = Some(memory);
        }
        is_more
    }

    /// What jobs may be thought to need together now; none is no bound.
    #[must_use]
    pub fn memory(&self) -> Option<u64> {
        self.memory
    }

    /// Whether [`Scheduler::short_of_memory`] said so last.
    #[must_use]
    pub fn is_short_of_memory(&self) -> bool {
        self.is_short
    }

    /// The slot of the job that started last of those that can be stopped, where there is another one to go on: what is stopped
    /// first when memory runs out.
    #[must_use]
    pub fn youngest(&self, can_stop: impl Fn(usize) -> bool) -> Option<usize> {
        if self.active < 2 {
            return None;
        }
        let running = self.running.iter().enumerate();
        let running = running.filter_map(|(slot, running)| Some((slot, running.as_ref()?.since)));
        running
            .filter(|(slot, _)| can_stop(*slot))
            .max_by_key(|(_, since)| *since)
            .map(|(slot, _)| slot)
    }

    /// Whether none of a group's jobs waits to be started.
    #[must_use]
    pub fn is_drained(&self, group: usize) -> bool {
        !self.groups[group].has_more()
    }

    /// A test of a group has failed after its job was over.
    pub fn fail(&mut self, group: usize) {
        self.groups[group].failed = true;
    }

    /// A group may yet fail when its last job is over: those that need it wait until [`Scheduler::close`] is called for it.
    /// In all rounds but the last they don't, since it stays as it is for the next one.
    pub fn keep_open(&mut self, group: usize) {
        self.groups[group].is_open = true;
    }

    /// Nothing can fail any more of a group whose jobs are over.
    pub fn close(&mut self, group: usize) {
        self.groups[group].is_open = false;
    }

    /// Nothing starts any more.
    pub fn stop(&mut self) {
        self.stopped = true;
    }

    /// Nothing of a group starts any more, and it has not passed.
    pub fn stop_group(&mut self, group: usize) {
        let state = &mut self.groups[group];
        state.stopped = true;
        state.failed = true;
        self.give_back_ticket(group);
    }

    /// Whether [`Scheduler::stop`] was called.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Whether [`Scheduler::stop_group`] was called for a group.
    #[must_use]
    pub fn is_group_stopped(&self, group: usize) -> bool {
        self.groups[group].stopped
    }

    /// How many jobs wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        let groups = self.groups.iter();
        groups
            .map(|group| group.queue.len() + group.delayed + group.held)
            .sum()
    }

    /// Whether nothing of a group can come or fail any more, in this round.
    fn is_over(&self, group: usize) -> bool {
        let state = &self.groups[group];
        state.is_done() && !(state.is_open && self.rounds.is_last())
    }

    /// Finds whether what a group needs has passed, has failed, or can't pass any more.
    fn settle(&mut self, group: usize) {
        let state = &self.groups[group];
        if state.is_ready || state.blocked_by.is_some() {
            return;
        }
        let needed = || state.needs.iter().copied();
        let cause = needed().find(|index| {
            let needed = &self.groups[*index];
            needed.blocked_by.is_some() || (needed.failed && self.is_over(*index))
        });
        let is_ready = cause.is_none() && needed().all(|index| self.is_over(index));
        self.groups[group].blocked_by = cause;
        self.groups[group].is_ready = is_ready;
    }
}

#[cfg(test)]
mod tests;
