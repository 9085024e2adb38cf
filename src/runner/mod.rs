//! Runners: how a kind of test is listed, run and read.
//!
//! A preset is TOML data in `presets/`, in the words of `[runners.NAME]`. Adding a runner adds a preset, and code only where
//! a listing or a result has a form that is new.

pub(crate) mod apart;
pub mod compat;
pub mod coverage;
pub mod discover;
pub mod files;
pub mod list;
pub mod parts;
pub mod preset;
pub mod read;
pub mod record;
pub mod session;
mod support;
mod unclaimed;

pub use discover::{Discovery, Found, discover};
pub use support::check as check_support;
pub use unclaimed::{ClaimedFiles, Unclaimed};
