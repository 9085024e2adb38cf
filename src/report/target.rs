//! A file that is written whole: beside its place first, then renamed over it, so that no reader ever finds half of one.
//!
//! What is no plain file (`/dev/stdout`, a pipe) and what can't be replaced (a file that is mounted into a container) is
//! written in its place.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process;

/// See the module.
#[derive(Debug)]
pub struct Target {
    way: Way,
}

#[derive(Debug)]
enum Way {
    Stdout,
    InPlace(File),
    Rename(PathBuf),
}

impl Target {
    /// Looks whether a path (`-` is standard output) can be written, and leaves what is there as it is. Its folder is made;
    /// nothing else is left behind by a run that is killed.
    ///
    /// # Errors
    /// It can't.
    pub fn new(path: &Path) -> io::Result<Self> {
        if path == Path::new("-") {
            return Ok(Self { way: Way::Stdout });
        }
        make_folder_of(path)?;
        let in_place = || {
            // A link that leads nowhere yet is one to write through.
            let file = OpenOptions::new()
                .write(true)
                .create(path.is_symlink())
                .truncate(false)
                .open(path)?;
            Ok(Self {
                way: Way::InPlace(file),
            })
        };
        match fs::metadata(path) {
            Ok(meta) if meta.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
            Ok(meta) if !meta.is_file() => return in_place(),
            Err(_) if path.is_symlink() => return in_place(),
            _ => {}
        }
        // A link stays one: what it leads to is replaced.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        match beside(&path) {
            Ok((temporary, _)) => {
                fs::remove_file(temporary)?;
                Ok(Self {
                    way: Way::Rename(path),
                })
            }
            // The folder can't be written; the file, if there is one, perhaps can.
            Err(error) => in_place().map_err(|_| error),
        }
    }

    /// Writes it by `write`, which may be called twice.
    ///
    /// # Errors
    /// It can't be written.
    pub fn write(&self, write: impl Fn(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        match &self.way {
            Way::Stdout => {
                let mut out = BufWriter::new(io::stdout().lock());
                write(&mut out).and_then(|()| out.flush())
            }
            Way::InPlace(file) => fill(file, write),
            Way::Rename(path) => {
                let (temporary, file) = beside(path)?;
                let written = keep_mode(path, &file);
                let written = written.and_then(|()| through(&file, &write));
                let written = written.and_then(|()| file.sync_all());
                let renamed = written.and_then(|()| match fs::rename(&temporary, path) {
                    // A mount point can't be replaced, but it can be filled.
                    Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                        let file = OpenOptions::new().write(true).open(path)?;
                        fill(&file, write).and_then(|()| fs::remove_file(&temporary))
                    }
                    renamed => renamed,
                });
                if renamed.is_err() {
                    let _ = fs::remove_file(&temporary);
                }
                renamed?;
                // The name is on disk when its folder is; not every file system can be asked for that.
                let _ = File::open(folder_of(path)).and_then(|folder| folder.sync_all());
                Ok(())
            }
        }
    }
}

/// Gives a file the mode of the one that it will replace, if there is one: somebody may have closed that to others.
fn keep_mode(path: &Path, file: &File) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(meta) => file.set_permissions(meta.permissions()),
        Err(_) => Ok(()),
    }
}

/// Writes an open file from its beginning; what is no plain file can be neither cut nor synced.
fn fill(file: &File, write: impl Fn(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let is_plain = file.metadata()?.is_file();
    if is_plain {
        file.set_len(0)?;
    }
    through(file, &write)?;
    if is_plain { file.sync_all() } else { Ok(()) }
}

/// Writes in large steps.
fn through(file: &File, write: &impl Fn(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut out = BufWriter::new(file);
    write(&mut out).and_then(|()| out.flush())
}

/// Makes the folder of a file, if there is none.
///
/// # Errors
/// It can't be made.
pub fn make_folder_of(path: &Path) -> io::Result<()> {
    let folder = folder_of(path);
    if folder.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(folder)
}

/// The folder of a file: of a mere name, the current one.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// A new file in the folder of another.
fn beside(path: &Path) -> io::Result<(PathBuf, File)> {
    let mut tried = 0;
    loop {
        // Not named after the file, whose name may be as long as names can be.
        let temporary = path.with_file_name(format!(".orchestrate-{}-{tried}.tmp", process::id()));
        match File::create_new(&temporary) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && tried < 100 => tried += 1,
            file => return Ok((temporary, file?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    #[test]
    fn what_was_there_stays_until_all_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("n".repeat(255));
        fs::write(&path, "old").unwrap();
        let target = Target::new(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(folder.path()).len(), 1);
        target.write(|out| out.write_all(b"new")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(names(folder.path()).len(), 1);
    }

    #[test]
    fn a_link_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        for there in [true, false] {
            let (link, file) = (folder.path().join("link"), folder.path().join("file"));
            let _ = (fs::remove_file(&link), fs::remove_file(&file));
            if there {
                fs::write(&file, "a much longer text").unwrap();
            }
            std::os::unix::fs::symlink("file", &link).unwrap();
            Target::new(&link)
                .unwrap()
                .write(|out| out.write_all(b"new"))
                .unwrap();
            assert!(link.is_symlink());
            assert_eq!(fs::read(&file).unwrap(), b"new");
        }
    }

    #[test]
    fn a_file_that_is_replaced_keeps_its_mode() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.xml");
        for mode in [0o600, 0o640, 0o666] {
            fs::write(&path, "old").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            Target::new(&path)
                .unwrap()
                .write(|out| out.write_all(b"new"))
                .unwrap();
            let now = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
            assert_eq!(now, mode);
        }
    }

    #[test]
    fn what_is_no_plain_file_is_written_in_place() {
        Target::new(Path::new("/dev/null"))
            .unwrap()
            .write(|out| out.write_all(b"new"))
            .unwrap();
        let full = Target::new(Path::new("/dev/full"))
            .unwrap()
            .write(|out| out.write_all(b"new"));
        assert_eq!(full.unwrap_err().kind(), io::ErrorKind::StorageFull);
    }

    #[test]
    fn what_can_not_be_written_is_known_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let kind = |path: &Path| Target::new(path).unwrap_err().kind();
        assert_eq!(kind(folder.path()), io::ErrorKind::IsADirectory);
        fs::write(folder.path().join("file"), "").unwrap();
        assert_eq!(
            kind(&folder.path().join("file/in/it")),
            io::ErrorKind::NotADirectory
        );
    }

    #[test]
    fn the_folder_of_a_report_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out/of/it.xml");
        Target::new(&path)
            .unwrap()
            .write(|out| out.write_all(b"new"))
            .unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }
}
