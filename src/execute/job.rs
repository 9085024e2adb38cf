//! A job as the engine keeps it: what was planned, or what is left of one that broke off.

use crate::event::TestFinished;
use crate::manifest::config::TestSettings;
use crate::outcome::Outcome;
use crate::plan::{Item, Plan, full_id, spec};
use crate::schedule::JobSpec;

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
    /// How its one test ended at the last try, where this is another.
    pub failed: Option<Box<TestFinished>>,
    /// Which of the tests that its one item holds failed at the last try.
    pub failed_inside: Vec<String>,
}

impl Job {
    /// The job as the scheduler sees it.
    pub fn spec(&self, id: usize) -> JobSpec {
        // What ran out of time or memory may have done so for the others' sake.
        let ran_out =
            |failed: &TestFinished| matches!(failed.outcome, Outcome::TimedOut | Outcome::Oom);
        JobSpec {
            last: self.failed.as_deref().is_some_and(ran_out),
            ..spec(&self.settings, id, self.memory)
        }
    }

    /// The same settings with other items.
    pub fn with(&self, items: Vec<Item>, attempt: u32) -> Self {
        Self {
            items,
            attempt,
            predicted: 0.0,
            ..self.clone()
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
            id: full_id(group, &item.id),
            group: group.to_owned(),
            outcome,
            seconds: 0.0,
            attempt: self.attempt,
            worker: None,
            file: item.file.clone(),
            line: item.line,
            message: Some(message),
            output: None,
        }
    }
}
