//! How a test can end.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a test ended. Each selected test has exactly one.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It passed.
    Passed,
    /// It failed.
    Failed,
    /// It could not start, or left no valid result.
    Errored,
    /// It took longer than its timeout.
    TimedOut,
    /// A signal ended its process.
    Crashed,
    /// It took more memory than it may.
    Oom,
    /// It was skipped, by its own word.
    Skipped,
    /// It failed as it was expected to.
    Xfailed,
    /// It was expected to fail and passed.
    Xpassed,
    /// It failed, was run again, and passed.
    Flaky,
    /// It passed, but left processes behind, which were ended.
    Leaked,
    /// The run was stopped while it ran.
    Cancelled,
    /// The run was stopped before it began, or what it needs failed.
    NotRun,
}

impl Outcome {
    /// All of them, in the order in which summaries count them.
    pub const ALL: [Self; 13] = [
        Self::Passed,
        Self::Flaky,
        Self::Leaked,
        Self::Failed,
        Self::Errored,
        Self::TimedOut,
        Self::Crashed,
        Self::Oom,
        Self::Xpassed,
        Self::Xfailed,
        Self::Skipped,
        Self::Cancelled,
        Self::NotRun,
    ];

    /// Whether a run whose tests all end so is a success. An unexpected pass is one, as in pytest: a strict one is
    /// reported as a failure by the runner itself. A leak is one, as in cargo-nextest: what was left behind is gone.
    #[must_use]
    pub fn is_success(self) -> bool {
        matches!(
            self,
            Self::Passed
                | Self::Skipped
                | Self::Xfailed
                | Self::Xpassed
                | Self::Flaky
                | Self::Leaked
        )
    }

    /// Whether the test itself did badly, so that another try makes sense and `max-fail` counts it.
    #[must_use]
    pub fn is_failure(self) -> bool {
        matches!(
            self,
            Self::Failed | Self::Errored | Self::TimedOut | Self::Crashed | Self::Oom
        )
    }

    /// The word for it, in summaries and events.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Errored => "errored",
            Self::TimedOut => "timed-out",
            Self::Crashed => "crashed",
            Self::Oom => "oom",
            Self::Skipped => "skipped",
            Self::Xfailed => "xfailed",
            Self::Xpassed => "xpassed",
            Self::Flaky => "flaky",
            Self::Leaked => "leaked",
            Self::Cancelled => "cancelled",
            Self::NotRun => "not-run",
        }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.word())
    }
}
