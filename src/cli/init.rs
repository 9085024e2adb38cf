//! `orchestrate init`.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use super::args::InitArguments;
use super::error::CliError;
use super::{exit, open, print};
use crate::manifest::detect::{SCHEMA_LINE, detect};
use crate::manifest::load::FILE_NAME;
use crate::manifest::schema;

const SCHEMA_NAME: &str = "fastest.schema.json";

/// What is written where nothing is found: every group of it is a comment.
const EMPTY: &str = "# What `orchestrate run` runs. Nothing was found that is known to be a test, so begin with a group:\n\
#\n# [groups.unit]\n# runner = \"exec\"            # each file is a program: 0 = passed, 77 = skipped\n# files = [\"tests/*.sh\"]\n";

/// Writes a manifest for what is found here.
pub fn init(arguments: &InitArguments) -> Result<u8, CliError> {
    let here = open::here()?;
    let detected = detect(&here);
    let text = detected
        .as_ref()
        .map_or(EMPTY, |detected| detected.text.as_str());
    let head = if arguments.no_schema { "" } else { SCHEMA_LINE };
    if arguments.print {
        print(&format!("{head}{text}"));
        return Ok(exit::SUCCESS);
    }
    write_new(&here.join(FILE_NAME), &format!("{head}{text}"))?;
    if !arguments.no_schema && !here.join(SCHEMA_NAME).exists() {
        fs::write(here.join(SCHEMA_NAME), schema::COMMITTED)
            .map_err(|error| cant(SCHEMA_NAME, &error))?;
    }
    let runners = detected.map_or_else(
        || "nothing found".to_owned(),
        |detected| detected.runners.join(", "),
    );
    print(&format!(
        "wrote {FILE_NAME} ({runners}); now run `orchestrate run`\n"
    ));
    Ok(exit::SUCCESS)
}

/// Never over a file that is there.
fn write_new(path: &Path, text: &str) -> Result<(), CliError> {
    let file = File::options().write(true).create_new(true).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => CliError::usage(
                format!("there is a {FILE_NAME} already"),
                "print what would be written with --print".to_owned(),
            ),
            _ => cant(FILE_NAME, &error),
        })
}

fn cant(name: &str, error: &io::Error) -> CliError {
    CliError::System(format!("can't write {name}: {error}"))
}
