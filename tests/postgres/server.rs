//! A PostgreSQL server of a test's own, started and stopped by the example's scripts.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Variables that would lead the example to another server.
pub const LEADING: [&str; 3] = ["PGHOST", "PGPORT", "PGUSER"];

/// Whether there is a PostgreSQL to start. Under `CI=true` it is a failure if there is none.
pub fn is_installed() -> bool {
    let there = |program: &str| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path)
            .chain(folders_of_debian())
            .any(|folder| folder.join(program).exists())
    };
    if ["initdb", "pg_ctl", "psql", "createdb"]
        .into_iter()
        .all(there)
    {
        return true;
    }
    assert!(
        std::env::var_os("CI").is_none_or(|ci| ci != "true"),
        "there is no PostgreSQL: run `tests/setup`"
    );
    eprintln!("skipped: no PostgreSQL (run `tests/setup`)");
    false
}

/// Debian keeps the server's programs out of the PATH.
fn folders_of_debian() -> Vec<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    versions
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .collect()
}

/// A server, stopped when it is dropped.
pub struct Server {
    name: String,
    env: BTreeMap<String, String>,
}

impl Server {
    /// Starts one; its purpose must be another for each of them.
    pub fn start(purpose: &str) -> Self {
        let name = format!("test-{purpose}-{}", std::process::id());
        let set = tempfile::NamedTempFile::new().unwrap();
        script(&name, "start", set.path());
        let text = fs::read_to_string(set.path()).unwrap();
        let lines = text.lines().map(|line| line.split_once('=').unwrap());
        let env = lines
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Self { name, env }
    }

    /// Where it is, as variables.
    pub fn env(&self) -> impl Iterator<Item = (&str, &str)> {
        self.env
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The databases that workers have made.
    pub fn databases(&self) -> Vec<String> {
        let query = r"select datname from pg_database where datname like 'db\_%'";
        let output = Command::new("psql")
            .args(["--no-psqlrc", "--no-align", "--tuples-only"])
            .args(["--dbname=postgres", "--command", query])
            .envs(&self.env)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        script(&self.name, "stop", Path::new("/dev/null"));
    }
}

fn script(name: &str, what: &str, set: &Path) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/postgres/bin/server");
    let mut command = Command::new(path);
    for name in LEADING {
        command.env_remove(name);
    }
    let output = command
        .arg(what)
        .env("ORCHESTRATE_RUN_ID", name)
        .env("ORCHESTRATE_ENV", set)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "server {what}: {text}");
}
