//! `orchestrate plan`.

use serde::Serialize;

use super::args::{PlanArguments, PlanForm};
use super::error::CliError;
use super::listing::Listings;
use super::{hand_over, json, open, print, shown};
use crate::execute;
use crate::manifest::config::GroupName;
use crate::plan::forecast::{Bound, Forecast, Outlook};
use crate::plan::{PlannedJob, full_id};
use crate::report::{Clean, count};
use crate::run::Run;
use crate::schedule::JobSpec;

/// The numbers of workers whose prospects are told.
const OUTLOOK: [usize; 4] = [2, 4, 8, 16];

/// A plan, as a program reads it. Times are in seconds.
#[derive(Serialize)]
struct Told<'a> {
    workers: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
    cores: usize,
    seed: u64,
    tests: usize,
    measured: usize,
    predicted: f64,
    bound: ToldBound<'a>,
    groups: Vec<ToldGroup<'a>>,
    outlook: Vec<ToldOutlook<'a>>,
}

#[derive(Serialize)]
struct ToldBound<'a> {
    seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    longest: Option<&'a str>,
}

#[derive(Serialize)]
struct ToldGroup<'a> {
    name: &'a str,
    tests: usize,
    measured: usize,
    workers: usize,
    order: &'a str,
    needs: Vec<&'a str>,
    starts: f64,
    ends: f64,
    bound: ToldBound<'a>,
    /// What starting a chunk is thought to cost.
    start: f64,
    jobs: Vec<ToldJob>,
    known: Vec<String>,
}

#[derive(Serialize)]
struct ToldJob {
    at: f64,
    slot: usize,
    predicted: f64,
    tests: Vec<String>,
    #[serde(skip_serializing_if = "JobSpec::is_plain")]
    claims: JobSpec,
}

#[derive(Serialize)]
struct ToldOutlook<'a> {
    workers: usize,
    predicted: f64,
    bound: ToldBound<'a>,
}

impl<'a> From<&'a Bound> for ToldBound<'a> {
    fn from(bound: &'a Bound) -> Self {
        Self {
            seconds: bound.seconds,
            longest: bound.longest.as_deref(),
        }
    }
}

/// Lists and plans as `run` would, and says what is predicted of it; nothing but listing commands runs.
pub fn plan(arguments: &PlanArguments) -> Result<u8, CliError> {
    let wishes = open::Wishes {
        schedule: arguments.schedule,
        ..open::Wishes::default()
    };
    let config = open::config(&arguments.select, &wishes)?;
    let selection = open::selection(&arguments.select, &config.root)?;
    let mut asked = arguments.select.asked(&selection);
    asked.outlook = &OUTLOOK;
    let listings = Listings::new();
    asked.watch = Some(&listings);
    let run = Run::prepare(config, &asked, execute::environment())?;
    open::tell(&run);
    let forecast = Forecast::of(&run.plan);
    let told = told(&run, &forecast);
    match arguments.format {
        PlanForm::Human => print(Clean::lines(&human(&told))),
        PlanForm::Json => hand_over(&json(&told)?),
    }
    Ok(open::looked_at(&run, &selection))
}

fn told<'a>(run: &'a Run, forecast: &'a Forecast) -> Told<'a> {
    let plan = &run.plan;
    let groups = plan.groups.iter().zip(&forecast.groups);
    let groups = groups.map(|(group, forecast)| {
        let name = group.config.name.as_str();
        let job = |(job, (at, slot)): (&PlannedJob, &(f64, usize))| ToldJob {
            at: *at,
            slot: *slot,
            predicted: job.seconds,
            tests: job
                .items
                .iter()
                .map(|item| full_id(name, &item.id))
                .collect(),
            claims: crate::plan::spec(&job.settings, 0, job.memory),
        };
        ToldGroup {
            name,
            tests: group.tests(),
            measured: group.measured,
            workers: group.workers,
            order: group.config.order.word(),
            needs: group.config.needs.iter().map(GroupName::as_str).collect(),
            starts: forecast.starts,
            ends: forecast.ends,
            bound: (&forecast.bound).into(),
            start: group.load.start,
            jobs: group.jobs.iter().zip(&forecast.jobs).map(job).collect(),
            known: group
                .known
                .iter()
                .map(|item| full_id(name, &item.id))
                .collect(),
        }
    });
    let outlook = run.outlook.iter().map(|outlook: &Outlook| ToldOutlook {
        workers: outlook.workers,
        predicted: outlook.seconds,
        bound: (&outlook.bound).into(),
    });
    Told {
        workers: plan.workers,
        why: plan.why.as_deref(),
        cores: crate::machine::cores(),
        seed: plan.seed,
        tests: plan.tests(),
        measured: plan.groups.iter().map(|group| group.measured).sum(),
        predicted: forecast.seconds,
        bound: (&forecast.bound).into(),
        groups: groups.collect(),
        outlook: outlook.collect(),
    }
}

fn human(told: &Told<'_>) -> String {
    let mut text = String::new();
    let mut line = |line: String| {
        text.push_str(&line);
        text.push('\n');
    };
    let jobs: usize = told.groups.iter().map(|group| group.jobs.len()).sum();
    line(format!(
        "{} in {} on {}: {:.2} s predicted, {} at least",
        count(told.tests, "test"),
        count(jobs, "job"),
        count(told.workers, "worker"),
        told.predicted,
        bound(&told.bound)
    ));
    if let Some(why) = told.why {
        line(format!("workers: {} of {why}", told.workers));
    }
    let planned = told.groups.iter().flat_map(|group| &group.jobs);
    let planned: usize = planned.map(|job| job.tests.len()).sum();
    if told.measured < planned {
        line(format!(
            "{} of {} never ran: what they take is a guess",
            planned - told.measured,
            count(planned, "test")
        ));
    }
    if told.seed > 0 {
        line(format!("random order: --seed {} repeats it", told.seed));
    }
    for group in &told.groups {
        let needs = match group.needs.as_slice() {
            [] => String::new(),
            needs => format!(", after {}", needs.join(", ")),
        };
        line(format!(
            "\ngroup {}: {} in {} on {}{needs}: {:.2} to {:.2} s, {} at least",
            group.name,
            count(group.tests, "test"),
            count(group.jobs.len(), "job"),
            count(group.workers, "worker"),
            group.starts,
            group.ends,
            bound(&group.bound)
        ));
        if !group.jobs.is_empty() {
            line("      at  seconds  slot  chunk".to_owned());
        }
        for job in &group.jobs {
            line(format!(
                "{:8.2} {:8.2} {:5}  {}{}",
                job.at,
                job.predicted,
                job.slot,
                chunk(&job.tests),
                claims(&job.claims)
            ));
        }
        for id in &group.known {
            line(format!("  known before it runs: {}", shown(id)));
        }
    }
    line("\nworkers  predicted  at least".to_owned());
    for outlook in &told.outlook {
        line(format!(
            "{:7} {:8.2} s  {}",
            outlook.workers,
            outlook.predicted,
            bound(&outlook.bound)
        ));
    }
    if told
        .outlook
        .iter()
        .any(|outlook| outlook.workers > told.cores)
    {
        line(format!(
            "Here are {}: with more workers only tests that wait gain.",
            count(told.cores, "processor")
        ));
    }
    text
}

fn bound(bound: &ToldBound<'_>) -> String {
    match bound.longest {
        Some(id) => format!("{:.2} s ({})", bound.seconds, shown(id)),
        None => format!("{:.2} s", bound.seconds),
    }
}

/// A chunk by its first test.
fn chunk(tests: &[String]) -> String {
    let first = shown(tests.first().map_or("", String::as_str));
    match tests.len() {
        0 | 1 => first,
        many => format!("{first} and {} more", many - 1),
    }
}

/// What a job claims, in the words of the manifest.
fn claims(claims: &JobSpec) -> String {
    let mut words = Vec::new();
    if claims.exclusive {
        words.push("exclusive".to_owned());
    }
    if claims.serial {
        words.push("serial".to_owned());
    }
    match claims.slots {
        0 | 1 => {}
        usize::MAX => words.push("all slots".to_owned()),
        slots => words.push(format!("{slots} slots")),
    }
    words.extend(
        claims
            .locks
            .iter()
            .map(|lock| format!("lock {}", lock.name)),
    );
    words.extend(
        claims
            .uses
            .iter()
            .map(|(pool, number)| format!("{number} {pool}")),
    );
    if words.is_empty() {
        return String::new();
    }
    format!("  [{}]", shown(&words.join(", ")))
}
