//! `orchestrate worker`: see [`crate::worker`].

use super::args::WorkerArguments;
use super::error::CliError;
use crate::runner::check_support;
use crate::worker::{Launch, by_hand, supervise};

/// Serves jobs until the lifeline closes.
pub fn worker(arguments: &WorkerArguments) -> Result<u8, CliError> {
    let run_folder = arguments.run_folder.as_deref();
    let launch = Launch {
        through: by_hand::worker(arguments.output_fd, run_folder)?,
        run_folder,
        is_confined: arguments.confined,
        check_support,
    };
    supervise(&launch).map_err(|error| CliError::System(format!("worker: {error}")))
}
