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
            "@test \"adds\" { [ $((1 + 1)) = 2 ]; }\n@test \"is wrong\" { echo said; [ 1 = 2 ]; }\n@test \"issue #3\" { skip \"no net\"; }\n\
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
            "bats::test/calc.bats::adds passed",
            "bats::test/calc.bats::cheats passed",
            "bats::test/calc.bats::is wrong failed",
            "bats::test/calc.bats::issue #3 skipped",
            "bats::test/killed.bats errored",
            "bats::test/killed.bats::first passed",
            "bats::test/leaves.bats::first passed",
            "bats::test/leaves.bats::last passed",
            "bats::test/leaves.bats::leaves failed",
        ]
    );
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
