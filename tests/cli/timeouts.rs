//! How long tests, groups and runs may take, and by which clock.

use std::path::PathBuf;

use crate::support::Project;

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
