//! A job's report: how far its tests are while it runs, where it says so, and what there is at the end.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};

use super::Running;
use crate::worker::frame::{Clock, JobRequest};

/// The most bytes of a report that are read.
pub(in crate::worker) const MOST_REPORT: u64 = 128 << 20;

/// What a runner that tells when each test begins may take, beyond a test's timeout, until the first one does.
const START_UP: Duration = Duration::from_secs(60);

/// After what time it is looked again whether a first test has begun.
const SOON: Duration = Duration::from_millis(100);

/// By how much the clocks of a job and its supervisor may differ, which is much more than reading one after the other takes.
const CLOCKS_DIFFER: Duration = Duration::from_millis(100);

impl Running {
    /// Reads what the report says since it was last looked at.
    pub(super) fn look_at_report(&mut self, job: &JobRequest) {
        if let Some(path) = &job.report {
            let now = monotonic();
            // A test may change the clock that its runner reads: none has begun before the job.
            let earliest = now.saturating_sub(self.begun.elapsed() + CLOCKS_DIFFER);
            self.progress
                .look(job.clock, Path::new(path), earliest..=now);
        }
    }

    /// Where the timeout is each test's: when the test that runs now will have taken too long, if that is still to come.
    pub(super) fn later(&mut self, job: &JobRequest, passed: Option<Instant>) -> Option<Instant> {
        let timeout = job.timeout.filter(|_| job.clock != Clock::Job)?;
        self.look_at_report(job);
        let later = self.limit_of(job, timeout);
        let later = later.filter(|later| passed.is_none_or(|passed| *later > passed));
        if later.is_none() {
            self.report = read_report(Path::new(job.report.as_ref()?)).ok();
        }
        later
    }

    /// When the time of the test is over that runs by what the report says.
    fn limit_of(&self, job: &JobRequest, timeout: Duration) -> Option<Instant> {
        let Some(last) = self.progress.last else {
            let start_up = if job.clock.names_beginnings() {
                START_UP
            } else {
                Duration::ZERO
            };
            let longest = self.begun + self.paused + timeout + start_up;
            // A test may begin any moment, and then its own time counts: that is looked at again.
            return Some(longest.min(Instant::now() + timeout.max(SOON)));
        };
        let held = self.pauses.iter().filter(|(at, _)| *at > last);
        let held: Duration = held.map(|(_, length)| *length).sum();
        let ran = monotonic().saturating_sub(last).saturating_sub(held);
        Some(Instant::now() + timeout.checked_sub(ran)?)
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

pub(in crate::worker) fn open_report(path: &Path) -> io::Result<File> {
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
