//! How far a job's tests are while it runs, by its report: the clock of a test begins anew with each test that the report
//! names, so a timeout is one test's, whatever number of them a job has.
//!
//! Only what was added since the last look is read. A line that is not yet whole waits for its end.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How a report says while the job runs that a test begins or ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Clock {
    /// It does not: the job has the time of all its tests.
    #[default]
    Job,
    /// By records, as JSON lines. A record may have the time in `at`.
    Events,
    /// By TAP's test points. A point is the end of a test.
    Tap,
    /// By TAP as bats writes it with `begin` lines.
    Bats,
    /// By the lines that Go's testing package prints.
    GoTest,
    /// By the same, as JSON lines.
    GoJson,
    /// By the log of Rust's harness: a line is the end of a test.
    Libtest,
}

/// A test began or ended: at this time of the monotonic clock, or just now.
#[derive(Debug, PartialEq)]
struct Mark(Option<Duration>);

#[derive(Deserialize)]
struct Record {
    event: String,
    #[serde(default)]
    at: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GoRecord {
    action: String,
    #[serde(default)]
    test: Option<String>,
}

impl Clock {
    /// Whether the report names a test as it begins, so that what comes before the first one is not the test's time.
    pub(super) fn names_beginnings(self) -> bool {
        matches!(
            self,
            Self::Events | Self::Bats | Self::GoTest | Self::GoJson
        )
    }

    fn mark(self, line: &[u8]) -> Option<Mark> {
        let now = |is_mark: bool| is_mark.then_some(Mark(None));
        match self {
            Self::Job => None,
            Self::Events => {
                let record: Record = serde_json::from_slice(line).ok()?;
                let at = record
                    .at
                    .and_then(|at| Duration::try_from_secs_f64(at).ok());
                matches!(record.event.as_str(), "started" | "finished").then_some(Mark(at))
            }
            Self::Tap => now(line.starts_with(b"ok") || line.starts_with(b"not ok")),
            Self::Bats => {
                let heads: [&[u8]; 3] = [b"begin ", b"ok ", b"not ok "];
                now(heads.iter().any(|head| line.starts_with(head)))
            }
            Self::GoTest => now(is_go_mark(line)),
            Self::GoJson => {
                let record: GoRecord = serde_json::from_slice(line).ok()?;
                let is_test = record.test.is_some_and(|name| !name.contains('/'));
                let actions = ["run", "cont", "pass", "fail", "skip"];
                now(is_test && actions.contains(&record.action.as_str()))
            }
            Self::Libtest => now(!line.is_empty()),
        }
    }
}

/// Whether a line of Go's testing package says that a test runs or has ended; a subtest is part of its test.
fn is_go_mark(line: &[u8]) -> bool {
    // From Go 1.20 on a mark stands before the line, by itself where the line before it had no end.
    let from = line.iter().rposition(|byte| *byte == 0x16);
    let line = &line[from.map_or(0, |at| at + 1)..];
    let heads: [&[u8]; 5] = [
        b"=== RUN ",
        b"=== CONT ",
        b"--- PASS: ",
        b"--- FAIL: ",
        b"--- SKIP: ",
    ];
    let name = heads.iter().find_map(|head| line.strip_prefix(*head));
    name.is_some_and(|name| !name.contains(&b'/'))
}

/// What a job's report has said by now.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// How much of it was read.
    read: u64,
    /// The beginning of a line that has no end yet.
    line: Vec<u8>,
    /// When a test last began or ended, by the monotonic clock.
    pub(super) last: Option<Duration>,
}

impl Progress {
    /// Reads what was added to the report. A time that a record names lies in `job`, which ends now, and not before the last
    /// one; otherwise it is now.
    pub(super) fn look(&mut self, clock: Clock, report: &Path, job: RangeInclusive<Duration>) {
        if clock == Clock::Job {
            return;
        }
        let Some(added) = self.added(report) else {
            return;
        };
        for part in added.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if part.last() != Some(&b'\n') {
                break;
            }
            let line = std::mem::take(&mut self.line);
            let Some(Mark(at)) = clock.mark(line.trim_ascii_end()) else {
                continue;
            };
            let believable = |at: &Duration| job.contains(at) && Some(*at) >= self.last;
            self.last = at.filter(believable).or(Some(*job.end()));
        }
    }

    fn added(&mut self, report: &Path) -> Option<Vec<u8>> {
        let mut file: File = super::job::open_report(report).ok()?;
        let meta = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
        if meta.len() < self.read {
            // It was begun anew.
            (self.read, self.line) = (0, Vec::new());
        }
        if meta.len() == self.read {
            return None;
        }
        file.seek(SeekFrom::Start(self.read)).ok()?;
        let mut added = Vec::new();
        let most = super::job::MOST_REPORT.saturating_sub(self.read);
        file.take(most).read_to_end(&mut added).ok()?;
        self.read += added.len() as u64;
        Some(added)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// The times after each piece is written, each one second after the other.
    fn times(clock: Clock, pieces: &[&str]) -> Vec<Option<u64>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report");
        let mut file = File::create(&path).unwrap();
        let mut progress = Progress::default();
        let mut times = Vec::new();
        for (second, piece) in (1..).zip(pieces) {
            file.write_all(piece.as_bytes()).unwrap();
            let job = Duration::from_secs(1)..=Duration::from_secs(second);
            progress.look(clock, &path, job);
            times.push(progress.last.map(|at| at.as_secs()));
        }
        times
    }

    #[test]
    fn a_test_that_begins_or_ends_is_a_mark_and_nothing_else_is() {
        for (clock, pieces, expected) in [
            (
                Clock::Events,
                vec![
                    "{\"event\":\"started\",\"id\":\"a\"",
                    ",\"at\":1.5}\n",
                    "{\"event\":\"output\",\"id\":\"a\"}\n",
                    "no record\n",
                    "{\"event\":\"finished\",\"id\":\"a\",\"outcome\":\"passed\"}\n",
                ],
                vec![None, Some(1), Some(1), Some(1), Some(5)],
            ),
            // A time that can't be is now: before the last one, or still to come.
            (
                Clock::Events,
                vec![
                    "{\"event\":\"started\",\"at\":9.0}\n",
                    "{\"event\":\"started\",\"at\":0.5}\n",
                    "{\"event\":\"started\",\"at\":-1}\n",
                ],
                vec![Some(1), Some(2), Some(3)],
            ),
            (
                Clock::Tap,
                vec!["1..2\n", "# a\n    ok 1\n", "ok 1\n", "not ok 2 - b\n"],
                vec![None, None, Some(3), Some(4)],
            ),
            (
                Clock::Bats,
                vec!["1..2\nsuite /a\n", "begin 1 x\n", "# said\n", "ok 1 x\n"],
                vec![None, Some(2), Some(2), Some(4)],
            ),
            (
                Clock::GoTest,
                vec![
                    "=== RUN   TestA\n",
                    "=== RUN   TestA/sub\n    --- PASS: TestA/sub (0.00s)\n",
                    "said\u{16}--- PASS: TestA (0.00s)\n",
                    "=== PAUSE TestB\n",
                ],
                vec![Some(1), Some(1), Some(3), Some(3)],
            ),
            (
                Clock::GoJson,
                vec![
                    "{\"Action\":\"run\",\"Test\":\"A\"}\n",
                    "{\"Action\":\"output\",\"Test\":\"A\"}\n",
                    "{\"Action\":\"pass\"}\n",
                ],
                vec![Some(1), Some(1), Some(1)],
            ),
            (
                Clock::Libtest,
                vec!["ok a\n", "o", "k b\n"],
                vec![Some(1), Some(1), Some(3)],
            ),
            (Clock::Job, vec!["ok 1\n"], vec![None]),
        ] {
            assert_eq!(times(clock, &pieces), expected, "{clock:?} {pieces:?}");
        }
    }

    #[test]
    fn a_report_that_is_begun_anew_is_read_from_its_beginning() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report");
        let mut progress = Progress::default();
        std::fs::write(&path, "1..1\nok 1 with a long name\n").unwrap();
        progress.look(Clock::Tap, &path, Duration::ZERO..=Duration::from_secs(1));
        std::fs::write(&path, "ok 1\n").unwrap();
        progress.look(Clock::Tap, &path, Duration::ZERO..=Duration::from_secs(2));
        assert_eq!(progress.last, Some(Duration::from_secs(2)));
    }
}
