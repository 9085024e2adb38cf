//! JUnit: a `testsuite` a group, a `testcase` a test, and one a hook that failed. Written whole, at the end.
//!
//! What a test printed stands within its `failure` or `error`, since importers show that and often nothing else; `docs/reports.md`
//! says which importer reads what.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, FixedOffset};
use indexmap::IndexMap;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestRerun, TestSuite};

use super::target::Target;
use super::{ReportError, Reporter};
use crate::event::{Event, Moment, TestFinished, repeated};
use crate::manifest::config::Hook;
use crate::outcome::Outcome;

/// See the module.
pub struct Junit {
    path: PathBuf,
    target: Target,
    /// Where the root is in its repository, from the top of which importers look for files.
    below: PathBuf,
    /// By group and repetition.
    groups: IndexMap<(String, u32), Suite>,
    /// By id and repetition.
    retried: IndexMap<(String, u32), Vec<TestFinished>>,
    /// When the run began.
    begun: Option<f64>,
    seconds: f64,
}

/// What a group has.
#[derive(Default)]
struct Suite {
    /// When the first of its tests began.
    begun: Option<f64>,
    tests: Vec<TestFinished>,
    hooks: Vec<FailedHook>,
}

/// A hook that failed: nobody's test, and a report without it would read as success.
struct FailedHook {
    hook: Hook,
    seconds: f64,
    message: String,
    output: Option<String>,
}

impl Junit {
    /// Writes to a file, or to standard output for `-`. A file that can't be written is known before a test has run. `below` is
    /// where the root is in its repository.
    ///
    /// # Errors
    /// It can't be written.
    pub fn create(path: &Path, below: &Path) -> Result<Self, ReportError> {
        let target = Target::new(path)
            .map_err(|error| ReportError::new("the junit report", path, &error))?;
        Ok(Self {
            path: path.to_owned(),
            target,
            below: below.to_owned(),
            groups: IndexMap::new(),
            retried: IndexMap::new(),
            begun: None,
            seconds: 0.0,
        })
    }

    fn report(&self) -> Report {
        let mut report = Report::new("orchestrate");
        report.set_time(duration(self.seconds));
        report.timestamp = self.begun.and_then(date);
        // Beside a failure, what did not run is told apart from it. Where nothing failed, as in a run that was interrupted
        // between two jobs, a report of passed and skipped tests would read as success.
        let is_told = self.groups.values().any(|suite| {
            let mut outcomes = suite.tests.iter().map(|test| test.outcome);
            !suite.hooks.is_empty()
                || outcomes.any(|outcome| !outcome.is_success() && outcome != Outcome::NotRun)
        });
        for ((group, repetition), own) in &self.groups {
            let mut suite = TestSuite::new(legible(&repeated(group, *repetition)));
            suite.timestamp = own.begun.or(self.begun).and_then(date);
            let tests = own.tests.iter();
            suite.set_time(duration(tests.clone().map(|test| test.seconds).sum()));
            suite.add_test_cases(tests.map(|test| self.case(group, test, is_told)));
            suite.add_test_cases(own.hooks(group));
            report.add_test_suite(suite);
        }
        report
    }

    fn case(&self, group: &str, test: &TestFinished, is_told: bool) -> TestCase {
        let (kind, status) = match test.outcome {
            Outcome::Passed | Outcome::Flaky | Outcome::Xpassed => {
                (None, TestCaseStatus::success())
            }
            Outcome::Skipped | Outcome::Xfailed => {
                (Some(test.outcome.word()), TestCaseStatus::skipped())
            }
            Outcome::NotRun if is_told => (Some(test.outcome.word()), TestCaseStatus::skipped()),
            Outcome::Failed => (
                Some("failed"),
                TestCaseStatus::non_success(NonSuccessKind::Failure),
            ),
            other => (
                Some(other.word()),
                TestCaseStatus::non_success(NonSuccessKind::Error),
            ),
        };
        let mut status = status;
        if let Some(kind) = kind {
            status.set_type(kind);
            status.set_message(legible(test.message.as_deref().unwrap_or(kind)));
        }
        let is_failure = matches!(status, TestCaseStatus::NonSuccess { .. });
        if is_failure {
            let body = body(test.message.as_deref(), test.output.as_deref());
            status.set_description(legible(&body));
        }
        for retry in self.retried.get(&key(&test.id, test)).into_iter().flatten() {
            let mut rerun = TestRerun::new(NonSuccessKind::Failure);
            rerun.set_type(retry.outcome.word());
            rerun.set_message(legible(retry.message.as_deref().unwrap_or_default()));
            rerun.set_time(duration(retry.seconds));
            if let Some(output) = &retry.output {
                rerun.set_system_out(legible(output));
            }
            status.add_rerun(rerun);
        }
        let prefix = format!("{group}::");
        let name = test.id.strip_prefix(&prefix).unwrap_or(&test.id);
        let mut case = TestCase::new(legible(name), status);
        case.set_classname(legible(group));
        case.set_time(duration(test.seconds));
        if let Some(file) = &test.file {
            let file = self.below.join(file);
            case.extra
                .insert("file".into(), legible(&file.to_string_lossy()).into());
        }
        if let Some(line) = test.line {
            case.extra.insert("line".into(), line.to_string().into());
        }
        if let Some(output) = system_out(test, !is_failure) {
            case.set_system_out(legible(&output));
        }
        case
    }

    /// Writes the report as it is now.
    pub(crate) fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut out = OnlyXml::new(out);
        let written = self.report().serialize(&mut out);
        // The serializer's own error does not say why.
        written.map_err(|error| out.failed.take().unwrap_or_else(|| io::Error::other(error)))?;
        out.flush()
    }

    fn write(&self) -> io::Result<()> {
        self.target.write(|out| self.write_to(out))
    }
}

/// What a test printed, unless that stands within its failure, and the files that it leaves as Jenkins
/// (<https://plugins.jenkins.io/junit-attachments/>) and GitLab (<https://docs.gitlab.com/ci/testing/unit_test_reports/>) read
/// them.
fn system_out(test: &TestFinished, has_output: bool) -> Option<String> {
    let output = test.output.as_ref().filter(|_| has_output);
    if test.attachments.is_empty() {
        return output.cloned();
    }
    let mut lines = output.cloned().unwrap_or_default();
    for path in &test.attachments {
        if !lines.is_empty() && !lines.ends_with('\n') {
            lines.push('\n');
        }
        lines.push_str(&format!("[[ATTACHMENT|{path}]]\n"));
    }
    Some(lines)
}

impl Suite {
    /// A case for each hook that failed; of several of one kind each has a number.
    fn hooks(&self, group: &str) -> impl Iterator<Item = TestCase> {
        self.hooks.iter().enumerate().map(move |(index, failed)| {
            let before = self.hooks[..index].iter();
            let name = match before.filter(|other| other.hook == failed.hook).count() {
                0 => failed.hook.key().to_owned(),
                others => format!("{} #{}", failed.hook.key(), others + 1),
            };
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
            status.set_type("hook");
            status.set_message(legible(&failed.message));
            let body = body(Some(&failed.message), failed.output.as_deref());
            status.set_description(legible(&body));
            let mut case = TestCase::new(name, status);
            case.set_classname(legible(group));
            case.set_time(duration(failed.seconds));
            case
        })
    }
}

/// Why something failed, and what it printed.
fn body(message: Option<&str>, output: Option<&str>) -> String {
    let parts = message.into_iter().chain(output);
    let parts: Vec<&str> = parts.filter(|text| !text.is_empty()).collect();
    parts.join("\n\n")
}

/// A time as reports write it; nothing where somebody has written down what is none.
fn date(seconds: f64) -> Option<DateTime<FixedOffset>> {
    let since = Duration::try_from_secs_f64(seconds).ok()?;
    let millis = i64::try_from(since.as_millis()).ok()?;
    // What has more digits of years than four is no date to a reader of XML.
    let date = DateTime::from_timestamp_millis(millis).filter(|_| seconds < YEAR_10000)?;
    Some(date.into())
}

/// The year 10000 in seconds since 1970.
const YEAR_10000: f64 = 253_402_300_800.0;

/// Stands for a tab while the XML is made: quick-junit drops tabs with the control characters. It is a noncharacter, which
/// no text has after [`legible`].
const TAB: char = '\u{fdd0}';

/// Text that XML can hold: without colours and cursor movements, and without the characters that XML 1.0 does not have
/// (<https://www.w3.org/TR/xml/#charsets>). A sequence that does not end takes nothing with it.
fn legible(text: &str) -> String {
    let mut legible = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        match character {
            // ECMA-48, 5.4: parameters, then intermediates, then one final byte.
            '\u{1b}' if rest.as_str().starts_with('[') => {
                let body = &rest.as_str()[1..];
                let body = body.trim_start_matches(|c| ('\x30'..='\x3f').contains(&c));
                let body = body.trim_start_matches(|c| ('\x20'..='\x2f').contains(&c));
                let mut after = body.chars();
                if after.next().is_some_and(|c| ('\x40'..='\x7e').contains(&c)) {
                    rest = after;
                }
            }
            '\t' => legible.push(TAB),
            '\n' | '\r' => legible.push(character),
            '\0'..='\x1f' | '\x7f'..='\u{9f}' => {}
            '\u{fdd0}'..='\u{fdef}' | '\u{fffe}' | '\u{ffff}' => legible.push('\u{fffd}'),
            _ => legible.push(character),
        }
    }
    legible
}

/// Passes a document on without characters that XML 1.0 does not have, whoever has put them there.
struct OnlyXml<'a> {
    out: &'a mut dyn Write,
    /// The beginning of a character whose rest has not come yet.
    begun: Vec<u8>,
    /// Why the last write failed.
    failed: Option<io::Error>,
}

impl<'a> OnlyXml<'a> {
    fn new(out: &'a mut dyn Write) -> Self {
        Self {
            out,
            begun: Vec::new(),
            failed: None,
        }
    }
}

impl Write for OnlyXml<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        /// What is looked at in one go: a report may be long.
        const STEP: usize = 16 << 10;
        for bytes in bytes.chunks(STEP) {
            self.begun.extend_from_slice(bytes);
            let whole = match std::str::from_utf8(&self.begun) {
                Ok(text) => text.len(),
                Err(error) if error.error_len().is_none() => error.valid_up_to(),
                Err(error) => return Err(io::Error::other(error)),
            };
            let text = String::from_utf8_lossy(&self.begun[..whole]);
            let mapped: String = text.chars().map(as_in_xml).collect();
            if let Err(error) = self.out.write_all(mapped.as_bytes()) {
                let kind = error.kind();
                self.failed = Some(error);
                return Err(kind.into());
            }
            self.begun.drain(..whole);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// A character as XML 1.0 can have it.
fn as_in_xml(character: char) -> char {
    match character {
        TAB => '\t',
        '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'.. => character,
        _ => '\u{fffd}',
    }
}

/// What a test or a group is called in a repetition.
fn key(name: &str, of: &TestFinished) -> (String, u32) {
    (name.to_owned(), of.repetition)
}

fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

impl Reporter for Junit {
    fn event(&mut self, when: Moment, event: &Event) -> Result<(), ReportError> {
        match event {
            Event::RunStarted { groups, .. } => {
                self.begun = when.time;
                // In the order of the manifest, whichever finishes first.
                for group in groups {
                    self.groups.entry((group.name.clone(), 1)).or_default();
                }
            }
            Event::TestFinished(test) => {
                let suite = self.groups.entry(key(&test.group, test)).or_default();
                let begun = when.time.map(|time| time - test.seconds.max(0.0));
                if suite.begun.is_none_or(|known| begun < Some(known)) {
                    suite.begun = begun;
                }
                suite.tests.push(test.clone());
            }
            Event::HookFinished {
                hook,
                group,
                outcome,
                seconds,
                message,
                output,
                ..
            } if outcome.is_failure() => {
                let suite = self.groups.entry((group.clone(), 1)).or_default();
                suite.hooks.push(FailedHook {
                    hook: *hook,
                    seconds: *seconds,
                    message: message.clone().unwrap_or_default(),
                    output: output.clone(),
                });
            }
            Event::TestRetried(test) => {
                self.retried
                    .entry(key(&test.id, test))
                    .or_default()
                    .push(test.clone());
            }
            Event::RunFinished { seconds, .. } => self.seconds = *seconds,
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), ReportError> {
        self.write()
            .map_err(|error| ReportError::new("the junit report", &self.path, &error))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use quick_xml::events::Event as Xml;

    use super::*;

    fn test(text: &str, outcome: Outcome) -> TestFinished {
        TestFinished {
            seconds: f64::NAN,
            file: Some(text.into()),
            message: Some(text.into()),
            output: Some(text.into()),
            ..TestFinished::new(text.into(), "g", outcome)
        }
    }

    fn text_of(junit: &Junit) -> String {
        let mut text = Vec::new();
        junit.write_to(&mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    fn of(tests: Vec<TestFinished>) -> String {
        let mut junit = Junit::create(Path::new("-"), Path::new("")).unwrap();
        let suite = Suite {
            tests,
            ..Suite::default()
        };
        junit.groups.insert(("g".into(), 1), suite);
        text_of(&junit)
    }

    #[test]
    fn a_group_of_others_is_xml_too() {
        let mut junit = Junit::create(Path::new("-"), Path::new("")).unwrap();
        let group = "a\u{fffe}\u{ffff}\u{0}\u{b}\tb";
        let hooks = vec![FailedHook {
            hook: Hook::BeforeAll,
            seconds: 0.0,
            message: group.into(),
            output: Some(group.into()),
        }];
        let tests = vec![TestFinished::new("x".into(), group, Outcome::Failed)];
        let suite = Suite {
            tests,
            hooks,
            ..Suite::default()
        };
        junit.groups.insert((group.into(), 1), suite);
        let xml = text_of(&junit);
        let is_xml = |c: char| {
            matches!(c, '\t' | '\n' | '\r' | ' '..) && !matches!(c, '\u{fffe}' | '\u{ffff}')
        };
        assert!(xml.chars().all(is_xml), "{xml:?}");
    }

    fn written(text: &str) -> String {
        of(vec![test(text, Outcome::Failed)])
    }

    #[test]
    fn what_did_not_run_never_reads_as_success() {
        let (passed, not_run) = (test("a", Outcome::Passed), test("b", Outcome::NotRun));
        let alone = of(vec![passed.clone(), not_run.clone()]);
        assert!(
            alone.contains("skipped=\"0\" failures=\"0\" errors=\"1\""),
            "{alone}"
        );
        let beside = of(vec![passed, not_run, test("c", Outcome::Failed)]);
        assert!(
            beside.contains("skipped=\"1\" failures=\"1\" errors=\"0\""),
            "{beside}"
        );
    }

    fn check(text: &str) {
        let xml = written(text);
        let is_xml = |c: char| {
            matches!(c, '\t' | '\n' | '\r' | ' '..) && !matches!(c, '\u{fffe}' | '\u{ffff}')
        };
        assert!(xml.chars().all(is_xml), "{xml:?}");
        let mut reader = quick_xml::Reader::from_str(&xml);
        let mut cases = 0;
        loop {
            match reader.read_event().unwrap() {
                Xml::Start(tag) if tag.name().as_ref() == "testcase" => {
                    cases += 1;
                    for attribute in tag.attributes() {
                        attribute.unwrap();
                    }
                }
                Xml::Eof => break,
                _ => {}
            }
        }
        assert_eq!(cases, 1);
    }

    proptest! {
        #[test]
        fn whatever_a_test_says_is_xml(text in any::<String>(), bytes in any::<Vec<u8>>()) {
            check(&text);
            check(&String::from_utf8_lossy(&bytes));
        }
    }

    #[test]
    fn of_all_characters_those_are_kept_that_xml_has() {
        let all: String = ('\0'..=char::MAX).collect();
        check(&all);
        assert!(written(&all).contains('\u{10ffff}'));
    }

    #[test]
    fn colours_go_and_what_only_looks_like_them_stays() {
        assert_eq!(
            legible("\x1b[1;31mred\x1b[0m \x1b]0;title \x1b[12\n\x1bend"),
            "red ]0;title [12\nend"
        );
        assert!(written("a\tb").contains("a\tb\n\na\tb</failure>"));
    }

    #[test]
    fn times_are_dates_and_what_is_none_is_left_out() {
        let text = |seconds| date(seconds).map(|date| date.to_rfc3339());
        assert_eq!(
            text(1_764_401_712.345).as_deref(),
            Some("2025-11-29T07:35:12.345+00:00")
        );
        for none in [f64::NAN, f64::INFINITY, -1.0, 1e300, 3e11] {
            assert_eq!(text(none), None, "{none}");
        }
    }
}
