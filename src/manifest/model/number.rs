//! Whole numbers with a range of their own.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::Value;

/// The most workers that can be asked for: a typing mistake must not start a million processes.
pub const MOST_WORKERS: u32 = 4096;
const MOST: u32 = 1_000_000;

/// Reads a whole number within `least..=most`. JSON schema calls `4.0` an integer, so this does too.
fn whole(value: &Value, least: u32, most: u32) -> Result<u32, String> {
    let number = value.as_f64().filter(|n| n.fract() == 0.0);
    match number {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the range was just checked"
        )]
        Some(n) if (f64::from(least)..=f64::from(most)).contains(&n) => Ok(n as u32),
        _ => Err(format!("expected a whole number from {least} to {most}")),
    }
}

macro_rules! whole_number {
    ($(#[$doc:meta])* $name:ident, $least:expr, $most:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name(pub u32);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                whole(&Value::deserialize(deserializer)?, $least, $most).map($name).map_err(D::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn inline_schema() -> bool {
                true
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "integer", "minimum": $least, "maximum": $most })
            }
        }
    };
}

whole_number!(
    /// A number of workers; 0 lets `orchestrate` choose.
    Workers, 0, MOST_WORKERS
);
whole_number!(
    /// A number of times, 0 included.
    Count, 0, MOST
);

/// How many items a job gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkSize {
    /// The planner decides, from what starting a job costs.
    Auto,
    /// At most this many.
    Items(u32),
}

impl<'de> Deserialize<'de> for ChunkSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) if text == "auto" => Ok(Self::Auto),
            value => whole(&value, 1, MOST)
                .map(Self::Items)
                .map_err(|why| D::Error::custom(format!("{why}, or \"auto\""))),
        }
    }
}

impl JsonSchema for ChunkSize {
    fn schema_name() -> Cow<'static, str> {
        "ChunkSize".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["integer", "string"], "minimum": 1, "maximum": MOST, "pattern": "^auto$", "examples": ["auto", 10] })
    }
}

/// How many of the run's workers a job takes up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slots {
    /// As many as there are.
    All,
    /// This many.
    Number(u32),
}

impl<'de> Deserialize<'de> for Slots {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) if text == "all" => Ok(Self::All),
            value => whole(&value, 1, MOST_WORKERS)
                .map(Self::Number)
                .map_err(|why| D::Error::custom(format!("{why}, or \"all\""))),
        }
    }
}

impl JsonSchema for Slots {
    fn schema_name() -> Cow<'static, str> {
        "Slots".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["integer", "string"], "minimum": 1, "maximum": MOST_WORKERS, "pattern": "^all$", "examples": [2, "all"] })
    }
}

impl Slots {
    /// As the scheduler counts: more than there are is all.
    #[must_use]
    pub fn count(self) -> usize {
        match self {
            Self::All => usize::MAX,
            Self::Number(number) => number as usize,
        }
    }
}

impl Workers {
    /// The most that can be asked for.
    pub const MOST: u32 = MOST_WORKERS;
}
