//! What looks at a test whose time is over is the project's own, and may do its worst too.

use std::time::Duration;

use rustix::process::Signal;

use crate::arena::{Arena, End, Started};
use crate::support::python;

const TIMEOUT: Duration = Duration::from_millis(500);
const GRACE: Duration = Duration::from_millis(300);

/// A group whose one test, a program, hangs, and what looks at it; after it one that must not suffer for it.
fn cold(more: &str) -> Arena {
    Arena::new(&format!(
        "[defaults]\ntimeout = \"500ms\"\ngrace = \"300ms\"\n\
         [groups.bad]\ncommand = [\"sleep\", \"60\"]\n{LOOK}\n{more}\n[groups.good]\ncommand = [\"true\"]\n"
    ))
}

/// The same in a session, whose other tests must not suffer.
fn warm(more: &str) -> Option<Arena> {
    let python = python()?;
    let manifest = format!(
        "[groups.g]\nrunner = \"pytest\"\nwith = {{ python = {python:?} }}\norder = \"listed\"\ntimeout = \"1s\"\ngrace = \"300ms\"\n{LOOK}\n{more}\n"
    );
    let tests =
        "import time\ndef test_bad(): time.sleep(60)\ndef test_good(): pass\ndef test_z(): pass\n";
    Some(Arena::new(&manifest).file("test_t.py", tests))
}

/// The same of a host that does not fork.
fn without_fork() -> Arena {
    let host = "exec 3<$ORCHESTRATE_ORDERS 4>$ORCHESTRATE_ANSWERS; read -r work <&3; key=${work#*\\\"key\\\":\\\"}; key=${key%%\\\"*}; echo $key'{\"event\":\"ready\"}' >&4; read -r order <&3; \
        echo $key'{\"event\":\"started\",\"id\":\"a\"}' >&4; echo $$ >host.pid; echo begun; sleep 60";
    Arena::new("").file("host", host).file(
        "fastest.toml",
        &format!(
            "[runners.one]\nlist = [\"sh\", \"-c\", \"echo '{{\\\"id\\\":\\\"a\\\"}}' >$0\", \"<report>\"]\nlist-format = \"jsonl\"\n\
             results = \"events\"\nrun = [\"true\"]\nsession = [\"sh\", \"host\"]\nsession-forks = false\n\
             [groups.g]\nrunner = \"one\"\ntimeout = \"500ms\"\ngrace = \"300ms\"\n{LOOK}\n"
        ),
    )
}

const LOOK: &str = "on-timeout = [\"sh\", \"./look\", \"<job-pid>\"]";
const COLD: [&str; 2] = ["bad timed-out", "good passed"];
const WARM: [&str; 3] = [
    "g::test_t.py::test_bad timed-out",
    "g::test_t.py::test_good passed",
    "g::test_t.py::test_z passed",
];

/// What the one test has printed that has timed out.
#[track_caller]
fn printed(end: &End) -> String {
    let finished = end.finished();
    let late = finished.iter().find(|test| test["outcome"] == "timed-out");
    let late = late.unwrap_or_else(|| panic!("nothing has timed out: {finished:?}"));
    late["output"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_look_that_leaves_a_deaf_daemon() {
    let look = "env -i setsid sh -c 'trap \"\" TERM INT HUP; echo >up; while :; do sleep 0.05; done' & until [ -s up ]; do sleep 0.01; done";
    let arena = cold("").file("look", look);
    arena.run(&[]).exits(1).within(TIMEOUT + GRACE).ends(&COLD);
    arena.is_clean();
    let Some(arena) = warm("") else { return };
    let arena = arena.file("look", look);
    arena.run(&[]).exits(1).ends(&WARM);
    arena.is_clean();
}

/// In a session nobody else is in the care of that worker.
#[test]
fn a_look_that_kills_its_supervisor() {
    let look = "setsid sleep 60 & kill -KILL $PPID; sleep 60";
    let arena = cold("").file("look", look);
    arena
        .run(&[])
        .exits(1)
        .within(TIMEOUT + GRACE)
        .ends(&["bad errored", "good passed"]);
    arena.is_clean();
    let Some(arena) = warm("") else { return };
    let arena = arena.file("look", look);
    let end = arena.run(&[]).exits(1).ends(&WARM);
    let output = printed(&end);
    assert!(output.contains("-- on-timeout can't run: "), "{output}");
    arena.is_clean();
}

#[test]
fn a_look_that_stops_its_supervisor_and_hangs() {
    let look = "kill -STOP $PPID; sleep 60";
    let more = "hook-timeout = \"500ms\"";
    let arena = cold(more).file("look", look);
    arena.run(&[]).exits(1).ends(&COLD);
    arena.is_clean();
    let Some(arena) = warm(more) else { return };
    let arena = arena.file("look", look);
    arena.run(&[]).exits(1).ends(&WARM);
    arena.is_clean();
}

#[test]
fn a_look_that_stops_or_kills_what_it_looks_at() {
    for signal in ["STOP", "KILL"] {
        let look = format!("kill -{signal} $1");
        let arena = cold("").file("look", &look);
        arena.run(&[]).exits(1).within(TIMEOUT + GRACE).ends(&COLD);
        arena.is_clean();
        let Some(arena) = warm("") else { return };
        let arena = arena.file("look", &look);
        arena.run(&[]).exits(1).ends(&WARM);
        arena.is_clean();
    }
}

#[test]
fn a_run_that_is_killed_while_it_looks() {
    for arena in [Some(cold("")), warm(""), Some(without_fork())] {
        let Some(arena) = arena else { return };
        let arena = arena.file("look", "setsid sleep 60 & touch up; sleep 60");
        let started = arena.start(&mut arena.run_command(&[]));
        arena.until_file("up");
        arena.kill(started);
    }
}

#[test]
fn a_run_that_is_stopped_while_it_looks() {
    for arena in [Some(cold("")), warm(""), Some(without_fork())] {
        let Some(arena) = arena else { return };
        let arena = arena.file(
            "look",
            "trap '' TERM INT; setsid sleep 60 & touch up; while :; do sleep 0.05; done",
        );
        let started = arena.start(&mut arena.run_command(&[]));
        arena.until_file("up");
        let begun = std::time::Instant::now();
        started.signal(Signal::INT);
        let started = Started { begun, ..started };
        let end = arena.finish(started).exits(130).within(GRACE);
        printed(&end);
        arena.is_clean();
    }
}

#[test]
fn a_look_at_a_host_that_can_t_fork() {
    let arena = without_fork().file("look", "echo looked at $1");
    let end = arena
        .run(&[])
        .exits(1)
        .within(TIMEOUT + GRACE)
        .ends(&["g::a timed-out"]);
    let pid = arena.read("host.pid");
    let pid = pid.trim();
    assert_eq!(
        printed(&end),
        format!("begun\n-- on-timeout: sh ./look {pid} --\nlooked at {pid}\n")
    );
    arena.is_clean();
}
