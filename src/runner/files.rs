//! The walk: the files of all groups of a run, found in one look at the tree.
//!
//! A folder is read once, whoever wants files of it, and only if some pattern can match below it: a pattern says name by name
//! what its folders may be called, up to its first `**`. Folders that hold no tests of the repository (hidden ones, virtual
//! environments, caches) are passed over by all patterns but those that name them.

use std::ffi::OsStr;
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

/// What the walk found for a group.
#[derive(Clone, Debug, Default)]
pub struct Files {
    /// The files that it wants, sorted by name.
    pub paths: Vec<PathBuf>,
    /// Which of its patterns match a file.
    pub matched: Vec<bool>,
    /// The patterns of `exclude` that have left out a file.
    pub excluded: Vec<Pattern>,
    /// Links to folders that hold files which match, and that are not followed: each with the pattern.
    pub links: Vec<(PathBuf, Pattern)>,
    /// Links that match and lead to nothing.
    pub dangling: Vec<PathBuf>,
}

/// The files of each group. One that has none in its manifest has none here.
#[must_use]
pub fn of_groups(root: &Path, groups: &[Arc<GroupConfig>]) -> Vec<Files> {
    let wanted = groups.iter().map(|group| match &group.source {
        ItemSource::Files { files, exclude } => Wanted { files, exclude },
        _ => Wanted::default(),
    });
    walk(root, &wanted.collect::<Vec<_>>())
}

/// The files below the root that each one wants, sorted by name.
#[must_use]
pub fn find(root: &Path, wanted: &[Wanted<'_>]) -> Vec<Vec<PathBuf>> {
    let found = walk(root, wanted).into_iter();
    found.map(|files| files.paths).collect()
}

/// The patterns that no file below the root matches.
#[must_use]
pub fn without_match<'a>(root: &Path, patterns: &'a [Pattern]) -> Vec<&'a Pattern> {
    let wanted = Wanted {
        files: patterns,
        exclude: &[],
    };
    let files = walk(root, &[wanted]).into_iter().next().unwrap_or_default();
    let patterns = patterns.iter().zip(files.matched);
    patterns
        .filter_map(|(pattern, is_matched)| (!is_matched).then_some(pattern))
        .collect()
}

fn walk(root: &Path, wanted: &[Wanted<'_>]) -> Vec<Files> {
    let files = |wanted: &Wanted<'_>| Files {
        matched: vec![false; wanted.files.len()],
        ..Files::default()
    };
    let mut walk = Walk {
        wanted,
        found: wanted.iter().map(files).collect(),
        links: Vec::new(),
    };
    let groups = wanted.iter().enumerate();
    let patterns: Vec<Live<'_>> = groups
        .flat_map(|(group, wanted)| {
            let patterns = wanted.files.iter().enumerate();
            patterns.map(move |(index, pattern)| Live {
                group,
                index,
                pattern,
            })
        })
        .collect();
    if !patterns.is_empty() {
        walk.folder(root, Path::new(""), &patterns);
    }
    for files in &mut walk.found {
        files.paths.sort_unstable();
    }
    walk.look_behind_links(root);
    for files in &mut walk.found {
        // A folder names its entries in any order.
        files.links.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    }
    walk.found
}

/// A pattern that may match below a folder.
#[derive(Clone, Copy)]
struct Live<'a> {
    group: usize,
    /// Its number in the group.
    index: usize,
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
    found: Vec<Files>,
    /// Links to folders that were not followed, with the patterns that reach into them.
    links: Vec<(PathBuf, Vec<Live<'a>>)>,
}

impl<'a> Walk<'a> {
    /// Looks at a folder, `inside` the root. One that can't be read holds nothing that could be run.
    fn folder(&mut self, path: &Path, inside: &Path, live: &[Live<'a>]) {
        let Ok(entries) = fs::read_dir(path) else {
            return;
        };
        // Read to its end before any other is: a deep tree costs no descriptors.
        let entries: Vec<fs::DirEntry> = entries.flatten().collect();
        let mut live = live.to_vec();
        if entries.iter().any(is_mark) {
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
                let is_hidden = is_passed_over(&entry.file_name());
                let mut below = live.clone();
                below.retain(|live| {
                    live.pattern.reaches(&text) && (!is_hidden || live.names(&inside))
                });
                // A link is followed where it is named, and nowhere else: it may lead round in a circle.
                if kind.is_symlink() {
                    let (named, others) = below.into_iter().partition(|live| live.names(&inside));
                    below = named;
                    let others: Vec<Live<'a>> = others;
                    if !others.is_empty() && entry.path().is_dir() {
                        self.links.push((inside.clone(), others));
                    }
                }
                if !below.is_empty() {
                    self.folder(&entry.path(), &inside, &below);
                }
            }
        }
    }

    fn file(&mut self, entry: &fs::DirEntry, is_link: bool, inside: &Path, live: &[Live<'a>]) {
        let text = inside.to_string_lossy();
        let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        let matching = live
            .iter()
            .filter(|live| live.pattern.matches(&text))
            // As in a shell: `._a.sh` and `.#a.sh` are what other programs leave beside `a.sh`.
            .filter(|live| !is_hidden || live.pattern.names_hidden_files());
        let mut taken = None;
        for Live { group, index, .. } in matching {
            let files = &mut self.found[*group];
            // One of a group's patterns is enough; they stand together.
            if taken == Some(*group) {
                files.matched[*index] = true;
                continue;
            }
            // A link may name a folder, or nothing.
            if is_link && !entry.path().is_file() {
                if !entry.path().exists() {
                    files.dangling.push(inside.to_owned());
                }
                return;
            }
            files.matched[*index] = true;
            taken = Some(*group);
            let mut exclude = self.wanted[*group].exclude.iter();
            match exclude.find(|pattern| pattern.matches(&text)) {
                None => files.paths.push(inside.to_owned()),
                Some(pattern) if !files.excluded.contains(pattern) => {
                    files.excluded.push(pattern.clone());
                }
                Some(_) => {}
            }
        }
    }

    /// Looks which of the links that were not followed hide files that a group wants, and does not find elsewhere.
    fn look_behind_links(&mut self, root: &Path) {
        let links = std::mem::take(&mut self.links);
        let Ok(real_root) = root.canonicalize() else {
            return;
        };
        for (link, live) in links {
            let mut left = MOST_BEHIND_A_LINK;
            let mut missed: Vec<Live<'a>> = Vec::new();
            behind(root, &link, &mut left, &mut |path| {
                let text = path.to_string_lossy();
                for live in &live {
                    let exclude = self.wanted[live.group].exclude;
                    if missed.iter().any(|known| known.group == live.group)
                        || !live.pattern.matches(&text)
                        || exclude.iter().any(|pattern| pattern.matches(&text))
                    {
                        continue;
                    }
                    let real = root.join(path).canonicalize().ok();
                    let real = real
                        .as_ref()
                        .and_then(|real| real.strip_prefix(&real_root).ok());
                    let found = &self.found[live.group].paths;
                    let is_found = |path: &Path| {
                        let place = found.binary_search_by(|known| known.as_path().cmp(path));
                        place.is_ok()
                    };
                    if !is_found(path) && !real.is_some_and(is_found) {
                        missed.push(*live);
                    }
                }
            });
            for live in missed {
                let missed = (link.clone(), live.pattern.clone());
                self.found[live.group].links.push(missed);
            }
        }
    }
}

/// How many files and folders behind a link are looked at: the target may be any folder of the machine.
const MOST_BEHIND_A_LINK: usize = 2_000;

/// The files in a folder and below it, without those behind further links.
fn behind(root: &Path, inside: &Path, left: &mut usize, see: &mut dyn FnMut(&Path)) {
    let entries = fs::read_dir(root.join(inside)).into_iter().flatten();
    let entries: Vec<fs::DirEntry> = entries.flatten().take(*left).collect();
    *left -= entries.len();
    if entries.iter().any(is_mark) {
        return;
    }
    for entry in entries {
        let path = inside.join(entry.file_name());
        if is_passed_over(&entry.file_name()) {
            continue;
        }
        match entry.file_type() {
            Ok(kind) if kind.is_file() => see(&path),
            Ok(kind) if kind.is_dir() => behind(root, &path, left, see),
            _ => {}
        }
    }
}

/// Whether a file marks its folder as one that holds no tests of the repository: a virtual environment, a cache
/// (<https://bford.info/cachedir/>).
fn is_mark(entry: &fs::DirEntry) -> bool {
    let name = entry.file_name();
    name == "pyvenv.cfg" || name == "CACHEDIR.TAG"
}

/// Whether a folder holds no tests of the repository, by its name; others are recognised by what is in them.
pub(crate) fn is_passed_over(name: &OsStr) -> bool {
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
    fn hidden_files_are_found_where_a_pattern_names_them() {
        let root = tree(&["a/t.sh", "a/._t.sh", "a/.t.sh"]);
        let groups: [&[&str]; 4] = [&["a/*.sh"], &["a/.*.sh"], &["a/.t.sh"], &["a/**"]];
        let all = found(root.path(), &groups);
        assert_eq!(all[0], ["a/t.sh"]);
        assert_eq!(all[1], ["a/._t.sh", "a/.t.sh"]);
        assert_eq!(all[2], ["a/.t.sh"]);
        assert_eq!(all[3], ["a/t.sh"]);
    }

    #[test]
    fn a_link_that_hides_files_is_reported_unless_they_are_found_elsewhere() {
        let root = tree(&[
            "a/t.sh",
            "b/t.sh",
            "c/deep/t.sh",
            "d/t.py",
            "e/t.sh",
            "e/pyvenv.cfg",
        ]);
        for name in ["b", "c", "d", "e", "nothing"] {
            symlink(format!("../{name}"), root.path().join("a").join(name)).unwrap();
        }
        symlink("../a", root.path().join("a/round")).unwrap();
        let parse = |text: &&str| Pattern::new(text).unwrap();
        let links = |files: &[&str], exclude: &[&str]| {
            let files: Vec<Pattern> = files.iter().map(parse).collect();
            let exclude: Vec<Pattern> = exclude.iter().map(parse).collect();
            let wanted = Wanted {
                files: &files,
                exclude: &exclude,
            };
            let found = walk(root.path(), &[wanted]).remove(0);
            let shown = |(link, _): &(PathBuf, Pattern)| link.display().to_string();
            found.links.iter().map(shown).collect::<Vec<_>>()
        };
        assert_eq!(links(&["a/**/*.sh"], &[]), ["a/b", "a/c"]);
        assert_eq!(links(&["a/**/*.sh"], &["a/b/**"]), ["a/c"]);
        assert_eq!(links(&["a/**/*.sh", "a/c/**/*.sh"], &["a/b/**"]), [""; 0]);
        assert_eq!(links(&["**/*.sh"], &[]), [""; 0]);
        assert_eq!(links(&["a/*.sh"], &[]), [""; 0]);
    }

    #[test]
    fn patterns_that_match_nothing_and_those_that_leave_something_out_are_known() {
        let root = tree(&["a/t.sh", "a/fixtures/t.sh"]);
        let parse = |text: &&str| Pattern::new(text).unwrap();
        let files: Vec<Pattern> = ["a/**/*.sh", "a/t.sh", "b/*.sh"]
            .iter()
            .map(parse)
            .collect();
        let exclude: Vec<Pattern> = ["**/fixtures/**", "**/gone/**"].iter().map(parse).collect();
        let wanted = Wanted {
            files: &files,
            exclude: &exclude,
        };
        let found = walk(root.path(), &[wanted]).remove(0);
        assert_eq!(found.matched, [true, true, false]);
        assert_eq!(found.excluded, exclude[..1]);
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
