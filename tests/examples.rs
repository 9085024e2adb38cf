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

#[path = "examples/workflow.rs"]
mod workflow;

use support::{Project, python};
use workflow::{Service, Yaml};

/// One test below for each.
const EXAMPLES: [&str; 6] = ["batch", "ci", "postgres", "python", "rust", "shell"];

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
fn ci() {
    // Any Python will do; where there is none, the set-up has said so.
    if python().is_none() {
        return;
    }
    let project = copy("ci");
    has_outcomes(&project, &[("passed", 13)]);
    keeps_its_readme(&project);
    let workflow = Yaml::parse(&project.read(".github/workflows/tests.yml"));
    let mut service = Service::new();
    let untouched = |_: &str, _: &str, _: &Project| {};
    let machine = || copy("ci");

    // The first time nothing is known.
    let first = service.run(&workflow, &machine, &untouched);
    let all_well = ["history", "merge", "shard 1", "shard 2", "shard 3"];
    let all_well = all_well.map(|job| (job.to_owned(), true)).into();
    assert_eq!(first.jobs, all_well, "{:#?}", first.said);
    assert!(first.said["shard 1"].contains(" of 13 tests, divided by hash"));
    assert!(first.said["merge"].contains("ok: 13 passed in "));
    let report = first.artifact("junit", "junit.xml");
    assert_eq!(report.matches("<testcase ").count(), 13);

    // The second time the shards go by what the first has measured, and measure what none of the others does.
    let second = service.run(&workflow, &machine, &untouched);
    assert_eq!(second.jobs, all_well, "{:#?}", second.said);
    let history = second.artifact("history", "history.jsonl");
    let mut measured = Vec::new();
    for number in 1..=3 {
        let said = &second.said[&format!("shard {number}")];
        assert!(said.contains(" of 13 tests, divided by time"), "{said}");
        let own = second.artifact(
            &format!("shard-{number}"),
            &format!("measured-{number}.jsonl"),
        );
        assert!(
            own.lines().all(|line| !history.contains(line)),
            "it exports what it imported"
        );
        measured.extend(own.lines().map(str::to_owned));
    }
    let tests = measured.iter().filter(|line| line.contains("\"test\":"));
    assert_eq!(tests.count(), 13);
    let all = measured.len();
    measured.sort();
    measured.dedup();
    assert_eq!(measured.len(), all, "two shards have exported the same");

    // A test that fails makes its shard and the merge fail; the report has it, and the history is kept all the same.
    let broken = |_: &str, step: &str, project: &Project| {
        if step == "Run a shard" {
            let code = project
                .read("clock/year.py")
                .replace("year % 400 == 0", "False");
            fs::write(project.path().join("clock/year.py"), code).unwrap();
        }
    };
    let third = service.run(&workflow, &machine, &broken);
    let failed = third.jobs.iter().filter(|(_, is_well)| !**is_well);
    assert_eq!(failed.count(), 2, "{:#?}", third.said);
    assert!(
        third.said["merge"].contains("FAILED: 12 passed, 1 failed in "),
        "{:#?}",
        third.said
    );
    assert!(
        third
            .artifact("junit", "junit.xml")
            .contains("failures=\"1\"")
    );

    // A shard with another history than the others' passes, and the merge finds it out.
    let forgetful = |job: &str, step: &str, project: &Project| {
        if job == "shard 2" && step == "Import the history" {
            fs::write(project.path().join("history.jsonl"), "").unwrap();
        }
    };
    let fourth = service.run(&workflow, &machine, &forgetful);
    assert!(fourth.said["shard 1"].contains("divided by time"));
    assert!(fourth.said["shard 2"].contains("divided by hash"));
    assert!(fourth.jobs["shard 1"] && fourth.jobs["shard 2"] && fourth.jobs["shard 3"]);
    assert!(!fourth.jobs["merge"]);
    let said = &fourth.said["merge"];
    assert!(
        said.contains("were divided by different histories"),
        "{said}"
    );

    // What was kept of the run that failed is there for the next one.
    let fifth = service.run(&workflow, &machine, &untouched);
    assert_eq!(fifth.jobs, all_well, "{:#?}", fifth.said);
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
