//! Records of what a tool starts.
//!
//! `cargo test` and `go test` decide which test programs run, in which folder, with which arguments and variables. Rather than
//! repeat these rules, a listing has the tool start `orchestrate record` in place of each program (`runner` of cargo, `-exec`
//! of go). It writes down how it was started and succeeds.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::worker::program;

/// How a tool started a program.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The program and its arguments.
    pub words: Vec<OsString>,
    /// The folder that it was started in.
    pub folder: OsString,
    /// Its environment.
    pub env: Vec<(OsString, OsString)>,
}

/// The command that records: the program to record and its arguments stand behind it.
#[must_use]
pub fn command(folder: &Path, keeps_program: bool) -> Vec<OsString> {
    let program = program::for_others().or_else(|| copy(folder).ok());
    let program = program.unwrap_or_else(|| "orchestrate".into());
    let mut words = vec![program.into(), "record".into()];
    words.extend(keeps_program.then(|| "--keep".into()));
    words.extend([folder.into(), "--".into()]);
    words
}

/// Copies this program where its file is another by now.
fn copy(folder: &Path) -> io::Result<PathBuf> {
    let path = folder.join("orchestrate");
    fs::copy(program::for_ourselves()?, &path)?;
    Ok(path)
}

/// Writes a record into a folder. With `keeps_program`, the program stays there after the tool has removed it.
///
/// # Errors
/// The record can't be written, or the program can't be kept.
pub fn write(folder: &Path, mut record: Record, keeps_program: bool) -> io::Result<()> {
    let mut number = 0;
    // Several programs may be started at once.
    let file = loop {
        match File::create_new(path(folder, number)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            result => break result?,
        }
    };
    if let (true, Some(program)) = (keeps_program, record.words.first_mut()) {
        let kept = folder.join(format!("{number}.program"));
        let from = Path::new(&record.folder).join(&*program);
        // A link needs no room; it may be refused, for example between two file systems.
        if fs::hard_link(&from, &kept).is_err() {
            fs::copy(&from, &kept)?;
        }
        *program = kept.into();
    }
    postcard::to_io(&record, file).map_err(io::Error::other)?;
    Ok(())
}

/// The records of a folder, in the order in which the programs were started.
///
/// # Errors
/// A record can't be read.
pub fn read(folder: &Path) -> io::Result<Vec<Record>> {
    let mut records = Vec::new();
    loop {
        match fs::read(path(folder, records.len())) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(records),
            bytes => records.push(postcard::from_bytes(&bytes?).map_err(io::Error::other)?),
        }
    }
}

fn path(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("{number}.record"))
}

impl Record {
    /// The variables that the tool has set: what differs from `base`, a record of a program that no tool started.
    #[must_use]
    pub fn variables(&self, base: &Self) -> Vec<(OsString, OsString)> {
        let known: HashMap<&OsStr, &OsStr> = base
            .env
            .iter()
            .map(|(name, value)| (name.as_os_str(), value.as_os_str()))
            .collect();
        let is_new = |(name, value): &&(OsString, OsString)| {
            // Each job has its own.
            let is_ours = name.as_bytes().starts_with(b"ORCHESTRATE_") || name == "TMPDIR";
            !is_ours && known.get(name.as_os_str()) != Some(&value.as_os_str())
        };
        self.env.iter().filter(is_new).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(program: &Path, env: &[(&str, &str)]) -> Record {
        Record {
            words: vec![program.into(), "-x".into()],
            folder: "/".into(),
            env: env.iter().map(|(a, b)| (a.into(), b.into())).collect(),
        }
    }

    #[test]
    fn records_are_read_in_order_and_a_kept_program_outlives_the_tool() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("made");
        fs::write(&program, "text").unwrap();
        write(folder.path(), record(&program, &[("A", "1")]), true).unwrap();
        write(folder.path(), record(Path::new("/bin/true"), &[]), false).unwrap();
        fs::remove_file(&program).unwrap();
        let records = read(folder.path()).unwrap();
        assert_eq!(fs::read(&records[0].words[0]).unwrap(), b"text");
        assert_eq!(records[1], record(Path::new("/bin/true"), &[]));
    }

    #[test]
    fn only_the_variables_of_the_tool_are_kept() {
        let base = record(Path::new("x"), &[("A", "1"), ("B", "1"), ("TMPDIR", "/a")]);
        let tool = record(
            Path::new("x"),
            &[
                ("A", "1"),
                ("B", "2"),
                ("C", "3"),
                ("TMPDIR", "/b"),
                ("ORCHESTRATE_TMP", "/b"),
            ],
        );
        let names: Vec<_> = tool.variables(&base);
        assert_eq!(names, [("B".into(), "2".into()), ("C".into(), "3".into())]);
    }
}
