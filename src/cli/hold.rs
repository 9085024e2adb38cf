//! `orchestrate hold`: see `worker/level/namespace.rs`.

use super::args::HoldArguments;
use super::error::CliError;
use super::exit;

/// Runs a program as the first process of a namespace.
#[cfg(target_os = "linux")]
pub fn hold(arguments: &HoldArguments) -> Result<u8, CliError> {
    let pipe = crate::worker::by_hand::hold(arguments.pipe)?;
    crate::worker::hold(pipe, &arguments.words)
        .map_err(|error| CliError::System(format!("hold: {error}")))?;
    Ok(exit::SUCCESS)
}

/// There are no namespaces here.
#[cfg(not(target_os = "linux"))]
pub fn hold(_: &HoldArguments) -> Result<u8, CliError> {
    Err(CliError::System("namespaces are Linux's".into()))
}
