//! What a job claims while it runs, in numbers: what can be compared and counted in no time.

use std::collections::HashMap;

use super::JobSpec;
use crate::manifest::model::LockMode;

/// A name of a lock or a pool as a number.
pub type NameNumber = usize;

/// What a job claims. Jobs that claim the same are of one class: which of them goes first is a matter of their order alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Claim {
    /// How many of the run's slots.
    pub slots: usize,
    /// How many of its group's workers.
    pub workers: usize,
    /// Its locks, sorted: whether each is written.
    pub locks: Vec<(NameNumber, bool)>,
    /// How many names of which pools, sorted.
    pub uses: Vec<(NameNumber, usize)>,
    /// Where in the queue it stands: 0 with most, 1 behind what runs beside others, 2 behind all.
    pub zone: u8,
}

impl Claim {
    /// Whether the two want a lock that they can't hold together, or names of the same pool.
    pub fn meets(&self, other: &Self) -> bool {
        let locks = self.locks.iter().any(|(name, write)| {
            let mut others = other.locks.iter();
            others.any(|(theirs, also)| theirs == name && (*write || *also))
        });
        let mut uses = self.uses.iter();
        locks || uses.any(|(name, _)| other.uses.iter().any(|(theirs, _)| theirs == name))
    }

    /// Whether it claims a lock or a name at all.
    pub fn names_any(&self) -> bool {
        !self.locks.is_empty() || !self.uses.is_empty()
    }
}

/// Gives numbers to names.
#[derive(Debug, Default)]
pub struct Names {
    numbers: HashMap<String, NameNumber>,
    names: Vec<String>,
}

impl Names {
    /// The number of a name, a new one if it was not heard of.
    pub fn number(&mut self, name: &str) -> NameNumber {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = self.numbers.len();
        self.numbers.insert(name.to_owned(), number);
        self.names.push(name.to_owned());
        number
    }

    /// The name of a number.
    pub fn name(&self, number: NameNumber) -> &str {
        self.names.get(number).map_or("", String::as_str)
    }
}

/// What a job of a group of so many workers claims, in a run of so many slots.
pub fn claim(
    spec: &JobSpec,
    cap: usize,
    workers: usize,
    locks: &mut Names,
    pools: &mut Names,
) -> Claim {
    let is_alone = spec.exclusive || spec.last;
    let slots = spec.slots.max(1);
    let mut held: Vec<_> = spec
        .locks
        .iter()
        .map(|lock| (locks.number(&lock.name), lock.mode == LockMode::Write))
        .collect();
    // A lock that is named twice is held once, for writing if one of the two says so.
    held.sort_unstable_by_key(|(name, write)| (*name, !write));
    held.dedup_by_key(|(name, _)| *name);
    let mut uses: Vec<_> = spec
        .uses
        .iter()
        .filter(|(_, number)| *number > 0)
        .map(|(name, number)| (pools.number(name), *number))
        .collect();
    uses.sort_unstable();
    Claim {
        slots: if is_alone { cap } else { slots.min(cap) },
        workers: if is_alone || spec.serial {
            workers
        } else {
            slots.min(workers)
        },
        locks: held,
        uses,
        zone: match (spec.last, is_alone || spec.serial) {
            (true, _) => 2,
            (false, alone) => u8::from(alone),
        },
    }
}
