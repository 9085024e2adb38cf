//! `orchestrate check`.

use std::io::{self, Write};
use std::path::Path;

use super::args::CheckArguments;
use super::error::CliError;
use super::{environment, exit, open, print, say};
use crate::manifest::load::{self, FILE_NAME};
use crate::report::harmless;

/// Checks manifests, each with every profile that it has.
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
        let root = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        match load::read(path).and_then(|source| load::check(&source, root)) {
            Ok(config) => {
                for warning in &config.warnings {
                    say(&format!(
                        "warning: {}: {}",
                        path.display(),
                        harmless(warning)
                    ));
                }
                print(&format!(
                    "{}: {}, no problems\n",
                    path.display(),
                    match config.groups.len() {
                        1 => "1 group".to_owned(),
                        many => format!("{many} groups"),
                    }
                ));
            }
            Err(error) => {
                let text = CliError::from(error).render(environment::colour(&io::stderr()));
                let _ = writeln!(io::stderr(), "{text}");
                code = exit::USAGE;
            }
        }
    }
    Ok(code)
}
