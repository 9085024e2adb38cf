//! Whether a group's tests run in warm processes, and in whose.
//!
//! A session's host is started before its workers are known, so what differs between them must not be seen while it loads:
//! code may read the environment as it is imported. And its forks are no children of a worker, so what a worker does for a job
//! alone can't be done for them.

use super::Resolver;
use super::layers::Layers;
use crate::manifest::config::{ASKED_FOR, Bounds, Hook, Hooks, Origin, Session};
use crate::manifest::model::{Compat, Isolation, SessionMode};
use crate::manifest::problem::Problem;
use crate::manifest::template::{Name, Template};
use crate::worker::frame::{Level, Network};

/// What decides.
pub(super) struct Facts<'a> {
    pub has_session: bool,
    pub forks: bool,
    pub runner: &'a str,
    pub env: &'a [(String, Template)],
    pub resources: &'a [(String, Template)],
    pub uses_pools: bool,
    pub compat: &'a [Compat],
    pub hooks: &'a Hooks,
    pub bounds: &'a Bounds,
}

impl Resolver<'_> {
    pub(super) fn session(
        &mut self,
        layers: &mut Layers<'_>,
        facts: &Facts<'_>,
    ) -> (Session, Isolation) {
        let built_in = |value: &str| (value.to_owned(), Origin::BuiltIn);
        let mode_at = layers.pointer("session", |group| group.session);
        let isolation_at = layers.pointer("isolation", |group| group.isolation);
        if !facts.has_session {
            for (key, pointer) in [("session", mode_at), ("isolation", isolation_at)] {
                // A default may be meant for the groups with another runner.
                let own = pointer.filter(|pointer| !pointer.ends_with(&format!("defaults/{key}")));
                if let Some(pointer) = own {
                    let message = format!("the runner `{}` has no session", facts.runner);
                    self.problems.push(
                        Problem::key(pointer, message)
                            .label("would do nothing")
                            .help("its jobs are processes of their own; take it out".to_owned()),
                    );
                }
            }
            return (Session::None, Isolation::Worker);
        }
        let mode = layers.take("session", |group| group.session, built_in("\"auto\""));
        let isolation = layers.take("isolation", |group| group.isolation, built_in("\"worker\""));
        let isolation = isolation.unwrap_or_default();
        let cold = why_cold(facts);
        let own = why_own(facts);
        let session = match (mode.unwrap_or_default(), cold, own) {
            (SessionMode::Cold, ..) => Session::Cold(ASKED_FOR.to_owned()),
            (SessionMode::Auto, Some(why), _) => Session::Cold(why),
            (SessionMode::Auto, None, Some(why)) => Session::Worker(why),
            (SessionMode::Auto, None, None) => {
                Session::Shared("nothing differs between its workers".to_owned())
            }
            (SessionMode::Worker, None, _) => Session::Worker(ASKED_FOR.to_owned()),
            (SessionMode::Shared, None, None) => Session::Shared(ASKED_FOR.to_owned()),
            (asked, cold, own) => {
                let why = cold.or(own).unwrap_or_default();
                let other = if asked == SessionMode::Shared {
                    "shared"
                } else {
                    "worker"
                };
                self.problems.push(
                    Problem::value(
                        mode_at.unwrap_or_default(),
                        format!("the session can't be `{other}`: {why}"),
                    )
                    .label("can't be had here")
                    .help("write `session = \"auto\"`, or take it out".to_owned()),
                );
                Session::Cold(why)
            }
        };
        (session, isolation)
    }
}

/// Why a process of its own is needed for each job.
fn why_cold(facts: &Facts<'_>) -> Option<String> {
    let values = || facts.env.iter().chain(facts.resources);
    let hook = [Hook::BeforeJob, Hook::AfterJob]
        .into_iter()
        .find(|hook| !facts.hooks.of(*hook).is_empty());
    if let Some(hook) = hook {
        return Some(format!("`{}` runs around each job", hook.key()));
    }
    if let Some((name, _)) = values().find(|(_, value)| value.names().any(|n| *n == Name::Attempt))
    {
        return Some(format!(
            "`{name}` names <attempt>, which differs between jobs"
        ));
    }
    if facts.uses_pools {
        // Code may keep what it read of the environment, and the next job of the process has other names.
        return Some("`uses` gives each job names of its own".to_owned());
    }
    if facts.bounds.limits.memory.is_some() {
        return Some("`memory` is counted by the job".to_owned());
    }
    if facts.bounds.limits.cpu_seconds.is_some() {
        return Some("`cpu-time` is counted by the process".to_owned());
    }
    (facts.bounds.level == Level::Cgroup)
        .then(|| "a control group holds each job by itself".to_owned())
}

/// Why each worker needs a host of its own.
fn why_own(facts: &Facts<'_>) -> Option<String> {
    if !facts.forks {
        return Some(format!("the host of `{}` does not fork", facts.runner));
    }
    if facts.bounds.level.has_namespace() {
        return Some("`isolation-level` keeps its workers apart".to_owned());
    }
    if facts.bounds.network != Network::Host {
        return Some("`network` gives each worker one of its own".to_owned());
    }
    let differs = |name: &Name| {
        matches!(
            name,
            Name::Pid | Name::Slot | Name::Port | Name::Tmp | Name::Own(_)
        )
    };
    let mut values = facts.env.iter().chain(facts.resources);
    if let Some((name, _)) = values.find(|(_, value)| value.names().any(differs)) {
        return Some(format!("`{name}` differs between its workers"));
    }
    if !facts.compat.is_empty() {
        return Some("variables of `compat` differ between its workers".to_owned());
    }
    (!facts.hooks.of(Hook::BeforeWorker).is_empty())
        .then(|| "`before-worker` may set variables for its worker".to_owned())
}
