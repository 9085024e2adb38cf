//! What timeouts are multiplied with.

use std::borrow::Cow;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de::Error};

/// The most that makes sense: a machine that is a thousand times slower.
const MOST: f64 = 1000.0;
const LEAST: f64 = 0.001;

/// A factor of durations, from a thousandth to a thousand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Factor(f64);

impl Default for Factor {
    fn default() -> Self {
        Self(1.0)
    }
}

impl Factor {
    /// A duration, multiplied.
    #[must_use]
    pub fn of(self, span: Duration) -> Duration {
        if self == Self::default() {
            return span;
        }
        let seconds = span.as_secs_f64() * self.0;
        Duration::try_from_secs_f64(seconds).unwrap_or(span)
    }

    fn new(number: f64) -> Result<Self, String> {
        if (LEAST..=MOST).contains(&number) {
            Ok(Self(number))
        } else {
            Err(format!("expected a number from {LEAST} to {MOST}"))
        }
    }
}

impl std::fmt::Display for Factor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Factor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text.parse().unwrap_or(f64::NAN))
    }
}

impl<'de> Deserialize<'de> for Factor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(f64::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl JsonSchema for Factor {
    fn schema_name() -> Cow<'static, str> {
        "Factor".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // `integer` is within `number`, but tombi takes that for floats alone.
        json_schema!({ "type": ["integer", "number"], "minimum": LEAST, "maximum": MOST, "examples": [2, 0.5] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_factor_is_a_number_above_zero() {
        let of = |text: &str| {
            text.parse::<Factor>()
                .map(|factor| factor.of(Duration::from_secs(10)))
        };
        assert_eq!(of("2"), Ok(Duration::from_secs(20)));
        assert_eq!(of("0.5"), Ok(Duration::from_secs(5)));
        for text in ["0", "-1", "nan", "inf", "1e9", "", "2x"] {
            assert!(of(text).is_err(), "{text}");
        }
    }
}
