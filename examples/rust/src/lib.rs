//! Roman numerals, from 1 to 3999.

const DIGITS: [(u16, &str); 13] = [
    (1000, "M"),
    (900, "CM"),
    (500, "D"),
    (400, "CD"),
    (100, "C"),
    (90, "XC"),
    (50, "L"),
    (40, "XL"),
    (10, "X"),
    (9, "IX"),
    (5, "V"),
    (4, "IV"),
    (1, "I"),
];

/// Writes a number.
///
/// ```
/// assert_eq!(roman::write(1994).as_deref(), Some("MCMXCIV"));
/// ```
pub fn write(mut number: u16) -> Option<String> {
    if !(1..4000).contains(&number) {
        return None;
    }
    let mut text = String::new();
    for (value, digit) in DIGITS {
        while number >= value {
            text += digit;
            number -= value;
        }
    }
    Some(text)
}

/// Reads a number; only the one right way to write it is read.
///
/// ```
/// assert_eq!(roman::read("XIV"), Some(14));
/// assert_eq!(roman::read("XIIII"), None);
/// ```
pub fn read(text: &str) -> Option<u16> {
    let (mut number, mut rest) = (0u16, text);
    for (value, digit) in DIGITS {
        while let Some(after) = rest.strip_prefix(digit) {
            number = number.checked_add(value)?;
            rest = after;
        }
    }
    (write(number).as_deref() == Some(text)).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subtracts() {
        assert_eq!(write(49).as_deref(), Some("XLIX"));
    }

    #[test]
    fn has_no_zero() {
        assert_eq!(write(0), None);
        assert_eq!(read(""), None);
    }

    #[test]
    fn refuses_what_nobody_writes() {
        for text in ["IC", "VV", "MMMM", "x", "X I"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    #[ignore = "no bars over digits yet"]
    fn has_thousands() {
        assert_eq!(write(4000).as_deref(), Some("I\u{305}V\u{305}"));
    }
}
