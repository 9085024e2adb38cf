//! What the processes of a group leave of something that is the group's as a whole, such as coverage, and the command that
//! makes one of it.
//!
//! Each job, and each host where every worker has one, finds a folder in its environment. One host that serves a whole group, or
//! one process that runs all of its tests, leaves nothing: it is told so by an empty name, since it may have another's in the
//! environment of `orchestrate`.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::PathBuf;

use super::coverage;
use super::discover::Discovery;
use super::list::{Subject, capture};
use crate::manifest::config::{GroupConfig, Session};
use crate::manifest::model::ListFormat;

/// Names the folder to a group's processes.
const VARIABLE: &str = "ORCHESTRATE_PARTS";

/// Why a group's parts could not be finished.
#[derive(Debug, PartialEq)]
pub struct Failure {
    /// How, in a few words.
    pub how: String,
    /// What was written.
    pub output: String,
}

/// Where the processes of a group leave their parts; nowhere if nothing would be made of them.
#[must_use]
pub fn folder(discovery: &Discovery, group: &GroupConfig) -> Option<PathBuf> {
    let is_whole = matches!(group.session, Session::Shared(_)) || group.one_process.is_some();
    let is_go = group.runner.list_format == ListFormat::Go;
    let finishes = (group.runner.finish.is_some() && !is_whole) || is_go;
    finishes.then(|| discovery.folder_of(group).join("parts"))
}

/// What tells a group's processes of it; nothing if the runner has no command to finish with.
#[must_use]
pub fn variable(discovery: &Discovery, group: &GroupConfig) -> Option<(OsString, OsString)> {
    group.runner.finish.as_ref()?;
    let folder = folder(discovery, group).unwrap_or_default();
    Some((VARIABLE.into(), folder.into()))
}

/// Makes the folder, before the first process of the group.
///
/// # Errors
/// It can't be made.
pub fn prepare(discovery: &Discovery, group: &GroupConfig) -> io::Result<()> {
    folder(discovery, group).map_or(Ok(()), fs::create_dir_all)
}

/// Whether a process of the group has left anything.
///
/// # Errors
/// It can't be looked for.
pub fn are_left(discovery: &Discovery, group: &GroupConfig) -> io::Result<bool> {
    folder(discovery, group).map_or(Ok(false), |folder| {
        Ok(fs::read_dir(folder)?.next().is_some())
    })
}

/// Runs the command that makes one of what is left. `files` are those of the group's tests, `set` is what its hooks have set.
///
/// # Errors
/// How it failed.
pub fn finish(
    discovery: &Discovery,
    group: &GroupConfig,
    files: &[OsString],
    set: &[(OsString, OsString)],
) -> Result<(), Failure> {
    let Some(command) = &group.runner.finish else {
        let folder =
            folder(discovery, group).filter(|_| group.runner.list_format == ListFormat::Go);
        return folder.map_or(Ok(()), |parts| {
            coverage::finish(&coverage::folder(discovery, group), &parts).map_err(|how| Failure {
                how,
                output: String::new(),
            })
        });
    };
    let mut env = set.to_vec();
    env.extend(variable(discovery, group));
    let subject = Subject {
        files,
        env: &env,
        ..Subject::default()
    };
    let captured = capture(discovery, group, command, subject);
    // At the end of the run there must be no worker that waits for something to list.
    discovery.close();
    let captured = captured.map_err(|how| Failure {
        how,
        output: String::new(),
    })?;
    captured.how_it_failed().map_or(Ok(()), |status| {
        Err(Failure {
            how: status.to_string(),
            output: captured.said(),
        })
    })
}
