//! `orchestrate run`.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use super::args::RunArguments;
use super::error::CliError;
use super::{environment, exit, open, print, signals};
use crate::execute::{self, Stop};
use crate::manifest::Config;
use crate::manifest::resolve::REPORT_FORMATS;
use crate::plan::full_id;
use crate::report::{Console, Jsonl, Junit, Reporter, Verbosity, stream};
use crate::run::Run;
use crate::suggest::did_you_mean;

/// Runs tests.
pub fn run(arguments: &RunArguments) -> Result<u8, CliError> {
    // Without capture, tests share the terminal: one at a time, or nobody could read it.
    let workers = if arguments.no_capture {
        Some(1)
    } else {
        arguments.workers
    };
    let config = open::config(&arguments.select, workers)?;
    let selection = open::selection(&arguments.select, &config.root)?;
    let targets = targets(arguments, &config)?;
    let mut run = Run::prepare(
        config,
        &arguments.select.groups,
        &selection,
        execute::environment(),
    )?;
    if selection.is_all() && !run.empty.is_empty() {
        for why in &run.empty {
            eprintln!("error: {why}; nothing ran");
        }
        eprintln!(
            "  hint: a group without tests reads as success for ever: mend it, or take it out"
        );
        return Ok(exit::NOTHING_MATCHED);
    }
    run.warnings.append(&mut run.empty);
    if arguments.dry_run {
        return Ok(dry_run(&run));
    }
    if run.plan.tests() == 0 {
        for warning in &run.warnings {
            eprintln!("warning: {warning}");
        }
        eprintln!("error: nothing matched: no test is selected");
        return Ok(exit::NOTHING_MATCHED);
    }
    let stdout_is_taken = targets.iter().any(|(_, path)| path == Path::new("-"));
    let mut reporters: Vec<Box<dyn Reporter>> = vec![Box::new(console(arguments, stdout_is_taken))];
    for (format, path) in targets {
        reporters.push(match format.as_str() {
            "junit" => Box::new(Junit::create(&path).map_err(CliError::Report)?),
            _ => Box::new(Jsonl::create(&path).map_err(CliError::Report)?),
        });
    }
    let stop = Stop::default();
    signals::listen(stop.handle())
        .map_err(|error| CliError::System(format!("can't handle signals: {error}")))?;
    let finished = run.execute(reporters, !arguments.no_capture, &stop);
    for error in &finished.reported.errors {
        let kind = if error.is_advisory {
            "warning"
        } else {
            "error"
        };
        eprintln!("{kind}: {error}");
    }
    Ok(finished.exit())
}

fn console(arguments: &RunArguments, stdout_is_taken: bool) -> Console {
    let colour = if stdout_is_taken {
        environment::colour(&io::stderr())
    } else {
        environment::colour(&io::stdout())
    };
    let terminal = io::stderr().is_terminal() && !arguments.no_capture;
    let verbosity = match (arguments.quiet, arguments.verbose) {
        (true, _) => Verbosity::Quiet,
        (_, true) => Verbosity::Verbose,
        _ => Verbosity::Normal,
    };
    Console::new(stream(stdout_is_taken), colour, terminal, verbosity)
}

/// The reports that were asked for: the command line's, or else the manifest's.
fn targets(arguments: &RunArguments, config: &Config) -> Result<Vec<(String, PathBuf)>, CliError> {
    if arguments.reports.is_empty() {
        let reports = config.run.reports.iter();
        return Ok(reports
            .map(|(format, path)| (format.clone(), config.root.join(path)))
            .collect());
    }
    let mut targets = Vec::new();
    for text in &arguments.reports {
        let (format, path) = text.split_once('=').unwrap_or((text, "-"));
        if !REPORT_FORMATS.contains(&format) {
            let hint = did_you_mean(format, REPORT_FORMATS);
            let hint = hint.unwrap_or_else(|| format!("there are: {}", REPORT_FORMATS.join(", ")));
            return Err(CliError::usage(
                format!("--report {text}: there is no format `{format}`"),
                hint,
            ));
        }
        if path.is_empty() {
            return Err(CliError::usage(
                format!("--report {text}: the path is empty"),
                None,
            ));
        }
        targets.push((format.to_owned(), PathBuf::from(path)));
    }
    if targets
        .iter()
        .filter(|(_, path)| path == Path::new("-"))
        .count()
        > 1
    {
        return Err(CliError::usage(
            "two reports can't share standard output",
            "give one a path".to_owned(),
        ));
    }
    Ok(targets)
}

/// What would run: the jobs of each group, in order.
fn dry_run(run: &Run) -> u8 {
    for warning in &run.warnings {
        eprintln!("warning: {warning}");
    }
    let mut text = String::new();
    for group in &run.plan.groups {
        let name = group.config.name.as_str();
        text.push_str(&format!(
            "group {name}: {} tests, {} jobs, {} workers, runner {}\n",
            group.tests(),
            group.jobs.len(),
            group.workers,
            group.config.runner.name
        ));
        for (index, job) in group.jobs.iter().enumerate() {
            text.push_str(&format!("  job {}\n", index + 1));
            for item in &job.items {
                text.push_str(&format!("    {}\n", full_id(name, &item.id)));
            }
        }
        for item in &group.known {
            text.push_str(&format!(
                "  known before it runs: {}\n",
                full_id(name, &item.id)
            ));
        }
    }
    print(&text);
    if run.plan.tests() == 0 {
        exit::NOTHING_MATCHED
    } else {
        exit::SUCCESS
    }
}
