//! What failed and is run again: when, beside what, and what it counts as.

use crate::support::{Project, python};

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

#[test]
fn each_repetition_is_a_result_of_its_own_and_no_test_runs_beside_itself() {
    let manifest = format!(
        "[groups.after]\ncommand = [\"sh\", \"-c\", \"echo after >>log\"]\nneeds = [\"g\"]\n\
         {GROUP}workers = 3\nbefore-all = [\"echo before >>log\"]\n[[groups.g.overrides]]\nmatch = [\"t/c\"]\nexclusive = true\n"
    );
    let body = "me=$(basename $0); mkdir $me.runs && sleep 0.05; rmdir $me.runs; echo $me >>log";
    let project = ["a", "b", "c"]
        .iter()
        .fold(Project::with(&manifest), |project, name| {
            project.script(&format!("t/{name}"), body)
        })
        .script("t/fails", "[ $(grep -c after log) != 1 ]");
    let ran = project
        .run(&["--repeat", "3", "--report", "junit=out.xml"])
        .exits(1)
        .says("5 tests, 3 times")
        .says("failed: g::t/fails (repetition 2)")
        .says("not run, as group g did not pass: after (repetition 2)");
    let results = |name: &str| -> Vec<(u64, String)> {
        let finished = ran.events_of("test-finished");
        let mut list: Vec<_> = finished
            .iter()
            .filter(|event| event["id"] == name)
            .map(|event| {
                let outcome = event["outcome"].as_str().unwrap().to_owned();
                (event["repetition"].as_u64().unwrap_or(1), outcome)
            })
            .collect();
        list.sort();
        list
    };
    let all = |outcomes: [&str; 3]| -> Vec<(u64, String)> {
        (1..).zip(outcomes.map(str::to_owned)).collect()
    };
    assert_eq!(results("g::t/a"), all(["passed"; 3]));
    // The second time, what needs it can't run; the third it is as if nothing had been.
    assert_eq!(results("g::t/fails"), all(["passed", "failed", "failed"]));
    assert_eq!(results("after"), all(["passed", "not-run", "not-run"]));
    assert_eq!(ran.events_of("test-finished").len(), 15);
    assert_eq!(ran.events_of("run-finished")[0]["counts"]["passed"], 11);
    let log = project.read("log");
    let lines = lines(&log);
    // One round is over before the next begins, and the group is prepared once.
    let mut rounds = vec![
        lines[1..5].to_vec(),
        lines[5..8].to_vec(),
        lines[8..].to_vec(),
    ];
    for round in &mut rounds {
        round.sort_unstable();
    }
    assert_eq!(lines[0], "before");
    assert_eq!(
        rounds,
        [
            vec!["a", "after", "b", "c"],
            vec!["a", "b", "c"],
            vec!["a", "b", "c"]
        ]
    );
    let xml = project.read("out.xml");
    assert!(
        xml.contains("tests=\"15\" skipped=\"2\" failures=\"2\""),
        "{xml}"
    );
    assert!(
        xml.contains("<testsuite name=\"g (repetition 3)\" tests=\"4\""),
        "{xml}"
    );
    project
        .orchestrate(&["history", "flaky"])
        .exits(0)
        .says("g::t/fails");
    let again = project.run(&["--failed"]);
    assert_eq!(again.outcomes(), ["after not-run", "g::t/fails failed"]);
    project.orchestrate(&["report"]).exits(1);
}

#[test]
fn a_job_and_its_hooks_are_told_which_repetition_and_which_try_they_are() {
    let manifest = format!(
        "{GROUP}retries = 1\nbefore-job = [\"echo before $ORCHESTRATE_REPETITION.$ORCHESTRATE_ATTEMPT >>log\"]\n"
    );
    let project = Project::with(&manifest).script(
        "t/a",
        "now=$ORCHESTRATE_REPETITION.$ORCHESTRATE_ATTEMPT; echo $now >>log; [ $now != 2.1 ]",
    );
    project.run(&["--repeat", "3"]).exits(0);
    let tries = ["1.1", "2.1", "2.2", "3.1"].map(|now| format!("before {now}\n{now}\n"));
    assert_eq!(project.read("log"), tries.concat());
}

#[test]
fn a_run_goes_on_until_something_fails() {
    let manifest = format!("{GROUP}workers = 2\n");
    let project = Project::with(&manifest)
        .script("t/a", "exit 0")
        .script("t/third", "echo $0 >>runs; [ $(wc -l <runs) -lt 3 ]");
    let ran = project
        .run(&["--until-fail"])
        .exits(1)
        .says("again and again");
    let failed: Vec<_> = ran
        .events_of("test-finished")
        .into_iter()
        .filter(|event| event["outcome"] == "failed")
        .collect();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0]["repetition"], 3);
    // The round in which it fails is the last, and is run to its end.
    assert_eq!(ran.events_of("test-finished").len(), 6);
    std::fs::remove_file(project.path().join("runs")).unwrap();
    let ran = project.run(&["--until-fail", "--repeat", "2"]).exits(0);
    assert_eq!(ran.events_of("test-finished").len(), 4);
    project
        .run(&["--repeat", "0"])
        .exits(2)
        .says("0 is not in 1..=1000000");
}

#[test]
fn a_run_without_an_end_is_ended_by_its_timeout() {
    let manifest = format!("[run]\ntimeout = \"700ms\"\n{GROUP}workers = 1\n");
    let project = Project::with(&manifest).script("t/a", "sleep 0.01; echo a >>log");
    let ran = project.run(&["--until-fail"]).exits(1);
    let finished = ran.events_of("test-finished");
    let outcomes: Vec<_> = finished
        .iter()
        .map(|event| event["outcome"].as_str().unwrap())
        .collect();
    let passed = outcomes
        .iter()
        .take_while(|word| **word == "passed")
        .count();
    let rest = &outcomes[passed..];
    assert!(
        !rest.is_empty()
            && rest
                .iter()
                .all(|word| ["cancelled", "not-run"].contains(word)),
        "{outcomes:?}"
    );
    let repetitions = finished
        .iter()
        .map(|event| event["repetition"].as_u64().unwrap_or(1));
    assert!(repetitions.eq(1..=finished.len() as u64));
}

#[test]
fn what_can_never_run_is_not_repeated_for_ever() {
    let manifest = "[groups.broken]\ncommand = [\"true\", \"<items>\"]\nitems = { file = \"gone.txt\" }\n\
        [groups.next]\ncommand = [\"true\"]\nneeds = [\"broken\"]\n";
    let ran = Project::with(manifest).run(&["--repeat", "5"]).exits(1);
    assert_eq!(ran.outcomes(), ["broken errored", "next not-run"]);
    let ran = Project::with(manifest).run(&["--until-fail"]).exits(1);
    assert_eq!(ran.outcomes(), ["broken errored", "next not-run"]);
}

#[test]
fn tests_of_a_session_are_repeated_in_it_with_fixtures_of_their_own() {
    let Some(python) = python() else { return };
    let tests = "import os, pytest\n\
        def note(text): open('log', 'a').write(f'{text} {os.getpid()}\\n')\n\
        @pytest.fixture(scope='module')\ndef made():\n    note('set up')\n    yield\n    note('taken down')\n\
        def test_it(made): note('test ' + os.environ['ORCHESTRATE_REPETITION'])\n";
    let manifest = format!("[groups.py]\nrunner = \"pytest\"\nwith = {{ python = {python:?} }}\n");
    let project = Project::with(&manifest).file("tests/test_it.py", tests);
    let ran = project.run(&["-n", "1", "--repeat", "3"]).exits(0);
    assert_eq!(ran.outcomes(), ["py::tests/test_it.py::test_it passed"; 3]);
    let log = project.read("log");
    let pid = log.lines().next().unwrap().rsplit(' ').next().unwrap();
    let round = |number| format!("set up PID\ntest {number} PID\ntaken down PID\n");
    assert_eq!(log.replace(pid, "PID"), [1, 2, 3].map(round).concat());
}
