//! Hooks: commands that run before and after a group, its workers and its jobs, in a worker's care like any job.
//!
//! An `after-*` runs whenever its `before-*` has started, also when the run is being stopped: then nobody ends it early. What
//! a hook writes to the file that `ORCHESTRATE_ENV` names are variables for everything below it.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use super::command::{Place, environment};
use super::values::{JobValues, Variables};
use super::{Shared, is_shortage};
use crate::event::Event;
use crate::manifest::config::{CommandTemplate, GroupConfig, Hook};
use crate::manifest::template::{Lookup, Name, Template};
use crate::outcome::Outcome;
use crate::pending::SetByHook;
use crate::runner::list;
use crate::worker::client::Client;
use crate::worker::frame::{Cause, Ended, EnvBlock, JobRequest, Leftovers};

/// A hook that failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Which; none where there was no worker to run it in.
    pub hook: Option<Hook>,
    /// How the tests end that needed it; `crashed` where its worker was lost, and not the hook itself failed.
    pub outcome: Outcome,
    /// Why, in a line.
    pub message: String,
    /// What it printed. The event of its end has it; the tests that the failure concerns refer to that.
    pub output: String,
}

/// For whom a hook runs.
pub struct Subject<'a> {
    /// The group.
    pub group: &'a GroupConfig,
    /// What its templates may name.
    pub values: &'a JobValues<'a>,
    /// The rest of what a job is told.
    pub place: &'a Place,
    /// What other hooks have set.
    pub variables: &'a Variables,
    /// The run that was killed, where this makes up for what it owes.
    pub of: Option<&'a str>,
}

/// Runs the commands of a hook, one after the other. Of a `before-*` the first that fails is the last; of an `after-*` all
/// run, since each takes back something else. Returns the variables that the hook sets.
///
/// # Errors
/// How its commands failed.
pub fn run(
    shared: &Shared<'_>,
    client: &mut Client,
    hook: Hook,
    subject: &Subject<'_>,
) -> Result<Variables, Failure> {
    let commands = subject.group.hooks.of(hook);
    if commands.is_empty() {
        return Ok(Variables::new());
    }
    let worker = !matches!(hook, Hook::BeforeAll | Hook::AfterAll);
    let group = subject.group.name.to_string();
    shared.send(Event::HookStarted {
        hook,
        group: group.clone(),
        pid: worker.then_some(subject.values.pid),
        worker: worker.then_some(subject.values.slot),
        port: subject.values.port,
        of: subject.of.map(str::to_owned),
    });
    let begun = std::time::Instant::now();
    let mut set = Variables::new();
    let mut failed: Option<Failure> = None;
    for (index, command) in commands.iter().enumerate() {
        let is_last = index + 1 == commands.len();
        let ended = one(client, hook, (command, is_last), subject, &mut set);
        let Err(failure) = ended else { continue };
        let goes_on = hook.takes_back() && failure.outcome == Outcome::Errored;
        let failure = failure.of_command(index, commands.len());
        failed = Some(match failed {
            Some(before) => before.and(&failure),
            None => failure,
        });
        if !goes_on {
            break;
        }
    }
    if subject.of.is_none() && matches!(hook, Hook::BeforeAll | Hook::BeforeWorker) {
        let set = SetByHook {
            group: group.clone(),
            pid: worker.then_some(subject.values.pid),
            variables: set.clone(),
        };
        // Should this run be killed, the next one says that they are missing: it knows their names.
        let _ = shared.options.pending.keep(&shared.options.run, set);
    }
    let failure = failed.as_ref();
    shared.send(Event::HookFinished {
        hook,
        group,
        pid: worker.then_some(subject.values.pid),
        of: subject.of.map(str::to_owned),
        outcome: failure.map_or(Outcome::Passed, |failure| failure.outcome),
        seconds: begun.elapsed().as_secs_f64(),
        message: failure.map(|failure| failure.message.clone()),
        output: failure
            .map(|failure| failure.output.clone())
            .filter(|output| !output.is_empty()),
        variables: set
            .iter()
            .map(|(name, _)| name.to_string_lossy().into_owned())
            .collect(),
    });
    match failed {
        Some(failure) => Err(failure),
        None => Ok(set),
    }
}

fn one(
    client: &mut Client,
    hook: Hook,
    command: (&CommandTemplate, bool),
    subject: &Subject<'_>,
    set: &mut Variables,
) -> Result<(), Failure> {
    let failed = |message: String, output: String| Failure {
        hook: Some(hook),
        outcome: Outcome::Errored,
        message: format!("{} {message}", hook.key()),
        output,
    };
    let request = request(client, hook, command, subject, set)
        .map_err(|why| failed(format!("can't run: {why}"), String::new()))?;
    let ended = if hook.takes_back() {
        client.run_to_its_end(request)
    } else {
        client.run(request)
    };
    let mut ended = ended.map_err(|error| Failure {
        outcome: Outcome::Crashed,
        ..failed(format!("lost its worker: {error}"), String::new())
    })?;
    let secrets = &subject.values.discovery.secrets;
    let read = read_variables(&ended, set);
    subject.values.discovery.see(subject.group, set);
    let output = secrets.text(std::mem::take(&mut ended.output));
    if ended.cause == Cause::Stop {
        return Err(Failure {
            outcome: Outcome::Cancelled,
            ..failed("was stopped with the run".to_owned(), output)
        });
    }
    if let Some(why) = ended.why_failed(subject.group.hooks.timeout) {
        return Err(failed(why, output));
    }
    read.map_err(|why| failed(why, output))
}

fn request(
    client: &mut Client,
    hook: Hook,
    (command, is_last): (&CommandTemplate, bool),
    subject: &Subject<'_>,
    set: &Variables,
) -> Result<JobRequest, String> {
    let values = subject.values;
    let (words, shell) = list::words(command, values, &[]).map_err(|unset| unset.to_string())?;
    let of_group = matches!(hook, Hook::BeforeAll | Hook::AfterAll);
    // Outside of a worker, what names one has no value, and outside of a job what names a pool.
    let known = |template: &Template| {
        if values.granted.is_none() && subject.group.names_pool(template) {
            return false;
        }
        !of_group
            || template
                .names()
                .all(|name| !is_a_workers(name) && (values.values(name).is_some()))
    };
    let env = environment(subject.group, values, subject.place, known);
    let mut env: EnvBlock = env
        .map_err(|unset| unset.to_string())?
        .into_iter()
        .collect();
    env.extend(shell);
    let set = subject.variables.iter().chain(set);
    env.extend(set.map(|(name, value)| (name, value)));
    let secrets = &values.discovery.secrets;
    secrets.see(&subject.group.bounds.secrets, env.pairs());
    let file = client.tmp.join(format!("env-{}", client.jobs));
    env.push("ORCHESTRATE_ENV".as_ref(), file.as_os_str());
    let root = &values.discovery.root;
    let folder = subject.group.folder(root);
    Ok(JobRequest {
        words: list::absolute_program(words, &folder, root),
        folder: folder.into(),
        env,
        tmp: values.tmp.clone().into(),
        // The job has made its own, and nobody needs it after the last of its hooks.
        has_tmp: hook == Hook::AfterJob || client.made_tmp(&values.tmp),
        leave_tmp: !(hook == Hook::AfterJob && is_last),
        leftovers: match hook {
            Hook::BeforeAll | Hook::BeforeWorker => Leftovers::ForWorker,
            Hook::BeforeJob => Leftovers::ForJob,
            _ => Leftovers::End,
        },
        report: Some(file.into()),
        timeout: subject.group.hooks.timeout,
        grace: subject.group.tests.grace,
        capture: true,
        output_limit: subject.group.bounds.output_limit,
        output_max: subject.group.bounds.output_max,
        ..JobRequest::default()
    })
}

fn is_a_workers(name: &Name) -> bool {
    matches!(
        name,
        Name::Pid | Name::Slot | Name::Port | Name::Tmp | Name::Attempt | Name::Own(_)
    )
}

/// `NAME=value` lines; the file is only there if the hook has written it.
fn read_variables(ended: &Ended, set: &mut Variables) -> Result<(), String> {
    let text = ended.report.as_deref().unwrap_or_default();
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() || line[0] == b'#' {
            continue;
        }
        let (name, value) = variable(line).map_err(|why| {
            format!(
                "wrote to ORCHESTRATE_ENV what {why}, line {}: {}",
                index + 1,
                shown(line)
            )
        })?;
        set.push((name, value));
    }
    Ok(())
}

/// How much of a line is shown that is not a variable.
const MOST_SHOWN: usize = 80;

/// What a person may read of a line that is not a variable: it may be the rest of a secret that has several lines.
fn shown(line: &[u8]) -> String {
    let Some(at) = line.iter().position(|byte| *byte == b'=') else {
        return format!("{} bytes without `=`", line.len());
    };
    let name = String::from_utf8_lossy(&line[..at]);
    let name: String = name.chars().take(MOST_SHOWN).collect();
    format!("{:?}", format!("{name}=\u{2026}"))
}

/// The name and the value that a line sets.
fn variable(line: &[u8]) -> Result<(OsString, OsString), &'static str> {
    let is_of_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.-:".contains(byte);
    let at = line.iter().position(|byte| *byte == b'=');
    let at = at.filter(|at| *at > 0).ok_or("is not NAME=value")?;
    let (name, value) = (&line[..at], &line[at + 1..]);
    if name.starts_with(b"export ") {
        return Err("is not NAME=value (leave out `export`)");
    }
    if !name.iter().all(is_of_name) {
        return Err("is not NAME=value (a name has letters, digits and `_`)");
    }
    if name.starts_with(b"ORCHESTRATE_") {
        return Err("only orchestrate sets");
    }
    if value.contains(&0) {
        return Err("has a NUL byte, which no variable can hold");
    }
    let text = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    Ok((text(name), text(value)))
}

impl Failure {
    /// The end of a job whose hook failed.
    pub fn into_ended(self) -> Ended {
        let cause = if self.outcome == Outcome::Cancelled {
            Cause::Stop
        } else {
            Cause::Itself
        };
        Ended {
            cause,
            ..Ended::not_started(self.reason())
        }
    }

    /// Why a test has no result of its own. What the hook printed may be long, and as many tests may refer to it as there
    /// are, so it is reported once, with the hook.
    pub fn reason(&self) -> String {
        if self.output.is_empty() {
            self.message.clone()
        } else {
            format!("{}; its output is reported with the hook", self.message)
        }
    }

    /// The same, with the number of the command that failed where there are several.
    fn of_command(self, index: usize, commands: usize) -> Self {
        if commands == 1 || self.outcome == Outcome::Cancelled {
            return self;
        }
        Self {
            message: format!("{} (command {} of {commands})", self.message, index + 1),
            ..self
        }
    }

    /// Two failures of the same hook as one.
    fn and(mut self, other: &Self) -> Self {
        self.message.push_str("; ");
        self.message.push_str(&other.message);
        if !self.output.is_empty() && !self.output.ends_with('\n') {
            self.output.push('\n');
        }
        self.output.push_str(&other.output);
        Self {
            outcome: other.outcome,
            ..self
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        let outcome = if is_shortage(&error) {
            Outcome::NotRun
        } else {
            Outcome::Errored
        };
        Self {
            hook: None,
            outcome,
            message: format!("can't start a worker: {error}"),
            output: String::new(),
        }
    }
}
