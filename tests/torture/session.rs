//! A session: its host, guards and forks are no children of a worker that runs jobs, and are held all the same.

use std::time::Duration;

use rustix::process::Signal;

use crate::arena::Arena;
use crate::support::python;

/// Two workers, each with a test that has left a daemon which nobody finds by its parents, and goes on.
const TESTS: &str = r"
import os, subprocess, sys, time, pytest

@pytest.mark.parametrize('number', range(2))
def test_x(number):
    daemon = 'import os, time\nif os.fork(): os._exit(0)\nos.setsid()\nif os.fork(): os._exit(0)\ntime.sleep(60)'
    subprocess.run([sys.executable, '-c', daemon], check=True)
    open('running-%d' % number, 'w').close()
    time.sleep(60)

def test_y(): pass
";

fn arena() -> Option<Arena> {
    let python = python()?;
    let manifest = format!(
        "[groups.g]\nrunner = \"pytest\"\nwith = {{ python = {python:?} }}\nworkers = 2\nchunk-size = 1\ngrace = \"300ms\"\n"
    );
    Some(Arena::new(&manifest).file("test_t.py", TESTS))
}

fn until_both_run(arena: &Arena) {
    arena.until_file("running-0");
    arena.until_file("running-1");
}

#[test]
fn a_killed_run_leaves_nothing_of_its_session() {
    let Some(arena) = arena() else { return };
    let started = arena.start(&mut arena.run_command(&[]));
    until_both_run(&arena);
    arena.kill(started);
}

#[test]
fn a_stopped_run_leaves_nothing_of_its_session() {
    let Some(arena) = arena() else { return };
    let started = arena.start(&mut arena.run_command(&[]));
    until_both_run(&arena);
    started.signal(Signal::INT);
    let end = arena.finish(started).exits(130);
    let mut outcomes: Vec<String> = end
        .finished()
        .iter()
        .map(|event| event["outcome"].as_str().unwrap_or_default().to_owned())
        .collect();
    outcomes.sort();
    assert_eq!(outcomes, ["cancelled", "cancelled", "not-run"]);
    arena.is_clean();
}

/// A host that never listens, and one that loads for ever.
#[test]
fn a_run_is_stopped_while_a_session_begins() {
    let lists = "list = [\"sh\", \"-c\", \"echo '{\\\"id\\\":\\\"a\\\"}' >$0\", \"<report>\"]\nlist-format = \"jsonl\"\nresults = \"events\"\nrun = [\"true\"]";
    let deaf = format!(
        "[runners.deaf]\n{lists}\nsession = [\"sh\", \"-c\", \"touch up; sleep 60\"]\n[groups.g]\nrunner = \"deaf\"\nsession = \"worker\"\ngrace = \"300ms\"\n"
    );
    let mut arenas = vec![Arena::new(&deaf)];
    arenas.extend(python().map(|python| {
        let manifest = format!(
            "[groups.g]\nrunner = \"pytest\"\nwith = {{ python = {python:?} }}\nsession = \"worker\"\ngrace = \"300ms\"\n"
        );
        let loads = "import sys, time\nif 'session' in sys.orig_argv:\n    open('up', 'w').close()\n    time.sleep(60)\n";
        Arena::new(&manifest)
            .file("conftest.py", loads)
            .file("test_a.py", "def test_a(): pass\n")
    }));
    for arena in arenas {
        let started = arena.start(&mut arena.run_command(&[]));
        arena.until_file("up");
        let begun = std::time::Instant::now();
        started.signal(Signal::INT);
        let started = crate::arena::Started { begun, ..started };
        let end = arena
            .finish(started)
            .exits(130)
            .within(Duration::from_secs(1));
        assert_eq!(end.finished()[0]["outcome"], "not-run");
        arena.is_clean();
    }
}

/// A host that is its one worker: it leaves a process that holds its pipes open, and then does not end.
fn arena_without_fork() -> Arena {
    let host = "exec 3<$ORCHESTRATE_ORDERS 4>$ORCHESTRATE_ANSWERS; read -r work <&3; key=${work#*\\\"key\\\":\\\"}; key=${key%%\\\"*}; echo $key'{\"event\":\"ready\"}' >&4; read -r order <&3; \
        echo $key'{\"event\":\"started\",\"id\":\"a\"}' >&4; setsid sleep 60 & touch up; sleep 60";
    Arena::new("")
        .file("host", host)
        .file(
            "fastest.toml",
            "[runners.one]\nlist = [\"sh\", \"-c\", \"echo '{\\\"id\\\":\\\"a\\\"}' >$0\", \"<report>\"]\nlist-format = \"jsonl\"\n\
             results = \"events\"\nrun = [\"true\"]\nsession = [\"sh\", \"host\"]\nsession-forks = false\n\
             [groups.g]\nrunner = \"one\"\ngrace = \"300ms\"\n",
        )
}

#[test]
fn a_stopped_run_leaves_nothing_of_a_host_that_can_t_fork() {
    let arena = arena_without_fork();
    let started = arena.start(&mut arena.run_command(&[]));
    arena.until_file("up");
    started.signal(Signal::INT);
    let end = arena.finish(started).exits(130);
    assert_eq!(end.finished()[0]["outcome"], "cancelled");
    arena.is_clean();
}

#[test]
fn a_killed_run_leaves_nothing_of_a_host_that_can_t_fork() {
    let arena = arena_without_fork();
    let started = arena.start(&mut arena.run_command(&[]));
    arena.until_file("up");
    arena.kill(started);
}
