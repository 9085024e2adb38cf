//! `orchestrate worker`: see [`crate::worker`].

use super::args::WorkerArguments;
use super::error::CliError;
use super::exit;
use crate::worker::supervise;

/// Serves jobs until the lifeline closes.
pub fn worker(arguments: &WorkerArguments) -> Result<u8, CliError> {
    supervise(arguments.output_fd, arguments.run_folder.as_deref())
        .map_err(|error| CliError::System(format!("worker: {error}")))?;
    Ok(exit::SUCCESS)
}
