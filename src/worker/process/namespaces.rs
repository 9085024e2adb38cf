//! Namespaces: a second process in new ones, and what is done in there. The calls that no safe crate has.

use std::ffi::{CStr, c_int, c_ulong};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::process::Pid;

/// Kinds of namespaces, namespaces(7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Namespaces(c_int);

impl Namespaces {
    /// None.
    pub const NONE: Self = Self(0);
    /// Users.
    pub const USER: Self = Self(libc::CLONE_NEWUSER);
    /// Processes.
    pub const PROCESS: Self = Self(libc::CLONE_NEWPID);
    /// Mounts.
    pub const MOUNT: Self = Self(libc::CLONE_NEWNS);
    /// Network devices, and sockets that are no files.
    pub const NETWORK: Self = Self(libc::CLONE_NEWNET);
    /// Shared memory and message queues.
    pub const MEMORY: Self = Self(libc::CLONE_NEWIPC);

    /// Both.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of another are among these.
    #[must_use]
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Their names in `/proc/PID/ns`.
    const NAMES: [(Self, &'static str); 5] = [
        (Self::USER, "user"),
        (Self::PROCESS, "pid"),
        (Self::MOUNT, "mnt"),
        (Self::NETWORK, "net"),
        (Self::MEMORY, "ipc"),
    ];

    /// Each kind by itself.
    #[must_use]
    pub fn each(self) -> Vec<Self> {
        let kinds = Self::NAMES.into_iter().map(|(kind, _)| kind);
        kinds.filter(|kind| self.has(*kind)).collect()
    }

    /// The name of one kind.
    #[must_use]
    pub fn name(self) -> &'static str {
        let mut names = Self::NAMES.into_iter();
        names
            .find(|(kind, _)| *kind == self)
            .map_or("", |(_, name)| name)
    }

    /// The kind that a link of `/proc/PID/ns` is of.
    #[must_use]
    pub fn of_link(link: &str) -> Option<Self> {
        let (name, _) = link.split_once(":[")?;
        let mut names = Self::NAMES.into_iter();
        names
            .find(|(_, other)| *other == name)
            .map(|(kind, _)| kind)
    }
}

/// A copy of this process in new namespaces, as fork(2) makes one. Returns its process id; in the copy, nothing.
///
/// # Errors
/// The system does not allow it.
pub fn divide(new: Namespaces) -> io::Result<Option<Pid>> {
    let flags = c_ulong::from((new.0 | libc::SIGCHLD).unsigned_abs());
    // SAFETY: without a stack of its own, the copy goes on here with a copy of our memory. A worker has one thread, so no lock
    // is held by a thread that the copy does not have.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) };
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(i32::try_from(pid).ok().and_then(Pid::from_raw))
}

/// Stands for a user namespace until the other end of a socket is closed, and then ends. It says that it does by a byte.
///
/// The kernel lets nobody but root map the users of a process that others may not look into, as all of ours are
/// (`keep_from_others`). So this one gives up that, and all that it could give away.
pub fn stand_in(socket: &OwnedFd) -> ! {
    // SAFETY: after the first two calls the descriptors that somebody here believes to own are gone; nobody uses them, since this
    // function never returns. The byte is valid for as long as the calls last.
    unsafe {
        libc::dup2(socket.as_raw_fd(), 0);
        libc::syscall(libc::SYS_close_range, 1, libc::c_uint::MAX, 0);
        libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0);
        let mut byte = 0_u8;
        if libc::write(0, (&raw const byte).cast(), 1) == 1 {
            libc::read(0, (&raw mut byte).cast(), 1);
        }
        libc::_exit(0)
    }
}

/// Moves this process to new namespaces.
///
/// # Errors
/// The system does not allow it.
pub fn leave(new: Namespaces) -> io::Result<()> {
    // SAFETY: unshare(2) changes what this process belongs to, and none of its memory.
    done(unsafe { libc::unshare(new.0) })
}

/// Moves this process to a namespace; where it is one of processes, those that it starts from now on.
///
/// # Errors
/// The system does not allow it.
pub fn join(namespace: BorrowedFd<'_>, kind: Namespaces) -> io::Result<()> {
    // SAFETY: setns(2) changes what this process belongs to, and none of its memory.
    done(unsafe { libc::setns(namespace.as_raw_fd(), kind.0) })
}

/// Nothing that this process executes gets rights that it has not itself.
///
/// # Errors
/// None that is known.
pub fn gain_nothing() -> io::Result<()> {
    // SAFETY: the call sets a flag of this process; PR_SET_NO_NEW_PRIVS(2const).
    done(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })
}

/// Makes a mount, and all below it, one that nobody can write to.
///
/// # Errors
/// The path is no mount, or it is not allowed.
pub fn make_read_only(mount: &CStr) -> io::Result<()> {
    // As in mount_setattr(2), which libc has no type for everywhere.
    #[repr(C)]
    struct Attributes {
        set: u64,
        clear: u64,
        propagation: u64,
        user_namespace: u64,
    }
    const READ_ONLY: u64 = 1;
    let attributes = Attributes {
        set: READ_ONLY,
        clear: 0,
        propagation: 0,
        user_namespace: 0,
    };
    // SAFETY: both pointers are to values that live through the call, which reads as many bytes as it is told.
    done(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            mount.as_ptr(),
            libc::AT_RECURSIVE,
            &raw const attributes,
            size_of::<Attributes>(),
        )
    })
}

/// Makes the loopback of this process's network work.
///
/// # Errors
/// It is not allowed.
pub fn raise_loopback() -> io::Result<()> {
    // SAFETY: the socket is ours alone, and the request is a whole `ifreq`, which the call reads: netdevice(7).
    unsafe {
        let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
        let socket = libc::socket(libc::AF_INET, kind, 0);
        done(socket.min(0))?;
        let socket = OwnedFd::from_raw_fd(socket);
        let mut request: libc::ifreq = std::mem::zeroed();
        for (place, byte) in request.ifr_name.iter_mut().zip(c"lo".to_bytes()) {
            *place = byte.cast_signed() as libc::c_char;
        }
        let up = libc::IFF_UP | libc::IFF_RUNNING;
        request.ifr_ifru.ifru_flags = i16::try_from(up).unwrap_or_default();
        done(libc::ioctl(
            socket.as_raw_fd(),
            libc::SIOCSIFFLAGS as _,
            &raw const request,
        ))
    }
}

fn done(result: impl Into<i64>) -> io::Result<()> {
    if result.into() == 0 {
        return Ok(());
    }
    Err(io::Error::last_os_error())
}
