//! Tests that a report names and that were not listed: those inside an item, which then give way to them, and those that
//! nobody asked for. They are announced before their results, so that each is accounted for like any other.

use std::time::Duration;

use super::State;
use super::job::Job;
use super::lane::Lane;
use crate::event::{Event, TestFinished};
use crate::outcome::Outcome;
use crate::plan::{Item, full_id};
use crate::runner::read::{Reported, Verdict};

/// What becomes of the tests inside an item.
pub enum Inside {
    /// They have their results; so many of them failed. If the item's own verdict is no success, it is a test beside them.
    Told {
        /// How many.
        failures: usize,
    },
    /// They are told as one, by the item's verdict.
    AsOne,
    /// The item has another try; these of them failed.
    Again {
        /// Their ids in the group.
        failed_inside: Vec<String>,
    },
}

/// Sorts what was found by the item that it is in, and what is in none.
pub fn by_item(items: usize, found: Vec<Reported>) -> (Vec<Vec<Reported>>, Vec<Reported>) {
    let mut inside: Vec<Vec<Reported>> = (0..items).map(|_| Vec::new()).collect();
    let mut others = Vec::new();
    for test in found {
        match test.item {
            Some(item) => inside[item].push(test),
            None => others.push(test),
        }
    }
    (inside, others)
}

/// What each of several tests took, where only their sum is known.
#[expect(clippy::cast_precision_loss, reason = "a chunk has few items")]
pub fn share(duration: Duration, count: usize) -> f64 {
    duration.as_secs_f64() / count.max(1) as f64
}

impl State {
    /// Whether a result is to be told of a test that was not listed: it has one a round, but that it failed is never left out.
    pub(super) fn is_news(&mut self, id: &str, outcome: Outcome) -> bool {
        let failed = outcome.is_failure();
        match self.found.get_mut(id) {
            Some(told) => failed && !std::mem::replace(told, true),
            None => self.found.insert(id.to_owned(), failed).is_none(),
        }
    }
}

impl Lane<'_, '_> {
    /// Tells of the tests inside an item. Where they can't be told one by one, `verdict` becomes that of them all.
    pub(super) fn inside(
        &self,
        job: &Job,
        item: &Item,
        verdict: &mut Verdict,
        tests: Vec<Reported>,
        seconds: f64,
    ) -> Inside {
        let is_failure = |test: &&Reported| test.verdict.outcome.is_failure();
        let first = tests.iter().find(is_failure).cloned();
        let has_failed = first.is_some() || verdict.outcome.is_failure();
        let is_again = self.is_again(job, has_failed);
        if is_again || job.settings.expect.is_some() {
            let failed_inside = tests.iter().filter(is_failure).map(|test| test.id.clone());
            let failed_inside = failed_inside.collect();
            if let (Some(first), true) = (first, verdict.outcome.is_success()) {
                let why = first.verdict.message.unwrap_or_default();
                let message = format!("{}: {why}", first.id);
                *verdict = Verdict {
                    message: Some(message.trim_end_matches([' ', ':']).to_owned()),
                    ..first.verdict
                };
            }
            return if is_again {
                Inside::Again { failed_inside }
            } else {
                Inside::AsOne
            };
        }
        let group = job.group_name(self.shared.plan);
        let own = full_id(group, &item.id);
        let mut ids: Vec<String> = tests.iter().map(|test| full_id(group, &test.id)).collect();
        if !verdict.outcome.is_success() {
            ids.push(own.clone());
        }
        self.shared.send(Event::TestsFound {
            group: group.to_owned(),
            of: Some(own),
            tests: ids,
            part: !item.inside.is_empty(),
        });
        let share = seconds * share(Duration::from_secs(1), tests.len());
        let failures = tests.into_iter().map(|test| {
            let was_failed = job.failed_inside.contains(&test.id);
            self.tell(job, Some(item), test, share, was_failed)
        });
        Inside::Told {
            failures: failures.map(usize::from).sum(),
        }
    }

    /// Tells that an item whose tests are inside has another try.
    pub(super) fn retried(
        &self,
        job: &Job,
        item: &Item,
        verdict: Verdict,
        seconds: f64,
    ) -> Box<TestFinished> {
        let plan = self.shared.plan;
        let finished = TestFinished {
            seconds: verdict.seconds.unwrap_or(seconds),
            worker: Some(self.slot),
            message: self.bounded(verdict.message),
            output: self.bounded(verdict.output.filter(|text| !text.is_empty())),
            ..job.finished(plan, item, verdict.outcome, String::new())
        };
        self.shared.send(Event::TestRetried(finished.clone()));
        Box::new(finished)
    }

    /// Tells of tests that nobody asked for. Returns how many of them failed.
    pub(super) fn others(&self, job: &Job, tests: Vec<Reported>) -> usize {
        let shared = self.shared;
        let group = job.group_name(shared.plan);
        let mut failed = 0;
        for test in tests {
            let id = full_id(group, &test.id);
            // What was listed has the result of the job that was to run it.
            if shared.is_listed(&id) || !shared.state().is_news(&id, test.verdict.outcome) {
                continue;
            }
            // What is wrong with the whole is nobody's test.
            if !test.id.is_empty() {
                let message = format!(
                    "{id} was reported ({}), but never listed",
                    test.verdict.outcome
                );
                shared.send(Event::Warning { message });
            }
            shared.send(Event::TestsFound {
                group: group.to_owned(),
                of: None,
                tests: vec![id],
                part: false,
            });
            failed += usize::from(self.tell(job, None, test, 0.0, false));
        }
        failed
    }

    /// Tells a result. Returns whether it is a failure.
    fn tell(
        &self,
        job: &Job,
        item: Option<&Item>,
        test: Reported,
        seconds: f64,
        was_failed: bool,
    ) -> bool {
        let group = job.group_name(self.shared.plan);
        let outcome = test.verdict.outcome;
        let output = test.verdict.output.filter(|text| !text.is_empty());
        let mut finished = TestFinished {
            seconds: test.verdict.seconds.unwrap_or(seconds),
            attempt: job.attempt,
            repetition: job.repetition,
            worker: Some(self.slot),
            file: item.and_then(|item| item.file.clone()),
            message: self.bounded(test.verdict.message),
            output: self.bounded(output.filter(|_| outcome != Outcome::Passed)),
            ..TestFinished::new(full_id(group, &test.id), group, outcome)
        };
        if outcome == Outcome::Passed && was_failed {
            finished = job.flaky(finished);
        }
        let is_failure = finished.outcome.is_failure();
        self.shared.send(Event::TestFinished(finished));
        is_failure
    }
}
