//! Captured output: a file without a name, never a pipe, so that nothing a job leaves behind can hold it open against us and
//! no amount of output fills our memory.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use super::frame::Output;

/// Opens a file without a name for a job's output, on the file system of `folder`. Standard output and error share it: each
/// write goes to its end.
pub fn open(folder: &Path) -> io::Result<File> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{Mode, OFlags};
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::APPEND | OFlags::CLOEXEC;
        // Not every file system can (open(2), O_TMPFILE).
        if let Ok(file) = rustix::fs::open(folder, flags, Mode::RUSR | Mode::WUSR) {
            return Ok(file.into());
        }
    }
    let path = folder.join("output");
    let file = create(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

/// Makes such a file where others know it.
pub fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create_new(true).mode(0o600);
    options.open(path)
}

/// Adds text to a job's output that begins on a line of its own.
pub fn add(mut file: &File, text: &str) -> io::Result<()> {
    let mut last = [b'\n'];
    if let Some(at) = file.metadata()?.len().checked_sub(1) {
        file.read_exact_at(&mut last, at)?;
    }
    let begin = if last == [b'\n'] { "" } else { "\n" };
    file.write_all(format!("{begin}{text}").as_bytes())
}

/// What was written, cut in its middle if it is longer than `limit`.
pub fn read(file: File, limit: u64) -> io::Result<Output> {
    read_from(file, 0, limit)
}

/// The same, but for the first bytes.
pub fn read_from(mut file: File, from: u64, limit: u64) -> io::Result<Output> {
    let length = file.metadata()?.len();
    let total = length.saturating_sub(from);
    let mut output = Output {
        total,
        ..Output::default()
    };
    if total == 0 {
        return Ok(output);
    }
    file.seek(SeekFrom::Start(from))?;
    if total <= limit {
        file.take(limit).read_to_end(&mut output.head)?;
        return Ok(output);
    }
    let half = limit / 2;
    (&mut file).take(half).read_to_end(&mut output.head)?;
    file.seek(SeekFrom::Start(length - half))?;
    file.take(half).read_to_end(&mut output.tail)?;
    Ok(output)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn what_is_added_begins_on_a_line_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = open(folder.path()).unwrap();
        add(&file, "a\n").unwrap();
        add(&file, "b\n").unwrap();
        file.write_all(b"c").unwrap();
        add(&file, "d").unwrap();
        assert_eq!(read(file, 100).unwrap().head, b"a\nb\nc\nd");
    }

    #[test]
    fn long_output_keeps_its_head_and_tail() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = open(folder.path()).unwrap();
        file.write_all(b"0123456789").unwrap();
        let rest = read_from(file.try_clone().unwrap(), 7, 4).unwrap();
        assert_eq!((rest.head.as_slice(), rest.total), (&b"789"[..], 3));
        let output = read(file, 4).unwrap();
        assert_eq!(
            (output.head.as_slice(), output.tail.as_slice(), output.total),
            (&b"01"[..], &b"89"[..], 10)
        );
    }
}
