//! The beginning of each round of a run that is repeated: what is told of it, and the results that need no job.

use super::{Shared, State};
use crate::event::{Event, TestFinished};
use crate::outcome::Outcome;
use crate::plan::{Item, Known, full_id};

/// How often each selected test runs.
#[derive(Clone, Copy, Debug)]
pub struct Repeat {
    /// So often; none is without an end.
    pub rounds: Option<u32>,
    /// No other round begins once a test has failed.
    pub until_fail: bool,
}

impl Default for Repeat {
    fn default() -> Self {
        Self {
            rounds: Some(1),
            until_fail: false,
        }
    }
}

impl Shared<'_> {
    /// Tells of the rounds that have begun since this was last asked. Before any job of theirs starts, since it is within the lock.
    pub(super) fn tell_rounds(&self, state: &mut State) {
        while state.told_round < state.scheduler.round() {
            state.told_round += 1;
            let repetition = state.told_round;
            // What nobody asked for has a result in each.
            state.found.clear();
            self.send(Event::RepetitionStarted {
                repetition,
                tests: Vec::new(),
            });
            self.tell_known(repetition);
        }
    }

    /// Tells the results that are known already.
    pub(super) fn tell_known(&self, repetition: u32) {
        for group in &self.plan.groups {
            let name = group.config.name.as_str();
            for item in &group.known {
                let known = TestFinished {
                    repetition,
                    ..known(name, item)
                };
                self.send(Event::TestFinished(known));
            }
        }
    }
}

/// The result of an item that needs no job.
fn known(group: &str, item: &Item) -> TestFinished {
    let (outcome, message, output) = match &item.known {
        Some(Known::Broken(why)) => {
            let (first, rest) = why.split_once('\n').unwrap_or((why, ""));
            let rest = (!rest.is_empty()).then(|| rest.to_owned());
            (Outcome::Errored, first.to_owned(), rest)
        }
        Some(Known::Skipped(why)) => (Outcome::Skipped, why.clone(), None),
        Some(Known::Barred(why)) => (Outcome::NotRun, why.clone(), None),
        None => (Outcome::NotRun, String::new(), None),
    };
    TestFinished {
        file: item.file.clone(),
        line: item.line,
        message: Some(message),
        output,
        ..TestFinished::new(full_id(group, &item.id), group, outcome)
    }
}
