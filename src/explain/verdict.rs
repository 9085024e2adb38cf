//! What a run's time went to, in numbers.
//!
//! What something costs is what the run takes less without it. Of the time above the lower bound everything has a share that is
//! counted twice, once with the causes taken away one after the other and once in the opposite order, and halved: so two that
//! hide each other, as a lock among tests that are serial too, both have theirs, and the shares add up. The order and stragglers
//! have shares only where they cost something by themselves: else it is chance whether another order is better.

use std::collections::HashSet;

use serde::Serialize;

use super::cause::{Cause, Kind, WORTH, has_room};
use super::record::Record;
use super::scene::Scene;
use super::straggler::parts;
use crate::event::Wait;

/// How many changes are named.
const CHANGES: usize = 3;
/// A change must save this part of the run to be named.
const SAVES: f64 = 0.01;

/// What a run's time went to. All times are in seconds.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// The run's id.
    pub run: String,
    /// Whether it went to its end; else only what was over is explained.
    pub complete: bool,
    /// How long it took.
    pub wall: f64,
    /// How long listing took before that.
    pub listing: f64,
    /// How long the same jobs take in the simulation: what all savings are counted from.
    pub replayed: f64,
    /// The most jobs at once.
    pub workers: usize,
    /// How many processors there were.
    pub cores: usize,
    /// What the tests took together, each once.
    pub tests: f64,
    /// The least that a run of these tests takes on so many workers: their time divided by the workers.
    pub bound: f64,
    /// What the time above the bound went to, the largest part first; they add up.
    pub went: Vec<Part>,
    /// All that could be taken away, what saves most first.
    pub findings: Vec<Finding>,
    /// How many of them are changes worth naming.
    pub changes: usize,
    /// For how long workers had nothing to do before a job, by what they waited for.
    pub waits: Vec<Wait>,
}

/// A part of the time above the bound.
#[derive(Clone, Debug, Serialize)]
pub struct Part {
    /// How much.
    pub seconds: f64,
    /// The place of its cause among the findings; none where it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finding: Option<usize>,
    /// What for, where it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other: Option<&'static str>,
}

/// Something that could be taken away.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// What kind of thing.
    pub kind: Kind,
    /// What the run would take less without it: a straggler is cut into parts.
    pub saves: f64,
    /// What it would take less if a straggler were not there at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub without: Option<f64>,
    /// Into how many parts a straggler is cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parts: Option<usize>,
    /// The lock, the pool, or the hook.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// How many jobs it is about; 0 where it is about none.
    pub jobs: usize,
    /// What these take: without their hooks, or only their starts where it is about those.
    pub seconds: f64,
    /// Their tests.
    pub tests: Vec<String>,
}

impl Explanation {
    /// Explains a run.
    #[must_use]
    pub fn of(record: &Record) -> Self {
        let scene = Scene::of(record);
        let (base, spans) = scene.play();
        let mut causes = Cause::all(&scene, &spans);
        let workers = record.workers.max(1);
        let tests: f64 = scene
            .pieces
            .iter()
            .filter(|piece| piece.attempt <= 1)
            .map(super::scene::Piece::work)
            .fold(0.0, |sum, seconds| sum + seconds);
        #[expect(clippy::cast_precision_loss, reason = "workers are few")]
        let bound = tests / workers as f64;
        let alone = |cause: &Cause| {
            let mut scene = scene.clone();
            cause.remove(&mut scene);
            base - scene.seconds()
        };
        let least = WORTH.max(SAVES * record.wall);
        causes.retain(|cause| match cause.kind() {
            Kind::Order | Kind::Straggler => alone(cause) >= least,
            _ => true,
        });
        let shares = shares(&scene, &causes, base);
        let ideal = base - shares.iter().sum::<f64>();
        if has_room(record) {
            causes.push(Cause::Workers);
        }
        let mut findings: Vec<(Finding, Option<f64>)> = causes
            .iter()
            .enumerate()
            .map(|(index, cause)| {
                let finding = finding(record, &scene, cause, base);
                (finding, shares.get(index).copied())
            })
            .collect();
        findings.sort_by(|a, b| b.0.saves.total_cmp(&a.0.saves));
        let edges: f64 = scene.edges.iter().sum();
        let mut went = Vec::new();
        let mut small = 0.0;
        for (index, (_, share)) in findings.iter().enumerate() {
            let share = share.unwrap_or(0.0);
            if share < WORTH {
                small += share;
                continue;
            }
            went.push(Part {
                seconds: share,
                finding: Some(index),
                other: None,
            });
        }
        let other = |seconds: f64, what| Part {
            seconds,
            finding: None,
            other: Some(what),
        };
        went.push(other(
            ideal - edges - bound + small,
            "tests that do not divide evenly among the workers",
        ));
        went.push(other(
            record.wall - base + edges,
            "orchestrate itself: before the first job, between jobs, after the last",
        ));
        went.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        let is_worth = |finding: &&(Finding, Option<f64>)| finding.0.saves >= least;
        Self {
            run: record.run.clone(),
            complete: record.is_over,
            wall: record.wall,
            listing: record.listing,
            replayed: base,
            workers,
            cores: record.cores,
            tests,
            bound,
            went,
            changes: findings.iter().take(CHANGES).take_while(is_worth).count(),
            findings: findings.into_iter().map(|(finding, _)| finding).collect(),
            waits: record.waits(),
        }
    }
}

/// What of the run's time each cause has; see the module.
fn shares(scene: &Scene, causes: &[Cause], base: f64) -> Vec<f64> {
    let mut shares = vec![0.0; causes.len()];
    let forward: Vec<usize> = (0..causes.len()).collect();
    let backward: Vec<usize> = forward.iter().rev().copied().collect();
    for order in [forward, backward] {
        let mut scene = scene.clone();
        let mut before = base;
        for index in order {
            causes[index].remove(&mut scene);
            let after = scene.seconds();
            shares[index] += (before - after) / 2.0;
            before = after;
        }
    }
    shares
}

fn finding(record: &Record, scene: &Scene, cause: &Cause, base: f64) -> Finding {
    let mut changed = scene.clone();
    cause.remove(&mut changed);
    let jobs = cause.jobs(scene);
    let pieces = || jobs.iter().map(|job| &scene.pieces[*job]);
    let seconds = pieces().map(|piece| match cause.kind() {
        Kind::ChunkStart => piece.start,
        Kind::MemoryStops => piece.lost(),
        _ => piece.start + piece.work(),
    });
    let tests = match cause.test(scene) {
        Some(test) => vec![test.to_owned()],
        None => {
            let tests = pieces().flat_map(|piece| piece.tests.iter().map(|(id, _)| id));
            // One that ran in each repetition, or several times, is one test.
            let mut known = HashSet::new();
            tests.filter(|id| known.insert(*id)).cloned().collect()
        }
    };
    Finding {
        kind: cause.kind(),
        saves: base - changed.seconds(),
        without: cause.without(scene).map(|scene| base - scene.seconds()),
        parts: match cause {
            Cause::Straggler(job) => Some(parts(scene, *job)),
            _ => None,
        },
        name: match cause {
            Cause::Lock(name) | Cause::Pool(name) => Some(name.clone()),
            Cause::Hook(_, hook) => Some(hook.key().to_owned()),
            _ => None,
        },
        group: cause
            .group(scene)
            .map(|group| record.groups[group].name.clone()),
        jobs: jobs.len(),
        seconds: seconds.fold(0.0, |sum, seconds| sum + seconds),
        tests,
    }
}
