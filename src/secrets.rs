//! Values that no report may show.
//!
//! `secrets` of a group names variables by patterns. A value that is secret in one group is secret in the whole run, wherever it
//! is printed: all text that a run reports is masked before the first report sees it.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::sync::{PoisonError, RwLock};

use memchr::memmem;

use crate::event::{Event, TestFinished};
use crate::worker::frame::Output;

/// What a value is in a report.
const MASK: &str = "***";

/// A shorter value is not masked: it would be found in every other word, and a report without those words says less than it hides.
pub const SHORTEST: usize = 4;

/// See the module.
#[derive(Debug, Default)]
pub struct Secrets {
    known: RwLock<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// As they are, and as JSON writes them.
    values: BTreeSet<Vec<u8>>,
    /// The names of variables whose values are too short to be masked.
    short: BTreeSet<String>,
}

/// What of a text is known to be missing.
#[derive(Clone, Copy, Debug, Default)]
struct Cut {
    before: bool,
    after: bool,
}

impl Secrets {
    /// Takes in the values of those variables whose names one of the patterns matches.
    pub fn see<'a>(
        &self,
        patterns: &[glob::Pattern],
        variables: impl IntoIterator<Item = (&'a OsStr, &'a OsStr)>,
    ) {
        if patterns.is_empty() {
            return;
        }
        for (name, value) in variables {
            let name = name.to_string_lossy();
            if !value.is_empty() && patterns.iter().any(|pattern| pattern.matches(&name)) {
                self.add(&name, value.as_bytes());
            }
        }
    }

    fn add(&self, name: &str, value: &[u8]) {
        let is_short = value.len() < SHORTEST;
        let is_known = |known: &Known| {
            if is_short {
                known.short.contains(name)
            } else {
                known.values.contains(value)
            }
        };
        if is_known(&self.known.read().unwrap_or_else(PoisonError::into_inner)) {
            return;
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if is_short {
            known.short.insert(name.to_owned());
            return;
        }
        known.values.insert(value.to_vec());
        // A key of several lines is often printed with something before each of them.
        let lines = value.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        let lines = lines.filter(|line| line.len() >= 2 * SHORTEST);
        known.values.extend(lines.map(<[u8]>::to_vec));
        let text = String::from_utf8_lossy(value);
        known.values.insert(text.as_bytes().to_vec());
        if let Ok(json) = serde_json::to_string(&text) {
            known
                .values
                .insert(json.as_bytes()[1..json.len() - 1].to_vec());
        }
    }

    /// The names of variables whose values are too short to be masked.
    pub fn too_short(&self) -> Vec<String> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.short.iter().cloned().collect()
    }

    /// Captured output as text, masked. What was left out of it may have taken a part of a value with it.
    pub fn text(&self, mut output: Output) -> String {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if known.values.is_empty() {
            return output.into_text();
        }
        let left_out = output.left_out();
        let is_cut = left_out > 0;
        let cut = Cut {
            before: false,
            after: is_cut,
        };
        if let Some(masked) = known.masked(&output.head, cut) {
            output.head = masked;
        }
        let cut = Cut {
            before: is_cut,
            after: false,
        };
        if let Some(masked) = known.masked(&output.tail, cut) {
            output.tail = masked;
        }
        output.into_text_without(left_out)
    }

    /// Masks a text.
    pub fn mask(&self, text: &mut String) {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(masked) = known.masked(text.as_bytes(), Cut::default()) {
            *text = String::from_utf8_lossy(&masked).into_owned();
        }
    }

    /// Masks all text of an event that somebody else has written, but for names: those of tests tell them apart.
    pub fn mask_event(&self, event: &mut Event) {
        let is_empty = {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            known.values.is_empty()
        };
        if is_empty {
            return;
        }
        let mask = |text: &mut Option<String>| {
            if let Some(text) = text {
                self.mask(text);
            }
        };
        match event {
            Event::TestFinished(TestFinished {
                message, output, ..
            })
            | Event::TestRetried(TestFinished {
                message, output, ..
            })
            | Event::HookFinished {
                message, output, ..
            } => {
                mask(message);
                mask(output);
            }
            Event::RunFinished { stopped, .. } => mask(stopped),
            Event::Warning { message } => self.mask(message),
            _ => {}
        }
    }
}

impl Known {
    /// A text with all values masked; none where there is no value in it.
    fn masked(&self, text: &[u8], cut: Cut) -> Option<Vec<u8>> {
        let mut hidden: Vec<Range<usize>> = Vec::new();
        for value in &self.values {
            let finder = memmem::Finder::new(value);
            let mut from = 0;
            // Values may overlap, with others and with themselves.
            while let Some(at) = text.get(from..).and_then(|rest| finder.find(rest)) {
                hidden.push(from + at..from + at + value.len());
                from += at + 1;
            }
            let longest = text.len().min(value.len() - 1);
            if cut.after
                && let Some(part) = (1..=longest)
                    .rev()
                    .find(|part| text.ends_with(&value[..*part]))
            {
                hidden.push(text.len() - part..text.len());
            }
            if cut.before
                && let Some(part) = (1..=longest)
                    .rev()
                    .find(|part| text.starts_with(&value[value.len() - part..]))
            {
                hidden.push(0..part);
            }
        }
        if hidden.is_empty() {
            return None;
        }
        hidden.sort_by_key(|range| range.start);
        let mut masked = Vec::with_capacity(text.len());
        let mut shown = 0;
        let mut ranges = hidden.into_iter().peekable();
        while let Some(mut range) = ranges.next() {
            while let Some(next) = ranges.next_if(|next| next.start < range.end) {
                range.end = range.end.max(next.end);
            }
            masked.extend_from_slice(&text[shown..range.start]);
            masked.extend_from_slice(MASK.as_bytes());
            shown = range.end;
        }
        masked.extend_from_slice(&text[shown..]);
        Some(masked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[&str]) -> Secrets {
        let secrets = Secrets::default();
        let patterns = [glob::Pattern::new("DB_*").unwrap()];
        let named = values
            .iter()
            .map(|value| (OsStr::new("DB_X"), OsStr::new(*value)));
        secrets.see(&patterns, named);
        secrets
    }

    fn masked(values: &[&str], text: &str) -> String {
        let mut text = text.to_owned();
        of(values).mask(&mut text);
        text
    }

    #[test]
    fn values_are_masked_wherever_they_are_and_however_they_overlap() {
        assert_eq!(masked(&["hunter2"], "a hunter2, hunter22"), "a ***, ***2");
        assert_eq!(masked(&["abcd", "cdef"], "xabcdefx"), "x***x");
        assert_eq!(masked(&["abcd", "abcdef"], "abcdef abcd"), "*** ***");
        assert_eq!(masked(&["aaaa"], "aaaaaaa"), "***");
        assert_eq!(masked(&["abcd"], "abcdabcd"), "******");
        assert_eq!(masked(&["a\"bcd"], r#"{"x":"a\"bcd"}"#), r#"{"x":"***"}"#);
        let key = "-----BEGIN KEY-----\nabcdefgh12345678\n-----END KEY-----";
        assert_eq!(masked(&[key], "  > abcdefgh12345678\r\n"), "  > ***\r\n");
    }

    #[test]
    fn only_variables_that_a_pattern_names_are_secret() {
        let secrets = Secrets::default();
        let patterns = [glob::Pattern::new("DB_*").unwrap()];
        let variables = [("DB_A", "first"), ("XDB_B", "second"), ("DB_C", "no")];
        let variables = variables.map(|(name, value)| (OsStr::new(name), OsStr::new(value)));
        secrets.see(&patterns, variables);
        let mut text = "first second no".to_owned();
        secrets.mask(&mut text);
        assert_eq!(text, "*** second no");
        assert_eq!(secrets.too_short(), ["DB_C"]);
    }

    #[test]
    fn a_part_of_a_value_is_masked_where_the_rest_was_left_out() {
        let output = Output {
            head: b"begin hunt".to_vec(),
            tail: b"er2 end h".to_vec(),
            total: 100,
        };
        assert_eq!(
            of(&["hunter2"]).text(output),
            "begin ***\n[81 of 100 bytes left out]\n*** end h"
        );
        let whole = Output {
            head: b"hunt".to_vec(),
            tail: Vec::new(),
            total: 4,
        };
        assert_eq!(of(&["hunter2"]).text(whole), "hunt");
    }
}
