//! What `ctest --show-only=json-v1` prints (<https://cmake.org/cmake/help/latest/manual/ctest.1.html#show-as-json-object-model>).

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use crate::plan::{Item, Known};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listing {
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

#[derive(Deserialize)]
struct Test {
    name: String,
    backtrace: Option<usize>,
    #[serde(default)]
    properties: Vec<Property>,
}

#[derive(Deserialize)]
struct Property {
    name: String,
    #[serde(default)]
    value: Value,
}

/// The tests of a listing.
///
/// # Errors
/// It is none.
pub fn tests(bytes: &[u8], root: &Path) -> Result<Vec<Item>, String> {
    let listing: Listing = serde_json::from_slice(bytes)
        .map_err(|error| format!("ctest did not list its tests as JSON: {error}"))?;
    let Graph { files, nodes } = listing.backtrace_graph;
    let items = listing.tests.into_iter().map(|test| {
        let property = |name: &str| {
            let properties = test.properties.iter();
            properties.rev().find(|property| property.name == name)
        };
        let labels = property("LABELS").and_then(|labels| labels.value.as_array());
        let is_disabled = property("DISABLED").is_some_and(|disabled| disabled.value == true);
        let node = test.backtrace.and_then(|index| nodes.get(index));
        let file = node.and_then(|node| files.get(node.file));
        Item {
            file: file.map(|file| file.strip_prefix(root).unwrap_or(file).to_owned()),
            line: node.and_then(|node| node.line),
            tags: labels
                .into_iter()
                .flatten()
                .filter_map(|label| label.as_str().map(str::to_owned))
                .collect(),
            known: is_disabled.then(|| Known::Skipped("DISABLED".into())),
            ..Item::plain(test.name.clone())
        }
    });
    Ok(items.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_labels_and_places() {
        let text = r#"{"backtraceGraph":{"files":["/root/CMakeLists.txt"],"nodes":[{"file":0},{"file":0,"line":7}]},
            "kind":"ctestInfo","tests":[{"name":"a b","backtrace":1,"command":["./a"],
            "properties":[{"name":"LABELS","value":["slow"]},{"name":"WORKING_DIRECTORY","value":"/root"}]},
            {"name":"off","properties":[{"name":"DISABLED","value":true}]}]}"#;
        let items = super::tests(text.as_bytes(), Path::new("/root")).unwrap();
        assert_eq!(items[0].id, "a b");
        assert_eq!(items[0].file.as_deref(), Some(Path::new("CMakeLists.txt")));
        assert_eq!(
            (items[0].line, items[0].tags.as_slice()),
            (Some(7), &["slow".to_owned()][..])
        );
        assert_eq!(items[1].known, Some(Known::Skipped("DISABLED".into())));
        assert!(super::tests(b"no", Path::new("/root")).is_err());
    }
}
