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

pub fn read(report: &[u8], items: &[Item]) -> Told {
    let text = String::from_utf8_lossy(report);
    let names: Vec<String> = items
        .iter()
        .map(|item| item.argument.to_string_lossy().into_owned())
        .collect();
    let index: HashMap<&str, usize> = names
        .iter()
        .enumerate()
        .map(|(index, name)| (name.as_str(), index))
        .collect();
    let mut told = Told::of(items);
    for line in text.lines() {
        let (outcome, name, message) = if let Some(name) = line.strip_prefix("ok ") {
            (Outcome::Passed, name, None)
        } else if let Some(name) = line.strip_prefix("failed ") {
            (Outcome::Failed, name, Some("failed".to_owned()))
        } else if let Some(rest) = line.strip_prefix("ignored") {
            let name = names
                .iter()
                .find(|name| rest.ends_with(&format!(" {name}")));
            let name = name.map_or("", String::as_str);
            let why = rest
                .strip_suffix(name)
                .unwrap_or(rest)
                .trim_start_matches(':')
                .trim();
            (Outcome::Skipped, name, Some(why.to_owned()))
        } else {
            continue;
        };
        let verdict = Verdict::new(outcome, message);
        if let Some(index) = index.get(name) {
            told.verdicts[*index] = Some(verdict);
        } else if let (Some(item), false) = (items.first(), name.is_empty()) {
            // Where the harness can't be told what to run, it reports more than was selected.
            let name = format!("{}::{name}", item.module);
            let case = Case {
                name,
                item: None,
                verdict,
            };
            told.add(false, items, case);
        }
    }
    told
}
