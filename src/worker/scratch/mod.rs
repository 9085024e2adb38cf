//! Private temporary folders.

mod remove;

use std::env;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

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
}

impl Scratch {
    /// Makes one: under `$TMPDIR` if it is set, else on tmpfs, where it costs a tenth of what it costs on a disk, else
    /// under `/tmp`.
    ///
    /// # Errors
    /// None of them can be written.
    pub fn new(purpose: &str) -> Result<Self, ScratchError> {
        let mut tried = Vec::new();
        for base in bases() {
            let path = base.join(format!("orchestrate-{purpose}-{}", process::id()));
            // A process that had this id may have been killed; its folder is ours now, if it is ours at all.
            if path.symlink_metadata().is_ok_and(|meta| meta.is_dir()) {
                let _ = remove(&path);
            }
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self { path }),
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
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = remove(&self.path);
    }
}

fn bases() -> Vec<PathBuf> {
    if let Some(asked) = env::var_os("TMPDIR").filter(|path| !path.is_empty()) {
        return vec![PathBuf::from(asked)];
    }
    let runtime = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    runtime
        .into_iter()
        .chain(["/dev/shm", "/tmp"].map(PathBuf::from))
        .filter(|path| path.is_absolute() && has_room(path))
        .collect()
}

/// A job's own folder.
///
/// # Errors
/// It can't be made.
pub fn make(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

/// Takes a job's folder out of its worker's, which is removed. Returns where it is from now on.
///
/// # Errors
/// It can't be renamed.
pub fn keep(path: &Path) -> io::Result<PathBuf> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let base = path
        .parent()
        .and_then(Path::parent)
        .unwrap_or(Path::new("/"));
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let kept = base.join(format!("orchestrate-kept-{}-{number}", process::id()));
    fs::rename(path, &kept)?;
    Ok(kept)
}

/// Whether a file system has 64 MiB left: less is a runtime folder that is full or was never meant for data.
fn has_room(path: &Path) -> bool {
    rustix::fs::statvfs(path).is_ok_and(|stat| stat.f_bavail * stat.f_frsize >= 64 << 20)
}
