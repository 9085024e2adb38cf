//! Templates: `<name>` in the strings of a manifest.
//!
//! Parsing finds every name that does not exist before anything runs. Expansion is one pass: a value is never expanded
//! again. Nothing here knows where values come from; they are looked up through [`Lookup`].

use std::ffi::{OsStr, OsString};

use indexmap::IndexSet;

use crate::suggest::{did_you_mean, listed};

/// A name in a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// The worker's process id.
    Pid,
    /// The worker's slot in its group.
    Slot,
    /// The group's name.
    Group,
    /// The run's id.
    Run,
    /// The attempt's number, from 1.
    Attempt,
    /// The root folder.
    Root,
    /// The group's folder.
    Dir,
    /// The job's private temporary folder.
    Tmp,
    /// A free port leased to the worker.
    Port,
    /// The folder of the runner's own files.
    Support,
    /// The chunk's items, one argument each.
    Items,
    /// The group's files, one argument each.
    Files,
    /// The words that have only some of the tests in a file run.
    Select,
    /// The names of these tests, one argument each.
    Tests,
    /// The program that a listing found for the items.
    Program,
    /// The arguments that a listing found for the items, which stand behind them.
    Arguments,
    /// The file that results or a listing are written to.
    Report,
    /// How many workers the job stands for, or how many processors a listing may use.
    Workers,
    /// The process id of the job's process.
    JobPid,
    /// A variable of the environment of `orchestrate`.
    Env {
        /// Its name.
        name: String,
        /// What stands for it where it is not set.
        default: Option<String>,
    },
    /// A resource of the group or a setting of its runner.
    Own(String),
}

/// Where a string stands, which decides what may be named in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// A command that runs a chunk.
    RunCommand,
    /// The part of it that has only some of the tests in a file run.
    Select,
    /// A command that lists tests or items, before there are workers.
    ListCommand,
    /// A command that starts a session host, or that finishes what processes of a group have left.
    Session,
    /// The value of an environment variable or a resource of a worker.
    Value,
    /// A command that runs when a job's time is over, while it is still there.
    OnTimeout,
    /// A command that runs once for a group, outside of its workers.
    GroupHook,
    /// A setting of a runner, known before there are workers.
    Setting,
}

const EVERYWHERE: [(&str, Name); 3] = [
    ("root", Name::Root),
    ("dir", Name::Dir),
    ("support", Name::Support),
];
const OF_A_GROUP: [(&str, Name); 2] = [("group", Name::Group), ("run", Name::Run)];
const OF_A_JOB: [(&str, Name); 5] = [
    ("pid", Name::Pid),
    ("slot", Name::Slot),
    ("attempt", Name::Attempt),
    ("tmp", Name::Tmp),
    ("port", Name::Port),
];
const REPORT: (&str, Name) = ("report", Name::Report);
const PROGRAM: (&str, Name) = ("program", Name::Program);
const OF_A_CHUNK: [(&str, Name); 4] = [
    ("items", Name::Items),
    PROGRAM,
    ("arguments", Name::Arguments),
    ("select", Name::Select),
];
const TESTS: (&str, Name) = ("tests", Name::Tests);
const FILES: (&str, Name) = ("files", Name::Files);
const WORKERS: (&str, Name) = ("workers", Name::Workers);
const JOB_PID: (&str, Name) = ("job-pid", Name::JobPid);

impl Context {
    fn names(self) -> Vec<(&'static str, Name)> {
        let mut names = EVERYWHERE.to_vec();
        if self != Self::Setting {
            names.extend(OF_A_GROUP);
        }
        match self {
            Self::RunCommand => {
                names.extend(OF_A_JOB);
                names.extend(OF_A_CHUNK);
                names.extend([REPORT, WORKERS]);
            }
            Self::Select => {
                names.extend(OF_A_JOB);
                names.push(TESTS);
            }
            Self::Session => {
                names.extend(OF_A_JOB);
                names.push(FILES);
            }
            Self::ListCommand => names.extend([REPORT, FILES, PROGRAM, WORKERS]),
            Self::Value => {
                names.extend(OF_A_JOB);
                names.push(REPORT);
            }
            Self::OnTimeout => {
                names.extend(OF_A_JOB);
                names.push(JOB_PID);
            }
            Self::GroupHook | Self::Setting => {}
        }
        names
    }
}

/// The names that a group brings itself.
#[derive(Clone, Debug, Default)]
pub struct Own {
    /// Resources and settings with one value.
    pub single: IndexSet<String>,
    /// Settings with a list of values, which must be a word of their own.
    pub lists: IndexSet<String>,
    /// Whether the items of a chunk, and the files of a listing, are one value, with a separator between them.
    pub items_are_one: bool,
    /// Whether the names of selected tests are one value.
    pub tests_are_one: bool,
}

/// A string with its names found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Name(Name),
}

/// Why a string is no template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateError {
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: String,
}

/// Where values come from.
pub trait Lookup {
    /// The values of a name: one, or a list for names that are a word of their own. `None` where it is not set.
    fn values(&self, name: &Name) -> Option<Vec<OsString>>;
}

/// A variable of the environment that a template names, without a default, and that is not set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("<{0}> has no value")]
pub struct Unset(pub String);

impl Unset {
    /// What is wrong, and what to do about it.
    #[must_use]
    pub fn with_remedy(&self) -> String {
        format!("{self}: set the variable, or give it a default with <env:NAME|default>")
    }
}

impl Template {
    /// Finds the names in `text`.
    ///
    /// # Errors
    /// A name that is not known in this context, a list inside other text, or a `<` that is not closed.
    pub fn parse(text: &str, context: Context, own: &Own) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('<') {
            literal.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('<') {
                literal.push('<');
                rest = after;
                continue;
            }
            // `a < b`, `<=` and `<(` are no names: only a letter begins one.
            if !rest.starts_with(|c: char| c.is_ascii_alphabetic()) {
                literal.push('<');
                continue;
            }
            let Some(end) = rest.find('>') else {
                return Err(TemplateError {
                    message: format!("`<{}` is not closed", shorten(rest)),
                    help: "write `<<` for a `<` that begins no name".into(),
                });
            };
            let name = name(&rest[..end], context, own)?;
            if !literal.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut literal)));
            }
            parts.push(Part::Name(name));
            rest = &rest[end + 1..];
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Self { parts })
    }

    /// A string without names.
    #[must_use]
    pub fn literal(text: &str) -> Self {
        Self {
            parts: vec![Part::Text(text.to_owned())],
        }
    }

    /// The names in it.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        self.parts.iter().filter_map(|part| match part {
            Part::Name(name) => Some(name),
            Part::Text(_) => None,
        })
    }

    /// Checks that lists stand alone, as the words of a command need it.
    ///
    /// # Errors
    /// A list inside other text.
    pub fn check_word(&self, own: &Own) -> Result<(), TemplateError> {
        if self.parts.len() > 1
            && let Some(list) = self.names().find(|name| is_list(name, own))
        {
            let name = written(list);
            return Err(TemplateError {
                message: format!(
                    "`<{name}>` stands for several arguments, so it can't be part of a word"
                ),
                help: format!("make \"<{name}>\" a word of its own"),
            });
        }
        Ok(())
    }

    /// The one string that it stands for.
    ///
    /// # Errors
    /// A variable that is not set.
    pub fn expand(&self, lookup: &dyn Lookup) -> Result<OsString, Unset> {
        let mut text = OsString::new();
        for part in &self.parts {
            match part {
                Part::Text(part) => text.push(part),
                Part::Name(name) => {
                    let values = lookup.values(name).ok_or_else(|| Unset(written(name)))?;
                    text.push(values.join(OsStr::new(" ")));
                }
            }
        }
        Ok(text)
    }

    /// The words that it stands for: as many as the list has where it is nothing but a list.
    ///
    /// # Errors
    /// A variable that is not set.
    pub fn expand_words(&self, lookup: &dyn Lookup) -> Result<Vec<OsString>, Unset> {
        match self.parts.as_slice() {
            [Part::Name(name)] => lookup.values(name).ok_or_else(|| Unset(written(name))),
            _ => Ok(vec![self.expand(lookup)?]),
        }
    }

    /// The line for `sh -c`. No value becomes part of it: `<items>` is `"$@"`, any other name a variable, returned with its
    /// value, so that nothing a file or a variable is called can be code.
    ///
    /// # Errors
    /// A variable that is not set.
    pub fn expand_shell(
        &self,
        lookup: &dyn Lookup,
    ) -> Result<(String, Vec<(String, OsString)>), Unset> {
        let mut line = String::new();
        let mut variables = Vec::new();
        for (index, part) in self.parts.iter().enumerate() {
            match part {
                Part::Text(text) => line.push_str(text),
                Part::Name(Name::Items | Name::Files) => {
                    let next = self.parts.get(index + 1);
                    let quoted = line.ends_with('"')
                        && matches!(next, Some(Part::Text(text)) if text.starts_with('"'));
                    line.push_str(if quoted { "$@" } else { "\"$@\"" });
                }
                Part::Name(name) => {
                    let values = lookup.values(name).ok_or_else(|| Unset(written(name)))?;
                    let variable = format!("ORCHESTRATE_ARG_{}", variables.len() + 1);
                    line.push_str(&format!("${{{variable}}}"));
                    variables.push((variable, values.join(OsStr::new(" "))));
                }
            }
        }
        Ok((line, variables))
    }
}

impl std::fmt::Display for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for part in &self.parts {
            match part {
                Part::Text(text) => f.write_str(&text.replace('<', "<<"))?,
                Part::Name(name) => write!(f, "<{}>", written(name))?,
            }
        }
        Ok(())
    }
}

fn is_list(name: &Name, own: &Own) -> bool {
    match name {
        Name::Items | Name::Files => !own.items_are_one,
        Name::Tests => !own.tests_are_one,
        Name::Program | Name::Arguments | Name::Select => true,
        Name::Own(name) => own.lists.contains(name),
        _ => false,
    }
}

fn name(word: &str, context: Context, own: &Own) -> Result<Name, TemplateError> {
    if let Some(variable) = word.strip_prefix("env:") {
        let (name, default) = match variable.split_once('|') {
            Some((name, default)) => (name, Some(default.to_owned())),
            None => (variable, None),
        };
        return Ok(Name::Env {
            name: name.to_owned(),
            default,
        });
    }
    let known = context.names();
    if let Some((_, name)) = known.iter().find(|(known, _)| *known == word) {
        return Ok(name.clone());
    }
    if own.single.contains(word) || own.lists.contains(word) {
        return Ok(Name::Own(word.to_owned()));
    }
    let mine = own.single.iter().chain(&own.lists).map(String::as_str);
    let names = known.iter().map(|(name, _)| *name).chain(mine);
    let help = if word == JOB_PID.0 {
        "a job has a process only once it runs: `on-timeout` may name it; <pid> is the worker's"
            .to_owned()
    } else {
        did_you_mean(word, names.clone()).unwrap_or_else(|| {
            let names: Vec<_> = names.map(|name| format!("<{name}>")).collect();
            format!(
                "known here: <env:NAME>, {}",
                listed(names.iter().map(String::as_str))
            )
        })
    };
    Err(TemplateError {
        message: format!("`<{}>` is not known here", shorten(word)),
        help: format!("{help} (write `<<` for a `<` that begins no name)"),
    })
}

fn written(name: &Name) -> String {
    match name {
        Name::Env {
            name,
            default: None,
        } => format!("env:{name}"),
        Name::Env {
            name,
            default: Some(default),
        } => format!("env:{name}|{default}"),
        Name::Own(name) => name.clone(),
        known => {
            let all = EVERYWHERE
                .iter()
                .chain(&OF_A_GROUP)
                .chain(&OF_A_JOB)
                .chain(&OF_A_CHUNK)
                .chain([&REPORT, &FILES, &WORKERS, &JOB_PID, &TESTS]);
            let mut all = all;
            all.find(|(_, name)| name == known)
                .map_or_else(String::new, |(word, _)| (*word).to_owned())
        }
    }
}

fn shorten(text: &str) -> String {
    text.chars().take(30).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Values;

    impl Lookup for Values {
        fn values(&self, name: &Name) -> Option<Vec<OsString>> {
            match name {
                Name::Pid => Some(vec!["42".into()]),
                Name::Items => Some(vec!["a b".into(), "$(c)".into()]),
                Name::Env { default, .. } => default.as_ref().map(|text| vec![text.into()]),
                Name::Own(_) => Some(vec!["<pid>".into()]),
                _ => Some(vec!["x".into()]),
            }
        }
    }

    fn parse(text: &str) -> Result<Template, TemplateError> {
        let own = Own {
            single: ["database".into()].into(),
            lists: ["args".into()].into(),
            ..Own::default()
        };
        Template::parse(text, Context::RunCommand, &own)
    }

    fn expanded(text: &str) -> OsString {
        parse(text).unwrap().expand(&Values).unwrap()
    }

    #[test]
    fn names_are_replaced_once() {
        assert_eq!(expanded("db_<pid>"), "db_42");
        assert_eq!(expanded("<database>"), "<pid>");
        assert_eq!(expanded("<env:HOME|/none>/x"), "/none/x");
    }

    #[test]
    fn a_less_than_sign_that_begins_no_name_is_itself() {
        assert_eq!(expanded("a < b <= c <<pid>"), "a < b <= c <pid>");
    }

    #[test]
    fn unknown_names_are_found_with_a_suggestion() {
        let error = parse("db_<pdi>").unwrap_err();
        assert!(error.help.contains("did you mean `pid`?"), "{error:?}");
        assert!(parse("cat <input").is_err());
    }

    #[test]
    fn an_unset_variable_without_a_default_is_an_error() {
        assert_eq!(
            parse("<env:NOPE>").unwrap().expand(&Values),
            Err(Unset("env:NOPE".into()))
        );
    }

    #[test]
    fn a_list_is_a_word_of_its_own() {
        let own = Own::default();
        assert!(parse("--x=<items>").unwrap().check_word(&own).is_err());
        assert_eq!(
            parse("<items>").unwrap().expand_words(&Values).unwrap(),
            ["a b", "$(c)"]
        );
    }

    #[test]
    fn no_value_becomes_shell_code() {
        let (line, variables) = parse("cat \"<items>\" <items> > \"<pid>\"")
            .unwrap()
            .expand_shell(&Values)
            .unwrap();
        assert_eq!(line, "cat \"$@\" \"$@\" > \"${ORCHESTRATE_ARG_1}\"");
        assert_eq!(variables, [("ORCHESTRATE_ARG_1".into(), "42".into())]);
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_prints_back(text in "[a-z<>:|_ \u{e9}]{0,40}") {
            if let Ok(template) = parse(&text) {
                prop_assert_eq!(parse(&template.to_string()).unwrap(), template);
            }
        }
    }
}
