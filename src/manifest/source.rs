//! A manifest's text as a tree of plain values, and where in the text each of them stands.
//!
//! Everything after this file speaks of places by JSON pointer (`/groups/unit/timeout`); only here are they turned into
//! ranges of the text. Nothing here knows what a key means.

use std::ops::Range;
use std::path::PathBuf;

use serde_json::{Map, Number, Value};
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::problem::{Place, Problem};

/// The largest manifest that is read.
pub const MOST_BYTES: usize = 1 << 20;

/// The most syntax errors that are told at once.
const MOST_SYNTAX: usize = 5;

/// How many lines after the first syntax error are searched for more.
const MOST_LINES: usize = 200;

/// A manifest's text and name.
#[derive(Clone, Debug)]
pub struct Source {
    /// The file's path, as messages name it.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
}

/// Where the keys and values of a document stand in its text. Looked up where a message needs it: a table of all places
/// would cost more than everything else about a manifest.
///
/// What is no TOML has no places but ranges of its text.
#[derive(Debug, Default)]
pub struct Spans<'t>(Option<Spanned<DeTable<'t>>>);

impl Spans<'_> {
    /// The text of a place. A key or value that was not written is looked for in the table that should hold it.
    #[must_use]
    pub fn range(&self, place: &Place) -> Range<usize> {
        match place {
            Place::Key(pointer) => self.find(pointer).0,
            Place::Value(pointer) => self.find(pointer).1,
            Place::Text(range) => range.clone(),
        }
    }

    /// The ranges of the key and the value at a pointer, or of the nearest table that was written.
    fn find(&self, pointer: &str) -> (Range<usize>, Range<usize>) {
        let mut found = (0..0, 0..0);
        let mut table = self.0.as_ref().map(Spanned::get_ref);
        let mut array = None::<&DeArray<'_>>;
        for token in tokens(pointer) {
            let entry = match (table, array) {
                (Some(table), _) => table
                    .get_key_value(token.as_str())
                    .map(|(key, value)| (key.span(), value)),
                (None, Some(array)) => token
                    .parse()
                    .ok()
                    .and_then(|index: usize| array.get(index))
                    .map(|value| (value.span(), value)),
                (None, None) => None,
            };
            let Some((key, value)) = entry else { break };
            found = (key, value.span());
            table = value.get_ref().as_table();
            array = value.get_ref().as_array();
        }
        found
    }
}

/// The words of a pointer, as RFC 6901 reads them.
pub fn tokens(pointer: &str) -> impl Iterator<Item = String> {
    let words = pointer.split('/').skip(1);
    words.map(|word| word.replace("~1", "/").replace("~0", "~"))
}

/// Joins a key to a pointer, escaped as RFC 6901 asks.
#[must_use]
pub fn join(pointer: &str, key: &str) -> String {
    format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"))
}

/// Parses a document. Values that JSON has no word for (dates, infinities, huge integers) are problems, since no key takes
/// them, and so are texts with a NUL, which nothing that a manifest describes can be passed.
pub fn parse(text: &str) -> (Value, Spans<'_>, Vec<Problem>) {
    let table = match DeTable::parse(text) {
        Ok(table) => table,
        Err(error) => {
            let first = error.span().unwrap_or(0..0).start;
            return (Value::Null, Spans::default(), syntax_errors(text, first));
        }
    };
    let mut reader = Reader {
        problems: Vec::new(),
    };
    let value = reader.table("", table.get_ref());
    (value, Spans(Some(table)), reader.problems)
}

/// The first few syntax errors of a text whose first is at a byte.
///
/// The parser goes on after an error as well as it can: what it says later of the same line, or after a few errors, mostly
/// follows from the first. So only a part of the text is parsed again.
fn syntax_errors(text: &str, first: usize) -> Vec<Problem> {
    let mut end = first;
    for _ in 0..MOST_LINES {
        end = line_around(text, end).end.min(text.len());
    }
    let (_, errors) = DeTable::parse_recoverable(&text[..end]);
    let mut problems = Vec::new();
    let mut told: Vec<Range<usize>> = Vec::new();
    for error in &errors {
        let range = error.span().unwrap_or(0..0);
        // What is said of the end is said of the cut.
        let is_cut = range.start >= end && end < text.len() && !problems.is_empty();
        if is_cut || told.iter().any(|line| line.contains(&range.start)) {
            continue;
        }
        told.push(line_around(text, range.start));
        let problem = Problem::new(Place::Text(range), error.message().to_owned());
        problems.push(problem.label("not valid TOML"));
        if problems.len() == MOST_SYNTAX {
            break;
        }
    }
    problems
}

/// The range of the line that a byte is on, its end of line included.
fn line_around(text: &str, at: usize) -> Range<usize> {
    // By bytes: a place may be within a character.
    let bytes = text.as_bytes();
    let at = at.min(bytes.len());
    let start = memchr::memrchr(b'\n', &bytes[..at]).map_or(0, |end| end + 1);
    let rest = memchr::memchr(b'\n', &bytes[at..]);
    start..rest.map_or(bytes.len(), |end| at + end) + 1
}

/// A float as the schema takes it, to which `2.0` is the whole number 2 (draft-07, 6.1.1); nothing if it is not finite.
pub fn float(number: f64) -> Option<Number> {
    let whole = number.to_string().parse::<i64>().ok();
    whole.map_or_else(|| Number::from_f64(number), |whole| Some(whole.into()))
}

/// What is read on of a text whose NUL was told already.
fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

struct Reader {
    problems: Vec<Problem>,
}

impl Reader {
    fn table(&mut self, pointer: &str, table: &DeTable<'_>) -> Value {
        let mut map = Map::new();
        for (key, value) in table {
            let pointer = join(pointer, key.get_ref());
            if key.get_ref().contains('\0') {
                let place = Place::Key(pointer.clone());
                let message = "this key has a NUL character";
                self.problems.push(Problem::new(place, message));
            }
            if let Some(value) = self.value(&pointer, value) {
                map.insert(without_nul(key.get_ref()), value);
            }
        }
        Value::Object(map)
    }

    fn value(&mut self, pointer: &str, value: &Spanned<DeValue<'_>>) -> Option<Value> {
        let number = match value.get_ref() {
            DeValue::String(text) => {
                if text.contains('\0') {
                    let place = Place::Value(pointer.to_owned());
                    let message = "this text has a NUL character, which no command, variable or path can hold";
                    self.problems.push(Problem::new(place, message));
                }
                return Some(Value::String(without_nul(text)));
            }
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
                .and_then(float)
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
