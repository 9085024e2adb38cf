//! Results of CTest: of a test that was started directly by its rules, of one that `ctest` ran by the JUnit file of that.
//!
//! A verdict from what a test printed is CTest's own rule here: a project states the patterns.

use std::path::Path;

use super::{Told, Verdict, junit};
use crate::outcome::Outcome;
use crate::plan::{Item, Rules};
use crate::worker::frame::{Cause, Ended, Status};

/// How ctest says that a test was skipped by its own word. What else is "not run" could not start.
const SKIPPED: [&str; 3] = [
    "SKIP_RETURN_CODE=",
    "SKIP_REGULAR_EXPRESSION_MATCHED",
    "Disabled",
];
pub fn read(report: &[u8], root: &Path, items: &[Item], ended: &Ended) -> Told {
    let launch = items.first().and_then(|item| item.launch.as_ref());
    let Some(rules) = launch.and_then(|launch| launch.rules.as_deref()) else {
        return by_ctest(report, root, items, ended);
    };
    let mut told = Told::of(items);
    if let (Status::Exit(code), Cause::Itself) = (&ended.status, ended.cause) {
        told.verdicts.fill(Some(verdict(rules, *code, report)));
    }
    told
}

/// What the JUnit file of `ctest --output-junit` says.
fn by_ctest(report: &[u8], root: &Path, items: &[Item], ended: &Ended) -> Told {
    let mut told = junit::read(report, false, root, items);
    for verdict in told.verdicts.iter_mut().flatten() {
        let message = verdict.message.clone().unwrap_or_default();
        let is_own_word = SKIPPED.iter().any(|word| message.starts_with(word));
        match verdict.outcome {
            Outcome::Skipped if !is_own_word => {
                verdict.outcome = Outcome::Errored;
                verdict.message = Some(format!("ctest did not run it: {message}"));
            }
            // Before CMake 3.29 the file does not say how a test failed.
            Outcome::Failed => verdict.outcome = told_outcome(ended),
            _ => {}
        }
    }
    told
}

/// How a test failed by the line that ctest itself printed of it, which comes before what the test printed.
fn told_outcome(ended: &Ended) -> Outcome {
    let printed = ended.output.clone().into_text();
    let line = printed.lines().find(|line| line.starts_with("1/1 Test "));
    match line {
        Some(line) if line.contains("***Timeout") => Outcome::TimedOut,
        Some(line) if line.contains("***Exception") => Outcome::Crashed,
        _ => Outcome::Failed,
    }
}

/// CTest's verdict on a process that exited (`cmCTestRunTest::EndTest`).
fn verdict(rules: &Rules, code: i32, output: &[u8]) -> Verdict {
    let output = lines(output);
    let found = |patterns: &[regex::bytes::Regex]| {
        let mut patterns = patterns.iter();
        patterns.any(|pattern| pattern.is_match(&output))
    };
    if rules.skip_exit == Some(code) {
        return Verdict::new(Outcome::Skipped, format!("SKIP_RETURN_CODE={code}"));
    }
    if found(&rules.skip) {
        let message = "SKIP_REGULAR_EXPRESSION matched its output";
        return Verdict::new(Outcome::Skipped, message.to_owned());
    }
    let (mut is_success, mut why) = (code == 0, format!("exited with code {code}"));
    if !rules.pass.is_empty() {
        is_success = found(&rules.pass);
        why = if is_success {
            "PASS_REGULAR_EXPRESSION matched its output".to_owned()
        } else {
            format!("PASS_REGULAR_EXPRESSION did not match its output; {why}")
        };
    }
    if found(&rules.fail) {
        is_success = false;
        why = format!("FAIL_REGULAR_EXPRESSION matched its output; {why}");
    }
    if is_success != rules.will_fail {
        return Verdict::new(Outcome::Passed, None);
    }
    if rules.will_fail {
        why = format!("it is to fail (WILL_FAIL), and passed: {why}");
    }
    Verdict::new(Outcome::Failed, why)
}

/// Output as ctest reads it: a NUL ends a line as well, no line has a CR at its end, and the last line has an end.
fn lines(output: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(output.len() + 1);
    let whole = output.strip_suffix(b"\n").unwrap_or(output);
    if output.is_empty() {
        return text;
    }
    for line in whole.split(|byte| matches!(byte, b'\n' | 0)) {
        let end = line.iter().rposition(|byte| *byte != b'\r');
        text.extend_from_slice(&line[..end.map_or(0, |end| end + 1)]);
        text.push(b'\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use regex::bytes::Regex;

    fn outcome(rules: &Rules, code: i32, output: &str) -> Outcome {
        verdict(rules, code, output.as_bytes()).outcome
    }

    fn of(pattern: &str) -> Vec<Regex> {
        vec![Regex::new(pattern).unwrap()]
    }

    #[test]
    fn the_rules_are_those_of_ctest() {
        use Outcome::{Failed, Passed, Skipped};
        let plain = Rules::default();
        assert_eq!(
            [outcome(&plain, 0, ""), outcome(&plain, 1, "")],
            [Passed, Failed]
        );
        let will_fail = Rules {
            will_fail: true,
            ..Rules::default()
        };
        assert_eq!(
            [outcome(&will_fail, 0, ""), outcome(&will_fail, 1, "")],
            [Failed, Passed]
        );
        // What is printed counts, and the exit code does not.
        let pass = Rules {
            pass: of("ok"),
            ..Rules::default()
        };
        assert_eq!(
            [outcome(&pass, 3, "ok"), outcome(&pass, 0, "no")],
            [Passed, Failed]
        );
        let fail = Rules {
            fail: of("bad"),
            ..Rules::default()
        };
        assert_eq!(
            [
                outcome(&fail, 0, "bad"),
                outcome(&fail, 1, "ok"),
                outcome(&fail, 0, "ok")
            ],
            [Failed, Failed, Passed]
        );
        let both = Rules {
            pass: of("ok"),
            fail: of("bad"),
            ..Rules::default()
        };
        assert_eq!(outcome(&both, 0, "ok bad"), Failed);
        let skip = Rules {
            skip: of("skip"),
            skip_exit: Some(77),
            ..Rules::default()
        };
        assert_eq!(
            [
                outcome(&skip, 77, ""),
                outcome(&skip, 1, "skip"),
                outcome(&skip, 1, "")
            ],
            [Skipped, Skipped, Failed]
        );
        let all = Rules {
            will_fail: true,
            skip_exit: Some(3),
            ..Rules::default()
        };
        assert_eq!(
            [outcome(&all, 3, ""), outcome(&all, 0, "")],
            [Skipped, Failed]
        );
    }

    #[test]
    fn output_is_read_line_by_line() {
        assert_eq!(lines(b""), b"");
        assert_eq!(lines(b"a"), b"a\n");
        assert_eq!(lines(b"a\r\r\nb\0c\n\n"), b"a\nb\nc\n\n");
    }
}
