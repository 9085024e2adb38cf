//! A listing as JSON lines, in a file of its own: what a module prints while it is imported can't be taken for a test.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use super::command::{Subject, capture};
use crate::manifest::config::{CommandTemplate, GroupConfig};
use crate::manifest::template::Name;
use crate::plan::{Attachment, Claims, Item, Known};
use crate::runner::discover::Discovery;

/// A listing: tests, and facts about all of them.
#[derive(Debug, Default, PartialEq)]
pub struct Listing {
    /// The tests, in order.
    pub items: Vec<Item>,
    /// Why a session of the runner cannot serve them, if it cannot.
    pub cold: Option<String>,
    /// Why each worker needs a session of its own, if it does.
    pub worker: Option<String>,
    /// Why they must run in one process, if they must.
    pub one_process: Option<String>,
    /// Why they must run in one process where only some of them are selected.
    pub one_process_unless_all: Option<String>,
    /// Warnings about the group.
    pub warnings: Vec<String>,
    /// Whether the record that ends the listing was there.
    pub is_over: bool,
}

/// A line: a test, or the record that ends the listing.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Record {
    #[serde(default)]
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
    #[serde(default)]
    group: Option<String>,
    /// Seconds.
    #[serde(default)]
    timeout: Option<f64>,
    #[serde(default)]
    event: Option<String>,
    #[serde(default)]
    cold: Option<String>,
    #[serde(default)]
    worker: Option<String>,
    #[serde(default)]
    one_process: Option<String>,
    #[serde(default)]
    one_process_unless_all: Option<String>,
    #[serde(default)]
    warnings: Vec<String>,
    #[serde(flatten)]
    claims: Claims,
    #[serde(default)]
    attachments: Vec<PathBuf>,
    #[serde(default)]
    attachments_on_failure: Vec<PathBuf>,
}

/// The tests of a listing command that writes to `<report>`.
pub fn tests(
    discovery: &Discovery,
    group: &GroupConfig,
    command: &CommandTemplate,
    files: &[PathBuf],
) -> Result<Listing, String> {
    let parse = |bytes: &[u8]| {
        let text = std::str::from_utf8(bytes).map_err(|error| format!("the listing: {error}"))?;
        parse(text)
    };
    // What could not be loaded may be there the next time, whatever it was that was missing.
    let is_whole = |bytes: &[u8]| {
        let broken = |item: &Item| matches!(item.known, Some(Known::Broken(_)));
        parse(bytes).is_ok_and(|listing| !listing.items.iter().any(broken))
    };
    // Our own programs end each listing with a record; other runners need not.
    let must_end = command.names().any(|name| *name == Name::Support);
    let list = || {
        let bytes = run(discovery, group, command, files)?;
        if must_end && !parse(&bytes)?.is_over {
            return Err(LEFT_EARLY.to_owned());
        }
        Ok(bytes)
    };
    let bytes = super::cache::kept_or(discovery, group, command, files, is_whole, list)?;
    parse(&bytes)
}

/// Why a listing without its end is not believed.
const LEFT_EARLY: &str = "its process left before all tests were listed, with exit code 0: \
     something that it loaded ended it, such as `os._exit(0)` or `process.exit()` outside of a test";

/// Runs it.
fn run(
    discovery: &Discovery,
    group: &GroupConfig,
    command: &CommandTemplate,
    files: &[PathBuf],
) -> Result<Vec<u8>, String> {
    let report = discovery.folder_of(group).join("listing.jsonl");
    let files = super::as_arguments(files);
    let subject = Subject {
        files: &files,
        report: Some(&report),
        ..Subject::default()
    };
    let result = capture(discovery, group, command, subject)?.check();
    let text = fs::read(&report);
    let _ = fs::remove_file(&report);
    result?;
    text.map_err(|error| format!("the listing left nothing at <report>: {error}"))
}

/// The tests of a listing.
pub fn parse(text: &str) -> Result<Listing, String> {
    let records = text.lines().enumerate().map(|(index, line)| {
        let wrong =
            |why: &dyn std::fmt::Display| format!("line {} of the listing: {why}", index + 1);
        let record: Record = serde_json::from_str(line).map_err(|error| wrong(&error))?;
        if record.id.is_empty() && record.event.is_none() {
            return Err(wrong(&"it has no `id`"));
        }
        Ok(record)
    });
    let mut listing = Listing::default();
    for record in records {
        let record = record?;
        if record.event.is_some() {
            listing.is_over = true;
            listing.cold = record.cold;
            listing.worker = record.worker;
            listing.one_process = record.one_process;
            listing.one_process_unless_all = record.one_process_unless_all;
            listing.warnings.extend(record.warnings);
            continue;
        }
        let module = match &record.file {
            Some(file) => file.to_string_lossy().into_owned(),
            None => record.id.split("::").next().unwrap_or_default().to_owned(),
        };
        let known = record
            .error
            .map(Known::Broken)
            .or(record.skip.map(Known::Skipped));
        let timeout = record
            .timeout
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let always = record.attachments.into_iter().map(|path| (path, false));
        let on_failure = record.attachments_on_failure.into_iter();
        let attachments = always.chain(on_failure.map(|path| (path, true)));
        let attachments = attachments.map(|(path, on_failure)| Attachment { path, on_failure });
        listing.items.push(Item {
            claims: (record.claims != Claims::default()).then(|| Arc::new(record.claims)),
            attachments: attachments.collect(),
            module,
            file: record.file,
            line: record.line,
            tags: record.tags,
            keywords: record.keywords.map(|names| names.join("\n").to_lowercase()),
            timeout,
            affinity: record.group,
            known,
            ..Item::plain(record.id)
        });
    }
    Ok(listing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_are_kept_apart_and_in_lower_case() {
        let Listing { items, .. } = parse(
            "{\"id\":\"a\",\"keywords\":[\"Test\",\"t[1]\"]}\n{\"id\":\"b\",\"keywords\":null}",
        )
        .unwrap();
        assert_eq!(items[0].keywords.as_deref(), Some("test\nt[1]"));
        assert_eq!(items[1].keywords, None);
    }

    #[test]
    fn claims_and_attachments_are_read() {
        let text = r#"{"id":"a","locks":["db",{"name":"net","mode":"read"}],"slots":2,"exclusive":true,"after":["b"],"fixtures":["f"],"sets-up":["g"],"cleans-up":["h"],"cost":3,"attachments":["a.log"],"attachments-on-failure":["a.png"]}
{"id":"b"}"#;
        let Listing { items, .. } = parse(text).unwrap();
        let claims = items[0].claims.as_deref().unwrap();
        assert_eq!((claims.locks.len(), claims.slots), (2, Some(2)));
        assert!(claims.exclusive && !claims.serial);
        assert_eq!(
            (&claims.after, &claims.fixtures),
            (&vec!["b".to_owned()], &vec!["f".to_owned()])
        );
        assert_eq!((claims.sets_up.len(), claims.cleans_up.len()), (1, 1));
        assert_eq!(claims.cost, Some(3.0));
        let on_failure = items[0].attachments.iter().map(|file| file.on_failure);
        assert_eq!(on_failure.collect::<Vec<_>>(), [false, true]);
        assert_eq!(items[1].claims, None);
        assert!(parse("{\"id\":\"a\",\"locks\":3}").is_err());
    }

    #[test]
    fn records_become_items_and_errors_are_kept() {
        let Listing { items, cold, one_process, one_process_unless_all, warnings, worker: _, is_over } = parse("{\"id\":\"a.py::t\",\"file\":\"a.py\",\"line\":3,\"tags\":[\"slow\"]}\n{\"id\":\"b.py\",\"error\":\"no\"}\n{\"event\":\"listed\",\"cold\":\"why\",\"one-process\":\"since\",\"one-process-unless-all\":\"part\",\"warnings\":[\"w\"]}").unwrap();
        assert_eq!((items.len(), cold.as_deref()), (2, Some("why")));
        assert_eq!(one_process.as_deref(), Some("since"));
        assert_eq!(one_process_unless_all.as_deref(), Some("part"));
        assert_eq!(warnings, ["w"]);
        assert!(is_over && !parse("{\"id\":\"a\"}").unwrap().is_over);
        assert_eq!((items[0].module.as_str(), items[0].line), ("a.py", Some(3)));
        assert_eq!(items[1].known, Some(Known::Broken("no".into())));
        assert!(parse("{\"id\":").unwrap_err().starts_with("line 1"));
        assert!(parse("{}").unwrap_err().ends_with("it has no `id`"));
    }
}
