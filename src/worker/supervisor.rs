//! The worker's loop.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;

use super::frame::{self, Ended, Reply, Request};
use super::host::{self, Host};
use super::job::{self, Place, RawStdin, Support};
use super::process::Spawner;
use super::{Scratch, process, scratch, tree};

/// Whether the runners' own files in a folder are as we wrote them.
pub type CheckSupport = fn(&Path) -> Result<(), String>;

/// Serves requests until the lifeline closes. `run_folder` is what a run that was killed could not remove; `through` is what jobs
/// write to where output is not captured.
///
/// # Errors
/// Nobody reads the replies.
pub fn supervise(
    through: Option<OwnedFd>,
    run_folder: Option<&Path>,
    check_support: CheckSupport,
) -> io::Result<()> {
    tree::adopt_orphans();
    process::start_clean();
    process::keep_descriptors_from_jobs();
    // Without the buffer of `std::io::Stdout`, which writes a frame with a line's end in it as two.
    let mut replies = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let folder = match run_folder {
        Some(run_folder) => Scratch::beside(run_folder, "worker"),
        None => Scratch::new("worker"),
    };
    let prepared = folder
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
        support: run_folder.map(Support::new),
        check_support,
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
    let mut host: Option<Host> = None;
    while let Some(request) = frame::read(&mut RawStdin(lifeline))? {
        if let Some(host) = &mut host {
            host.look(lifeline);
        }
        match request {
            Request::Host(request) => match Host::start(&request, place, &mut kept) {
                Ok(started) => {
                    let pid = started.pid();
                    host = Some(started);
                    frame::write(replies, &Reply::Hosted { pid })?;
                }
                Err(ended) => frame::write(replies, &Reply::Ended(ended))?,
            },
            Request::Look => match host.take() {
                Some(there) if !there.has_ended() => {
                    let pid = there.pid();
                    host = Some(there);
                    frame::write(replies, &Reply::Hosted { pid })?;
                }
                ended => {
                    let ended = dismiss(ended, Duration::ZERO, lifeline);
                    frame::write(replies, &Reply::Ended(Box::new(ended)))?;
                }
            },
            Request::Signal { pid, with } => host::signal(pid, with),
            Request::Settle {
                after,
                tmp,
                keep,
                suspects,
            } => {
                match &mut host {
                    Some(host) if after == Some(host.pid()) => {
                        host.await_end(lifeline);
                        // It ran the tests itself, so whoever is left of its group was left by them.
                        kept.forget(host.pid());
                    }
                    _ => host::wait_for(after),
                }
                let suspects = suspects.into_iter();
                let outlived = suspects.filter(|pid| tree::any_runs(&[*pid])).collect();
                let tmp = Path::new(&tmp);
                let settled = host::settle(tmp, outlived, keep, place, &mut kept, lifeline);
                frame::write(replies, &Reply::Settled(settled))?;
            }
            Request::Dismiss(patience) => {
                let ended = dismiss(host.take(), patience, lifeline);
                frame::write(replies, &Reply::Ended(Box::new(ended)))?;
            }
            // The host, and what it has started, are held like a job.
            Request::Pause if host.is_some() => tree::signal_all(Signal::STOP),
            Request::Resume if host.is_some() => tree::signal_all(Signal::CONT),
            Request::Run(request) => match job::run(&request, place, &mut kept) {
                Ok(ended) => frame::write(replies, &Reply::Ended(Box::new(ended)))?,
                Err(job::Abandoned) => return Ok(false),
            },
            Request::End => return Ok(true),
            // The job that it meant has ended meanwhile; who uses a host stops what he runs there.
            Request::Stop | Request::Pause | Request::Resume => {}
        }
    }
    Ok(false)
}

/// Ends the host, and all that it has started.
fn dismiss(host: Option<Host>, patience: Duration, lifeline: BorrowedFd<'_>) -> Ended {
    let ended = match host {
        Some(host) => host.dismiss(patience, lifeline),
        None => Ended::not_started("there is no host".to_owned()),
    };
    tree::kill_everything();
    ended
}
