//! Which tests failed, or did not run, the last time they were to: what `--failed` selects.

use std::collections::{HashMap, HashSet};

use super::{Fate, Folder, Journal};
use crate::event::Event;
use crate::outcome::Outcome;
use crate::plan::Memory;

/// Of these tests, those that failed, or did not run, the last time they were to. `None` if no run that is kept names any of
/// them.
///
/// Journals come first, the last run's before those of earlier ones: only they know what was to run and did not, and what a
/// run that was killed has done. A test that none of them names was last run long ago: the history has its outcome.
#[must_use]
pub fn unfinished(
    folder: &Folder,
    memory: &dyn Memory,
    tests: impl IntoIterator<Item = String>,
) -> Option<HashSet<String>> {
    let mut open: HashSet<String> = tests.into_iter().collect();
    let mut unfinished = HashSet::new();
    let mut is_known = false;
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
        for (test, outcome) in results(journal.map(|line| line.event)) {
            if open.remove(&test) {
                is_known = true;
                if !outcome.is_some_and(Outcome::is_success) {
                    unfinished.insert(test);
                }
            }
        }
    }
    for test in open {
        if let Some(past) = memory.recall(&test) {
            is_known = true;
            if past.failed {
                unfinished.insert(test);
            }
        }
    }
    is_known.then_some(unfinished)
}

/// The tests that were to run, each with its outcome if it has one.
fn results(events: impl Iterator<Item = Event>) -> HashMap<String, Option<Outcome>> {
    let mut results = HashMap::new();
    for event in events {
        match event {
            Event::RunStarted { groups, .. } => {
                let ids = groups.into_iter().flat_map(|group| group.ids);
                results.extend(ids.map(|id| (id, None)));
            }
            Event::TestFinished(test) => {
                // One that is repeated has failed if any of its repetitions did.
                let result = results.entry(test.id).or_default();
                if result.is_none_or(Outcome::is_success) {
                    *result = Some(test.outcome);
                }
            }
            _ => {}
        }
    }
    results
}
