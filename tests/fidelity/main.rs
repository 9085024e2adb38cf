//! The differential tests: what the tool itself runs, we run, and what it says, we say (`docs/fidelity.md`).
//!
//! One test a setting of a project. Those that take long are `#[ignore = "slow"]`: `cargo test --test fidelity -- --include-ignored`.

#[path = "../cli/support.rs"]
#[allow(dead_code)] // The builder serves tests/cli; not all of it is needed here.
mod support;

#[macro_use]
mod harness;

mod bats;
mod busted;
mod cargo;
mod ctest;
mod go;
mod gtest;
mod javascript;
mod jest;
mod mocha;
mod node;
mod prove;
mod pytest;
mod unittest;
mod vitest;
