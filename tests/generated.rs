//! Generated files are committed where users read them; a stale one fails here. `BLESS=1 cargo test --test generated`
//! renews them all.

use std::fs;
use std::path::Path;

use orchestrate::manifest::schema;
use serde_json::Value;

/// Compares a file with what it should be, or writes it.
fn check(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    if std::env::var_os("BLESS").is_some() {
        fs::write(path, text).unwrap();
        return;
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == text,
        "{name} is stale: renew it with `BLESS=1 cargo test --test generated`"
    );
}

#[test]
fn the_schema_of_the_manifest() {
    check("schema/fastest.schema.json", &schema::generate());
}

#[test]
fn the_schema_of_the_events() {
    check(
        "schema/events.schema.json",
        &orchestrate::event::generate_schema(),
    );
}

#[test]
fn the_reference_of_the_manifest() {
    let schema: Value = serde_json::from_str(&schema::generate()).unwrap();
    let mut text = String::from(
        "# Manifest reference\n\nGenerated from the doc comments in `src/manifest/model/` (`BLESS=1 cargo test --test generated`).\n\
         Durations are `\"30s\"`, `\"1m 30s\"`, `\"500ms\"` or a number of seconds.\n",
    );
    let tables = [
        ("The manifest", "/properties"),
        ("`[run]`", "/definitions/Run/properties"),
        (
            "`[groups.NAME]`, `[defaults]`",
            "/definitions/Group/properties",
        ),
        (
            "`[[groups.NAME.overrides]]`",
            "/definitions/Override/properties",
        ),
        ("`[profiles.NAME]`", "/definitions/Profile/properties"),
        ("`[runners.NAME]`", "/definitions/RunnerTable/properties"),
        ("`[executors.NAME]`", "/definitions/Executor/properties"),
    ];
    for (title, pointer) in tables {
        text.push_str(&format!(
            "\n## {title}\n\n| key | type | meaning |\n| --- | --- | --- |\n"
        ));
        for (key, node) in schema.pointer(pointer).unwrap().as_object().unwrap() {
            let description = node["description"].as_str().unwrap_or_default();
            assert!(!description.is_empty(), "{title}: {key} has no description");
            let description = description
                .replace('|', "\\|")
                .replace("\n- ", "<br>\u{2022} ")
                .replace("db_<pid>", "db_&lt;pid&gt;");
            text.push_str(&format!("| `{key}` | {} | {description} |\n", kind(node)));
        }
    }
    check("docs/manifest.md", &text);
}

/// The types that a value may have, in a word each.
fn kind(node: &Value) -> String {
    if node["$ref"].is_string() || node["allOf"].is_array() {
        return "table".into();
    }
    let types = match &node["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
        Value::String(one) => vec![one.as_str()],
        _ => vec!["table"],
    };
    let is_number = types.contains(&"number");
    let words: Vec<_> = types
        .into_iter()
        .filter(|kind| !(is_number && *kind == "integer"))
        .map(|kind| match kind {
            "object" => "table",
            other => other,
        })
        .collect();
    words.join(", ")
}
