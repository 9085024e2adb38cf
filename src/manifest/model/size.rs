//! Sizes in bytes.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::Value;

/// A number of bytes: `"2GiB"`, `"512 MiB"`, `"100kB"`, or a plain number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

const UNITS: [(&str, u64); 9] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("B", 1),
];

/// The most that fits a whole number which every JSON reader keeps exact.
const MOST: u64 = 1 << 53;

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let size = match Value::deserialize(deserializer)? {
            Value::String(text) => parse(&text),
            value => value.as_u64().filter(|bytes| *bytes <= MOST),
        };
        size.map(Self)
            .ok_or_else(|| D::Error::custom("expected a size such as \"2GiB\""))
    }
}

impl JsonSchema for Size {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer"],
            "pattern": "^[0-9]{1,4}(\\.[0-9]{1,3})? ?(KiB|MiB|GiB|TiB|kB|MB|GB|TB|B)$",
            "minimum": 0,
            "maximum": MOST,
            "examples": ["2GiB", "512 MiB", "100kB"],
        })
    }
}

fn parse(text: &str) -> Option<u64> {
    let (number, factor) = UNITS
        .iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)))?;
    let number = number.strip_suffix(' ').unwrap_or(number);
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str, most: usize| {
        let fits =
            (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        fits.then(|| text.parse::<u64>().ok()).flatten()
    };
    let thousandths = digits(part, 3)? * 10_u64.pow(3 - u32::try_from(part.len()).ok()?);
    Some(digits(whole, 4)? * factor + thousandths * factor / 1000)
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = UNITS[..4]
            .iter()
            .rev()
            .find(|(_, factor)| self.0 >= *factor);
        match unit {
            Some((unit, factor)) => {
                #[expect(clippy::cast_precision_loss, reason = "one digit is shown")]
                let number = self.0 as f64 / *factor as f64;
                write!(f, "{number:.1} {unit}")
            }
            None => write!(f, "{} B", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        assert_eq!(parse("2GiB"), Some(2 << 30));
        assert_eq!(parse("1.5 MiB"), Some(3 << 19));
        assert_eq!(parse("100kB"), Some(100_000));
        assert_eq!(parse("7B"), Some(7));
        for wrong in ["", "GiB", "2", "2 gib", "1.GiB", "2  MB", "-1B", "99999B"] {
            assert_eq!(parse(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn sizes_are_shown_in_the_largest_unit() {
        assert_eq!(Size(5).to_string(), "5 B");
        assert_eq!(Size(3 << 19).to_string(), "1.5 MiB");
    }
}
