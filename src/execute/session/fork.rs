//! A lane's fork: where it comes from, how it ends, and what it leaves. Where a host does not fork, it is the lane's own, and
//! stands for its fork.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::watch::{Ending, LOOK, Watch};
use crate::event::{Event, TestFinished};
use crate::execute::Shared;
use crate::execute::attempt;
use crate::execute::command::{Place, environment, of_shard, own_variables};
use crate::execute::lane::Lane;
use crate::execute::values::{JobValues, Variables};
use crate::manifest::config::{GroupConfig, Hook, Session as Mode};
use crate::manifest::model::Isolation;
use crate::manifest::template::Unset;
use crate::outcome::Outcome;
use crate::plan::Item;
use crate::runner::read::{self, Verdict};
use crate::runner::session::{
    Connection, HOST, Heard, LONGEST, OUTPUT, Session, SessionLookup, Start, Told, request,
    request_of_group,
};
use crate::worker::capture;
use crate::worker::frame::{Cause, Ended, KeepTmp, Status};

/// How long a host may take to end: it may have a report to write.
const LAST_WORDS: Duration = Duration::from_secs(120);

/// A fork that runs this lane's tests.
pub struct Sitting {
    pub(super) session: Arc<Session>,
    pub(super) connection: Connection,
    /// Its process id.
    pub(super) pid: u32,
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
    /// Whether a test of it has begun.
    pub(super) has_begun: bool,
    /// Whether one has failed.
    pub(super) has_failed: bool,
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
        let session = match group.session {
            Mode::Worker(_) => self.own_session.get_or_insert_default().clone(),
            _ => shared.discovery.session(&group.name),
        };
        let place = self.place(global_slot);
        let prepare = |tmp: &Path| self.prepare(tmp, &place);
        let connection = session.connect(&shared.clients, &prepare);
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
            File::open(&output)
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
        for (name, value) in of_shard(group, &place).filter(|(name, _)| !is_set(name)) {
            env.insert(name.to_owned(), Value::String(value));
        }
        let order = json!({ "work": {
            "output": output.to_string_lossy(),
            "tmp": tmp.to_string_lossy(),
            "env": env,
        } });
        let sent = connection.send(&order);
        let heard = sent.and_then(|()| self.hear_first(&mut connection, &session));
        let _ = fs::remove_file(&output);
        let host = session.with_client(|client| client.host);
        match heard {
            Ok(Heard::Told(Told::Ready { pid, guard })) if is_host || pid.is_some() => {
                Ok(Sitting {
                    guard: if is_host { host } else { guard },
                    pid: pid.filter(|_| !is_host).or(host).unwrap_or_default(),
                    is_host,
                    session,
                    connection,
                    output: file,
                    written: 0,
                    tmp,
                    held: None,
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
    fn is_stopping(&self) -> bool {
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
        let files = files(shared.plan.groups[self.group].items());
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
        let lookup = SessionLookup {
            inner: &values,
            files: &files,
            tmp,
        };
        request(group, &lookup, &shared.discovery.root, env)
    }

    fn values(&self, pid: u32, tmp: PathBuf) -> JobValues<'_> {
        JobValues {
            discovery: self.shared.discovery,
            group: self.config(),
            run: &self.shared.options.run,
            pid,
            slot: self.slot,
            attempt: 1,
            tmp,
            report: PathBuf::new(),
            port: self.port.as_ref().map(|port| port.number),
            items: &[],
            launch: None,
            granted: None,
        }
    }

    fn place(&self, global_slot: usize) -> Place {
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
        matches!(group.session, Mode::Shared(_)) && group.hooks.of(Hook::AfterWorker).is_empty()
    }

    /// Whether each test has a fork of its own: then nobody knows what it leaves behind until that has ended.
    pub(super) fn ends_with_test(&self) -> bool {
        self.config().isolation == Isolation::Test
    }

    /// Ends a fork that must not go on.
    pub(super) fn oversee(
        &self,
        sitting: &Sitting,
        watch: &Watch<'_>,
        grace: Duration,
        ending: &mut Ending,
    ) {
        let now = Instant::now();
        if ending.cause.is_none() && ending.status.is_none() {
            let written = sitting.output.metadata().map_or(0, |meta| meta.len());
            ending.cause = if self.is_stopping() {
                Some(Cause::Stop)
            } else if watch.is_over(now) {
                Some(Cause::Timeout)
            } else if written > self.config().bounds.output_max {
                Some(Cause::Output)
            } else {
                None
            };
            if ending.cause.is_some() {
                sitting.signal(false);
                ending.kill_at = Some(now + grace);
            }
        }
        if ending.kill_at.is_some_and(|at| now >= at) {
            sitting.signal(true);
            ending.kill_at = None;
        }
    }

    /// Lets the lane's fork end. Returns how many tests have failed by what it tore down.
    pub(super) fn rise(&self, mut sitting: Sitting) -> usize {
        let mut failed = 0;
        sitting.connection.finish();
        let timeout = self.config().tests.timeout;
        let watch = Watch::new(self.shared, timeout, false);
        let mut ending = Ending::default();
        let grace = self.config().tests.grace;
        loop {
            self.oversee(&sitting, &watch, grace, &mut ending);
            let until = ending.wake(watch.next(Instant::now()));
            match sitting.connection.next(until) {
                Ok(Heard::Told(Told::Finished {
                    id,
                    outcome,
                    message,
                    output,
                    ..
                })) => {
                    let verdict = Verdict {
                        output: Some(output.unwrap_or_default()),
                        ..Verdict::new(outcome, message)
                    };
                    failed += self.release(&mut sitting, Some((&id, verdict)));
                }
                Ok(Heard::Told(Told::Ended { exit, signal })) => ending.has_ended(exit, signal),
                // Nobody else will tell of its end, and what it leaves may keep its pipe open.
                Ok(Heard::Told(Told::Over)) if sitting.is_host => {
                    ending.is_over = ending.cause.is_none();
                    break;
                }
                Ok(Heard::Nothing) if sitting.has_ended() => break,
                Ok(Heard::Told(_) | Heard::Nothing) => {}
                Ok(Heard::End) | Err(_) => break,
            }
        }
        let ended = self.settle(&mut sitting, ending);
        if let Some(how) = badly(&ended) {
            match &mut sitting.held {
                Some(held) if !held.outcome.is_failure() => {
                    failed += 1;
                    let passed = held.outcome.word();
                    held.message = Some(format!("{passed}, but then its process {how}"));
                    held.outcome = read::ending(&ended, timeout).outcome;
                    held.output = Some(ended.output.into_text());
                }
                _ => self.warn(&format!("its process {how} after its last test")),
            }
        } else if ended.leaked > 0 {
            let leaks = attempt::leaks(ended.leaked);
            match &mut sitting.held {
                // It had the fork for itself, so what is left is its own.
                Some(held) if self.ends_with_test() && held.outcome == Outcome::Passed => {
                    held.outcome = Outcome::Leaked;
                    held.message = Some(leaks);
                }
                _ => self.warn(&format!("its tests {leaks}")),
            }
        }
        failed + self.release(&mut sitting, None)
    }

    /// The fork is gone: what it has left is ended, and what it had is removed.
    pub(super) fn settle(&self, sitting: &mut Sitting, ending: Ending) -> Ended {
        let mut ended = Ended::not_started(String::new());
        ended.cause = ending.cause.unwrap_or(Cause::Itself);
        let keep = match self.config().bounds.keep_tmp {
            KeepTmp::Never => false,
            KeepTmp::Failed => {
                let ended_well = ending.is_over || ending.status == Some(Status::Exit(0));
                sitting.has_failed || !ended_well
            }
            KeepTmp::Always => true,
        };
        let settled = sitting
            .session
            .with_client(|client| client.settle(sitting.guard, &sitting.tmp, keep));
        if let Some(Ok((left, kept, trouble))) = settled {
            ended.leaked = if ended.cause == Cause::Itself {
                left
            } else {
                0
            };
            if let Some(kept) = kept {
                self.warn(&format!("its temporary folder is kept: {}", kept.display()));
            }
            ended.trouble = trouble;
        }
        let status = match ending.status {
            None if sitting.is_host => self.end_host(sitting, &mut ended),
            status => status,
        };
        ended.status = status.unwrap_or_else(|| {
            Status::NotStarted("its process went away with its session".to_owned())
        });
        if let Ok(output) = sitting.output.try_clone() {
            let limit = self.config().bounds.output_limit;
            let output = capture::read_from(output, sitting.written, limit);
            ended.output = output.unwrap_or_default();
        }
        ended
    }

    /// Waits for the end of a host that is a worker itself, and tells how it did.
    fn end_host(&self, sitting: &Sitting, ended: &mut Ended) -> Option<Status> {
        let patience = patience(self.shared, self.config());
        let host = sitting.session.dismiss(patience)?.ok()?;
        if ended.cause == Cause::Itself {
            ended.cause = host.cause;
        }
        Some(host.status)
    }

    pub(super) fn warn(&self, what: &str) {
        let group = &self.config().name;
        let message = format!("group {group}, worker {}: {what}", self.slot);
        self.shared.send(Event::Warning { message });
    }

    /// The lane has no more tests: its fork ends, and its own session.
    pub(in crate::execute) fn close_session(&mut self) {
        if let Some(sitting) = self.sitting.take() {
            let failed = self.rise(sitting);
            if failed > 0 {
                let mut state = self.shared.state();
                state.failures += failed;
                state.scheduler.fail(self.group);
            }
        }
        if let Some(session) = self.own_session.take() {
            finish(self.shared, self.config(), &session);
        }
    }
}

/// Lets a session's host end, and tells if it did so badly.
pub fn finish(shared: &Shared<'_>, group: &GroupConfig, session: &Session) {
    let Some(ended) = session.finish(patience(shared, group)) else {
        return;
    };
    let Some(how) = badly(&ended).filter(|_| !shared.clients.is_stopping()) else {
        return;
    };
    // What a plugin finds wrong with the whole, such as too little coverage, is nobody's test, and must not be lost.
    let id = group.name.to_string();
    // Where each worker has a host, the first that says so speaks for all.
    if !shared.state().found.insert(id.clone()) {
        return;
    }
    shared.send(Event::TestsFound {
        group: id.clone(),
        of: None,
        tests: vec![id.clone()],
    });
    let output = ended.output.into_text();
    shared.send(Event::TestFinished(TestFinished {
        message: Some(format!("all tests are over, but their session {how}")),
        output: Some(output).filter(|text| !text.is_empty()),
        ..TestFinished::new(id.clone(), &id, Outcome::Failed)
    }));
    shared.state().failures += 1;
}

/// How long a host may take to end.
fn patience(shared: &Shared<'_>, group: &GroupConfig) -> Duration {
    if shared.clients.is_stopping() {
        group.tests.grace
    } else {
        LAST_WORDS
    }
}

impl Sitting {
    /// Whether it is a host that has ended, though its connection may not tell.
    pub(super) fn has_ended(&self) -> bool {
        self.is_host && self.session.has_ended()
    }

    fn signal(&self, kill: bool) {
        self.session
            .with_client(|client| client.signal(self.pid, kill));
    }
}

/// How a process ended that should have ended by itself and well.
fn badly(ended: &Ended) -> Option<String> {
    match (&ended.status, ended.cause) {
        (_, Cause::Timeout) => Some("did not end in time".to_owned()),
        (_, Cause::Stop) | (Status::Exit(0), _) => None,
        (Status::Exit(code), _) => Some(format!("exited with code {code}")),
        (Status::Signal(signal), _) => {
            Some(format!("was killed by {}", read::signal_name(*signal)))
        }
        (Status::NotStarted(why), _) => Some(format!("was lost: {why}")),
    }
}

/// The files of a group's tests, each once.
fn files<'a>(items: impl Iterator<Item = &'a Item>) -> Vec<OsString> {
    let mut files: Vec<OsString> = items
        .filter_map(|item| item.file.as_ref())
        .map(Into::into)
        .collect();
    files.sort();
    files.dedup();
    files
}

fn file_text(mut file: File) -> String {
    let _ = file.seek(SeekFrom::Start(0));
    let output = capture::read(file, 64 << 10).unwrap_or_default();
    output.into_text()
}
