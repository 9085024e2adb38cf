//! Where a job ran and why only then: what it takes to tell, after a run, what another order or fewer claims would have saved.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schedule::{JobSpec, WaitFor};

/// The place of a job in the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Placement {
    /// The number of its chunk: those of the plan come first, in the plan's order, those of later tries behind.
    pub chunk: usize,
    /// The job whose end made it: another try, or the rest of one that broke off. None for a job of the plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<usize>,
    /// Seconds that it was to wait after that end before it might start.
    #[serde(skip_serializing_if = "is_none")]
    pub delay: f64,
    /// Its slot among all jobs of the run that run at the same time, small and reused.
    pub slot: usize,
    /// What it was predicted to take, in seconds, the start of its chunk included.
    pub predicted: f64,
    /// Seconds from its being handed out to its start: the worker was made ready, with `before-all` and `before-worker`.
    pub ready: f64,
    /// What its worker waited for before it was handed out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waited: Vec<Wait>,
    /// What it held while it ran.
    #[serde(skip_serializing_if = "JobSpec::is_plain")]
    pub claims: JobSpec,
    /// What it had for itself, by pool: names with commas between.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub granted: BTreeMap<String, String>,
}

/// A worker that had nothing to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Wait {
    /// What kept the first job of its group from starting.
    #[serde(rename = "for")]
    pub what: WaitFor,
    /// The lock, pool or group by its name.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<String>,
    /// For how long.
    pub seconds: f64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_none(seconds: &f64) -> bool {
    *seconds <= 0.0
}

impl Wait {
    /// Adds a wait to those before it; waits for the same thing are one.
    pub fn add(self, list: &mut Vec<Self>) {
        let same = |known: &&mut Self| known.what == self.what && known.name == self.name;
        match list.iter_mut().find(same) {
            Some(known) => known.seconds += self.seconds,
            None => list.push(self),
        }
    }
}
