//! Every way in which a job can end, for every result channel.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::manifest::config::CommandTemplate;
use crate::manifest::model::ListFormat;

fn runner(results: ResultFormat) -> Runner {
    Runner {
        name: "x".into(),
        list: None,
        list_format: ListFormat::Lines,
        session: None,
        session_forks: true,
        finish: None,
        run: CommandTemplate::Words(Vec::new()),
        item_separator: None,
        item_escape: None,
        select: None,
        results,
        stdout_is_report: false,
        report: None,
        holds_tests: false,
        skip_exit: vec![77],
        env_without: Vec::new(),
        start_cost: Duration::ZERO,
        settings: Vec::new(),
        env: Vec::new(),
    }
}

fn ended(status: Status, report: &str) -> Ended {
    Ended {
        status,
        duration: Duration::from_secs(2_000),
        report: Some(report.as_bytes().to_vec()),
        ..Ended::not_started(String::new())
    }
}

fn items(ids: &[&str]) -> Vec<Item> {
    ids.iter().map(|id| Item::plain((*id).into())).collect()
}

fn outcomes(
    results: ResultFormat,
    ids: &[&str],
    ended: &Ended,
) -> (Vec<Option<Outcome>>, Vec<Vec<usize>>) {
    let judged = judge(
        &runner(results),
        Path::new("/root"),
        &items(ids),
        None,
        ended,
    );
    let outcomes = judged
        .verdicts
        .into_iter()
        .map(|verdict| verdict.map(|verdict| verdict.outcome))
        .collect();
    (outcomes, judged.again)
}

use Outcome::{Crashed, Errored, Failed, Passed, Skipped, TimedOut, Xfailed};

#[test]
fn exit_codes_and_signals() {
    for (status, outcome) in [
        (Status::Exit(0), Passed),
        (Status::Exit(1), Failed),
        (Status::Exit(77), Skipped),
        (Status::Signal(11), Crashed),
        (Status::NotStarted("gone".into()), Errored),
    ] {
        let (outcomes, again) = outcomes(ResultFormat::Exit, &["a", "b"], &ended(status, ""));
        assert_eq!(outcomes, [Some(outcome), Some(outcome)]);
        assert!(again.is_empty());
    }
    let late = Ended {
        cause: Cause::Timeout,
        ..ended(Status::Exit(0), "")
    };
    assert_eq!(
        outcomes(ResultFormat::Exit, &["a"], &late).0,
        [Some(TimedOut)],
        "a timeout is one whatever the code"
    );
}

const STARTED: &str = "{\"event\":\"started\",\"id\":\"a\"}\n{\"event\":\"finished\",\"id\":\"a\",\"outcome\":\"passed\"}\n{\"event\":\"started\",\"id\":\"b\"}\n";

#[test]
fn a_crash_is_charged_to_the_test_that_ran_and_the_rest_run_again() {
    let (outcomes, again) = outcomes(
        ResultFormat::Events,
        &["a", "b", "c", "d"],
        &ended(Status::Signal(6), STARTED),
    );
    assert_eq!(outcomes, [Some(Passed), Some(Crashed), None, None]);
    assert_eq!(again, [vec![2, 3]]);
}

#[test]
fn a_process_that_ends_early_with_success_is_not_believed() {
    let (outcomes, again) = outcomes(
        ResultFormat::Events,
        &["a", "b", "c"],
        &ended(Status::Exit(0), STARTED),
    );
    assert_eq!(outcomes, [Some(Passed), Some(Errored), None]);
    assert_eq!(again, [vec![2]]);
    let nothing = ended(Status::Exit(0), "");
    for format in [ResultFormat::Events, ResultFormat::Junit] {
        assert_eq!(
            super::tests::outcomes(format, &["a", "b"], &nothing).0,
            [Some(Errored), Some(Errored)]
        );
    }
}

#[test]
fn an_exit_code_that_nobody_explains_spoils_the_last_verdict() {
    let all = format!("{STARTED}{{\"event\":\"finished\",\"id\":\"b\",\"outcome\":\"passed\"}}\n");
    let (judged, _) = outcomes(
        ResultFormat::Events,
        &["a", "b"],
        &ended(Status::Exit(3), &all),
    );
    assert_eq!(judged, [Some(Passed), Some(Errored)]);
    let (judged, _) = outcomes(
        ResultFormat::Events,
        &["a", "b"],
        &ended(Status::Signal(11), &all),
    );
    assert_eq!(judged, [Some(Passed), Some(Crashed)]);
}

/// What is said of the only item `a`.
fn said_of_a(holds: bool, ended: &Ended) -> (Outcome, String) {
    let mut runner = runner(ResultFormat::Events);
    runner.holds_tests = holds;
    let judged = judge(&runner, Path::new("/root"), &items(&["a"]), None, ended);
    let verdict = judged.verdicts[0].clone().unwrap();
    (verdict.outcome, verdict.message.unwrap_or_default())
}

#[test]
fn a_line_that_cannot_be_read_is_an_error_but_a_torn_one_of_a_process_that_died() {
    let a = "{\"event\":\"started\",\"id\":\"a\"}\n{\"event\":\"finished\",\"id\":\"a\",\"outcome\":\"passed\"}\n";
    let good = format!("{a}\n{{\"event\":\"news\",\"of\":1}}\n");
    assert_eq!(
        said_of_a(false, &ended(Status::Exit(0), &good)),
        (Passed, String::new())
    );
    for bad in [
        "{\"event\":\"finished\",\"id\":\"b\",\"outcome\":\"sad\"}",
        "{\"event\"",
        "\u{fffd}",
        "7",
    ] {
        let (outcome, message) = said_of_a(false, &ended(Status::Exit(0), &format!("{a}{bad}\n")));
        assert_eq!(outcome, Errored, "{bad}");
        let says = "passed, but line 3 of its report cannot be read: ";
        assert!(message.starts_with(says), "{message}");
    }
    let torn = format!("{a}{{\"event\"");
    let (outcome, message) = said_of_a(false, &ended(Status::Exit(0), &torn));
    assert_eq!(outcome, Errored);
    assert!(message.contains("line 3"), "{message}");
    let (outcome, message) = said_of_a(false, &ended(Status::Signal(9), &torn));
    assert_eq!(
        (outcome, message.as_str()),
        (
            Crashed,
            "passed, but then its process was killed by SIGKILL"
        )
    );
}

#[test]
fn a_failure_stays_one_with_what_is_wrong_of_its_report() {
    let report = "{\"event\":\"finished\",\"id\":\"a\",\"outcome\":\"failed\",\"message\":\"1 is 2\"}\n{\"event\":\"end\",\"results\":2}\n";
    assert_eq!(
        said_of_a(false, &ended(Status::Exit(1), report)),
        (
            Failed,
            "1 is 2; its report has 1 result, and its runner sent 2".to_owned()
        )
    );
}

#[test]
fn results_that_are_lost_are_missed_by_their_number() {
    let inside = "{\"event\":\"finished\",\"id\":\"a::x\",\"outcome\":\"passed\"}\n";
    for (report, outcome) in [
        (
            format!(
                "{inside}{inside}{{\"event\":\"finished\",\"id\":\"a\",\"outcome\":\"passed\",\"results\":2}}\n{{\"event\":\"end\",\"results\":3}}\n"
            ),
            Passed,
        ),
        (
            format!(
                "{inside}{{\"event\":\"finished\",\"id\":\"a\",\"outcome\":\"passed\",\"results\":2}}\n"
            ),
            Errored,
        ),
        (
            format!(
                "{inside}{{\"event\":\"finished\",\"id\":\"a\",\"outcome\":\"passed\",\"results\":1}}\n{{\"event\":\"end\",\"results\":3}}\n"
            ),
            Errored,
        ),
    ] {
        let said = said_of_a(true, &ended(Status::Exit(0), &report));
        assert_eq!(said.0, outcome, "{report}{}", said.1);
    }
}

#[test]
fn a_duration_is_not_negative_and_not_longer_than_the_job() {
    for (seconds, bound) in [("-61.5", 0.0), ("1e9", 2_000.0), ("0.25", 0.25)] {
        let report = format!(
            "{{\"event\":\"finished\",\"id\":\"a\",\"outcome\":\"passed\",\"seconds\":{seconds}}}\n"
        );
        let ended = ended(Status::Exit(0), &report);
        let runner = runner(ResultFormat::Events);
        let judged = judge(&runner, Path::new("/root"), &items(&["a"]), None, &ended);
        let verdict = judged.verdicts[0].as_ref().unwrap();
        assert_eq!(verdict.seconds, Some(bound));
    }
}

#[test]
fn a_test_that_ends_the_rust_harness_by_an_exit_takes_no_other_with_it() {
    let (judged, again) = outcomes(
        ResultFormat::Libtest,
        &["a", "b", "c"],
        &ended(Status::Exit(0), "ok a\n"),
    );
    assert_eq!(judged, [Some(Passed), None, None]);
    assert_eq!(again, [vec![1], vec![2]]);
    let (judged, _) = outcomes(ResultFormat::Libtest, &["b"], &ended(Status::Exit(0), ""));
    assert_eq!(judged, [Some(Errored)]);
}

#[test]
fn what_the_rust_harness_prints() {
    let text = "\nrunning 5 tests\ntest a (line 1) ... FAILED\ntest b (line 2) - compile fail ... ok\n\
        test c (line 3) ... ignored, no net\ntest d - compile ... ok\n\nfailures:\n\n---- a (line 1) stdout ----\nwhy\n\n\nfailures:\n    a (line 1)\n\n\
        test result: FAILED. 2 passed; 1 failed\n\nrunning 1 test\ntest e (line 5) - should panic ... ok\n\nall doctests ran in 1s\n";
    let ids = [
        "a (line 1)",
        "b (line 2)",
        "c (line 3)",
        "d - compile",
        "e (line 5)",
    ];
    let judged = judge(
        &runner(ResultFormat::LibtestText),
        Path::new("/root"),
        &items(&ids),
        None,
        &ended(Status::Exit(101), text),
    );
    let outcomes = judged
        .verdicts
        .iter()
        .flatten()
        .map(|verdict| verdict.outcome);
    assert_eq!(
        outcomes.collect::<Vec<_>>(),
        [Failed, Passed, Skipped, Passed, Passed]
    );
    let [failed, _, skipped, ..] = judged.verdicts.as_slice() else {
        panic!("five verdicts");
    };
    assert_eq!(
        failed.as_ref().unwrap().output.as_deref(),
        Some("why\n\n\n")
    );
    assert_eq!(skipped.as_ref().unwrap().message.as_deref(), Some("no net"));
}

#[test]
fn the_log_of_the_rust_harness() {
    let log =
        "ok t::a\nfailed src/lib.rs - x (line 4)\nignored: why not t::c\nignored t::d\nok other\n";
    let ids = ["t::a", "src/lib.rs - x (line 4)", "t::c", "t::d"];
    let (judged, _) = outcomes(ResultFormat::Libtest, &ids, &ended(Status::Exit(101), log));
    assert_eq!(
        judged,
        [Some(Passed), Some(Failed), Some(Skipped), Some(Skipped)]
    );
    let log = "failed: panic did not contain expected string\n  panic message: \"ok b\"\n expected substring: \"x\" a\n\
        failed: test did not panic as expected at src/lib.rs:4:38 b\nok c\n";
    let ids = ["a", "b", "c"];
    let (judged, _) = outcomes(ResultFormat::Libtest, &ids, &ended(Status::Exit(101), log));
    assert_eq!(judged, [Some(Failed), Some(Failed), Some(Passed)]);
    let (judged, again) = outcomes(
        ResultFormat::Libtest,
        &["a", "b", "c"],
        &ended(Status::Signal(11), "ok a\n"),
    );
    assert_eq!(judged, [Some(Passed), None, None]);
    assert_eq!(
        again,
        [vec![1], vec![2]],
        "each alone, to find which one crashed"
    );
}

#[test]
fn junit_by_id_by_pytests_names_and_by_file() {
    let xml = "<testsuites><testsuite><testcase classname='tests.a.TestX' name='test_y[a&lt;b]' time='0.5'/>\
        <testcase classname='tests.a' name='test_z'><failure message='no'>trace &amp; more</failure></testcase>\
        <testcase classname='tests.a' name='test_s'><skipped type='pytest.xfail' message='bug'/></testcase></testsuite>";
    let ids = [
        "tests/a.py::TestX::test_y[a<b]",
        "tests/a.py::test_z",
        "tests/a.py::test_s",
        "tests/a.py::gone",
    ];
    let (judged, _) = outcomes(ResultFormat::Junit, &ids, &ended(Status::Exit(1), xml));
    assert_eq!(
        judged,
        [Some(Passed), Some(Failed), Some(Xfailed), Some(Errored)]
    );
    let judged = judge(
        &runner(ResultFormat::Junit),
        Path::new("/root"),
        &items(&ids[..2]),
        None,
        &ended(Status::Exit(1), xml),
    );
    assert_eq!(
        judged.verdicts[1].as_ref().unwrap().output.as_deref(),
        Some("trace & more")
    );
    let found: Vec<_> = judged.found.iter().map(|test| test.id.as_str()).collect();
    assert_eq!(found, ["tests.a::test_s"]);
}

#[test]
fn junit_of_suites_within_suites_and_of_reruns() {
    let xml = "<testsuites><testsuite name='a.js' file='a.js'><testsuite name='adds'><testcase name='two' time='1,000.5'/>\
        <testcase name='three'><flakyFailure message='once'/></testcase></testsuite></testsuite><testsuite name='b.js' file='b.js'>\
        <testcase classname='b.js' name='x'><failure message='no'/><rerunFailure message='again'/></testcase>\
        <testcase classname='b.js' name='x'/></testsuite></testsuites>";
    let file = |name: &str| Item {
        file: Some(name.into()),
        ..Item::plain(name.into())
    };
    let holding = Runner {
        holds_tests: true,
        ..runner(ResultFormat::Junit)
    };
    let judged = judge(
        &holding,
        Path::new("/root"),
        &[file("a.js"), file("b.js"), file("c.js")],
        None,
        &ended(Status::Exit(1), xml),
    );
    let found: Vec<_> = judged
        .found
        .iter()
        .map(|test| (test.id.as_str(), test.verdict.outcome, test.item))
        .collect();
    assert_eq!(
        found,
        [
            ("a.js::adds::two", Passed, Some(0)),
            ("a.js::adds::three", Outcome::Flaky, Some(0)),
            ("b.js::x", Failed, Some(1)),
            ("b.js::x#2", Passed, Some(1)),
        ]
    );
    assert_eq!(judged.found[0].verdict.seconds, Some(1000.5));
    let own: Vec<_> = judged
        .verdicts
        .iter()
        .flatten()
        .map(|own| own.outcome)
        .collect();
    assert_eq!(own, [Passed, Passed, Errored], "c.js is not told of");
}

#[test]
fn junit_of_producers_that_write_it_in_their_own_way() {
    let cases = |xml: &str| {
        let (cases, is_whole) = super::junit::cases(xml.as_bytes());
        assert!(is_whole, "{xml}");
        let judged = cases.into_iter().map(|case| {
            let name = case.name.clone();
            let verdict = case.verdict();
            (name, verdict.outcome, verdict.message, verdict.seconds)
        });
        judged.collect::<Vec<_>>()
    };
    // A failure without a message: the first line of its text says why.
    assert_eq!(
        cases(
            "<testsuite><testcase name='a' time='0,25'><failure>\n  no &lt;1&gt;\nmore</failure></testcase></testsuite>"
        ),
        [("a".into(), Failed, Some("no <1>".into()), Some(0.25))]
    );
    // A suite that fails outside of its cases is a failure.
    assert_eq!(
        cases(
            "<testsuite name='db'><testcase name='a'/><error message='no server'/><system-out>x</system-out></testsuite>"
        ),
        [
            ("a".into(), Passed, None, None),
            ("db".into(), Errored, Some("no server".into()), None),
        ]
    );
    // A case in a case, an element for what was left out, a mark before the text.
    assert_eq!(
        cases(
            "\u{feff}<?xml version='1.0'?><testsuite><testcase name='a'><testcase name='b'><ignored/></testcase></testcase></testsuite>"
        ),
        [
            ("a".into(), Passed, None, None),
            ("b".into(), Skipped, None, None),
        ]
    );
}

#[test]
fn tests_inside_items_of_a_report_that_was_cut_off_stay_and_the_item_is_errored() {
    let xml = "<testsuite><testcase name='x'/><testcase name='y'><fail";
    let judged = judge(
        &Runner {
            holds_tests: true,
            ..runner(ResultFormat::Junit)
        },
        Path::new("/root"),
        &items(&["a.js"]),
        None,
        &ended(Status::Exit(0), xml),
    );
    let own = judged.verdicts[0].as_ref().unwrap();
    assert_eq!(own.outcome, Errored);
    assert_eq!(own.message.as_deref(), Some("its report is cut off"));
    assert_eq!(judged.found.len(), 1);
}

#[test]
fn what_nobody_listed_explains_a_bad_exit() {
    let log = "{\"event\":\"finished\",\"id\":\"a\",\"outcome\":\"passed\"}\n{\"event\":\"finished\",\"id\":\"z\",\"outcome\":\"failed\"}\n";
    let judged = judge(
        &runner(ResultFormat::Events),
        Path::new("/root"),
        &items(&["a"]),
        None,
        &ended(Status::Exit(1), log),
    );
    assert_eq!(judged.verdicts[0].as_ref().unwrap().outcome, Passed);
    assert_eq!(judged.found[0].id, "z");
    assert_eq!(judged.found[0].item, None);
}

#[test]
fn junit_that_was_cut_off_keeps_what_came_before() {
    let xml = "<testsuite><testcase name='a'/><testcase name='b'><fail";
    let (judged, _) = outcomes(
        ResultFormat::Junit,
        &["a", "b"],
        &ended(Status::Exit(0), xml),
    );
    assert_eq!(judged, [Some(Passed), Some(Errored)]);
}

proptest! {
    #[test]
    fn no_report_makes_a_reader_panic_or_lose_an_item(
        report in "(<testcase name='[ab]'|/>|</testcase>|<failure|>|\\{\"event\":\"(started|finished)\"|,\"id\":\"[ab]\"|\\}|\n|ok [ab]|failed|ignored: [ab]|&[a-z]{0,3};|1\\.\\.[0-3]|not ok|ok|=== RUN   [ab]|--- (PASS|FAIL): [ab]|\u{16}|\\{\"Action\":\"(run|pass|fail)\",\"Test\":\"[ab]\"\\}|.){0,40}",
        code in 0_i32..3,
        holds in any::<bool>(),
    ) {
        for format in [ResultFormat::Exit, ResultFormat::Events, ResultFormat::Junit, ResultFormat::Libtest, ResultFormat::LibtestText, ResultFormat::Tap, ResultFormat::Bats, ResultFormat::GoJson, ResultFormat::GoTest, ResultFormat::GtestXml, ResultFormat::Ctest] {
            let judged = judge(&Runner { holds_tests: holds, ..runner(format) }, Path::new("/root"),  &items(&["a", "b"]), None, &ended(Status::Exit(code), &report));
            for (index, verdict) in judged.verdicts.iter().enumerate() {
                prop_assert!(verdict.is_some() != judged.again.iter().flatten().any(|again| *again == index));
            }
        }
    }
}
