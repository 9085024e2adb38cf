//! The walk: the files of all groups of a run, found in one look at the tree.
//!
//! A folder is read once, whoever wants files of it, and only if some pattern can match below it: a pattern says name by name
//! what its folders may be called, up to its first `**`. Folders that hold no tests of the repository (hidden ones, virtual
//! environments, caches) are passed over by all patterns but those that name them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::manifest::config::{GroupConfig, ItemSource};
use crate::manifest::pattern::Pattern;

/// What one group wants.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    /// What its files match.
    pub files: &'a [Pattern],
    /// What they don't.
    pub exclude: &'a [Pattern],
}

/// The files of each group. One that has none in its manifest has none here.
#[must_use]
pub fn of_groups(root: &Path, groups: &[Arc<GroupConfig>]) -> Vec<Vec<PathBuf>> {
    let wanted = groups.iter().map(|group| match &group.source {
        ItemSource::Files { files, exclude } => Wanted { files, exclude },
        _ => Wanted::default(),
    });
    find(root, &wanted.collect::<Vec<_>>())
}

/// The files below the root that each one wants, sorted by name.
#[must_use]
pub fn find(root: &Path, wanted: &[Wanted<'_>]) -> Vec<Vec<PathBuf>> {
    let mut walk = Walk {
        wanted,
        found: vec![Vec::new(); wanted.len()],
    };
    let groups = wanted.iter().enumerate();
    let patterns: Vec<Live<'_>> = groups
        .flat_map(|(group, wanted)| {
            wanted
                .files
                .iter()
                .map(move |pattern| Live { group, pattern })
        })
        .collect();
    if !patterns.is_empty() {
        walk.folder(root, Path::new(""), &patterns);
    }
    for paths in &mut walk.found {
        paths.sort_unstable();
    }
    walk.found
}

/// A pattern that may match below a folder.
#[derive(Clone, Copy)]
struct Live<'a> {
    group: usize,
    pattern: &'a Pattern,
}

impl Live<'_> {
    /// Whether it names a folder, or one in it.
    fn names(&self, folder: &Path) -> bool {
        Path::new(self.pattern.folder()).starts_with(folder)
    }
}

struct Walk<'a> {
    wanted: &'a [Wanted<'a>],
    found: Vec<Vec<PathBuf>>,
}

impl Walk<'_> {
    /// Looks at a folder, `inside` the root. One that can't be read holds nothing that could be run.
    fn folder(&mut self, path: &Path, inside: &Path, live: &[Live<'_>]) {
        let Ok(entries) = fs::read_dir(path) else {
            return;
        };
        // Read to its end before any other is: a deep tree costs no descriptors.
        let entries: Vec<fs::DirEntry> = entries.flatten().collect();
        let is_marked = entries.iter().any(|entry| {
            let name = entry.file_name();
            name == "pyvenv.cfg" || name == "CACHEDIR.TAG"
        });
        let mut live = live.to_vec();
        if is_marked {
            live.retain(|live| live.names(inside));
        }
        for entry in entries {
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            let inside = inside.join(entry.file_name());
            if kind.is_file() || kind.is_symlink() {
                self.file(&entry, kind.is_symlink(), &inside, &live);
            }
            if kind.is_dir() || kind.is_symlink() {
                let text = inside.to_string_lossy();
                // A link is followed where it is named, and nowhere else: it may lead round in a circle.
                let must_be_named = kind.is_symlink() || is_passed_over(&entry);
                let mut below = live.clone();
                below.retain(|live| {
                    live.pattern.reaches(&text) && (!must_be_named || live.names(&inside))
                });
                if !below.is_empty() {
                    self.folder(&entry.path(), &inside, &below);
                }
            }
        }
    }

    fn file(&mut self, entry: &fs::DirEntry, is_link: bool, inside: &Path, live: &[Live<'_>]) {
        let text = inside.to_string_lossy();
        let mut last = None;
        for Live { group, pattern } in live {
            if last == Some(*group) || !pattern.matches(&text) {
                continue;
            }
            // One of a group's patterns is enough; they stand together.
            last = Some(*group);
            let mut exclude = self.wanted[*group].exclude.iter();
            // A link may name a folder, or nothing.
            if !exclude.any(|pattern| pattern.matches(&text))
                && (!is_link || entry.path().is_file())
            {
                self.found[*group].push(inside.to_owned());
            }
        }
    }
}

/// Folders that hold no tests of the repository by their names; others are told by what is in them: virtual environments,
/// caches (<https://bford.info/cachedir/>).
fn is_passed_over(entry: &fs::DirEntry) -> bool {
    let name = entry.file_name();
    name.as_encoded_bytes().starts_with(b".") || name == "node_modules" || name == "__pycache__"
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        root
    }

    /// What each group of patterns finds.
    fn found(root: &Path, groups: &[&[&str]]) -> Vec<Vec<String>> {
        let parse = |texts: &&[&str]| -> Vec<Pattern> {
            texts
                .iter()
                .map(|text| Pattern::new(text).unwrap())
                .collect()
        };
        let patterns: Vec<Vec<Pattern>> = groups.iter().map(parse).collect();
        let wanted = patterns.iter().map(|files| Wanted {
            files,
            exclude: &[],
        });
        let found = find(root, &wanted.collect::<Vec<_>>());
        let names = |paths: Vec<PathBuf>| {
            paths
                .iter()
                .map(|path| path.display().to_string())
                .collect()
        };
        found.into_iter().map(names).collect()
    }

    #[test]
    fn caches_and_hidden_folders_are_passed_over_unless_they_are_named() {
        let root = tree(&[
            "a/t.sh",
            "a/b/t.sh",
            ".hid/t.sh",
            ".hid/in/.deep/t.sh",
            "node_modules/t.sh",
            "target/t.sh",
            "target/CACHEDIR.TAG",
            "v/t.sh",
            "v/pyvenv.cfg",
        ]);
        let groups: [&[&str]; 5] = [
            &["**/t.sh"],
            &[".hid/*.sh"],
            &[".hid/**/*.sh", "**/b/*.sh"],
            &["target/*.sh", "v/**"],
            &["a/t.sh", "a/*.sh", "gone/*.sh"],
        ];
        let all = found(root.path(), &groups);
        assert_eq!(all[0], ["a/b/t.sh", "a/t.sh"]);
        assert_eq!(all[1], [".hid/t.sh"]);
        assert_eq!(all[2], [".hid/t.sh", "a/b/t.sh"]);
        assert_eq!(all[3], ["target/t.sh", "v/pyvenv.cfg", "v/t.sh"]);
        assert_eq!(all[4], ["a/t.sh"]);
        // Together they find what each finds alone.
        for (group, together) in groups.iter().zip(&all) {
            assert_eq!(&found(root.path(), &[group])[0], together);
        }
    }

    #[test]
    fn links_to_files_are_files_and_links_to_folders_are_followed_where_they_are_named() {
        let root = tree(&["a/t.sh", "b/c/t.sh"]);
        symlink("t.sh", root.path().join("a/link.sh")).unwrap();
        symlink("nothing", root.path().join("a/dead.sh")).unwrap();
        symlink("..", root.path().join("a/up.sh")).unwrap();
        symlink("../b", root.path().join("a/to")).unwrap();
        let groups: [&[&str]; 3] = [
            &["a/**/*.sh"],
            &["a/to/c/*.sh"],
            &["a/up.sh/a/up.sh/a/*.sh"],
        ];
        let all = found(root.path(), &groups);
        assert_eq!(all[0], ["a/link.sh", "a/t.sh"]);
        assert_eq!(all[1], ["a/to/c/t.sh"]);
        assert_eq!(
            all[2],
            ["a/up.sh/a/up.sh/a/link.sh", "a/up.sh/a/up.sh/a/t.sh"]
        );
    }
}
