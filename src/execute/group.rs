//! What a group's `before-all` has brought about, and its end.

use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use super::Shared;
use super::command::Place;
use super::hooks::{self, Failure, Subject};
use super::values::{JobValues, Variables};
use crate::manifest::config::Hook;
use crate::outcome::Outcome;
use crate::worker::client::Client;

/// The hooks of a group, which run in a worker of their own: what `before-all` leaves running is ended with that.
#[derive(Default)]
pub struct GroupHooks {
    state: Mutex<Progress>,
}

#[derive(Default)]
struct Progress {
    client: Option<Client>,
    before: Option<Result<Variables, Failure>>,
}

impl GroupHooks {
    /// Waits until `before-all` has run; whoever comes first runs it. Returns the variables that it has set.
    ///
    /// # Errors
    /// How it failed.
    pub fn ready(&self, shared: &Shared<'_>, group: usize) -> Result<Variables, Failure> {
        let mut progress = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(result) = &progress.before {
            return result.clone();
        }
        let hooks = &shared.plan.groups[group].config.hooks;
        let has_hooks = [Hook::BeforeAll, Hook::AfterAll]
            .iter()
            .any(|hook| !hooks.of(*hook).is_empty());
        if !has_hooks {
            progress.before = Some(Ok(Variables::new()));
            return Ok(Variables::new());
        }
        // A shortage is no failure of the hook: the next lane tries again.
        let client = progress.client.insert(start(shared, group)?);
        client.serves(group);
        let result = run(shared, group, client, Hook::BeforeAll, &Variables::new());
        progress.before = Some(result.clone());
        result
    }

    /// Runs `after-all`, if `before-all` has started, and ends what that left running.
    pub fn close(&self, shared: &Shared<'_>, group: usize) {
        let mut progress = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(mut client) = progress.client.take() else {
            return;
        };
        let variables = match &progress.before {
            Some(Ok(variables)) => variables.clone(),
            _ => Variables::new(),
        };
        // Its failure is told by its event, and by the exit code of the run.
        let mut result = run(shared, group, &mut client, Hook::AfterAll, &variables);
        let is_lost = matches!(&result, Err(failure) if failure.outcome == Outcome::Crashed);
        if is_lost && let Ok(mut client) = start(shared, group) {
            result = run(shared, group, &mut client, Hook::AfterAll, &variables);
        }
        if result.is_err() {
            shared.hook_failed(group);
        }
    }
}

fn start(shared: &Shared<'_>, group: usize) -> io::Result<Client> {
    let confinement = shared
        .discovery
        .confinement(&shared.plan.groups[group].config);
    Client::start(&shared.clients, &confinement.home())
}

fn run(
    shared: &Shared<'_>,
    group: usize,
    client: &mut Client,
    hook: Hook,
    variables: &Variables,
) -> Result<Variables, Failure> {
    let planned = &shared.plan.groups[group];
    let values = JobValues {
        discovery: shared.discovery,
        group: &planned.config,
        run: &shared.options.run,
        pid: client.pid,
        slot: 0,
        attempt: 1,
        repetition: 1,
        tmp: client.tmp.join("group"),
        report: PathBuf::new(),
        port: None,
        workers: 1,
        items: &[],
        launch: None,
        granted: None,
    };
    let place = Place {
        global_slot: 0,
        workers: planned.workers,
        run: shared.options.run.clone(),
        shard: shared.options.shard(),
        capture: true,
    };
    let subject = Subject {
        group: &planned.config,
        values: &values,
        place: &place,
        variables,
        of: None,
    };
    hooks::run(shared, client, hook, &subject)
}
