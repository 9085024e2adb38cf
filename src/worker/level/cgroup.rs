//! A control group a job, cgroups(7), version 2.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(1);
/// The kernel ends what is in a group at once, but a process that waits for a device goes when that answers.
const LONGEST: Duration = Duration::from_secs(1);

/// A job's group; the job's process puts itself into it.
pub struct Cgroup {
    path: PathBuf,
    /// Where a process writes `0` to become a member.
    pub door: File,
}

impl Cgroup {
    /// Makes a group below the worker's own.
    ///
    /// # Errors
    /// Why the system does not allow it.
    pub fn new(memory: Option<u64>) -> Result<Self, String> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let base = own()?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = base.join(format!("orchestrate-{}-{number}", std::process::id()));
        let made = fs::create_dir(&path).and_then(|()| {
            if path.join("cgroup.kill").exists() {
                return File::options().write(true).open(path.join("cgroup.procs"));
            }
            Err(io::Error::other(
                "the kernel has no cgroup.kill, which Linux 5.14 brought",
            ))
        });
        let door = made.map_err(|error| {
            let _ = fs::remove_dir(&path);
            format!("can't make a control group in {}: {error}", base.display())
        })?;
        if let Some(bytes) = memory {
            // Where memory is not delegated, the worker watches it as it does without a group.
            let _ = fs::write(path.join("memory.max"), bytes.to_string());
            let _ = fs::write(path.join("memory.oom.group"), "1");
        }
        Ok(Self { path, door })
    }

    /// Whether the kernel ended a process of it for want of memory.
    pub fn is_out_of_memory(&self) -> bool {
        let text = fs::read_to_string(self.path.join("memory.events")).unwrap_or_default();
        text.lines()
            .filter_map(|line| line.strip_prefix("oom_kill "))
            .any(|count| count != "0")
    }

    /// Ends what is left in it. Returns how many processes that were.
    ///
    /// # Errors
    /// Something in it could not be ended.
    pub fn end(self) -> io::Result<u32> {
        let left = fs::read_to_string(self.path.join("cgroup.procs"))?;
        let left = u32::try_from(left.lines().count()).unwrap_or(u32::MAX);
        fs::write(self.path.join("cgroup.kill"), "1")?;
        let begun = Instant::now();
        loop {
            match fs::remove_dir(&self.path) {
                Ok(()) => return Ok(left),
                Err(error) if begun.elapsed() > LONGEST => return Err(error),
                Err(_) => thread::sleep(PAUSE),
            }
        }
    }
}

/// The group that this process is in.
fn own() -> Result<PathBuf, String> {
    let read = |path: &str| {
        fs::read_to_string(path).map_err(|error| format!("can't read {path}: {error}"))
    };
    // `0::/path`, cgroups(7).
    let membership = read("/proc/self/cgroup")?;
    let inside = membership.lines().find_map(|line| line.strip_prefix("0::"));
    let inside = inside.ok_or("this system has no control groups of version 2")?;
    // proc_pid_mountinfo(5): the fifth field is the mount point; the type comes after ` - `.
    let mounts = read("/proc/self/mountinfo")?;
    let mounted = mounts.lines().find_map(|line| {
        let (head, tail) = line.split_once(" - ")?;
        tail.starts_with("cgroup2 ")
            .then(|| head.split(' ').nth(4))
            .flatten()
    });
    let mounted = mounted.ok_or("control groups of version 2 are not mounted")?;
    Ok(Path::new(mounted).join(inside.trim_start_matches('/')))
}
