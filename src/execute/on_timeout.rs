//! What a group runs at a test whose time is over: from its template to a command that lacks nothing but the process id.

use std::ffi::{OsStr, OsString};

use super::values::JobValues;
use crate::manifest::config::CommandTemplate;
use crate::manifest::template::{Lookup, Name, Unset};
use crate::runner::list;
use crate::worker::frame::{JOB_PID, OnTimeout};

/// What the command may name: all that the job knows, and a placeholder for its process.
struct AtJob<'a>(&'a JobValues<'a>);

impl Lookup for AtJob<'_> {
    fn values(&self, name: &Name) -> Option<Vec<OsString>> {
        match name {
            Name::JobPid => Some(vec![JOB_PID.into()]),
            other => self.0.values(other),
        }
    }
}

/// The command for a job. One that can't be made is told only when it is wanted: it must not change how a test ends.
pub fn command(template: &CommandTemplate, values: &JobValues<'_>) -> OnTimeout {
    expand(template, values).unwrap_or_else(|unset| OnTimeout {
        broken: Some(format!("can't run: {}", unset.with_remedy())),
        ..OnTimeout::default()
    })
}

fn expand(template: &CommandTemplate, values: &JobValues<'_>) -> Result<OnTimeout, Unset> {
    let lookup = AtJob(values);
    let (words, env) = list::words(template, &lookup, &[])?;
    let shown = match template {
        CommandTemplate::Words(_) => words.join(OsStr::new(" ")),
        // As it was written, and not with the variables that stand in it for the values.
        CommandTemplate::Shell(line) => line.expand(&lookup)?,
    };
    let root = &values.discovery.root;
    Ok(OnTimeout {
        shown: shown.to_string_lossy().into_owned(),
        words: list::absolute_program(words, &values.group.folder(root), root),
        env: env
            .into_iter()
            .map(|(name, value)| (name.into(), value))
            .collect(),
        timeout: values.group.hooks.timeout,
        broken: None,
    })
}
