//! The clock of a fork's test, and how the fork ends.

use std::time::{Duration, Instant};

use crate::execute::Shared;
use crate::manifest::config::TestSettings;
use crate::worker::client::Clients;
use crate::worker::frame::{Cause, Status};

/// How often it is looked whether the run is being stopped.
pub const LOOK: Duration = Duration::from_millis(50);
/// What a fork may take, beyond a test's timeout, until its first test begins.
const START_UP: Duration = Duration::from_secs(60);

/// A fork is being ended, or has ended by itself.
#[derive(Default)]
pub struct Ending {
    pub(super) cause: Option<Cause>,
    pub(super) kill_at: Option<Instant>,
    pub(super) status: Option<Status>,
    /// Whether a host has said that it is about to end, which then nobody else can say.
    pub(super) is_over: bool,
}

impl Ending {
    pub(super) fn has_ended(&mut self, exit: Option<i32>, signal: Option<i32>) {
        self.status = signal.map(Status::Signal).or(exit.map(Status::Exit));
    }

    pub(super) fn wake(&self, at: Instant) -> Instant {
        self.kill_at.map_or(at, |kill| kill.min(at))
    }
}

/// The clock of the test that runs; it stands while the run is held.
pub struct Watch<'a> {
    clients: &'a Clients,
    since: Instant,
    held: Duration,
    limit: Option<Duration>,
    /// The test's settings.
    pub(super) settings: &'a TestSettings,
    /// Which try it is.
    pub(super) attempt: u32,
}

impl<'a> Watch<'a> {
    pub(super) fn new(
        shared: &'a Shared<'_>,
        (settings, attempt): (&'a TestSettings, u32),
        has_begun: bool,
    ) -> Self {
        let more = if has_begun { Duration::ZERO } else { START_UP };
        Self {
            clients: &shared.clients,
            since: Instant::now(),
            held: shared.clients.held(),
            limit: settings.timeout.map(|timeout| timeout + more),
            settings,
            attempt,
        }
    }

    /// Something has happened, so the clock begins anew.
    pub(super) fn begin(&mut self, shared: &Shared<'_>) {
        self.since = Instant::now();
        self.held = shared.clients.held();
        self.limit = self.settings.timeout;
    }

    pub(super) fn is_over(&self, now: Instant) -> bool {
        let held = self.clients.held().saturating_sub(self.held);
        let ran = now
            .saturating_duration_since(self.since)
            .saturating_sub(held);
        self.limit.is_some_and(|limit| ran >= limit)
    }

    /// When it is to be looked at next.
    pub(super) fn next(&self, now: Instant) -> Instant {
        let look = now + LOOK;
        self.limit.map_or(look, |limit| {
            look.min((self.since + limit).max(now + Duration::from_millis(1)))
        })
    }
}
