//! What a listing says of its tests: what they come after, their fixtures, what they hold.

use std::fs;

use crate::support::{Project, Ran};

/// A runner whose listing is the file `tests.jsonl`, and whose tests note their beginning and end in `log`.
const MANIFEST: &str = "[runners.own]\nlist = \"cat tests.jsonl >\\\"<report>\\\"\"\nlist-format = \"jsonl\"\n\
    run = [\"./one\", \"<items>\"]\nresults = \"exit\"\nchunk-size = 1\n[groups.g]\nrunner = \"own\"\n";

/// A test fails that has a file of its name in `bad`.
const ONE: &str = "echo \"begin $1\" >>log; sleep 0.05; echo \"end $1\" >>log\n\
    if [ -e \"bad/$1\" ]; then [ -s \"bad/$1\" ] || rm \"bad/$1\"; exit 1; fi";

fn project(listing: &str) -> Project {
    Project::with(MANIFEST)
        .file("tests.jsonl", listing)
        .script("one", ONE)
}

fn log(project: &Project) -> Vec<String> {
    let text = fs::read_to_string(project.path().join("log")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Where a line of the log is.
fn at(log: &[String], line: &str) -> usize {
    let found = log.iter().position(|known| known == line);
    found.unwrap_or_else(|| panic!("{line:?} is not in {log:?}"))
}

const FIXTURE: &str = r#"{"id":"drop","cleans-up":["db"]}
{"id":"use-1","fixtures":["db"]}
{"id":"use-2","fixtures":["db"]}
{"id":"make","sets-up":["db"]}
{"id":"other"}
"#;

#[test]
fn a_fixture_is_set_up_before_and_cleaned_up_after_all_that_use_it() {
    let project = project(FIXTURE);
    let ran = project.run(&["-n", "4"]).exits(0);
    assert_eq!(ran.outcomes().len(), 5);
    let log = log(&project);
    for name in ["use-1", "use-2"] {
        assert!(
            at(&log, "end make") < at(&log, &format!("begin {name}")),
            "{log:?}"
        );
        assert!(
            at(&log, &format!("end {name}")) < at(&log, "begin drop"),
            "{log:?}"
        );
    }
    // The plan says the same, and the prediction follows it.
    let plan = project.orchestrate(&["plan", "-n", "4"]).exits(0).stdout;
    let line = |name: &str| {
        plan.lines()
            .position(|line| line.ends_with(&format!("g::{name}")))
    };
    assert!(line("make") < line("use-1"), "{plan}");
    project
        .orchestrate(&["explain"])
        .exits(0)
        .says("tests of g that wait for other tests");
}

#[test]
fn what_needs_a_setup_that_fails_is_not_run_with_the_reason() {
    let project = project(FIXTURE).file("bad/make", "always");
    let ran = project.run(&["-n", "2"]).exits(1);
    ran.says("g::make must pass first, and did not");
    let ran = project.run(&["-n", "2"]).exits(1);
    assert_eq!(
        ran.outcomes(),
        [
            "g::drop passed",
            "g::make failed",
            "g::other passed",
            "g::use-1 not-run",
            "g::use-2 not-run",
        ]
    );
}

#[test]
fn a_setup_that_passes_at_its_second_try_has_passed() {
    let project = project(FIXTURE)
        .file("bad/make", "")
        .file("fastest.toml", &format!("{MANIFEST}retries = 1\n"));
    let ran = project.run(&["-n", "2"]).exits(0);
    assert!(ran.outcomes().contains(&"g::make flaky".to_owned()));
    assert!(ran.outcomes().contains(&"g::use-1 passed".to_owned()));
}

#[test]
fn each_repetition_sets_the_fixture_up_again() {
    let project = project(FIXTURE);
    project.run(&["-n", "2", "--repeat", "2"]).exits(0);
    let log = log(&project);
    let made = log.iter().filter(|line| *line == "end make").count();
    assert_eq!(made, 2, "{log:?}");
}

#[test]
fn a_selected_test_brings_its_fixtures_and_not_what_it_only_comes_after() {
    let listing = format!(
        "{FIXTURE}{}\n",
        r#"{"id":"last","after":["other"],"fixtures":["db"]}"#
    );
    let project = project(&listing);
    let names = |ran: Ran| ran.outcomes();
    assert_eq!(
        names(project.run(&["-k", "last"]).exits(0)),
        ["g::drop passed", "g::last passed", "g::make passed"]
    );
    assert_eq!(
        names(project.run(&["-k", "last", "--exclude", "drop"]).exits(0)),
        ["g::last passed", "g::make passed"]
    );
    assert_eq!(
        names(project.run(&["-k", "other"]).exits(0)),
        ["g::other passed"]
    );
}

#[test]
fn tests_that_run_in_an_order_are_in_one_shard() {
    let project = project(FIXTURE);
    let mut all = Vec::new();
    for shard in ["1/3", "2/3", "3/3"] {
        let listed = project.orchestrate(&["list", "--shard", shard]).stdout;
        let own = listed.lines().filter(|line| line.starts_with("g::"));
        let own: Vec<String> = own.map(str::to_owned).collect();
        let bound = own
            .iter()
            .filter(|line| !line.starts_with("g::other"))
            .count();
        assert!(bound == 0 || bound == 4, "{shard}: {own:?}");
        all.extend(own);
    }
    assert_eq!(all.len(), 5, "{all:?}");
}

#[test]
fn a_cycle_is_told_and_holds_nobody_up() {
    let listing = "{\"id\":\"a\",\"after\":[\"b\"]}\n{\"id\":\"b\",\"after\":[\"a\"]}\n";
    let ran = project(listing).run(&[]).exits(0);
    ran.says("the order of its tests has a cycle: b comes after a, which comes after b");
}

#[test]
fn a_listing_says_what_a_test_holds() {
    let listing = r#"{"id":"a","locks":["x"]}
{"id":"b","locks":["x"]}
{"id":"alone","exclusive":true}
{"id":"free"}
"#;
    let project = project(listing);
    project.run(&["-n", "4"]).exits(0);
    let log = log(&project);
    let (a, b) = (
        (at(&log, "begin a"), at(&log, "end a")),
        (at(&log, "begin b"), at(&log, "end b")),
    );
    assert!(a.1 < b.0 || b.1 < a.0, "{log:?}");
    assert_eq!(
        at(&log, "end alone"),
        at(&log, "begin alone") + 1,
        "{log:?}"
    );
}

#[test]
fn a_cost_orders_a_first_run() {
    let listing = "{\"id\":\"a\"}\n{\"id\":\"b\",\"cost\":1}\n{\"id\":\"c\",\"cost\":50}\n";
    let project = project(listing);
    project.run(&["-n", "1"]).exits(0);
    let begun: Vec<String> = log(&project)
        .into_iter()
        .filter(|line| line.starts_with("begin"))
        .collect();
    assert_eq!(begun, ["begin c", "begin b", "begin a"]);
}

#[test]
fn files_that_a_test_leaves_are_in_the_report() {
    let listing = r#"{"id":"good","attachments":["good.log"],"attachments-on-failure":["good.png"]}
{"id":"wrong","attachments":["wrong.log"],"attachments-on-failure":["wrong.png"]}
"#;
    let project = project(listing).file("bad/wrong", "always");
    project
        .run(&[
            "--report",
            "jsonl=events.jsonl",
            "--report",
            "junit=junit.xml",
        ])
        .exits(1);
    let read = |name: &str| fs::read_to_string(project.path().join(name)).unwrap();
    let (events, junit) = (read("events.jsonl"), read("junit.xml"));
    assert!(
        events.contains("\"attachments\":[\"wrong.log\",\"wrong.png\"]"),
        "{events}"
    );
    assert!(
        events.contains("\"attachments\":[\"good.log\"]"),
        "{events}"
    );
    for file in ["good.log", "wrong.log", "wrong.png"] {
        assert!(junit.contains(&format!("[[ATTACHMENT|{file}]]")), "{junit}");
    }
    assert!(!junit.contains("good.png"), "{junit}");
}
