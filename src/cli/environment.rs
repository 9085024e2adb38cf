//! The variables that `orchestrate` itself reads, each declared once.

use std::env;
use std::io::IsTerminal;

use super::args::WorkerNumber;
use super::error::CliError;
use super::say;
use crate::manifest::model::Factor;
use crate::suggest::did_you_mean;

/// The number of workers, as `-n`.
pub const WORKERS: &str = "FASTEST_WORKERS";
/// What timeouts are multiplied with, as `--timeout-multiplier`.
pub const TIMEOUT_MULTIPLIER: &str = "FASTEST_TIMEOUT_MULTIPLIER";
/// No colours, if it is set and not empty (<https://no-color.org>).
pub const NO_COLOR: &str = "NO_COLOR";
/// Colours even where there is no terminal, if it is set and not 0 (<https://force-color.org>).
pub const FORCE_COLOR: &str = "FORCE_COLOR";
/// The same, in the older form (<https://bixense.com/clicolors/>).
pub const CLICOLOR_FORCE: &str = "CLICOLOR_FORCE";
/// No colours on a terminal, if it is 0.
pub const CLICOLOR: &str = "CLICOLOR";

/// Warns of variables that are called like ours and are not: a slip there would have no effect.
pub fn tell_unknown() {
    let known = [WORKERS, TIMEOUT_MULTIPLIER];
    let names = env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for name in names.filter(|name| name.starts_with("FASTEST_")) {
        if !known.contains(&name.as_str()) {
            let hint = did_you_mean(&name, known)
                .unwrap_or_else(|| format!("there are: {}", known.join(", ")));
            say(clean!(
                "warning: the variable {name} has no meaning here; {hint}"
            ));
        }
    }
}

/// `FASTEST_WORKERS`, if it is set.
pub fn workers() -> Result<Option<WorkerNumber>, CliError> {
    let Some(text) = env::var_os(WORKERS).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let number = text.to_str().and_then(|text| text.trim().parse().ok());
    number.map(Some).ok_or_else(|| CliError::Usage {
        message: format!(
            "{WORKERS} is {}, which is no number of workers",
            text.display()
        ),
        hint: Some("set it to a whole number, to a share such as 50%, to 0 or auto for automatic, or unset it".into()),
    })
}

/// `FASTEST_TIMEOUT_MULTIPLIER`, if it is set.
pub fn timeout_multiplier() -> Result<Option<Factor>, CliError> {
    let Some(text) = env::var_os(TIMEOUT_MULTIPLIER).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let text = text.to_string_lossy();
    text.trim()
        .parse()
        .map(Some)
        .map_err(|why| CliError::Usage {
            message: format!("{TIMEOUT_MULTIPLIER} is {text}: {why}"),
            hint: Some("set it to a number such as 2, or unset it".into()),
        })
}

/// Whether a stream is written in colours.
pub fn colour(stream: &impl IsTerminal) -> bool {
    let is_set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_zero = |name: &str| env::var_os(name).is_some_and(|value| value == "0");
    if is_set(NO_COLOR) {
        return false;
    }
    for forced in [FORCE_COLOR, CLICOLOR_FORCE] {
        // `CLICOLOR_FORCE=0` only says that nothing is forced.
        if is_set(forced) && (forced == FORCE_COLOR || !is_zero(forced)) {
            return !is_zero(forced);
        }
    }
    stream.is_terminal()
        && !is_zero(CLICOLOR)
        && env::var_os("TERM").is_none_or(|term| term != "dumb")
}
