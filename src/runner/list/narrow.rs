//! Narrowing: a group's `files` and `exclude`, where the runner lists what its tool runs by itself.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::Listing;
use crate::manifest::pattern::Pattern;
use crate::plan::Item;

/// The most files that a warning names.
const MOST_NAMED: usize = 5;

impl Listing {
    /// Leaves out the tests whose file the group does not want: `paths` are the files that its patterns match. What it
    /// excludes is left out later, for all runners.
    ///
    /// A file that matches and of which the tool runs nothing is a warning: whoever named it expects tests of it.
    pub fn narrow(&mut self, patterns: &[Pattern], paths: &[PathBuf]) {
        if patterns.is_empty() {
            return;
        }
        let matching: HashSet<&Path> = paths.iter().map(PathBuf::as_path).collect();
        let file = |item: &Item| item.file.clone();
        let listed: HashSet<PathBuf> = self.items.iter().filter_map(file).collect();
        let refused: Vec<&PathBuf> = paths
            .iter()
            .filter(|path| !listed.contains(*path))
            .collect();
        if !refused.is_empty() {
            self.warnings.push(refusal(&refused));
        }
        self.items.retain(|item| {
            item.file
                .as_deref()
                .is_none_or(|file| matching.contains(file))
        });
    }
}

fn refusal(refused: &[&PathBuf]) -> String {
    let names = refused.iter().take(MOST_NAMED);
    let names: Vec<String> = names.map(|path| path.display().to_string()).collect();
    let more = refused.len() - names.len();
    let names = names.join(", ");
    let rest = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    format!("`files` matches {names}{rest}, but the runner's tool has no test there")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(files: &[&str]) -> Listing {
        let item = |file: &&str| Item::of_file(PathBuf::from(*file));
        Listing {
            items: files.iter().map(item).collect(),
            ..Listing::default()
        }
    }

    fn ids(listing: &Listing) -> Vec<&str> {
        listing.items.iter().map(|item| item.id.as_str()).collect()
    }

    fn patterns(texts: &[&str]) -> Vec<Pattern> {
        texts
            .iter()
            .map(|text| Pattern::new(text).unwrap())
            .collect()
    }

    #[test]
    fn files_keep_only_tests_of_matching_files_and_a_refused_file_is_a_warning() {
        let mut all = listing(&["a/x.js", "b/y.js"]);
        let files = patterns(&["a/*.js"]);
        all.narrow(&files, &["a/x.js".into(), "a/z.js".into()]);
        assert_eq!(ids(&all), ["a/x.js"]);
        assert_eq!(
            all.warnings,
            ["`files` matches a/z.js, but the runner's tool has no test there"]
        );
    }

    #[test]
    fn without_patterns_all_stay() {
        let mut all = listing(&["a/x.js", "b/y.js"]);
        all.narrow(&[], &[]);
        assert_eq!(ids(&all), ["a/x.js", "b/y.js"]);
        assert!(all.warnings.is_empty());
    }
}
