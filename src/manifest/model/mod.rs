//! The manifest as it is written: one struct a table, one file a kind of value.
//!
//! These types mirror `fastest.toml` and nothing more: every key is optional, nothing is resolved, no file is looked at.
//! They are the single source of the JSON schema, so a type's `Deserialize` accepts exactly what its `JsonSchema` accepts
//! (a property test holds the two together). Never `flatten`, never `untagged`: their errors name no key.

mod command;
mod detect;
mod duration;
mod expect;
mod factor;
mod items;
mod lock;
mod max_fail;
mod number;
mod order;
mod retry;
mod serial;
mod session;
mod setting;
mod size;
mod tables;

pub use command::{Command, CommandOrNone};
pub use detect::{Contains, Detect};
pub use duration::{Span, parse as parse_span};
pub use expect::Expect;
pub use factor::Factor;
pub use items::{Items, ItemsTable, Separator};
pub use lock::{Lock, LockMode, LockTable};
pub use max_fail::{Failures, MaxFail, StopAt};
pub use number::{ChunkSize, Count, Slots, Workers};
pub use order::Order;
pub use retry::{Backoff, BackoffKind, BackoffTable, Flaky};
pub use serial::Serial;
pub use session::{Isolation, Parallel, SessionMode};
pub use setting::{Setting, Text};
pub use size::Size;
pub use tables::{
    ChunkBy, Compat, Executor, Group, IsolationLevel, ItemEscape, KeepTmp, ListFormat, Manifest,
    Network, Override, Profile, ResultFormat, Run, RunnerTable, Stdout, StopSignal, Tests,
};
