//! The values of templates in a job.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::granted::Granted;
use crate::manifest::config::GroupConfig;
use crate::manifest::model::ItemEscape;
use crate::manifest::template::{Lookup, Name};
use crate::plan::{Item, Launch};
use crate::runner::Discovery;

/// Variables that hooks have set, later ones stronger.
pub type Variables = Vec<(OsString, OsString)>;

/// What templates of a job may name.
pub struct JobValues<'a> {
    /// What is the same for the whole group.
    pub discovery: &'a Discovery,
    /// The group.
    pub group: &'a GroupConfig,
    /// The run's id: another's where what it owed is made up for.
    pub run: &'a str,
    /// The worker's process id.
    pub pid: u32,
    /// The worker's slot.
    pub slot: usize,
    /// Which try this is.
    pub attempt: u32,
    /// Which repetition of the run.
    pub repetition: u32,
    /// The job's temporary folder.
    pub tmp: PathBuf,
    /// Where results are written to.
    pub report: PathBuf,
    /// The worker's port.
    pub port: Option<u16>,
    /// How many workers the job stands for.
    pub workers: usize,
    /// The items.
    pub items: &'a [Item],
    /// How they are started.
    pub launch: Option<&'a Launch>,
    /// What the job has of pools; none where no job runs.
    pub granted: Option<&'a Granted>,
}

impl Lookup for JobValues<'_> {
    fn values(&self, name: &Name) -> Option<Vec<OsString>> {
        let one = |value: OsString| Some(vec![value]);
        match name {
            Name::Run => one(self.run.into()),
            Name::Pid => one(self.pid.to_string().into()),
            Name::Slot => one(self.slot.to_string().into()),
            Name::Attempt => one(self.attempt.to_string().into()),
            Name::Tmp => one(self.tmp.clone().into()),
            Name::Workers => one(self.workers.to_string().into()),
            Name::Report => one(self.report.clone().into()),
            Name::Port => one(self.port?.to_string().into()),
            Name::Program => Some(self.launch?.program.clone()),
            Name::Arguments => Some(
                self.launch
                    .map(|launch| launch.arguments.clone())
                    .unwrap_or_default(),
            ),
            Name::Select => self.selecting(),
            Name::Tests => Some(self.selected()),
            Name::Items if self.launch.is_some_and(|launch| launch.whole) => Some(Vec::new()),
            Name::Items => Some(self.items_of_chunk()),
            Name::Own(own) => {
                let mut granted = self.granted.into_iter().flatten();
                if let Some((_, names)) = granted.find(|(pool, _)| pool == own) {
                    return one(names.clone());
                }
                let resource = self.group.resources.iter().find(|(name, _)| name == own);
                match resource {
                    Some((_, template)) => one(template.expand(self).ok()?),
                    None => self.discovery.group_value(self.group, name),
                }
            }
            other => self.discovery.group_value(self.group, other),
        }
    }
}

impl JobValues<'_> {
    /// The words that have only the selected tests of the chunk run, if each of its items has some.
    fn selecting(&self) -> Option<Vec<OsString>> {
        // Where one process has whole files as well, all of it runs, and what was not selected is left out of the results.
        let all_select = self.items.iter().all(|item| !item.inside.is_empty());
        let Some(select) = self.group.runner.select.as_ref().filter(|_| all_select) else {
            return Some(Vec::new());
        };
        let words: Result<Vec<_>, _> = select
            .words
            .iter()
            .map(|word| word.expand_words(self))
            .collect();
        Some(words.ok()?.concat())
    }

    /// The names of the selected tests: one word each, or all in one.
    fn selected(&self) -> Vec<OsString> {
        let select = self.group.runner.select.as_ref();
        let escape = select.and_then(|select| select.escape);
        let names = self.items.iter().flat_map(|item| &item.inside);
        let words = names.map(|name| match escape {
            Some(ItemEscape::Regex) => regex_of(OsStr::new(name)),
            None => name.into(),
        });
        let words: Vec<OsString> = words.collect();
        match select.and_then(|select| select.separator.as_ref()) {
            Some(separator) => vec![words.join(OsStr::new(separator))],
            None => words,
        }
    }

    /// The chunk's items as the runner takes them: one word each, or all in one.
    pub fn items_of_chunk(&self) -> Vec<OsString> {
        let runner = &self.group.runner;
        let words = self.items.iter().map(|item| match runner.item_escape {
            Some(ItemEscape::Regex) => regex_of(&item.argument),
            None if runner.item_separator.is_some() => item.argument.clone(),
            None => self.argument(item),
        });
        match &runner.item_separator {
            Some(separator) => vec![words.collect::<Vec<_>>().join(OsStr::new(separator))],
            None => words.collect(),
        }
    }

    /// An item as an argument: a file's name that begins with a dash must not be taken for an option.
    fn argument(&self, item: &Item) -> OsString {
        let is_option = item.argument.as_bytes().first() == Some(&b'-');
        let folder = || self.group.folder(&self.discovery.root);
        if is_option && folder().join(&item.argument).exists() {
            return Path::new(".").join(&item.argument).into();
        }
        item.argument.clone()
    }
}

/// A regular expression that matches this text and no other, in whatever dialect: only what is special in all of them has a
/// backslash before it, since before another it may mean something.
fn regex_of(text: &OsStr) -> OsString {
    let mut escaped = Vec::with_capacity(text.len());
    for byte in text.as_bytes() {
        if br"\.+*?()|[]{}^$".contains(byte) {
            escaped.push(b'\\');
        }
        escaped.push(*byte);
    }
    OsString::from_vec(escaped)
}
