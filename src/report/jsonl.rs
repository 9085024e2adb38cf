//! The event stream: one JSON object a line, flushed as it happens. The journal of a run is one too.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::mem;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;

use super::paint::escaped_json;
use super::target::make_folder_of;
use super::{ReportError, Reporter};
use crate::event::{Event, Line, Moment};
use crate::manifest::config::Hook;

/// See the module.
pub struct Jsonl {
    what: &'static str,
    path: PathBuf,
    to: To,
    /// Lines that are not written yet.
    waiting: String,
    /// Whether it has to be on disk when the run is over: what is kept for us may as well come later, but for what the next
    /// run has to make up for.
    is_report: bool,
    /// The groups that have hooks which take back what others have done.
    cleaned: HashSet<String>,
    /// The groups and workers of which a cleanup is known to be pending.
    pending: HashSet<(String, Option<u32>)>,
    /// Whether what was taken in has to be on disk at once.
    must_sync: bool,
    /// Who brings it there.
    syncing: Option<mpsc::SyncSender<()>>,
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

    /// The run's journal, which its owner alone can read: it holds what tests printed. `cleaned` are the groups of which a run
    /// that is killed leaves a cleanup to the next one, so that what makes it pending must be on disk at once.
    ///
    /// # Errors
    /// The file can't be made, or is there already.
    pub fn journal(path: &Path, cleaned: HashSet<String>) -> Result<Self, ReportError> {
        let what = "the journal";
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let file = options.open(path);
        let file = file.map_err(|error| ReportError::new(what, path, &error))?;
        Ok(Self {
            cleaned,
            ..Self::to(what, path, To::File(file), false)
        })
    }

    fn to(what: &'static str, path: &Path, to: To, is_report: bool) -> Self {
        Self {
            what,
            path: path.to_owned(),
            to,
            waiting: String::new(),
            is_report,
            cleaned: HashSet::new(),
            pending: HashSet::new(),
            must_sync: false,
            syncing: None,
        }
    }

    /// Whether an event makes a cleanup pending that was not: without it, a machine that loses its power forgets that.
    fn is_pledge(&mut self, event: &Event) -> bool {
        let (group, pid) = match event {
            Event::HookOwed(_) => return true,
            Event::HookStarted {
                hook: Hook::BeforeAll,
                group,
                ..
            } => (group, None),
            Event::HookStarted {
                hook: Hook::BeforeWorker,
                group,
                pid,
                ..
            } => (group, *pid),
            // A group may have no hooks but those at its end.
            Event::JobStarted { group, pid, .. } => (group, Some(*pid)),
            _ => return false,
        };
        self.cleaned.contains(group) && self.pending.insert((group.clone(), pid))
    }

    /// Has what was written brought to disk, by a thread of its own: a disk may take long, and what happens meanwhile must be written
    /// too. Of orders that come while one is carried out a single one is kept, which is for all that was written by then.
    fn sync(&mut self) -> io::Result<()> {
        let To::File(file) = &self.to else {
            return Ok(());
        };
        if self.syncing.is_none() {
            let (file, path) = (file.try_clone()?, self.path.clone());
            let (order, orders) = mpsc::sync_channel::<()>(1);
            let thread = thread::Builder::new().name("journal".into());
            thread.spawn(move || bring_to_disk(&file, &path, &orders))?;
            self.syncing = Some(order);
        }
        if let Some(order) = &self.syncing {
            let _ = order.try_send(());
        }
        Ok(())
    }
}

/// Syncs a journal whenever that is ordered; the first time with its name, and that of its folder. Not every file system can do that.
fn bring_to_disk(file: &File, path: &Path, orders: &mpsc::Receiver<()>) {
    let mut has_name = false;
    while orders.recv().is_ok() {
        let _ = file.sync_data();
        if !std::mem::replace(&mut has_name, true) {
            for folder in path.ancestors().skip(1).take(2) {
                let _ = File::open(folder).and_then(|folder| folder.sync_all());
            }
        }
    }
}

impl Reporter for Jsonl {
    fn event(&mut self, when: Moment, event: &Event) -> Result<(), ReportError> {
        self.must_sync |= !self.is_report && self.is_pledge(event);
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
                // It may be a terminal; to a program it is the same.
                let text = escaped_json(&self.waiting);
                let mut out = io::stdout().lock();
                out.write_all(text.as_bytes()).and_then(|()| out.flush())
            }
            To::File(file) => file.write_all(text),
        };
        self.waiting.clear();
        self.waiting.shrink_to(MOST_WAITING);
        let written = if mem::take(&mut self.must_sync) {
            // Without a thread to be had it is left to the system.
            written.inspect(|()| drop(self.sync()))
        } else {
            written
        };
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
