//! Results: from what a job left to one verdict an item.
//!
//! A verdict comes from the wait status and the result channel, never from what a test printed. What the channel does not
//! tell is never a pass, and an exit code that no verdict explains spoils one.

mod bats;
mod ctest;
mod events;
mod frames;
mod go;
mod gtest;
mod junit;
mod libtest;
mod tap;

pub use events::{miscounted, running};
pub use frames::without_frames;

use std::path::Path;
use std::time::Duration;

use crate::manifest::config::Runner;
use crate::manifest::model::{ResultFormat, Size};
use crate::outcome::Outcome;
use crate::plan::inside::is_within;
use crate::plan::{Item, Reading};
use crate::runner::apart::tell_apart;
use crate::worker::frame::{Cause, Ended, Status};

/// How an item ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// How.
    pub outcome: Outcome,
    /// Its duration, where the channel tells it.
    pub seconds: Option<f64>,
    /// Why, in a line.
    pub message: Option<String>,
    /// What it printed; `None` where that is the output of the whole job.
    pub output: Option<String>,
}

impl Verdict {
    /// Bounds the duration by that of the job: a test may change the clock that it was measured by.
    pub fn bound(&mut self, job: Duration) {
        let most = job.as_secs_f64();
        self.seconds = self.seconds.map(|seconds| seconds.max(0.0).min(most));
    }

    /// A verdict with its reason.
    #[must_use]
    pub fn new(outcome: Outcome, message: impl Into<Option<String>>) -> Self {
        Self {
            outcome,
            seconds: None,
            message: message.into(),
            output: None,
        }
    }
}

/// What a result channel tells.
#[derive(Debug, Default)]
struct Told {
    /// By item.
    verdicts: Vec<Option<Verdict>>,
    /// The items that were seen to begin, in order; `None` where the channel does not tell.
    started: Option<Vec<usize>>,
    /// The items that ran at the end, where the channel tells of several at once.
    running: Vec<usize>,
    /// Tests that are no items.
    found: Vec<Reported>,
    /// Why the report is not whole, where that can be seen.
    incomplete: Option<String>,
    /// What is wrong with the report, and with the part of which item; `None`: of the job.
    wrong: Vec<(Option<usize>, String)>,
    /// What is wrong with its last line, which a process that dies does not write to its end.
    torn: Option<String>,
}

/// A test as a report names it.
struct Case {
    /// Its name.
    name: String,
    /// The item that it is, or is in.
    item: Option<usize>,
    /// Its result.
    verdict: Verdict,
}

impl Told {
    /// Nothing yet of these items.
    fn of(items: &[Item]) -> Self {
        Self {
            verdicts: vec![None; items.len()],
            ..Self::default()
        }
    }

    /// Takes in a result: that of an item, of a test in one, or of a test that nobody asked for.
    fn add(&mut self, is_inside: bool, items: &[Item], case: Case) {
        match case.item {
            Some(index) if !is_inside => merge(&mut self.verdicts[index], case.verdict),
            item => self.found.push(Reported {
                id: match item {
                    Some(index) if !items[index].id.is_empty() => {
                        format!("{}::{}", items[index].id, case.name)
                    }
                    _ => case.name,
                },
                item,
                verdict: case.verdict,
            }),
        }
    }
}

impl Told {
    /// Leaves out the tests that ran beside those that were selected in an item; what failed counts in any case. A selected
    /// test that was not reported is an error: a pass of the others must not be taken for its own.
    fn keep_selected(&mut self, items: &[Item]) {
        for (index, item) in items.iter().enumerate() {
            if item.inside.is_empty() {
                continue;
            }
            let name = |id: &str| {
                let rest = id.strip_prefix(item.id.as_str());
                rest.and_then(|rest| rest.strip_prefix("::"))
                    .map(str::to_owned)
            };
            let is_selected = |test: &Reported, selected: &str| {
                name(&test.id).is_some_and(|name| is_within(&name, selected))
            };
            self.found.retain(|test| {
                test.item != Some(index)
                    || !test.verdict.outcome.is_success()
                    || item
                        .inside
                        .iter()
                        .any(|selected| is_selected(test, selected))
            });
            // Only a file that came to its end has run all that it holds.
            let has_ended = self.verdicts[index]
                .as_ref()
                .is_some_and(|verdict| verdict.outcome.is_success());
            for selected in item.inside.iter().filter(|_| has_ended) {
                let mut own = self.found.iter().filter(|test| test.item == Some(index));
                if !own.any(|test| is_selected(test, selected)) {
                    let why = format!("{} has no test of this name", item.id);
                    self.found.push(Reported {
                        id: format!("{}::{selected}", item.id),
                        item: Some(index),
                        verdict: Verdict::new(Outcome::Errored, why),
                    });
                }
            }
        }
    }
}

/// Several results of one item: the worst counts, the durations add up.
fn merge(verdict: &mut Option<Verdict>, new: Verdict) {
    let Some(old) = verdict else {
        *verdict = Some(new);
        return;
    };
    let seconds = old.seconds.unwrap_or(0.0) + new.seconds.unwrap_or(0.0);
    let badness = |outcome: Outcome| match outcome {
        Outcome::Skipped => 0,
        Outcome::Passed => 1,
        Outcome::Failed => 3,
        outcome if outcome.is_success() => 2,
        _ => 4,
    };
    if badness(new.outcome) > badness(old.outcome) {
        *old = new;
    }
    old.seconds = Some(seconds);
}

/// A test that a report names and that is no item.
#[derive(Clone, Debug)]
pub struct Reported {
    /// Its id in the group.
    pub id: String,
    /// The item that it is in; `None` where nobody asked for it.
    pub item: Option<usize>,
    /// Its result.
    pub verdict: Verdict,
}

/// The results of a job.
#[derive(Debug)]
pub struct Results {
    /// By item; `None` where the item goes to another job.
    pub verdicts: Vec<Option<Verdict>>,
    /// Tests that are no items.
    pub found: Vec<Reported>,
    /// Items that never began because another one ended the process: they go to new jobs, each list to one.
    pub again: Vec<Vec<usize>>,
    /// The items that were seen to begin.
    pub started: Vec<usize>,
}

/// The end of a text that may be long.
fn tail(text: String) -> String {
    const MOST: usize = 256 << 10;
    let Some(mut from) = text.len().checked_sub(MOST).filter(|from| *from > 0) else {
        return text;
    };
    while !text.is_char_boundary(from) {
        from += 1;
    }
    format!("[{from} bytes left out]\n{}", &text[from..])
}

/// What a job printed, without what only our way of running it brought about.
#[must_use]
pub fn printed(reading: Reading, output: String) -> String {
    match reading.results {
        ResultFormat::Libtest => libtest::without_noise(output),
        ResultFormat::Events => without_frames(output),
        _ => output,
    }
}

/// Judges the items of a job that has ended.
#[must_use]
pub fn judge(
    runner: &Runner,
    root: &Path,
    items: &[Item],
    timeout: Option<Duration>,
    ended: &Ended,
) -> Results {
    let report = ended.report.as_deref().unwrap_or_default();
    let holds = runner.holds_tests;
    let results = of_items(runner, items).results;
    let mut told = match results {
        ResultFormat::Exit => exit(runner, items.len(), &ended.status),
        ResultFormat::Events => events::read(report, holds, items),
        ResultFormat::Junit => junit::read(report, holds, root, items),
        ResultFormat::Libtest => libtest::read(report, items),
        ResultFormat::LibtestText => libtest::text(report, items),
        ResultFormat::Tap => tap::read(report, holds, items),
        ResultFormat::Bats => bats::read(report, root, items),
        ResultFormat::GoJson => go::read(go::json(report), holds, items),
        ResultFormat::GoTest => go::read(go::text(report), holds, items),
        ResultFormat::GtestXml => gtest::read(report, holds, items),
        ResultFormat::Ctest => ctest::read(report, root, items, ended),
    };
    if results == ResultFormat::Exit {
        if ended.cause != Cause::Itself {
            // A process that was ended says nothing by its exit code.
            told.verdicts.fill(None);
        }
    } else if ended.cause != Cause::Stop && !has_rules(items) {
        blame(&mut told, ended);
        spoil(&mut told, ended);
    }
    let found = told.found.iter_mut().map(|test| &mut test.verdict);
    for verdict in told.verdicts.iter_mut().flatten().chain(found) {
        verdict.bound(ended.duration);
    }
    told.keep_selected(items);
    conclude(items, results, told, timeout, ended)
}

/// How the results of a job with these items are read. The items of a job share a launch.
#[must_use]
pub fn of_items(runner: &Runner, items: &[Item]) -> Reading {
    Reading::of(
        runner,
        items.first().and_then(|item| item.launch.as_deref()),
    )
}

/// Whether an exit code means what the rules of the listing say.
fn has_rules(items: &[Item]) -> bool {
    let launch = items.first().and_then(|item| item.launch.as_ref());
    launch.is_some_and(|launch| launch.rules.is_some())
}

/// Judges the items of a chunk whose process broke off, where each result was told as it came: `told` are the items that have
/// one, `started` those that have begun.
#[must_use]
pub fn broken_off(
    told: &[bool],
    started: &[usize],
    timeout: Option<Duration>,
    ended: &Ended,
) -> Results {
    let passed = Verdict::new(Outcome::Passed, None);
    let told = Told {
        verdicts: told
            .iter()
            .map(|told| told.then(|| passed.clone()))
            .collect(),
        started: Some(started.to_vec()),
        ..Told::default()
    };
    conclude(&[], ResultFormat::Events, told, timeout, ended)
}

/// Finds what became of the items that have no result.
fn conclude(
    items: &[Item],
    format: ResultFormat,
    told: Told,
    timeout: Option<Duration>,
    ended: &Ended,
) -> Results {
    let mut told = told;
    let missing: Vec<usize> = (0..told.verdicts.len())
        .filter(|index| told.verdicts[*index].is_none())
        .collect();
    let begun: Option<usize> = told.started.as_ref().and_then(|started| {
        started
            .iter()
            .rev()
            .find(|index| missing.contains(index))
            .copied()
    });
    let mut reason = ending(ended, timeout);
    if let (Status::Exit(code), Cause::Itself, Some(why)) =
        (&ended.status, ended.cause, told.incomplete.take())
    {
        let exit = match code {
            0 => String::new(),
            code => format!("; its process exited with code {code}"),
        };
        reason.message = Some(format!("{why}{exit}"));
    }
    let mut again = Vec::new();
    // Something ended the process while a test ran, so the ones behind it have done nothing wrong.
    let broke_off = ended.cause != Cause::Stop && !matches!(ended.status, Status::NotStarted(_));
    let is_one_of_many = told.running.len() > 1 && told.verdicts.len() > 1;
    match begun {
        // Nobody knows which of them it was: each gets a job of its own.
        Some(_) if broke_off && is_one_of_many => {
            let (running, rest): (Vec<usize>, Vec<usize>) = missing
                .into_iter()
                .partition(|index| told.running.contains(index));
            again.extend(running.into_iter().map(|index| vec![index]));
            again.extend(Some(rest).filter(|rest| !rest.is_empty()));
        }
        Some(begun) if broke_off => {
            told.verdicts[begun] = Some(reason);
            let rest: Vec<_> = missing
                .into_iter()
                .filter(|index| *index != begun)
                .collect();
            if !rest.is_empty() {
                again.push(rest);
            }
        }
        // A test that panics has its result, and takes the process with it: none of the others has begun.
        None if broke_off
            && matches!(format, ResultFormat::GoTest | ResultFormat::GoJson)
            && ended.status != Status::Exit(0)
            && !missing.is_empty()
            && missing.len() < told.verdicts.len() =>
        {
            again.push(missing);
        }
        // Nobody knows which of them it was: each gets a job of its own, which will tell.
        None if broke_off
            && told.started.is_none()
            && format != ResultFormat::Exit
            && missing.len() > 1
            && (matches!(reason.outcome, Outcome::Crashed | Outcome::TimedOut)
                // A test that exits takes the harness with it.
                || (format == ResultFormat::Libtest && reason.outcome == Outcome::Errored))
            && !items[missing[0]]
                .launch
                .as_ref()
                .is_some_and(|launch| launch.whole) =>
        {
            again = missing.into_iter().map(|index| vec![index]).collect();
        }
        _ => {
            for index in missing {
                let has_begun = told
                    .started
                    .as_ref()
                    .is_none_or(|started| started.contains(&index));
                let mut verdict = reason.clone();
                if ended.cause == Cause::Stop && !has_begun {
                    verdict.outcome = Outcome::NotRun;
                }
                told.verdicts[index] = Some(verdict);
            }
        }
    }
    // What is run again is told of again.
    told.found
        .retain(|test| test.item.is_none_or(|item| told.verdicts[item].is_some()));
    // A report may name two tests alike.
    tell_apart(&mut told.found, |test| &mut test.id);
    Results {
        verdicts: told.verdicts,
        found: told.found,
        again,
        started: told.started.unwrap_or_default(),
    }
}

/// The exit code is the verdict of every item of the chunk.
fn exit(runner: &Runner, items: usize, status: &Status) -> Told {
    let verdict = match status {
        Status::Exit(0) => Some(Verdict::new(Outcome::Passed, None)),
        Status::Exit(code) => {
            let skipped = u8::try_from(*code).is_ok_and(|code| runner.skip_exit.contains(&code));
            let outcome = if skipped {
                Outcome::Skipped
            } else {
                Outcome::Failed
            };
            let shared = match items {
                1 => String::new(),
                _ => format!("; it ran {items} items and gave one result for them all"),
            };
            Some(Verdict::new(
                outcome,
                format!("exited with code {code}{shared}"),
            ))
        }
        _ => None,
    };
    Told {
        verdicts: vec![verdict; items],
        ..Told::default()
    }
}

/// A report with something wrong in it makes an item errored: the one that it is about, or else the last one with a result. The
/// result of a test that failed may have been lost.
fn blame(told: &mut Told, ended: &Ended) {
    let ended_well = ended.status == Status::Exit(0) && ended.cause == Cause::Itself;
    let torn = told.torn.take().filter(|_| ended_well);
    let mut wrong = std::mem::take(&mut told.wrong);
    wrong.extend(torn.map(|why| (None, why)));
    for (item, why) in wrong {
        let last = told.verdicts.iter().rposition(Option::is_some);
        let last = last.unwrap_or(told.verdicts.len().saturating_sub(1));
        if let Some(verdict) = told.verdicts.get_mut(item.unwrap_or(last)) {
            *verdict = Some(doubted(verdict.take(), why));
        }
    }
}

/// What becomes of a verdict that comes with something wrong.
pub fn doubted(verdict: Option<Verdict>, why: String) -> Verdict {
    let Some(mut verdict) = verdict else {
        return Verdict::new(Outcome::Errored, why);
    };
    if verdict.outcome.is_success() {
        verdict.message = Some(format!("{}, but {why}", verdict.outcome.word()));
        verdict.outcome = Outcome::Errored;
    } else {
        let said = verdict.message.into_iter().chain([why]);
        verdict.message = Some(said.collect::<Vec<_>>().join("; "));
    }
    verdict
}

/// A process that says "something is wrong" while all its tests say "passed" is not believed: its last test is errored.
fn spoil(told: &mut Told, ended: &Ended) {
    let is_explained = |verdict: &Option<Verdict>| {
        verdict
            .as_ref()
            .is_none_or(|verdict| !verdict.outcome.is_success())
    };
    let ended_well = ended.status == Status::Exit(0) && ended.cause == Cause::Itself;
    let has_failed = told
        .found
        .iter()
        .any(|test| !test.verdict.outcome.is_success());
    if ended_well || has_failed || told.verdicts.iter().any(is_explained) {
        return;
    }
    let last = told
        .started
        .as_ref()
        .and_then(|started| started.last().copied());
    let last = last.unwrap_or(told.verdicts.len().saturating_sub(1));
    let (outcome, how) = match &ended.status {
        _ if ended.cause == Cause::Timeout => (Outcome::TimedOut, "did not end".to_owned()),
        _ if ended.cause == Cause::Memory => (Outcome::Oom, "took too much memory".to_owned()),
        _ if ended.cause == Cause::Starved => {
            let how = "was there when no memory was left, and the kernel killed for it";
            (Outcome::Oom, how.to_owned())
        }
        _ if ended.cause == Cause::Output => (Outcome::Errored, "wrote too much".to_owned()),
        Status::Signal(signal) => (
            Outcome::Crashed,
            format!("was killed by {}", signal_name(*signal)),
        ),
        Status::Exit(code) => (Outcome::Errored, format!("exited with code {code}")),
        Status::NotStarted(why) => (Outcome::Errored, why.clone()),
    };
    if let Some(verdict) = told.verdicts.get_mut(last) {
        let was = verdict.as_ref().map_or(Outcome::Passed, |was| was.outcome);
        let message = format!("{}, but then its process {how}", was.word());
        let mut spoiled = Verdict::new(outcome, message);
        spoiled.seconds = verdict.as_ref().and_then(|verdict| verdict.seconds);
        *verdict = Some(spoiled);
    }
}

/// How a process ended, or why there was none.
fn how(status: &Status) -> String {
    match status {
        Status::Exit(code) => format!("its process exited with code {code}"),
        Status::Signal(signal) => format!("its process was killed by {}", signal_name(*signal)),
        Status::NotStarted(why) => why.clone(),
    }
}

/// What became of a test that has no result.
pub(crate) fn ending(ended: &Ended, timeout: Option<Duration>) -> Verdict {
    match ended.cause {
        Cause::Stop => {
            return Verdict::new(Outcome::Cancelled, "the run was stopped".to_owned());
        }
        Cause::Memory => {
            let taken = Size(ended.memory);
            let message =
                format!("its processes took {taken} of memory, more than `memory` allows");
            return Verdict::new(Outcome::Oom, message);
        }
        Cause::Starved => {
            let how = how(&ended.status);
            let taken = Size(ended.memory);
            let message = format!(
                "{how}: there was no memory left, and the kernel killed for it; one of its processes had taken {taken}"
            );
            return Verdict::new(Outcome::Oom, message);
        }
        Cause::Output => {
            let message = format!(
                "it wrote {}, more than `output-max` allows",
                Size(ended.output.total)
            );
            return Verdict::new(Outcome::Errored, message);
        }
        Cause::Itself | Cause::Timeout | Cause::Shortage => {}
    }
    if ended.cause == Cause::Timeout {
        let limit = timeout.unwrap_or(ended.duration);
        let message = format!("took longer than its timeout of {limit:?}");
        return Verdict {
            seconds: Some(limit.as_secs_f64()),
            ..Verdict::new(Outcome::TimedOut, message)
        };
    }
    let how = how(&ended.status);
    match &ended.status {
        Status::NotStarted(_) => Verdict::new(Outcome::Errored, how),
        Status::Signal(_) => Verdict::new(Outcome::Crashed, how),
        Status::Exit(_) => Verdict::new(Outcome::Errored, how + " before it had a result"),
    }
}

/// `SIGSEGV`, or the number.
pub(crate) fn signal_name(signal: i32) -> String {
    signal_hook::low_level::signal_name(signal)
        .map_or_else(|| format!("signal {signal}"), str::to_owned)
}

#[cfg(test)]
mod tests;
