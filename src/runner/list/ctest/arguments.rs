//! The arguments of `ctest`, sorted by what they do: select tests, change how tests run, or only what ctest prints.

use std::ffi::OsString;
use std::time::Duration;

/// Options that select tests, with a value.
const SELECT: [&str; 20] = [
    "-R",
    "--tests-regex",
    "-E",
    "--exclude-regex",
    "-L",
    "--label-regex",
    "-LE",
    "--label-exclude",
    "-I",
    "--tests-information",
    "-FA",
    "--fixture-exclude-any",
    "-FS",
    "--fixture-exclude-setup",
    "-FC",
    "--fixture-exclude-cleanup",
    "--tests-from-file",
    "--exclude-from-file",
    "--test-dir",
    "--show-only",
];
/// The same, without a value.
const SELECT_FLAGS: [&str; 3] = ["-U", "--union", "--rerun-failed"];
/// Options that change nothing but what ctest prints, with a value.
const SHOW: [&str; 6] = [
    "--max-width",
    "--test-output-size-passed",
    "--test-output-size-failed",
    "--test-output-truncation",
    "-O",
    "--output-log",
];
/// The same, without a value.
const SHOW_FLAGS: [&str; 15] = [
    "-V",
    "--verbose",
    "-VV",
    "--extra-verbose",
    "--output-on-failure",
    "--debug",
    "--progress",
    "--no-label-summary",
    "--no-subproject-summary",
    "-Q",
    "--quiet",
    "--force-new-ctest-process",
    "--no-compress-output",
    "--no-tests",
    "-F",
];
/// Options for which `orchestrate` has its own, with a value: what is said instead.
const OWN: [(&str, &str); 4] = [
    ("-j", "`-n` or `workers`"),
    ("--parallel", "`-n` or `workers`"),
    ("--test-load", "`-n` or `workers`"),
    ("--output-junit", "`--report junit=PATH`"),
];
/// The same, without a value.
const OWN_FLAGS: [(&str, &str); 2] = [
    ("--stop-on-failure", "`--max-fail 1`"),
    ("--schedule-random", "`order = \"random\"`"),
];

/// Arguments of `ctest`, as far as they are understood.
#[derive(Debug, Default, PartialEq)]
pub struct Arguments {
    /// The configuration (`-C`).
    pub config: Option<OsString>,
    /// Whether a preset is named, which may set everything else.
    pub has_preset: bool,
    /// The timeout of tests that have none.
    pub timeout: Option<Duration>,
    /// Whether only options are there that do not change how a test runs.
    pub is_plain: bool,
    /// The arguments without those that select.
    pub rest: Vec<OsString>,
    /// What is said of options that do nothing here.
    pub warnings: Vec<String>,
}

impl Arguments {
    /// Sorts them.
    #[must_use]
    pub fn of(words: &[OsString]) -> Self {
        let mut found = Self {
            is_plain: true,
            ..Self::default()
        };
        let mut words = words.iter().peekable();
        while let Some(word) = words.next() {
            let text = word.to_string_lossy();
            let (name, inline) = match text.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name, Some(value.to_owned())),
                _ => (&*text, None),
            };
            let is_jobs = name.strip_prefix("-j").is_some_and(|number| {
                number.is_empty() || number.bytes().all(|byte| byte.is_ascii_digit())
            });
            let name = if is_jobs { "-j" } else { name };
            if SELECT_FLAGS.contains(&name) {
                continue;
            }
            let mut kept = vec![word.clone()];
            let mut value = || -> Option<OsString> {
                if let Some(inline) = &inline {
                    return Some(inline.into());
                }
                let next = words.next()?;
                kept.push(next.clone());
                Some(next.clone())
            };
            if SELECT.contains(&name) {
                value();
                continue;
            }
            if let Some((_, instead)) = OWN.iter().find(|(own, _)| *own == name) {
                // The number of jobs may stand in the same word, or be left out.
                if !is_jobs || *text == *"-j" {
                    let is_value = |next: &&OsString| {
                        !is_jobs
                            || next
                                .to_str()
                                .is_some_and(|next| next.parse::<u32>().is_ok())
                    };
                    if inline.is_none() && words.peek().is_some_and(is_value) {
                        words.next();
                    }
                }
                found.warnings.push(idle(name, instead));
                continue;
            }
            if let Some((_, instead)) = OWN_FLAGS.iter().find(|(own, _)| *own == name) {
                found.warnings.push(idle(name, instead));
                continue;
            }
            match name {
                "-C" | "--build-config" => found.config = value(),
                "--preset" => {
                    value();
                    found.has_preset = true;
                    found.is_plain = false;
                }
                // ctest hands resources out, and says so to every test.
                "--resource-spec-file" => {
                    value();
                    found.is_plain = false;
                }
                "--timeout" => {
                    let seconds = value().and_then(|value| value.to_str()?.parse().ok());
                    found.timeout =
                        seconds.and_then(|value| Duration::try_from_secs_f64(value).ok());
                }
                _ if SHOW.contains(&name) => drop(value()),
                _ if SHOW_FLAGS.contains(&name) => {}
                _ => found.is_plain = false,
            }
            found.rest.extend(kept);
        }
        found
    }
}

fn idle(name: &str, instead: &str) -> String {
    format!("`{name}` in `args` does nothing here; use {instead}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: &str) -> Arguments {
        let words: Vec<OsString> = words.split_whitespace().map(OsString::from).collect();
        Arguments::of(&words)
    }

    fn rest(arguments: &Arguments) -> String {
        let words = arguments.rest.iter().map(|word| word.to_string_lossy());
        words.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_selects_is_taken_out_and_the_rest_is_kept() {
        let found = of("-R a -C Debug --label-exclude=slow -U --output-on-failure --timeout 2.5");
        assert_eq!(rest(&found), "-C Debug --output-on-failure --timeout 2.5");
        assert_eq!(found.config, Some("Debug".into()));
        assert_eq!(found.timeout, Some(Duration::from_millis(2500)));
        assert!(found.is_plain && !found.has_preset && found.warnings.is_empty());
    }

    #[test]
    fn an_option_that_changes_how_tests_run_is_not_plain() {
        assert!(!of("--repeat until-pass:3").is_plain);
        assert!(!of("-T memcheck").is_plain);
        assert!(of("--preset dev").has_preset);
        assert!(!of("--resource-spec-file a.json").is_plain);
        assert!(of("--no-tests=error").is_plain);
    }

    #[test]
    fn options_that_orchestrate_has_itself_are_told() {
        for words in [
            "-j4 -V",
            "-j 4 -V",
            "--parallel 4 -V",
            "-j -V",
            "--parallel=4 -V",
        ] {
            let found = of(words);
            assert_eq!(rest(&found), "-V", "{words}");
            assert!(found.warnings[0].contains("`-n`"), "{words}");
            assert!(found.is_plain, "{words}");
        }
        let found = of("--stop-on-failure --output-junit x.xml");
        assert_eq!((found.warnings.len(), rest(&found).as_str()), (2, ""));
    }
}
