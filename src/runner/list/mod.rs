//! Listing: the command that a runner lists its tests with, and the forms that it may answer in.

pub(crate) mod cargo;
mod command;
pub(crate) mod jsonl;

use std::ffi::OsString;
use std::path::PathBuf;

pub use command::words;
use command::{Captured, capture};

use super::discover::Discovery;
use crate::manifest::config::{CommandTemplate, GroupConfig};
use crate::manifest::model::ListFormat;
use crate::plan::Item;

/// The tests that a runner lists in files.
///
/// # Errors
/// Why it could not list them, and what it said.
pub fn tests(
    discovery: &Discovery,
    group: &GroupConfig,
    command: &CommandTemplate,
    files: &[PathBuf],
) -> Result<Vec<Item>, String> {
    match group.runner.list_format {
        ListFormat::Cargo => cargo::tests(discovery, group, command),
        ListFormat::Lines => Ok(lines(&output_of(discovery, group, command, files)?)),
        ListFormat::Jsonl => jsonl::tests(discovery, group, command, files),
    }
}

/// What a listing command prints.
///
/// # Errors
/// It could not start, or failed.
pub fn output_of(
    discovery: &Discovery,
    group: &GroupConfig,
    command: &CommandTemplate,
    files: &[PathBuf],
) -> Result<Vec<u8>, String> {
    let files: Vec<OsString> = files.iter().map(Into::into).collect();
    capture(discovery, group, command, &files, None)?.stdout_of_success()
}

/// A test a line: its id.
pub(crate) fn lines(bytes: &[u8]) -> Vec<Item> {
    String::from_utf8_lossy(bytes)
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty())
        .map(|id| {
            let module = id.split("::").next().unwrap_or(id);
            Item {
                module: module.to_owned(),
                file: Some(PathBuf::from(module)),
                ..Item::plain(id.to_owned())
            }
        })
        .collect()
}
