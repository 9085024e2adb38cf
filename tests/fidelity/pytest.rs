//! Settings of projects that are tested with pytest.

use std::path::Path;

use crate::harness::{Native, Outcomes, Setting, junit};

/// The interpreter that `tests/setup` installs pytest for.
fn python() -> String {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-env/venv/bin/python");
    python.display().to_string()
}

/// A project that pytest and we run with the same arguments. JUnit's class is the module in dotted form.
fn suite(arguments: &str) -> Setting {
    let python = python();
    let native = format!("{python} -m pytest -q {arguments} --junit-xml=\"$OUT/junit.xml\"");
    let words: Vec<String> = arguments
        .split_whitespace()
        .map(|word| format!("{word:?}"))
        .collect();
    let manifest = format!(
        "[groups.t]\nrunner = \"pytest\"\nwith = {{ python = {python:?}, args = [{}] }}\n",
        words.join(", ")
    );
    let read = |native: &Native| -> Outcomes { junit(&native.out.join("junit.xml")) };
    Setting::new(&native, read)
        .manifest(&manifest)
        .ours(in_words_of_junit)
        .ignoring(&[".pytest_cache", "__pycache__"])
}

/// `t::tests/test_a.py::TestX::test_y` is `tests.test_a.TestX::test_y` in JUnit.
fn in_words_of_junit(id: &str) -> String {
    let id = id.split_once("::").map_or(id, |(_, test)| test);
    let id = id.replacen(".py", "", 1);
    match id.rsplit_once("::") {
        Some((class, name)) => format!("{}::{name}", class.replace(['/'], ".").replace("::", ".")),
        None => id,
    }
}

#[test]
fn a_suite_with_every_common_outcome() {
    suite("")
        .file(
            "tests/test_a.py",
            "import pytest\n\ndef test_passes(): pass\n\ndef test_fails(): assert 0\n\ndef test_skips(): pytest.skip('no')\n\n\
             class TestX:\n    @pytest.mark.parametrize('n', [1, 2])\n    def test_y(self, n): pass\n",
        )
        .agrees_on(5);
}
