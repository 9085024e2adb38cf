//! What tests did the last time they were to run: what `--failed` selects, and the names of the tests inside files.

use std::collections::HashMap;

use indexmap::IndexMap;

use super::{Fate, Folder, Journal};
use crate::event::Event;
use crate::outcome::Outcome;
use crate::plan::Memory;

/// What became of an item.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Last {
    /// Its own result; `None` where it was to run and did not. An item whose tests count one by one has passed.
    own: Option<Outcome>,
    /// The tests inside it, by their names in it.
    inside: IndexMap<String, Outcome>,
    /// Whether only some of its tests were to run.
    is_part: bool,
}

/// Which of an item did not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfinished {
    /// The item itself.
    Whole,
    /// These tests inside it.
    Inside(Vec<String>),
}

impl Last {
    /// What of it failed, or did not run.
    fn unfinished(&self) -> Option<Unfinished> {
        if !self.own.is_some_and(Outcome::is_success) {
            return Some(Unfinished::Whole);
        }
        let failed = self.inside.iter();
        let failed = failed.filter(|(_, outcome)| !outcome.is_success());
        let names: Vec<String> = failed.map(|(name, _)| name.clone()).collect();
        (!names.is_empty()).then_some(Unfinished::Inside(names))
    }

    /// Adds what an earlier run says of the tests that this one did not run.
    fn add_earlier(&mut self, earlier: Self) {
        for (name, outcome) in earlier.inside {
            self.inside.entry(name).or_insert(outcome);
        }
        self.is_part = earlier.is_part;
        if self.own.is_some_and(Outcome::is_success) {
            self.own = earlier.own;
        }
    }
}

/// The last results of these items, by full id, as far as a journal that is kept has them. The last run's journal comes first,
/// then those of earlier ones.
#[must_use]
pub fn last(folder: &Folder, items: impl IntoIterator<Item = String>) -> HashMap<String, Last> {
    let mut open: Vec<String> = items.into_iter().collect();
    let mut known: HashMap<String, Last> = HashMap::new();
    for id in folder.kept() {
        if open.is_empty() {
            break;
        }
        let run = folder.run(&id);
        // One that goes on beside us has no results yet: its tests are not those of the last time.
        if run.fate() == Fate::Running {
            continue;
        }
        let Ok(journal) = Journal::open(&run.journal()) else {
            continue;
        };
        let mut results = results(journal.map(|line| line.event));
        open.retain(|item| {
            let Some(found) = results.remove(item) else {
                return true;
            };
            let last = match known.entry(item.clone()) {
                std::collections::hash_map::Entry::Occupied(later) => {
                    let later = later.into_mut();
                    later.add_earlier(found);
                    later
                }
                std::collections::hash_map::Entry::Vacant(entry) => entry.insert(found),
            };
            last.is_part
        });
    }
    known
}

/// Of these items, those that failed, or did not run, the last time they were to. `None` if no run that is kept names any of
/// them.
///
/// Journals come first: only they know what was to run and did not, and what a run that was killed has done. A test that none
/// of them names was last run long ago: the history has its outcome.
#[must_use]
pub fn unfinished(
    folder: &Folder,
    memory: &dyn Memory,
    items: impl IntoIterator<Item = String>,
) -> Option<HashMap<String, Unfinished>> {
    let items: Vec<String> = items.into_iter().collect();
    let last = last(folder, items.iter().cloned());
    let mut unfinished = HashMap::new();
    let mut is_known = false;
    for item in items {
        let what = match last.get(&item) {
            Some(last) => {
                is_known = true;
                last.unfinished()
            }
            None => memory.recall(&item).and_then(|past| {
                is_known = true;
                past.failed.then_some(Unfinished::Whole)
            }),
        };
        unfinished.extend(what.map(|what| (item, what)));
    }
    is_known.then_some(unfinished)
}

/// The names of the tests inside these items, where a run that is kept has reported them.
#[must_use]
pub fn inside(
    folder: &Folder,
    items: impl IntoIterator<Item = String>,
) -> HashMap<String, Vec<String>> {
    let last = last(folder, items).into_iter();
    let names = last.map(|(item, last)| (item, last.inside.into_keys().collect::<Vec<_>>()));
    names.filter(|(_, names)| !names.is_empty()).collect()
}

/// The items that were to run, each with what became of it.
fn results(events: impl Iterator<Item = Event>) -> HashMap<String, Last> {
    let mut results: HashMap<String, Last> = HashMap::new();
    // The item that a test is in.
    let mut holders: HashMap<String, String> = HashMap::new();
    for event in events {
        match event {
            Event::RunStarted { groups, .. } => {
                let ids = groups.into_iter().flat_map(|group| group.ids);
                results.extend(ids.map(|id| (id, Last::default())));
            }
            Event::TestsFound {
                of: Some(of),
                tests,
                part,
                ..
            } => {
                let item = results.entry(of.clone()).or_default();
                item.is_part = part;
                if item.own.is_none() && !tests.contains(&of) {
                    item.own = Some(Outcome::Passed);
                }
                let inside = tests.into_iter().filter(|test| *test != of);
                holders.extend(inside.map(|test| (test, of.clone())));
            }
            Event::TestFinished(test) => {
                // One that is repeated has failed if any of its repetitions did.
                let worse = |known: Option<Outcome>| match known {
                    Some(known) if !known.is_success() => known,
                    _ => test.outcome,
                };
                match holders.get(&test.id) {
                    Some(of) => {
                        let item = results.entry(of.clone()).or_default();
                        let name = test.id.strip_prefix(of.as_str());
                        let name = name.and_then(|rest| rest.strip_prefix("::"));
                        let name = name.unwrap_or(&test.id).to_owned();
                        let known = item.inside.get(&name).copied();
                        item.inside.insert(name, worse(known));
                    }
                    None => {
                        let item = results.entry(test.id.clone()).or_default();
                        item.own = Some(worse(item.own));
                    }
                }
            }
            _ => {}
        }
    }
    results
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::TestFinished;

    fn found(part: bool, tests: &[&str]) -> Event {
        Event::TestsFound {
            group: "g".into(),
            of: Some("g::a.js".into()),
            tests: tests.iter().map(|name| (*name).to_owned()).collect(),
            part,
        }
    }

    fn finished(id: &str, outcome: Outcome) -> Event {
        Event::TestFinished(TestFinished::new(id.into(), "g", outcome))
    }

    #[test]
    fn a_file_gives_way_to_its_tests() {
        let events = [
            found(false, &["g::a.js::x", "g::a.js::y"]),
            finished("g::a.js::x", Outcome::Passed),
            finished("g::a.js::y", Outcome::Failed),
        ];
        let results = results(events.into_iter());
        let last = &results["g::a.js"];
        assert_eq!(last.own, Some(Outcome::Passed));
        let failed = Unfinished::Inside(vec!["y".into()]);
        assert_eq!(last.unfinished(), Some(failed));
    }

    #[test]
    fn a_run_of_some_tests_says_nothing_of_the_others() {
        let later = [
            found(true, &["g::a.js::x"]),
            finished("g::a.js::x", Outcome::Passed),
        ];
        let earlier = [
            found(false, &["g::a.js::x", "g::a.js::y"]),
            finished("g::a.js::x", Outcome::Failed),
            finished("g::a.js::y", Outcome::Failed),
        ];
        let mut last = results(later.into_iter()).remove("g::a.js").unwrap();
        assert!(last.is_part);
        last.add_earlier(results(earlier.into_iter()).remove("g::a.js").unwrap());
        assert!(!last.is_part);
        let failed = Unfinished::Inside(vec!["y".into()]);
        assert_eq!(last.unfinished(), Some(failed));
    }

    #[test]
    fn a_file_that_broke_off_is_run_as_a_whole() {
        let events = [
            found(false, &["g::a.js::x", "g::a.js"]),
            finished("g::a.js::x", Outcome::Passed),
            finished("g::a.js", Outcome::Crashed),
        ];
        let results = results(events.into_iter());
        assert_eq!(results["g::a.js"].unfinished(), Some(Unfinished::Whole));
        assert_eq!(Last::default().unfinished(), Some(Unfinished::Whole));
    }
}
