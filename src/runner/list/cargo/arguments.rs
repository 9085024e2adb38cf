//! The arguments of `cargo test`, and those that it passes on to Rust's test harness.

use std::ffi::{OsStr, OsString};

/// Arguments of `cargo test` that choose targets: with one of them cargo runs no documentation tests.
const TARGET_CHOICES: [&str; 10] = [
    "--lib",
    "--bin",
    "--bins",
    "--test",
    "--tests",
    "--bench",
    "--benches",
    "--example",
    "--examples",
    "--all-targets",
];
/// Arguments of `cargo test` that choose packages, and whether a value follows.
const PACKAGE_CHOICES: [(&str, bool); 5] = [
    ("--package", true),
    ("-p", true),
    ("--workspace", false),
    ("--all", false),
    ("--exclude", true),
];

/// The arguments of a group.
#[derive(Debug, Default)]
pub struct Arguments {
    /// What cargo reads.
    pub cargo: Vec<OsString>,
    /// What stands behind `--`.
    pub harness: Vec<OsString>,
}

/// An option with its value, if it has one: `--name value`, `--name=value`, `-pvalue`.
fn value<'a>(words: &'a [OsString], index: usize, name: &str) -> Option<(&'a OsStr, usize)> {
    let word = words[index].to_str()?;
    if word == name {
        let next = words.get(index + 1)?;
        return Some((next, 2));
    }
    let rest = word.strip_prefix(name)?;
    let value = match rest.strip_prefix('=') {
        Some(value) => value,
        None if name.len() == 2 => rest,
        None => return None,
    };
    Some((OsStr::new(value), 1))
}

impl Arguments {
    /// Splits at the first `--`.
    pub fn new(words: &[OsString]) -> Self {
        let at = words.iter().position(|word| word == "--");
        match at {
            Some(at) => Self {
                cargo: words[..at].to_vec(),
                harness: words[at + 1..].to_vec(),
            },
            None => Self {
                cargo: words.to_vec(),
                harness: Vec::new(),
            },
        }
    }

    /// The values of an option of cargo.
    pub fn values(&self, name: &str) -> Vec<OsString> {
        let all = (0..self.cargo.len()).filter_map(|index| value(&self.cargo, index, name));
        all.map(|(value, _)| value.to_owned()).collect()
    }

    /// `--no-fail-fast`, unless it is there already: cargo takes it once.
    pub fn no_fail_fast(&self) -> Option<OsString> {
        let flag = OsString::from("--no-fail-fast");
        (!self.cargo.contains(&flag)).then_some(flag)
    }

    /// Whether only documentation tests run.
    pub fn only_doc(&self) -> bool {
        self.cargo.iter().any(|word| word == "--doc")
    }

    /// Whether documentation tests run.
    pub fn has_doc(&self) -> bool {
        let is_choice = |word: &OsString| {
            let text = word.to_string_lossy();
            TARGET_CHOICES
                .iter()
                .any(|choice| text == *choice || text.starts_with(&format!("{choice}=")))
        };
        !self.cargo.iter().any(is_choice)
    }

    /// What cargo reads, without what chooses packages and without `--doc`.
    pub fn of_any_package(&self) -> Vec<OsString> {
        let mut words = Vec::new();
        let mut index = 0;
        while index < self.cargo.len() {
            let choice = PACKAGE_CHOICES.iter().find_map(|(name, takes_value)| {
                if *takes_value {
                    value(&self.cargo, index, name).map(|(_, count)| count)
                } else {
                    (self.cargo[index] == **name).then_some(1)
                }
            });
            match choice {
                Some(count) => index += count,
                None => {
                    words.extend(
                        Some(&self.cargo[index])
                            .filter(|word| *word != "--doc")
                            .cloned(),
                    );
                    index += 1;
                }
            }
        }
        words
    }

    /// The options that both cargo and `cargo metadata` need.
    pub fn of_metadata(&self) -> Vec<OsString> {
        let mut words = Vec::new();
        for name in ["--manifest-path", "--config"] {
            for value in self.values(name) {
                words.extend([name.into(), value]);
            }
        }
        words
    }
}

/// Options of the harness with a value.
const WITH_VALUE: [&str; 7] = [
    "--skip",
    "--test-threads",
    "--format",
    "--logfile",
    "--color",
    "--shuffle-seed",
    "-Z",
];
/// Options of the harness that only select tests; a job names its tests.
const SELECTING: [&str; 2] = ["--skip", "--exact"];
/// Options of the harness in whose place the runner's command has its own.
const OURS: [&str; 7] = [
    "--test-threads",
    "--format",
    "--logfile",
    "--color",
    "--list",
    "--quiet",
    "-q",
];

/// The arguments of a test program.
#[derive(Debug, Default, PartialEq)]
pub struct Harness {
    /// Those that it lists its tests with.
    pub list: Vec<OsString>,
    /// Those that it runs tests with.
    pub run: Vec<OsString>,
    /// Whether it is asked for ignored tests.
    pub wants_ignored: bool,
    /// The number of threads, where it is named.
    pub threads: Option<String>,
}

impl Harness {
    /// Sorts them.
    pub fn new(words: &[OsString]) -> Self {
        let mut harness = Self::default();
        let mut index = 0;
        while index < words.len() {
            let word = words[index].to_string_lossy();
            let with_value = WITH_VALUE
                .iter()
                .find_map(|name| Some((*name, value(words, index, name)?)));
            let (name, value, count) = match with_value {
                Some((name, (value, count))) => (name, Some(value), count),
                None => (&*word, None, 1),
            };
            let all = &words[index..index + count];
            if name == "--test-threads" {
                harness.threads = value.map(|value| value.to_string_lossy().into_owned());
            }
            harness.wants_ignored |= matches!(name, "--ignored" | "--include-ignored");
            if !OURS.contains(&name) {
                harness.list.extend(all.iter().cloned());
                if name.starts_with('-') && !SELECTING.contains(&name) {
                    harness.run.extend(all.iter().cloned());
                }
            }
            index += count;
        }
        harness
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn what_chooses_packages_is_left_out_for_one_package() {
        let arguments = Arguments::new(&words(
            "-p a --package=b -pc --workspace --exclude d --doc --release -- --skip x",
        ));
        assert_eq!(arguments.of_any_package(), words("--release"));
        assert_eq!(arguments.harness, words("--skip x"));
        assert!(arguments.only_doc() && arguments.has_doc());
        assert!(!Arguments::new(&words("--test=x")).has_doc());
    }

    #[test]
    fn what_selects_tests_is_for_the_listing_alone() {
        let harness = Harness::new(&words(
            "name --skip x --exact --include-ignored --test-threads=1 -q --nocapture --format pretty",
        ));
        assert_eq!(
            harness.list,
            words("name --skip x --exact --include-ignored --nocapture")
        );
        assert_eq!(harness.run, words("--include-ignored --nocapture"));
        assert!(harness.wants_ignored);
        assert_eq!(harness.threads.as_deref(), Some("1"));
    }
}
