//! Running a listing command: with `std::process` and `wait-timeout`, since it runs once and not a thousand times.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use wait_timeout::ChildExt;

use crate::manifest::config::{CommandTemplate, GroupConfig};
use crate::manifest::template::{Lookup, Name, Template, Unset};
use crate::runner::discover::{Discovery, GroupLookup};

/// A listing may build the tests first, so it has long.
const LONGEST: Duration = Duration::from_secs(30 * 60);
/// How much of what a failed command wrote is shown.
const TAIL: u64 = 8 * 1024;

/// What a command did.
pub struct Captured {
    /// The command, for messages.
    pub shown: String,
    status: ExitStatus,
    stdout: File,
    stderr: File,
}

impl Captured {
    /// What it printed, if it succeeded.
    ///
    /// # Errors
    /// How it failed, with the end of what it wrote.
    pub fn stdout_of_success(mut self) -> Result<Vec<u8>, String> {
        self.check()?;
        let mut bytes = Vec::new();
        self.stdout
            .seek(SeekFrom::Start(0))
            .and_then(|_| self.stdout.read_to_end(&mut bytes))
            .map_err(|error| format!("can't read what {} printed: {error}", self.shown))?;
        Ok(bytes)
    }

    /// Whether it succeeded.
    ///
    /// # Errors
    /// How it failed, with the end of what it wrote.
    pub fn check(&mut self) -> Result<(), String> {
        if self.status.success() {
            return Ok(());
        }
        let mut text = tail(&mut self.stderr);
        if text.trim().is_empty() {
            text = tail(&mut self.stdout);
        }
        Err(format!(
            "the listing failed ({})\n{}\nthe command was: {}",
            self.status,
            text.trim_end(),
            self.shown
        ))
    }
}

fn tail(file: &mut File) -> String {
    let mut bytes = Vec::new();
    let length = file.metadata().map_or(0, |meta| meta.len());
    let from = SeekFrom::Start(length.saturating_sub(TAIL));
    let _ = file.seek(from).and_then(|_| file.read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}

struct ListLookup<'a> {
    inner: GroupLookup<'a>,
    files: &'a [OsString],
    report: Option<&'a PathBuf>,
}

impl Lookup for ListLookup<'_> {
    fn values(&self, name: &Name) -> Option<Vec<OsString>> {
        match name {
            Name::Files => Some(self.files.to_vec()),
            Name::Report => self.report.map(|path| vec![path.into()]),
            other => self.inner.values(other),
        }
    }
}

/// A command's words, and the variables that its shell line needs.
pub type Expanded = (Vec<OsString>, Vec<(String, OsString)>);

/// A command's words and the variables that a shell line needs, with every template expanded.
///
/// # Errors
/// A variable that is not set.
pub fn words(
    command: &CommandTemplate,
    lookup: &dyn Lookup,
    list: &[OsString],
) -> Result<Expanded, Unset> {
    match command {
        CommandTemplate::Words(templates) => {
            let words: Result<Vec<_>, _> = templates
                .iter()
                .map(|word| word.expand_words(lookup))
                .collect();
            Ok((words?.into_iter().flatten().collect(), Vec::new()))
        }
        CommandTemplate::Shell(line) => {
            let (line, variables) = line.expand_shell(lookup)?;
            let mut words: Vec<OsString> = ["sh", "-c", &line, "sh"].map(OsString::from).to_vec();
            words.extend_from_slice(list);
            Ok((words, variables))
        }
    }
}

/// Runs a group's command in the root and captures what it writes.
///
/// # Errors
/// It could not start, or took too long.
pub fn capture(
    discovery: &Discovery,
    group: &GroupConfig,
    command: &CommandTemplate,
    files: &[OsString],
    report: Option<&PathBuf>,
) -> Result<Captured, String> {
    let lookup = ListLookup {
        inner: GroupLookup { discovery, group },
        files,
        report,
    };
    let unset = |unset: Unset| {
        format!("{unset}: set the variable, or give it a default with <env:NAME|default>")
    };
    let (words, variables) = words(command, &lookup, files).map_err(unset)?;
    let mut env: Vec<(OsString, OsString)> = Vec::new();
    let of_runner = group.runner.env.iter().chain(&group.env);
    for (name, template) in of_runner.filter(|(_, template)| is_known(template, &lookup)) {
        env.push((name.into(), template.expand(&lookup).map_err(unset)?));
    }
    env.extend(
        variables
            .into_iter()
            .map(|(name, value)| (name.into(), value)),
    );
    start(discovery, &words, &env)
}

/// A value that names a worker can't be known to a listing, which runs before there is one.
fn is_known(template: &Template, lookup: &dyn Lookup) -> bool {
    template
        .names()
        .all(|name| lookup.values(name).is_some() || matches!(name, Name::Env { .. }))
}

/// Runs words in the root.
///
/// # Errors
/// They could not start, or took too long.
pub fn start(
    discovery: &Discovery,
    words: &[OsString],
    env: &[(OsString, OsString)],
) -> Result<Captured, String> {
    let shown = words
        .iter()
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>();
    let shown: String = shown.join(" ").chars().take(200).collect();
    let run = || -> io::Result<(ExitStatus, File, File)> {
        let file = || tempfile_in(discovery);
        let (stdout, stderr) = (file()?, file()?);
        let (program, arguments) = words
            .split_first()
            .ok_or_else(|| io::Error::other("no command"))?;
        let mut child = Command::new(program_in(discovery, program))
            .args(arguments)
            .current_dir(&discovery.root)
            .envs(env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(stdout.try_clone()?)
            .stderr(stderr.try_clone()?)
            .process_group(0)
            .spawn()?;
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let status = child.wait_timeout(LONGEST)?;
        // What it left running would write on into files that are read now.
        if let Some(group) = group {
            let _ = kill_process_group(group, Signal::KILL);
        }
        if let Some(status) = status {
            Ok((status, stdout, stderr))
        } else {
            child.wait()?;
            Err(io::Error::other("it took longer than 30 minutes"))
        }
    };
    let (status, stdout, stderr) = run().map_err(|error| {
        let program = words
            .first()
            .map(|word| word.to_string_lossy())
            .unwrap_or_default();
        let remedy = match error.kind() {
            io::ErrorKind::NotFound => "; is it installed, and is the path relative to the root?",
            io::ErrorKind::PermissionDenied => "; is it executable?",
            _ => "",
        };
        format!("can't run {program}: {error}{remedy}")
    })?;
    Ok(Captured {
        shown,
        status,
        stdout,
        stderr,
    })
}

/// A relative path is the root's, whatever the current folder is (`std` leaves that open).
fn program_in(discovery: &Discovery, program: &OsStr) -> PathBuf {
    if program.as_encoded_bytes().contains(&b'/') {
        discovery.root.join(program)
    } else {
        PathBuf::from(program)
    }
}

/// A file without a name.
fn tempfile_in(discovery: &Discovery) -> io::Result<File> {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = discovery.folder().join(format!("listing-{number}"));
    let file = File::options()
        .read(true)
        .append(true)
        .create_new(true)
        .open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}
