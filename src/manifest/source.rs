//! A manifest's text as a tree of plain values, and where in the text each of them stands.
//!
//! Everything after this file speaks of places by JSON pointer (`/groups/unit/timeout`); only here are they turned into
//! ranges of the text. Nothing here knows what a key means.

use std::collections::HashMap;
use std::ops::Range;
use std::path::PathBuf;

use serde_json::{Map, Number, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Place, Problem};

/// The largest manifest that is read.
pub const MOST_BYTES: usize = 1 << 20;

/// The most syntax errors that are told at once.
const MOST_SYNTAX: usize = 5;

/// A manifest's text and name.
#[derive(Clone, Debug)]
pub struct Source {
    /// The file's path, as messages name it.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
}

/// Where the keys and values of a document stand in its text.
#[derive(Debug, Default)]
pub struct Spans {
    keys: HashMap<String, Range<usize>>,
    values: HashMap<String, Range<usize>>,
}

impl Spans {
    /// The text of a place. A key or value that was not written is looked for in the table that should hold it.
    #[must_use]
    pub fn range(&self, place: &Place) -> Range<usize> {
        let (first, second, pointer) = match place {
            Place::Key(pointer) => (&self.keys, &self.values, pointer.as_str()),
            Place::Value(pointer) => (&self.values, &self.keys, pointer.as_str()),
            Place::Text(range) => return range.clone(),
        };
        let mut pointer = pointer;
        loop {
            if let Some(range) = first.get(pointer).or_else(|| second.get(pointer)) {
                return range.clone();
            }
            match pointer.rfind('/') {
                Some(end) => pointer = &pointer[..end],
                None => return 0..0,
            }
        }
    }
}

/// Joins a key to a pointer, escaped as RFC 6901 asks.
#[must_use]
pub fn join(pointer: &str, key: &str) -> String {
    format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"))
}

/// Parses a document. Values that JSON has no word for (dates, infinities, huge integers) are problems, since no key takes them.
pub fn parse(text: &str) -> (Value, Spans, Vec<Problem>) {
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        let mut problems: Vec<(usize, Problem)> = Vec::new();
        for error in &errors {
            let range = error.span().unwrap_or(0..0);
            // The parser goes on after an error as well as it can: what it says later of the same line, or after a few
            // errors, mostly follows from the first.
            let line = text[..range.start.min(text.len())].matches('\n').count();
            let is_told = problems.iter().any(|(told, _)| *told == line);
            if !is_told && problems.len() < MOST_SYNTAX {
                let problem = Problem::new(Place::Text(range), error.message().to_owned());
                problems.push((line, problem.label("not valid TOML")));
            }
        }
        let problems = problems.into_iter().map(|(_, problem)| problem).collect();
        return (Value::Null, Spans::default(), problems);
    }
    let mut reader = Reader {
        spans: Spans::default(),
        problems: Vec::new(),
    };
    let value = reader.table("", table.get_ref());
    (value, reader.spans, reader.problems)
}

struct Reader {
    spans: Spans,
    problems: Vec<Problem>,
}

impl Reader {
    fn table(&mut self, pointer: &str, table: &DeTable<'_>) -> Value {
        let mut map = Map::new();
        for (key, value) in table {
            let pointer = join(pointer, key.get_ref());
            self.spans.keys.insert(pointer.clone(), key.span());
            if let Some(value) = self.value(&pointer, value) {
                map.insert(key.get_ref().to_string(), value);
            }
        }
        Value::Object(map)
    }

    fn value(&mut self, pointer: &str, value: &Spanned<DeValue<'_>>) -> Option<Value> {
        self.spans.values.insert(pointer.to_owned(), value.span());
        let number = match value.get_ref() {
            DeValue::String(text) => return Some(Value::String(text.to_string())),
            DeValue::Boolean(flag) => return Some(Value::Bool(*flag)),
            DeValue::Table(table) => return Some(self.table(pointer, table)),
            DeValue::Array(array) => {
                let mut list = Vec::with_capacity(array.len());
                for (index, value) in array.iter().enumerate() {
                    list.push(self.value(&join(pointer, &index.to_string()), value)?);
                }
                return Some(Value::Array(list));
            }
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .ok()
                .map(Number::from)
                .ok_or("this number is too large"),
            DeValue::Float(number) => number
                .as_str()
                .parse()
                .ok()
                .and_then(Number::from_f64)
                .ok_or("this is not a finite number"),
            DeValue::Datetime(_) => Err("a date and time is not known to any key: write a string"),
        };
        number
            .map(Value::Number)
            .map_err(|why| {
                let place = Place::Value(pointer.to_owned());
                self.problems.push(Problem::new(place, why.to_owned()));
            })
            .ok()
    }
}
