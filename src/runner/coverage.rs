//! Coverage of Go: each test program writes a profile of its own, and one profile is made of them.
//!
//! A profile is `mode: set|count|atomic`, and then a line for each block of code: `FILE:FROM,TO STATEMENTS COUNT`
//! (`golang.org/x/tools/cover`). `go test` writes the profiles of packages one after the other; several processes of one
//! package have the same blocks, so their counts are added.

use std::collections::hash_map::{Entry, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::discover::Discovery;
use crate::manifest::config::GroupConfig;

/// The profile that `go test` writes while nothing runs: blocks of packages without tests.
pub const UNTESTED: &str = "untested.profile";
/// Names the file that the profile goes to.
const TARGET: &str = "coverprofile";
const PROFILE: &str = "profile";

/// Where the listing keeps the programs and records of a group.
#[must_use]
pub fn folder(discovery: &Discovery, group: &GroupConfig) -> PathBuf {
    discovery.folder_of(group).join("go")
}

/// Keeps the name of the file that the profile of a group goes to.
///
/// # Errors
/// It can't be written.
pub fn begin(folder: &Path, target: &Path) -> io::Result<()> {
    fs::write(folder.join(TARGET), target.as_os_str().as_bytes())
}

/// The command before a test program: it gives each process a folder of its own in `parts`. `has_data` is whether the program
/// also has a folder for its raw data, as from Go 1.20 on.
#[must_use]
pub fn command(parts: &Path, exec: &[OsString], has_data: bool) -> Vec<OsString> {
    let mut line = OsString::from(
        "d=$(mktemp -d \"$1/XXXXXXXX\") || exit 1; shift; p=$1; shift; export GOCOVERDIR=\"$d\"; exec ",
    );
    for word in exec {
        line.push(quoted(word));
        line.push(" ");
    }
    line.push("\"$p\" -test.coverprofile=\"$d/profile\"");
    if has_data {
        line.push(" -test.gocoverdir=\"$d\"");
    }
    line.push(" \"$@\"");
    let mut words: Vec<OsString> = ["sh", "-c"].map(OsString::from).to_vec();
    words.extend([line, "sh".into(), parts.into()]);
    words
}

fn quoted(word: &OsStr) -> OsString {
    let mut bytes = vec![b'\''];
    for byte in word.as_bytes() {
        match byte {
            b'\'' => bytes.extend_from_slice(b"'\\''"),
            byte => bytes.push(*byte),
        }
    }
    bytes.push(b'\'');
    OsString::from_vec(bytes)
}

/// Makes one profile of those in the folders of `parts`.
///
/// # Errors
/// A profile can't be read, or the one that is asked for can't be written.
pub fn finish(folder: &Path, parts: &Path) -> Result<(), String> {
    let Ok(target) = fs::read(folder.join(TARGET)) else {
        return Ok(());
    };
    let target = PathBuf::from(OsString::from_vec(target));
    let mut profile = Profile::default();
    let mut files = vec![folder.join(UNTESTED)];
    let unreadable = |path: &Path, error: io::Error| {
        format!("can't read the coverage in {}: {error}", path.display())
    };
    let entries = fs::read_dir(parts).map_err(|error| unreadable(parts, error))?;
    let mut folders: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    folders.sort_unstable();
    files.extend(folders.into_iter().map(|folder| folder.join(PROFILE)));
    for file in files {
        match fs::read_to_string(&file) {
            Ok(text) => profile.add(&text)?,
            // A process that was killed leaves none.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(unreadable(&file, error)),
        }
    }
    fs::write(&target, profile.text())
        .map_err(|error| format!("can't write the coverage to {}: {error}", target.display()))
}

/// A profile, with its blocks in the order in which they were read.
#[derive(Default)]
struct Profile {
    mode: String,
    blocks: Vec<(String, u64)>,
    index: HashMap<String, usize>,
}

impl Profile {
    fn add(&mut self, text: &str) -> Result<(), String> {
        for line in text.lines() {
            if let Some(mode) = line.strip_prefix("mode: ") {
                mode.clone_into(&mut self.mode);
                continue;
            }
            let parsed = line
                .rsplit_once(' ')
                .and_then(|(block, count)| Some((block, count.parse().ok()?)));
            let Some((block, count)) = parsed else {
                return Err(format!("a profile of Go's coverage has the line {line:?}"));
            };
            let count: u64 = count;
            match self.index.entry(block.to_owned()) {
                Entry::Occupied(known) => {
                    let sum = &mut self.blocks[*known.get()].1;
                    *sum = if self.mode == "set" {
                        (*sum).max(count)
                    } else {
                        sum.saturating_add(count)
                    };
                }
                Entry::Vacant(new) => {
                    new.insert(self.blocks.len());
                    self.blocks.push((block.to_owned(), count));
                }
            }
        }
        Ok(())
    }

    fn text(&self) -> String {
        let mode = if self.mode.is_empty() {
            "set"
        } else {
            &self.mode
        };
        let mut text = format!("mode: {mode}\n");
        let mut blocks: Vec<_> = self.blocks.iter().collect();
        // `go test` writes one package after the other.
        blocks.sort_by_key(|(block, _)| block.rsplit_once('/').map(|(package, _)| package));
        for (block, count) in blocks {
            text.push_str(&format!("{block} {count}\n"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_one_block_are_added() {
        let mut profile = Profile::default();
        profile
            .add("mode: count\na.go:1.1,2.2 1 2\na.go:3.1,4.2 1 0\n")
            .unwrap();
        profile
            .add("mode: count\na.go:1.1,2.2 1 3\nb.go:1.1,2.2 4 1\n")
            .unwrap();
        assert_eq!(
            profile.text(),
            "mode: count\na.go:1.1,2.2 1 5\na.go:3.1,4.2 1 0\nb.go:1.1,2.2 4 1\n"
        );
        assert!(profile.add("nonsense").is_err());
    }

    #[test]
    fn a_block_is_covered_where_one_process_covers_it() {
        let mut profile = Profile::default();
        profile.add("mode: set\na.go:1.1,2.2 1 0\n").unwrap();
        profile.add("mode: set\na.go:1.1,2.2 1 1\n").unwrap();
        profile.add("mode: set\na.go:1.1,2.2 1 1\n").unwrap();
        assert_eq!(profile.text(), "mode: set\na.go:1.1,2.2 1 1\n");
    }
}
