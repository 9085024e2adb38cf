//! What failed and is run again: when, beside what, and what it counts as.

use crate::support::Project;

const GROUP: &str = "[groups.g]\nrunner = \"exec\"\nfiles = [\"t/*\"]\n";

/// A job that logs its tries and fails at the first.
const FAILS_ONCE: &str =
    "echo $(basename $0)$ORCHESTRATE_ATTEMPT >>log; [ $ORCHESTRATE_ATTEMPT = 2 ]";

fn lines(log: &str) -> Vec<&str> {
    log.lines().collect()
}

#[test]
fn a_test_waits_for_its_next_try_without_a_worker_a_lock_or_a_timeout() {
    let manifest = format!(
        "[groups.after]\ncommand = [\"sh\", \"-c\", \"echo after >>log\"]\nneeds = [\"g\"]\n\
         {GROUP}workers = 1\norder = \"listed\"\nlocks = [\"one\"]\nretries = 1\nbackoff = \"2500ms\"\ntimeout = \"2s\"\n"
    );
    let project = Project::with(&manifest)
        .script("t/a", &format!("date +%s%N >>times; {FAILS_ONCE}"))
        .script("t/b", "echo b >>log")
        .script("t/c", "echo c >>log");
    let ran = project.run(&[]).exits(0);
    assert_eq!(
        ran.outcomes(),
        [
            "after passed",
            "g::t/a flaky",
            "g::t/b passed",
            "g::t/c passed"
        ]
    );
    let log = project.read("log");
    let lines = lines(&log);
    // Without the wait it would have been the next.
    assert_eq!((lines[0], lines[1]), ("a1", "b"), "{log}");
    assert_eq!(lines.last(), Some(&"after"), "{log}");
    let times: Vec<u64> = project
        .read("times")
        .lines()
        .map(|line| line.parse().unwrap())
        .collect();
    assert!(times[1] - times[0] >= 2_500_000_000, "{times:?}");
}

#[test]
fn a_run_that_is_stopped_does_not_wait_for_another_try() {
    let manifest = format!(
        "[run]\nmax-fail = 1\n{GROUP}workers = 1\norder = \"listed\"\n\
         [[groups.g.overrides]]\nmatch = [\"t/a\"]\nretries = 1\nbackoff = {{ kind = \"exponential\", delay = \"1h\" }}\n"
    );
    let ran = Project::with(&manifest)
        .script("t/a", "echo why; exit 1")
        .script("t/b", "exit 1")
        .script("t/c", "exit 0")
        .run(&[])
        .exits(1);
    // The first has failed, whatever another try would have said.
    assert_eq!(
        ran.outcomes(),
        ["g::t/a failed", "g::t/b failed", "g::t/c not-run"]
    );
    let finished = ran.events_of("test-finished");
    let a = finished.iter().find(|event| event["id"] == "g::t/a");
    assert_eq!(a.unwrap()["output"], "why\n");
}

#[test]
fn what_is_flaky_can_count_as_failed() {
    let manifest = format!(
        "{GROUP}retries = 1\nflaky = \"fail\"\n[[groups.g.overrides]]\nmatch = [\"t/known\"]\nflaky = \"pass\"\n"
    );
    let fails_once = "echo why $ORCHESTRATE_ATTEMPT; [ $ORCHESTRATE_ATTEMPT = 2 ]";
    let project = Project::with(&manifest)
        .script("t/flaky", fails_once)
        .script("t/known", fails_once)
        .script("t/steady", "exit 0");
    let ran = project
        .run(&["--report", "junit=out.xml"])
        .exits(1)
        .says("passed at try 2, which `flaky = \"fail\"` counts as failed: exited with code 1")
        .says("why 1");
    // The events were asked for by the same flag, which may be repeated.
    assert_eq!(
        ran.outcomes(),
        [
            "g::t/flaky failed",
            "g::t/known flaky",
            "g::t/steady passed"
        ]
    );
    let xml = project.read("out.xml");
    assert!(xml.contains("failures=\"1\""), "{xml}");
    project
        .orchestrate(&["history", "flaky"])
        .exits(0)
        .says("g::t/flaky")
        .says("g::t/known");
    let again = project.run(&["--failed"]).exits(1);
    assert_eq!(again.outcomes(), ["g::t/flaky failed"]);
}

#[test]
fn a_lock_is_free_once_its_holder_has_run_out_of_time() {
    let manifest = format!(
        "{GROUP}workers = 2\norder = \"listed\"\nlocks = [\"one\"]\ngrace = \"100ms\"\n\
         [[groups.g.overrides]]\nmatch = [\"t/hangs\"]\ntimeout = \"300ms\"\nretries = 1\n"
    );
    let project = Project::with(&manifest)
        .script(
            "t/hangs",
            "echo $ORCHESTRATE_ATTEMPT >>log; trap '' TERM; while :; do sleep 0.05; done",
        )
        .script("t/next", "echo next >>log");
    let ran = project.run(&[]).exits(1);
    assert_eq!(ran.outcomes(), ["g::t/hangs timed-out", "g::t/next passed"]);
    assert_eq!(project.read("log"), "1\nnext\n2\n");
}

#[test]
fn an_exclusive_test_is_alone_at_every_try() {
    let manifest = format!(
        "[run]\nworkers = 3\n{GROUP}workers = 3\nretries = 2\n\
         [[groups.g.overrides]]\nmatch = [\"t/alone*\"]\nexclusive = true\nbackoff = \"50ms\"\n"
    );
    let body = |last: u32| {
        format!(
            "me=$(basename $0); echo + $me >>log; sleep 0.1; echo - $me >>log; [ $ORCHESTRATE_ATTEMPT = {last} ]"
        )
    };
    let mut project = Project::with(&manifest);
    for (name, last) in [("a", 1), ("b", 2), ("c", 3), ("alone1", 3), ("alone2", 2)] {
        project = project.script(&format!("t/{name}"), &body(last));
    }
    let ran = project.run(&[]).exits(0);
    assert!(
        ran.outcomes()
            .iter()
            .filter(|line| line.ends_with("flaky"))
            .count()
            == 4,
        "{:?}",
        ran.outcomes()
    );
    let log = project.read("log");
    let lines = lines(&log);
    assert_eq!(lines.len(), 2 * (1 + 2 + 3 + 3 + 2), "{log}");
    for (index, line) in lines.iter().enumerate() {
        if let Some(name) = line
            .strip_prefix("+ ")
            .filter(|name| name.starts_with("alone"))
        {
            assert_eq!(lines[index + 1], format!("- {name}"), "{log}");
        }
    }
}
