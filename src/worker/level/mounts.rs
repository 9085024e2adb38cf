//! What a sandbox sees of the file system: temporary folders of its own, and of what is the run's only what its jobs need.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, CWD, access};
use rustix::mount::{
    MountFlags, MoveMountFlags, OpenTreeFlags, mount, mount_bind_recursive, move_mount, open_tree,
};

use super::Confinement;
use crate::worker::process::namespaces::make_read_only;

/// Where a temporary folder must be in memory: shm_overview(7).
const SHARED_MEMORY: &str = "/dev/shm";

/// Sockets by which services that run as another user, or as us, start processes for whoever asks: outside.
const SOCKETS: [&str; 7] = [
    "/run/docker.sock",
    "/run/podman/podman.sock",
    "/run/containerd/containerd.sock",
    "/run/crio/crio.sock",
    "/run/dbus/system_bus_socket",
    "/run/systemd/private",
    "/run/user",
];

/// What of /proc root could change the system by, whoever it is inside: proc_sys(5), sysrq(8).
const OF_THE_SYSTEM: [&str; 2] = ["/proc/sys", "/proc/sysrq-trigger"];

/// Mounts all of it. The worker's own folder is at `scratch`.
///
/// # Errors
/// What can't be mounted.
pub fn build(confinement: &Confinement, scratch: &Path) -> Result<(), String> {
    let private = folders(&confinement.private);
    check(&private, confinement)?;
    // What is to be seen later, and what is hidden, is found while its path leads to it.
    let mut layers = Vec::new();
    let own = (scratch.to_owned(), true);
    for (path, may_be_written) in confinement.kept.iter().chain([&own]) {
        let Ok(path) = path.canonicalize() else {
            continue;
        };
        if private.iter().any(|folder| path.starts_with(folder)) {
            let tree = copy_of(&path)?;
            layers.push((path, Layer::Kept(tree, *may_be_written)));
        }
    }
    let hidden = confinement.hidden.iter().map(PathBuf::as_path);
    let hidden = hidden.chain(SOCKETS.map(Path::new));
    let hidden: Vec<PathBuf> = hidden.filter_map(|path| path.canonicalize().ok()).collect();
    let nothing = nothing(scratch)?;
    for (number, path) in private.into_iter().enumerate() {
        let folder = folder_for(&scratch.join(format!("private-{number}")))?;
        layers.push((path, Layer::Private(folder)));
    }
    // A project may be in a temporary folder, and have one in it: who holds comes before what is held.
    layers.sort_by(|(one, _), (other, _)| one.cmp(other));
    for (path, layer) in &layers {
        match layer {
            // It is in one that is not seen any more.
            Layer::Private(_) if !path.exists() => {}
            Layer::Private(_) if path == Path::new(SHARED_MEMORY) => {
                let flags = MountFlags::NOSUID | MountFlags::NODEV;
                let mounted = mount("tmpfs", path, "tmpfs", flags, Some(c"mode=1777"));
                mounted.map_err(|error| cant("mount", path, &error.into()))?;
            }
            Layer::Private(folder) => place(folder, path)?,
            Layer::Kept(tree, may_be_written) => {
                let made = make_place_for(path, tree);
                made.map_err(|error| cant("make a place for", path, &error))?;
                place(tree, path)?;
                if !may_be_written {
                    read_only(path)?;
                }
            }
        }
    }
    for path in above(&confinement.hidden) {
        let is_mounted = layers.iter().any(|(mounted, _)| *mounted == path);
        if !is_mounted && path.is_dir() {
            let mounted = mount_bind_recursive(&path, &path);
            mounted.map_err(|error| cant("mount", &path, &error.into()))?;
        }
    }
    for path in &hidden {
        hide(path, &nothing)?;
    }
    // Control groups are there, by which all of a user's processes can be stopped and ended.
    if Path::new("/sys").is_dir() {
        bind_read_only(Path::new("/sys"))?;
    }
    Ok(())
}

/// Takes from root what of /proc is the system's.
///
/// # Errors
/// What can't be mounted.
pub fn seal_proc() -> Result<(), String> {
    let paths = OF_THE_SYSTEM.map(Path::new);
    let mut paths = paths.into_iter().filter(|path| path.exists());
    paths.try_for_each(bind_read_only)
}

/// What is mounted somewhere.
enum Layer {
    /// An empty folder.
    Private(OwnedFd),
    /// What was there before; and whether it may be written.
    Kept(OwnedFd, bool),
}

/// The folders as they really are, each once.
fn folders(asked: &[PathBuf]) -> Vec<PathBuf> {
    let real = asked.iter().filter_map(|path| path.canonicalize().ok());
    let mut real: Vec<PathBuf> = real.filter(|path| path.is_dir()).collect();
    real.sort();
    real.dedup();
    real
}

/// Makes a folder that everybody may write to.
fn folder_for(path: &Path) -> Result<OwnedFd, String> {
    let made = DirBuilder::new().mode(0o700).create(path);
    made.map_err(|error| cant("make", path, &error))?;
    let open = fs::Permissions::from_mode(0o1777);
    fs::set_permissions(path, open).map_err(|error| cant("open", path, &error))?;
    copy_of(path)
}

/// The folders above these that could be renamed, so that others take their place: what something is mounted on can't be.
fn above(hidden: &[PathBuf]) -> BTreeSet<PathBuf> {
    let hidden = hidden.iter().filter_map(|path| path.canonicalize().ok());
    let above = hidden.flat_map(|path| {
        let above = path.ancestors().skip(1).map(Path::to_owned);
        above.collect::<Vec<_>>()
    });
    let can_be_renamed = |path: &PathBuf| {
        let holder = path.parent();
        holder.is_some_and(|holder| access(holder, Access::WRITE_OK).is_ok())
    };
    above.filter(can_be_renamed).collect()
}

/// A folder that holds all that there is can't be out of sight.
fn check(private: &[PathBuf], confinement: &Confinement) -> Result<(), String> {
    for (path, _) in &confinement.kept {
        let path = path.canonicalize().unwrap_or_default();
        if private.contains(&path) {
            return Err(format!(
                "{} is a folder for temporary files: a sandbox has one of its own in its place; move the project to a folder \
                 of its own, or set TMPDIR to another",
                path.display()
            ));
        }
    }
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let home = home.and_then(|home| home.canonicalize().ok());
    let holds = |folder: &&PathBuf| {
        let is_usual = ["/tmp", "/var/tmp", SHARED_MEMORY]
            .map(Path::new)
            .contains(&folder.as_path());
        !is_usual && home.as_ref().is_some_and(|home| home.starts_with(folder))
    };
    match private.iter().find(holds) {
        Some(folder) => Err(format!(
            "TMPDIR is {}, which holds the home folder too: a sandbox has a folder of its own in its place; set TMPDIR to a \
             folder for temporary files alone",
            folder.display()
        )),
        None => Ok(()),
    }
}

/// A file that nobody can read.
fn nothing(scratch: &Path) -> Result<PathBuf, String> {
    let path = scratch.join("nothing");
    let mut options = File::options();
    let made = options.write(true).create_new(true).mode(0o000).open(&path);
    made.map_err(|error| cant("make", &path, &error))?;
    Ok(path)
}

fn copy_of(path: &Path) -> Result<OwnedFd, String> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE;
    open_tree(CWD, path, flags).map_err(|error| cant("look at", path, &error.into()))
}

fn place(tree: &OwnedFd, path: &Path) -> Result<(), String> {
    let moved = move_mount(tree, "", CWD, path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH);
    moved.map_err(|error| cant("mount", path, &error.into()))
}

/// A folder to mount a folder on, or a file for a file.
fn make_place_for(path: &Path, tree: &OwnedFd) -> io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    let mut builder = DirBuilder::new();
    builder.mode(0o755).recursive(true);
    let kind = rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(tree)?.st_mode);
    if kind.is_dir() {
        return builder.create(path);
    }
    if let Some(folder) = path.parent() {
        builder.create(folder)?;
    }
    File::create_new(path).map(drop)
}

/// Puts nothing in the place of a file or a folder.
fn hide(path: &Path, nothing: &Path) -> Result<(), String> {
    let hidden = match path.metadata() {
        Ok(meta) if meta.is_dir() => {
            let flags =
                MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
            mount("tmpfs", path, "tmpfs", flags, Some(c"mode=0,size=4k"))
        }
        Ok(_) => mount_bind_recursive(nothing, path),
        // It is in a folder that is not seen any more.
        Err(_) => return Ok(()),
    };
    hidden.map_err(|error| cant("hide", path, &error.into()))?;
    read_only(path)
}

fn bind_read_only(path: &Path) -> Result<(), String> {
    mount_bind_recursive(path, path).map_err(|error| cant("mount", path, &error.into()))?;
    read_only(path)
}

fn read_only(path: &Path) -> Result<(), String> {
    let text = CString::new(path.as_os_str().as_bytes());
    let made = text
        .map_err(|_| io::ErrorKind::InvalidInput.into())
        .and_then(|text| make_read_only(text.as_c_str() as &CStr));
    made.map_err(|error| cant("make read-only", path, &error))
}

fn cant(what: &str, path: &Path, error: &io::Error) -> String {
    format!("a sandbox can't {what} {}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_counts_once_whatever_leads_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        for name in ["a/b", "c"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        std::os::unix::fs::symlink(root.join("a"), root.join("link")).unwrap();
        let asked = ["a/b", "link", "c", "a", "missing"].map(|name| root.join(name));
        let real = ["a", "a/b", "c"].map(|name| root.join(name));
        assert_eq!(folders(&asked), real);
    }

    #[test]
    fn what_could_be_put_in_the_place_of_something_hidden_is_above_it() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::write(root.join("a/b/report"), "").unwrap();
        let above = above(&[root.join("a/b/report"), root.join("missing")]);
        for path in ["", "a", "a/b"] {
            assert!(above.contains(&root.join(path)), "{path}: {above:?}");
        }
        assert!(!above.contains(Path::new("/")));
        assert!(!above.contains(&root.join("a/b/report")));
    }

    #[test]
    fn a_project_that_is_the_temporary_folder_itself_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let confinement = Confinement {
            kept: vec![(root.clone(), true)],
            ..Confinement::default()
        };
        let why = check(&[root], &confinement).unwrap_err();
        assert!(why.contains("move the project"), "{why}");
    }
}
