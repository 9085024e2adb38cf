//! A command: an array is run as it is, a string by `sh -c`. Where one may be taken back, an empty array does it.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::Value;

/// A command as a manifest writes it; its words may hold `<name>` templates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// A program and its arguments; no shell is near it.
    Words(Vec<String>),
    /// A line for `sh -c`; `<items>` become its `"$@"`.
    Shell(String),
}

impl<'de> Deserialize<'de> for Command {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(line) if !line.is_empty() => Ok(Self::Shell(line)),
            Value::Array(words) if !words.is_empty() => words
                .into_iter()
                .map(|word| match word {
                    Value::String(word) => Ok(word),
                    _ => Err(D::Error::custom("each word of a command is a string")),
                })
                .collect::<Result<_, _>>()
                .map(Self::Words),
            _ => Err(D::Error::custom(
                "a command is an array of strings, or one string for `sh -c`",
            )),
        }
    }
}

impl JsonSchema for Command {
    fn schema_name() -> Cow<'static, str> {
        "Command".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["array", "string"],
            "items": { "type": "string" },
            "minItems": 1,
            "minLength": 1,
        })
    }
}

/// A command where a stronger table may say that there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandOrNone(pub Option<Command>);

impl<'de> Deserialize<'de> for CommandOrNone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Array(words) if words.is_empty() => Ok(Self(None)),
            other => Command::deserialize(other)
                .map(|command| Self(Some(command)))
                .map_err(D::Error::custom),
        }
    }
}

impl JsonSchema for CommandOrNone {
    fn schema_name() -> Cow<'static, str> {
        "CommandOrNone".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = Command::json_schema(generator);
        schema.remove("minItems");
        schema
    }
}
