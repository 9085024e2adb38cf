//! A run that can be changed and run again under a virtual clock.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::record::{Job, Record};
use crate::manifest::model::Order;
use crate::plan::predict::{Begun, Course, MemorySeen, simulate};
use crate::schedule::{After, GroupSpec, JobSpec, Limits, Pool};

/// See the module.
#[derive(Clone, Debug)]
pub struct Scene {
    /// The groups.
    pub groups: Vec<Stage>,
    /// The jobs.
    pub pieces: Vec<Piece>,
    /// What bounds all groups together.
    pub limits: Limits,
    /// What was seen of memory.
    pub seen: Vec<MemorySeen>,
    /// What passes before the first job is handed out, and after all is over.
    pub edges: [f64; 2],
}

/// A group.
#[derive(Clone, Debug)]
pub struct Stage {
    /// The most of its jobs at once.
    pub workers: usize,
    /// The groups that it needs.
    pub needs: Vec<usize>,
    /// The order in which its tests were planned.
    pub order: Order,
    /// What starting its workers took, one by one, without hooks.
    pub starts: Vec<f64>,
    /// What its `before-worker` took, one by one.
    pub before_worker: Vec<f64>,
    /// What each hook around it took.
    pub before_all: f64,
    /// See `before_all`.
    pub after_all: f64,
    /// What a worker's `after-worker` took on average.
    pub after_worker: f64,
    /// Its jobs of the plan, in their order.
    pub queue: Vec<usize>,
}

/// A job.
#[derive(Clone, Debug)]
pub struct Piece {
    /// Its group.
    pub group: usize,
    /// Its repetition of the run, from 1.
    pub round: u32,
    /// The number of its chunk: that of the same job in each repetition.
    pub chunk: usize,
    /// What it claims.
    pub spec: JobSpec,
    /// What it takes before its first test.
    pub start: f64,
    /// What it took to no end, since it was stopped for want of memory and run again by those of `next`; none if it was not.
    pub lost: Option<f64>,
    /// What `before-job` and `after-job` take.
    pub around: [f64; 2],
    /// Its tests, with what each takes.
    pub tests: Vec<(String, f64)>,
    /// What it was predicted to take.
    pub predicted: f64,
    /// Which try it is.
    pub attempt: u32,
    /// Seconds that it waits after the end of the job that made it.
    pub delay: f64,
    /// The jobs that run in its place when it is over.
    pub next: Vec<usize>,
}

impl Piece {
    fn of(job: &Job) -> Self {
        let work = job.work();
        let tests: f64 = job.tests.iter().map(|(_, seconds)| seconds).sum();
        let share = if tests > 0.0 { work / tests } else { 0.0 };
        let tests = job.tests.iter();
        Self {
            group: job.group,
            round: job.round,
            chunk: job.place.chunk,
            spec: job.place.claims.clone(),
            start: job.start(),
            lost: None,
            around: job.around,
            tests: tests
                .map(|(id, seconds)| (id.clone(), seconds * share))
                .collect(),
            predicted: job.place.predicted,
            attempt: job.attempt,
            delay: job.place.delay,
            next: Vec::new(),
        }
    }

    /// What its tests take.
    pub fn work(&self) -> f64 {
        self.tests.iter().map(|(_, seconds)| seconds).sum()
    }

    /// What it takes in all.
    pub fn seconds(&self) -> f64 {
        self.start + self.lost() + self.work() + self.around.iter().sum::<f64>()
    }

    /// What it took to no end.
    pub fn lost(&self) -> f64 {
        self.lost.unwrap_or(0.0)
    }

    /// Whether nothing else of its group may run meanwhile.
    pub fn is_alone(&self) -> bool {
        self.spec.serial || self.spec.exclusive
    }
}

/// How a scene goes.
struct Play<'a> {
    scene: &'a Scene,
    /// When the repetition that goes on began.
    begun: f64,
    /// By group: how many workers it has had.
    workers: Vec<usize>,
    /// By group: when `before-all` is over, if it has begun.
    ready: Vec<Option<f64>>,
    /// By group: when its last job ended.
    ends: Vec<f64>,
    /// By job: when it starts and ends.
    spans: Vec<(f64, f64)>,
}

/// One after the other, and their mean for whatever comes after.
fn nth(list: &[f64], index: usize) -> f64 {
    list.get(index).copied().unwrap_or_else(|| mean(list))
}

#[expect(clippy::cast_precision_loss, reason = "workers are few")]
pub fn mean(list: &[f64]) -> f64 {
    if list.is_empty() {
        return 0.0;
    }
    list.iter().sum::<f64>() / list.len() as f64
}

impl Course for Play<'_> {
    fn takes(&mut self, begun: &Begun<'_>) -> f64 {
        let stage = &self.scene.groups[begun.group];
        let at = self.begun + begun.at;
        let ready = self.ready[begun.group].get_or_insert(at + stage.before_all);
        let mut seconds = (*ready - at).max(0.0);
        // Those of the repetition before are still there.
        let workers = &mut self.workers[begun.group];
        if let Some(worker) = begun.new_worker.filter(|worker| worker >= workers) {
            *workers = worker + 1;
            seconds += nth(&stage.starts, worker) + nth(&stage.before_worker, worker);
        }
        seconds += self.scene.pieces[begun.start.job].seconds();
        self.spans[begun.start.job] = (at, at + seconds);
        seconds
    }

    fn over(&mut self, job: usize, at: f64) -> Vec<JobSpec> {
        let piece = &self.scene.pieces[job];
        self.ends[piece.group] = self.begun + at;
        let next = piece.next.iter().map(|index| {
            let next = &self.scene.pieces[*index];
            let not_before = if next.delay > 0.0 {
                Duration::try_from_secs_f64(at + next.delay).unwrap_or_default()
            } else {
                Duration::ZERO
            };
            JobSpec {
                id: *index,
                not_before,
                ..next.spec.clone()
            }
        });
        next.collect()
    }

    fn memory(&self) -> Vec<MemorySeen> {
        let seen = self.scene.seen.iter().map(|seen| MemorySeen {
            at: seen.at - self.scene.edges[0] - self.begun,
            ..*seen
        });
        seen.collect()
    }
}

impl Scene {
    /// The run as it was.
    pub fn of(record: &Record) -> Self {
        let mut groups: Vec<Stage> = record
            .groups
            .iter()
            .map(|group| Stage {
                workers: group.workers.max(1),
                needs: group.needs.clone(),
                order: group.order,
                starts: Vec::new(),
                before_worker: Vec::new(),
                before_all: group.around[0],
                after_all: group.around[1],
                after_worker: mean(&group.after_worker),
                queue: Vec::new(),
            })
            .collect();
        let mut pieces: Vec<Piece> = record.jobs.iter().map(Piece::of).collect();
        for (pool, number) in pieces.iter_mut().flat_map(|piece| &mut piece.spec.uses) {
            *number = (*number).min(record.pools.get(pool).copied().unwrap_or(0));
        }
        let numbers = record.jobs.iter().enumerate();
        let index: HashMap<usize, usize> =
            numbers.map(|(index, job)| (job.number, index)).collect();
        let mut planned: Vec<(u32, usize, usize)> = Vec::new();
        for (at, job) in record.jobs.iter().enumerate() {
            if job.is_first {
                let stage = &mut groups[job.group];
                stage.starts.push(job.new_worker(&record.groups[job.group]));
                stage.before_worker.push(job.before_worker);
            } else {
                pieces[at].start += job.place.ready;
            }
            match job.place.of.and_then(|of| index.get(&of)) {
                Some(before) => {
                    pieces[*before].next.push(at);
                    if record.jobs[*before].made_room_for(job) {
                        let before = &mut pieces[*before];
                        *before.lost.get_or_insert(0.0) += std::mem::take(&mut before.start);
                    }
                }
                None => planned.push((job.round, job.place.chunk, at)),
            }
        }
        // Jobs wait for jobs of their repetition, which are named by their chunks.
        let places = planned
            .iter()
            .map(|(round, chunk, at)| ((*round, *chunk), *at));
        let places: HashMap<(u32, usize), usize> = places.collect();
        for piece in &mut pieces {
            let round = piece.round;
            for edge in std::mem::take(&mut piece.spec.after) {
                let at = places.get(&(round, edge.job));
                let edge = at.map(|at| After { job: *at, ..edge });
                piece.spec.after.extend(edge);
            }
        }
        planned.sort_unstable();
        for (.., at) in planned {
            groups[pieces[at].group].queue.push(at);
        }
        let mut scene = Self {
            groups,
            pieces,
            limits: Limits {
                slots: record.workers.max(1),
                memory: record.memory,
                pools: record.pools.iter().map(pool).collect(),
            },
            seen: record.seen.clone(),
            edges: [0.0; 2],
        };
        let first = record.jobs.iter().map(Job::handed).reduce(f64::min);
        let mut ends = vec![0.0_f64; record.groups.len()];
        for job in &record.jobs {
            ends[job.group] = ends[job.group].max(job.ended);
        }
        let last = scene.closed(&ends);
        scene.edges = [first.unwrap_or(0.0).max(0.0), (record.wall - last).max(0.0)];
        scene
    }

    /// When all groups are closed whose last jobs end then.
    fn closed(&self, ends: &[f64]) -> f64 {
        let ends = self.groups.iter().zip(ends);
        ends.filter(|(stage, _)| !stage.queue.is_empty())
            .map(|(stage, end)| end + stage.after_worker + stage.after_all)
            .fold(0.0, f64::max)
    }

    /// How long the run takes, and when each job starts and ends since the first was handed out.
    ///
    /// A repetition begins when all of the one before is over.
    pub fn play(&self) -> (f64, Vec<(f64, f64)>) {
        let mut rounds: BTreeMap<u32, Vec<GroupSpec>> = BTreeMap::new();
        let groups = self.groups.iter().map(|stage| GroupSpec {
            workers: stage.workers,
            needs: stage.needs.clone(),
            ..GroupSpec::default()
        });
        let groups: Vec<GroupSpec> = groups.collect();
        for (group, stage) in self.groups.iter().enumerate() {
            for index in &stage.queue {
                let piece = &self.pieces[*index];
                let round = rounds.entry(piece.round).or_insert_with(|| groups.clone());
                round[group].jobs.push(JobSpec {
                    id: *index,
                    ..piece.spec.clone()
                });
            }
        }
        let mut play = Play {
            scene: self,
            begun: 0.0,
            workers: vec![0; self.groups.len()],
            ready: vec![None; self.groups.len()],
            ends: vec![0.0; self.groups.len()],
            spans: vec![(0.0, 0.0); self.pieces.len()],
        };
        for specs in rounds.into_values() {
            play.begun += simulate(specs, self.limits.clone(), &mut play);
        }
        let seconds = self.edges[0] + self.closed(&play.ends) + self.edges[1];
        (seconds, play.spans)
    }

    /// How long the run takes.
    pub fn seconds(&self) -> f64 {
        self.play().0
    }
}

fn pool((name, members): (&String, &usize)) -> Pool {
    Pool {
        name: name.clone(),
        members: (0..*members).map(|member| member.to_string()).collect(),
    }
}
