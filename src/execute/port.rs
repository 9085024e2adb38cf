//! `<port>`: a free port leased to a worker.
//!
//! The kernel names one that is free; a claim on its number keeps it from every other worker of every run on the machine for as
//! long as the lease lives. (The port itself can't be held: the job has to bind it.)

use std::io;
use std::net::TcpListener;

#[cfg(not(target_os = "linux"))]
use file::Claim;
#[cfg(target_os = "linux")]
use name::Claim;

/// How many ports are tried that others have claimed.
const MOST_TRIES: u32 = 1000;

/// A leased port.
#[derive(Debug)]
pub struct Port {
    /// Its number.
    pub number: u16,
    _claim: Claim,
}

impl Port {
    /// Leases one.
    ///
    /// # Errors
    /// No port is free, or none can be claimed.
    pub fn lease() -> io::Result<Self> {
        for _ in 0..MOST_TRIES {
            let number = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
            if let Some(claim) = Claim::new(number)? {
                return Ok(Self {
                    number,
                    _claim: claim,
                });
            }
        }
        Err(io::Error::other(format!(
            "{MOST_TRIES} free ports were tried, and all are claimed by others"
        )))
    }
}

/// Linux: an abstract socket address, unix(7). It is unique among all users where ports are (a network namespace), it goes with
/// who has it, and there is no file of it that another user could have made before.
#[cfg(target_os = "linux")]
mod name {
    use std::io;
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    #[derive(Debug)]
    pub struct Claim {
        _socket: UnixDatagram,
    }

    impl Claim {
        /// Claims a port; nothing where somebody else has.
        pub fn new(port: u16) -> io::Result<Option<Self>> {
            let address = SocketAddr::from_abstract_name(format!("orchestrate-port-{port}"))?;
            match UnixDatagram::bind_addr(&address) {
                Ok(socket) => Ok(Some(Self { _socket: socket })),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(None),
                Err(error) => Err(error),
            }
        }
    }
}

/// Elsewhere: a lock on a file in a folder of this user's alone. Runs of one user do not get one port twice; those of two users
/// may.
#[cfg(any(test, not(target_os = "linux")))]
#[cfg_attr(target_os = "linux", allow(dead_code))]
mod file {
    use std::fs::{DirBuilder, File, TryLockError};
    use std::io;
    use std::os::unix::fs::{DirBuilderExt, MetadataExt};
    use std::path::Path;

    use rustix::fs::{CWD, Mode, OFlags, openat};
    use rustix::process::geteuid;

    #[derive(Debug)]
    pub struct Claim {
        _lock: File,
    }

    impl Claim {
        /// Claims a port; nothing where somebody else has.
        pub fn new(port: u16) -> io::Result<Option<Self>> {
            Self::in_folder(&std::env::temp_dir(), port)
        }

        pub fn in_folder(base: &Path, port: u16) -> io::Result<Option<Self>> {
            let user = geteuid().as_raw();
            let path = base.join(format!("orchestrate-ports-{user}"));
            // One that is there is looked at next.
            let _ = DirBuilder::new().mode(0o700).create(&path);
            let careful = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | careful;
            let folder = openat(CWD, &path, flags, Mode::empty()).map(File::from);
            let meta = folder
                .as_ref()
                .ok()
                .and_then(|folder| folder.metadata().ok());
            let is_own =
                meta.is_some_and(|meta| meta.uid() == user && meta.mode() & 0o777 == 0o700);
            let (Ok(folder), true) = (folder, is_own) else {
                let path = path.display();
                return Err(io::Error::other(format!(
                    "{path} is no folder of this user's alone: remove it, or set TMPDIR to another folder"
                )));
            };
            let flags = OFlags::RDWR | OFlags::CREATE | careful;
            let mode = Mode::RUSR | Mode::WUSR;
            let lock = File::from(openat(&folder, port.to_string(), flags, mode)?);
            match lock.try_lock() {
                Ok(()) => Ok(Some(Self { _lock: lock })),
                Err(TryLockError::WouldBlock) => Ok(None),
                Err(TryLockError::Error(error)) => Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn no_two_leases_have_one_port_and_what_others_claim_is_left_to_them() {
        let leases: Vec<_> = (0..200).map(|_| Port::lease().unwrap()).collect();
        let numbers: HashSet<_> = leases.iter().map(|lease| lease.number).collect();
        assert_eq!(numbers.len(), leases.len());
        assert!(Claim::new(leases[0].number).unwrap().is_none());
        let number = leases[0].number;
        drop(leases);
        assert!(Claim::new(number).unwrap().is_some());
    }

    #[test]
    fn a_claim_by_a_file_is_only_made_in_a_folder_of_this_user_alone() {
        let base = tempfile::tempdir().unwrap();
        let claim = |port| file::Claim::in_folder(base.path(), port);
        let first = claim(1).unwrap();
        assert!(first.is_some() && claim(1).unwrap().is_none() && claim(2).unwrap().is_some());
        drop(first);
        assert!(claim(1).unwrap().is_some());
        let user = rustix::process::geteuid().as_raw();
        let path = base.path().join(format!("orchestrate-ports-{user}"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(claim(1).is_err());
        fs::remove_dir_all(&path).unwrap();
        let victim = base.path().join("victim");
        fs::create_dir(&victim).unwrap();
        symlink(&victim, &path).unwrap();
        assert!(claim(1).is_err());
        assert_eq!(fs::read_dir(&victim).unwrap().count(), 0);
    }
}
