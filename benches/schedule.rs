//! The quality of plans and the price of a decision, over the real planner and the real scheduler, under a virtual clock.
//!
//! `cargo bench --bench schedule`. Durations are lognormal (sigma 1.5, mean 1); the history is off by a factor with sigma 0.3.
//! The lower bound is the larger of the longest test and the work divided by the workers, and the start of one chunk a worker.
//! Exit code 1 where a limit is passed.

use std::process::ExitCode;
use std::time::Instant;

use orchestrate::manifest::model::{Lock, LockMode};
use orchestrate::plan::pack::{Frame, Piece, best};
use orchestrate::plan::predict::makespan;
use orchestrate::plan::random::Random;
use orchestrate::schedule::{GroupSpec, JobSpec, Limits, Next, Scheduler};

const SIGMA: f64 = 1.5;
const NOISE: f64 = 0.3;
const TESTS: [usize; 5] = [100, 300, 1_000, 3_000, 10_000];
const WORKERS: [usize; 6] = [2, 4, 8, 16, 32, 64];
/// The cost of a start in mean tests, and the limit of the median.
const COSTS: [(f64, f64); 5] = [
    (0.0, 1.02),
    (0.1, 1.05),
    (1.0, 1.08),
    (10.0, 1.08),
    (40.0, 1.08),
];
/// Nanoseconds.
const DECISION: f64 = 2_000.0;

fn main() -> ExitCode {
    // `cargo test --benches` is no time to measure.
    if std::env::args().any(|argument| argument == "--test") {
        return ExitCode::SUCCESS;
    }
    let mut passed = true;
    println!(
        "| start cost | median | limit | 9 of 10 below | worst case, its median | as listed, one by one |"
    );
    println!("| --: | --: | --: | --: | --: | --: |");
    for (cost, limit) in COSTS {
        let mut all = Vec::new();
        let mut plain = Vec::new();
        let mut worst = (0.0, 0, 0);
        for tests in TESTS {
            for workers in WORKERS {
                let seeds = if tests > 1_000 { 3 } else { 9 };
                let mut case: Vec<f64> = Vec::new();
                for seed in 0..seeds {
                    let (planned, listed) = ratio(cost, tests, workers, seed);
                    case.push(planned);
                    plain.push(listed);
                }
                let median = quantile(&mut case, 0.5);
                if median > worst.0 {
                    worst = (median, tests, workers);
                }
                all.extend(case);
            }
        }
        let median = quantile(&mut all, 0.5);
        passed &= median <= limit;
        println!(
            "| {cost} | {median:.3} | {limit:.2} | {:.3} | {:.3} ({} tests, {} workers) | {:.3} |",
            quantile(&mut all, 0.9),
            worst.0,
            worst.1,
            worst.2,
            quantile(&mut plain, 0.5),
        );
    }
    println!();
    println!("| 10,000 jobs, 16 workers | ns a decision | limit |");
    println!("| --- | --: | --: |");
    for (name, locks) in [
        ("that claim nothing", 0),
        ("with one of 8 locks each", 8),
        ("with one of 5,000 locks each", 5_000),
    ] {
        let nanos = decision(locks);
        passed &= nanos <= DECISION;
        println!("| {name} | {nanos:.0} | {DECISION:.0} |");
    }
    if passed {
        ExitCode::SUCCESS
    } else {
        println!("\na limit is passed");
        ExitCode::FAILURE
    }
}

/// The makespan over its lower bound, of the plan and of the tests one by one in the order of their listing.
#[allow(clippy::cast_precision_loss)]
fn ratio(cost: f64, tests: usize, workers: usize, seed: u64) -> (f64, f64) {
    let mut random = Random::new(seed * 1_000_003 + tests as u64 * 67 + workers as u64);
    let seconds: Vec<f64> = (0..tests)
        .map(|_| (SIGMA * random.normal() - SIGMA * SIGMA / 2.0).exp())
        .collect();
    let pieces: Vec<Piece> = seconds
        .iter()
        .enumerate()
        .map(|(index, seconds)| Piece {
            seconds: seconds * (NOISE * random.normal()).exp(),
            spread: NOISE,
            module: index,
            failed: false,
        })
        .collect();
    let frame = Frame {
        workers,
        start: cost,
        mixes: true,
        is_ordered: false,
        keeps_modules: false,
    };
    let shape = best(&pieces, frame);
    let chunk = |chunk: &Vec<usize>| cost + chunk.iter().map(|index| seconds[*index]).sum::<f64>();
    let chunks: Vec<f64> = shape.chunks.iter().map(chunk).collect();
    let listed: Vec<f64> = seconds.iter().map(|seconds| cost + seconds).collect();
    let longest = seconds.iter().copied().fold(0.0, f64::max);
    let bound = cost + longest.max(seconds.iter().sum::<f64>() / workers as f64);
    (
        makespan(&chunks, workers) / bound,
        makespan(&listed, workers) / bound,
    )
}

/// Nanoseconds that a decision costs: a job that ends, and the next one that starts.
#[allow(clippy::cast_precision_loss)]
fn decision(locks: usize) -> f64 {
    const JOBS: usize = 10_000;
    const WORKERS: usize = 16;
    const ROUNDS: usize = 5;
    let mut nanos = Vec::new();
    for _ in 0..ROUNDS {
        let job = |id| JobSpec {
            id,
            locks: if locks == 0 {
                Vec::new()
            } else {
                vec![Lock {
                    name: (id % locks).to_string(),
                    mode: LockMode::Write,
                }]
            },
            ..JobSpec::default()
        };
        let group = GroupSpec {
            workers: WORKERS,
            jobs: (0..JOBS).map(job).collect(),
            ..GroupSpec::default()
        };
        let limits = Limits {
            slots: WORKERS,
            ..Limits::default()
        };
        let mut scheduler = Scheduler::new(vec![group], limits);
        let mut running = std::collections::VecDeque::new();
        let begun = Instant::now();
        loop {
            while running.len() < WORKERS {
                let Next::Run(start) = scheduler.next(0) else {
                    break;
                };
                running.push_back(start.slot);
            }
            let Some(slot) = running.pop_front() else {
                break;
            };
            scheduler.finished(slot, false, &[]);
        }
        nanos.push(begun.elapsed().as_nanos() as f64 / JOBS as f64);
    }
    quantile(&mut nanos, 0.5)
}

#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]
fn quantile(numbers: &mut [f64], at: f64) -> f64 {
    numbers.sort_by(f64::total_cmp);
    let index = ((numbers.len() - 1) as f64 * at).round() as usize;
    numbers[index]
}
