//! The tables that a group's keys are looked for in, the strongest first.

use std::borrow::Cow;

use serde_json::Value;

use super::Document;
use crate::manifest::config::{Origin, Provenance};
use crate::manifest::model::{Group, Profile};
use crate::manifest::source::join;

/// One table.
#[derive(Clone, Debug)]
pub struct Layer<'a> {
    /// Its name, as in `[groups.unit]`.
    pub table: String,
    /// Its JSON pointer.
    pub pointer: String,
    /// Its keys.
    pub group: &'a Group,
}

impl Layer<'_> {
    /// The pointer of a key of this table.
    pub fn at(&self, key: &str) -> String {
        join(&self.pointer, key)
    }
}

/// A group's tables, and what was taken from which.
pub struct Layers<'a> {
    document: &'a Document<'a>,
    /// The tables.
    pub list: Vec<Layer<'a>>,
    /// What was taken.
    pub provenance: Vec<Provenance>,
}

impl<'a> Layers<'a> {
    /// The tables of the group `name`.
    pub fn new(
        document: &'a Document<'a>,
        name: &str,
        group: &'a Group,
        profile: Option<(&'a String, &'a Profile)>,
    ) -> Self {
        let mut list = Vec::new();
        let mut add = |table: String, pointer: String, group: Option<&'a Group>| {
            if let Some(group) = group {
                list.push(Layer {
                    table,
                    pointer,
                    group,
                });
            }
        };
        if let Some((profile_name, profile)) = profile {
            let pointer = join(&(join("/profiles", profile_name) + "/groups"), name);
            let overlay = profile.groups.as_ref().and_then(|groups| groups.get(name));
            add(
                format!("profiles.{profile_name}.groups.{name}"),
                pointer,
                overlay,
            );
        }
        add(format!("groups.{name}"), join("/groups", name), Some(group));
        if let Some((profile_name, profile)) = profile {
            let pointer = join("/profiles", profile_name) + "/defaults";
            let table = format!("profiles.{profile_name}.defaults");
            add(table, pointer, profile.defaults.as_ref());
        }
        let defaults = document.manifest.defaults.as_ref();
        add("defaults".into(), "/defaults".into(), defaults);
        Self {
            document,
            list,
            provenance: Vec::new(),
        }
    }

    /// The strongest layer that has a value for a key, and the value.
    pub fn find<T>(&self, get: impl Fn(&'a Group) -> Option<T>) -> Option<(T, &Layer<'a>)> {
        self.list
            .iter()
            .find_map(|layer| Some((get(layer.group)?, layer)))
    }

    /// The value of `key`, noted for `show`; `fallback` is shown where no table has it.
    pub fn take<T>(
        &mut self,
        key: &'static str,
        get: impl Fn(&'a Group) -> Option<T>,
        fallback: (String, Origin),
    ) -> Option<T> {
        let found = self.find(get);
        let (value, shown) = match found {
            Some((value, layer)) => {
                let shown = written(self.document, &layer.table, &layer.pointer, key);
                (Some(value), shown)
            }
            None => (None, fallback),
        };
        self.note(key, shown);
        value
    }

    /// The pointer of `key` in the strongest layer that has it.
    pub fn pointer<T>(&self, key: &str, get: impl Fn(&'a Group) -> Option<T>) -> Option<String> {
        self.find(get).map(|(_, layer)| layer.at(key))
    }

    /// Notes a value for `show`.
    pub fn note(&mut self, key: impl Into<Cow<'static, str>>, (value, origin): (String, Origin)) {
        self.provenance.push(Provenance {
            key: key.into(),
            value,
            origin,
        });
    }

    /// Notes the entry `name` of the map `key` of a layer.
    pub fn note_entry(&mut self, layer: usize, key: &str, name: &str) {
        let layer = &self.list[layer];
        let shown = written(self.document, &layer.table, &layer.at(key), name);
        self.note(format!("{key}.{name}"), shown);
    }

    /// What was taken. A manifest may have thousands of groups, so there is no room for more.
    pub fn into_provenance(mut self) -> Vec<Provenance> {
        self.provenance.shrink_to_fit();
        self.provenance
    }
}

/// A key's value as TOML, and its line.
pub fn written(document: &Document<'_>, table: &str, pointer: &str, key: &str) -> (String, Origin) {
    let pointer = join(pointer, key);
    let value = document.value.pointer(&pointer).unwrap_or(&Value::Null);
    let line = document.line(&pointer);
    let value =
        toml::Value::try_from(value).map_or_else(|_| String::new(), |value| value.to_string());
    (
        value,
        Origin::Manifest {
            table: table.to_owned(),
            line,
        },
    )
}
