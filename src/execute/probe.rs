//! Whether a job can be run at all, and at which level of isolation.

use std::time::Duration;

use crate::worker::client::{Client, Clients};
use crate::worker::frame::{Confinement, Ended, JobRequest, Level, Network, Status};
use crate::worker::temporary_folders;

/// Runs a program that does nothing, confined so.
///
/// # Errors
/// Why that does not work here.
pub fn probe(level: Level, network: Network) -> Result<Ended, String> {
    let confinement = Confinement {
        level,
        network,
        private: temporary_folders(),
        ..Confinement::default()
    };
    let clients = Clients::new(None);
    let mut client =
        Client::start(&clients, &confinement.home()).map_err(|error| error.to_string())?;
    let request = JobRequest {
        words: vec!["true".into()],
        folder: "/".into(),
        tmp: client.tmp.join("probe").into(),
        timeout: Some(Duration::from_secs(10)),
        capture: true,
        output_limit: 4096,
        output_max: 1 << 20,
        level,
        ..JobRequest::default()
    };
    let ended = client.run(request).map_err(|error| error.to_string())?;
    match &ended.status {
        Status::Exit(0) => Ok(ended),
        Status::Exit(code) => Err(format!("`true` exited with code {code}")),
        Status::Signal(signal) => Err(format!("`true` was killed by signal {signal}")),
        Status::NotStarted(why) => Err(why.clone()),
    }
}
