//! A session's host leaves once there are as many forks as will be needed, where nobody would miss it.

use super::session::{LOG, log, project};
use super::support::Project;

/// Waits for something, or fails.
const AWAIT: &str = "import time\n\
    def wait_for(what):\n    \
        until = time.monotonic() + 60\n    \
        while not what():\n        \
            assert time.monotonic() < until\n        \
            time.sleep(0.001)\n";

/// What is imported once a host, and how processes are told apart.
const HOST: &str = "import os\nfrom logging_ import log\nHOST = os.getpid()\nlog('host', HOST)\n\
    def is_there():\n    \
        try:\n        return open(f'/proc/{HOST}/stat').read().rsplit(')')[1].split()[0] != 'Z'\n    \
        except OSError:\n        return False\n";

/// A group with two workers, each of which gets a test.
fn of_two(more: &str) -> Option<Project> {
    let project = project(&format!("chunk-size = 1\nworkers = 2\n{more}"))?;
    let project = project.file("logging_.py", LOG).file("await_.py", AWAIT);
    Some(project.file("host.py", HOST))
}

/// Both tests run at once, since each waits for the other.
const MEET: &str = "def meet(n):\n    \
    log('meet', n)\n    \
    wait_for(lambda: open('log').read().count('meet') >= 2)\n";

fn hosts(project: &Project) -> usize {
    let lines = log(project);
    lines.iter().filter(|line| line.starts_with("host")).count()
}

/// Runs two tests at once, of which each then does this.
fn two_tests(more: &str) -> Option<Project> {
    let project = of_two("")?;
    Some(project.file(
        "test_a.py",
        &format!(
            "import os, pytest\nfrom host import *\nfrom await_ import *\n{MEET}\
             @pytest.mark.parametrize('n', range(2))\ndef test_x(n):\n    meet(n)\n    {more}\n"
        ),
    ))
}

#[test]
fn with_the_last_fork_its_host_leaves() {
    let Some(project) = two_tests("wait_for(lambda: not is_there())") else {
        return;
    };
    project.run(&[]).exits(0);
    assert_eq!(hosts(&project), 1);
}

#[test]
fn a_guard_is_no_fork_of_the_host() {
    // Below another root, as that may be, the program would not find its libraries.
    if std::env::var_os("TEST_PYTHON").is_some() {
        return;
    }
    let is_program =
        "open(f'/proc/{os.getppid()}/cmdline').read().startswith('orchestrate\\0guard\\0')";
    let Some(project) = two_tests(&format!("wait_for(lambda: {is_program})")) else {
        return;
    };
    project.run(&[]).exits(0);
}

#[test]
fn what_breaks_off_then_goes_on_in_a_host_that_stays() {
    let Some(project) = of_two("") else { return };
    let project = project.file(
        "test_a.py",
        &format!(
            "import os, pytest\nfrom host import *\nfrom await_ import *\n{MEET}\
             @pytest.mark.parametrize('n', range(2))\ndef test_a(n):\n    meet(n)\n    wait_for(lambda: not is_there())\n\
             @pytest.mark.parametrize('n', range(12))\ndef test_b(n):\n    n % 3 or os._exit(3)\n"
        ),
    );
    let ran = project.run(&[]).exits(1);
    let outcomes = ran.outcomes();
    let of = |outcome: &str| {
        outcomes
            .iter()
            .filter(|line| line.ends_with(outcome))
            .count()
    };
    assert_eq!((of(" passed"), outcomes.len()), (10, 14), "{outcomes:#?}");
    // The one that has left, and one in its place, however many break off.
    assert_eq!(hosts(&project), 2);
}

/// Whoever wants to be there at the end is: everything it does comes after all tests, and once.
fn stays_for(conftest: &str) {
    let Some(project) = of_two("") else { return };
    let project = project.file("conftest.py", conftest).file(
        "test_a.py",
        &format!(
            "import pytest\nfrom host import *\nfrom await_ import *\n{MEET}\
             @pytest.mark.parametrize('n', range(2))\ndef test_x(n):\n    meet(n)\n    assert is_there()\n    log('test')\n"
        ),
    );
    project.run(&[]).exits(0);
    let text = project.read("log");
    let lines: Vec<_> = text.lines().collect();
    let end = lines.iter().position(|line| *line == "end");
    assert_eq!(end, Some(lines.len() - 1), "{lines:#?}");
    assert_eq!(lines.iter().filter(|line| **line == "test").count(), 2);
}

#[test]
fn a_host_stays_for_a_hook_at_the_end() {
    // One that does not know pytest-xdist has all tests in one process.
    stays_for(
        "from logging_ import log\n\
         def pytest_sessionfinish(session):\n    if not hasattr(session.config, 'workerinput'): log('end')\n",
    );
    stays_for("from logging_ import log\ndef pytest_unconfigure():\n    log('end')\n");
}

#[test]
fn a_host_stays_for_a_hook_around_everything() {
    stays_for(
        "import pytest\nfrom logging_ import log\n\
         @pytest.hookimpl(hookwrapper=True)\ndef pytest_runtestloop(session):\n    yield\n    \
         if not hasattr(session.config, 'workerinput'): log('end')\n",
    );
}

#[test]
fn a_host_stays_for_what_python_is_to_do_at_its_end() {
    stays_for("import atexit\nfrom logging_ import log\natexit.register(log, 'end')\n");
    stays_for(
        "import weakref\nfrom logging_ import log\nclass Thing: pass\nthing = Thing()\nweakref.finalize(thing, log, 'end')\n",
    );
}

#[test]
fn a_host_stays_for_a_clean_up_of_pytests_configuration() {
    stays_for(
        "from logging_ import log\ndef pytest_configure(config):\n    config.add_cleanup(lambda: log('end'))\n",
    );
}

#[test]
fn a_host_stays_for_a_process_that_it_has_started() {
    let Some(project) = of_two("") else { return };
    let project = project.file(
        "conftest.py",
        "import subprocess\nCHILD = subprocess.Popen(['sleep', '1000'])\n",
    );
    let project = project.file(
        "test_a.py",
        &format!(
            "import conftest, pytest\nfrom host import *\nfrom await_ import *\n{MEET}\
             @pytest.mark.parametrize('n', range(2))\ndef test_x(n):\n    meet(n)\n    \
             parent = open(f'/proc/{{conftest.CHILD.pid}}/stat').read().rsplit(')')[1].split()[1]\n    assert int(parent) == HOST\n"
        ),
    );
    project.run(&[]).exits(0);
}
