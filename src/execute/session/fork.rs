//! A lane's fork, and where it comes from. Where a host does not fork, it is the lane's own, and stands for its fork.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use serde_json::{Map, Value, json};

use super::watch::LOOK;
use crate::event::TestFinished;
use crate::execute::command::{Place, environment, of_shard, own_variables, set_by_run};
use crate::execute::lane::{Lane, names_port};
use crate::execute::values::{JobValues, Variables};
use crate::manifest::config::{Hook, Session as Mode};
use crate::manifest::model::Isolation;
use crate::manifest::template::Unset;
use crate::plan::GroupPlan;
use crate::runner::session::{
    Connection, HOST, Heard, LONGEST, OUTPUT, Session, SessionLookup, Start, Told, request,
    request_of_group,
};
use crate::runner::{list, parts};
use crate::worker::{capture, program};

/// A fork that runs this lane's tests.
pub struct Sitting {
    pub(super) session: Arc<Session>,
    pub(super) connection: Connection,
    /// Its process id.
    pub(super) pid: u32,
    /// The slot among all jobs that it began in, which its environment names.
    pub(super) global_slot: usize,
    /// Who gathers what it leaves.
    pub(super) guard: Option<u32>,
    /// Whether it is the host itself, which ends with it.
    pub(super) is_host: bool,
    /// What it writes outside of its tests; all that it writes where it is the host.
    pub(super) output: File,
    /// How much of that was there before the test that runs.
    pub(super) written: u64,
    pub(super) tmp: PathBuf,
    /// The result of its last test, while an error of what is still set up may change it.
    pub(super) held: Option<TestFinished>,
    /// Of tests that have left processes running: their ids, and the processes.
    pub(super) left: HashMap<String, Vec<u32>>,
    /// The results of those tests: they have leaked if the processes outlive the fork.
    pub(super) suspects: Vec<TestFinished>,
    /// Whether a test of it has begun.
    pub(super) has_begun: bool,
    /// Whether one has failed.
    pub(super) has_failed: bool,
}

impl Sitting {
    /// Whether the result of this test is held.
    pub(super) fn holds(&self, id: &str) -> bool {
        self.held.as_ref().is_some_and(|held| held.id == id)
    }
}

/// Why there is no fork.
pub(super) enum NoSitting {
    /// There may be one in a moment.
    Shortage(String),
    /// There will be none.
    Broken(String),
    /// The run is being stopped.
    Stopped,
}

impl Lane<'_, '_> {
    /// A fork of this lane's own.
    pub(super) fn sit(&mut self, global_slot: usize) -> Result<Sitting, NoSitting> {
        let shared = self.shared;
        let group = self.config();
        let (session, all, mut turn) = match group.session {
            Mode::Worker(_) => {
                let own = self.own_session.get_or_insert_default();
                (Session::with_host(own), 1, None)
            }
            _ => {
                let turn = shared.forking[self.group].lock();
                let turn = turn.unwrap_or_else(PoisonError::into_inner);
                let session = shared.discovery.session_with_host(&group.name);
                (session, shared.plan.groups[self.group].workers, Some(turn))
            }
        };
        let place = self.place(global_slot);
        let prepare = |tmp: &Path| self.prepare(tmp, &place);
        let connection = session.connect(&shared.clients, &self.home_of_session(), &prepare);
        let mut connection = connection.map_err(|why| self.broken(why))?;
        let number = self.sittings;
        self.sittings += 1;
        let folder = session
            .with_client(|client| client.tmp.clone())
            .ok_or_else(|| NoSitting::Broken("its session is gone".to_owned()))?;
        let is_host = !group.runner.session_forks;
        let (tmp, output) = if is_host {
            (folder.join(HOST), folder.join(OUTPUT))
        } else {
            let name = |what: &str| folder.join(format!("{what}-{}-{number}", self.slot));
            (name("tmp"), name("output"))
        };
        let cant = |error: io::Error| {
            NoSitting::Broken(format!("can't prepare a worker of its session: {error}"))
        };
        let file = if is_host {
            // It is added to as well.
            File::options().read(true).append(true).open(&output)
        } else {
            let mut builder = fs::DirBuilder::new();
            let made = builder.mode(0o700).create(&tmp);
            made.and_then(|()| capture::create(&output))
        };
        let file = file.map_err(cant)?;
        let pid = self.client.as_ref().map_or(0, |client| client.pid);
        let values = self.values(pid, tmp.clone());
        let mut env = Map::new();
        for (name, value) in own_variables(group, &values, &place) {
            // A light lane has no other process than the fork, which says itself who it is.
            if name != "ORCHESTRATE_PID" || pid != 0 {
                let text = |text: OsString| text.to_string_lossy().into_owned();
                env.insert(text(name), Value::String(text(value)));
            }
        }
        // What the host has of these names from `before-all` counts, as it does in a job.
        let is_set = |name: &str| self.variables.iter().any(|(set, _)| set == name);
        let variables = of_shard(group, &place).chain(set_by_run(group, &place));
        for (name, value) in variables.filter(|(name, _)| !is_set(name)) {
            env.insert(name.to_owned(), Value::String(value));
        }
        let is_for_life = group.isolation == Isolation::Worker;
        let is_last = is_for_life && session.forks_last(all);
        let guard = is_for_life.then(guard).flatten();
        let guard = guard.as_ref();
        let order = json!({ "work": {
            "key": connection.key(),
            "output": output.to_string_lossy(),
            "tmp": tmp.to_string_lossy(),
            "env": env,
            // It costs a millisecond to start, which is too much for a fork a test.
            "guard": guard.map(|(program, _)| program),
            "root": guard.map(|(_, root)| root),
            "last": is_last,
        } });
        let sent = connection.send(&order);
        // The host takes one order after the other, so that this one is carried out before any last one, in which it may leave.
        turn = turn.filter(|_| is_last);
        let heard = sent.and_then(|()| self.hear_first(&mut connection, &session));
        if let Ok(Heard::Told(Told::Ready { left: true, .. })) = heard {
            session.leave();
        }
        drop(turn);
        let _ = fs::remove_file(&output);
        let host = session.with_client(|client| client.host);
        match heard {
            Ok(Heard::Told(Told::Ready { pid, guard, .. })) if is_host || pid.is_some() => {
                Ok(Sitting {
                    global_slot,
                    guard: if is_host { host } else { guard },
                    pid: pid.filter(|_| !is_host).or(host).unwrap_or_default(),
                    is_host,
                    session,
                    connection,
                    output: file,
                    written: 0,
                    tmp,
                    held: None,
                    left: HashMap::new(),
                    suspects: Vec::new(),
                    has_begun: false,
                    has_failed: false,
                })
            }
            Ok(Heard::Told(Told::Refused { message })) => Err(NoSitting::Shortage(message)),
            _ if self.is_stopping() => Err(NoSitting::Stopped),
            other => {
                let how = match other {
                    Ok(Heard::Nothing) => "does not answer".to_owned(),
                    Err(error) => format!("is gone: {error}"),
                    _ => "ended before it began".to_owned(),
                };
                let said = file_text(file);
                let why = session.last_words(&format!("a worker of its session {how}"));
                Err(NoSitting::Broken(format!("{why}\n{said}")))
            }
        }
    }

    /// Whether what runs of this group is being ended.
    pub(super) fn is_stopping(&self) -> bool {
        self.shared.clients.is_stopping_for(self.group)
    }

    fn broken(&self, why: String) -> NoSitting {
        if self.is_stopping() {
            NoSitting::Stopped
        } else {
            NoSitting::Broken(why)
        }
    }

    /// Waits for a fork's first word. Its host may have everything to load before, unless the run is stopped meanwhile.
    fn hear_first(&self, connection: &mut Connection, session: &Session) -> io::Result<Heard> {
        let until = Instant::now() + LONGEST;
        loop {
            let now = Instant::now();
            let heard = connection.next(now + LOOK)?;
            if heard != Heard::Nothing || now >= until || self.is_stopping() {
                return Ok(heard);
            }
            if !self.config().runner.session_forks && session.has_ended() {
                return Ok(Heard::End);
            }
        }
    }

    /// How the host of this lane's session is started.
    fn prepare(&self, tmp: &Path, place: &Place) -> Result<Start, String> {
        let shared = self.shared;
        let group = self.config();
        let files = files(&shared.plan.groups[self.group]);
        if !matches!(group.session, Mode::Worker(_)) {
            return request_of_group(shared.discovery, group, &files, tmp, &self.variables);
        }
        let pid = self.client.as_ref().map_or(0, |client| client.pid);
        let values = self.values(pid, tmp.to_owned());
        let unset = |unset: Unset| unset.with_remedy();
        let mut env: Variables = Vec::new();
        for (name, template) in &group.runner.env {
            env.push((name.into(), template.expand(&values).map_err(unset)?));
        }
        env.extend(environment(group, &values, place, |_| true).map_err(unset)?);
        env.extend(self.variables.iter().cloned());
        env.extend(parts::variable(shared.discovery, group));
        shared.discovery.see(group, &env);
        let lookup = SessionLookup {
            inner: &values,
            files: &files,
            tmp,
        };
        request(group, &lookup, &shared.discovery.root, env)
    }

    pub(super) fn values(&self, pid: u32, tmp: PathBuf) -> JobValues<'_> {
        JobValues {
            discovery: self.shared.discovery,
            group: self.config(),
            run: &self.shared.options.run,
            pid,
            slot: self.slot,
            attempt: 1,
            repetition: 1,
            tmp,
            report: PathBuf::new(),
            port: self.port.as_ref().map(|port| port.number),
            workers: 1,
            items: &[],
            launch: None,
            granted: None,
        }
    }

    pub(super) fn place(&self, global_slot: usize) -> Place {
        Place {
            global_slot,
            workers: self.shared.plan.groups[self.group].workers,
            run: self.shared.options.run.clone(),
            shard: self.shared.options.shard(),
            capture: true,
        }
    }

    /// Whether this lane needs no process besides its fork.
    pub(in crate::execute) fn is_light(&self) -> bool {
        let group = self.config();
        matches!(group.session, Mode::Shared(_))
            && group.hooks.of(Hook::AfterWorker).is_empty()
            && !names_port(group)
    }
}

/// The files of a group's tests, each once, as arguments: relative to the group's folder.
pub fn files(plan: &GroupPlan) -> Vec<OsString> {
    let in_folder = |file: &PathBuf| plan.config.in_folder(file).unwrap_or(file).to_owned();
    let files = plan.items().filter_map(|item| item.file.as_ref());
    let mut files: Vec<PathBuf> = files.map(in_folder).collect();
    files.sort();
    files.dedup();
    list::as_arguments(&files)
}

/// The program that can be a guard, and which folder is its root: it can't be started below another one.
fn guard() -> Option<(String, [u64; 2])> {
    let program = program::for_others().filter(|_| cfg!(target_os = "linux"))?;
    let root = fs::metadata("/").ok()?;
    Some((program.to_str()?.to_owned(), [root.dev(), root.ino()]))
}

fn file_text(mut file: File) -> String {
    let _ = file.seek(SeekFrom::Start(0));
    let output = capture::read(file, 64 << 10).unwrap_or_default();
    output.into_text()
}
