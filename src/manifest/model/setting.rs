//! The value of a runner's setting, and of an environment variable.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::Value;

/// The value of a setting of a runner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// One value.
    Value(String),
    /// Several arguments: where the setting is a word of a command of its own, each is a word.
    List(Vec<String>),
    /// The first of these that exists: a path relative to the root, or a program on `PATH`.
    FirstOf(Vec<String>),
}

/// The table form of a setting.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(inline)]
struct FirstOf {
    /// The first of these that exists is taken: a path relative to the root, or the name of a program on `PATH`.
    first_of: Vec<String>,
}

impl<'de> Deserialize<'de> for Setting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => Ok(Self::Value(text)),
            value @ Value::Array(_) => serde_json::from_value(value)
                .map(Self::List)
                .map_err(D::Error::custom),
            value @ Value::Object(_) => serde_json::from_value::<FirstOf>(value)
                .map(|table| Self::FirstOf(table.first_of))
                .map_err(D::Error::custom),
            _ => Err(D::Error::custom(
                "a setting is a string, an array of strings, or { first-of = [\u{2026}] }",
            )),
        }
    }
}

impl JsonSchema for Setting {
    fn schema_name() -> Cow<'static, str> {
        "Setting".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut table = generator.subschema_for::<FirstOf>();
        let mut schema =
            json_schema!({ "type": ["string", "array", "object"], "items": { "type": "string" } });
        for key in ["properties", "required", "additionalProperties"] {
            if let Some(value) = table.remove(key) {
                schema.insert(key.into(), value);
            }
        }
        schema
    }
}

/// The value of an environment variable: numbers and booleans are taken as they are printed, so that `PORT = 80` works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text(pub String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => Ok(Self(text)),
            Value::Bool(flag) => Ok(Self(flag.to_string())),
            Value::Number(number) => Ok(Self(number.to_string())),
            _ => Err(D::Error::custom("expected a string, a number or a boolean")),
        }
    }
}

impl JsonSchema for Text {
    fn schema_name() -> Cow<'static, str> {
        "Text".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "integer", "number", "boolean"] })
    }
}
