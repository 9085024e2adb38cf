//! A group's hooks, and what looks at a test whose time is over.

use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexSet;

use super::Resolver;
use super::group::Names;
use super::layers::Layers;
use crate::manifest::config::{CommandTemplate, Hook, Hooks, Origin};
use crate::manifest::model::{Command, CommandOrNone, Group};
use crate::manifest::source::join;
use crate::manifest::template::{Context, Own};

const TIMEOUT: Duration = Duration::from_secs(120);

type Get = for<'a> fn(&'a Group) -> Option<&'a Vec<Command>>;

const KEYS: [(Hook, Get); 6] = [
    (Hook::BeforeAll, |group| group.before_all.as_ref()),
    (Hook::BeforeWorker, |group| group.before_worker.as_ref()),
    (Hook::BeforeJob, |group| group.before_job.as_ref()),
    (Hook::AfterJob, |group| group.after_job.as_ref()),
    (Hook::AfterWorker, |group| group.after_worker.as_ref()),
    (Hook::AfterAll, |group| group.after_all.as_ref()),
];

impl Resolver<'_> {
    pub(super) fn hooks(&mut self, name: &str, layers: &mut Layers<'_>, names: &Names) -> Hooks {
        let none = || ("[]".to_owned(), Origin::BuiltIn);
        let mut hooks = Hooks::default();
        for (hook, get) in KEYS {
            let pointer = layers.pointer(hook.key(), get);
            let commands = layers.take(hook.key(), get, none());
            let (context, single) = match hook {
                Hook::BeforeAll | Hook::AfterAll => (Context::GroupHook, IndexSet::new()),
                Hook::BeforeWorker | Hook::AfterWorker => (Context::Value, names.of_worker.clone()),
                Hook::BeforeJob | Hook::AfterJob => (Context::Value, names.all()),
            };
            let own = Own {
                single,
                ..Own::default()
            };
            let pointer = pointer.unwrap_or_default();
            if let Some(commands) = commands {
                self.warnings.extend(one_command(name, hook, commands));
            }
            let parsed: Vec<CommandTemplate> = commands
                .into_iter()
                .flatten()
                .enumerate()
                .filter_map(|(index, command)| {
                    let place = join(&pointer, &index.to_string());
                    self.command(command, context, &own, Some(&place))
                })
                .collect();
            *hooks.of_mut(hook) = parsed;
        }
        let fallback = ("\"2m\"".to_owned(), Origin::BuiltIn);
        let timeout = layers.take("hook-timeout", |group| group.hook_timeout, fallback);
        hooks.timeout = match timeout {
            None => Some(TIMEOUT),
            Some(span) => Some(span.0).filter(|span| !span.is_zero()),
        };
        hooks
    }

    /// What is run when a test's time is over, with all that a job's command may name but its items and its report.
    pub(super) fn on_timeout(
        &mut self,
        command: &CommandOrNone,
        names: &Names,
        pointer: &str,
    ) -> Option<Arc<CommandTemplate>> {
        let own = Own {
            single: names.all(),
            ..Own::default()
        };
        let parsed = self.command(command.0.as_ref()?, Context::OnTimeout, &own, Some(pointer));
        parsed.map(Arc::new)
    }
}

/// Says so where the words of one command are read as several: a hook is a list of commands, and no command begins with a dash.
fn one_command(group: &str, hook: Hook, commands: &[Command]) -> Option<String> {
    let lines = commands.iter().map(|command| match command {
        Command::Shell(line) => Some(line.as_str()),
        Command::Words(_) => None,
    });
    let lines: Vec<&str> = lines.collect::<Option<_>>()?;
    let is_option = |line: &&str| line.starts_with('-');
    lines.iter().skip(1).find(|line| is_option(line))?;
    let words = lines.iter().map(|line| format!("{line:?}"));
    let words = words.collect::<Vec<_>>().join(", ");
    let (key, number) = (hook.key(), lines.len());
    Some(format!(
        "group {group}: {key} = [{words}] is {number} commands of a shell; one command is {key} = [[{words}]]"
    ))
}
