//! The worker: a supervisor process that runs one job after the other and ends everything that each left behind.
//!
//! `orchestrate worker` is started by re-executing the current binary. It reads [`frame::Request`]s on its standard input and
//! writes [`frame::Reply`]s on its standard output; how it is launched is the only difference between this machine and
//! another. Its standard input is its lifeline: when that closes, for whatever reason, it kills everything below it and goes.
//! It is single-threaded, and it never judges: it reports how a process ended, what it wrote and what it left behind.

pub mod by_hand;
pub(crate) mod capture;
pub mod client;
pub mod frame;
mod guard;
mod host;
pub mod inherited;
mod job;
mod level;
mod on_timeout;
mod pass;
mod process;
pub mod program;
mod progress;
mod scratch;
mod supervisor;
mod tree;
mod variables;

/// The folder of the runners' own files, in the folder of a run.
pub const SUPPORT: &str = "support";

pub use guard::guard;
pub(crate) use job::{monotonic, read_report};
pub use level::temporary_folders;
pub use process::{is_ignored, keep_from_others, make_pipe};
pub use scratch::{Scratch, ScratchError, bases, sweep, unknown_text};
pub use supervisor::{Launch, supervise};
pub use tree::{adopt_orphans, kill_strays};
#[cfg(target_os = "linux")]
pub use {process::listener_of, tree::descends_from};
