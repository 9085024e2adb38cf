//! A named lock that a test holds while it runs.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use serde_json::Value;

/// A lock as a manifest writes it: `"redis"` (held for writing) or `{ name = "schema", mode = "read" }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// The lock's name; locks of all groups share one space of names.
    pub name: String,
    /// How it is held.
    pub mode: LockMode,
}

/// The long form of a lock.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(inline)]
pub struct LockTable {
    /// The lock's name; locks of all groups share one space of names.
    pub name: String,
    /// How the lock is held.
    #[serde(default)]
    pub mode: LockMode,
}

/// How a lock is held.
#[derive(
    Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq, PartialOrd, Ord,
)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum LockMode {
    /// Any number of tests may read at once.
    Read,
    /// One test writes, nobody else holds the lock.
    #[default]
    Write,
}

impl<'de> Deserialize<'de> for Lock {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(name) => Ok(Self {
                name,
                mode: LockMode::Write,
            }),
            value @ Value::Object(_) => serde_json::from_value::<LockTable>(value)
                .map(|table| Self {
                    name: table.name,
                    mode: table.mode,
                })
                .map_err(D::Error::custom),
            _ => Err(D::Error::custom(
                "a lock is a name, or a table with `name` and `mode`",
            )),
        }
    }
}

impl Serialize for Lock {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.mode == LockMode::default() {
            return self.name.serialize(serializer);
        }
        let table = LockTable {
            name: self.name.clone(),
            mode: self.mode,
        };
        table.serialize(serializer)
    }
}

impl JsonSchema for Lock {
    fn schema_name() -> Cow<'static, str> {
        "Lock".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut table = generator.subschema_for::<LockTable>();
        let mut schema = json_schema!({ "type": ["string", "object"] });
        for key in ["properties", "required", "additionalProperties"] {
            if let Some(value) = table.remove(key) {
                schema.insert(key.into(), value);
            }
        }
        schema
    }
}
