//! Captured output: a file without a name, never a pipe, so that nothing a job leaves behind can hold it open against us and
//! no amount of output fills our memory.
//!
//! It is in memory that no file system has to give, so that what one job prints takes no room from what another writes; and
//! of a long output the middle, which nobody will read, is given back while the job runs.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use super::frame::Output;

/// Opens a file without a name for a job's output, on the file system of `folder` where there is no other place. Standard
/// output and error share it: each write goes to its end.
pub fn open(folder: &Path) -> io::Result<File> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{MemfdFlags, Mode, OFlags, fcntl_setfl, memfd_create};
        let in_memory = memfd_create(c"output", MemfdFlags::CLOEXEC)
            .and_then(|file| fcntl_setfl(&file, OFlags::APPEND).map(|()| file));
        // A system may forbid it (vm.memfd_noexec).
        if let Ok(file) = in_memory {
            return Ok(file.into());
        }
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

/// Gives back what of a long output is in its middle, given what will be kept of it; `from` is what was given back before.
/// Returns up to where that is now.
pub fn thin(file: &File, from: u64, limit: u64) -> u64 {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{FallocateFlags, fallocate};
        let length = file.metadata().map_or(0, |meta| meta.len());
        let begin = from.max(limit / 2).next_multiple_of(PAGE);
        let end = length.saturating_sub(limit / 2) / PAGE * PAGE;
        if end < begin.saturating_add(LEAST_THINNED) {
            return from;
        }
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        // Not every file system can; then it stays.
        match fallocate(file, flags, begin, end - begin) {
            Ok(()) => end,
            Err(_) => from,
        }
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (file, limit);
        from
    }
}

/// Whole pages are given back.
#[cfg(target_os = "linux")]
const PAGE: u64 = 4096;
/// Less is not worth a call.
#[cfg(target_os = "linux")]
const LEAST_THINNED: u64 = 4 << 20;

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
    #[cfg(target_os = "linux")]
    fn what_nobody_will_read_is_given_back_while_more_is_written() {
        use std::os::unix::fs::MetadataExt;
        let folder = tempfile::tempdir().unwrap();
        let mut file = open(folder.path()).unwrap();
        let limit = 10_000;
        file.write_all(b"begin").unwrap();
        let mut thinned = 0;
        for _ in 0..8 {
            file.write_all(&vec![b'x'; 5 << 20]).unwrap();
            thinned = thin(&file, thinned, limit);
        }
        assert!(thinned > 30 << 20, "{thinned}");
        file.write_all(b"end").unwrap();
        assert!(file.metadata().unwrap().blocks() * 512 < 10 << 20);
        let output = read(file, limit).unwrap();
        assert_eq!(output.total, (40 << 20) + 8);
        assert!(output.head.starts_with(b"beginx") && output.tail.ends_with(b"xend"));
        let all = output.head.iter().chain(&output.tail);
        assert_eq!(all.filter(|byte| **byte == 0).count(), 0);
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
