//! One job, from its temporary folder to the last of its processes.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::Signal;

use super::frame::{self, Ended, JobRequest, Output, Request, Status};
use super::process::{Process, Sink, Woken};
use super::{capture, scratch, tree};

/// The most bytes of a report that are read.
const MOST_REPORT: u64 = 128 << 20;

/// What a runner that tells when each test begins may take, beyond a test's timeout, until the first one does.
const START_UP: Duration = Duration::from_secs(60);

/// How a job came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Itself,
    Timeout,
    Stop,
}

/// The lifeline is closed: there is nobody left to tell.
#[derive(Debug)]
pub struct Abandoned;

/// Runs a job to its end.
///
/// # Errors
/// The lifeline closed meanwhile; everything is killed by then.
pub fn run(job: &JobRequest, folder: &Path, through: Option<&OwnedFd>) -> Result<Ended, Abandoned> {
    let begun = Instant::now();
    let result = Running::start(job, folder, through);
    let mut running = match result {
        Ok(running) => running,
        Err(error) => {
            remove(job);
            return Ok(Ended {
                status: Status::NotStarted(error),
                timed_out: false,
                stopped: false,
                duration: begun.elapsed(),
                output: Output::default(),
                report: None,
                leaked: 0,
            });
        }
    };
    let cause = running.wait(job, begun);
    let group = running.process.group();
    let Ok(cause) = cause else {
        tree::kill_all(group);
        remove(job);
        return Err(Abandoned);
    };
    let status = running.end(job, cause);
    let duration = begun.elapsed();
    // A job that was ended had its grace already.
    let grace = if cause == Cause::Itself {
        job.grace
    } else {
        Duration::ZERO
    };
    let leaked = tree::clear(group, grace);
    let output = running
        .output
        .map(|file| capture::read(file, job.output_limit));
    let report = job
        .report
        .as_ref()
        .and_then(|path| read_report(Path::new(path)).ok());
    remove(job);
    Ok(Ended {
        status: status.unwrap_or_else(|error| Status::NotStarted(error.to_string())),
        timed_out: cause == Cause::Timeout,
        stopped: cause == Cause::Stop,
        duration,
        output: output.and_then(Result::ok).unwrap_or_default(),
        report,
        // What was killed together with its job was not left behind by it.
        leaked: if cause == Cause::Itself { leaked } else { 0 },
    })
}

struct Running {
    process: Process,
    output: Option<File>,
}

impl Running {
    fn start(job: &JobRequest, folder: &Path, through: Option<&OwnedFd>) -> Result<Self, String> {
        let cant = |what: &str, error: io::Error| format!("can't {what}: {error}");
        scratch::make(Path::new(&job.tmp))
            .map_err(|error| cant("make the job's temporary folder", error))?;
        let output = match through {
            Some(_) if !job.capture => None,
            _ => Some(capture::open(folder).map_err(|error| cant("capture output", error))?),
        };
        let sink = match (&output, through) {
            (Some(file), _) => Sink::File(file),
            (None, Some(fd)) => Sink::Through(fd.as_fd()),
            (None, None) => return Err("output has nowhere to go".into()),
        };
        let process = Process::start(job, &sink).map_err(|error| explain(job, &error))?;
        Ok(Self { process, output })
    }

    /// Waits for the end, the timeout or an order to stop.
    fn wait(&mut self, job: &JobRequest, begun: Instant) -> Result<Cause, Abandoned> {
        let lifeline = io::stdin();
        let mut deadline = job.timeout.map(|timeout| begun + timeout);
        loop {
            match self
                .process
                .wait(lifeline.as_fd(), deadline)
                .map_err(|_| Abandoned)?
            {
                Woken::Ended => return Ok(Cause::Itself),
                Woken::Deadline => match Self::later(job, begun, deadline) {
                    Some(later) => deadline = Some(later),
                    None => return Ok(Cause::Timeout),
                },
                Woken::Lifeline => match frame::read(&mut RawStdin(lifeline.as_fd())) {
                    Ok(Some(Request::Stop)) => return Ok(Cause::Stop),
                    Ok(Some(Request::Run(_))) => {} // One job at a time: nobody sends a second.
                    Ok(None) | Err(_) => return Err(Abandoned),
                },
            }
        }
    }

    /// Where the timeout is each test's: when the test that runs now will have taken too long, if that is still to come.
    fn later(job: &JobRequest, begun: Instant, passed: Option<Instant>) -> Option<Instant> {
        let timeout = job.timeout.filter(|_| job.timeout_each)?;
        let text = job.report.as_ref().and_then(|path| fs::read(path).ok());
        let started = text.and_then(|text| crate::runner::read::last_start(&text));
        let later = match started {
            Some(started) => {
                let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
                let ran = Duration::try_from(now).ok()?.checked_sub(started)?;
                Instant::now() + timeout.checked_sub(ran)?
            }
            None => begun + timeout + START_UP,
        };
        Some(later).filter(|later| passed.is_none_or(|passed| *later > passed))
    }

    /// Ends the process if it has not ended by itself: TERM to the group, grace, KILL.
    fn end(&mut self, job: &JobRequest, cause: Cause) -> io::Result<Status> {
        if cause != Cause::Itself {
            self.process.signal(Signal::TERM);
            // A stopped process sees TERM only when it goes on.
            self.process.signal(Signal::CONT);
            if !self.process.wait_within(job.grace)? {
                self.process.signal(Signal::KILL);
            }
        }
        self.process.status()
    }
}

/// Standard input without the buffer of `std::io::Stdin`, which `poll` can't see into.
pub struct RawStdin<'a>(pub BorrowedFd<'a>);

impl Read for RawStdin<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::retry_on_intr(|| {
            rustix::io::read(self.0, &mut *buffer)
        })?)
    }
}

fn read_report(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(MOST_REPORT)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn remove(job: &JobRequest) {
    let _ = fs::remove_dir_all(&job.tmp);
    if let Some(report) = &job.report {
        let _ = fs::remove_file(report);
    }
}

/// Why a program did not start, and what to do about it.
fn explain(job: &JobRequest, error: &io::Error) -> String {
    let program = job
        .words
        .first()
        .map(|word| word.to_string_lossy())
        .unwrap_or_default();
    let path = Path::new(&job.folder).join(program.as_ref());
    let remedy = match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NOENT) if !Path::new(&job.folder).is_dir() => {
            format!("the folder {} does not exist", job.folder.to_string_lossy())
        }
        Some(Errno::NOENT) if program.contains('/') && path.exists() => {
            "the interpreter of its first line does not exist".to_owned()
        }
        Some(Errno::NOENT) if program.contains('/') => {
            "there is no such file: check the path, relative to the root".to_owned()
        }
        Some(Errno::NOENT) => "it is not on PATH: install it, or give its path".to_owned(),
        Some(Errno::ACCESS) => format!("it is not executable: run `chmod +x {program}`"),
        Some(Errno::NOEXEC) => {
            "it is no program: give it a first line such as `#!/bin/sh`".to_owned()
        }
        Some(Errno::TOOBIG) => "its arguments are too long: make `chunk-size` smaller".to_owned(),
        _ => return format!("can't start {program}: {error}"),
    };
    format!("can't start {program}: {error}; {remedy}")
}
