//! What a person reads.
//!
//! On a terminal: one line of progress (counts, running tests, time to go), redrawn in place, and above it each failure as it
//! happens. Elsewhere: plain lines. In the end, always: the failures with their output, then the summary. Whatever can't be
//! written to a closed terminal is dropped: no result is lost by it.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::paint::{Paint, harmless, one_line};
use super::{ReportError, Reporter};
use crate::event::{Event, GroupStarted, TestFinished, Totals};
use crate::outcome::Outcome;

/// How much is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Failures and the summary's first line.
    Quiet,
    /// Failures, the summary.
    Normal,
    /// Every test.
    Verbose,
}

/// How many lines of a failure's output are shown.
const MOST_LINES: usize = 200;

/// How many of the slowest tests are named.
const MOST_SLOW: usize = 5;

/// See the module.
pub struct Console {
    out: Box<dyn Write + Send>,
    bar: ProgressBar,
    paint: Paint,
    verbosity: Verbosity,
    totals: Totals,
    /// How many tests were selected.
    selected: usize,
    /// How often each is to run; 0 is without an end.
    repeat: u32,
    /// How many results there will be.
    tests: usize,
    failures: Vec<(TestFinished, usize)>,
    /// Successes that somebody should look at.
    odd: Vec<TestFinished>,
    /// What did not run, by why.
    not_run: BTreeMap<String, Vec<String>>,
    prepared: f64,
    slowest: Vec<(f64, String)>,
    running: BTreeMap<usize, String>,
    /// How often something was slow.
    slow: usize,
}

impl Console {
    /// A console on `out`; `terminal` says whether there is one to draw progress on.
    #[must_use]
    pub fn new(
        out: Box<dyn Write + Send>,
        colour: bool,
        terminal: bool,
        verbosity: Verbosity,
    ) -> Self {
        let bar = if terminal && verbosity > Verbosity::Quiet {
            let bar =
                ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(10));
            let style =
                ProgressStyle::with_template("{bar:24} {pos}/{len} {prefix} eta {eta}  {wide_msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        } else {
            ProgressBar::hidden()
        };
        Self {
            out,
            bar,
            paint: Paint { on: colour },
            verbosity,
            totals: Totals::default(),
            selected: 0,
            repeat: 1,
            tests: 0,
            failures: Vec::new(),
            odd: Vec::new(),
            not_run: BTreeMap::new(),
            prepared: 0.0,
            slowest: Vec::new(),
            running: BTreeMap::new(),
            slow: 0,
        }
    }

    /// Why a group runs as one process: its tests do not run in parallel as others do, so it is always said.
    fn one_process(&mut self, group: &GroupStarted) {
        if let Some(why) = &group.one_process {
            let text = format!("group {} runs as one process: {why}", group.name);
            self.line(&one_line(&text));
        }
    }

    /// How a group's tests share processes, and why so.
    fn session(&mut self, group: &GroupStarted) {
        if let (Some(session), Some(because)) = (&group.session, &group.because) {
            let text = format!("group {}: session {session}, since {because}", group.name);
            let text = self.paint.dim(&one_line(&text));
            self.line(&text);
        }
    }

    fn line(&mut self, text: &str) {
        let out = &mut self.out;
        self.bar.suspend(|| {
            let _ = writeln!(out, "{text}").and_then(|()| out.flush());
        });
    }

    fn progress(&mut self) {
        if self.bar.is_hidden() {
            return;
        }
        let failures = self.totals.failures();
        let failed = if failures > 0 {
            self.paint.bad(&format!("{failures} failed"))
        } else {
            String::new()
        };
        self.bar.set_position(self.totals.all() as u64);
        self.bar.set_prefix(failed);
        let running: Vec<_> = self.running.values().map(|name| one_line(name)).collect();
        self.bar.set_message(running.join(", "));
    }

    fn test(&mut self, test: &TestFinished, retried: bool) {
        let bad = !test.outcome.is_success();
        let shown = match self.verbosity {
            Verbosity::Quiet => false,
            Verbosity::Normal => bad && test.outcome != Outcome::NotRun,
            Verbosity::Verbose => true,
        };
        if shown {
            let word = format!("{:>9}", test.outcome.word());
            let word = match test.outcome {
                Outcome::Passed => self.paint.good(&word),
                _ if bad => self.paint.bad(&word),
                _ => self.paint.odd(&word),
            };
            let again = if retried {
                self.paint.odd(" (will be run again)")
            } else {
                String::new()
            };
            // A failure tells more in the end.
            let why = match &test.message {
                Some(message) if !bad && !message.is_empty() => {
                    let first = message.lines().next().unwrap_or_default();
                    self.paint.dim(&format!(" ({})", one_line(first)))
                }
                _ => String::new(),
            };
            let seconds = self.paint.dim(&format!("{:8.3}s", test.seconds));
            self.line(&format!(
                "{word} {seconds}  {}{why}{again}",
                one_line(&test.name())
            ));
        }
    }

    /// Notes a test if it is one of the slowest so far.
    fn note_slow(&mut self, test: &TestFinished) {
        let is_slower = |known: &(f64, String)| test.seconds > known.0;
        let at = self.slowest.iter().position(is_slower);
        let at = at.unwrap_or(self.slowest.len());
        if at < MOST_SLOW {
            self.slowest.insert(at, (test.seconds, test.name()));
            self.slowest.truncate(MOST_SLOW);
        }
    }

    fn failure(&mut self, test: &TestFinished, left_out: usize) {
        let title = format!("{}: {}", test.outcome.word(), one_line(&test.name()));
        let title = self.paint.bad(&title);
        self.line(&format!("\n{title}"));
        if let Some(file) = &test.file {
            let line = test.line.map(|line| format!(":{line}")).unwrap_or_default();
            let place = format!("  at {}{line}", one_line(&file.to_string_lossy()));
            let place = self.paint.dim(&place);
            self.line(&place);
        }
        if let Some(message) = &test.message {
            self.line(&format!("  {}", indented(message)));
        }
        let Some(output) = &test.output else { return };
        if left_out > 0 {
            let note = format!("    [{left_out} lines before these: see a report]");
            let note = self.paint.dim(&note);
            self.line(&note);
        }
        for line in harmless(output).lines() {
            self.line(&format!("    {line}"));
        }
    }

    /// What a person would otherwise have to count out.
    fn oddities(&mut self) {
        for test in std::mem::take(&mut self.odd) {
            let why = match (test.outcome, &test.message) {
                (Outcome::Flaky, _) => format!("passed at try {}", test.attempt),
                (Outcome::Xpassed, None) => "passed, though it was expected to fail".to_owned(),
                (_, message) => message.clone().unwrap_or_default(),
            };
            let text = format!(
                "\n{}: {}: {}",
                test.outcome,
                one_line(&test.name()),
                indented(&why)
            );
            let text = self.paint.odd(&text);
            self.line(&text);
        }
        for (why, ids) in std::mem::take(&mut self.not_run) {
            let text = format!(
                "\nnot run, as {}: {}",
                one_line(&why),
                some_of(&ids, MOST_NAMED)
            );
            let text = self.paint.bad(&text);
            self.line(&text);
        }
    }

    fn summary(&mut self, seconds: f64, exit: u8) {
        let counts: Vec<String> = Outcome::ALL
            .into_iter()
            .filter(|outcome| self.totals.count(*outcome) > 0)
            .map(|outcome| {
                let text = format!("{} {}", self.totals.count(outcome), outcome.word());
                if outcome.is_success() {
                    text
                } else {
                    self.paint.bad(&text)
                }
            })
            .collect();
        let counts = if counts.is_empty() {
            "no tests".to_owned()
        } else {
            counts.join(", ")
        };
        let counts = match self.slow {
            0 => counts,
            slow => format!("{counts} ({})", self.paint.odd(&format!("{slow} slow"))),
        };
        let hooks = match self.totals.failed_hooks {
            0 => String::new(),
            failed => format!(
                ", {}",
                self.paint.bad(&format!("{} failed", count(failed, "hook")))
            ),
        };
        let signal = match i32::from(exit) - 128 {
            signal @ 1.. => {
                let name = signal_hook::low_level::signal_name(signal);
                let name = name.map_or_else(|| format!("signal {signal}"), str::to_owned);
                format!(", {}", self.paint.bad(&format!("stopped by {name}")))
            }
            _ => String::new(),
        };
        let counts = format!("{counts}{hooks}{signal}");
        let took = self.totals.test_seconds;
        let speed = if seconds > 0.0 { took / seconds } else { 0.0 };
        let head = if exit == 0 {
            self.paint.good("ok")
        } else {
            self.paint.bad("FAILED")
        };
        let listing = if self.prepared < 0.1 {
            String::new()
        } else {
            format!(" after {:.2} s of listing", self.prepared)
        };
        let times = format!("in {seconds:.2} s{listing} (tests {took:.2} s, {speed:.1}x)");
        let times = self.paint.dim(&times);
        self.line(&format!("{head}: {counts} {times}"));
    }
}

impl Reporter for Console {
    fn event(&mut self, _: f64, event: &Event) -> Result<(), ReportError> {
        self.totals.add(event);
        match event {
            Event::RunStarted {
                run,
                groups,
                tests,
                workers,
                prepared,
                repeat,
                shard,
                ..
            } => {
                self.selected = *tests;
                self.tests = tests.saturating_mul((*repeat).max(1) as usize);
                self.repeat = *repeat;
                self.prepared = *prepared;
                self.bar.set_length(self.tests as u64);
                if self.verbosity > Verbosity::Quiet {
                    let names: Vec<_> = groups.iter().map(|group| group.name.as_str()).collect();
                    let often = match repeat {
                        0 => ", again and again".to_owned(),
                        1 => String::new(),
                        times => format!(", {times} times"),
                    };
                    let text = format!(
                        "run {run}: {}{often}, {}, {} {}",
                        count(*tests, "test"),
                        count(*workers, "worker"),
                        if names.len() == 1 { "group" } else { "groups" },
                        names.join(", ")
                    );
                    let text = self.paint.dim(&one_line(&text));
                    self.line(&text);
                    if let Some(shard) = shard {
                        let text = format!(
                            "shard {}/{}: {tests} of {}, divided by {}",
                            shard.number,
                            shard.of,
                            count(tests.saturating_add(shard.tests_elsewhere()), "test"),
                            one_line(&shard.by)
                        );
                        let text = self.paint.dim(&text);
                        self.line(&text);
                    }
                }
                for group in groups {
                    self.one_process(group);
                }
                if self.verbosity == Verbosity::Verbose {
                    for group in groups {
                        self.session(group);
                    }
                }
            }
            Event::RepetitionStarted { tests, .. } if self.repeat == 0 => {
                let again = match tests.len() {
                    0 => self.selected,
                    some => some,
                };
                self.tests = self.tests.saturating_add(again);
                self.bar.set_length(self.tests as u64);
            }
            Event::JobStarted { job, tests, .. } => {
                let first = tests.first().cloned().unwrap_or_default();
                let more = tests.len().saturating_sub(1);
                let text = if more > 0 {
                    format!("{first} (+{more})")
                } else {
                    first
                };
                self.running.insert(*job, text);
                self.progress();
            }
            Event::JobFinished { job, .. } => {
                self.running.remove(job);
                self.progress();
            }
            Event::TestsFound { of, tests, .. } => {
                // The item itself is counted already.
                self.tests += tests.len();
                self.tests -= usize::from(of.is_some()).min(self.tests);
                self.bar.set_length(self.tests as u64);
            }
            Event::TestRetried(test) => self.test(test, true),
            Event::TestFinished(test) => {
                self.test(test, false);
                if !test.outcome.is_success() && test.outcome != Outcome::NotRun {
                    self.failures.push(shortened(test));
                }
                match test.outcome {
                    Outcome::Xpassed | Outcome::Flaky | Outcome::Leaked => {
                        self.odd.push(test.clone());
                    }
                    Outcome::NotRun => {
                        let why = test.message.clone().unwrap_or_default();
                        self.not_run.entry(why).or_default().push(test.name());
                    }
                    _ => {}
                }
                if test.worker.is_some() {
                    self.note_slow(test);
                }
                self.progress();
            }
            Event::Warning { message } => {
                let text = format!("warning: {}", indented(message));
                let text = self.paint.odd(&text);
                self.line(&text);
            }
            Event::RunFinished { seconds, exit, .. } => {
                self.bar.finish_and_clear();
                for (test, left_out) in std::mem::take(&mut self.failures) {
                    self.failure(&test, left_out);
                }
                self.oddities();
                if self.verbosity > Verbosity::Quiet && self.slowest.len() > 1 {
                    let heading = self.paint.strong("\nslowest:");
                    self.line(&heading);
                    for (seconds, id) in self.slowest.clone() {
                        self.line(&format!("{seconds:8.3}s  {}", one_line(&id)));
                    }
                }
                if self.verbosity > Verbosity::Quiet || self.totals.failures() > 0 {
                    self.line("");
                }
                self.summary(*seconds, *exit);
            }
            Event::HookFinished {
                hook,
                group,
                outcome,
                seconds,
                message,
                output,
                ..
            } => {
                let failed = !outcome.is_success();
                if failed || self.verbosity == Verbosity::Verbose {
                    let word = format!("{:>9}", outcome.word());
                    let word = if failed {
                        self.paint.bad(&word)
                    } else {
                        self.paint.good(&word)
                    };
                    let seconds = self.paint.dim(&format!("{seconds:8.3}s"));
                    self.line(&format!("{word} {seconds}  {group}: {}", hook.key()));
                }
                if failed {
                    let message = message.clone().unwrap_or_default();
                    let output = output.clone().unwrap_or_default();
                    for line in message.lines().chain(output.lines()) {
                        self.line(&format!("    {}", harmless(line)));
                    }
                }
            }
            Event::Status { running } => {
                self.line(&format!("running: {}", count(running.len(), "job")));
                for job in running {
                    let ids = some_of(&job.tests, MOST_NAMED);
                    self.line(&format!(
                        "{:8.1}s  worker {} ({})  {ids}",
                        job.seconds, job.worker, job.pid
                    ));
                }
            }
            Event::Slow(job) => {
                self.slow += 1;
                if self.verbosity > Verbosity::Quiet {
                    let word = self.paint.odd(&format!("{:>9}", "slow"));
                    let seconds = self.paint.dim(&format!("{:8.3}s", job.seconds));
                    self.line(&format!(
                        "{word} {seconds}  {} (runs still)",
                        some_of(&job.tests, job.tests.len())
                    ));
                }
            }
            Event::HookOwed(owed) if self.verbosity > Verbosity::Quiet => {
                let run = harmless(&owed.run);
                let text = format!(
                    "{}: {} is made up for, which run {run} could not run",
                    owed.group,
                    owed.hook.key()
                );
                let text = self.paint.dim(&text);
                self.line(&text);
            }
            Event::HookOwed(_)
            | Event::HookStarted { .. }
            | Event::RepetitionStarted { .. }
            | Event::MemoryChanged { .. }
            | Event::TestStarted { .. } => {}
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), ReportError> {
        let _ = self.out.flush();
        Ok(())
    }
}

/// Text of more lines than one, in which none can be taken for one of ours.
fn indented(text: &str) -> String {
    harmless(text).replace('\n', "\n  ")
}

/// A failure with no more output than will be shown, and how many lines that leaves out: there may be many, and each may have
/// written a lot.
fn shortened(test: &TestFinished) -> (TestFinished, usize) {
    let mut short = test.without_output();
    let Some(output) = test.output.as_deref().map(str::trim_end) else {
        return (short, 0);
    };
    let first = output.rmatch_indices('\n').nth(MOST_LINES - 1);
    let (left_out, shown) = first.map_or(("", output), |(at, _)| output.split_at(at + 1));
    short.output = Some(shown.to_owned());
    (short, left_out.lines().count())
}

/// So many of something: `1 test`, `2 tests`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// How many ids of tests that did not run are named.
const MOST_NAMED: usize = 5;

/// The first few of a list, and how many more there are.
pub(super) fn some_of(ids: &[String], most: usize) -> String {
    let named: Vec<_> = ids.iter().take(most).map(|id| one_line(id)).collect();
    let rest = ids.len() - named.len();
    let more = if rest > 0 {
        format!(" and {rest} more")
    } else {
        String::new()
    };
    format!("{}{more}", named.join(", "))
}

/// Standard output, or standard error where a report has taken the first.
#[must_use]
pub fn stream(stdout_is_taken: bool) -> Box<dyn Write + Send> {
    if stdout_is_taken {
        Box::new(io::stderr())
    } else {
        Box::new(io::stdout())
    }
}
