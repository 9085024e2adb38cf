//! Selection: which of the listed items run.

use std::borrow::Cow;

use super::{Expression, Item, full_id};

/// What was asked for on the command line, for every group.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Paths and ids; none selects everything.
    pub selectors: Vec<Selector>,
    /// `-k`, in lower case.
    pub words: Option<Expression>,
    /// `-m`.
    pub tags: Option<Expression>,
}

impl Selection {
    /// Whether it selects everything.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.selectors.is_empty() && self.words.is_none() && self.tags.is_none()
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

impl Selection {
    /// Whether an item of a group is selected.
    #[must_use]
    pub fn selects(&self, group: &str, item: &Item) -> bool {
        let by_name = self.selectors.is_empty()
            || self
                .selectors
                .iter()
                .any(|selector| selector.selects(group, item));
        by_name
            && self.words.as_ref().is_none_or(|expression| {
                let names = names(group, item);
                expression.holds(&|word| names.contains(word))
            })
            && self.tags.as_ref().is_none_or(|expression| {
                expression.holds(&|word| item.tags.iter().any(|tag| tag == word))
            })
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
        selection.selects("unit", item)
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
}
