//! A look at a fork whose test takes too long, by a command that the group names, before the fork is ended.
//!
//! The command runs in a worker of its own, so that nobody else of the session waits for it and nothing of it is left. This lane
//! waits; whoever stops what the lane runs stops the command. What it prints joins what the fork has written.

use std::io;
use std::sync::Arc;

use super::fork::Sitting;
use super::watch::Watch;
use crate::execute::environment::Environment;
use crate::execute::lane::Lane;
use crate::execute::on_timeout;
use crate::execute::values::JobValues;
use crate::manifest::template::Unset;
use crate::runner::session::Session;
use crate::worker::capture;
use crate::worker::client::Client;
use crate::worker::frame::{Ended, JobRequest, OnTimeout};

impl Lane<'_, '_> {
    /// Runs the command, if there is one, until it has ended.
    pub(super) fn look_into(&self, sitting: &Sitting, watch: &Watch<'_>) {
        let Some(template) = watch.settings.on_timeout.as_deref() else {
            return;
        };
        let pid = self.client.as_ref().map_or(sitting.pid, |own| own.pid);
        let values = JobValues {
            attempt: watch.attempt,
            ..self.values(pid, sitting.tmp.clone())
        };
        let command = on_timeout::command(template, &values);
        let said = match (&command.broken, self.as_job(sitting, &values)) {
            (Some(why), _) => capture::add(&sitting.output, &OnTimeout::failure(why)),
            (None, Ok(job)) => self.ask(sitting, &command, &job),
            (None, Err(unset)) => {
                let why = format!("can't run: {}", unset.with_remedy());
                capture::add(&sitting.output, &OnTimeout::failure(&why))
            }
        };
        if let Err(error) = said {
            self.warn(&format!("what `on-timeout` said is lost: {error}"));
        }
    }

    /// What the fork would be as a job of its own: its folder and its environment.
    fn as_job(&self, sitting: &Sitting, values: &JobValues<'_>) -> Result<JobRequest, Unset> {
        let group = self.config();
        let place = self.place(sitting.global_slot);
        let environment = Environment::new(group, values, &place)?;
        let mut env = environment.of(group, values, &place)?;
        env.extend(self.variables.iter().cloned());
        Ok(JobRequest {
            folder: group.folder(&values.discovery.root).into(),
            env,
            common: environment.common,
            env_only: group.bounds.env_only.clone(),
            ..JobRequest::default()
        })
    }

    /// Runs the command, and adds to the fork's output what it prints.
    fn ask(&self, sitting: &Sitting, command: &OnTimeout, job: &JobRequest) -> io::Result<()> {
        capture::add(&sitting.output, &command.title(sitting.pid))?;
        let request = command.request(job, sitting.pid);
        let limit = request.timeout;
        let why = match self.run_beside(&sitting.session, request) {
            Ok(mut ended) => {
                let output = {
                    let secrets = &self.shared.discovery.secrets;
                    secrets.text(std::mem::take(&mut ended.output))
                };
                capture::add(&sitting.output, &output)?;
                ended.why_failed(limit)
            }
            Err(error) => Some(format!("can't run: {error}")),
        };
        match why {
            Some(why) => capture::add(&sitting.output, &OnTimeout::failure(&why)),
            None => Ok(()),
        }
    }

    /// Runs a request in a worker of its own.
    fn run_beside(&self, session: &Session, request: JobRequest) -> io::Result<Ended> {
        // Where the fork lives, its process id means it.
        let home = session.with_client(|client| client.home());
        let mut client = Client::start(&self.shared.clients, &home.unwrap_or_default())?;
        client.serves(self.group);
        self.helped_by(Some(client.pid));
        let bounds = &self.config().bounds;
        let ended = client.run(JobRequest {
            tmp: client.tmp.join("look").into(),
            capture: true,
            output_limit: bounds.output_limit,
            output_max: bounds.output_max,
            ..request
        });
        self.helped_by(None);
        ended
    }

    /// Notes who is to be ended too where the job of this lane is.
    fn helped_by(&self, helper: Option<u32>) {
        let mut state = self.shared.state();
        let mut running = state.running.values_mut();
        if let Some(own) = running.find(|job| Arc::ptr_eq(&job.makes_room, &self.makes_room)) {
            own.helper = helper;
        }
    }
}
