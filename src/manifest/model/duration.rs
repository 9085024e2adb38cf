//! A length of time: `"1m 30s"`, `"500ms"`, or a number of seconds.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::Value;

/// The longest number of seconds that can be written as a number: about 31 years.
const MOST_SECONDS: f64 = 1e9;

/// A length of time as a manifest writes it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span(pub Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => parse(&text).map(Span).ok_or_else(|| {
                D::Error::custom(format!("{text:?} is not a duration such as \"1m 30s\""))
            }),
            Value::Number(number) => number
                .as_f64()
                .filter(|seconds| (0.0..=MOST_SECONDS).contains(seconds))
                .map(|seconds| Span(Duration::from_secs_f64(seconds)))
                .ok_or_else(|| D::Error::custom("a duration is between 0 and 1e9 seconds")),
            _ => Err(D::Error::custom(
                "a duration is a string or a number of seconds",
            )),
        }
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            // `integer` is within `number`, but tombi takes that for floats alone and would then show nothing for `30`.
            "type": ["string", "integer", "number"],
            "pattern": "^[0-9]{1,9}(\\.[0-9]{1,9})?(ms|s|m|h|d)( ?[0-9]{1,9}(\\.[0-9]{1,9})?(ms|s|m|h|d))*$",
            "minimum": 0,
            "maximum": 1_000_000_000,
            "examples": ["30s", "1m 30s", "500ms", 30],
        })
    }
}

/// Reads `"1h 30m"`, `"1.5s"` or `"250ms"`: numbers of at most nine digits with a unit each (ms, s, m, h, d), at most one
/// space between the parts. `None` if it is anything else.
#[must_use]
pub fn parse(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut seconds = 0.0_f64;
    loop {
        let (whole, after) = digits(rest)?;
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => digits(after)?,
            None => ("0", after),
        };
        let number: f64 = format!("{whole}.{fraction}").parse().ok()?;
        let (unit, after) = [
            ("ms", 1e-3),
            ("s", 1.0),
            ("m", 60.0),
            ("h", 3600.0),
            ("d", 86400.0),
        ]
        .iter()
        .find_map(|(name, unit)| Some((unit, after.strip_prefix(name)?)))?;
        seconds += number * unit;
        if after.is_empty() {
            return Duration::try_from_secs_f64(seconds).ok();
        }
        rest = after.strip_prefix(' ').unwrap_or(after);
    }
}

/// Splits off the one to nine digits that `text` begins with.
fn digits(text: &str) -> Option<(&str, &str)> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    (1..=9).contains(&end).then(|| text.split_at(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_sums_of_parts_with_units() {
        for (text, millis) in [
            ("30s", 30_000),
            ("1m 30s", 90_000),
            ("1m30s", 90_000),
            ("500ms", 500),
            ("1.5h", 5_400_000),
            ("0s", 0),
            ("2d", 172_800_000),
        ] {
            assert_eq!(parse(text), Some(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn anything_else_is_no_duration() {
        for text in [
            "",
            "30",
            "s",
            "30 s",
            "1m  30s",
            "-1s",
            "1m ",
            "1.s",
            "1234567890s",
            "1w",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
