//! The JSON schema of the manifest: made from the types, shaped so that editors complete well from it.
//!
//! `schema/fastest.schema.json` is the committed copy; a test fails when it is stale. The rules of shape, and why:
//! tables stay behind `$ref` (they recur), everything else is inlined, so that a hover shows the use and not the type;
//! unions of scalars are a flat `type` list and not `anyOf`, which editors complete once a branch; `null` is no TOML.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::model::Manifest;

/// The committed schema, byte for byte.
pub const COMMITTED: &str = include_str!("../../schema/fastest.schema.json");

/// The schema as a value: only read when there is something to explain.
pub fn document() -> &'static Value {
    static DOCUMENT: std::sync::LazyLock<Value> = std::sync::LazyLock::new(|| {
        serde_json::from_str(COMMITTED).expect("the committed schema is JSON: a test renews it")
    });
    &DOCUMENT
}

/// Makes the schema anew from the types.
#[must_use]
pub fn generate() -> String {
    let schema = SchemaSettings::draft07()
        .into_generator()
        .into_root_schema_for::<Manifest>();
    let mut value = schema.to_value();
    shape(&mut value);
    if let Value::Object(root) = &mut value {
        root.insert("x-tombi-toml-version".into(), json!("v1.0.0"));
        root.insert("x-tombi-table-keys-order".into(), json!("schema"));
    }
    for (path, label) in [
        ("/properties/groups", "group"),
        ("/properties/profiles", "profile"),
        ("/properties/runners", "runner"),
        ("/properties/executors", "executor"),
        ("/properties/run/properties/reports", "format"),
        ("/definitions/Run/properties/reports", "format"),
        ("/definitions/Profile/properties/groups", "group"),
        ("/definitions/Group/properties/env", "VARIABLE"),
        ("/definitions/Group/properties/resources", "resource"),
        ("/definitions/Group/properties/with", "setting"),
        ("/definitions/RunnerTable/properties/settings", "setting"),
        ("/definitions/RunnerTable/properties/env", "VARIABLE"),
    ] {
        if let Some(Value::Object(map)) = value.pointer_mut(path) {
            map.insert("x-tombi-additional-key-label".into(), json!(label));
        }
    }
    serde_json::to_string_pretty(&value).expect("a schema is plain JSON") + "\n"
}

/// Applies the rules of shape, from the leaves up.
fn shape(value: &mut Value) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(shape),
        Value::Object(map) => {
            map.values_mut().for_each(shape);
            drop_null(map);
            enum_of_constants(map);
            if map.get("default").is_some_and(is_empty) {
                map.remove("default");
            }
            // Formats such as `uint8` are schemars' own; the range is given by minimum and maximum.
            map.remove("format");
            // Doc comments are wrapped for the source; an editor wraps for itself.
            if let Some(Value::String(text)) = map.get_mut("description") {
                *text = text.replace('\n', " ").replace(" - `", "\n- `");
            }
        }
        _ => {}
    }
}

/// `Option` adds `null`, which TOML can't write.
fn drop_null(map: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = map.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            map.insert("type".into(), only);
        }
    }
    for key in ["anyOf", "allOf"] {
        let Some(Value::Array(branches)) = map.get_mut(key) else {
            continue;
        };
        branches.retain(|branch| branch.get("type").is_none_or(|kind| kind != "null"));
        if let [Value::Object(only)] = branches.as_slice() {
            let only = only.clone();
            map.remove(key);
            for (key, value) in only {
                match (map.get_mut(&key), value) {
                    // The use's description stands, but the texts of an enum's values are the type's.
                    (Some(Value::String(of_use)), Value::String(of_type)) => {
                        let values = of_type.find("\n- ").map(|at| &of_type[at..]);
                        of_use.push_str(values.unwrap_or_default());
                    }
                    (Some(_), _) => {}
                    (None, value) => {
                        map.insert(key, value);
                    }
                }
            }
        }
    }
    if let Some(Value::Array(values)) = map.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
}

/// Documented variants come as `oneOf` constants; editors show them best as one `enum` with a text for each value.
fn enum_of_constants(map: &mut Map<String, Value>) {
    let Some(Value::Array(branches)) = map.get("oneOf") else {
        return;
    };
    let variants: Option<Vec<(Value, String)>> = branches
        .iter()
        .map(|branch| {
            let text = branch.get("description").and_then(Value::as_str);
            Some((branch.get("const")?.clone(), text.unwrap_or("").to_owned()))
        })
        .collect();
    let Some(variants) = variants else { return };
    let mut description = map
        .get("description")
        .and_then(Value::as_str)
        .unwrap_or("")
        .to_owned();
    for (value, text) in &variants {
        description.push_str(&format!("\n- `{}`: {text}", value.as_str().unwrap_or("")));
    }
    let (values, texts): (Vec<_>, Vec<_>) = variants.into_iter().unzip();
    map.remove("oneOf");
    map.insert("type".into(), json!("string"));
    map.insert("enum".into(), Value::Array(values));
    map.insert("description".into(), json!(description));
    map.insert("x-taplo".into(), json!({ "docs": { "enumValues": texts } }));
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

/// The part of the schema that describes the value at a JSON pointer.
#[must_use]
pub fn describing(pointer: &str) -> Option<&'static Value> {
    let mut node = document();
    for token in pointer.split('/').skip(1) {
        let token = token.replace("~1", "/").replace("~0", "~");
        node = resolve(node);
        node = node
            .get("properties")
            .and_then(|properties| properties.get(&token))
            .or_else(|| {
                node.get("additionalProperties")
                    .filter(|more| more.is_object())
            })
            .or_else(|| node.get("items"))?;
    }
    Some(node)
}

/// Follows `$ref`.
#[must_use]
pub fn resolve(node: &'static Value) -> &'static Value {
    node.get("$ref")
        .and_then(Value::as_str)
        .and_then(|reference| document().pointer(reference.trim_start_matches('#')))
        .unwrap_or(node)
}
