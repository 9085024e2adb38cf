//! Patterns of the manifest that choose tests, and files: nothing that is written there silently does nothing.

use std::fs;
use std::os::unix::fs::symlink;

use crate::support::{Project, python};

/// A group over the items `alpha`, `beta` and `x[a]`, with more keys.
fn items(more: &str) -> Project {
    Project::with(&format!(
        "[groups.u]\ncommand = [\"true\", \"<items>\"]\nitems = [\"alpha\", \"beta\", \"x[a]\", \"xa\"]\n{more}"
    ))
}

#[test]
fn a_pattern_that_chooses_no_test_is_an_error_with_its_place() {
    let project = items(
        "serial = [\"gamma\", \"alph\"]\n[[groups.u.overrides]]\nmatch = [\"delta*\", \"tag:slow\"]\ntimeout = \"1s\"\n",
    );
    for arguments in [&["run"][..], &["run", "alpha"], &["check"]] {
        let ran = project.orchestrate(arguments).exits(2);
        let ran = ran
            .says("error: \"gamma\" matches no test\n --> fastest.toml:4:11")
            .says("error: \"alph\" matches no test")
            .says("did you mean \"alpha\"?")
            .says("error: \"delta*\" matches no test\n --> fastest.toml:6:10")
            .says("error: \"tag:slow\" matches no test")
            .says("4 problems in fastest.toml");
        assert!(!ran.stdout.contains("ok:"), "{}", ran.stdout);
    }
    // Who looks for the right names is told of it, and sees them.
    let ran = project.orchestrate(&["list"]).exits(0);
    let ran = ran.says("warning: line 4 of the manifest: \"gamma\" matches no test");
    assert_eq!(ran.stdout, "u::alpha\nu::beta\nu::x[a]\nu::xa\n");
    project.orchestrate(&["check", "--no-list"]).exits(0);
}

#[test]
fn a_default_is_for_the_groups_that_have_such_a_test() {
    let project = Project::with(
        "[defaults]\nserial = [\"alpha\"]\n[groups.a]\ncommand = [\"true\", \"<items>\"]\nitems = [\"alpha\"]\n\
         [groups.b]\ncommand = [\"true\", \"<items>\"]\nitems = [\"beta\"]\n",
    );
    project.orchestrate(&["check"]).exits(0);
    // The group that it is for may be one of those that are not listed.
    project.run(&["-g", "b"]).exits(0);
    let manifest = project
        .read("fastest.toml")
        .replace("serial = [\"alpha\"]", "serial = [\"gone\"]");
    let project = project.file("fastest.toml", &manifest);
    project.run(&[]).exits(2).says("\"gone\" matches no test");
}

#[test]
fn what_cannot_be_listed_may_hold_the_test() {
    let project = Project::with(
        "[runners.mine]\nlist = [\"false\"]\nrun = [\"true\", \"<items>\"]\n[groups.g]\nrunner = \"mine\"\nserial = [\"x\"]\n",
    );
    let ran = project.run(&[]).exits(1);
    assert_eq!(ran.outcomes(), ["g errored"]);
    project
        .orchestrate(&["check"])
        .exits(1)
        .says("error: group g can't be listed");
}

#[test]
fn an_id_is_taken_as_it_is_printed() {
    for written in ["u::x[a]", "x[a]"] {
        let more =
            format!("[[groups.u.overrides]]\nmatch = [{written:?}]\nexpect = {{ exit = 3 }}\n");
        let ran = items(&more).run(&[]).exits(0);
        // `x[a]` is also a pattern, which would match `xa`.
        assert_eq!(
            ran.outcomes(),
            [
                "u::alpha passed",
                "u::beta passed",
                "u::x[a] xpassed",
                "u::xa passed"
            ]
        );
    }
    let ran =
        items("[[groups.u.overrides]]\nmatch = [\"x[b]\", \"x[!b]\"]\nexpect = { exit = 3 }\n");
    ran.run(&[]).exits(2).says("\"x[b]\" matches no test");
}

#[test]
fn tests_that_are_serial_by_their_printed_ids_do_not_overlap() {
    let script = "mkdir busy || exit 1; sleep 0.05; rmdir busy";
    let mut project = Project::with(
        "[groups.u]\nrunner = \"exec\"\nfiles = [\"t/*.sh\"]\nworkers = 4\nserial = [\"u::t/1.sh\", \"u::t/2.sh\", \"t/3.sh\"]\n",
    );
    for name in 1..=3 {
        project = project.script(&format!("t/{name}.sh"), script);
    }
    for _ in 0..3 {
        project.run(&["-n", "4"]).exits(0).says("3 passed");
    }
}

#[test]
fn exclude_takes_ids_patterns_and_tags() {
    for (written, left) in [
        ("u::alpha", "u::beta\nu::x[a]\nu::xa\n"),
        ("beta", "u::alpha\nu::x[a]\nu::xa\n"),
        ("x[a]", "u::alpha\nu::beta\nu::xa\n"),
        ("*a", "u::x[a]\n"),
        ("u::x*", "u::alpha\nu::beta\n"),
    ] {
        let project = items(&format!("exclude = [{written:?}]\n"));
        let ran = project.orchestrate(&["list"]).exits(0);
        assert_eq!(ran.stdout, left, "{written}");
        let ran = project.orchestrate(&["check"]).exits(0);
        assert_eq!(ran.stderr, "", "{written}");
    }
    items("exclude = [\"*\"]\n")
        .run(&[])
        .exits(4)
        .says("group u: `exclude` leaves out all of its tests");
    // It may guard against what is not there.
    let project = items("exclude = [\"gone*\", \"alphaa\"]\n");
    project.run(&[]).exits(0).says("4 passed");
    project
        .orchestrate(&["check"])
        .exits(0)
        .says("warning: fastest.toml:4: \"gone*\" of `exclude` leaves out nothing")
        .says("\"alphaa\" of `exclude` leaves out nothing (did you mean \"alpha\"?)");
}

#[test]
fn exclude_leaves_out_tests_of_pytest_by_id_file_and_marker() {
    let Some(python) = python() else { return };
    let with = |exclude: &str| {
        Project::with(&format!(
            "[groups.u]\nrunner = \"pytest\"\nwith = {{ python = {python:?} }}\nexclude = [{exclude}]\n"
        ))
        .file("pytest.ini", "[pytest]\nmarkers = slow\n")
        .file("tests/test_a.py", "import pytest\n@pytest.mark.slow\ndef test_a(): pass\n@pytest.mark.parametrize('x', [1, 2])\ndef test_b(x): pass\n")
        .file("tests/test_c.py", "def test_c(): assert 0\n")
    };
    for (exclude, left) in [
        (
            "\"tag:slow\", \"tests/test_c.py\"",
            "u::tests/test_a.py::test_b[1]\nu::tests/test_a.py::test_b[2]\n",
        ),
        (
            "\"u::tests/test_a.py::test_b[1]\", \"**/test_c.py\"",
            "u::tests/test_a.py::test_a\nu::tests/test_a.py::test_b[2]\n",
        ),
        (
            "\"tests/test_a.py::test_b\", \"u::tests/test_c.py\"",
            "u::tests/test_a.py::test_a\n",
        ),
    ] {
        let project = with(exclude);
        assert_eq!(
            project.orchestrate(&["list"]).exits(0).stdout,
            left,
            "{exclude}"
        );
        let ran = project.run(&[]).exits(0);
        assert_eq!(ran.outcomes().len(), left.lines().count(), "{exclude}");
        assert_eq!(
            project.orchestrate(&["check"]).exits(0).stderr,
            "",
            "{exclude}"
        );
    }
}

#[test]
fn a_folder_is_not_a_pattern_and_the_hint_says_what_is() {
    Project::with("[groups.u]\nrunner = \"exec\"\nfiles = [\"t/**/*.sh\"]\nserial = [\"t/db/\"]\nexclude = [\"t/db\"]\n")
        .script("t/db/a.sh", "true")
        .orchestrate(&["check"])
        .exits(2)
        .says("a folder is no pattern: write \"t/db/**\"");
}

#[test]
fn a_pattern_of_files_that_matches_nothing_is_a_warning_beside_others() {
    let project =
        Project::with("[groups.u]\nrunner = \"exec\"\nfiles = [\"t/*.sh\", \"tets/*.sh\"]\n")
            .script("t/a.sh", "true");
    for arguments in [&["run"][..], &["check"]] {
        project
            .orchestrate(arguments)
            .exits(0)
            .says("group u: no file matches \"tets/*.sh\" of `files`");
    }
    let project = Project::with("[groups.u]\nrunner = \"exec\"\nfiles = [\"tets/*.sh\"]\n");
    project
        .run(&[])
        .exits(4)
        .says("group u: no file matches tets/*.sh");
    project
        .orchestrate(&["check"])
        .exits(2)
        .says("group u: no file matches tets/*.sh");
}

#[test]
fn a_star_does_not_match_a_leading_dot() {
    let project = Project::with("[groups.u]\nrunner = \"exec\"\nfiles = [\"tests/*.sh\"]\n")
        .script("tests/a.sh", "true")
        .script("tests/._a.sh", "false")
        .script("tests/.#b.sh", "false");
    assert_eq!(
        project.orchestrate(&["list"]).exits(0).stdout,
        "u::tests/a.sh\n"
    );
    let project = project.file(
        "fastest.toml",
        "[groups.u]\nrunner = \"exec\"\nfiles = [\"tests/.*.sh\"]\n",
    );
    let list = project.orchestrate(&["list"]).exits(0).stdout;
    assert_eq!(list, "u::tests/.#b.sh\nu::tests/._a.sh\n");
}

#[test]
fn a_link_that_is_not_followed_is_reported() {
    let project = Project::with("[groups.u]\nrunner = \"exec\"\nfiles = [\"tests/**/*.sh\"]\n")
        .script("tests/a.sh", "true")
        .script("shared/b.sh", "false");
    symlink("../shared", project.path().join("tests/common")).unwrap();
    for arguments in [&["run"][..], &["check"], &["list"]] {
        project
            .orchestrate(arguments)
            .exits(0)
            .says("the link tests/common to a folder is not followed")
            .says("add \"tests/common/**\" to `files`, or to `exclude`");
    }
    for (more, code, tests) in [
        ("files = [\"tests/**/*.sh\", \"tests/common/**\"]\n", 1, 2),
        (
            "files = [\"tests/**/*.sh\"]\nexclude = [\"tests/common/**\"]\n",
            0,
            1,
        ),
    ] {
        fs::write(
            project.path().join("fastest.toml"),
            format!("[groups.u]\nrunner = \"exec\"\n{more}"),
        )
        .unwrap();
        let ran = project.run(&[]).exits(code);
        assert_eq!(ran.outcomes().len(), tests);
        assert!(!ran.stderr.contains("link") && ran.events_of("warning").is_empty());
    }
}

#[test]
fn a_test_file_that_belongs_to_no_group_is_named() {
    let project = Project::with(
        "[runners.mine]\nrun = [\"true\", \"<items>\"]\n[groups.u]\nrunner = \"exec\"\nfiles = [\"tests/unit/*.sh\"]\n",
    )
    .script("tests/unit/a.sh", "true")
    .script("tests/unit/test_c.sh", "true")
    .script("tests/new/test_b.sh", "false")
    .file("tests/new/test_new.py", "def test_b(): assert 0\n")
    .file("tests/new/test_helper.py", "x = 1\n")
    .file("tests/fixtures/test_x.py", "def test_b(): assert 0\n")
    .file("node_modules/x/a.test.js", "test('x')\n")
    .file("venv/pyvenv.cfg", "")
    .file("venv/test_x.py", "def test_b(): assert 0\n");
    let note = "note: 2 test files belong to no group: tests/new/test_b.sh, tests/new/test_new.py";
    project.run(&[]).exits(0).says(note);
    project.orchestrate(&["check"]).exits(0).says(note);
    // A part of the run is not asked for everything.
    for arguments in [
        &["-g", "u"][..],
        &["tests/unit/a.sh"],
        &["-k", "a"],
        &["-q"],
    ] {
        let ran = project.run(arguments).exits(0);
        assert!(!ran.stderr.contains("no group"), "{}", ran.stderr);
    }
    project
        .run(&["tests/new"])
        .exits(4)
        .says("no group has a test in tests/new");
    project
        .run(&["tests/unit", "tests/new"])
        .exits(0)
        .says("warning: no group has a test in tests/new");
    let manifest = project.read("fastest.toml") + "exclude = [\"tests/new/**\"]\n";
    let project = project.file("fastest.toml", &manifest);
    let ran = project.run(&[]).exits(0);
    assert!(!ran.stderr.contains("no group"), "{}", ran.stderr);
}

#[test]
fn a_command_may_run_tests_of_the_kinds_that_no_group_is_there_for() {
    let project = Project::with("[groups.make]\ncommand = [\"true\"]\n")
        .file("tests/test_new.py", "def test_b(): assert 0\n")
        .script("tests/test_b.sh", "false");
    let ran = project.run(&[]).exits(0);
    assert!(!ran.stderr.contains("no group"), "{}", ran.stderr);
    let manifest =
        project.read("fastest.toml") + "[groups.u]\nrunner = \"exec\"\nfiles = [\"a.sh\"]\n";
    let project = project
        .file("fastest.toml", &manifest)
        .script("a.sh", "true");
    project
        .run(&[])
        .exits(0)
        .says("note: 1 test file belongs to no group: tests/test_b.sh");
}

#[test]
fn a_group_runs_with_the_groups_that_it_needs() {
    let project = Project::with(
        "[groups.a]\ncommand = \"echo built >built.txt\"\n[groups.b]\ncommand = \"test -e built.txt\"\nneeds = [\"a\"]\n\
         [groups.c]\ncommand = [\"true\"]\nneeds = [\"b\"]\n[groups.d]\ncommand = [\"true\"]\n",
    );
    let ran = project
        .run(&["--group", "c"])
        .exits(0)
        .says("note: group b runs too: c needs it (--no-needs leaves it out)")
        .says("note: group a runs too: b needs it");
    assert_eq!(ran.outcomes(), ["a passed", "b passed", "c passed"]);
    assert_eq!(
        project.orchestrate(&["list", "-g", "b"]).exits(0).stdout,
        "a\nb\n"
    );
    let left_out = "note: group a is not selected, though b needs it: it is taken to have passed";
    for arguments in [
        &["--group", "b", "--no-needs"][..],
        &["b"],
        &["-k", "b"],
        &["--exclude", "a", "-g", "b"],
    ] {
        let ran = project.run(arguments).exits(0).says(left_out);
        assert_eq!(ran.outcomes(), ["b passed"], "{arguments:?}");
    }
    let ran = project.run(&["-g", "d"]).exits(0);
    assert!(!ran.stderr.contains("note:"), "{}", ran.stderr);
}

#[test]
fn an_absolute_path_through_a_link_names_a_test() {
    let project = Project::new()
        .file(
            "real/fastest.toml",
            "[groups.g]\nrunner = \"exec\"\nfiles = [\"tests/*.sh\"]\n",
        )
        .script("real/tests/a.sh", "true")
        .script("real/tests/b.sh", "true");
    symlink("real", project.path().join("link")).unwrap();
    symlink("real/tests", project.path().join("tests")).unwrap();
    let path = project.path().to_owned();
    let project = project.at("link");
    for below in [
        "link/tests/a.sh",
        "tests/a.sh",
        "real/tests/a.sh",
        "link/tests/../tests/a.sh",
    ] {
        let absolute = path.join(below).display().to_string();
        let list = project.orchestrate(&["list", &absolute]).exits(0).stdout;
        assert_eq!(list, "g::tests/a.sh\n", "{below}");
    }
    project
        .orchestrate(&["list", "/usr"])
        .exits(2)
        .says("is not in the root");
}

/// A runner whose listing takes long, and says what it does.
fn building(seconds: &str) -> Project {
    Project::with(
        "[runners.mine]\nlist = [\"./build\"]\nrun = [\"true\", \"<items>\"]\n[groups.slow]\nrunner = \"mine\"\n",
    )
    .script("build", &format!("echo Compiling one >&2; sleep {seconds}; echo Compiling two >&2; sleep 0.5; echo x"))
}

#[test]
fn a_listing_that_builds_is_shown_as_plain_lines() {
    for command in ["run", "list", "plan", "check"] {
        building("3")
            .orchestrate(&[command])
            .exits(0)
            .says("listing slow: Compiling one");
    }
    let ran = building("0").run(&[]).exits(0);
    assert!(!ran.stderr.contains("Compiling"), "{}", ran.stderr);
    let ran = building("3").run(&["-q"]).exits(0);
    assert!(!ran.stderr.contains("Compiling"), "{}", ran.stderr);
}

#[test]
fn a_listing_that_builds_is_shown_on_a_terminal() {
    let script = "script -qec 'orchestrate run' typescript </dev/null >/dev/null && tr '\\r' '\\n' <typescript";
    let ran = building("2").shell(script).exits(0);
    assert!(
        ran.stdout.contains("listing slow (") && ran.stdout.contains("Compiling one"),
        "{}",
        ran.stdout
    );
    ran.says("1 passed");
}

#[test]
fn words_that_no_test_has_are_named_with_what_there_is() {
    let project = Project::with(
        "[groups.u]\ncommand = [\"true\", \"<items>\"]\nitems = [\"login\", \"logout\"]\n",
    );
    project
        .run(&["-k", "logni"])
        .exits(4)
        .says("-k: no test has \"logni\" in its name; did you mean `login`?");
    project
        .run(&["-k", "zzz and login"])
        .exits(4)
        .says("-k: no test has \"zzz\" in its name; `orchestrate list` shows all names");
    project
        .run(&["-m", "slow"])
        .exits(4)
        .says("-m: no test has the tag \"slow\"; no test has a tag");
    // Each word is one of a test, and no test has both.
    let ran = project.run(&["-k", "login and logout"]).exits(4);
    assert!(!ran.stderr.contains("-k:"), "{}", ran.stderr);
    project.run(&["--exclude", "zzz"]).exits(2).says(
        "--exclude: no test, file or folder is called \"zzz\"; `orchestrate list` shows all tests",
    );
    project.run(&["uu"]).exits(2).says("did you mean \"u\"?");
}

#[test]
fn check_names_inputs_that_match_no_file() {
    let project =
        Project::with("[groups.u]\ncommand = [\"true\"]\ninputs = [\"src/**\", \"srcc/**\"]\n")
            .file("src/a.c", "");
    let ran = project.orchestrate(&["check"]).exits(0);
    ran.says("warning: fastest.toml:3: no file matches \"srcc/**\" of `inputs`");
}

#[test]
fn a_manifest_without_groups_is_an_error() {
    let project = Project::with("[defaults]\ntimeout = \"1s\"\n");
    project
        .orchestrate(&["check"])
        .exits(2)
        .says("fastest.toml has no group, so nothing can run");
    project.run(&[]).exits(4).says("the manifest has no group");
}

#[test]
fn a_pattern_that_names_the_folder_of_its_group_again_is_explained() {
    let project =
        Project::with("[groups.u]\ndir = \"api\"\nrunner = \"exec\"\nfiles = [\"api/*.sh\"]\n")
            .file("api/a.sh", "");
    project
        .orchestrate(&["check"])
        .exits(2)
        .says("patterns are relative to `dir`: write \"*.sh\"");
}

#[test]
fn a_program_that_is_not_there_is_looked_for_in_the_folder_of_its_group() {
    let project = Project::with("[groups.u]\ndir = \"api\"\ncommand = [\"./gone.sh\"]\n")
        .file("api/run.sh", "");
    project
        .run(&[])
        .exits(1)
        .says("check the path, relative to ROOT/api");
}
