//! A session host in a worker's care: it is started like a job, and stays while the worker serves other requests.
//!
//! The worker knows nothing of the session protocol. It starts the host, signals the processes that others name, if they are
//! below it, and ends what those leave behind.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use super::frame::{self, Cause, Ended, JobRequest, Leftovers, Request, Settled, Status};
use super::job::{Place, RawStdin, put_away};
use super::process::{Process, Sink, Woken};
use super::tree::Kept;
use super::{capture, tree};
use crate::manifest::model::StopSignal;

/// How long what a session's process has left behind may take to end by itself. Not the group's grace: the worker serves no
/// other request meanwhile, and one of them may be to kill somebody.
const GRACE: Duration = Duration::from_millis(500);

const PAUSE: Duration = Duration::from_micros(200);

/// A host that was started.
pub struct Host {
    process: Process,
    output: File,
    begun: Instant,
    output_limit: u64,
    grace: Duration,
    ended: bool,
}

impl Host {
    /// Starts a host; what is wrong is told as the end of a job that never began.
    pub fn start(
        request: &JobRequest,
        place: &Place<'_>,
        kept: &mut Kept,
    ) -> Result<Self, Box<Ended>> {
        let cant = |what: &str, error: &io::Error| {
            Box::new(Ended::not_started(format!("can't {what}: {error}")))
        };
        place
            .scratch
            .make(Path::new(&request.tmp))
            .map_err(|error| cant("make the session's temporary folder", &error))?;
        let output = match &request.stdout {
            Some(path) => capture::create(Path::new(path)),
            None => capture::open(place.scratch.path()),
        };
        let output = output.map_err(|error| cant("capture output", &error))?;
        let sink = Sink::Files(output.as_fd(), output.as_fd());
        let begun = Instant::now();
        let process = place
            .start(request, &sink, None)
            .map_err(|error| Box::new(Ended::not_started(error.explain(request))))?;
        kept.keep(process.group());
        Ok(Self {
            process,
            output,
            begun,
            output_limit: request.output_limit,
            grace: request.grace,
            ended: false,
        })
    }

    /// Notices its end before somebody reaps whatever has ended.
    pub fn look(&mut self, lifeline: BorrowedFd<'_>) {
        let now = Instant::now();
        if matches!(self.process.wait(lifeline, Some(now)), Ok(Woken::Ended)) {
            // How it did is kept by the process itself.
            let _ = self.process.exit();
            self.ended = true;
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.group().as_raw_nonzero().get().unsigned_abs()
    }

    /// Waits a moment for the end of a host that was told to have ended, before somebody reaps whatever has.
    pub fn await_end(&mut self, lifeline: BorrowedFd<'_>) {
        let until = Instant::now() + GRACE;
        while !self.ended && Instant::now() < until {
            thread::sleep(PAUSE);
            self.look(lifeline);
        }
    }

    /// Whether it has ended, as far as was noticed.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Waits for its end; ends it where it takes longer than `patience`.
    pub fn dismiss(mut self, patience: Duration, lifeline: BorrowedFd<'_>) -> Ended {
        let mut deadline = Instant::now() + patience;
        let mut cause = Cause::Itself;
        loop {
            match self.process.wait(lifeline, Some(deadline)) {
                Ok(Woken::Ended) => break,
                Ok(Woken::Lifeline) => match frame::read(&mut RawStdin(lifeline)) {
                    Ok(Some(Request::Stop)) => {
                        self.process.signal(Signal::TERM);
                        deadline = deadline.min(Instant::now() + self.grace);
                    }
                    // A pause asks nothing of a host that is about to go.
                    Ok(Some(_)) => {}
                    // Nobody is there any more.
                    Ok(None) | Err(_) => deadline = Instant::now(),
                },
                Ok(Woken::Deadline) | Err(_) => {
                    cause = Cause::Timeout;
                    self.process.signal(Signal::KILL);
                    break;
                }
            }
        }
        let mut ended = Ended {
            cause,
            duration: self.begun.elapsed(),
            ..Ended::not_started(String::new())
        };
        match self.process.exit() {
            Ok(exit) => {
                ended.status = exit.status;
                ended.cpu = exit.cpu;
                ended.memory = exit.memory;
            }
            Err(error) => ended.status = Status::NotStarted(format!("its end was lost: {error}")),
        }
        ended.output = capture::read(self.output, self.output_limit).unwrap_or_default();
        ended
    }
}

/// Signals a process that somebody names, if it is below this one.
pub fn signal(pid: u32, with: Option<StopSignal>) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        tree::signal_branch(pid, with.map(tree::number));
    }
}

/// Waits until a process is gone that was told to have ended: its socket is closed a moment before its children are handed on.
pub fn wait_for(pid: Option<u32>) {
    let Some(pid) = pid
        .and_then(|pid| i32::try_from(pid).ok())
        .and_then(Pid::from_raw)
    else {
        return;
    };
    let until = Instant::now() + GRACE;
    while tree::is_alive(pid) && Instant::now() < until {
        thread::sleep(PAUSE);
    }
}

/// Ends what processes of a session have left, and removes their folder.
pub fn settle(
    tmp: &Path,
    outlived: Vec<u32>,
    keep: bool,
    place: &Place<'_>,
    kept: &mut Kept,
    lifeline: BorrowedFd<'_>,
) -> Settled {
    let left = kept.settle(Leftovers::End, None, Instant::now() + GRACE, lifeline);
    let remove = || place.scratch.remove(tmp);
    let (kept, trouble) = put_away(tmp, keep, place, remove);
    Settled {
        left,
        outlived,
        kept,
        trouble,
    }
}
