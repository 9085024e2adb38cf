//! `orchestrate check`.

use std::io;
use std::path::Path;

use super::args::{CheckArguments, SelectArguments};
use super::error::CliError;
use super::listing::Listings;
use super::{environment, exit, open, print, say};
use crate::execute;
use crate::manifest::config::{GroupConfig, Origin};
use crate::manifest::load::{self, FILE_NAME, LoadError, line_of};
use crate::manifest::{Choices, Config};
use crate::plan::{Item, Known, Selection};
use crate::report::Clean;
use crate::run::Run;
use crate::runner::files;

/// Checks manifests, each with every profile that it has, and lists the tests of their groups.
pub fn check(arguments: &CheckArguments) -> Result<u8, CliError> {
    let mut manifests = arguments.manifests.clone();
    if manifests.is_empty() {
        let found = load::find(&open::here()?).ok_or_else(|| {
            let hint = "name one, or write one with `orchestrate init`".to_owned();
            CliError::usage(
                format!("there is no {FILE_NAME} here or in a folder above"),
                hint,
            )
        })?;
        // Named as a person would, from where he stands.
        manifests.push(open::relative(&open::here()?, &found));
    }
    let mut code = exit::SUCCESS;
    for path in &manifests {
        let checked = one(path, arguments).unwrap_or_else(|error| {
            let text = error.render(environment::colour(&io::stderr()));
            say(Clean::painted(&text));
            error.exit()
        });
        code = code.max(checked);
    }
    Ok(code)
}

/// Checks one manifest.
fn one(path: &Path, arguments: &CheckArguments) -> Result<u8, CliError> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let source = load::read(path)?;
    let root = parent.canonicalize().map_err(|error| {
        CliError::System(format!(
            "can't find the folder {}: {error}",
            parent.display()
        ))
    })?;
    let config = load::check(&source, &root)?;
    if config.groups.is_empty() {
        return Err(CliError::usage(
            format!("{} has no group, so nothing can run", path.display()),
            "add a table such as `[groups.unit]`, or let `orchestrate init` find the tests"
                .to_owned(),
        ));
    }
    let groups = match config.groups.len() {
        1 => "1 group".to_owned(),
        many => format!("{many} groups"),
    };
    if arguments.no_list {
        for warning in &config.warnings {
            say(clean!("warning: {}: {warning}", path.display()));
        }
        print(clean!("{}: {groups}, no problems\n", path.display()));
        return Ok(exit::SUCCESS);
    }
    open::known_profile(arguments.profile.as_ref(), &load::profiles(&source))?;
    let choices = Choices {
        profile: arguments.profile.clone(),
        ..Choices::default()
    };
    let config = load::load(&source, root, &choices)?;
    let listed = listed(path, config)?;
    if listed.code == exit::SUCCESS {
        let tests = match listed.tests {
            1 => "1 test".to_owned(),
            many => format!("{many} tests"),
        };
        let verdict = match listed.broken {
            0 => "no problems".to_owned(),
            broken => format!("no problems but for {broken} that can't be listed"),
        };
        print(clean!("{}: {groups}, {tests}, {verdict}\n", path.display()));
    }
    Ok(listed.code)
}

/// The tests of a manifest's groups.
struct Listed {
    /// How many there are.
    tests: usize,
    /// How many files or tests can't be listed.
    broken: usize,
    /// The exit code.
    code: u8,
}

/// Lists the tests of a manifest's groups, and says what does not fit together.
fn listed(path: &Path, config: Config) -> Result<Listed, CliError> {
    let selection = Selection::default();
    let select = SelectArguments::default();
    let listings = Listings::new();
    let mut asked = select.asked(&selection);
    asked.watch = Some(&listings);
    let run = Run::prepare(config, &asked, execute::environment())?;
    let source = &run.config().source;
    for warning in &run.warnings {
        say(clean!("warning: {}: {warning}", path.display()));
    }
    for miss in &run.idle {
        let (line, written) = (line_of(source, &miss.place), &miss.written);
        let hint = miss.hint.as_ref().map(|hint| format!(" ({hint})"));
        say(clean!(
            "warning: {}:{line}: {written:?} of `exclude` leaves out nothing{}",
            path.display(),
            hint.unwrap_or_default()
        ));
    }
    for group in &run.config().groups {
        warn_of_inputs(path, &run.config().root, group);
    }
    let mut code = exit::SUCCESS;
    let mut broken = 0;
    let known = run.plan.groups.iter().flat_map(|group| {
        let name = group.config.name.as_str();
        group.known.iter().map(move |item| (name, item))
    });
    for (group, item) in known {
        if let Some(Known::Broken(why)) = &item.known {
            broken += 1;
            code = code.max(tell_broken(group, item, why));
        }
    }
    let claims = &run.claims;
    if code == exit::SUCCESS {
        for note in open::in_no_group(&claims.unclaimed(&run.config().root)) {
            say(clean!("note: {note}"));
        }
    }
    for why in &run.empty {
        say(clean!("error: {why}"));
        code = exit::USAGE;
    }
    if let Some(mistakes) = run.mistakes() {
        return Err(CliError::Manifest(LoadError::Problems(mistakes)));
    }
    Ok(Listed {
        tests: run.plan.tests(),
        broken,
        code,
    })
}

/// Warns of patterns of `inputs` that match no file: `--changed` would never run the group because of them.
fn warn_of_inputs(path: &Path, root: &Path, group: &GroupConfig) {
    let line = group
        .provenance
        .iter()
        .find_map(|value| match &value.origin {
            Origin::Manifest { line, .. } if value.key == "inputs" => Some(*line),
            _ => None,
        });
    for pattern in files::without_match(root, &group.inputs) {
        let at = line.map(|line| format!(":{line}")).unwrap_or_default();
        let path = path.display();
        say(clean!(
            "warning: {path}{at}: no file matches \"{pattern}\" of `inputs`"
        ));
    }
}

/// A group that cannot be listed is an error. A test that cannot be is not the manifest's fault.
fn tell_broken(group: &str, item: &Item, why: &str) -> u8 {
    if item.id.is_empty() {
        say(clean!("error: group {group} can't be listed: {why}"));
        return exit::TESTS_FAILED;
    }
    let first = why.lines().next().unwrap_or_default();
    say(clean!(
        "warning: {group}::{} can't be listed: {first}",
        item.id
    ));
    exit::SUCCESS
}
