//! Reports: everything that is made from a run's events.
//!
//! One thread reads the events and writes all reports, so none has to know of another. A report that can't be written is
//! remembered and told; it never keeps the others, or the run, from going on.

mod console;
mod feed;
mod jsonl;
mod junit;
mod ledger;
mod merge;
mod paint;
mod queue;
mod target;
mod whole;

pub(crate) use console::count;
pub use console::{Console, Progress, Verbosity, stream};
pub use feed::{Reported, feed, replay};
pub use jsonl::Jsonl;
pub use junit::Junit;
pub use merge::{Merged, Source, merge};
pub(crate) use paint::{Clean, escaped_json, harmless, one_line};
pub use queue::{Sender, queue};
pub use whole::{Beginning, Gaps};

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::event::{Event, Moment};

/// Something that is made from events.
pub trait Reporter: Send {
    /// Takes in an event, and when it happened.
    ///
    /// # Errors
    /// It can't be written; it is given no more events then.
    fn event(&mut self, when: Moment, event: &Event) -> Result<(), ReportError>;

    /// Time has passed since the run began, whether anything has happened or not. Only told of a run that goes on.
    fn tick(&mut self, _at: f64) {}

    /// Writes what was taken in: for the moment there is no more. Reports that are written in the end have nothing to do.
    ///
    /// # Errors
    /// It can't be written; it is given no more events then.
    fn flush(&mut self) -> Result<(), ReportError> {
        Ok(())
    }

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
    kind: Option<io::ErrorKind>,
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
            kind: Some(why.kind()),
            is_advisory: false,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        use io::ErrorKind::{IsADirectory, NotADirectory, NotFound, PermissionDenied};
        let folder = target::folder_of(&self.path).display();
        match self.kind? {
            NotFound => Some(format!("make its folder first: mkdir -p {folder}")),
            IsADirectory => Some("it is a folder: name a file in it".to_owned()),
            NotADirectory => Some(format!("{folder} is no folder: name another")),
            PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Some(format!("name a file that you may write; {folder} can't be"))
            }
            _ => None,
        }
    }

    /// Something that is kept for the next run only.
    #[must_use]
    pub fn advisory(what: &str, path: &Path, why: impl fmt::Display) -> Self {
        Self {
            what: what.to_owned(),
            path: path.to_owned(),
            why: why.to_string(),
            kind: None,
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
