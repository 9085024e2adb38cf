//! Tests that would forge the results of others, and run as the same user: what they find of ours, and what they can't.

use crate::arena::Arena;
use crate::support::python;

/// Changes something in the folder of the runners' files, wherever that is.
fn change(line: &str) -> String {
    format!("cd tmp/orchestrate-run-*/support && chmod -R u+w . && {line}")
}

/// A runner whose command names that folder.
fn with_own_runner(line: &str) -> Arena {
    Arena::new(
        "[runners.own]\nlist = [\"sh\", \"-c\", \"test -e $0/orchestrate_node.mjs && echo a\", \"<support>\"]\nlist-format = \"lines\"\n\
        run = [\"sh\", \"-c\", \"test -e $0/orchestrate_node.mjs\", \"<support>\", \"<items>\"]\nresults = \"exit\"\n\
        [groups.evil]\ncommand = [\"./job\"]\n[groups.good]\nrunner = \"own\"\nneeds = [\"evil\"]\n",
    )
    .script("job", &change(line))
}

#[track_caller]
fn is_noticed(arena: &Arena, why: &str) {
    let end = arena.run(&[]);
    let message = end.message("good::a");
    end.exits(1).ends(&["evil passed", "good::a errored"]);
    assert!(message.contains(why), "{message}");
    arena.is_clean();
}

#[test]
fn a_file_of_a_runner_that_a_test_changes_is_not_started() {
    is_noticed(
        &with_own_runner("echo >> orchestrate_node.mjs"),
        "orchestrate_node.mjs was changed",
    );
}

#[test]
fn a_file_that_a_test_adds_to_those_of_a_runner_is_not_started() {
    is_noticed(
        &with_own_runner("echo 'exit 0' > strict.pm"),
        "strict.pm was added",
    );
    is_noticed(
        &with_own_runner("rm orchestrate_node.mjs && mkfifo orchestrate_node.mjs"),
        "orchestrate_node.mjs was changed",
    );
}

#[test]
fn a_file_of_a_runner_that_a_test_of_another_user_changes_is_not_started() {
    let arena = with_own_runner("rm orchestrate_node.mjs && ln -s /dev/zero orchestrate_node.mjs");
    let Some(arena) = arena.of_another_user() else {
        return;
    };
    is_noticed(&arena, "orchestrate_node.mjs can't be read");
}

#[test]
fn a_run_whose_tests_change_nothing_finds_its_files_as_they_were() {
    let arena = with_own_runner("ls");
    arena
        .run(&[])
        .exits(0)
        .ends(&["evil passed", "good::a passed"]);
    arena.is_clean();
}

/// As a test would that knows how pytest's results are read. A session's host has read its files before any test ran.
#[test]
fn what_reports_the_results_of_pytest_forges_none_once_a_test_has_changed_it() {
    let Some(python) = python() else { return };
    let forge = change("sed -i 's/failed/passed/g' _orchestrate/*.py");
    for (session, outcome) in [("cold", "errored"), ("shared", "failed")] {
        let manifest = format!(
            "[groups.evil]\ncommand = [\"./job\"]\n[groups.good]\nrunner = \"pytest\"\nwith = {{ python = {python:?} }}\n\
            session = {session:?}\nneeds = [\"evil\"]\n"
        );
        let arena = Arena::new(&manifest)
            .script("job", &forge)
            .file("test_t.py", "def test_a(): assert False\n");
        let end = arena.run(&[]);
        let message = end.message("good::test_t.py::test_a");
        let outcome = format!("good::test_t.py::test_a {outcome}");
        end.exits(1).ends(&["evil passed", &outcome]);
        let is_said = message.contains("was changed");
        assert_eq!(is_said, session == "cold", "{message}");
        arena.is_clean();
    }
}

/// Neither the run nor a worker: what is open there are the ways that results go.
#[test]
fn a_test_can_not_look_into_the_processes_that_run_it() {
    let look = "worker=$PPID; run=$(cut -d' ' -f4 /proc/$worker/stat)\n\
        for pid in $worker $run; do\n\
        for what in exe cwd root fd/0; do ! readlink /proc/$pid/$what || exit 1; done\n\
        for what in environ maps mem; do ! head -c 1 /proc/$pid/$what || exit 1; done\n\
        ! ls /proc/$pid/fd || exit 1\n\
        done\n\
        readlink /proc/self/exe";
    let arena = Arena::new("[groups.g]\ncommand = [\"./job\"]\n").script("job", look);
    let Some(arena) = arena.of_another_user() else {
        return;
    };
    arena.run(&[]).exits(0).ends(&["g passed"]);
    arena.is_clean();
}

/// Only what runs tests is closed to others: a debugger that `on-timeout` names looks into a job.
#[test]
fn what_looks_at_a_job_whose_time_is_over_can_look_into_it() {
    let arena = Arena::new(
        "[groups.g]\ncommand = [\"sleep\", \"60\"]\ntimeout = \"300ms\"\ngrace = \"300ms\"\n\
        on-timeout = [\"sh\", \"-c\", \"head -c 8 /proc/$0/maps | wc -c; ls /proc/$0/fd | head -1\", \"<job-pid>\"]\n",
    );
    let Some(arena) = arena.of_another_user() else {
        return;
    };
    let end = arena.run(&[]);
    let output = end.finished()[0]["output"].to_string();
    end.exits(1).ends(&["g timed-out"]);
    assert!(output.contains("8\\n0\\n"), "{output}");
    arena.is_clean();
}

/// A host that is its one worker: once it serves, its pipes have no names any more.
#[test]
fn the_pipes_of_a_session_have_no_names_while_its_tests_run() {
    let host = "exec 3<$ORCHESTRATE_ORDERS 4>$ORCHESTRATE_ANSWERS; read -r work <&3; key=${work#*\\\"key\\\":\\\"}; key=${key%%\\\"*}; echo $key'{\"event\":\"ready\"}' >&4; read -r order <&3; \
        if test -e $ORCHESTRATE_ORDERS || test -e $ORCHESTRATE_ANSWERS; then outcome=failed; else outcome=passed; fi; \
        echo $key'{\"event\":\"started\",\"id\":\"a\"}' >&4; echo $key'{\"event\":\"finished\",\"id\":\"a\",\"outcome\":\"'$outcome'\",\"seconds\":0}' >&4; \
        echo $key'{\"event\":\"done\",\"cpu\":0,\"memory\":0}' >&4; read -r end <&3; echo $key'{\"event\":\"over\"}' >&4";
    for another in [false, true] {
        let arena = Arena::new("").file("host", host).file(
            "fastest.toml",
            "[runners.one]\nlist = [\"sh\", \"-c\", \"echo '{\\\"id\\\":\\\"a\\\"}' >$0\", \"<report>\"]\nlist-format = \"jsonl\"\n\
             results = \"events\"\nrun = [\"true\"]\nsession = [\"sh\", \"host\"]\nsession-forks = false\n\
             [groups.g]\nrunner = \"one\"\ngrace = \"300ms\"\n",
        );
        let arena = if another {
            arena.of_another_user()
        } else {
            Some(arena)
        };
        let Some(arena) = arena else { return };
        arena.run(&[]).exits(0).ends(&["g::a passed"]);
        arena.is_clean();
    }
}

/// The test of another group writes a verdict into the pipe of a host, which it finds through /proc.
#[test]
fn a_verdict_that_another_process_writes_into_the_pipe_of_a_session_is_no_result() {
    let host = "exec 3<$ORCHESTRATE_ORDERS 4>$ORCHESTRATE_ANSWERS; read -r work <&3; key=${work#*\\\"key\\\":\\\"}; key=${key%%\\\"*}; \
        echo $key'{\"event\":\"ready\"}' >&4; read -r order <&3; \
        echo $key'{\"event\":\"started\",\"id\":\"a\"}' >&4; echo $$ > pid.new; mv pid.new pid; while ! test -e forged; do sleep 0.01; done; \
        echo $key'{\"event\":\"finished\",\"id\":\"a\",\"outcome\":\"failed\",\"seconds\":0}' >&4; \
        echo $key'{\"event\":\"done\",\"cpu\":0,\"memory\":0}' >&4; read -r end <&3; echo $key'{\"event\":\"over\"}' >&4";
    let evil = "while ! test -e pid; do sleep 0.01; done\n\
        for fd in 1 3 4; do echo '{\"event\":\"finished\",\"id\":\"a\",\"outcome\":\"passed\",\"seconds\":0}' > /proc/$(cat pid)/fd/$fd; done\n\
        touch forged";
    for another in [false, true] {
        let arena = Arena::new("").file("host", host).script("evil", evil).file(
            "fastest.toml",
            "[run]\nworkers = 2\n[runners.one]\nlist = [\"sh\", \"-c\", \"echo '{\\\"id\\\":\\\"a\\\"}' >$0\", \"<report>\"]\nlist-format = \"jsonl\"\n\
             results = \"events\"\nrun = [\"true\"]\nsession = [\"sh\", \"host\"]\nsession-forks = false\n\
             [groups.g]\nrunner = \"one\"\ngrace = \"300ms\"\n[groups.evil]\ncommand = [\"./evil\"]\n",
        );
        let arena = if another {
            arena.of_another_user()
        } else {
            Some(arena)
        };
        let Some(arena) = arena else { return };
        let end = arena.run(&[]).exits(1);
        let outcomes = end.outcomes();
        assert_eq!(outcomes[0], "evil passed", "{}", end.shown());
        assert!(
            ["g::a errored", "g::a failed"].contains(&outcomes[1].as_str()),
            "{outcomes:?}"
        );
        arena.is_clean();
    }
}

/// The test of another group puts a host of its own in the place of a session's, and all that it says is `passed`.
#[test]
fn a_host_that_another_process_puts_in_the_place_of_a_sessions_is_not_heard() {
    let Some(python) = python() else { return };
    let evil = r"
import glob, json, os, socket, time
while not os.path.exists('running'): time.sleep(0.01)
path = glob.glob('tmp/orchestrate-worker-*/session')[0]
os.unlink(path)
server = socket.socket(socket.AF_UNIX)
server.bind(path)
server.listen(64)
open('replaced', 'w').close()
while True:
    lines = server.accept()[0].makefile('rw')
    def tell(**record):
        lines.write(json.dumps(record) + '\n')
        lines.flush()
    for line in lines:
        order = json.loads(line)
        if 'work' in order: tell(event='ready', pid=os.getpid())
        for name in order.get('run', {}).get('ids', []):
            tell(event='started', id=name)
            tell(event='finished', id=name, outcome='passed', seconds=0)
        if 'run' in order: tell(event='done')
    lines.close()
";
    let tests = r"
import os, time
def test_a():
    open('running', 'w').close()
    while not os.path.exists('replaced'): time.sleep(0.01)
def test_b(): assert False
";
    let manifest = format!(
        "[run]\nworkers = 2\n[groups.good]\nrunner = \"pytest\"\nwith = {{ python = {python:?} }}\nworkers = 1\n\
        isolation = \"test\"\norder = \"listed\"\n\
        [groups.evil]\ncommand = [{python:?}, \"evil.py\"]\ntimeout = \"5s\"\ngrace = \"100ms\"\n"
    );
    let arena = Arena::new(&manifest)
        .file("evil.py", evil)
        .file("test_t.py", tests);
    let end = arena.run(&[]);
    let message = end.message("good::test_t.py::test_b");
    let outcome = "good::test_t.py::test_b errored".to_owned();
    assert!(end.outcomes().contains(&outcome), "{}", end.shown());
    assert!(message.contains("another process listens"), "{message}");
    arena.is_clean();
}

/// What waits for a fork is a small program, though it can't be started through the process of the run.
#[test]
fn a_guard_is_still_a_program_of_its_own() {
    let Some(python) = python() else { return };
    let manifest = format!("[groups.g]\nrunner = \"pytest\"\nwith = {{ python = {python:?} }}\n");
    let test = "import os, time\ndef test_a():\n    until = time.monotonic() + 20\n    words = []\n    while words[1:2] != [b'guard'] and time.monotonic() < until:\n        words = open('/proc/%d/cmdline' % os.getppid(), 'rb').read().split(b'\\0')\n    assert words[1:2] == [b'guard'], words\n\
        def test_b():\n    os.kill(os.getpid(), 9)\n";
    let arena = Arena::new(&manifest).file("test_t.py", test);
    let end = arena.run(&[]);
    let message = end.message("g::test_t.py::test_b");
    end.ends(&[
        "g::test_t.py::test_a passed",
        "g::test_t.py::test_b crashed",
    ]);
    assert!(message.contains("SIGKILL"), "{message}");
    arena.is_clean();
}
