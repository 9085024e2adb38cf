//! The order in which tests start.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The order in which a group's tests start.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum Order {
    /// What failed last time first, then what takes longest.
    #[default]
    Smart,
    /// As they are listed.
    Listed,
    /// At random, by the run's seed.
    Random,
}

impl Order {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Smart => "smart",
            Self::Listed => "listed",
            Self::Random => "random",
        }
    }
}
