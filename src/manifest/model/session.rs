//! How tests of a runner with a session share processes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a group uses its runner's session: a process that loads everything once and is forked for tests.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum SessionMode {
    /// `shared`, but `worker` where the environment differs between workers or the host can't fork, and `cold` where forks would not be what a process
    /// of their own is. `orchestrate run -v` says which, and why.
    #[default]
    Auto,
    /// One host for the group: what tests import, and their collection, are paid for once.
    Shared,
    /// One host a worker, started with that worker's own environment.
    Worker,
    /// No session: each job is a process of its own that loads everything anew.
    Cold,
}

/// How much tests of a session share a process.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum Isolation {
    /// One process for a worker's life.
    #[default]
    Worker,
    /// One process a chunk.
    Chunk,
    /// One process a test.
    Test,
}

/// Which tests run beside others.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum Parallel {
    /// All that are not said to be serial.
    #[default]
    All,
    /// Those alone that are tagged `parallel_safe`; the others run one by one.
    OptIn,
}
