//! Which tests of a group run alone in it.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::Value;

/// `true`: the whole group one by one; or the patterns of the tests that run alone in their group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Serial {
    /// All of the group's tests, or none.
    Group(bool),
    /// Those that match one of these.
    Matching(Vec<String>),
}

impl<'de> Deserialize<'de> for Serial {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Bool(all) => Ok(Self::Group(all)),
            value @ Value::Array(_) => serde_json::from_value(value)
                .map(Self::Matching)
                .map_err(D::Error::custom),
            _ => Err(D::Error::custom(
                "`serial` is true, false or an array of patterns",
            )),
        }
    }
}

impl JsonSchema for Serial {
    fn schema_name() -> Cow<'static, str> {
        "Serial".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["boolean", "array"], "items": { "type": "string" } })
    }
}
