//! Opening files that others could have put there: a pull request, a restored cache, another user.
//!
//! What `.fastest/` holds is input. A name there may be a FIFO, which would block whoever opens it, a device without an end, a
//! link to somewhere else, or a file of another user. Only regular files of trusted owners are opened, and none is waited for.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufRead, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::process::geteuid;

/// The longest line that is read from a kept file, in bytes. The first event of a run names all of its tests in one line.
pub const LONGEST_LINE: usize = 64 << 20;

/// Opens a kept file for reading. It never blocks.
///
/// # Errors
/// The file cannot be opened, is no regular file, or belongs to somebody who is not trusted (see [`is_trusted`]).
pub fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW;
    let flags = i32::try_from(flags.bits()).unwrap_or(0);
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let file = match file {
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            return Err(refusal("a symbolic link"));
        }
        file => file?,
    };
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(refusal("no regular file"));
    }
    if !is_trusted(meta.uid(), path) {
        return Err(refusal("a file of another user"));
    }
    Ok(file)
}

/// Makes a folder for kept files, and those above it. Its owner alone can read it: it holds what tests printed.
///
/// # Errors
/// It cannot be made. One that is there already is no error.
pub fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Writes the `.gitignore` of `.fastest/`, unless something has that name: a link there is not followed.
///
/// # Errors
/// It cannot be written.
pub fn ignore_all(path: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(mut file) => file.write_all(b"*\n"),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// The largest file of a repository that is read whole, in bytes.
const MOST_BYTES: u64 = 256 << 20;

/// Reads a file of the repository, which may be a link. One without an end, or that would have to be waited for, is refused.
///
/// # Errors
/// It cannot be read, is not a regular file, or has more than 256 MiB.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(refusal("not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(refusal("larger than 256 MiB"));
    }
    Ok(bytes)
}

/// Checks what [`open`] would refuse, for a file that something else opens by its path.
///
/// # Errors
/// Those of [`open`].
pub fn check(path: &Path) -> io::Result<()> {
    open(path).map(drop)
}

fn refusal(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("it is {what}"))
}

/// Whether an owner's files count: our own user, root, and the owner of the folder that `.fastest/` is in, whose tests run with
/// our rights anyway.
fn is_trusted(owner: u32, path: &Path) -> bool {
    let root_owner = || {
        let kept = path.ancestors().find(|above| above.ends_with(".fastest"));
        let root = kept.and_then(Path::parent)?;
        root.metadata().ok().map(|meta| meta.uid())
    };
    owner == geteuid().as_raw() || owner == 0 || root_owner() == Some(owner)
}

/// A line that was read.
#[derive(Debug, PartialEq, Eq)]
pub enum ReadLine {
    /// It is in the buffer, with its end if it has one.
    Whole,
    /// It is longer than allowed. The reader is somewhere within it.
    TooLong,
    /// There is no more.
    End,
}

/// Reads a line of at most `longest` bytes into a buffer that is emptied first. A longer line is not read to its end, so it costs
/// no more time or memory than that.
///
/// # Errors
/// The reader's.
pub fn read_line(
    reader: &mut impl BufRead,
    buffer: &mut Vec<u8>,
    longest: usize,
) -> io::Result<ReadLine> {
    buffer.clear();
    loop {
        let available = match reader.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            available => available?,
        };
        let end = available.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(available.len(), |end| end + 1);
        if buffer.len() + taken > longest {
            *buffer = Vec::new();
            return Ok(ReadLine::TooLong);
        }
        buffer.extend_from_slice(&available[..taken]);
        reader.consume(taken);
        match (end.is_some() || taken == 0, buffer.is_empty()) {
            (true, true) => return Ok(ReadLine::End),
            (true, false) => return Ok(ReadLine::Whole),
            (false, _) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    #[test]
    fn only_regular_files_are_opened_and_nothing_blocks() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("file"), "x").unwrap();
        symlink("/dev/zero", path("link")).unwrap();
        mknodat(CWD, path("fifo"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        fs::create_dir(path("folder")).unwrap();
        assert!(open(&path("file")).is_ok());
        let why = |name| open(&path(name)).unwrap_err().to_string();
        assert_eq!(why("link"), "it is a symbolic link");
        assert_eq!(why("fifo"), "it is no regular file");
        assert_eq!(why("folder"), "it is no regular file");
        let missing = open(&path("missing")).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn lines_are_read_up_to_one_that_is_too_long() {
        let text = b"ab\ncd\n\nabcdefgh\nlast".as_slice();
        let mut reader = io::BufReader::with_capacity(3, text);
        let mut buffer = Vec::new();
        let mut lines = Vec::new();
        loop {
            match read_line(&mut reader, &mut buffer, 5).unwrap() {
                ReadLine::End => break,
                ReadLine::TooLong => {
                    lines.push("too long".to_owned());
                    break;
                }
                ReadLine::Whole => lines.push(String::from_utf8(buffer.clone()).unwrap()),
            }
        }
        assert_eq!(lines, ["ab\n", "cd\n", "\n", "too long"]);
    }
}
