//! Settings of projects that are tested with pytest.
//!
//! `FIDELITY_PYTHON` names another interpreter, which has another version of pytest: see `tests/fidelity/pytest/versions`.

use std::path::{Path, PathBuf};

use crate::harness::{Native, Outcomes, Setting, installed};

mod plugins;

/// What differs without a reason: pytest's own cache, and compiled modules.
const CACHES: [&str; 2] = [".pytest_cache", "__pycache__"];
/// One passes, one fails.
const TWO: &str = "def test_good(): pass\ndef test_bad(): assert 0\n";
/// Each test remembers in a file that it ran.
const GOOD: &str = "def test_good(): pass\n";

/// The interpreter that `tests/setup` installs pytest and its plugins for.
fn python() -> String {
    let own = std::env::var("FIDELITY_PYTHON");
    own.unwrap_or_else(|_| {
        installed("plugins")
            .join("bin/python")
            .display()
            .to_string()
    })
}

fn in_repository(path: &str) -> String {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    path.display().to_string()
}

/// A project that pytest and we run with the same arguments and the same plugins, which are named as `-p` has them.
fn suite_with(plugins: &[&str], arguments: &str) -> Setting {
    suite_of(plugins, arguments, "")
}

/// The same; `group` are more lines of the group.
fn suite_of(plugins: &[&str], arguments: &str, group: &str) -> Setting {
    let python = python();
    let plugins = plugins.iter().flat_map(|name| ["-p", name]);
    let words: Vec<&str> = plugins.chain(arguments.split_whitespace()).collect();
    let folder = in_repository("tests/fidelity/pytest");
    let native = format!(
        "RECORD=\"$OUT/outcomes\" PYTHONPATH={folder}:$PYTHONPATH {python} -m pytest -p recorder {}",
        words.join(" ")
    );
    let words: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
    let manifest = format!(
        "[defaults]\ntimeout = \"60s\"\n[groups.t]\nrunner = \"pytest\"\n\
         with = {{ python = {python:?}, args = [{}] }}\n{group}",
        words.join(", ")
    );
    Setting::new(&native, recorded)
        .needs(&python)
        .manifest(&manifest)
        .env("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        .ignoring(&CACHES)
}

fn suite(arguments: &str) -> Setting {
    suite_with(&[], arguments)
}

/// What `recorder.py` wrote.
fn recorded(native: &Native) -> Outcomes {
    let text = std::fs::read_to_string(native.out.join("outcomes")).unwrap_or_default();
    let lines = text.lines().filter_map(|line| line.split_once(' '));
    lines
        .map(|(outcome, id)| (id.to_owned(), outcome.to_owned()))
        .collect()
}

#[test]
fn every_common_outcome() {
    suite("")
        .file(
            "tests/test_a.py",
            "import pytest\n\
             def test_passes(): pass\n\
             def test_fails(): assert 0\n\
             def test_skips(): pytest.skip('no')\n\
             @pytest.mark.xfail\ndef test_xfails(): assert 0\n\
             @pytest.mark.xfail\ndef test_xpasses(): pass\n\
             @pytest.fixture\ndef broken(): raise ValueError\n\
             def test_errors(broken): pass\n\
             @pytest.fixture\ndef late():\n    yield\n    raise ValueError\n\
             def test_errors_late(late): pass\n\
             class TestX:\n    @pytest.mark.parametrize('n', [1, 2])\n    def test_y(self, n): pass\n",
        )
        .agrees_on(9);
}

#[test]
fn python_files() {
    suite("")
        .file("pytest.ini", "[pytest]\npython_files = check_*.py\n")
        .file("check_a.py", TWO)
        .file("test_b.py", TWO)
        .agrees_on(2);
}

#[test]
fn python_classes_and_functions() {
    suite("")
        .file(
            "pytest.ini",
            "[pytest]\npython_classes = *Suite\npython_functions = check_*\n",
        )
        .file(
            "test_a.py",
            "class ASuite:\n    def check_a(self): pass\n    def test_b(self): assert 0\n\
             class TestC:\n    def check_d(self): assert 0\ndef check_e(): pass\n",
        )
        .agrees_on(2);
}

#[test]
fn testpaths() {
    suite("")
        .file(
            "pytest.ini",
            "[pytest]\ntestpaths = unit more/integration\n",
        )
        .file("unit/test_a.py", GOOD)
        .file("more/integration/test_b.py", TWO)
        .file("more/test_c.py", TWO)
        .file("test_d.py", TWO)
        .agrees_on(3);
}

#[test]
fn norecursedirs() {
    suite("")
        .file("pytest.ini", "[pytest]\nnorecursedirs = old*\n")
        .file("older/test_a.py", TWO)
        .file("build/test_b.py", GOOD)
        .file("new/test_c.py", GOOD)
        .agrees_on(2);
}

#[test]
fn collect_ignore_of_a_conftest() {
    suite("")
        .file(
            "tests/conftest.py",
            "collect_ignore = ['test_b.py']\ncollect_ignore_glob = ['gen_*']\n",
        )
        .file("tests/test_a.py", GOOD)
        .file("tests/test_b.py", "import absent\n")
        .file("tests/gen_1/test_c.py", "import absent\n")
        .agrees_on(1);
}

#[test]
fn ignore_and_deselect_in_addopts() {
    suite("")
        .file(
            "pytest.ini",
            "[pytest]\naddopts = --ignore=tests/b --ignore-glob=*_slow.py --deselect tests/test_a.py::test_bad\n",
        )
        .file("tests/test_a.py", TWO)
        .file("tests/b/test_b.py", TWO)
        .file("tests/test_slow.py", TWO)
        .agrees_on(1);
}

#[test]
fn keywords_in_addopts() {
    suite("")
        .file("pytest.ini", "[pytest]\naddopts = -k 'good and not b'\n")
        .file("test_a.py", TWO)
        .file("test_b.py", TWO)
        .agrees_on(1);
}

#[test]
fn markers_in_addopts() {
    suite("")
        .file(
            "pytest.ini",
            "[pytest]\naddopts = -m 'not slow' --strict-markers\nmarkers =\n    slow: takes long\n",
        )
        .file(
            "test_a.py",
            "import pytest\ndef test_a(): pass\n@pytest.mark.slow\ndef test_b(): assert 0\n",
        )
        .agrees_on(1);
}

#[test]
fn doctests_of_modules() {
    suite("--doctest-modules")
        .file("shop/__init__.py", "")
        .file(
            "shop/cart.py",
            "def one():\n    '''\n    >>> one()\n    1\n    '''\n    return 1\n\
             def two():\n    '''\n    >>> two()\n    3\n    '''\n    return 2\n",
        )
        .file("test_a.py", GOOD)
        .agrees_on(3);
}

#[test]
fn doctests_of_texts() {
    suite("")
        .file("pytest.ini", "[pytest]\naddopts = --doctest-glob=*.rst\n")
        .file("docs/a.rst", "Text\n\n>>> 1 + 1\n2\n")
        .file("docs/b.txt", ">>> 1 + 1\n3\n")
        .agrees_on(1);
}

#[test]
fn importlib_mode_with_equal_names() {
    suite("")
        .file(
            "pytest.ini",
            "[pytest]\naddopts = --import-mode=importlib\n",
        )
        .file("a/test_x.py", TWO)
        .file("b/test_x.py", TWO)
        .agrees_on(4);
}

#[test]
fn a_pyproject() {
    suite("")
        .file(
            "pyproject.toml",
            "[tool.pytest.ini_options]\ntestpaths = [\"spec\"]\npython_files = [\"*_spec.py\"]\npythonpath = [\"src\"]\n",
        )
        .file("src/shop.py", "answer = 42\n")
        .file("spec/a_spec.py", "import shop\ndef test_answer(): assert shop.answer == 42\n")
        .file("test_b.py", TWO)
        .agrees_on(1);
}

#[test]
#[ignore = "slow"]
fn a_setup_cfg() {
    suite("")
        .file("setup.cfg", "[tool:pytest]\ntestpaths = spec\n")
        .file("spec/test_a.py", TWO)
        .file("test_b.py", TWO)
        .agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn a_tox_ini() {
    suite("")
        .file(
            "tox.ini",
            "[tox]\nenvlist = py\n[pytest]\naddopts = -k good\n",
        )
        .file("test_a.py", TWO)
        .agrees_on(1);
}

#[test]
fn a_configuration_elsewhere() {
    suite("-c config/pytest.ini --rootdir=.")
        .file("config/pytest.ini", "[pytest]\npython_files = *_check.py\n")
        .file("tests/a_check.py", TWO)
        .file("tests/test_b.py", TWO)
        .agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn a_root_above_the_folder() {
    suite("--rootdir=..")
        .file("tests/test_a.py", TWO)
        .agrees_on(2);
}

#[test]
fn a_folder_as_argument() {
    suite("tests/unit")
        .file("tests/unit/test_a.py", TWO)
        .file("tests/test_b.py", TWO)
        .agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn strict_xfail() {
    suite("")
        .file("pytest.ini", "[pytest]\nxfail_strict = true\n")
        .file(
            "test_a.py",
            "import pytest\n@pytest.mark.xfail\ndef test_a(): pass\n",
        )
        .agrees_on(1);
}

#[test]
#[ignore = "slow"]
fn fixtures_for_all_tests() {
    suite("")
        .file("pytest.ini", "[pytest]\nusefixtures = prepared\n")
        .file(
            "conftest.py",
            "import os, pytest\n@pytest.fixture\ndef prepared(monkeypatch): monkeypatch.setenv('PREPARED', '1')\n",
        )
        .file("test_a.py", "import os\ndef test_a(): assert os.environ['PREPARED'] == '1'\n")
        .agrees_on(1);
}

#[test]
fn warnings_that_are_errors() {
    suite("")
        .file("pytest.ini", "[pytest]\nfilterwarnings = error\n")
        .file(
            "test_a.py",
            "import warnings\ndef test_a(): pass\ndef test_b(): warnings.warn('old')\n\
             def test_c(tmp_path): (tmp_path / 'x').write_text('x')\n",
        )
        .agrees_on(3);
}

#[test]
fn arguments_of_the_environment() {
    suite("")
        .env("PYTEST_ADDOPTS", "-k good")
        .file("test_a.py", TWO)
        .agrees_on(1);
}

#[test]
fn options_of_a_conftest() {
    suite("")
        .file("pytest.ini", "[pytest]\naddopts = --level=7\n")
        .file(
            "conftest.py",
            "import pytest\ndef pytest_addoption(parser): parser.addoption('--level', type=int)\n\
             @pytest.fixture\ndef level(request): return request.config.getoption('level')\n",
        )
        .file("test_a.py", "def test_a(level): assert level == 7\n")
        .agrees_on(1);
}

#[test]
fn a_collector_of_the_project() {
    suite("")
        .file(
            "conftest.py",
            "import pytest\n\
             def pytest_collect_file(parent, file_path):\n    if file_path.suffix == '.case':\n        return Case.from_parent(parent, path=file_path)\n\
             class Case(pytest.File):\n    def collect(self):\n        for line in self.path.read_text().split():\n            yield Line.from_parent(self, name=line)\n\
             class Line(pytest.Item):\n    def runtest(self): assert self.name != 'bad'\n    def reportinfo(self): return self.path, None, self.name\n",
        )
        .file("cases/a.case", "good\nbad\n")
        .agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn classes_of_unittest() {
    suite("")
        .file(
            "test_a.py",
            "import unittest\nclass A(unittest.TestCase):\n    def test_a(self): pass\n    def test_b(self): self.fail()\n\
             \x20   @unittest.skip('no')\n    def test_c(self): pass\n    @unittest.expectedFailure\n    def test_d(self): self.fail()\n",
        )
        .agrees_on(4);
}

#[test]
#[ignore = "slow"]
fn generated_parameters() {
    suite("")
        .file(
            "conftest.py",
            "def pytest_generate_tests(metafunc):\n    if 'n' in metafunc.fixturenames:\n        metafunc.parametrize('n', range(3), ids=['a b', 'ü', 'x::y'])\n",
        )
        .file("test_a.py", "def test_a(n): assert n != 1\n")
        .agrees_on(3);
}

#[test]
#[ignore = "slow"]
fn a_package_with_fixtures() {
    suite("")
        .file("tests/__init__.py", "")
        .file("tests/one/__init__.py", "")
        .file(
            "tests/one/conftest.py",
            "import pytest\n@pytest.fixture(scope='package', autouse=True)\ndef box():\n    yield []\n",
        )
        .file("tests/one/test_a.py", "def test_a(box): assert box == []\n")
        .file("tests/two/__init__.py", "")
        .file("tests/two/test_a.py", TWO)
        .agrees_on(3);
}

#[test]
fn a_module_that_skips_itself() {
    suite("")
        .file(
            "test_a.py",
            "import pytest\npytest.importorskip('absent')\ndef test_a(): pass\n",
        )
        .file("test_b.py", GOOD)
        .agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn a_plugin_of_the_project() {
    suite("")
        .file("conftest.py", "pytest_plugins = ['helpers']\n")
        .file(
            "helpers.py",
            "import pytest\n@pytest.fixture\ndef answer(): return 42\n",
        )
        .file("test_a.py", "def test_a(answer): assert answer == 42\n")
        .agrees_on(1);
}

#[test]
#[ignore = "slow"]
fn tests_that_are_added_and_removed_by_a_conftest() {
    suite("")
        .file(
            "conftest.py",
            "def pytest_collection_modifyitems(config, items):\n    gone = [i for i in items if 'bad' in i.name]\n\
             \x20   items[:] = [i for i in reversed(items) if i not in gone]\n    config.hook.pytest_deselected(items=gone)\n",
        )
        .file("test_a.py", TWO)
        .file("test_b.py", TWO)
        .agrees_on(2);
}

#[test]
fn the_end_of_the_session_in_a_conftest() {
    suite("")
        .file(
            "conftest.py",
            "SEEN = []\ndef pytest_runtest_logreport(report):\n    if report.when == 'call': SEEN.append(report.nodeid)\n\
             def pytest_sessionfinish(session, exitstatus):\n    open('seen.txt', 'w').write('%d %s' % (exitstatus, SEEN))\n",
        )
        .file("test_a.py", TWO)
        .file("test_b.py", TWO)
        .agrees_on(4);
}

#[test]
fn a_summary_of_a_conftest() {
    suite("")
        .file(
            "conftest.py",
            "def pytest_terminal_summary(terminalreporter, exitstatus):\n    stats = terminalreporter.stats\n\
             \x20   text = {k: [r.nodeid for r in v] for k, v in sorted(stats.items()) if k}\n\
             \x20   open('summary.txt', 'w').write('%d %r' % (exitstatus, text))\n",
        )
        .file("test_a.py", TWO)
        .file("test_b.py", TWO)
        .agrees_on(4);
}

#[test]
#[ignore = "slow"]
fn a_conftest_that_knows_workers() {
    suite("")
        .file(
            "conftest.py",
            "SEEN = []\ndef pytest_runtest_logreport(report):\n    if report.when == 'call': SEEN.append(report.nodeid)\n\
             def pytest_sessionfinish(session, exitstatus):\n    if not hasattr(session.config, 'workerinput'):\n\
             \x20       open('seen.txt', 'w').write('%d %s' % (exitstatus, SEEN))\n",
        )
        .file("test_a.py", TWO)
        .file("test_b.py", TWO)
        .agrees_on(4);
}

#[test]
#[ignore = "slow"]
fn a_loop_of_a_conftest() {
    suite("")
        .file(
            "conftest.py",
            "import pytest\n@pytest.hookimpl(tryfirst=True)\ndef pytest_runtestloop(session):\n    for item in reversed(session.items):\n\
             \x20       item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)\n    return True\n",
        )
        .file(
            "test_a.py",
            "SEEN = []\ndef test_a(): assert SEEN == ['b']\ndef test_b(): SEEN.append('b')\n",
        )
        .agrees_on(2);
}

/// Those that pytest did not get to have no result there, and are `not-run` here.
fn stops(arguments: &str) -> Setting {
    suite(arguments).leaving_out(&["not-run"])
}

#[test]
fn a_stop_at_the_first_failure() {
    stops("")
        .file("pytest.ini", "[pytest]\naddopts = -x\n")
        .file("test_a.py", TWO)
        .file("test_b.py", TWO)
        .agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn a_stop_at_the_third_failure() {
    stops("--maxfail=3")
        .file("test_a.py", TWO)
        .file("test_b.py", TWO)
        .file("test_c.py", TWO)
        .file("test_d.py", TWO)
        .agrees_on(6);
}

#[test]
#[ignore = "slow"]
fn a_stop_of_a_conftest() {
    stops("")
        .file(
            "conftest.py",
            "def pytest_sessionfinish(session): pass\ndef pytest_runtest_teardown(item):\n    if item.name == 'test_good': item.session.shouldstop = 'enough'\n",
        )
        .file("test_a.py", TWO)
        .agrees_on(1);
}

#[test]
fn only_tests_that_failed_last() {
    let first = format!("{} -m pytest -q || true", python());
    suite("")
        .file("test_a.py", TWO)
        .file("test_b.py", TWO)
        .shell(&first)
        .file("pytest.ini", "[pytest]\naddopts = --lf\n")
        .agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn stepwise() {
    let first = format!("{} -m pytest -q --stepwise || true", python());
    stops("--stepwise")
        .file("test_a.py", TWO)
        .file("test_b.py", TWO)
        .shell(&first)
        .agrees_on(1);
}

#[test]
#[ignore = "slow"]
fn failed_first() {
    let first = format!("{} -m pytest -q || true", python());
    stops("--ff -x")
        .file("test_a.py", TWO)
        .file("test_b.py", TWO)
        .shell(&first)
        .agrees_on(1);
}

#[test]
#[ignore = "slow"]
fn one_folder_for_temporary_files() {
    suite("--basetemp=scratch")
        .file(
            "test_a.py",
            "def test_a(tmp_path): (tmp_path / 'x').write_text('x')\ndef test_b(tmp_path): (tmp_path / 'y').write_text('y')\n",
        )
        .agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn one_log_file() {
    suite("")
        .file(
            "pytest.ini",
            "[pytest]\nlog_file = all.log\nlog_file_level = INFO\nlog_file_format = %(message)s\n",
        )
        .file(
            "test_a.py",
            "import logging\ndef test_a(): logging.info('a')\ndef test_b(): logging.info('b')\n",
        )
        .agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn values_in_the_cache() {
    suite("")
        .file(
            "test_a.py",
            "def test_a(request):\n    request.config.cache.set('mine/x', 1)\n    assert request.config.cache.get('mine/x', 0) == 1\n",
        )
        .shell("mkdir -p .pytest_cache/v/mine && echo 2 >.pytest_cache/v/mine/y")
        .file("test_b.py", "def test_b(cache): assert cache.get('mine/y', 0) == 2\n")
        .agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn a_working_folder_that_a_test_leaves() {
    suite("")
        .file(
            "test_a.py",
            "import os\ndef test_a(tmp_path): os.chdir(tmp_path)\ndef test_b(): pass\n",
        )
        .agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn a_link_to_a_folder() {
    suite("")
        .file("real/test_a.py", TWO)
        .shell("ln -s real linked")
        .agrees_on(4);
}

#[test]
#[ignore = "slow"]
fn a_test_that_is_selected_by_its_id() {
    suite("")
        .file("tests/test_a.py", "import pytest\nclass TestA:\n    @pytest.mark.parametrize('n', [1, 2])\n    def test_n(self, n): assert n == 1\n")
        .file("tests/test_b.py", TWO)
        .natively("'tests/test_a.py::TestA::test_n[2]'")
        .arguments(&["tests/test_a.py::TestA::test_n[2]"])
        .agrees_on(1);
}

versions! {
    [
        pytest_7: Version::of("pytest-7"),
        pytest_8: Version::of("pytest-8"),
    ]
    quick [
        every_common_outcome
        the_end_of_the_session_in_a_conftest
    ]
    slow [
        python_files
        python_classes_and_functions
        testpaths
        norecursedirs
        collect_ignore_of_a_conftest
        ignore_and_deselect_in_addopts
        keywords_in_addopts
        markers_in_addopts
        doctests_of_modules
        doctests_of_texts
        importlib_mode_with_equal_names
        a_pyproject
        a_setup_cfg
        a_configuration_elsewhere
        a_folder_as_argument
        strict_xfail
        warnings_that_are_errors
        options_of_a_conftest
        a_collector_of_the_project
        classes_of_unittest
        generated_parameters
        a_package_with_fixtures
        a_module_that_skips_itself
        tests_that_are_added_and_removed_by_a_conftest
        a_summary_of_a_conftest
        a_conftest_that_knows_workers
        a_loop_of_a_conftest
        a_stop_at_the_first_failure
        a_stop_of_a_conftest
        only_tests_that_failed_last
        stepwise
        one_folder_for_temporary_files
        one_log_file
        values_in_the_cache
        a_test_that_is_selected_by_its_id
    ]
}
