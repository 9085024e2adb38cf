//! The log file of Rust's test harness: a line a test, `ok NAME`, `failed NAME`, `ignored NAME` or `ignored: WHY NAME`.

use std::collections::HashMap;

use super::{Case, Told, Verdict};
use crate::outcome::Outcome;
use crate::plan::Item;

/// What our own `--logfile` makes the harness say before anything else: no word of the tests'.
const NOISE: &str = "warning: `--logfile` is deprecated\n";

/// The output of a job without what only our way of asking brought about.
pub fn without_noise(output: String) -> String {
    match output.strip_prefix(NOISE) {
        Some(rest) => rest.to_owned(),
        None => output,
    }
}

/// Reads the log file.
pub fn read(report: &[u8], items: &[Item]) -> Told {
    let mut results = Results::of(items);
    let text = String::from_utf8_lossy(report);
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(rest) = line.strip_prefix("failed: ") {
            results.failed(rest, &mut lines);
        } else if let Some(name) = line.strip_prefix("ok ") {
            results.add(name, Outcome::Passed, None);
        } else if let Some(name) = line.strip_prefix("failed ") {
            results.add(name, Outcome::Failed, Some("failed".to_owned()));
        } else if let Some(rest) = line.strip_prefix("ignored") {
            results.ignored(rest);
        }
    }
    results.told
}

/// Reads what the harness prints: `test NAME ... ok`, where the name may be followed by what kind of documentation test it is.
///
/// The harness captures what tests print. It shows the output of each failed test at the end.
pub fn text(report: &[u8], items: &[Item]) -> Told {
    const KINDS: [&str; 3] = [" - compile fail", " - compile", " - should panic"];
    let text = String::from_utf8_lossy(report);
    let mut results = Results::of(items);
    for line in text.lines() {
        let Some((name, word)) = line
            .strip_prefix("test ")
            .and_then(|rest| rest.rsplit_once(" ... "))
        else {
            continue;
        };
        let name = match KINDS.iter().find_map(|kind| name.strip_suffix(kind)) {
            Some(plain) if !results.knows(name) => plain,
            _ => name,
        };
        if word == "ok" {
            results.add(name, Outcome::Passed, None);
        } else if word == "FAILED" {
            results.add(name, Outcome::Failed, Some("failed".to_owned()));
        } else if let Some(why) = word.strip_prefix("ignored") {
            let why = why.trim_start_matches(',').trim();
            results.add(name, Outcome::Skipped, Some(why.to_owned()));
        }
    }
    for (index, output) in failures(&text, items) {
        if let Some(verdict) = results
            .told
            .verdicts
            .get_mut(index)
            .and_then(Option::as_mut)
        {
            verdict.output = Some(output);
        }
    }
    results.told
}

/// The output of failed tests: what stands below `---- NAME stdout ----`.
fn failures(text: &str, items: &[Item]) -> Vec<(usize, String)> {
    let mut failures: Vec<(usize, String)> = Vec::new();
    let mut is_inside = false;
    for line in text.split_inclusive('\n') {
        let head = line.trim_end().strip_prefix("---- ");
        if let Some(name) = head.and_then(|rest| rest.strip_suffix(" stdout ----")) {
            let index = items.iter().position(|item| *item.argument == *name);
            is_inside = index.is_some();
            failures.extend(index.map(|index| (index, String::new())));
        } else if line.trim_end() == "failures:" {
            is_inside = false;
        } else if let (true, Some((_, output))) = (is_inside, failures.last_mut()) {
            output.push_str(line);
        }
    }
    failures
}

/// The results so far, by the name that the harness knows a test by.
struct Results<'a> {
    items: &'a [Item],
    names: Vec<String>,
    index: HashMap<String, usize>,
    told: Told,
}

impl<'a> Results<'a> {
    fn of(items: &'a [Item]) -> Self {
        let names = items
            .iter()
            .map(|item| item.argument.to_string_lossy().into_owned());
        let names: Vec<String> = names.collect();
        Self {
            items,
            index: names.iter().cloned().zip(0..).collect(),
            names,
            told: Told::of(items),
        }
    }

    fn knows(&self, name: &str) -> bool {
        self.index.contains_key(name)
    }

    fn add(&mut self, name: &str, outcome: Outcome, message: Option<String>) {
        let verdict = Verdict::new(outcome, message);
        if let Some(index) = self.index.get(name) {
            self.told.verdicts[*index] = Some(verdict);
        } else if let (Some(item), false) = (self.items.first(), name.is_empty()) {
            // Where the harness can't be told what to run, it reports more than was selected.
            let case = Case {
                name: format!("{}::{name}", item.module),
                item: None,
                verdict,
            };
            self.told.add(false, self.items, case);
        }
    }

    /// The rest of a line that begins with `failed: `: a message, which may have several lines, and then the name.
    fn failed<'t>(&mut self, first: &'t str, lines: &mut impl Iterator<Item = &'t str>) {
        let mut message = first.to_owned();
        loop {
            let last = message.lines().last().unwrap_or_default();
            let ends = |name: &&String| last.ends_with(&format!(" {name}"));
            // Of `b` and `a b`, it is the longer one.
            let name = self.names.iter().filter(ends).max_by_key(|name| name.len());
            if let Some(name) = name.cloned() {
                message.truncate(message.len() - name.len());
                let message = message.trim_end().to_owned();
                return self.add(&name, Outcome::Failed, Some(message));
            }
            let Some(next) = lines.next() else { return };
            message.push('\n');
            message.push_str(next);
        }
    }

    /// The rest of a line of the log file that begins with `ignored`: ` NAME` or `: WHY NAME`.
    fn ignored(&mut self, rest: &str) {
        let name = self
            .names
            .iter()
            .find(|name| rest.ends_with(&format!(" {name}")));
        let name = name.cloned().unwrap_or_default();
        let why = rest.strip_suffix(&name).unwrap_or(rest);
        let why = why.trim_start_matches(':').trim().to_owned();
        self.add(&name, Outcome::Skipped, Some(why));
    }
}
