//! Shards: which of the selected items one of several machines runs.
//!
//! Machines that list the same tests and know the same of them divide them alike, without a word to each other: nothing here
//! follows from the order of a listing, from floating-point numbers, or from anything but ids, settings and durations. Where
//! durations are known, the longest part first to the shard that has least; else each test by a hash of its id, so that a test
//! that comes or goes moves no other. What belongs together is in one shard: the tests of an affinity, those that run
//! in an order, those that a runner can only run all at once, and a module as far as that leaves no shard with more to do.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::claims::bound;
use super::random::{Random, hash};
use super::{Item, Memory, full_id};
use crate::manifest::config::GroupConfig;

/// The most shards.
const MOST: usize = 10_000;

/// The longest that a test is thought to take, in microseconds: some days. It is more than any takes, and sums stay numbers.
const LONGEST: u64 = 1 << 40;

/// One of so many shards: `2/5`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    number: usize,
    of: usize,
}

impl Shard {
    /// A shard, counted from 1. None if there is no such one.
    #[must_use]
    pub fn new(number: usize, of: usize) -> Option<Self> {
        ((1..=of).contains(&number) && of <= MOST).then_some(Self { number, of })
    }

    /// Which it is, from 1.
    #[must_use]
    pub fn number(self) -> usize {
        self.number
    }

    /// How many there are.
    #[must_use]
    pub fn of(self) -> usize {
        self.of
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = |text: &str| text.trim().parse::<usize>().ok();
        let numbers = text
            .split_once('/')
            .and_then(|(number, of)| Some((parse(number)?, parse(of)?)));
        let Some((number, of)) = numbers else {
            return Err(
                "expected the number of the shard and how many there are, as in 2/5".into(),
            );
        };
        Self::new(number, of).ok_or_else(|| match of {
            0 => "there must be one shard at least, as in 1/1".to_owned(),
            1..=MOST => format!("shards are counted from 1/{of} to {of}/{of}"),
            _ => format!("there can be {MOST} shards at most"),
        })
    }
}

/// What tests are divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DividedBy {
    /// What they are known to take.
    Time,
    /// A hash of their ids: nothing is known of any of them.
    Hash,
}

impl DividedBy {
    /// The word that events have for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Hash => "hash",
        }
    }
}

/// What a shard has of the selected tests, and what it has not.
#[derive(Clone, Debug)]
pub struct Part {
    /// Which shard this is.
    pub shard: Shard,
    /// What the tests were divided by.
    pub by: DividedBy,
    /// A digest of what is known of all of them.
    pub history: String,
    /// The full ids of the tests that other shards have, by group.
    pub elsewhere: BTreeMap<String, Vec<String>>,
}

impl Part {
    /// How many of the selected tests other shards have.
    #[must_use]
    pub fn tests_elsewhere(&self) -> usize {
        self.elsewhere.values().map(Vec::len).sum()
    }
}

/// What a group has selected.
pub type Selected = (Arc<GroupConfig>, Vec<Item>);

/// Takes away what other shards run.
#[must_use]
pub fn take(shard: Shard, groups: Vec<Selected>, memory: &dyn Memory) -> (Vec<Selected>, Part) {
    let (numbers, by, history) = divide(shard.of, &groups, memory);
    let mut numbers = numbers.into_iter();
    let mut elsewhere: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let own = groups.into_iter().map(|(group, items)| {
        let is_own = |_: &Item| numbers.next() == Some(shard.number);
        let (own, others): (Vec<_>, Vec<_>) = items.into_iter().partition(is_own);
        let name = group.name.as_str();
        if !others.is_empty() {
            let ids = others.iter().map(|item| full_id(name, &item.id));
            elsewhere.insert(name.to_owned(), ids.collect());
        }
        (group, own)
    });
    let own = own.collect();
    let part = Part {
        shard,
        by,
        history,
        elsewhere,
    };
    (own, part)
}

/// What can't be parted.
struct Atom {
    /// By what it is known, in whatever order it is listed.
    name: String,
    group: usize,
    module: String,
    /// Its items, counted over all groups.
    items: Vec<usize>,
    micros: u64,
    /// Whether it runs alone: in the run, in its group. Each shard gets its share of these, or one would wait for all of them.
    alone: (bool, bool),
}

/// The number of the shard of each item, counted over all groups; by what, and a digest of what is known.
fn divide(of: usize, groups: &[Selected], memory: &dyn Memory) -> (Vec<usize>, DividedBy, String) {
    let past = durations(groups, memory);
    let by = if past.iter().any(|(_, micros)| micros.is_some()) {
        DividedBy::Time
    } else {
        DividedBy::Hash
    };
    let atoms = atoms(groups, &past);
    let dealt = match by {
        DividedBy::Hash => by_hash(of, &atoms),
        DividedBy::Time => by_time(of, &atoms),
    };
    let mut numbers = vec![1; past.len()];
    for (atom, number) in atoms.iter().zip(dealt) {
        for item in &atom.items {
            numbers[*item] = number;
        }
    }
    (numbers, by, digest(past))
}

/// The full id of each item, and what it is known to take, in microseconds: whole numbers add up to the same in any order.
fn durations(groups: &[Selected], memory: &dyn Memory) -> Vec<(String, Option<u64>)> {
    let items = groups.iter().flat_map(|(group, items)| {
        let name = group.name.as_str();
        items.iter().map(move |item| full_id(name, &item.id))
    });
    let known = items.map(|id| {
        let past = memory.recall(&id);
        let micros = past.map(|past| u64::try_from(past.duration.as_micros()).unwrap_or(u64::MAX));
        (id, micros.map(|micros| micros.clamp(1, LONGEST)))
    });
    known.collect()
}

/// The items, joined where they belong together. What is not known of one is what is known of its group's on average, or of
/// all.
fn atoms(groups: &[Selected], past: &[(String, Option<u64>)]) -> Vec<Atom> {
    let mean = |past: &[(String, Option<u64>)]| {
        let known: Vec<u64> = past.iter().filter_map(|(_, micros)| *micros).collect();
        let sum: u64 = known.iter().sum();
        sum.checked_div(known.len() as u64)
    };
    let of_all = mean(past).unwrap_or(1);
    let mut atoms: Vec<Atom> = Vec::new();
    let mut first = 0;
    for (number, (group, items)) in groups.iter().enumerate() {
        let past = &past[first..first + items.len()];
        let of_group = mean(past).unwrap_or(of_all);
        let mut together: HashMap<String, usize> = HashMap::new();
        let bound = bound(items);
        for (index, (item, (id, micros))) in items.iter().zip(past).enumerate() {
            let name = match bound[index] {
                Some(first) => format!("order\0{}\0{first}", group.name),
                None => name(group, item, id),
            };
            let at = *together.entry(name.clone()).or_insert_with(|| {
                atoms.push(Atom {
                    name,
                    group: number,
                    module: item.module.clone(),
                    items: Vec::new(),
                    micros: 0,
                    alone: (false, false),
                });
                atoms.len() - 1
            });
            let settings = group.settings_of(item);
            let atom = &mut atoms[at];
            atom.items.push(first + index);
            // Of several, the one that is first whatever the order of the listing.
            if item.module < atom.module {
                atom.module.clone_from(&item.module);
            }
            atom.alone.0 |= settings.exclusive;
            atom.alone.1 |= settings.serial;
            // What is known before it runs takes no time.
            if item.known.is_none() {
                atom.micros += micros.unwrap_or(of_group);
            }
        }
        first += items.len();
    }
    atoms
}

/// By what an item is known: itself, or what it can't be parted from. Names of different kinds never meet.
fn name(group: &GroupConfig, item: &Item, id: &str) -> String {
    let group = group.name.as_str();
    let is_whole = item.launch.as_ref().is_some_and(|launch| launch.whole);
    match &item.affinity {
        _ if is_whole => format!("module\0{group}\0{}", item.module),
        Some(affinity) => format!("affinity\0{group}\0{affinity}"),
        None => id.to_owned(),
    }
}

fn by_hash(of: usize, atoms: &[Atom]) -> Vec<usize> {
    let numbers = atoms.iter().map(|atom| {
        let mixed = Random::new(hash(atom.name.as_bytes())).number();
        // Less than `of`, which is a `usize`.
        usize::try_from(mixed % of as u64).unwrap_or(0) + 1
    });
    numbers.collect()
}

/// The shards of atoms, with modules as whole as they can be while the shard that has most to do has at most a hundredth more
/// than it must.
fn by_time(of: usize, atoms: &[Atom]) -> Vec<usize> {
    let total: u64 = atoms.iter().map(|atom| atom.micros).sum();
    let share = total / of as u64;
    // From modules that are whole to atoms: the first that loses next to nothing.
    let limits = [u64::MAX, share, share / 4, share / 16, 1];
    let dealt = limits.map(|limit| deal(of, &pieces(atoms, limit.max(1)), atoms));
    let least = dealt.iter().map(|(_, most)| *most).min().unwrap_or(0);
    let good = dealt
        .into_iter()
        .find(|(_, most)| *most <= least + least / 100);
    good.map(|(numbers, _)| numbers).unwrap_or_default()
}

/// Atoms by their indices, those of a module together, cut into parts that take about the same where it takes more than
/// `limit` microseconds.
fn pieces(atoms: &[Atom], limit: u64) -> Vec<Vec<usize>> {
    /// Its group, its name, and whether its tests run alone.
    type Module<'a> = (usize, &'a str, (bool, bool));
    let mut modules: BTreeMap<Module<'_>, Vec<usize>> = BTreeMap::new();
    let mut pieces = Vec::new();
    for (index, atom) in atoms.iter().enumerate() {
        let module = (atom.group, atom.module.as_str(), atom.alone);
        modules.entry(module).or_default().push(index);
    }
    for mut module in modules.into_values() {
        module.sort_by_key(|index| &atoms[*index].name);
        let total: u64 = module.iter().map(|index| atoms[*index].micros).sum();
        let parts = u128::from(total.div_ceil(limit).max(1));
        let mut cut: BTreeMap<u128, Vec<usize>> = BTreeMap::new();
        let mut before = 0;
        for index in module {
            let part = u128::from(before) * parts / u128::from(total.max(1));
            cut.entry(part).or_default().push(index);
            before += atoms[index].micros;
        }
        pieces.extend(cut.into_values());
    }
    pieces
}

/// Deals pieces, what runs alone first and then the longest first, each to the shard that has least so far (LPT, Graham 1969).
/// Returns the shard of each atom, and the most that one has to do.
fn deal(of: usize, pieces: &[Vec<usize>], atoms: &[Atom]) -> (Vec<usize>, u64) {
    let mut order: Vec<_> = pieces
        .iter()
        .filter_map(|piece| {
            let first = &atoms[*piece.first()?];
            let micros: u64 = piece.iter().map(|index| atoms[*index].micros).sum();
            let rank = (Reverse(first.alone), Reverse(micros), first.name.as_str());
            Some((rank, micros, piece))
        })
        .collect();
    order.sort_by_key(|(rank, ..)| *rank);
    // By load, then by how many pieces it has: what takes no time is dealt in turn.
    let shards = (1..=of).map(|number| Reverse((0, 0, number)));
    let mut shards: BinaryHeap<Reverse<(u64, usize, usize)>> = shards.collect();
    let mut numbers = vec![1; atoms.len()];
    for (_, micros, piece) in order {
        let Some(mut least) = shards.peek_mut() else {
            break;
        };
        let Reverse((load, count, number)) = &mut *least;
        *load += micros;
        *count += 1;
        for index in piece {
            numbers[*index] = *number;
        }
    }
    let loads = shards.iter().map(|Reverse((load, ..))| *load);
    (numbers, loads.max().unwrap_or(0))
}

/// A digest of what is known, whatever the order of the listing.
fn digest(mut past: Vec<(String, Option<u64>)>) -> String {
    past.sort();
    let known = past
        .into_iter()
        .filter_map(|(id, micros)| Some(format!("{id}\0{}\n", micros?)));
    format!("{:016x}", hash(known.collect::<String>().as_bytes()))
}

#[cfg(test)]
mod tests;
