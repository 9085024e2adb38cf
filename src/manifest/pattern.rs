//! Patterns over paths and ids.

use std::fmt;

/// A pattern: `*` and `?` stay within a folder, `**` crosses folders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(glob::Pattern);

const OPTIONS: glob::MatchOptions = glob::MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: false,
};

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
        glob::Pattern::new(text.trim_start_matches("./"))
            .map(Self)
            .map_err(|error| format!("{} at character {}", error.msg, error.pos + 1))
    }

    /// Whether it matches a path or an id.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.0.matches_with(text, OPTIONS)
    }

    /// The folders that every match begins with, so that no other folder need be read.
    #[must_use]
    pub fn folder(&self) -> &str {
        let text = self.0.as_str();
        let literal = text.find(['*', '?', '[']).unwrap_or(text.len());
        text[..literal].rfind('/').map_or("", |end| &text[..end])
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_pattern_never_leaves_the_root() {
        for text in ["../x", "/etc/*", "a/../../b", ""] {
            assert!(Pattern::new(text).is_err(), "{text}");
        }
    }
}
