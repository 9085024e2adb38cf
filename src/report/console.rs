//! What a person reads.
//!
//! On a terminal: one line of progress (counts, running tests, time to go), redrawn in place, and above it each failure as it
//! happens. Elsewhere: plain lines, and one of progress where nothing else was said for a while: CI services end a job that is
//! silent. In the end, always: the failures with their output, then the summary. Whatever can't be
//! written to a closed terminal is dropped: no result is lost by it.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::paint::{Clean, Paint, harmless, is_harmless, one_line};
use super::{ReportError, Reporter};
use crate::event::{Event, GroupStarted, Moment, TestFinished, Totals};
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

/// How it is shown how far the run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Not at all: the run is over, or its tests write to the terminal themselves.
    None,
    /// As a line that is redrawn in place.
    Bar,
    /// As a line now and then.
    Lines,
}

/// After how long without another line there is one of progress, in seconds: soon at first, less often in a long run.
const FIRST_PAUSE: f64 = 3.0;
const LONGEST_PAUSE: f64 = 15.0;

/// How many of the tests that run are named there.
const MOST_RUNNING: usize = 3;

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
    /// How the first tries of tests ended that have another, by id and repetition.
    tries: HashMap<(String, u32), (TestFinished, usize)>,
    /// What did not run, by why.
    not_run: BTreeMap<String, Vec<String>>,
    prepared: f64,
    slowest: Vec<(f64, String)>,
    running: BTreeMap<usize, String>,
    /// How often something was slow.
    slow: usize,
    progress: Progress,
    /// How late it is, in seconds since the run began.
    now: f64,
    /// When something was said last.
    said: f64,
    /// After how long it is time to say how far the run is.
    pause: f64,
}

impl Console {
    /// A console on `out`.
    #[must_use]
    pub fn new(
        out: Box<dyn Write + Send>,
        colour: bool,
        progress: Progress,
        verbosity: Verbosity,
    ) -> Self {
        let progress = match verbosity {
            Verbosity::Quiet => Progress::None,
            _ => progress,
        };
        Self {
            out,
            // Until the run begins: there is nothing to be drawn of what is not known, and 0 of 0 looks as if it were over.
            bar: ProgressBar::hidden(),
            paint: Paint { on: colour },
            verbosity,
            totals: Totals::default(),
            selected: 0,
            repeat: 1,
            tests: 0,
            failures: Vec::new(),
            odd: Vec::new(),
            tries: HashMap::new(),
            not_run: BTreeMap::new(),
            prepared: 0.0,
            slowest: Vec::new(),
            running: BTreeMap::new(),
            slow: 0,
            progress,
            now: 0.0,
            said: 0.0,
            pause: FIRST_PAUSE,
        }
    }

    /// Begins to draw how far the run is, where there is a terminal.
    fn draw(&mut self) {
        if self.progress != Progress::Bar || self.tests == 0 {
            return;
        }
        let length = Some(self.tests as u64);
        let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr_with_hz(10));
        let style =
            ProgressStyle::with_template("{bar:24} {pos}/{len} {prefix} eta {eta}  {wide_msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.enable_steady_tick(Duration::from_millis(200));
        self.bar = bar;
    }

    /// Says how far the run is, where nothing was said for a while.
    fn say_progress(&mut self) {
        if self.progress != Progress::Lines || self.tests == 0 || self.now - self.said < self.pause
        {
            return;
        }
        self.pause = (self.pause * 1.5).min(LONGEST_PAUSE);
        let failed = match self.totals.failures() {
            0 => String::new(),
            failed => format!(", {}", self.paint.bad(&format!("{failed} failed"))),
        };
        let running: Vec<String> = self.running.values().cloned().collect();
        let running = match running.len() {
            0 => String::new(),
            _ => format!("; running: {}", some_of(&running, MOST_RUNNING)),
        };
        let text = format!(
            "{:>9} {:8.3}s  {} of {}{failed}{running}",
            "progress",
            self.now,
            self.totals.all(),
            count(self.tests, "test")
        );
        self.line(&text);
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
        self.said = self.now;
        // Names and words of others are cleaned before they are painted; nothing that was missed gets through here.
        let clean = if self.paint.on {
            Clean::painted
        } else {
            Clean::lines
        };
        let cleaned = (!is_harmless(text)).then(|| clean(text));
        let text = cleaned.as_ref().map_or(text, Clean::as_str);
        let out = &mut self.out;
        self.bar.suspend(|| {
            let _ = writeln!(out, "{text}").and_then(|()| out.flush());
        });
    }

    fn redraw(&mut self) {
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
        self.output(test, left_out);
    }

    /// The end of what a test printed.
    fn output(&mut self, test: &TestFinished, left_out: usize) {
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
            let first = self.tries.remove(&(test.id.clone(), test.repetition));
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
            if let (Outcome::Flaky, Some((failed, left_out))) = (test.outcome, first) {
                let message = failed.message.clone();
                let message = message.unwrap_or_else(|| failed.outcome.word().to_owned());
                self.line(&format!("  try {}: {}", failed.attempt, indented(&message)));
                self.output(&failed, left_out);
            }
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

    fn summary(&mut self, seconds: f64, exit: u8, stopped: Option<&str>) {
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
            // Each test that did not run says so as well, but there may be none, and they may be many.
            _ => stopped.map_or_else(String::new, |why| {
                format!(", {}", self.paint.bad(&one_line(why)))
            }),
        };
        let counts = format!("{counts}{hooks}{signal}");
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
        let took = self.totals.test_seconds;
        // Of the others, starting up was most: no number explains that.
        let at_once = if took > seconds * 1.05 && seconds > 0.0 {
            format!(", {:.1} at a time on average", took / seconds)
        } else {
            String::new()
        };
        let times = format!("in {seconds:.2} s{listing} (the tests took {took:.2} s{at_once})");
        let times = self.paint.dim(&times);
        self.line(&format!("{head}: {counts} {times}"));
    }
}

impl Reporter for Console {
    fn event(&mut self, when: Moment, event: &Event) -> Result<(), ReportError> {
        self.now = when.at;
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
                self.draw();
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
                self.redraw();
            }
            Event::JobFinished { job, .. } => {
                self.running.remove(job);
                self.redraw();
            }
            Event::TestsFound { of, tests, .. } => {
                // The item itself is counted already.
                self.tests += tests.len();
                self.tests -= usize::from(of.is_some()).min(self.tests);
                self.bar.set_length(self.tests as u64);
            }
            Event::TestRetried(test) => {
                self.test(test, true);
                let first = self.tries.entry((test.id.clone(), test.repetition));
                first.or_insert_with(|| shortened(test));
            }
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
                if test.outcome != Outcome::Flaky {
                    self.tries.remove(&(test.id.clone(), test.repetition));
                }
                if test.worker.is_some() {
                    self.note_slow(test);
                }
                self.redraw();
            }
            Event::Warning { message } => {
                let text = format!("warning: {}", indented(message));
                let text = self.paint.odd(&text);
                self.line(&text);
            }
            Event::RunFinished {
                seconds,
                exit,
                stopped,
                ..
            } => {
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
                self.summary(*seconds, *exit, stopped.as_deref());
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
                    self.line(&format!(
                        "{word} {seconds}  {}: {}",
                        one_line(group),
                        hook.key()
                    ));
                }
                if failed {
                    for line in message.iter().flat_map(|message| message.lines()) {
                        self.line(&format!("    {}", harmless(line)));
                    }
                    let mut told = TestFinished::new(String::new(), group, *outcome);
                    told.output.clone_from(output);
                    let (told, left_out) = shortened(&told);
                    self.output(&told, left_out);
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
                let run = one_line(&owed.run);
                let text = format!(
                    "{}: {} is made up for, which run {run} could not run",
                    one_line(&owed.group),
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

    fn tick(&mut self, at: f64) {
        self.now = at;
        self.say_progress();
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
