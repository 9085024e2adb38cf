//! Reports in every way in which a runner can give them, and the tests that only a report names.

use crate::support::Project;

/// A runner whose program writes JUnit.
const HOLDING: &str = "[runners.mine]\nrun = [\"./mine\", \"<report>\", \"<items>\"]\nresults = \"junit\"\ntests = \"reported\"\n\
    files = [\"*.t\"]\nchunk-size = 10\n[groups.g]\nrunner = \"mine\"\n";

const TWO: &str = "<testsuite><testcase file='a.t' name='x'/><testcase file='a.t' name='y'><failure message='no'/></testcase>\
    <testcase file='b.t' name='z'/></testsuite>";

#[test]
fn tests_inside_a_file_count_one_by_one() {
    let project = Project::with(HOLDING)
        .file("a.t", "")
        .file("b.t", "")
        .script("mine", &format!("echo \"{TWO}\" >$1; exit 1"));
    let ran = project.run(&["--report", "junit=out.xml"]).exits(1);
    assert_eq!(
        ran.outcomes(),
        ["g::a.t::x passed", "g::a.t::y failed", "g::b.t::z passed"]
    );
    let xml = project.read("out.xml");
    assert!(
        xml.contains("tests=\"3\"") && xml.contains("failures=\"1\""),
        "{xml}"
    );
    // A run that is told again has the same results, and the file is what runs next time.
    project
        .orchestrate(&["report"])
        .exits(1)
        .says("2 passed, 1 failed");
    let found = ran.events_of("tests-found");
    assert_eq!(found.len(), 2);
    assert_eq!(found[0]["of"], "g::a.t");
    let list = project.orchestrate(&["list"]).exits(0).stdout;
    assert_eq!(list, "g::a.t\ng::b.t\n");
}

#[test]
fn a_file_that_breaks_off_is_a_test_beside_those_that_it_told_of() {
    let project = Project::with(HOLDING).file("a.t", "").script(
        "mine",
        "echo \"<testsuite><testcase file='a.t' name='x'/>\" >$1; kill -SEGV $$",
    );
    let ran = project.run(&[]).exits(1);
    assert_eq!(ran.outcomes(), ["g::a.t crashed", "g::a.t::x passed"]);
    let project = Project::with(HOLDING).file("a.t", "").script(
        "mine",
        "echo \"<testsuite><testcase name='x'/></testsuite>\" >$1; exit 4",
    );
    let ran = project.run(&[]).exits(1).says("exited with code 4");
    assert_eq!(ran.outcomes(), ["g::a.t errored", "g::a.t::x passed"]);
}

#[test]
fn tests_inside_a_file_are_flaky_where_another_try_passes() {
    let manifest = format!("{HOLDING}retries = 1\n");
    let project = Project::with(&manifest).file("a.t", "").script(
        "mine",
        "if [ -e seen ]; then f=; else f='<failure/>'; code=1; touch seen; fi\n\
         echo \"<testsuite><testcase name='x'/><testcase name='y'>$f</testcase></testsuite>\" >$1; exit $code",
    );
    let ran = project.run(&[]).exits(0);
    assert_eq!(ran.outcomes(), ["g::a.t::x passed", "g::a.t::y flaky"]);
    assert_eq!(ran.events_of("test-retried").len(), 1);
}

#[test]
fn a_failure_that_is_expected_of_a_file_is_that_of_all_its_tests() {
    let manifest = format!("{HOLDING}expect = \"fail\"\n");
    let project = Project::with(&manifest)
        .file("a.t", "")
        .script("mine", "echo \"<testsuite><testcase name='x'/><testcase name='y'><failure/></testcase></testsuite>\" >$1; exit 1");
    assert_eq!(project.run(&[]).exits(0).outcomes(), ["g::a.t xfailed"]);
}

#[test]
fn a_test_that_was_not_listed_counts_once_and_is_warned_of() {
    let manifest = "[runners.mine]\nlist = [\"printf\", \"a\\\\nb\\\\nc\\\\n\"]\nrun = [\"./mine\", \"<report>\", \"<items>\"]\nresults = \"events\"\n\
        [groups.g]\nrunner = \"mine\"\n";
    let script = "report=$1; shift; for id in \"$@\" c z; do echo \"{\\\"event\\\":\\\"finished\\\",\\\"id\\\":\\\"$id\\\",\\\"outcome\\\":\\\"$OUTCOME\\\"}\" >>$report; done";
    let project = Project::with(manifest)
        .script("mine", script)
        .env("OUTCOME", "passed");
    // Each of three jobs reports `z`, and `c`, which is another's.
    let ran = project
        .run(&[])
        .exits(0)
        .says("warning: g::z was reported (passed), but never listed");
    assert_eq!(
        ran.outcomes(),
        ["g::a passed", "g::b passed", "g::c passed", "g::z passed"]
    );
    assert_eq!(ran.events_of("run-finished")[0]["counts"]["passed"], 4);
    assert_eq!(ran.events_of("warning").len(), 1);
    // What was listed and is not wanted is not counted.
    let ran = project.run(&["-k", "a"]).exits(0);
    assert_eq!(ran.outcomes(), ["g::a passed", "g::z passed"]);
}

/// It explains a bad exit code, so nothing else would tell of it.
#[test]
fn a_test_that_was_not_listed_and_fails_later_is_not_left_out() {
    let manifest = "[groups.g]\nrunner = \"mine\"\nfiles = [\"t/*\"]\nretries = 1\n\
        [runners.mine]\nrun = [\"./mine\", \"<report>\", \"<items>\"]\nresults = \"events\"\n";
    let script = |z: &str| {
        format!(
            "finished() {{ echo \"{{\\\"event\\\":\\\"finished\\\",\\\"id\\\":\\\"$1\\\",\\\"outcome\\\":\\\"$2\\\"}}\"; }}\n\
             {z}\n(finished t/a $a; finished z $z) >$1; [ $a$z = passedpassed ]"
        )
    };
    let project = |z: &str| {
        Project::with(manifest)
            .file("t/a", "")
            .script("mine", &script(z))
    };
    // In the second repetition.
    let ran = project("a=passed z=passed; [ -e seen ] && z=failed; touch seen")
        .run(&["--repeat", "3"])
        .exits(1)
        .says("g::z was reported (failed), but never listed");
    assert_eq!(
        ran.outcomes(),
        [
            "g::t/a passed",
            "g::t/a passed",
            "g::t/a passed",
            "g::z failed",
            "g::z failed",
            "g::z passed"
        ]
    );
    // At the second try.
    let ran = project("a=failed z=passed; [ $ORCHESTRATE_ATTEMPT = 2 ] && a=passed z=failed")
        .run(&[])
        .exits(1);
    assert_eq!(
        ran.outcomes(),
        ["g::t/a flaky", "g::z failed", "g::z passed"]
    );
}

#[test]
fn the_failure_of_a_test_that_was_not_listed_is_seen() {
    let manifest = "[runners.mine]\nlist = [\"echo\", \"a\"]\nrun = [\"./mine\", \"<report>\"]\nresults = \"events\"\n[groups.g]\nrunner = \"mine\"\n";
    let script = "echo '{\"event\":\"finished\",\"id\":\"a\",\"outcome\":\"passed\"}\n{\"event\":\"finished\",\"id\":\"z\",\"outcome\":\"failed\",\"message\":\"why\"}' >$1";
    let ran = Project::with(manifest).script("mine", script).run(&[]);
    let ran = ran.exits(1).says("why");
    assert_eq!(ran.outcomes(), ["g::a passed", "g::z failed"]);
}

#[test]
fn standard_output_is_the_report_where_a_runner_says_so() {
    let manifest = "[groups.g]\nrunner = \"mine\"\nfiles = [\"*.t\"]\n\
        [runners.mine]\nrun = [\"<items>\"]\nresults = \"tap\"\nstdout = \"report\"\nchunk-size = 1\n";
    let project = Project::with(manifest)
        .script(
            "bad.t",
            "echo 1..2; echo ok 1; echo not ok 2 - sum; echo 'got 3' >&2; exit 1",
        )
        .script("forged.t", "echo 1..1; echo ok 1; echo ok 2")
        .script("good.t", "echo 1..1; echo ok 1")
        .script("killed.t", "echo 1..2; echo ok 1; kill -KILL $$")
        .script("lying.t", "echo 1..1; echo ok 1; exit 7")
        .script("skip.t", "echo '1..0 # SKIP no net'");
    let expected = [
        "g::bad.t failed",
        "g::forged.t errored",
        "g::good.t passed",
        "g::killed.t crashed",
        "g::lying.t errored",
        "g::skip.t skipped",
    ];
    let ran = project
        .run(&[])
        .exits(1)
        .says("not ok 2 - sum")
        .says("got 3");
    assert_eq!(ran.outcomes(), expected);
    // What is a result is not passed on either.
    let ran = project.run(&["--no-capture"]).exits(1).says("got 3");
    assert_eq!(ran.outcomes(), expected);
}

#[test]
fn a_report_may_be_where_the_tool_writes_it_and_may_be_a_folder() {
    let manifest = "[runners.mine]\nrun = [\"./mine\", \"<tmp>\"]\nresults = \"junit\"\nreport = \"<tmp>/xml\"\ntests = \"reported\"\n\
        files = [\"*.t\"]\n[groups.g]\nrunner = \"mine\"\n";
    let script = "mkdir $1/xml; echo \"<?xml version='1.0'?><testsuite><testcase name='x'/></testsuite>\" >$1/xml/1.xml\n\
        [ \"$ORCHESTRATE_REPORT\" = \"$1/xml\" ] || exit 3\n\
        echo \"<?xml version='1.0'?><testsuite><testcase name='y'/></testsuite>\" >$1/xml/2.xml; echo '<' >$1/xml/other";
    let ran = Project::with(manifest)
        .file("a.t", "")
        .script("mine", script);
    assert_eq!(
        ran.run(&[]).exits(0).outcomes(),
        ["g::a.t::x passed", "g::a.t::y passed"]
    );
}

#[test]
fn items_are_one_argument_where_the_tool_takes_a_pattern() {
    let manifest = "[runners.mine]\nlist = [\"printf\", \"a.b\\\\nc\\\\n\"]\nrun = [\"./mine\", \"--only=^(<items>)$\"]\nresults = \"exit\"\n\
        item-separator = \"|\"\nitem-escape = \"regex\"\nchunk-size = 2\nchunk-by = \"any\"\n[groups.g]\nrunner = \"mine\"\n";
    let project = Project::with(manifest).script("mine", "[ \"$#,$1\" = '1,--only=^(a\\.b|c)$' ]");
    assert_eq!(
        project.run(&[]).exits(0).outcomes(),
        ["g::a.b passed", "g::c passed"]
    );
}

#[test]
fn a_program_may_list_its_own_tests() {
    let manifest = "[runners.mine]\nlist = [\"<program>\", \"--list\"]\nrun = [\"<program>\", \"<items>\"]\nresults = \"exit\"\n\
        [groups.g]\nrunner = \"mine\"\nfiles = [\"bin/*\"]\n";
    let body = "if [ $1 = --list ]; then echo one; echo two; else [ $1 = one ]; fi";
    let project = Project::with(manifest)
        .script("bin/a", body)
        .script("bin/broken", "exit 3");
    assert_eq!(
        project.run(&[]).exits(1).outcomes(),
        [
            "g::bin/a::one passed",
            "g::bin/a::two failed",
            "g::bin/broken errored"
        ]
    );
}

#[test]
fn keys_of_a_runner_that_would_do_nothing_are_errors() {
    for (keys, says) in [
        (
            "stdout = \"report\"",
            "results are the exit code, so there is no report",
        ),
        (
            "report = \"<tmp>/x\"",
            "results are the exit code, so there is no report",
        ),
        (
            "tests = \"reported\"",
            "an item holds tests only where a report names them",
        ),
        ("list-format = \"gtest\"", "there is no `list`"),
        (
            "results = \"junit\"\nreport = \"out.xml\"",
            "a report is in the job's temporary folder",
        ),
        (
            "results = \"tap\"\nstdout = \"report\"\nreport = \"<tmp>/x\"",
            "standard output is the report already",
        ),
        ("results = \"tap\"\nitem-escape = \"glob\"", "does not know"),
    ] {
        let manifest = format!(
            "[runners.mine]\nrun = [\"x\"]\n{keys}\n[groups.g]\nrunner = \"mine\"\nfiles = [\"*\"]\n"
        );
        Project::with(&manifest)
            .orchestrate(&["check"])
            .exits(2)
            .says(says);
    }
}

/// It would pass in the minute that a runner has for its start.
#[test]
fn a_test_that_hangs_is_timed_out_also_where_nobody_says_when_it_began() {
    let manifest = "[runners.mine]\nrun = [\"./mine\", \"<report>\", \"<items>\"]\nresults = \"events\"\nfiles = [\"*.t\"]\nchunk-size = 10\nchunk-by = \"any\"\n\
        [groups.g]\nrunner = \"mine\"\ntimeout = \"2s\"\n";
    let script = "report=$1; shift; for id in \"$@\"; do id=${id#./}; echo \"{\\\"event\\\":\\\"started\\\",\\\"id\\\":\\\"$id\\\"}\" >>$report\n\
        [ $id != b.t ] || sleep 20\n\
        echo \"{\\\"event\\\":\\\"finished\\\",\\\"id\\\":\\\"$id\\\",\\\"outcome\\\":\\\"passed\\\"}\" >>$report; done";
    let project = Project::with(manifest)
        .file("a.t", "")
        .file("b.t", "")
        .file("c.t", "")
        .script("mine", script);
    let ran = project.run(&[]).exits(1);
    assert_eq!(
        ran.outcomes(),
        ["g::a.t passed", "g::b.t timed-out", "g::c.t passed"]
    );
}
