//! After how many failed tests a run stops: `3`, `"10%"`, `"3:now"`.

use std::borrow::Cow;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::Value;

/// The most digits of a number of tests.
const MOST_DIGITS: usize = 6;
const MOST: u32 = 999_999;

/// After how many failed tests a run stops, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxFail {
    /// How many.
    pub most: Failures,
    /// What becomes of what runs then.
    pub stop: StopAt,
}

/// A number of failed tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failures {
    /// So many; 0 is never reached.
    Number(u32),
    /// So many hundredths of the selected tests.
    Percent(u32),
}

/// When a run stops that has failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StopAt {
    /// When what runs has ended.
    #[default]
    Soon,
    /// At once: what runs is ended.
    Now,
}

impl MaxFail {
    /// The first failure.
    pub const FIRST: Self = Self {
        most: Failures::Number(1),
        stop: StopAt::Soon,
    };

    /// How many failed tests that are of so many that were selected; none is never.
    #[must_use]
    pub fn of(self, tests: usize) -> Option<usize> {
        match self.most {
            Failures::Number(number) => Some(number as usize).filter(|number| *number > 0),
            Failures::Percent(share) => Some((tests * share as usize).div_ceil(100).max(1)),
        }
    }
}

impl FromStr for MaxFail {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WHY: &str = "expected a number of tests or a share of them such as 10%, with :now or :soon after it";
        let (most, stop) = match text.split_once(':') {
            None => (text, None),
            Some((most, "now")) => (most, Some(StopAt::Now)),
            Some((most, "soon")) => (most, Some(StopAt::Soon)),
            Some(_) => return Err(WHY),
        };
        let number = |text: &str| {
            let is_number = text.bytes().all(|byte| byte.is_ascii_digit())
                && text.len() <= MOST_DIGITS
                && !text.starts_with('0');
            let number = text.parse().ok();
            number.filter(|_| is_number).ok_or(WHY)
        };
        let most = match most.strip_suffix('%') {
            // One that is never reached is never stopped at either.
            None if text == "0" => Failures::Number(0),
            None => Failures::Number(number(most)?),
            Some(share) => match number(share)? {
                share @ 1..=100 => Failures::Percent(share),
                _ => return Err(WHY),
            },
        };
        Ok(Self {
            most,
            stop: stop.unwrap_or_default(),
        })
    }
}

impl<'de> Deserialize<'de> for MaxFail {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match Value::deserialize(deserializer)? {
            Value::String(text) => text,
            // JSON schema calls `4.0` an integer.
            Value::Number(number) => match number.as_f64() {
                Some(number) if number.fract() == 0.0 => format!("{number:.0}"),
                _ => number.to_string(),
            },
            _ => String::new(),
        };
        text.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for MaxFail {
    fn schema_name() -> Cow<'static, str> {
        "MaxFail".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["integer", "string"],
            "minimum": 0,
            "maximum": MOST,
            "pattern": "^(0|([1-9][0-9]{0,5}|[1-9][0-9]?%|100%)(:(now|soon))?)$",
            "examples": [1, "10%", "3:now"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_of_the_selected_tests_and_never_none() {
        let of = |text: &str, tests| text.parse::<MaxFail>().unwrap().of(tests);
        assert_eq!(of("0", 10), None);
        assert_eq!(of("3", 2), Some(3));
        assert_eq!(of("10%", 45), Some(5));
        assert_eq!(of("1%", 3), Some(1));
        assert_eq!(of("100%:now", 7), Some(7));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "", "-1", "01", "0%", "101%", "1.5", "0:now", "1:", "1:later", "1 %", "1000000", "+1",
        ] {
            assert!(text.parse::<MaxFail>().is_err(), "{text}");
        }
    }
}
