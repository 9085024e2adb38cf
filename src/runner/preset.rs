//! The built-in presets.

use crate::manifest::model::RunnerTable;

const PRESETS: [(&str, &str); 3] = [
    ("exec", include_str!("presets/exec.toml")),
    ("pytest", include_str!("presets/pytest.toml")),
    ("libtest", include_str!("presets/libtest.toml")),
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
