//! Validation against the committed schema, and its errors in words a person can act on.

use serde_json::Value;

use super::problem::{MOST_SHOWN, Place, Problem};
use super::schema;
use super::source::join;
use crate::suggest::did_you_mean;

/// Compiled from the schema while `orchestrate` is built: building a validator at start-up costs more than using it.
#[jsonschema::validator(path = "schema/fastest.schema.json")]
struct Schema;

/// Whether the schema accepts a document.
#[must_use]
pub fn accepts(document: &Value) -> bool {
    Schema::is_valid(document)
}

/// All that the schema has against a document. What is wrong is taken out of `document`, so that what is left can be read
/// and checked further: one slip must not hide the next. Of a document with more problems than are shown nothing is left.
pub fn validate(document: &mut Value) -> Vec<Problem> {
    let mut problems = Vec::new();
    for round in 0..MOST_ROUNDS {
        if accepts(document) {
            return problems;
        }
        let mut found = Vec::new();
        let mut wrong = Vec::new();
        for error in Schema::iter_errors(document) {
            let pointer = error.instance_path().to_string();
            explain(&error, &pointer, &mut found, &mut wrong);
            if found.len() > MOST_SHOWN {
                break;
            }
        }
        if found.len() > MOST_SHOWN {
            *document = Value::Object(serde_json::Map::new());
            return found;
        }
        for pointer in &wrong {
            remove(document, pointer);
        }
        // What was taken out may be missed by the table around it; that is no mistake of the writer's.
        if round == 0 {
            problems = found;
        }
    }
    problems
}

/// How often what is left is looked through again: no table nests as deep.
const MOST_ROUNDS: usize = 8;

fn explain(
    error: &jsonschema::ValidationError<'_>,
    pointer: &str,
    problems: &mut Vec<Problem>,
    wrong: &mut Vec<String>,
) {
    use jsonschema::error::ValidationErrorKind as Kind;
    let instance = error.instance();
    match error.kind() {
        Kind::AdditionalProperties { unexpected } => {
            for key in unexpected.iter().take(MOST_SHOWN + 1) {
                let place = join(pointer, key);
                problems.push(unknown_key(pointer, key, &place));
                wrong.push(place);
            }
            return;
        }
        Kind::Required { property } => {
            let key = property.as_str().unwrap_or_default();
            problems.push(
                Problem::new(
                    Place::Key(pointer.to_owned()),
                    format!("`{key}` is missing in {}", table_name(pointer)),
                )
                .label(format!("needs `{key}`"))
                .help(documentation(&join(pointer, key), key)),
            );
        }
        kind => {
            let name = key_name(pointer);
            let message = match kind {
                Kind::Type { .. } => format!(
                    "`{name}` is {}, but should be {}",
                    kind_of(instance),
                    expected_types(pointer)
                ),
                Kind::Pattern { .. } => format!("`{name}` can't be {}", shown(instance)),
                Kind::Enum { .. } => format!("`{name}` does not know {}", shown(instance)),
                Kind::Minimum { limit } => format!("`{name}` must be at least {limit}"),
                Kind::Maximum { limit } => format!("`{name}` must be at most {limit}"),
                Kind::MinItems { .. } | Kind::MinLength { .. } => format!("`{name}` is empty"),
                _ => format!("`{name}`: {error}"),
            };
            let mut problem = Problem::new(Place::Value(pointer.to_owned()), message);
            if let Kind::Enum { options } = kind {
                let known: Vec<_> = options
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_str)
                    .collect();
                let word = instance.as_str().unwrap_or_default();
                problem = problem
                    .label(format!("one of {}", known.join(", ")))
                    .help(did_you_mean(word, known));
            }
            problems.push(
                problem
                    .help(examples(pointer))
                    .help(documentation(pointer, &name)),
            );
        }
    }
    wrong.push(pointer.to_owned());
}

/// Keys as other tools call them.
const OTHER_KEYS: [(&str, &str); 18] = [
    ("after", "needs"),
    ("cwd", "dir"),
    ("depends", "needs"),
    ("depends-on", "needs"),
    ("directory", "dir"),
    ("environment", "env"),
    ("ignore", "exclude"),
    ("include", "files"),
    ("jobs", "workers"),
    ("parallel", "workers"),
    ("paths", "files"),
    ("requires", "needs"),
    ("reruns", "retries"),
    ("run", "command"),
    ("testpaths", "files"),
    ("tests", "files"),
    ("work-dir", "dir"),
    ("workdir", "dir"),
];

fn unknown_key(table: &str, key: &str, place: &str) -> Problem {
    let known: Vec<&'static str> = schema::describing(table)
        .map(schema::resolve)
        .and_then(|node| node.get("properties")?.as_object())
        .map(|properties| properties.keys().map(String::as_str).collect())
        .unwrap_or_default();
    let problem = Problem::key(
        place,
        format!("unknown key `{key}` in {}", table_name(table)),
    )
    .label("unknown key");
    let other = OTHER_KEYS.iter().find(|(other, _)| *other == key);
    let other = other
        .map(|(_, ours)| *ours)
        .filter(|ours| known.contains(ours));
    match other.or_else(|| crate::suggest::nearest(key, known.iter().copied())) {
        Some(near) => problem
            .help(format!("did you mean `{near}`?"))
            .help(documentation(&join(table, near), near)),
        None => problem.help(format!("known keys: {}", known.join(", "))),
    }
}

/// The key's own documentation, in one line.
fn documentation(pointer: &str, name: &str) -> Option<String> {
    let node = schema::describing(pointer)?;
    let text = node
        .get("description")
        .or_else(|| schema::resolve(node).get("description"))?;
    Some(format!("{name}: {}", text.as_str()?.replace('\n', "\n  ")))
}

fn examples(pointer: &str) -> Option<String> {
    let examples = schema::describing(pointer)?.get("examples")?.as_array()?;
    let shown: Vec<_> = examples.iter().map(shown).collect();
    Some(format!("for example {}", shown.join(", ")))
}

fn expected_types(pointer: &str) -> String {
    let types = match schema::describing(pointer).map(|node| &schema::resolve(node)["type"]) {
        Some(Value::Array(types)) => types.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(one)) => vec![one.as_str()],
        _ => Vec::new(),
    };
    let is_number = types.contains(&"number");
    let words: Vec<_> = types
        .iter()
        .filter(|kind| !(is_number && **kind == "integer"))
        .map(|kind| noun(kind))
        .collect();
    words.join(" or ")
}

fn noun(kind: &str) -> &'static str {
    match kind {
        "string" => "a string",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        "array" => "an array",
        _ => "a table",
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "a table",
    }
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}\u{2026}", &text[..end]),
        None => text,
    }
}

/// `[groups.unit]` for `/groups/unit`.
fn table_name(pointer: &str) -> String {
    if pointer.is_empty() {
        return "the manifest".into();
    }
    let words: Vec<_> = pointer.split('/').skip(1).collect();
    format!(
        "[{}]",
        words.join(".").replace("~1", "/").replace("~0", "~")
    )
}

/// The last named key of a pointer: `files` for `/groups/unit/files/0`.
fn key_name(pointer: &str) -> String {
    pointer
        .rsplit('/')
        .find(|token| token.parse::<usize>().is_err())
        .unwrap_or_default()
        .replace("~1", "/")
        .replace("~0", "~")
}

/// Takes the value at a pointer out of a document.
fn remove(document: &mut Value, pointer: &str) {
    let Some((parent, key)) = pointer.rsplit_once('/') else {
        *document = Value::Object(serde_json::Map::new());
        return;
    };
    let key = key.replace("~1", "/").replace("~0", "~");
    match document.pointer_mut(parent) {
        Some(Value::Object(map)) => {
            // What has problems never runs, so the order of the rest does not matter.
            map.swap_remove(&key);
        }
        // An element is not taken out, which would renumber the rest: its whole array goes.
        Some(Value::Array(_)) => remove(document, parent),
        _ => {}
    }
}
