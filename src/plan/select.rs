//! Selection: which of the listed items run.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{Expression, Item, Known, full_id};
use crate::manifest::pattern::Pattern;
use crate::suggest::{did_you_mean, listed};

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

    /// The words of `-k` and `-m` that no test has, each as a sentence that says what there is instead.
    #[must_use]
    pub fn absent_words(&self, all: &[(&str, &Item)]) -> Vec<String> {
        let tags: BTreeSet<&str> = all
            .iter()
            .flat_map(|(_, item)| item.tags.iter().map(String::as_str))
            .collect();
        let names: BTreeSet<&str> = all
            .iter()
            .flat_map(|(_, item)| item.id.split(['/', ':', '[']))
            .chain(tags.iter().copied())
            .collect();
        let of = |words: Option<&Expression>| -> BTreeSet<String> {
            let words = words.map_or_else(Vec::new, Expression::words);
            words.into_iter().map(str::to_owned).collect()
        };
        let is_in_a_name = |word: &str| {
            let mut all = all.iter();
            all.any(|(group, item)| self::names(group, item).contains(word))
        };
        let hint = |word: &str, known: &BTreeSet<&str>, otherwise: String| {
            did_you_mean(word, known.iter().copied()).unwrap_or(otherwise)
        };
        let in_names = of(self.words.as_ref()).into_iter();
        let in_names = in_names.filter(|word| !is_in_a_name(word)).map(|word| {
            let otherwise = "`orchestrate list` shows all names".to_owned();
            let hint = hint(&word, &names, otherwise);
            format!("-k: no test has {word:?} in its name; {hint}")
        });
        let in_tags = of(self.tags.as_ref()).into_iter();
        let in_tags = in_tags.filter(|tag| !tags.contains(tag.as_str()));
        let in_tags = in_tags.map(|tag| {
            let otherwise = if tags.is_empty() {
                "no test has a tag".to_owned()
            } else {
                format!("there are: {}", listed(tags.iter().copied()))
            };
            let hint = hint(&tag, &tags, otherwise);
            format!("-m: no test has the tag {tag:?}; {hint}")
        });
        in_names.chain(in_tags).collect()
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
    /// The file or folder that it names; `None` where nothing of that name exists.
    pub place: Option<Place>,
}

/// A file or folder that a selector names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its path relative to the root, `""` for the root itself. It need not be text.
    pub path: PathBuf,
    /// Whether it is a file.
    pub is_file: bool,
    /// The test in it, or the beginning of its name up to a `::`: what follows the path in `tests/a.py::TestX`.
    pub inside: Option<String>,
}

impl Selector {
    /// It as an id: a path in it is relative to the root, whatever folder it was written in.
    fn id(&self) -> Cow<'_, str> {
        match &self.place {
            Some(Place {
                path,
                inside: Some(inside),
                ..
            }) => Cow::Owned(format!("{}::{inside}", path.to_string_lossy())),
            _ => Cow::Borrowed(&self.written),
        }
    }

    /// Whether it names a whole file or folder.
    #[must_use]
    pub fn is_path(&self) -> bool {
        self.place
            .as_ref()
            .is_some_and(|place| place.inside.is_none())
    }
}

impl Place {
    /// Whether a file is it, or is below it.
    fn holds(&self, file: &Path) -> bool {
        file.starts_with(&self.path)
    }
}

/// Whether an id is another, or begins with it up to a `::` or the brackets of parameters.
pub(super) fn begins(id: &str, with: &str) -> bool {
    id.strip_prefix(with)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::") || rest.starts_with('['))
}

impl Selector {
    /// Whether it names an item, by file, by folder, by id, or by the beginning of an id up to a `::`.
    #[must_use]
    pub fn selects(&self, group: &str, item: &Item) -> bool {
        if begins(&full_id(group, &item.id), &self.written) {
            return true;
        }
        let (Some(place), Some(file)) = (&self.place, &item.file) else {
            return begins(&item.id, &self.id());
        };
        let is_in = place.holds(file);
        match &place.inside {
            None => is_in || (!place.is_file && begins(&item.id, &self.written)),
            // An id begins with what its group's folder calls the file, or with the name of a package or program. A test may
            // also be inherited from another file than its id names.
            Some(inside) => {
                let (head, name) = item.id.split_once("::").unwrap_or((&item.id, ""));
                (is_in && begins(name, inside))
                    || (!file.ends_with(head) && begins(&item.id, &self.id()))
            }
        }
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

    fn place(path: &str, inside: Option<&str>) -> Place {
        Place {
            path: path.into(),
            is_file: Path::new(path).extension().is_some(),
            inside: inside.map(str::to_owned),
        }
    }

    #[test]
    fn a_test_of_a_file_is_named_by_the_path_whatever_its_id_begins_with() {
        let of = |id: &str, path: &str, inside: &str| {
            let item = Item {
                file: Some("api/tests/a.py".into()),
                ..Item::plain(id.into())
            };
            let written = format!("{path}::{inside}");
            let place = Some(place(path, Some(inside)));
            Selector { written, place }.selects("unit", &item)
        };
        assert!(of(
            "tests/a.py::TestX::test_y[1]",
            "api/tests/a.py",
            "TestX"
        ));
        assert!(of("tests/a.py::test_y[1]", "api/tests/a.py", "test_y"));
        assert!(of("tests/a.py::test_y[1]", "api/tests/a.py", "test_y[1]"));
        assert!(of("crate/a::mod::test_y", "api/tests/a.py", "mod::test_y"));
        assert!(!of("tests/a.py::test_yy", "api/tests/a.py", "test_y"));
        // Another folder has a file of the same name.
        assert!(!of("tests/a.py::test_y", "tests/a.py", "test_y"));
    }

    #[test]
    fn a_file_is_not_another_of_the_same_name_in_the_folder_of_a_group() {
        let item = Item {
            file: Some("api/tests/a.py".into()),
            ..Item::plain("tests/a.py::test_y".into())
        };
        let selects = |path: Option<&str>| {
            let place = path.map(|path| place(path, None));
            let written = "tests/a.py".to_owned();
            Selector { written, place }.selects("unit", &item)
        };
        assert!(!selects(Some("tests/a.py")));
        assert!(selects(None));
    }

    #[test]
    fn paths_ids_and_their_beginnings_select() {
        let item = Item {
            file: Some("tests/a.py".into()),
            ..Item::plain("tests/a.py::TestX::test_y[1]".into())
        };
        let selects = |written: &str, path: Option<&str>| {
            let place = path.map(|path| place(path, None));
            let written = written.to_owned();
            Selector { written, place }.selects("unit", &item)
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
                    place: path.map(|path| place(path, None)),
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
