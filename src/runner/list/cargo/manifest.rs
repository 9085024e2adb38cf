//! What only a `Cargo.toml` says: which targets have `harness = false` (`cargo metadata` does not tell).

use std::fs;

use serde::Deserialize;

use super::Package;

/// Crates whose `main` takes the arguments of Rust's harness and lists its tests as that does.
const SIMILAR: [&str; 5] = [
    "libtest-mimic",
    "libtest2",
    "libtest2-mimic",
    "libtest2-harness",
    "datatest-stable",
];

/// What runs the tests of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harness {
    /// Rust's own harness.
    Rust,
    /// A `main` that may take the same arguments: its package depends on a crate for that.
    Similar,
    /// Any `main`: it runs everything, whatever it is asked.
    Other,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Manifest {
    lib: Option<Table>,
    bin: Vec<Table>,
    test: Vec<Table>,
    bench: Vec<Table>,
    example: Vec<Table>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Table {
    name: Option<String>,
    harness: Option<bool>,
}

impl Harness {
    /// That of a target. A manifest that can't be read says nothing: cargo has read it.
    pub fn of(package: &Package, kind: &str, name: &str) -> Self {
        let text = fs::read_to_string(&package.manifest_path).unwrap_or_default();
        let manifest: Manifest = toml::from_str(&text).unwrap_or_default();
        let has_name = |table: &&Table| table.name.as_deref() == Some(name);
        let table = match kind {
            "bin" => manifest.bin.iter().find(has_name),
            "test" => manifest.test.iter().find(has_name),
            "bench" => manifest.bench.iter().find(has_name),
            "example" => manifest.example.iter().find(has_name),
            _ => manifest.lib.as_ref(),
        };
        if table.is_none_or(|table| table.harness != Some(false)) {
            return Self::Rust;
        }
        let mut names = package.dependencies.iter().map(|one| one.name.as_str());
        if names.any(|name| SIMILAR.contains(&name)) {
            Self::Similar
        } else {
            Self::Other
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::list::cargo::Dependency;

    #[test]
    fn a_target_without_harness_is_asked_only_where_it_may_understand() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("Cargo.toml");
        let text = "[lib]\nharness = false\n[[test]]\nname = \"a\"\nharness = false\n[[test]]\nname = \"b\"\n";
        fs::write(&path, text).unwrap();
        let package = |names: &[&str]| Package {
            id: "p".into(),
            name: "p".into(),
            manifest_path: path.clone(),
            dependencies: names
                .iter()
                .map(|name| Dependency {
                    name: (*name).to_owned(),
                })
                .collect(),
        };
        let plain = package(&[]);
        assert_eq!(Harness::of(&plain, "lib", "p"), Harness::Other);
        assert_eq!(Harness::of(&plain, "test", "a"), Harness::Other);
        assert_eq!(Harness::of(&plain, "test", "b"), Harness::Rust);
        assert_eq!(Harness::of(&plain, "test", "c"), Harness::Rust);
        let mimic = package(&["libtest-mimic"]);
        assert_eq!(Harness::of(&mimic, "test", "a"), Harness::Similar);
    }
}
