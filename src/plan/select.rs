//! Selection: which of the listed items run.

use super::{Expression, Item, full_id};

/// What was asked for on the command line, for every group.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Paths and ids; none selects everything.
    pub selectors: Vec<Selector>,
    /// `-k`.
    pub expression: Option<Expression>,
}

impl Selection {
    /// Whether it selects everything.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.selectors.is_empty() && self.expression.is_none()
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
            && self.expression.as_ref().is_none_or(|expression| {
                expression.matches(&full_id(group, &item.id).to_lowercase())
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
