//! `.fastest/` at the root: ignored by git, safe to delete.
//!
//! A run's folder has a file `lock` for as long as the run is not over, and the run holds a lock on it. So a lock that
//! nobody holds tells of a run that was interrupted, and goes when that has been told; what is locked is never pruned.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, test_kill_process};

use super::aside::set_aside;
use super::journal;
use crate::git;
use crate::kept_file;

/// How many runs are kept.
const KEPT: usize = 20;

/// What a run's folder has its events in.
pub const JOURNAL: &str = "journal.jsonl";

/// What the lock of a run says that could not lock it.
const UNLOCKED: &[u8] = b"unlocked\n";
/// What the folder of a run is called until its lock is held.
const NEW: &str = ".new-";

/// The folder.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
    /// What of it git tracks, relative to it: somebody has committed that, so it is not what a run has kept here.
    tracked: Arc<Vec<PathBuf>>,
}

/// The folder of one run.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    /// Held until the run is over; the system lets go of it when the process is gone, however that came.
    lock: Option<File>,
}

/// What is kept besides runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Results and what they cost.
    History,
    /// What runners have listed.
    Listings,
}

/// The folder's name at the root.
const NAME: &str = ".fastest";

/// The database and what SQLite keeps beside it.
const DATABASES: [&str; 4] = [
    "history.db",
    "history.db-journal",
    "history.db-wal",
    "history.db-shm",
];

/// A run's beginning.
#[derive(Debug)]
pub struct Begun {
    /// Its folder.
    pub folder: RunFolder,
    /// What a person should know.
    pub warnings: Vec<String>,
    /// Earlier runs that were interrupted and of which nobody knew, the last one first.
    pub interrupted: Vec<String>,
}

/// What became of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is over.
    Ended,
    /// Its process is there.
    Running,
    /// Its process is gone, and its end is not in its journal.
    Interrupted,
}

impl Folder {
    /// The folder of a root; nothing is written yet.
    #[must_use]
    pub fn of(root: &Path) -> Self {
        let path = root.join(NAME);
        let tracked = if path.symlink_metadata().is_ok() {
            // Where git can't say which, none of it counts.
            git::tracked(root, NAME).unwrap_or_else(|_| vec![NAME.into()])
        } else {
            Vec::new()
        };
        let inside = tracked
            .iter()
            .filter_map(|path| path.strip_prefix(NAME).ok());
        let inside = inside.filter(|path| *path != Path::new(".gitignore"));
        Self {
            path,
            tracked: Arc::new(inside.map(Path::to_owned).collect()),
        }
    }

    /// Whether git tracks something at, above or below a path in it.
    fn is_tracked(&self, inside: &str) -> bool {
        let mut tracked = self.tracked.iter();
        tracked.any(|path| path.starts_with(inside) || Path::new(inside).starts_with(path))
    }

    /// What a person should know of files that git tracks.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let number = match self.tracked.len() {
            0 => return None,
            1 => "a file".to_owned(),
            many => format!("{many} files"),
        };
        let first = Path::new(NAME).join(&self.tracked[0]);
        Some(format!(
            "git tracks {number} in {NAME} ({}{}): what was committed is ignored; `git rm -r --cached {NAME}` takes it out",
            first.display(),
            if self.tracked.len() > 1 {
                ", \u{2026}"
            } else {
                ""
            }
        ))
    }

    /// Whether results and listings that are here were kept by runs.
    #[must_use]
    pub fn has_own(&self, what: Kept) -> bool {
        match what {
            Kept::History => DATABASES.iter().all(|name| !self.is_tracked(name)),
            Kept::Listings => !self.is_tracked("listings"),
        }
    }

    /// Where durations and outcomes are.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.path.join("history.db")
    }

    fn runs(&self) -> PathBuf {
        self.path.join("runs")
    }

    /// The ids of the runs that are kept, the last one first. Those of the future count as the oldest.
    #[must_use]
    pub fn kept(&self) -> Vec<String> {
        let entries = fs::read_dir(self.runs()).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let names = names.filter(|name| pid_of(name).is_some());
        let is_own = |id: &String| !self.is_tracked(&format!("runs/{id}"));
        let mut ids: Vec<String> = names.filter(is_own).collect();
        // Ids begin with the time, so the order of names is the order of runs. One of the future is of a clock that was wrong,
        // or made up: it must not push out what is newer.
        let latest = latest_id();
        ids.sort_by(|a, b| (*a > latest).cmp(&(*b > latest)).then_with(|| b.cmp(a)));
        ids
    }

    /// A run that is kept.
    #[must_use]
    pub fn run(&self, id: &str) -> RunFolder {
        RunFolder {
            path: self.runs().join(id),
            lock: None,
        }
    }

    /// Makes it and a run's folder, and takes away those of old runs.
    ///
    /// # Errors
    /// It can't be written.
    pub fn begin(&self, run: &str) -> io::Result<Begun> {
        let mut warnings = Vec::new();
        let runs = self.runs();
        let is_above = |path: &&PathBuf| Path::new("runs").starts_with(path);
        if let Some(path) = self.tracked.iter().find(is_above) {
            let path = Path::new(NAME).join(path);
            return Err(io::Error::other(format!("git tracks {}", path.display())));
        }
        for path in [&self.path, &runs] {
            let is_broken = || fs::metadata(path).is_ok_and(|meta| !meta.is_dir());
            if is_broken()
                && let Some(aside) = set_aside(path, run, is_broken)?
            {
                warnings.push(format!(
                    "{} is no folder: it is set aside as {}",
                    self.name(path),
                    self.name(&aside)
                ));
            }
        }
        kept_file::make_folder(&runs)?;
        let ignore = self.path.join(".gitignore");
        kept_file::ignore_all(&ignore)?;
        let earlier = self.kept();
        let folder = self.lock(run)?;
        self.name_last(run);
        let interrupted = self.interrupted(&earlier);
        if let Some(id) = interrupted.first() {
            let which = if Some(id) == earlier.first() {
                "the last"
            } else {
                "an earlier"
            };
            warnings.push(format!(
                "{which} run ({id}) was interrupted; `orchestrate report {id}` shows what is known of it"
            ));
        }
        self.prune();
        Ok(Begun {
            folder,
            warnings,
            interrupted,
        })
    }

    /// A path as a person would name it from the root.
    fn name(&self, path: &Path) -> String {
        let root = self.path.parent().unwrap_or(&self.path);
        path.strip_prefix(root)
            .unwrap_or(path)
            .display()
            .to_string()
    }

    /// Makes a run's folder, which others see only once it is locked.
    fn lock(&self, run: &str) -> io::Result<RunFolder> {
        let new = self.runs().join(format!("{NEW}{run}"));
        kept_file::make_folder(&new)?;
        let made = File::create(new.join("lock")).and_then(|mut lock| {
            // Some network file systems have no locks; then the process id tells. Who looks may get a lock all the same.
            if flock(&lock, FlockOperation::LockExclusive).is_err() {
                lock.write_all(UNLOCKED)?;
            }
            let path = self.runs().join(run);
            fs::rename(&new, &path)?;
            Ok(RunFolder {
                path,
                lock: Some(lock),
            })
        });
        if made.is_err() {
            let _ = fs::remove_dir_all(&new);
        }
        made
    }

    /// Made under another name and renamed, so that `last` always is some run.
    fn name_last(&self, run: &str) {
        if self.is_tracked("last") {
            return;
        }
        let link = self.path.join(format!("last-{run}"));
        let last = self.path.join("last");
        if symlink(Path::new("runs").join(run), &link).is_ok() && fs::rename(&link, &last).is_err()
        {
            let _ = fs::remove_file(&link);
        }
    }

    /// Which of these runs were interrupted, if nobody has been told so before.
    fn interrupted(&self, earlier: &[String]) -> Vec<String> {
        let is_news = |id: &&String| {
            let folder = self.run(id);
            let lock = folder.path.join("lock");
            // Of all that see it, one can remove it.
            lock.symlink_metadata().is_ok()
                && folder.fate() == Fate::Interrupted
                && fs::remove_file(lock).is_ok()
        };
        earlier.iter().filter(is_news).cloned().collect()
    }

    fn prune(&self) {
        for id in self.kept().into_iter().skip(KEPT) {
            let folder = self.run(&id);
            if folder.fate() != Fate::Running {
                let _ = fs::remove_dir_all(folder.path);
            }
        }
        let entries = fs::read_dir(self.runs()).into_iter().flatten().flatten();
        for entry in entries {
            let name = entry.file_name();
            let id = name.to_str().and_then(|name| name.strip_prefix(NEW));
            if id.and_then(pid_of).is_some_and(|pid| !is_alive(pid)) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
}

impl RunFolder {
    /// Where the run's events are.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.path.join(JOURNAL)
    }

    /// What became of the run.
    #[must_use]
    pub fn fate(&self) -> Fate {
        let is_complete = || journal::is_complete(&self.journal());
        let Ok(lock) = kept_file::open(&self.path.join("lock")) else {
            return if is_complete() {
                Fate::Ended
            } else {
                Fate::Interrupted
            };
        };
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        // Shared, so that two that look don't take each other for the run.
        let is_unlocked = lock.metadata().is_ok_and(|meta| meta.len() > 0);
        let is_running = match flock(&lock, FlockOperation::NonBlockingLockShared) {
            _ if is_unlocked => pid_of(&name).is_some_and(is_alive),
            Ok(()) => false,
            // Its workers hold it too, and are about to go when the run itself is gone: what they still end must not cross
            // what is done next.
            Err(rustix::io::Errno::WOULDBLOCK) => {
                pid_of(&name).is_none_or(is_alive) || !comes_free(&lock)
            }
            Err(_) => pid_of(&name).is_some_and(is_alive),
        };
        if is_running {
            Fate::Running
        } else if is_complete() {
            Fate::Ended
        } else {
            Fate::Interrupted
        }
    }

    /// The lock, for the run's workers to hold for as long as they live.
    #[must_use]
    pub fn hold(&self) -> Option<Arc<OwnedFd>> {
        let lock = self.lock.as_ref()?.try_clone().ok()?;
        Some(Arc::new(lock.into()))
    }

    /// The run is over: nothing will say that it was interrupted.
    pub fn end(mut self) {
        if self.lock.take().is_some() {
            let _ = fs::remove_file(self.path.join("lock"));
        }
    }
}

/// Waits for a lock whose holders are about to go.
fn comes_free(lock: &File) -> bool {
    const LONGEST: Duration = Duration::from_secs(10);
    const PAUSE: Duration = Duration::from_millis(5);
    let begun = Instant::now();
    while begun.elapsed() < LONGEST {
        if flock(lock, FlockOperation::NonBlockingLockShared).is_ok() {
            return true;
        }
        thread::sleep(PAUSE);
    }
    false
}

/// What no run's id is greater than, unless its clock is wrong. Clocks of machines that share what is kept differ a little.
fn latest_id() -> String {
    const AHEAD: chrono::TimeDelta = chrono::TimeDelta::minutes(10);
    let now = chrono::DateTime::<chrono::Utc>::from(SystemTime::now());
    (now + AHEAD).format("%Y%m%d-%H%M%S%.3f").to_string()
}

/// Whether this can be a run's id.
#[must_use]
pub fn is_run_id(text: &str) -> bool {
    pid_of(text).is_some()
}

/// The process of a run, from its id; none if this is no id.
fn pid_of(id: &str) -> Option<u32> {
    let (time, pid) = id.rsplit_once('-')?;
    let is_time = time.len() == "20260102-030405.678".len()
        && time
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'-' || byte == b'.');
    pid.parse().ok().filter(|_| is_time)
}

fn is_alive(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
}
