//! Pools of names, and how many of which a group's jobs use.

use indexmap::{IndexMap, IndexSet};

use super::Resolver;
use super::layers::{self, Layers};
use super::runner::Chosen;
use crate::manifest::config::{Pools, Provenance};
use crate::manifest::model::{Count, Override};
use crate::manifest::problem::Problem;
use crate::manifest::source::join;
use crate::manifest::template::{Context, Own, Template};
use crate::runner::list::resource_variable;
use crate::schedule::Pool;
use crate::suggest::did_you_mean;

/// What stands between the names that a job gets of one pool.
pub const SEPARATOR: char = ',';

/// What is wrong with the name of a resource or a pool: both are names in templates and in variables.
pub(super) fn wrong_name(name: &str) -> Option<&'static str> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(fits) {
        return Some(
            "a resource's name is lower case: it becomes `<name>` and ORCHESTRATE_RESOURCE_NAME",
        );
    }
    let is_taken =
        |context| Template::parse(&format!("<{name}>"), context, &Own::default()).is_ok();
    [Context::RunCommand, Context::OnTimeout]
        .into_iter()
        .any(is_taken)
        .then_some("the name already stands for something else in templates")
}

/// What is wrong with a pool's names, and which of them it is.
fn wrong_member(members: &[String]) -> Option<(usize, &'static str, &'static str)> {
    let mut seen = IndexSet::new();
    members.iter().enumerate().find_map(|(index, member)| {
        let is_odd = |c: char| c == SEPARATOR || c.is_control();
        if member.is_empty() || member.contains(is_odd) {
            let why = "a name in a pool is not empty, and has no comma and no control character";
            return Some((
                index,
                why,
                "a job that uses several has them with commas between",
            ));
        }
        let why = "a name stands twice in its pool, so two jobs would have it at once";
        (!seen.insert(member)).then_some((index, why, "write it once"))
    })
}

impl Resolver<'_> {
    /// The pools that jobs of all groups share.
    pub(super) fn pools(&mut self) -> Pools {
        let document = self.document;
        let mut pools = Pools::default();
        let mut variables: IndexMap<String, &str> = IndexMap::new();
        for (name, members) in document.manifest.resources.iter().flatten() {
            if self.is_hopeless() {
                break;
            }
            let pointer = join("/resources", name);
            let variable = resource_variable(name);
            let problem = if let Some(why) = wrong_name(name) {
                let message = format!("`{name}` can't be a name in `resources`");
                Some(
                    Problem::key(pointer, message)
                        .label("name")
                        .help(why.to_owned()),
                )
            } else if let Some(other) = variables.insert(variable.clone(), name) {
                let message = format!("`{name}` and `{other}` would both be {variable}");
                Some(Problem::key(pointer, message).label("rename one of the two"))
            } else if members.is_empty() {
                let message = format!("the pool `{name}` has no names, so no job could use it");
                Some(Problem::value(pointer, message).label("empty"))
            } else {
                wrong_member(members).map(|(index, why, help)| {
                    Problem::value(join(&pointer, &index.to_string()), why)
                        .label("name")
                        .help(help.to_owned())
                })
            };
            self.problems.extend(problem);
            pools.list.push(Pool {
                name: name.clone(),
                members: members.clone(),
            });
            let (value, origin) = layers::written(document, "resources", "/resources", name);
            pools.provenance.push(Provenance {
                key: name.clone().into(),
                value,
                origin,
            });
        }
        pools
    }

    /// The pools that a group's templates may name: those that some test of it uses.
    pub(super) fn pools_of(
        &mut self,
        chosen: &Chosen,
        layers: &Layers<'_>,
        resources: &IndexSet<String>,
    ) -> IndexSet<String> {
        let mut used = IndexSet::new();
        let wrong = |name: &str, pointer: &str| {
            let what = if chosen
                .table
                .settings
                .as_ref()
                .is_some_and(|known| known.contains_key(name))
            {
                format!("a setting of the runner `{}`", chosen.name)
            } else {
                let variable = resource_variable(name);
                let mut resources = resources.iter();
                let other = resources.find(|other| resource_variable(other) == variable)?;
                format!("the group's own resource `{other}`")
            };
            let message = format!("`{name}` is a pool, and also {what}");
            let problem = Problem::key(join(pointer, name), message);
            Some(
                problem
                    .label("would stand for both")
                    .help("rename one of the two".to_owned()),
            )
        };
        let own = layers.find(|group| group.uses.as_ref());
        let own = own.map(|(uses, layer)| (uses, layer.at("uses")));
        let overrides = layers.list.iter().flat_map(|layer| {
            let entries = layer.group.overrides.iter().flatten().enumerate();
            entries.filter_map(|(index, entry)| {
                let pointer = join(&layer.at("overrides"), &index.to_string());
                Some((entry.uses.as_ref()?, join(&pointer, "uses")))
            })
        });
        for (uses, pointer) in own.into_iter().chain(overrides) {
            for name in uses.keys() {
                match wrong(name, &pointer) {
                    Some(problem) => self.problems.push(problem),
                    None => {
                        used.insert(name.clone());
                    }
                }
            }
        }
        used
    }

    /// What to do about a template that names a pool where it is not known.
    pub(super) fn about_pools(&self, message: &str) -> Option<String> {
        let mut pools = self.document.manifest.resources.iter().flatten();
        let (name, _) = pools.find(|(name, _)| message.contains(&format!("<{name}>")))?;
        Some(format!(
            "{name} is a pool of [resources]: a group with `uses = {{ {name} = 1 }}` may name it where jobs are, in commands, `env`, \
             `before-job`, `after-job` and `on-timeout`"
        ))
    }

    /// What `uses` asks for, sorted by pool.
    pub(super) fn uses(
        &mut self,
        uses: Option<&IndexMap<String, Count>>,
        pointer: &str,
    ) -> Vec<(String, usize)> {
        let document = self.document;
        let pools = document.manifest.resources.as_ref();
        let mut list = Vec::new();
        for (name, number) in uses.into_iter().flatten() {
            if self.is_hopeless() {
                break;
            }
            let place = join(pointer, name);
            let number = number.0 as usize;
            match pools.and_then(|pools| pools.get(name)) {
                Some(members) if number <= members.len() => list.push((name.clone(), number)),
                Some(members) => {
                    let has = match members.len() {
                        1 => "1 name".to_owned(),
                        many => format!("{many} names"),
                    };
                    let message =
                        format!("the pool `{name}` has {has}, so no job can have {number}");
                    self.problems.push(
                        Problem::value(place, message)
                            .label("more than there are")
                            .help(format!(
                                "ask for fewer, or add names to `{name}` in [resources]"
                            )),
                    );
                }
                None => {
                    let names = pools.into_iter().flatten().map(|(name, _)| name.as_str());
                    let near = did_you_mean(name, names);
                    let help = near.unwrap_or_else(|| {
                        format!("add it to [resources], for example `{name} = [\"0\", \"1\"]`")
                    });
                    self.problems.push(
                        Problem::key(place, format!("there is no pool `{name}` in [resources]"))
                            .label("unknown pool")
                            .help(help),
                    );
                }
            }
        }
        list.sort_unstable();
        list
    }

    /// The same of an override; none where it leaves the group's as it is.
    pub(super) fn uses_of_override(
        &mut self,
        entry: &Override,
        pointer: &str,
    ) -> Option<Vec<(String, usize)>> {
        let uses = entry.uses.as_ref()?;
        Some(self.uses(Some(uses), &join(pointer, "uses")))
    }
}
