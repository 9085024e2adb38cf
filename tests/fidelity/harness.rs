//! One project, run by its own tool and by us: the same tests, outcomes, success and files.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::Project;

/// The numbers of workers that each setting runs with.
const WORKERS: [&str; 2] = ["1", "3"];

/// A test's name in the words of its tool, and its outcome in our words (`passed`, `failed`, `skipped`, …).
pub type Outcomes = BTreeMap<String, String>;

/// Folders below `target/test-env` with another version of a tool than the usual one.
#[derive(Clone, Copy)]
pub struct Version {
    folder: &'static str,
    programs: Option<&'static str>,
}

thread_local! {
    /// The version that the settings of this thread run with.
    static VERSION: Cell<Option<Version>> = const { Cell::new(None) };
}

impl Version {
    /// A tool that is a module of Node, or an interpreter with its modules.
    pub const fn of(folder: &'static str) -> Self {
        Self {
            folder,
            programs: None,
        }
    }

    /// The folder's programs come first in `PATH`: Node's, CMake's.
    pub const fn programs(folder: &'static str) -> Self {
        Self {
            folder,
            programs: Some(folder),
        }
    }

    /// The same tool, with the programs of another folder first in `PATH`.
    pub const fn on(self, programs: &'static str) -> Self {
        Self {
            programs: Some(programs),
            ..self
        }
    }

    /// Runs a test of settings with this version.
    pub fn runs(self, test: fn()) {
        VERSION.set(Some(self));
        test();
    }
}

/// Where the tool is installed that this test runs with: `usual`, but in another version in the folder of that one.
pub fn installed(usual: &str) -> PathBuf {
    let folder = VERSION.get().map_or(usual, |version| version.folder);
    test_env(folder)
}

/// Whether this test runs with one of these versions.
pub fn is_with(folders: &[&str]) -> bool {
    VERSION.get().is_some_and(|version| {
        folders.contains(&version.folder)
            || version
                .programs
                .is_some_and(|folder| folders.contains(&folder))
    })
}

fn test_env(folder: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join("target/test-env").join(folder)
}

/// Tests that run again with other versions of their tool, each as a test of its own in a module called like the version. Those
/// behind `slow` are left out of a quick run.
macro_rules! versions {
    ([$($name:ident: $version:expr,)*] quick $quick:tt slow $slow:tt) => {
        $(versions!(@ $name, $version, $quick $slow);)*
    };
    (@ $name:ident, $version:expr, [$($quick:ident)*] [$($slow:ident)*]) => {
        mod $name {
            use crate::harness::Version;
            $(#[test] fn $quick() { $version.runs(super::$quick); })*
            $(#[test] #[ignore = "slow"] fn $slow() { $version.runs(super::$slow); })*
        }
    };
}

/// What a native command did.
pub struct Native {
    /// `$OUT`: a folder outside of the project, for the tool's report.
    pub out: PathBuf,
    /// Whether it succeeded.
    pub success: bool,
    /// What it printed.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

enum Entry {
    File(String, String),
    Program(String, String),
    Link(String, PathBuf),
    Shell(String),
}

/// A project, how its tool runs it, and what we are told of it.
pub struct Setting {
    entries: Vec<Entry>,
    env: Vec<(String, String)>,
    arguments: Vec<String>,
    native: String,
    read: Box<dyn Fn(&Native) -> Outcomes>,
    ours: Box<dyn Fn(&str) -> String>,
    ignored: Vec<String>,
    left_out: Vec<String>,
    needs: Vec<PathBuf>,
    is_selection: bool,
}

/// What a run left behind.
struct Left {
    success: bool,
    outcomes: Outcomes,
    files: BTreeMap<String, Vec<u8>>,
    /// What it printed, for a failure of the test.
    printed: String,
}

impl Setting {
    /// An empty project. `native` is a line for `sh` that runs the tool in it (`$OUT` is a folder for its report), `read` finds
    /// the results in what it did.
    pub fn new(native: &str, read: impl Fn(&Native) -> Outcomes + 'static) -> Self {
        let mut env = Vec::new();
        let mut needs = Vec::new();
        if let Some(folder) = VERSION.get().and_then(|version| version.programs) {
            let bin = test_env(folder).join("bin");
            let path = std::env::var("PATH").unwrap_or_default();
            env.push(("PATH".into(), format!("{}:{path}", bin.display())));
            needs.push(bin);
        }
        Self {
            entries: Vec::new(),
            env,
            arguments: Vec::new(),
            native: native.to_owned(),
            read: Box::new(read),
            ours: Box::new(|id| id.split_once("::").map_or(id, |(_, test)| test).to_owned()),
            ignored: vec![".fastest".into()],
            left_out: Vec::new(),
            needs,
            is_selection: false,
        }
    }

    /// Adds a file.
    pub fn file(mut self, name: &str, text: &str) -> Self {
        self.entries.push(Entry::File(name.into(), text.into()));
        self
    }

    /// Adds a program; its first line names its interpreter.
    pub fn program(mut self, name: &str, text: &str) -> Self {
        self.entries.push(Entry::Program(name.into(), text.into()));
        self
    }

    /// Adds a symbolic link.
    pub fn link(mut self, name: &str, target: &Path) -> Self {
        self.entries.push(Entry::Link(name.into(), target.into()));
        self
    }

    /// Runs a line of `sh` in the project before its tests: a build, `git init`.
    pub fn shell(mut self, line: &str) -> Self {
        self.entries.push(Entry::Shell(line.into()));
        self
    }

    /// The manifest. Without one, the project is detected.
    pub fn manifest(self, text: &str) -> Self {
        self.file("fastest.toml", text)
    }

    /// Sets a variable for the tool and for us.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// More arguments of `orchestrate run`.
    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned());
        self.arguments.extend(arguments);
        self
    }

    /// How our full id is written in the tool's words, where that is not what stands behind the group's name.
    pub fn ours(mut self, name: impl Fn(&str) -> String + 'static) -> Self {
        self.ours = Box::new(name);
        self
    }

    /// Files and folders, by name, whose content need not be the same: caches of the tool.
    pub fn ignoring(mut self, names: &[&str]) -> Self {
        let names = names.iter().map(|name| (*name).to_owned());
        self.ignored.extend(names);
        self
    }

    /// Outcomes or ids of ours that have no counterpart: `not-run`, where the tool says nothing of a test that it did not get to,
    /// or the name of the group, where the tool fails without a test that does.
    pub fn leaving_out(mut self, outcomes: &[&str]) -> Self {
        let outcomes = outcomes.iter().map(|outcome| (*outcome).to_owned());
        self.left_out.extend(outcomes);
        self
    }

    /// A program that `tests/setup` installs. Where this system cannot have it, the test says so and passes, but not in CI.
    pub fn needs(mut self, program: &str) -> Self {
        self.needs.push(program.into());
        self
    }

    /// More arguments of the native command.
    pub fn natively(mut self, arguments: &str) -> Self {
        self.native = format!("{} {arguments}", self.native);
        self
    }

    /// Some tools report the tests that a pattern leaves out as skipped. We have no result of them.
    pub fn selecting(mut self) -> Self {
        self.is_selection = true;
        self
    }

    /// Runs both, and fails with every difference. `tests` is how many results the tool has: an empty report agrees with
    /// everything.
    #[track_caller]
    pub fn agrees_on(self, tests: usize) {
        if let Some(program) = self.needs.iter().find(|program| !program.exists()) {
            return missing(&program.to_string_lossy());
        }
        let native = self.native();
        assert_eq!(
            native.outcomes.len(),
            tests,
            "the tool itself has other results: {:#?}\n{}",
            native.outcomes,
            native.printed
        );
        let mut differences = Vec::new();
        for workers in WORKERS {
            let ours = self.by_us(workers);
            let found = differ(&native, &ours);
            if !found.is_empty() {
                differences.push(format!(
                    "-n {workers}:\n  {}\n{}",
                    found.join("\n  "),
                    ours.printed
                ));
            }
        }
        assert!(
            differences.is_empty(),
            "{}\nthe tool printed:\n{}",
            differences.join("\n"),
            native.printed
        );
    }

    fn project(&self) -> Project {
        let mut project = Project::new();
        for (name, value) in &self.env {
            project = project.env(name, value);
        }
        for entry in &self.entries {
            project = match entry {
                Entry::File(name, text) => project.file(name, text),
                Entry::Program(name, text) => project.program(name, text),
                Entry::Link(name, target) => {
                    symlink(target, project.path().join(name)).unwrap();
                    project
                }
                Entry::Shell(line) => {
                    let status = self.sh(line, project.path()).status().unwrap();
                    assert!(status.success(), "`{line}` failed");
                    project
                }
            };
        }
        project
    }

    fn sh(&self, line: &str, folder: &Path) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", line]).current_dir(folder);
        let env = self.env.iter().map(|(name, value)| (name, value));
        command.env_remove("VIRTUAL_ENV").envs(env);
        command
    }

    fn native(&self) -> Left {
        let project = self.project();
        let out = tempfile::tempdir().unwrap();
        let mut command = self.sh(&self.native, project.path());
        let output = command.env("OUT", out.path()).output().unwrap();
        let native = Native {
            out: out.path().to_owned(),
            success: output.status.success(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        };
        let mut outcomes = (self.read)(&native);
        if self.is_selection {
            outcomes.retain(|_, outcome| outcome != "skipped");
        }
        Left {
            success: native.success,
            outcomes,
            files: self.files(project.path()),
            printed: format!("{}{}", native.stdout, native.stderr),
        }
    }

    fn by_us(&self, workers: &str) -> Left {
        let project = self.project();
        let out = tempfile::tempdir().unwrap();
        let events = out.path().join("events.jsonl");
        let report = format!("jsonl={}", events.display());
        let mut arguments = vec!["run", "-n", workers, "--report", &report];
        arguments.extend(self.arguments.iter().map(String::as_str));
        let ran = project.orchestrate(&arguments);
        let text = fs::read_to_string(&events).unwrap_or_default();
        let mut outcomes = Outcomes::new();
        for line in text.lines() {
            let event: Value = serde_json::from_str(line).unwrap();
            if event["event"] == "test-finished" {
                let id = event["id"].as_str().unwrap();
                let outcome = event["outcome"].as_str().unwrap();
                if self
                    .left_out
                    .iter()
                    .any(|left| left == outcome || left == id)
                {
                    continue;
                }
                outcomes.insert((self.ours)(id), outcome.to_owned());
            }
        }
        Left {
            success: ran.code == 0,
            outcomes,
            files: self.files(project.path()),
            printed: format!("{}{}", ran.stdout, ran.stderr),
        }
    }

    /// The files of a project with their contents, without those that are ignored.
    fn files(&self, root: &Path) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut folders = vec![root.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).unwrap().flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                let path = entry.path();
                let inside = path
                    .strip_prefix(root)
                    .unwrap()
                    .to_string_lossy()
                    .into_owned();
                if self.ignored.contains(&name) || self.ignored.contains(&inside) {
                    continue;
                }
                let kind = entry.file_type().unwrap();
                if kind.is_dir() {
                    folders.push(path);
                } else if kind.is_file() {
                    files.insert(inside, fs::read(&path).unwrap());
                }
            }
        }
        files
    }
}

fn differ(native: &Left, ours: &Left) -> Vec<String> {
    let mut list = Vec::new();
    if native.success != ours.success {
        let word = |success| if success { "succeeds" } else { "fails" };
        list.push(format!(
            "the tool {}, orchestrate {}",
            word(native.success),
            word(ours.success)
        ));
    }
    let ids: BTreeSet<&String> = native.outcomes.keys().chain(ours.outcomes.keys()).collect();
    for id in ids {
        let [theirs, own] = [native, ours].map(|left| left.outcomes.get(id));
        if theirs != own {
            let word =
                |outcome: Option<&String>| outcome.map_or("absent", String::as_str).to_owned();
            list.push(format!(
                "{id}: {} by the tool, {} by us",
                word(theirs),
                word(own)
            ));
        }
    }
    let names: BTreeSet<&String> = native.files.keys().chain(ours.files.keys()).collect();
    for name in names {
        match (native.files.get(name), ours.files.get(name)) {
            (Some(_), None) => list.push(format!("{name}: only the tool left this file")),
            (None, Some(_)) => list.push(format!("{name}: only orchestrate left this file")),
            (theirs, own) if theirs != own => list.push(format!("{name}: the content differs")),
            _ => {}
        }
    }
    list
}

/// Says that a tool is missing, so that a test is skipped. CI has all tools, so there it fails.
#[track_caller]
pub fn missing(what: &str) {
    let is_ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
    assert!(!is_ci, "there is no {what}: run `tests/setup`");
    eprintln!("skipped: no {what} (run `tests/setup`)");
}

/// Whether a program of this name is on PATH; if not, that is said.
pub fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    if !is_there {
        missing(program);
    }
    is_there
}

/// Arguments as the inside of an array of TOML.
pub fn quoted(arguments: &str) -> String {
    let words = arguments.split_whitespace();
    let words = words.map(|word| format!("{:?}", word.trim_matches('\'')));
    words.collect::<Vec<_>>().join(", ")
}

/// The test cases of a JUnit file, named `CLASSNAME::NAME` (`NAME` alone where there is no class).
pub fn junit(path: &Path) -> Outcomes {
    let text = fs::read_to_string(path).unwrap_or_default();
    let mut reader = quick_xml::Reader::from_str(&text);
    let mut outcomes = Outcomes::new();
    let mut current: Option<String> = None;
    loop {
        use quick_xml::events::Event;
        let event = reader.read_event().unwrap();
        let (element, is_empty) = match &event {
            Event::Start(element) => (element, false),
            Event::Empty(element) => (element, true),
            Event::End(element) if element.name().as_ref() == "testcase" => {
                current = None;
                continue;
            }
            Event::Eof => break outcomes,
            _ => continue,
        };
        let attribute = |name: &str| {
            let value = element.try_get_attribute(name).unwrap()?;
            Some(value.value.into_owned())
        };
        match element.name().as_ref() {
            "testcase" => {
                let name = attribute("name").unwrap_or_default();
                let id = match attribute("classname").filter(|class| !class.is_empty()) {
                    Some(class) => format!("{class}::{name}"),
                    None => name,
                };
                outcomes.insert(id.clone(), "passed".into());
                current = (!is_empty).then_some(id);
            }
            word @ ("failure" | "error" | "skipped") => {
                let outcome = match word {
                    "failure" => "failed",
                    "error" => "errored",
                    _ => "skipped",
                };
                if let Some(id) = &current {
                    outcomes.insert(id.clone(), outcome.into());
                }
            }
            _ => {}
        }
    }
}
