//! Paths, ids, expressions, groups.

use std::collections::BTreeSet;
use std::process::Command;

use crate::support::{Project, python};

fn project() -> Project {
    Project::with("[groups.unit]\nrunner = \"exec\"\nfiles = [\"unit/**/*.sh\"]\nexclude = [\"**/fixtures/**\"]\n[groups.slow]\nrunner = \"exec\"\nfiles = [\"slow/*.sh\"]\n")
        .script("unit/a.sh", "exit 0")
        .script("unit/sub/b.sh", "exit 0")
        .script("unit/fixtures/no.sh", "exit 1")
        .script("slow/a.sh", "exit 0")
}

fn selected(project: &Project, arguments: &[&str]) -> Vec<String> {
    let mut ids: Vec<_> = project
        .run(arguments)
        .exits(0)
        .outcomes()
        .iter()
        .map(|line| line.trim_end_matches(" passed").to_owned())
        .collect();
    ids.sort();
    ids
}

#[test]
fn what_is_selected_runs_and_nothing_else() {
    let all = ["slow::slow/a.sh", "unit::unit/a.sh", "unit::unit/sub/b.sh"];
    let project = project();
    assert_eq!(selected(&project, &[]), all);
    assert_eq!(selected(&project, &["--group", "unit"]), all[1..]);
    assert_eq!(selected(&project, &["-g", "unit", "-g", "slow"]), all);
    assert_eq!(selected(&project, &["unit"]), all[1..]);
    assert_eq!(selected(&project, &["unit/sub"]), all[2..]);
    assert_eq!(selected(&project, &["unit/a.sh"]), all[1..2]);
    assert_eq!(
        selected(&project, &["slow::slow/a.sh", "unit/sub/b.sh"]),
        [all[0], all[2]]
    );
    assert_eq!(selected(&project, &["-k", "A.sh and not slow"]), all[1..2]);
}

#[test]
fn a_path_is_the_current_folders_and_the_manifest_is_found_above() {
    let project = project().at("unit/sub");
    assert_eq!(selected(&project, &["--group", "unit"]).len(), 2);
    assert_eq!(selected(&project, &["b.sh"]), ["unit::unit/sub/b.sh"]);
    assert_eq!(selected(&project, &["../a.sh"]), ["unit::unit/a.sh"]);
    assert_eq!(selected(&project, &["."]), ["unit::unit/sub/b.sh"]);
}

#[test]
fn what_does_not_exist_is_an_error_with_a_suggestion() {
    let project = project();
    project
        .run(&["--group", "unti"])
        .exits(2)
        .says("there is no group `unti`")
        .says("did you mean `unit`?");
    project
        .run(&["unit/aa.sh"])
        .exits(2)
        .says("did you mean \"unit/a.sh\"?");
    project
        .run(&["--profile", "ci"])
        .exits(2)
        .says("there is no profile `ci`");
    project.run(&["--wrokers", "2"]).exits(2).says("--workers");
    project
        .run(&["-k", "a and"])
        .exits(2)
        .says("at character 6");
    project
        .run(&["--report", "junt=x"])
        .exits(2)
        .says("did you mean `junit`?");
    project
        .run(&["-n", "99999"])
        .exits(2)
        .says("more than 4096");
    project.orchestrate(&["lst"]).exits(2).says("list");
}

#[test]
fn nothing_matched_is_an_exit_code_of_its_own() {
    let project = project().file("docs/readme", "");
    project
        .run(&["-k", "nothing_is_called_so"])
        .exits(4)
        .says("nothing matched");
    // A tag that no test has is no mistake: another runner's tests may have it.
    project
        .run(&["-m", "no_such_tag"])
        .exits(4)
        .says("nothing matched");
    assert_eq!(selected(&project, &["-m", "not no_such_tag"]).len(), 3);
    project.run(&["docs"]).exits(4);
    project.run(&["--dry-run", "docs"]).exits(4);
    Project::with("").run(&[]).exits(4);
}

#[test]
fn a_group_without_tests_is_no_success() {
    let manifest = "[groups.a]\nrunner = \"exec\"\nfiles = [\"t/*\"]\n\
        [groups.moved]\nrunner = \"exec\"\nfiles = [\"old/*\"]\n";
    let project = Project::with(manifest).script("t/a", "exit 0");
    let ran = project
        .run(&[])
        .exits(4)
        .says("group moved: no file matches old/*");
    assert_eq!(ran.outcomes(), Vec::<String>::new());
    // Whoever names what is to run has said that it is not all.
    let ran = project.run(&["t/a"]).exits(0).says("warning: group moved");
    assert_eq!(ran.outcomes(), ["a::t/a passed"]);
}

#[test]
fn a_dry_run_runs_nothing() {
    let project = Project::with("[groups.g]\ncommand = [\"touch\", \"ran\"]\n");
    project
        .run(&["--dry-run"])
        .exits(0)
        .says("group g: 1 tests, 1 jobs, 1 workers");
    assert!(!project.path().join("ran").exists());
    assert!(!project.path().join(".fastest").exists());
}

#[test]
fn workers_come_from_the_flag_then_the_environment_then_the_manifest() {
    let workers = |project: &Project, arguments: &[&str]| {
        let ran = project.run(arguments);
        ran.events_of("run-started")[0]["workers"].as_u64().unwrap()
    };
    let project = Project::with("[run]\nworkers = 3\n[groups.g]\ncommand = [\"true\"]\n");
    assert_eq!(workers(&project, &[]), 3);
    let project = project.env("FASTEST_WORKERS", "5");
    assert_eq!(workers(&project, &[]), 5);
    assert_eq!(workers(&project, &["-n", "7"]), 7);
    assert!(workers(&project, &["-n", "0"]) >= 1);
    project
        .env("FASTEST_WORKERS", "many")
        .run(&[])
        .exits(2)
        .says("FASTEST_WORKERS");
}

#[test]
fn a_profile_is_an_overlay() {
    let manifest = "[groups.g]\ncommand = \"[ \\\"$A$B\\\" = base ]\"\nenv = { A = \"base\" }\n\
        [profiles.ci]\nrun.workers = 6\ndefaults.env = { B = \"x\" }\n[profiles.ci.groups.g]\nenv = { A = \"over\" }\n";
    let project = Project::with(manifest);
    project.run(&[]).exits(0);
    let ran = project.run(&["--profile", "ci"]).exits(1);
    assert_eq!(ran.events_of("run-started")[0]["workers"], 6);
}

#[test]
fn what_is_wrong_with_an_expression_is_pointed_at() {
    let project = project();
    for (option, text, said) in [
        (
            "-k",
            "a b",
            "error: -k: expected `and`, `or` or the end at character 3\n    a b\n      ^\n  hint: a word is a part",
        ),
        (
            "-m",
            "slow and",
            "error: -m: expected a word, `not` or `(` at character 9\n    slow and\n            ^\n  hint: a word is a tag's",
        ),
        (
            "-m",
            "mark(x=1)",
            "a word takes no arguments: expected `and`, `or` or the end at character 5\n    mark(x=1)\n        ^",
        ),
        ("-m", "", "at character 1"),
    ] {
        project.run(&[option, text]).exits(2).says(said);
    }
}

/// pytest's tests are selected as pytest itself selects them: what it lists is the measure.
#[test]
fn words_tags_and_ids_select_what_pytest_selects() {
    let Some(python) = python() else { return };
    let project = Project::with(&format!(
        "[groups.tests]\nrunner = \"pytest\"\nwith = {{ python = {python:?} }}\n"
    ))
    .file("pytest.ini", "[pytest]\ntestpaths = suite\nmarkers =\n    slow\n    net(host)\n    serial\n    timeout(s)\n    Upper\n")
    .file("conftest.py", "def pytest_collection_modifyitems(items):\n    for item in items:\n        if 'marked' in item.name:\n            item.add_marker('added_late')\n            item.extra_keyword_matches.add('extra_word')\n")
    .file("suite/deep/test_one.py", "import pytest, unittest\n\
        @pytest.mark.slow\ndef test_plain(): pass\n\
        @pytest.mark.Upper\ndef test_marked(): pass\n\
        @pytest.mark.parametrize('x', ['a/b', 'c::d', 'Big', 'e f', 'x-1'])\n@pytest.mark.net(host='h')\ndef test_values(x): pass\n\
        @pytest.mark.serial\nclass TestGroup:\n    def test_in(self): pass\n    @pytest.mark.timeout(5)\n    def test_long(self): pass\n\
        class Old(unittest.TestCase):\n    def test_old(self): pass\n\
        def test_attribute(): pass\ntest_attribute.told = 1\n")
    .file("suite/test_two.py", "def test_plain(): pass\ndef test_slow(): pass\n");
    let lines = |text: &str| -> BTreeSet<String> {
        let ids = text.lines().filter(|line| line.contains("::"));
        ids.map(str::to_owned).collect()
    };
    let theirs = |arguments: &[&str]| {
        let collect = [
            "-m",
            "pytest",
            "--collect-only",
            "-q",
            "-p",
            "no:cacheprovider",
        ];
        let output = Command::new(&python)
            .args(collect)
            .args(arguments)
            .current_dir(project.path())
            .output()
            .unwrap();
        lines(&String::from_utf8_lossy(&output.stdout))
    };
    let ours = |arguments: &[&str]| {
        let ran = project.orchestrate(&[&["list"], arguments].concat());
        assert!(ran.code == 0 || ran.code == 4, "{}", ran.stderr);
        let ids = lines(&ran.stdout).into_iter();
        ids.map(|id| id.trim_start_matches("tests::").to_owned())
            .collect::<BTreeSet<_>>()
    };
    let all = theirs(&[]).len();
    assert_eq!(all, 13);
    let ids = "suite/deep/test_one.py::test_values[c::d]";
    for (arguments, some) in [
        (&["-k", "PLAIN"] as &[&str], true),
        (&["-k", "suite and values"], true),
        (&["-k", "deep and not (group or old)"], true),
        (&["-k", "tests"], false),
        (&["-k", "test_one.py::test_plain"], false),
        (&["-k", "c::d or a/b"], true),
        (&["-k", "big or x-1"], true),
        (&["-k", "slow"], true),
        (&["-k", "extra_word or told"], true),
        (&["-k", "TestCase or parametrize"], true),
        (&["-k", "not test_one.py"], true),
        (&["-m", "slow"], true),
        (&["-m", "Slow"], false),
        (&["-m", "upper"], false),
        (&["-m", "Upper or added_late"], true),
        (&["-m", "not serial and not slow"], true),
        (&["-m", "serial and timeout"], true),
        (&["-m", "net", "-k", "not Big"], true),
        (&["-m", "parametrize"], true),
        (&["suite/test_two.py"], true),
        (&["suite/deep"], true),
        (&["suite/deep/test_one.py::test_values"], true),
        (
            &[
                "suite/deep/test_one.py::TestGroup",
                "suite/test_two.py::test_slow",
            ],
            true,
        ),
        (&[ids], true),
    ] {
        let selected = ours(arguments);
        assert_eq!(selected, theirs(arguments), "{arguments:?}");
        assert_eq!(!selected.is_empty(), some, "{arguments:?}");
        assert!(selected.len() < all, "{arguments:?}");
    }
}
