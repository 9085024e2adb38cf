//! CTest's tests: the project is configured and built with `cmake`, and `ctest --show-only=json-v1` lists its tests
//! (<https://cmake.org/cmake/help/latest/manual/ctest.1.html#show-as-json-object-model>).
//!
//! The listing command is `ctest` with its arguments. The setting `cmake` is the tool that configures and builds, `configure`
//! its arguments, `build` the folder; `ctest` and `args` are what the listing command names. A test of which all properties are
//! understood is started directly, so that it costs one process; another runs in a `ctest` of its own.

mod arguments;
mod environment;
mod pattern;

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::command::{Subject, capture_words, expand};
use super::{Listing, cache};
use crate::manifest::config::{CommandTemplate, GroupConfig};
use crate::manifest::model::{ChunkSize, Lock, LockMode, ResultFormat};
use crate::manifest::template::Name;
use crate::plan::claims::cycles;
use crate::plan::{Attachment, Claims, Item, Known, Launch, Rules};
use crate::runner::discover::Discovery;
use arguments::Arguments;

/// How much longer than its own timeout a test may take that runs in a `ctest`, which ends it.
const GRACE: Duration = Duration::from_secs(10);
/// The timeout in seconds that a project has which says nothing of it.
const USUAL_TIMEOUT: f64 = 1500.0;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    #[serde(default)]
    backtrace_graph: Graph,
    tests: Vec<Test>,
}

/// Where tests were added.
#[derive(Default, Deserialize)]
struct Graph {
    #[serde(default)]
    files: Vec<PathBuf>,
    #[serde(default)]
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    file: usize,
    line: Option<u32>,
}

#[derive(Clone, Deserialize, PartialEq)]
struct Test {
    name: String,
    /// None where the program is not there, or not yet.
    #[serde(default)]
    command: Vec<OsText>,
    backtrace: Option<usize>,
    #[serde(default)]
    properties: Vec<Property>,
}

#[derive(Clone, Deserialize, PartialEq)]
struct Property {
    name: String,
    #[serde(default)]
    value: Value,
}

/// A word of a command.
type OsText = String;

impl Test {
    /// A property. Of two with the same name the later counts.
    fn property(&self, name: &str) -> Option<&Value> {
        let mut properties = self.properties.iter().rev();
        let property = properties.find(|property| property.name == name)?;
        Some(&property.value)
    }

    fn is_set(&self, name: &str) -> bool {
        self.property(name).is_some_and(|value| *value == true)
    }

    fn number(&self, name: &str) -> Option<f64> {
        self.property(name)?.as_f64()
    }

    fn list(&self, name: &str) -> Vec<String> {
        let values = self.property(name).and_then(Value::as_array);
        let values = values.into_iter().flatten().filter_map(Value::as_str);
        values.map(str::to_owned).collect()
    }

    /// The folder that it runs in.
    fn folder(&self) -> Option<&str> {
        self.property("WORKING_DIRECTORY")?.as_str()
    }

    /// Its patterns of a kind. None where one is not understood.
    fn patterns(&self, name: &str) -> Option<Vec<regex::bytes::Regex>> {
        let patterns = self.list(name).into_iter();
        patterns.map(|text| pattern::compile(&text)).collect()
    }

    /// How its end becomes a result. None where that is not understood.
    fn rules(&self) -> Option<Rules> {
        Some(Rules {
            will_fail: self.is_set("WILL_FAIL"),
            pass: self.patterns("PASS_REGULAR_EXPRESSION")?,
            fail: self.patterns("FAIL_REGULAR_EXPRESSION")?,
            skip: self.patterns("SKIP_REGULAR_EXPRESSION")?,
            skip_exit: match self.property("SKIP_RETURN_CODE") {
                Some(code) => Some(code.as_i64()?.try_into().ok()?),
                None => None,
            },
        })
    }
}

/// Configures, builds and lists.
///
/// # Errors
/// The project could not be configured or built, or its tests not listed.
pub fn tests(
    discovery: &Discovery,
    group: &GroupConfig,
    command: &CommandTemplate,
    files: &[PathBuf],
) -> Result<Listing, String> {
    let project = Project::of(discovery, group);
    let list = || {
        project.build()?;
        project.list(command)
    };
    let is_whole = |bytes: &[u8]| read(bytes).is_ok();
    let bytes = cache::kept_or(discovery, group, command, files, is_whole, list)?;
    let document = read(&bytes)?;
    let mut listing = Listing {
        warnings: project.arguments.warnings.clone(),
        ..Listing::default()
    };
    if let ChunkSize::Items(number @ 2..) = group.chunk_size {
        listing.warnings.push(format!(
            "`chunk-size = {number}` does nothing: a process of CTest is one test"
        ));
    }
    let is_direct = group.runner.results == ResultFormat::Ctest;
    let numbers = if is_direct {
        project.numbers(command, &document)?
    } else {
        HashMap::new()
    };
    for (index, test) in document.tests.iter().enumerate() {
        let mut item = item(test, &document.backtrace_graph, &project.build);
        if is_direct && item.known.is_none() {
            let number = numbers.get(&index).copied();
            project.add_launch(test, number, &mut item, &mut listing.warnings);
        }
        listing.items.push(item);
    }
    listing
        .items
        .extend(project.unavailable(command, &document)?);
    match cycles(&listing.items).into_iter().next() {
        // ctest does not run anything of such a project.
        Some(cycle) => Err(format!(
            "{cycle}: remove one of the two from its CMakeLists.txt"
        )),
        None => Ok(listing),
    }
}

/// The tests of what ctest printed, whatever it is.
///
/// # Errors
/// It is no listing.
#[cfg(any(test, feature = "fuzzing"))]
pub fn read_all(bytes: &[u8]) -> Result<Vec<Item>, String> {
    let document = read(bytes)?;
    let tests = document.tests.iter();
    let item = |test: &Test| {
        let _ = test.rules();
        item(test, &document.backtrace_graph, Path::new("/root/build"))
    };
    Ok(tests.map(item).collect())
}

/// What ctest printed, behind whatever a preset may say.
fn read(bytes: &[u8]) -> Result<Document, String> {
    let from = bytes.iter().position(|byte| *byte == b'{').unwrap_or(0);
    serde_json::from_slice(&bytes[from..])
        .map_err(|error| format!("ctest did not list its tests as JSON: {error}"))
}

/// A test of the listing, but for how it is started.
fn item(test: &Test, graph: &Graph, build: &Path) -> Item {
    let node = test.backtrace.and_then(|index| graph.nodes.get(index));
    let file = node.and_then(|node| graph.files.get(node.file));
    let lock = |name| Lock {
        name,
        mode: LockMode::Write,
    };
    let claims = Claims {
        locks: test.list("RESOURCE_LOCK").into_iter().map(lock).collect(),
        exclusive: test.is_set("RUN_SERIAL"),
        slots: test
            .property("PROCESSORS")
            .and_then(Value::as_u64)
            .and_then(|number| number.try_into().ok()),
        after: test.list("DEPENDS"),
        fixtures: test.list("FIXTURES_REQUIRED"),
        sets_up: test.list("FIXTURES_SETUP"),
        cleans_up: test.list("FIXTURES_CLEANUP"),
        cost: test.number("COST"),
        ..Claims::default()
    };
    let folder = test
        .folder()
        .map_or_else(|| build.to_owned(), PathBuf::from);
    let attached = |name, on_failure| {
        let paths = test.list(name).into_iter();
        paths.map(move |path| (path, on_failure))
    };
    let attached =
        attached("ATTACHED_FILES", false).chain(attached("ATTACHED_FILES_ON_FAIL", true));
    Item {
        file: file.cloned(),
        line: node.and_then(|node| node.line),
        tags: test.list("LABELS"),
        timeout: test.number("TIMEOUT").and_then(seconds),
        claims: (claims != Claims::default()).then(|| Arc::new(claims)),
        attachments: attached
            .map(|(path, on_failure)| Attachment {
                path: folder.join(path),
                on_failure,
            })
            .collect(),
        known: test
            .is_set("DISABLED")
            .then(|| Known::Skipped("DISABLED".into())),
        ..Item::plain(test.name.clone())
    }
}

fn seconds(number: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(number).ok()
}

/// A project of CMake.
struct Project<'a> {
    discovery: &'a Discovery,
    group: &'a GroupConfig,
    cmake: Option<OsString>,
    ctest: OsString,
    configure: Vec<OsString>,
    /// The folder that it is built in.
    build: PathBuf,
    arguments: Arguments,
}

impl<'a> Project<'a> {
    fn of(discovery: &'a Discovery, group: &'a GroupConfig) -> Self {
        let setting = |name: &str| {
            let name = Name::Own(name.to_owned());
            discovery.group_value(group, &name).unwrap_or_default()
        };
        let one = |name: &str| setting(name).pop();
        Self {
            cmake: one("cmake"),
            ctest: one("ctest").unwrap_or_else(|| "ctest".into()),
            configure: setting("configure"),
            build: group
                .folder(&discovery.root)
                .join(one("build").unwrap_or_else(|| "build".into())),
            arguments: Arguments::of(&setting("args")),
            discovery,
            group,
        }
    }

    /// Configures the project if it is not yet, and builds it with as many processes as there are workers.
    fn build(&self) -> Result<(), String> {
        let Some(cmake) = &self.cmake else {
            return Ok(());
        };
        if !self.build.join("CMakeCache.txt").exists() {
            let mut words: Vec<OsString> = vec!["-S".into(), ".".into(), "-B".into()];
            words.push(self.build.clone().into());
            words.extend(self.configure.iter().cloned());
            self.told(cmake, words)?;
        }
        let mut words: Vec<OsString> = vec!["--build".into(), self.build.clone().into()];
        if let Some(config) = &self.arguments.config {
            words.extend(["--config".into(), config.clone()]);
        }
        self.told(cmake, words)
    }

    /// Runs a command whose output is for people.
    fn told(&self, program: &OsStr, arguments: Vec<OsString>) -> Result<(), String> {
        let mut words: Vec<OsString> = ["sh", "-c", "exec \"$@\" >&2", "sh"]
            .map(OsString::from)
            .to_vec();
        words.push(program.to_owned());
        words.extend(arguments);
        // What is set already is stronger than a launch.
        let name = OsString::from("CMAKE_BUILD_PARALLEL_LEVEL");
        let level = self.discovery.workers(self.group).to_string().into();
        let is_set = self.discovery.environment.contains_key(&name);
        let launch = Launch {
            folder: self.group.folder(&self.discovery.root),
            env: Vec::from_iter((!is_set).then_some((name, level))),
            ..Launch::default()
        };
        capture_words(self.discovery, self.group, &words, Some(&launch))?.check()
    }

    /// What the listing command prints.
    fn list(&self, command: &CommandTemplate) -> Result<Vec<u8>, String> {
        self.asked(command, |words| words)
    }

    /// What it prints with other words. A preset says itself where the tests are.
    fn asked(
        &self,
        command: &CommandTemplate,
        change: impl FnOnce(Vec<OsString>) -> Vec<OsString>,
    ) -> Result<Vec<u8>, String> {
        let CommandTemplate::Words(_) = command else {
            let subject = Subject::default();
            let captured = super::capture(self.discovery, self.group, command, subject)?;
            return captured.stdout_of_success();
        };
        let mut words = expand(self.discovery, self.group, command)?;
        if self.arguments.has_preset
            && let Some(at) = words.iter().position(|word| word == "--test-dir")
        {
            words.drain(at..(at + 2).min(words.len()));
        }
        let words = change(words);
        let captured = capture_words(self.discovery, self.group, &words, None)?;
        captured.stdout_of_success()
    }

    /// The numbers by which `ctest -I` names tests whose names are not theirs alone, by their places in the listing.
    fn numbers(
        &self,
        command: &CommandTemplate,
        document: &Document,
    ) -> Result<HashMap<usize, usize>, String> {
        let mut seen: HashSet<&str> = HashSet::new();
        let mut alike = document.tests.iter();
        if alike.all(|test| seen.insert(&test.name)) {
            return Ok(HashMap::new());
        }
        // They are numbered before any is selected.
        let all = self.asked(command, |words| {
            let (own, selects) = (self.discovery, Name::Own("args".to_owned()));
            let selects = own.group_value(self.group, &selects).unwrap_or_default();
            let mut words = words;
            let at = words
                .windows(selects.len().max(1))
                .position(|part| part == selects);
            if let Some(at) = at {
                let rest = self.arguments.rest.iter().cloned();
                words.splice(at..at + selects.len(), rest);
            }
            words
        })?;
        let all = read(&all)?;
        let mut from = 0;
        let mut numbers = HashMap::new();
        for (index, test) in document.tests.iter().enumerate() {
            let same = |other: &Test| {
                (&other.name, other.folder(), &other.command)
                    == (&test.name, test.folder(), &test.command)
            };
            if let Some(at) = all.tests[from..].iter().position(same) {
                numbers.insert(index, from + at + 1);
                from += at + 1;
            }
        }
        Ok(numbers)
    }

    /// Tests that ctest names and does not list: a generator of several configurations has them in none, or in another one.
    fn unavailable(
        &self,
        command: &CommandTemplate,
        document: &Document,
    ) -> Result<Vec<Item>, String> {
        let cache = fs::read_to_string(self.build.join("CMakeCache.txt")).unwrap_or_default();
        let mut lines = cache.lines();
        let has_several = lines.any(|line| {
            let value = line.strip_prefix("CMAKE_CONFIGURATION_TYPES:");
            let value = value.and_then(|value| value.split_once('='));
            value.is_some_and(|(_, value)| !value.is_empty())
        });
        if !has_several {
            return Ok(Vec::new());
        }
        let shown = self.asked(command, |words| {
            let words = words.into_iter();
            let words = words.filter(|word| !word.to_string_lossy().starts_with("--show-only"));
            words.chain(["-N".into()]).collect()
        })?;
        let why = match &self.arguments.config {
            None => "Test not available without configuration: add `\"-C\", \"Debug\"` to `args`"
                .to_owned(),
            Some(config) => format!(
                "Test not available in configuration {:?}",
                config.to_string_lossy()
            ),
        };
        let listed: HashSet<&str> = document.tests.iter().map(|test| &*test.name).collect();
        let shown = String::from_utf8_lossy(&shown);
        let names = shown.lines().filter_map(|line| {
            let line = line.trim_start().strip_prefix("Test ")?;
            let (_, name) = line.split_once(": ")?;
            Some(name.strip_suffix(" (Disabled)").unwrap_or(name))
        });
        let names = names.filter(|name| !listed.contains(name));
        let items = names.map(|name| Item {
            known: Some(Known::Broken(why.clone())),
            ..Item::plain(name.to_owned())
        });
        Ok(items.collect())
    }

    /// Says how a test is started: directly, or by a `ctest` of its own.
    fn add_launch(
        &self,
        test: &Test,
        number: Option<usize>,
        item: &mut Item,
        warnings: &mut Vec<String>,
    ) {
        if let Some(launch) = self.direct(test) {
            item.timeout = item.timeout.or_else(|| self.usual_timeout());
            item.launch = Some(Arc::new(launch));
            return;
        }
        let mut claims = item.claims.as_deref().cloned().unwrap_or_default();
        for name in Self::shared(test, warnings) {
            let mode = LockMode::Write;
            claims.locks.push(Lock { name, mode });
        }
        item.claims = (claims != Claims::default()).then(|| Arc::new(claims));
        // It has its own timeout, which is heard of first.
        item.timeout = item.timeout.map(|timeout| match timeout {
            Duration::ZERO => timeout,
            _ => timeout.saturating_add(GRACE),
        });
        item.launch = Some(Arc::new(self.by_ctest(test, number)));
    }

    /// What two `ctest` processes cannot both hand out.
    fn shared(test: &Test, warnings: &mut Vec<String>) -> Vec<String> {
        let mut names = Vec::new();
        if test.is_set("PROCESSOR_AFFINITY") {
            names.push("ctest: processor affinity".to_owned());
        }
        if test.property("GENERATED_RESOURCE_SPEC_FILE").is_some() {
            warnings.push(format!(
                "the resources that test {} writes to a file are not read: name the file with `--resource-spec-file` in `args`",
                test.name
            ));
        }
        let groups = test.property("RESOURCE_GROUPS").and_then(Value::as_array);
        for group in groups.into_iter().flatten() {
            let requirements = group["requirements"].as_array();
            for requirement in requirements.into_iter().flatten() {
                let kind = requirement[".type"].as_str().unwrap_or_default();
                let name = format!("ctest: resource {kind}");
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        names
    }

    /// How a test is started directly. None where something of it is not understood.
    fn direct(&self, test: &Test) -> Option<Launch> {
        let is_understood = |property: &Property| {
            matches!(
                property.name.as_str(),
                "ATTACHED_FILES"
                    | "ATTACHED_FILES_ON_FAIL"
                    | "COST"
                    | "DEPENDS"
                    | "DISABLED"
                    | "ENVIRONMENT"
                    | "ENVIRONMENT_MODIFICATION"
                    | "FAIL_REGULAR_EXPRESSION"
                    | "FIXTURES_CLEANUP"
                    | "FIXTURES_REQUIRED"
                    | "FIXTURES_SETUP"
                    | "LABELS"
                    | "MEASUREMENT"
                    | "PASS_REGULAR_EXPRESSION"
                    | "PROCESSORS"
                    | "RESOURCE_GROUPS"
                    | "RESOURCE_LOCK"
                    | "RUN_SERIAL"
                    | "SKIP_REGULAR_EXPRESSION"
                    | "SKIP_RETURN_CODE"
                    | "TIMEOUT"
                    | "WILL_FAIL"
                    | "WORKING_DIRECTORY"
            )
        };
        let is_plain = self.arguments.is_plain && test.properties.iter().all(is_understood);
        if !is_plain || test.command.is_empty() {
            return None;
        }
        let modified = test.list("ENVIRONMENT_MODIFICATION");
        let mut own = self.group.runner.env.iter().chain(&self.group.env);
        let is_own = own.any(|(name, _)| {
            let mut modified = modified.iter().filter_map(|entry| entry.split_once('='));
            modified.any(|(modified, _)| modified == name)
        });
        if is_own {
            return None;
        }
        let inherited = |name: &str| {
            let only = self.group.bounds.env_only.as_ref();
            let is_passed = only.is_none_or(|only| only.iter().any(|passed| passed == name));
            let value = self.discovery.environment.get(OsStr::new(name));
            value.filter(|_| is_passed).cloned()
        };
        let variables = environment::variables(&test.list("ENVIRONMENT"), &modified, &inherited)?;
        let mut env = variables.set;
        // ctest sets it for each test.
        env.push(("CTEST_INTERACTIVE_DEBUG_MODE".into(), "1".into()));
        Some(Launch {
            program: test.command.iter().map(OsString::from).collect(),
            folder: test.folder()?.into(),
            env,
            without: variables.without,
            rules: Some(Arc::new(test.rules()?)),
            ..Launch::default()
        })
    }

    /// How a test is run by a `ctest` of its own, without the tests that set its fixtures up.
    fn by_ctest(&self, test: &Test, number: Option<usize>) -> Launch {
        let line = "exec \"$@\" --output-junit \"$ORCHESTRATE_REPORT\"";
        let mut program: Vec<OsString> = ["sh", "-c", line, "sh"].map(OsString::from).to_vec();
        program.push(self.ctest.clone());
        if !self.arguments.has_preset {
            program.extend(["--test-dir".into(), self.build.clone().into()]);
        }
        program.extend(self.arguments.rest.iter().cloned());
        match number {
            Some(number) => program.extend(["-I".into(), format!("{number},{number}").into()]),
            None => program.extend(["-R".into(), format!("^{}$", escaped(&test.name)).into()]),
        }
        program.extend(["-FA".into(), ".*".into()]);
        Launch {
            program,
            folder: self.group.folder(&self.discovery.root),
            ..Launch::default()
        }
    }

    /// The timeout of tests that have none: that of the arguments, or one that the project chose.
    fn usual_timeout(&self) -> Option<Duration> {
        let of_project = || {
            let path = self.build.join("DartConfiguration.tcl");
            let text = fs::read_to_string(path).ok()?;
            let mut lines = text.lines();
            let number = lines.find_map(|line| line.strip_prefix("TimeOut:"))?;
            let number: f64 = number.trim().parse().ok()?;
            // A project that says nothing of it has this; then it is for the manifest to say.
            let is_chosen = number > 0.0 && (number - USUAL_TIMEOUT).abs() > 0.5;
            seconds(number).filter(|_| is_chosen)
        };
        self.arguments.timeout.or_else(of_project)
    }
}

/// A pattern of CMake that matches this text alone.
fn escaped(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for character in text.chars() {
        if r"\.+*?()|[]^$".contains(character) {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTED: &str = r#"Preset CMake variables:
{"backtraceGraph":{"files":["/root/CMakeLists.txt"],"nodes":[{"file":0},{"file":0,"line":7}]},
"kind":"ctestInfo","tests":[{"name":"a b","backtrace":1,"command":["/bin/a","x"],
"properties":[{"name":"LABELS","value":["slow"]},{"name":"WORKING_DIRECTORY","value":"/root/b"},
{"name":"RESOURCE_LOCK","value":["db"]},{"name":"RUN_SERIAL","value":true},{"name":"PROCESSORS","value":3},
{"name":"DEPENDS","value":["off"]},{"name":"FIXTURES_REQUIRED","value":["f"]},{"name":"COST","value":2.5},
{"name":"TIMEOUT","value":1.5},{"name":"ATTACHED_FILES_ON_FAIL","value":["a.log","/x.log"]}]},
{"name":"off","properties":[{"name":"DISABLED","value":true}]}]}"#;

    #[test]
    fn properties_become_claims() {
        let document = read(LISTED.as_bytes()).unwrap();
        let graph = &document.backtrace_graph;
        let build = Path::new("/root/build");
        let item = item(&document.tests[0], graph, build);
        assert_eq!((item.id.as_str(), item.line), ("a b", Some(7)));
        assert_eq!(
            item.file.as_deref(),
            Some(Path::new("/root/CMakeLists.txt"))
        );
        assert_eq!(item.tags, ["slow"]);
        assert_eq!(item.timeout, Some(Duration::from_millis(1500)));
        let claims = item.claims.unwrap();
        assert_eq!(claims.locks[0].name, "db");
        assert!(claims.exclusive);
        assert_eq!((claims.slots, claims.cost), (Some(3), Some(2.5)));
        assert_eq!((claims.after.len(), claims.fixtures.len()), (1, 1));
        let paths: Vec<_> = item
            .attachments
            .iter()
            .map(|file| file.path.as_path())
            .collect();
        assert_eq!(paths, [Path::new("/root/b/a.log"), Path::new("/x.log")]);
        let off = super::item(&document.tests[1], graph, build);
        assert_eq!(off.known, Some(Known::Skipped("DISABLED".into())));
        assert!(read(b"no").is_err());
    }

    #[test]
    fn a_name_is_a_pattern_that_matches_it_alone() {
        assert_eq!(escaped("a.b[1] (x)"), r"a\.b\[1\] \(x\)");
    }
}
