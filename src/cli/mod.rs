//! The command line: arguments, one file a subcommand, exit codes.
//!
//! The only place that exits, reads the process environment or knows a terminal.

/// Text for a person, cleaned of whatever could steer a terminal, whoever has written its parts.
macro_rules! clean {
    ($($part:tt)*) => {
        $crate::report::Clean::lines(&format!($($part)*))
    };
}

mod args;
mod check;
mod doctor;
mod environment;
mod error;
pub mod exit;
mod explain;
mod guard;
mod history;
mod init;
mod keys;
mod list;
mod listing;
mod merge;
mod open;
mod plan;
mod record;
mod report;
mod run;
mod runners;
mod schema;
mod show;
mod signals;
mod slips;
mod target;
mod worker;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::Parser;

use args::{Arguments, Command};
use error::CliError;

use crate::report::{Clean, escaped_json, one_line};
use crate::worker::keep_from_others;

/// Runs the command line tool.
#[must_use]
pub fn main() -> ExitCode {
    // First, since whatever runs beside us may be hostile.
    keep_from_others();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            match slips::hint(&error) {
                Some(text) => say(Clean::lines(&text)),
                None => {
                    let _ = error.print();
                }
            }
            return ExitCode::from(if error.use_stderr() {
                exit::USAGE
            } else {
                exit::SUCCESS
            });
        }
    };
    let result = match arguments.command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Report(arguments) => report::report(&arguments),
        Command::Merge(arguments) => merge::merge(&arguments),
        Command::History(arguments) => history::history(&arguments),
        Command::Plan(arguments) => plan::plan(&arguments),
        Command::Explain(arguments) => explain::explain(&arguments),
        Command::List(arguments) => list::list(&arguments),
        Command::Check(arguments) => check::check(&arguments),
        Command::Show(arguments) => show::show(&arguments),
        Command::Runners(arguments) => runners::runners(&arguments),
        Command::Schema(arguments) => schema::schema(&arguments),
        Command::Init(arguments) => init::init(&arguments),
        Command::Doctor => Ok(doctor::doctor()),
        Command::Guard(arguments) => guard::guard(&arguments),
        Command::Record(arguments) => record::record(&arguments),
        Command::Worker(arguments) => worker::worker(&arguments),
    };
    ExitCode::from(result.unwrap_or_else(|error: CliError| {
        let text = error.render(environment::colour(&io::stderr()));
        say(Clean::painted(&text));
        error.exit()
    }))
}

/// Prints text for a person; a reader that has gone away, as `head` does, is a normal end.
fn print(text: impl Into<Clean>) {
    hand_over(text.into().as_str());
}

/// Prints what a program reads, as it is.
fn hand_over(text: &str) {
    let _ = io::stdout()
        .write_all(text.as_bytes())
        .and_then(|()| io::stdout().flush());
}

/// A value as a program reads it.
fn json(value: &impl serde::Serialize) -> Result<String, CliError> {
    let text = serde_json::to_string_pretty(value);
    let text = text.map_err(|error| CliError::System(error.to_string()))?;
    // The same to a program; to a terminal it is text and no more.
    Ok(escaped_json(&text) + "\n")
}

/// A name as it is for a program, and as it can't steer the terminal for a person.
fn shown(name: &str) -> String {
    if io::stdout().is_terminal() {
        one_line(name)
    } else {
        name.to_owned()
    }
}

/// Says something to a person; a terminal that has gone away is a normal end too, where `eprintln!` would panic.
fn say(text: impl Into<Clean>) {
    let _ = writeln!(io::stderr(), "{}", text.into());
}
