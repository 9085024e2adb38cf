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

#[test]
fn what_is_excluded_does_not_run() {
    let project = project();
    let all = ["slow::slow/a.sh", "unit::unit/a.sh", "unit::unit/sub/b.sh"];
    assert_eq!(selected(&project, &["--exclude", "unit/sub"]), all[..2]);
    assert_eq!(
        selected(&project, &["--exclude", "unit/a.sh"]),
        [all[0], all[2]]
    );
    assert_eq!(
        selected(&project, &["--exclude", "unit::unit/a.sh"]),
        [all[0], all[2]]
    );
    assert_eq!(selected(&project, &["--exclude", "**/a.sh"]), all[2..]);
    assert_eq!(selected(&project, &["--exclude", "slow::*/*"]), all[1..]);
    assert_eq!(
        selected(
            &project,
            &["--exclude", "unit/sub", "--exclude", "slow", "unit", "slow"]
        ),
        all[1..2]
    );
    let ran = project.run(&["--exclude", "unit/aa.sh"]).exits(2);
    ran.says("did you mean \"unit/a.sh\"?");
    // A pattern may be meant for tests that are yet to come; that it matches none is said.
    let ran = project.run(&["--exclude", "**/aa.sh"]).exits(0);
    ran.says("warning: --exclude \"**/aa.sh\" leaves out no test");
    // Of groups that are not asked for, nothing is known.
    let ran = project.run(&["-g", "slow", "--exclude", "unit::unit/a.sh"]);
    ran.exits(0).says("leaves out no test");
    project
        .run(&["unit/a.sh", "--exclude", "unit"])
        .exits(4)
        .says("nothing matched");
}

#[test]
fn a_group_that_is_excluded_is_not_even_listed() {
    let manifest = "[runners.r]\nlist = \"touch listed; exit 1\"\nrun = [\"true\", \"<items>\"]\n\
        [groups.out]\nrunner = \"r\"\n[groups.in]\ncommand = [\"true\"]\n";
    let project = Project::with(manifest);
    assert_eq!(selected(&project, &["--exclude", "out"]), ["in"]);
    assert!(!project.path().join("listed").exists());
    project.run(&[]).exits(1);
    assert!(project.path().join("listed").exists());
}

#[test]
fn an_id_that_looks_like_a_pattern_is_an_id_first() {
    let manifest =
        "[groups.g]\ncommand = [\"true\", \"<items>\"]\nitems = [\"x[1]\", \"x1\", \"x2\"]\n";
    let project = Project::with(manifest);
    assert_eq!(
        selected(&project, &["--exclude", "x[1]"]),
        ["g::x1", "g::x2"]
    );
    assert_eq!(selected(&project, &["--exclude", "x[12]"]), ["g::x[1]"]);
}

#[test]
fn what_failed_or_did_not_run_the_last_time_is_selected() {
    let manifest = "[groups.g]\nrunner = \"exec\"\nfiles = [\"t/*\"]\n[groups.after]\ncommand = [\"true\"]\nneeds = [\"g\"]\n";
    let project = Project::with(manifest)
        .script("t/bad", "exit 1")
        .script("t/good", "exit 0")
        .script("t/mended", "[ -e mended ]");
    let failed = |arguments: &[&str]| -> Vec<String> {
        let ran = project.orchestrate(&[&["list", "--failed"], arguments].concat());
        ran.exits(0).stdout.lines().map(str::to_owned).collect()
    };
    project
        .run(&["--failed"])
        .exits(2)
        .says("no run that is kept here has run any of these tests")
        .says("run them once without it");
    project.run(&[]).exits(1);
    assert_eq!(failed(&[]), ["g::t/bad", "g::t/mended", "after"]);
    assert_eq!(failed(&["-k", "bad"]), ["g::t/bad"]);
    // Other tests' runs change nothing of it, nor does one that has never been run belong to it.
    project.run(&["t/good"]).exits(0);
    let project = project.script("t/new", "exit 0").file("mended", "");
    let ran = project.run(&["--failed", "--exclude", "after"]).exits(1);
    assert_eq!(ran.outcomes(), ["g::t/bad failed", "g::t/mended passed"]);
    let ran = project.run(&["--failed", "-k", "mended"]).exits(4);
    ran.says("none failed or was left out the last time it was to run");
    assert!(!project.read("t/bad").is_empty());
    let project = project.script("t/bad", "exit 0");
    project.run(&["--failed"]).exits(0);
    project
        .orchestrate(&["list", "--failed"])
        .exits(4)
        .says("nothing matched");
    // The journals are gone; what the history knows is enough.
    let project = project.script("t/good", "exit 1");
    project.run(&["t/good"]).exits(1);
    std::fs::remove_dir_all(project.path().join(".fastest/runs")).unwrap();
    let ran = project.orchestrate(&["list", "--failed"]).exits(0);
    assert_eq!(ran.stdout, "g::t/good\n");
}

#[test]
fn a_run_that_was_stopped_is_gone_on_with() {
    let manifest =
        "[run]\nmax-fail = 1\nworkers = 1\n[groups.g]\nrunner = \"exec\"\nfiles = [\"t/*\"]\n";
    let project = Project::with(manifest)
        .script("t/a", "exit 0")
        .script("t/b", "exit 1")
        .script("t/c", "exit 0");
    let ran = project.run(&[]).exits(1);
    assert_eq!(
        ran.outcomes(),
        ["g::t/a passed", "g::t/b failed", "g::t/c not-run"]
    );
    let ran = project.orchestrate(&["list", "--failed"]).exits(0);
    assert_eq!(ran.stdout, "g::t/b\ng::t/c\n");
}

/// A project in a repository of its own, all of it committed.
fn committed(project: Project) -> Option<Project> {
    if Command::new("git").arg("--version").output().is_err() {
        assert!(
            std::env::var_os("CI").is_none_or(|ci| ci != "true"),
            "there is no git"
        );
        eprintln!("skipped: no git");
        return None;
    }
    git(&project, &["init", "--quiet"]);
    commit(&project);
    Some(project)
}

fn git(project: &Project, arguments: &[&str]) {
    let identity = [
        "-c",
        "user.name=x",
        "-c",
        "user.email=x@localhost",
        "-c",
        "commit.gpgsign=false",
    ];
    let done = Command::new("git")
        .args(identity)
        .args(arguments)
        .current_dir(project.path())
        .status()
        .unwrap();
    assert!(done.success(), "{arguments:?}");
}

fn commit(project: &Project) {
    git(project, &["add", "--all"]);
    git(project, &["commit", "--quiet", "--message", "x"]);
}

#[test]
fn what_git_says_to_have_changed_is_selected() {
    let project = Project::with(
        "[groups.unit]\nrunner = \"exec\"\nfiles = [\"unit/*.sh\"]\n\
        [groups.lib]\nrunner = \"exec\"\nfiles = [\"lib/*.sh\"]\ninputs = [\"src/**\", \"*.toml\"]\n\
        [groups.lint]\ncommand = [\"true\"]\ninputs = [\"**/*.md\"]\n\
        [groups.items]\ncommand = [\"true\", \"<items>\"]\nitems = [\"unit/a.sh\", \"other\"]\n",
    )
    .file(".gitignore", ".fastest\nevents.jsonl\nignored.md\n")
    .file("src/deep/code", "1")
    .file("docs/page.md", "1")
    .script("unit/a.sh", "exit 0")
    .script("unit/b.sh", "exit 0")
    .script("lib/a.sh", "exit 0")
    .script("lib/b.sh", "exit 0");
    let Some(project) = committed(project) else {
        return;
    };
    let changed = |project: &Project, option: &str| {
        let ran = project.orchestrate(&["list", option]);
        assert!(ran.code == 0 || ran.code == 4, "{}", ran.stderr);
        ran.stdout.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let none = project.run(&["--changed"]).exits(4);
    none.says("no such test's file and no `inputs` of its group have changed since HEAD");
    let project = project
        .file("ignored.md", "x")
        .script("unit/a.sh", "exit 0 #");
    assert_eq!(
        changed(&project, "--changed"),
        ["unit::unit/a.sh", "items::unit/a.sh"]
    );
    // New ones that nobody has added yet, staged ones, and ones that are gone.
    let project = project
        .script("unit/new.sh", "exit 0")
        .script("lib/b.sh", "exit 0 #");
    git(&project, &["add", "lib/b.sh"]);
    std::fs::remove_file(project.path().join("docs/page.md")).unwrap();
    let now = [
        "unit::unit/a.sh",
        "unit::unit/new.sh",
        "lib::lib/b.sh",
        "lint",
        "items::unit/a.sh",
    ];
    assert_eq!(changed(&project, "--changed"), now);
    assert_eq!(changed(&project, "--changed=HEAD"), now);
    commit(&project);
    assert!(changed(&project, "--changed").is_empty());
    assert_eq!(changed(&project, "--changed=HEAD~1"), now);
    let project = project.file("src/deep/code", "2");
    assert_eq!(
        changed(&project, "--changed"),
        ["lib::lib/a.sh", "lib::lib/b.sh"]
    );
    git(&project, &["mv", "--force", "src/deep/code", "code"]);
    assert_eq!(
        changed(&project, "--changed"),
        ["lib::lib/a.sh", "lib::lib/b.sh"]
    );
    // From a folder below it is the same.
    let ran = project
        .at("unit")
        .orchestrate(&["list", "--changed"])
        .exits(0);
    assert_eq!(ran.stdout, "lib::lib/a.sh\nlib::lib/b.sh\n");
}

#[test]
fn a_root_below_the_top_of_the_repository_sees_its_own_files() {
    let project = Project::new()
        .file(
            "sub/fastest.toml",
            "[groups.g]\nrunner = \"exec\"\nfiles = [\"t/*\"]\ninputs = [\"x\"]\n",
        )
        .script("sub/t/a \u{e9}\n.sh", "exit 0")
        .script("sub/t/b.sh", "exit 0")
        .file("x", "");
    let Some(project) = committed(project) else {
        return;
    };
    let project = project
        .script("sub/t/a \u{e9}\n.sh", "exit 0 #")
        .file("x", "changed")
        .at("sub");
    let ran = project
        .orchestrate(&["list", "--changed", "--format", "json"])
        .exits(0);
    let listed: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(listed[0]["id"], "g::t/a \u{e9}\n.sh");
    // Of a repository within the repository it is known only that something is new in it.
    let inner = project.path().join("sub/t/inner");
    std::fs::create_dir(&inner).unwrap();
    let made = Command::new("git")
        .args(["init", "--quiet"])
        .current_dir(&inner)
        .status();
    assert!(made.unwrap().success());
    let project = project
        .file(
            "sub/fastest.toml",
            "[groups.g]\nrunner = \"exec\"\nfiles = [\"t/b.sh\"]\ninputs = [\"t/inner/deep/*\"]\n",
        )
        .script("sub/t/inner/deep/c", "exit 0");
    let ran = project.orchestrate(&["list", "--changed"]).exits(0);
    assert_eq!(ran.stdout, "g::t/b.sh\n");
}

#[test]
fn what_git_does_not_know_is_an_error() {
    let project =
        Project::with("[groups.g]\ncommand = [\"true\"]\n").env("GIT_CEILING_DIRECTORIES", "/");
    let Some(project) = committed(project) else {
        return;
    };
    for name in ["nothing", "--output=x", ""] {
        let ran = project.run(&[&format!("--changed={name}")]).exits(2);
        ran.says(&format!("`--changed`: git knows no commit {name:?}"))
            .says("name a branch, a tag or a commit");
    }
    assert!(!project.path().join("x").exists());
    std::fs::remove_dir_all(project.path().join(".git")).unwrap();
    let ran = project.run(&["--changed"]).exits(2);
    ran.says("git knows of no work tree at ROOT (fatal: not a git repository");
    let project = project.env("PATH", "/nowhere");
    let ran = project.run(&["--changed"]).exits(3);
    ran.says("`--changed` asks git, which can't be started");
}

#[test]
fn listing_commands_run_side_by_side_up_to_a_limit() {
    // Each waits for the other to have begun, at most for a while, and says whether it came.
    let list = |own: &str, other: &str| {
        format!(
            "[runners.{own}]\nlist = \"touch {own}; i=0; while [ ! -e {other} ] && [ $i -lt 100 ]; do sleep 0.1; i=$((i+1)); done; [ -e {other} ] && echo t\"\nrun = [\"true\", \"<items>\"]\n[groups.{own}]\nrunner = \"{own}\"\n"
        )
    };
    let project = Project::with(&(list("one", "two") + &list("two", "one")));
    let ran = project
        .orchestrate(&["list", "--collect-jobs", "2"])
        .exits(0);
    assert_eq!(ran.stdout, "one::t\ntwo::t\n");
    let log = |own: &str| {
        format!(
            "[runners.{own}]\nlist = \"echo begin >> log; sleep 0.1; echo end >> log; echo t\"\nrun = [\"true\", \"<items>\"]\n[groups.{own}]\nrunner = \"{own}\"\n"
        )
    };
    let project = Project::with(&(log("one") + &log("two")));
    project
        .orchestrate(&["list", "--collect-jobs", "1"])
        .exits(0);
    assert_eq!(project.read("log"), "begin\nend\nbegin\nend\n");
    project
        .orchestrate(&["list", "--collect-jobs", "0"])
        .exits(2);
}

#[test]
fn a_tree_says_once_what_ids_share() {
    let manifest = "[runners.r]\nlist = [\"cat\", \"ids\"]\nrun = [\"true\", \"<items>\"]\n[groups.g]\nrunner = \"r\"\n[groups.one]\ncommand = [\"true\"]\n";
    let project = Project::with(manifest).file(
        "ids",
        "t/a.py::x[a::b]\nt/a.py::x[c]\nt/a.py::K::y\nt/a.py::K::z\nt/b.py\nt/b.py::x\n",
    );
    let ran = project.orchestrate(&["list", "--format", "tree"]).exits(0);
    let tree =
        "g\n  t/a.py\n    K\n      y\n      z\n    x[a::b]\n    x[c]\n  t/b.py\n    x\none\n";
    assert_eq!(ran.stdout, tree);
}

/// As editors of Windows save it.
#[test]
fn a_list_of_items_may_begin_with_a_mark_and_have_the_lines_of_windows() {
    let manifest = "[groups.file]\ncommand = [\"true\", \"<items>\"]\nitems = { file = \"list.txt\" }\n\
        [groups.command]\ncommand = [\"true\", \"<items>\"]\nitems = { command = [\"cat\", \"list.txt\"] }\n";
    let project = Project::with(manifest).file("list.txt", "\u{feff}one\r\n\r\ntwo\r\n");
    let ran = project.run(&[]).exits(0);
    assert_eq!(
        ran.outcomes(),
        [
            "command::one passed",
            "command::two passed",
            "file::one passed",
            "file::two passed"
        ]
    );
}

#[test]
fn a_path_that_is_no_text_selects_and_excludes_what_it_names() {
    use std::ffi::{OsStr, OsString};
    use std::os::unix::ffi::OsStrExt;
    let names = [&b"t/caf\xe9.sh"[..], b"t/caf\xe8.sh", b"t/plain.sh"];
    let project = Project::with("[groups.g]\nrunner = \"exec\"\nfiles = [\"t/*.sh\"]\n")
        .script("t/plain.sh", "basename $0 >> log");
    for name in &names[..2] {
        let path = project.path().join(OsStr::from_bytes(name));
        std::fs::copy(project.path().join("t/plain.sh"), path).unwrap();
    }
    let ran = |option: Option<&str>, name: &[u8]| {
        let _ = std::fs::remove_file(project.path().join("log"));
        let name = OsString::from(OsStr::from_bytes(name));
        let status = project
            .command(&["run", "-n", "1"])
            .args(option)
            .arg(name)
            .output();
        let status = status.unwrap();
        assert_eq!(status.status.code(), Some(0), "{status:?}");
        let log = std::fs::read(project.path().join("log")).unwrap();
        let mut log: Vec<_> = log
            .split(|byte| *byte == b'\n')
            .map(<[u8]>::to_vec)
            .collect();
        log.retain(|line| !line.is_empty());
        log.sort();
        log
    };
    assert_eq!(ran(None, names[0]), [&names[0][2..]]);
    assert_eq!(ran(None, b"./t/caf\xe8.sh"), [&names[1][2..]]);
    assert_eq!(
        ran(Some("--exclude"), names[0]),
        [&names[1][2..], &names[2][2..]]
    );
    let gone = OsStr::from_bytes(b"t/caf\xe7.sh");
    let output = project.command(&["run"]).arg(gone).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no test, file or folder is called"));
}
