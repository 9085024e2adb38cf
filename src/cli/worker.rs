//! `orchestrate worker`: see [`crate::worker`].

use super::args::WorkerArguments;
use super::error::CliError;
use super::exit;
use crate::runner::check_support;
use crate::worker::{by_hand, supervise};

/// Serves jobs until the lifeline closes.
pub fn worker(arguments: &WorkerArguments) -> Result<u8, CliError> {
    let run_folder = arguments.run_folder.as_deref();
    let through = by_hand::worker(arguments.output_fd, run_folder)?;
    supervise(through, run_folder, check_support)
        .map_err(|error| CliError::System(format!("worker: {error}")))?;
    Ok(exit::SUCCESS)
}
