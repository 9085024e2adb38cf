//! Hostile tests: what `orchestrate` holds when the jobs that it runs do their worst, by accident or on purpose.
//!
//! Every test runs the real binary as a user would, on programs (`programs/*.c`, and shell lines) that fork, hide, flood, stop,
//! kill and forge. What is looked at is what a user relies on: outcomes, the exit code, and that nothing is left: no process,
//! no temporary file, and nothing changed that was not the job's. No program here can take the machine down: each has a cap
//! and dies by itself after a minute.

#![cfg(target_os = "linux")]

#[allow(dead_code)]
#[path = "../cli/support.rs"]
mod support;

mod arena;
mod by_hand;
mod cleanup;
mod filter;
mod foreign;
mod groups;
mod kept;
mod memory;
mod names;
mod on_timeout;
mod output;
mod places;
mod processes;
mod same_user;
mod sandbox;
mod scratch;
mod secrets;
mod session;
mod shared;
mod shortage;
mod signals;
mod terminal;
mod verdicts;
