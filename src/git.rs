//! What git knows of the repository that the root is in: which files have changed.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use memchr::memmem;

use crate::plan::Changed;

/// Why git can't say what has changed.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// There is no git.
    #[error("`--changed` asks git, which can't be started: {0}")]
    Missing(std::io::Error),
    /// It knows no such commit, or of no repository.
    #[error("`--changed`: {why}")]
    Refused {
        /// What.
        why: String,
        /// What to do about it.
        hint: &'static str,
    },
}

/// The path of a folder within its work tree; empty for the top of one, and where there is none. It is looked for and not asked
/// for: nothing of a repository is run to know it.
#[must_use]
pub fn place(folder: &Path) -> PathBuf {
    let mut above = folder.ancestors();
    let top = above.find(|folder| folder.join(".git").exists());
    let inside = top.and_then(|top| folder.strip_prefix(top).ok());
    inside.unwrap_or(Path::new("")).to_owned()
}

/// The files below the root that are other than in a commit, committed since or not, and those that are not tracked and not
/// ignored.
///
/// # Errors
/// There is no git, no repository, or no such commit.
pub fn changed(root: &Path, since: &str) -> Result<Changed, GitError> {
    let inside = git(root, ["rev-parse", "--is-inside-work-tree"].map(OsStr::new))?;
    if !inside.status.success() || inside.stdout.trim_ascii() != b"true" {
        return Err(GitError::Refused {
            why: format!(
                "git knows of no work tree at {}{}",
                root.display(),
                told(&inside)
            ),
            hint: "`git init` makes a repository; without one, name the tests by path or id",
        });
    }
    // A name may begin with a dash; a commit's own number never does.
    let commit = OsString::from(format!("{since}^{{commit}}"));
    let verify = ["rev-parse", "--verify", "--quiet", "--end-of-options"].map(OsStr::new);
    let commit = git(root, verify.into_iter().chain([commit.as_os_str()]))?;
    if !commit.status.success() {
        return Err(GitError::Refused {
            why: format!("git knows no commit {since:?}"),
            hint: "name a branch, a tag or a commit, as in `--changed=main`; in a shallow clone, fetch it first",
        });
    }
    let commit = OsStr::from_bytes(commit.stdout.trim_ascii()).to_owned();
    // A file that was renamed has changed under both names.
    let diff = [
        "diff",
        "--name-only",
        "-z",
        "--no-renames",
        "--no-ext-diff",
        "--no-textconv",
        "--relative",
    ];
    let diff = diff.map(OsStr::new).into_iter();
    let diff = list(root, diff.chain([commit.as_os_str(), OsStr::new("--")]))?;
    let untracked = ["ls-files", "-z", "--others", "--exclude-standard"].map(OsStr::new);
    let untracked = list(root, untracked)?;
    let (folders, files) = diff
        .into_iter()
        .chain(untracked)
        .partition(|path| is_folder(&root.join(path)));
    Ok(Changed {
        since: since.to_owned(),
        files,
        folders,
    })
}

/// The paths below a name at the root, and the name itself, that git tracks. Few repositories have any, so git is only asked where
/// its index may have one.
///
/// # Errors
/// There may be some, and git can't say.
pub fn tracked(root: &Path, name: &str) -> Result<Vec<PathBuf>, GitError> {
    if !may_track(root, name) {
        return Ok(Vec::new());
    }
    let words = ["ls-files", "-z", "--", name];
    list(root, words.map(OsStr::new))
}

/// Whether the index of a repository may have a path with this name in it: `false` is certain (gitformat-index(5)).
fn may_track(root: &Path, name: &str) -> bool {
    let mut above = root.ancestors().map(|folder| folder.join(".git"));
    let Some(dot_git) = above.find(|path| path.exists()) else {
        return false;
    };
    let git = if dot_git.is_dir() {
        Some(dot_git)
    } else {
        let text = fs::read_to_string(&dot_git).unwrap_or_default();
        let beside = text.trim().strip_prefix("gitdir: ");
        beside.map(|path| dot_git.with_file_name("").join(path))
    };
    let Some(git) = git else { return true };
    let index = match fs::read(git.join("index")) {
        // Nothing was ever added.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return false,
        Err(_) => return true,
        Ok(index) => index,
    };
    // From version 4 on, names are shortened; a part of a split index is in a file of its own.
    let is_plain = matches!(index.get(..8), Some(b"DIRC\0\0\0\x02" | b"DIRC\0\0\0\x03"));
    let entries = fs::read_dir(&git).into_iter().flatten().flatten();
    let mut names = entries.map(|entry| entry.file_name());
    let is_split = names.any(|name| name.as_bytes().starts_with(b"sharedindex."));
    !is_plain || is_split || memmem::find(&index, name.as_bytes()).is_some()
}

/// A link to a folder is a file to git.
fn is_folder(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|meta| meta.is_dir())
}

/// The paths that git lists.
fn list<'a>(
    root: &Path,
    words: impl IntoIterator<Item = &'a OsStr>,
) -> Result<Vec<PathBuf>, GitError> {
    let output = git(root, words)?;
    if !output.status.success() {
        return Err(GitError::Refused {
            why: format!("git can't list what changed{}", told(&output)),
            hint: "see that `git status` works there",
        });
    }
    let names = output.stdout.split(|byte| *byte == 0);
    let names = names.filter(|name| !name.is_empty());
    Ok(names
        .map(|name| OsStr::from_bytes(name.strip_suffix(b"/").unwrap_or(name)).into())
        .collect())
}

/// Settings for looking at a repository that a stranger may have written.
const HARMLESS: [&str; 4] = [
    // A folder that only looks like a repository is not taken for one (`safe.bareRepository`, git-config(1)).
    "safe.bareRepository=explicit",
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "diff.external=",
];

fn git<'a>(root: &Path, words: impl IntoIterator<Item = &'a OsStr>) -> Result<Output, GitError> {
    let mut command = Command::new("git");
    // The repository is input, and its configuration may name programs: none of them is started.
    for setting in HARMLESS {
        command.args(["-c", setting]);
    }
    // Inside a git hook these name another repository, or more programs.
    for (name, _) in std::env::vars_os() {
        if name.as_bytes().starts_with(b"GIT_") {
            command.env_remove(name);
        }
    }
    command
        .arg("-C")
        .arg(root)
        .args(words)
        // It only looks: another git may hold the index just now.
        .env("GIT_OPTIONAL_LOCKS", "0")
        .stdin(Stdio::null())
        .output()
        .map_err(GitError::Missing)
}

/// What git said of it, in one line.
fn told(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    match text.lines().next() {
        Some(line) => format!(" ({line})"),
        None => String::new(),
    }
}
