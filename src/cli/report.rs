//! `orchestrate report`.

use std::fs::File;
use std::io::BufReader;

use super::args::{ReportArguments, TellArguments};
use super::error::CliError;
use super::target::{self, Voice};
use super::{open, say};
use crate::history::{Fate, Journal, RunFolder};
use crate::report::{one_line, replay};
use crate::suggest::did_you_mean;

/// How many runs are named where none was found.
const MOST_NAMED: usize = 5;

/// Tells of a kept run from its journal, whether that is whole or not. The exit code is the run's; where it was
/// interrupted, that of failed infrastructure.
pub fn report(arguments: &ReportArguments) -> Result<u8, CliError> {
    let targets = target::parse(&arguments.tell.reports)?;
    let (id, run) = kept(arguments.id.as_deref())?;
    let why = why_open(&run);
    let mut journal = journal(&id, &run)?;
    let reporters = target::reporters(&targets, &voice(&arguments.tell), &open::root()?)?;
    let reported = replay(&mut journal, reporters, why);
    tell_unreadable(journal.unreadable, "the journal");
    target::tell_errors(&reported);
    Ok(reported.exit_with_reports())
}

/// The run that is meant of those that are kept, and its id.
pub fn kept(asked: Option<&str>) -> Result<(String, RunFolder), CliError> {
    let folder = open::kept()?;
    let id = choose(&folder.kept(), asked)?;
    let run = folder.run(&id);
    Ok((id, run))
}

/// What a kept run has written down.
pub fn journal(id: &str, run: &RunFolder) -> Result<Journal<BufReader<File>>, CliError> {
    Journal::open(&run.journal())
        .map_err(|error| CliError::System(format!("can't read the journal of run {id}: {error}")))
}

/// How a run that is over is told of.
pub fn voice(arguments: &TellArguments) -> Voice {
    Voice {
        verbose: arguments.verbose,
        quiet: arguments.quiet,
        progress: false,
    }
}

/// Why a test of a run has no result, if one has none.
pub fn why_open(run: &RunFolder) -> &'static str {
    match run.fate() {
        Fate::Running => "the run is not over yet",
        Fate::Interrupted => "the run was interrupted",
        Fate::Ended => "its result is not in the journal",
    }
}

/// Says how many lines of a journal were none.
pub fn tell_unreadable(lines: usize, journal: &str) {
    let journal = one_line(journal);
    match lines {
        0 => {}
        1 => say(clean!("warning: a line of {journal} can't be read")),
        many => say(clean!("warning: {many} lines of {journal} can't be read")),
    }
}

/// The run that is meant.
pub fn choose(kept: &[String], asked: Option<&str>) -> Result<String, CliError> {
    let Some(last) = kept.first() else {
        return Err(CliError::usage(
            "no run is kept here",
            "`orchestrate run` makes one".to_owned(),
        ));
    };
    let Some(asked) = asked else {
        return Ok(last.clone());
    };
    let name_some = |ids: &[&str]| {
        let more = if ids.len() > MOST_NAMED { ", …" } else { "" };
        let named = &ids[..ids.len().min(MOST_NAMED)];
        format!("there are: {}{more}", named.join(", "))
    };
    let all: Vec<&str> = kept.iter().map(String::as_str).collect();
    if all.contains(&asked) {
        return Ok(asked.to_owned());
    }
    let mut like = all.clone();
    like.retain(|id| id.starts_with(asked));
    match like.as_slice() {
        [one] => Ok((*one).to_owned()),
        [] => {
            let hint = did_you_mean(asked, all.iter().copied()).unwrap_or_else(|| name_some(&all));
            Err(CliError::usage(format!("no run is called {asked:?}"), hint))
        }
        many => Err(CliError::usage(
            format!("{} runs begin with {asked:?}", many.len()),
            name_some(many),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_may_be_short_as_long_as_it_is_one_run() {
        let kept = [
            "20260102-030405.678-9",
            "20260101-000000.000-77",
            "20260101-000000.000-7",
        ]
        .map(str::to_owned);
        let chosen = |asked| choose(&kept, asked).map_err(|error| error.render(false));
        assert_eq!(chosen(None).unwrap(), kept[0]);
        assert_eq!(chosen(Some("20260102")).unwrap(), kept[0]);
        assert_eq!(chosen(Some("20260101-000000.000-7")).unwrap(), kept[2]);
        let error = chosen(Some("20260101")).unwrap_err();
        assert!(error.contains("2 runs begin with \"20260101\""), "{error}");
        let error = chosen(Some("20260101-000000.000-8")).unwrap_err();
        assert!(
            error.contains("did you mean `20260101-000000.000-7"),
            "{error}"
        );
        let error = chosen(Some("x")).unwrap_err();
        assert!(
            error.contains("there are: 20260102-030405.678-9, "),
            "{error}"
        );
        assert!(choose(&[], None).is_err());
    }
}
