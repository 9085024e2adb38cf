//! Where there is no pidfd: `std::process`, waited for in slices with `wait-timeout`.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal};
use wait_timeout::ChildExt;

use super::{Exit, Sink, Woken};
use crate::worker::frame::{JobRequest, Status};
use crate::worker::level::Cgroup;

const SLICE: Duration = Duration::from_millis(20);

/// Nothing is shared between starts here.
pub struct Spawner;

/// A job's process, the head of a session and a process group of its own.
pub struct Process {
    child: Child,
}

impl Spawner {
    /// Nothing to prepare.
    ///
    /// # Errors
    /// None.
    pub fn new() -> io::Result<Self> {
        Ok(Self)
    }

    /// Starts a job.
    ///
    /// # Errors
    /// Why the program could not be executed, or the process not be made.
    pub fn start(
        &self,
        job: &JobRequest,
        sink: &Sink<'_>,
        _: Option<&Cgroup>,
    ) -> io::Result<Process> {
        let (program, arguments) = job
            .words
            .split_first()
            .ok_or_else(|| io::Error::other("the command is empty"))?;
        let (stdout, stderr) = match sink {
            Sink::Files(out, errors) => (
                Stdio::from(out.try_clone_to_owned()?),
                Stdio::from(errors.try_clone_to_owned()?),
            ),
            Sink::Through(fd) => (Stdio::from(fd.try_clone_to_owned()?), Stdio::inherit()),
        };
        if job.env.is_broken() || job.common.is_broken() {
            let why = "an argument or a variable has a NUL byte";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let mut command = Command::new(program);
        if let Some(allowed) = &job.env_only {
            command.env_clear();
            let allowed = allowed
                .iter()
                .filter_map(|name| Some((name, std::env::var_os(name)?)));
            command.envs(allowed);
        }
        for name in &job.env_without {
            command.env_remove(name);
        }
        command
            .args(arguments)
            .current_dir(&job.folder)
            .envs(job.common.pairs())
            .envs(job.env.pairs())
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr);
        let limits = job.limits.clone();
        // SAFETY: between fork and exec only `setsid` and `setrlimit` are called, which are system calls over memory that the
        // closure owns (signal-safety(7)).
        unsafe {
            command.pre_exec(move || {
                use rustix::process::{Resource, Rlimit, setrlimit};
                rustix::process::setsid()?;
                let both = |value: Option<u64>| Rlimit {
                    current: value,
                    maximum: value,
                };
                if limits.cpu_seconds.is_some() {
                    let _ = setrlimit(Resource::Cpu, both(limits.cpu_seconds));
                }
                if limits.open_files.is_some() {
                    let _ = setrlimit(Resource::Nofile, both(limits.open_files));
                }
                if limits.file_size.is_some() {
                    let _ = setrlimit(Resource::Fsize, both(limits.file_size));
                }
                Ok(())
            });
        }
        Ok(Process {
            child: command.spawn()?,
        })
    }
}

impl Process {
    /// Its process id, which is that of its group and session too.
    pub fn group(&self) -> Pid {
        i32::try_from(self.child.id())
            .ok()
            .and_then(Pid::from_raw)
            .expect("a child's process id is positive")
    }

    /// Waits until it has ended, something is on the lifeline, or the deadline has come.
    ///
    /// # Errors
    /// The child can't be waited for.
    pub fn wait(
        &mut self,
        lifeline: BorrowedFd<'_>,
        deadline: Option<Instant>,
    ) -> io::Result<Woken> {
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

    /// Sends a signal to its group.
    pub fn signal(&self, signal: Signal) {
        let _ = rustix::process::kill_process_group(self.group(), signal);
    }

    /// Reaps it: waits until it has ended. What it used is not known here.
    ///
    /// # Errors
    /// Somebody else reaped it.
    pub fn exit(&mut self) -> io::Result<Exit> {
        let status = self.child.wait()?;
        Ok(Exit {
            status: match status.signal() {
                Some(signal) => Status::Signal(signal),
                None => Status::Exit(status.code().unwrap_or(0)),
            },
            cpu: Duration::ZERO,
            memory: 0,
        })
    }
}
