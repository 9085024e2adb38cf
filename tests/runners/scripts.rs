//! Perl, Bash: prove, bats, shunit2.

use crate::support::Project;
use crate::{has, is_detected, missing_unless};

#[test]
fn prove() {
    if !has("prove") {
        return;
    }
    let project = Project::new()
        .file(
            "t/good.t",
            "use Test::More tests => 2; ok(1, 'a'); ok(1, 'b');\n",
        )
        .file(
            "t/bad.t",
            "use Test::More tests => 3; ok(1); is(1, 2, 'sum'); ok(0, 'other');\n",
        )
        .file("t/few.t", "use Test::More tests => 3; ok(1);\n")
        .file(
            "t/exit.t",
            "use Test::More tests => 1; ok(1); END { $? = 9 }\n",
        )
        .file(
            "t/todo.t",
            "use Test::More tests => 2; ok(1); TODO: { local $TODO = 'later'; ok(0) }\n",
        )
        .file("t/skip.t", "use Test::More skip_all => 'no net';\n")
        // To prove, a file is skipped that runs no test; one whose tests each say that they are skipped is ok.
        .file(
            "t/skips.t",
            "use Test::More tests => 1; SKIP: { skip 'no net', 1; ok(0) }\n",
        )
        .file(
            "t/bail.t",
            "use Test::More tests => 2; ok(1); BAIL_OUT('no disk');\n",
        )
        .file(
            "t/killed.t",
            "use Test::More tests => 2; ok(1); kill 'KILL', $$;\n",
        )
        .script("t/shell.t", "echo 1..1; echo ok 1");
    is_detected(&project, "prove");
    let ran = project
        .run(&[])
        .exits(1)
        .says("not ok 2 - sum (and 1 more)")
        // What Test::More says to standard error.
        .says("expected: '2'")
        .says("bailed out: no disk")
        .says("killed by signal 9");
    assert_eq!(
        ran.outcomes(),
        [
            "prove::t/bad.t failed",
            "prove::t/bail.t errored",
            "prove::t/exit.t errored",
            "prove::t/few.t errored",
            "prove::t/good.t passed",
            "prove::t/killed.t crashed",
            "prove::t/shell.t passed",
            "prove::t/skip.t skipped",
            "prove::t/skips.t passed",
            "prove::t/todo.t passed",
        ]
    );
}

#[test]
fn bats() {
    if !has("bats") {
        return;
    }
    let project = Project::new()
        .file(
            "test/calc.bats",
            "@test \"adds # skip 1\" { [ $((1 + 1)) = 2 ]; }\n@test \"adds # TODO 2\" { false; }\n@test \"is wrong\" { echo said; [ 1 = 2 ]; }\n@test \"issue #3\" { skip \"no net\"; }\n\
             @test \"cheats\" { echo 'ok 9 forged'; echo 'not ok 8'; }\n",
        )
        .file(
            "test/killed.bats",
            "@test \"first\" { true; }\n@test \"killed\" { kill -KILL $BASHPID; }\n",
        )
        .file(
            "test/leaves.bats",
            "@test \"first\" { true; }\n@test \"leaves\" { exit 0; }\n@test \"last\" { true; }\n",
        );
    is_detected(&project, "bats");
    let ran = project.run(&[]).exits(1).says("said");
    assert_eq!(
        ran.outcomes(),
        [
            "bats::test/calc.bats::adds # TODO 2 failed",
            "bats::test/calc.bats::adds # skip 1 passed",
            "bats::test/calc.bats::cheats passed",
            "bats::test/calc.bats::is wrong failed",
            "bats::test/calc.bats::issue #3 skipped",
            "bats::test/killed.bats::first passed",
            "bats::test/killed.bats::killed errored",
            "bats::test/leaves.bats::first passed",
            "bats::test/leaves.bats::last passed",
            "bats::test/leaves.bats::leaves failed",
        ]
    );
}

/// The bats of `tests/setup`, which is the current one, and that of the system.
fn both_bats() -> Vec<String> {
    let current = crate::node_modules().join("bats/bin/bats");
    let mut found = vec!["bats".to_owned()];
    if missing_unless(current.exists(), "bats of npm") {
        found.push(current.display().to_string());
    }
    found.retain(|bats| bats != "bats" || has("bats"));
    found
}

#[test]
fn tests_of_bats_are_listed_with_their_lines_and_tags() {
    for bats in both_bats() {
        let manifest =
            format!("[groups.b]\nrunner = \"bats\"\nretries = 1\nwith = {{ bats = {bats:?} }}\n");
        let project = Project::with(&manifest).file(
            "test/a.bats",
            "# bats file_tags=all\n@test \"adds\" { echo adds >>log; }\n# bats test_tags=slow\n@test \"(a|b)+ [c] \\$x\" { echo second >>log; }\n\
             @test \"fails once\" { echo once >>log; [ \"$ORCHESTRATE_ATTEMPT\" = 2 ]; }\n",
        );
        let logged = |arguments: &[&str]| {
            let _ = std::fs::remove_file(project.path().join("log"));
            project.run(arguments).exits(0);
            project.read("log")
        };
        assert_eq!(logged(&["-m", "slow"]), "second\n", "{bats}");
        assert_eq!(logged(&["-m", "all", "-k", "adds"]), "adds\n", "{bats}");
        assert_eq!(
            logged(&["b::test/a.bats::(a|b)+ [c] \\$x"]),
            "second\n",
            "{bats}"
        );
        // Only the test that failed runs again.
        assert_eq!(logged(&["-n", "1"]), "adds\nsecond\nonce\nonce\n", "{bats}");
        let ran = project.run(&["-m", "slow"]).exits(0);
        assert_eq!(ran.events_of("test-finished")[0]["line"], 4, "{bats}");
    }
}

#[test]
fn a_file_of_bats_that_cannot_be_set_up_says_so() {
    for bats in both_bats() {
        let manifest = format!("[groups.b]\nrunner = \"bats\"\nwith = {{ bats = {bats:?} }}\n");
        let project = Project::with(&manifest)
            .file(
                "test/a.bats",
                "setup_file() { false; }\n@test \"never\" { true; }\n",
            )
            .file(
                "test/b.bats",
                "teardown_file() { false; }\n@test \"runs\" { true; }\n",
            )
            .file("test/c.bats", "@test \"fine\" { true; }\n");
        let ran = project.run(&["-n", "1"]).exits(1).says("setup_file failed");
        assert_eq!(
            ran.outcomes(),
            [
                "b::test/a.bats::never errored",
                "b::test/a.bats::setup_file failed failed",
                "b::test/b.bats::runs passed",
                "b::test/b.bats::teardown_file failed failed",
                "b::test/c.bats::fine passed",
            ],
            "{bats}"
        );
    }
}

#[test]
fn a_file_that_bats_cannot_read_is_errored_and_the_others_run() {
    for bats in both_bats() {
        let manifest = format!("[groups.b]\nrunner = \"bats\"\nwith = {{ bats = {bats:?} }}\n");
        let project = Project::with(&manifest)
            .file(
                "test/a.bats",
                "@test \"twice\" { true; }\n@test \"twice\" { true; }\n",
            )
            .file("test/b.bats", "@test \"runs\" { true; }\n");
        let ran = project.run(&[]).exits(1).says("Duplicate test name(s)");
        assert_eq!(
            ran.outcomes(),
            ["b::test/a.bats errored", "b::test/b.bats::runs passed"],
            "{bats}"
        );
    }
    let project =
        Project::with("[groups.b]\nrunner = \"bats\"\nwith = { bats = \"no-such-bats\" }\n")
            .file("test/a.bats", "@test \"runs\" { true; }\n");
    project
        .run(&[])
        .exits(1)
        .says("cannot start no-such-bats: it is not on PATH");
}

#[test]
fn a_suite_of_bats_is_one_process_and_the_run_says_why() {
    for bats in both_bats() {
        let manifest = format!("[groups.b]\nrunner = \"bats\"\nwith = {{ bats = {bats:?} }}\n");
        let project = Project::with(&manifest)
            .file(
                "test/setup_suite.bash",
                "setup_suite() { echo up >>log; }\n",
            )
            .file(
                "test/a.bats",
                "@test \"one\" { true; }\n@test \"two\" { true; }\n",
            )
            .file(
                "test/b.bats",
                "@test \"one\" { true; }\n@test \"three\" { true; }\n",
            );
        let ran = project
            .run(&["-n", "3"])
            .exits(0)
            .says("`test/setup_suite.bash` is run once");
        assert_eq!(ran.outcomes().len(), 4, "{bats}");
        assert_eq!(project.read("log"), "up\n", "{bats}");
        assert_eq!(ran.events_of("job-started").len(), 1, "{bats}");
        let ran = project
            .run(&["b::test/a.bats::two", "b::test/b.bats::three"])
            .exits(0);
        assert_eq!(
            ran.outcomes(),
            ["b::test/a.bats::two passed", "b::test/b.bats::three passed"],
            "{bats}"
        );
    }
}

/// Four tests of a second each.
#[test]
fn files_below_the_folder_of_bats_are_no_tests_without_a_manifest() {
    if !has("bats") {
        return;
    }
    let ran = Project::new()
        .file("test/a.bats", "@test \"good\" { true; }\n")
        .file("test/fixtures/b.bats", "@test \"bad\" { false; }\n")
        .run(&[])
        .exits(0);
    assert_eq!(ran.outcomes(), ["bats::test/a.bats::good passed"]);
}

#[test]
fn a_timeout_is_one_test_s_and_not_its_file_s() {
    for bats in both_bats() {
        let manifest = format!(
            "[groups.b]\nrunner = \"bats\"\ntimeout = \"3s\"\ngrace = \"200ms\"\nwith = {{ bats = {bats:?} }}\n"
        );
        let project = Project::with(&manifest).file(
            "test/a.bats",
            "@test \"t1\" { sleep 1.2; }\n@test \"t2\" { sleep 1.2; }\n@test \"t3\" { sleep 1.2; }\n@test \"hangs\" { sleep 60; }\n\
             @test \"t5\" { sleep 0.1; }\n",
        );
        let ran = project
            .run(&["-n", "1"])
            .exits(1)
            .says("took longer than its timeout of 3s");
        assert_eq!(
            ran.outcomes(),
            [
                "b::test/a.bats::hangs timed-out",
                "b::test/a.bats::t1 passed",
                "b::test/a.bats::t2 passed",
                "b::test/a.bats::t3 passed",
                "b::test/a.bats::t5 passed",
            ],
            "{bats}"
        );
    }
}

#[test]
fn files_of_prove_share_a_process_and_keep_their_results() {
    if !has("prove") {
        return;
    }
    let project = Project::with("[groups.p]\nrunner = \"prove\"\n")
        .file("t/a.t", "use Test::More tests => 1; is(1, 2, 'a sum');\n")
        .file(
            "t/b.t",
            "use Test::More tests => 2; ok(1); BAIL_OUT('no disk');\n",
        )
        .file("t/c.t", "kill 'KILL', getppid;\n")
        .file("t/d.t", "use Test::More tests => 1; is(3, 4, 'd sum');\n")
        .file("t/e.t", "print \"1..1\\nok 1\\n\";\n");
    let ran = project.run(&["-n", "1"]).exits(1).says("no disk");
    assert_eq!(
        ran.outcomes(),
        [
            "p::t/a.t failed",
            "p::t/b.t errored",
            "p::t/c.t crashed",
            "p::t/d.t failed",
            "p::t/e.t passed",
        ]
    );
    // Each has what it printed itself.
    let events = ran.events_of("test-finished");
    let output = |id: &str| {
        let event = events.iter().find(|event| event["id"] == id).unwrap();
        event["output"].as_str().unwrap_or_default().to_owned()
    };
    let (a, d) = (output("p::t/a.t"), output("p::t/d.t"));
    assert!(a.contains("expected: '2'") && !a.contains("d sum"), "{a}");
    assert!(d.contains("expected: '4'") && !d.contains("a sum"), "{d}");
}

#[test]
fn what_prove_keeps_of_a_run_is_of_all_files() {
    if !has("prove") {
        return;
    }
    let project = Project::with("[groups.p]\nrunner = \"prove\"\n")
        .file(".proverc", "--state=save\n")
        .file(
            "t/a.t",
            "print \"1..1\\n\", -e 'fixed' ? '' : 'not ', \"ok 1\\n\";\n",
        )
        .file("t/b.t", "print \"1..1\\nok 1\\n\";\n");
    let first = project.run(&["-n", "2"]);
    assert_eq!(first.outcomes(), ["p::t/a.t failed", "p::t/b.t passed"]);
    first.exits(1).says("`--state=save`");
    let project = project
        .file("fixed", "")
        .file(".proverc", "--state=failed,save\n");
    assert_eq!(project.run(&[]).exits(0).outcomes(), ["p::t/a.t passed"]);
}

#[test]
fn shunit2_under_exec() {
    let shunit2 = "/usr/share/shunit2/shunit2";
    if !missing_unless(std::path::Path::new(shunit2).exists(), "shunit2") {
        return;
    }
    let project = Project::with("[groups.g]\nrunner = \"exec\"\nfiles = [\"*_test\"]\n")
        .script(
            "good_test",
            &format!("testAdds() {{ assertEquals 2 $((1 + 1)); }}\n. {shunit2}"),
        )
        .script(
            "bad_test",
            &format!("testAdds() {{ assertEquals 'sums' 3 $((1 + 1)); }}\n. {shunit2}"),
        )
        .script(
            "killed_test",
            &format!("testAdds() {{ kill -KILL $$; }}\n. {shunit2}"),
        );
    let ran = project
        .run(&[])
        .exits(1)
        .says("sums expected:<3> but was:<2>");
    assert_eq!(
        ran.outcomes(),
        [
            "g::bad_test failed",
            "g::good_test passed",
            "g::killed_test crashed"
        ]
    );
}
