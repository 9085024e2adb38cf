//! What the jobs of a worker find in their environment.
//!
//! Most of it is the same for all of them, so it is made once, and for each job only the rest: with some dozen variables this
//! is most of what a short job would cost on this side.

use std::collections::HashSet;
use std::ffi::OsStr;

use super::command::{Place, of_job, of_shard, of_worker, set_by_run};
use super::granted;
use super::values::JobValues;
use crate::manifest::config::GroupConfig;
use crate::manifest::template::{Name, Template, Unset};
use crate::runner::{compat, list};
use crate::worker::frame::EnvBlock;

/// See the module.
pub struct Environment<'a> {
    /// The same for all of them.
    pub common: EnvBlock,
    /// What is another value for each job.
    varying: Vec<(String, &'a Template)>,
    /// The names of both.
    names: HashSet<String>,
}

impl<'a> Environment<'a> {
    /// That of a group's worker.
    ///
    /// # Errors
    /// A variable that a template names is not set.
    pub fn new(
        group: &'a GroupConfig,
        values: &JobValues<'_>,
        place: &Place,
    ) -> Result<Self, Unset> {
        let named = group.runner.env.iter().chain(&group.env);
        let named = named.map(|(name, value)| (name.clone(), value));
        let resources = group.resources.iter();
        let resources = resources.map(|(name, value)| (list::resource_variable(name), value));
        let all: Vec<_> = named.chain(resources).collect();
        let mut environment = Self {
            common: EnvBlock::default(),
            varying: Vec::new(),
            names: HashSet::new(),
        };
        for (name, value) in of_worker(group, values, place) {
            environment.names.insert(name.to_owned());
            environment.common.push(name.as_ref(), &value);
        }
        for (name, value) in of_shard(group, place).chain(set_by_run(group, place)) {
            environment.common.push(name.as_ref(), value.as_ref());
        }
        // From the last to the first: of two with the same name the later counts, whichever of them varies.
        for (name, value) in all.into_iter().rev() {
            if !environment.names.insert(name.clone()) {
                continue;
            }
            if varies(value, group) {
                environment.varying.push((name, value));
            } else {
                let value = value.expand(values)?;
                environment.common.push(OsStr::new(&name), &value);
            }
        }
        let secrets = &values.discovery.secrets;
        secrets.see(&group.bounds.secrets, environment.common.pairs());
        Ok(environment)
    }

    /// A job's own part of it.
    ///
    /// # Errors
    /// A variable that a template names is not set.
    pub fn of(
        &self,
        group: &GroupConfig,
        values: &JobValues<'_>,
        place: &Place,
    ) -> Result<EnvBlock, Unset> {
        let mut block = EnvBlock::default();
        // A listing's variables are the weakest.
        let launch = values.launch.into_iter().flat_map(|launch| &launch.env);
        for (name, value) in launch {
            if name.to_str().is_none_or(|name| !self.names.contains(name)) {
                block.push(name, value);
            }
        }
        for (name, value) in &self.varying {
            block.push(OsStr::new(name), &value.expand(values)?);
        }
        block.extend(granted::variables(values.granted.into_iter().flatten()));
        block.extend(of_job(values, place));
        block.extend(compat::variables(
            &group.compat,
            values.slot,
            place.workers,
            &place.run,
            &values.tmp,
        ));
        let secrets = &values.discovery.secrets;
        secrets.see(&group.bounds.secrets, block.pairs());
        Ok(block)
    }
}

/// Whether a template's value is another one for each job of a worker.
fn varies(template: &Template, group: &GroupConfig) -> bool {
    template.names().any(|name| match name {
        Name::Tmp
        | Name::Report
        | Name::Attempt
        | Name::Items
        | Name::Select
        | Name::Tests
        | Name::Program
        | Name::Arguments => true,
        Name::Own(own) if group.pools().any(|pool| pool == own) => true,
        Name::Own(own) => {
            let mut resources = group.resources.iter();
            let resource = resources.find(|(name, _)| name == own);
            resource.is_some_and(|(_, template)| varies(template, group))
        }
        Name::Pid
        | Name::Slot
        | Name::Group
        | Name::Run
        | Name::Root
        | Name::Dir
        | Name::Port
        | Name::Support
        | Name::Files
        | Name::JobPid
        | Name::Workers
        | Name::Env { .. } => false,
    })
}
