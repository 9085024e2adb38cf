//! Detection: the manifest of a repository that has none, from the files that are there.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::config::GroupName;
use super::model::{Contains, Detect};
use super::pattern::Pattern;
use crate::kept_file;
use crate::runner::files::{Wanted, find, is_passed_over};
use crate::runner::preset;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Detected {
    /// The groups, each with its table.
    pub groups: Vec<DetectedGroup>,
    /// What was seen and makes no group of its own, with the reason.
    pub left_out: Vec<String>,
    /// The folders with a manifest of their own.
    pub roots: Vec<PathBuf>,
}

/// A group that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DetectedGroup {
    /// Its name.
    pub name: String,
    /// Its runner, or the words of its command.
    pub runner: String,
    /// Its folder below the root, or nothing.
    pub dir: PathBuf,
    /// Its table in the manifest.
    pub table: String,
}

/// The line that editors find the schema by.
pub const SCHEMA_LINE: &str = "#:schema ./fastest.schema.json\n";

/// What every manifest begins with that is written here.
const HEAD: &str = "# What `orchestrate run` runs; `orchestrate show` prints every value and where it comes from.\n";

/// How deep below the root projects are looked for.
const DEEPEST: usize = 4;
/// The most folders that are looked at.
const MOST_FOLDERS: usize = 2_000;

impl Detected {
    /// The manifest's text.
    #[must_use]
    pub fn text(&self) -> String {
        let tables = self.groups.iter().map(|group| group.table.as_str());
        std::iter::once(HEAD).chain(tables).collect()
    }

    /// The runners and their folders, for messages.
    #[must_use]
    pub fn runners(&self) -> String {
        let mut names: Vec<String> = Vec::new();
        for group in &self.groups {
            let name = if group.dir.as_os_str().is_empty() {
                group.runner.clone()
            } else {
                format!("{} in {}", group.runner, group.dir.display())
            };
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names.join(", ")
    }
}

/// Looks at a root and the folders below it; `None` where nothing is known to run.
#[must_use]
pub fn detect(root: &Path) -> Option<Detected> {
    let mut found: Vec<(PathBuf, &'static str, Vec<Detect>)> = Vec::new();
    let mut detected = Detected::default();
    for dir in folders(root, &mut detected.roots) {
        // Below the root, only what is a project of its own has tests that need its folder. It is also cheap to see.
        let is_root = dir.as_os_str().is_empty();
        for (runner, signs) in runners(&root.join(&dir), is_root) {
            // A project is its topmost folder: its tool runs what is below.
            let above = found.iter().find(|(known, name, _)| {
                *name == runner && dir.starts_with(known) && *known != dir
            });
            if let Some((above, ..)) = above {
                let above = if above.as_os_str().is_empty() {
                    Path::new(".")
                } else {
                    above
                };
                detected.left_out.push(format!(
                    "{runner} in {}: the group of {} runs it, if its tool does; else add a group with `dir`",
                    dir.display(),
                    above.display(),
                ));
                continue;
            }
            found.push((dir.clone(), runner, signs));
        }
    }
    for (dir, runner, signs) in &found {
        let name = name(dir, runner, &found);
        let mut table = format!("\n[groups.{}]\nrunner = \"{runner}\"\n", quoted(&name));
        if !dir.as_os_str().is_empty() {
            table += &format!("dir = {:?}\n", dir.to_string_lossy());
        }
        if *runner == "prove" {
            table += &arguments_of_prove(&root.join(dir));
        }
        let preset = preset::find(runner).unwrap_or_default();
        if preset.list.is_none() && preset.files.is_none() {
            let patterns = signs.iter().filter_map(|sign| match sign {
                Detect::File(pattern) => Some(format!("{pattern:?}")),
                Detect::Contains(_) => None,
            });
            let files: Vec<_> = patterns.collect();
            table += &format!("files = [{}]\n", files.join(", "));
        }
        detected.groups.push(DetectedGroup {
            name,
            runner: (*runner).to_owned(),
            dir: dir.clone(),
            table,
        });
    }
    if detected.groups.is_empty() {
        detected.groups.extend(command(root));
    }
    (!detected.groups.is_empty()).then_some(detected)
}

/// The folders of a root in which projects may be, itself first: without hidden ones, caches and other repositories.
/// Those with a manifest of their own go into `roots`.
fn folders(root: &Path, roots: &mut Vec<PathBuf>) -> Vec<PathBuf> {
    let mut all = vec![PathBuf::new()];
    let mut next = 0;
    while let Some(dir) = all.get(next).cloned() {
        next += 1;
        if dir.components().count() >= DEEPEST || all.len() > MOST_FOLDERS {
            continue;
        }
        let entries = std::fs::read_dir(root.join(&dir)).into_iter().flatten();
        let entries: Vec<_> = entries.flatten().collect();
        let is_below = !dir.as_os_str().is_empty();
        let is_foreign = |name: &OsStr| {
            name == "pyvenv.cfg"
                || name == "CACHEDIR.TAG"
                || (is_below && (name == ".git" || name == super::load::FILE_NAME))
        };
        if entries.iter().any(|entry| is_foreign(&entry.file_name())) {
            if is_below {
                if entries
                    .iter()
                    .any(|entry| entry.file_name() == super::load::FILE_NAME)
                {
                    roots.push(dir);
                }
                all.remove(next - 1);
                next -= 1;
            }
            continue;
        }
        let mut below: Vec<PathBuf> = entries
            .into_iter()
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            .filter(|entry| !is_passed_over(&entry.file_name()))
            .filter(|entry| !FOREIGN.iter().any(|name| entry.file_name() == *name))
            .map(|entry| dir.join(entry.file_name()))
            .collect();
        below.sort();
        all.extend(below);
    }
    all
}

/// Folders that hold what tests use, or what others have written.
const FOREIGN: [&str; 6] = [
    "testdata",
    "fixtures",
    "__fixtures__",
    "vendor",
    "third_party",
    "examples",
];

/// The runners of a folder, each with the signs of it.
fn runners(folder: &Path, is_root: bool) -> Vec<(&'static str, Vec<Detect>)> {
    let mut found: Vec<(&'static str, Vec<Detect>)> = Vec::new();
    for name in preset::names() {
        if !is_root && !is_project(folder, name) {
            continue;
        }
        let signs = preset::find(name).and_then(|runner| runner.detect);
        let signs = signs.into_iter().flatten();
        let seen: Vec<Detect> = signs.filter(|sign| is_there(folder, sign)).collect();
        if !seen.is_empty() {
            found.push((name, seen));
        }
    }
    found
}

/// Whether a folder is a project of its own for a runner: its tool finds its settings there.
fn is_project(folder: &Path, runner: &str) -> bool {
    let markers: &[&str] = match runner {
        "pytest" | "unittest" => &[
            "pyproject.toml",
            "pytest.ini",
            "setup.py",
            "setup.cfg",
            "tox.ini",
            "conftest.py",
            "requirements.txt",
        ],
        "jest" | "vitest" | "mocha" | "node" => &["package.json"],
        "libtest" => &["Cargo.toml"],
        "go" => &["go.mod"],
        "ctest" => &["CMakeLists.txt"],
        "busted" => &[".busted", "spec"],
        "prove" => &["t"],
        _ => &["tests", "test"],
    };
    markers.iter().any(|marker| folder.join(marker).exists())
}

/// The name of a group: its language at the root, and the name of its folder below, where no other group has that.
fn name(
    dir: &Path,
    runner: &'static str,
    found: &[(PathBuf, &'static str, Vec<Detect>)],
) -> String {
    let language = group_name(runner);
    if dir.as_os_str().is_empty() {
        return language.to_owned();
    }
    let fits = |c: char| {
        if c.is_ascii_alphanumeric() || "._-".contains(c) {
            c
        } else {
            '-'
        }
    };
    let whole: String = dir.to_string_lossy().chars().map(fits).collect();
    let whole = whole.trim_start_matches(['.', '-', '_']).to_owned();
    let last = dir.file_name().unwrap_or_default().to_string_lossy();
    let is_plain = GroupName::new(&last).is_some();
    let same = |(other, _, _): &&(PathBuf, &'static str, Vec<Detect>)| {
        other.file_name() == dir.file_name()
    };
    let is_language = |(other, name, _): &(PathBuf, &'static str, Vec<Detect>)| {
        other.as_os_str().is_empty() && group_name(name) == last
    };
    match found.iter().filter(same).count() {
        1 if is_plain && !found.iter().any(is_language) => last.into_owned(),
        _ => format!("{whole}-{language}"),
    }
}

fn quoted(name: &str) -> String {
    if name.contains('.') {
        format!("{name:?}")
    } else {
        name.to_owned()
    }
}

/// The command by which a project runs its tests itself: a script of `package.json`, or a target of a Makefile.
fn command(root: &Path) -> Option<DetectedGroup> {
    let read = |name: &str| text_of(&root.join(name)).unwrap_or_default();
    let package: serde_json::Value =
        serde_json::from_str(&read("package.json")).unwrap_or_default();
    let script = package["scripts"]["test"].as_str();
    // What `npm init` writes is no test.
    let has_script = script.is_some_and(|script| !script.contains("no test specified"));
    let makefile = ["GNUmakefile", "makefile", "Makefile"].map(read).concat();
    let target = ["test", "check"].into_iter().find(|target| {
        let rule = format!("{target}:");
        makefile.lines().any(|line| {
            let rest = line.strip_prefix(&rule);
            rest.is_some_and(|rest| !rest.starts_with('='))
        })
    });
    let words = match (has_script, target) {
        (true, _) => ["npm", "test"],
        (false, Some(target)) => ["make", target],
        (false, None) => return None,
    };
    let shown = words.join(" ");
    Some(DetectedGroup {
        name: "all".to_owned(),
        table: format!(
            "\n# One test: its exit code. A `runner` lists each test and runs them side by side (`orchestrate runners`).\n\
             [groups.all]\ncommand = {words:?}\ntimeout = \"30m\"\n"
        ),
        runner: shown,
        dir: PathBuf::new(),
    })
}

/// The options that a project of Perl is tested with: prove itself adds no folder of modules, and looks into `t` alone.
fn arguments_of_prove(root: &Path) -> String {
    let is_folder = |name: &str| root.join(name).is_dir();
    let mut options = Vec::new();
    if !is_there(root, &Detect::File("t/*.t".into())) {
        options.push("-r");
    }
    if is_folder("lib") {
        options.push("-l");
    }
    if is_folder("blib") {
        options.push("-b");
    }
    if options.is_empty() {
        return String::new();
    }
    // Without a folder, `-r` would look into all of the repository.
    if options[0] == "-r" {
        options.push("t");
    }
    format!("with = {{ args = {options:?} }}\n")
}

fn is_there(root: &Path, sign: &Detect) -> bool {
    match sign {
        Detect::File(pattern) => Pattern::new(pattern).is_ok_and(|pattern| {
            let wanted = Wanted {
                files: &[pattern],
                exclude: &[],
            };
            !find(root, &[wanted])[0].is_empty()
        }),
        Detect::Contains(Contains {
            file,
            contains,
            loose,
        }) => text_of(&root.join(file)).is_some_and(|text| {
            if *loose {
                loosely(&text).contains(&loosely(contains))
            } else {
                text.contains(contains)
            }
        }),
    }
}

/// The text of a file, if it has one.
fn text_of(path: &Path) -> Option<String> {
    String::from_utf8(kept_file::read(path).ok()?).ok()
}

/// A text in lower case and without blanks, but for the ends of its lines.
fn loosely(text: &str) -> String {
    let mut text = text.to_lowercase();
    text.retain(|character| character == '\n' || !character.is_whitespace());
    text
}

fn group_name(runner: &str) -> &str {
    match runner {
        "exec" => "scripts",
        "pytest" => "python",
        "libtest" => "rust",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::resolve::Choices;
    use crate::manifest::source::Source;

    #[test]
    fn prove_has_the_options_that_the_project_needs() {
        let arguments = |files: &[&str]| {
            let root = tempfile::tempdir().unwrap();
            for file in files {
                let path = root.path().join(file);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, "").unwrap();
            }
            detect(root.path()).unwrap().text()
        };
        assert!(!arguments(&["t/a.t"]).contains("with"));
        let text = arguments(&["t/a.t", "t/deep/b.t", "lib/A.pm", "blib/lib/A.pm"]);
        assert!(
            text.contains("with = { args = [\"-l\", \"-b\"] }\n"),
            "{text}"
        );
        let text = arguments(&["t/unit/a.t"]);
        assert!(
            text.contains("with = { args = [\"-r\", \"t\"] }\n"),
            "{text}"
        );
    }

    #[test]
    fn what_is_detected_is_a_valid_manifest() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(detect(root.path()), None);
        for file in ["Cargo.toml", "tests/a.sh", "tests/test_a.py"] {
            let path = root.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let detected = detect(root.path()).unwrap();
        assert_eq!(detected.runners(), "exec, pytest, libtest");
        let source = Source {
            path: "fastest.toml".into(),
            text: detected.text(),
        };
        let config =
            crate::manifest::load(&source, root.path().into(), &Choices::default()).unwrap();
        assert_eq!(config.groups.len(), 3);
    }

    fn groups(files: &[(&str, &str)]) -> Vec<String> {
        let root = tempfile::tempdir().unwrap();
        for (file, text) in files {
            let path = root.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let detected = detect(root.path()).unwrap_or_default();
        let source = Source {
            path: "fastest.toml".into(),
            text: detected.text(),
        };
        crate::manifest::load(&source, root.path().into(), &Choices::default()).unwrap();
        let shown = |group: &DetectedGroup| {
            format!("{} {} {}", group.name, group.runner, group.dir.display())
        };
        detected.groups.iter().map(shown).collect()
    }

    #[test]
    fn projects_below_the_root_are_groups_of_their_folder() {
        let found = groups(&[
            ("services/api/pyproject.toml", ""),
            ("services/api/tests/test_a.py", ""),
            ("services/api/sub/pyproject.toml", ""),
            ("services/api/sub/test_a.py", ""),
            (
                "web/package.json",
                "{\"devDependencies\": {\"jest\": \"30\"}}",
            ),
            ("web/node_modules/x/package.json", "\"jest\""),
            ("engine/Cargo.toml", ""),
            ("other/.git/HEAD", ""),
            ("other/go.mod", ""),
            ("own/fastest.toml", ""),
            ("own/go.mod", ""),
        ]);
        assert_eq!(
            found,
            [
                "engine libtest engine",
                "web jest web",
                "api pytest services/api"
            ]
        );
    }

    #[test]
    fn names_of_groups_differ() {
        let found = groups(&[
            ("a/x/go.mod", ""),
            ("a/x/Cargo.toml", ""),
            ("b/x/go.mod", ""),
            ("python/setup.py", ""),
            ("python/tests/test_a.py", ""),
            ("tests/test_a.py", ""),
        ]);
        let names: std::collections::HashSet<&str> = found
            .iter()
            .filter_map(|group| group.split(' ').next())
            .collect();
        assert_eq!(names.len(), found.len(), "{found:?}");
        assert!(
            names.contains("python") && names.contains("a-x-go"),
            "{found:?}"
        );
    }

    #[test]
    fn a_projects_own_command_is_offered_where_nothing_else_is_found() {
        assert_eq!(
            groups(&[("package.json", "{\"scripts\": {\"test\": \"tap\"}}")]),
            ["all npm test "]
        );
        let none = "{\"scripts\": {\"test\": \"echo \\\"Error: no test specified\\\" && exit 1\"}}";
        assert_eq!(groups(&[("package.json", none)]), [""; 0]);
        assert_eq!(
            groups(&[("Makefile", "all:\ncheck: all\n\t./x\n")]),
            ["all make check "]
        );
        assert_eq!(groups(&[("Makefile", "test := x\ntest:=x\n")]), [""; 0]);
    }
}
