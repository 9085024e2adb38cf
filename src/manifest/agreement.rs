//! Holds the two readers of a manifest together: what the schema accepts, the types read, and the other way round.
//!
//! Documents are drawn from the schema itself, so that a new key is tried from its first day, with slips of every kind
//! strewn in: values of the wrong type, out of range, of the wrong form, keys unknown or missing.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Map, Value, json};

use super::model::Manifest;
use super::schema::{document, resolve};
use super::source::float;
use super::validate::accepts;

/// Words that some key takes and most do not.
const WORDS: [&str; 40] = [
    "",
    " ",
    "x",
    "-",
    "a b",
    "unit",
    "db_<pid>",
    "<<",
    "<",
    "30s",
    "1m 30s",
    "500ms",
    "0s",
    "1.5s",
    "-1s",
    "5",
    "5 s",
    "1h",
    "1d",
    "s",
    "1m30s",
    "٣s",
    "50%",
    "0%",
    "101%",
    "auto",
    "all",
    "any",
    "nul",
    "pytest",
    "**/*.py",
    "tag:slow",
    "1GiB",
    "1 MiB",
    "read",
    "fail",
    "junit",
    "a\nb",
    "\u{e9}",
    "99999999999999999999h",
];

/// Numbers at the edges of what some key takes.
fn numbers() -> impl Strategy<Value = Value> {
    prop_oneof![
        select(vec![
            -1_i64,
            0,
            1,
            2,
            100,
            101,
            255,
            256,
            65_535,
            65_536,
            1 << 32,
            i64::MAX,
            i64::MIN
        ])
        .prop_map(Value::from),
        select(vec![0.0, 0.5, 1.0, -0.5, 1e9, 1e19, 1e300])
            .prop_map(|number| Value::from(float(number))),
    ]
}

fn anything() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::from),
        numbers(),
        select(&WORDS[..]).prop_map(Value::from),
        vec(select(&WORDS[..]), 0..3).prop_map(Value::from),
        select(&WORDS[..]).prop_map(|word| json!({ word: 1 })),
    ]
}

/// Documents that a part of the schema mostly accepts.
fn fitting(node: &'static Value) -> BoxedStrategy<Value> {
    let node = resolve(node);
    let types: Vec<&str> = match &node["type"] {
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        Value::String(one) => vec![one],
        _ => return anything().boxed(),
    };
    let each = types.into_iter().map(|kind| match kind {
        "object" => table(node),
        "array" => match node.get("items") {
            Some(items) => vec(with_slips(items), 0..3).prop_map(Value::from).boxed(),
            None => anything().boxed(),
        },
        "string" => string(node),
        "boolean" => any::<bool>().prop_map(Value::from).boxed(),
        _ => numbers().boxed(),
    });
    proptest::strategy::Union::new(each).boxed()
}

fn string(node: &'static Value) -> BoxedStrategy<Value> {
    let listed = node.get("enum").or_else(|| node.get("examples"));
    let listed: Vec<Value> = listed
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let words = select(&WORDS[..]).prop_map(Value::from);
    if listed.is_empty() {
        words.boxed()
    } else {
        prop_oneof![4 => select(listed), 1 => words].boxed()
    }
}

fn table(node: &'static Value) -> BoxedStrategy<Value> {
    let properties = node.get("properties").and_then(Value::as_object);
    let keys: Vec<(&'static str, &'static Value)> = properties
        .into_iter()
        .flatten()
        .map(|(key, node)| (key.as_str(), node))
        .collect();
    let required: Vec<&str> = node["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let (needed, free): (Vec<_>, Vec<_>) = keys
        .into_iter()
        .partition(|(key, _)| required.contains(key));
    let most = free.len().min(4);
    let chosen = (subsequence(free, 0..=most), proptest::bool::weighted(0.95)).prop_flat_map(
        move |(mut chosen, complete)| {
            if complete {
                chosen.extend(needed.iter().copied());
            }
            let entries: Vec<_> = chosen
                .into_iter()
                .map(|(key, node)| (Just(key.to_owned()), with_slips(node)))
                .collect();
            entries
        },
    );
    let more = match node.get("additionalProperties") {
        Some(values @ Value::Object(_)) => {
            btree_map(select(&WORDS[..]), with_slips(values), 0..3).boxed()
        }
        _ => btree_map(select(&WORDS[..]), anything(), 1).boxed(),
    };
    let unknown = proptest::bool::weighted(0.03);
    let is_map = node
        .get("additionalProperties")
        .is_some_and(Value::is_object);
    (chosen, more, unknown)
        .prop_map(move |(entries, more, unknown)| {
            let mut map: Map<String, Value> = entries.into_iter().collect();
            if is_map || unknown {
                map.extend(more.into_iter().map(|(key, value)| (key.to_owned(), value)));
            }
            Value::Object(map)
        })
        .boxed()
}

fn with_slips(node: &'static Value) -> BoxedStrategy<Value> {
    // Derived structs also read an array, a value for each field in order. It can't happen: the schema is asked first.
    let is_table = resolve(node)["type"] == "object";
    let slip = anything().prop_filter("an array for a table", move |value| {
        !(is_table && value.is_array())
    });
    prop_oneof![30 => fitting(node), 1 => slip].boxed()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn the_schema_accepts_what_the_types_read(manifest in fitting(document())) {
        let read = serde_json::from_value::<Manifest>(manifest.clone());
        prop_assert_eq!(accepts(&manifest), read.is_ok(), "{}: {:?}", manifest, read.err());
    }
}
