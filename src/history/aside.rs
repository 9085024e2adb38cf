//! Setting aside what is broken: renamed, not deleted, since somebody may want to look at it.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags, flock};

/// Renames what is at a path to `NAME.corrupt-RUN`, unless another run has done so meanwhile. `is_broken` looks again.
///
/// # Errors
/// It can't be opened or renamed.
pub fn set_aside(
    path: &Path,
    run: &str,
    is_broken: impl Fn() -> bool,
) -> io::Result<Option<PathBuf>> {
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    // Two runs that find the same thing broken take turns, so that the second does not move away what the first has made
    // anew. Where there are no locks there is nothing to be done about that.
    let _ = flock(&file, FlockOperation::LockExclusive);
    if !is_broken() {
        return Ok(None);
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".corrupt-{run}"));
    let aside = path.with_file_name(name);
    fs::rename(path, &aside)?;
    Ok(Some(aside))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_broken_still_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.db");
        assert_eq!(set_aside(&path, "1", || true).unwrap(), None);
        fs::write(&path, "x").unwrap();
        assert_eq!(set_aside(&path, "1", || false).unwrap(), None);
        let aside = set_aside(&path, "1", || true).unwrap().unwrap();
        assert_eq!(aside, folder.path().join("history.db.corrupt-1"));
        assert!(aside.exists() && !path.exists());
    }
}
