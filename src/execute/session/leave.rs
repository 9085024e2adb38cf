//! How a lane's fork ends, and what it leaves.

use std::time::{Duration, Instant};

use super::fork::Sitting;
use super::watch::{Ending, Watch};
use crate::event::Event;
use crate::execute::Shared;
use crate::execute::attempt;
use crate::execute::lane::Lane;
use crate::execute::whole;
use crate::manifest::model::{Isolation, StopSignal};
use crate::outcome::Outcome;
use crate::runner::read::{self, Verdict};
use crate::runner::session::{Heard, Session, Told};
use crate::worker::capture;
use crate::worker::frame::{Cause, Ended, KeepTmp, Status};

/// How long a host may take to end: it may have a report to write.
const LAST_WORDS: Duration = Duration::from_secs(120);

impl Lane<'_, '_> {
    /// Whether each test has a fork of its own: then nobody knows what it leaves behind until that has ended.
    pub(super) fn ends_with_test(&self) -> bool {
        self.config().isolation == Isolation::Test
    }

    /// Ends a fork that must not go on.
    pub(super) fn oversee(&self, sitting: &mut Sitting, watch: &Watch<'_>, ending: &mut Ending) {
        let now = Instant::now();
        if ending.cause.is_none() && ending.status.is_none() {
            let written = sitting.output.metadata().map_or(0, |meta| meta.len());
            ending.cause = if self.is_stopping() || self.is_asked_to_go() {
                Some(Cause::Stop)
            } else if watch.is_over(now) {
                Some(Cause::Timeout)
            } else if written > self.config().bounds.output_max {
                Some(Cause::Output)
            } else {
                None
            };
            if ending.cause == Some(Cause::Timeout) {
                self.look_into(sitting, watch);
            }
            if ending.cause.is_some() {
                sitting.signal(Some(watch.settings.stop_signal));
                // A test may survive the signal. The fork ends after it: nobody wants the others of it any more.
                sitting.connection.finish();
                ending.kill_at = Some(Instant::now() + watch.settings.grace);
            }
        }
        if ending.kill_at.is_some_and(|at| now >= at) {
            sitting.signal(None);
            ending.kill_at = None;
        }
    }

    /// Lets the lane's fork end. Returns how many tests have failed by what it tore down.
    pub(super) fn rise(&self, mut sitting: Sitting) -> usize {
        let mut failed = 0;
        sitting.connection.finish();
        let settings = &self.config().tests;
        let watch = Watch::new(self.shared, (settings, 1), false);
        let mut ending = Ending::default();
        loop {
            self.oversee(&mut sitting, &watch, &mut ending);
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
                Ok(Heard::Told(_) | Heard::Unreadable(_) | Heard::Nothing) => {}
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
                    held.outcome = read::ending(&ended, settings.timeout).outcome;
                    held.output = Some({
                        let secrets = &self.shared.discovery.secrets;
                        read::without_frames(secrets.text(ended.output))
                    });
                }
                _ => self.warn(&format!("its process {how} after its last test")),
            }
        } else if ended.leaked > named(&sitting) {
            let leaks = attempt::leaks(ended.leaked - named(&sitting));
            match &mut sitting.held {
                // It had the fork for itself, so what is left is its own.
                Some(held) if self.ends_with_test() && held.outcome == Outcome::Passed => {
                    held.outcome = Outcome::Leaked;
                    held.message = Some(leaks);
                }
                _ => self.warn(&format!("its tests {leaks}")),
            }
        }
        failed += self.release(&mut sitting, None);
        self.name_leaks(&mut sitting);
        failed
    }

    /// The fork is gone: sends the results of tests that may have leaked.
    pub(super) fn name_leaks(&self, sitting: &mut Sitting) {
        for mut finished in std::mem::take(&mut sitting.suspects) {
            let left = sitting.left.get(&finished.id).map_or(0, Vec::len);
            if left > 0 {
                finished.outcome = Outcome::Leaked;
                let left = u32::try_from(left).unwrap_or(u32::MAX);
                finished.message = Some(attempt::leaks(left));
            }
            self.shared.send(Event::TestFinished(finished));
        }
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
        let suspects: Vec<u32> = sitting.left.values().flatten().copied().collect();
        let settled = sitting
            .session
            .with_client(|client| client.settle(sitting.guard, &sitting.tmp, keep, suspects));
        if let Some(Ok(settled)) = settled {
            let is_left =
                |pid: &u32| ended.cause == Cause::Itself && settled.outlived.contains(pid);
            sitting
                .left
                .values_mut()
                .for_each(|left| left.retain(is_left));
            ended.leaked = if ended.cause == Cause::Itself {
                settled.left
            } else {
                0
            };
            if let Some(kept) = settled.kept {
                let kept = kept.to_string_lossy();
                self.warn(&format!("its temporary folder is kept: {kept}"));
            }
            ended.trouble = settled.trouble;
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
        let patience = patience(self.shared, self.group);
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
            finish(self.shared, self.group, &session);
        }
    }
}

/// Lets a session's host end, and tells if it did so badly.
pub fn finish(shared: &Shared<'_>, group: usize, session: &Session) {
    let Some(ended) = session.finish(patience(shared, group)) else {
        return;
    };
    let Some(how) = badly(&ended).filter(|_| !shared.clients.is_stopping_for(group)) else {
        return;
    };
    let why = format!("all tests are over, but their session {how}");
    let output = shared.discovery.secrets.text(ended.output);
    whole::failed(shared, group, why, output);
}

/// How long a host may take to end.
fn patience(shared: &Shared<'_>, group: usize) -> Duration {
    if shared.clients.is_stopping_for(group) {
        shared.plan.groups[group].config.tests.grace
    } else {
        LAST_WORDS
    }
}

impl Sitting {
    /// Whether it is a host that has ended, though its connection may not tell.
    pub(super) fn has_ended(&self) -> bool {
        self.is_host && self.session.has_ended()
    }

    fn signal(&self, with: Option<StopSignal>) {
        self.session
            .with_client(|client| client.signal(self.pid, with));
    }
}

/// How many of the processes that a fork has left make a test `leaked`.
fn named(sitting: &Sitting) -> u32 {
    let held = sitting.held.iter();
    let passed = held.filter(|held| held.outcome == Outcome::Passed);
    let tests = sitting.suspects.iter().chain(passed);
    let left = tests.filter_map(|test| sitting.left.get(&test.id));
    u32::try_from(left.map(Vec::len).sum::<usize>()).unwrap_or(u32::MAX)
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
