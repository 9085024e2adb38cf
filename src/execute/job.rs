//! A job as the engine keeps it: what was planned, or what is left of one that broke off.

use std::sync::Arc;
use std::time::Duration;

use crate::event::TestFinished;
use crate::manifest::config::{GroupConfig, TestSettings};
use crate::manifest::model::Flaky;
use crate::outcome::Outcome;
use crate::plan::random::{Random, hash};
use crate::plan::{Item, Plan, full_id, spec};
use crate::schedule::{After, JobSpec};

/// A job.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its group, by index.
    pub group: usize,
    /// Its items.
    pub items: Vec<Item>,
    /// The settings that they share.
    pub settings: TestSettings,
    /// The memory it is thought to need, in bytes; 0 is not known.
    pub memory: u64,
    /// What it is thought to take, in seconds, its start included; 0 where it was not planned.
    pub predicted: f64,
    /// The number of the job whose end made it, if it is none of the plan.
    pub of: Option<usize>,
    /// Which try this is, from 1.
    pub attempt: u32,
    /// Which repetition of its tests, from 1.
    pub repetition: u32,
    /// How its one test ended at the last try, where this is another.
    pub failed: Option<Box<TestFinished>>,
    /// Which of the tests that its one item holds failed at the last try.
    pub failed_inside: Vec<String>,
    /// How long it waits before it is run.
    pub wait: Duration,
    /// Whether it runs alone, and last, since memory ran short when it ran beside others.
    pub alone: bool,
    /// The jobs of its group that must be over before it, by their numbers; none of what runs in place of another.
    pub after: Vec<After>,
}

impl Job {
    /// How many workers it stands for: `<workers>`.
    pub fn workers_of(&self, group: &GroupConfig) -> usize {
        match group.one_process {
            Some(_) => self.settings.slots.max(1),
            None => 1,
        }
    }

    /// The job as the scheduler sees it, at a time of the run.
    pub fn spec(&self, id: usize, now: Duration) -> JobSpec {
        // What ran out of time or memory may have done so for the others' sake.
        let ran_out =
            |failed: &TestFinished| matches!(failed.outcome, Outcome::TimedOut | Outcome::Oom);
        JobSpec {
            last: self.alone || self.failed.as_deref().is_some_and(ran_out),
            not_before: if self.wait.is_zero() {
                Duration::ZERO
            } else {
                now.saturating_add(self.wait)
            },
            after: self.after.clone(),
            ..spec(&self.settings, id, self.memory)
        }
    }

    /// A job that was made once for all rounds, in one of them.
    pub fn in_round(job: &Arc<Self>, round: u32) -> Arc<Self> {
        let mut job = job.clone();
        // What is run again has the number of its round.
        if job.repetition < round {
            Arc::make_mut(&mut job).repetition = round;
        }
        job
    }

    /// The same try with some of the items, at once.
    pub fn with(&self, items: Vec<Item>) -> Self {
        Self {
            items,
            predicted: 0.0,
            wait: Duration::ZERO,
            after: Vec::new(),
            ..self.clone()
        }
    }

    /// The same try of some of the items, alone: there was not memory enough for it beside others.
    pub fn alone(&self, items: Vec<Item>) -> Self {
        Self {
            alone: true,
            ..self.with(items)
        }
    }

    /// Another try of an item that failed: alone, since what failed together may have failed of it.
    pub fn again(
        &self,
        plan: &Plan,
        item: Item,
        failed: Box<TestFinished>,
        failed_inside: Vec<String>,
    ) -> Self {
        // As random as a jitter needs, and the same for the same seed.
        let seed = plan.seed ^ u64::from(self.attempt) ^ hash(failed.id.as_bytes());
        let random = Random::new(seed).unit();
        Self {
            attempt: self.attempt + 1,
            wait: self.settings.backoff.wait(self.attempt, random),
            failed: Some(failed),
            failed_inside,
            ..self.with(vec![item])
        }
    }

    /// The result that `finished` is, if it passed at a later try: what the group says it counts as.
    pub fn flaky(&self, finished: TestFinished) -> TestFinished {
        if self.settings.flaky == Flaky::Pass {
            return TestFinished {
                outcome: Outcome::Flaky,
                ..finished
            };
        }
        let first = self.failed.as_deref();
        let why = first.and_then(|failed| failed.message.as_deref());
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        TestFinished {
            outcome: Outcome::Failed,
            flaky: true,
            message: Some(format!(
                "passed at try {}, which `flaky = \"fail\"` counts as failed{why}",
                self.attempt
            )),
            // What it printed when it passed tells nothing.
            output: first.and_then(|failed| failed.output.clone()),
            ..finished
        }
    }

    /// The group's name.
    pub fn group_name<'a>(&self, plan: &'a Plan) -> &'a str {
        plan.groups[self.group].config.name.as_str()
    }

    /// The full ids of its tests.
    pub fn ids(&self, plan: &Plan) -> Vec<String> {
        let group = self.group_name(plan);
        self.items
            .iter()
            .map(|item| full_id(group, &item.id))
            .collect()
    }

    /// A result of one of its items that no worker gave.
    pub fn finished(
        &self,
        plan: &Plan,
        item: &Item,
        outcome: Outcome,
        message: String,
    ) -> TestFinished {
        let group = self.group_name(plan);
        TestFinished {
            attempt: self.attempt,
            repetition: self.repetition,
            file: item.file.clone(),
            line: item.line,
            message: Some(message),
            attachments: attachments(item, outcome),
            ..TestFinished::new(full_id(group, &item.id), group, outcome)
        }
    }
}

/// The files that an item leaves for who reads the report.
fn attachments(item: &Item, outcome: Outcome) -> Vec<String> {
    let has_run = !matches!(outcome, Outcome::NotRun | Outcome::Cancelled);
    let files = item.attachments.iter().filter(|_| has_run);
    let files = files.filter(|file| !file.on_failure || outcome.is_failure());
    files
        .map(|file| file.path.to_string_lossy().into_owned())
        .collect()
}
