//! Memory that runs short while jobs run.
//!
//! Below what is to stay free nothing starts beside what runs. Below half of it the job that started last is stopped, and run
//! again later, alone: its try has not been. The same becomes of a job that ended badly while the kernel killed processes for
//! want of memory, since nobody knows which job took too much: alone, it will tell. Nothing is stopped that runs alone, so each
//! job is stopped once at the most, and what runs goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::job::Job;
use super::lane::Lane;
use super::{Shared, State};
use crate::event::Event;
use crate::machine::{Gauge, Memory};
use crate::manifest::model::{ResultFormat, Size};
use crate::worker::client::Client;
use crate::worker::frame::{Cause, Ended, Status};

/// How often it is looked how much is free, and how often where that is not much: a job may take a gigabyte a second.
const LOOK: Duration = Duration::from_millis(50);
const QUICK_LOOK: Duration = Duration::from_millis(10);
/// So many times what is to stay free is not much.
const NOT_MUCH: u64 = 4;

/// What is watched.
#[derive(Clone, Debug)]
pub struct Reserve {
    /// Where memory is read from.
    pub gauge: Gauge,
    /// What is to stay free, in bytes; 0 is nothing.
    pub least: u64,
}

/// What was seen of it.
#[derive(Debug)]
pub struct Seen {
    /// How many processes the kernel has killed for want of memory.
    kills: u64,
    /// When it was seen to have killed the last one.
    last_kill: Option<Instant>,
    /// Whether a person was told that nothing starts.
    told: bool,
    /// What the journal was told last: whether memory is short, and what jobs may take.
    noted: (bool, Option<u64>),
}

impl Seen {
    /// Nothing yet but what jobs may take: what was killed before is no business of this run.
    pub fn new(reserve: &Reserve, memory: Option<u64>) -> Self {
        Self {
            kills: reserve.gauge.kills(),
            last_kill: None,
            told: false,
            noted: (false, memory),
        }
    }

    fn note(&mut self, kills: u64) {
        if kills > self.kills {
            self.kills = kills;
            self.last_kill = Some(Instant::now());
        }
    }
}

/// Looks at memory until the run is over: until the other end of `over` is gone.
pub fn watch(shared: &Shared<'_>, over: &Receiver<()>) {
    let mut pause = LOOK;
    while over.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
        pause = look(shared);
    }
}

/// Looks how much is free, and does what follows from it. Returns when it should be looked again.
pub fn look(shared: &Shared<'_>) -> Duration {
    let Reserve { gauge, least } = &shared.options.reserve;
    let Some(memory) = gauge.read() else {
        return LOOK;
    };
    judge(shared, memory);
    if memory.free < least.saturating_mul(NOT_MUCH) {
        QUICK_LOOK
    } else {
        LOOK
    }
}

fn judge(shared: &Shared<'_>, memory: Memory) {
    let Reserve { gauge, least } = &shared.options.reserve;
    let kills = gauge.kills();
    let mut state = shared.state();
    state.memory.note(kills);
    let is_short = memory.free < *least;
    let was_short = state.scheduler.is_short_of_memory();
    let lacked = state.scheduler.lacks_memory();
    state.scheduler.short_of_memory(is_short);
    let has_more = !is_short && state.scheduler.may_take(memory.free - least);
    let now = (is_short, state.scheduler.memory());
    // What is free always changes a little, which matters to nobody unless somebody waits for it.
    if is_short != state.memory.noted.0 || lacked && now != state.memory.noted {
        state.memory.noted = now;
        let (short, memory) = now;
        shared.send(Event::MemoryChanged { short, memory });
    }
    if !is_short {
        if was_short || has_more {
            shared.wake(state);
        }
        return;
    }
    let stopped = if memory.free < least / 2 {
        stop_youngest(shared, &mut state)
    } else {
        None
    };
    let is_news = !state.memory.told && stopped.is_none() && state.scheduler.waiting() > 0;
    // Who hears that something is stopped knows that memory is short.
    state.memory.told |= is_news || stopped.is_some();
    drop(state);
    let told = format!(
        "{} of memory are free, and {} are to stay so (`min-free-memory`)",
        Size(memory.free),
        Size(*least)
    );
    if let Some(job) = stopped {
        warn(shared, &job, &format!("is stopped, since {told}"));
    } else if is_news {
        let message = format!("{told}: until then nothing starts beside what runs");
        shared.send(Event::Warning { message });
    }
}

/// Asks the job that started last to end, unless one has been asked and is not gone yet.
fn stop_youngest(shared: &Shared<'_>, state: &mut State) -> Option<Arc<Job>> {
    let is_asked = |job: &super::RunningJob| job.makes_room.load(Ordering::Relaxed);
    if state.running.values().any(is_asked) {
        return None;
    }
    // One that is being made ready, or has its last hook, is not to be interrupted.
    let slot = state.scheduler.youngest(|slot| {
        let mut running = state.running.values();
        running.any(|job| job.slot == slot && !shared.clients.must_end(job.pid))
    })?;
    let running = state.running.values().find(|job| job.slot == slot)?;
    // A warm job is stopped by its lane, which sees this.
    running.makes_room.store(true, Ordering::Relaxed);
    for pid in running.helper.into_iter().chain([running.pid]) {
        shared.clients.stop_one(pid);
    }
    Some(running.job.clone())
}

fn warn(shared: &Shared<'_>, job: &Job, why: &str) {
    let ids = job.ids(shared.plan);
    let more = match ids.len() {
        0 | 1 => String::new(),
        many => format!(" and {} more", many - 1),
    };
    let first = ids.first().map_or("", String::as_str);
    let message = format!("{first}{more} {why}; it is run again later, alone");
    shared.send(Event::Warning { message });
}

impl Lane<'_, '_> {
    /// Whether a job that has ended is to be run again as if it had not begun: it was stopped to make room, or ended badly for
    /// want of memory beside others. One that ran alone has ended so by itself, which is noted in `ended`.
    pub(super) fn gives_way(&self, job: &Job, ended: &mut Ended) -> bool {
        let shared = self.shared;
        match ended.cause {
            // A stop that is none of the run.
            Cause::Stop => !shared.clients.is_stopping_for(self.group),
            Cause::Itself if !self.is_starved(ended) => false,
            Cause::Itself | Cause::Starved => {
                ended.cause = Cause::Starved;
                let is_alone = job.alone || shared.plan.workers == 1 || job.settings.exclusive;
                if !is_alone {
                    warn(
                        shared,
                        job,
                        "ended as the kernel killed a process for want of memory",
                    );
                }
                !is_alone
            }
            _ => false,
        }
    }

    /// Whether it ended badly, and the kernel killed a process for want of memory meanwhile.
    fn is_starved(&self, ended: &Ended) -> bool {
        let runner = &self.config().runner;
        let is_bad = match ended.status {
            Status::Exit(0) => false,
            Status::Exit(code) => {
                let is_skipped = |code: u8| runner.skip_exit.contains(&code);
                runner.results != ResultFormat::Exit || !u8::try_from(code).is_ok_and(is_skipped)
            }
            Status::Signal(_) | Status::NotStarted(_) => true,
        };
        if !is_bad {
            return false;
        }
        let kills = self.shared.options.reserve.gauge.kills();
        let mut state = self.shared.state();
        state.memory.note(kills);
        let last = state.memory.last_kill;
        last.is_some_and(|last| self.begun.is_some_and(|begun| last >= begun))
    }

    /// Whether the job that this lane runs was asked to make room.
    pub(super) fn is_asked_to_go(&self) -> bool {
        self.makes_room.load(Ordering::Relaxed)
    }

    /// Nobody has asked the job that begins now.
    pub(super) fn asked_anew(&mut self) -> Arc<AtomicBool> {
        self.client.iter().for_each(Client::asked_anew);
        self.begun = Some(Instant::now());
        self.makes_room = Arc::default();
        self.makes_room.clone()
    }
}
