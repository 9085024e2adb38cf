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
use crate::runner::list;
use crate::worker::client::Client;
use crate::worker::frame::{Cause, Ended, EnvBlock, JobRequest, Leftovers, Output};

/// A hook that failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// How the tests end that needed it; `crashed` where its worker was lost, and not the hook itself failed.
    pub outcome: Outcome,
    /// Why, in a line.
    pub message: String,
    /// What it printed.
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

/// Runs the commands of a hook, one after the other; the first that fails is the last. Returns the variables that it sets.
///
/// # Errors
/// How one of them failed.
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
    let result = commands
        .iter()
        .enumerate()
        .try_for_each(|(index, command)| {
            let is_last = index + 1 == commands.len();
            one(client, hook, (command, is_last), subject, &mut set)
        });
    let failure = result.as_ref().err();
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
        env: set
            .iter()
            .map(|(name, value)| {
                let text = |text: &OsString| text.to_string_lossy().into_owned();
                (text(name), text(value))
            })
            .collect(),
    });
    result.map(|()| set)
}

fn one(
    client: &mut Client,
    hook: Hook,
    command: (&CommandTemplate, bool),
    subject: &Subject<'_>,
    set: &mut Variables,
) -> Result<(), Failure> {
    let failed = |message: String, output: String| Failure {
        outcome: Outcome::Errored,
        message: format!("{} {message}", hook.key()),
        output,
    };
    let request = request(client, hook, command, subject, set)
        .map_err(|why| failed(format!("can't run: {why}"), String::new()))?;
    let is_after = matches!(hook, Hook::AfterAll | Hook::AfterWorker | Hook::AfterJob);
    let ended = if is_after {
        client.run_to_its_end(request)
    } else {
        client.run(request)
    };
    let mut ended = ended.map_err(|error| Failure {
        outcome: Outcome::Crashed,
        ..failed(format!("lost its worker: {error}"), String::new())
    })?;
    let output = std::mem::take(&mut ended.output).into_text();
    if ended.cause == Cause::Stop {
        return Err(Failure {
            outcome: Outcome::Cancelled,
            ..failed("was stopped with the run".to_owned(), output)
        });
    }
    if let Some(why) = ended.why_failed() {
        return Err(failed(why, output));
    }
    read_variables(&ended, set).map_err(|why| failed(why, output))
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
        if line.is_empty() || line[0] == b'#' {
            continue;
        }
        let wrong = |why: &str| format!("wrote to ORCHESTRATE_ENV what {why}, line {}", index + 1);
        let at = line.iter().position(|byte| *byte == b'=');
        let at = at
            .filter(|at| *at > 0)
            .ok_or_else(|| wrong("is no NAME=value"))?;
        if line.starts_with(b"ORCHESTRATE_") {
            return Err(wrong("only orchestrate sets"));
        }
        let text = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
        set.push((text(&line[..at]), text(&line[at + 1..])));
    }
    Ok(())
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
            output: Output {
                total: self.output.len() as u64,
                head: self.output.into_bytes(),
                tail: Vec::new(),
            },
            ..Ended::not_started(self.message)
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
            outcome,
            message: format!("can't start a worker: {error}"),
            output: String::new(),
        }
    }
}
