//! The event stream: one JSON object a line, flushed as it happens. The journal of a run is one too.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::target::make_folder_of;
use super::{ReportError, Reporter};
use crate::event::{Event, Line, Moment};

/// See the module.
pub struct Jsonl {
    what: &'static str,
    path: PathBuf,
    to: To,
    /// Lines that are not written yet.
    waiting: String,
    /// Whether it has to be on disk when the run is over: what is kept for us may as well come later.
    is_report: bool,
}

/// How many bytes wait at the most.
const MOST_WAITING: usize = 64 << 10;

enum To {
    Stdout,
    File(File),
}

impl Jsonl {
    /// Writes to a file, or to standard output for `-`. The file is written in its place, since people follow it, and
    /// begins empty.
    ///
    /// # Errors
    /// The file can't be made.
    pub fn create(path: &Path) -> Result<Self, ReportError> {
        let what = "the jsonl report";
        if path == Path::new("-") {
            return Ok(Self::to(what, path, To::Stdout, true));
        }
        let file = make_folder_of(path).and_then(|()| File::create(path));
        let file = file.map_err(|error| ReportError::new(what, path, &error))?;
        Ok(Self::to(what, path, To::File(file), true))
    }

    /// The run's journal, which its owner alone can read: it holds what tests printed.
    ///
    /// # Errors
    /// The file can't be made, or is there already.
    pub fn journal(path: &Path) -> Result<Self, ReportError> {
        let what = "the journal";
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let file = options.open(path);
        let file = file.map_err(|error| ReportError::new(what, path, &error))?;
        Ok(Self::to(what, path, To::File(file), false))
    }

    fn to(what: &'static str, path: &Path, to: To, is_report: bool) -> Self {
        Self {
            what,
            path: path.to_owned(),
            to,
            waiting: String::new(),
            is_report,
        }
    }
}

impl Reporter for Jsonl {
    fn event(&mut self, when: Moment, event: &Event) -> Result<(), ReportError> {
        let text = Line::write(when, event).map_err(io::Error::other);
        let text = text.map_err(|error| ReportError::new(self.what, &self.path, &error))?;
        // A line may be long: it is in memory once, and not for longer than it takes to write it.
        if self.waiting.is_empty() && text.len() >= MOST_WAITING {
            self.waiting = text;
        } else {
            self.waiting.push_str(&text);
        }
        if self.waiting.len() < MOST_WAITING {
            return Ok(());
        }
        self.flush()
    }

    fn flush(&mut self) -> Result<(), ReportError> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let text = self.waiting.as_bytes();
        let written = match &mut self.to {
            To::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(text).and_then(|()| out.flush())
            }
            To::File(file) => file.write_all(text),
        };
        self.waiting.clear();
        self.waiting.shrink_to(MOST_WAITING);
        written.map_err(|error| ReportError::new(self.what, &self.path, &error))
    }

    fn finish(&mut self) -> Result<(), ReportError> {
        self.flush()?;
        // A file system may say only now that it is full; what is no plain file can't be asked.
        match &self.to {
            To::File(file)
                if self.is_report && file.metadata().is_ok_and(|meta| meta.is_file()) =>
            {
                file.sync_data()
                    .map_err(|error| ReportError::new(self.what, &self.path, &error))
            }
            _ => Ok(()),
        }
    }
}
