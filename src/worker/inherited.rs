//! What our own environment is to the jobs: all of it, but for what would mislead them.
//!
//! Within a job of another run, what that run has told its job of itself is not told to ours: it is not their worker, their
//! slot or their database. What a user set stays. And a jobserver of `make` whose descriptors they do not get is not named to
//! them: `make` would warn of it in each of them.

use std::collections::HashSet;
use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::OnceLock;

/// What a job's run sets besides `ORCHESTRATE_*`, by name, with commas between: an inner run takes these away.
pub const SET_BY_RUN: &str = "ORCHESTRATE_SET_BY_RUN";

/// Where `make` and cargo name a jobserver (<https://www.gnu.org/software/make/manual/html_node/POSIX-Jobserver.html>).
const FLAGS: [&str; 3] = ["MAKEFLAGS", "MFLAGS", "CARGO_MAKEFLAGS"];

/// What is other than in our environment.
#[derive(Debug, Default)]
struct Changes {
    /// What is not there.
    removed: Vec<OsString>,
    /// What has another value.
    changed: Vec<(OsString, OsString)>,
}

fn changes() -> &'static Changes {
    static CHANGES: OnceLock<Changes> = OnceLock::new();
    CHANGES.get_or_init(|| Changes::of(&env::vars_os().collect::<Vec<_>>()))
}

/// The environment that jobs begin with.
pub fn environment() -> impl Iterator<Item = (OsString, OsString)> {
    let Changes { removed, changed } = changes();
    let kept = env::vars_os().filter(|(name, _)| !removed.contains(name));
    kept.map(|(name, value)| {
        let new = changed.iter().find(|(other, _)| *other == name);
        (name, new.map_or(value, |(_, new)| new.clone()))
    })
}

/// Makes it the environment of a command.
pub fn set(command: &mut std::process::Command) {
    let Changes { removed, changed } = changes();
    for name in removed {
        command.env_remove(name);
    }
    command.envs(changed.iter().map(|(name, value)| (name, value)));
}

impl Changes {
    fn of(variables: &[(OsString, OsString)]) -> Self {
        let value = |name: &str| {
            let mut variables = variables.iter();
            let found = variables.find(|(other, _)| other == name);
            found.map(|(_, value)| value.as_os_str())
        };
        let mut changes = Self::default();
        if value("ORCHESTRATE_RUN_ID").is_some() {
            let others = value(SET_BY_RUN).unwrap_or_default();
            let others: HashSet<&[u8]> = others.as_bytes().split(|byte| *byte == b',').collect();
            let names = variables.iter().map(|(name, _)| name);
            let names = names.filter(|name| {
                let name = name.as_bytes();
                name.starts_with(b"ORCHESTRATE_") || others.contains(name)
            });
            changes.removed.extend(names.cloned());
        }
        for name in FLAGS {
            if let Some(flags) = value(name).and_then(without_jobserver) {
                changes.changed.push((name.into(), flags));
            }
        }
        changes
    }
}

/// Flags without a jobserver that is a pair of descriptors, and without the `-j` that goes with it; nothing where there is none.
/// One that is a named pipe is found by whoever may open it.
fn without_jobserver(flags: &OsStr) -> Option<OsString> {
    let bytes = flags.as_bytes();
    // What comes after `--` are variables.
    let end = bytes.windows(4).position(|part| part == b" -- ");
    let (options, variables) = bytes.split_at(end.unwrap_or(bytes.len()));
    let is_server = |word: &[u8]| {
        let names = [&b"--jobserver-auth="[..], b"--jobserver-fds="];
        let auth = names.iter().find_map(|name| word.strip_prefix(*name));
        auth.is_some_and(|auth| !auth.starts_with(b"fifo:"))
    };
    let is_jobs = |word: &[u8]| {
        let number = word.strip_prefix(b"-j");
        number.is_some_and(|number| number.iter().all(u8::is_ascii_digit))
    };
    let words: Vec<&[u8]> = options.split(|byte| *byte == b' ').collect();
    if !words.iter().any(|word| is_server(word)) {
        return None;
    }
    let kept = words.into_iter();
    let kept: Vec<&[u8]> = kept
        .filter(|word| !is_server(word) && !is_jobs(word))
        .collect();
    let mut flags = kept.join(&b' ');
    flags.extend_from_slice(variables);
    Some(OsString::from_vec(flags))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(variables: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
        let variables = variables.iter();
        let variables: Vec<(OsString, OsString)> = variables
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        let Changes { changed, removed } = Changes::of(&variables);
        let text = |text: OsString| text.into_string().unwrap();
        let changed = changed.into_iter();
        (
            removed.into_iter().map(text).collect(),
            changed
                .map(|(name, value)| format!("{}={}", text(name), text(value)))
                .collect(),
        )
    }

    #[test]
    fn what_another_run_told_its_job_is_taken_away() {
        let outer = [
            ("ORCHESTRATE_RUN_ID", "1"),
            ("ORCHESTRATE_RESOURCE_DB", "db_1"),
            (SET_BY_RUN, "TEST_SHARD_INDEX,JEST_WORKER_ID"),
            ("TEST_SHARD_INDEX", "0"),
            ("TEST_TOTAL_SHARDS", "the user's"),
            ("TMPDIR", "/tmp/job"),
        ];
        let (removed, changed) = changes(&outer);
        assert_eq!(
            removed,
            [
                "ORCHESTRATE_RUN_ID",
                "ORCHESTRATE_RESOURCE_DB",
                SET_BY_RUN,
                "TEST_SHARD_INDEX"
            ]
        );
        assert!(changed.is_empty());
        // Outside of a job they are whoever's that set them.
        assert!(changes(&outer[1..]).0.is_empty());
    }

    #[test]
    fn a_jobserver_is_named_only_to_those_who_can_reach_it() {
        let flags = |flags: &str| {
            let (_, changed) = changes(&[("MAKEFLAGS", flags)]);
            changed.into_iter().next()
        };
        assert_eq!(
            flags(" -j2 --jobserver-auth=3,4").as_deref(),
            Some("MAKEFLAGS=")
        );
        assert_eq!(
            flags("ks -j --jobserver-fds=3,4 --no-print-directory -- A=-j2 B=x\\ y").as_deref(),
            Some("MAKEFLAGS=ks --no-print-directory -- A=-j2 B=x\\ y")
        );
        for other in [
            "-j8",
            "--jobserver-auth=fifo:/tmp/x -j2",
            "k -- --jobserver-auth=1,2",
            "",
        ] {
            assert_eq!(flags(other), None, "{other}");
        }
    }
}
