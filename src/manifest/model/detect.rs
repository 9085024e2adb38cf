//! What tells that a runner is used in a repository.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::Value;

/// A sign of a runner: `"Cargo.toml"`, or `{ file = "package.json", contains = "jest" }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Detect {
    /// A file that matches this pattern.
    File(String),
    /// A file that holds a text.
    Contains(Contains),
}

/// A file that holds a text.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(inline)]
pub struct Contains {
    /// The file, relative to the root.
    pub file: String,
    /// The text.
    pub contains: String,
    /// Whether upper and lower case are the same, and blanks do not count, as in CMake's commands.
    #[serde(default)]
    pub loose: bool,
}

impl<'de> Deserialize<'de> for Detect {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(pattern) => Ok(Self::File(pattern)),
            value @ Value::Object(_) => serde_json::from_value(value)
                .map(Self::Contains)
                .map_err(D::Error::custom),
            _ => Err(D::Error::custom(
                "a pattern, or a table with `file` and `contains`",
            )),
        }
    }
}

impl JsonSchema for Detect {
    fn schema_name() -> Cow<'static, str> {
        "Detect".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut table = generator.subschema_for::<Contains>();
        let mut schema = json_schema!({ "type": ["string", "object"] });
        for key in ["properties", "required", "additionalProperties"] {
            if let Some(value) = table.remove(key) {
                schema.insert(key.into(), value);
            }
        }
        schema
    }
}
