//! `orchestrate explain`.

use super::args::{ExplainArguments, PlanForm};
use super::error::CliError;
use super::{exit, hand_over, json, print, report};
use crate::explain::{Explanation, Finding, Kind, Part, Record};
use crate::history::Fate;
use crate::report::{Clean, count, one_line};

/// The most tests that are named in a line.
const NAMED: usize = 2;

/// Says what a kept run's time went to, and what would have saved most of it.
pub fn explain(arguments: &ExplainArguments) -> Result<u8, CliError> {
    let (id, run) = report::kept(arguments.id.as_deref())?;
    if run.fate() == Fate::Running {
        return Err(CliError::usage(
            format!("run {id} is not over yet"),
            "wait for its end, or name another run".to_owned(),
        ));
    }
    let mut journal = report::journal(&id, &run)?;
    let record = Record::of(&mut journal);
    report::tell_unreadable(journal.unreadable, "the journal");
    if record.jobs.is_empty() {
        return Err(CliError::System(format!(
            "no job of run {id} was over: there is nothing to explain"
        )));
    }
    let explanation = Explanation::of(&record);
    match arguments.format {
        PlanForm::Human => print(Clean::lines(&human(&explanation))),
        PlanForm::Json => hand_over(&json(&explanation)?),
    }
    Ok(exit::SUCCESS)
}

fn human(told: &Explanation) -> String {
    let workers = count(told.workers, "worker");
    let mut text = format!(
        "run {}: {:.2} s on {workers}; {:.2} s of tests take {:.2} s at least\n",
        one_line(&told.run),
        told.wall,
        told.tests,
        told.bound
    );
    if told.listing >= 0.01 {
        text += &format!("before it, listing took {:.2} s\n", told.listing);
    }
    if !told.complete {
        text += "it was interrupted: only what was over by then is explained\n";
    }
    text += &format!("\nwhere {:.2} s went\n", told.wall - told.bound);
    for part in &told.went {
        // What is left over may be less than nothing, and is said only where it counts.
        if part.seconds.abs() >= 0.005 {
            text += &format!("{:8.2} s  {}\n", part.seconds, words(told, part));
        }
    }
    if told.changes == 0 {
        text += "\nno one change would save a hundredth of it\n";
        return text;
    }
    text += "\nwhat would save most\n";
    for finding in told.findings.iter().take(told.changes) {
        text += &format!("{:8.2} s  {}\n", finding.saves, remedy(told, finding));
    }
    text
}

fn words(told: &Explanation, part: &Part) -> String {
    let finding = part.finding.and_then(|index| told.findings.get(index));
    match finding {
        Some(finding) => cause(finding),
        None => part.other.unwrap_or_default().to_owned(),
    }
}

/// Tests by the first of them.
fn tests(finding: &Finding) -> String {
    let named: Vec<String> = finding
        .tests
        .iter()
        .take(NAMED)
        .map(|id| one_line(id))
        .collect();
    match finding.tests.len() {
        0 => String::new(),
        many if many > NAMED => format!("{} and {} more", named.join(", "), many - NAMED),
        _ => named.join(" and "),
    }
}

/// What a finding is about, in words.
fn cause(finding: &Finding) -> String {
    let group = one_line(finding.group.as_deref().unwrap_or_default());
    let name = one_line(finding.name.as_deref().unwrap_or_default());
    let tests = tests(finding);
    let jobs = count(finding.jobs, "job");
    let seconds = finding.seconds;
    match finding.kind {
        Kind::Lock => format!("lock {name}, held by {jobs} for {seconds:.2} s: {tests}"),
        Kind::Pool => format!("pool {name}, used by {jobs} for {seconds:.2} s: {tests}"),
        Kind::Serial => {
            format!("serial tests of {group}, {seconds:.2} s alone in their group: {tests}")
        }
        Kind::Exclusive => {
            format!("exclusive tests of {group}, {seconds:.2} s alone in the run: {tests}")
        }
        Kind::Slots => {
            format!("tests of {group} that take several slots for {seconds:.2} s: {tests}")
        }
        Kind::Memory => {
            "waits for memory: less was free than jobs were thought to need, or than is to stay so"
                .to_owned()
        }
        Kind::MemoryStops => {
            format!(
                "{jobs} stopped for want of memory after {seconds:.2} s, and run again alone: {tests}"
            )
        }
        Kind::After => {
            format!("tests of {group} that wait for other tests, {seconds:.2} s: {tests}")
        }
        Kind::Needs => format!("group {group} waited for the groups that it needs"),
        Kind::GroupWorkers => format!("group {group} has fewer workers than the run"),
        Kind::ChunkStart => {
            format!("start-up of {jobs} of {group}, {seconds:.2} s before their tests")
        }
        Kind::WorkerStart => format!("start-up of the workers of {group}"),
        Kind::Hook => format!("{name} of {group}"),
        Kind::Retries => format!("tries again, {seconds:.2} s: {tests}"),
        Kind::Order => "tests that take long and started late".to_owned(),
        Kind::Straggler => format!("straggler, {seconds:.2} s: {tests}"),
        Kind::Workers => "too few workers".to_owned(),
    }
}

/// What to do about a finding.
fn remedy(told: &Explanation, finding: &Finding) -> String {
    let group = one_line(finding.group.as_deref().unwrap_or_default());
    let name = one_line(finding.name.as_deref().unwrap_or_default());
    let tests = tests(finding);
    match finding.kind {
        Kind::Lock => format!("without lock {name}: {tests}"),
        Kind::Pool => format!("with enough of pool {name} for all: {tests}"),
        Kind::Serial => format!("if these tests of {group} were not serial: {tests}"),
        Kind::Exclusive => format!("if these tests of {group} were not exclusive: {tests}"),
        Kind::Slots => format!("with `slots = 1` for {tests}"),
        Kind::Memory => "with memory for all that could run".to_owned(),
        Kind::MemoryStops => format!("with memory for these beside others: {tests}"),
        Kind::After => format!("if these tests of {group} waited for no others: {tests}"),
        Kind::Needs => format!("without the `needs` of group {group}"),
        Kind::GroupWorkers => {
            let workers = told.workers;
            format!("with `workers = {workers}` for group {group}, as many as the run has")
        }
        Kind::ChunkStart => format!(
            "without the start-up of {group}'s {}: larger chunks, a session, or a faster start",
            count(finding.jobs, "job")
        ),
        Kind::WorkerStart => format!("without the start-up of the workers of {group}"),
        Kind::Hook => format!("without {name} of {group}"),
        Kind::Retries => format!("if these passed at the first try: {tests}"),
        Kind::Order => {
            "longest first, as `order = \"smart\"` has it where durations are known".to_owned()
        }
        Kind::Straggler => {
            let parts = finding.parts.unwrap_or(2);
            let without = finding.without.unwrap_or(finding.saves);
            format!("with {tests} cut into {parts} (without it at all, {without:.2} s)")
        }
        Kind::Workers => format!("with {}", count(told.workers + 1, "worker")),
    }
}
