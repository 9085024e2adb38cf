//! `orchestrate run`.

use std::path::{Path, PathBuf};

use super::args::{RunArguments, WorkerNumber};
use super::error::CliError;
use super::listing::Listings;
use super::target::{self, Target, Voice};
use super::{environment, exit, keys, open, print, say, shown, signals};
use crate::execute::{self, Repeat, Stop};
use crate::manifest::Config;
use crate::manifest::LoadError;
use crate::manifest::config::Session;
use crate::manifest::model::MaxFail;
use crate::plan::{Selection, full_id};
use crate::report::Clean;
use crate::run::{How, Run};
use crate::worker::frame::{Level, Network};

/// Runs tests.
pub fn run(arguments: &RunArguments) -> Result<u8, CliError> {
    // Without capture, tests share the terminal: one at a time, or nobody could read it.
    let mut schedule = arguments.schedule;
    if arguments.no_capture {
        schedule.workers = Some(WorkerNumber::Number(1));
    }
    let mut config = open::config(
        &arguments.select,
        &open::Wishes {
            schedule,
            timeout_multiplier: arguments.timeout_multiplier,
        },
    )?;
    if arguments.no_capture {
        share_the_terminal(&mut config);
    }
    if arguments.fail_fast {
        config.run.max_fail = Some(MaxFail::FIRST);
    } else if arguments.max_fail.is_some() {
        config.run.max_fail = arguments.max_fail;
    }
    environment::tell_unknown();
    let selection = open::selection(&arguments.select, &config.root)?;
    let targets = targets(arguments, &config)?;
    let root = config.root.clone();
    let listings = Listings::new();
    let here = open::here()?;
    let files = targets.iter().map(|target| here.join(&target.path));
    let files: Vec<PathBuf> = files.collect();
    let mut asked = arguments.select.asked(&selection);
    asked.reports = &files;
    if !arguments.quiet {
        asked.watch = Some(&listings);
    }
    let mut run = Run::prepare(config, &asked, execute::environment())?;
    // What was only detected need not be there.
    let is_written = run.config().manifest.is_some() || run.is_nothing();
    // Who names paths or ids may mean other groups.
    if selection.selectors.is_empty() && is_written && !run.empty.is_empty() {
        for why in &run.empty {
            say(clean!("error: {why}; nothing ran"));
        }
        say("  hint: a group without tests reads as success for ever: mend it, or take it out");
        return Ok(exit::NOTHING_MATCHED);
    }
    // Before what a listing that could not run makes of the manifest.
    levels_work(&run)?;
    if let Some(mistakes) = run.mistakes() {
        return Err(CliError::Manifest(LoadError::Problems(mistakes)));
    }
    open::tell_notes(&run);
    run.warnings.append(&mut run.empty);
    if arguments.dry_run {
        return Ok(dry_run(&run, &selection));
    }
    if run.is_nothing() {
        for warning in &run.warnings {
            say(clean!("warning: {warning}"));
        }
        say(Clean::lines(&open::nothing(&selection, &run)));
        return Ok(exit::NOTHING_MATCHED);
    }
    if arguments.verbose {
        if let Some(why) = &run.plan.why {
            say(clean!("workers: {} of {why}", run.plan.workers));
        }
        if run.plan.seed > 0 {
            say(clean!("random order: --seed {} repeats it", run.plan.seed));
        }
    }
    let console = Voice {
        verbose: arguments.verbose,
        quiet: arguments.quiet,
        progress: !arguments.no_capture,
    };
    let reporters = target::reporters(&targets, &console, &root)?;
    let stop = Stop::default();
    signals::listen(stop.handle())
        .map_err(|error| CliError::System(format!("can't handle signals: {error}")))?;
    let listening = (!arguments.no_capture).then(|| keys::listen(stop.handle()));
    let how = How {
        capture: !arguments.no_capture,
        repeat: repeat(arguments),
    };
    let is_full = arguments.select.groups.is_empty()
        && selection.is_all()
        && selection.exclude.is_empty()
        && !arguments.quiet;
    let claims = std::mem::take(&mut run.claims);
    let finished = run.execute(reporters, how, &stop);
    drop(listening);
    target::tell_errors(&finished.reported);
    if is_full {
        for note in open::in_no_group(&claims.unclaimed(&root)) {
            say(clean!("note: {note}"));
        }
    }
    Ok(finished.exit())
}

/// How often each test runs: until one fails without an end, unless there is a number.
fn repeat(arguments: &RunArguments) -> Repeat {
    let once = (!arguments.until_fail).then_some(1);
    Repeat {
        rounds: arguments.repeat.or(once),
        until_fail: arguments.until_fail,
    }
}

/// What a fork writes goes where its host's goes, so each job is a process of its own.
fn share_the_terminal(config: &mut Config) {
    for group in config
        .groups
        .iter_mut()
        .filter(|group| group.session.is_warm())
    {
        group.session = Session::Cold("output is not captured".to_owned());
    }
}

/// The reports that were asked for: the command line's, and those of the manifest and its profile. What both ask for is written
/// once.
fn targets(arguments: &RunArguments, config: &Config) -> Result<Vec<Target>, CliError> {
    let mut targets = target::parse(&arguments.reports)?;
    let here = open::here()?;
    for (format, path) in &config.run.reports {
        let target = Target {
            format: format.clone(),
            path: config.root.join(path),
        };
        let mut others = targets.iter();
        match others
            .find(|other| other.path != Path::new("-") && here.join(&other.path) == target.path)
        {
            Some(other) if other.format == target.format => {}
            Some(other) => {
                return Err(CliError::usage(
                    format!(
                        "--report {}={}: the manifest writes its {format} report there",
                        other.format,
                        other.path.display()
                    ),
                    "give one of them a path of its own".to_owned(),
                ));
            }
            None => targets.push(target),
        }
    }
    Ok(targets)
}

/// A level of isolation or a network that does not work here is told once, and not by every test.
fn levels_work(run: &Run) -> Result<(), CliError> {
    let groups = run.plan.groups.iter().map(|group| &group.config);
    let mut asked: Vec<_> = groups
        .map(|group| (group.bounds.level, group.bounds.network, &group.name))
        .filter(|(level, network, _)| (*level, *network) != Default::default())
        .collect();
    asked.sort();
    asked.dedup_by_key(|(level, network, _)| (*level, *network));
    for (level, network, name) in asked {
        let has_network = network != Network::Host;
        let network_alone = || execute::probe(Level::default(), network).err();
        let why = has_network.then(network_alone).flatten();
        let why = why.map(|why| ("network", why)).or_else(|| {
            let why = execute::probe(level, network).err();
            why.map(|why| ("isolation-level", why))
        });
        if let Some((key, why)) = why {
            return Err(CliError::System(format!(
                "the {key} of group {name} does not work here: {why}; `orchestrate doctor` says which do"
            )));
        }
    }
    Ok(())
}

/// What would run: the jobs of each group, in order.
fn dry_run(run: &Run, selection: &Selection) -> u8 {
    for warning in &run.warnings {
        say(clean!("warning: {warning}"));
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
                text.push_str(&format!("    {}\n", shown(&full_id(name, &item.id))));
            }
        }
        for item in &group.known {
            text.push_str(&format!(
                "  known before it runs: {}\n",
                shown(&full_id(name, &item.id))
            ));
        }
    }
    print(Clean::lines(&text));
    open::looked_at(run, selection)
}
