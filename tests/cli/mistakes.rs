//! Mistakes that a new user makes: none has no effect without a word.

use crate::support::{Project, python};

const TRUE: &str = "command = [\"true\", \"<items>\"]\n";

#[test]
fn a_group_without_items_is_no_success() {
    for items in ["[]", "{ command = [\"true\"] }", "{ file = \"list\" }"] {
        let manifest = format!(
            "[groups.u]\n{TRUE}items = {items}\n[groups.v]\nneeds = [\"u\"]\ncommand = [\"true\"]\n"
        );
        let project = Project::with(&manifest).file("list", "");
        let ran = project.run(&[]).exits(4);
        ran.says("error: group u: `items` names no item; nothing ran");
        let ran = project.orchestrate(&["check"]).exits(2);
        ran.says("group u: `items` names no item");
    }
}

#[test]
fn a_group_without_tests_is_no_success_where_only_words_select() {
    let project = Project::with(&format!(
        "[groups.u]\n{TRUE}items = [\"a\"]\n[groups.gone]\nrunner = \"exec\"\nfiles = [\"gone/*.sh\"]\n"
    ))
    .file("a", "");
    project
        .run(&["-k", "a"])
        .exits(4)
        .says("no file matches gone/*.sh");
    project
        .run(&["u"])
        .exits(0)
        .says("warning: group gone: no file matches gone/*.sh");
}

/// What pytest would list is not known where its process has left in between.
#[test]
fn a_listing_that_leaves_early_is_an_error() {
    let Some(python) = python() else { return };
    let manifest = format!(
        "[groups.p]\nrunner = \"pytest\"\nsession = \"cold\"\nwith = {{ python = {python:?} }}\n{}",
        format_args!("[groups.u]\n{TRUE}items = [\"a\"]\n")
    );
    let project = Project::with(&manifest)
        .file("test_a.py", "def test_a():\n    assert False\n")
        .file("test_b.py", "import os\nos._exit(0)\n");
    for arguments in [&[][..], &["-k", "a"], &["-m", "not slow"]] {
        let ran = project.run(arguments).exits(1);
        ran.says("its process left before all tests were listed, with exit code 0");
    }
    let ran = project.orchestrate(&["check"]).exits(1);
    assert!(
        !ran.stderr.contains("belongs to no group"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_command_that_names_items_needs_some() {
    let project = Project::with("[groups.u]\ncommand = [\"echo\", \"<items>\"]\n");
    let ran = project.run(&[]).exits(2);
    ran.says("the command names items, and there are none");
}

#[test]
fn a_report_does_not_replace_a_file_that_is_none() {
    let project = Project::with("[groups.u]\ncommand = [\"true\"]\n").file("a.js", "let a;\n");
    for report in ["junit=a.js", "jsonl=a.js", "jsonl=fastest.toml"] {
        let ran = project.orchestrate(&["run", "--report", report]).exits(2);
        ran.says("the file exists and is not a ")
            .says("choose another path");
    }
    assert_eq!(project.read("a.js"), "let a;\n");
    assert!(project.read("fastest.toml").starts_with("[groups.u]"));
    for _ in 0..2 {
        let reports = [
            "run",
            "--report",
            "junit=j.xml",
            "--report",
            "jsonl=e.jsonl",
        ];
        project.orchestrate(&reports).exits(0);
    }
}

#[test]
fn a_folder_with_a_manifest_of_its_own_is_named() {
    let inner = "[groups.i]\ncommand = [\"true\"]\n";
    let project = Project::new()
        .script("tests/a.sh", "exit 0")
        .file("inner/fastest.toml", inner);
    let said = "inner has a fastest.toml of its own: its tests run only there";
    project.run(&[]).exits(0).says(said);
    let project = project.file("fastest.toml", "[groups.u]\ncommand = [\"true\"]\n");
    project.run(&[]).exits(0).says(said);
    project.orchestrate(&["check"]).exits(0).says(said);
}

#[test]
fn test_files_of_kinds_that_no_group_runs_are_named() {
    let project = Project::with("[groups.u]\nrunner = \"exec\"\nfiles = [\"a/*.sh\"]\n")
        .script("a/a.sh", "exit 0")
        .file("b/x.bats", "@test \"x\" { true; }\n")
        .file("go/x_test.go", "package x\nfunc TestX(t *testing.T) {}\n");
    let ran = project.run(&[]).exits(0);
    ran.says("2 test files belong to no group: b/x.bats, go/x_test.go");
}

#[test]
fn keys_that_say_nothing_are_errors() {
    for (table, said) in [
        ("runner = \"exec\"\nfiles = []\n", "`files` is empty"),
        (
            "runner = \"exec\"\nfiles = [\"a.sh\"]\n[[groups.u.overrides]]\nmatch = [\"a.sh\"]\n",
            "the override sets nothing",
        ),
        (
            "runner = \"exec\"\nfiles = [\"a.sh\", \"!b.sh\"]\n",
            "a pattern can't be negated by `!`: leave files and tests out with `exclude`",
        ),
        (
            "runner = \"exec\"\nfiles = [\"*.{sh,bash}\"]\n",
            "alternatives in `{…}` are not known: write one pattern for each",
        ),
        ("command = [\"true\"]\ncwd = \"x\"\n", "did you mean `dir`?"),
        (
            "command = [\"true\"]\nreruns = 2\n",
            "did you mean `retries`?",
        ),
        (
            "command = [\"true\"]\nrequires = [\"x\"]\n",
            "did you mean `needs`?",
        ),
    ] {
        let project = Project::with(&format!("[groups.u]\n{table}")).script("a.sh", "exit 0");
        project.orchestrate(&["check"]).exits(2).says(said);
    }
}

#[test]
fn options_and_operators_of_other_tools_are_explained() {
    let project = Project::with("[groups.u]\ncommand = [\"true\"]\n");
    for (arguments, said) in [
        (&["-n", "-1"][..], "expected a whole number"),
        (&["--repeat", "-1"], "-1 is not in 1..=1000000"),
        (&["-E", "test(a)"], "`-k EXPR` selects tests"),
        (&["-p", "no:cov"], "options of a runner go into its group"),
        (&["--no-fail-fast"], "all tests run by default"),
        (&["--watch"], "there is no option `--watch`"),
        (&["-k", "!slow"], "write `not slow`"),
        (&["-k", "a && b"], "write `and`"),
        (&["--no-needs"], "--group"),
    ] {
        let ran = project.run(arguments).exits(2).says(said);
        assert!(!ran.stderr.contains("-- -"), "{}", ran.stderr);
    }
}

#[test]
fn a_commit_as_a_word_of_its_own_is_explained() {
    let project = Project::with("[groups.u]\ncommand = [\"true\"]\n");
    project
        .shell("git init -q . && git -c user.name=a -c user.email=a@b commit -q --allow-empty -m a")
        .exits(0);
    let ran = project.run(&["--changed", "main"]).exits(2);
    ran.says("a commit is written as in --changed=main");
}

#[test]
fn a_variable_that_is_nearly_ours_is_a_warning() {
    let project = Project::with("[groups.u]\ncommand = [\"true\"]\n").env("FASTEST_WORKER", "1");
    let ran = project.run(&[]).exits(0);
    ran.says(
        "warning: the variable FASTEST_WORKER has no meaning here; did you mean `FASTEST_WORKERS`?",
    );
}

#[test]
fn a_resource_that_all_workers_would_share_is_a_warning() {
    let manifest = "[groups.u]\ncommand = [\"true\"]\nresources = { database = \"db_{pid}\" }\n";
    let project = Project::with(manifest);
    let said = "group u: the resource `database` is the same for all workers: `<pid>`";
    project.orchestrate(&["check"]).exits(0).says(said);
    project.run(&[]).exits(0).says(said);
    let project = project.file("fastest.toml", &manifest.replace("{pid}", "<pid>"));
    let ran = project.orchestrate(&["check"]).exits(0);
    assert_eq!(ran.stderr, "");
}

/// A failed test is printed relative to the root, and pasted wherever its reader stands.
#[test]
fn a_path_as_it_is_printed_selects_from_any_folder() {
    let project = Project::with("[groups.u]\nrunner = \"exec\"\nfiles = [\"tests/*.sh\"]\n")
        .script("tests/a.sh", "exit 0")
        .script("tests/b.sh", "exit 0")
        .at("tests");
    project.run(&["tests/a.sh"]).exits(0).says("1 passed");
    project.run(&["b.sh"]).exits(0).says("1 passed");
}

#[test]
fn a_path_of_a_group_that_is_left_out_is_said_to_be_one() {
    let project = Project::with(&format!(
        "[groups.u]\nrunner = \"exec\"\nfiles = [\"tests/*.sh\"]\n[groups.v]\n{TRUE}items = [\"a\"]\n"
    ))
    .script("tests/a.sh", "exit 0");
    let ran = project.run(&["-g", "v", "tests/a.sh"]).exits(4);
    ran.says("none of the groups that are asked for has a test in tests/a.sh");
}

#[test]
fn programs_that_can_not_start_are_explained() {
    let project = Project::with("[groups.u]\ncommand = [\"echo hello\"]\n");
    project
        .run(&[])
        .exits(1)
        .says("an array is a program and its arguments, one word each");
    let project = Project::with("[groups.u]\ncommand = [\"./a.sh\"]\n")
        .program("a.sh", "#!/bin/sh\r\nexit 0\r\n");
    project
        .run(&[])
        .exits(1)
        .says("its first line ends with a carriage return");
}

#[test]
fn a_link_to_nothing_is_a_warning() {
    let project = Project::with("[groups.u]\nrunner = \"exec\"\nfiles = [\"tests/*.sh\"]\n")
        .script("tests/a.sh", "exit 0");
    std::os::unix::fs::symlink("gone.sh", project.path().join("tests/b.sh")).unwrap();
    let ran = project.run(&[]).exits(0);
    ran.says("the link tests/b.sh leads to nothing, so it is no test");
}

#[test]
fn a_file_of_python_that_can_not_be_read_is_told_by_its_error() {
    let Some(python) = python() else { return };
    let manifest = format!("[groups.p]\nrunner = \"pytest\"\nwith = {{ python = {python:?} }}\n");
    let project = Project::with(&manifest)
        .file("test_a.py", "def test_a(:\n")
        .file("test_b.py", "def test_b(): pass\n")
        .file("test_c.py", "import nosuchmodule\n");
    let ran = project.orchestrate(&["check"]).exits(0);
    ran.says("can't be listed: SyntaxError: invalid syntax (File \"")
        .says("can't be listed: ModuleNotFoundError: No module named 'nosuchmodule'")
        .says("no problems but for 2 that can't be listed");
}
