//! What may run beside what, and when a run stops early: by logs that the jobs write.

use crate::support::Project;

/// Jobs that log when they begin and end.
fn logged(project: Project, names: &[&str]) -> Project {
    names.iter().fold(project, |project, name| {
        let body = format!("echo + {name} >>log; sleep 0.1; echo - {name} >>log");
        project.script(&format!("t/{name}"), &body)
    })
}

/// The most jobs that ran while `name` did, itself included.
fn beside(log: &str, name: &str) -> usize {
    let mut running: Vec<&str> = Vec::new();
    let mut most = 0;
    for line in log.lines() {
        match line.split_once(' ') {
            Some(("+", begun)) => running.push(begun),
            Some((_, ended)) => running.retain(|running| *running != ended),
            None => {}
        }
        if running.contains(&name) {
            most = most.max(running.len());
        }
    }
    most
}

#[test]
fn a_heavy_job_takes_up_more_slots() {
    let manifest = "[run]\nworkers = 4\n[groups.g]\nrunner = \"exec\"\nfiles = [\"t/*\"]\nworkers = 4\n\
        [[groups.g.overrides]]\nmatch = [\"t/three\"]\nslots = 3\n\
        [[groups.g.overrides]]\nmatch = [\"t/all\"]\nslots = \"all\"\n";
    let project = logged(
        Project::with(manifest),
        &["a", "all", "b", "c", "d", "e", "f", "three"],
    );
    project.run(&[]).exits(0);
    let log = project.read("log");
    assert_eq!(beside(&log, "all"), 1, "{log}");
    assert!(beside(&log, "three") <= 2, "{log}");
    assert!(log.lines().count() == 16, "{log}");
}

#[test]
fn the_first_failure_stops_the_run_and_the_pool_is_parallel_until_then() {
    let manifest =
        "[groups.g]\nrunner = \"exec\"\nfiles = [\"t/*\"]\nworkers = 2\norder = \"listed\"\n";
    let project = logged(Project::with(manifest), &["d", "e", "f"])
        // Each waits for the other, so both run at once.
        .script(
            "t/a",
            "touch a; until [ -e b ]; do sleep 0.01; done; exit 1",
        )
        .script(
            "t/b",
            "touch b; until [ -e a ]; do sleep 0.01; done; sleep 0.3",
        );
    let ran = project.run(&["--fail-fast"]).exits(1);
    assert_eq!(
        ran.outcomes(),
        [
            "g::t/a failed",
            "g::t/b passed",
            "g::t/d not-run",
            "g::t/e not-run",
            "g::t/f not-run"
        ]
    );
    let ran = project.run(&["--max-fail", "2"]).exits(1);
    assert_eq!(ran.events_of("test-finished").len(), 5);
    assert!(!ran.outcomes().iter().any(|line| line.ends_with("not-run")));
    // Half of five tests are three.
    let ran = project.run(&["--max-fail", "50%:soon"]).exits(1);
    assert!(!ran.outcomes().iter().any(|line| line.ends_with("not-run")));
    let ran = project.run(&["--max-fail", "20%"]).exits(1);
    assert!(ran.outcomes().contains(&"g::t/f not-run".to_owned()));
    project
        .run(&["--max-fail", "2:later"])
        .exits(2)
        .says("expected a number of tests or a share of them");
    project
        .run(&["--fail-fast", "--max-fail", "2"])
        .exits(2)
        .says("cannot be used with");
}

#[test]
fn what_runs_at_the_last_failure_is_ended_where_that_is_asked_for() {
    let manifest = "[run]\nmax-fail = \"1:now\"\n[defaults]\ngrace = \"200ms\"\n\
        [groups.g]\nrunner = \"exec\"\nfiles = [\"t/*\"]\nworkers = 2\norder = \"listed\"\nretries = 1\nafter-worker = [\"echo after >>log\"]\n\
        [groups.h]\ncommand = [\"true\"]\nneeds = [\"g\"]\n";
    let project = Project::with(manifest)
        .script("t/a", "until [ -e b ]; do sleep 0.01; done; exit 1")
        .script("t/b", "touch b; exec sleep 600")
        .script("t/c", "exit 0");
    let ran = project.run(&[]).exits(1);
    assert_eq!(
        ran.outcomes(),
        [
            "g::t/a failed",
            "g::t/b cancelled",
            "g::t/c not-run",
            "h not-run"
        ]
    );
    assert_eq!(project.read("log"), "after\nafter\n");
}

#[test]
fn what_took_too_long_is_run_again_alone_and_last() {
    let manifest = "[groups.g]\nrunner = \"exec\"\nfiles = [\"t/*\"]\nworkers = 2\nretries = 1\ngrace = \"100ms\"\n\
        [[groups.g.overrides]]\nmatch = [\"t/slow\"]\ntimeout = \"400ms\"\n";
    let project = logged(Project::with(manifest), &["a", "b", "c", "d", "e", "f", "g"]).script(
        "t/slow",
        "echo + slow$ORCHESTRATE_ATTEMPT >>log\n[ $ORCHESTRATE_ATTEMPT = 2 ] || exec sleep 60\necho - slow2 >>log",
    );
    let ran = project.run(&[]).exits(0);
    assert!(ran.outcomes().contains(&"g::t/slow flaky".to_owned()));
    let log = project.read("log");
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines[lines.len() - 2..], ["+ slow2", "- slow2"], "{log}");
}
