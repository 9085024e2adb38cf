//! Shapes of chunks, and which of them is best.
//!
//! Three ways to cut the same work: one piece a chunk; by factoring, where a chunk closes at a share of what is left, so that
//! they get smaller toward the end (Hummel, Schonberg, Flynn 1992); exactly one packed bin a worker, the largest pieces first
//! (LPT, Graham 1969). The first is best where starting a chunk is free, the last where that is dear, the second between them.
//! Each is tried against the very scheduler, with durations that are off by as much as they usually are; the best one is taken.
//! A shape that keeps modules whole is taken where it loses nothing: their fixtures are set up once then.

use super::predict::makespan;
use super::random::Random;

/// What can't be cut: a test, or tests that belong together.
#[derive(Clone, Copy, Debug)]
pub struct Piece {
    /// What it is thought to take.
    pub seconds: f64,
    /// How far off that may be, as the deviation of its logarithm.
    pub spread: f64,
    /// Its module.
    pub module: usize,
    /// Whether it failed last time.
    pub failed: bool,
}

/// What a shape must fit.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// How many chunks run at once.
    pub workers: usize,
    /// What starting one costs, in seconds.
    pub start: f64,
    /// Whether a chunk may hold pieces of several modules.
    pub mixes: bool,
    /// Whether the pieces are in an order that must stay.
    pub is_ordered: bool,
    /// Whether modules stay whole whatever is predicted: a module is cut only where it is larger than a worker's share.
    pub keeps_modules: bool,
}

/// Chunks, by the indices of their pieces.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// The chunks, in the order in which they start.
    pub chunks: Vec<Vec<usize>>,
    /// What they are predicted to take.
    pub seconds: f64,
}

/// How much of what is left for a worker a chunk takes, when chunks are factored. A half is what the literature proves; more
/// is better where a start costs much, and durations are known well.
const SHARES: [f64; 4] = [0.5, 0.67, 0.8, 0.9];
/// The least that a factored chunk holds, in starts: smaller ones would cost more than they mend.
const LEAST: [f64; 3] = [0.0, 1.0, 4.0];
/// Keeping modules whole may cost this much, as a factor: less than what predictions are off by.
const NOTHING: f64 = 1.01;

/// The best shape for pieces in the order of their listing.
#[must_use]
pub fn best(pieces: &[Piece], frame: Frame) -> Shape {
    let draws = draws(pieces);
    let mut shapes: Vec<(Shape, bool)> = Vec::new();
    let mut consider = |chunks: Vec<Vec<usize>>, is_whole: bool| {
        let chunks = in_order(chunks, pieces, frame.is_ordered);
        let seconds = predict(&chunks, &draws, frame);
        shapes.push((Shape { chunks, seconds }, is_whole));
    };
    let total: f64 = pieces.iter().map(|piece| piece.seconds).sum();
    let modules = modules(pieces, frame.is_ordered);
    let are_modules = modules.len() < pieces.len();
    #[expect(clippy::cast_precision_loss, reason = "pieces are counted")]
    let starts = frame.start * pieces.len() as f64;
    // Where starts are free nothing beats single pieces; where they cost more than the work, anything does.
    if starts <= total {
        let single = (0..pieces.len()).map(|piece| vec![piece]).collect();
        consider(single, !are_modules);
    }
    if frame.start > 0.0 || are_modules {
        let mixed: Vec<Vec<usize>> = singles(pieces, frame.is_ordered);
        for share in SHARES {
            for least in LEAST {
                let least = least * frame.start;
                if frame.start <= 0.0 && least > 0.0 {
                    continue;
                }
                consider(factor(pieces, &modules, frame, share, least), true);
                if frame.mixes && are_modules {
                    consider(factor(pieces, &mixed, frame, share, least), false);
                }
            }
        }
        consider(bins(pieces, &modules, frame), true);
        if frame.mixes && are_modules {
            consider(bins(pieces, &mixed, frame), false);
        }
    }
    let least = |shapes: &[(Shape, bool)], only_whole: bool| {
        let shapes = shapes.iter().filter(|(_, whole)| *whole || !only_whole);
        let best = shapes.min_by(|a, b| a.0.seconds.total_cmp(&b.0.seconds));
        best.map(|(shape, _)| shape.clone())
    };
    let of_all = least(&shapes, false);
    let whole = least(&shapes, true);
    let chosen = match (of_all, whole) {
        (Some(best), Some(whole))
            if frame.keeps_modules || whole.seconds <= best.seconds * NOTHING =>
        {
            Some(whole)
        }
        (best, _) => best,
    };
    chosen.unwrap_or(Shape {
        chunks: Vec::new(),
        seconds: 0.0,
    })
}

/// The pieces by module: the modules in the order in which they are cut, each in the order of the listing.
fn modules(pieces: &[Piece], is_ordered: bool) -> Vec<Vec<usize>> {
    let mut modules: indexmap::IndexMap<usize, Vec<usize>> = indexmap::IndexMap::new();
    for (index, piece) in pieces.iter().enumerate() {
        modules.entry(piece.module).or_default().push(index);
    }
    let mut modules: Vec<_> = modules.into_values().collect();
    if !is_ordered {
        sort(&mut modules, pieces);
    }
    modules
}

/// The pieces, each as if it were a module of its own, in the order in which they are cut.
fn singles(pieces: &[Piece], is_ordered: bool) -> Vec<Vec<usize>> {
    let mut singles: Vec<_> = (0..pieces.len()).map(|piece| vec![piece]).collect();
    if !is_ordered {
        sort(&mut singles, pieces);
    }
    singles
}

fn size(list: &[usize], pieces: &[Piece]) -> f64 {
    list.iter().map(|index| pieces[*index].seconds).sum()
}

/// What failed last time first, then the longest; equals stay in the order of the listing.
fn sort(lists: &mut [Vec<usize>], pieces: &[Piece]) {
    lists.sort_by_cached_key(|list| {
        let failed = list.iter().any(|index| pieces[*index].failed);
        (!failed, std::cmp::Reverse(Seconds(size(list, pieces))))
    });
}

/// Seconds with an order.
#[derive(PartialEq)]
struct Seconds(f64);

impl Eq for Seconds {}

impl PartialOrd for Seconds {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Seconds {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// Chunks that take `share` of what is left for a worker each, and `least` seconds at least. A list of pieces is cut only where
/// it is larger than the chunk that it comes to.
fn factor(
    pieces: &[Piece],
    lists: &[Vec<usize>],
    frame: Frame,
    share: f64,
    least: f64,
) -> Vec<Vec<usize>> {
    #[expect(clippy::cast_precision_loss, reason = "workers are few")]
    let workers = frame.workers.max(1) as f64;
    let mut left: f64 = pieces.iter().map(|piece| piece.seconds).sum();
    let fair = left / workers;
    let closes = |left: f64| (left * share / workers).max(least);
    let mut chunks = Vec::new();
    let mut chunk: Vec<usize> = Vec::new();
    let mut filled = 0.0;
    let mut limit = closes(left);
    for list in lists {
        let whole = size(list, pieces);
        let joins = frame.mixes && filled + whole <= limit;
        if !chunk.is_empty() && !joins {
            chunks.push(std::mem::take(&mut chunk));
            left -= filled;
            (filled, limit) = (0.0, closes(left));
        }
        let stays_whole = frame.keeps_modules && whole <= fair;
        for index in list {
            let seconds = pieces[*index].seconds;
            // A piece that would pass the limit by more than it would leave open goes into the next one.
            if !stays_whole && !chunk.is_empty() && filled + seconds / 2.0 > limit {
                chunks.push(std::mem::take(&mut chunk));
                left -= filled;
                (filled, limit) = (0.0, closes(left));
            }
            chunk.push(*index);
            filled += seconds;
        }
    }
    if !chunk.is_empty() {
        chunks.push(chunk);
    }
    chunks
}

/// One packed bin a worker. A list of pieces is cut only where it is larger than a worker's share.
fn bins(pieces: &[Piece], lists: &[Vec<usize>], frame: Frame) -> Vec<Vec<usize>> {
    #[expect(clippy::cast_precision_loss, reason = "workers are few")]
    let share = pieces.iter().map(|piece| piece.seconds).sum::<f64>() / frame.workers.max(1) as f64;
    let mut parts: Vec<(f64, Vec<usize>)> = Vec::new();
    for list in lists {
        let mut part = Vec::new();
        let mut filled = 0.0;
        for index in list {
            let seconds = pieces[*index].seconds;
            if !part.is_empty() && filled + seconds > share {
                parts.push((filled, std::mem::take(&mut part)));
                filled = 0.0;
            }
            filled += seconds;
            part.push(*index);
        }
        parts.push((filled, part));
    }
    if !frame.mixes {
        return parts.into_iter().map(|(_, part)| part).collect();
    }
    if frame.is_ordered {
        return consecutive(parts, share);
    }
    // Sorting is stable, so equal parts stay in the order of the listing.
    parts.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut heap: std::collections::BinaryHeap<_> = (0..frame.workers.max(1))
        .map(|bin| std::cmp::Reverse((Seconds(0.0), bin)))
        .collect();
    let mut bins = vec![Vec::new(); frame.workers.max(1)];
    for (seconds, part) in parts {
        if let Some(std::cmp::Reverse((Seconds(filled), bin))) = heap.pop() {
            bins[bin].extend(part);
            heap.push(std::cmp::Reverse((Seconds(filled + seconds), bin)));
        }
    }
    bins.retain(|bin| !bin.is_empty());
    bins
}

/// Parts put together up to a share, in their order.
fn consecutive(parts: Vec<(f64, Vec<usize>)>, share: f64) -> Vec<Vec<usize>> {
    let mut bins: Vec<Vec<usize>> = Vec::new();
    let mut filled = f64::INFINITY;
    for (seconds, part) in parts {
        if filled + seconds / 2.0 > share {
            bins.push(Vec::new());
            filled = 0.0;
        }
        filled += seconds;
        if let Some(bin) = bins.last_mut() {
            bin.extend(part);
        }
    }
    bins
}

/// The chunks in the order in which they start, each in the order of the listing, its modules together.
fn in_order(mut chunks: Vec<Vec<usize>>, pieces: &[Piece], is_ordered: bool) -> Vec<Vec<usize>> {
    if is_ordered {
        return chunks;
    }
    for chunk in &mut chunks {
        let bad: std::collections::HashSet<usize> = chunk
            .iter()
            .filter(|index| pieces[**index].failed)
            .map(|index| pieces[*index].module)
            .collect();
        chunk.sort_by_key(|index| {
            let module = pieces[*index].module;
            (!bad.contains(&module), module, *index)
        });
    }
    sort(&mut chunks, pieces);
    chunks
}

/// Durations as they may turn out, in pairs that are off to the one side and to the other.
fn draws(pieces: &[Piece]) -> Vec<Vec<f64>> {
    let pairs = match pieces.len() {
        0..=300 => 4,
        301..=2000 => 2,
        _ => 1,
    };
    let mut random = Random::new(0);
    let mut draws = Vec::new();
    for _ in 0..pairs {
        let off: Vec<f64> = pieces
            .iter()
            .map(|piece| piece.spread * random.normal())
            .collect();
        for side in [1.0, -1.0] {
            let draw = pieces.iter().zip(&off);
            draws.push(
                draw.map(|(piece, off)| piece.seconds * (side * off).exp())
                    .collect(),
            );
        }
    }
    draws
}

/// What chunks take on average.
fn predict(chunks: &[Vec<usize>], draws: &[Vec<f64>], frame: Frame) -> f64 {
    let of = |draw: &Vec<f64>| {
        let chunks = chunks.iter();
        let seconds: Vec<f64> = chunks
            .map(|chunk| frame.start + chunk.iter().map(|index| draw[*index]).sum::<f64>())
            .collect();
        makespan(&seconds, frame.workers.max(1))
    };
    let sum: f64 = draws.iter().map(of).sum();
    #[expect(clippy::cast_precision_loss, reason = "draws are few")]
    let count = draws.len().max(1) as f64;
    sum / count
}
