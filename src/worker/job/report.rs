//! A job's report: how far its tests are while it runs, where it says so, and what there is at the end.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};

use super::Running;
use crate::worker::frame::JobRequest;

/// The most bytes of a report that are read.
pub(super) const MOST_REPORT: u64 = 128 << 20;

/// What a runner that tells when each test begins may take, beyond a test's timeout, until the first one does.
const START_UP: Duration = Duration::from_secs(60);

/// By how much the clocks of a job and its supervisor may differ, which is much more than reading one after the other takes.
const CLOCKS_DIFFER: Duration = Duration::from_millis(100);

/// When a report was last written to. The file's own time is that of the clock on the wall, which may jump: it only tells whether
/// somebody wrote.
pub(super) struct Written {
    /// Its length and its time.
    pub(super) seen: Option<(u64, i64, i64)>,
    pub(super) at: Instant,
    /// How long the job had been paused by then.
    pub(super) paused: Duration,
}

impl Running {
    /// Notes whether somebody has written to the report since it was last looked at.
    pub(super) fn look_at_report(&mut self, job: &JobRequest) {
        let Some(path) = job.report.as_ref().filter(|_| job.timeout_each) else {
            return;
        };
        let seen = fs::metadata(path).ok();
        let seen = seen.map(|seen| (seen.len(), seen.mtime(), seen.mtime_nsec()));
        if seen != self.written.seen {
            self.written = Written {
                seen,
                at: Instant::now(),
                paused: self.paused,
            };
        }
    }

    /// Where the timeout is each test's: when the test that runs now will have taken too long, if that is still to come.
    pub(super) fn later(&mut self, job: &JobRequest, passed: Option<Instant>) -> Option<Instant> {
        let timeout = job.timeout.filter(|_| job.timeout_each)?;
        let path = Path::new(job.report.as_ref()?);
        let text = read_report(path).unwrap_or_default();
        let later = self.limit_of(job, timeout, &text);
        let later = later.filter(|later| passed.is_none_or(|passed| *later > passed));
        if later.is_none() {
            self.report = Some(text);
        }
        later
    }

    /// When the time of the test is over that runs by what the report says.
    pub(super) fn limit_of(
        &mut self,
        job: &JobRequest,
        timeout: Duration,
        report: &[u8],
    ) -> Option<Instant> {
        let started = crate::runner::read::last_start(report);
        Some(match started.filter(|at| self.is_believable(*at)) {
            // A report that does not say when a test began says at least that it did, when it was last written to.
            None if !report.is_empty() => {
                self.look_at_report(job);
                let held = self.paused.saturating_sub(self.written.paused);
                let ran = self.written.at.elapsed().saturating_sub(held);
                Instant::now() + timeout.checked_sub(ran)?
            }
            Some(started) => {
                let held = self.pauses.iter().filter(|(at, _)| *at > started);
                let held: Duration = held.map(|(_, length)| *length).sum();
                let ran = monotonic().checked_sub(started)?.saturating_sub(held);
                Instant::now() + timeout.checked_sub(ran)?
            }
            None => self.begun + self.paused + timeout + START_UP,
        })
    }

    /// Whether a test can have begun then: a test may change the clock that its runner reads.
    fn is_believable(&self, at: Duration) -> bool {
        let ran = monotonic().checked_sub(at);
        ran.is_some_and(|ran| ran <= self.begun.elapsed() + CLOCKS_DIFFER)
    }
}

/// The time by the clock that runners tell the beginning of tests by.
pub fn monotonic() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Duration::try_from(now).unwrap_or_default()
}

/// Only a file that is one: a pipe would hold us for ever, and a link leads who knows where. Of a folder, the XML files in it,
/// one after the other.
pub fn read_report(path: &Path) -> io::Result<Vec<u8>> {
    let file = open_report(path)?;
    let mut bytes = Vec::new();
    if file.metadata()?.is_dir() {
        let entries = fs::read_dir(path)?.flatten().map(|entry| entry.path());
        let is_xml = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "xml");
        let mut paths: Vec<PathBuf> = entries.filter(is_xml).collect();
        paths.sort();
        for path in paths {
            let left = MOST_REPORT.saturating_sub(bytes.len() as u64);
            read_file(open_report(&path)?, left, &mut bytes)?;
            bytes.push(b'\n');
        }
        return Ok(bytes);
    }
    read_file(file, MOST_REPORT, &mut bytes)?;
    Ok(bytes)
}

fn open_report(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?.into())
}

fn read_file(file: File, most: u64, bytes: &mut Vec<u8>) -> io::Result<()> {
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    file.take(most).read_to_end(bytes)?;
    Ok(())
}
