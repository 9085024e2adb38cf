//! Text for a terminal: colours where they are wanted, and nothing that a test printed can steer it.

use std::fmt;

/// Colours, or none.
#[derive(Clone, Copy, Debug)]
pub struct Paint {
    /// Whether colours are written.
    pub on: bool,
}

impl Paint {
    fn with(self, code: &str, text: &str) -> String {
        if self.on {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    /// For what passed.
    pub fn good(self, text: &str) -> String {
        self.with("32", text)
    }

    /// For what failed.
    pub fn bad(self, text: &str) -> String {
        self.with("1;31", text)
    }

    /// For what is neither.
    pub fn odd(self, text: &str) -> String {
        self.with("33", text)
    }

    /// For what matters less.
    pub fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    /// For headings.
    pub fn strong(self, text: &str) -> String {
        self.with("1", text)
    }
}

/// Text that is safe on a terminal: control characters, ESC and C1 among them, are shown as escapes; lines and tabs stay.
pub fn harmless(text: &str) -> String {
    // Most is, and it may be long.
    if is_harmless(text) {
        return text.to_owned();
    }
    let mut safe = String::with_capacity(text.len());
    for character in text.replace("\r\n", "\n").chars() {
        match character {
            '\n' | '\t' => safe.push(character),
            _ if character.is_control() => safe.extend(character.escape_default()),
            _ if is_steering(character) => safe.extend(character.escape_unicode()),
            _ => safe.push(character),
        }
    }
    safe
}

/// Text that a terminal may show. There is no other way to make one than to clean it, and nothing else is printed for a person, so
/// that text which others have written reaches no terminal as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clean(String);

impl Clean {
    /// Text of any number of lines, without colours.
    pub fn lines(text: &str) -> Self {
        Self(harmless(text))
    }

    /// Text of which parts are painted. Whatever is in it by others was cleaned before, or it could be painted too.
    pub fn painted(text: &str) -> Self {
        let mut clean = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find("\x1b[") {
            let (before, from) = rest.split_at(at);
            clean.push_str(&harmless(before));
            let body = from[2..].trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
            rest = match body.strip_prefix('m') {
                Some(after) => {
                    clean.push_str(&from[..from.len() - after.len()]);
                    after
                }
                None => {
                    clean.push_str(&harmless("\x1b"));
                    &from[1..]
                }
            };
        }
        clean.push_str(&harmless(rest));
        Self(clean)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What is written here.
impl From<&'static str> for Clean {
    fn from(text: &'static str) -> Self {
        Self::lines(text)
    }
}

impl fmt::Display for Clean {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// JSON in which no character steers a terminal; it means the same.
pub fn escaped_json(text: &str) -> String {
    if text.is_ascii() && !text.contains('\x7f') {
        return text.to_owned();
    }
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if is_steering(character) && !matches!(character, '\n' | '\r' | '\t') {
            escaped.push_str(&format!("\\u{:04x}", u32::from(character)));
        } else {
            escaped.push(character);
        }
    }
    escaped
}

/// Whether nothing in a text would be shown as another.
pub fn is_harmless(text: &str) -> bool {
    let mut characters = text.chars();
    characters.all(|character| matches!(character, '\n' | '\t') || !is_steering(character))
}

/// Whether a character does something to a terminal. What sets a direction can make a line read as another; the separators are
/// lines of their own to some.
fn is_steering(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}'
        )
}

/// The same for what must stay on its line: a name with a line's end in it could forge the line after.
pub fn one_line(text: &str) -> String {
    harmless(text).replace('\n', "\\n").replace('\t', "\\t")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_steers_a_terminal_is_left() {
        assert_eq!(
            harmless("a\x1b[2J\u{9b}31m\r\n\tb\x07\u{202e}"),
            "a\\u{1b}[2J\\u{9b}31m\n\tb\\u{7}\\u{202e}"
        );
        assert_eq!(one_line("a\r\n\tok\u{85}"), "a\\n\\tok\\u{85}");
    }

    #[test]
    fn of_a_painted_text_only_colours_are_left() {
        let painted = |text| Clean::painted(text).to_string();
        assert_eq!(painted("\x1b[1;31mx\x1b[0m"), "\x1b[1;31mx\x1b[0m");
        assert_eq!(
            painted("a\x1b[2Jb\x1b]0;t\x07"),
            "a\\u{1b}[2Jb\\u{1b}]0;t\\u{7}"
        );
        assert_eq!(painted("\x1b["), "\\u{1b}[");
        assert_eq!(painted("\x1b[\x1b[3\u{e9}m"), "\\u{1b}[\\u{1b}[3\u{e9}m");
    }

    #[test]
    fn json_means_the_same_and_steers_nothing() {
        let all: String = ('\0'..=char::MAX).collect();
        let json = serde_json::to_string(&all).unwrap();
        let escaped = escaped_json(&json);
        assert!(!escaped.chars().any(is_steering));
        assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), all);
    }

    #[test]
    fn of_all_characters_none_is_left_that_does_anything() {
        let all: String = ('\0'..=char::MAX).collect();
        let bad = |character: &char| {
            character.is_control()
                || "\u{61c}\u{200e}\u{200f}\u{2028}\u{2029}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}"
                    .contains(*character)
        };
        assert!(!one_line(&all).chars().any(|character| bad(&character)));
    }
}
