//! The worker's loop.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;

use super::frame::{self, Ended, Reply, Request, Walls};
use super::host::{self, Host};
use super::job::{self, Place, RawStdin, Support};
use super::level::{self, Side};
use super::process::Spawner;
use super::{Scratch, pass, process, scratch, tree};

/// Whether the runners' own files in a folder are as we wrote them.
pub type CheckSupport = fn(&Path) -> Result<(), String>;

/// How a worker is started.
pub struct Launch<'a> {
    /// What jobs write to where output is not captured.
    pub through: Option<OwnedFd>,
    /// What a run that was killed could not remove.
    pub run_folder: Option<&'a Path>,
    /// Whether the first frame says which walls it lives behind.
    pub is_confined: bool,
    /// Looks at the runners' own files.
    pub check_support: CheckSupport,
}

/// What the process inside walls says by its exit code to the one outside: the end was told, or it just came.
const WAS_TOLD: u8 = 0;
const WAS_NOT_TOLD: u8 = 1;

/// Serves requests until the lifeline closes. Returns the exit code.
///
/// # Errors
/// Nobody reads the replies.
pub fn supervise(launch: &Launch<'_>) -> io::Result<u8> {
    let walls: Option<Walls> = if launch.is_confined {
        let walls = frame::read(&mut RawStdin(io::stdin().as_fd()))?;
        Some(walls.ok_or(io::ErrorKind::UnexpectedEof)?)
    } else {
        None
    };
    process::start_clean();
    process::keep_descriptors_from_jobs();
    // Without the buffer of `std::io::Stdout`, which writes a frame with a line's end in it as two.
    let mut replies = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let folder = match (&walls, launch.run_folder) {
        (Some(Walls::Shared { folder, .. }), _) => Scratch::inside(folder),
        (_, Some(run_folder)) => Scratch::beside(run_folder, "worker"),
        (_, None) => Scratch::new("worker"),
    };
    let scratch = match folder {
        Ok(scratch) => scratch,
        Err(error) => return fail(&mut replies, launch, error.to_string()),
    };
    let side = match walls {
        Some(walls) => level::enter(&walls, scratch.path()),
        None => Ok(Side::Inside(Vec::new())),
    };
    // The one outside tidies up: inside, other things may be mounted in the folder.
    let is_inside = launch.is_confined && !matches!(side, Ok(Side::Outside(_)) | Err(_));
    let code = match side {
        Ok(Side::Inside(namespaces)) => work(launch, &namespaces, &scratch, &mut replies),
        Ok(Side::Outside(code)) => Ok(code),
        Ok(Side::Failed(why)) | Err(why) => fail(&mut replies, launch, why),
    };
    if is_inside {
        std::mem::forget(scratch);
    } else if let (Some(folder), Ok(WAS_NOT_TOLD)) = (launch.run_folder, &code) {
        let _ = scratch::remove(folder);
    }
    code
}

/// Says why there is no worker.
fn fail(replies: &mut File, launch: &Launch<'_>, why: String) -> io::Result<u8> {
    if launch.is_confined {
        pass::send(&*replies, &[])?;
    }
    frame::write(replies, &Reply::Failed(why))?;
    Ok(WAS_TOLD)
}

fn work(
    launch: &Launch<'_>,
    namespaces: &[OwnedFd],
    scratch: &Scratch,
    replies: &mut File,
) -> io::Result<u8> {
    tree::adopt_orphans();
    let spawner = match Spawner::new() {
        Ok(spawner) => spawner,
        Err(error) => return fail(replies, launch, error.to_string()),
    };
    let place = Place {
        spawner: &spawner,
        scratch,
        through: launch.through.as_ref(),
        support: launch.run_folder.map(Support::new),
        check_support: launch.check_support,
    };
    if launch.is_confined {
        pass::send(&*replies, namespaces)?;
    }
    let tmp = scratch.path().into();
    frame::write(replies, &Reply::Ready { tmp })?;
    // What hooks left running goes with the worker.
    let was_told = serve(io::stdin().as_fd(), replies, &place);
    tree::kill_everything();
    Ok(if was_told? { WAS_TOLD } else { WAS_NOT_TOLD })
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
            Request::Running(pids) => {
                let running = pids.into_iter().filter(|pid| tree::any_runs(&[*pid]));
                frame::write(replies, &Reply::Running(running.collect()))?;
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
