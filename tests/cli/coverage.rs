//! pytest-cov: one coverage of all processes, as plain pytest measures it.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::session::project;
use crate::support::{Project, python};

/// Each function is called by another test, but for `d`; `c` when a session ends.
const SHOP: &str = "def a(n):\n    if n > 1:\n        return 1\n    return 0\ndef b():\n    return 2\ndef c():\n    return 3\n\
                    def d():\n    return 4\n";
const ADDOPTS: &str = "[pytest]\naddopts = --cov=shop --cov-branch --cov-report=json";

/// What decides which processes there are.
const PROCESSES: [&str; 5] = [
    "session = \"shared\"",
    "env = { X = \"<pid>\" }",
    "session = \"cold\"",
    "compat = [\"xdist\"]",
    "session = \"worker\"\nisolation = \"test\"",
];

/// A project that measures `shop.py`; nothing where pytest-cov can't be had.
fn shop(more: &str) -> Option<Project> {
    let has_cov = Command::new(python()?)
        .args(["-c", "import pytest_cov"])
        .output();
    if !has_cov.is_ok_and(|output| output.status.success()) {
        let is_ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
        assert!(!is_ci, "there is no pytest-cov: run `tests/setup`");
        return None;
    }
    let project = project(&format!("chunk-size = 1\n{more}"))?
        .file("shop.py", SHOP)
        .file(
            "conftest.py",
            "import pytest, sys\nopen('modes', 'a').write(sys.orig_argv[2] + '\\n')\n\
             @pytest.fixture(scope='session')\ndef shop():\n    import shop\n    yield shop\n    shop.c()\n",
        )
        .file(
            "test_a.py",
            "def test_a1(shop): shop.a(1)\ndef test_a2(shop): shop.a(2)\n",
        )
        .file("test_b.py", "def test_b(shop): shop.b()\n");
    Some(project.file("pytest.ini", ADDOPTS))
}

/// The lines and branches of `shop.py` that the last report says were run.
fn covered(project: &Project) -> (Value, Value) {
    let report: Value = serde_json::from_str(&project.read("coverage.json")).unwrap();
    let shop = &report["files"]["shop.py"];
    (
        shop["executed_lines"].clone(),
        shop["executed_branches"].clone(),
    )
}

/// Runs plain pytest.
fn plain(project: &Project) {
    let pytest = Command::new(python().unwrap())
        .args(["-m", "pytest", "-q"])
        .current_dir(project.path())
        .output();
    assert!(pytest.unwrap().status.success());
}

/// The files of data that are there.
fn data(project: &Project) -> Vec<String> {
    let entries = fs::read_dir(project.path()).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.starts_with(".coverage")).collect();
    names.sort();
    names
}

/// How often pytest was started to finish what others had left.
fn finishes(project: &Project) -> usize {
    let modes = project.read("modes");
    modes.lines().filter(|mode| *mode == "finish").count()
}

#[test]
fn whatever_the_processes_coverage_is_that_of_plain_pytest_without_what_was_there_before() {
    let Some(old) = shop("") else { return };
    plain(&old);
    let expected = covered(&old);
    assert_eq!(expected.0, serde_json::json!([1, 2, 3, 4, 5, 6, 7, 8, 9]));
    let old = old.file("test_old.py", "def test_d(shop): shop.d()\n");
    plain(&old);
    assert_ne!(covered(&old), expected);
    let old = fs::read(old.path().join(".coverage")).unwrap();
    for processes in PROCESSES {
        for workers in ["1", "2"] {
            let project = shop(processes).unwrap();
            for name in [".coverage", ".coverage.host.1.old"] {
                fs::write(project.path().join(name), &old).unwrap();
            }
            project.run(&["-n", workers]).exits(0);
            let what = format!("{processes}, {workers} workers");
            assert_eq!(covered(&project), expected, "{what}");
            assert_eq!(data(&project), [".coverage"], "{what}");
            let is_shared = processes == PROCESSES[0];
            assert_eq!(finishes(&project), usize::from(!is_shared), "{what}");
        }
    }
}

#[test]
fn old_data_are_counted_where_the_project_asks_for_it() {
    let Some(project) = shop(PROCESSES[2]) else {
        return;
    };
    let project = project
        .file("test_old.py", "def test_d(shop): shop.d()\n")
        .file("pytest.ini", &format!("{ADDOPTS} --cov-append\n"));
    project.run(&["test_old.py"]).exits(0);
    project.run(&["test_a.py", "test_b.py"]).exits(0);
    assert_eq!(covered(&project).0.as_array().unwrap().len(), 10);
}

#[test]
fn too_little_of_it_fails_the_group_once() {
    for processes in &PROCESSES[..3] {
        let after = "[groups.after]\nneeds = [\"g\"]\ncommand = \"true\"";
        let Some(project) = shop(&format!("{processes}\n{after}")) else {
            return;
        };
        let project = project.file("pytest.ini", &format!("{ADDOPTS} --cov-fail-under=99\n"));
        let ran = project.run(&["-n", "2"]).exits(1);
        let ran = ran.says("Required test coverage of 99");
        assert_eq!(
            ran.outcomes(),
            [
                "after not-run",
                "g failed",
                "g::test_a.py::test_a1 passed",
                "g::test_a.py::test_a2 passed",
                "g::test_b.py::test_b passed"
            ],
            "{processes}"
        );
    }
}

#[test]
fn a_process_that_crashes_takes_its_own_part_and_no_other() {
    for processes in &PROCESSES[..3] {
        let isolation = ["isolation = \"chunk\"", ""][usize::from(processes.contains("cold"))];
        let Some(project) = shop(&format!("{processes}\n{isolation}")) else {
            return;
        };
        let project = project.file(
            "test_c.py",
            "import os\ndef test_d(shop):\n    shop.d()\n    os._exit(3)\n",
        );
        project.run(&["-n", "2"]).exits(1);
        let expected = serde_json::json!([1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(covered(&project).0, expected, "{processes}");
        assert_eq!(data(&project), [".coverage"], "{processes}");
    }
}

#[test]
fn what_is_not_measured_is_not_finished_and_a_listing_leaves_the_data_alone() {
    for processes in &PROCESSES[1..3] {
        let Some(project) = shop(processes) else {
            return;
        };
        project.run(&[]).exits(0);
        let before = fs::read(project.path().join(".coverage")).unwrap();
        project.orchestrate(&["list"]).exits(0);
        let project = project.file("pytest.ini", &format!("{ADDOPTS} --no-cov\n"));
        project.run(&[]).exits(0);
        assert_eq!(finishes(&project), 1, "{processes}");
        let after = fs::read(project.path().join(".coverage")).unwrap();
        assert!(before == after, "{processes}");
    }
}

#[test]
fn a_runner_that_finishes_nothing_is_refused_with_what_to_do() {
    let Some(project) = shop("") else { return };
    let preset = project.orchestrate(&["runners", "pytest"]).exits(0).stdout;
    let python = python().unwrap();
    let lines = preset.lines().filter(|line| !line.starts_with("finish"));
    let own = lines.collect::<Vec<_>>().join("\n");
    let own = own.replace("[runners.pytest", "[runners.own");
    for session in ["shared", "worker", "cold"] {
        let group = format!(
            "[groups.g]\nrunner = \"own\"\nsession = {session:?}\nwith = {{ python = {python:?} }}\n"
        );
        let project = shop("").unwrap().file("fastest.toml", &(group + &own));
        let ran = project.run(&[]).exits(1);
        ran.says("their runner has no `finish`").says("--no-cov");
    }
}

/// As `docs/runners.md` has it.
#[test]
fn groups_that_measure_into_files_of_their_own_can_be_combined() {
    let Some(project) = shop("") else { return };
    let python = python().unwrap();
    let group = |name: &str, file: &str, session: &str| {
        format!(
            "[groups.{name}]\nrunner = \"pytest\"\nwith = {{ python = {python:?} }}\nfiles = [{file:?}]\nsession = {session:?}\n\
             env = {{ COVERAGE_FILE = \".coverage.{name}\" }}\n"
        )
    };
    let whole = format!(
        "[groups.coverage]\nneeds = [\"unit\", \"db\"]\n\
         command = \"{python} -m coverage combine && {python} -m coverage json\"\n"
    );
    let manifest =
        group("unit", "test_a.py", "shared") + &group("db", "test_b.py", "cold") + &whole;
    let project = project.file("fastest.toml", &manifest).file(
        "pytest.ini",
        "[pytest]\naddopts = --cov=shop --cov-report=\n",
    );
    project.run(&["-n", "2"]).exits(0);
    let expected = serde_json::json!([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(covered(&project).0, expected);
}
