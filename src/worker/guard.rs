//! A guard: waits for a worker that a session's host has forked, and tells how it ended, which one that crashes can't do itself.
//!
//! It takes the place of the fork of the host that stood there: that would hold on to memory of the host which nobody else needs
//! any more. Its children, and that their orphans come to it, it keeps: execve(2), PR_SET_CHILD_SUBREAPER(2const).

use std::fs::File;
use std::io::{self, Write};

use rustix::io::retry_on_intr;
use rustix::process::{WaitOptions, waitpid};
use serde_json::json;

use super::by_hand::GuardPlace;
use super::tree;

/// Waits for the end of a worker, a child of this process, and tells it over the channel (docs/session-protocol.md).
///
/// # Errors
/// Nobody listens.
pub fn guard(place: GuardPlace) -> io::Result<()> {
    tree::adopt_orphans();
    let GuardPlace { channel, worker } = place;
    let ended = retry_on_intr(|| waitpid(Some(worker), WaitOptions::empty()))?;
    let (_, status) = ended.ok_or(io::ErrorKind::NotFound)?;
    let told = match status.terminating_signal() {
        Some(signal) => json!({ "event": "ended", "signal": signal }),
        None => json!({ "event": "ended", "exit": status.exit_status() }),
    };
    // On a line of its own: the worker may have died within one.
    File::from(channel).write_all(format!("\n{told}\n").as_bytes())
}
