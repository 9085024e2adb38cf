//! Go's tests: the events of `go test -json` and `go tool test2json` (<https://pkg.go.dev/cmd/test2json>), and the text that
//! they are made from, which a test program prints by `-test.v`.
//!
//! From Go 1.20 on, `-test.v=test2json` puts a mark (byte 22) before each line of the testing package, so that nothing which a
//! test prints without meaning to is taken for one. A subtest belongs to its test: a test with one that fails has failed.

use std::collections::HashMap;

use serde::Deserialize;

use super::{Case, Told, Verdict, tail};
use crate::outcome::Outcome;
use crate::plan::Item;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Run,
    /// It waits for its turn among the parallel tests, or it goes on after that.
    Pause,
    Continue,
    Output,
    Pass,
    Fail,
    Skip,
}

/// Something that happened to a test, or to its package.
#[derive(Debug, PartialEq)]
pub struct Step {
    action: Action,
    package: String,
    /// None where it is the package's.
    test: Option<String>,
    seconds: Option<f64>,
    output: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Record {
    action: String,
    #[serde(default)]
    package: String,
    test: Option<String>,
    elapsed: Option<f64>,
    #[serde(default)]
    output: String,
}

/// The steps that a stream of events tells. What is no event is passed over: a torn last line, the words of a failed build.
pub fn json(report: &[u8]) -> Vec<Step> {
    let records = report
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<Record>(line).ok());
    let steps = records.filter_map(|record| {
        let action = match record.action.as_str() {
            "run" => Action::Run,
            "pause" => Action::Pause,
            "cont" => Action::Continue,
            "output" => Action::Output,
            "pass" => Action::Pass,
            "fail" => Action::Fail,
            "skip" => Action::Skip,
            _ => return None,
        };
        Some(Step {
            action,
            package: record.package,
            test: record.test.filter(|test| !test.is_empty()),
            seconds: record
                .elapsed
                .filter(|seconds| seconds.is_finite() && *seconds >= 0.0),
            output: record.output,
        })
    });
    steps.collect()
}

/// The mark of `-test.v=test2json`.
const MARK: char = '\u{16}';

/// The steps that a test program's own text tells.
pub fn text(report: &[u8]) -> Vec<Step> {
    let text = String::from_utf8_lossy(report);
    // Where there is one mark there are all, and a line without one is a test's.
    let is_marked = text.contains(MARK);
    let mut steps = Vec::new();
    let mut current: Option<String> = None;
    for line in text.split_inclusive('\n') {
        // A test may print without ending its line; the mark still begins one.
        let (before, framed) = match line.split_once(MARK) {
            Some((before, framed)) => (before, Some(framed)),
            None if is_marked => (line, None),
            None => {
                let (before, framed) = unmarked(line);
                (before, Some(framed))
            }
        };
        if !before.is_empty() {
            steps.push(Step::said(current.clone(), before));
        }
        let Some(framed) = framed else { continue };
        match frame(framed) {
            Some(Frame::On(name)) => current = Some(name.to_owned()),
            Some(Frame::Turn(action, name)) => {
                current = Some(name.to_owned());
                steps.push(Step::of(action, Some(name), None));
            }
            Some(Frame::Begin(name)) => {
                current = Some(name.to_owned());
                steps.push(Step::of(Action::Run, Some(name), None));
            }
            Some(Frame::End(action, name, seconds)) => {
                steps.push(Step::of(action, Some(name), seconds));
                // What follows is said of it: without marks its messages stand there.
                current = Some(name.to_owned());
            }
            Some(Frame::Over(action)) => {
                steps.push(Step::of(action, None, None));
                current = None;
            }
            None => steps.push(Step::said(current.clone(), framed)),
        }
    }
    steps
}

/// Where a line of the testing package begins in a line without marks: a test may have printed without ending its line. Then
/// only a whole `--- PASS: NAME (0.00s)` or `=== RUN   NAME` at the end of the line is taken for one.
fn unmarked(line: &str) -> (&str, &str) {
    let words = [
        "--- PASS: ",
        "--- FAIL: ",
        "--- SKIP: ",
        "=== RUN   ",
        "=== PAUSE ",
        "=== CONT  ",
    ];
    let begins = words.iter().filter_map(|word| line.rfind(word));
    let Some(at) = begins.max().filter(|at| *at > 0) else {
        return ("", line);
    };
    let (before, framed) = line.split_at(at);
    let text = framed.trim_end();
    let is_whole = if framed.starts_with("===") {
        text[10..].split(' ').count() == 1
    } else {
        let (name, seconds) = text[10..].split_once(" (").unwrap_or_default();
        !name.contains(' ')
            && seconds
                .strip_suffix("s)")
                .is_some_and(|seconds| seconds.parse::<f64>().is_ok())
    };
    if !is_whole || !framed.ends_with('\n') {
        return ("", line);
    }
    // The result of a subtest is indented.
    (before.trim_end_matches("    "), framed)
}

enum Frame<'a> {
    /// A test waits for its turn, or goes on.
    Turn(Action, &'a str),
    Begin(&'a str),
    /// What is printed now is this test's.
    On(&'a str),
    End(Action, &'a str, Option<f64>),
    /// All tests are over.
    Over(Action),
}

fn frame(line: &str) -> Option<Frame<'_>> {
    let line = line.trim_end();
    match line {
        "PASS" => return Some(Frame::Over(Action::Pass)),
        "FAIL" => return Some(Frame::Over(Action::Fail)),
        _ => {}
    }
    if let Some(rest) = line.strip_prefix("=== ") {
        let (word, name) = rest.split_once(' ')?;
        let name = name.trim();
        return match word {
            "RUN" => Some(Frame::Begin(name)),
            "NAME" => Some(Frame::On(name)),
            "PAUSE" => Some(Frame::Turn(Action::Pause, name)),
            "CONT" => Some(Frame::Turn(Action::Continue, name)),
            _ => None,
        };
    }
    // Those of subtests are indented.
    let rest = line.trim_start_matches(' ').strip_prefix("--- ")?;
    let (word, rest) = rest.split_once(": ")?;
    let action = match word {
        "PASS" => Action::Pass,
        "FAIL" => Action::Fail,
        "SKIP" => Action::Skip,
        _ => return None,
    };
    let (name, seconds) = match rest.rsplit_once(" (") {
        Some((name, seconds)) => (name, seconds.trim_end_matches(['s', ')']).parse().ok()),
        None => (rest, None),
    };
    let seconds = seconds.filter(|seconds: &f64| seconds.is_finite() && *seconds >= 0.0);
    Some(Frame::End(action, name, seconds))
}

impl Step {
    fn of(action: Action, test: Option<&str>, seconds: Option<f64>) -> Self {
        Self {
            action,
            package: String::new(),
            test: test.map(str::to_owned),
            seconds,
            output: String::new(),
        }
    }

    fn said(by: Option<String>, words: &str) -> Self {
        Self {
            test: by,
            output: words.to_owned(),
            ..Self::of(Action::Output, None, None)
        }
    }
}

/// A test at the outer level, with what its subtests said.
#[derive(Default)]
struct Account {
    outcome: Option<Outcome>,
    seconds: Option<f64>,
    output: String,
    failed: Vec<String>,
    /// Whether it waits for its turn: then it has not begun.
    is_paused: bool,
    /// Whether it runs.
    is_running: bool,
}

/// The results that steps tell.
pub fn read(steps: Vec<Step>, holds: bool, items: &[Item]) -> Told {
    let mut told = Told {
        started: Some(Vec::new()),
        ..Told::of(items)
    };
    let mut order: Vec<(String, String)> = Vec::new();
    let mut tests: HashMap<(String, String), Account> = HashMap::new();
    let mut packages: Vec<(String, Outcome)> = Vec::new();
    let mut loose = String::new();
    for step in steps {
        let outcome = match step.action {
            Action::Pass => Some(Outcome::Passed),
            Action::Fail => Some(Outcome::Failed),
            Action::Skip => Some(Outcome::Skipped),
            Action::Run | Action::Pause | Action::Continue | Action::Output => None,
        };
        let Some(test) = step.test else {
            packages.extend(outcome.map(|outcome| (step.package, outcome)));
            loose.push_str(&step.output);
            continue;
        };
        let top = test.split('/').next().unwrap_or(&test).to_owned();
        let key = (step.package, top);
        if !tests.contains_key(&key) {
            order.push(key.clone());
        }
        let account = tests.entry(key.clone()).or_default();
        account.output.push_str(&step.output);
        if test == key.1 {
            match step.action {
                Action::Run | Action::Continue => {
                    (account.is_paused, account.is_running) = (false, true);
                }
                Action::Pause => (account.is_paused, account.is_running) = (true, false),
                Action::Output => {}
                Action::Pass | Action::Fail | Action::Skip => account.is_running = false,
            }
            // With `-count`, a test has several results.
            account.outcome = worst(account.outcome, outcome);
            account.seconds = step.seconds.or(account.seconds);
        } else if outcome == Some(Outcome::Failed) {
            account.failed.push(test);
        }
    }
    let mut running = Vec::new();
    for key in &order {
        let (Some(account), Some((index, _))) = (tests.get(key), find(key, holds, items)) else {
            continue;
        };
        if let Some(started) = &mut told.started
            && !started.contains(&index)
            && (!account.is_paused || account.outcome.is_some())
        {
            started.push(index);
        }
        if account.is_running && !running.contains(&index) {
            running.push(index);
        }
    }
    told.running = running;
    for key in order {
        let Some(account) = tests.remove(&key) else {
            continue;
        };
        // One that began and did not end has no result.
        let Some(outcome) = account.outcome.filter(|_| !account.is_running) else {
            continue;
        };
        let message = match (outcome, account.failed.as_slice()) {
            (Outcome::Failed, []) | (Outcome::Skipped, _) => said(&account.output),
            (Outcome::Failed, failed) => Some(failed.join(", ")),
            _ => None,
        };
        let place = find(&key, holds, items);
        let (package, test) = key;
        let case = Case {
            name: if package.is_empty()
                || place.is_some_and(|(_, inside)| inside && items.len() > 1)
            {
                test
            } else {
                format!("{package}::{test}")
            },
            item: place.map(|(index, _)| index),
            verdict: Verdict {
                seconds: account.seconds,
                output: Some(tail(account.output)),
                ..Verdict::new(outcome, message)
            },
        };
        told.add(place.is_some_and(|(_, inside)| inside), items, case);
    }
    for (package, outcome) in packages.into_iter().filter(|_| holds) {
        let Some(index) = package_of(&package, items) else {
            continue;
        };
        let has_failed = told
            .found
            .iter()
            .any(|test| test.item == Some(index) && !test.verdict.outcome.is_success());
        let verdict = match outcome {
            // Its tests say so.
            Outcome::Failed if has_failed => Verdict::new(Outcome::Passed, None),
            Outcome::Failed => Verdict {
                output: Some(tail(loose.clone())),
                ..Verdict::new(outcome, format!("{package} failed"))
            },
            outcome => Verdict::new(outcome, None),
        };
        super::merge(&mut told.verdicts[index], verdict);
    }
    told
}

/// The worse of two results of one test: one that passed once has passed, one that failed once has failed.
fn worst(old: Option<Outcome>, new: Option<Outcome>) -> Option<Outcome> {
    let rank = |outcome: &Option<Outcome>| match outcome {
        None => 0,
        Some(Outcome::Skipped) => 1,
        Some(Outcome::Passed) => 2,
        Some(_) => 3,
    };
    if rank(&new) > rank(&old) { new } else { old }
}

/// The item that a test is, or is in.
fn find(key: &(String, String), holds: bool, items: &[Item]) -> Option<(usize, bool)> {
    let (package, test) = key;
    let full = format!("{package}::{test}");
    // The argument may be a pattern; the id says which test it is.
    let is_test = |item: &Item| {
        let name = item.id.strip_prefix(&item.module);
        *item.argument == **test || name.and_then(|name| name.strip_prefix("::")) == Some(test)
    };
    let exact = items.iter().position(|item| {
        item.id == full || ((package.is_empty() || items.len() == 1) && is_test(item))
    });
    let exact = exact.or_else(|| items.iter().position(|item| is_test(item) && !holds));
    exact.map(|index| (index, false)).or_else(|| {
        let inside = package_of(package, items).filter(|_| holds);
        inside.map(|index| (index, true))
    })
}

/// The item that a package is: `./store` is `example.org/shop/store`.
fn package_of(package: &str, items: &[Item]) -> Option<usize> {
    if items.len() == 1 {
        return Some(0);
    }
    items.iter().position(|item| {
        let id = item.id.trim_start_matches("./");
        item.id == package
            || package
                .strip_suffix(id)
                .is_some_and(|head| head.ends_with('/'))
    })
}

/// The last thing that a test said: `store_test.go:12: got 3`.
fn said(output: &str) -> Option<String> {
    let is_message = |line: &&str| {
        let place = line.split(": ").next().unwrap_or_default();
        place.contains(".go:") && !place.contains(' ')
    };
    output
        .lines()
        .map(str::trim)
        .rfind(is_message)
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(names: &[&str]) -> Vec<Item> {
        let item = |name: &&str| Item {
            argument: name.into(),
            ..Item::plain(format!("shop::{name}"))
        };
        names.iter().map(item).collect()
    }

    fn outcomes(told: &Told) -> Vec<Option<Outcome>> {
        let verdicts = told.verdicts.iter();
        verdicts
            .map(|verdict| verdict.as_ref().map(|verdict| verdict.outcome))
            .collect()
    }

    #[test]
    fn the_text_of_a_test_program_with_marks_and_without() {
        for mark in ["", "\u{16}"] {
            let text = "=== RUN   TestA\n    a_test.go:3: hello\n--- PASS: TestA (0.01s)\n=== RUN   TestB\n=== RUN   TestB/x\n\
                        \u{20}   a_test.go:7: got 3\n--- FAIL: TestB (0.00s)\n    --- FAIL: TestB/x (0.00s)\n=== RUN   TestC\n\
                        \u{20}   a_test.go:9: no net\n--- SKIP: TestC (0.00s)\n=== RUN   TestD\n";
            let mut marked = String::new();
            for line in text.split_inclusive('\n') {
                let is_frame = ["---", "==="]
                    .iter()
                    .any(|word| line.trim_start().starts_with(word));
                marked.push_str(if is_frame { mark } else { "" });
                marked.push_str(line);
            }
            let told = read(
                super::text(marked.as_bytes()),
                false,
                &items(&["TestA", "TestB", "TestC", "TestD"]),
            );
            assert_eq!(
                outcomes(&told),
                [
                    Some(Outcome::Passed),
                    Some(Outcome::Failed),
                    Some(Outcome::Skipped),
                    None
                ]
            );
            assert_eq!(told.started, Some(vec![0, 1, 2, 3]));
            let failed = told.verdicts[1].as_ref().unwrap();
            assert_eq!(failed.message.as_deref(), Some("TestB/x"));
            assert!(failed.output.as_ref().unwrap().contains("got 3"));
            assert_eq!(
                told.verdicts[2].as_ref().unwrap().message.as_deref(),
                Some("a_test.go:9: no net")
            );
        }
    }

    #[test]
    fn a_test_that_prints_without_ending_its_line_keeps_its_result() {
        let text = "=== RUN   TestA\nno end--- PASS: TestA (0.00s)\n=== RUN   TestB\nx=== RUN   TestB/y\nz        --- FAIL: TestB/y (0.00s)\n\
                    --- FAIL: TestB (0.01s)\n=== RUN   TestC\nsaid --- PASS: TestC soon\n--- SKIP: TestC (0.00s)\nPASS\n";
        let told = read(
            super::text(text.as_bytes()),
            false,
            &items(&["TestA", "TestB", "TestC"]),
        );
        assert_eq!(
            outcomes(&told),
            [
                Some(Outcome::Passed),
                Some(Outcome::Failed),
                Some(Outcome::Skipped)
            ]
        );
    }

    #[test]
    fn a_paused_test_has_not_begun_and_of_several_that_run_none_is_blamed() {
        let text = "=== RUN   TestA\n=== PAUSE TestA\n=== RUN   TestB\n=== PAUSE TestB\n=== RUN   TestC\n--- PASS: TestC (0.00s)\n";
        let names = ["TestA", "TestB", "TestC"];
        let told = read(super::text(text.as_bytes()), false, &items(&names));
        assert_eq!((told.started, told.running), (Some(vec![2]), vec![]));
        let going = format!("{text}=== CONT  TestA\n=== CONT  TestB\n");
        let told = read(super::text(going.as_bytes()), false, &items(&names));
        assert_eq!(
            (told.started, told.running),
            (Some(vec![0, 1, 2]), vec![0, 1])
        );
    }

    #[test]
    fn a_test_that_runs_several_times_fails_with_its_worst_time() {
        for (first, second, worst) in [
            ("FAIL", "PASS", Outcome::Failed),
            ("PASS", "FAIL", Outcome::Failed),
            ("SKIP", "PASS", Outcome::Passed),
        ] {
            let text = format!(
                "=== RUN   TestA\n--- {first}: TestA (0.00s)\n=== RUN   TestA\n--- {second}: TestA (0.00s)\n"
            );
            let told = read(super::text(text.as_bytes()), false, &items(&["TestA"]));
            assert_eq!(outcomes(&told), [Some(worst)]);
        }
    }

    #[test]
    fn a_forged_line_has_no_mark() {
        let text =
            "\u{16}=== RUN   TestA\n--- PASS: TestA (0.00s)\nabc\u{16}--- FAIL: TestA (0.00s)\n";
        let told = read(super::text(text.as_bytes()), false, &items(&["TestA"]));
        assert_eq!(outcomes(&told), [Some(Outcome::Failed)]);
    }

    #[test]
    fn events_of_packages_whose_tests_were_not_listed() {
        let line = |action: &str, package: &str, test: &str| {
            format!(
                "{{\"Action\":\"{action}\",\"Package\":\"m/{package}\",\"Test\":\"{test}\",\"Elapsed\":0.1}}\n"
            )
        };
        let text = line("run", "a", "TestA")
            + &line("pass", "a", "TestA")
            + &line("pass", "a", "")
            + &line("run", "b", "TestB")
            + &line("fail", "b", "TestB")
            + &line("fail", "b", "")
            + "{\"Action\":\"output\",\"Package\":\"m/c\",\"Output\":\"no build\"}\n"
            + &line("fail", "c", "");
        let packages = ["./a", "./b", "./c"].map(|name| Item::plain(name.into()));
        let told = read(json(text.as_bytes()), true, &packages);
        assert_eq!(
            outcomes(&told),
            [
                Some(Outcome::Passed),
                Some(Outcome::Passed),
                Some(Outcome::Failed)
            ]
        );
        let found: Vec<_> = told
            .found
            .iter()
            .map(|test| (test.id.as_str(), test.verdict.outcome))
            .collect();
        assert_eq!(
            found,
            [
                ("./a::TestA", Outcome::Passed),
                ("./b::TestB", Outcome::Failed)
            ]
        );
    }
}
