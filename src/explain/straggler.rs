//! Stragglers: which jobs may be some, and how one is cut.

use std::collections::BTreeSet;

use super::scene::{Piece, Scene};

/// How many stragglers are looked at.
const STRAGGLERS: usize = 3;

/// The test that takes most of a job's time, if one does.
pub fn main_test(piece: &Piece) -> Option<usize> {
    let tests = piece.tests.iter().enumerate();
    let (index, (_, seconds)) = tests.max_by(|a, b| a.1.1.total_cmp(&b.1.1))?;
    (*seconds * 2.0 > piece.work()).then_some(index)
}

/// Into how many parts a straggler is cut.
pub fn parts(scene: &Scene, job: usize) -> usize {
    let stage = &scene.groups[scene.pieces[job].group];
    stage.workers.min(scene.limits.slots).max(2)
}

/// Cuts a straggler: a chunk by its tests, a test into equal parts.
pub fn cut(scene: &mut Scene, job: usize) {
    let Some(main) = main_test(&scene.pieces[job]) else {
        scene.recut(job);
        return;
    };
    let parts = parts(scene, job);
    let mut rest = scene.pieces[job].tests.clone();
    let (id, seconds) = rest.remove(main);
    #[expect(clippy::cast_precision_loss, reason = "workers are few")]
    let part = vec![(id, seconds / parts as f64)];
    let mut lists = vec![part; parts];
    if !rest.is_empty() {
        lists.push(rest);
    }
    scene.part(job, lists);
}

/// The longest jobs, and the one that ends last; each once, in however many repetitions it is.
pub fn stragglers(scene: &Scene, spans: &[(f64, f64)]) -> Vec<usize> {
    let mut jobs: Vec<usize> = (0..scene.pieces.len()).collect();
    let last = jobs.iter().copied();
    let last = last.max_by(|a, b| spans[*a].1.total_cmp(&spans[*b].1));
    let seconds = |job: &usize| scene.pieces[*job].seconds();
    jobs.sort_by(|a, b| seconds(b).total_cmp(&seconds(a)));
    let chunk = |job: &usize| scene.pieces[*job].chunk;
    let mut chunks = BTreeSet::new();
    jobs.retain(|job| chunks.len() < STRAGGLERS && chunks.insert(chunk(job)));
    jobs.extend(last.filter(|last| !chunks.contains(&chunk(last))));
    jobs
}
