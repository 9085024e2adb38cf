//! Test files that belong to no group: whoever adds a folder of tests to a repository expects them to run.
//!
//! What is a test file is guessed from its name and its text, so this is never more than a note.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::files::is_passed_over;
use super::preset;
use crate::manifest::config::{GroupConfig, ItemSource};
use crate::manifest::load::FILE_NAME;
use crate::manifest::pattern::Pattern;
use crate::plan::{Item, Known};

/// How much of a file is looked at.
const MOST_BYTES: u64 = 64 << 10;

/// A kind of test files.
struct Kind {
    /// The runners that run them.
    runners: &'static [&'static str],
    /// How their names begin.
    prefixes: &'static [&'static str],
    /// How their names end.
    suffixes: &'static [&'static str],
    /// What their text holds: one of these.
    holds: &'static [&'static str],
}

const KINDS: [Kind; 8] = [
    Kind {
        runners: &["pytest", "unittest"],
        prefixes: &["test_"],
        suffixes: &[".py"],
        holds: &["def test"],
    },
    Kind {
        runners: &["pytest"],
        prefixes: &[""],
        suffixes: &["_test.py"],
        holds: &["def test"],
    },
    Kind {
        runners: &["jest", "vitest", "node", "mocha"],
        prefixes: &[""],
        suffixes: &[
            ".test.js",
            ".test.mjs",
            ".test.cjs",
            ".test.jsx",
            ".test.ts",
            ".test.mts",
            ".test.tsx",
            ".spec.js",
            ".spec.mjs",
            ".spec.cjs",
            ".spec.jsx",
            ".spec.ts",
            ".spec.mts",
            ".spec.tsx",
        ],
        holds: &["test(", "it(", "describe("],
    },
    Kind {
        runners: &["go"],
        prefixes: &[""],
        suffixes: &["_test.go"],
        holds: &["func Test"],
    },
    Kind {
        runners: &["bats"],
        prefixes: &[""],
        suffixes: &[".bats"],
        holds: &["@test"],
    },
    Kind {
        runners: &["busted"],
        prefixes: &[""],
        suffixes: &["_spec.lua"],
        holds: &["it("],
    },
    Kind {
        runners: &["prove", "tap"],
        prefixes: &[""],
        suffixes: &[".t"],
        holds: &["plan", "ok(", "Test::", "1.."],
    },
    Kind {
        runners: &["exec"],
        prefixes: &["test_", "test-"],
        suffixes: &[".sh"],
        holds: &["#!"],
    },
];

/// Folders that hold what tests use, or what is not the repository's own.
const FOREIGN: [&str; 5] = [
    "testdata",
    "fixtures",
    "__fixtures__",
    "vendor",
    "third_party",
];

/// What no group of a manifest claims.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Unclaimed {
    /// Test files, sorted by name.
    pub files: Vec<PathBuf>,
    /// Folders with a manifest of their own, sorted by name.
    pub roots: Vec<PathBuf>,
}

/// The files that the groups of a manifest claim.
#[derive(Debug, Default)]
pub struct ClaimedFiles {
    files: HashSet<PathBuf>,
    patterns: Vec<Pattern>,
    runners: HashSet<String>,
    has_commands: bool,
    /// The runners of groups that could not be listed: such a group may claim any file of its kinds.
    unlisted: HashSet<String>,
}

impl ClaimedFiles {
    /// Takes in a group, with all tests that were listed of it.
    pub fn add(&mut self, group: &GroupConfig, items: &[Item]) {
        for item in items {
            match &item.file {
                Some(file) => self.files.insert(file.clone()),
                // An item of a command may be a path.
                None => self.files.insert(normal(&group.dir.join(&item.argument))),
            };
        }
        if let ItemSource::Files { files, exclude } = &group.source {
            self.patterns.extend(files.iter().chain(exclude).cloned());
        }
        let is_preset = preset::names().any(|name| name == group.runner.name);
        self.has_commands |= !is_preset;
        let is_broken =
            |item: &Item| item.id.is_empty() && matches!(item.known, Some(Known::Broken(_)));
        if items.iter().any(is_broken) {
            self.unlisted.insert(group.runner.name.clone());
        }
        self.runners.insert(group.runner.name.clone());
    }

    /// The same where the groups that could not be listed are left out.
    #[must_use]
    pub fn without_unlisted(mut self) -> Self {
        self.unlisted.clear();
        self
    }

    /// What is below the root and no group claims.
    #[must_use]
    pub fn unclaimed(&self, root: &Path) -> Unclaimed {
        let mut found = Unclaimed::default();
        // A command may run tests of every kind that no other group is there for.
        let is_told = |kind: &&Kind| {
            let has = |of: &HashSet<String>| kind.runners.iter().any(|runner| of.contains(*runner));
            !has(&self.unlisted) && (!self.has_commands || has(&self.runners))
        };
        let kinds: Vec<&Kind> = KINDS.iter().filter(is_told).collect();
        self.folder(root, Path::new(""), &kinds, &mut found);
        found.files.sort_unstable();
        found.roots.sort_unstable();
        found
    }

    fn folder(&self, root: &Path, inside: &Path, kinds: &[&Kind], found: &mut Unclaimed) {
        let entries = fs::read_dir(root.join(inside)).into_iter().flatten();
        let entries: Vec<fs::DirEntry> = entries.flatten().collect();
        let is_below = !inside.as_os_str().is_empty();
        // Another repository, or one with a manifest of its own, is not this one's.
        let is_foreign = |name: &OsStr| {
            name == "pyvenv.cfg"
                || name == "CACHEDIR.TAG"
                || (is_below && (name == ".git" || name == FILE_NAME))
        };
        if entries.iter().any(|entry| is_foreign(&entry.file_name())) {
            if is_below && entries.iter().any(|entry| entry.file_name() == FILE_NAME) {
                found.roots.push(inside.to_owned());
            }
            return;
        }
        for entry in entries {
            let name = entry.file_name();
            let path = inside.join(&name);
            match entry.file_type() {
                Ok(kind)
                    if kind.is_dir()
                        && !is_passed_over(&name)
                        && !FOREIGN.iter().any(|foreign| name == *foreign) =>
                {
                    self.folder(root, &path, kinds, found);
                }
                Ok(kind) if kind.is_file() && self.is_unclaimed(root, &path, kinds) => {
                    found.files.push(path);
                }
                _ => {}
            }
        }
    }

    fn is_unclaimed(&self, root: &Path, path: &Path, kinds: &[&Kind]) -> bool {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let mut kinds = kinds.iter().filter(|kind| kind.is_called(&name)).peekable();
        if kinds.peek().is_none() || self.files.contains(path) {
            return false;
        }
        let text = path.to_string_lossy();
        let mut patterns = self.patterns.iter();
        !patterns.any(|pattern| pattern.matches(&text))
            && kinds.any(|kind| kind.holds_a_test(&root.join(path)))
    }
}

impl Kind {
    fn is_called(&self, name: &str) -> bool {
        !name.starts_with('.')
            && self.prefixes.iter().any(|prefix| name.starts_with(prefix))
            && self.suffixes.iter().any(|suffix| name.ends_with(suffix))
    }

    fn holds_a_test(&self, path: &Path) -> bool {
        let mut text = Vec::new();
        let read =
            fs::File::open(path).and_then(|file| file.take(MOST_BYTES).read_to_end(&mut text));
        let is_program = || {
            let meta = fs::metadata(path);
            meta.is_ok_and(|meta| meta.permissions().mode() & 0o111 != 0)
        };
        if read.is_err() || (self.runners == ["exec"] && !is_program()) {
            return false;
        }
        // `TestMain` is not a test.
        let text = String::from_utf8_lossy(&text).replace("func TestMain(", "");
        self.holds.iter().any(|word| text.contains(word))
    }
}

/// A path without `.` in it.
fn normal(path: &Path) -> PathBuf {
    path.components()
        .filter(|component| !matches!(component, std::path::Component::CurDir))
        .collect()
}
