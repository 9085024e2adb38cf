//! Folders of ours in a folder that everybody may write to, such as `/tmp`.
//!
//! A name there is made so that nobody can know it before, and taken only if it did not exist. A folder that is found there
//! counts only if it is a folder and our own user's: whatever else has such a name is somebody else's, and is left alone. It is
//! opened by its name in an open folder, never through a link, and nothing that is opened is waited for.

use std::collections::hash_map::RandomState;
use std::ffi::CStr;
use std::fs::{DirBuilder, File};
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{AtFlags, CWD, Dir, FlockOperation, Mode, OFlags, flock, fstat, openat, unlinkat};
use rustix::process::geteuid;

use super::remove;

/// How often a name is made that somebody else has.
const MOST_NAMES: u32 = 8;
const CHARACTERS: [u8; 32] = *b"abcdefghijklmnopqrstuvwxyz234567";
/// How many characters of a name nobody can know: 30 bits. More would cost sockets below a job's `TMPDIR`, whose paths may have
/// 107 bytes: a run within a job needs the names twice, and multiprocessing's fork server 32 bytes more.
const UNKNOWN: usize = 6;

/// How old a folder is whose owner, if it has one, has locked it long since.
const SETTLED: Duration = Duration::from_secs(60);

/// A path in a folder, by a name that nobody can know before.
pub fn new_path(folder: &Path, prefix: &str) -> PathBuf {
    folder.join(format!("{prefix}-{}", unknown_text(UNKNOWN)))
}

/// A text that nobody can know before.
pub fn unknown_text(length: usize) -> String {
    let mut text = String::with_capacity(length);
    for _ in 0..length {
        // Its keys are random numbers of the system's, others at each call.
        let [random, ..] = RandomState::new().build_hasher().finish().to_le_bytes();
        text.push(char::from(
            CHARACTERS[usize::from(random) % CHARACTERS.len()],
        ));
    }
    text
}

/// Makes a folder that our own user alone may enter, and opens it.
///
/// # Errors
/// It can't be made, or somebody took it away at once.
pub fn make(base: &Path, prefix: &str) -> io::Result<(PathBuf, File)> {
    let mut tries = 0;
    loop {
        let path = new_path(base, prefix);
        tries += 1;
        match DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && tries < MOST_NAMES => {}
            Err(error) => return Err(error),
            Ok(()) => {
                let folder = File::from(openat(CWD, &path, flags(), Mode::empty())?);
                if folder.metadata()?.uid() != geteuid().as_raw() {
                    return Err(io::Error::other(
                        "another user has put another in its place",
                    ));
                }
                return Ok((path, folder));
            }
        }
    }
}

/// Opens a folder of our own user that is in another one.
fn open_own(parent: BorrowedFd<'_>, name: &CStr) -> Option<OwnedFd> {
    let folder = openat(parent, name, flags(), Mode::empty()).ok()?;
    let stat = fstat(&folder).ok()?;
    (stat.st_uid == geteuid().as_raw()).then_some(folder)
}

fn flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC
}

/// Locks a folder for as long as it is open. Returns whether it is; not every file system can.
pub fn lock(folder: impl AsFd) -> bool {
    flock(folder, FlockOperation::NonBlockingLockExclusive).is_ok()
}

/// Removes our own folders that have one of these prefixes and that nobody has locked.
pub fn sweep(base: &Path, prefixes: &[&str]) {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Ok(base) = openat(CWD, base, flags, Mode::empty()) else {
        return;
    };
    let entries = Dir::read_from(&base).into_iter().flatten().flatten();
    for entry in entries {
        let name = entry.file_name();
        let bytes = name.to_bytes();
        if !prefixes
            .iter()
            .any(|prefix| bytes.starts_with(prefix.as_bytes()))
        {
            continue;
        }
        let Some(folder) = open_own(base.as_fd(), name) else {
            continue;
        };
        let folder = File::from(folder);
        let changed = folder.metadata().and_then(|meta| meta.modified()).ok();
        let is_settled = changed.and_then(|at| at.elapsed().ok()) > Some(SETTLED);
        if is_settled && lock(&folder) {
            // By its handle: its name may be another folder's by now, which is removed only if it is empty.
            let _ = remove::empty_folder(folder.as_fd());
            let _ = unlinkat(&base, name, AtFlags::REMOVEDIR);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_folder_is_our_own_users_alone_and_no_two_have_one_name() {
        let base = tempfile::tempdir().unwrap();
        let made: Vec<_> = (0..100)
            .map(|_| make(base.path(), "x-y").unwrap())
            .collect();
        let names: std::collections::HashSet<_> = made.iter().map(|(path, _)| path).collect();
        assert_eq!(names.len(), made.len());
        for (path, _) in &made {
            assert_eq!(
                fs::metadata(path).unwrap().permissions().mode() & 0o777,
                0o700
            );
            let name = path.file_name().unwrap().to_str().unwrap();
            assert_eq!(name.strip_prefix("x-y-").unwrap().len(), UNKNOWN);
        }
    }

    #[test]
    fn what_is_locked_or_young_is_not_swept() {
        let base = tempfile::tempdir().unwrap();
        let old = |path: &Path| {
            let past = std::time::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
            File::open(path).unwrap().set_modified(past).unwrap();
        };
        let (left, folder) = make(base.path(), "x").unwrap();
        drop(folder);
        fs::create_dir_all(left.join("a/b")).unwrap();
        old(&left);
        let (used, used_folder) = make(base.path(), "x").unwrap();
        assert!(lock(&used_folder));
        old(&used);
        let (young, _) = make(base.path(), "x").unwrap();
        let (other, _) = make(base.path(), "y").unwrap();
        old(&other);
        sweep(base.path(), &["x-"]);
        assert!(!left.exists());
        assert!(used.exists() && young.exists() && other.exists());
    }
}
