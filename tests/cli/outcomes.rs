//! Every way in which a test can end, as a user sees it: its outcome and the exit code of the run.

use crate::support::{Project, python};

#[test]
fn every_way_in_which_a_program_can_end() {
    let ran = Project::with("[groups.g]\nrunner = \"exec\"\nfiles = [\"t/*\"]\ntimeout = \"300ms\"\ngrace = \"100ms\"\n")
        .script("t/pass", "exit 0")
        .script("t/fail", "echo why; exit 3")
        .script("t/skip", "exit 77")
        .script("t/segv", "kill -SEGV $$")
        .script("t/hang", "trap '' TERM; while :; do sleep 0.05; done")
        .script("t/name with 'quotes' $(x)", "exit 0")
        .script("t/-dash", "exit 0")
        .file("t/no-exec", "")
        .file("t/no-interpreter", "")
        .script("t/no-interpreter", "")
        .file("t/no-interpreter", "#!/nowhere/sh\n")
        .run(&[])
        .exits(1)
        .says("run `chmod +x")
        .says("the interpreter of its first line does not exist")
        .says("exited with code 3")
        .says("SIGSEGV");
    assert_eq!(
        ran.outcomes(),
        [
            "g::t/-dash passed",
            "g::t/fail failed",
            "g::t/hang timed-out",
            "g::t/name with 'quotes' $(x) passed",
            "g::t/no-exec errored",
            "g::t/no-interpreter errored",
            "g::t/pass passed",
            "g::t/segv crashed",
            "g::t/skip skipped",
        ]
    );
}

#[test]
fn a_command_that_does_not_exist() {
    let ran = Project::with("[groups.lint]\ncommand = [\"no-such-linter\"]\n")
        .run(&[])
        .exits(1);
    assert_eq!(ran.outcomes(), ["lint errored"]);
    ran.says("it is not on PATH: install it, or give its path");
}

#[test]
fn a_listing_that_fails_is_a_failure_and_not_an_empty_group() {
    let manifest = "[groups.c]\ncommand = [\"true\", \"<items>\"]\nitems = { command = [\"sh\", \"-c\", \"echo a; echo broken >&2; exit 5\"] }\n";
    let ran = Project::with(manifest)
        .run(&["-k", "a"])
        .exits(1)
        .says("broken");
    assert_eq!(ran.outcomes(), ["c errored"]);
    let ran = Project::with(
        "[groups.c]\ncommand = [\"true\", \"<items>\"]\nitems = { file = \"gone.txt\" }\n",
    )
    .run(&[]);
    assert_eq!(ran.exits(1).outcomes(), ["c errored"]);
}

#[test]
fn a_failure_that_is_expected() {
    let manifest = "[groups.g]\nrunner = \"exec\"\nfiles = [\"t/*\"]\n\
        [[groups.g.overrides]]\nmatch = [\"t/known*\"]\nexpect = \"fail\"\n\
        [[groups.g.overrides]]\nmatch = [\"t/three*\"]\nexpect = { exit = 3 }\n";
    let ran = Project::with(manifest)
        .script("t/known_bug", "exit 1")
        .script("t/known_fixed", "exit 0")
        .script("t/three", "exit 3")
        .script("t/three_but_four", "exit 4")
        .run(&[])
        .exits(1);
    assert_eq!(
        ran.outcomes(),
        [
            "g::t/known_bug xfailed",
            "g::t/known_fixed xpassed",
            "g::t/three xfailed",
            "g::t/three_but_four failed",
        ]
    );
}

#[test]
fn a_test_that_passes_at_its_second_try_is_flaky() {
    let project = Project::with("[groups.g]\nrunner = \"exec\"\nfiles = [\"t/*\"]\nretries = 2\n")
        .script("t/flaky", "[ $ORCHESTRATE_ATTEMPT -ge 2 ]")
        .script("t/never", "echo $ORCHESTRATE_ATTEMPT >> attempts; exit 1");
    let ran = project.run(&[]).exits(1);
    assert_eq!(ran.outcomes(), ["g::t/flaky flaky", "g::t/never failed"]);
    assert_eq!(ran.events_of("test-retried").len(), 3);
    assert_eq!(project.read("attempts"), "1\n2\n3\n");
}

#[test]
fn max_fail_stops_early_and_lists_what_did_not_run() {
    let manifest =
        "[run]\nmax-fail = 1\n[groups.g]\nrunner = \"exec\"\nfiles = [\"t/*\"]\nworkers = 1\n";
    let ran = Project::with(manifest)
        .script("t/a", "exit 0")
        .script("t/b", "exit 1")
        .script("t/c", "exit 0")
        .run(&[])
        .exits(1);
    assert_eq!(
        ran.outcomes(),
        ["g::t/a passed", "g::t/b failed", "g::t/c not-run"]
    );
}

#[test]
fn a_group_whose_need_failed_is_not_run() {
    let manifest = "[groups.second]\ncommand = [\"true\"]\nneeds = [\"first\"]\n[groups.first]\ncommand = [\"false\"]\n\
        [groups.third]\ncommand = [\"true\"]\nneeds = [\"second\"]\n";
    let ran = Project::with(manifest).run(&[]).exits(1);
    assert_eq!(
        ran.outcomes(),
        ["first failed", "second not-run", "third not-run"]
    );
}

#[test]
fn the_whole_run_has_a_timeout() {
    let manifest = "[run]\ntimeout = \"300ms\"\nworkers = 1\n[defaults]\ngrace = \"100ms\"\n\
        [groups.a]\ncommand = [\"sleep\", \"60\"]\n[groups.b]\ncommand = [\"true\"]\nneeds = [\"a\"]\n";
    let ran = Project::with(manifest).run(&[]).exits(1);
    assert_eq!(ran.outcomes(), ["a cancelled", "b not-run"]);
}

#[test]
fn every_way_in_which_a_python_test_can_end() {
    let Some(python) = python() else { return };
    let manifest = format!(
        "[groups.py]\nrunner = \"pytest\"\ntimeout = \"1s\"\ngrace = \"1s\"\nwith = {{ python = {python:?} }}\n"
    );
    let tests = "import os, time, pytest\n\
        def test_pass(): pass\n\
        def test_fail(): assert 1 == 2\n\
        def test_segv(): os.kill(os.getpid(), 11)\n\
        def test_after_segv(): pass\n\
        def test_exit_zero(): os._exit(0)\n\
        def test_hang(): time.sleep(60)\n\
        def test_after_hang(): pass\n\
        @pytest.mark.skip(reason='because')\ndef test_skip(): pass\n\
        @pytest.mark.xfail\ndef test_xfail(): assert 0\n\
        @pytest.mark.xfail\ndef test_xpass(): pass\n\
        @pytest.fixture\ndef broken(): raise RuntimeError('no')\n\
        def test_setup(broken): pass\n\
        @pytest.mark.parametrize('x', ['a::b', 'c[d]', '\u{e9}'])\ndef test_odd(x): pass\n";
    let ran = Project::with(&manifest)
        .file("tests/test_ends.py", tests)
        .file(
            "tests/test_import.py",
            "import no_such_module\ndef test_lost(): pass\n",
        )
        .run(&[])
        .exits(1)
        .says("No module named 'no_such_module'")
        .says("assert 1 == 2");
    let outcomes: Vec<String> = ran
        .outcomes()
        .iter()
        .map(|line| line.replace("py::tests/test_ends.py::", ""))
        .collect();
    assert_eq!(
        outcomes,
        [
            "test_after_hang passed",
            "test_after_segv passed",
            "test_exit_zero errored",
            "test_fail failed",
            "test_hang timed-out",
            "test_odd[\\xe9] passed",
            "test_odd[a::b] passed",
            "test_odd[c[d]] passed",
            "test_pass passed",
            "test_segv crashed",
            "test_setup errored",
            "test_skip skipped",
            "test_xfail xfailed",
            "test_xpass xpassed",
            "py::tests/test_import.py errored",
        ]
    );
}

#[test]
fn a_python_without_pytest_says_what_to_do() {
    let project =
        Project::with("[groups.py]\nrunner = \"pytest\"\nwith = { python = \"./python\" }\n")
            .script(
                "python",
                "echo \"$0 has no pytest: install it there\" >&2; exit 1",
            );
    let ran = project
        .run(&[])
        .exits(1)
        .says("has no pytest: install it there");
    assert_eq!(ran.outcomes(), ["py errored"]);
}

#[test]
fn a_suite_that_calls_itself_passed_but_exits_badly_is_not_believed() {
    let manifest = "[runners.mine]\nrun = [\"./mine\", \"<report>\", \"<items>\"]\nresults = \"junit\"\nchunk-size = 10\nfiles = [\"*.t\"]\n\
        [groups.g]\nrunner = \"mine\"\nchunk-by = \"any\"\n";
    let project = Project::with(manifest)
        .file("a.t", "")
        .file("b.t", "")
        .script("mine", "echo \"<testsuite><testcase file='a.t' name='x'/><testcase file='b.t' name='y'/></testsuite>\" > $1; exit 9");
    let ran = project
        .run(&[])
        .exits(1)
        .says("passed, but then its process exited with code 9");
    assert_eq!(ran.outcomes(), ["g::a.t passed", "g::b.t errored"]);
}

#[test]
fn a_forged_line_on_standard_output_is_no_result() {
    let manifest = "[runners.mine]\nrun = [\"./mine\", \"<items>\"]\nresults = \"junit\"\nfiles = [\"*.t\"]\n[groups.g]\nrunner = \"mine\"\n";
    let project = Project::with(manifest).file("a.t", "").script(
        "mine",
        "echo \"<testsuite><testcase file='a.t' name='x'/></testsuite>\"; echo 'ok 1'; exit 0",
    );
    assert_eq!(project.run(&[]).exits(1).outcomes(), ["g::a.t errored"]);
}
