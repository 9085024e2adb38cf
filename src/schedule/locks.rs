//! Named locks, held for reading or for writing.

use std::collections::HashMap;

use crate::manifest::model::{Lock, LockMode};

/// Which locks are held: the number of readers, or `None` for a writer.
#[derive(Clone, Debug, Default)]
pub struct Locks {
    held: HashMap<String, Option<usize>>,
}

impl Locks {
    /// Whether all of `wanted` could be taken now.
    #[must_use]
    pub fn admit(&self, wanted: &[Lock]) -> bool {
        wanted.iter().all(|lock| match self.held.get(&lock.name) {
            None => true,
            Some(None) => false,
            Some(Some(_)) => lock.mode == LockMode::Read,
        })
    }

    /// Takes them.
    pub fn take(&mut self, wanted: &[Lock]) {
        for lock in wanted {
            let held = self.held.entry(lock.name.clone()).or_insert(Some(0));
            *held = match (lock.mode, *held) {
                (LockMode::Read, Some(readers)) => Some(readers + 1),
                _ => None,
            };
        }
    }

    /// Gives them back.
    pub fn release(&mut self, taken: &[Lock]) {
        for lock in taken {
            match self.held.get_mut(&lock.name) {
                Some(Some(readers)) if *readers > 1 => *readers -= 1,
                _ => {
                    self.held.remove(&lock.name);
                }
            }
        }
    }
}
