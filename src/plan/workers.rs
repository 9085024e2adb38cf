//! How many workers: as many as help, by the prediction of the very scheduler.

use super::Machine;
use super::chunk::{Cut, Draft};
use super::forecast::{Bound, Load, Outlook};
use super::predict;
use super::specs::{after, needs, spec};
use crate::manifest::config::GroupConfig;
use crate::schedule::{GroupSpec, JobSpec, Limits};

/// What one more worker costs the run: a process that is started and ended, in seconds.
const A_WORKER: f64 = 0.003;
/// More workers must make the run so much shorter, as a factor.
const HELPS: f64 = 1.05;

/// A group to be planned.
pub struct Group<'a> {
    /// Its settings.
    pub config: &'a GroupConfig,
    /// Its items.
    pub draft: &'a Draft<'a>,
}

/// A number of workers, and why.
pub struct Choice {
    /// The number.
    pub workers: usize,
    /// Why not more, for who asks.
    pub why: String,
}

/// Chooses the number of workers for groups that leave it open.
pub fn choose(groups: &[Group<'_>], machine: Machine<'_>) -> Choice {
    let all: usize = groups.iter().map(|group| group.draft.len()).sum();
    let known: usize = groups.iter().map(|group| group.draft.known()).sum();
    let plural = |number: usize, noun: &str| {
        format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
    };
    let cores = plural(machine.cores, "processor");
    if known * 2 < all || all == 0 {
        return Choice {
            workers: machine.cores,
            why: format!(
                "{cores}; {} of {} never ran, so nothing is predicted",
                all - known,
                plural(all, "test")
            ),
        };
    }
    let predicted: Vec<(usize, f64)> = candidates(machine.cores)
        .into_iter()
        .map(|workers| {
            let own = |config: &GroupConfig| config.workers.unwrap_or(workers);
            let wanted = groups.iter().filter_map(|group| group.config.workers);
            let slots = wanted.max().unwrap_or(1).max(workers);
            (workers, predict(groups, slots, own, machine))
        })
        .collect();
    let best = predicted
        .iter()
        .map(|(_, seconds)| *seconds)
        .fold(f64::INFINITY, f64::min);
    let chosen = predicted
        .iter()
        .find(|(_, seconds)| *seconds <= best * HELPS);
    let (workers, seconds) = chosen.copied().unwrap_or((machine.cores, best));
    let last = predicted.last().map_or(best, |(_, seconds)| *seconds);
    let why = if workers < machine.cores {
        format!(
            "{cores}, but more would help by less than 5%: {seconds:.2} s are predicted, {last:.2} s with {}",
            machine.cores
        )
    } else {
        format!("{cores}; {seconds:.2} s are predicted")
    };
    Choice { workers, why }
}

/// The numbers that are tried: all of the small ones, then in steps of a quarter.
fn candidates(cores: usize) -> Vec<usize> {
    let mut list = Vec::new();
    let mut next = 1;
    while next < cores {
        list.push(next);
        next += (next / 4).max(1);
    }
    list.push(cores);
    list
}

/// What these groups would take with other numbers of workers, each in the run and in every group.
pub fn outlook(
    groups: &[Group<'_>],
    loads: &[Load],
    numbers: &[usize],
    machine: Machine<'_>,
) -> Vec<Outlook> {
    let numbers = numbers.iter();
    let outlook = numbers.map(|workers| Outlook {
        workers: *workers,
        seconds: predict(groups, *workers, |_| *workers, machine),
        bound: Bound::of(loads, *workers),
    });
    outlook.collect()
}

/// What a run of these groups takes with so many slots, and workers of their own.
fn predict(
    groups: &[Group<'_>],
    slots: usize,
    own: impl Fn(&GroupConfig) -> usize,
    machine: Machine<'_>,
) -> f64 {
    let cuts: Vec<(usize, Vec<Cut>)> = groups
        .iter()
        .map(|group| {
            let own = own(group.config);
            (own, group.draft.cut(own))
        })
        .collect();
    let limits = Limits {
        slots,
        memory: machine.memory,
        pools: machine.pools.to_vec(),
    };
    let (specs, seconds) = specs(groups, &cuts);
    let lanes: usize = cuts.iter().map(|(own, cuts)| (*own).min(cuts.len())).sum();
    predict::run(specs, limits, &seconds) + started(lanes.min(slots))
}

/// What it costs to start so many workers, in seconds.
#[expect(clippy::cast_precision_loss, reason = "workers are few")]
pub fn started(workers: usize) -> f64 {
    A_WORKER * workers as f64
}

/// The groups as the scheduler sees them, and what their jobs take.
fn specs(groups: &[Group<'_>], cuts: &[(usize, Vec<Cut>)]) -> (Vec<GroupSpec>, Vec<f64>) {
    let all = groups.iter().map(|group| group.config);
    let mut seconds = Vec::new();
    let mut specs = Vec::new();
    for (group, (workers, cuts)) in groups.iter().zip(cuts) {
        let mut jobs = Vec::with_capacity(cuts.len());
        let first = seconds.len();
        for cut in cuts {
            let spec = spec(group.draft.settings(cut), seconds.len(), cut.memory);
            jobs.push(JobSpec {
                after: after(&cut.after, first),
                ..spec
            });
            seconds.push(cut.seconds);
        }
        specs.push(GroupSpec {
            workers: *workers,
            needs: needs(group.config, &all),
            jobs,
            failed: false,
        });
    }
    (specs, seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_small_numbers_are_tried_and_the_last_one() {
        assert_eq!(candidates(1), [1]);
        assert_eq!(candidates(6), [1, 2, 3, 4, 5, 6]);
        assert_eq!(candidates(16), [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 16]);
    }
}
