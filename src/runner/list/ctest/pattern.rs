//! Regular expressions of CMake (<https://cmake.org/cmake/help/latest/command/string.html#regex-specification>) in the syntax
//! of the `regex` crate. CMake's have no classes such as `\d`, no counts in braces, no escapes within brackets, and work on
//! bytes; `^` and `$` are the ends of the whole text.

use std::fmt::Write;

use regex::bytes::{Regex, RegexBuilder};

/// Compiles a pattern. None where CMake refuses it, or where it is not understood.
#[must_use]
pub fn compile(pattern: &str) -> Option<Regex> {
    let mut builder = RegexBuilder::new(&translate(pattern)?);
    builder.unicode(false).dot_matches_new_line(true);
    builder.build().ok()
}

/// The same pattern in the other syntax.
fn translate(pattern: &str) -> Option<String> {
    let mut bytes = pattern.bytes().peekable();
    let mut text = String::new();
    // Whether what stands before can be repeated: nothing can be twice.
    let mut can_repeat = false;
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => literal(&mut text, bytes.next()?),
            b'[' => {
                let mut class = Vec::new();
                let is_negated = bytes.next_if_eq(&b'^').is_some();
                // The first one is a member, whatever it is.
                class.push(bytes.next()?);
                while let Some(member) = bytes.next_if(|byte| *byte != b']') {
                    class.push(member);
                }
                bytes.next()?;
                members(&mut text, &class, is_negated)?;
            }
            b'*' | b'+' | b'?' => {
                if !can_repeat {
                    return None;
                }
                text.push(byte.into());
                can_repeat = false;
                continue;
            }
            b'^' | b'$' | b'|' | b'(' => {
                text.push(byte.into());
                can_repeat = false;
                continue;
            }
            b'.' | b')' => text.push(byte.into()),
            _ => literal(&mut text, byte),
        }
        can_repeat = true;
    }
    Some(text)
}

fn literal(text: &mut String, byte: u8) {
    // Writing to a string cannot fail.
    let _ = write!(text, "\\x{byte:02x}");
}

/// A class of these members, with ranges among them.
fn members(text: &mut String, class: &[u8], is_negated: bool) -> Option<()> {
    text.push_str(if is_negated { "[^" } else { "[" });
    let mut rest = class;
    while let Some((first, after)) = rest.split_first() {
        literal(text, *first);
        rest = after;
        if let [b'-', last, after @ ..] = after {
            if last < first {
                return None;
            }
            text.push('-');
            literal(text, *last);
            rest = after;
        }
    }
    text.push(']');
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finds(pattern: &str, text: &str) -> bool {
        compile(pattern).unwrap().is_match(text.as_bytes())
    }

    #[test]
    fn patterns_mean_what_they_mean_to_cmake() {
        assert!(finds("^a.*c$", "a\nb\nc"));
        assert!(!finds("^b", "a\nb"));
        assert!(finds("b$", "ab") && !finds("a$", "a\nb"));
        assert!(finds("[^a-z]Error", " Error") && !finds("[^a-z]Error", "xError"));
        // A backslash is a member like others within brackets, and takes its meaning from others outside.
        assert!(finds(r"a\.b", "a.b") && !finds(r"a\.b", "axb"));
        assert!(finds(r"[\]d", r"\d") && finds(r"\d", "d") && !finds(r"\d", "7"));
        assert!(finds("a{2}", "a{2}") && !finds("a{2}", "aa"));
        assert!(finds("[]x]+y", "]y") && finds("[a-]", "-") && finds("(a|b)?c", "bc"));
        assert!(finds("é+", "é") && finds("[é]", "é"));
        assert!(finds("", ""));
    }

    #[test]
    fn what_cmake_refuses_is_not_understood() {
        for pattern in ["*a", "a**", "(a", "[a", r"a\", "(?i)a", "[z-a]"] {
            assert!(compile(pattern).is_none(), "{pattern}");
        }
    }
}
