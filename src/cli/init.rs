//! `orchestrate init`.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use super::args::{InitArguments, SelectArguments};
use super::error::CliError;
use super::listing::Listings;
use super::{exit, hand_over, open, print, say};
use crate::execute;
use crate::manifest::Choices;
use crate::manifest::detect::{Detected, DetectedGroup, SCHEMA_LINE, detect};
use crate::manifest::load::{self, FILE_NAME};
use crate::manifest::schema;
use crate::manifest::source::Source;
use crate::plan::{Known, Selection};
use crate::report::one_line;
use crate::run::Run;

const SCHEMA_NAME: &str = "fastest.schema.json";

/// What is written where nothing is found: every group of it is a comment.
const EMPTY: &str = "# What `orchestrate run` runs. Nothing was found that is known to be a test, so begin with a group:\n\
#\n# [groups.unit]\n# runner = \"exec\"            # each file is a program: 0 = passed, 77 = skipped\n# files = [\"tests/*.sh\"]\n";

/// Writes a manifest for what is found here, as far as its tests can be listed.
pub fn init(arguments: &InitArguments) -> Result<u8, CliError> {
    let here = open::here()?;
    let path = here.join(FILE_NAME);
    if !arguments.print && path.exists() {
        return Err(is_there());
    }
    if let Some(above) = here.parent().and_then(load::find) {
        say(clean!(
            "warning: {} will not be used here any more: the nearest {FILE_NAME} is",
            open::relative(&here, &above).display()
        ));
    }
    let mut detected = detect(&here).unwrap_or_default();
    if !arguments.no_list {
        keep_listed(&here, &mut detected)?;
    }
    for why in &detected.left_out {
        say(clean!("left out: {why}"));
    }
    let text = if detected.groups.is_empty() {
        EMPTY.to_owned()
    } else {
        detected.text()
    };
    let head = if arguments.no_schema { "" } else { SCHEMA_LINE };
    if arguments.print {
        hand_over(&format!("{head}{text}"));
        return Ok(exit::SUCCESS);
    }
    write_new(&path, &format!("{head}{text}"))?;
    if !arguments.no_schema && !here.join(SCHEMA_NAME).exists() {
        fs::write(here.join(SCHEMA_NAME), schema::COMMITTED)
            .map_err(|error| cant(SCHEMA_NAME, &error))?;
    }
    print(if detected.groups.is_empty() {
        clean!("wrote {FILE_NAME} (nothing found); add a group to it\n")
    } else {
        let runners = detected.runners();
        clean!("wrote {FILE_NAME} ({runners}); now run `orchestrate run`\n")
    });
    Ok(exit::SUCCESS)
}

/// Takes out the groups whose tests cannot be listed, or that have none, and says what belongs to no group.
fn keep_listed(here: &Path, detected: &mut Detected) -> Result<(), CliError> {
    if detected.groups.is_empty() {
        return Ok(());
    }
    let source = Source {
        path: FILE_NAME.into(),
        text: detected.text(),
    };
    let config = load::load(&source, here.to_owned(), &Choices::default())?;
    let (selection, select, listings) = (
        Selection::default(),
        SelectArguments::default(),
        Listings::new(),
    );
    let mut asked = select.asked(&selection);
    asked.watch = Some(&listings);
    let run = Run::prepare(config, &asked, execute::environment())?;
    let mut left_out = Vec::new();
    detected.groups.retain(|group| match unusable(&run, group) {
        None => true,
        Some(why) => {
            let dir = if group.dir.as_os_str().is_empty() {
                String::new()
            } else {
                format!(" in {}", group.dir.display())
            };
            left_out.push(format!("{}{dir}: {why}", group.runner));
            false
        }
    });
    detected.left_out.extend(left_out);
    let notes = open::in_no_group(&run.claims.without_unlisted().unclaimed(here));
    detected.left_out.extend(notes);
    Ok(())
}

/// Why a group is not worth writing.
fn unusable(run: &Run, group: &DetectedGroup) -> Option<String> {
    let mut planned = run.plan.groups.iter();
    let planned = planned.find(|planned| planned.config.name.as_str() == group.name);
    let Some(planned) = planned.filter(|planned| planned.tests() > 0) else {
        return Some("it has no tests".to_owned());
    };
    planned.known.iter().find_map(|item| match &item.known {
        Some(Known::Broken(why)) if item.id.is_empty() => {
            let first: Vec<&str> = why.lines().take(2).collect();
            Some(format!(
                "its tests can't be listed: {}",
                one_line(&first.join("; "))
            ))
        }
        _ => None,
    })
}

fn is_there() -> CliError {
    CliError::usage(
        format!("there is a {FILE_NAME} already"),
        "print what would be written with --print".to_owned(),
    )
}

/// Never over a file that is there.
fn write_new(path: &Path, text: &str) -> Result<(), CliError> {
    let file = File::options().write(true).create_new(true).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => is_there(),
            _ => cant(FILE_NAME, &error),
        })
}

fn cant(name: &str, error: &io::Error) -> CliError {
    CliError::System(format!("can't write {name}: {error}"))
}
