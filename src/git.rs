//! What git knows of the repository that the root is in: which files have changed.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

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
