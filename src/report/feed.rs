//! From events to reports: one thread hands each event to every report, and sees to it that each selected test has
//! exactly one result, whatever went wrong before.

use super::ledger::Ledger;
use super::queue::Receiver;
use super::{ReportError, Reporter};
use crate::cli::exit;
use crate::event::{Event, Line, Moment, Totals};
use crate::outcome::Outcome;
use crate::secrets::Secrets;

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

/// How a run ended.
#[derive(Clone, Debug, Default)]
pub(super) struct End {
    pub(super) seconds: f64,
    pub(super) exit: u8,
    pub(super) stopped: Option<String>,
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
    fn take(&mut self, when: Moment, event: &Event) -> bool {
        if !self.ledger.take(event) {
            return false;
        }
        self.tell(when, event);
        true
    }

    /// Tells the reports what somebody else has accounted for.
    pub(super) fn tell(&mut self, when: Moment, event: &Event) {
        self.totals.add(event);
        self.each(|reporter| reporter.event(when, event));
    }

    /// Tells the reports how late it is.
    fn tick(&mut self, at: f64) {
        for reporter in &mut self.reporters {
            reporter.tick(at);
        }
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

    pub(super) fn warn(&mut self, when: Moment, message: String) {
        self.take(when, &Event::Warning { message });
    }

    /// Gives results to the tests that have none; says how many that were.
    fn complete(&mut self, when: Moment, begun: Outcome, why: &str) -> usize {
        let missing = self.ledger.missing(begun, why);
        let count = missing.len();
        for test in missing {
            self.take(when, &Event::TestFinished(test));
        }
        count
    }

    pub(super) fn finish(mut self, when: Moment, end: End) -> Reported {
        let End {
            seconds,
            exit,
            stopped,
        } = end;
        let finished = Event::RunFinished {
            counts: self.totals.by_word(),
            seconds,
            exit,
            stopped,
        };
        self.take(when, &finished);
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

/// Feeds the reports until the run is over. None of them sees a value of `secrets`. `exit` turns the totals into the exit code that `run-finished` tells, with the reason
/// why the run was stopped, if it was.
pub fn feed(
    mut events: Receiver,
    reporters: Vec<Box<dyn Reporter>>,
    secrets: &Secrets,
    exit: impl FnOnce(&Totals) -> (u8, Option<String>),
) -> Reported {
    let mut feed = Feed::new(reporters);
    while let Some(together) = events.next() {
        for (at, mut event) in together {
            let when = events.moment(at);
            secrets.mask_event(&mut event);
            if !feed.take(when, &event)
                && let Event::TestFinished(test) = event
            {
                let message = format!(
                    "a second result of {} is left out: please report this",
                    test.id
                );
                feed.warn(when, message);
            }
        }
        feed.tick(events.now().at);
        feed.flush();
    }
    let why = "orchestrate itself has lost its result: please report this";
    let lost = feed.complete(events.now(), Outcome::Errored, why);
    let (code, stopped) = exit(&feed.totals);
    let code = if lost > 0 && code < 128 {
        exit::INFRASTRUCTURE
    } else {
        code
    };
    let now = events.now();
    let end = End {
        seconds: now.at,
        exit: code,
        stopped,
    };
    feed.finish(now, end)
}

/// Feeds the reports with a journal. A test whose result it does not have gets one: cancelled or not-run, with `why`.
pub fn replay(
    journal: &mut dyn Iterator<Item = Line>,
    reporters: Vec<Box<dyn Reporter>>,
    why: &str,
) -> Reported {
    let mut feed = Feed::new(reporters);
    let mut last = Moment::default();
    let mut end = None;
    for line in journal {
        let when = line.when();
        if let Event::RunFinished {
            seconds,
            exit,
            stopped,
            ..
        } = line.event
        {
            end = Some(End {
                seconds,
                exit,
                stopped,
            });
            break;
        }
        last = when;
        feed.take(when, &line.event);
    }
    let missing = feed.complete(last, Outcome::Cancelled, why);
    match end {
        Some(mut end) if missing == 0 => {
            if end.exit == exit::SUCCESS && !feed.totals.is_success() {
                end.exit = exit::TESTS_FAILED;
            }
            feed.finish(last.until(end.seconds), end)
        }
        _ => {
            feed.warn(last, without_result(missing, why));
            let end = End {
                seconds: last.at,
                exit: exit::INFRASTRUCTURE,
                stopped: None,
            };
            feed.finish(last, end)
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
