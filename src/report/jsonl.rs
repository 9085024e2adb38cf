//! The event stream: one JSON object a line, flushed as it happens. The journal of a run is one too.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::{ReportError, Reporter};
use crate::event::{Event, Line, VERSION};

/// See the module.
pub struct Jsonl {
    path: PathBuf,
    writer: Box<dyn Write + Send>,
    is_advisory: bool,
}

impl Jsonl {
    /// Writes to a file, or to standard output for `-`.
    ///
    /// # Errors
    /// The file can't be made.
    pub fn create(path: &Path) -> Result<Self, ReportError> {
        let writer: Box<dyn Write + Send> = if path == Path::new("-") {
            Box::new(io::stdout())
        } else {
            let file = File::create(path)
                .map_err(|error| ReportError::new("the jsonl report", path, &error))?;
            Box::new(file)
        };
        Ok(Self {
            path: path.to_owned(),
            writer,
            is_advisory: false,
        })
    }

    /// The run's journal.
    ///
    /// # Errors
    /// The file can't be made.
    pub fn journal(path: &Path) -> Result<Self, ReportError> {
        let journal = Self::create(path)
            .map_err(|error| ReportError::advisory("the journal", path, error.why))?;
        Ok(Self {
            is_advisory: true,
            ..journal
        })
    }
}

impl Reporter for Jsonl {
    fn event(&mut self, at: f64, event: &Event) -> Result<(), ReportError> {
        let line = Line {
            v: VERSION,
            at,
            event: event.clone(),
        };
        let text = serde_json::to_string(&line).map_err(io::Error::other);
        text.and_then(|text| self.writer.write_all((text + "\n").as_bytes()))
            .and_then(|()| self.writer.flush())
            .map_err(|error| ReportError {
                is_advisory: self.is_advisory,
                ..ReportError::new("the jsonl report", &self.path, &error)
            })
    }

    fn finish(&mut self) -> Result<(), ReportError> {
        Ok(())
    }
}
