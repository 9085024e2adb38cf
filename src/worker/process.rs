//! Starting a job's process and waiting for it: the one place of the crate with `unsafe`.

use std::fs::File;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use super::frame::{JobRequest, Status};

/// A job's process, the head of a session and a process group of its own.
pub struct Process {
    child: Child,
    #[cfg(target_os = "linux")]
    handle: OwnedFd,
}

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// The process has ended.
    Ended,
    /// There is something to read on the lifeline.
    Lifeline,
    /// The time is over.
    Deadline,
}

/// Where a job's output goes.
pub enum Sink<'a> {
    /// Both streams into this file.
    File(&'a File),
    /// Standard output to this descriptor, standard error to the worker's own.
    Through(BorrowedFd<'a>),
}

impl Process {
    /// Starts a job.
    pub fn start(job: &JobRequest, sink: &Sink<'_>) -> io::Result<Self> {
        let (program, arguments) = job
            .words
            .split_first()
            .ok_or_else(|| io::Error::other("the command is empty"))?;
        let (stdout, stderr) = match sink {
            Sink::File(file) => (
                Stdio::from(file.try_clone()?),
                Stdio::from(file.try_clone()?),
            ),
            Sink::Through(fd) => (Stdio::from(fd.try_clone_to_owned()?), Stdio::inherit()),
        };
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(&job.folder)
            .envs(job.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr);
        // SAFETY: between fork and exec only `setsid` is called, which is async-signal-safe (signal-safety(7)) and touches
        // no memory.
        unsafe {
            command.pre_exec(|| {
                rustix::process::setsid()?;
                Ok(())
            });
        }
        let child = command.spawn()?;
        Ok(Self {
            #[cfg(target_os = "linux")]
            handle: rustix::process::pidfd_open(
                pid_of(&child),
                rustix::process::PidfdFlags::empty(),
            )?,
            child,
        })
    }

    /// Its process group.
    pub fn group(&self) -> Pid {
        pid_of(&self.child)
    }

    /// Waits until it has ended, something is on the lifeline, or the deadline has come.
    #[cfg(target_os = "linux")]
    pub fn wait(
        &mut self,
        lifeline: BorrowedFd<'_>,
        deadline: Option<Instant>,
    ) -> io::Result<Woken> {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let timeout = left.and_then(|left| Timespec::try_from(left).ok());
            let mut polled = [
                PollFd::new(&self.handle, PollFlags::IN),
                PollFd::from_borrowed_fd(lifeline, PollFlags::IN),
            ];
            match poll(&mut polled, timeout.as_ref()) {
                Ok(0) => return Ok(Woken::Deadline),
                Ok(_) if !polled[0].revents().is_empty() => return Ok(Woken::Ended),
                Ok(_) => return Ok(Woken::Lifeline),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The same where there is no pidfd: in slices, with `wait-timeout`.
    #[cfg(not(target_os = "linux"))]
    pub fn wait(
        &mut self,
        lifeline: BorrowedFd<'_>,
        deadline: Option<Instant>,
    ) -> io::Result<Woken> {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        use wait_timeout::ChildExt;
        const SLICE: Duration = Duration::from_millis(20);
        loop {
            let left = deadline.map_or(SLICE, |deadline| {
                deadline.saturating_duration_since(Instant::now())
            });
            if self.child.wait_timeout(left.min(SLICE))?.is_some() {
                return Ok(Woken::Ended);
            }
            let mut polled = [PollFd::from_borrowed_fd(lifeline, PollFlags::IN)];
            if poll(&mut polled, Some(&Timespec::default()))? > 0 {
                return Ok(Woken::Lifeline);
            }
            if left.is_zero() {
                return Ok(Woken::Deadline);
            }
        }
    }

    /// Waits until it has ended or the time is over; the lifeline is not looked at.
    pub fn wait_within(&mut self, time: Duration) -> io::Result<bool> {
        use wait_timeout::ChildExt;
        Ok(self.child.wait_timeout(time)?.is_some())
    }

    /// Sends a signal to its group.
    pub fn signal(&self, signal: Signal) {
        // The group may be gone already, which is what was wanted.
        let _ = rustix::process::kill_process_group(self.group(), signal);
    }

    /// Reaps it; it has ended.
    pub fn status(&mut self) -> io::Result<Status> {
        let status = self.child.wait()?;
        Ok(match status.signal() {
            Some(signal) => Status::Signal(signal),
            None => Status::Exit(status.code().unwrap_or(0)),
        })
    }
}

fn pid_of(child: &Child) -> Pid {
    i32::try_from(child.id())
        .ok()
        .and_then(Pid::from_raw)
        .expect("a child's process id is positive")
}

/// Closes every descriptor but the standard ones at the next `exec`: what `orchestrate` was started with by mistake must not
/// reach the jobs. Descriptors that the worker opens itself are closed so anyway.
pub fn keep_descriptors_from_jobs() {
    #[cfg(target_os = "linux")]
    // SAFETY: the call only sets a flag of descriptors; close_range(2). Before Linux 5.11 it fails, and they are passed on.
    unsafe {
        libc::close_range(
            3,
            libc::c_uint::MAX,
            libc::CLOSE_RANGE_CLOEXEC.cast_signed(),
        );
    }
}

/// Takes over a descriptor that the launcher left open for us.
pub fn inherited(number: i32) -> OwnedFd {
    use std::os::fd::FromRawFd;
    // SAFETY: `orchestrate` names the number of a descriptor that it opened for this worker alone; nothing else here owns it.
    unsafe { OwnedFd::from_raw_fd(number) }
}
