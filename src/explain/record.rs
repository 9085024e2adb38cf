//! What is known of a run from its events.

use std::collections::{BTreeMap, HashMap};

use crate::event::{Event, GroupStarted, Line, Placement, TestFinished, Wait};
use crate::manifest::config::Hook;
use crate::manifest::model::{Order, Workers};
use crate::plan::predict::MemorySeen;

/// What a journal says may be anything: no more workers, and names in a pool, than this are believed.
const MOST: usize = Workers::MOST as usize;

/// A run that is over, or as far as it came.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// Its id.
    pub run: String,
    /// How long it took, in seconds: to its last event, if its end is not known.
    pub wall: f64,
    /// How long listing took before.
    pub listing: f64,
    /// The most jobs at once.
    pub workers: usize,
    /// How many processors there were; 0 is not known.
    pub cores: usize,
    /// The memory that jobs might be thought to need together.
    pub memory: Option<u64>,
    /// What was seen of memory while it ran.
    pub seen: Vec<MemorySeen>,
    /// How many names each pool has.
    pub pools: BTreeMap<String, usize>,
    /// Its groups.
    pub groups: Vec<Group>,
    /// Its jobs that are over, in the order of their start.
    pub jobs: Vec<Job>,
    /// Whether its end is known.
    pub is_over: bool,
    /// The repetition that goes on, from 1.
    round: u32,
    /// Jobs that are not over, by number.
    open: HashMap<usize, Job>,
    /// The last job that a test was in, and its place there, by repetition.
    job_of: HashMap<(u32, String), (usize, usize)>,
    /// The last job of each worker of a group, by process id and by slot.
    last: HashMap<(usize, u32), usize>,
    slots: HashMap<(usize, usize), usize>,
    /// Tests that are inside an item, and which.
    inside: HashMap<String, String>,
    /// What `before-worker` took of workers that have no job yet.
    prepared: HashMap<(usize, u32), f64>,
}

/// A group that ran.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// The most of its jobs at once.
    pub workers: usize,
    /// The order in which its tests were planned to start.
    pub order: Order,
    /// The groups that had to pass before, by index.
    pub needs: Vec<usize>,
    /// What its `before-all` and `after-all` took.
    pub around: [f64; 2],
    /// When its `before-all` was over.
    pub ready_at: f64,
    /// What its workers' `after-worker` took, one by one.
    pub after_worker: Vec<f64>,
}

/// A job that ran.
#[derive(Clone, Debug, Default)]
pub struct Job {
    /// Its number in the run, from 1.
    pub number: usize,
    /// Its group, by index.
    pub group: usize,
    /// Which try it was, from 1.
    pub attempt: u32,
    /// When it began and ended, in seconds since the run began.
    pub begun: f64,
    /// See `begun`.
    pub ended: f64,
    /// In which repetition of the run it ran, from 1.
    pub round: u32,
    /// Where it ran.
    pub place: Placement,
    /// Whether it was its worker's first.
    pub is_first: bool,
    /// What `before-worker` took, if it was.
    pub before_worker: f64,
    /// What `before-job` and `after-job` took.
    pub around: [f64; 2],
    /// What its process took.
    pub seconds: f64,
    /// Its processor time.
    pub cpu: f64,
    /// The tests that it had, each with what it took as far as that is known.
    pub tests: Vec<(String, f64)>,
}

impl Record {
    /// What a run's events tell.
    #[must_use]
    pub fn of(events: impl Iterator<Item = Line>) -> Self {
        let mut record = Self {
            round: 1,
            ..Self::default()
        };
        for Line { at, event, .. } in events {
            record.wall = record.wall.max(at);
            record.take(at, event);
        }
        record.jobs.sort_by_key(|job| job.number);
        record.seen.sort_by(|a, b| a.at.total_cmp(&b.at));
        record
    }

    fn take(&mut self, at: f64, event: Event) {
        match event {
            // Jobs are of the groups of the first beginning.
            Event::RunStarted { .. } if !self.groups.is_empty() => {}
            Event::RunStarted {
                run,
                groups,
                workers,
                prepared,
                cores,
                memory,
                pools,
                ..
            } => {
                self.groups = taken(&groups);
                (self.run, self.listing, self.workers) = (run, prepared, workers.min(MOST));
                (self.cores, self.memory, self.pools) = (cores, memory, pools);
                self.pools
                    .values_mut()
                    .for_each(|size| *size = (*size).min(MOST));
            }
            Event::JobStarted {
                job: number,
                group,
                worker,
                pid,
                attempt,
                tests,
                placement,
            } => {
                let Some(group) = self.group(&group) else {
                    return;
                };
                for (at, test) in tests.iter().enumerate() {
                    self.job_of.insert((self.round, test.clone()), (number, at));
                }
                self.slots.insert((group, worker), number);
                let is_first = self.last.insert((group, pid), number).is_none();
                let job = Job {
                    number,
                    group,
                    attempt,
                    begun: at,
                    round: self.round,
                    place: placement,
                    is_first,
                    before_worker: self.prepared.remove(&(group, pid)).unwrap_or(0.0),
                    tests: tests.into_iter().map(|test| (test, 0.0)).collect(),
                    ..Job::default()
                };
                self.open.insert(number, job);
            }
            Event::RepetitionStarted { repetition, .. } => self.round = repetition,
            Event::MemoryChanged { short, memory } => self.seen.push(MemorySeen {
                at,
                short,
                most: memory,
            }),
            Event::JobFinished {
                job, seconds, cpu, ..
            } => {
                if let Some(mut job) = self.open.remove(&job) {
                    (job.ended, job.seconds, job.cpu) = (at, seconds, cpu);
                    self.jobs.push(job);
                }
            }
            Event::TestsFound {
                of: Some(of),
                tests,
                ..
            } => {
                let inside = tests.into_iter().map(|test| (test, of.clone()));
                self.inside.extend(inside);
            }
            Event::TestFinished(test) | Event::TestRetried(test) => self.test(&test),
            Event::HookFinished {
                hook,
                group,
                pid,
                of: None,
                seconds,
                ..
            } => self.hook(at, hook, &group, pid, seconds),
            Event::RunFinished { seconds, .. } => {
                self.wall = seconds;
                self.is_over = true;
            }
            _ => {}
        }
    }

    fn group(&self, name: &str) -> Option<usize> {
        self.groups.iter().position(|group| group.name == name)
    }

    /// A job, be it over or not: a last result may be told only when the next job has begun.
    fn job(&mut self, number: usize) -> Option<&mut Job> {
        if self.open.contains_key(&number) {
            return self.open.get_mut(&number);
        }
        self.jobs.iter_mut().rev().find(|job| job.number == number)
    }

    fn test(&mut self, test: &TestFinished) {
        let Some(worker) = test.worker else { return };
        let id = self.inside.get(&test.id).unwrap_or(&test.id).clone();
        // A last result may be told only when the next repetition has begun.
        let key = (test.repetition, id);
        if let Some((number, at)) = self.job_of.get(&key).copied() {
            let of = self.job(number).and_then(|job| job.tests.get_mut(at));
            if let Some((_, seconds)) = of {
                *seconds += test.seconds;
            }
            return;
        }
        // What was not listed is in the job that its worker has.
        let group = self.group(&test.group);
        let number = group.and_then(|group| self.slots.get(&(group, worker)).copied());
        if let Some(job) = number.and_then(|number| self.job(number)) {
            let place = (job.number, job.tests.len());
            job.tests.push((key.1.clone(), test.seconds));
            self.job_of.insert(key, place);
        }
    }

    fn hook(&mut self, at: f64, hook: Hook, group: &str, pid: Option<u32>, seconds: f64) {
        let Some(index) = self.group(group) else {
            return;
        };
        let key = (index, pid.unwrap_or(0));
        match hook {
            Hook::BeforeAll => {
                self.groups[index].around[0] += seconds;
                self.groups[index].ready_at = at;
            }
            Hook::AfterAll => self.groups[index].around[1] += seconds,
            Hook::BeforeWorker => *self.prepared.entry(key).or_default() += seconds,
            Hook::AfterWorker => self.groups[index].after_worker.push(seconds),
            Hook::BeforeJob | Hook::AfterJob => {
                let number = self.last.get(&key).copied();
                if let Some(job) = number.and_then(|number| self.job(number)) {
                    job.around[usize::from(hook == Hook::AfterJob)] += seconds;
                }
            }
        }
    }
}

fn taken(groups: &[GroupStarted]) -> Vec<Group> {
    let index = |name: &String| groups.iter().position(|group| group.name == *name);
    let taken = groups.iter().map(|group| Group {
        name: group.name.clone(),
        workers: group.workers.min(MOST),
        order: group.order,
        needs: group.needs.iter().filter_map(index).collect(),
        ..Group::default()
    });
    taken.collect()
}

impl Job {
    /// When it was handed to its worker.
    #[must_use]
    pub fn handed(&self) -> f64 {
        self.begun - self.place.ready
    }

    /// What its tests took together, as a part of what it took itself: they may have run side by side.
    #[must_use]
    pub fn work(&self) -> f64 {
        let tests: f64 = self.tests.iter().map(|(_, seconds)| seconds).sum();
        tests.min(self.seconds)
    }

    /// What it took besides its tests and hooks: its process, and what that does before its first test.
    #[must_use]
    pub fn start(&self) -> f64 {
        let hooks: f64 = self.around.iter().sum();
        (self.ended - self.begun - hooks - self.work()).max(0.0)
    }

    /// Whether it was stopped so that others had its memory, or ended for want of it beside others, where `next` was run in its
    /// place: the same try, alone.
    #[must_use]
    pub fn made_room_for(&self, next: &Self) -> bool {
        let claims = (&self.place.claims, &next.place.claims);
        next.attempt == self.attempt
            && next.place.of == Some(self.number)
            && claims.1.last
            && !claims.0.last
    }

    /// What making its worker ready took, without hooks and without waiting for `before-all`.
    #[must_use]
    pub fn new_worker(&self, group: &Group) -> f64 {
        if group.around[0] <= 0.0 {
            return (self.place.ready - self.before_worker).max(0.0);
        }
        let waited = (group.ready_at - self.handed()).clamp(0.0, self.place.ready);
        (self.place.ready - waited - self.before_worker).max(0.0)
    }
}

impl Record {
    /// For how long workers had nothing to do, by what they waited for, the longest first.
    #[must_use]
    pub fn waits(&self) -> Vec<Wait> {
        let mut waits = Vec::new();
        for wait in self.jobs.iter().flat_map(|job| &job.place.waited) {
            wait.clone().add(&mut waits);
        }
        waits.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        waits
    }
}
