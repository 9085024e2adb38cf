//! What a group runs when a job's time is over, before it is ended: a command, on its way to whoever runs it.
//!
//! The process id that it may name is known only where the job runs, so everything else in it is resolved before, and a
//! placeholder stands for that.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::frame::JobRequest;

/// Stands for the job's process id. A NUL can't be in an argument or a variable, so nothing else is taken for it.
pub const JOB_PID: &str = "\0job-pid\0";

/// The most characters of the command that are told.
const MOST_SHOWN: usize = 200;

/// A command with nothing left to resolve but [`JOB_PID`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OnTimeout {
    /// What a person is told that runs.
    pub shown: String,
    /// The program and its arguments.
    pub words: Vec<OsString>,
    /// Variables in addition to the job's own.
    pub env: Vec<(OsString, OsString)>,
    /// The longest it may take.
    pub timeout: Option<Duration>,
    /// Why it can't be run at all.
    pub broken: Option<String>,
}

impl OnTimeout {
    /// The request that runs it at the job that `job` has started: in its folder and with its variables, but not within its limits.
    #[must_use]
    pub fn request(&self, job: &JobRequest, pid: u32) -> JobRequest {
        let pid = pid.to_string();
        let mut env = job.env.clone();
        let own = self.env.iter();
        env.extend(own.map(|(name, value)| (name, with_pid(value, &pid))));
        JobRequest {
            words: self.words.iter().map(|word| with_pid(word, &pid)).collect(),
            folder: job.folder.clone(),
            env,
            common: job.common.clone(),
            env_only: job.env_only.clone(),
            timeout: self.timeout,
            ..JobRequest::default()
        }
    }

    /// The line before what it prints.
    #[must_use]
    pub fn title(&self, pid: u32) -> String {
        let shown = self.shown.replace(JOB_PID, &pid.to_string());
        let shown = shown.chars().take(MOST_SHOWN);
        let shown: String = shown
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        format!("-- on-timeout: {shown} --\n")
    }

    /// The line behind it where it failed.
    #[must_use]
    pub fn failure(why: &str) -> String {
        format!("-- on-timeout {why} --\n")
    }
}

fn with_pid(text: &OsStr, pid: &str) -> OsString {
    let (bytes, place) = (text.as_bytes(), JOB_PID.as_bytes());
    let mut replaced = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(at) = rest.windows(place.len()).position(|part| part == place) {
        replaced.extend_from_slice(&rest[..at]);
        replaced.extend_from_slice(pid.as_bytes());
        rest = &rest[at + place.len()..];
    }
    replaced.extend_from_slice(rest);
    OsString::from_vec(replaced)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::frame::EnvBlock;

    #[test]
    fn the_process_id_takes_its_place_wherever_it_is_named() {
        let command = OnTimeout {
            shown: format!("cat\n/proc/{JOB_PID}/maps"),
            words: vec![
                "cat".into(),
                format!("/proc/{JOB_PID}/maps,{JOB_PID}").into(),
            ],
            env: vec![("P".into(), JOB_PID.into())],
            ..OnTimeout::default()
        };
        let job = JobRequest {
            folder: "/f".into(),
            env: [("P", "0"), ("A", "1")].into_iter().collect(),
            ..JobRequest::default()
        };
        let request = command.request(&job, 42);
        assert_eq!(request.words, ["cat", "/proc/42/maps,42"]);
        assert_eq!(request.folder, "/f");
        let env: EnvBlock = [("P", "0"), ("A", "1"), ("P", "42")].into_iter().collect();
        assert_eq!(request.env, env);
        assert_eq!(command.title(42), "-- on-timeout: cat /proc/42/maps --\n");
    }
}
