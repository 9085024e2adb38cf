//! A listing as JSON lines, in a file of its own: what a module prints while it is imported can't be taken for a test.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use serde::Deserialize;

use super::command::{Subject, capture};
use crate::manifest::config::{CommandTemplate, GroupConfig};
use crate::plan::{Item, Known};
use crate::runner::discover::Discovery;

#[derive(Deserialize)]
struct Record {
    id: String,
    #[serde(default)]
    file: Option<PathBuf>,
    #[serde(default)]
    line: Option<u32>,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    keywords: Option<Vec<String>>,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    skip: Option<String>,
}

/// Runs a listing command that writes to `<report>`.
pub fn tests(
    discovery: &Discovery,
    group: &GroupConfig,
    command: &CommandTemplate,
    files: &[PathBuf],
) -> Result<Vec<Item>, String> {
    let report = discovery
        .folder()
        .join(format!("listing-{}.jsonl", group.name));
    let files: Vec<OsString> = files.iter().map(Into::into).collect();
    let subject = Subject {
        files: &files,
        report: Some(&report),
        ..Subject::default()
    };
    let result = capture(discovery, group, command, subject)?.check();
    let text = fs::read_to_string(&report);
    let _ = fs::remove_file(&report);
    result?;
    let text = text.map_err(|error| format!("the listing left nothing at <report>: {error}"))?;
    parse(&text)
}

/// The tests of a listing.
pub fn parse(text: &str) -> Result<Vec<Item>, String> {
    let records = text.lines().enumerate().map(|(index, line)| {
        serde_json::from_str(line)
            .map_err(|error| format!("line {} of the listing: {error}", index + 1))
    });
    let mut items = Vec::new();
    for record in records {
        let record: Record = record?;
        let module = match &record.file {
            Some(file) => file.to_string_lossy().into_owned(),
            None => record.id.split("::").next().unwrap_or_default().to_owned(),
        };
        let known = record
            .error
            .map(Known::Broken)
            .or(record.skip.map(Known::Skipped));
        items.push(Item {
            module,
            file: record.file,
            line: record.line,
            tags: record.tags,
            keywords: record.keywords.map(|names| names.join("\n").to_lowercase()),
            known,
            ..Item::plain(record.id)
        });
    }
    Ok(items)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_are_kept_apart_and_in_lower_case() {
        let items = parse(
            "{\"id\":\"a\",\"keywords\":[\"Test\",\"t[1]\"]}\n{\"id\":\"b\",\"keywords\":null}",
        )
        .unwrap();
        assert_eq!(items[0].keywords.as_deref(), Some("test\nt[1]"));
        assert_eq!(items[1].keywords, None);
    }

    #[test]
    fn records_become_items_and_errors_are_kept() {
        let items = parse("{\"id\":\"a.py::t\",\"file\":\"a.py\",\"line\":3,\"tags\":[\"slow\"]}\n{\"id\":\"b.py\",\"error\":\"no\"}").unwrap();
        assert_eq!((items[0].module.as_str(), items[0].line), ("a.py", Some(3)));
        assert_eq!(items[1].known, Some(Known::Broken("no".into())));
        assert!(parse("{\"id\":").unwrap_err().starts_with("line 1"));
    }
}
