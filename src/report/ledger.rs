//! Who has a result and who has not: what makes sure that each selected test is accounted for exactly once, in a run and
//! in a journal that was cut off.
//!
//! It knows the events only, and judges nothing.

use indexmap::IndexMap;

use crate::event::{Event, TestFinished};
use crate::outcome::Outcome;

/// See the module.
#[derive(Debug, Default)]
pub struct Ledger {
    is_open: bool,
    repetition: u32,
    tests: IndexMap<String, Account>,
}

#[derive(Debug, Default)]
struct Account {
    group: String,
    /// How many results each repetition has: a runner may list an id twice.
    selected: usize,
    /// How many results are still to come.
    owed: usize,
    /// Whether a job was started for it.
    has_begun: bool,
    /// The repetition that it is in.
    repetition: u32,
}

impl Account {
    /// So many results of another repetition are to come.
    fn again(&mut self, owed: usize, repetition: u32) {
        self.owed += owed;
        self.has_begun = false;
        self.repetition = repetition;
    }
}

impl Ledger {
    /// Takes in an event; says whether it counts. A second beginning does not, nor does a result that nobody waits for.
    pub fn take(&mut self, event: &Event) -> bool {
        match event {
            Event::RunStarted { .. } if self.is_open => return false,
            Event::RunStarted { groups, .. } => {
                self.is_open = true;
                self.repetition = 1;
                for group in groups {
                    for id in &group.ids {
                        let account = self.tests.entry(id.clone()).or_default();
                        account.group.clone_from(&group.name);
                        account.selected += 1;
                        account.owed += 1;
                        account.repetition = 1;
                    }
                }
            }
            Event::RepetitionStarted { repetition, tests } if tests.is_empty() => {
                self.repetition = *repetition;
                for account in self.tests.values_mut() {
                    account.again(account.selected, *repetition);
                }
            }
            Event::RepetitionStarted { repetition, tests } => {
                self.repetition = *repetition;
                for id in tests {
                    if let Some(account) = self.tests.get_mut(id) {
                        account.again(1, *repetition);
                    }
                }
            }
            Event::JobStarted { tests, .. } => {
                for id in tests {
                    if let Some(account) = self.tests.get_mut(id) {
                        account.has_begun = true;
                    }
                }
            }
            Event::TestsFound {
                group, of, tests, ..
            } => return self.found(group, of.as_ref(), tests),
            Event::TestFinished(test) => {
                return match self.tests.get_mut(&test.id) {
                    Some(account) if account.owed > 0 => {
                        account.owed -= 1;
                        true
                    }
                    _ => false,
                };
            }
            _ => {}
        }
        true
    }

    /// Tests that come in the place of an item, or in none. What waits for its result already is not found again.
    fn found(&mut self, group: &str, of: Option<&String>, tests: &[String]) -> bool {
        match of.map(|of| self.tests.get_mut(of)) {
            Some(Some(account)) if account.owed > 0 => account.owed -= 1,
            Some(_) => return false,
            None => {}
        }
        for id in tests {
            let account = self.tests.entry(id.clone()).or_default();
            group.clone_into(&mut account.group);
            account.has_begun = true;
            account.owed += 1;
            account.repetition = self.repetition;
        }
        true
    }

    /// The results that are missing: `begun` for what had begun, not-run for all else.
    pub fn missing(&self, begun: Outcome, why: &str) -> Vec<TestFinished> {
        let owed = self.tests.iter().flat_map(|(id, account)| {
            let outcome = if account.has_begun {
                begun
            } else {
                Outcome::NotRun
            };
            (0..account.owed).map(move |_| TestFinished {
                repetition: account.repetition,
                message: Some(why.to_owned()),
                ..TestFinished::new(id.clone(), &account.group, outcome)
            })
        });
        owed.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{GroupStarted, Placement};
    use crate::manifest::model::Order;

    fn result(ledger: &Ledger, id: &str) -> TestFinished {
        let mut all = ledger.missing(Outcome::Passed, "");
        all.retain(|test| test.id == id);
        all.remove(0)
    }

    #[test]
    fn each_test_is_accounted_for_once() {
        let mut ledger = Ledger::default();
        let started = Event::RunStarted {
            run: String::new(),
            groups: vec![GroupStarted {
                session: None,
                because: None,
                one_process: None,
                name: "g".into(),
                tests: 4,
                workers: 1,
                order: Order::Smart,
                needs: Vec::new(),
                ids: ["g::a", "g::b", "g::twice", "g::twice"]
                    .map(str::to_owned)
                    .into(),
            }],
            tests: 4,
            workers: 1,
            seed: 0,
            repeat: 1,
            prepared: 0.0,
            cores: 1,
            memory: None,
            pools: std::collections::BTreeMap::new(),
            shard: None,
        };
        assert!(ledger.take(&started) && !ledger.take(&started));
        let a = Event::TestFinished(result(&ledger, "g::a"));
        assert!(ledger.take(&a) && !ledger.take(&a));
        assert!(ledger.take(&Event::JobStarted {
            job: 1,
            group: "g".into(),
            worker: 0,
            pid: 1,
            attempt: 1,
            tests: vec!["g::b".into(), "g::unheard-of".into()],
            placement: Placement::default(),
        }));
        let twice = Event::TestFinished(result(&ledger, "g::twice"));
        assert!(ledger.take(&twice));
        let left: Vec<_> = ledger
            .missing(Outcome::Cancelled, "why")
            .into_iter()
            .map(|test| (test.id, test.outcome))
            .collect();
        assert_eq!(
            left,
            [
                ("g::b".to_owned(), Outcome::Cancelled),
                ("g::twice".to_owned(), Outcome::NotRun)
            ]
        );
        assert!(ledger.take(&Event::RepetitionStarted {
            repetition: 2,
            tests: Vec::new()
        }));
        let left = ledger.missing(Outcome::Cancelled, "why");
        assert_eq!(
            left.len(),
            6,
            "two are left of before, and four are owed anew"
        );
        assert!(left.iter().all(|test| test.repetition == 2));
    }
}
