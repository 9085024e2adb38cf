//! Each preset with its real tool: tests that pass, fail, are skipped, and one whose process is killed while it runs.
//!
//! What a tool needs is installed by `tests/setup`; where it could not be, the test says so and passes, but not under CI=true.

#[path = "../cli/support.rs"]
#[allow(dead_code)] // The builder serves tests/cli; not all of it is needed here.
mod support;

mod compiled;
mod inside;
mod javascript;
mod lua;
mod mocha;
mod plain;
mod python;
mod rust;
mod scripts;

use std::path::{Path, PathBuf};

use support::Project;

/// Whether a program is there.
fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    missing_unless(is_there, program)
}

/// Names what is missing; under CI=true that is a failure.
fn missing_unless(is_there: bool, what: &str) -> bool {
    if !is_there {
        let is_ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
        assert!(!is_ci, "there is no {what}: run `tests/setup`");
        eprintln!("skipped: no {what} (run `tests/setup`)");
    }
    is_there
}

/// Where `tests/setup` installs node's modules.
fn node_modules() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-env/node/node_modules")
}

/// A project that what `orchestrate init` finds is enough for; it names these runners.
#[track_caller]
fn is_detected(project: &Project, runner: &str) {
    let manifest = project.orchestrate(&["init", "--print"]).exits(0).stdout;
    let line = format!("runner = \"{runner}\"\n");
    assert!(manifest.contains(&line), "{manifest}");
}
