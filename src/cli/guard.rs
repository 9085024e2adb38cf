//! `orchestrate guard`: see `worker/guard.rs`.

use super::args::GuardArguments;
use super::error::CliError;
use super::exit;
use crate::worker::{self, by_hand};

/// Waits for a worker of a session's host.
pub fn guard(arguments: &GuardArguments) -> Result<u8, CliError> {
    let place = by_hand::guard(arguments.channel, arguments.worker)?;
    worker::guard(place).map_err(|error| CliError::System(format!("guard: {error}")))?;
    Ok(exit::SUCCESS)
}
