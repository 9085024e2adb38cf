//! Finding, reading and checking a manifest.

use std::collections::HashSet;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::config::Config;
use super::model::Manifest;
use super::problem::{MOST_SHOWN, Place, Problem, Problems};
use super::resolve::{Choices, Document, resolve, stray_overlays};
use super::source::{self, MOST_BYTES, Source};
use super::validate::validate;

/// The manifest's file name.
pub const FILE_NAME: &str = "fastest.toml";

/// The most bytes that begin or part a line, a key or a value. A hundred bytes of memory are spent on each, so this bounds what a
/// hostile manifest can cost; it is counted without regard to strings, where nobody writes as many.
const MOST_MARKS: usize = 20_000;

/// What resolution may cost, in units of about ten nanoseconds and a byte or two. `[defaults]`, a profile and a runner are
/// worked into every group, and `check` does so for every profile: what is short to write can be long to read.
const MOST_COST: usize = 10_000_000;
/// What a group costs that says nothing.
const GROUP_COST: usize = 1_000;
/// What a value costs besides its text.
const VALUE_COST: usize = 100;

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file could not be read.
    #[error("can't read {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file can't be a manifest, whatever it says.
    #[error("{path} is refused: {why}")]
    Refused {
        /// The file.
        path: PathBuf,
        /// Why, and the remedy.
        why: String,
    },
    /// The manifest has problems.
    #[error("{0}")]
    Problems(Problems),
}

/// The nearest manifest: in `start` or the nearest folder above it.
#[must_use]
pub fn find(start: &Path) -> Option<PathBuf> {
    start
        .ancestors()
        .map(|folder| folder.join(FILE_NAME))
        .find(|path| path.is_file())
}

/// Reads a manifest's text, refusing at once what can't be one.
///
/// # Errors
/// A file that can't be read, is over 1 MiB, has a NUL byte or is not UTF-8.
pub fn read(path: &Path) -> Result<Source, LoadError> {
    let mut bytes = Vec::new();
    fs::File::open(path)
        // One byte more than allowed is enough to know.
        .and_then(|file| file.take(MOST_BYTES as u64 + 1).read_to_end(&mut bytes))
        .map_err(|source| LoadError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
    accept(path, bytes)
}

/// The text of a manifest, unless it can't be one whatever it says.
///
/// # Errors
/// See [`read`].
pub fn accept(path: &Path, bytes: Vec<u8>) -> Result<Source, LoadError> {
    let refused = |why: &str| LoadError::Refused {
        path: path.to_owned(),
        why: why.to_owned(),
    };
    if bytes.len() > MOST_BYTES {
        return Err(refused(
            "it is over 1 MiB; a manifest is written by hand, lists belong into a file that `items` names",
        ));
    }
    if let Some(at) = bytes.iter().position(|byte| *byte == 0) {
        return Err(refused(&format!(
            "it has a NUL byte at offset {at}, so it is not TOML; is it UTF-16? Save it as UTF-8"
        )));
    }
    let marks = bytes.iter().filter(|byte| b"[{,.=\n".contains(byte));
    if marks.count() > MOST_MARKS {
        return Err(refused(
            "it has over 20,000 lines, keys and values; a manifest is written by hand, lists belong into a file that `items` names",
        ));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        refused(&format!("byte {at} is not UTF-8; save it as UTF-8"))
    })?;
    Ok(Source {
        path: path.to_owned(),
        text: with_plain_lines(text),
    })
}

/// The text as it is read everywhere: git and editors of Windows end lines with CR LF, which TOML passes on within a string of
/// several lines, and a shell takes the CR for a part of the last word. A mark at the beginning says that it is UTF-8.
fn with_plain_lines(mut text: String) -> String {
    if text.starts_with('\u{feff}') {
        text.remove(0);
    }
    if text.contains("\r\n") {
        text = text.replace("\r\n", "\n");
    }
    text
}

/// Parses and validates; what is left after the problems were taken out comes back too, so that the rest can be checked.
fn parse(source: &Source) -> (Document<'_>, Vec<Problem>) {
    let (mut value, spans, mut problems) = source::parse(&source.text);
    let mut manifest = Manifest::default();
    if value.is_object() {
        problems.extend(validate(&mut value));
        match serde_json::from_value(value.clone()) {
            Ok(read) => manifest = read,
            // The schema accepts no more than the types do; a property test holds them together.
            Err(error) => problems.push(Problem::new(Place::Text(0..0), error.to_string())),
        }
    }
    problems.extend(stray_overlays(&manifest));
    if cost(&value) > MOST_COST {
        let message =
            "groups, profiles and `[defaults]` multiply to more than a manifest may ask for";
        let place = Place::Key("/groups".to_owned());
        problems.push(
            Problem::new(place, message)
                .label("too many together")
                .help(
                    "let one group have many files or items; put what is long into a file"
                        .to_owned(),
                ),
        );
        // Nothing of it is looked at further.
        manifest = Manifest::default();
    }
    (Document::new(source, spans, value, manifest), problems)
}

/// What resolving a manifest with each of its profiles costs.
fn cost(manifest: &Value) -> usize {
    fn of(value: &Value) -> usize {
        VALUE_COST
            + match value {
                Value::String(text) => text.len(),
                Value::Array(list) => list.iter().map(of).sum(),
                Value::Object(map) => map.iter().map(|(key, value)| key.len() + of(value)).sum(),
                _ => 0,
            }
    }
    let table = |key: &str| manifest.get(key).and_then(Value::as_object);
    let groups = table("groups").map_or(1, Map::len).max(1);
    let runner = table("runners").into_iter().flatten();
    let runner = runner.map(|(_, runner)| of(runner)).max().unwrap_or(0);
    let defaults = manifest.get("defaults").map_or(0, of);
    let each = GROUP_COST + runner + defaults;
    let profiles = table("profiles").into_iter().flatten();
    let profiles: usize = profiles
        .map(|(_, profile)| each + profile.get("defaults").map_or(0, of))
        .sum();
    groups.saturating_mul(each + profiles)
}

/// The configuration that a manifest and the choices give.
///
/// # Errors
/// All that is wrong with the manifest, in the order of its text.
pub fn load(source: &Source, root: PathBuf, choices: &Choices) -> Result<Config, LoadError> {
    let (document, mut problems) = parse(source);
    match resolve(&document, root, choices) {
        Ok(config) if problems.is_empty() => Ok(config),
        Ok(_) => Err(report(&document, problems)),
        Err(more) => {
            problems.extend(more);
            Err(report(&document, problems))
        }
    }
}

/// Checks a manifest with every profile that it has.
///
/// # Errors
/// All that is wrong with it.
pub fn check(source: &Source, root: &Path) -> Result<Config, LoadError> {
    let (document, mut problems) = parse(source);
    let mut config = None;
    let profiles = document.manifest.profiles.iter().flatten();
    let mut choices = vec![None];
    choices.extend(profiles.map(|(name, _)| Some(name.clone())));
    // A problem outside of the profiles is found once with each of them.
    let mut seen = HashSet::new();
    problems.retain(|problem| seen.insert((problem.place.clone(), problem.message.clone())));
    for profile in choices {
        if problems.len() > MOST_SHOWN {
            break;
        }
        let choices = Choices {
            profile,
            workers: None,
            ..Choices::default()
        };
        match resolve(&document, root.to_owned(), &choices) {
            Ok(resolved) => config = config.or(Some(resolved)),
            Err(more) => {
                problems.extend(more.into_iter().filter(|problem| {
                    seen.insert((problem.place.clone(), problem.message.clone()))
                }));
            }
        }
    }
    match config {
        Some(config) if problems.is_empty() => Ok(config),
        _ => Err(report(&document, problems)),
    }
}

/// The names of a manifest's profiles.
#[must_use]
pub fn profiles(source: &Source) -> Vec<String> {
    let (value, _, _) = source::parse(&source.text);
    let profiles = value
        .get("profiles")
        .and_then(|profiles| profiles.as_object());
    profiles
        .map(|map| map.keys().cloned().collect())
        .unwrap_or_default()
}

/// Problems of a manifest that are found only after it was loaded.
#[must_use]
pub fn problems(source: &Source, problems: Vec<Problem>) -> Problems {
    let (_, spans, _) = source::parse(&source.text);
    Problems::new(source, &spans, problems)
}

/// The line of a value of a manifest, from 1.
#[must_use]
pub fn line_of(source: &Source, pointer: &str) -> usize {
    let (_, spans, _) = source::parse(&source.text);
    let start = spans.range(&Place::Value(pointer.to_owned())).start;
    source.text[..start].matches('\n').count() + 1
}

fn report(document: &Document<'_>, problems: Vec<Problem>) -> LoadError {
    LoadError::Problems(Problems::new(document.source, &document.spans, problems))
}
