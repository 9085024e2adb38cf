//! The worker's loop.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use super::frame::{self, Reply, Request};
use super::job::{self, Place, RawStdin};
use super::process::Spawner;
use super::{Scratch, process, scratch, tree};

/// Serves requests until the lifeline closes. `run_folder` is what a run that was killed could not remove; `through` is the descriptor that jobs write to where output is not captured.
///
/// # Errors
/// Nobody reads the replies.
pub fn supervise(through: Option<i32>, run_folder: Option<&Path>) -> io::Result<()> {
    tree::adopt_orphans();
    process::start_clean();
    // A job must not reach our descriptors through /proc: results go over one of them (proc_pid_fd(5)).
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    process::keep_descriptors_from_jobs();
    let through: Option<OwnedFd> = through.map(process::inherited);
    let mut replies = io::stdout();
    let prepared = Scratch::new("worker")
        .map_err(|error| error.to_string())
        .and_then(|scratch| Ok((scratch, Spawner::new().map_err(|error| error.to_string())?)));
    let (scratch, spawner) = match prepared {
        Ok(prepared) => prepared,
        Err(why) => return frame::write(&mut replies, &Reply::Failed(why)),
    };
    let place = Place {
        spawner: &spawner,
        scratch: &scratch,
        through: through.as_ref(),
    };
    let ready = Reply::Ready {
        pid: std::process::id(),
        tmp: scratch.path().into(),
    };
    frame::write(&mut replies, &ready)?;
    let lifeline = io::stdin();
    // What hooks left running goes with the worker.
    let result = serve(lifeline.as_fd(), &mut replies, &place);
    tree::kill_everything();
    if let (Some(folder), Ok(false)) = (run_folder, &result) {
        let _ = scratch::remove(folder);
    }
    result.map(|_| ())
}

/// Returns whether the end was told, and did not just come.
fn serve(
    lifeline: BorrowedFd<'_>,
    replies: &mut impl io::Write,
    place: &Place<'_>,
) -> io::Result<bool> {
    let mut kept = tree::Kept::default();
    while let Some(request) = frame::read(&mut RawStdin(lifeline))? {
        match request {
            Request::Run(request) => match job::run(&request, place, &mut kept) {
                Ok(ended) => frame::write(replies, &Reply::Ended(Box::new(ended)))?,
                Err(job::Abandoned) => return Ok(false),
            },
            Request::End => return Ok(true),
            // The job that it meant has ended meanwhile.
            Request::Stop | Request::Pause | Request::Resume => {}
        }
    }
    Ok(false)
}
