//! The variables that CTest gives a test: `ENVIRONMENT`, then `ENVIRONMENT_MODIFICATION`
//! (<https://cmake.org/cmake/help/latest/prop_test/ENVIRONMENT_MODIFICATION.html>).

use std::ffi::{OsStr, OsString};

use indexmap::IndexMap;

/// What a variable is when the test starts: none is not set.
type Changes = IndexMap<String, Option<OsString>>;

/// The variables of a test.
#[derive(Debug, Default, PartialEq)]
pub struct Variables {
    /// Those to set.
    pub set: Vec<(OsString, OsString)>,
    /// Those that it must not inherit.
    pub without: Vec<OsString>,
}

/// The variables of a test; `inherited` are those of `ctest`. None where an entry is not understood.
#[must_use]
pub fn variables(
    environment: &[String],
    modifications: &[String],
    inherited: &dyn Fn(&str) -> Option<OsString>,
) -> Option<Variables> {
    let mut changes = Changes::new();
    for entry in environment {
        let (name, value) = entry.split_once('=')?;
        changes.insert(name.to_owned(), Some(value.into()));
    }
    // What `reset` goes back to.
    let own = changes.clone();
    let before = |name: &str| own.get(name).cloned().unwrap_or_else(|| inherited(name));
    for entry in modifications {
        let (name, change) = entry.split_once('=')?;
        let (operation, value) = change.split_once(':')?;
        let old = match changes.get(name) {
            Some(value) => value.clone(),
            None => inherited(name),
        };
        let new = match operation {
            "reset" => before(name),
            "set" => Some(value.into()),
            "unset" => None,
            "string_append" => Some(joined(old.as_deref(), "", value)),
            "string_prepend" => Some(preceded(old.as_deref(), "", value)),
            "path_list_append" => Some(joined(old.as_deref(), ":", value)),
            "path_list_prepend" => Some(preceded(old.as_deref(), ":", value)),
            "cmake_list_append" => Some(joined(old.as_deref(), ";", value)),
            "cmake_list_prepend" => Some(preceded(old.as_deref(), ";", value)),
            _ => return None,
        };
        changes.insert(name.to_owned(), new);
    }
    let mut variables = Variables::default();
    for (name, value) in changes {
        match value {
            Some(value) => variables.set.push((name.into(), value)),
            None => variables.without.push(name.into()),
        }
    }
    Some(variables)
}

fn joined(old: Option<&OsStr>, separator: &str, value: &str) -> OsString {
    let mut text = OsString::new();
    if let Some(old) = old.filter(|old| !old.is_empty()) {
        text.push(old);
        text.push(separator);
    }
    text.push(value);
    text
}

fn preceded(old: Option<&OsStr>, separator: &str, value: &str) -> OsString {
    let mut text = OsString::from(value);
    if let Some(old) = old.filter(|old| !old.is_empty()) {
        text.push(separator);
        text.push(old);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(environment: &[&str], modifications: &[&str]) -> Option<String> {
        let own = |list: &[&str]| {
            list.iter()
                .map(|text| (*text).to_owned())
                .collect::<Vec<_>>()
        };
        let inherited = |name: &str| (name == "PATH").then(|| "/bin".into());
        let found = variables(&own(environment), &own(modifications), &inherited)?;
        let set = found
            .set
            .into_iter()
            .map(|(name, value)| format!("{}={}", name.to_string_lossy(), value.to_string_lossy()));
        let without = found.without.into_iter();
        let without = without.map(|name| format!("-{}", name.to_string_lossy()));
        Some(set.chain(without).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn modifications_follow_the_environment() {
        assert_eq!(
            of(
                &["A=1", "B=x=y"],
                &[
                    "A=path_list_prepend:0",
                    "PATH=path_list_append:/x",
                    "C=cmake_list_append:q",
                    "B=string_append:z"
                ]
            )
            .as_deref(),
            Some("A=0:1 B=x=yz PATH=/bin:/x C=q")
        );
        let changes = ["PATH=string_append:x", "PATH=reset:"];
        assert_eq!(of(&["PATH=/a"], &changes).as_deref(), Some("PATH=/a"));
        assert_eq!(of(&[], &changes).as_deref(), Some("PATH=/bin"));
        assert_eq!(of(&["A=1"], &["A=unset:"]).as_deref(), Some("-A"));
        assert_eq!(
            of(&[], &["PATH=unset:", "PATH=string_append:x"]).as_deref(),
            Some("PATH=x")
        );
        assert_eq!(of(&[], &["B=reset:"]).as_deref(), Some("-B"));
    }

    #[test]
    fn what_is_not_understood_is_left_to_ctest() {
        assert_eq!(of(&[], &["A=other:1"]), None);
        assert_eq!(of(&["A"], &[]), None);
    }
}
