//! Starting a job's process and waiting for it: the one place of the crate with `unsafe`.
//!
//! On Linux a process is started by a `clone` that shares our memory until it executes the program, as `vfork` does, and is
//! waited for through a pidfd: starting processes is what we exist for, so its price matters. Elsewhere `std::process` does it.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
pub mod namespaces;
#[cfg(not(target_os = "linux"))]
mod portable;
mod signals;

use std::ffi::CString;
use std::io;
#[cfg(target_os = "linux")]
use std::os::fd::{AsFd, AsRawFd};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

#[cfg(target_os = "linux")]
use rustix::process::Pid;

use super::frame::Status;

#[cfg(target_os = "linux")]
pub use linux::{Process, Spawner};
#[cfg(not(target_os = "linux"))]
pub use portable::{Process, Spawner};
pub use signals::{is_ignored, start_clean};

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
    /// Standard output into the first, standard error into the second, which may be the same.
    Files(BorrowedFd<'a>, BorrowedFd<'a>),
    /// Standard output to this descriptor, standard error to the worker's own.
    Through(BorrowedFd<'a>),
}

/// How a process ended, and what it and the processes that it waited for used.
#[derive(Clone, Debug)]
pub struct Exit {
    /// How.
    pub status: Status,
    /// Processor time, user and system.
    pub cpu: Duration,
    /// The peak memory of the largest of them, in bytes. Never less than what the worker itself had when it started the process,
    /// some MiB: the kernel counts it in (`exec` keeps the peak, getrusage(2)).
    pub memory: u64,
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

/// Makes a named pipe that only we and those whom we run may open.
///
/// # Errors
/// There can be none at that path: mkfifo(3).
pub fn make_pipe(path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: the path is a string with a NUL at its end, which the call only reads. Not by rustix, which has it not everywhere.
    match unsafe { libc::mkfifo(path.as_ptr(), 0o600) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Takes over a descriptor that the launcher left open for us; nothing where there is none of this number.
pub fn inherited(number: i32) -> Option<OwnedFd> {
    use std::os::fd::FromRawFd;
    // The standard ones belong to the standard library.
    let is_open = || {
        // SAFETY: the call only looks at the table of descriptors; fcntl(2).
        unsafe { libc::fcntl(number, libc::F_GETFD) >= 0 }
    };
    // SAFETY: it is open, and `orchestrate` named the number of a descriptor that it opened for this process alone: this is
    // called before anything else here has opened one.
    (number > 2 && is_open()).then(|| unsafe { OwnedFd::from_raw_fd(number) })
}

/// The process that listens at the other end of a socket which was connected: unix(7), `SO_PEERCRED`. None where it is in no
/// namespace that we can see.
///
/// # Errors
/// It is no such socket.
#[cfg(target_os = "linux")]
pub fn listener_of(socket: impl AsFd) -> io::Result<Option<Pid>> {
    let mut peer = libc::ucred {
        pid: 0,
        uid: 0,
        gid: 0,
    };
    let mut size = u32::try_from(size_of::<libc::ucred>()).unwrap_or(0);
    // SAFETY: the call writes no more than `size` bytes to `peer`, which is a structure of integers.
    let code = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut peer).cast(),
            &raw mut size,
        )
    };
    match code {
        // A negative number is no process id, which `from_raw` insists on.
        0 => Ok(Pid::from_raw(peer.pid.max(0))),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Keeps other processes of this user from reading our memory and from copying our descriptors: ptrace(2), pidfd_getfd(2),
/// proc_pid_fd(5). Results go over some of them. A program that we execute is not kept from it: execve(2).
pub fn keep_from_others() {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}
