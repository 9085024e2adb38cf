//! A process namespace a job, pid_namespaces(7).
//!
//! The first process of a namespace is special: signals that it has no handler for don't reach it, and orphans come to it. So
//! it is not the job's own but ours, `orchestrate hold`: it starts the program, hands TERM down, reaps, and tells over a pipe
//! how the program ended. When it goes, the kernel ends everything else in the namespace.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::process::{Pid, Signal, WaitOptions, wait};
use serde::{Deserialize, Serialize};
use signal_hook::consts::SIGCHLD;
use signal_hook::iterator::Signals;

use crate::manifest::model::StopSignal;
use crate::worker::frame::{self, Status};
use crate::worker::process::own_mounts;
use crate::worker::tree;

/// How the program in a namespace ended.
#[derive(Debug, Serialize, Deserialize)]
pub struct Held {
    /// How.
    pub status: Status,
    /// How many processes it left behind.
    pub left: u32,
    /// The error's number where it could not start.
    pub errno: Option<i32>,
}

impl Held {
    /// What the first process told; nothing if it was killed before it could.
    pub fn read(pipe: OwnedFd) -> Option<Self> {
        let mut bytes = Vec::new();
        File::from(pipe).read_to_end(&mut bytes).ok()?;
        frame::read(&mut bytes.as_slice()).ok()?
    }
}

/// Runs a program as the first process of a namespace and tells `pipe` how it ended.
///
/// # Errors
/// Nobody can be told.
pub fn hold(pipe: OwnedFd, words: &[OsString]) -> io::Result<()> {
    // The program must not reach the pipe as its own. Nor can it through /proc, as everywhere (`keep_from_others`).
    fcntl_setfd(&pipe, FdFlags::CLOEXEC)?;
    let held = run(words).unwrap_or_else(|error| Held {
        status: Status::NotStarted(error.to_string()),
        left: 0,
        errno: error.raw_os_error(),
    });
    frame::write(&mut File::from(pipe), &held)
}

fn run(words: &[OsString]) -> io::Result<Held> {
    // /proc is to show the namespace's own processes, here and not outside.
    own_mounts()?;
    mount_change(
        "/",
        MountPropagationFlags::REC | MountPropagationFlags::PRIVATE,
    )?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("proc", "/proc", "proc", flags, None::<&std::ffi::CStr>)?;
    let asked = StopSignal::ALL.map(tree::number);
    let numbers = asked.iter().map(|signal| signal.as_raw());
    let mut signals = Signals::new(numbers.chain([SIGCHLD]))?;
    let (program, arguments) = words
        .split_first()
        .ok_or_else(|| io::Error::other("the command is empty"))?;
    let child = Command::new(program)
        .args(arguments)
        .process_group(0)
        .spawn()?;
    let child = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    for signal in signals.forever() {
        if let Some(asked) = asked.iter().find(|asked| asked.as_raw() == signal) {
            tree::signal_all(*asked);
            tree::signal_all(Signal::CONT);
            continue;
        }
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if Some(pid) != child {
                continue;
            }
            let status = match status.terminating_signal() {
                Some(signal) => Status::Signal(signal),
                None => Status::Exit(status.exit_status().unwrap_or(0)),
            };
            return Ok(Held {
                status,
                left: tree::count(),
                errno: None,
            });
        }
    }
    Err(io::Error::other("its signals are gone"))
}
