//! Private temporary folders.

mod base;
mod remove;
mod shared;

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, mkdirat, renameat};

pub use base::bases;
pub use remove::remove;
pub use shared::unknown_text;

/// Why there is no temporary folder.
#[derive(Debug, thiserror::Error)]
#[error("can't make a temporary folder: {tried}; set TMPDIR to a folder that can be written")]
pub struct ScratchError {
    /// What was tried, and why it did not work.
    pub tried: String,
}

/// A folder of this process alone, removed when it is dropped.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    /// The folder that it is in, or that which others are in that it is in: what is kept goes there.
    base: PathBuf,
    /// That folder itself: a worker may see another at its path (`worker/level`).
    beside: File,
    /// The folder. It is locked for as long as the process lives, by which others know that it is in use.
    folder: File,
}

/// The names of the folders that are removed if nobody has locked them.
const SWEPT: [&str; 3] = [RUN, "orchestrate-worker-", "orchestrate-socket-"];
const RUN: &str = "orchestrate-run-";
/// The names of those that could not be locked: nobody can see whether they are in use.
const UNLOCKED: &str = "orchestrate-unlocked";

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

    /// Makes one in the first of some folders that can be written.
    ///
    /// # Errors
    /// None of them can be written.
    pub fn in_one_of(
        bases: impl Iterator<Item = PathBuf>,
        purpose: &str,
    ) -> Result<Self, ScratchError> {
        let mut tried = Vec::new();
        for base in bases {
            match Self::in_base(&base, &format!("orchestrate-{purpose}")) {
                Ok(scratch) => return Ok(scratch),
                Err(error) => tried.push(format!("{}: {error}", base.display())),
            }
        }
        Err(ScratchError {
            tried: tried.join("; "),
        })
    }

    /// Makes one in that of another process, so that who sees that sees this.
    ///
    /// # Errors
    /// It can't be made.
    pub fn inside(other: &Path) -> Result<Self, ScratchError> {
        let failed = |place: &Path, error: &io::Error| ScratchError {
            tried: format!("{}: {error}", place.display()),
        };
        // Nobody else is there, and sockets need short paths.
        let scratch = Self::in_base(other, "w");
        let mut scratch = scratch.map_err(|error| failed(other, &error))?;
        let base = other.parent().unwrap_or(Path::new("/"));
        scratch.beside = File::open(base).map_err(|error| failed(base, &error))?;
        base.clone_into(&mut scratch.base);
        Ok(scratch)
    }

    fn in_base(base: &Path, prefix: &str) -> io::Result<Self> {
        let (mut path, folder) = shared::make(base, prefix)?;
        if !shared::lock(&folder) {
            let purpose = prefix.rsplit('-').next().unwrap_or(prefix);
            let unlocked = shared::new_path(base, &format!("{UNLOCKED}-{purpose}"));
            renameat(CWD, &path, CWD, &unlocked)?;
            path = unlocked;
        }
        Ok(Self {
            path,
            base: base.to_owned(),
            beside: File::open(base)?,
            folder,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder itself, whatever its path leads to by now, and the name of something in it.
    fn place<'a>(&'a self, path: &'a Path) -> io::Result<(BorrowedFd<'a>, &'a Path)> {
        match (path.strip_prefix(&self.path), path.file_name()) {
            (Ok(inside), Some(name)) if inside == Path::new(name) => {
                Ok((self.folder.as_fd(), inside))
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
        let (folder, name) = self.place(path)?;
        let kept = shared::new_path(&self.base, "orchestrate-kept");
        renameat(
            folder,
            name,
            &self.beside,
            kept.file_name().unwrap_or_default(),
        )?;
        Ok(kept)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // By its own handle: its path may lead elsewhere by now.
        let _ = remove::empty_folder(self.folder.as_fd());
        let _ = remove(&self.path);
    }
}

/// Whether a path is one that the folder of a run may have.
#[must_use]
pub fn is_of_run(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| {
        let unlocked = name.strip_prefix(UNLOCKED);
        name.starts_with(RUN) || unlocked.is_some_and(|rest| rest.starts_with("-run-"))
    })
}

/// Removes the folders of our own user's processes that were killed before they could.
pub fn sweep() {
    for base in bases() {
        shared::sweep(&base.path, &SWEPT);
    }
}
