//! What becomes of a test that failed: when it is run again, and what it counts as if it then passes.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, de::Error};
use serde_json::Value;

use super::Span;

/// How long a failed test waits until it is run again: a duration, or `{ kind = "exponential", delay = "1s", max = "30s" }`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Backoff {
    /// As long before each try.
    Delay(Span),
    /// The long form.
    Table(BackoffTable),
}

/// The long form of a wait.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(inline)]
pub struct BackoffTable {
    /// How the wait grows from try to try.
    #[serde(default)]
    pub kind: BackoffKind,
    /// The wait before the second try.
    pub delay: Span,
    /// The longest wait, where it grows.
    #[serde(default)]
    pub max: Option<Span>,
    /// `true` shortens each wait at random, by up to a half, so that tests which failed together do not meet again.
    #[serde(default)]
    pub jitter: Option<bool>,
}

/// How a wait grows.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum BackoffKind {
    /// It does not.
    #[default]
    Fixed,
    /// It doubles with each try.
    Exponential,
}

/// What a test counts as that failed, was run again and passed.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum Flaky {
    /// As passed; it is told of as `flaky`.
    #[default]
    Pass,
    /// As failed.
    Fail,
}

impl<'de> Deserialize<'de> for Backoff {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            value @ Value::Object(_) => serde_json::from_value(value)
                .map(Self::Table)
                .map_err(D::Error::custom),
            value @ (Value::String(_) | Value::Number(_)) => serde_json::from_value(value)
                .map(Self::Delay)
                .map_err(D::Error::custom),
            _ => Err(D::Error::custom(
                "`backoff` is a duration, or a table with a `delay`",
            )),
        }
    }
}

impl JsonSchema for Backoff {
    fn schema_name() -> Cow<'static, str> {
        "Backoff".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut table = generator.subschema_for::<BackoffTable>();
        let mut schema = Span::json_schema(generator);
        schema.insert(
            "type".into(),
            serde_json::json!(["string", "integer", "number", "object"]),
        );
        for key in ["properties", "required", "additionalProperties"] {
            if let Some(value) = table.remove(key) {
                schema.insert(key.into(), value);
            }
        }
        schema
    }
}
