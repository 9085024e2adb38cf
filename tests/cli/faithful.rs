//! pytest's own outcomes, whatever plugins, clocks and processes do: the same in warm and in cold sessions.

use std::process::{Command, Stdio};

use crate::session::project;
use crate::signals::kill;
use crate::support::{Project, python};

const SESSIONS: [&str; 2] = ["session = \"shared\"", "session = \"cold\""];

/// A project with these files, once for each kind of session.
fn in_each_session(more: &str, files: &[(&str, &str)], check: impl Fn(&Project)) {
    for session in SESSIONS {
        let Some(mut project) = project(&format!("{session}\n{more}")) else {
            return;
        };
        for (name, text) in files {
            project = project.file(name, text);
        }
        check(&project);
    }
}

/// A plugin that takes a test's protocol over, as pytest-rerunfailures does: a test with the mark `again` runs twice.
const RERUNS: &str = "import pytest\nfrom _pytest.runner import runtestprotocol\n\
    def pytest_configure(config): config.addinivalue_line('markers', 'again: runs again')\n\
    @pytest.hookimpl(tryfirst=True)\n\
    def pytest_runtest_protocol(item, nextitem):\n    \
        if not item.get_closest_marker('again'): return None\n    \
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)\n    \
        for last in (False, True):\n        \
            item._initrequest()\n        \
            for report in runtestprotocol(item, nextitem=nextitem, log=False):\n            \
                if report.failed and not last: report.outcome = 'rerun'\n            \
                item.ihook.pytest_runtest_logreport(report=report)\n    \
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)\n    \
        return True\n";

#[test]
fn a_test_that_a_plugin_runs_again_has_its_last_result_and_no_other_test_has_it() {
    let test = "import os, pytest\n\
        def test_a(): assert 0\n\
        @pytest.mark.again\ndef test_b():\n    \
            if not os.path.exists('mark'):\n        open('mark', 'w')\n        assert 0\n    \
            os.unlink('mark')\n\
        @pytest.mark.again\ndef test_c(): assert 0, 'always'\n\
        def test_d(): pass\n";
    let files = [("conftest.py", RERUNS), ("test_a.py", test)];
    in_each_session("chunk-size = 10", &files, |project| {
        let ran = project.run(&["-n1"]).exits(1);
        let expected = [
            "g::test_a.py::test_a failed",
            "g::test_a.py::test_b passed",
            "g::test_a.py::test_c failed",
            "g::test_a.py::test_d passed",
        ];
        assert_eq!(ran.outcomes(), expected);
    });
}

#[test]
fn a_report_of_a_process_that_died_is_a_failure_of_its_test() {
    // As pytest-forked reports it: one report, of no phase.
    let conftest = "import pytest\nfrom _pytest.reports import TestReport\n\
        @pytest.hookimpl(tryfirst=True)\n\
        def pytest_runtest_protocol(item, nextitem):\n    \
            if 'crash' not in item.name: return None\n    \
            report = TestReport(item.nodeid, item.location, {}, 'failed', 'CRASHED with signal 11', '???')\n    \
            item.ihook.pytest_runtest_logreport(report=report)\n    \
            return True\n";
    let test = "def test_a(): pass\ndef test_crash(): pass\ndef test_z(): pass\n";
    in_each_session(
        "chunk-size = 10",
        &[("conftest.py", conftest), ("test_a.py", test)],
        |project| {
            let ran = project
                .run(&["-n1"])
                .exits(1)
                .says("CRASHED with signal 11");
            let expected = [
                "g::test_a.py::test_a passed",
                "g::test_a.py::test_crash failed",
                "g::test_a.py::test_z passed",
            ];
            assert_eq!(ran.outcomes(), expected);
        },
    );
}

#[test]
fn a_module_that_skips_itself_is_one_skipped_result() {
    let files = [
        (
            "tests/test_a.py",
            "import pytest\npytest.importorskip('no_such_module')\ndef test_a(): pass\n",
        ),
        ("tests/test_b.py", "def test_b(): pass\n"),
    ];
    in_each_session("", &files, |project| {
        let ran = project.run(&["-n2"]).exits(0);
        let expected = [
            "g::tests/test_a.py skipped",
            "g::tests/test_b.py::test_b passed",
        ];
        assert_eq!(ran.outcomes(), expected);
    });
}

#[test]
fn a_skipped_subtest_does_not_skip_its_test_and_a_failed_one_fails_it() {
    let test = "import pytest\n\
        def test_skips(subtests):\n    \
            with subtests.test('a'): pytest.skip('not here')\n    \
            with subtests.test('b'): pass\n\
        def test_fails(subtests):\n    \
            with subtests.test('a'): assert 0\n    \
            with subtests.test('b'): pytest.skip('not here')\n";
    in_each_session("", &[("test_a.py", test)], |project| {
        let ran = project.run(&["-n1"]).exits(1);
        let expected = [
            "g::test_a.py::test_fails failed",
            "g::test_a.py::test_skips passed",
        ];
        assert_eq!(ran.outcomes(), expected);
    });
}

#[test]
fn an_id_that_differs_between_processes_is_an_error_of_its_test_alone() {
    let test = "import uuid, pytest\n\
        def test_a(): pass\n\
        @pytest.mark.parametrize('n', [uuid.uuid4().hex])\ndef test_u(n): pass\n\
        def test_z(): pass\n";
    let Some(project) = project("session = \"cold\"\nchunk-size = 10") else {
        return;
    };
    let ran = project.file("test_a.py", test).run(&["-n1"]).exits(1);
    let ran = ran.says("its id differs between processes");
    let outcomes = ran.outcomes();
    assert_eq!(outcomes.len(), 3, "{outcomes:#?}");
    let is = |index: usize, ends: &str| assert!(outcomes[index].ends_with(ends), "{outcomes:#?}");
    is(0, "test_a passed");
    is(1, " errored");
    is(2, "test_z passed");
}

#[test]
fn a_message_with_half_a_surrogate_pair_is_a_message() {
    let test = "def test_a(): assert 0, 'caf\\udce9'\ndef test_b(): pass\n";
    in_each_session("", &[("test_a.py", test)], |project| {
        let ran = project.run(&["-n1"]).exits(1).says("caf\\udce9");
        let expected = ["g::test_a.py::test_a failed", "g::test_a.py::test_b passed"];
        assert_eq!(ran.outcomes(), expected);
    });
}

/// What freezegun does: replaces the clocks in every module that has them.
const FROZEN: &str = "import sys, time, json, os, pytest\n\
    @pytest.fixture(scope='session', autouse=True)\n\
    def frozen():\n    \
        real = [time.time, time.monotonic, time.perf_counter]\n    \
        undo = []\n    \
        for module in list(sys.modules.values()):\n        \
            for name, value in list(vars(module).items()):\n            \
                if any(value is clock for clock in real):\n                \
                    undo.append((module, name, value))\n                \
                    setattr(module, name, lambda: -1e9)\n    \
        yield\n    \
        for module, name, value in undo: setattr(module, name, value)\n";

#[test]
fn a_clock_that_stands_still_changes_no_duration_and_times_nothing_out() {
    // It waits by a clock that nobody has replaced.
    let test = "import select\n\
        def test_a(): select.select([], [], [], 0.6)\n\
        def test_b(): select.select([], [], [], 0.6)\n\
        def test_c(): select.select([], [], [], 0.6)\n";
    let files = [("conftest.py", FROZEN), ("test_a.py", test)];
    in_each_session("chunk-size = 10\ntimeout = \"20s\"", &files, |project| {
        let ran = project.run(&["-n1"]).exits(0);
        for finished in ran.events_of("test-finished") {
            let seconds = finished["seconds"].as_f64().unwrap();
            assert!((0.5..20.0).contains(&seconds), "{finished}");
        }
    });
}

#[test]
fn functions_that_a_test_replaces_are_not_those_of_the_report() {
    let test = "import builtins, json, os\n\
        def broken(*a, **k): raise RuntimeError('replaced')\n\
        def test_a(monkeypatch): monkeypatch.setattr(os, 'getpid', lambda: 1)\n\
        def test_b():\n    \
            os.getpid = lambda: 1\n    os.write = json.dumps = json.JSONEncoder.encode = builtins.open = broken\n\
        def test_c(): assert 0, 'seen'\n";
    for session in SESSIONS {
        let Some(project) = project(&format!("{session}\nchunk-size = 10")) else {
            return;
        };
        let ran = project.file("test_a.py", test).run(&["-n1"]);
        let outcomes = ran.outcomes();
        assert!(
            outcomes.contains(&"g::test_a.py::test_a passed".to_owned()),
            "{outcomes:#?}"
        );
        assert!(
            outcomes.contains(&"g::test_a.py::test_b passed".to_owned()),
            "{outcomes:#?}"
        );
        assert!(
            outcomes.contains(&"g::test_a.py::test_c failed".to_owned()),
            "{outcomes:#?}"
        );
    }
}

#[test]
fn children_by_spawn_and_forkserver_find_the_main_module_of_pytest() {
    let test = "import multiprocessing, sys, pytest\n\
        def main_of(queue):\n    \
            queue.put(getattr(sys.modules['__main__'], '__file__', None))\n\
        @pytest.mark.parametrize('method', ['spawn', 'forkserver'])\n\
        def test_child(method):\n    \
            context = multiprocessing.get_context(method)\n    \
            queue = context.Queue()\n    \
            child = context.Process(target=main_of, args=(queue,))\n    \
            child.start()\n    \
            assert 'orchestrate' not in str(queue.get(timeout=60))\n    \
            child.join()\n    \
            assert child.exitcode == 0\n\
        def test_main():\n    \
            main = sys.modules['__main__']\n    \
            assert main.__spec__.name == 'pytest.__main__'\n    \
            assert 'orchestrate' not in sys.argv[0]\n    \
            assert not [path for path in sys.path if 'support' in path]\n";
    in_each_session("timeout = \"300s\"", &[("test_a.py", test)], |project| {
        let ran = project.run(&["-n1"]).exits(0);
        assert_eq!(ran.outcomes().len(), 3);
    });
}

#[test]
fn our_package_is_found_whatever_python_leaves_out_of_its_path_and_whatever_is_installed() {
    let Some(python) = python() else { return };
    let has_safe_path = Command::new(python)
        .args(["-c", "import sys; sys.flags.safe_path"])
        .output();
    if !has_safe_path.is_ok_and(|output| output.status.success()) {
        return;
    }
    for session in SESSIONS {
        let Some(project) = project(session) else {
            return;
        };
        let broken = "raise ImportError('not ours')\n";
        let project = project
            .file("test_a.py", "def test_a(): pass\n")
            .file("lib/_orchestrate/__init__.py", broken)
            .file("lib/orchestrate_report.py", broken)
            .env("PYTHONPATH", "lib")
            .env("PYTHONSAFEPATH", "1");
        let ran = project.run(&[]).exits(0);
        assert_eq!(ran.outcomes(), ["g::test_a.py::test_a passed"]);
    }
}

/// Each worker writes to what its module has opened, for a moment alone.
const OPENED: &str = "import os, select, sqlite3, tempfile, time\nimport pytest\n\
    FOLDER = tempfile.mkdtemp()\n\
    DATA = open(os.path.join(FOLDER, 'data'), 'w+')\nEPOLL = select.epoll()\n\
    @pytest.mark.parametrize('n', range(8))\n\
    def test_own(n):\n    \
        DATA.seek(0)\n    DATA.truncate()\n    \
        for part in range(20):\n        \
            DATA.write('%d\\n' % n)\n        DATA.flush()\n        time.sleep(0.001)\n    \
        DATA.seek(0)\n    \
        assert set(DATA.read().split()) == {str(n)}\n";

#[test]
fn what_is_opened_while_tests_are_collected_is_each_workers_own() {
    let Some(project) = project("chunk-size = 1\nworkers = 2") else {
        return;
    };
    let ran = project.file("test_a.py", OPENED).run(&["-v", "-n2"]);
    let ran = ran.exits(0);
    let ran = ran.says("session worker, since its tests opened this while they were collected: ");
    ran.says("an epoll").says("data");
}

#[test]
fn a_session_that_is_asked_for_is_shared_with_a_warning() {
    let Some(project) = project("session = \"shared\"") else {
        return;
    };
    let test = "import select\nEPOLL = select.epoll()\ndef test_a(): pass\n";
    let ran = project.file("test_a.py", test).run(&["-v"]).exits(0);
    ran.says("group g: its workers share one session, but its tests opened this while they were collected: an epoll")
        .says("session shared, since it is asked for");
}

#[test]
fn memory_that_forks_would_share_and_a_process_that_they_are_no_parents_of_are_found() {
    for (code, says) in [
        (
            "import mmap\nSHARED = mmap.mmap(-1, 4096)\n",
            "session worker",
        ),
        (
            "import subprocess\nCHILD = subprocess.Popen(['sleep', '600'])\n\
             import atexit\natexit.register(CHILD.kill)\n",
            "session cold, since a process that was started while its tests were collected still runs",
        ),
    ] {
        let Some(project) = project("") else { return };
        let test = format!("{code}def test_a(): pass\n");
        let ran = project.file("test_a.py", &test).run(&["-v"]);
        let ran = ran.says(says);
        assert_eq!(ran.events_of("test-finished").len(), 1);
    }
}

#[test]
fn generators_without_a_seed_give_each_fork_numbers_of_its_own() {
    let Some(project) = project("chunk-size = 1\nworkers = 2\nisolation = \"test\"") else {
        return;
    };
    let test = "import os, random\nimport pytest\n\
        FREE, SEEDED = random.Random(), random.Random(7)\nEXPECTED = random.Random(7).random()\n\
        @pytest.mark.parametrize('n', range(6))\n\
        def test_x(n):\n    \
            os.close(os.open('%032x' % FREE.getrandbits(128), os.O_CREAT | os.O_EXCL))\n    \
            assert SEEDED.random() == EXPECTED\n";
    let ran = project.file("test_a.py", test).run(&["-v", "-n2"]).exits(0);
    ran.says("session shared");
}

#[test]
fn a_temporary_folder_with_a_long_path_is_no_obstacle() {
    let Some(project) = project("session = \"shared\"") else {
        return;
    };
    let long = project.path().join("d".repeat(100));
    std::fs::create_dir(&long).unwrap();
    let project = project.file("test_a.py", "def test_a(): pass\n");
    let project = project.env("TMPDIR", long.to_str().unwrap());
    let ran = project.run(&[]).exits(0);
    assert_eq!(ran.outcomes(), ["g::test_a.py::test_a passed"]);
}

/// A fixture that must not stay up, and a test that takes longer than it may.
const UP: &str = "import os, pathlib, time\nimport pytest\n\
    @pytest.fixture(scope='session')\n\
    def container():\n    \
        pathlib.Path('up').touch()\n    yield\n    pathlib.Path('up').unlink()\n    pathlib.Path('down').touch()\n\
    def test_a(container):\n    \
        pathlib.Path('begun').touch()\n    time.sleep(600)\n";

#[test]
fn a_test_that_takes_too_long_has_its_fixtures_torn_down() {
    in_each_session(
        "timeout = \"2s\"\ngrace = \"60s\"",
        &[("test_a.py", UP)],
        |project| {
            let ran = project.run(&["-n1"]).exits(1);
            assert_eq!(ran.outcomes(), ["g::test_a.py::test_a timed-out"]);
            assert!(project.path().join("down").exists());
            assert!(!project.path().join("up").exists());
        },
    );
}

/// As by Ctrl-C, wherever the test runs: in a fork, in a worker, or in the one process of a group.
#[test]
fn a_run_that_is_interrupted_has_its_fixtures_torn_down() {
    let whole = "def pytest_sessionfinish(session): pass\n";
    for (session, conftest) in [
        ("shared", ""),
        ("worker", ""),
        ("cold", ""),
        ("auto", whole),
    ] {
        let Some(project) = project(&format!("session = {session:?}\ngrace = \"60s\"")) else {
            return;
        };
        let project = project.file("test_a.py", UP).file("conftest.py", conftest);
        let mut run = project
            .command(&["run", "-n1", "--report=jsonl=events.jsonl"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while !project.path().join("begun").exists() {
            let ended = run.try_wait().unwrap();
            assert_eq!(ended, None, "{session}: the test has not begun");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        kill("-INT", run.id());
        assert_eq!(run.wait().unwrap().code(), Some(130), "{session}");
        let is_there = |name| project.path().join(name).exists();
        assert!(is_there("down") && !is_there("up"), "{session}: torn down");
        let events = project.read("events.jsonl");
        assert!(
            events.contains(
                "\"id\":\"g::test_a.py::test_a\",\"group\":\"g\",\"outcome\":\"cancelled\""
            ),
            "{session}: {events}"
        );
        let is_whole = events.contains("pytest_sessionfinish");
        assert_eq!(is_whole, !conftest.is_empty(), "{session}: {events}");
    }
}

#[test]
fn a_test_that_breaks_its_session_off_has_not_passed_and_the_others_run() {
    for breaks in [
        "pytest.exit('enough', returncode=0)",
        "raise KeyboardInterrupt",
    ] {
        let test = format!(
            "import pytest\n@pytest.fixture\ndef ready(): pass\ndef test_a(): pass\ndef test_b(ready): {breaks}\ndef test_c(): pass\n"
        );
        in_each_session("", &[("test_a.py", &test)], |project| {
            let expected = [
                "g::test_a.py::test_a passed",
                "g::test_a.py::test_b errored",
                "g::test_a.py::test_c passed",
            ];
            assert_eq!(project.run(&["-n1"]).exits(1).outcomes(), expected);
        });
    }
}

#[test]
fn the_manifest_names_the_signal_that_asks_to_end() {
    let handler = "import signal, sys, time\n\
        def test_a():\n    \
            def end(number, frame):\n        \
                open('got', 'w').write(signal.Signals(number).name)\n        sys.exit(3)\n    \
            for name in ('SIGTERM', 'SIGINT', 'SIGUSR1'): signal.signal(getattr(signal, name), end)\n    \
            time.sleep(600)\n";
    for (more, signal) in [("stop-signal = \"USR1\"", "SIGUSR1"), ("", "SIGINT")] {
        let more = format!("timeout = \"2s\"\ngrace = \"60s\"\n{more}");
        in_each_session(&more, &[("test_a.py", handler)], |project| {
            let ran = project.run(&["-n1"]).exits(1);
            assert_eq!(ran.outcomes(), ["g::test_a.py::test_a timed-out"]);
            assert_eq!(project.read("got"), signal);
        });
    }
    let Some(project) = project("stop-signal = \"HUP\"") else {
        return;
    };
    project.orchestrate(&["show"]).says("\"HUP\"");
}

#[test]
fn a_test_that_leaves_a_process_in_a_session_is_leaked_and_no_other_is() {
    let Some(project) = project("session = \"shared\"\nchunk-size = 10") else {
        return;
    };
    let test = "import subprocess, pytest\n\
        def sleep(*before): return subprocess.Popen([*before, 'sleep', '600'], start_new_session=True)\n\
        @pytest.fixture(scope='session')\n\
        def server():\n    \
            child = sleep()\n    yield\n    child.kill()\n    child.wait()\n\
        def test_a(server): pass\n\
        def test_child(): sleep()\n\
        def test_orphan(): subprocess.run('sleep 600 & exit 0', shell=True)\n\
        def test_ends(): subprocess.run(['true'])\n\
        def test_zombie(): subprocess.Popen(['true'])\n\
        def test_z(server): pass\n";
    let ran = project.file("test_a.py", test).run(&["-n1"]).exits(0);
    let expected = [
        "g::test_a.py::test_a passed",
        "g::test_a.py::test_child leaked",
        "g::test_a.py::test_ends passed",
        "g::test_a.py::test_orphan leaked",
        "g::test_a.py::test_z passed",
        "g::test_a.py::test_zombie passed",
    ];
    assert_eq!(ran.outcomes(), expected);
}

#[test]
fn a_stack_of_a_crash_has_no_frames_of_what_runs_tests() {
    let Some(project) = project("session = \"shared\"") else {
        return;
    };
    let test = "import os\ndef test_a(): os.abort()\n";
    let ran = project.file("test_a.py", test).run(&["-n1"]).exits(1);
    let ran = ran.says("in test_a").says("of pytest and orchestrate");
    let finished = &ran.events_of("test-finished")[0];
    let output = finished["output"].as_str().unwrap();
    assert!(!output.contains("/pluggy/"), "{output}");
}
