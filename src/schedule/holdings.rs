//! What is taken: slots, memory, locks and names of pools.

use std::collections::BTreeSet;

use super::claim::{Claim, NameNumber};

/// A pool of names, such as the GPUs of the machine: a job that uses one has it for itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// What is in it.
    pub members: Vec<String>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Holdings {
    /// The run's slots that are taken.
    pub slots: usize,
    /// The memory that the jobs that run are thought to need.
    pub memory: u64,
    /// By lock: how many hold it, and whether for writing.
    locks: Vec<(usize, bool)>,
    /// By pool: its members, and which of them are free.
    pools: Vec<(Vec<String>, BTreeSet<usize>)>,
}

impl Holdings {
    /// Pools, by the numbers of their names.
    pub fn with_pools(pools: Vec<Vec<String>>) -> Self {
        let pools = pools.into_iter();
        Self {
            pools: pools
                .map(|members| {
                    let free = (0..members.len()).collect();
                    (members, free)
                })
                .collect(),
            ..Self::default()
        }
    }

    /// How many members a pool has.
    fn size(&self, pool: NameNumber) -> usize {
        self.pools.get(pool).map_or(0, |(members, _)| members.len())
    }

    /// Whether all of a claim's locks and names could be taken now.
    pub fn names_are_free(&self, claim: &Claim) -> bool {
        let locks = claim.locks.iter().all(|(name, write)| {
            let (holders, written) = self.locks.get(*name).copied().unwrap_or_default();
            holders == 0 || !(*write || written)
        });
        locks
            && claim.uses.iter().all(|(pool, number)| {
                // What a pool can never give is refused where it is written; here it must only not wait for ever.
                let wanted = (*number).min(self.size(*pool));
                self.pools
                    .get(*pool)
                    .is_none_or(|(_, free)| free.len() >= wanted)
            })
    }

    /// Takes what is claimed; returns the names by pool, and their numbers.
    pub fn take(&mut self, claim: &Claim, memory: u64) -> Vec<(NameNumber, Vec<usize>)> {
        self.slots += claim.slots;
        self.memory = self.memory.saturating_add(memory);
        for (name, write) in &claim.locks {
            if self.locks.len() <= *name {
                self.locks.resize(*name + 1, (0, false));
            }
            let (holders, written) = &mut self.locks[*name];
            *holders += 1;
            *written = *write;
        }
        let mut granted = Vec::new();
        for (pool, number) in &claim.uses {
            let Some((_, free)) = self.pools.get_mut(*pool) else {
                continue;
            };
            let mut members = Vec::new();
            for _ in 0..*number {
                members.extend(free.pop_first());
            }
            granted.push((*pool, members));
        }
        granted
    }

    /// Gives back what was taken.
    pub fn release(&mut self, claim: &Claim, memory: u64, granted: &[(NameNumber, Vec<usize>)]) {
        self.slots -= claim.slots;
        self.memory = self.memory.saturating_sub(memory);
        for (name, _) in &claim.locks {
            if let Some((holders, written)) = self.locks.get_mut(*name) {
                *holders -= 1;
                *written = *written && *holders > 0;
            }
        }
        for (pool, members) in granted {
            if let Some((_, free)) = self.pools.get_mut(*pool) {
                free.extend(members);
            }
        }
    }

    /// What a member is called.
    pub fn member(&self, pool: NameNumber, member: usize) -> &str {
        self.pools
            .get(pool)
            .and_then(|(members, _)| members.get(member))
            .map_or("", String::as_str)
    }
}
