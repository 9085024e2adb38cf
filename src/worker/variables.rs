//! The variables of a job on their way to it: as `execve` takes them, since there are many, each job has them, and all that is
//! done with them is to pass them on.

use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;

use serde::{Deserialize, Serialize};

/// Variables: `NAME=value`, each with a NUL behind it. Of two with the same name the later counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvBlock {
    #[serde(with = "serde_bytes")]
    bytes: Vec<u8>,
    /// Whether one has a NUL in it, and so can't be passed on.
    is_broken: bool,
}

impl EnvBlock {
    /// Adds a variable.
    pub fn push(&mut self, name: &OsStr, value: &OsStr) {
        let (name, value) = (name.as_bytes(), value.as_bytes());
        if name.contains(&0) || value.contains(&0) {
            // What is behind it would be a variable of its own.
            self.is_broken = true;
            return;
        }
        self.bytes.reserve(name.len() + value.len() + 2);
        self.bytes.extend_from_slice(name);
        self.bytes.push(b'=');
        self.bytes.extend_from_slice(value);
        self.bytes.push(0);
    }

    /// Whether one could not be added.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// All of them, each with a NUL behind it.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Each as it is passed on, and its name.
    pub fn entries(&self) -> impl Iterator<Item = (&OsStr, &CStr)> {
        let mut rest = self.bytes.as_slice();
        std::iter::from_fn(move || {
            let entry = CStr::from_bytes_until_nul(rest).ok()?;
            rest = &rest[entry.count_bytes() + 1..];
            Some((split(entry).0, entry))
        })
    }

    /// Each by its name and value.
    pub fn pairs(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.entries().map(|(_, entry)| split(entry))
    }
}

/// The name and the value of a variable. The first character is part of the name, whatever it is, as in the C library.
fn split(entry: &CStr) -> (&OsStr, &OsStr) {
    let bytes = entry.to_bytes();
    let at = bytes.iter().skip(1).position(|byte| *byte == b'=');
    let (name, value) = match at {
        Some(at) => (&bytes[..=at], &bytes[at + 2..]),
        None => (bytes, &b""[..]),
    };
    (OsStr::from_bytes(name), OsStr::from_bytes(value))
}

impl<N: AsRef<OsStr>, V: AsRef<OsStr>> Extend<(N, V)> for EnvBlock {
    fn extend<I: IntoIterator<Item = (N, V)>>(&mut self, variables: I) {
        for (name, value) in variables {
            self.push(name.as_ref(), value.as_ref());
        }
    }
}

impl<N: AsRef<OsStr>, V: AsRef<OsStr>> FromIterator<(N, V)> for EnvBlock {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        let mut block = Self::default();
        block.extend(variables);
        block
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_come_back_as_they_went() {
        let given = [("A", "1"), ("B", ""), ("C", "x=y"), ("=D", "z"), ("A", "2")];
        let block: EnvBlock = given.into_iter().collect();
        let pairs: Vec<_> = block.pairs().collect();
        assert_eq!(
            pairs,
            given.map(|(name, value)| (OsStr::new(name), OsStr::new(value)))
        );
        let entries: Vec<_> = block.entries().map(|(_, entry)| entry).collect();
        assert_eq!(entries, [c"A=1", c"B=", c"C=x=y", c"=D=z", c"A=2"]);
    }

    #[test]
    fn no_value_becomes_a_variable_of_its_own() {
        let block: EnvBlock = [("A", "1\0B=2")].into_iter().collect();
        assert!(block.is_broken());
        assert_eq!(block.entries().count(), 0);
    }
}
