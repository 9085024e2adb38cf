//! What a program of GoogleTest lists by `--gtest_list_tests`: a suite with a dot at its end, its tests indented below it, and
//! after a `#` what a type or a value parameter is (<https://google.github.io/googletest/advanced.html#listing-test-names>).

use crate::plan::{Item, Known};

/// The tests of a listing. A program may print before it gets there; that is neither a suite nor in one.
pub fn tests(bytes: &[u8]) -> Vec<Item> {
    let text = String::from_utf8_lossy(bytes);
    let mut items = Vec::new();
    let mut suite = None;
    for line in text.lines() {
        let name = line.split("  #").next().unwrap_or(line).trim_end();
        if let Some(test) = name.strip_prefix("  ") {
            let Some(suite) = suite else { continue };
            let is_disabled = [suite, test]
                .iter()
                .flat_map(|name| name.split('/'))
                .any(|part| part.starts_with("DISABLED_"));
            items.push(Item {
                known: is_disabled.then(|| Known::Skipped("DISABLED".into())),
                ..Item::plain(format!("{suite}.{test}"))
            });
        } else {
            let is_name = |suite: &&str| !suite.is_empty() && !suite.contains(' ');
            suite = name.strip_suffix('.').filter(is_name);
        }
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_and_parameters() {
        let text = "Running main() from gtest_main.cc\nA.\n  one\n  DISABLED_two\nP/B.\n  x/0  # GetParam() = 3\n\
                    T/0.  # TypeParam = int\n  y\n";
        let items = tests(text.as_bytes());
        let ids: Vec<_> = items.iter().map(|item| item.id.as_str()).collect();
        assert_eq!(ids, ["A.one", "A.DISABLED_two", "P/B.x/0", "T/0.y"]);
        assert!(items[1].known.is_some() && items[0].known.is_none());
    }
}
