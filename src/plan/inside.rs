//! Choosing among the tests inside an item: a file whose tests only its report names.
//!
//! Their names are known once the item has run; so a name that was typed is believed, and an expression looks at the names of
//! the last runs.

use std::path::Path;

use super::{Expression, Item, Selector, full_id};

/// What is chosen of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Nothing.
    Nothing,
    /// All of it.
    Whole,
    /// These tests inside it, and those in suites of these names.
    Inside(Vec<String>),
}

/// Whether a test inside an item is called so, or is in a suite that is.
#[must_use]
pub fn is_within(name: &str, selected: &str) -> bool {
    name.strip_prefix(selected)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(" > "))
}

impl Choice {
    /// The whole item, or nothing.
    #[must_use]
    pub fn of(is_chosen: bool) -> Self {
        if is_chosen {
            Self::Whole
        } else {
            Self::Nothing
        }
    }

    /// Whether something is chosen.
    #[must_use]
    pub fn is_some(&self) -> bool {
        *self != Self::Nothing
    }

    /// What is left of it where only these tests may run. `None` leaves it as it is.
    #[must_use]
    pub fn narrowed(self, names: Option<Vec<String>>) -> Self {
        let Some(names) = names else { return self };
        let left: Vec<String> = match self {
            Self::Nothing => Vec::new(),
            Self::Whole => names,
            Self::Inside(chosen) => {
                let of_suites = names
                    .iter()
                    .filter(|name| chosen.iter().any(|chosen| is_within(name, chosen)));
                let of_names = chosen
                    .iter()
                    .filter(|chosen| names.iter().any(|name| is_within(chosen, name)));
                let mut all: Vec<String> = of_suites.chain(of_names).cloned().collect();
                all.sort();
                all.dedup();
                all
            }
        };
        if left.is_empty() {
            Self::Nothing
        } else {
            Self::Inside(left)
        }
    }

    /// What is left of it without these tests, of which `known` are all.
    #[must_use]
    pub fn without(self, names: &[String], known: &[String]) -> Self {
        if names.is_empty() {
            return self;
        }
        let is_left = |name: &&String| !names.iter().any(|out| is_within(name, out));
        self.narrowed(Some(known.iter().filter(is_left).cloned().collect()))
    }
}

/// The test inside an item that a selector names: `a.test.js::adds` of `a.test.js`, with or without the group.
#[must_use]
pub fn named_by<'a>(selector: &'a Selector, group: &str, item: &Item) -> Option<&'a str> {
    let ids = [full_id(group, &item.id), item.id.clone()];
    let by_id = ids.iter().filter(|id| !id.is_empty()).find_map(|id| {
        let rest = selector.written.strip_prefix(id.as_str())?;
        rest.strip_prefix("::")
    });
    let by_file = || {
        let place = selector.place.as_ref()?;
        let file = item.file.as_ref()?;
        let is_it = place.is_file && *file == Path::new(&place.path);
        place.inside.as_deref().filter(|_| is_it)
    };
    by_id.or_else(by_file).filter(|name| !name.is_empty())
}

/// The tests of these that an expression over names selects: a test's names are those of its item, and its own.
#[must_use]
pub fn matching(words: &Expression, item: &Item, names: &[String]) -> Vec<String> {
    let holds = |name: &&String| {
        let own = std::iter::once(format!("{}::{name}", item.id));
        let names: Vec<String> = own.chain(item.tags.iter().cloned()).collect();
        let names = names.join("\n").to_lowercase();
        words.holds(&|word| names.contains(word))
    };
    names.iter().filter(holds).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::super::select::Place;
    use super::*;

    fn inside(names: &[&str]) -> Choice {
        Choice::Inside(names.iter().map(|name| (*name).to_owned()).collect())
    }

    fn list(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn choices_are_narrowed_by_names_and_suites() {
        assert_eq!(Choice::Whole.narrowed(Some(list(&["a"]))), inside(&["a"]));
        assert_eq!(Choice::Whole.narrowed(Some(list(&[]))), Choice::Nothing);
        assert_eq!(Choice::Whole.narrowed(None), Choice::Whole);
        let suite = inside(&["s"]).narrowed(Some(list(&["s > a", "t > a"])));
        assert_eq!(suite, inside(&["s > a"]));
        let test = inside(&["s > a"]).narrowed(Some(list(&["s"])));
        assert_eq!(test, inside(&["s > a"]));
        let known = list(&["s > a", "s > b", "t"]);
        let left = Choice::Whole.without(&["s > a".to_owned()], &known);
        assert_eq!(left, inside(&["s > b", "t"]));
        assert!(!is_within("sum", "s"));
    }

    #[test]
    fn a_selector_names_a_test_by_file_item_or_full_id() {
        let item = Item {
            file: Some("a.js".into()),
            ..Item::plain("a.js[red]".into())
        };
        let selector = |written: &str, place: Option<Place>| Selector {
            written: written.to_owned(),
            place,
        };
        for written in ["a.js[red]::x > y", "g::a.js[red]::x > y"] {
            let selector = selector(written, None);
            assert_eq!(named_by(&selector, "g", &item), Some("x > y"), "{written}");
        }
        let in_file = |path: &str, inside: Option<&str>| Place {
            path: path.into(),
            is_file: true,
            inside: inside.map(str::to_owned),
        };
        let by_file = selector("../a.js::x", Some(in_file("a.js", Some("x"))));
        assert_eq!(named_by(&by_file, "g", &item), Some("x"));
        for place in [in_file("a.js", None), in_file("b.js", Some("x"))] {
            assert_eq!(named_by(&selector("a.js", Some(place)), "g", &item), None);
        }
    }
}
