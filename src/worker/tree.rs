//! Ending everything that a job left behind.
//!
//! The worker is a child subreaper, so whatever a job's processes start becomes the worker's child at the latest when its
//! parent ends, in whatever session or group it hides. A clean job costs one `waitpid`.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, kill_process_group, wait};

const PAUSE: Duration = Duration::from_millis(2);

/// Makes this process the one that orphans below it are given to.
pub fn adopt_orphans() {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
}

/// Ends what is left of the group `job` and of everything below this process: TERM to all, grace, then KILL until there is
/// nobody. Returns how many there were.
pub fn clear(job: Pid, grace: Duration) -> u32 {
    if !reap() {
        return 0;
    }
    let left = descendants();
    let count = u32::try_from(left.len()).unwrap_or(u32::MAX);
    let _ = kill_process_group(job, Signal::TERM);
    for pid in left {
        let _ = kill_process(pid, Signal::TERM);
    }
    let deadline = Instant::now() + grace;
    while Instant::now() < deadline {
        if !reap() {
            return count;
        }
        thread::sleep(PAUSE);
    }
    kill_all(job);
    count
}

/// Kills everything below this process, at once.
pub fn kill_all(job: Pid) {
    let _ = kill_process_group(job, Signal::KILL);
    while reap() {
        // Stopped first, so that a process that forks faster than we kill can't win.
        let left = descendants();
        for pid in &left {
            let _ = kill_process(*pid, Signal::STOP);
        }
        for pid in left.into_iter().chain(descendants()) {
            let _ = kill_process(pid, Signal::KILL);
        }
        thread::sleep(PAUSE);
    }
}

/// Reaps every child that has ended; whether any is left.
fn reap() -> bool {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
}

/// Every process below this one.
#[cfg(target_os = "linux")]
fn descendants() -> Vec<Pid> {
    let mut found = Vec::new();
    let mut open = vec![rustix::process::getpid().as_raw_nonzero().get()];
    while let Some(parent) = open.pop() {
        for child in children(parent) {
            if let Some(pid) = Pid::from_raw(child) {
                found.push(pid);
                open.push(child);
            }
        }
    }
    found
}

/// The children of a process, of all its threads: `/proc/PID/task/TID/children`, proc(5).
#[cfg(target_os = "linux")]
fn children(parent: i32) -> Vec<i32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{parent}/task")) else {
        return Vec::new();
    };
    tasks
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|list| {
            let pids = list.split_whitespace().filter_map(|pid| pid.parse().ok());
            pids.collect::<Vec<_>>()
        })
        .collect()
}

/// Without /proc only the job's own group is known.
#[cfg(not(target_os = "linux"))]
fn descendants() -> Vec<Pid> {
    let _ = fs::metadata("/");
    Vec::new()
}
