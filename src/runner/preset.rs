//! The built-in presets.

use crate::manifest::model::RunnerTable;

/// In the order in which they are looked for.
const PRESETS: [(&str, &str); 16] = [
    ("exec", include_str!("presets/exec.toml")),
    ("pytest", include_str!("presets/pytest.toml")),
    ("unittest", include_str!("presets/unittest.toml")),
    ("libtest", include_str!("presets/libtest.toml")),
    ("go", include_str!("presets/go.toml")),
    ("node", include_str!("presets/node.toml")),
    ("jest", include_str!("presets/jest.toml")),
    ("vitest", include_str!("presets/vitest.toml")),
    ("mocha", include_str!("presets/mocha.toml")),
    ("busted", include_str!("presets/busted.toml")),
    ("prove", include_str!("presets/prove.toml")),
    ("bats", include_str!("presets/bats.toml")),
    ("ctest", include_str!("presets/ctest.toml")),
    ("gtest", include_str!("presets/gtest.toml")),
    ("junit", include_str!("presets/junit.toml")),
    ("tap", include_str!("presets/tap.toml")),
];

/// The names of the presets.
pub fn names() -> impl Iterator<Item = &'static str> {
    PRESETS.iter().map(|(name, _)| *name)
}

/// A preset by name.
#[must_use]
pub fn find(name: &str) -> Option<RunnerTable> {
    source(name).map(|text| {
        toml::from_str(text).expect("presets are part of the build: a test reads them all")
    })
}

/// A preset as the table `[runners.NAME]` of a manifest.
#[must_use]
pub fn table(name: &str) -> Option<String> {
    let tables = source(name)?.replace("\n[", &format!("\n[runners.{name}."));
    Some(format!("[runners.{name}]\n{tables}"))
}

fn source(name: &str) -> Option<&'static str> {
    PRESETS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, text)| *text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_a_valid_runner() {
        for name in names() {
            let runner = find(name).unwrap();
            assert!(runner.run.is_some(), "{name}");
            assert!(runner.description.is_some(), "{name}");
            let (value, _, problems) = crate::manifest::source::parse(&table(name).unwrap());
            assert!(problems.is_empty(), "{name}");
            assert!(crate::manifest::validate::accepts(&value), "{name}");
        }
    }
}
