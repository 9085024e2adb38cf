//! The standard library's unittest.

use crate::has;
use crate::support::Project;

#[test]
fn unittest() {
    if !has("python3") {
        return;
    }
    let project = Project::with("[groups.g]\nrunner = \"unittest\"\n")
        .file("tests/__init__.py", "")
        .file(
            "tests/test_calc.py",
            "import os, unittest\nclass Calc(unittest.TestCase):\n    def test_adds(self):\n        print('{\"event\":\"finished\"}')\n        self.assertEqual(1 + 1, 2)\n\
             \x20   def test_wrong(self):\n        self.assertEqual(1, 2)\n    def test_error(self):\n        raise KeyError('x')\n\
             \x20   @unittest.skip('no net')\n    def test_skips(self): pass\n    @unittest.expectedFailure\n    def test_known(self): self.fail('bug')\n\
             \x20   @unittest.expectedFailure\n    def test_strict(self): pass\n    def test_sub(self):\n        for n in (1, 2):\n            with self.subTest(n=n): self.assertEqual(n, 1)\n\
             class Later(unittest.IsolatedAsyncioTestCase):\n    async def test_async(self): pass\n\
             class Broken(unittest.TestCase):\n    @classmethod\n    def setUpClass(cls): raise OSError('no server')\n    def test_a(self): pass\n    def test_b(self): pass\n",
        )
        .file("tests/test_import.py", "import nothing_of_that_name\n")
        .file(
            "tests/test_killed.py",
            "import os, unittest\nclass Killed(unittest.TestCase):\n    def test_a(self): pass\n    def test_b(self): os.kill(os.getpid(), 9)\n    def test_c(self): os._exit(0)\n    def test_d(self): pass\n",
        );
    let ran = project
        .run(&["-n", "1"])
        .exits(1)
        .says("AssertionError: 1 != 2")
        .says("no server")
        .says("nothing_of_that_name");
    assert_eq!(
        ran.outcomes(),
        [
            "g::tests/test_calc.py::Broken::test_a errored",
            "g::tests/test_calc.py::Broken::test_b errored",
            "g::tests/test_calc.py::Calc::test_adds passed",
            "g::tests/test_calc.py::Calc::test_error failed",
            "g::tests/test_calc.py::Calc::test_known xfailed",
            "g::tests/test_calc.py::Calc::test_skips skipped",
            "g::tests/test_calc.py::Calc::test_strict failed",
            "g::tests/test_calc.py::Calc::test_sub failed",
            "g::tests/test_calc.py::Calc::test_wrong failed",
            "g::tests/test_calc.py::Later::test_async passed",
            "g::tests/test_import.py errored",
            "g::tests/test_killed.py::Killed::test_a passed",
            "g::tests/test_killed.py::Killed::test_b crashed",
            "g::tests/test_killed.py::Killed::test_c errored",
            "g::tests/test_killed.py::Killed::test_d passed",
        ]
    );
}
