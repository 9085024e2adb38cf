//! Rust tests: cargo builds them once, and starts `orchestrate record` in place of each test program.
//!
//! So cargo chooses the programs, their folder, arguments and variables: `[env]`, `OUT_DIR`, what build scripts set, library
//! paths, `CARGO_BIN_EXE_*`. Each recorded program then lists its tests. The messages are those of
//! <https://doc.rust-lang.org/cargo/reference/external-tools.html>.
//!
//! Documentation tests can't be run one by one (rustdoc splits its test arguments at blanks, and their names have blanks), so a
//! package's run in one job.

mod arguments;
mod manifest;

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cargo_config2::{Config, ResolveOptions};
use rayon::prelude::*;
use serde::Deserialize;

use arguments::{Arguments, Harness};

use super::command::{Subject, capture, capture_words};
use super::{Listing, manifest_setting};
use crate::manifest::config::{CommandTemplate, GroupConfig};
use crate::manifest::model::ResultFormat;
use crate::plan::{Item, Known, Launch, Reading};
use crate::runner::discover::{Discovery, GroupLookup};
use crate::runner::record::{self, Record};

#[derive(Deserialize)]
struct Message {
    reason: String,
    package_id: Option<String>,
    target: Option<Target>,
    executable: Option<PathBuf>,
    profile: Option<Profile>,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
    src_path: PathBuf,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_root: PathBuf,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    manifest_path: PathBuf,
    #[serde(default)]
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
}

impl Package {
    fn folder(&self) -> &Path {
        self.manifest_path.parent().unwrap_or(Path::new("/"))
    }
}

/// A target that cargo built for testing.
struct Artifact<'a> {
    package: &'a Package,
    target: Target,
    executable: PathBuf,
}

/// Builds and lists.
///
/// # Errors
/// The build failed, or cargo could not be asked what it would run.
pub fn tests(
    discovery: &Discovery,
    group: &GroupConfig,
    command: &CommandTemplate,
) -> Result<Listing, String> {
    let mut cargo = manifest_setting(discovery, group, "cargo");
    let cargo = Cargo {
        discovery,
        group,
        program: cargo.pop().unwrap_or_else(|| "cargo".into()),
        arguments: Arguments::new(&manifest_setting(discovery, group, "args")),
    };
    let mut listing = Listing::default();
    // Documentation tests are built when they run.
    let built = if cargo.arguments.only_doc() {
        Vec::new()
    } else {
        capture(discovery, group, command, Subject::default())?.stdout_of_success()?
    };
    let metadata = cargo.metadata()?;
    if !cargo.arguments.only_doc() {
        let artifacts = artifacts(&built, &metadata.packages);
        let runner = cargo.runner()?;
        let (base, records) = cargo.records(&runner)?;
        let of_record = |record: &Record| {
            let program = Path::new(record.words.first().map_or(OsStr::new(""), |word| word));
            let known = artifacts
                .iter()
                .find(|artifact| artifact.executable == program);
            let Some(artifact) = known else {
                let name = program.file_name().unwrap_or_default().to_string_lossy();
                let why = format!(
                    "cargo would run {}, but did not say that it built it",
                    program.display()
                );
                return vec![Item {
                    known: Some(Known::Broken(why)),
                    ..Item::plain(name.into_owned())
                }];
            };
            let program = Program {
                cargo: &cargo,
                artifact,
                record,
                env: record.variables(&base),
                runner: &runner.words,
            };
            program.tests()
        };
        listing.items = records.par_iter().flat_map_iter(of_record).collect();
        listing.one_process = one_at_a_time(&cargo.arguments, &records);
    }
    if cargo.arguments.has_doc() {
        listing.items.extend(cargo.documentation(&metadata));
    }
    Ok(listing)
}

const ONE_AT_A_TIME: &str =
    "THREADS lets no two tests run at once; each test program is one process";

/// Why no two tests may run at once, if the project says so.
fn one_at_a_time(arguments: &Arguments, records: &[Record]) -> Option<String> {
    let flag = Harness::new(&arguments.harness).threads;
    let variable = || {
        let variables = records.iter().flat_map(|record| &record.env);
        let mut variables = variables.filter(|(name, _)| name == "RUST_TEST_THREADS");
        variables
            .next()
            .map(|(_, value)| value.to_string_lossy().into_owned())
    };
    match flag {
        Some(threads) if threads == "1" => {
            Some(ONE_AT_A_TIME.replace("THREADS", "`--test-threads=1`"))
        }
        Some(_) => None,
        None => {
            (variable()? == "1").then(|| ONE_AT_A_TIME.replace("THREADS", "RUST_TEST_THREADS=1"))
        }
    }
}

/// What cargo says that it built of these packages for testing.
fn artifacts<'a>(built: &[u8], packages: &'a [Package]) -> Vec<Artifact<'a>> {
    let messages = built
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<Message>(line).ok())
        .filter(|message| message.reason == "compiler-artifact");
    let artifacts = messages.filter_map(|message| {
        let id = message.package_id?;
        Some(Artifact {
            package: packages.iter().find(|package| package.id == id)?,
            target: message.target?,
            executable: message
                .executable
                .filter(|_| message.profile.is_some_and(|profile| profile.test))?,
        })
    });
    artifacts.collect()
}

/// What runs test programs, for which targets of the compiler.
struct Runner {
    targets: Vec<String>,
    words: Vec<OsString>,
}

/// How cargo is asked.
struct Cargo<'a> {
    discovery: &'a Discovery,
    group: &'a GroupConfig,
    program: OsString,
    arguments: Arguments,
}

impl Cargo<'_> {
    fn command(&self, words: &[&str]) -> Vec<OsString> {
        let mut all = vec![self.program.clone()];
        all.extend(words.iter().map(OsString::from));
        all
    }

    /// The variables that cargo finds, as far as the listing knows them.
    fn environment(&self) -> HashMap<OsString, OsString> {
        let (discovery, group) = (self.discovery, self.group);
        let lookup = GroupLookup { discovery, group };
        let own = group.runner.env.iter().chain(&group.env);
        let own = own.filter_map(|(name, value)| Some((name.into(), value.expand(&lookup).ok()?)));
        discovery
            .environment
            .clone()
            .into_iter()
            .chain(own)
            .collect()
    }

    fn metadata(&self) -> Result<Metadata, String> {
        let mut words = self.command(&["metadata", "--no-deps", "--format-version", "1"]);
        words.extend(self.arguments.of_metadata());
        let printed = capture_words(self.discovery, self.group, &words, None)?;
        serde_json::from_slice(&printed.stdout_of_success()?)
            .map_err(|error| format!("`cargo metadata` printed something else: {error}"))
    }

    /// The runner of the configuration: <https://doc.rust-lang.org/cargo/reference/config.html#targettriplerunner>.
    fn runner(&self) -> Result<Runner, String> {
        let configs = self.arguments.values("--config");
        let names_runner = |config: &OsString| {
            let text = config.to_string_lossy();
            let file =
                std::fs::read_to_string(self.group.folder(&self.discovery.root).join(config));
            text.contains("runner") || file.is_ok_and(|text| text.contains("runner"))
        };
        if configs.iter().any(names_runner) {
            return Err(
                "`--config` in `args` sets a runner: write it to .cargo/config.toml".into(),
            );
        }
        let printed = capture_words(self.discovery, self.group, &self.command(&["-vV"]), None)?;
        let printed = printed.stdout_of_success()?;
        let text = String::from_utf8_lossy(&printed);
        let host = text.lines().find_map(|line| line.strip_prefix("host: "));
        let host = host.ok_or("`cargo -vV` names no host")?;
        let root = self.group.folder(&self.discovery.root);
        let wrong = |error: cargo_config2::Error| format!("the configuration of cargo: {error}");
        let options = ResolveOptions::default()
            .cargo(self.program.clone())
            .host_triple(host)
            .env(self.environment());
        let config = Config::load_with_options(&root, options).map_err(wrong)?;
        let targets = self.arguments.values("--target");
        let targets: Vec<String> = targets
            .iter()
            .map(|target| target.to_string_lossy().into_owned())
            .collect();
        let targets = config
            .build_target_for_config(targets.iter().map(String::as_str))
            .map_err(wrong)?;
        let mut words = Vec::new();
        let mut names = Vec::new();
        for target in targets {
            names.push(target.triple().to_owned());
            if let Some(runner) = config.runner(target).map_err(wrong)? {
                words = vec![runner.path.into()];
                words.extend(runner.args);
            }
        }
        Ok(Runner {
            targets: names,
            words,
        })
    }

    /// How cargo starts each test program, after how a program is started that cargo does not start.
    fn records(&self, runner: &Runner) -> Result<(Record, Vec<Record>), String> {
        let folder = self.discovery.folder_of(self.group).join("cargo");
        std::fs::create_dir_all(&folder)
            .map_err(|error| format!("can't make a folder for records: {error}"))?;
        let command = record::command(&folder, false);
        capture_words(self.discovery, self.group, &command, None)?.check()?;
        let text = command
            .iter()
            .map(|word| word.to_string_lossy().into_owned());
        let text = toml::Value::Array(text.map(toml::Value::String).collect());
        let mut words = self.command(&["test"]);
        words.extend(self.arguments.cargo.iter().cloned());
        words.extend(self.arguments.no_fail_fast());
        if self.arguments.has_doc() {
            // All targets that are tested by default, without documentation tests.
            words.push("--tests".into());
        }
        for target in &runner.targets {
            words.extend([
                "--config".into(),
                format!("target.{target:?}.runner={text}").into(),
            ]);
        }
        words.push("--".into());
        words.extend(self.arguments.harness.iter().cloned());
        capture_words(self.discovery, self.group, &words, None)?.check()?;
        let mut records = record::read(&folder)
            .map_err(|error| format!("can't read what cargo started: {error}"))?;
        if records.is_empty() {
            return Err("`orchestrate record` left no record".into());
        }
        let base = records.remove(0);
        Ok((base, records))
    }

    /// The documentation tests of all packages: those of one package are a module, and one job.
    fn documentation(&self, metadata: &Metadata) -> Vec<Item> {
        let mut words = self.command(&["test"]);
        words.extend(
            self.arguments
                .cargo
                .iter()
                .filter(|word| *word != "--doc")
                .cloned(),
        );
        words.extend(self.arguments.no_fail_fast());
        words.extend(["--doc", "--"].map(OsString::from));
        words.extend(Harness::new(&self.arguments.harness).list);
        words.extend(["--list", "--format", "terse"].map(OsString::from));
        let listed = capture_words(self.discovery, self.group, &words, None)
            .and_then(super::Captured::stdout_of_success);
        let listed = match listed {
            Ok(listed) => listed,
            // There is nothing to document.
            Err(why) if !self.arguments.only_doc() && why.contains(NO_LIBRARY) => {
                return Vec::new();
            }
            Err(why) => {
                return vec![Item {
                    known: Some(Known::Broken(why)),
                    ..Item::plain("doc".into())
                }];
            }
        };
        let text = String::from_utf8_lossy(&listed);
        let mut launches: HashMap<String, Arc<Launch>> = HashMap::new();
        let mut items = Vec::new();
        // rustdoc also says how long that took.
        for name in text.lines().filter_map(|line| line.strip_suffix(": test")) {
            let file = name.split(" - ").next().unwrap_or(name);
            let place = metadata.workspace_root.join(file);
            // One whose package is not known runs with those of all packages.
            let package = owner(&metadata.packages, &place, file);
            let module = package.map_or("doc".into(), |package| format!("{}/doc", package.name));
            let launch = launches
                .entry(module.clone())
                .or_insert_with(|| Arc::new(self.launch_of_documentation(package)))
                .clone();
            items.push(Item {
                argument: name.into(),
                file: Some(match package {
                    Some(package) if !place.exists() => package.folder().join(file),
                    _ => place,
                }),
                launch: Some(launch),
                ..Item::in_module(&module, name)
            });
        }
        items
    }

    fn launch_of_documentation(&self, package: Option<&Package>) -> Launch {
        let mut program = self.command(&["test"]);
        match package {
            Some(package) => {
                program.extend(self.arguments.of_any_package());
                program.extend(["--package", &package.id].map(OsString::from));
            }
            None => {
                let all = self.arguments.cargo.iter();
                program.extend(all.filter(|word| *word != "--doc").cloned());
            }
        }
        program.extend(self.arguments.no_fail_fast());
        program.extend(["--doc", "--"].map(OsString::from));
        // What tests print would stand within the lines of the harness.
        let is_output = |word: &OsString| {
            ["--nocapture", "--no-capture", "--show-output"]
                .iter()
                .any(|name| *word == **name)
        };
        let words = Harness::new(&self.arguments.harness).list;
        program.extend(words.into_iter().filter(|word| !is_output(word)));
        Launch {
            program,
            folder: self.group.folder(&self.discovery.root),
            whole: true,
            // The harness of rustdoc writes one log file after the other, and only the last is left. Its words are enough:
            // what tests print is captured.
            reading: Some(Reading {
                results: ResultFormat::LibtestText,
                stdout_is_report: true,
            }),
            ..Launch::default()
        }
    }
}

/// What cargo says where no selected package has a library.
const NO_LIBRARY: &str = "no library targets found";

/// The package that a file of documentation tests is in: the innermost.
fn owner<'a>(packages: &'a [Package], place: &Path, file: &str) -> Option<&'a Package> {
    let inside = packages
        .iter()
        .filter(|package| place.starts_with(package.folder()));
    let innermost = inside.max_by_key(|package| package.folder().components().count());
    // Before Rust 1.61, files were relative to the package.
    innermost.filter(|_| place.exists()).or_else(|| {
        packages
            .iter()
            .find(|package| package.folder().join(file).exists())
    })
}

/// A test program, and how cargo starts it.
struct Program<'a> {
    cargo: &'a Cargo<'a>,
    artifact: &'a Artifact<'a>,
    record: &'a Record,
    env: Vec<(OsString, OsString)>,
    runner: &'a [OsString],
}

impl Program<'_> {
    fn module(&self) -> String {
        let (package, target) = (&self.artifact.package.name, &self.artifact.target);
        match target.kind.first().map(String::as_str) {
            Some("test") => format!("{package}/{}", target.name),
            Some(kind @ ("bin" | "example" | "bench")) => {
                format!("{package}/{kind}/{}", target.name)
            }
            _ => package.clone(),
        }
    }

    fn launch(&self, arguments: Vec<OsString>) -> Launch {
        let mut program = self.runner.to_vec();
        program.push(self.artifact.executable.clone().into());
        program.extend(arguments);
        Launch {
            program,
            folder: PathBuf::from(&self.record.folder),
            env: self.env.clone(),
            ..Launch::default()
        }
    }

    fn item(&self, name: &str, launch: &Arc<Launch>) -> Item {
        Item {
            file: Some(self.artifact.target.src_path.clone()),
            launch: Some(launch.clone()),
            ..Item::in_module(&self.module(), name)
        }
    }

    /// Its tests. One that does not list any as Rust's harness does is a test as a whole, if it says that it has another.
    fn tests(&self) -> Vec<Item> {
        let arguments = self.record.words.get(1..).unwrap_or_default();
        let kind = self.artifact.target.kind.first().map_or("", String::as_str);
        let manifest =
            manifest::Harness::of(self.artifact.package, kind, &self.artifact.target.name);
        let whole = || {
            let launch = Launch {
                reading: Some(Reading {
                    results: ResultFormat::Exit,
                    stdout_is_report: false,
                }),
                ..self.launch(arguments.to_vec())
            };
            vec![self.item("", &Arc::new(launch))]
        };
        if manifest == manifest::Harness::Other {
            return whole();
        }
        let harness = Harness::new(arguments);
        let launch = Arc::new(self.launch(harness.run.clone()));
        match self.list(&harness, &launch) {
            Ok(items) => items,
            Err(_) if manifest == manifest::Harness::Similar => whole(),
            Err(why) => vec![Item {
                known: Some(Known::Broken(why)),
                ..self.item("", &launch)
            }],
        }
    }

    fn list(&self, harness: &Harness, launch: &Arc<Launch>) -> Result<Vec<Item>, String> {
        let all = self.names(&harness.list, launch)?;
        let mut ignored = HashSet::new();
        if !harness.wants_ignored {
            let words = [harness.list.clone(), vec!["--ignored".into()]].concat();
            ignored.extend(self.names(&words, launch)?);
        }
        let item = |name: &String| Item {
            known: ignored
                .contains(name)
                .then(|| Known::Skipped("#[ignore]".into())),
            ..self.item(name, launch)
        };
        Ok(all.iter().map(item).collect())
    }

    /// The names that the program lists: `NAME: test` a line, or `NAME: benchmark`, which `cargo test` runs once.
    fn names(&self, words: &[OsString], launch: &Launch) -> Result<Vec<String>, String> {
        let mut all = self.launch(words.to_vec()).program;
        all.extend(["--list", "--format", "terse"].map(OsString::from));
        let printed = capture_words(self.cargo.discovery, self.cargo.group, &all, Some(launch))?;
        let printed = printed.stdout_of_success()?;
        names(&String::from_utf8_lossy(&printed)).map_err(|line| {
            let program = self.artifact.executable.display();
            format!("{program} does not list its tests as Rust's harness does: it printed {line:?}")
        })
    }
}

/// The names in a list, or the first line that is none of one.
fn names(text: &str) -> Result<Vec<String>, String> {
    let mut names = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        match line.rsplit_once(": ") {
            Some((name, "test" | "benchmark" | "bench")) => names.push(name.to_owned()),
            _ => return Err(line.to_owned()),
        }
    }
    Ok(names)
}

/// Reads what cargo might say, as far as that starts no process: for `fuzzing`.
#[cfg(any(test, feature = "fuzzing"))]
pub fn read_all(packages: &[u8], built: &[u8]) {
    if let Ok(metadata) = serde_json::from_slice::<Metadata>(packages) {
        for artifact in artifacts(built, &metadata.packages) {
            assert!(!artifact.executable.as_os_str().is_empty() || artifact.target.name.is_empty());
        }
    }
    let text = String::from_utf8_lossy(built);
    if let Ok(names) = names(&text) {
        assert!(names.len() <= text.lines().count());
    }
}
