//! What holds a job's processes together, and apart from all others, beyond the worker itself.
//!
//! The worker finds whatever descends from it, but can't end a process of another user, nor keep one from looking at its
//! neighbours. A control group is ended by the kernel, whoever its processes belong to. Namespaces are a worker's: it lives in
//! them with all that it runs, so they cost a job nothing. All of these need what not every system allows, so a group asks for
//! them.

#[cfg(target_os = "linux")]
mod cgroup;
#[cfg(target_os = "linux")]
mod mounts;
#[cfg(target_os = "linux")]
mod namespace;

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

#[cfg(target_os = "linux")]
pub use cgroup::Cgroup;
#[cfg(target_os = "linux")]
pub use namespace::enter;

/// How a job's processes are held together, and apart from others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Level {
    /// By the worker alone.
    #[default]
    Supervisor,
    /// By a process namespace of the worker, too.
    PidNamespace,
    /// By that, and by temporary folders of the worker's own; what is the run's is out of sight.
    Sandbox,
    /// By a control group of the job, too.
    Cgroup,
}

impl Level {
    /// Whether a worker has a process namespace of its own.
    #[must_use]
    pub fn has_namespace(self) -> bool {
        matches!(self, Self::PidNamespace | Self::Sandbox)
    }
}

/// Where programs put temporary files that were not told where.
const TEMPORARY: [&str; 3] = ["/tmp", "/var/tmp", "/dev/shm"];

/// The folders that a sandbox has its own of.
#[must_use]
pub fn temporary_folders() -> Vec<PathBuf> {
    let asked = super::bases().into_iter().map(|base| base.path);
    TEMPORARY
        .map(PathBuf::from)
        .into_iter()
        .chain(asked)
        .collect()
}

/// Which network a worker and all that it runs have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Network {
    /// The one that `orchestrate` has.
    #[default]
    Host,
    /// A loopback of their own, and nothing else.
    Private,
    /// None.
    None,
}

/// What a worker is confined to, with all that it runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confinement {
    /// The level of isolation.
    pub level: Level,
    /// The network.
    pub network: Network,
    /// Folders that a sandbox has empty ones in the place of.
    pub private: Vec<PathBuf>,
    /// What is seen nevertheless of what is in these; and whether it may be written.
    pub kept: Vec<(PathBuf, bool)>,
    /// Files and folders that nobody in a sandbox may read or write.
    pub hidden: Vec<PathBuf>,
}

/// The walls that a worker is to live behind, as it is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Walls {
    /// Namespaces of its own.
    Own(Box<Confinement>),
    /// Those of another worker.
    Shared {
        /// The descriptors by which it is handed them.
        namespaces: Vec<i32>,
        /// The other worker's folder, in which this one has its own.
        folder: PathBuf,
    },
}

/// Where a worker is to live.
#[derive(Clone, Debug, Default)]
pub enum Home {
    /// Where `orchestrate` does.
    #[default]
    Outside,
    /// In namespaces of its own.
    Own(Box<Confinement>),
    /// In those of another worker, whose folder this is.
    With(Arc<Vec<OwnedFd>>, PathBuf),
}

impl Confinement {
    /// Where a worker lives that is confined so.
    #[must_use]
    pub fn home(self) -> Home {
        if self.level.has_namespace() || self.network != Network::Host {
            Home::Own(Box::new(self))
        } else {
            Home::Outside
        }
    }
}

/// On which side of its walls a worker finds itself.
pub enum Side {
    /// Inside: it serves. With the namespaces that it has for itself.
    Inside(Vec<OwnedFd>),
    /// Inside, where it can't serve, and why.
    Failed(String),
    /// Outside: the one inside has ended, with this exit code.
    Outside(u8),
}

#[cfg(not(target_os = "linux"))]
mod elsewhere {
    use std::io;
    use std::path::Path;

    use super::{Side, Walls};

    /// There are no control groups here.
    pub enum Cgroup {}

    impl Cgroup {
        /// Always says so.
        ///
        /// # Errors
        /// Always.
        pub fn new(_: Option<u64>) -> Result<Self, String> {
            Err("control groups are Linux's".to_owned())
        }

        /// Of none.
        pub fn is_out_of_memory(&self) -> bool {
            false
        }

        /// Of none.
        ///
        /// # Errors
        /// None.
        pub fn end(self) -> io::Result<u32> {
            Ok(0)
        }
    }

    /// There are no namespaces here.
    ///
    /// # Errors
    /// Always.
    pub fn enter(_: &Walls, _: &Path) -> Result<Side, String> {
        Err("namespaces are Linux's".to_owned())
    }
}

#[cfg(not(target_os = "linux"))]
pub use elsewhere::{Cgroup, enter};
