//! From events to reports: one thread hands each event to every report, and sees to it that each selected test has
//! exactly one result, whatever went wrong before.

use super::ledger::Ledger;
use super::queue::Receiver;
use super::{ReportError, Reporter};
use crate::cli::exit;
use crate::event::{Event, Line, Totals};
use crate::outcome::Outcome;

/// What the reports say in the end.
#[derive(Debug)]
pub struct Reported {
    /// The totals of the run.
    pub totals: Totals,
    /// The exit code that the results give.
    pub exit: u8,
    /// The reports that could not be written.
    pub errors: Vec<ReportError>,
}

impl Reported {
    /// The exit code, with the reports: a run whose report is not on disk is no success.
    #[must_use]
    pub fn exit_with_reports(&self) -> u8 {
        let report_failed = self.errors.iter().any(|error| !error.is_advisory);
        if report_failed && self.exit < 128 {
            exit::INFRASTRUCTURE
        } else {
            self.exit
        }
    }
}

/// The reports, and what makes sure that they are told of each test once.
pub(super) struct Feed {
    reporters: Vec<Box<dyn Reporter>>,
    ledger: Ledger,
    pub(super) totals: Totals,
    errors: Vec<ReportError>,
}

impl Feed {
    pub(super) fn new(reporters: Vec<Box<dyn Reporter>>) -> Self {
        Self {
            reporters,
            ledger: Ledger::default(),
            totals: Totals::default(),
            errors: Vec::new(),
        }
    }

    /// Tells the reports; says whether the event counted.
    fn take(&mut self, at: f64, event: &Event) -> bool {
        if !self.ledger.take(event) {
            return false;
        }
        self.tell(at, event);
        true
    }

    /// Tells the reports what somebody else has accounted for.
    pub(super) fn tell(&mut self, at: f64, event: &Event) {
        self.totals.add(event);
        self.each(|reporter| reporter.event(at, event));
    }

    /// Lets the reports write what they have taken in.
    fn flush(&mut self) {
        self.each(|reporter| reporter.flush());
    }

    /// A report that fails gets no more.
    fn each(&mut self, mut what: impl FnMut(&mut dyn Reporter) -> Result<(), ReportError>) {
        let errors = &mut self.errors;
        self.reporters
            .retain_mut(|reporter| match what(reporter.as_mut()) {
                Ok(()) => true,
                Err(error) => {
                    errors.push(error);
                    false
                }
            });
    }

    pub(super) fn warn(&mut self, at: f64, message: String) {
        self.take(at, &Event::Warning { message });
    }

    /// Gives results to the tests that have none; says how many that were.
    fn complete(&mut self, at: f64, begun: Outcome, why: &str) -> usize {
        let missing = self.ledger.missing(begun, why);
        let count = missing.len();
        for test in missing {
            self.take(at, &Event::TestFinished(test));
        }
        count
    }

    pub(super) fn finish(mut self, at: f64, seconds: f64, exit: u8) -> Reported {
        let finished = Event::RunFinished {
            counts: self.totals.by_word(),
            seconds,
            exit,
        };
        self.take(at, &finished);
        for reporter in &mut self.reporters {
            self.errors.extend(reporter.finish().err());
        }
        Reported {
            totals: self.totals,
            exit,
            errors: self.errors,
        }
    }
}

/// Feeds the reports until the run is over. `exit` turns the totals into the exit code that `run-finished` tells.
pub fn feed(
    mut events: Receiver,
    reporters: Vec<Box<dyn Reporter>>,
    exit: impl FnOnce(&Totals) -> u8,
) -> Reported {
    let mut feed = Feed::new(reporters);
    while let Some(together) = events.next() {
        for (at, event) in together {
            if !feed.take(at, &event)
                && let Event::TestFinished(test) = event
            {
                let message = format!(
                    "a second result of {} is left out: please report this",
                    test.id
                );
                feed.warn(at, message);
            }
        }
        feed.flush();
    }
    let at = || events.begun().elapsed().as_secs_f64();
    let why = "orchestrate itself has lost its result: please report this";
    let lost = feed.complete(at(), Outcome::Errored, why);
    let code = exit(&feed.totals);
    let code = if lost > 0 && code < 128 {
        exit::INFRASTRUCTURE
    } else {
        code
    };
    feed.finish(at(), at(), code)
}

/// Feeds the reports with a journal. A test whose result it does not have gets one: cancelled or not-run, with `why`.
pub fn replay(
    journal: &mut dyn Iterator<Item = Line>,
    reporters: Vec<Box<dyn Reporter>>,
    why: &str,
) -> Reported {
    let mut feed = Feed::new(reporters);
    let mut last = 0.0;
    let mut end = None;
    for line in journal {
        if let Event::RunFinished { seconds, exit, .. } = line.event {
            end = Some((seconds, exit));
            break;
        }
        last = line.at;
        feed.take(line.at, &line.event);
    }
    let missing = feed.complete(last, Outcome::Cancelled, why);
    match end {
        Some((seconds, exit)) if missing == 0 => {
            let is_wrong = exit == exit::SUCCESS && !feed.totals.is_success();
            let exit = if is_wrong { exit::TESTS_FAILED } else { exit };
            feed.finish(last.max(seconds), seconds, exit)
        }
        _ => {
            feed.warn(last, without_result(missing, why));
            feed.finish(last, last, exit::INFRASTRUCTURE)
        }
    }
}

/// What a person reads where so many tests have no result.
pub(super) fn without_result(tests: usize, why: &str) -> String {
    match tests {
        0 => why.to_owned(),
        1 => format!("1 test has no result: {why}"),
        many => format!("{many} tests have no result: {why}"),
    }
}
