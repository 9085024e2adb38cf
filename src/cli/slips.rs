//! Words of the command line that other tools have taught, and what they are called here.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::report::one_line;
use crate::suggest::nearest;

/// The subcommands that a slip may mean.
const COMMANDS: [&str; 12] = [
    "run", "report", "merge", "history", "plan", "explain", "list", "check", "show", "runners",
    "schema", "init",
];

/// Subcommands of other tools.
const OTHER_COMMANDS: [(&str, &str); 12] = [
    ("test", "run"),
    ("tests", "run"),
    ("start", "run"),
    ("exec", "run"),
    ("ls", "list"),
    ("collect", "list"),
    ("lint", "check"),
    ("validate", "check"),
    ("new", "init"),
    ("config", "show"),
    ("profile", "explain"),
    ("presets", "runners"),
];

/// Options of other tools: how they begin, and what to write.
const OPTIONS: [(&[&str], &str); 19] = [
    (
        &[
            "-j",
            "--jobs",
            "--maxWorkers",
            "--max-workers",
            "--numprocesses",
            "--parallel",
            "--test-threads",
        ],
        "the number of workers is `-n N`",
    ),
    (
        &[
            "--pdb",
            "-s",
            "--capture",
            "--nocapture",
            "--no-captrue",
            "--trace",
        ],
        "`--no-capture` lets tests use the terminal, one at a time",
    ),
    (
        &["--timeout", "--test-timeout"],
        "`timeout` is a key of a group in fastest.toml; `--timeout-multiplier F` multiplies it",
    ),
    (
        &["--lf", "--last-failed", "--onlyFailures", "--rerun-failed"],
        "write `--failed`",
    ),
    (
        &["--ff", "--failed-first"],
        "tests that failed last time start first by default",
    ),
    (
        &["--maxfail", "--bail", "--exitfirst"],
        "write `-x`, or `--max-fail N`; all tests run by default",
    ),
    (
        &["--no-fail-fast", "--keep-going"],
        "all tests run by default",
    ),
    (
        &[
            "--collect-only",
            "--collectonly",
            "--co",
            "--list",
            "--listTests",
        ],
        "write `orchestrate list`",
    ),
    (
        &[
            "--junitxml",
            "--junit-xml",
            "--junit",
            "--reporter",
            "--reporters",
            "--output-junit",
        ],
        "write `--report junit=PATH`",
    ),
    (
        &["--retries", "--reruns", "--retry", "--flake-finder"],
        "`retries` is a key of a group in fastest.toml",
    ),
    (
        &["--random-order", "--shuffle", "--randomize"],
        "write `--order random`, or `--seed N`",
    ),
    (
        &[
            "--filter",
            "-t",
            "--testNamePattern",
            "--grep",
            "-E",
            "-R",
            "--run",
        ],
        "`-k EXPR` selects tests by words in their names",
    ),
    (
        &["--tag", "--tags", "-L", "--label", "--mark"],
        "`-m EXPR` selects tests by their tags",
    ),
    (
        &["--ignore", "--deselect", "--skip", "--exclude-dir"],
        "write `--exclude PATTERN`",
    ),
    (
        &["--cov", "--coverage", "-p", "-o", "-W", "--tb"],
        "options of a runner go into its group in fastest.toml: `with = { args = [\"--cov\"] }`",
    ),
    (
        &["--changedSince", "--since", "--onlyChanged"],
        "write `--changed`, or `--changed=REF`",
    ),
    (
        &["--count", "--repeat-each", "--times"],
        "write `--repeat N`",
    ),
    (&["--project", "--suite"], "write `--group GROUP`"),
    (
        &["--config", "--manifest", "-c"],
        "the nearest fastest.toml is used: go to its folder",
    ),
];

/// What a person should read in place of the parser's message, where that would point elsewhere.
pub fn hint(error: &clap::Error) -> Option<String> {
    let word = |kind| match error.get(kind) {
        Some(ContextValue::String(word)) => Some(word.as_str()),
        _ => None,
    };
    match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let word = word(ContextKind::InvalidSubcommand)?;
            let other = OTHER_COMMANDS.iter().find(|(other, _)| *other == word);
            let meant = other
                .map(|(_, ours)| *ours)
                .or_else(|| nearest(word, COMMANDS))?;
            Some(format!(
                "error: there is no subcommand `{}`\n  hint: did you mean `orchestrate {meant}`?",
                one_line(word)
            ))
        }
        ErrorKind::UnknownArgument => {
            let word = word(ContextKind::InvalidArg)?;
            let name = word.split(['=', ' ']).next().unwrap_or(word);
            let known = OPTIONS.iter().find(|(names, _)| names.contains(&name));
            let hint = known.map(|(_, hint)| (*hint).to_owned());
            // The parser's own advice would make a test's name of it.
            let hint = hint.or_else(|| match error.get(ContextKind::SuggestedArg) {
                Some(ContextValue::String(near)) => Some(format!("did you mean `{near}`?")),
                _ => Some("`--help` shows the options".to_owned()),
            })?;
            Some(format!(
                "error: there is no option `{}`\n  hint: {hint}",
                one_line(name)
            ))
        }
        _ => None,
    }
}
