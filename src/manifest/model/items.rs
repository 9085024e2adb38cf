//! What a `command` group runs over.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::Value;

use super::Command;

/// The items of a `command` group: written out, or listed by a command or a file.
#[derive(Clone, Debug, PartialEq)]
pub enum Items {
    /// Written out in the manifest.
    Listed(Vec<String>),
    /// Read from a command's standard output or from a file.
    From(ItemsTable),
}

/// Where items are read from: exactly one of `command` and `file`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
#[schemars(inline)]
pub struct ItemsTable {
    /// A command that prints the items on its standard output.
    pub command: Option<Command>,
    /// A file that holds the items, relative to the root.
    pub file: Option<String>,
    /// What stands between two items.
    pub separator: Option<Separator>,
}

/// What stands between two items.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum Separator {
    /// A newline; empty lines are passed over.
    #[default]
    Newline,
    /// A NUL byte, as `git ls-files -z` and `find -print0` print it: the only one that every file name survives.
    Nul,
}

impl<'de> Deserialize<'de> for Items {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            value @ Value::Array(_) => serde_json::from_value(value)
                .map(Self::Listed)
                .map_err(D::Error::custom),
            value @ Value::Object(_) => serde_json::from_value(value)
                .map(Self::From)
                .map_err(D::Error::custom),
            _ => Err(D::Error::custom(
                "items are an array, or a table with `command` or `file`",
            )),
        }
    }
}

impl JsonSchema for Items {
    fn schema_name() -> Cow<'static, str> {
        "Items".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = generator.subschema_for::<ItemsTable>();
        let mut list = json_schema!({ "type": ["array", "object"], "items": { "type": "string" } });
        for key in ["properties", "additionalProperties"] {
            if let Some(value) = schema.remove(key) {
                list.insert(key.into(), value);
            }
        }
        list
    }
}
