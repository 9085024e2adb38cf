//! A run's journal, read back: whatever can be, also of one that was cut off in the middle of a line.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::vec;

use crate::event::{Event, Line, OLDEST_VERSION, VERSION};
use crate::kept_file::{self, LONGEST_LINE, ReadLine};
use crate::manifest::config::GroupName;

/// The events of a journal.
#[derive(Debug)]
pub struct Journal<R> {
    head: vec::IntoIter<Line>,
    reader: R,
    /// How many lines were no events; a last one without an end is not counted.
    pub unreadable: usize,
}

impl Journal<BufReader<File>> {
    /// Opens the journal of a kept run.
    ///
    /// # Errors
    /// It is no regular file of a trusted owner, it cannot be read, or the run's beginning, which names its tests, is not in it.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::new(BufReader::new(kept_file::open(path)?))
    }
}

impl Journal<BufReader<File>> {
    /// Opens events that a person has named: a report, wherever it is and whatever kind of file.
    ///
    /// # Errors
    /// It cannot be read, or the run's beginning, which names its tests, is not in it.
    pub fn open_named(path: &Path) -> io::Result<Self> {
        Self::new(BufReader::new(File::open(path)?))
    }
}

impl<R: BufRead> Journal<R> {
    /// A journal that is read from here.
    ///
    /// # Errors
    /// The run's beginning, which names its tests, is not in it.
    pub fn new(reader: R) -> io::Result<Self> {
        let mut journal = Self {
            head: Vec::new().into_iter(),
            reader,
            unreadable: 0,
        };
        let mut head = Vec::new();
        loop {
            let Some(line) = journal.read() else {
                let why = "the run's beginning, which names its tests, is not in it";
                return Err(io::Error::new(io::ErrorKind::InvalidData, why));
            };
            let has_begun = matches!(line.event, Event::RunStarted { .. });
            head.push(line);
            if has_begun {
                break;
            }
        }
        journal.head = head.into_iter();
        Ok(journal)
    }

    fn read(&mut self) -> Option<Line> {
        let mut bytes = Vec::new();
        loop {
            match kept_file::read_line(&mut self.reader, &mut bytes, LONGEST_LINE) {
                Ok(ReadLine::End) => return None,
                Ok(ReadLine::Whole) => {}
                // No run writes such a line, so whatever follows is none of ours either.
                Ok(ReadLine::TooLong) | Err(_) => {
                    self.unreadable += 1;
                    return None;
                }
            }
            match parse(&bytes) {
                Some(line) => return Some(line),
                None if bytes.ends_with(b"\n") => self.unreadable += 1,
                None => {}
            }
        }
    }
}

impl<R: BufRead> Iterator for Journal<R> {
    type Item = Line;

    fn next(&mut self) -> Option<Line> {
        self.head.next().or_else(|| self.read())
    }
}

fn parse(bytes: &[u8]) -> Option<Line> {
    let line: Line = serde_json::from_slice(bytes).ok()?;
    let is_ours = (OLDEST_VERSION..=VERSION).contains(&line.v) && has_groups(&line.event);
    is_ours.then_some(line)
}

/// Whether groups have names that groups can have: each test without a result has that of its group, so long ones would take far
/// more memory than there is of the journal.
fn has_groups(event: &Event) -> bool {
    let fits = |name: &String| name.len() <= GroupName::LONGEST;
    match event {
        Event::RunStarted { groups, shard, .. } => {
            let elsewhere = shard.iter().flat_map(|shard| shard.elsewhere.keys());
            let groups = groups.iter().map(|group| &group.name);
            groups.chain(elsewhere).all(fits)
        }
        Event::TestsFound { group, .. } => fits(group),
        _ => true,
    }
}

/// Whether a journal has the run's end, which is short and its last line.
pub fn is_complete(path: &Path) -> bool {
    const MOST: u64 = 4096;
    let read = || -> io::Result<Vec<u8>> {
        let mut file = kept_file::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(MOST)))?;
        let mut end = Vec::new();
        file.take(MOST).read_to_end(&mut end)?;
        Ok(end)
    };
    let end = read().unwrap_or_default();
    let last = end
        .strip_suffix(b"\n")
        .and_then(|end| end.rsplit(|byte| *byte == b'\n').next());
    last.and_then(parse)
        .is_some_and(|line| matches!(line.event, Event::RunFinished { .. }))
}
