//! Go's tests: each package's are built once, with `go test -c`, and the program lists them.
//!
//! The listing command is `go list -json`, whose objects (<https://pkg.go.dev/cmd/go#hdr-List_packages_or_modules>) say which
//! packages have tests and in which folder they run. The setting `go` is the tool, `build` the flags to build with.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use super::Captured;
use super::command::{Subject, capture, start};
use crate::manifest::config::{CommandTemplate, GroupConfig};
use crate::manifest::template::Name;
use crate::plan::{Item, Known, Launch};
use crate::runner::discover::Discovery;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Package {
    dir: PathBuf,
    import_path: String,
    #[serde(default)]
    test_go_files: Vec<String>,
    #[serde(default, rename = "XTestGoFiles")]
    outer_test_go_files: Vec<String>,
}

/// Builds and lists.
///
/// # Errors
/// The packages can't be listed.
pub fn tests(
    discovery: &Discovery,
    group: &GroupConfig,
    command: &CommandTemplate,
) -> Result<Vec<Item>, String> {
    let listed = capture(discovery, group, command, Subject::default())?.stdout_of_success()?;
    let setting = |name: &str| {
        let name = Name::Own(name.to_owned());
        discovery.group_value(group, &name).unwrap_or_default()
    };
    let tool = Tool {
        discovery,
        go: setting("go").pop().unwrap_or_else(|| "go".into()),
        build: setting("build"),
        folder: discovery.folder().join(format!("go-{}", group.name)),
        place: group.folder(&discovery.root),
    };
    std::fs::create_dir_all(&tool.folder)
        .map_err(|error| format!("can't make a folder for the test programs: {error}"))?;
    let verbose = tool.verbose();
    let mut items = Vec::new();
    for (index, package) in packages(&listed)?.iter().enumerate() {
        if package.test_go_files.is_empty() && package.outer_test_go_files.is_empty() {
            continue;
        }
        let program = tool.folder.join(format!("{index}.test"));
        match tool.build(package, &program) {
            Ok(names) => items.extend(tool.items(package, &program, &verbose, &names)),
            Err(why) => items.push(Item {
                known: Some(Known::Broken(why)),
                file: Some(package.dir.clone()),
                ..Item::plain(package.import_path.clone())
            }),
        }
    }
    Ok(items)
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
    go: OsString,
    build: Vec<OsString>,
    /// Where the programs are built to.
    folder: PathBuf,
    /// The group's folder.
    place: PathBuf,
}

impl Tool<'_> {
    /// How the tests tell what they do: from Go 1.20 on, so that what they print can't be taken for it.
    fn verbose(&self) -> OsString {
        let words = [self.go.clone(), "env".into(), "GOVERSION".into()];
        let version = start(self.discovery, &words, &[], &self.place)
            .and_then(Captured::stdout_of_success)
            .unwrap_or_default();
        let version = String::from_utf8_lossy(&version);
        let mut numbers = version.trim().trim_start_matches("go").split('.');
        let mut number = || numbers.next().and_then(|number| number.parse().ok());
        match (number(), number()) {
            (Some(1), Some(0..=19)) | (None, _) => "-test.v=true".into(),
            _ => "-test.v=test2json".into(),
        }
    }

    /// Builds a package's tests and asks them for their names.
    fn build(&self, package: &Package, program: &Path) -> Result<Vec<String>, String> {
        let mut words: Vec<OsString> = vec![self.go.clone(), "test".into(), "-c".into()];
        words.extend(["-o".into(), program.into()]);
        words.extend(self.build.iter().cloned());
        words.push(package.import_path.clone().into());
        start(self.discovery, &words, &[], &self.place)?.check()?;
        let words = [program.into(), "-test.list=.".into()];
        let listed = start(self.discovery, &words, &[], &package.dir)?.stdout_of_success()?;
        Ok(names(&listed))
    }

    fn items(
        &self,
        package: &Package,
        program: &Path,
        verbose: &OsString,
        names: &[String],
    ) -> Vec<Item> {
        let launch = Arc::new(Launch {
            program: vec![program.into(), verbose.clone()],
            folder: package.dir.clone(),
            env: vec![("PWD".into(), package.dir.clone().into())],
            whole: false,
        });
        let places = places(package);
        let item = |name: &String| {
            let place = places.get(name);
            let file = place.map(|(file, _)| package.dir.join(file));
            Item {
                argument: name.into(),
                module: package.import_path.clone(),
                file,
                line: place.map(|(_, line)| *line),
                launch: Some(launch.clone()),
                ..Item::plain(format!("{}::{name}", package.import_path))
            }
        };
        names.iter().map(item).collect()
    }
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
