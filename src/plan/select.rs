//! Selection: which of the listed items run.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{Expression, Item, Known, full_id};
use crate::manifest::pattern::Pattern;

/// What was asked for on the command line, for every group.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Paths and ids; none selects everything.
    pub selectors: Vec<Selector>,
    /// `--exclude`.
    pub exclude: Vec<Exclusion>,
    /// `-k`, in lower case.
    pub words: Option<Expression>,
    /// `-m`.
    pub tags: Option<Expression>,
    /// `--failed`.
    pub failed: bool,
    /// `--changed`.
    pub changed: Option<Changed>,
}

impl Selection {
    /// Whether it selects everything, but for what is excluded by name.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.selectors.is_empty()
            && self.words.is_none()
            && self.tags.is_none()
            && !self.failed
            && self.changed.is_none()
    }

    /// Whether it leaves a whole group out, so that its tests need not be listed.
    #[must_use]
    pub fn excludes_group(&self, group: &str) -> bool {
        let mut exclude = self.exclude.iter();
        exclude.any(|exclusion| exclusion.name.written == group)
    }

    /// Whether an item of a group is selected. `is_touched` is whether an input of the whole group has changed; what is
    /// excluded and what failed is for [`Exclusion::of`] and the history to say.
    #[must_use]
    pub fn selects(&self, group: &str, is_touched: bool, item: &Item) -> bool {
        // What can't be listed is not passed over because its tests' names are not known.
        if let Some(Known::Broken(_)) = item.known {
            return item.id.is_empty() || self.names(group, item);
        }
        self.names(group, item)
            && self.words.as_ref().is_none_or(|expression| {
                let names = names(group, item);
                expression.holds(&|word| names.contains(word))
            })
            && self.tags.as_ref().is_none_or(|expression| {
                expression.holds(&|word| item.tags.iter().any(|tag| tag == word))
            })
            && self
                .changed
                .as_ref()
                .is_none_or(|changed| is_touched || changed.has(item))
    }

    /// Whether one of the paths and ids names it, if there are any.
    fn names(&self, group: &str, item: &Item) -> bool {
        let mut selectors = self.selectors.iter();
        self.selectors.is_empty() || selectors.any(|selector| selector.selects(group, item))
    }
}

/// The files that have changed, by their paths below the root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// Since when, for messages.
    pub since: String,
    /// Their paths.
    pub files: BTreeSet<PathBuf>,
    /// Repositories within the repository in which something has changed: what, is not known.
    pub folders: BTreeSet<PathBuf>,
}

impl Changed {
    /// Whether an item's own file is one of them. An item without a file may be called as one.
    #[must_use]
    pub fn has(&self, item: &Item) -> bool {
        let path = item.file.as_deref().unwrap_or(Path::new(&item.argument));
        self.files.contains(path) || path.ancestors().any(|path| self.folders.contains(path))
    }

    /// Whether one of them matches a pattern, or may do so.
    #[must_use]
    pub fn touches(&self, patterns: &[Pattern]) -> bool {
        let file = |path: &PathBuf| {
            let text = path.to_string_lossy();
            patterns.iter().any(|pattern| pattern.matches(&text))
        };
        let folder = |path: &PathBuf| {
            let mut within = patterns.iter().map(|pattern| Path::new(pattern.folder()));
            within.any(|within| within.starts_with(path) || path.starts_with(within))
        };
        self.files.iter().any(file) || self.folders.iter().any(folder)
    }
}

/// What `--exclude` names: an item, as a selector does, or else what a pattern matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exclusion {
    /// It as a path or an id. Ids may look like patterns: `tests/a.py::test_x[1]`.
    pub name: Selector,
    /// It as a pattern over files and ids, if it is one.
    pub pattern: Option<Pattern>,
}

impl Exclusion {
    /// Whether each of these items is excluded: all that it names, or if it names none, all that its pattern matches.
    #[must_use]
    pub fn of(&self, items: &[(&str, &Item)]) -> Vec<bool> {
        let by_name = |(group, item): &(&str, &Item)| self.name.selects(group, item);
        let named: Vec<bool> = items.iter().map(by_name).collect();
        match &self.pattern {
            Some(pattern) if !named.contains(&true) => {
                let by_pattern = |(group, item): &(&str, &Item)| {
                    let file = item.file.as_ref().map(|file| file.to_string_lossy());
                    file.is_some_and(|file| pattern.matches(&file))
                        || pattern.matches(&item.id)
                        || pattern.matches(&full_id(group, &item.id))
                };
                items.iter().map(by_pattern).collect()
            }
            _ => named,
        }
    }
}

/// A path or an id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    /// As it was written, for messages.
    pub written: String,
    /// A path relative to the root, `""` for the root itself; `None` where nothing of that name exists.
    pub path: Option<String>,
}

impl Selector {
    /// Whether it names an item, by file, by folder, by id, or by the beginning of an id up to a `::`.
    #[must_use]
    pub fn selects(&self, group: &str, item: &Item) -> bool {
        if let Some(path) = &self.path {
            let file = item.file.as_ref().map(|file| file.to_string_lossy());
            let within = |file: &str| {
                path.is_empty()
                    || file
                        .strip_prefix(path.as_str())
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            if file.is_some_and(|file| within(&file)) {
                return true;
            }
        }
        let begins = |id: &str, with: &str| {
            id.strip_prefix(with).is_some_and(|rest| {
                rest.is_empty() || rest.starts_with("::") || rest.starts_with('[')
            })
        };
        begins(&item.id, &self.written) || begins(&full_id(group, &item.id), &self.written)
    }
}

/// What `-k` looks in, in lower case: the names that the runner's own `-k` would look in, or else the id and the tags. No
/// word has a line's end in it, so none can be in two of them.
fn names<'a>(group: &str, item: &'a Item) -> Cow<'a, str> {
    if let Some(keywords) = &item.keywords {
        return Cow::Borrowed(keywords);
    }
    // A group that is its one test is called as the group.
    let id = if item.id.is_empty() { group } else { &item.id };
    let names = std::iter::once(id).chain(item.tags.iter().map(String::as_str));
    Cow::Owned(names.collect::<Vec<_>>().join("\n").to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selects(words: Option<&str>, tags: Option<&str>, item: &Item) -> bool {
        let parse = |text| Expression::parse(text).unwrap();
        let selection = Selection {
            words: words.map(|text| parse(text).in_lower_case()),
            tags: tags.map(parse),
            ..Selection::default()
        };
        selection.selects("unit", false, item)
    }

    #[test]
    fn words_are_parts_of_the_keywords_or_else_of_id_and_tags() {
        let plain = Item {
            tags: vec!["Slow".into()],
            ..Item::plain("tests/a.py::test_Login[x]".into())
        };
        for word in ["login", "a.py::TEST", "sts/a", "slow"] {
            assert!(selects(Some(word), None, &plain), "{word}");
        }
        // The group is chosen with `--group`.
        assert!(!selects(Some("unit"), None, &plain));
        assert!(selects(Some("unit"), None, &Item::plain(String::new())));
        let told = Item {
            keywords: Some("a.py\ntest_login[x]".into()),
            ..plain
        };
        assert!(selects(Some("LOGIN and a.py"), None, &told));
        for word in ["a.py::test", "tests", "slow"] {
            assert!(!selects(Some(word), None, &told), "{word}");
        }
    }

    #[test]
    fn tags_are_whole_and_in_their_case() {
        let item = Item {
            tags: vec!["slow".into(), "net".into()],
            ..Item::plain("slower".into())
        };
        for (expression, expected) in [
            ("slow", true),
            ("Slow", false),
            ("slo", false),
            ("slower", false),
            ("slow and net and not db", true),
            ("not (slow or db)", false),
        ] {
            assert_eq!(
                selects(None, Some(expression), &item),
                expected,
                "{expression}"
            );
        }
    }

    #[test]
    fn paths_ids_and_their_beginnings_select() {
        let item = Item {
            file: Some("tests/a.py".into()),
            ..Item::plain("tests/a.py::TestX::test_y[1]".into())
        };
        let selects = |written: &str, path: Option<&str>| {
            let path = path.map(str::to_owned);
            let written = written.to_owned();
            Selector { written, path }.selects("unit", &item)
        };
        assert!(selects("tests", Some("tests")));
        assert!(selects(".", Some("")));
        assert!(selects("./tests/a.py", Some("tests/a.py")));
        assert!(!selects("test", Some("test")));
        assert!(selects("tests/a.py::TestX", None));
        assert!(selects("tests/a.py::TestX::test_y", None));
        assert!(selects("unit::tests/a.py::TestX::test_y[1]", None));
        assert!(selects("unit", None));
        assert!(!selects("tests/a.py::Test", None));
    }
    #[test]
    fn what_is_excluded_is_named_or_else_matched() {
        let of = |text: &str, path: Option<&str>| {
            let items = ["t/a.py::x[1]", "t/a.py::x1", "t/b.py::y"].map(|id| Item {
                file: Some(id.split("::").next().unwrap().into()),
                ..Item::plain(id.into())
            });
            let exclusion = Exclusion {
                name: Selector {
                    written: text.into(),
                    path: path.map(str::to_owned),
                },
                pattern: text
                    .contains(['*', '?', '['])
                    .then(|| Pattern::new(text).unwrap()),
            };
            let items: Vec<_> = items.iter().map(|item| ("unit", item)).collect();
            exclusion.of(&items)
        };
        assert_eq!(of("t/a.py::x[1]", None), [true, false, false]);
        // There is no such id, so it is the pattern that it can be read as.
        assert_eq!(of("t/b.py::[xy]", None), [false, false, true]);
        assert_eq!(of("**/a*", None), [true, true, false]);
        assert_eq!(of("unit::t/*::x*", None), [true, true, false]);
        assert_eq!(of("t/b.py", Some("t/b.py")), [false, false, true]);
        assert_eq!(of("t/c.py", None), [false; 3]);
    }

    #[test]
    fn what_changed_is_an_items_file_or_a_groups_input() {
        let changed = Changed {
            since: "HEAD".into(),
            files: ["t/a.py"].map(PathBuf::from).into(),
            folders: ["sub"].map(PathBuf::from).into(),
        };
        let item = |file: &str| Item {
            file: Some(file.into()),
            ..Item::plain("x".into())
        };
        assert!(changed.has(&item("t/a.py")));
        assert!(changed.has(&item("sub/t/b.py")));
        assert!(!changed.has(&item("t/a.pyc")));
        assert!(!changed.has(&item("t")));
        assert!(changed.has(&Item::plain("t/a.py".into())));
        assert!(!changed.has(&Item::plain(String::new())));
        let touches = |pattern: &str| changed.touches(&[Pattern::new(pattern).unwrap()]);
        assert!(touches("**/*.py"));
        assert!(touches("t/**"));
        assert!(touches("sub/deep/*.rs"));
        assert!(touches("sub/**"));
        assert!(!touches("src/**"));
    }
}
