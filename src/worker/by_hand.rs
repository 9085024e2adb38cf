//! Parts of a run that are processes of their own: each refuses to go on where no run has started it.
//!
//! They end processes, remove folders and mount file systems. Started by hand they would do so where nobody expects it. So each
//! looks first whether it is where a run puts it, before it changes anything.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, fstat};
use rustix::process::{Pid, WaitId, WaitIdOptions, geteuid, waitid};

use super::process::inherited;
use super::scratch::is_of_run;

/// Why a part of a run does not go on.
#[derive(Debug, thiserror::Error)]
#[error(
    "`orchestrate {part}` is a part of a run, which starts it itself, and not for use by hand: {why}"
)]
pub struct ByHand {
    part: &'static str,
    why: String,
}

/// What a guard needs.
pub struct GuardPlace {
    /// Where it tells how the worker ended.
    pub(super) channel: OwnedFd,
    /// A child of this process.
    pub(super) worker: Pid,
}

fn refusal(part: &'static str, why: impl Into<String>) -> ByHand {
    let why = why.into();
    ByHand { part, why }
}

/// The descriptor of this number, which must be open and of this type.
fn descriptor(
    part: &'static str,
    number: i32,
    wanted: Option<FileType>,
) -> Result<OwnedFd, ByHand> {
    let fd = inherited(number)
        .ok_or_else(|| refusal(part, format!("there is no descriptor {number} for it")))?;
    match wanted {
        Some(wanted) if type_of(&fd) != Some(wanted) => {
            // It is somebody else's.
            let _ = std::os::fd::IntoRawFd::into_raw_fd(fd);
            Err(refusal(
                part,
                format!("descriptor {number} leads to no run"),
            ))
        }
        _ => Ok(fd),
    }
}

fn type_of(fd: impl AsFd) -> Option<FileType> {
    Some(FileType::from_raw_mode(fstat(fd).ok()?.st_mode))
}

/// What `orchestrate worker` needs: a run at the other end of its standard input and output, a folder that only a run has.
///
/// # Errors
/// No run has started it.
pub fn worker(through: Option<i32>, run_folder: Option<&Path>) -> Result<Option<OwnedFd>, ByHand> {
    const PART: &str = "worker";
    let (input, output) = (fstat(std::io::stdin()), fstat(std::io::stdout()));
    let is_one_socket = matches!((input, output), (Ok(input), Ok(output))
        if FileType::from_raw_mode(input.st_mode) == FileType::Socket
            && (input.st_dev, input.st_ino) == (output.st_dev, output.st_ino));
    if !is_one_socket {
        return Err(refusal(
            PART,
            "its standard input and output are not one socket to a run",
        ));
    }
    if let Some(folder) = run_folder {
        in_run(PART, folder)?;
    }
    through
        .map(|number| descriptor(PART, number, None))
        .transpose()
}

/// What `orchestrate guard` needs: a child to wait for, and a socket to a run.
///
/// # Errors
/// No session's host has started it.
pub fn guard(channel: i32, worker: i32) -> Result<GuardPlace, ByHand> {
    const PART: &str = "guard";
    let looked = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    // A number below 1 would stand for a group of processes, or for all.
    let worker = (worker > 0).then(|| Pid::from_raw(worker)).flatten();
    let child = worker.filter(|worker| waitid(WaitId::Pid(*worker), looked).is_ok());
    let Some(worker) = child else {
        return Err(refusal(PART, "there is no such child to wait for"));
    };
    let channel = descriptor(PART, channel, Some(FileType::Socket))?;
    Ok(GuardPlace { channel, worker })
}

/// What `orchestrate record` needs: a folder of a run.
///
/// # Errors
/// No listing has started it.
pub fn record(folder: &Path) -> Result<(), ByHand> {
    const PART: &str = "record";
    // Without the links and the `..` in it.
    let folder = folder.canonicalize();
    let folder = folder.map_err(|error| refusal(PART, format!("its folder: {error}")))?;
    let run = folder.ancestors().find(|above| is_of_run(above));
    let why = || {
        refusal(
            PART,
            format!("{} is in no folder of a run", folder.display()),
        )
    };
    in_run(PART, run.ok_or_else(why)?)
}

/// Whether a folder is a run's.
fn in_run(part: &'static str, folder: &Path) -> Result<(), ByHand> {
    use std::os::unix::fs::MetadataExt;
    let meta = folder.symlink_metadata();
    let is_own = meta.is_ok_and(|meta| meta.is_dir() && meta.uid() == geteuid().as_raw());
    if is_own && folder.is_absolute() && is_of_run(folder) {
        return Ok(());
    }
    let folder = folder.display();
    Err(refusal(part, format!("{folder} is no folder of a run")))
}
