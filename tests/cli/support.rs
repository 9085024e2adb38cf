//! The test builder: files in a temporary folder, a command line, what came of it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// A folder with a project in it.
pub struct Project {
    folder: tempfile::TempDir,
    /// The user's state folder: the real one is nobody's to test with.
    state: tempfile::TempDir,
    env: Vec<(String, String)>,
    here: PathBuf,
}

/// What a command did.
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    events: Option<String>,
}

impl Project {
    /// An empty folder.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path().to_owned();
        Self {
            folder,
            state: tempfile::tempdir().unwrap(),
            env: Vec::new(),
            here,
        }
    }

    /// A folder with this manifest.
    pub fn with(manifest: &str) -> Self {
        Self::new().file("fastest.toml", manifest)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// What is the user's state folder for `orchestrate`.
    pub fn state(&self) -> &Path {
        self.state.path()
    }

    /// Adds a file.
    pub fn file(self, name: &str, text: &str) -> Self {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    /// Adds a program for `sh`.
    pub fn script(self, name: &str, body: &str) -> Self {
        self.program(name, &format!("#!/bin/sh\n{body}\n"))
    }

    /// Adds a program; its first line says for what.
    pub fn program(self, name: &str, text: &str) -> Self {
        let project = self.file(name, text);
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(project.path().join(name), mode).unwrap();
        project
    }

    /// Sets a variable of the environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Goes to a folder below.
    pub fn at(mut self, folder: &str) -> Self {
        self.here = self.path().join(folder);
        fs::create_dir_all(&self.here).unwrap();
        self
    }

    /// The command, ready to start.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_orchestrate"));
        command.args(arguments).current_dir(&self.here);
        command.env("XDG_STATE_HOME", self.state.path());
        for name in [
            "FASTEST_WORKERS",
            "FASTEST_TIMEOUT_MULTIPLIER",
            "NO_COLOR",
            "FORCE_COLOR",
            "CLICOLOR",
            "CLICOLOR_FORCE",
            "VIRTUAL_ENV",
            "RUST_BACKTRACE",
        ] {
            command.env_remove(name);
        }
        // A run within a run must not be taken for the outer one.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("ORCHESTRATE_") {
                command.env_remove(name);
            }
        }
        command.envs(
            self.env
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str())),
        );
        command
    }

    /// Runs `orchestrate`.
    pub fn orchestrate(&self, arguments: &[&str]) -> Ran {
        self.ran(&self.command(arguments).output().unwrap())
    }

    /// Runs a script, in the project's folder and with `orchestrate` on the path.
    pub fn shell(&self, script: &str) -> Ran {
        self.ran(&self.shell_command(script).output().unwrap())
    }

    /// The same, ready to start.
    pub fn shell_command(&self, script: &str) -> Command {
        let bin = Path::new(env!("CARGO_BIN_EXE_orchestrate"));
        let path = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}:{path}", bin.parent().unwrap().display());
        let mut shell = Command::new("bash");
        shell
            .args(["-e", "-c", script])
            .current_dir(&self.here)
            .env("PATH", path);
        for (name, value) in self.command(&[]).get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        shell
    }

    /// Runs `orchestrate run` and keeps its events.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        let path = self.path().join("events.jsonl");
        let report = format!("--report=jsonl={}", path.display());
        let mut all = vec!["run", report.as_str()];
        all.extend(arguments);
        let mut ran = self.orchestrate(&all);
        ran.events = fs::read_to_string(path).ok();
        ran
    }

    /// Reads a file of the project.
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).unwrap_or_default()
    }

    fn ran(&self, output: &Output) -> Ran {
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: self.redact(&output.stdout),
            stderr: self.redact(&output.stderr),
            events: None,
        }
    }

    fn redact(&self, bytes: &[u8]) -> String {
        let text = String::from_utf8_lossy(bytes);
        text.replace(&*self.path().to_string_lossy(), "ROOT")
    }
}

impl Ran {
    /// The events.
    pub fn events(&self) -> Vec<Value> {
        let text = self.events.as_deref().unwrap_or_default();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The events of a kind.
    pub fn events_of(&self, kind: &str) -> Vec<Value> {
        let mut events = self.events();
        events.retain(|event| event["event"] == kind);
        events
    }

    /// `id outcome` of every test, sorted.
    pub fn outcomes(&self) -> Vec<String> {
        let mut list: Vec<String> = self
            .events_of("test-finished")
            .iter()
            .map(|event| {
                format!(
                    "{} {}",
                    event["id"].as_str().unwrap(),
                    event["outcome"].as_str().unwrap()
                )
            })
            .collect();
        list.sort();
        list
    }

    /// Checks the exit code; what was printed is shown where it is another.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(
            self.code, code,
            "stdout:\n{}\nstderr:\n{}",
            self.stdout, self.stderr
        );
        self
    }

    /// Checks that something was said.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        let all = format!("{}{}", self.stdout, self.stderr);
        assert!(all.contains(text), "{text:?} is not in:\n{all}");
        self
    }
}

/// A Python that has pytest, or nothing where the tests' set-up could not install one. Under `CI=true` that is a failure.
/// `TEST_PYTHON` names another, to try other versions of pytest.
pub fn python() -> Option<String> {
    if let Ok(path) = std::env::var("TEST_PYTHON") {
        return Some(path);
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-env/venv/bin/python");
    if path.exists() {
        return Some(path.to_string_lossy().into_owned());
    }
    assert!(
        std::env::var_os("CI").is_none_or(|ci| ci != "true"),
        "there is no {}: run `tests/setup`",
        path.display()
    );
    eprintln!("skipped: no pytest (run `tests/setup`)");
    None
}
