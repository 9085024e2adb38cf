//! `orchestrate` runs a repository's tests, in any language, from one committed `fastest.toml`: in parallel, each job in an
//! isolated process, each process cleaned up, each result accounted for.
//!
//! The way of the data, one module a step:
//!
//! ```text
//! fastest.toml ─ manifest ─▶ Config ─ runner ─▶ items ─ plan ─▶ Plan ─ schedule ⇄ execute ─▶ events ─▶ reports
//!                                                       ▲                    │             ├─▶ journal
//!                                                    history ◀───────────────┴─────────────┘─▶ exit code
//! ```
#![deny(missing_docs)]

mod choose;
pub mod cli;
pub mod event;
pub mod execute;
pub mod explain;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod git;
pub mod history;
mod kept_file;
pub mod machine;
pub mod manifest;
pub mod outcome;
mod pending;
pub mod plan;
pub mod report;
pub mod run;
pub mod runner;
pub mod schedule;
mod secrets;
mod suggest;
pub mod worker;

pub use event::Event;
pub use manifest::Manifest;
pub use plan::Plan;
pub use run::Run;
