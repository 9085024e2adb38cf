//! How long tests, groups and runs may take, and by which clock.

use std::path::PathBuf;

use crate::support::{Project, python};

#[test]
fn timeouts_are_multiplied_for_a_slow_machine() {
    let manifest = "[run]\ntimeout-multiplier = 0.01\n[groups.g]\nrunner = \"exec\"\nfiles = [\"t/*\"]\ntimeout = \"30s\"\ngrace = \"100ms\"\n\
        [[groups.g.overrides]]\nmatch = [\"t/never\"]\ntimeout = 0\n\
        [[groups.g.overrides]]\nmatch = [\"t/own\"]\ntimeout = \"1h\"\n";
    let project = Project::with(manifest)
        .script("t/own", "sleep 0.5")
        .script("t/never", "sleep 0.5")
        .script("t/usual", "exec sleep 60");
    let ran = project
        .run(&[])
        .exits(1)
        .says("took longer than its timeout of 300ms");
    assert_eq!(
        ran.outcomes(),
        [
            "g::t/never passed",
            "g::t/own passed",
            "g::t/usual timed-out"
        ]
    );
    // The command line is stronger than the environment, and that than the manifest.
    let project = project.env("FASTEST_TIMEOUT_MULTIPLIER", "0.02");
    project.run(&[]).exits(1).says("its timeout of 600ms");
    project
        .orchestrate(&["show"])
        .exits(0)
        .says("timeout-multiplier = 0.02")
        .says("environment, FASTEST_TIMEOUT_MULTIPLIER");
    project
        .run(&["--timeout-multiplier", "0.03"])
        .exits(1)
        .says("its timeout of 900ms");
    project
        .run(&["--timeout-multiplier", "0"])
        .exits(2)
        .says("expected a number from 0.001 to 1000");
    let project = project.env("FASTEST_TIMEOUT_MULTIPLIER", "slow");
    project
        .run(&[])
        .exits(2)
        .says("FASTEST_TIMEOUT_MULTIPLIER is slow");
}

/// What gives a program another clock on the wall, if the tests' set-up could install it. Under `CI=true` it must be there.
fn faketime() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib")
        .into_iter()
        .flatten()
        .flatten();
    let mut paths = folders.map(|entry| entry.path().join("faketime/libfaketimeMT.so.1"));
    let path = paths.find(|path| path.exists());
    assert!(
        path.is_some() || std::env::var_os("CI").is_none_or(|ci| ci != "true"),
        "there is no libfaketime: run `tests/setup`"
    );
    if path.is_none() {
        eprintln!("skipped: no libfaketime (run `tests/setup`)");
    }
    path
}

#[test]
fn a_wall_clock_that_jumps_changes_nothing() {
    let Some(library) = faketime() else { return };
    // It never says when a test began, so its file's last change is what there is to go by.
    let cases = "for item; do\n\
        echo \"{\\\"event\\\":\\\"started\\\",\\\"id\\\":\\\"$item\\\"}\" >>$ORCHESTRATE_REPORT\n\
        sleep 0.8\n\
        echo \"{\\\"event\\\":\\\"finished\\\",\\\"id\\\":\\\"$item\\\",\\\"outcome\\\":\\\"passed\\\"}\" >>$ORCHESTRATE_REPORT\n\
        done";
    let manifest = "[run]\ntimeout = \"1h\"\n[defaults]\ntimeout = \"30s\"\n\
        [runners.cases]\nlist = [\"printf\", \"a\\\\nb\\\\nc\\\\n\"]\nrun = [\"./cases\", \"<items>\"]\nresults = \"events\"\n\
        [groups.cases]\nrunner = \"cases\"\nchunk-size = 3\nchunk-by = \"any\"\ntimeout = \"2s\"\n\
        [groups.g]\nrunner = \"exec\"\nfiles = [\"t/*\"]\nworkers = 2\nretries = 1\nbackoff = \"300ms\"\n";
    let project = Project::with(manifest)
        .script("cases", cases)
        .file("clock", "+0\n")
        // From now to next month, back to the month before, and again.
        .script(
            "t/jumps",
            "for when in +30d -60d +30d -60d; do date +%s >>seen; echo $when >clock; sleep 0.4; done",
        )
        .script("t/again", "[ $ORCHESTRATE_ATTEMPT = 2 ]")
        .script("t/waits", "sleep 1");
    let clock = project.path().join("clock");
    let project = project
        .env("LD_PRELOAD", &library.to_string_lossy())
        .env("FAKETIME_TIMESTAMP_FILE", &clock.to_string_lossy())
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    let ran = project.run(&["-n", "3"]).exits(0);
    assert_eq!(
        ran.outcomes(),
        [
            "cases::a passed",
            "cases::b passed",
            "cases::c passed",
            "g::t/again flaky",
            "g::t/jumps passed",
            "g::t/waits passed"
        ]
    );
    let seen: Vec<i64> = project
        .read("seen")
        .lines()
        .map(|line| line.parse().unwrap())
        .collect();
    let month = 20 * 86_400;
    assert!(
        seen.len() == 4 && seen[1] > seen[0] + month && seen[2] < seen[0] - month,
        "the clock did not jump: {seen:?}"
    );
    let mut before = 0.0;
    for event in ran.events() {
        let at = event["at"].as_f64().unwrap();
        assert!((before..3600.0).contains(&at), "{event}");
        before = at;
        if let Some(seconds) = event["seconds"].as_f64() {
            assert!((0.0..3600.0).contains(&seconds), "{event}");
        }
    }
    // What is kept is whole too: the run can be told again, and its durations are what they were.
    project.orchestrate(&["report"]).exits(0);
    project
        .orchestrate(&["history", "slowest"])
        .exits(0)
        .says("g::t/jumps");
}

/// A file has four tests of 0.8 s, more than the timeout of one: only a report that is complete at the end gives it the file.
#[test]
fn the_clock_begins_anew_with_each_test_that_is_reported() {
    let wait = |lines: &str| format!("for n in 1 2 3 4; do sleep 0.8; {lines}; done");
    let events = wait(
        "echo '{\"event\":\"finished\",\"id\":\"events::'$n'\",\"outcome\":\"passed\"}' >>$ORCHESTRATE_REPORT",
    ) + "; echo '{\"event\":\"finished\",\"id\":\"events\",\"outcome\":\"passed\"}' >>$ORCHESTRATE_REPORT";
    let tap = format!("echo 1..4; {}", wait("echo ok $n - t$n"));
    let junit = format!(
        "{}; echo '<testsuite><testcase name=\"a\"/></testsuite>' >$ORCHESTRATE_REPORT",
        wait(":")
    );
    let mut manifest = "[defaults]\ntimeout = \"2s\"\ngrace = \"200ms\"\n".to_owned();
    for (name, results, more) in [
        ("events", "events", "tests = \"reported\"\n"),
        ("tap", "tap", "tests = \"reported\"\nstdout = \"report\"\n"),
        ("whole", "tap", "stdout = \"report\"\n"),
        ("junit", "junit", "tests = \"reported\"\n"),
    ] {
        manifest.push_str(&format!(
            "[runners.{name}]\nfiles = [\"{name}\"]\nrun = [\"<items>\"]\nresults = \"{results}\"\n{more}[groups.{name}]\nrunner = \"{name}\"\n"
        ));
    }
    let ran = Project::with(&manifest)
        .script("events", &events)
        .script("tap", &tap)
        .script("whole", &tap)
        .script("junit", &junit)
        .run(&["-n", "4"])
        .exits(1);
    let outcomes = ran.outcomes();
    let of = |group: &str| -> Vec<&str> {
        let of_group = outcomes
            .iter()
            .filter(|line| line.starts_with(&format!("{group}::")));
        of_group
            .map(|line| line.rsplit_once(' ').unwrap().1)
            .collect()
    };
    for group in ["events", "tap"] {
        assert_eq!(of(group), ["passed"; 4], "{outcomes:?}");
    }
    // A file of TAP that is one test has the timeout of one.
    for group in ["whole", "junit"] {
        assert_eq!(of(group), ["timed-out"], "{outcomes:?}");
    }
}

#[test]
fn a_group_has_a_timeout_of_its_own() {
    let manifest = "[run]\nworkers = 2\n[defaults]\ngrace = \"200ms\"\n\
        [groups.g]\nrunner = \"exec\"\nfiles = [\"t/*\"]\nworkers = 1\norder = \"listed\"\ngroup-timeout = \"2s\"\nretries = 3\nbackoff = \"1h\"\n\
        after-worker = [\"echo after >>log\"]\n\
        [groups.needs]\ncommand = [\"true\"]\nneeds = [\"g\"]\n\
        [groups.other]\ncommand = [\"sh\", \"-c\", \"until [ -e log ]; do sleep 0.05; done\"]\n";
    let project = Project::with(manifest)
        .script("t/a", "exit 1")
        .script("t/b", "exec sleep 60")
        .script("t/c", "exit 0");
    let ran = project
        .run(&[])
        .exits(1)
        .says("cancelled: g::t/b")
        .says("timed out: its `group-timeout` is 2s");
    assert_eq!(
        ran.outcomes(),
        [
            // What waits for another try has failed.
            "g::t/a failed",
            "g::t/b cancelled",
            "g::t/c not-run",
            "needs not-run",
            "other passed"
        ]
    );
    assert_eq!(project.read("log"), "after\n");
    // It is not the run's: what is left is told with its own reason.
    ran.says("not run, as group g timed out: its `group-timeout` is 2s: g::t/c")
        .says("not run, as group g did not pass: needs");
}

#[test]
fn a_warm_groups_timeout_ends_its_tests() {
    let Some(python) = python() else { return };
    let manifest = format!(
        "[groups.py]\nrunner = \"pytest\"\ngroup-timeout = \"3s\"\ngrace = \"500ms\"\nslow-after = \"1s\"\nwith = {{ python = {python:?} }}\n\
         [groups.other]\ncommand = [\"true\"]\n"
    );
    let tests = "import time\ndef test_fast(): pass\ndef test_hangs(): time.sleep(600)\ndef test_left(): pass\n";
    let ran = Project::with(&manifest)
        .file("tests/test_it.py", tests)
        .run(&["-n", "1"])
        .exits(1)
        .says("1 slow");
    assert_eq!(
        ran.outcomes(),
        [
            "other passed",
            "py::tests/test_it.py::test_fast passed",
            "py::tests/test_it.py::test_hangs cancelled",
            "py::tests/test_it.py::test_left not-run"
        ]
    );
    let slow = ran.events_of("slow");
    assert_eq!(slow.len(), 1);
    assert_eq!(
        slow[0]["tests"],
        serde_json::json!(["py::tests/test_it.py::test_hangs"])
    );
}

#[test]
fn a_session_whose_groups_time_is_over_is_not_waited_for() {
    let Some(python) = python() else { return };
    let manifest = format!(
        "[groups.py]\nrunner = \"pytest\"\ngroup-timeout = \"3s\"\ngrace = \"500ms\"\nwith = {{ python = {python:?} }}\n"
    );
    // A hook that knows workers of pytest-xdist, so that the session stays warm.
    let late = "import time\ndef pytest_sessionfinish(session):\n    assert not hasattr(session.config, 'workerinput')\n    time.sleep(30)\n    open('late', 'w').close()\n";
    let project = Project::with(&manifest).file("conftest.py", late).file(
        "test_it.py",
        "import time\ndef test_hangs(): time.sleep(600)\n",
    );
    let ran = project.run(&[]).exits(1);
    // That it did not end in time is what was asked for, and no result of its own.
    assert_eq!(ran.outcomes(), ["py::test_it.py::test_hangs cancelled"]);
    assert!(!project.path().join("late").exists());
}

#[test]
fn a_slow_test_is_told_of_once_while_it_runs() {
    // It goes on only once the events have told of it.
    let waits = "until grep -q '\"event\":\"slow\"' events.jsonl; do sleep 0.05; done; sleep 0.3";
    let manifest = "[groups.g]\nrunner = \"exec\"\nfiles = [\"t/*\"]\nslow-after = \"200ms\"\n\
        [[groups.g.overrides]]\nmatch = [\"t/known\"]\nslow-after = 0\n";
    let ran = Project::with(manifest)
        .script("t/slow", waits)
        .script("t/known", "sleep 0.5")
        .run(&["-n", "2"])
        .exits(0)
        .says("g::t/slow (runs still)")
        .says("2 passed (1 slow)");
    let slow = ran.events_of("slow");
    assert_eq!(slow.len(), 1, "{slow:?}");
    assert_eq!(slow[0]["tests"], serde_json::json!(["g::t/slow"]));
    assert!(slow[0]["seconds"].as_f64().unwrap() >= 0.2);
}

#[test]
fn a_slow_test_of_a_chunk_is_found_in_what_its_runner_has_written() {
    let Some(python) = python() else { return };
    let manifest = format!(
        "[groups.py]\nrunner = \"pytest\"\nsession = \"cold\"\nslow-after = \"500ms\"\nwith = {{ python = {python:?} }}\n"
    );
    let tests = "import pathlib, time\n\
        def test_fast(): pass\n\
        def test_slow():\n    while '\"event\":\"slow\"' not in pathlib.Path('events.jsonl').read_text(): time.sleep(0.05)\n";
    let ran = Project::with(&manifest)
        .file("tests/test_it.py", tests)
        .run(&["-n", "1"])
        .exits(0);
    let slow = ran.events_of("slow");
    assert_eq!(slow.len(), 1, "{slow:?}");
    assert_eq!(
        slow[0]["tests"],
        serde_json::json!(["py::tests/test_it.py::test_slow"])
    );
}
