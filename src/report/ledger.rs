//! Who has a result and who has not: what makes sure that each selected test is accounted for exactly once, in a run and
//! in a journal that was cut off.
//!
//! It knows the events only, and judges nothing.

use indexmap::IndexMap;

use crate::event::{Event, TestFinished};
use crate::outcome::Outcome;

/// See the module.
///
/// Whatever a journal says, it takes no more memory than the journal has bytes: results that are missing are counted for the
/// repetition that goes on, and of those before it is only known that there are some.
#[derive(Debug, Default)]
pub struct Ledger {
    is_open: bool,
    repetition: u32,
    /// How often all tests began again.
    rounds: usize,
    tests: IndexMap<String, Account>,
}

#[derive(Debug, Default)]
struct Account {
    group: String,
    /// How many results each repetition has: a runner may list an id twice.
    selected: usize,
    /// How many results are still to come.
    owed: usize,
    /// Whether a result of a repetition before is missing.
    has_lost: bool,
    /// Whether a job was started for it.
    has_begun: bool,
    /// The repetition that it is in.
    repetition: u32,
    /// The rounds that it has begun.
    rounds: usize,
}

impl Account {
    /// All of its results are to come again. Returns how many more that are: of those that are missing one stands for all that are
    /// missing of repetitions before.
    fn begin_again(&mut self, repetition: u32) -> usize {
        let before = self.owed + usize::from(self.has_lost);
        if self.owed == 0 {
            self.owed = self.selected;
        } else if !self.has_lost {
            self.has_lost = true;
            self.owed = self.selected.max(self.owed - 1);
        }
        self.has_begun = false;
        self.repetition = repetition;
        self.owed + usize::from(self.has_lost) - before
    }

    /// Begins the rounds that it has not begun. More than two in a row are as good as two.
    fn catch_up(&mut self, rounds: usize, repetition: u32) {
        for _ in 0..(rounds - self.rounds).min(2) {
            self.begin_again(repetition);
        }
        self.rounds = rounds;
    }
}

impl Ledger {
    fn account(&mut self, id: &str) -> Option<&mut Account> {
        let account = self.tests.get_mut(id)?;
        account.catch_up(self.rounds, self.repetition);
        Some(account)
    }

    /// The account of a test that may be news.
    fn entry(&mut self, id: &str) -> &mut Account {
        let (rounds, repetition) = (self.rounds, self.repetition);
        let new = || Account {
            rounds,
            ..Account::default()
        };
        let account = self.tests.entry(id.to_owned()).or_insert_with(new);
        account.catch_up(rounds, repetition);
        account
    }

    /// Takes in an event; says whether it counts. A second beginning does not, nor does a result that nobody waits for.
    pub fn take(&mut self, event: &Event) -> bool {
        match event {
            Event::RunStarted { .. } if self.is_open => return false,
            Event::RunStarted { groups, .. } => {
                self.is_open = true;
                self.repetition = 1;
                for group in groups {
                    for id in &group.ids {
                        let account = self.entry(id);
                        account.group.clone_from(&group.name);
                        account.selected += 1;
                        account.owed += 1;
                        account.repetition = 1;
                    }
                }
            }
            Event::RepetitionStarted { repetition, tests } if tests.is_empty() => {
                self.repetition = *repetition;
                self.rounds += 1;
            }
            Event::RepetitionStarted { repetition, tests } => {
                self.again(*repetition, tests);
            }
            Event::JobStarted { tests, .. } => {
                for id in tests {
                    if let Some(account) = self.account(id) {
                        account.has_begun = true;
                    }
                }
            }
            Event::TestsFound {
                group, of, tests, ..
            } => return self.found(group, of.as_ref(), tests),
            Event::TestFinished(test) => {
                return match self.account(&test.id) {
                    Some(account) if account.owed > 0 => {
                        account.owed -= 1;
                        true
                    }
                    Some(account) => std::mem::take(&mut account.has_lost),
                    None => false,
                };
            }
            _ => {}
        }
        true
    }

    /// These tests, or all that were selected if there are none, begin again. Returns those that are worth telling of: not those
    /// of which a result is still to come and one of an earlier repetition is known to be missing.
    pub fn again(&mut self, repetition: u32, tests: &[String]) -> Vec<String> {
        self.repetition = repetition;
        let mut told = Vec::new();
        // A test may be in several of the runs that were merged: of those each has repetitions of its own.
        for id in tests {
            if let Some(account) = self.account(id).filter(|account| account.selected > 0) {
                account.owed += 1;
                account.has_begun = false;
                account.repetition = repetition;
                told.push(id.clone());
            }
        }
        if !tests.is_empty() {
            return told;
        }
        for (id, account) in &mut self.tests {
            account.catch_up(self.rounds, repetition);
            if account.selected > 0 {
                let more = account.begin_again(repetition);
                told.extend(std::iter::repeat_n(id.clone(), more));
            }
        }
        told
    }

    /// Tests that come in the place of an item, or in none. What waits for its result already is not found again.
    fn found(&mut self, group: &str, of: Option<&String>, tests: &[String]) -> bool {
        match of.map(|of| self.account(of)) {
            Some(Some(account)) if account.owed > 0 => account.owed -= 1,
            Some(_) => return false,
            None => {}
        }
        let repetition = self.repetition;
        for id in tests {
            let account = self.entry(id);
            group.clone_into(&mut account.group);
            account.has_begun = true;
            account.owed += 1;
            account.repetition = repetition;
        }
        true
    }

    /// The results that are missing: `begun` for what had begun, not-run for all else. Those of earlier repetitions are one.
    pub fn missing(&mut self, begun: Outcome, why: &str) -> Vec<TestFinished> {
        let mut missing = Vec::new();
        for (id, account) in &mut self.tests {
            account.catch_up(self.rounds, self.repetition);
            let outcome = if account.has_begun {
                begun
            } else {
                Outcome::NotRun
            };
            let one = |outcome: Outcome, why: String| TestFinished {
                repetition: account.repetition,
                message: Some(why),
                ..TestFinished::new(id.clone(), &account.group, outcome)
            };
            missing.extend((0..account.owed).map(|_| one(outcome, why.to_owned())));
            if account.has_lost {
                let why = format!("results of earlier repetitions are missing: {why}");
                missing.push(one(Outcome::NotRun, why));
            }
        }
        missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{GroupStarted, Placement};
    use crate::manifest::model::Order;

    fn result(ledger: &mut Ledger, id: &str) -> TestFinished {
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
        let a = Event::TestFinished(result(&mut ledger, "g::a"));
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
        let twice = Event::TestFinished(result(&mut ledger, "g::twice"));
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
        for repetition in 3..10_000 {
            assert!(ledger.take(&Event::RepetitionStarted {
                repetition,
                tests: Vec::new()
            }));
        }
        let left = ledger.missing(Outcome::Cancelled, "why");
        assert_eq!(left.len(), 7, "what is missing of all before is one result");
        let told: Vec<_> = left.iter().filter(|test| test.id == "g::a").collect();
        assert_eq!(told.len(), 2);
        for test in told {
            assert!(ledger.take(&Event::TestFinished(test.clone())));
        }
        let again = Event::TestFinished(left[0].clone());
        assert!(!ledger.take(&again), "it has all of its results");
    }

    #[test]
    fn only_tests_that_have_their_results_are_worth_telling_of_again() {
        let group = GroupStarted {
            name: "g".into(),
            tests: 2,
            workers: 1,
            order: Order::Smart,
            ids: ["g::a", "g::b"].map(str::to_owned).into(),
            ..GroupStarted::default()
        };
        let mut ledger = Ledger::default();
        let mut started = serde_json::json!({
            "event": "run-started", "run": "", "groups": [], "tests": 2, "workers": 1, "seed": 0,
        });
        started["groups"] = serde_json::json!([group]);
        ledger.take(&serde_json::from_value(started).unwrap());
        let finished =
            |id: &str| Event::TestFinished(TestFinished::new(id.into(), "g", Outcome::Passed));
        assert!(ledger.take(&finished("g::a")));
        // b has not, and that is told once.
        assert_eq!(ledger.again(2, &[]), ["g::a", "g::b"]);
        assert!(ledger.take(&finished("g::a")));
        assert_eq!(ledger.again(3, &[]), ["g::a"]);
        assert_eq!(ledger.again(4, &[]), ["g::a"]);
        assert_eq!(ledger.again(5, &[]), Vec::<String>::new());
        assert_eq!(ledger.missing(Outcome::Cancelled, "why").len(), 4);
    }
}
