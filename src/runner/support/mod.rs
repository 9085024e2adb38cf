//! Files that runners bring along: embedded in the binary, written out when a runner's command names `<support>`.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{CWD, Dir, Mode, OFlags, openat};
use rustix::io::{Errno, read};

/// Names and texts of files in a folder beside this one.
macro_rules! files {
    ($folder:literal, $($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!($folder, $name)))),*]
    };
}

/// The files for Python: scripts, and the package that they load.
const PYTHON: &[(&str, &str)] = files![
    "python/",
    "orchestrate_pytest.py",
    "orchestrate_unittest.py",
    "_orchestrate/__init__.py",
    "_orchestrate/alone.py",
    "_orchestrate/children.py",
    "_orchestrate/cold.py",
    "_orchestrate/coverage.py",
    "_orchestrate/delivery.py",
    "_orchestrate/forks.py",
    "_orchestrate/garbage.py",
    "_orchestrate/host.py",
    "_orchestrate/listing.py",
    "_orchestrate/main_module.py",
    "_orchestrate/names.py",
    "_orchestrate/narrowing.py",
    "_orchestrate/plugins.py",
    "_orchestrate/opened.py",
    "_orchestrate/real.py",
    "_orchestrate/report.py",
    "_orchestrate/results.py",
    "_orchestrate/spanning.py",
    "_orchestrate/under_pytest.py",
    "_orchestrate/under_unittest.py",
    "_orchestrate/warm.py",
    "_orchestrate/xdist.py",
];

const FILES: &[(&str, &str)] = files![
    "",
    "orchestrate_javascript.cjs",
    "orchestrate_jest.cjs",
    "orchestrate_jest_sequencer.cjs",
    "orchestrate_mocha.cjs",
    "orchestrate_node.mjs",
    "orchestrate_node_list.cjs",
    "orchestrate_vitest.mjs",
    "orchestrate_busted.lua",
    "orchestrate_busted_records.lua",
    "orchestrate_busted_session.lua",
    "OrchestrateProve.pm",
    "orchestrate_bats.bash",
    "orchestrate_bats_suite.bash",
];

/// The package of the files for Python, and how the names of what is in it begin.
const PACKAGE: &str = "_orchestrate";
const WITHIN: &str = "_orchestrate/";
/// Where Python would keep what it compiled. A file of this name keeps it from that: what is there would be run without a look at
/// what it was made from, and could not be checked.
const COMPILED: (&str, &str) = ("_orchestrate/__pycache__", "");

fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    let files = PYTHON.iter().chain(FILES).copied();
    files.chain([COMPILED])
}

/// Writes them all into a new folder, where nobody is to write any more.
///
/// # Errors
/// The folder can't be written.
pub fn write(folder: &Path) -> io::Result<()> {
    let package = folder.join(PACKAGE);
    fs::create_dir(&package)?;
    for (name, text) in all() {
        let mut options = File::options();
        options.write(true).create_new(true).mode(0o400);
        let mut file = options.open(folder.join(name))?;
        file.write_all(text.as_bytes())?;
    }
    for folder in [&package, folder] {
        fs::set_permissions(folder, Permissions::from_mode(0o500))?;
    }
    Ok(())
}

/// Checks that the files are as they were written, and that there are no others. A test of the same user can change them.
///
/// # Errors
/// Which one is not, for a person to read.
pub fn check(folder: &Path) -> Result<(), String> {
    find_change(folder).map_err(|Change { name, how }| {
        format!(
            "{} {how}: a test or another program has changed what orchestrate runs, and could forge results with it. \
             Nothing more is started with these files; find out which test writes there",
            folder.join(name).display()
        )
    })
}

/// What is not as it was written.
struct Change {
    name: String,
    how: String,
}

impl Change {
    fn unreadable(name: &str, error: Errno) -> Self {
        let error = io::Error::from(error);
        let (name, how) = (name.to_owned(), format!("can't be read ({error})"));
        Self { name, how }
    }
}

/// Each file costs three calls: opened in an open folder, read at once into a buffer with room for a byte more, closed.
fn find_change(folder: &Path) -> Result<(), Change> {
    let careful = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let open = |above: BorrowedFd<'_>, path: &Path, name: &str, flags: OFlags| {
        let opened = openat(above, path, careful | flags, Mode::empty());
        opened.map_err(|error| Change::unreadable(name, error))
    };
    let outer = open(CWD, folder, "", OFlags::DIRECTORY)?;
    let inner = open(outer.as_fd(), PACKAGE.as_ref(), PACKAGE, OFlags::DIRECTORY)?;
    let longest = all().map(|(_, text)| text.len()).max().unwrap_or(0);
    let mut buffer = vec![0; longest + 1];
    for (name, text) in all() {
        let (above, within) = match name.strip_prefix(WITHIN) {
            Some(within) => (&inner, within),
            None => (&outer, name),
        };
        let file = open(above.as_fd(), within.as_ref(), name, OFlags::empty())?;
        let buffer = &mut buffer[..=text.len()];
        let length = read(&file, &mut *buffer).map_err(|error| Change::unreadable(name, error))?;
        if buffer[..length] != *text.as_bytes() {
            let (name, how) = (name.to_owned(), "was changed".to_owned());
            return Err(Change { name, how });
        }
    }
    only_ours(&outer, "").and_then(|()| only_ours(&inner, WITHIN))
}

/// Whether there are no other files in an open folder: one could take the place of a module that ours load.
fn only_ours(folder: &OwnedFd, prefix: &str) -> Result<(), Change> {
    let unreadable = |error| Change::unreadable(prefix, error);
    for entry in Dir::read_from(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name().to_string_lossy();
        let name = format!("{prefix}{name}");
        let is_known = [".", "..", "_orchestrate/.", "_orchestrate/..", PACKAGE].contains(&&*name);
        if !is_known && all().all(|(ours, _)| ours != name) {
            let how = "was added".to_owned();
            return Err(Change { name, how });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path()).unwrap();
        check(folder.path()).unwrap();
        folder
    }

    /// As an attacker of the same user would.
    fn open(folder: &Path) {
        for folder in [folder.to_owned(), folder.join(PACKAGE)] {
            fs::set_permissions(folder, Permissions::from_mode(0o700)).unwrap();
        }
    }

    #[test]
    fn what_is_changed_added_or_taken_away_is_noticed() {
        type Change = fn(&Path);
        let changes: [(&str, Change); 6] = [
            ("was changed", |folder| {
                let path = folder.join("_orchestrate/results.py");
                fs::remove_file(&path).unwrap();
                fs::write(&path, "").unwrap();
            }),
            ("was changed", |folder| {
                let path = folder.join("_orchestrate/report.py");
                let mut text = fs::read(&path).unwrap();
                text.push(b'#');
                fs::remove_file(&path).unwrap();
                fs::write(&path, text).unwrap();
            }),
            ("can't be read", |folder| {
                let path = folder.join("orchestrate_bats.bash");
                let other = folder.join("orchestrate_node.mjs");
                fs::remove_file(&path).unwrap();
                std::os::unix::fs::symlink(other, path).unwrap();
            }),
            ("can't be read", |folder| {
                fs::remove_file(folder.join("OrchestrateProve.pm")).unwrap();
            }),
            ("was added", |folder| {
                fs::write(folder.join("strict.pm"), "").unwrap();
            }),
            ("was added", |folder| {
                fs::create_dir(folder.join("_orchestrate/names")).unwrap();
            }),
        ];
        for (why, change) in changes {
            let folder = written();
            open(folder.path());
            change(folder.path());
            let told = check(folder.path()).unwrap_err();
            assert!(told.contains(why), "{told}");
        }
    }
}
