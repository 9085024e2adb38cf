//! Reports: everything that is made from a run's events.
//!
//! One thread reads the events and writes all reports, so none has to know of another. A report that can't be written is
//! remembered and told; it never keeps the others, or the run, from going on.

mod console;
mod jsonl;
mod junit;
mod paint;

pub use console::{Console, Verbosity, stream};
pub use jsonl::Jsonl;
pub use junit::Junit;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;
use std::time::Instant;

use crate::event::{Event, Totals};

/// Something that is made from events.
pub trait Reporter: Send {
    /// Takes in an event; `at` is in seconds since the run began.
    ///
    /// # Errors
    /// It can't be written; it is given no more events then.
    fn event(&mut self, at: f64, event: &Event) -> Result<(), ReportError>;

    /// Writes what is left; the run is over.
    ///
    /// # Errors
    /// It can't be written.
    fn finish(&mut self) -> Result<(), ReportError>;
}

/// A report that could not be written.
#[derive(Debug)]
pub struct ReportError {
    what: String,
    path: PathBuf,
    why: String,
    /// Whether the run succeeds all the same.
    pub is_advisory: bool,
}

impl ReportError {
    /// A report that was asked for.
    #[must_use]
    pub fn new(what: &str, path: &Path, why: &io::Error) -> Self {
        Self {
            what: what.to_owned(),
            path: path.to_owned(),
            why: why.to_string(),
            is_advisory: false,
        }
    }

    /// Something that is kept for the next run only.
    #[must_use]
    pub fn advisory(what: &str, path: &Path, why: impl fmt::Display) -> Self {
        Self {
            what: what.to_owned(),
            path: path.to_owned(),
            why: why.to_string(),
            is_advisory: true,
        }
    }
}

impl fmt::Display for ReportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "can't write {} to {}: {}",
            self.what,
            self.path.display(),
            self.why
        )
    }
}

impl std::error::Error for ReportError {}

/// What the reports say in the end.
#[derive(Debug)]
pub struct Reported {
    /// The totals of the run.
    pub totals: Totals,
    /// The reports that could not be written.
    pub errors: Vec<ReportError>,
}

/// Feeds the reports until the run is over. `exit` turns the totals into the exit code that `run-finished` tells.
pub fn feed(
    events: &Receiver<Event>,
    mut reporters: Vec<Box<dyn Reporter>>,
    begun: Instant,
    exit: impl FnOnce(&Totals) -> u8,
) -> Reported {
    let mut reported = Reported {
        totals: Totals::default(),
        errors: Vec::new(),
    };
    let mut tell = |event: &Event, errors: &mut Vec<ReportError>| {
        let at = begun.elapsed().as_secs_f64();
        reporters.retain_mut(|reporter| match reporter.event(at, event) {
            Ok(()) => true,
            Err(error) => {
                errors.push(error);
                false
            }
        });
    };
    for event in events {
        reported.totals.add(&event);
        tell(&event, &mut reported.errors);
    }
    let finished = Event::RunFinished {
        counts: reported.totals.by_word(),
        seconds: begun.elapsed().as_secs_f64(),
        exit: exit(&reported.totals),
    };
    tell(&finished, &mut reported.errors);
    for reporter in &mut reporters {
        reported.errors.extend(reporter.finish().err());
    }
    reported
}
