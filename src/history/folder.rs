//! `.fastest/` at the root: ignored by git, safe to delete.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// How many runs are kept.
const KEPT: usize = 20;

/// The folder.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
}

/// The folder of one run.
#[derive(Clone, Debug)]
pub struct RunFolder {
    path: PathBuf,
}

impl Folder {
    /// The folder of a root; nothing is written yet.
    #[must_use]
    pub fn of(root: &Path) -> Self {
        Self {
            path: root.join(".fastest"),
        }
    }

    /// Where durations and outcomes are.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.path.join("history.db")
    }

    /// Makes it and a run's folder, and takes away those of old runs.
    ///
    /// # Errors
    /// It can't be written.
    pub fn begin(&self, run: &str) -> io::Result<RunFolder> {
        let runs = self.path.join("runs");
        fs::create_dir_all(&runs)?;
        let ignore = self.path.join(".gitignore");
        if !ignore.exists() {
            fs::write(ignore, "*\n")?;
        }
        let path = runs.join(run);
        fs::create_dir(&path)?;
        // Made under another name and renamed, so that `last` always is some run.
        let link = self.path.join(format!("last-{run}"));
        if symlink(Path::new("runs").join(run), &link).is_ok() {
            let _ = fs::rename(&link, self.path.join("last"));
        }
        let mut old: Vec<PathBuf> = fs::read_dir(&runs)?
            .flatten()
            .map(|entry| entry.path())
            .collect();
        // Ids begin with the time, so the order of names is the order of runs.
        old.sort();
        for folder in old.iter().rev().skip(KEPT) {
            let _ = fs::remove_dir_all(folder);
        }
        Ok(RunFolder { path })
    }
}

impl RunFolder {
    /// Where the run's events are.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.path.join("journal.jsonl")
    }
}
