//! Where temporary folders are made.
//!
//! `TMPDIR` decides where it is set. Else memory is preferred, where a folder costs a tenth of what it costs on a disk, if
//! programs may run there and there is room: Docker gives a container a `/dev/shm` of 64 MB that is mounted `noexec`.
//! `XDG_RUNTIME_DIR` is for sockets and the like and not for large files
//! (<https://specifications.freedesktop.org/basedir-spec/latest/>), so it is never taken.

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};

use rustix::fs::{StatVfsMountFlags, statvfs};

use crate::machine::Gauge;
use crate::manifest::model::Size;

/// Where to look, the best first.
const CANDIDATES: [&str; 3] = [MEMORY, "/tmp", "/var/tmp"];
const MEMORY: &str = "/dev/shm";

/// How much room a place must have to be taken before one that has more.
const ENOUGH: u64 = 1 << 30;

/// A folder that temporary folders can be made in.
#[derive(Clone, Debug)]
pub struct Base {
    /// Where it is.
    pub path: PathBuf,
    /// Whether `TMPDIR` names it.
    is_asked: bool,
    /// Whether programs may not be run from it.
    pub is_noexec: bool,
    /// How many bytes there are for it.
    room: u64,
}

/// The places for temporary folders, the one to take first; one alone where `TMPDIR` is set.
#[must_use]
pub fn bases() -> Vec<Base> {
    if let Some(asked) = env::var_os("TMPDIR").filter(|path| !path.is_empty()) {
        // A job may run elsewhere, where a relative path would lead elsewhere.
        let path = std::path::absolute(asked);
        return path.into_iter().map(Base::asked).collect();
    }
    let candidates = CANDIDATES.iter().filter_map(|path| Base::candidate(path));
    let mut bases: Vec<Base> = candidates.collect();
    bases.sort_by_key(Base::rank);
    bases
}

impl Base {
    fn asked(path: PathBuf) -> Self {
        let base = Self::look(&path);
        Self {
            is_asked: true,
            path,
            is_noexec: base.as_ref().is_some_and(|base| base.is_noexec),
            room: base.map_or(0, |base| base.room),
        }
    }

    fn candidate(path: &str) -> Option<Self> {
        let mut base = Self::look(Path::new(path))?;
        if path == MEMORY {
            // What is written there takes memory from the tests.
            let free = Gauge::new().read().map_or(u64::MAX, |memory| memory.free);
            base.room = base.room.min(free / 2);
        }
        Some(base)
    }

    fn look(path: &Path) -> Option<Self> {
        let stat = statvfs(path).ok()?;
        Some(Self {
            path: path.to_owned(),
            is_asked: false,
            is_noexec: stat.f_flag.contains(StatVfsMountFlags::NOEXEC),
            room: stat.f_bavail.saturating_mul(stat.f_frsize),
        })
    }

    /// The less the better: programs can run, there is enough room, and if there is not, as much as can be.
    fn rank(&self) -> (bool, u64) {
        (self.is_noexec, ENOUGH.saturating_sub(self.room))
    }
}

/// What a person is told of it, after its path.
impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_asked {
            f.write_str("TMPDIR names it, ")?;
        }
        write!(f, "{} of room", Size(self.room))?;
        if self.is_noexec {
            f.write_str(", mounted noexec: no program can run there")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(list: &[(&str, bool, u64)]) -> Vec<String> {
        let mut bases: Vec<Base> = list
            .iter()
            .map(|(path, is_noexec, room)| Base {
                path: path.into(),
                is_asked: false,
                is_noexec: *is_noexec,
                room: *room,
            })
            .collect();
        bases.sort_by_key(Base::rank);
        let paths = bases.iter().map(|base| base.path.display().to_string());
        paths.collect()
    }

    #[test]
    fn programs_must_run_and_then_there_must_be_room() {
        let gib = 1 << 30;
        assert_eq!(
            order(&[("shm", false, 8 * gib), ("tmp", false, 90 * gib)]),
            ["shm", "tmp"]
        );
        // As in a container of Docker.
        assert_eq!(
            order(&[("shm", true, 64 << 20), ("tmp", false, 90 * gib)]),
            ["tmp", "shm"]
        );
        assert_eq!(
            order(&[("shm", false, 64 << 20), ("tmp", false, 90 * gib)]),
            ["tmp", "shm"]
        );
        // Where there is little everywhere, the most; a hardened system mounts /tmp noexec.
        assert_eq!(
            order(&[("shm", false, 64 << 20), ("tmp", false, 200 << 20)]),
            ["tmp", "shm"]
        );
        assert_eq!(
            order(&[("shm", false, 64 << 20), ("tmp", true, 90 * gib)]),
            ["shm", "tmp"]
        );
    }
}
