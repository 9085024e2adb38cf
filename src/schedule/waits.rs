//! What a lane waits for: told to people, and of no consequence for what runs next.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Scheduler;
use super::claim::Claim;

/// What keeps the first job of a group from starting.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum WaitFor {
    /// A group that it needs.
    Needs,
    /// A lock that is held.
    Lock,
    /// Names of a pool, which are all in use.
    Pool,
    /// It runs alone in its group, or another does.
    Serial,
    /// It runs alone in the run, or another does.
    Exclusive,
    /// The run's workers, which are all at work, or too few for it.
    Slots,
    /// Memory.
    Memory,
    /// Another group, whose job has waited longer for what it wants.
    Turn,
    /// The time for another try of what failed.
    Backoff,
    /// Jobs of its group that must be over before it.
    After,
    /// Nothing is left to start; what runs may have to run again.
    Rest,
}

/// See [`Scheduler::waits`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstruction {
    /// What for.
    pub what: WaitFor,
    /// The lock or the pool.
    pub name: Option<String>,
    /// The group that is needed, by its index.
    pub group: Option<usize>,
}

impl Obstruction {
    fn of(what: WaitFor) -> Self {
        Self {
            what,
            name: None,
            group: None,
        }
    }

    fn named(what: WaitFor, name: &str) -> Self {
        Self {
            name: Some(name.to_owned()),
            ..Self::of(what)
        }
    }
}

impl Scheduler {
    /// What a lane of `group` waits for that was told to wait.
    #[must_use]
    pub fn waits(&self, group: usize) -> Obstruction {
        let state = &self.groups[group];
        let Some((_, claim, job)) = state.queue.first() else {
            return Obstruction::of(if state.running == 0 && state.delayed > 0 {
                WaitFor::Backoff
            } else if state.held > 0 {
                WaitFor::After
            } else {
                WaitFor::Rest
            });
        };
        if !state.is_ready {
            let mut needs = state.needs.iter().copied();
            return Obstruction {
                group: needs.find(|needed| !self.is_over(*needed)),
                ..Obstruction::of(WaitFor::Needs)
            };
        }
        if self.is_short && self.active > 0 {
            return Obstruction::of(WaitFor::Memory);
        }
        if let Some(named) = self.taken_name(claim) {
            return named;
        }
        if self.holdings.slots + claim.slots > self.cap {
            let is_alone = |slots: usize| slots == self.cap && self.cap > 1;
            let running = self.running.iter().flatten();
            let mut alone = running.filter(|running| is_alone(running.claim.slots));
            let is_exclusive = is_alone(claim.slots) || alone.next().is_some();
            return Obstruction::of(if is_exclusive {
                WaitFor::Exclusive
            } else {
                WaitFor::Slots
            });
        }
        if state.taken + claim.workers > state.workers {
            return Obstruction::of(WaitFor::Serial);
        }
        let needed = self.holdings.memory.saturating_add(job.memory);
        if self.active > 0 && !self.fits(needed) {
            return Obstruction::of(WaitFor::Memory);
        }
        Obstruction::of(WaitFor::Turn)
    }

    /// Whether the first job of some group waits for memory, and for nothing else.
    #[must_use]
    pub fn lacks_memory(&self) -> bool {
        let mut groups = 0..self.groups.len();
        groups.any(|group| self.waits(group).what == WaitFor::Memory)
    }

    /// The first lock or pool of a claim that can't be had now.
    fn taken_name(&self, claim: &Claim) -> Option<Obstruction> {
        if self.holdings.names_are_free(claim) {
            return None;
        }
        let one = |locks: &[_], uses: &[_]| Claim {
            locks: locks.to_vec(),
            uses: uses.to_vec(),
            ..Claim::default()
        };
        let mut locks = claim.locks.iter();
        let lock = locks.find(|lock| !self.holdings.names_are_free(&one(&[**lock], &[])));
        if let Some((name, _)) = lock {
            return Some(Obstruction::named(WaitFor::Lock, self.locks.name(*name)));
        }
        let mut uses = claim.uses.iter();
        let pool = uses.find(|pool| !self.holdings.names_are_free(&one(&[], &[**pool])));
        pool.map(|(name, _)| Obstruction::named(WaitFor::Pool, self.pools.name(*name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::model::{Lock, LockMode};
    use crate::schedule::{GroupSpec, JobSpec, Limits, Next, Pool};

    /// What keeps the second of these jobs from starting beside the first.
    fn second(first: JobSpec, second: JobSpec) -> Obstruction {
        let group = GroupSpec {
            workers: 2,
            jobs: vec![first, second],
            ..GroupSpec::default()
        };
        let limits = Limits {
            slots: 3,
            memory: Some(10),
            pools: vec![Pool {
                name: "gpu".to_owned(),
                members: vec!["0".to_owned()],
            }],
        };
        let mut scheduler = Scheduler::new(vec![group], limits);
        assert!(matches!(scheduler.next(0), Next::Run(_)));
        assert_eq!(scheduler.next(0), Next::Wait);
        let waits = scheduler.waits(0);
        assert_eq!(scheduler.lacks_memory(), waits.what == WaitFor::Memory);
        waits
    }

    #[test]
    fn a_wait_has_its_reason() {
        let plain = JobSpec::default;
        let writes = |name: &str| JobSpec {
            locks: vec![Lock {
                name: name.to_owned(),
                mode: LockMode::Write,
            }],
            ..plain()
        };
        assert_eq!(
            second(writes("db"), writes("db")),
            Obstruction::named(WaitFor::Lock, "db")
        );
        let uses = JobSpec {
            uses: vec![("gpu".to_owned(), 1)],
            ..plain()
        };
        assert_eq!(
            second(uses.clone(), uses),
            Obstruction::named(WaitFor::Pool, "gpu")
        );
        let serial = JobSpec {
            serial: true,
            ..plain()
        };
        assert_eq!(second(serial.clone(), serial.clone()).what, WaitFor::Serial);
        assert_eq!(second(plain(), serial).what, WaitFor::Serial);
        let exclusive = JobSpec {
            exclusive: true,
            ..plain()
        };
        assert_eq!(second(plain(), exclusive).what, WaitFor::Exclusive);
        let heavy = JobSpec {
            slots: 2,
            ..plain()
        };
        assert_eq!(second(heavy.clone(), heavy).what, WaitFor::Slots);
        let large = JobSpec {
            memory: 6,
            ..plain()
        };
        assert_eq!(second(large.clone(), large).what, WaitFor::Memory);
    }

    #[test]
    fn a_group_waits_for_the_one_that_it_needs() {
        let group = |needs: Vec<usize>| GroupSpec {
            workers: 1,
            needs,
            jobs: vec![JobSpec::default()],
            failed: false,
        };
        let limits = Limits {
            slots: 2,
            ..Limits::default()
        };
        let mut scheduler = Scheduler::new(vec![group(Vec::new()), group(vec![0])], limits);
        assert!(matches!(scheduler.next(0), Next::Run(_)));
        assert_eq!(scheduler.next(0), Next::Wait);
        assert_eq!(scheduler.waits(0).what, WaitFor::Rest);
        assert_eq!(scheduler.next(1), Next::Wait);
        assert_eq!(
            scheduler.waits(1),
            Obstruction {
                group: Some(0),
                ..Obstruction::of(WaitFor::Needs)
            }
        );
    }
}
