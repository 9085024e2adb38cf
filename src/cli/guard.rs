//! `orchestrate guard`: see `worker/guard.rs`.

use super::args::GuardArguments;
use super::error::CliError;
use super::exit;

/// Waits for a worker of a session's host.
pub fn guard(arguments: &GuardArguments) -> Result<u8, CliError> {
    let channel = crate::worker::inherited(arguments.channel);
    crate::worker::guard(channel, arguments.worker)
        .map_err(|error| CliError::System(format!("guard: {error}")))?;
    Ok(exit::SUCCESS)
}
