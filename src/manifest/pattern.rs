//! Patterns over paths and ids.

use std::fmt;
use std::path::Path;

/// The longest pattern: as long as a path can be (`PATH_MAX`).
const LONGEST: usize = 4096;

/// A pattern: `*` and `?` stay within a folder, `**` crosses folders.
///
/// Matched name by name. The whole text at once would be simpler, but a star that ends at a `/` makes that take a time that is
/// exponential in the stars before it; within a name, no star is tried again after a later one has had its turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    /// The folders that every match begins with.
    folder: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// `**`.
    Folders,
    /// The pattern of one name.
    Name(glob::Pattern),
}

impl Pattern {
    /// Parses a pattern.
    ///
    /// # Errors
    /// Why it is none, and that a path that leaves the root can't be one.
    pub fn new(text: &str) -> Result<Self, String> {
        if text.starts_with('/') || text.split('/').any(|part| part == "..") {
            return Err("a pattern is relative to the root and can't leave it".into());
        }
        if text.is_empty() {
            return Err("a pattern can't be empty".into());
        }
        if text.starts_with('!') {
            return Err(
                "a pattern can't be negated by `!`: leave files and tests out with `exclude`"
                    .into(),
            );
        }
        if has_alternatives(text) {
            return Err("alternatives in `{…}` are not known: write one pattern for each".into());
        }
        if text.len() > LONGEST {
            return Err(format!("it is longer than a path can be ({LONGEST} bytes)"));
        }
        let text = text.trim_start_matches("./");
        glob::Pattern::new(text)
            .map_err(|error| format!("{} at character {}", error.msg, error.pos + 1))?;
        let mut parts = Vec::new();
        // `**/` is `**`.
        let whole = text
            .strip_suffix("**/")
            .map_or(text, |_| &text[..text.len() - 1]);
        for name in whole.split('/') {
            let is_folders = name == "**";
            // So is `**/**`.
            if is_folders && parts.last() == Some(&Part::Folders) {
                continue;
            }
            parts.push(if is_folders {
                Part::Folders
            } else {
                // What is a pattern as a whole and none in its parts has a class with a `/` in it.
                let name = glob::Pattern::new(name);
                Part::Name(name.map_err(|_| "`/` can't be in `[\u{2026}]`")?)
            });
        }
        let literal = text.find(['*', '?', '[']).unwrap_or(text.len());
        let folder = text[..literal].rfind('/').map_or("", |end| &text[..end]);
        Ok(Self {
            text: text.to_owned(),
            folder: folder.to_owned(),
            parts,
        })
    }

    /// A pattern that is relative to a folder of the root. It may begin with `../` as often as the folder has folders above
    /// it in the root.
    ///
    /// # Errors
    /// Those of [`Pattern::new`].
    pub fn below(folder: &Path, text: &str) -> Result<Self, String> {
        let (mut folder, mut text) = (folder, text);
        while let (Some(above), Some(rest)) = (folder.parent(), text.strip_prefix("../")) {
            (folder, text) = (above, rest);
        }
        let inner = Self::new(text)?;
        if folder.as_os_str().is_empty() {
            return Ok(inner);
        }
        let names = || folder.iter().map(|name| name.to_string_lossy());
        let mut parts: Vec<Part> = names()
            .filter_map(|name| glob::Pattern::new(&glob::Pattern::escape(&name)).ok())
            .map(Part::Name)
            .collect();
        parts.extend(inner.parts);
        let folder = names().collect::<Vec<_>>().join("/");
        Ok(Self {
            text: format!("{folder}/{}", inner.text),
            folder: match inner.folder.as_str() {
                "" => folder,
                own => format!("{folder}/{own}"),
            },
            parts,
        })
    }

    /// Whether it matches a path or an id.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        // No text is left at the end, which is not the same as an empty name.
        let mut rest = Some(text);
        let mut part = 0;
        // After the last `**`: the part behind it, and what it was last tried with.
        let mut again: Option<(usize, Option<&str>)> = None;
        loop {
            match (self.parts.get(part), rest) {
                (None, None) => return true,
                (Some(Part::Folders), Some(_)) if part + 1 == self.parts.len() => return true,
                (Some(Part::Folders), _) if part + 1 < self.parts.len() => {
                    part += 1;
                    again = Some((part, rest));
                    continue;
                }
                (Some(Part::Name(pattern)), Some(text)) => {
                    let (name, after) = first_name(text);
                    if pattern.matches(name) {
                        part += 1;
                        rest = after;
                        continue;
                    }
                }
                _ => {}
            }
            // The last `**` takes one name more: an earlier one could do no better.
            let Some((behind, Some(text))) = again else {
                return false;
            };
            part = behind;
            rest = first_name(text).1;
            again = Some((behind, rest));
        }
    }

    /// Whether something in a folder, however deep, may match.
    #[must_use]
    pub fn reaches(&self, folder: &str) -> bool {
        let mut parts = self.parts.iter();
        for name in folder.split('/') {
            match parts.next() {
                Some(Part::Folders) => return true,
                Some(Part::Name(pattern)) if pattern.matches(name) => {}
                _ => return false,
            }
        }
        parts.next().is_some()
    }

    /// The folders that every match begins with, so that no other folder need be read.
    #[must_use]
    pub fn folder(&self) -> &str {
        &self.folder
    }

    /// Whether the name of a file that it matches may begin with a dot: only where the pattern says so.
    #[must_use]
    pub fn names_hidden_files(&self) -> bool {
        let name = self.text.rsplit('/').next();
        name.is_some_and(|name| name.starts_with('.'))
    }
}

/// A path's first name, and what comes after it if anything does.
fn first_name(path: &str) -> (&str, Option<&str>) {
    path.split_once('/')
        .map_or((path, None), |(name, after)| (name, Some(after)))
}

/// Whether a text has `{a,b}` in it, which other tools read as one of the two.
fn has_alternatives(text: &str) -> bool {
    let inside = text
        .split_once('{')
        .and_then(|(_, rest)| rest.split_once('}'));
    inside.is_some_and(|(inside, _)| inside.contains(','))
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn it_matches_what_the_whole_matches(pattern in "([ab.]|/|[*?]|\\*\\*/|/\\*\\*|\\[[!a]b\\]){1,8}", text in "[ab./]{0,8}") {
            let options = glob::MatchOptions {
                case_sensitive: true,
                require_literal_separator: true,
                require_literal_leading_dot: false,
            };
            if let Ok(ours) = Pattern::new(&pattern) {
                let theirs = glob::Pattern::new(pattern.trim_start_matches("./")).unwrap();
                prop_assert_eq!(ours.matches(&text), theirs.matches_with(&text, options), "{} {}", pattern, text);
            }
        }
    }

    proptest! {
        #[test]
        fn what_it_matches_is_reached(pattern in "([ab]|[*?]|\\*\\*){1,3}(/([ab]|[*?]|\\*\\*){1,3}){0,4}", text in "[ab]{1,2}(/[ab]{1,2}){0,4}") {
            if let Ok(pattern) = Pattern::new(&pattern) && pattern.matches(&text) {
                for (end, _) in text.match_indices('/') {
                    prop_assert!(pattern.reaches(&text[..end]), "{} {}", pattern, &text[..end]);
                }
            }
        }
    }

    #[test]
    fn what_it_can_not_match_in_is_not_reached() {
        let reaches = |pattern: &str, folder: &str| Pattern::new(pattern).unwrap().reaches(folder);
        assert!(reaches("tests/*.sh", "tests"));
        assert!(!reaches("tests/*.sh", "tests/deep"));
        assert!(!reaches("tests/*.sh", "src"));
        assert!(reaches("*/unit/**", "a/unit/b/c"));
        assert!(!reaches("*/unit/**", "a/b"));
    }

    #[test]
    fn no_pattern_takes_long() {
        let name = "ab".repeat(120);
        let path = format!("{}z", format!("{name}/").repeat(15));
        for pattern in [
            "*?*?*?*?*?*?*?*?*?*?*?*?*?*?x/*",
            "**/*a*b*a*b*a*b*a*b*a*bx/**/*a*b*a*bx/y",
        ] {
            assert!(!Pattern::new(pattern).unwrap().matches(&path));
        }
        assert!(Pattern::new(&"**/".repeat(1000)).unwrap().matches(&path));
        assert!(Pattern::new(&"**/".repeat(2000)).is_err());
    }

    #[test]
    fn stars_stay_in_their_folder() {
        let pattern = Pattern::new("tests/*.py").unwrap();
        assert!(pattern.matches("tests/a.py"));
        assert!(!pattern.matches("tests/b/a.py"));
        assert!(Pattern::new("tests/**/*.py").unwrap().matches("tests/a.py"));
        assert!(Pattern::new("**/a.py").unwrap().matches("x/y/a.py"));
    }

    #[test]
    fn the_folder_is_what_every_match_begins_with() {
        assert_eq!(Pattern::new("tests/db/*.sh").unwrap().folder(), "tests/db");
        assert_eq!(Pattern::new("**/a.py").unwrap().folder(), "");
        assert_eq!(Pattern::new("a/b.py").unwrap().folder(), "a");
    }

    #[test]
    fn a_pattern_of_a_folder_is_the_folders() {
        let below = |text: &str| Pattern::below(Path::new("pk[g]/api"), text).unwrap();
        let pattern = below("tests/*.py");
        assert_eq!(pattern.to_string(), "pk[g]/api/tests/*.py");
        assert_eq!(pattern.folder(), "pk[g]/api/tests");
        assert!(pattern.matches("pk[g]/api/tests/a.py"));
        assert!(!pattern.matches("tests/a.py") && !pattern.matches("pkg/api/tests/a.py"));
        assert!(pattern.reaches("pk[g]/api") && !pattern.reaches("pk[g]/web"));
        assert!(below("**").matches("pk[g]/api/x/y"));
        assert!(below("../web/*.js").matches("pk[g]/web/a.js"));
        assert!(below("../../*.py").matches("a.py"));
        assert!(Pattern::below(Path::new("a"), "../../*.py").is_err());
        assert!(Pattern::below(Path::new(""), "../*.py").is_err());
        assert_eq!(Pattern::below(Path::new(""), "*.py"), Pattern::new("*.py"));
    }

    #[test]
    fn a_pattern_never_leaves_the_root() {
        for text in ["../x", "/etc/*", "a/../../b", ""] {
            assert!(Pattern::new(text).is_err(), "{text}");
        }
    }
}
