//! Settings of projects that are tested with unittest.

use crate::harness::{Native, Outcomes, Setting};

const TESTS: &str = "import unittest\n\n\
    class T(unittest.TestCase):\n    \
        def test_a(self): pass\n    \
        def test_b(self): self.assertEqual(1, 2)\n";

/// A project that `python3 -m unittest` runs with these options, and we with the same.
fn suite(options: &[&str]) -> Setting {
    let discover = if options.is_empty() { "" } else { "discover" };
    let native = format!("python3 -m unittest {discover} -v {}", options.join(" "));
    let words: Vec<String> = options.iter().map(|word| format!("{word:?}")).collect();
    let with = format!("with = {{ discover = [{}] }}", words.join(", "));
    let start = options.iter().position(|word| *word == "-s");
    let start = start.map_or(String::new(), |place| format!("{}/", options[place + 1]));
    Setting::new(&native, |native: &Native| read(&native.stderr))
        .manifest(&format!("[groups.t]\nrunner = \"unittest\"\n{with}\n"))
        .ours(move |id| in_dots(id, &start))
        .ignoring(&["__pycache__"])
}

/// `t::tests/test_a.py::T::test_a` is `tests.test_a.T.test_a`.
fn in_dots(id: &str, start: &str) -> String {
    let id = id.split_once("::").map_or(id, |(_, test)| test);
    let id = id.strip_prefix(start).unwrap_or(id);
    id.replacen(".py", "", 1)
        .replace("::", ".")
        .replace('/', ".")
}

/// The outcomes in lines such as `test_a (tests.test_a.T.test_a) ... ok`. An error within a test is a failure of ours.
fn read(text: &str) -> Outcomes {
    let mut outcomes = Outcomes::new();
    let mut name = None;
    for line in text.lines().take_while(|line| !line.starts_with("=====")) {
        if let Some((_, rest)) = line.split_once(" (")
            && let Some((id, _)) = rest.split_once(')')
        {
            name = Some(id.to_owned());
        }
        let Some((_, word)) = line.rsplit_once(" ... ") else {
            continue;
        };
        let Some(id) = name.take() else { continue };
        // What could not be loaded is a test of unittest's own.
        let failed = id.strip_prefix("unittest.loader._FailedTest.");
        let skipped = id.strip_prefix("unittest.loader.ModuleSkipped.");
        let outcome = match word {
            "ok" => "passed",
            "ERROR" if failed.is_some() => "errored",
            "FAIL" | "ERROR" | "unexpected success" => "failed",
            "expected failure" => "xfailed",
            word if word.starts_with("skipped") => "skipped",
            word => panic!("{word:?} of {id}"),
        };
        let id = failed.or(skipped).unwrap_or(&id).to_owned();
        outcomes.insert(id, outcome.to_owned());
    }
    outcomes
}

#[test]
fn files_in_the_root() {
    suite(&[]).file("test_a.py", TESTS).agrees_on(2);
}

#[test]
fn every_outcome_of_a_test() {
    let tests = "import unittest\n\n\
        class T(unittest.TestCase):\n    \
            def test_passes(self): pass\n    \
            def test_fails(self): self.fail('no')\n    \
            def test_errs(self): raise KeyError('x')\n    \
            @unittest.skip('not here')\n    def test_skips(self): pass\n    \
            def test_skips_itself(self): self.skipTest('not now')\n    \
            @unittest.expectedFailure\n    def test_known(self): self.fail('bug')\n    \
            @unittest.expectedFailure\n    def test_strict(self): pass\n    \
            def test_docs(self):\n        '''It has a description.'''\n";
    suite(&[]).file("test_a.py", tests).agrees_on(8);
}

#[test]
fn packages_below_any_folder() {
    suite(&[])
        .file("app/__init__.py", "")
        .file("app/test_app.py", TESTS)
        .file("app/inner/__init__.py", "")
        .file("app/inner/tests/__init__.py", "")
        .file("app/inner/tests/test_inner.py", TESTS)
        .file("app/inner/helper.py", "raise ImportError('no test')\n")
        .agrees_on(4);
}

#[test]
fn folders_that_are_no_packages_are_left_out() {
    suite(&[])
        .file("test_a.py", TESTS)
        .file("scripts/test_script.py", TESTS)
        .agrees_on(2);
}

#[test]
fn another_folder_to_start_from() {
    suite(&["-s", "checks"])
        .file("checks/test_a.py", TESTS)
        .file("test_b.py", TESTS)
        .agrees_on(2);
}

#[test]
fn another_pattern() {
    suite(&["-p", "*_check.py"])
        .file("a_check.py", TESTS)
        .file("test_b.py", TESTS)
        .agrees_on(2);
}

#[test]
fn a_folder_with_the_folder_above_it() {
    suite(&["-s", "pkg/tests", "-t", "."])
        .file("pkg/__init__.py", "NAME = 'pkg'\n")
        .file("pkg/tests/__init__.py", "")
        .file(
            "pkg/tests/test_a.py",
            "import unittest\nfrom pkg import NAME\n\nclass T(unittest.TestCase):\n    def test_a(self): self.assertEqual(NAME, 'pkg')\n",
        )
        .ours(|id| in_dots(id, ""))
        .agrees_on(1);
}

#[test]
fn names_that_are_selected() {
    suite(&["-k", "T.test_a"])
        .file("test_a.py", TESTS)
        .agrees_on(1);
}

#[test]
fn modules_that_cannot_be_loaded_or_skip_themselves() {
    suite(&[])
        .file("test_a.py", TESTS)
        .file("test_broken.py", "import no_such_module\n")
        .file(
            "test_skipped.py",
            "import unittest\nraise unittest.SkipTest('not here')\n",
        )
        .agrees_on(4);
}

#[test]
fn tests_that_a_module_loads_itself() {
    let tests = "import unittest\n\n\
        class T(unittest.TestCase):\n    \
            def test_a(self): pass\n    \
            def test_left_out(self): self.fail('it is not loaded')\n\n\
        def load_tests(loader, tests, pattern):\n    \
            return unittest.TestSuite([T('test_a')])\n";
    suite(&[]).file("test_a.py", tests).agrees_on(1);
}

#[test]
fn fixtures_of_classes_and_modules() {
    let tests = "import unittest\n\nSTATE = []\n\n\
        def setUpModule(): STATE.append('module')\n\n\
        def tearDownModule(): STATE.clear()\n\n\
        class T(unittest.TestCase):\n    \
            @classmethod\n    def setUpClass(cls): STATE.append('class')\n    \
            def test_a(self): self.assertIn('class', STATE)\n    \
            def test_b(self): self.assertIn('module', STATE)\n\n\
        class Async(unittest.IsolatedAsyncioTestCase):\n    \
            async def asyncSetUp(self): self.value = 1\n    \
            async def test_c(self): self.assertEqual(self.value, 1)\n";
    suite(&[]).file("test_a.py", tests).agrees_on(3);
}

#[test]
fn files_that_tests_write() {
    let tests = "import pathlib, unittest\n\n\
        class T(unittest.TestCase):\n    \
            def test_a(self): pathlib.Path('a.out').write_text('a')\n    \
            def test_b(self): pathlib.Path('b.out').write_text(__name__)\n";
    suite(&[]).file("test_a.py", tests).agrees_on(2);
}
