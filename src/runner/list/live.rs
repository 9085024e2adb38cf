//! Listings that run: a tool may build for minutes before it lists a test, and what it says meanwhile is all that a person
//! can see of it.

use std::cell::RefCell;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The most that is read of a tool's output at once; what it writes faster is passed over.
const MOST_BYTES: u64 = 64 << 10;

thread_local! {
    /// The group whose tests this thread lists.
    static GROUP: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// What there is to show of a listing that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The group, or else the program.
    pub name: String,
    /// How long it has run.
    pub running: Duration,
    /// The command that runs, unless the listing is between two.
    pub command: Option<String>,
    /// What it has written since somebody looked last, without a line that is not whole.
    pub lines: Vec<String>,
}

/// Whoever shows it.
pub trait Watch: Sync {
    /// Shows the listings that run now. It is called a few times a second.
    fn look(&self, listings: &[Progress]);
    /// No listing runs any more.
    fn over(&self);
}

/// The listings that run.
#[derive(Debug, Default)]
pub struct Live {
    running: Mutex<Vec<Running>>,
}

#[derive(Debug)]
struct Running {
    name: String,
    begun: Instant,
    /// Its commands that run.
    commands: Vec<Command>,
}

#[derive(Debug)]
struct Command {
    shown: String,
    output: PathBuf,
    read: u64,
}

impl Live {
    /// Lists a group's tests, on this thread.
    pub fn group<T>(&self, name: &str, list: impl FnOnce() -> T) -> T {
        let set = |value| GROUP.with(|current| current.replace(value));
        let before = set(Some(name.to_owned()));
        let result = self.listing(name, list);
        set(before);
        result
    }

    fn listing<T>(&self, name: &str, list: impl FnOnce() -> T) -> T {
        self.running().push(Running {
            name: name.to_owned(),
            begun: Instant::now(),
            commands: Vec::new(),
        });
        let result = list();
        let mut running = self.running();
        if let Some(index) = running.iter().position(|running| running.name == name) {
            running.remove(index);
        }
        result
    }

    /// Runs a command whose output goes to a file, and shows that file meanwhile.
    pub fn command<T>(&self, shown: &str, output: &Path, run: impl FnOnce() -> T) -> T {
        let group = GROUP.with(|group| group.borrow().clone());
        let Some(group) = group else {
            // A thread of the listing's own.
            let program = shown.split(' ').next().unwrap_or(shown);
            return self.listing(program, || self.command_of(program, shown, output, run));
        };
        self.command_of(&group, shown, output, run)
    }

    fn command_of<T>(&self, name: &str, shown: &str, output: &Path, run: impl FnOnce() -> T) -> T {
        let command = Command {
            shown: shown.to_owned(),
            output: output.to_owned(),
            read: 0,
        };
        let of_name = |running: &mut Running| running.name == name;
        {
            let mut running = self.running();
            let listing = running
                .iter_mut()
                .find_map(|running| of_name(running).then_some(running));
            if let Some(listing) = listing {
                listing.commands.push(command);
            }
        }
        let result = run();
        for listing in self.running().iter_mut() {
            listing.commands.retain(|command| command.output != output);
        }
        result
    }

    /// What there is to show.
    #[must_use]
    pub fn look(&self) -> Vec<Progress> {
        let mut running = self.running();
        let shown = running.iter_mut().map(|running| Progress {
            lines: running
                .commands
                .iter_mut()
                .flat_map(Command::lines)
                .collect(),
            name: running.name.clone(),
            command: running.commands.last().map(|command| command.shown.clone()),
            running: running.begun.elapsed(),
        });
        shown.collect()
    }

    fn running(&self) -> MutexGuard<'_, Vec<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Command {
    /// The lines that are new. A file that cannot be read has none: the listing itself will say what is wrong.
    fn lines(&mut self) -> Vec<String> {
        let Ok(file) = File::open(&self.output) else {
            return Vec::new();
        };
        let length = file.metadata().map_or(0, |meta| meta.len());
        let from = self.read.max(length.saturating_sub(MOST_BYTES));
        let mut bytes = vec![0; usize::try_from(length.saturating_sub(from)).unwrap_or(0)];
        let read = file.read_at(&mut bytes, from).unwrap_or(0);
        bytes.truncate(read);
        let end = bytes
            .iter()
            .rposition(|byte| *byte == b'\n' || *byte == b'\r');
        let whole = end.map_or(0, |end| end + 1);
        self.read = from + whole as u64;
        String::from_utf8_lossy(&bytes[..whole])
            .split(['\n', '\r'])
            .map(str::trim_end)
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn lines_are_shown_once_when_they_are_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("output");
        let live = Live::default();
        let lines = |live: &Live| live.look().pop().map(|progress| progress.lines);
        live.group("rust", || {
            live.command("cargo test", &path, || {
                assert_eq!(lines(&live).unwrap(), [""; 0]);
                let mut file = File::create(&path).unwrap();
                file.write_all(b"Compiling a\n10%\r20%\rlin").unwrap();
                let shown = live.look().remove(0);
                assert_eq!(shown.lines, ["Compiling a", "10%", "20%"]);
                assert_eq!(
                    (shown.name, shown.command),
                    ("rust".into(), Some("cargo test".into()))
                );
                file.write_all(b"king\n").unwrap();
                assert_eq!(lines(&live).unwrap(), ["linking"]);
                assert_eq!(lines(&live).unwrap(), [""; 0]);
            });
            // The group is still listed when its command is over.
            assert_eq!(live.look()[0].command, None);
        });
        assert_eq!(lines(&live), None);
        live.command("go build", &path, || {
            let shown = live.look().remove(0);
            assert_eq!((shown.name.as_str(), shown.lines.len()), ("go", 4));
        });
        assert_eq!(lines(&live), None);
    }
}
