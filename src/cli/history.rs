//! `orchestrate history`.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Cursor, Read, Write};
use std::path::Path;

use super::args::{HistoryArguments, HistoryCommand};
use super::error::CliError;
use super::{exit, open, print, say};
use crate::history::{self, DatabaseError, ExchangeError, Known};
use crate::manifest::model::Size;
use crate::report::{Clean, one_line};
use crate::suggest::did_you_mean;

/// Shows what is known of tests, and carries it to other places.
pub fn history(arguments: &HistoryArguments) -> Result<u8, CliError> {
    let folder = open::kept()?;
    let path = folder.database();
    if !folder.has_own(history::Kept::History) {
        let why = folder.warning().unwrap_or_default();
        return Err(CliError::System(why));
    }
    match &arguments.command {
        HistoryCommand::Show { tests } => show(&path, tests)?,
        HistoryCommand::Slowest { number } => slowest(&path, *number)?,
        HistoryCommand::Flaky => flaky(&path)?,
        HistoryCommand::Export { to, run } => {
            // The last run may have measured nothing, as a shard without tests: what was imported before is not its own.
            let last = run.as_deref() == Some("last");
            let kept = last.then(|| folder.kept().into_iter().next()).flatten();
            let run = kept.as_deref().or(run.as_deref());
            export(&path, to.as_deref(), run)?;
        }
        HistoryCommand::Import { files } => import(&path, files)?,
        HistoryCommand::Prune { keep, runs } => {
            let gone = history::prune(&path, *keep as usize, *runs as usize);
            let (results, tests) = gone.map_err(|error| unusable(&path, &error))?;
            print(clean!(
                "{results} old results are forgotten, and {tests} tests that did not run for long\n"
            ));
        }
    }
    Ok(exit::SUCCESS)
}

fn unusable(path: &Path, error: &DatabaseError) -> CliError {
    CliError::System(format!("can't use the history {}: {error}", path.display()))
}

fn all(path: &Path) -> Result<Vec<Known>, CliError> {
    history::look(path).map_err(|error| unusable(path, &error))
}

/// The tests whose ids hold one of these parts; all if there is none.
fn show(path: &Path, parts: &[String]) -> Result<(), CliError> {
    let known = all(path)?;
    for part in parts {
        if !known.iter().any(|test| test.id.contains(part.as_str())) {
            let ids = known.iter().map(|test| test.id.as_str());
            return Err(CliError::usage(
                format!("nothing is known of a test called {part:?}"),
                did_you_mean(part, ids),
            ));
        }
    }
    let asked = known.iter().filter(|test| {
        parts.is_empty() || parts.iter().any(|part| test.id.contains(part.as_str()))
    });
    let mut text = String::new();
    for test in asked {
        text.push_str(&format!(
            "{}  estimate {:.3}s\n",
            one_line(&test.id),
            test.estimate.duration.as_secs_f64()
        ));
        for one in &test.tries {
            let commit = one.commit.as_deref().unwrap_or("");
            text.push_str(&format!(
                "  {:<28} {:<9} {:>9.3}s  cpu {:>8.3}s  memory {:>9}  try {}  among {:.1} jobs  {}\n",
                one_line(&one.run),
                one_line(&one.outcome),
                one.seconds,
                one.cpu,
                Size(one.memory).to_string(),
                one.attempt,
                one.workers,
                one_line(&commit.chars().take(12).collect::<String>()),
            ));
        }
    }
    print(Clean::lines(&text));
    Ok(())
}

fn slowest(path: &Path, number: u32) -> Result<(), CliError> {
    let mut known = all(path)?;
    known.sort_by_key(|test| std::cmp::Reverse(test.estimate.duration));
    let mut text = String::new();
    for test in known.iter().take(number as usize) {
        let seconds = test.estimate.duration.as_secs_f64();
        text.push_str(&format!("{seconds:9.3}s  {}\n", one_line(&test.id)));
    }
    print(Clean::lines(&text));
    Ok(())
}

fn flaky(path: &Path) -> Result<(), CliError> {
    let mut flaky: Vec<_> = all(path)?
        .into_iter()
        .filter_map(|test| Some((test.flakes()?, test.id)))
        .collect();
    flaky.sort_by(|a, b| b.0.0.cmp(&a.0.0).then_with(|| a.1.cmp(&b.1)));
    let mut text = String::new();
    for ((flakes, runs), id) in &flaky {
        text.push_str(&format!("{flakes} of {runs} runs  {}\n", one_line(id)));
    }
    print(Clean::lines(&text));
    Ok(())
}

fn exchange(path: &Path, error: ExchangeError) -> CliError {
    match error {
        ExchangeError::Database(error) => unusable(path, &error),
        error => CliError::System(error.to_string()),
    }
}

fn export(path: &Path, to: Option<&Path>, run: Option<&str>) -> Result<(), CliError> {
    let to = to.filter(|to| to.as_os_str() != "-");
    let Some(to) = to else {
        let mut out = BufWriter::new(io::stdout().lock());
        let done = history::export(path, run, &mut out);
        // A reader that has gone away, as `head` does, is a normal end.
        return match done.and_then(|_| Ok(out.flush()?)) {
            Err(ExchangeError::File(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            done => done.map_err(|error| exchange(path, error)),
        };
    };
    let cant =
        |error: io::Error| CliError::System(format!("can't write {}: {error}", to.display()));
    let mut out = BufWriter::new(File::create(to).map_err(cant)?);
    let lines = match history::export(path, run, &mut out) {
        Err(ExchangeError::File(error)) => return Err(cant(error)),
        lines => lines.map_err(|error| exchange(path, error))?,
    };
    out.flush().map_err(cant)?;
    say(clean!("{lines} lines are written to {}", to.display()));
    Ok(())
}

/// How much is read of what is no regular file.
const MOST_OF_A_PIPE: u64 = 64 << 20;

fn import(path: &Path, files: &[std::path::PathBuf]) -> Result<(), CliError> {
    for file in files {
        let cant = |error: &dyn std::fmt::Display| {
            CliError::System(format!("can't import {}: {error}", file.display()))
        };
        let imported = File::open(file).map_err(ExchangeError::File);
        let imported = imported.and_then(|from| {
            // Lines are read twice, which a pipe can't be.
            if from.metadata()?.is_file() {
                return history::import(path, &mut BufReader::new(from));
            }
            let mut text = Vec::new();
            from.take(MOST_OF_A_PIPE + 1).read_to_end(&mut text)?;
            if text.len() as u64 > MOST_OF_A_PIPE {
                let why =
                    "it is no regular file, and has more than 64 MiB: write it to a file first";
                return Err(ExchangeError::File(io::Error::other(why)));
            }
            history::import(path, &mut Cursor::new(text))
        });
        let new = match imported {
            Err(ExchangeError::Database(error)) => return Err(unusable(path, &error)),
            new => new.map_err(|error| cant(&error))?,
        };
        say(clean!("{}: {new} lines were new", file.display()));
    }
    Ok(())
}
