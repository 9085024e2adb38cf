//! What can make a run longer than its work, and how it is taken away.

use std::collections::BTreeMap;

use serde::Serialize;

use super::record::Record;
use super::scene::{Piece, Scene};
use super::straggler::{cut, main_test, stragglers};
use crate::manifest::config::Hook;

/// A kind of cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Tests that hold a lock one after the other.
    Lock,
    /// Tests that use the same names, one after the other.
    Pool,
    /// Tests that run alone in their group.
    Serial,
    /// Tests that run alone in the run.
    Exclusive,
    /// Tests that take up several workers.
    Slots,
    /// Tests that wait for memory.
    Memory,
    /// Tests that were stopped for want of memory, and run again alone.
    MemoryStops,
    /// Tests that wait until other tests are over.
    After,
    /// A group that waits for others.
    Needs,
    /// A group with fewer workers than the run has.
    GroupWorkers,
    /// What passes before the first test of each chunk.
    ChunkStart,
    /// What starting workers costs.
    WorkerStart,
    /// A hook.
    Hook,
    /// Tests that were run again.
    Retries,
    /// Tests that take long and start late.
    Order,
    /// A test, or a chunk, that takes longer than its share.
    Straggler,
    /// The number of workers.
    Workers,
}

/// One thing that can be taken away.
#[derive(Clone, Debug)]
pub enum Cause {
    /// See [`Kind`]; groups and jobs are indices.
    Lock(String),
    Pool(String),
    Serial(usize),
    Exclusive(usize),
    Slots(usize),
    Memory,
    MemoryStops,
    After(usize),
    Needs(usize),
    GroupWorkers(usize),
    ChunkStart(usize),
    WorkerStart(usize),
    Hook(usize, Hook),
    Retries(usize),
    Order,
    Straggler(usize),
    Workers,
}

/// How many causes are looked into, but for the order and stragglers: each is a run of its own, and more than these can't matter.
const MOST: usize = 40;
/// Fewer seconds than this are not worth a word.
pub const WORTH: f64 = 0.005;

impl Cause {
    /// What a scene has that may cost most. `spans` is when its jobs start and end.
    pub fn all(scene: &Scene, spans: &[(f64, f64)]) -> Vec<Self> {
        let mut all = of_names(scene);
        let any = |is_so: fn(&Piece) -> bool| scene.pieces.iter().any(is_so);
        let is_bound = scene.limits.memory.is_some() && any(|piece| piece.spec.memory > 0);
        if is_bound || scene.seen.iter().any(|seen| seen.short) {
            all.push((f64::INFINITY, Self::Memory));
        }
        if any(|piece| piece.lost.is_some()) {
            all.push((f64::INFINITY, Self::MemoryStops));
        }
        for (group, sums) in sums(scene, spans).into_iter().enumerate() {
            let stage = &scene.groups[group];
            all.push((sums.serial, Self::Serial(group)));
            all.push((sums.exclusive, Self::Exclusive(group)));
            all.push((sums.slots, Self::Slots(group)));
            all.push((sums.after, Self::After(group)));
            all.push((sums.retries, Self::Retries(group)));
            all.push((sums.start, Self::ChunkStart(group)));
            all.push((stage.starts.iter().sum(), Self::WorkerStart(group)));
            if !stage.needs.is_empty() {
                all.push((sums.begun, Self::Needs(group)));
            }
            // A group with as many workers as jobs needs no more.
            if stage.workers < scene.limits.slots && stage.workers < stage.queue.len() {
                all.push((sums.work, Self::GroupWorkers(group)));
            }
            for hook in Hook::ALL {
                let seconds = match hook {
                    Hook::BeforeAll => stage.before_all,
                    Hook::AfterAll => stage.after_all,
                    Hook::BeforeWorker => stage.before_worker.iter().sum(),
                    Hook::AfterWorker => stage.after_worker,
                    Hook::BeforeJob => sums.around[0],
                    Hook::AfterJob => sums.around[1],
                };
                all.push((seconds, Self::Hook(group, hook)));
            }
        }
        all.retain(|(seconds, _)| *seconds >= WORTH);
        all.sort_by(|a, b| b.0.total_cmp(&a.0));
        all.truncate(MOST);
        let mut all: Vec<Self> = all.into_iter().map(|(_, cause)| cause).collect();
        all.push(Self::Order);
        all.extend(stragglers(scene, spans).into_iter().map(Self::Straggler));
        all
    }

    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Lock(_) => Kind::Lock,
            Self::Pool(_) => Kind::Pool,
            Self::Serial(_) => Kind::Serial,
            Self::Exclusive(_) => Kind::Exclusive,
            Self::Slots(_) => Kind::Slots,
            Self::Memory => Kind::Memory,
            Self::MemoryStops => Kind::MemoryStops,
            Self::After(_) => Kind::After,
            Self::Needs(_) => Kind::Needs,
            Self::GroupWorkers(_) => Kind::GroupWorkers,
            Self::ChunkStart(_) => Kind::ChunkStart,
            Self::WorkerStart(_) => Kind::WorkerStart,
            Self::Hook(..) => Kind::Hook,
            Self::Retries(_) => Kind::Retries,
            Self::Order => Kind::Order,
            Self::Straggler(_) => Kind::Straggler,
            Self::Workers => Kind::Workers,
        }
    }

    /// The group that it is of, if it is of one.
    pub fn group(&self, scene: &Scene) -> Option<usize> {
        match self {
            Self::Lock(_)
            | Self::Pool(_)
            | Self::Memory
            | Self::MemoryStops
            | Self::Order
            | Self::Workers => None,
            Self::Straggler(job) => Some(scene.pieces[*job].group),
            Self::Serial(group)
            | Self::Exclusive(group)
            | Self::Slots(group)
            | Self::After(group)
            | Self::Needs(group)
            | Self::GroupWorkers(group)
            | Self::ChunkStart(group)
            | Self::WorkerStart(group)
            | Self::Hook(group, _)
            | Self::Retries(group) => Some(*group),
        }
    }

    /// The jobs that it is about, by index.
    pub fn jobs(&self, scene: &Scene) -> Vec<usize> {
        let concerns = |piece: &Piece| match self {
            Self::Lock(name) => piece.spec.locks.iter().any(|lock| lock.name == *name),
            Self::Pool(name) => piece.spec.uses.iter().any(|(pool, _)| pool == name),
            Self::MemoryStops => piece.lost.is_some(),
            Self::Serial(group) => piece.group == *group && piece.spec.serial,
            Self::Exclusive(group) => piece.group == *group && piece.spec.exclusive,
            Self::Slots(group) => piece.group == *group && piece.spec.slots > 1,
            Self::After(group) => piece.group == *group && !piece.spec.after.is_empty(),
            Self::Retries(group) => piece.group == *group && piece.attempt > 1,
            Self::ChunkStart(group) => piece.group == *group && piece.start > 0.0,
            _ => false,
        };
        let pieces = scene.pieces.iter().enumerate();
        let jobs = pieces.filter(|(_, piece)| concerns(piece));
        let mut jobs: Vec<usize> = jobs.map(|(index, _)| index).collect();
        if let Self::Straggler(job) = self {
            jobs.extend(scene.in_each_round(*job));
        }
        jobs
    }

    /// Takes it away.
    pub fn remove(&self, scene: &mut Scene) {
        match self {
            Self::Lock(name) => each(scene, |piece| {
                piece.spec.locks.retain(|lock| lock.name != *name);
            }),
            Self::Pool(name) => each(scene, |piece| {
                piece.spec.uses.retain(|(pool, _)| pool != name);
            }),
            Self::Memory => {
                scene.limits.memory = None;
                scene.seen.clear();
            }
            Self::MemoryStops => {
                for job in self.jobs(scene) {
                    scene.let_go_on(job);
                }
            }
            Self::Serial(group) | Self::Exclusive(group) => {
                let jobs = self.jobs(scene);
                let is_serial = matches!(self, Self::Serial(_));
                for job in &jobs {
                    let spec = &mut scene.pieces[*job].spec;
                    if is_serial {
                        spec.serial = false;
                    } else {
                        spec.exclusive = false;
                    }
                }
                scene.replan(*group, &jobs);
            }
            Self::Slots(group) => of_group(scene, *group, |piece| piece.spec.slots = 1),
            Self::After(group) => of_group(scene, *group, |piece| piece.spec.after.clear()),
            Self::Needs(group) => scene.groups[*group].needs.clear(),
            Self::GroupWorkers(group) => scene.groups[*group].workers = scene.limits.slots,
            Self::ChunkStart(group) => of_group(scene, *group, |piece| piece.start = 0.0),
            Self::WorkerStart(group) => {
                let starts = &mut scene.groups[*group].starts;
                starts.fill(0.0);
            }
            Self::Hook(group, hook) => {
                let stage = &mut scene.groups[*group];
                match hook {
                    Hook::BeforeAll => stage.before_all = 0.0,
                    Hook::AfterAll => stage.after_all = 0.0,
                    Hook::AfterWorker => stage.after_worker = 0.0,
                    Hook::BeforeWorker => {
                        let hooks = &mut stage.before_worker;
                        hooks.fill(0.0);
                    }
                    Hook::BeforeJob => of_group(scene, *group, |piece| piece.around[0] = 0.0),
                    Hook::AfterJob => of_group(scene, *group, |piece| piece.around[1] = 0.0),
                }
            }
            Self::Retries(_) => {
                for job in self.jobs(scene) {
                    scene.drop_job(job);
                }
            }
            Self::Order => {
                let pieces = &scene.pieces;
                for stage in &mut scene.groups {
                    let seconds = |index: &usize| pieces[*index].seconds();
                    stage
                        .queue
                        .sort_by(|a, b| seconds(b).total_cmp(&seconds(a)));
                }
            }
            Self::Straggler(_) => {
                for job in self.jobs(scene) {
                    cut(scene, job);
                }
            }
            Self::Workers => {
                let slots = scene.limits.slots;
                for stage in &mut scene.groups {
                    stage.workers += usize::from(stage.workers >= slots.min(stage.queue.len()));
                }
                scene.limits.slots += 1;
            }
        }
    }

    /// A scene in which a straggler is not there at all.
    pub fn without(&self, scene: &Scene) -> Option<Scene> {
        let Self::Straggler(_) = self else {
            return None;
        };
        let mut scene = scene.clone();
        for job in self.jobs(&scene) {
            match main_test(&scene.pieces[job]) {
                Some(test) if scene.pieces[job].tests.len() > 1 => {
                    scene.pieces[job].tests.remove(test);
                }
                _ => scene.drop_job(job),
            }
        }
        Some(scene)
    }

    /// The test that a straggler is, where it is one and not a whole chunk.
    pub fn test<'a>(&self, scene: &'a Scene) -> Option<&'a str> {
        let Self::Straggler(job) = self else {
            return None;
        };
        let piece = &scene.pieces[*job];
        main_test(piece).map(|test| piece.tests[test].0.as_str())
    }
}

/// The locks and pools, each with how long it is held in all.
fn of_names(scene: &Scene) -> Vec<(f64, Cause)> {
    let mut locks: BTreeMap<&str, f64> = BTreeMap::new();
    let mut pools: BTreeMap<&str, f64> = BTreeMap::new();
    for piece in &scene.pieces {
        for lock in &piece.spec.locks {
            *locks.entry(&lock.name).or_default() += piece.seconds();
        }
        for (pool, _) in &piece.spec.uses {
            *pools.entry(pool).or_default() += piece.seconds();
        }
    }
    let locks = locks.into_iter();
    let locks = locks.map(|(name, seconds)| (seconds, Cause::Lock(name.to_owned())));
    let pools = pools.into_iter();
    let pools = pools.map(|(name, seconds)| (seconds, Cause::Pool(name.to_owned())));
    locks.chain(pools).collect()
}

/// What jobs of a group take that are of some kind.
#[derive(Clone, Debug, Default)]
struct Sums {
    serial: f64,
    exclusive: f64,
    slots: f64,
    after: f64,
    retries: f64,
    start: f64,
    around: [f64; 2],
    work: f64,
    /// When the first of them began.
    begun: f64,
}

fn sums(scene: &Scene, spans: &[(f64, f64)]) -> Vec<Sums> {
    let new = Sums {
        begun: f64::INFINITY,
        ..Sums::default()
    };
    let mut all = vec![new; scene.groups.len()];
    for (piece, (begun, _)) in scene.pieces.iter().zip(spans) {
        let sums = &mut all[piece.group];
        let seconds = piece.seconds();
        let add = |is_so: bool, to: &mut f64| *to += if is_so { seconds } else { 0.0 };
        add(piece.spec.serial, &mut sums.serial);
        add(piece.spec.exclusive, &mut sums.exclusive);
        add(piece.spec.slots > 1, &mut sums.slots);
        add(!piece.spec.after.is_empty(), &mut sums.after);
        add(piece.attempt > 1, &mut sums.retries);
        add(true, &mut sums.work);
        sums.start += piece.start;
        sums.around[0] += piece.around[0];
        sums.around[1] += piece.around[1];
        sums.begun = sums.begun.min(*begun);
    }
    all
}

fn each(scene: &mut Scene, what: impl Fn(&mut Piece)) {
    scene.pieces.iter_mut().for_each(what);
}

fn of_group(scene: &mut Scene, group: usize, what: impl Fn(&mut Piece)) {
    let pieces = scene.pieces.iter_mut();
    pieces.filter(|piece| piece.group == group).for_each(what);
}

/// Whether another worker would find a processor: what the jobs used of them, and a worker's share more. Starting a job costs
/// its worker some time too, which is not in the job's own.
pub fn has_room(record: &Record) -> bool {
    const MOST: f64 = 0.9;
    const A_JOB: f64 = 0.002;
    let cpu: f64 = record.jobs.iter().map(|job| A_JOB + job.cpu).sum();
    let busy = cpu / record.wall.max(f64::EPSILON);
    #[expect(clippy::cast_precision_loss, reason = "processors and workers are few")]
    let (cores, workers) = (record.cores as f64, record.workers.max(1) as f64);
    record.cores > 0 && busy + busy / workers <= cores * MOST
}
