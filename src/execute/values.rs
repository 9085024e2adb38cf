//! The values of templates in a job.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::manifest::config::GroupConfig;
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
    /// The job's temporary folder.
    pub tmp: PathBuf,
    /// Where results are written to.
    pub report: PathBuf,
    /// The worker's port.
    pub port: Option<u16>,
    /// The items.
    pub items: &'a [Item],
    /// How they are started.
    pub launch: Option<&'a Launch>,
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
            Name::Report => one(self.report.clone().into()),
            Name::Port => one(self.port?.to_string().into()),
            Name::Program => Some(self.launch?.program.clone()),
            Name::Items if self.launch.is_some_and(|launch| launch.whole) => Some(Vec::new()),
            Name::Items => Some(self.items.iter().map(|item| self.argument(item)).collect()),
            Name::Own(own) => {
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
    /// An item as an argument: a file's name that begins with a dash must not be taken for an option.
    fn argument(&self, item: &Item) -> OsString {
        let is_option = item.argument.as_bytes().first() == Some(&b'-');
        if is_option && self.discovery.root.join(&item.argument).exists() {
            return Path::new(".").join(&item.argument).into();
        }
        item.argument.clone()
    }
}
