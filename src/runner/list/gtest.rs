//! What a program of GoogleTest lists by `--gtest_list_tests`: a suite with a dot at its end, its tests indented below it, and
//! after a `#` what a type or a value parameter is (<https://google.github.io/googletest/advanced.html#listing-test-names>).

use std::ffi::OsString;

use crate::plan::{Item, Known};

/// Flags that hold for all tests of a program together, as do the variables of the same names.
const OF_ALL: [&str; 3] = ["gtest_fail_fast", "gtest_repeat", "gtest_shuffle"];

/// How a group runs its programs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Flags {
    /// Whether disabled tests run.
    pub runs_disabled: bool,
    /// Whether all tests of a program must be in one process.
    pub is_whole: bool,
}

impl Flags {
    /// Those of these arguments, and of the variables that the programs find.
    #[must_use]
    pub fn of(arguments: &[OsString], variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let is_set = |flag: &str| {
            let is_on = |value: &str| !matches!(value, "0" | "f" | "F" | "false");
            let mut arguments = arguments.iter().rev().filter_map(|word| {
                let word = word.to_str()?;
                let word = word.strip_prefix("--").or_else(|| word.strip_prefix('-'))?;
                let (name, value) = word.split_once('=').unwrap_or((word, "1"));
                (name == flag).then(|| is_on(value))
            });
            arguments.next().unwrap_or_else(|| {
                let value = variable(&flag.to_ascii_uppercase());
                value.is_some_and(|value| value.to_str().is_none_or(is_on))
            })
        };
        Self {
            runs_disabled: is_set("gtest_also_run_disabled_tests"),
            is_whole: OF_ALL.iter().any(|flag| is_set(flag)),
        }
    }
}

/// The tests of a listing. A program may print before it gets there; that is neither a suite nor in one.
pub fn tests(bytes: &[u8], flags: Flags) -> Vec<Item> {
    let text = String::from_utf8_lossy(bytes);
    let mut items = Vec::new();
    let mut suite = None;
    for line in text.lines() {
        let name = line.split("  #").next().unwrap_or(line).trim_end();
        if let Some(test) = name.strip_prefix("  ") {
            let Some(suite) = suite else { continue };
            let mut parts = [suite, test].into_iter().flat_map(|name| name.split('/'));
            let is_disabled =
                !flags.runs_disabled && parts.any(|part| part.starts_with("DISABLED_"));
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
        let items = tests(text.as_bytes(), Flags::default());
        let all = Flags {
            runs_disabled: true,
            ..Flags::default()
        };
        let running = tests(text.as_bytes(), all);
        assert!(running.iter().all(|item| item.known.is_none()));
        let ids: Vec<_> = items.iter().map(|item| item.id.as_str()).collect();
        assert_eq!(ids, ["A.one", "A.DISABLED_two", "P/B.x/0", "T/0.y"]);
        assert!(items[1].known.is_some() && items[0].known.is_none());
    }

    #[test]
    fn flags_are_arguments_or_variables() {
        let of = |words: &[&str], set: &[(&str, &str)]| {
            let words: Vec<OsString> = words.iter().map(OsString::from).collect();
            let find = |name: &str| set.iter().find(|(known, _)| *known == name);
            Flags::of(&words, |name| find(name).map(|(_, value)| value.into()))
        };
        let none = Flags::default();
        assert_eq!(of(&["--gtest_color=no"], &[]), none);
        assert!(of(&["--gtest_also_run_disabled_tests"], &[]).runs_disabled);
        assert!(of(&[], &[("GTEST_ALSO_RUN_DISABLED_TESTS", "1")]).runs_disabled);
        assert_eq!(of(&["--gtest_shuffle=0"], &[("GTEST_SHUFFLE", "1")]), none);
        assert!(of(&["--gtest_repeat=2"], &[]).is_whole);
        assert!(of(&[], &[("GTEST_FAIL_FAST", "true")]).is_whole);
    }
}
