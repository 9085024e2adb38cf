//! Rust tests: cargo builds them once and says where, and each executable lists its own.
//!
//! The messages are those of <https://doc.rust-lang.org/cargo/reference/external-tools.html>; the variables that a test finds
//! at run time are those of <https://doc.rust-lang.org/cargo/reference/environment-variables.html>. Documentation tests can't
//! be run one by one (rustdoc splits its test arguments at blanks, and their names have blanks), so a package's run in one job.

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use super::command::{Subject, capture, start};
use crate::manifest::config::{CommandTemplate, GroupConfig};
use crate::manifest::template::Name;
use crate::plan::{Item, Known, Launch};
use crate::runner::discover::Discovery;

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
    #[serde(default)]
    doctest: bool,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    target_directory: PathBuf,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    manifest_path: PathBuf,
    #[serde(default)]
    authors: Vec<String>,
    description: Option<String>,
    homepage: Option<String>,
    repository: Option<String>,
    license: Option<String>,
    rust_version: Option<String>,
    targets: Vec<Target>,
}

/// Arguments of `cargo test` that choose targets: with one of them cargo runs no documentation tests.
const TARGET_CHOICES: [&str; 10] = [
    "--lib",
    "--bin",
    "--bins",
    "--test",
    "--tests",
    "--bench",
    "--benches",
    "--example",
    "--examples",
    "--all-targets",
];

/// Builds and lists.
pub fn tests(
    discovery: &Discovery,
    group: &GroupConfig,
    command: &CommandTemplate,
) -> Result<Vec<Item>, String> {
    let built = capture(discovery, group, command, Subject::default())?.stdout_of_success()?;
    let setting = |name: &str| {
        discovery
            .group_value(group, &Name::Own(name.to_owned()))
            .unwrap_or_default()
    };
    let cargo = setting("cargo").pop().unwrap_or_else(|| "cargo".into());
    let arguments = setting("args");
    let words: Vec<OsString> = ["metadata", "--no-deps", "--format-version", "1"]
        .map(OsString::from)
        .to_vec();
    let words = [vec![cargo.clone()], words, manifest_path(&arguments)].concat();
    let place = group.folder(&discovery.root);
    let metadata = start(discovery, &words, &[], &place)?.stdout_of_success()?;
    let metadata: Metadata =
        serde_json::from_slice(&metadata).map_err(|error| format!("cargo metadata: {error}"))?;
    let libraries = library_path(discovery, &place, &metadata);
    let mut items = Vec::new();
    let mut seen = HashSet::new();
    let only_doc = arguments.iter().any(|argument| argument == "--doc");
    for (package, target, executable) in artifacts(&built, &metadata.packages) {
        seen.insert(&package.id);
        if let (Some(executable), false) = (executable, only_doc) {
            let launch = Launch {
                program: vec![executable.into()],
                folder: folder(package),
                env: variables(package, &cargo, &libraries),
                whole: false,
            };
            items.extend(harness(discovery, package, &target, launch));
        }
    }
    let chooses = |argument: &OsString| {
        let text = argument.to_string_lossy();
        TARGET_CHOICES
            .iter()
            .any(|choice| text == *choice || text.starts_with(&format!("{choice}=")))
    };
    if !arguments.iter().any(chooses) {
        for package in metadata
            .packages
            .iter()
            .filter(|package| seen.contains(&package.id))
        {
            if package.targets.iter().any(|target| target.doctest) {
                items.extend(documentation(
                    discovery, &place, package, &cargo, &arguments,
                )?);
            }
        }
    }
    Ok(items)
}

/// What cargo says that it built of these packages: each target, and its executable if that has tests.
fn artifacts<'a>(
    built: &'a [u8],
    packages: &'a [Package],
) -> impl Iterator<Item = (&'a Package, Target, Option<PathBuf>)> {
    let messages = built
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<Message>(line).ok())
        .filter(|message| message.reason == "compiler-artifact");
    messages.filter_map(|message| {
        let (id, target) = (message.package_id?, message.target?);
        let package = packages.iter().find(|package| package.id == id)?;
        let has_tests = message.profile.is_some_and(|profile| profile.test);
        Some((package, target, message.executable.filter(|_| has_tests)))
    })
}

/// The tests of one executable.
fn harness(discovery: &Discovery, package: &Package, target: &Target, launch: Launch) -> Vec<Item> {
    let module = match target.kind.first().map(String::as_str) {
        Some("test") => format!("{}/{}", package.name, target.name),
        Some(kind @ ("bin" | "example" | "bench")) => {
            format!("{}/{kind}/{}", package.name, target.name)
        }
        _ => package.name.clone(),
    };
    let file = Some(target.src_path.clone());
    let launch = Arc::new(launch);
    let listed = list(discovery, &launch, &[])
        .and_then(|all| Ok((all, list(discovery, &launch, &["--ignored"])?)));
    let item = |name: &str, known: Option<Known>| Item {
        argument: name.into(),
        module: module.clone(),
        file: file.clone(),
        launch: Some(launch.clone()),
        known,
        ..Item::plain(if name.is_empty() {
            module.clone()
        } else {
            format!("{module}::{name}")
        })
    };
    match listed {
        Err(why) => vec![item("", Some(Known::Broken(why)))],
        Ok((all, ignored)) => {
            let ignored: HashSet<_> = ignored.into_iter().collect();
            let known = |name: &String| {
                ignored
                    .contains(name)
                    .then(|| Known::Skipped("#[ignore]".into()))
            };
            all.iter().map(|name| item(name, known(name))).collect()
        }
    }
}

/// The names that an executable lists: `NAME: test` a line, other kinds (benchmarks) left out.
fn list(discovery: &Discovery, launch: &Launch, more: &[&str]) -> Result<Vec<String>, String> {
    let mut words = launch.program.clone();
    words.extend(
        ["--list", "--format", "terse"]
            .iter()
            .chain(more)
            .map(OsString::from),
    );
    let bytes = start(discovery, &words, &launch.env, &launch.folder)?.stdout_of_success()?;
    names(&String::from_utf8_lossy(&bytes)).map_err(|line| {
        let program = launch
            .program
            .first()
            .map(|word| word.to_string_lossy())
            .unwrap_or_default();
        format!(
            "{program} does not list its tests as Rust's harness does (it answered {line:?}); has it `harness = false`? \
             Then leave it out with `with = {{ args = [\u{2026}] }}` and run it in a group with a `command`"
        )
    })
}

/// The names in a list, or the first line that is none of one.
fn names(text: &str) -> Result<Vec<String>, String> {
    let mut names = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        match line.rsplit_once(": ") {
            Some((name, "test")) => names.push(name.to_owned()),
            Some((_, "benchmark" | "bench")) => {}
            _ => return Err(line.to_owned()),
        }
    }
    Ok(names)
}

/// The documentation tests of a package: one module, one job.
fn documentation(
    discovery: &Discovery,
    place: &Path,
    package: &Package,
    cargo: &OsString,
    arguments: &[OsString],
) -> Result<Vec<Item>, String> {
    let mut program = vec![cargo.clone(), "test".into()];
    program.extend(
        arguments
            .iter()
            .filter(|argument| *argument != "--doc")
            .cloned(),
    );
    program.retain(|word| !["--workspace", "--all"].iter().any(|all| word == all));
    program.extend(["--doc", "--package", &package.id, "--"].map(OsString::from));
    let launch = Arc::new(Launch {
        program,
        folder: place.to_owned(),
        env: Vec::new(),
        whole: true,
    });
    let all = list(discovery, &launch, &[])?;
    let ignored: HashSet<_> = list(discovery, &launch, &["--ignored"])?
        .into_iter()
        .collect();
    let module = format!("{}/doc", package.name);
    Ok(all
        .into_iter()
        .map(|name| Item {
            argument: OsString::from(&name),
            module: module.clone(),
            file: name
                .split(" - ")
                .next()
                .map(|file| folder(package).join(file)),
            known: ignored
                .contains(&name)
                .then(|| Known::Skipped("ignore".into())),
            launch: Some(launch.clone()),
            ..Item::plain(format!("{module}::{name}"))
        })
        .collect())
}

fn folder(package: &Package) -> PathBuf {
    package
        .manifest_path
        .parent()
        .map(Path::to_owned)
        .unwrap_or_default()
}

fn manifest_path(arguments: &[OsString]) -> Vec<OsString> {
    let at = arguments
        .iter()
        .position(|argument| argument == "--manifest-path");
    let separate = at.map(|at| arguments[at..].iter().take(2).cloned().collect());
    separate.unwrap_or_else(|| {
        let joined = arguments
            .iter()
            .filter(|argument| argument.to_string_lossy().starts_with("--manifest-path="));
        joined.cloned().collect()
    })
}

/// Where dynamic libraries of the build are, which `cargo test` adds to the search path too.
fn library_path(discovery: &Discovery, place: &Path, metadata: &Metadata) -> OsString {
    let words = ["rustc", "--print", "target-libdir"].map(OsString::from);
    let sysroot = start(discovery, &words, &[], place).and_then(super::Captured::stdout_of_success);
    let sysroot = sysroot.map(|bytes| PathBuf::from(String::from_utf8_lossy(&bytes).trim()));
    let target = metadata.target_directory.join("debug");
    let mut folders = vec![target.join("deps"), target];
    folders.extend(sysroot);
    let inherited = discovery.environment.get(&OsString::from(LIBRARY_PATH));
    folders.extend(inherited.into_iter().flat_map(std::env::split_paths));
    std::env::join_paths(folders).unwrap_or_default()
}

const LIBRARY_PATH: &str = if cfg!(target_os = "macos") {
    "DYLD_FALLBACK_LIBRARY_PATH"
} else {
    "LD_LIBRARY_PATH"
};

fn variables(
    package: &Package,
    cargo: &OsString,
    libraries: &OsString,
) -> Vec<(OsString, OsString)> {
    let (release, pre) = package
        .version
        .split_once('-')
        .unwrap_or((&package.version, ""));
    let pre = pre.split('+').next().unwrap_or_default();
    let release = release.split('+').next().unwrap_or_default();
    let mut numbers = release.split('.');
    let mut number = || numbers.next().unwrap_or_default().to_owned();
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let (major, minor, patch) = (number(), number(), number());
    let mut list: Vec<(OsString, OsString)> = [
        ("CARGO_PKG_NAME", package.name.clone()),
        ("CARGO_PKG_VERSION", package.version.clone()),
        ("CARGO_PKG_VERSION_MAJOR", major),
        ("CARGO_PKG_VERSION_MINOR", minor),
        ("CARGO_PKG_VERSION_PATCH", patch),
        ("CARGO_PKG_VERSION_PRE", pre.to_owned()),
        ("CARGO_PKG_AUTHORS", package.authors.join(":")),
        ("CARGO_PKG_DESCRIPTION", text(&package.description)),
        ("CARGO_PKG_HOMEPAGE", text(&package.homepage)),
        ("CARGO_PKG_REPOSITORY", text(&package.repository)),
        ("CARGO_PKG_LICENSE", text(&package.license)),
        ("CARGO_PKG_RUST_VERSION", text(&package.rust_version)),
    ]
    .into_iter()
    .map(|(name, value)| (name.into(), value.into()))
    .collect();
    list.push(("CARGO".into(), cargo.clone()));
    list.push(("CARGO_MANIFEST_DIR".into(), folder(package).into()));
    list.push((
        "CARGO_MANIFEST_PATH".into(),
        package.manifest_path.clone().into(),
    ));
    list.push((LIBRARY_PATH.into(), libraries.clone()));
    list
}

/// Reads what cargo might say, as far as that starts no process: for `fuzzing`.
#[cfg(any(test, feature = "fuzzing"))]
pub fn read_all(packages: &[u8], built: &[u8]) {
    if let Ok(metadata) = serde_json::from_slice::<Metadata>(packages) {
        for (package, _, _) in artifacts(built, &metadata.packages) {
            let _ = variables(package, &OsString::new(), &OsString::new());
        }
    }
    let text = String::from_utf8_lossy(built);
    if let Ok(names) = names(&text) {
        assert!(names.len() <= text.lines().count());
    }
}
