//! What the jobs of a group leave for the command that makes one of it.

use crate::support::Project;

/// A group whose jobs leave a part each, if `leaves` says so, and a group that needs it. What happens is in `log`.
fn project(leaves: &str, finish: &str) -> Project {
    Project::with(
        "[runners.parted]\nrun = [\"./run\", \"<items>\"]\nfinish = [\"./finish\", \"<files>\"]\n\n\
         [groups.g]\nrunner = \"parted\"\nfiles = [\"*.t\"]\nchunk-size = 1\n\
         before-all = [\"echo TOLD=1 >>$ORCHESTRATE_ENV\"]\nafter-all = [\"echo after-all >>log\"]\n\n\
         [groups.after]\nneeds = [\"g\"]\ncommand = \"echo after >>log\"\n",
    )
    .file("a.t", "")
    .file("b.t", "")
    .script("run", leaves)
    .script("finish", finish)
}

const LEAVES: &str = "echo run >>log; echo $1 >\"$ORCHESTRATE_PARTS\"/part-$(basename $1)";

#[test]
fn they_are_finished_once_when_all_jobs_are_over_and_before_anything_that_follows() {
    let finish = "echo finish $TOLD \"$@\" $(ls \"$ORCHESTRATE_PARTS\") >>log";
    let project = project(LEAVES, finish);
    project.run(&[]).exits(0);
    let line = "finish 1 a.t b.t part-a.t part-b.t";
    let log = project.read("log");
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines[..3], ["run", "run", line]);
    let mut rest = lines[3..].to_vec();
    rest.sort_unstable();
    assert_eq!(rest, ["after", "after-all"]);
    // What an earlier run has left is not there.
    project.run(&["--group", "g", "a.t"]).exits(0);
    assert!(project.read("log").contains("finish 1 a.t part-a.t\n"));
}

#[test]
fn where_nothing_is_left_nothing_is_finished() {
    let project = project("echo run >>log", "echo finish >>log");
    project.run(&[]).exits(0);
    assert!(
        !project.read("log").contains("finish"),
        "{}",
        project.read("log")
    );
}

#[test]
fn where_the_run_is_stopped_nothing_is_finished() {
    let leaves = format!("{LEAVES}; exec sleep 60");
    let project = project(&leaves, "echo finish >>log");
    let manifest = project.read("fastest.toml") + "\n[run]\ntimeout = \"2s\"\n";
    let project = project.file("fastest.toml", &manifest);
    let ran = project.run(&[]).exits(1);
    assert!(ran.outcomes().contains(&"after not-run".to_owned()));
    assert!(!project.read("log").contains("finish"));
}

#[test]
fn what_can_not_be_finished_well_fails_the_group() {
    let project = project(LEAVES, "echo too little; echo as they say >&2; exit 3");
    let ran = project
        .run(&[])
        .exits(1)
        .says("too little")
        .says("as they say");
    let ran = ran.says("`finish` of their runner failed: exit code 3");
    let ran = ran.says("not run, as group g did not pass: after");
    assert_eq!(
        ran.outcomes(),
        [
            "after not-run",
            "g failed",
            "g::a.t passed",
            "g::b.t passed"
        ]
    );
}
