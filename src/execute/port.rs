//! `<port>`: a free port leased to a worker.
//!
//! The kernel names one that is free; a lock on a file of its number keeps it from every other worker of every run on the
//! machine for as long as the lease lives. (A socket can't be held instead: the job has to bind the port itself.)

use std::fs::{self, File};
use std::io;
use std::net::TcpListener;

/// A leased port.
#[derive(Debug)]
pub struct Port {
    /// Its number.
    pub number: u16,
    _lock: File,
}

impl Port {
    /// Leases one.
    pub fn lease() -> io::Result<Self> {
        // The folder is shared by all users, and whoever can't open a file in it takes another port.
        let folder = std::env::temp_dir().join("orchestrate-ports");
        if fs::create_dir(&folder).is_ok() {
            use std::os::unix::fs::PermissionsExt;
            let _ = fs::set_permissions(&folder, fs::Permissions::from_mode(0o1777));
        }
        let mut last = io::Error::other("no port is free");
        for _ in 0..100 {
            let number = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
            let lock = File::options()
                .create(true)
                .append(true)
                .open(folder.join(number.to_string()));
            match lock {
                Ok(lock) if lock.try_lock().is_ok() => {
                    return Ok(Self {
                        number,
                        _lock: lock,
                    });
                }
                Ok(_) => {}
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}
