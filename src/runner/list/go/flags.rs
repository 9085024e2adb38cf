//! The flags of `go test` that decide how its test programs are listed and run. `go test` itself handles all others.
//!
//! Sources: `go help test`, `go help testflag`, `go help build`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

/// Flags that take a value as the next word, unless they have one behind `=`.
const WITH_VALUE: [&str; 48] = [
    "C",
    "asmflags",
    "bench",
    "benchtime",
    "blockprofile",
    "blockprofilerate",
    "buildmode",
    "buildvcs",
    "compiler",
    "count",
    "covermode",
    "coverpkg",
    "coverprofile",
    "cpu",
    "cpuprofile",
    "exec",
    "fuzz",
    "fuzzcachedir",
    "fuzzminimizetime",
    "fuzztime",
    "gccgoflags",
    "gcflags",
    "installsuffix",
    "ldflags",
    "list",
    "memprofile",
    "memprofilerate",
    "mod",
    "modfile",
    "mutexprofile",
    "mutexprofilefraction",
    "o",
    "outputdir",
    "overlay",
    "p",
    "parallel",
    "pgo",
    "pkgdir",
    "run",
    "shuffle",
    "skip",
    "tags",
    "testlogfile",
    "timeout",
    "toolexec",
    "trace",
    "vet",
    "debug-trace",
];
/// Flags that decide which files and packages there are, so `go list` needs them too.
const OF_LISTING: [&str; 9] = [
    "asan", "compiler", "mod", "modfile", "msan", "overlay", "race", "tags", "C",
];
/// Flags whose file holds what one process measured.
pub const PROFILES: [&str; 5] = [
    "blockprofile",
    "cpuprofile",
    "memprofile",
    "mutexprofile",
    "trace",
];

/// What the flags of a command say.
#[derive(Debug, Default, PartialEq)]
pub struct Flags {
    /// The flags that `go list` needs.
    pub of_listing: Vec<OsString>,
    /// The program that runs test programs.
    pub exec: Option<String>,
    /// The file that the coverage is written to.
    pub coverprofile: Option<String>,
    /// The folder of profiles.
    pub outputdir: Option<String>,
    /// Whether there is a time limit for a test program.
    pub has_timeout: bool,
    /// A flag for a file that one process writes.
    pub profile: Option<String>,
    /// The flags that would do nothing or something else here, and what to do instead.
    pub refused: Vec<String>,
}

impl Flags {
    /// Reads the words behind `go test`, and takes out those that are only about the output of `go test`.
    pub fn read(words: &mut Vec<OsString>) -> Self {
        let mut flags = Self::default();
        let mut index = 0;
        while index < words.len() {
            let word = words[index].to_string_lossy().into_owned();
            let Some(name) = word
                .strip_prefix("--")
                .or_else(|| word.strip_prefix('-'))
                .filter(|name| !name.is_empty())
            else {
                index += 1;
                continue;
            };
            if name == "args" {
                break;
            }
            let (name, value) = match name.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (name, None),
            };
            let name = name.strip_prefix("test.").unwrap_or(name);
            if name == "json" {
                words.remove(index);
                continue;
            }
            let takes_next = value.is_none() && WITH_VALUE.contains(&name);
            let count = if takes_next { 2 } else { 1 };
            let end = words.len().min(index + count);
            let value = value.unwrap_or_else(|| match &words[index + 1..end] {
                [next] => next.to_string_lossy().into_owned(),
                _ => String::new(),
            });
            if name == "exec" {
                flags.exec = Some(value);
                words.drain(index..end);
                continue;
            }
            flags.note(name, value, &words[index..end]);
            if name == "coverprofile" {
                words.drain(index..end);
            } else {
                index = end;
            }
        }
        flags
    }

    fn note(&mut self, name: &str, value: String, words: &[OsString]) {
        if OF_LISTING.contains(&name) {
            self.of_listing.extend(words.iter().cloned());
        }
        if PROFILES.contains(&name) {
            self.profile = Some(name.to_owned());
        }
        let instead = match name {
            "coverprofile" => {
                self.coverprofile = Some(value);
                return;
            }
            "outputdir" => {
                self.outputdir = Some(value);
                return;
            }
            "timeout" => {
                self.has_timeout = true;
                return;
            }
            "bench" | "fuzz" => {
                "benchmarks and fuzzing are no tests: run `go test` in a group with a `command`"
            }
            "failfast" => "it would end each job by itself: use `max-fail = 1` or `-x`",
            "list" => "use `orchestrate list`",
            "c" | "n" | "i" => "it keeps `go test` from running tests",
            _ => return,
        };
        self.refused.push(format!("-{name}: {instead}"));
    }

    /// Takes in what `GOFLAGS` says where the command says nothing.
    pub fn add(&mut self, other: Self) {
        self.exec = self.exec.take().or(other.exec);
        self.coverprofile = self.coverprofile.take().or(other.coverprofile);
        self.outputdir = self.outputdir.take().or(other.outputdir);
        self.has_timeout |= other.has_timeout;
        self.profile = self.profile.take().or(other.profile);
        self.refused.extend(other.refused);
    }
}

/// Splits at blanks, as `go` does for `GOFLAGS` and `-exec`: a field may stand in quotes.
pub fn fields(text: &str) -> Vec<OsString> {
    let mut fields = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (field, after) = match first {
            '\'' | '"' => rest[1..].split_once(first).unwrap_or((&rest[1..], "")),
            _ => rest.split_once(char::is_whitespace).unwrap_or((rest, "")),
        };
        fields.push(field.into());
        rest = after.trim_start();
    }
    fields
}

/// A word as one field of `-exec`; `None` where `go` has no way to write it.
pub fn field(word: &OsString) -> Option<String> {
    let text = std::str::from_utf8(word.as_bytes()).ok()?;
    if !text.contains(|c: char| c.is_whitespace() || c == '\'' || c == '"') && !text.is_empty() {
        return Some(text.to_owned());
    }
    let quote = ['\'', '"']
        .into_iter()
        .find(|quote| !text.contains(*quote))?;
    Some(format!("{quote}{text}{quote}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn build_flags_reach_the_listing_and_flags_of_the_output_are_taken_out() {
        let mut list = words(
            "-tags a,b -race -json --mod=vendor -run X -exec wrap ./... -short -args -tags c",
        );
        let flags = Flags::read(&mut list);
        assert_eq!(flags.of_listing, words("-tags a,b -race --mod=vendor"));
        assert_eq!(flags.exec.as_deref(), Some("wrap"));
        assert!(flags.refused.is_empty());
        let rest = "-tags a,b -race --mod=vendor -run X ./... -short -args -tags c";
        assert_eq!(list, words(rest));
    }

    #[test]
    fn flags_that_would_do_nothing_are_refused() {
        let mut list =
            words("-bench . -test.failfast -coverprofile c.out -timeout=3s -cpuprofile x");
        let flags = Flags::read(&mut list);
        assert_eq!(flags.refused.len(), 2, "{:?}", flags.refused);
        assert_eq!(flags.coverprofile.as_deref(), Some("c.out"));
        assert_eq!(flags.profile.as_deref(), Some("cpuprofile"));
        assert!(flags.has_timeout);
    }

    #[test]
    fn fields_are_split_as_go_splits_them() {
        assert_eq!(
            fields(" a 'b c'  \"d'e\" "),
            ["a", "b c", "d'e"].map(OsString::from)
        );
        for word in ["a", "b c", "d'e", "f\"g", ""] {
            let written = field(&word.into()).unwrap();
            assert_eq!(fields(&written), [OsString::from(word)]);
        }
        assert_eq!(field(&"'\"".into()), None);
    }
}
