//! Detection: the manifest of a repository that has none, from the files that are there.

use std::path::Path;

use super::model::{Contains, Detect};
use super::pattern::Pattern;
use crate::runner::files::{Wanted, find};
use crate::runner::preset;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detected {
    /// The names of the runners.
    pub runners: Vec<&'static str>,
    /// The manifest's text.
    pub text: String,
}

/// The line that editors find the schema by.
pub const SCHEMA_LINE: &str = "#:schema ./fastest.schema.json\n";

/// Looks at a root; `None` where nothing is known to run.
#[must_use]
pub fn detect(root: &Path) -> Option<Detected> {
    let mut runners = Vec::new();
    let mut text = String::from(
        "# What `orchestrate run` runs; `orchestrate show` prints every value and where it comes from.\n",
    );
    for name in preset::names() {
        let Some(runner) = preset::find(name) else {
            continue;
        };
        let signs = runner.detect.unwrap_or_default();
        let seen: Vec<&Detect> = signs.iter().filter(|sign| is_there(root, sign)).collect();
        if seen.is_empty() {
            continue;
        }
        runners.push(name);
        text.push_str(&format!(
            "\n[groups.{}]\nrunner = \"{name}\"\n",
            group_name(name)
        ));
        if name == "prove" {
            text.push_str(&arguments_of_prove(root));
        }
        if runner.list.is_none() && runner.files.is_none() {
            let patterns = seen.iter().filter_map(|sign| match sign {
                Detect::File(pattern) => Some(format!("{pattern:?}")),
                Detect::Contains(_) => None,
            });
            let files: Vec<_> = patterns.collect();
            text.push_str(&format!("files = [{}]\n", files.join(", ")));
        }
    }
    (!runners.is_empty()).then_some(Detected { runners, text })
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
        }) => {
            let text = std::fs::read_to_string(root.join(file));
            text.is_ok_and(|text| {
                if *loose {
                    loosely(&text).contains(&loosely(contains))
                } else {
                    text.contains(contains)
                }
            })
        }
    }
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
            detect(root.path()).unwrap().text
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
        assert_eq!(detected.runners, ["exec", "pytest", "libtest"]);
        let source = Source {
            path: "fastest.toml".into(),
            text: detected.text,
        };
        let config =
            crate::manifest::load(&source, root.path().into(), &Choices::default()).unwrap();
        assert_eq!(config.groups.len(), 3);
    }
}
