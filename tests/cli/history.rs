//! What is remembered of tests, and what can be done with it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use crate::support::Project;

fn project() -> Project {
    Project::with("[groups.g]\nrunner = \"exec\"\nfiles = [\"t/*\"]\nretries = 1\n[groups.slow]\ncommand = [\"sleep\", \"60\"]\ntimeout = \"300ms\"\n")
        .script("t/fail", "exit 1")
        .script("t/flaky", "[ $ORCHESTRATE_ATTEMPT = 2 ]")
        .script("t/pass", "exit 0")
}

#[test]
fn every_try_is_remembered_and_shown() {
    let project = project();
    project.run(&[]).exits(1);
    let shown = project.orchestrate(&["history", "show"]).exits(0);
    let lines: Vec<&str> = shown.stdout.lines().collect();
    let ids: Vec<&str> = lines
        .iter()
        .filter(|line| !line.starts_with(' '))
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    assert_eq!(ids, ["g::t/fail", "g::t/flaky", "g::t/pass", "slow"]);
    let count = |word: &str| lines.iter().filter(|line| line.contains(word)).count();
    assert_eq!(
        count(" failed "),
        3,
        "both tries of one, the first of another"
    );
    assert_eq!(count(" flaky "), 1);
    assert_eq!(count(" timed-out "), 1);
    let slowest = project
        .orchestrate(&["history", "slowest", "-n", "1"])
        .exits(0);
    assert!(slowest.stdout.ends_with("s  slow\n"), "{}", slowest.stdout);
    let flaky = project.orchestrate(&["history", "flaky"]).exits(0);
    assert_eq!(flaky.stdout, "1 of 1 runs  g::t/flaky\n");
    let one = project.orchestrate(&["history", "show", "t/pass"]).exits(0);
    assert_eq!(one.stdout.lines().count(), 2);
    project
        .orchestrate(&["history", "show", "t/passs"])
        .exits(2)
        .says("nothing is known of a test called \"t/passs\"");
}

#[test]
fn what_one_place_exports_another_imports() {
    let here = project();
    here.run(&["-g", "g"]).exits(1);
    here.run(&["t/pass"]).exits(0);
    let all = here.orchestrate(&["history", "export"]).exits(0).stdout;
    assert_eq!(all.lines().count(), 6, "{all}");
    let last = here
        .orchestrate(&["history", "export", "--run", "last", "last.jsonl"])
        .exits(0)
        .says("1 lines are written to last.jsonl");
    assert_eq!(last.stdout, "");
    let there = project().file("all.jsonl", &all);
    there
        .orchestrate(&["history", "import", "all.jsonl"])
        .exits(0)
        .says("all.jsonl: 6 lines were new");
    there
        .orchestrate(&["history", "import", "all.jsonl"])
        .exits(0)
        .says("all.jsonl: 0 lines were new");
    let again = there.orchestrate(&["history", "export"]).exits(0).stdout;
    assert_eq!(again, all);
    // The next run goes by it: what failed comes first.
    let ran = there.run(&["-g", "g", "-n", "1"]).exits(1);
    assert_eq!(
        ran.events_of("job-started")[0]["tests"][0],
        "g::t/fail",
        "failed last time"
    );
    let broken = there.file("broken.jsonl", "{\"v\":1}\nnonsense\n");
    broken
        .orchestrate(&["history", "import", "broken.jsonl"])
        .exits(3)
        .says("can't import broken.jsonl: line 1 is no result");
    broken
        .orchestrate(&["history", "import", "gone.jsonl"])
        .exits(3)
        .says("can't import gone.jsonl");
}

#[test]
fn old_results_can_be_forgotten() {
    let project = project();
    project.run(&["-g", "g"]).exits(1);
    project.run(&["t/pass"]).exits(0);
    project
        .orchestrate(&["history", "prune", "--keep", "1", "--runs", "1"])
        .exits(0)
        .says("5 old results are forgotten, and 2 tests");
    let shown = project.orchestrate(&["history", "show"]).exits(0);
    assert_eq!(shown.stdout.lines().count(), 2, "{}", shown.stdout);
}

#[test]
fn where_nothing_has_run_nothing_is_known() {
    let project = project();
    for arguments in [
        ["history", "show"],
        ["history", "slowest"],
        ["history", "flaky"],
        ["history", "export"],
    ] {
        let ran = project.orchestrate(&arguments).exits(0);
        assert_eq!(ran.stdout, "", "{arguments:?}");
    }
    project
        .orchestrate(&["history", "prune"])
        .exits(0)
        .says("0 old results");
    assert!(
        !project.path().join(".fastest").exists(),
        "to look makes nothing"
    );
}

#[test]
fn a_run_that_is_killed_takes_nothing_of_what_is_known_with_it() {
    let orchestrate = "$(ps -o ppid= -p $PPID)";
    let project = Project::with(
        "[groups.g]\nrunner = \"exec\"\nfiles = [\"t/*\"]\nworkers = 1\norder = \"listed\"\n",
    )
    .script("t/fails", "exit 1")
    .script(
        "t/kills",
        &format!("[ ! -e deadly ] || {{ kill -KILL {orchestrate}; sleep 60; }}"),
    )
    .script("t/passes", "exit 0");
    project.run(&[]).exits(1);
    let known = project.orchestrate(&["history", "export"]).exits(0).stdout;
    assert_eq!(known.lines().count(), 3, "{known}");
    let project = project.file("deadly", "");
    project.run(&["t/kills", "t/passes"]).exits(-1);
    let after = project.orchestrate(&["history", "export"]).exits(0).stdout;
    assert_eq!(after, known);
    // Of what had begun and what was still to come there are no results, so both are to be run, as is what failed before.
    std::fs::remove_file(project.path().join("deadly")).unwrap();
    let ran = project.run(&["--failed"]).exits(1);
    let all = [
        "g::t/fails failed",
        "g::t/kills passed",
        "g::t/passes passed",
    ];
    assert_eq!(ran.outcomes(), all);
}

/// Starts a run while somebody else writes the history, and waits until all its tests have run.
fn run_beside_a_writer(project: &Project) -> (rusqlite::Connection, Child) {
    let database = project.path().join(".fastest/history.db");
    let writer = rusqlite::Connection::open(database).unwrap();
    writer.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut child = project
        .command(&["run", "-g", "g", "-q", "--report", "jsonl=-"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    let is_end = |line: &std::io::Result<String>| line.as_ref().unwrap().contains("run-finished");
    assert!(lines.any(|line| is_end(&line)));
    (writer, child)
}

fn exported(project: &Project) -> String {
    project.orchestrate(&["history", "export"]).exits(0).stdout
}

#[test]
fn a_run_waits_for_who_else_writes_the_history() {
    let project = project();
    project.run(&["-g", "g"]).exits(1);
    let before = exported(&project).lines().count();
    let (writer, child) = run_beside_a_writer(&project);
    writer.execute_batch("COMMIT").unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(!said.contains("warning"), "{said}");
    assert_eq!(exported(&project).lines().count(), 2 * before);
}

#[test]
fn a_run_that_is_killed_before_it_has_written_its_history_leaves_that_as_it_was() {
    let project = project();
    project.run(&["-g", "g"]).exits(1);
    let before = exported(&project);
    let (writer, mut child) = run_beside_a_writer(&project);
    child.kill().unwrap();
    child.wait().unwrap();
    writer.execute_batch("COMMIT").unwrap();
    assert_eq!(exported(&project), before);
    let ran = project.run(&["-g", "g"]).exits(1);
    assert!(!ran.stderr.contains("history"), "{}", ran.stderr);
    assert_eq!(
        exported(&project).lines().count(),
        2 * before.lines().count()
    );
}
