//! Removing a tree that a job left, whatever it did to it.
//!
//! Names are only ever looked up in a folder that is open, links are never followed, other file systems never entered, and a
//! way up that does not lead where the way down came from ends it: removal can't leave its root. Two descriptors are open at
//! a time, so a tree may be deeper than there are descriptors. Folders that may not be read are made readable first.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, chmod, fstat, openat, statat, unlinkat,
};
use rustix::io::Errno;

/// Which folder it is, whatever it is called.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

impl From<Stat> for Identity {
    #[allow(
        clippy::unnecessary_cast,
        reason = "their types differ between systems"
    )]
    fn from(stat: Stat) -> Self {
        Self {
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
        }
    }
}

/// A folder on the way down.
struct Level {
    identity: Identity,
    /// Its name in the one above.
    name: CString,
    /// The folders in it that are still to be removed.
    folders: Vec<CString>,
}

/// Removes a folder and everything in it, by its path. One that does not exist is removed already.
///
/// # Errors
/// The first thing that could not be removed; everything else was.
pub fn remove(path: &Path) -> io::Result<()> {
    remove_in(CWD, path)
}

/// The same, by its name in an open folder.
///
/// # Errors
/// The first thing that could not be removed; everything else was.
pub fn remove_in(parent: BorrowedFd<'_>, name: &Path) -> io::Result<()> {
    // Most are empty.
    match unlinkat(parent, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::NOTDIR) => return Ok(unlinkat(parent, name, AtFlags::empty())?),
        Err(_) => {}
    }
    let text = CString::new(std::os::unix::ffi::OsStrExt::as_bytes(name.as_os_str()))?;
    let emptied = empty_folder(open(parent, &text)?.as_fd());
    match (unlinkat(parent, name, AtFlags::REMOVEDIR), emptied) {
        (_, Err(error)) => Err(error),
        (Ok(()) | Err(Errno::NOENT), Ok(())) => Ok(()),
        (Err(error), Ok(())) => Err(error.into()),
    }
}

/// Removes everything in an open folder.
///
/// # Errors
/// The first thing that could not be removed; everything else was.
pub fn empty_folder(folder: BorrowedFd<'_>) -> io::Result<()> {
    let mut trouble = None;
    let device = Identity::from(fstat(folder)?).device;
    empty(folder.try_clone_to_owned()?, device, &mut trouble)?;
    trouble.map_or(Ok(()), Err)
}

/// Empties an open folder.
fn empty(root: OwnedFd, device: u64, trouble: &mut Option<io::Error>) -> io::Result<()> {
    let mut here = root;
    let mut way = vec![enter(&here, CString::default(), device, trouble)?];
    while let Some(level) = way.last_mut() {
        if let Some(name) = level.folders.pop() {
            let below = open_below(here.as_fd(), &name)
                .and_then(|below| Ok((enter(&below, name, device, trouble)?, below)));
            match below {
                Ok((level, below)) => {
                    here = below;
                    way.push(level);
                }
                Err(error) => note(trouble, error),
            }
            continue;
        }
        let Some(done) = way.pop() else { break };
        let Some(above) = way.last() else { break };
        let up = openat(&here, c"..", flags(), Mode::empty())?;
        if Identity::from(fstat(&up)?) != above.identity {
            return Err(io::Error::other("a folder was moved while it was removed"));
        }
        here = up;
        if let Err(error) = unlinkat(&here, &done.name, AtFlags::REMOVEDIR) {
            note(trouble, error.into());
        }
    }
    Ok(())
}

/// Removes everything from an open folder but the folders that are not empty, which are listed.
fn enter(
    folder: &OwnedFd,
    name: CString,
    device: u64,
    trouble: &mut Option<io::Error>,
) -> io::Result<Level> {
    let identity = Identity::from(fstat(folder)?);
    if identity.device != device {
        return Err(io::Error::other("another file system is mounted in it"));
    }
    let mut folders = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let is_folder = match entry.file_type() {
            FileType::Directory => true,
            FileType::Unknown => statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)
                .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory),
            _ => false,
        };
        let flags = if is_folder {
            AtFlags::REMOVEDIR
        } else {
            AtFlags::empty()
        };
        match unlinkat(folder, name, flags) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(_) if is_folder => folders.push(name.to_owned()),
            Err(error) => note(trouble, error.into()),
        }
    }
    Ok(Level {
        identity,
        name,
        folders,
    })
}

fn note(trouble: &mut Option<io::Error>, error: io::Error) {
    trouble.get_or_insert(error);
}

fn flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

/// Opens a folder, unless something is mounted there. A bind mount has the device of what it shows, so that only the kernel
/// can tell (openat2(2), `RESOLVE_NO_XDEV`, Linux 5.6).
#[cfg(target_os = "linux")]
fn open_unmounted(parent: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    use rustix::fs::{ResolveFlags, openat2};
    match openat2(parent, name, flags(), Mode::empty(), ResolveFlags::NO_XDEV) {
        // An older kernel, or a container that forbids it.
        Err(Errno::NOSYS | Errno::PERM) => openat(parent, name, flags(), Mode::empty()),
        opened => opened,
    }
}

#[cfg(not(target_os = "linux"))]
fn open_unmounted(parent: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    openat(parent, name, flags(), Mode::empty())
}

/// Opens a folder below another one, after making it ours to read and write where it is not.
fn open_below(parent: BorrowedFd<'_>, name: &CStr) -> io::Result<OwnedFd> {
    match open_unmounted(parent, name) {
        Err(Errno::XDEV) => Err(io::Error::other("something is mounted in it")),
        // It cannot be read yet: whether something is mounted there is looked at when it can.
        Err(Errno::ACCESS) => {
            open(parent, name)?;
            open_unmounted(parent, name).map_err(|error| match error {
                Errno::XDEV => io::Error::other("something is mounted in it"),
                error => error.into(),
            })
        }
        opened => {
            let folder = opened?;
            if Mode::from_raw_mode(fstat(&folder)?.st_mode).contains(Mode::RWXU) {
                return Ok(folder);
            }
            drop(folder);
            open(parent, name)
        }
    }
}

/// Opens a folder, after making it ours to read and write where it is not.
fn open(parent: BorrowedFd<'_>, name: &CStr) -> io::Result<OwnedFd> {
    let opened = openat(parent, name, flags(), Mode::empty());
    if let Ok(folder) = &opened
        && Mode::from_raw_mode(fstat(folder)?.st_mode).contains(Mode::RWXU)
    {
        return Ok(opened?);
    }
    if !matches!(opened, Ok(_) | Err(Errno::ACCESS)) {
        return Ok(opened?);
    }
    // By a handle that says which folder it is, since a name could meanwhile be a link; only through /proc can such a handle's
    // mode be changed (open(2), O_PATH).
    let path = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let handle = openat(parent, name, path, Mode::empty())?;
    if cfg!(target_os = "linux") {
        let _ = chmod(format!("/proc/self/fd/{}", handle.as_raw_fd()), Mode::RWXU);
    }
    Ok(openat(parent, name, flags(), Mode::empty())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_are_removed_and_what_they_point_to_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let victim = folder.path().join("victim");
        fs::create_dir(&victim).unwrap();
        fs::write(victim.join("file"), "").unwrap();
        let root = folder.path().join("root");
        fs::create_dir_all(root.join("a/b")).unwrap();
        symlink(&victim, root.join("a/b/link")).unwrap();
        symlink("..", root.join("a/up")).unwrap();
        remove(&root).unwrap();
        assert!(!root.exists());
        assert!(victim.join("file").exists());
        symlink(&victim, &root).unwrap();
        remove(&root).unwrap();
        assert!(root.symlink_metadata().is_err());
        assert!(victim.join("file").exists());
    }

    #[test]
    fn a_tree_may_be_deeper_than_there_are_descriptors_and_longer_than_a_path() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        fs::create_dir(&root).unwrap();
        let mut here = open(CWD, &CString::new(root.to_str().unwrap()).unwrap()).unwrap();
        for _ in 0..3000 {
            rustix::fs::mkdirat(&here, c"deep", Mode::RWXU).unwrap();
            rustix::fs::mkdirat(&here, c"side", Mode::empty()).unwrap();
            here = open(here.as_fd(), c"deep").unwrap();
        }
        drop(here);
        remove(&root).unwrap();
        assert!(!root.exists());
    }

    #[test]
    fn what_is_not_there_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        remove(&folder.path().join("nothing")).unwrap();
    }
}
