//! The running program, for those who are to start it again.

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// For this process itself: the running program also if its file was replaced meanwhile, as a build of `orchestrate` by its own
/// tests does.
///
/// # Errors
/// The system does not know it.
pub fn for_ourselves() -> io::Result<OsString> {
    if cfg!(target_os = "linux") {
        return Ok("/proc/self/exe".into());
    }
    std::env::current_exe().map(Into::into)
}

/// For other processes, which may not look into this one (`keep_from_others`): its file, as long as that is the running program.
#[must_use]
pub fn for_others() -> Option<PathBuf> {
    let path = std::env::current_exe().ok()?;
    if cfg!(target_os = "linux") {
        let running = std::fs::metadata("/proc/self/exe").ok()?;
        let named = path.metadata().ok()?;
        if (running.dev(), running.ino()) != (named.dev(), named.ino()) {
            return None;
        }
    }
    Some(path)
}
