//! Everything below this process, and ending it.
//!
//! The worker is a child subreaper, so whatever a job's processes start becomes the worker's child at the latest when its
//! parent ends, in whatever session or group it hides. A clean job costs one `waitpid`. `orchestrate` itself is a subreaper
//! too: what a killed worker leaves behind comes to it.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::os::fd::BorrowedFd;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, kill_process_group, wait, waitpid};

use super::frame::Leftovers;
use crate::manifest::model::StopSignal;

const PAUSE: Duration = Duration::from_millis(1);

/// How often processes are killed without a pause, so that one that forks and goes on as its own child is overtaken.
const EAGER: u32 = 200;

/// Makes this process the one that orphans below it are given to.
pub fn adopt_orphans() {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
}

/// What hooks left running on purpose, by process id and start time, which tells a process from a later one of its number.
#[derive(Debug, Default)]
pub struct Kept {
    job: HashMap<i32, u64>,
    worker: HashMap<i32, u64>,
    /// Groups of processes, by number: children of a host that has ended.
    groups: BTreeSet<i32>,
}

impl Kept {
    /// Keeps the processes of a host's group, and what is below them, as long as the worker: it may end, and leave them to us.
    pub fn keep(&mut self, host: Pid) {
        self.groups.insert(host.as_raw_nonzero().get());
    }

    /// Keeps nothing of a host any more.
    pub fn forget(&mut self, host: u32) {
        self.groups.retain(|group| group.unsigned_abs() != host);
    }

    /// Looked up anew each time: whose parent ends at this very moment is a child of ours only now.
    fn has(&self, pid: i32) -> bool {
        let mut starts = [&self.job, &self.worker]
            .into_iter()
            .filter_map(|kept| kept.get(&pid));
        starts.any(|start| started(pid) == Some(*start))
            || !self.groups.is_empty()
                && group(pid).is_some_and(|group| self.groups.contains(&group))
    }

    fn is_empty(&self) -> bool {
        self.job.is_empty() && self.worker.is_empty() && self.groups.is_empty()
    }

    /// Deals with what is left when a request has ended. Returns how many processes were left that should not have been.
    pub fn settle(
        &mut self,
        leftovers: Leftovers,
        group: Option<Pid>,
        until: Instant,
        lifeline: BorrowedFd<'_>,
    ) -> u32 {
        // The rule: nobody is left, which one call tells.
        if !reap() {
            *self = Self::default();
            return 0;
        }
        let keep = match leftovers {
            Leftovers::ForJob => &mut self.job,
            Leftovers::ForWorker => &mut self.worker,
            Leftovers::End | Leftovers::EndOwn => {
                let left = clear(group, until, lifeline, self);
                if leftovers == Leftovers::End && !self.job.is_empty() {
                    self.job.clear();
                    clear(group, until, lifeline, self);
                }
                return left;
            }
        };
        for pid in descendants(nobody) {
            let pid = pid.as_raw_nonzero().get();
            keep.extend(started(pid).map(|start| (pid, start)));
        }
        0
    }
}

/// When a process began, in ticks since the system did.
fn started(pid: i32) -> Option<u64> {
    stat(pid, 22)?.parse().ok()
}

/// A signal as the kernel has it.
pub fn number(signal: StopSignal) -> Signal {
    match signal {
        StopSignal::Term => Signal::TERM,
        StopSignal::Int => Signal::INT,
        StopSignal::Hup => Signal::HUP,
        StopSignal::Quit => Signal::QUIT,
        StopSignal::Usr1 => Signal::USR1,
        StopSignal::Usr2 => Signal::USR2,
    }
}

/// The group that a process is of.
fn group(pid: i32) -> Option<i32> {
    stat(pid, 5)?.parse().ok()
}

/// A field of a process's status, from the third on, by its number in proc_pid_stat(5).
fn stat(pid: i32, field: usize) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second is a name in parentheses, which may hold anything.
    let rest = stat.rsplit(')').next()?;
    rest.split_whitespace().nth(field - 3).map(str::to_owned)
}

/// Ends what is left of the group `job` and of everything below this process but `kept`: TERM to all, until `until` to end by
/// themselves, or until nobody holds the lifeline any more, then KILL until there is nobody. Returns how many there were.
fn clear(job: Option<Pid>, until: Instant, lifeline: BorrowedFd<'_>, kept: &Kept) -> u32 {
    let is_kept = |pid| kept.has(pid);
    let is_left = || reap() && (kept.is_empty() || !descendants(is_kept).is_empty());
    if !is_left() {
        return 0;
    }
    let left = descendants(is_kept);
    let alive = left.iter().filter(|pid| is_alive(**pid)).count();
    // Somebody is, even if who it was has gone by the time that it was looked for.
    let count = u32::try_from(alive.max(1)).unwrap_or(u32::MAX);
    signal_group_of_reaped(job, Signal::TERM);
    for pid in left {
        signal(pid, Signal::TERM);
        // A stopped process sees TERM only when it goes on.
        signal(pid, Signal::CONT);
    }
    while Instant::now() < until && !is_closed(lifeline) {
        if !is_left() {
            return count;
        }
        thread::sleep(PAUSE);
    }
    signal_group_of_reaped(job, Signal::KILL);
    let mut round = 0;
    while is_left() {
        kill_round(is_kept);
        pause_after(&mut round);
    }
    count
}

/// Signals what is left of a group whose leader was reaped. Its number may be another group's by now, so where everything below
/// this process can be found, which the group is a part of, nobody is signalled by that number.
fn signal_group_of_reaped(leader: Option<Pid>, what: Signal) {
    if let (Some(leader), false) = (leader, cfg!(target_os = "linux")) {
        let _ = kill_process_group(leader, what);
    }
}

/// Kills everything below this process, at once; also the group of a job that is not reaped yet.
pub fn kill_all(job: Pid) {
    let _ = kill_process_group(job, Signal::KILL);
    kill_everything();
}

/// Kills everything below this process, whatever its group.
pub fn kill_everything() {
    let mut round = 0;
    while reap() {
        kill_round(nobody);
        pause_after(&mut round);
    }
}

/// Kills everything below this process except `ours` and what is below those. Meant for what a worker left that was killed.
pub fn kill_strays(ours: &BTreeSet<i32>) {
    let own = rustix::process::getpid().as_raw_nonzero().get();
    let mut round = 0;
    loop {
        let strays: Vec<i32> = children(own)
            .into_iter()
            .filter(|pid| !ours.contains(pid))
            .collect();
        if strays.is_empty() {
            return;
        }
        kill_round(|pid| ours.contains(&pid));
        for pid in strays.into_iter().filter_map(Pid::from_raw) {
            let _ = waitpid(Some(pid), WaitOptions::NOHANG);
        }
        pause_after(&mut round);
    }
}

/// Signals one process below this one, with its group if it is asked to end, with everything below it if it is killed.
pub fn signal_branch(pid: Pid, with: Option<Signal>) {
    if let Some(with) = with {
        signal_group_of(pid, with);
        // A stopped process sees it only when it goes on.
        signal_group_of(pid, Signal::CONT);
        return;
    }
    let branch = || {
        let mut branch = below(pid.as_raw_nonzero().get(), nobody);
        branch.push(pid);
        branch
    };
    for pid in branch() {
        signal(pid, Signal::STOP);
    }
    for pid in branch() {
        signal(pid, Signal::KILL);
    }
}

/// Signals the processes of a group that are below this one. One by one: whoever leads it may be reaped by its parent at any
/// time, and its number may then be another group's.
#[cfg(target_os = "linux")]
fn signal_group_of(leader: Pid, what: Signal) {
    let number = leader.as_raw_nonzero().get();
    for pid in descendants(nobody) {
        if group(pid.as_raw_nonzero().get()) == Some(number) {
            signal(pid, what);
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn signal_group_of(leader: Pid, what: Signal) {
    let _ = kill_process_group(leader, what);
}

/// Stopped first, so that a process that forks faster than we kill can't win.
fn kill_round(except: impl Fn(i32) -> bool + Copy) {
    let left = descendants(except);
    for pid in &left {
        signal(*pid, Signal::STOP);
    }
    for pid in left.into_iter().chain(descendants(except)) {
        signal(pid, Signal::KILL);
    }
}

fn pause_after(round: &mut u32) {
    *round += 1;
    if *round > EAGER {
        thread::sleep(PAUSE);
    } else {
        thread::yield_now();
    }
}

/// Sends a signal to everything below this process; twice, for what was started meanwhile.
pub fn signal_all(what: Signal) {
    for _ in 0..2 {
        for pid in descendants(nobody) {
            signal(pid, what);
        }
    }
}

/// The resident memory of everything below this process, in bytes. Shared pages count once for each: it is a bound.
pub fn memory() -> u64 {
    let page = rustix::param::page_size() as u64;
    let pages = descendants(nobody).into_iter().filter_map(|pid| {
        let text = fs::read_to_string(format!("/proc/{}/statm", pid.as_raw_nonzero())).ok()?;
        text.split(' ').nth(1)?.parse::<u64>().ok()
    });
    pages.sum::<u64>() * page
}

/// Signals a process that was just seen to be below us, and none that may have been given its number since.
#[cfg(target_os = "linux")]
fn signal(pid: Pid, what: Signal) {
    use rustix::process::{PidfdFlags, pidfd_open, pidfd_send_signal};
    // The number can be another process's only if ours has ended; the handle is of whoever has it now, and then it is checked
    // that this one is not a stranger.
    if let Ok(handle) = pidfd_open(pid, PidfdFlags::empty())
        && is_below(pid)
    {
        let _ = pidfd_send_signal(&handle, what);
    }
}

#[cfg(not(target_os = "linux"))]
fn signal(pid: Pid, what: Signal) {
    let _ = rustix::process::kill_process(pid, what);
}

/// Whether one of these processes does something still.
#[must_use]
pub fn any_runs(pids: &[u32]) -> bool {
    let mut pids = pids.iter().filter_map(|pid| i32::try_from(*pid).ok());
    pids.any(|pid| Pid::from_raw(pid).is_some_and(is_alive))
}

/// Whether a process does something still, and does not only wait to be reaped: proc_pid_stat(5), field 3.
pub fn is_alive(pid: Pid) -> bool {
    let state = stat(pid.as_raw_nonzero().get(), 3);
    state.is_some_and(|state| !state.starts_with(['Z', 'X']))
}

/// Whether a process has this one among its ancestors.
#[cfg(target_os = "linux")]
fn is_below(pid: Pid) -> bool {
    let own = rustix::process::getpid().as_raw_nonzero().get();
    descends_from(pid, own)
}

/// Whether a process has another one among its ancestors.
#[cfg(target_os = "linux")]
pub fn descends_from(pid: Pid, ancestor: i32) -> bool {
    let mut pid = pid.as_raw_nonzero().get();
    while pid > 1 {
        match stat(pid, 4).and_then(|parent| parent.parse().ok()) {
            Some(parent) if parent == ancestor => return true,
            Some(parent) => pid = parent,
            None => return false,
        }
    }
    false
}

/// Whether nobody holds the other end any more.
fn is_closed(lifeline: BorrowedFd<'_>) -> bool {
    let mut polled = [PollFd::from_borrowed_fd(lifeline, PollFlags::empty())];
    poll(&mut polled, Some(&Timespec::default())).is_ok()
        && polled[0]
            .revents()
            .intersects(PollFlags::HUP | PollFlags::ERR)
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

/// No process is excepted.
fn nobody(_: i32) -> bool {
    false
}

/// Every process below this one, parents first, but for some children and what is below them.
#[cfg(target_os = "linux")]
fn descendants(except: impl Fn(i32) -> bool) -> Vec<Pid> {
    below(rustix::process::getpid().as_raw_nonzero().get(), except)
}

#[cfg(target_os = "linux")]
fn below(root: i32, except: impl Fn(i32) -> bool) -> Vec<Pid> {
    let mut found = Vec::new();
    let mut open = vec![root];
    while let Some(parent) = open.pop() {
        for child in children(parent) {
            if except(child) {
                continue;
            }
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
fn descendants(_: impl Fn(i32) -> bool) -> Vec<Pid> {
    Vec::new()
}

#[cfg(not(target_os = "linux"))]
fn below(_: i32, _: impl Fn(i32) -> bool) -> Vec<Pid> {
    Vec::new()
}

#[cfg(not(target_os = "linux"))]
fn children(_: i32) -> Vec<i32> {
    Vec::new()
}
