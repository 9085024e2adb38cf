//! Text for a terminal: colours where they are wanted, and nothing that a test printed can steer it.

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
    let mut safe = String::with_capacity(text.len());
    for character in text.replace("\r\n", "\n").chars() {
        match character {
            '\n' | '\t' => safe.push(character),
            // What sets a direction can make a line read as another; the separators are lines of their own to some.
            '\u{61c}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}' => {
                safe.extend(character.escape_unicode());
            }
            _ if character.is_control() => safe.extend(character.escape_default()),
            _ => safe.push(character),
        }
    }
    safe
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
