//! Warm pytest: one host collects, forks run what they are sent; and whatever tests can do to the process that they share.

use std::fs;

use crate::support::{Project, Ran, python};

/// A project whose group `g` runs the Python in `venv`, or nothing where there is none.
pub fn project(more: &str) -> Option<Project> {
    let python = python()?;
    Some(Project::with(&format!(
        "[groups.g]\nrunner = \"pytest\"\nwith = {{ python = {python:?} }}\n{more}\n"
    )))
}

/// What each test wrote to the log, sorted.
pub fn log(project: &Project) -> Vec<String> {
    let mut lines: Vec<_> = project.read("log").lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// Python that appends to `log` in one write.
pub const LOG: &str = "import os, sys\ndef log(*words):\n    line = ' '.join(map(str, words)) + '\\n'\n    \
    fd = os.open(os.path.join(os.path.dirname(__file__), 'log'), os.O_WRONLY | os.O_CREAT | os.O_APPEND)\n    \
    os.write(fd, line.encode())\n    os.close(fd)\n";

fn outcome<'a>(outcomes: &'a [String], id: &str) -> &'a str {
    let found = outcomes
        .iter()
        .find_map(|line| line.strip_prefix(&format!("g::{id} ")));
    found.unwrap_or_else(|| panic!("{id} is not in {outcomes:#?}"))
}

#[test]
fn modules_are_imported_once_and_forks_run_the_tests() {
    let Some(project) = project("chunk-size = 1\nworkers = 2") else {
        return;
    };
    let project = project.file("logging_.py", LOG).file(
        "test_a.py",
        "import os\nfrom logging_ import log\nlog('import', os.getpid())\n\
         import pytest\n\
         @pytest.mark.parametrize('n', range(20))\ndef test_x(n):\n    log('run', os.getpid(), os.environ['ORCHESTRATE_PID'])\n",
    );
    let ran = project.run(&["-v"]).exits(0);
    assert_eq!(ran.events_of("test-finished").len(), 20);
    let lines = log(&project);
    let of = |kind: &str| -> Vec<Vec<&str>> {
        let lines = lines.iter().filter(|line| line.starts_with(kind));
        lines.map(|line| line.split(' ').collect()).collect()
    };
    assert_eq!(of("import").len(), 1, "{lines:#?}");
    let host = of("import")[0][1].to_owned();
    let mut forks: Vec<&str> = of("run").iter().map(|words| words[1]).collect();
    forks.sort_unstable();
    forks.dedup();
    assert!((1..=2).contains(&forks.len()), "{forks:?}");
    assert!(!forks.contains(&host.as_str()));
    // The worker is the fork itself, and says so.
    assert!(of("run").iter().all(|words| words[1] == words[2]));
    ran.says("group g: session shared, since nothing differs between its workers");
}

#[test]
fn fixtures_are_set_up_once_a_process_and_torn_down_at_its_end() {
    let Some(project) = project("chunk-size = 2\nworkers = 1") else {
        return;
    };
    let project = project.file("logging_.py", LOG).file(
        "conftest.py",
        "import pytest\nfrom logging_ import log\n\
         @pytest.fixture(scope='session', autouse=True)\ndef whole():\n    log('session up')\n    yield\n    log('session down')\n\
         @pytest.fixture(scope='module')\ndef module(request):\n    log(request.node.name, 'up')\n    yield\n    log(request.node.name, 'down')\n",
    );
    let tests = "def test_1(module): pass\ndef test_2(module): pass\ndef test_3(module): pass\ndef test_4(module): pass\n";
    let project = project.file("test_a.py", tests).file("test_b.py", tests);
    project.run(&[]).exits(0);
    let lines = project.read("log");
    let lines: Vec<_> = lines.lines().collect();
    assert_eq!(
        (lines.first(), lines.last()),
        (Some(&"session up"), Some(&"session down"))
    );
    let mut sorted = lines.clone();
    sorted.sort_unstable();
    assert_eq!(
        sorted,
        [
            "session down",
            "session up",
            "test_a.py down",
            "test_a.py up",
            "test_b.py down",
            "test_b.py up"
        ],
        "{lines:?}"
    );
}

#[test]
fn what_fails_while_it_is_torn_down_is_charged_to_the_last_test() {
    let Some(project) = project("chunk-size = 1\nworkers = 1") else {
        return;
    };
    let ran = project
        .file(
            "test_a.py",
            "import pytest\n@pytest.fixture(scope='module')\ndef bad():\n    yield\n    raise RuntimeError('not down')\n\
             def test_1(bad): pass\n",
        )
        .file("test_b.py", "def test_1(): pass\ndef test_2(): pass\n")
        .run(&[])
        .exits(1)
        .says("not down");
    let outcomes = ran.outcomes();
    assert_eq!(outcome(&outcomes, "test_a.py::test_1"), "errored");
    assert_eq!(outcomes.len(), 3);
    assert_eq!(outcome(&outcomes, "test_b.py::test_2"), "passed");
}

/// Everything that a test can do to its process, with how it ends; the tests around each are not harmed.
#[test]
fn hostile_tests_harm_nobody_but_themselves() {
    let Some(project) = project("timeout = \"60s\"\ngrace = \"200ms\"\nworkers = 2") else {
        return;
    };
    let project = project.file(
        "test_h.py",
        r"
import multiprocessing, os, pytest, signal, subprocess, sys, threading, time

def test_00_before(): pass
def test_01_exits(): os._exit(3)
def test_02_between(): pass
def test_03_aborts(): os.abort()
@pytest.mark.timeout(1)
def test_04_spins():
    while True: pass
def test_05_between(): pass
def test_06_leaves_a_thread():
    threading.Thread(target=time.sleep, args=(3600,)).start()
def test_07_closes_its_outputs():
    os.close(1); os.close(2)
def test_08_after_it():
    print('still here')
    sys.stdout.flush()
def test_09_prints_much():
    print('x' * 10_000_000)
def test_10_prints_much_and_fails():
    print('y' * 10_000_000)
    assert False
def test_11_goes_elsewhere():
    os.chdir('/')
def test_12_replaces_stdout():
    sys.stdout = open(os.devnull, 'w')
def test_13_returns_twice():
    os.fork()
def test_14_uses_multiprocessing():
    with multiprocessing.Pool(2) as pool:
        assert pool.map(abs, [-1, -2]) == [1, 2]
def test_15_kills_itself():
    os.kill(os.getpid(), signal.SIGKILL)
def test_16_kills_its_parent():
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(3600)
def test_17_kills_its_group():
    os.kill(0, signal.SIGTERM)
    time.sleep(3600)
def test_18_exits_as_python_does():
    sys.exit(4)
def test_19_leaves_a_daemon():
    subprocess.Popen(['sleep', '3600'], start_new_session=True)
def test_20_after(): pass
",
    );
    let ran = project.run(&[]).exits(1);
    let outcomes = ran.outcomes();
    assert_eq!(outcomes.len(), 21, "{outcomes:#?}");
    let expected = [
        ("00_before", "passed"),
        ("01_exits", "errored"),
        ("02_between", "passed"),
        ("03_aborts", "crashed"),
        ("04_spins", "timed-out"),
        ("05_between", "passed"),
        ("06_leaves_a_thread", "passed"),
        ("07_closes_its_outputs", "passed"),
        ("08_after_it", "passed"),
        ("09_prints_much", "passed"),
        ("10_prints_much_and_fails", "failed"),
        ("11_goes_elsewhere", "passed"),
        ("12_replaces_stdout", "passed"),
        ("13_returns_twice", "passed"),
        ("14_uses_multiprocessing", "passed"),
        ("15_kills_itself", "crashed"),
        ("16_kills_its_parent", "errored"),
        ("17_kills_its_group", "crashed"),
        ("18_exits_as_python_does", "failed"),
        ("19_leaves_a_daemon", "passed"),
        ("20_after", "passed"),
    ];
    for (name, wanted) in expected {
        assert_eq!(
            outcome(&outcomes, &format!("test_h.py::test_{name}")),
            wanted,
            "{name}: {outcomes:#?}\n{}",
            ran.stdout
        );
    }
    // What it was at when its time was over is in its output, and a long output is cut.
    let spins = result(&ran, "test_04_spins");
    assert!(spins["output"].as_str().unwrap().contains("test_04_spins"));
    let much = result(&ran, "test_10_prints_much_and_fails");
    let output = much["output"].as_str().unwrap();
    assert!(output.len() < 2 << 20 && output.contains("bytes left out"));
}

fn result(ran: &Ran, name: &str) -> serde_json::Value {
    let mut events = ran.events_of("test-finished");
    events.retain(|event| event["id"].as_str().is_some_and(|id| id.ends_with(name)));
    events.remove(0)
}

#[test]
fn what_a_module_reads_while_it_is_imported_is_its_own_workers() {
    let Some(project) = project(
        "workers = 2\nchunk-size = 1\nenv = { DATABASE_URL = \"db_<pid>\" }\nresources = { database = \"db_<pid>\" }\n\
         before-worker = [\"echo hook $DATABASE_URL $ORCHESTRATE_RESOURCE_DATABASE db_$ORCHESTRATE_PID >>log\"]",
    ) else {
        return;
    };
    let project = project
        .file("logging_.py", LOG)
        .file("settings.py", "import os\nDATABASE_URL = os.environ['DATABASE_URL']\n")
        .file(
            "test_a.py",
            "import os, time, settings, pytest\nfrom logging_ import log\n\
             @pytest.mark.parametrize('n', range(6))\ndef test_x(n):\n    time.sleep(0.05)\n    \
             log('test', settings.DATABASE_URL, os.environ['ORCHESTRATE_RESOURCE_DATABASE'], 'db_' + os.environ['ORCHESTRATE_PID'])\n",
        );
    let ran = project.run(&["-v"]).exits(0);
    let lines = log(&project);
    let of = |kind: &str| {
        let mut values: Vec<String> = Vec::new();
        for line in lines.iter().filter(|line| line.starts_with(kind)) {
            let words: Vec<_> = line.split(' ').skip(1).collect();
            assert!(words.iter().all(|word| *word == words[0]), "{lines:#?}");
            values.push(words[0].to_owned());
        }
        values.dedup();
        values
    };
    assert_eq!(of("hook").len(), 2, "{lines:#?}");
    assert_eq!(of("hook"), of("test"));
    ran.says("session worker, since `DATABASE_URL` differs between its workers");
}

#[test]
fn a_session_is_cold_where_forks_would_not_do() {
    let Some(threads) = project("") else { return };
    let ran = threads
        .file(
            "conftest.py",
            "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True, name='ticker').start()\n",
        )
        .file("test_a.py", "def test_x(): pass\n")
        .run(&["-v"])
        .exits(0)
        .says("session cold, since 2 threads run after its tests were collected (MainThread, ticker)");
    assert_eq!(ran.outcomes(), ["g::test_a.py::test_x passed"]);
    let Some(limited) = project("memory = \"1GiB\"") else {
        return;
    };
    limited
        .file("test_a.py", "def test_x(): pass\n")
        .run(&["-v"])
        .exits(0)
        .says("session cold, since `memory` is counted by the job");
    let Some(shown) = project("") else { return };
    shown
        .file("test_a.py", "def test_x(): pass\n")
        .run(&["-v", "--no-capture"])
        .exits(0)
        .says("session cold, since output is not captured");
    let Some(asked) = project("session = \"shared\"\nenv = { A = \"<slot>\" }") else {
        return;
    };
    asked
        .orchestrate(&["check"])
        .exits(2)
        .says("the session can't be `shared`: `A` differs between its workers");
    Project::with("[groups.g]\nrunner = \"exec\"\nfiles = [\"*.sh\"]\nsession = \"shared\"\n")
        .orchestrate(&["check"])
        .exits(2)
        .says("the runner `exec` has no session");
}

#[test]
fn isolation_says_how_long_a_process_lives() {
    let tests = "import os, pytest\nfrom logging_ import log\n\
         @pytest.mark.parametrize('n', range(6))\ndef test_x(n):\n    log(os.getpid())\n";
    for (isolation, processes) in [("worker", 1), ("chunk", 3), ("test", 6)] {
        let Some(project) = project(&format!(
            "workers = 1\nchunk-size = 2\nisolation = {isolation:?}"
        )) else {
            return;
        };
        let project = project.file("logging_.py", LOG).file("test_a.py", tests);
        project.run(&[]).exits(0);
        let mut pids = log(&project);
        assert_eq!(pids.len(), 6);
        pids.dedup();
        assert_eq!(pids.len(), processes, "{isolation}");
    }
}

#[test]
fn a_test_of_its_own_process_that_leaves_a_daemon_is_leaked() {
    let Some(project) = project("workers = 1\nisolation = \"test\"") else {
        return;
    };
    let ran = project
        .file(
            "test_a.py",
            "import subprocess\ndef test_1():\n    subprocess.Popen(['sleep', '3600'], start_new_session=True)\ndef test_2(): pass\n",
        )
        .run(&[])
        .exits(0)
        .says("left 1 process running, ended now");
    assert_eq!(
        ran.outcomes(),
        ["g::test_a.py::test_1 leaked", "g::test_a.py::test_2 passed"]
    );
}

#[test]
fn markers_say_what_runs_alone_and_how_long() {
    let Some(project) = project("workers = 4\nchunk-size = 1\ngrace = \"100ms\"") else {
        return;
    };
    let body = "    log('+', sys._getframe().f_code.co_name)\n    time.sleep(0.1)\n    log('-', sys._getframe().f_code.co_name)\n";
    let project = project.file("logging_.py", LOG).file("pytest.ini", "[pytest]\nmarkers =\n    serial\n    timeout\n").file(
        "test_a.py",
        &format!(
            "import sys, time, pytest\nfrom logging_ import log\n\
             def test_a():\n{body}def test_b():\n{body}@pytest.mark.serial\ndef test_s():\n{body}def test_c():\n{body}\
             @pytest.mark.timeout(0.3)\ndef test_t():\n    time.sleep(3600)\n"
        ),
    );
    let ran = project.run(&[]).exits(1);
    let outcomes = ran.outcomes();
    assert_eq!(outcome(&outcomes, "test_a.py::test_t"), "timed-out");
    let lines = project.read("log");
    let lines: Vec<_> = lines.lines().collect();
    let begun = lines.iter().position(|line| *line == "+ test_s").unwrap();
    assert_eq!(lines[begun + 1], "- test_s", "{lines:?}");
}

#[test]
fn only_tests_that_say_so_run_in_parallel_where_that_is_asked_for() {
    let Some(project) = project("workers = 4\nchunk-size = 1\nparallel = \"opt-in\"") else {
        return;
    };
    let project = project.file("logging_.py", LOG).file(
        "test_a.py",
        "import sys, time, pytest\nfrom logging_ import log\n\
         @pytest.mark.parametrize('n', range(4))\ndef test_x(n):\n    log('+', n)\n    time.sleep(0.02)\n    log('-', n)\n",
    );
    project.run(&[]).exits(0);
    let lines = project.read("log");
    let lines: Vec<_> = lines.lines().collect();
    assert_eq!(lines.len(), 8);
    for pair in lines.chunks(2) {
        assert_eq!(pair[0].replace('+', "-"), pair[1], "{lines:?}");
    }
}

#[test]
fn projects_that_were_written_for_xdist_run_unchanged() {
    let Some(project) = project("workers = 2\nchunk-size = 1\ncompat = [\"xdist\"]") else {
        return;
    };
    let project = project.file("logging_.py", LOG).file(
        "conftest.py",
        "import os\nWORKER = os.environ['PYTEST_XDIST_WORKER']\ndef pytest_configure(config):\n    assert config.workerinput['workerid'] == WORKER\n",
    ).file(
        "test_a.py",
        "import os, time, conftest, pytest\nfrom logging_ import log\n\
         @pytest.mark.parametrize('n', range(4))\ndef test_x(n, worker_id, testrun_uid, tmp_path):\n    time.sleep(0.1)\n    \
         assert worker_id == conftest.WORKER == os.environ['PYTEST_XDIST_WORKER'] and testrun_uid\n    log(worker_id, tmp_path)\n",
    );
    project.run(&[]).exits(0);
    let lines = log(&project);
    let mut workers: Vec<_> = lines.iter().map(|line| line.split(' ').next()).collect();
    workers.dedup();
    assert_eq!(workers, [Some("gw0"), Some("gw1")], "{lines:#?}");
    let mut paths: Vec<_> = lines.iter().map(|line| line.split(' ').nth(1)).collect();
    paths.dedup();
    assert_eq!(paths.len(), 4);
    for path in paths.into_iter().flatten() {
        assert!(!fs::exists(path).unwrap(), "{path} is left");
    }
}

#[test]
fn a_host_that_can_not_load_is_an_error_with_its_words() {
    let Some(project) = project("") else { return };
    let ran = project
        .file("conftest.py", "raise RuntimeError('no conftest')\n")
        .file("test_a.py", "def test_x(): pass\n")
        .run(&[])
        .exits(1)
        .says("no conftest");
    assert_eq!(ran.outcomes(), ["g errored"]);
    let Some(project) = self::project("") else {
        return;
    };
    let ran = project
        .file("test_a.py", "def test_x(): pass\n")
        .file("test_b.py", "import no_such_module\n")
        .run(&[])
        .exits(1)
        .says("no_such_module");
    assert_eq!(
        ran.outcomes(),
        ["g::test_a.py::test_x passed", "g::test_b.py errored"]
    );
}

#[test]
fn what_fails_is_run_again_in_the_same_session() {
    let Some(project) = project("retries = 1") else {
        return;
    };
    let ran = project
        .file(
            "test_a.py",
            "import os\ndef test_once():\n    n = int(os.environ['ORCHESTRATE_ATTEMPT'])\n    assert n == 2\ndef test_never():\n    assert False\n",
        )
        .run(&[])
        .exits(1);
    assert_eq!(
        ran.outcomes(),
        [
            "g::test_a.py::test_never failed",
            "g::test_a.py::test_once flaky"
        ]
    );
    assert_eq!(ran.events_of("test-retried").len(), 2);
}

/// What a session does at its end, such as to look at the coverage, belongs to its group.
#[test]
fn who_needs_a_group_waits_for_the_end_of_its_session_and_does_not_run_if_that_is_bad() {
    let after = "[groups.after]\nneeds = [\"g\"]\ncommand = \"echo after >>log\"";
    let ends = |code: u8| {
        let host = format!(
            "import atexit, os, time\nme = os.getpid()\ndef end():\n    if os.getpid() != me: return\n    time.sleep(0.2)\n    \
             with open('log', 'a') as log: log.write('end\\n')\n    os._exit({code})\natexit.register(end)\n"
        );
        let project = project(after)?.file("conftest.py", &host);
        Some(project.file(
            "test_a.py",
            "def test_a(): open('log', 'a').write('test\\n')\n",
        ))
    };
    for repeat in ["1", "2"] {
        let Some(project) = ends(0) else { return };
        project.run(&["--repeat", repeat]).exits(0);
        let first = if repeat == "1" { "" } else { "test\nafter\n" };
        assert_eq!(project.read("log"), format!("{first}test\nend\nafter\n"));
        let Some(project) = ends(3) else { return };
        let ran = project.run(&["--repeat", repeat]).exits(1);
        let ran = ran.says("their session exited with code 3");
        let ran = ran.says("not run, as group g did not pass: after");
        assert_eq!(
            project.read("log"),
            format!("{first}test\nend\n"),
            "{}",
            ran.stdout
        );
    }
}

#[test]
fn tests_of_a_group_mark_run_in_one_process_in_their_order() {
    let Some(project) = project("workers = 4\nchunk-size = 1") else {
        return;
    };
    let project = project
        .file("logging_.py", LOG)
        .file("pytest.ini", "[pytest]\nmarkers =\n    group\n")
        .file(
            "test_a.py",
            "import os, pytest\nfrom logging_ import log\n\
             @pytest.mark.group('one')\n@pytest.mark.parametrize('n', range(5))\ndef test_x(n):\n    log(os.getpid(), n)\n\
             @pytest.mark.parametrize('n', range(5))\ndef test_other(n): pass\n",
        );
    project.run(&[]).exits(0);
    let text = project.read("log");
    let lines: Vec<(&str, &str)> = text
        .lines()
        .filter_map(|line| line.split_once(' '))
        .collect();
    let order: Vec<&str> = lines.iter().map(|(_, number)| *number).collect();
    assert_eq!(order, ["0", "1", "2", "3", "4"]);
    assert!(lines.iter().all(|(pid, _)| *pid == lines[0].0), "{text}");
}

#[test]
fn files_narrow_what_pytest_collects_and_a_file_that_it_leaves_out_is_reported() {
    let Some(project) = project("files = [\"*.py\"]") else {
        return;
    };
    let project = project
        .file("pytest.ini", "[pytest]\npython_files = check_*.py\n")
        .file("check_a.py", "def test_a(): pass\n")
        .file("test_b.py", "def test_b(): assert 0\n")
        .file("more/check_c.py", "def test_c(): assert 0\n");
    let why = "`files` matches test_b.py, but the settings of pytest leave this out";
    let ran = project.run(&[]).exits(0).says(why);
    assert_eq!(ran.outcomes(), ["g::check_a.py::test_a passed"]);
}

#[test]
fn a_project_that_takes_warnings_for_errors_finds_none_of_ours() {
    let Some(project) = project("workers = 2\nchunk-size = 1") else {
        return;
    };
    let ran = project
        .file("pytest.ini", "[pytest]\nfilterwarnings =\n    error\n")
        .file("test_a.py", "def test_1(): pass\ndef test_2(): pass\n")
        .run(&[])
        .exits(0);
    assert_eq!(ran.outcomes().len(), 2);
}

#[test]
fn each_test_is_seen_to_begin_once() {
    let Some(project) = project("workers = 2\nchunk-size = 2") else {
        return;
    };
    let ran = project
        .file(
            "test_a.py",
            "import pytest\n@pytest.mark.parametrize('n', range(6))\ndef test_x(n): pass\n",
        )
        .run(&[])
        .exits(0);
    let mut begun: Vec<_> = ran
        .events_of("test-started")
        .iter()
        .map(|event| event["id"].to_string())
        .collect();
    begun.sort();
    assert_eq!(begun.len(), 6, "{begun:?}");
    begun.dedup();
    assert_eq!(begun.len(), 6, "{begun:?}");
}

#[test]
fn tests_of_the_same_name_each_have_a_result() {
    for session in ["auto", "cold"] {
        let Some(project) = project(&format!("workers = 1\nsession = {session:?}")) else {
            return;
        };
        let ran = project
            .file(
                "conftest.py",
                "def pytest_collection_modifyitems(items):\n    \
                 items.append(type(items[0]).from_parent(items[0].parent, name=items[0].name))\n",
            )
            .file("test_a.py", "def test_a(): pass\ndef test_b(): pass\n")
            .run(&[]);
        // Plain pytest runs both of one name, which cold jobs, that are told of it by name, can do in one job alone.
        let outcomes = ran.outcomes();
        assert_eq!(outcomes.len(), 3, "{session}: {outcomes:?}\n{}", ran.stdout);
        assert_eq!(outcome(&outcomes, "test_a.py::test_a"), "passed");
        assert_eq!(outcome(&outcomes, "test_a.py::test_b"), "passed");
        if session == "auto" {
            assert_eq!(outcome(&outcomes, "test_a.py::test_a#2"), "passed");
        }
    }
}

#[test]
fn tests_find_the_collector_of_garbage_as_python_or_the_project_set_it() {
    let as_set = |conftest: &str, test: &str| {
        let Some(project) = project("") else { return };
        let project = project
            .file("conftest.py", conftest)
            .file("test_a.py", test);
        project.run(&[]).exits(0);
    };
    as_set(
        "",
        "import gc, subprocess, sys\ndef test_x():\n    \
         plain = subprocess.check_output([sys.executable, '-c', 'import gc; print(gc.get_threshold())'], text=True)\n    \
         assert str(gc.get_threshold()) == plain.strip() and gc.isenabled()\n",
    );
    as_set(
        "import gc\ngc.set_threshold(123, 4, 5)\n",
        "import gc\ndef test_x():\n    assert gc.get_threshold() == (123, 4, 5)\n",
    );
    as_set(
        "import gc\ngc.disable()\n",
        "import gc\ndef test_x():\n    assert not gc.isenabled()\n",
    );
}
