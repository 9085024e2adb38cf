//! Private temporary folders.

mod base;
mod remove;

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::fs::{CWD, FlockOperation, Mode, OFlags, flock, mkdirat, renameat};

pub use base::bases;
pub use remove::remove;

/// Why there is no temporary folder.
#[derive(Debug, thiserror::Error)]
#[error("can't make a temporary folder: {tried}; set TMPDIR to a folder that can be written")]
pub struct ScratchError {
    tried: String,
}

/// A folder of this process alone, removed when it is dropped.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    /// The folder, locked for as long as the process lives, by which others know that it is in use.
    folder: Option<File>,
}

/// How old a folder is whose owner, if it has one, has locked it long since.
const SETTLED: Duration = Duration::from_secs(60);

impl Scratch {
    /// Makes one in the first of the [`bases`] that can be written.
    ///
    /// # Errors
    /// None of them can be written.
    pub fn new(purpose: &str) -> Result<Self, ScratchError> {
        Self::in_one_of(bases().into_iter().map(|base| base.path), purpose)
    }

    /// Makes one beside another, so that all of a run are on one file system; elsewhere if that can't be.
    ///
    /// # Errors
    /// No folder for it can be written.
    pub fn beside(other: &Path, purpose: &str) -> Result<Self, ScratchError> {
        let base = other.parent().map(Path::to_owned);
        let others = || bases().into_iter().map(|base| base.path);
        Self::in_one_of(base.into_iter(), purpose).or_else(|_| Self::in_one_of(others(), purpose))
    }

    fn in_one_of(
        bases: impl Iterator<Item = PathBuf>,
        purpose: &str,
    ) -> Result<Self, ScratchError> {
        let mut tried = Vec::new();
        for base in bases {
            let path = base.join(format!("orchestrate-{purpose}-{}", process::id()));
            // A process that had this id may have been killed; its folder is ours now, if it is ours at all.
            if path.symlink_metadata().is_ok_and(|meta| meta.is_dir()) {
                let _ = remove(&path);
            }
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => {
                    let folder = lock(&path);
                    return Ok(Self { path, folder });
                }
                Err(error) => tried.push(format!("{}: {error}", path.display())),
            }
        }
        Err(ScratchError {
            tried: tried.join("; "),
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder itself, whatever its path leads to by now, and the name of something in it.
    fn place<'a>(&'a self, path: &'a Path) -> io::Result<(BorrowedFd<'a>, &'a Path)> {
        let folder = self.folder.as_ref().map(AsFd::as_fd);
        match (folder, path.strip_prefix(&self.path), path.file_name()) {
            (Some(folder), Ok(inside), Some(name)) if inside == Path::new(name) => {
                Ok((folder, inside))
            }
            _ => Err(io::Error::other("it is not in the worker's folder")),
        }
    }

    /// Makes a job's own folder.
    ///
    /// # Errors
    /// It can't be made.
    pub fn make(&self, path: &Path) -> io::Result<()> {
        let (folder, name) = self.place(path)?;
        Ok(mkdirat(folder, name, Mode::RWXU)?)
    }

    /// Removes what is in the folder by this name.
    ///
    /// # Errors
    /// The first thing that could not be removed.
    pub fn remove(&self, path: &Path) -> io::Result<()> {
        let (folder, name) = self.place(path)?;
        remove::remove_in(folder, name)
    }

    /// Takes a job's folder out of this one, which will be removed. Returns where it is from now on.
    ///
    /// # Errors
    /// It can't be renamed.
    pub fn keep(&self, path: &Path) -> io::Result<PathBuf> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let (folder, name) = self.place(path)?;
        let base = self.path.parent().unwrap_or(Path::new("/"));
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let kept = base.join(format!("orchestrate-kept-{}-{number}", process::id()));
        renameat(folder, name, CWD, &kept)?;
        Ok(kept)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // By its own handle: its path may lead elsewhere by now.
        if let Some(folder) = &self.folder {
            let _ = remove::empty_folder(folder.as_fd());
        }
        let _ = remove(&self.path);
    }
}

fn lock(path: &Path) -> Option<File> {
    // Whatever else is called so, such as a pipe that nobody writes to, is not opened.
    let flags =
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let folder = File::from(rustix::fs::open(path, flags, Mode::empty()).ok()?);
    flock(&folder, FlockOperation::NonBlockingLockExclusive).ok()?;
    Some(folder)
}

/// Removes the folders of processes that were killed before they could.
pub fn sweep() {
    for base in bases() {
        let entries = fs::read_dir(base.path).into_iter().flatten().flatten();
        for entry in entries {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let is_ours = ["orchestrate-run-", "orchestrate-worker-"]
                .iter()
                .any(|prefix| name.starts_with(prefix));
            let is_settled = || {
                let changed = entry.metadata().and_then(|meta| meta.modified()).ok();
                changed.and_then(|at| at.elapsed().ok()) > Some(SETTLED)
            };
            if is_ours && is_settled() && lock(&entry.path()).is_some() {
                // Another user's can't be removed, nor locked where it can't be read.
                let _ = remove(&entry.path());
            }
        }
    }
}
