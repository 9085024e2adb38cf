//! Listing: the command that a runner lists its tests with, and the forms that it may answer in.

mod cache;
pub(crate) mod cargo;
mod command;
pub(crate) mod ctest;
pub(crate) mod go;
pub(crate) mod gtest;
pub(crate) mod jsonl;
mod live;
mod narrow;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use command::Captured;
pub use command::{Subject, absolute_program, capture, resource_variable, words};
pub use jsonl::Listing;
pub use live::{Live, Progress, Watch};

use super::discover::Discovery;
use crate::manifest::config::{CommandTemplate, GroupConfig};
use crate::manifest::model::ListFormat;
use crate::manifest::template::Name;
use crate::plan::{Item, Known, Launch};

/// The tests that a runner lists in files.
///
/// # Errors
/// Why it could not list them, and what it said.
pub fn tests(
    discovery: &Discovery,
    group: &GroupConfig,
    command: &CommandTemplate,
    files: &[PathBuf],
) -> Result<Listing, String> {
    let format = group.runner.list_format;
    let only = |items| Listing {
        items,
        ..Listing::default()
    };
    let flags = match format {
        ListFormat::Gtest => flags(discovery, group),
        _ => gtest::Flags::default(),
    };
    let parse = |bytes: &[u8]| match format {
        ListFormat::Gtest => Ok(gtest::tests(bytes, flags)),
        _ if group.runner.holds_tests => Ok(paths(bytes, &group.folder(&discovery.root))),
        _ => Ok(lines(bytes)),
    };
    match format {
        ListFormat::Cargo => cargo::tests(discovery, group, command),
        ListFormat::Go => go::tests(discovery, group, command),
        ListFormat::Ctest => ctest::tests(discovery, group, command, files),
        ListFormat::Jsonl => jsonl::tests(discovery, group, command, files),
        _ if command.names().any(|name| *name == Name::Program) => {
            let items = files
                .iter()
                .flat_map(|file| of_program(discovery, group, command, file, &parse));
            let items = items.map(|item| Item {
                affinity: flags.is_whole.then(|| item.module.clone()),
                ..item
            });
            Ok(only(items.collect()))
        }
        _ => {
            let whole = |bytes: &[u8]| parse(bytes).is_ok();
            let list = || output_of(discovery, group, command, files);
            let bytes = cache::kept_or(discovery, group, command, files, whole, list)?;
            parse(&bytes).map(only)
        }
    }
}

/// The value of a setting of the group's runner; empty where the runner has no such setting.
fn manifest_setting(discovery: &Discovery, group: &GroupConfig, name: &str) -> Vec<OsString> {
    discovery
        .group_value(group, &Name::Own(name.to_owned()))
        .unwrap_or_default()
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
    let files = as_arguments(files);
    let subject = Subject {
        files: &files,
        ..Subject::default()
    };
    capture(discovery, group, command, subject)?.stdout_of_success()
}

/// Files as `<files>` has them: a name that begins with a dash must not be taken for an option.
#[must_use]
pub fn as_arguments(files: &[PathBuf]) -> Vec<OsString> {
    let files = files.iter().map(|file| {
        let is_option = file.as_os_str().as_bytes().first() == Some(&b'-');
        let file = if is_option {
            &Path::new(".").join(file)
        } else {
            file
        };
        file.into()
    });
    files.collect()
}

/// How a group runs programs of GoogleTest.
fn flags(discovery: &Discovery, group: &GroupConfig) -> gtest::Flags {
    let arguments = discovery.group_value(group, &Name::Own("args".to_owned()));
    gtest::Flags::of(&arguments.unwrap_or_default(), |name| {
        let mut own = group.env.iter().rev().chain(&group.runner.env);
        let own = own.find(|(known, _)| known == name);
        match own {
            Some((_, value)) => Some(value.to_string().into()),
            None => discovery.environment.get(OsStr::new(name)).cloned(),
        }
    })
}

/// Reads what a listing printed.
type Parse<'a> = dyn Fn(&[u8]) -> Result<Vec<Item>, String> + 'a;

/// The tests of one program, which lists its own and is told which to run. One that can't is a test that is broken.
fn of_program(
    discovery: &Discovery,
    group: &GroupConfig,
    command: &CommandTemplate,
    file: &PathBuf,
    parse: &Parse<'_>,
) -> Vec<Item> {
    let own = group.folder(&discovery.root);
    let program = own.join(file);
    let folder = discovery.group_value(group, &Name::Own("folder".to_owned()));
    let folder = folder.and_then(|mut words| words.pop());
    let folder = match folder.filter(|folder| !folder.is_empty()) {
        Some(folder) => own.join(folder),
        None => own,
    };
    let subject = Subject {
        program: Some(&program),
        folder: Some(&folder),
        ..Subject::default()
    };
    let listed = capture(discovery, group, command, subject)
        .and_then(Captured::stdout_of_success)
        .and_then(|bytes| parse(&bytes));
    let module = file.to_string_lossy().into_owned();
    let launch = Arc::new(Launch {
        program: vec![program.clone().into()],
        folder: folder.clone(),
        ..Launch::default()
    });
    let of_file = |item: Item| Item {
        id: format!("{module}::{}", item.id),
        module: module.clone(),
        file: Some(file.clone()),
        launch: Some(launch.clone()),
        ..item
    };
    match listed {
        Ok(items) => items.into_iter().map(of_file).collect(),
        Err(why) => vec![Item {
            file: Some(file.clone()),
            known: Some(Known::Broken(why)),
            ..Item::plain(module.clone())
        }],
    }
}

/// A file a line, relative to the root or absolute: the runner reports which tests are in it.
fn paths(bytes: &[u8], root: &Path) -> Vec<Item> {
    let lines = bytes.split(|byte| *byte == b'\n');
    let lines = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    lines
        .filter(|line| !line.is_empty())
        .map(|line| Item::of_file(below(root, Path::new(OsStr::from_bytes(line)))))
        .collect()
}

/// A path as it is written below the root. A tool may resolve links in the root's own path.
fn below(root: &Path, path: &Path) -> PathBuf {
    let path = path.strip_prefix(".").unwrap_or(path);
    let real = || root.canonicalize().ok();
    match path.strip_prefix(root) {
        Ok(inside) => inside.to_owned(),
        Err(_) if path.is_absolute() => real()
            .and_then(|real| path.strip_prefix(real).ok().map(Path::to_owned))
            .unwrap_or_else(|| path.to_owned()),
        Err(_) => path.to_owned(),
    }
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
