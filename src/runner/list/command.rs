//! Running a listing command, in a worker's care: it is the project's own, and may hang or leave something behind like any job.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::manifest::config::{CommandTemplate, GroupConfig};
use crate::manifest::template::{Lookup, Name, Unset};
use crate::plan::Launch;
use crate::runner::compat;
use crate::runner::discover::{Discovery, GroupLookup};
use crate::worker::client::Client;
use crate::worker::frame::{Cause, Confinement, JobRequest, Status};

/// A listing may build the tests first, so it has long.
const LONGEST: Duration = Duration::from_secs(30 * 60);
/// How much of what a failed command wrote is shown.
const TAIL: usize = 8 * 1024;
/// The most that it may write to standard error, where builds tell what they do.
const MOST_ERRORS: u64 = 1 << 30;
const GRACE: Duration = Duration::from_secs(5);

/// What a command did.
pub struct Captured {
    /// The command, for messages.
    pub shown: String,
    status: Status,
    stdout: Vec<u8>,
    stderr: String,
}

impl Captured {
    /// What it printed, if it succeeded.
    ///
    /// # Errors
    /// How it failed, with the end of what it wrote.
    pub fn stdout_of_success(self) -> Result<Vec<u8>, String> {
        self.check()?;
        Ok(self.stdout)
    }

    /// Whether it succeeded.
    ///
    /// # Errors
    /// How it failed, with the end of what it wrote.
    pub fn check(&self) -> Result<(), String> {
        let Some(how) = self.how_it_failed() else {
            return Ok(());
        };
        let mut text = self.stderr.clone();
        if text.trim().is_empty() {
            text = self.end_of_stdout();
        }
        Err(format!(
            "the listing failed ({how})\n{}\nthe command was: {}",
            text.trim_end(),
            self.shown
        ))
    }

    /// What it printed, however it ended.
    #[must_use]
    pub fn stdout(&self) -> &[u8] {
        &self.stdout
    }

    /// The end of what it wrote to standard error.
    #[must_use]
    pub fn stderr(&self) -> &str {
        &self.stderr
    }

    /// How it ended, if that was not well.
    #[must_use]
    pub fn how_it_failed(&self) -> Option<&Status> {
        (self.status != Status::Exit(0)).then_some(&self.status)
    }

    /// The end of what it printed, and of what it wrote to standard error.
    #[must_use]
    pub fn said(&self) -> String {
        self.end_of_stdout() + &self.stderr
    }

    fn end_of_stdout(&self) -> String {
        let from = self.stdout.len().saturating_sub(TAIL);
        String::from_utf8_lossy(&self.stdout[from..]).into_owned()
    }
}

/// What a listing is about.
#[derive(Clone, Copy, Default)]
pub struct Subject<'a> {
    /// The group's files.
    pub files: &'a [OsString],
    /// The one program that is asked.
    pub program: Option<&'a Path>,
    /// Where the listing is written to, if not to standard output.
    pub report: Option<&'a Path>,
    /// The folder that it runs in, if that is not the group's.
    pub folder: Option<&'a Path>,
    /// More variables, stronger than the group's.
    pub env: &'a [(OsString, OsString)],
}

/// What a listing may name. It runs before the group has workers, but code that is imported for it may ask for what they have:
/// so the worker that lists stands for the first of them.
struct ListLookup<'a> {
    inner: GroupLookup<'a>,
    subject: Subject<'a>,
    pid: u32,
    tmp: &'a Path,
}

impl ListLookup<'_> {
    /// How many processors the listing may use: it often builds the tests.
    fn processors(&self) -> usize {
        self.inner.discovery.workers(self.inner.group)
    }
}

impl Lookup for ListLookup<'_> {
    fn values(&self, name: &Name) -> Option<Vec<OsString>> {
        match name {
            Name::Files => Some(match &self.inner.group.runner.item_separator {
                Some(separator) => vec![self.subject.files.join(OsStr::new(separator))],
                None => self.subject.files.to_vec(),
            }),
            Name::Program => self.subject.program.map(|path| vec![path.into()]),
            Name::Report => self.subject.report.map(|path| vec![path.into()]),
            Name::Pid => Some(vec![self.pid.to_string().into()]),
            // No port is leased for it: 0 is any that is free.
            Name::Slot | Name::Port => Some(vec!["0".into()]),
            Name::Workers => Some(vec![self.processors().to_string().into()]),
            Name::Attempt => Some(vec!["1".into()]),
            Name::Tmp => Some(vec![self.tmp.into()]),
            Name::Own(own) => {
                let mut resources = self.inner.group.resources.iter();
                match resources.find(|(name, _)| name == own) {
                    Some((_, template)) => Some(vec![template.expand(self).ok()?]),
                    None => self.inner.values(name),
                }
            }
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

/// Runs a group's command in its folder and captures what it writes.
///
/// # Errors
/// It could not start, or took too long.
pub fn capture(
    discovery: &Discovery,
    group: &GroupConfig,
    command: &CommandTemplate,
    subject: Subject<'_>,
) -> Result<Captured, String> {
    in_place(discovery, group, subject, None, |lookup| {
        let (words, variables) = words(command, lookup, subject.files)?;
        let variables = variables
            .into_iter()
            .map(|(name, value)| (name.into(), value));
        Ok((words, variables.collect()))
    })
}

/// Runs words as the group's commands run, and captures what they write: with a launch in its folder and with its variables,
/// without one in the folder of the group.
///
/// # Errors
/// They could not start, or took too long.
pub fn capture_words(
    discovery: &Discovery,
    group: &GroupConfig,
    words: &[OsString],
    launch: Option<&Launch>,
) -> Result<Captured, String> {
    in_place(discovery, group, Subject::default(), launch, |_| {
        Ok((words.to_vec(), Vec::new()))
    })
}

/// The words of a group's command.
///
/// # Errors
/// A variable that is not set.
pub fn expand(
    discovery: &Discovery,
    group: &GroupConfig,
    command: &CommandTemplate,
) -> Result<Vec<OsString>, String> {
    let lookup = GroupLookup { discovery, group };
    let (words, _) = words(command, &lookup, &[]).map_err(|unset| unset.with_remedy())?;
    Ok(words)
}

/// Runs what `make` makes of the values of a worker, in the environment of the group.
fn in_place(
    discovery: &Discovery,
    group: &GroupConfig,
    subject: Subject<'_>,
    launch: Option<&Launch>,
    make: impl FnOnce(&dyn Lookup) -> Result<(Vec<OsString>, Vec<(OsString, OsString)>), Unset>,
) -> Result<Captured, String> {
    let confinement = discovery.confinement(group);
    let client = borrow(discovery, &confinement)?;
    let tmp = client.tmp.join(format!("listing-{}", client.jobs));
    let lookup = ListLookup {
        inner: GroupLookup { discovery, group },
        subject,
        pid: client.pid,
        tmp: &tmp,
    };
    let unset = |unset: Unset| unset.with_remedy();
    let (words, variables) = make(&lookup).map_err(unset)?;
    // A listing's variables are the weakest, as in a job.
    let mut env = launch.map_or_else(Vec::new, |launch| launch.env.clone());
    let values = group.runner.env.iter().chain(&group.env);
    // What names a pool has a value in jobs alone.
    for (name, template) in values.filter(|(_, template)| !group.names_pool(template)) {
        env.push((name.into(), template.expand(&lookup).map_err(unset)?));
    }
    for (name, template) in &group.resources {
        env.push((
            resource_variable(name).into(),
            template.expand(&lookup).map_err(unset)?,
        ));
    }
    let session = group.session.told().map_or("cold", |(word, _)| word);
    let own = [
        ("RUN_ID", discovery.run.clone()),
        ("GROUP", group.name.to_string()),
        ("PID", client.pid.to_string()),
        ("SLOT", "0".to_owned()),
        ("GLOBAL_SLOT", "0".to_owned()),
        ("WORKERS", "1".to_owned()),
        ("ATTEMPT", "1".to_owned()),
        ("SESSION", session.to_owned()),
    ];
    for (name, value) in own {
        env.push((format!("ORCHESTRATE_{name}").into(), value.into()));
    }
    env.extend(compat::variables(&group.compat, 0, 1, &discovery.run, &tmp));
    env.extend(variables);
    env.extend_from_slice(subject.env);
    discovery.see(group, &env);
    let own = group.folder(&discovery.root);
    let folder = match launch {
        Some(launch) => launch.folder.as_path(),
        None => subject.folder.unwrap_or(&own),
    };
    let without = group.runner.env_without.clone();
    run(
        (client, confinement),
        discovery,
        &words,
        (&env, without),
        folder,
    )
}

/// The variable that tells a job of a resource of its worker.
pub fn resource_variable(name: &str) -> String {
    let name = name.to_ascii_uppercase().replace('-', "_");
    format!("ORCHESTRATE_RESOURCE_{name}")
}

fn borrow(discovery: &Discovery, confinement: &Confinement) -> Result<Client, String> {
    let client = discovery.borrow(confinement);
    client.map_err(|error| format!("can't start a worker: {error}"))
}

fn run(
    (mut client, confinement): (Client, Confinement),
    discovery: &Discovery,
    words: &[OsString],
    (env, env_without): (&[(OsString, OsString)], Vec<OsString>),
    folder: &Path,
) -> Result<Captured, String> {
    let shown = words
        .iter()
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>();
    let shown: String = shown.join(" ").chars().take(200).collect();
    let stdout = client.tmp.join(format!("listing-{}.out", client.jobs));
    let output = client.tmp.join(format!("listing-{}.log", client.jobs));
    let request = JobRequest {
        words: absolute_program(words.to_vec(), folder, &discovery.root),
        folder: folder.into(),
        env: env.iter().cloned().collect(),
        env_without,
        tmp: client.tmp.join(format!("listing-{}", client.jobs)).into(),
        stdout: Some(stdout.clone().into()),
        output: Some(output.clone().into()),
        timeout: Some(LONGEST),
        grace: GRACE,
        capture: true,
        output_limit: TAIL as u64,
        output_max: MOST_ERRORS,
        ..JobRequest::default()
    };
    let ended = discovery
        .live
        .command(&shown, &output, || client.run(request));
    let _ = fs::remove_file(&output);
    let ended = ended.map_err(|error| format!("`{shown}`: {error}"))?;
    let printed = fs::read(&stdout);
    let _ = fs::remove_file(&stdout);
    discovery.give_back(confinement, client);
    if let Status::NotStarted(why) = ended.status {
        return Err(why);
    }
    if ended.cause == Cause::Timeout {
        return Err(format!("`{shown}` took longer than 30 minutes"));
    }
    Ok(Captured {
        shown,
        status: ended.status,
        stdout: printed.map_err(|error| format!("can't read what a listing printed: {error}"))?,
        stderr: discovery.secrets.text(ended.output),
    })
}

/// `./tests/a.sh` is the group's folder's, or else the root's, whatever folder the command runs in (`std` leaves that open).
#[must_use]
pub fn absolute_program(mut words: Vec<OsString>, folder: &Path, root: &Path) -> Vec<OsString> {
    if let Some(program) = words.first_mut()
        && program.as_encoded_bytes().contains(&b'/')
        && !program.as_encoded_bytes().starts_with(b"/")
    {
        let relative = Path::new(&*program);
        let relative = relative.strip_prefix(".").unwrap_or(relative);
        let own = folder.join(relative);
        *program = if folder == root || own.exists() {
            own.into()
        } else {
            let of_root = root.join(relative);
            // What is in neither is missed in the group's folder.
            if of_root.exists() { of_root } else { own }.into()
        };
    }
    words
}
