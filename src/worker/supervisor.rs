//! The worker's loop.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use super::frame::{self, Reply, Request};
use super::job::{self, RawStdin};
use super::{Scratch, process, tree};

/// Serves requests until the lifeline closes. `through` is the descriptor that jobs write to where output is not captured.
///
/// # Errors
/// Nobody reads the replies.
pub fn supervise(through: Option<i32>) -> io::Result<()> {
    tree::adopt_orphans();
    process::keep_descriptors_from_jobs();
    let through: Option<OwnedFd> = through.map(process::inherited);
    let mut replies = io::stdout();
    let scratch = match Scratch::new("worker") {
        Ok(scratch) => scratch,
        Err(error) => return frame::write(&mut replies, &Reply::Failed(error.to_string())),
    };
    let ready = Reply::Ready {
        pid: std::process::id(),
        tmp: scratch.path().into(),
    };
    frame::write(&mut replies, &ready)?;
    let lifeline = io::stdin();
    while let Some(request) = frame::read(&mut RawStdin(lifeline.as_fd()))? {
        match request {
            Request::Run(request) => match job::run(&request, scratch.path(), through.as_ref()) {
                Ok(ended) => frame::write(&mut replies, &Reply::Ended(Box::new(ended)))?,
                Err(job::Abandoned) => return Ok(()),
            },
            // The job that it meant has ended meanwhile.
            Request::Stop => {}
        }
    }
    Ok(())
}
