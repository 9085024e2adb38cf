//! `orchestrate record`: see [`crate::runner::record`].

use super::args::RecordArguments;
use super::error::CliError;
use super::exit;
use crate::runner::record::{Record, write};
use crate::worker::by_hand;

/// Writes down how it was started.
pub fn record(arguments: &RecordArguments) -> Result<u8, CliError> {
    by_hand::record(&arguments.folder)?;
    let folder = std::env::current_dir().map_err(|error| CliError::System(error.to_string()))?;
    let record = Record {
        words: arguments.words.clone(),
        folder: folder.into(),
        env: std::env::vars_os().collect(),
    };
    write(&arguments.folder, record, arguments.keep)
        .map_err(|error| CliError::System(format!("record: {error}")))?;
    Ok(exit::SUCCESS)
}
