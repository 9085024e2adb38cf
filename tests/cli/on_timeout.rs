//! The command that looks at a test whose time is over: when it runs, at what, and what becomes of what it prints.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::bounds::works;
use crate::support::{Project, Ran, python};

/// A group of programs that are soon over their time.
fn programs(more: &str) -> Project {
    Project::with(&format!(
        "[groups.g]\nrunner = \"exec\"\nfiles = [\"t/*\"]\ntimeout = \"1s\"\ngrace = \"300ms\"\n{more}\n"
    ))
}

/// The same of Python's tests, in a session or without.
fn pythons(session: &str, more: &str) -> Option<Project> {
    let python = python()?;
    Some(Project::with(&format!(
        "[groups.g]\nrunner = \"pytest\"\nsession = {session:?}\ntimeout = \"3s\"\ngrace = \"300ms\"\n\
         with = {{ python = {python:?} }}\n{more}\n"
    )))
}

/// What a test has printed, by its id.
#[track_caller]
fn output(ran: &Ran, id: &str) -> String {
    let events = ran.events_of("test-finished");
    let event = events.iter().find(|event| event["id"] == id);
    let event = event.unwrap_or_else(|| panic!("{id} has no result: {events:?}"));
    event["output"].as_str().unwrap_or_default().to_owned()
}

#[track_caller]
fn is_gone(pid: &str) {
    let pid = pid.trim();
    assert!(!pid.is_empty());
    assert!(!Path::new("/proc").join(pid).exists(), "{pid} is left");
}

#[test]
fn it_looks_at_the_job_before_that_is_asked_to_end() {
    let manifest =
        "on-timeout = [\"./look\", \"<job-pid>\", \"<slot>\"]\nenv = { WHO = \"<group>\" }";
    let project = programs(manifest)
        .script(
            "t/hangs",
            "trap 'echo asked to end; exit 0' TERM; echo $$ >pid; printf begun; sleep 600 & wait",
        )
        .script("t/passes", "exit 0")
        .script(
            "look",
            "tr '\\0' ' ' </proc/$1/cmdline; echo; echo $1 >looked; echo at slot $2 of $WHO >&2; [ -d $TMPDIR ] && pwd",
        );
    let ran = project.run(&["--report=junit=out.xml", "-n", "1"]).exits(1);
    assert_eq!(
        ran.outcomes(),
        ["g::t/hangs timed-out", "g::t/passes passed"]
    );
    let pid = project.read("pid");
    assert_eq!(project.read("looked"), pid);
    let root = project.path().canonicalize().unwrap();
    let told = format!(
        "begun\n-- on-timeout: ./look {1} 0 --\n/bin/sh {0}/t/hangs \nat slot 0 of g\n{0}\nasked to end\n",
        root.display(),
        pid.trim()
    );
    assert_eq!(output(&ran, "g::t/hangs"), told);
    let junit = project.read("out.xml");
    assert!(junit.contains("at slot 0 of g"), "{junit}");
}

#[test]
fn a_line_for_the_shell_and_an_override_have_the_process_id_too() {
    let manifest = "on-timeout = \"echo of group: <job-pid>\"\n\
        [[groups.g.overrides]]\nmatch = [\"t/own\"]\non-timeout = [\"echo\", \"own: <job-pid>, try <attempt>\"]\n\
        [[groups.g.overrides]]\nmatch = [\"t/none\"]\non-timeout = []";
    let hangs = "echo $$ >$0.pid; exec sleep 600";
    let project = programs(manifest)
        .script("t/none", hangs)
        .script("t/own", hangs)
        .script("t/usual", hangs);
    let ran = project.run(&["-n", "2"]).exits(1);
    assert_eq!(
        ran.outcomes(),
        [
            "g::t/none timed-out",
            "g::t/own timed-out",
            "g::t/usual timed-out"
        ]
    );
    assert_eq!(output(&ran, "g::t/none"), "");
    let [own, usual] = ["own", "usual"].map(|name| project.read(&format!("t/{name}.pid")));
    let (own, usual) = (own.trim(), usual.trim());
    assert_eq!(
        output(&ran, "g::t/own"),
        format!("-- on-timeout: echo own: {own}, try 1 --\nown: {own}, try 1\n")
    );
    assert_eq!(
        output(&ran, "g::t/usual"),
        format!("-- on-timeout: echo of group: {usual} --\nof group: {usual}\n")
    );
    project
        .orchestrate(&["show", "g"])
        .exits(0)
        .says("on-timeout = \"echo of group: <job-pid>\"")
        .says("# [groups.g], line");
}

/// How it fails is told; that the test has timed out stays so.
#[test]
fn a_command_that_fails_changes_no_outcome() {
    let fails = |command: &str, why: &str| {
        let manifest = format!("on-timeout = {command}");
        let ran = programs(&manifest)
            .script("t/hangs", "exec sleep 600")
            .run(&[])
            .exits(1);
        assert_eq!(ran.outcomes(), ["g::t/hangs timed-out"]);
        let said = output(&ran, "g::t/hangs");
        assert!(said.contains(why), "{said}");
    };
    fails(
        "[\"no-such-program\", \"<job-pid>\"]",
        "-- on-timeout can't start no-such-program: No such file or directory (os error 2); it is not on PATH",
    );
    fails(
        "\"echo sees nothing; exit 3\"",
        "\nsees nothing\n-- on-timeout exited with code 3 --\n",
    );
    fails(
        "\"kill -KILL $$\"",
        "-- on-timeout was killed by signal 9 --\n",
    );
    fails(
        "\"printf begins; sleep 600\"\nhook-timeout = \"1s\"",
        "begins\n-- on-timeout timed out: it took longer than `hook-timeout` (1s) --\n",
    );
    fails(
        "\"trap '' TERM INT; while :; do sleep 0.01; done\"\nhook-timeout = \"300ms\"",
        "-- on-timeout timed out: it took longer than `hook-timeout` (300ms) --\n",
    );
    fails(
        "[\"echo\", \"<env:NOT_SET_AT_ALL>\"]",
        "-- on-timeout can't run: <env:NOT_SET_AT_ALL> has no value: set the variable",
    );
}

#[test]
fn what_it_writes_is_bounded() {
    let ran = programs("output-max = \"1MiB\"\noutput-limit = \"4KiB\"\non-timeout = \"exec yes\"")
        .script("t/hangs", "exec sleep 600")
        .run(&[])
        .exits(1);
    assert_eq!(ran.outcomes(), ["g::t/hangs timed-out"]);
    let said = output(&ran, "g::t/hangs");
    assert!(said.starts_with("-- on-timeout: exec yes --\n"), "{said}");
    assert!(
        said.ends_with("\n-- on-timeout wrote more than `output-max` --\n"),
        "{said}"
    );
    assert!(said.len() < 8 << 10);
}

#[test]
fn nothing_of_it_is_left() {
    let leaves = "(sleep 600 & echo $! >left.near); setsid sh -c 'trap \\\"\\\" TERM; echo $$ >left.far; while :; do sleep 0.05; done' & \
        until [ -s left.far ]; do sleep 0.01; done";
    for more in ["", "hook-timeout = \"2s\""] {
        let hangs = if more.is_empty() { "" } else { "; sleep 600" };
        let manifest = format!("{more}\non-timeout = \"{leaves}{hangs}\"");
        let project = programs(&manifest)
            .script("t/hangs", "exec sleep 600")
            .script(
                "t/next",
                "for left in left.*; do ! kill -0 $(cat $left) || exit 1; done",
            );
        let ran = project.run(&["-n", "1", "--order", "listed"]).exits(1);
        assert_eq!(ran.outcomes(), ["g::t/hangs timed-out", "g::t/next passed"]);
        is_gone(&project.read("left.near"));
        is_gone(&project.read("left.far"));

        for session in ["shared", "cold"] {
            let Some(project) = pythons(session, &manifest) else {
                return;
            };
            let project = project.file(
                "test_it.py",
                "import time\ndef test_hangs(): time.sleep(600)\n",
            );
            let ran = project.run(&[]).exits(1);
            assert_eq!(ran.outcomes(), ["g::test_it.py::test_hangs timed-out"]);
            let said = output(&ran, "g::test_it.py::test_hangs");
            let took_long = said.contains("it took longer than `hook-timeout`");
            assert_eq!(took_long, !more.is_empty(), "{said}");
            is_gone(&project.read("left.near"));
            is_gone(&project.read("left.far"));
        }
    }
}

#[test]
fn a_test_of_a_chunk_is_looked_at_in_its_own_process() {
    for session in ["shared", "worker", "cold"] {
        let Some(project) = pythons(session, "on-timeout = [\"./look\", \"<job-pid>\"]") else {
            return;
        };
        let project = project
            .file(
                "test_it.py",
                "import os, time\ndef test_a(): pass\n\
                 def test_hangs():\n    open('pid', 'w').write('%d' % os.getpid())\n    print('begun')\n    time.sleep(600)\n\
                 def test_z(): pass\n",
            )
            .script("look", "echo looked at $1 of $ORCHESTRATE_GROUP; tr '\\0' ' ' </proc/$1/cmdline");
        let ran = project.run(&["-n", "1", "--report=junit=out.xml"]).exits(1);
        assert_eq!(
            ran.outcomes(),
            [
                "g::test_it.py::test_a passed",
                "g::test_it.py::test_hangs timed-out",
                "g::test_it.py::test_z passed"
            ],
            "{session}"
        );
        let said = output(&ran, "g::test_it.py::test_hangs");
        let looked = format!("looked at {} of g\n", project.read("pid"));
        assert!(
            said.contains(&looked),
            "{session}: {looked} is not in {said}"
        );
        assert!(said.contains("pytest"), "{session}: {said}");
        assert!(project.read("out.xml").contains(&looked), "{session}");
    }
}

/// While it is looked at, the test ends and the next one runs: it has timed out all the same, and nobody else has.
#[test]
fn a_test_that_ends_meanwhile_has_timed_out_and_no_other_has() {
    for session in ["shared", "cold"] {
        let look = "on-timeout = \"touch go; until [ -e next ]; do sleep 0.02; done\"";
        let Some(project) = pythons(session, look) else {
            return;
        };
        let project = project.file(
            "test_it.py",
            "import os, time\n\
             def until(name):\n    while not os.path.exists(name): time.sleep(0.02)\n\
             def test_late(): until('go')\n\
             def test_next():\n    open('next', 'w').close()\n    if not os.path.exists('again'):\n        open('again', 'w').close()\n        time.sleep(600)\n",
        );
        let ran = project.run(&["-n", "1", "--order", "listed"]).exits(1);
        assert_eq!(
            ran.outcomes(),
            [
                "g::test_it.py::test_late timed-out",
                "g::test_it.py::test_next passed"
            ],
            "{session}"
        );
        assert!(project.path().join("again").exists());
    }
}

/// It ends only when the other worker's tests have: so they run, are told and end meanwhile.
#[test]
fn nobody_else_of_a_session_waits_for_it() {
    let look = "workers = 2\nchunk-size = 1\nchunk-by = \"any\"\nhook-timeout = \"1m\"\non-timeout = \"touch looks; until [ -e over ]; do sleep 0.02; done\"";
    let Some(project) = pythons("shared", look) else {
        return;
    };
    let project = project
        .file("test_a.py", "import time\ndef test_hangs(): time.sleep(600)\n")
        .file(
            "test_b.py",
            "import os, time\ndef test_1():\n    while not os.path.exists('looks'): time.sleep(0.02)\n\
             def test_2(): time.sleep(600)\ndef test_3(): open('over', 'w').close()\n",
        );
    let manifest = project.read("fastest.toml")
        + "[[groups.g.overrides]]\nmatch = [\"test_b.py::test_1\"]\ntimeout = \"1m\"\n\
           [[groups.g.overrides]]\nmatch = [\"test_b.py::test_2\"]\non-timeout = \"echo at another\"\n";
    let project = project.file("fastest.toml", &manifest);
    let ran = project.run(&["-n", "2", "--order", "listed"]).exits(1);
    assert_eq!(
        ran.outcomes(),
        [
            "g::test_a.py::test_hangs timed-out",
            "g::test_b.py::test_1 passed",
            "g::test_b.py::test_2 timed-out",
            "g::test_b.py::test_3 passed"
        ]
    );
    assert!(output(&ran, "g::test_b.py::test_2").contains("\nat another\n"));
    let said = output(&ran, "g::test_a.py::test_hangs");
    assert!(!said.contains("hook-timeout"), "{said}");
}

#[test]
fn a_run_that_is_stopped_does_not_wait_for_it() {
    let look = "hook-timeout = \"10m\"\non-timeout = \"echo $$ >looks.pid; mv looks.pid looks; exec sleep 600\"";
    let cold = programs(look).script("t/hangs", "exec sleep 600");
    let warm = pythons("shared", look);
    let warm = warm.map(|project| {
        project.file(
            "test_it.py",
            "import time\ndef test_hangs(): time.sleep(600)\n",
        )
    });
    for project in [Some(cold), warm].into_iter().flatten() {
        let mut run = project
            .command(&["run", "--report=jsonl=events.jsonl"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let until = Instant::now() + Duration::from_secs(60);
        while !project.path().join("looks").exists() {
            assert!(Instant::now() < until, "it is never looked");
            std::thread::sleep(Duration::from_millis(10));
        }
        let signal = Command::new("kill")
            .args(["-INT", &run.id().to_string()])
            .status();
        assert!(signal.unwrap().success());
        // Its own time would be ten minutes.
        assert_eq!(run.wait().unwrap().code(), Some(130));
        is_gone(&project.read("looks"));
        let events = project.read("events.jsonl");
        assert!(
            events.contains("-- on-timeout was stopped with the run --"),
            "{events}"
        );
        assert!(events.contains("\"outcome\":\"timed-out\""), "{events}");
    }
}

/// A group's and a run's time are no test's.
#[test]
fn what_is_stopped_is_not_looked_at() {
    let look = "group-timeout = \"1s\"\non-timeout = \"touch looked\"";
    let manifest = programs(look)
        .read("fastest.toml")
        .replace("timeout = \"1s\"\ngrace", "timeout = \"1h\"\ngrace");
    let cold = Project::with(&manifest).script("t/hangs", "exec sleep 600");
    let warm = pythons("shared", look).map(|project| {
        let manifest = project
            .read("fastest.toml")
            .replace("timeout = \"1s\"\ngrace", "timeout = \"1h\"\ngrace");
        Project::with(&manifest).file(
            "test_it.py",
            "import time\ndef test_hangs(): time.sleep(600)\n",
        )
    });
    for project in [Some(cold), warm].into_iter().flatten() {
        let ran = project.run(&[]).exits(1);
        assert_eq!(ran.events_of("test-finished")[0]["outcome"], "cancelled");
        assert!(!project.path().join("looked").exists());
    }
}

#[test]
fn output_that_is_not_captured_goes_where_the_jobs_goes() {
    let ran = programs("on-timeout = [\"echo\", \"seen\"]")
        .script("t/hangs", "exec sleep 600")
        .run(&["--no-capture"])
        .exits(1);
    assert!(
        ran.stdout.contains("-- on-timeout: echo seen --\nseen\n"),
        "{}",
        ran.stdout
    );
    assert_eq!(output(&ran, "g::t/hangs"), "");
}

/// From outside, the first process of a namespace is ours, and it has a number of its own inside.
#[test]
fn it_sees_the_process_in_a_namespace_or_a_control_group() {
    for level in ["pid-namespace", "sandbox", "cgroup"] {
        if !works(level) {
            continue;
        }
        let look = format!(
            "isolation-level = {level:?}\non-timeout = \"tr '\\\\0' ' ' </proc/<job-pid>/cmdline\""
        );
        let project = programs(&look).script("t/hangs", "sleep 600 & wait");
        let ran = project.run(&[]).exits(1);
        assert_eq!(ran.outcomes(), ["g::t/hangs timed-out"], "{level}");
        let said = output(&ran, "g::t/hangs");
        assert!(said.ends_with("/t/hangs "), "{level}: {said}");
        assert!(said.contains("--\n/bin/sh "), "{level}: {said}");
    }
}

#[test]
fn a_worker_of_a_session_has_a_port_for_it() {
    let look = "on-timeout = [\"echo\", \"at <port> by <pid>\"]";
    let Some(project) = pythons("shared", look) else {
        return;
    };
    let ran = project
        .file(
            "test_it.py",
            "import time\ndef test_hangs(): time.sleep(600)\n",
        )
        .run(&[])
        .exits(1);
    let said = output(&ran, "g::test_it.py::test_hangs");
    let told = said
        .split("\nat ")
        .nth(1)
        .unwrap_or_else(|| panic!("{said}"));
    let (port, rest) = told.split_once(" by ").unwrap();
    assert!(port.parse::<u16>().unwrap() > 0, "{said}");
    assert!(
        rest.lines().next().unwrap().parse::<u32>().unwrap() > 1,
        "{said}"
    );
}

/// What is torn down after the last test is part of that: it is looked at where it takes too long.
#[test]
fn what_is_torn_down_too_slowly_is_looked_at_too() {
    for session in ["shared", "cold"] {
        let look = "on-timeout = [\"echo\", \"looked at <job-pid>\"]";
        let Some(project) = pythons(session, look) else {
            return;
        };
        let tests = "import os, time, pytest\n\
            @pytest.fixture(scope='module')\ndef slow():\n    yield\n    open('pid', 'w').write('%d' % os.getpid())\n    time.sleep(600)\n\
            def test_it(slow): pass\n";
        let project = project.file("test_it.py", tests);
        let ran = project.run(&[]).exits(1);
        let said = output(&ran, "g::test_it.py::test_it");
        let looked = format!("\nlooked at {}\n", project.read("pid"));
        assert!(said.contains(&looked), "{session}: {said}");
    }
}
