//! Listings that are kept, for groups that ask for it with `cache-listing`.
//!
//! A listing is a program's word, and what it looks at can't be seen from here: a table of cases, an imported module, the
//! network. So nothing is kept unless the manifest says that the listing follows from what is named: the group's files, its
//! `inputs`, and the command itself. All of that is hashed, with the environment, and a kept listing counts only under the
//! same hash. What is kept is a help only: whatever can't be read, or is not whole, is listed anew.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::kept_file;
use crate::manifest::config::{CommandTemplate, GroupConfig};
use crate::manifest::template::{Lookup, Name};
use crate::runner::discover::{Discovery, GroupLookup};
use crate::runner::files::{Wanted, find};

/// The longest listing that is kept.
const LONGEST: u64 = 32 << 20;
/// The most listings that are kept.
const MOST: usize = 200;
/// What differs between two terminals, or two commands in one, and says nothing of tests.
const FLEETING: [&str; 9] = [
    "_",
    "SHLVL",
    "PWD",
    "OLDPWD",
    "COLUMNS",
    "LINES",
    "WINDOWID",
    "SSH_CLIENT",
    "SSH_CONNECTION",
];

/// What a group's listing command answers: what is kept, or else what `list` says, which is then kept if `is_whole`.
///
/// # Errors
/// Those of `list`.
pub fn kept_or(
    discovery: &Discovery,
    group: &GroupConfig,
    command: &CommandTemplate,
    files: &[PathBuf],
    is_whole: impl Fn(&[u8]) -> bool,
    list: impl FnOnce() -> Result<Vec<u8>, String>,
) -> Result<Vec<u8>, String> {
    if !group.cache_listing || !discovery.keeps_listings {
        return list();
    }
    let path = discovery.listings.join(group.name.as_str());
    // Without a key there is nothing that could be found again.
    let Ok(key) = key(discovery, group, command, files) else {
        return list();
    };
    if discovery.reads_listings
        && let Some(listing) = read(&path, &key)
    {
        return Ok(listing);
    }
    let listing = list()?;
    // Who changes a file while it is listed would have the old one's key on what the new one says.
    let is_same = self::key(discovery, group, command, files).is_ok_and(|now| now == key);
    if is_same && is_whole(&listing) {
        let _ = write(&path, &discovery.run, &key, &listing);
    }
    Ok(listing)
}

/// A hash of 128 bits.
struct Fingerprint([DefaultHasher; 2]);

impl Fingerprint {
    fn new() -> Self {
        let mut both = [DefaultHasher::new(), DefaultHasher::new()];
        // The algorithm may be another in another build, which then finds nothing.
        both[1].write_u8(1);
        Self(both)
    }

    fn add(&mut self, bytes: &[u8]) {
        for hasher in &mut self.0 {
            bytes.hash(hasher);
        }
    }

    fn file(&mut self, path: &Path) -> io::Result<()> {
        self.add(&fs::read(path)?);
        Ok(())
    }

    fn text(&self) -> String {
        format!("{:016x}{:016x}", self.0[0].finish(), self.0[1].finish())
    }
}

/// All that a listing follows from.
fn key(
    discovery: &Discovery,
    group: &GroupConfig,
    command: &CommandTemplate,
    files: &[PathBuf],
) -> io::Result<String> {
    let mut key = Fingerprint::new();
    // What runners bring along is in the program.
    program(&mut key, &std::env::current_exe()?)?;
    let folder = group.folder(&discovery.root);
    key.add(folder.as_os_str().as_bytes());
    let runner = &group.runner;
    key.add(format!("{command:?} {:?} {:?}", runner.list_format, runner.env).as_bytes());
    let group_says = (&group.env, &group.resources, &group.compat);
    key.add(format!("{group_says:?}").as_bytes());
    let lookup = GroupLookup { discovery, group };
    let is_own = |name: &&Name| !matches!(name, Name::Support | Name::Report | Name::Files);
    let templates = runner.env.iter().chain(&group.env);
    let names = templates.flat_map(|(_, template)| template.names());
    for name in command.names().chain(names).filter(is_own) {
        for value in lookup.values(name).unwrap_or_default() {
            key.add(value.as_bytes());
        }
        key.add(b"");
    }
    if let CommandTemplate::Words(words) = command {
        // A script that is named as one of the words is a part of the command.
        let plain = words
            .iter()
            .filter(|word| word.names().all(|name| is_own(&name)));
        let words = plain.filter_map(|word| word.expand_words(&lookup).ok());
        for (index, word) in words.flatten().enumerate() {
            if index == 0
                && let Some(path) = on_path(discovery, &folder, &word)
            {
                program(&mut key, &path)?;
            }
            let path = folder.join(&word);
            if !word.is_empty() && path.is_file() {
                key.file(&path)?;
            }
        }
    }
    let mut environment: BTreeMap<&OsString, &OsString> = discovery.environment.iter().collect();
    environment.retain(|name, _| {
        // Those of a run within which this one runs are not the listing's.
        !name.as_bytes().starts_with(b"ORCHESTRATE_")
            && !FLEETING
                .iter()
                .any(|fleeting| name.as_os_str() == *fleeting)
    });
    for (name, value) in environment {
        key.add(name.as_bytes());
        key.add(value.as_bytes());
    }
    let inputs = Wanted {
        files: &group.inputs,
        exclude: &[],
    };
    let inputs = &find(&discovery.root, &[inputs])[0];
    let files = files.iter().map(|path| (path, folder.join(path)));
    let inputs = inputs.iter().map(|path| (path, discovery.root.join(path)));
    for (path, place) in files.chain(inputs) {
        key.add(path.as_os_str().as_bytes());
        key.file(&place)?;
    }
    Ok(key.text())
}

/// A program that is not the project's own: by its size and when it was written.
fn program(key: &mut Fingerprint, path: &Path) -> io::Result<()> {
    let path = path.canonicalize()?;
    let meta = path.metadata()?;
    key.add(path.as_os_str().as_bytes());
    key.add(format!("{} {} {}", meta.len(), meta.mtime(), meta.mtime_nsec()).as_bytes());
    Ok(())
}

fn on_path(discovery: &Discovery, folder: &Path, word: &OsStr) -> Option<PathBuf> {
    if word.as_bytes().contains(&b'/') {
        let own = folder.join(word);
        return Some(if own.exists() {
            own
        } else {
            discovery.root.join(word)
        });
    }
    let path = discovery.environment.get(OsStr::new("PATH"))?;
    let mut all = std::env::split_paths(path).map(|folder| folder.join(word));
    all.find(|path| path.is_file())
}

/// The line before a listing: its key, and the hash by which it is whole.
fn head(key: &str, listing: &[u8]) -> String {
    let mut whole = Fingerprint::new();
    whole.add(listing);
    format!("orchestrate listing {key} {}\n", whole.text())
}

fn read(path: &Path, key: &str) -> Option<Vec<u8>> {
    let file = kept_file::open(path).ok()?;
    let mut bytes = Vec::new();
    file.take(LONGEST + 1024).read_to_end(&mut bytes).ok()?;
    let end = bytes.iter().position(|byte| *byte == b'\n')? + 1;
    let listing = bytes.split_off(end);
    (bytes == head(key, &listing).as_bytes()).then_some(listing)
}

/// Written beside and renamed: another run reads the old one or the new one, never half of it.
fn write(path: &Path, run: &str, key: &str, listing: &[u8]) -> io::Result<()> {
    if listing.len() as u64 > LONGEST {
        return Ok(());
    }
    let Some(folder) = path.parent() else {
        return Ok(());
    };
    kept_file::make_folder(folder)?;
    if let Some(above) = folder.parent() {
        let ignore = above.join(".gitignore");
        kept_file::ignore_all(&ignore)?;
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // No group's name begins with a dot.
    let new = folder.join(format!(".{name}.{run}"));
    let written = fs::File::create(&new).and_then(|mut file| {
        file.write_all(head(key, listing).as_bytes())?;
        file.write_all(listing)
    });
    let done = written.and_then(|()| fs::rename(&new, path));
    if done.is_err() {
        let _ = fs::remove_file(&new);
    }
    prune(folder);
    done
}

/// Groups come and go: of very many listings the oldest go.
fn prune(folder: &Path) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut all: Vec<_> = entries
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    if all.len() > MOST {
        all.sort();
        for (_, path) in all.drain(..all.len() - MOST) {
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_counts_only_whole_and_under_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("listings/g");
        assert_eq!(read(&path, "k"), None);
        write(&path, "run", "k", b"a\nb\n").unwrap();
        assert_eq!(read(&path, "k").unwrap(), b"a\nb\n");
        assert_eq!(read(&path, "other"), None);
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            fs::write(&path, &whole[..at]).unwrap();
            assert_eq!(read(&path, "k"), None, "cut at {at}");
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            fs::write(&path, flipped).unwrap();
            assert_eq!(read(&path, "k"), None, "flipped at {at}");
        }
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert_eq!(read(&path, "k"), None);
        assert!(write(&path, "run", "k", b"a").is_err());
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn the_oldest_of_very_many_go() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..MOST + 5 {
            write(
                &folder.path().join(format!("l/g{number}")),
                "run",
                "k",
                b"x",
            )
            .unwrap();
        }
        let kept = fs::read_dir(folder.path().join("l")).unwrap().count();
        assert_eq!(kept, MOST);
    }
}
