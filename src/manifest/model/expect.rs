//! A test that is known to fail.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::Value;

/// The failure that is expected of a test: failing so is `xfailed`, passing is `xpassed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Any failure that the test itself reports.
    Fail,
    /// The process exits with this code.
    Exit(u8),
}

impl<'de> Deserialize<'de> for Expect {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let exit = match &value {
            Value::String(text) if text == "fail" => return Ok(Self::Fail),
            Value::Object(table) if table.len() == 1 => table.get("exit").and_then(Value::as_f64),
            _ => None,
        };
        match exit {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "the range was just checked"
            )]
            Some(code) if code.fract() == 0.0 && (1.0..=255.0).contains(&code) => {
                Ok(Self::Exit(code as u8))
            }
            _ => Err(D::Error::custom(
                "`expect` is \"fail\" or { exit = CODE } with a code from 1 to 255",
            )),
        }
    }
}

impl JsonSchema for Expect {
    fn schema_name() -> Cow<'static, str> {
        "Expect".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "object"],
            "pattern": "^fail$",
            "properties": {
                "exit": { "type": "integer", "minimum": 1, "maximum": 255, "description": "The exit code that is expected." }
            },
            "required": ["exit"],
            "additionalProperties": false,
            "examples": ["fail", { "exit": 3 }],
        })
    }
}
