//! JUnit: a `testsuite` a group, a `testcase` a test. Written to a temporary file and renamed, so that no reader ever finds
//! half of one.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use indexmap::IndexMap;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestRerun, TestSuite};

use super::{ReportError, Reporter};
use crate::event::{Event, TestFinished};
use crate::outcome::Outcome;

/// See the module.
pub struct Junit {
    path: PathBuf,
    temporary: Option<(PathBuf, File)>,
    groups: IndexMap<String, Vec<TestFinished>>,
    retried: IndexMap<String, Vec<TestFinished>>,
    seconds: f64,
}

impl Junit {
    /// Writes to a file, or to standard output for `-`. The temporary file is made at once, so that a folder that can't be
    /// written is known before a test has run.
    ///
    /// # Errors
    /// The temporary file can't be made.
    pub fn create(path: &Path) -> Result<Self, ReportError> {
        let temporary = if path == Path::new("-") {
            None
        } else {
            let mut name = path.file_name().unwrap_or_default().to_owned();
            name.push(format!(".{}.tmp", std::process::id()));
            let temporary = path.with_file_name(name);
            let file = File::create(&temporary)
                .map_err(|error| ReportError::new("the junit report", path, &error))?;
            if path.is_dir() {
                let _ = fs::remove_file(&temporary);
                let error = io::Error::from(io::ErrorKind::IsADirectory);
                return Err(ReportError::new("the junit report", path, &error));
            }
            Some((temporary, file))
        };
        Ok(Self {
            path: path.to_owned(),
            temporary,
            groups: IndexMap::new(),
            retried: IndexMap::new(),
            seconds: 0.0,
        })
    }

    fn report(&self) -> Report {
        let mut report = Report::new("orchestrate");
        report.set_time(duration(self.seconds));
        for (group, tests) in &self.groups {
            let mut suite = TestSuite::new(group.as_str());
            suite.set_time(duration(tests.iter().map(|test| test.seconds).sum()));
            suite.add_test_cases(tests.iter().map(|test| self.case(group, test)));
            report.add_test_suite(suite);
        }
        report
    }

    fn case(&self, group: &str, test: &TestFinished) -> TestCase {
        let (kind, status) = match test.outcome {
            Outcome::Passed | Outcome::Flaky | Outcome::Xpassed => {
                (None, TestCaseStatus::success())
            }
            Outcome::Skipped | Outcome::Xfailed | Outcome::NotRun => {
                (Some(test.outcome.word()), TestCaseStatus::skipped())
            }
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
            status.set_message(test.message.as_deref().unwrap_or(kind));
        }
        for retry in self.retried.get(&test.id).into_iter().flatten() {
            let mut rerun = TestRerun::new(NonSuccessKind::Failure);
            rerun.set_type(retry.outcome.word());
            rerun.set_message(retry.message.as_deref().unwrap_or_default());
            rerun.set_time(duration(retry.seconds));
            if let Some(output) = &retry.output {
                rerun.set_system_out(output.as_str());
            }
            status.add_rerun(rerun);
        }
        let prefix = format!("{group}::");
        let name = test.id.strip_prefix(&prefix).unwrap_or(&test.id);
        let mut case = TestCase::new(name, status);
        case.set_classname(group);
        case.set_time(duration(test.seconds));
        if let Some(file) = &test.file {
            case.extra
                .insert("file".into(), file.to_string_lossy().into_owned().into());
        }
        if let Some(line) = test.line {
            case.extra.insert("line".into(), line.to_string().into());
        }
        if let Some(output) = &test.output {
            case.set_system_out(output.as_str());
        }
        case
    }

    fn write(&mut self) -> io::Result<()> {
        let report = self.report();
        let text = report.to_string().map_err(io::Error::other)?;
        match self.temporary.take() {
            None => io::stdout().write_all(text.as_bytes()),
            Some((temporary, mut file)) => {
                let written = file
                    .write_all(text.as_bytes())
                    .and_then(|()| file.sync_all())
                    .and_then(|()| fs::rename(&temporary, &self.path));
                if written.is_err() {
                    let _ = fs::remove_file(&temporary);
                }
                written
            }
        }
    }
}

fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

impl Reporter for Junit {
    fn event(&mut self, _: f64, event: &Event) -> Result<(), ReportError> {
        match event {
            Event::RunStarted { groups, .. } => {
                // In the order of the manifest, whichever finishes first.
                for group in groups {
                    self.groups.insert(group.name.clone(), Vec::new());
                }
            }
            Event::TestFinished(test) => {
                self.groups
                    .entry(test.group.clone())
                    .or_default()
                    .push(test.clone());
            }
            Event::TestRetried(test) => {
                self.retried
                    .entry(test.id.clone())
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

impl Drop for Junit {
    fn drop(&mut self) {
        if let Some((temporary, _)) = &self.temporary {
            let _ = fs::remove_file(temporary);
        }
    }
}
