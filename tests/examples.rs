//! Every example, run as its reader would run it: each outcome is counted, and what its README says is so.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

#[path = "cli/support.rs"]
#[allow(dead_code)] // The builder serves tests/cli; not all of it is needed here.
mod support;

#[path = "postgres/server.rs"]
#[allow(dead_code)] // Only whether there is one.
mod server;

use support::{Project, python};

/// One test below for each.
const EXAMPLES: [&str; 5] = ["batch", "postgres", "python", "rust", "shell"];

/// What a run of an example leaves in its folder; a copy starts without it.
const LEFT_BY_A_RUN: [&str; 5] = [".fastest", "__pycache__", "backups", "target", "var"];

#[test]
fn every_example_is_tested() {
    let mut names: Vec<String> = fs::read_dir(folder())
        .unwrap()
        .map(Result::unwrap)
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, EXAMPLES, "each example needs a test in this file");
}

#[test]
fn batch() {
    let project = copy("batch");
    has_outcomes(&project, &[("passed", 9)]);
    keeps_its_readme(&project);
}

#[test]
fn postgres() {
    if !server::is_installed() {
        return;
    }
    let own = server::LEADING;
    let project = own
        .iter()
        .fold(copy("postgres"), |project, name| project.env(name, ""));
    has_outcomes(&project, &[("passed", 10)]);
    keeps_its_readme(&project);
}

#[test]
fn python_with_pytest() {
    let Some(python) = python() else { return };
    let environment = Path::new(&python).ancestors().nth(2).unwrap();
    let project = copy("python").env("VIRTUAL_ENV", environment.to_str().unwrap());
    has_outcomes(&project, &[("passed", 10), ("skipped", 1), ("xfailed", 1)]);
    keeps_its_readme(&project);
}

#[test]
fn rust() {
    let project = copy("rust");
    // Ours may be inherited from who tests us, and then the example would be built among our own executables.
    let target = project.path().join("target");
    let project = project.env("CARGO_TARGET_DIR", target.to_str().unwrap());
    has_outcomes(&project, &[("passed", 6), ("skipped", 1)]);
    keeps_its_readme(&project);
}

#[test]
fn shell() {
    let project = copy("shell");
    has_outcomes(&project, &[("passed", 5), ("skipped", 1)]);
    keeps_its_readme(&project);
    let databases = fs::read_dir(project.path().join("var")).unwrap();
    assert_eq!(databases.count(), 0, "a test left its database behind");
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

/// The example in a folder of its own: a run writes into it, and so do the runs of other tests.
fn copy(name: &str) -> Project {
    let project = Project::new();
    copy_folder(&folder().join(name), project.path());
    project
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        if LEFT_BY_A_RUN.iter().any(|left| name == *left) {
            continue;
        }
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &to.join(name));
        } else {
            fs::copy(entry.path(), to.join(name)).unwrap();
        }
    }
}

/// Runs everything; nothing but these outcomes may come of it.
#[track_caller]
fn has_outcomes(project: &Project, expected: &[(&str, usize)]) {
    let ran = project.run(&[]).exits(0);
    let mut counts = BTreeMap::new();
    for event in ran.events_of("test-finished") {
        let outcome = event["outcome"].as_str().unwrap().to_owned();
        *counts.entry(outcome).or_insert(0) += 1;
    }
    let counts: Vec<_> = counts
        .iter()
        .map(|(outcome, count)| (outcome.as_str(), *count))
        .collect();
    assert_eq!(counts, expected, "{:#?}", ran.outcomes());
}

/// Runs the README's commands; the first one must end as the README says.
#[track_caller]
fn keeps_its_readme(project: &Project) {
    let readme = project.read("README.md");
    let commands: Vec<Vec<&str>> = readme
        .split("```sh\n")
        .skip(1)
        .flat_map(|block| block.split("```").next().unwrap().lines())
        .map(|line| {
            let words = line.strip_prefix("orchestrate ");
            let words = words.unwrap_or_else(|| panic!("{line:?} is no command of ours"));
            words.split_whitespace().collect()
        })
        .collect();
    let (_, promise) = readme.split_once("It ends with `").unwrap();
    let promise = promise.split('`').next().unwrap();
    assert!(promise.starts_with("ok: "), "{promise:?}");
    for (index, command) in commands.iter().enumerate() {
        let ran = project.orchestrate(command).exits(0);
        if index == 0 {
            ran.says(promise);
        }
    }
    assert!(commands.len() >= 2, "a README shows at least two commands");
}
