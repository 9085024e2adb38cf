//! A look at a job whose time is over, by a command that the group names, before the job is ended.
//!
//! It changes nothing of the job's outcome. What it prints goes where the job's output goes, and so does a line that says how it
//! failed. It must never outlive the look, nor hold up whoever wants everything to end.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;

use super::{Abandoned, LATER_LOOKS, Place, RawStdin, Running};
use crate::worker::frame::{self, Cause, Ended, JobRequest, OnTimeout, Request, Status};
use crate::worker::process::{Process, Sink, Woken};
use crate::worker::{capture, tree};

impl Running {
    /// Runs the command, if there is one, until it has ended.
    pub(super) fn look_into(
        &mut self,
        job: &JobRequest,
        place: &Place<'_>,
        lifeline: BorrowedFd<'_>,
    ) -> Result<(), Abandoned> {
        let Some(command) = &job.on_timeout else {
            return Ok(());
        };
        if let Some(why) = &command.broken {
            self.say(place, &OnTimeout::failure(why));
            return Ok(());
        }
        let pid = self.process.group().as_raw_nonzero().get().unsigned_abs();
        let request = command.request(job, pid);
        self.say(place, &command.title(pid));
        let sink = match (&self.output, place.through) {
            (Some(file), _) => Sink::Files(file.as_fd(), file.as_fd()),
            (None, Some(fd)) => Sink::Through(fd.as_fd()),
            // The job would not have been started.
            (None, None) => return Ok(()),
        };
        let ended = match place.start(&request, &sink, None) {
            Ok(process) => self.attend(process, job, request.timeout, lifeline)?,
            Err(error) => Ended::not_started(error.explain(&request)),
        };
        if let Some(why) = ended.why_failed(request.timeout) {
            self.say(place, &OnTimeout::failure(&why));
        }
        Ok(())
    }

    /// Waits for the command's end, and makes it where it must: where it takes too long, where too much is written or taken
    /// meanwhile, and where the job is to be stopped.
    fn attend(
        &mut self,
        mut process: Process,
        job: &JobRequest,
        timeout: Option<Duration>,
        lifeline: BorrowedFd<'_>,
    ) -> Result<Ended, Abandoned> {
        let mut limit = timeout.map(|timeout| Instant::now() + timeout);
        let cause = loop {
            let look = Instant::now() + LATER_LOOKS;
            let wake = limit.map_or(look, |limit| limit.min(look));
            match process.wait(lifeline, Some(wake)).map_err(|_| Abandoned)? {
                Woken::Ended => break Cause::Itself,
                Woken::Deadline if limit.is_some_and(|limit| Instant::now() >= limit) => {
                    break Cause::Timeout;
                }
                Woken::Deadline => {
                    if let Some(cause) = self.excess(job) {
                        break cause;
                    }
                }
                Woken::Lifeline => match frame::read(&mut RawStdin(lifeline)) {
                    Ok(Some(Request::Stop)) => break Cause::Stop,
                    Ok(Some(Request::Pause)) => {
                        let (stopped, length) = self.pause(lifeline)?;
                        limit = limit.map(|limit| limit + length);
                        if stopped {
                            break Cause::Stop;
                        }
                    }
                    Ok(Some(_)) => {}
                    Ok(None) | Err(_) => return Err(Abandoned),
                },
            }
        };
        if cause != Cause::Itself {
            tree::signal_branch(process.group(), None);
        }
        // While it is not reaped its number is its own, and so is its group's. What has left that ends with the job.
        process.signal(Signal::KILL);
        let status = match process.exit() {
            Ok(exit) => exit.status,
            Err(error) => Status::NotStarted(format!("its end was lost: {error}")),
        };
        Ok(Ended {
            status,
            cause,
            ..Ended::not_started(String::new())
        })
    }

    /// Adds a line to what the job has written.
    fn say(&mut self, place: &Place<'_>, line: &str) {
        let said = match (&self.output, place.through) {
            (Some(file), _) => capture::add(file, line),
            (None, Some(fd)) => pass_on(fd.as_fd(), line),
            (None, None) => Ok(()),
        };
        if let Err(error) = said {
            self.trouble = Some(format!("what `on-timeout` said is lost: {error}"));
        }
    }
}

/// Writes a line to where others write too, unless that would make us wait: nobody may read it.
fn pass_on(fd: BorrowedFd<'_>, line: &str) -> io::Result<()> {
    let mut polled = [PollFd::from_borrowed_fd(fd, PollFlags::OUT)];
    if poll(&mut polled, Some(&Timespec::default()))? == 0 {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    // A pipe that can be written to takes a line in one piece: pipe(7).
    rustix::io::write(fd, line.as_bytes())?;
    Ok(())
}
