//! A group's queue: its jobs in order, and of each class of jobs, those that claim the same, the first one.
//!
//! Whether a job may start depends on its class alone (but for its memory), so only the first of each class is looked at: a
//! decision costs the same with ten jobs in the queue and with ten thousand.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::claim::Claim;

/// A place in the queue: the zone, then the number in it.
pub type Position = (u8, i64);

/// A job that waits.
#[derive(Clone, Copy, Debug)]
pub struct Queued {
    /// Its number, for whoever hands it over.
    pub id: usize,
    /// The memory it is thought to need.
    pub memory: u64,
}

#[derive(Debug)]
struct Class {
    claim: Claim,
    jobs: VecDeque<(Position, Queued)>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Queue {
    classes: Vec<Class>,
    by_claim: HashMap<Claim, usize>,
    /// The classes that have jobs, by the place of the first.
    heads: BTreeMap<Position, usize>,
    length: usize,
    front: i64,
    back: i64,
}

impl Queue {
    /// How many jobs wait.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether none does.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// A place behind all that were given.
    pub fn reserve(&mut self) -> i64 {
        self.back += 1;
        self.back
    }

    /// A place before all that were given.
    pub fn reserve_front(&mut self) -> i64 {
        self.front -= 1;
        self.front
    }

    /// Adds a job at a place of its zone that was reserved for it.
    pub fn insert(&mut self, claim: Claim, job: Queued, place: i64) {
        let position = (claim.zone, place);
        let index = match self.by_claim.get(&claim) {
            Some(index) => *index,
            None => {
                let index = self.classes.len();
                self.by_claim.insert(claim.clone(), index);
                self.classes.push(Class {
                    claim,
                    jobs: VecDeque::new(),
                });
                index
            }
        };
        let class = &mut self.classes[index];
        let first = class.jobs.front().map(|(position, _)| *position);
        let at = class.jobs.partition_point(|(other, _)| *other < position);
        class.jobs.insert(at, (position, job));
        if at == 0 {
            if let Some(first) = first {
                self.heads.remove(&first);
            }
            self.heads.insert(position, index);
        }
        self.length += 1;
    }

    /// The first job of each class, in the order of the queue, with where it is.
    pub fn heads(&self) -> impl Iterator<Item = (Position, &Claim, Queued)> {
        self.heads.iter().filter_map(|(position, index)| {
            let class = &self.classes[*index];
            Some((*position, &class.claim, class.jobs.front()?.1))
        })
    }

    /// The first job of all.
    pub fn first(&self) -> Option<(Position, &Claim, Queued)> {
        self.heads().next()
    }

    /// Takes out the job whose class has its first at a place.
    pub fn take(&mut self, position: Position) -> Option<(Claim, Queued)> {
        let index = self.heads.remove(&position)?;
        let class = &mut self.classes[index];
        let (_, job) = class.jobs.pop_front()?;
        let next = class.jobs.front().map(|(position, _)| *position);
        self.heads.extend(next.map(|next| (next, index)));
        self.length -= 1;
        Some((class.claim.clone(), job))
    }

    /// Takes out all jobs.
    pub fn clear(&mut self) {
        self.classes.iter_mut().for_each(|class| class.jobs.clear());
        self.heads.clear();
        self.length = 0;
    }

    /// The jobs that are left, in their order.
    pub fn left(&self) -> Vec<usize> {
        let mut all: Vec<_> = self
            .classes
            .iter()
            .flat_map(|class| &class.jobs)
            .map(|(position, job)| (*position, job.id))
            .collect();
        all.sort_unstable();
        all.into_iter().map(|(_, id)| id).collect()
    }
}
