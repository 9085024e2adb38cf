//! What a run that was killed still owes: the `after-*` hooks of workers and groups whose `before-*` had started.

use std::collections::{BTreeMap, BTreeSet};

use super::Shared;
use super::command::Place;
use super::hooks::{self, Subject};
use super::values::{JobValues, Variables};
use crate::event::{Event, HookOwed};
use crate::manifest::config::{GroupConfig, Hook};
use crate::outcome::Outcome;
use crate::pending::SetByHook;
use crate::plan::shard::Shard;
use crate::worker::client::Client;

/// A hook that is still to run. A journal says which, and no more: its commands are the manifest's, and the values of its
/// variables were kept elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owed {
    /// Which: `after-worker` or `after-all`.
    pub hook: Hook,
    /// The run that owes it.
    pub run: String,
    /// The group.
    pub group: String,
    /// The process id of the worker that it is for, its slot and its port.
    pub worker: Option<(u32, usize, Option<u16>)>,
    /// Which shard the run was, if it was one.
    pub shard: Option<Shard>,
    /// The names of the variables that hooks had set.
    pub names: BTreeSet<String>,
    /// Those that are known still. No journal has them.
    pub variables: Variables,
}

impl Owed {
    /// Takes the values of its variables from what is kept of its run. Returns the names of those that are missing.
    pub fn recall(&mut self, kept: &[SetByHook]) -> Vec<String> {
        let pid = self.worker.map(|(pid, ..)| pid);
        let own = kept.iter().filter(|set| set.group == self.group);
        // What before-all has set, a worker has too.
        let own = own.filter(|set| set.pid.is_none() || set.pid == pid);
        let own = own.flat_map(|set| set.variables.iter().cloned());
        self.variables = own.collect();
        let has = |name: &&String| {
            let mut known = self.variables.iter();
            known.any(|(known, _)| known.to_string_lossy() == name.as_str())
        };
        self.names
            .iter()
            .filter(|name| !has(name))
            .cloned()
            .collect()
    }
}

impl From<HookOwed> for Owed {
    fn from(event: HookOwed) -> Self {
        Self {
            hook: event.hook,
            run: event.run,
            group: event.group,
            worker: event
                .pid
                .map(|pid| (pid, event.worker.unwrap_or(0), event.port)),
            shard: event.shard.and_then(|(number, of)| Shard::new(number, of)),
            names: event.variables,
            variables: Variables::new(),
        }
    }
}

impl From<Owed> for HookOwed {
    fn from(owed: Owed) -> Self {
        Self {
            hook: owed.hook,
            run: owed.run,
            group: owed.group,
            pid: owed.worker.map(|(pid, ..)| pid),
            worker: owed.worker.map(|(_, slot, _)| slot),
            port: owed.worker.and_then(|(.., port)| port),
            shard: owed.shard.map(|shard| (shard.number(), shard.of())),
            variables: owed.names,
        }
    }
}

/// What a run owes, by its journal.
#[must_use]
pub fn owed(run: &str, events: impl Iterator<Item = Event>) -> Vec<Owed> {
    type Key = (String, String, Option<u32>);
    let mut list: BTreeMap<Key, Owed> = BTreeMap::new();
    let key = |of: Option<&String>, group: &str, pid: Option<u32>| -> Key {
        let of = of.map_or(run, String::as_str);
        (of.to_owned(), group.to_owned(), pid)
    };
    let mut of_shard = None;
    let note = |list: &mut BTreeMap<Key, Owed>,
                group: &str,
                worker: Option<(u32, usize, Option<u16>)>,
                shard: Option<Shard>| {
        // What before-all has set, a worker has too.
        let names = list
            .get(&key(None, group, None))
            .map(|owed| owed.names.clone());
        let pid = worker.map(|(pid, ..)| pid);
        list.entry(key(None, group, pid)).or_insert_with(|| Owed {
            hook: if worker.is_some() {
                Hook::AfterWorker
            } else {
                Hook::AfterAll
            },
            run: run.to_owned(),
            group: group.to_owned(),
            worker,
            shard,
            names: names.unwrap_or_default(),
            variables: Variables::new(),
        });
    };
    for event in events {
        match event {
            Event::RunStarted {
                shard: Some(shard), ..
            } => {
                of_shard = Shard::new(shard.number, shard.of);
            }
            Event::HookOwed(of) => {
                list.insert((of.run.clone(), of.group.clone(), of.pid), of.into());
            }
            Event::HookStarted {
                hook: Hook::BeforeAll,
                group,
                ..
            } => note(&mut list, &group, None, of_shard),
            Event::HookStarted {
                hook: Hook::BeforeWorker,
                group,
                pid: Some(pid),
                worker: Some(slot),
                port,
                ..
            } => note(&mut list, &group, Some((pid, slot, port)), of_shard),
            // A group may have after-hooks only.
            Event::JobStarted {
                group, worker, pid, ..
            } => {
                note(&mut list, &group, None, of_shard);
                note(&mut list, &group, Some((pid, worker, None)), of_shard);
            }
            Event::HookFinished {
                hook: Hook::BeforeAll | Hook::BeforeWorker,
                group,
                pid,
                variables,
                ..
            } => {
                if let Some(owed) = list.get_mut(&key(None, &group, pid)) {
                    owed.names.extend(variables);
                }
            }
            // One whose worker was lost has not run to its end.
            Event::HookFinished {
                hook: Hook::AfterAll | Hook::AfterWorker,
                group,
                pid,
                of,
                outcome,
                ..
            } if outcome != Outcome::Crashed => {
                list.remove(&key(of.as_ref(), &group, pid));
            }
            _ => {}
        }
    }
    // Workers before their groups.
    let mut list: Vec<Owed> = list.into_values().collect();
    list.sort_by_key(|owed| owed.worker.is_none());
    list
}

/// Makes up for what is owed, one after the other. Each is on record as owed before the first runs, so that it stays owed if
/// this run is killed too.
pub fn make_up(shared: &Shared<'_>, list: &[(Owed, GroupConfig)]) {
    for (owed, _) in list {
        shared.send(Event::HookOwed(owed.clone().into()));
    }
    for (owed, group) in list {
        let mut client =
            match Client::start(&shared.clients, &shared.discovery.confinement(group).home()) {
                Ok(client) => client,
                Err(error) => {
                    shared.send(Event::Warning {
                        message: format!(
                            "{} of group {} is still owed: can't start a worker: {error}",
                            owed.hook.key(),
                            owed.group
                        ),
                    });
                    continue;
                }
            };
        let (pid, slot, port) = owed.worker.unwrap_or((client.pid, 0, None));
        let values = JobValues {
            discovery: shared.discovery,
            group,
            run: &owed.run,
            pid,
            slot,
            attempt: 1,
            repetition: 1,
            tmp: client.tmp.join("owed"),
            report: std::path::PathBuf::new(),
            port,
            workers: 1,
            items: &[],
            launch: None,
            granted: None,
        };
        let place = Place {
            global_slot: slot,
            workers: group.workers.unwrap_or(1),
            run: owed.run.clone(),
            shard: owed.shard,
            capture: true,
        };
        let subject = Subject {
            group,
            values: &values,
            place: &place,
            variables: &owed.variables,
            of: Some(&owed.run),
        };
        // Its failure is told by its event, and by the exit code of the run.
        let _ = hooks::run(shared, &mut client, owed.hook, &subject);
    }
    for (owed, _) in list {
        shared.options.pending.forget(&owed.run);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started(hook: Hook, pid: Option<u32>) -> Event {
        Event::HookStarted {
            hook,
            group: "g".into(),
            pid,
            worker: pid.map(|_| 0),
            port: None,
            of: None,
        }
    }

    fn finished(hook: Hook, pid: Option<u32>, of: Option<&str>, set: &[&str]) -> Event {
        Event::HookFinished {
            hook,
            group: "g".into(),
            pid,
            of: of.map(str::to_owned),
            outcome: Outcome::Passed,
            seconds: 0.0,
            message: None,
            output: None,
            variables: set.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    fn hooks(events: Vec<Event>) -> Vec<(Hook, Option<u32>, Vec<String>)> {
        let list = owed("run", events.into_iter());
        list.into_iter()
            .map(|owed| {
                let pid = owed.worker.map(|(pid, ..)| pid);
                (owed.hook, pid, owed.names.into_iter().collect())
            })
            .collect()
    }

    #[test]
    fn what_has_started_and_was_not_taken_back_is_owed() {
        let begun = vec![
            started(Hook::BeforeAll, None),
            finished(Hook::BeforeAll, None, None, &["A"]),
            started(Hook::BeforeWorker, Some(7)),
            started(Hook::BeforeWorker, Some(8)),
            finished(Hook::BeforeWorker, Some(8), None, &["B"]),
            started(Hook::AfterWorker, Some(7)),
        ];
        let worker = |pid, set: &[&str]| {
            let set = set.iter().map(|name| (*name).to_owned()).collect();
            (Hook::AfterWorker, Some(pid), set)
        };
        let all = (Hook::AfterAll, None, vec!["A".to_owned()]);
        assert_eq!(
            hooks(begun.clone()),
            [worker(7, &["A"]), worker(8, &["A", "B"]), all.clone()]
        );
        let mut over = begun;
        over.push(finished(Hook::AfterWorker, Some(8), None, &[]));
        assert_eq!(hooks(over.clone()), [worker(7, &["A"]), all]);
        over.push(finished(Hook::AfterWorker, Some(7), None, &[]));
        over.push(finished(Hook::AfterAll, None, None, &[]));
        assert_eq!(hooks(over), []);
    }

    #[test]
    fn what_a_killed_run_was_to_make_up_for_is_still_owed() {
        let other = owed(
            "other",
            vec![started(Hook::BeforeWorker, Some(7))].into_iter(),
        );
        let on_record = Event::HookOwed(other[0].clone().into());
        let list = owed("run", vec![on_record.clone()].into_iter());
        assert_eq!(list, other);
        let made_up = finished(Hook::AfterWorker, Some(7), Some("other"), &[]);
        assert_eq!(hooks(vec![on_record, made_up]), []);
    }

    #[test]
    fn what_a_shard_owes_is_told_which_that_was() {
        let began = serde_json::json!({
            "event": "run-started", "run": "run", "groups": [], "tests": 0, "workers": 1, "seed": 0,
            "shard": { "number": 2, "of": 3, "by": "hash", "history": "", "elsewhere": {} },
        });
        let began = serde_json::from_value(began).unwrap();
        let events = vec![began, started(Hook::BeforeWorker, Some(7))];
        let list = owed("run", events.into_iter());
        assert_eq!(list[0].shard, Shard::new(2, 3));
        let again = owed(
            "next",
            [Event::HookOwed(list[0].clone().into())].into_iter(),
        );
        assert_eq!(again, list);
    }

    #[test]
    fn a_cleanup_has_what_its_own_group_and_worker_had_set_and_says_what_is_missing() {
        let begun = vec![
            started(Hook::BeforeAll, None),
            finished(Hook::BeforeAll, None, None, &["A", "GONE"]),
            started(Hook::BeforeWorker, Some(7)),
            finished(Hook::BeforeWorker, Some(7), None, &["B"]),
        ];
        let set = |group: &str, pid: Option<u32>, name: &str| SetByHook {
            group: group.into(),
            pid,
            variables: vec![(name.into(), "1".into())],
        };
        let kept = [
            set("g", None, "A"),
            set("g", Some(7), "B"),
            set("g", Some(8), "OTHER"),
            set("h", None, "OTHER"),
        ];
        let mut list = owed("run", begun.into_iter());
        assert_eq!(list[0].recall(&kept), ["GONE"]);
        let has: Vec<_> = list[0].variables.iter().map(|(name, _)| name).collect();
        assert_eq!(has, ["A", "B"]);
    }
}
