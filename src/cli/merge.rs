//! `orchestrate merge`.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use super::args::MergeArguments;
use super::error::CliError;
use super::report::{choose, tell_unreadable, voice, why_open};
use super::{open, say, target};
use crate::history::{JOURNAL, Journal};
use crate::report::{Gaps, Source};

/// A run's events, before they are read.
struct Found {
    /// What a person calls it.
    name: String,
    path: PathBuf,
    /// Whether it is a run that is kept here: then nobody has named its file.
    is_kept: bool,
    /// Why a test has no result, if one has none.
    why: &'static str,
}

/// Tells of several runs as of one. The exit code is the worst of theirs; where they are no whole, or one of them is not,
/// that of failed infrastructure.
pub fn merge(arguments: &MergeArguments) -> Result<u8, CliError> {
    let targets = target::parse(&arguments.tell.reports)?;
    let mut found = Vec::new();
    let mut journals = Vec::new();
    for written in &arguments.runs {
        let one = find(written)?;
        let opened = if one.is_kept {
            Journal::open(&one.path)
        } else {
            Journal::open_named(&one.path)
        };
        let journal = opened.map_err(|error| {
            let path = one.path.display();
            CliError::System(format!("can't read the events of {path}: {error}"))
        })?;
        found.push(one);
        journals.push(journal);
    }
    let reporters = target::reporters(&targets, &voice(&arguments.tell), &open::root()?)?;
    let sources = found.iter().zip(&mut journals);
    let sources = sources.filter_map(source).collect();
    let merged = crate::report::merge(sources, reporters);
    for (one, journal) in found.iter().zip(&journals) {
        tell_unreadable(journal.unreadable, &one.name);
    }
    target::tell_errors(&merged.reported);
    tell(&merged.gaps);
    Ok(merged.reported.exit_with_reports())
}

/// A journal that could be opened has a beginning.
fn source<'a>((one, journal): (&Found, &'a mut Journal<BufReader<File>>)) -> Option<Source<'a>> {
    Source::begin(one.name.clone(), journal, one.why)
}

/// A folder, a file, or else the id of a run that is kept.
fn find(written: &Path) -> Result<Found, CliError> {
    let name = written.display().to_string();
    let why = "its result is not in there";
    if written.is_dir() {
        let path = written.join(JOURNAL);
        if !path.exists() {
            return Err(CliError::usage(
                format!("{name} is no run's folder: there is no {JOURNAL} in it"),
                "name a folder in .fastest/runs, or a file that `--report jsonl=FILE` wrote"
                    .to_owned(),
            ));
        }
        return Ok(Found {
            name,
            path,
            is_kept: false,
            why,
        });
    }
    if written.exists() {
        let path = written.to_owned();
        return Ok(Found {
            name,
            path,
            is_kept: false,
            why,
        });
    }
    let unknown = || {
        CliError::usage(
            format!("there is no file or folder {name}, and no run of that id is kept here"),
            "name a run's folder, a file that `--report jsonl=FILE` wrote, or the id of a run that is kept"
                .to_owned(),
        )
    };
    let folder = open::kept().map_err(|_| unknown())?;
    let kept = folder.kept();
    if kept.is_empty() || name.contains('/') {
        return Err(unknown());
    }
    let id = choose(&kept, Some(&name))?;
    let run = folder.run(&id);
    Ok(Found {
        name: id,
        path: run.journal(),
        is_kept: true,
        why: why_open(&run),
    })
}

/// Says, last of all, what keeps the runs from being a whole.
fn tell(gaps: &Gaps) {
    if gaps.is_empty() {
        return;
    }
    say(clean!("error: {gaps}"));
    for cause in &gaps.causes {
        say(clean!("  hint: {cause}"));
    }
}
