//! Go's tests: `go test` itself builds them, and its `-exec` starts `orchestrate record` in place of each test program.
//!
//! So `go test` reads its flags, `GOFLAGS`, `go.work` and vendor folders, runs `go vet`, and chooses the folder, the arguments
//! and the variables of each test program. Each recorded program then lists its tests with `-test.list`. `go list -json`
//! (<https://pkg.go.dev/cmd/go#hdr-List_packages_or_modules>) knows the packages and their files.

mod flags;
mod pattern;

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use indexmap::IndexMap;
use rayon::prelude::*;
use serde::Deserialize;

use flags::Flags;
use pattern::{alternatives, of_test};

use super::command::{Captured, capture_words, expand};
use super::{Listing, manifest_setting};
use crate::manifest::config::{CommandTemplate, GroupConfig};
use crate::plan::{Item, Known, Launch};
use crate::runner::discover::Discovery;
use crate::runner::record::{self, Record};
use crate::runner::{coverage, parts};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Package {
    #[serde(default)]
    dir: PathBuf,
    import_path: String,
    #[serde(default)]
    test_go_files: Vec<String>,
    #[serde(default, rename = "XTestGoFiles")]
    outer_test_go_files: Vec<String>,
}

/// What `go env` says.
#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE")]
struct Settings {
    #[serde(default)]
    goversion: String,
    #[serde(default)]
    goflags: String,
    #[serde(default)]
    goos: String,
    #[serde(default)]
    goarch: String,
    #[serde(default)]
    gohostos: String,
    #[serde(default)]
    gohostarch: String,
}

/// Builds and lists.
///
/// # Errors
/// The packages can't be listed or built.
pub fn tests(
    discovery: &Discovery,
    group: &GroupConfig,
    command: &CommandTemplate,
) -> Result<Listing, String> {
    let mut words = expand(discovery, group, command)?;
    let go = words.first().cloned().unwrap_or_else(|| "go".into());
    if words.get(1).is_none_or(|word| word != "test") {
        return Err("a listing of the format `go` is a `go test` command".into());
    }
    let mut arguments = words.split_off(2);
    let mut flags = Flags::read(&mut arguments);
    let settings = settings(discovery, group, &go)?;
    flags.add(Flags::read(&mut flags::fields(&settings.goflags)));
    if !flags.refused.is_empty() {
        let refused = flags.refused.join("\n");
        return Err(format!(
            "`go test` has flags that can't be used here\n{refused}"
        ));
    }
    let tool = Tool {
        discovery,
        group,
        folder: coverage::folder(discovery, group),
        has_alternatives: settings.is_at_least(19),
        has_marks: settings.is_at_least(20),
        exec: match &flags.exec {
            Some(exec) => flags::fields(exec),
            None => settings.foreign_exec(discovery),
        },
        flags,
    };
    fs::create_dir_all(&tool.folder)
        .map_err(|error| format!("can't make a folder for the test programs: {error}"))?;
    let packages = tool.packages(&go)?;
    let built = tool.build(&go, arguments)?;
    let one_process = tool
        .flags
        .profile
        .as_ref()
        .map(|flag| format!("`-{flag}` writes one file, with what one process measured"));
    Ok(Listing {
        items: tool.tests(&packages, &built)?,
        one_process,
        ..Listing::default()
    })
}

/// Asks `go env`.
fn settings(discovery: &Discovery, group: &GroupConfig, go: &OsString) -> Result<Settings, String> {
    let names = [
        "GOVERSION",
        "GOFLAGS",
        "GOOS",
        "GOARCH",
        "GOHOSTOS",
        "GOHOSTARCH",
    ];
    let mut words = vec![go.clone(), "env".into(), "-json".into()];
    words.extend(names.map(OsString::from));
    let printed = capture_words(discovery, group, &words, None)?.stdout_of_success()?;
    serde_json::from_slice(&printed)
        .map_err(|error| format!("`go env -json` did not print JSON: {error}"))
}

impl Settings {
    /// Whether this is Go 1.`minor` or later. A development version has no number, and is the latest.
    fn is_at_least(&self, minor: u32) -> bool {
        let mut numbers = self
            .goversion
            .trim_start_matches("go")
            .split(['.', ' ', 'r', 'b', '-']);
        let mut number = || numbers.next().and_then(|number| number.parse().ok());
        !matches!((number(), number()), (Some(1), Some(own)) if own < minor)
    }

    /// The program on `PATH` that runs programs for another system: `go help run`.
    fn foreign_exec(&self, discovery: &Discovery) -> Vec<OsString> {
        if (&self.goos, &self.goarch) == (&self.gohostos, &self.gohostarch) {
            return Vec::new();
        }
        let name = format!("go_{}_{}_exec", self.goos, self.goarch);
        let path = discovery.environment.get(OsStr::new("PATH"));
        let folders = path.into_iter().flat_map(std::env::split_paths);
        let mut programs = folders.map(|folder| folder.join(&name));
        programs
            .find(|program| program.is_file())
            .into_iter()
            .map(OsString::from)
            .collect()
    }
}

/// The packages of a listing: objects, one after the other.
fn packages(listed: &[u8]) -> Result<Vec<Package>, String> {
    serde_json::Deserializer::from_slice(listed)
        .into_iter()
        .collect::<Result<_, _>>()
        .map_err(|error| format!("`go list` did not list packages as JSON: {error}"))
}

/// The names that `-test.list` prints: one a line, and then none. Benchmarks are no tests.
fn names(listed: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(listed)
        .lines()
        .filter(|line| {
            let kinds = ["Test", "Example", "Fuzz"];
            kinds.iter().any(|kind| line.starts_with(kind)) && !line.contains(' ')
        })
        .map(str::to_owned)
        .collect()
}

struct Tool<'a> {
    discovery: &'a Discovery,
    group: &'a GroupConfig,
    folder: PathBuf,
    flags: Flags,
    /// What runs test programs.
    exec: Vec<OsString>,
    /// Whether `-run` may have alternatives with levels of their own: Go 1.19 has them.
    has_alternatives: bool,
    /// Whether a mark can stand before each line of the testing package: from Go 1.20 on.
    has_marks: bool,
}

/// What `go test` did.
struct Built {
    records: Vec<Record>,
    base: Record,
    /// The packages that failed to build, with the reason.
    failed: Vec<(String, String)>,
}

impl Tool<'_> {
    /// The packages that `go test` would test.
    fn packages(&self, go: &OsString) -> Result<Vec<Package>, String> {
        // One package that can't be loaded does not hide the others; `go test` says what is wrong with it.
        let mut words = vec![go.clone(), "list".into()];
        words.extend(self.flags.of_listing.iter().cloned());
        words.extend(["-e", "-json"].map(OsString::from));
        words.extend(manifest_setting(self.discovery, self.group, "packages"));
        let listed = capture_words(self.discovery, self.group, &words, None)?;
        packages(&listed.stdout_of_success()?)
    }

    /// Has `go test` build and check the packages, and record how it would start each test program.
    fn build(&self, go: &OsString, arguments: Vec<OsString>) -> Result<Built, String> {
        let unreadable = |error| format!("can't read what `go test` started: {error}");
        let command = record::command(&self.folder, true);
        // What a program finds that no tool has started.
        let base = record::command(&self.folder, false);
        capture_words(self.discovery, self.group, &base, None)?.check()?;
        let exec: Option<Vec<String>> = command.iter().map(flags::field).collect();
        let exec = exec.ok_or("the folder for temporary files has quotes in its name")?;
        let mut words = vec![go.clone(), "test".into()];
        let at = usize::from(is_folder_flag(&arguments)) * 2;
        let mut arguments = arguments;
        let behind = arguments.split_off(at.min(arguments.len()));
        words.extend(arguments);
        words.push(format!("-exec={}", exec.join(" ")).into());
        if self.flags.coverprofile.is_some() {
            // What `go test` itself knows of packages without tests.
            let mut flag = OsString::from("-coverprofile=");
            flag.push(self.folder.join(coverage::UNTESTED));
            words.push(flag);
        }
        words.extend(behind);
        let captured = capture_words(self.discovery, self.group, &words, None)?;
        let mut records = record::read(&self.folder).map_err(unreadable)?;
        if records.is_empty() {
            return Err("`orchestrate record` left no record".into());
        }
        let base = records.remove(0);
        let failed = failures(&captured);
        // No test has run, so only what it names can have failed.
        if failed.is_empty() {
            captured.check()?;
        }
        Ok(Built {
            records,
            base,
            failed,
        })
    }

    /// The tests of all packages, in the order of `go list`.
    fn tests(&self, packages: &[Package], built: &Built) -> Result<Vec<Item>, String> {
        let by_folder: HashMap<PathBuf, &Record> = built
            .records
            .iter()
            .map(|record| (canonical(Path::new(&record.folder)), record))
            .collect();
        if let (Some(file), false) = (&self.flags.coverprofile, built.records.is_empty()) {
            let folder = self
                .group
                .folder(&self.discovery.root)
                .join(self.flags.outputdir.as_deref().unwrap_or(""));
            let parts = parts::folder(self.discovery, self.group);
            let made = parts.map_or(Ok(()), fs::create_dir_all);
            made.and_then(|()| coverage::begin(&self.folder, &folder.join(file)))
                .map_err(|error| format!("can't keep where the coverage goes: {error}"))?;
        }
        let of_package = |package: &Package| {
            let failure = built
                .failed
                .iter()
                .find(|(name, _)| *name == package.import_path);
            let has_tests =
                !package.test_go_files.is_empty() || !package.outer_test_go_files.is_empty();
            let broken = |why: String| {
                vec![Item {
                    known: Some(Known::Broken(why)),
                    // Without a file, `files` can't leave it out.
                    ..Item::plain(package.import_path.clone())
                }]
            };
            let record = by_folder
                .get(&canonical(&package.dir))
                .filter(|_| has_tests);
            match (record, failure) {
                (_, Some((_, why))) => broken(why.clone()),
                (Some(record), None) => self
                    .tests_of(package, record, &built.base)
                    .unwrap_or_else(broken),
                (None, None) if has_tests => {
                    broken("`go test` did not start the test program of this package".into())
                }
                (None, None) => Vec::new(),
            }
        };
        let mut items: Vec<Item> = packages.par_iter().flat_map_iter(of_package).collect();
        // What `go list` did not name, such as a pattern that matches no package.
        let is_known = |name: &str| packages.iter().any(|package| package.import_path == name);
        let others = built.failed.iter().filter(|(name, _)| !is_known(name));
        items.extend(others.map(|(name, why)| Item {
            known: Some(Known::Broken(why.clone())),
            ..Item::plain(name.clone())
        }));
        Ok(items)
    }

    /// The tests of one package.
    fn tests_of(
        &self,
        package: &Package,
        record: &Record,
        base: &Record,
    ) -> Result<Vec<Item>, String> {
        let mut started = self.started(record);
        let launch = Launch {
            folder: package.dir.clone(),
            env: record.variables(base),
            ..Launch::default()
        };
        // A profile belongs to the process that runs tests, not to the one that lists them.
        let is_profile = |word: &OsString| {
            flags::PROFILES
                .iter()
                .any(|flag| value_of(word, flag).is_some())
        };
        let list = |pattern: &str| {
            let mut words = [self.exec.clone(), vec![started.program.clone()]].concat();
            words.extend(
                started
                    .flags
                    .iter()
                    .filter(|word| !is_profile(word))
                    .cloned(),
            );
            words.push(format!("-test.list={pattern}").into());
            words.extend(started.rest.iter().cloned());
            let listed = capture_words(self.discovery, self.group, &words, Some(&launch))?;
            Ok::<_, String>(names(&listed.stdout_of_success()?))
        };
        let mut selected: IndexMap<String, Option<Vec<String>>> = IndexMap::new();
        for one in alternatives(started.run.as_deref().unwrap_or("."), self.has_alternatives) {
            for name in list(&one.top)? {
                let rests = selected.entry(name).or_insert_with(|| Some(Vec::new()));
                match (&one.rest, rests) {
                    (Some(rest), Some(rests)) => rests.push(rest.clone()),
                    (None, rests) => *rests = None,
                    (Some(_), None) => {}
                }
            }
        }
        for one in started
            .skip
            .iter()
            .flat_map(|skip| alternatives(skip, true))
        {
            // What skips subtests is passed on.
            if one.rest.is_none() {
                for name in list(&one.top)? {
                    selected.shift_remove(&name);
                }
            }
        }
        let verbose = if self.has_marks { "test2json" } else { "true" };
        started.flags.push(format!("-test.v={verbose}").into());
        if self.flags.profile.is_none() && !self.flags.has_timeout {
            started.flags.push("-test.timeout=0".into());
        }
        let launch = Launch {
            program: self.program(&started),
            arguments: started.rest,
            ..launch
        };
        Ok(self.items(package, &Arc::new(launch), selected))
    }

    fn items(
        &self,
        package: &Package,
        launch: &Arc<Launch>,
        selected: IndexMap<String, Option<Vec<String>>>,
    ) -> Vec<Item> {
        let places = places(package);
        let item = |(name, rests): (String, Option<Vec<String>>)| {
            let place = places.get(&name);
            let file = place.map(|(file, _)| package.dir.join(file));
            let rests = rests.unwrap_or_default();
            let is_alone = !rests.is_empty() && !self.has_alternatives;
            Item {
                argument: of_test(&name, &rests).into(),
                module: package.import_path.clone(),
                file,
                line: place.map(|(_, line)| *line),
                launch: Some(if is_alone {
                    // Before Go 1.19, one pattern can't have subtests of several tests.
                    Arc::new(launch.as_ref().clone())
                } else {
                    launch.clone()
                }),
                ..Item::plain(format!("{}::{name}", package.import_path))
            }
        };
        selected.into_iter().map(item).collect()
    }

    /// How a test program is run: what stands before `-test.run`.
    fn program(&self, started: &Started) -> Vec<OsString> {
        let mut words = Vec::new();
        let parts = parts::folder(self.discovery, self.group);
        if let (Some(parts), Some(_)) = (parts, &self.flags.coverprofile) {
            words.extend(coverage::command(&parts, &self.exec, started.has_data));
        } else {
            words.extend(self.exec.iter().cloned());
        }
        words.push(started.program.clone());
        words.extend(started.flags.iter().cloned());
        words
    }

    /// Sorts the arguments of a test program.
    fn started(&self, record: &Record) -> Started {
        let mut words = record.words.iter().cloned();
        let mut started = Started {
            program: words.next().unwrap_or_default(),
            ..Started::default()
        };
        while let Some(word) = words.next() {
            if !word.as_bytes().starts_with(b"-test.") {
                // From here on the arguments are the project's own.
                started.rest.push(word);
                started.rest.extend(words);
                break;
            }
            started.has_data |= value_of(&word, "gocoverdir").is_some();
            if let Some(run) = value_of(&word, "run") {
                started.run = Some(run);
                continue;
            }
            let dropped = ["v", "list", "testlogfile", "coverprofile", "gocoverdir"];
            if dropped.iter().any(|flag| value_of(&word, flag).is_some())
                || (!self.flags.has_timeout && value_of(&word, "timeout").is_some())
            {
                continue;
            }
            started.skip = value_of(&word, "skip").or(started.skip);
            started.flags.push(word);
        }
        started
    }
}

/// How `go test` would start a test program.
#[derive(Default)]
struct Started {
    program: OsString,
    /// Flags of the testing package.
    flags: Vec<OsString>,
    /// What stands behind them.
    rest: Vec<OsString>,
    run: Option<String>,
    skip: Option<String>,
    /// Whether it has a folder for raw data of coverage.
    has_data: bool,
}

/// The value of `-test.NAME=VALUE`.
fn value_of(word: &OsStr, name: &str) -> Option<String> {
    let text = word.to_string_lossy();
    let rest = text.strip_prefix("-test.")?.strip_prefix(name)?;
    rest.strip_prefix('=').map(str::to_owned)
}

/// Whether `-C FOLDER` comes first, where it must stay.
fn is_folder_flag(words: &[OsString]) -> bool {
    words
        .first()
        .is_some_and(|word| word == "-C" || word == "--C")
}

/// The packages that `go test` calls failed, and what it wrote about each.
fn failures(captured: &Captured) -> Vec<(String, String)> {
    let printed = String::from_utf8_lossy(captured.stdout());
    let failed = printed.lines().filter_map(|line| {
        let rest = line.strip_prefix("FAIL")?.strip_prefix(['\t', ' '])?;
        rest.split_whitespace().next()
    });
    let of_package = |name: &str| {
        let mut text = String::new();
        let mut is_inside = false;
        for line in captured.stderr().lines() {
            if let Some(head) = line.strip_prefix("# ") {
                let head = head.trim_matches(['[', ']']);
                is_inside = head.split_whitespace().next() == Some(name)
                    || head
                        .split(' ')
                        .any(|word| word.trim_matches(['[', ']']) == name);
                continue;
            }
            if is_inside {
                text.push_str(line);
                text.push('\n');
            }
        }
        if text.is_empty() {
            text = captured.said();
        }
        (name.to_owned(), text.trim_end().to_owned())
    };
    failed.map(of_package).collect()
}

fn canonical(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// Where a package's tests are: `func TestX(` at the beginning of a line, as gofmt writes it.
fn places(package: &Package) -> HashMap<String, (&str, u32)> {
    let mut places = HashMap::new();
    let files = package
        .test_go_files
        .iter()
        .chain(&package.outer_test_go_files);
    for file in files {
        let text = std::fs::read_to_string(package.dir.join(file)).unwrap_or_default();
        for (line, number) in text.lines().zip(1..) {
            let name = line
                .strip_prefix("func ")
                .and_then(|rest| rest.split('(').next());
            if let Some(name) = name {
                places.insert(name.to_owned(), (file.as_str(), number));
            }
        }
    }
    places
}

/// Reads what the tool might say, as far as that starts no process: for `fuzzing`.
#[cfg(any(test, feature = "fuzzing"))]
pub fn read_all(bytes: &[u8]) {
    if let Ok(packages) = packages(bytes) {
        assert!(packages.len() <= bytes.len());
    }
    let lines = String::from_utf8_lossy(bytes).lines().count();
    assert!(names(bytes).len() <= lines);
}
