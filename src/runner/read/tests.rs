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
        run: CommandTemplate::Words(Vec::new()),
        results,
        skip_exit: vec![77],
        start_cost: Duration::ZERO,
        settings: Vec::new(),
        env: Vec::new(),
    }
}

fn ended(status: Status, report: &str) -> Ended {
    Ended {
        status,
        duration: Duration::from_secs(1),
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
    for format in [
        ResultFormat::Events,
        ResultFormat::Junit,
        ResultFormat::Libtest,
    ] {
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
    assert_eq!(judged.warnings.len(), 1);
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
        report in "(<testcase name='[ab]'|/>|</testcase>|<failure|>|\\{\"event\":\"(started|finished)\"|,\"id\":\"[ab]\"|\\}|\n|ok [ab]|failed|ignored: [ab]|&[a-z]{0,3};|.){0,40}",
        code in 0_i32..3,
    ) {
        for format in [ResultFormat::Exit, ResultFormat::Events, ResultFormat::Junit, ResultFormat::Libtest] {
            let judged = judge(&runner(format), Path::new("/root"),  &items(&["a", "b"]), None, &ended(Status::Exit(code), &report));
            for (index, verdict) in judged.verdicts.iter().enumerate() {
                prop_assert!(verdict.is_some() != judged.again.iter().flatten().any(|again| *again == index));
            }
        }
    }
}
