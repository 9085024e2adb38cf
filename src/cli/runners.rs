//! `orchestrate runners`.

use super::args::RunnersArguments;
use super::error::CliError;
use super::{exit, hand_over, print};
use crate::runner::preset;
use crate::suggest::did_you_mean;

/// Prints the built-in runners by name, or one of them as a table that a manifest can hold.
pub fn runners(arguments: &RunnersArguments) -> Result<u8, CliError> {
    let Some(name) = &arguments.name else {
        for name in preset::names() {
            let description = preset::find(name).and_then(|runner| runner.description);
            print(clean!("{name:10} {}\n", description.unwrap_or_default()));
        }
        return Ok(exit::SUCCESS);
    };
    let table = preset::table(name).ok_or_else(|| {
        let names: Vec<_> = preset::names().collect();
        let hint = did_you_mean(name, names.iter().copied());
        let hint = hint.unwrap_or_else(|| format!("there are: {}", names.join(", ")));
        CliError::usage(format!("there is no built-in runner `{name}`"), hint)
    })?;
    hand_over(&table);
    Ok(exit::SUCCESS)
}
