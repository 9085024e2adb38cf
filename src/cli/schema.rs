//! `orchestrate schema`.

use super::args::SchemaArguments;
use super::error::CliError;
use super::{exit, hand_over};
use crate::manifest::schema;

/// Prints a schema.
#[expect(
    clippy::unnecessary_wraps,
    reason = "every subcommand has the same form"
)]
pub fn schema(arguments: &SchemaArguments) -> Result<u8, CliError> {
    hand_over(if arguments.events {
        crate::event::SCHEMA
    } else {
        schema::COMMITTED
    });
    Ok(exit::SUCCESS)
}
