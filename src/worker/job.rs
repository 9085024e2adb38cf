//! One job, from its temporary folder to the last of its processes.

mod on_timeout;
mod report;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use memchr::memmem::Finder;
use rustix::fs::StatVfsMountFlags;
use rustix::io::Errno;
use rustix::process::Signal;

pub(super) use report::{MOST_REPORT, open_report};
pub use report::{monotonic, read_report};

use super::frame::{self, Cause, Ended, JobRequest, KeepTmp, Level, Request, Status};
use super::level::Cgroup;
use super::process::{Process, Sink, Spawner, Woken};
use super::progress::Progress;
use super::supervisor::CheckSupport;
use super::tree::Kept;
use super::{SUPPORT, Scratch, capture, tree};

/// How often a job's output and memory are looked at: most jobs are over before the first time.
const FIRST_LOOK: Duration = Duration::from_millis(50);
const LATER_LOOKS: Duration = Duration::from_millis(200);

/// The lifeline is closed: there is nobody left to tell.
#[derive(Debug)]
pub struct Abandoned;

/// What all jobs of a worker share.
pub struct Place<'a> {
    /// Starts processes.
    pub spawner: &'a Spawner,
    /// The worker's own folder.
    pub scratch: &'a Scratch,
    /// Where output goes that is not captured.
    pub through: Option<&'a OwnedFd>,
    /// The run's folder of the runners' own files.
    pub support: Option<Support>,
    /// Whether these are as we wrote them.
    pub check_support: CheckSupport,
}

/// The folder of the runners' own files, and how it is found in a command.
pub struct Support {
    folder: PathBuf,
    finder: Finder<'static>,
}

impl Support {
    /// That of a run, by the run's folder.
    pub fn new(run_folder: &Path) -> Self {
        let folder = run_folder.join(SUPPORT);
        let finder = Finder::new(folder.as_os_str().as_bytes()).into_owned();
        Self { folder, finder }
    }

    fn is_named_in(&self, job: &JobRequest) -> bool {
        let mut words = job.words.iter().map(|word| word.as_bytes());
        let blocks = [job.env.bytes(), job.common.bytes()];
        let is_in = |text: &[u8]| self.finder.find(text).is_some();
        words.any(is_in) || blocks.into_iter().any(is_in)
    }
}

impl Place<'_> {
    /// Starts a process. Where its command names the runners' own files, they must be as we wrote them: a test of another group
    /// that runs meanwhile could write others there, which forge results.
    pub fn start(
        &self,
        job: &JobRequest,
        sink: &Sink<'_>,
        group: Option<&Cgroup>,
    ) -> Result<Process, StartError> {
        if let Some(support) = &self.support
            && support.is_named_in(job)
        {
            (self.check_support)(&support.folder).map_err(StartError::Forged)?;
        }
        let process = self.spawner.start(job, sink, group);
        process.map_err(StartError::System)
    }
}

/// Why a process was not started.
pub enum StartError {
    /// The runners' own files are not as we wrote them.
    Forged(String),
    /// The system did not start it.
    System(io::Error),
}

impl StartError {
    /// What a person is told.
    pub fn explain(&self, job: &JobRequest) -> String {
        match self {
            Self::Forged(why) => why.clone(),
            Self::System(error) => explain(job, error),
        }
    }
}

/// Runs a job to its end.
///
/// # Errors
/// The lifeline closed meanwhile; everything is killed by then.
pub fn run(job: &JobRequest, place: &Place<'_>, kept: &mut Kept) -> Result<Ended, Abandoned> {
    let mut running = match Running::start(job, place) {
        Ok(running) => running,
        Err(ended) => {
            let _ = remove(job, place);
            return Ok(*ended);
        }
    };
    let lifeline = io::stdin();
    let result = running.watch(job, place, lifeline.as_fd());
    let group = running.process.group();
    let Ok((cause, term_at)) = result else {
        tree::kill_all(group);
        let _ = remove(job, place);
        return Err(Abandoned);
    };
    let exit = running.process.exit();
    let duration = running.begun.elapsed().saturating_sub(running.paused);
    // A job that was asked to end before has used up part of its grace.
    let until = term_at.unwrap_or_else(Instant::now) + job.grace;
    let mut leaked = kept.settle(job.leftovers, Some(group), until, lifeline.as_fd());
    let mut trouble = running.trouble.take();
    let mut cause = cause;
    if let Some(group) = running.group.take() {
        if group.is_out_of_memory() {
            // Without a limit of its own it was one of somebody above that was passed.
            cause = match job.limits.memory {
                Some(_) => Cause::Memory,
                None => Cause::Starved,
            };
        }
        match group.end() {
            Ok(left) => leaked += left,
            Err(error) => trouble = Some(format!("its control group could not be ended: {error}")),
        }
    }
    let path = job.report.as_ref().map(Path::new);
    let printed = running.output.as_ref().filter(|_| job.output_is_report);
    let report = running.report.take();
    let report = report
        .or_else(|| path.and_then(|path| read_report(path).ok()))
        .or_else(|| printed.and_then(|file| all_of(file, job, place).ok()));
    let mut ended = Ended {
        cause,
        duration,
        report,
        trouble,
        ..Ended::not_started(String::new())
    };
    match exit {
        Ok(exit) => {
            ended.status = exit.status;
            ended.cpu = exit.cpu;
            ended.memory = exit.memory.max(running.peak);
        }
        Err(error) => ended.status = Status::NotStarted(format!("its end was lost: {error}")),
    }
    // What was killed together with its job was not left behind by it.
    ended.leaked = if cause == Cause::Itself { leaked } else { 0 };
    let output = running
        .output
        .map(|file| capture::read(file, job.output_limit));
    ended.output = output.and_then(Result::ok).unwrap_or_default();
    clean_up(job, place, &mut ended);
    Ok(ended)
}

/// All that a job printed. Where output is not captured for its own sake, it is passed on now.
fn all_of(output: &File, job: &JobRequest, place: &Place<'_>) -> io::Result<Vec<u8>> {
    let printed = capture::read(output.try_clone()?, MOST_REPORT)?.head;
    if let (Some(through), false) = (place.through, job.capture) {
        File::from(through.try_clone()?).write_all(&printed)?;
    }
    Ok(printed)
}

struct Running {
    process: Process,
    group: Option<Cgroup>,
    output: Option<File>,
    /// Up to where the middle of the output was given back.
    thinned: u64,
    /// Standard output, where it is a file of its own.
    stdout: Option<File>,
    begun: Instant,
    /// How long it was paused, all in all.
    paused: Duration,
    /// The pauses' beginnings and lengths, on the clock that runners report test starts by.
    pauses: Vec<(Duration, Duration)>,
    /// The most memory that was seen, where it is watched.
    peak: u64,
    /// What its report has said by now of how far its tests are.
    progress: Progress,
    /// The report as it said that a test's time is over: what is added later comes too late.
    report: Option<Vec<u8>>,
    /// What went wrong beside the job itself.
    trouble: Option<String>,
}

impl Running {
    fn start(job: &JobRequest, place: &Place<'_>) -> Result<Self, Box<Ended>> {
        let cant = |what: &str, error: &io::Error| {
            let mut ended = Ended::not_started(format!("can't {what}: {error}"));
            if is_shortage(error) {
                ended.cause = Cause::Shortage;
            }
            Box::new(ended)
        };
        if !job.has_tmp {
            place
                .scratch
                .make(Path::new(&job.tmp))
                .map_err(|error| cant("make the job's temporary folder", &error))?;
        }
        let output = match place.through {
            Some(_) if !job.capture && !job.output_is_report => None,
            _ => {
                let file = match &job.output {
                    Some(path) => capture::create(Path::new(path)),
                    None => capture::open(place.scratch.path()),
                };
                Some(file.map_err(|error| cant("capture output", &error))?)
            }
        };
        // What is there already was put there to be taken for results.
        let _ = job
            .report
            .as_ref()
            .map(|path| place.scratch.remove(Path::new(path)));
        let stdout = job.stdout.as_ref().map(|path| {
            let mut options = File::options();
            options.write(true).create_new(true).open(path)
        });
        let stdout = stdout
            .transpose()
            .map_err(|error| cant("make a file for standard output", &error))?;
        let sink = match (&output, place.through) {
            (Some(file), _) => Sink::Files(stdout.as_ref().unwrap_or(file).as_fd(), file.as_fd()),
            // What is wanted by itself is no output to be passed on.
            (None, Some(fd)) => match &stdout {
                Some(stdout) => Sink::Files(stdout.as_fd(), fd.as_fd()),
                None => Sink::Through(fd.as_fd()),
            },
            (None, None) => {
                let why = io::Error::other("there is nothing to write to");
                return Err(cant("pass output on", &why));
            }
        };
        let group = match job.level {
            Level::Cgroup => Some(
                Cgroup::new(job.limits.memory).map_err(|why| Box::new(Ended::not_started(why)))?,
            ),
            _ => None,
        };
        let begun = Instant::now();
        let process = place.start(job, &sink, group.as_ref());
        let process = process.map_err(|error| {
            let StartError::System(error) = error else {
                return Box::new(Ended::not_started(error.explain(job)));
            };
            if is_shortage(&error) {
                cant("start a process", &error)
            } else {
                Box::new(Ended::not_started(explain(job, &error)))
            }
        })?;
        Ok(Self {
            process,
            group,
            output,
            thinned: 0,
            stdout,
            begun,
            paused: Duration::ZERO,
            pauses: Vec::new(),
            peak: 0,
            progress: Progress::default(),
            report: None,
            trouble: None,
        })
    }

    /// Waits until its process has ended, and makes it where it must. Returns why, and when it was asked to.
    fn watch(
        &mut self,
        job: &JobRequest,
        place: &Place<'_>,
        lifeline: BorrowedFd<'_>,
    ) -> Result<(Cause, Option<Instant>), Abandoned> {
        let cause = self.wait(job, lifeline)?;
        if cause == Cause::Itself {
            return Ok((cause, None));
        }
        if cause == Cause::Timeout {
            self.look_into(job, place, lifeline)?;
        }
        self.process.signal(tree::number(job.stop_signal));
        // A stopped process sees it only when it goes on.
        self.process.signal(Signal::CONT);
        let term_at = Instant::now();
        loop {
            match self.process.wait(lifeline, Some(term_at + job.grace)) {
                Ok(Woken::Ended) => break,
                Ok(Woken::Lifeline) => match frame::read::<Request>(&mut RawStdin(lifeline)) {
                    Ok(Some(_)) => {}
                    Ok(None) | Err(_) => return Err(Abandoned),
                },
                Ok(Woken::Deadline) | Err(_) => {
                    self.process.signal(Signal::KILL);
                    break;
                }
            }
        }
        Ok((cause, Some(term_at)))
    }

    /// Waits for the end, the timeout, an order to stop, or more output or memory than is allowed.
    fn wait(&mut self, job: &JobRequest, lifeline: BorrowedFd<'_>) -> Result<Cause, Abandoned> {
        let mut limit = job.timeout.map(|timeout| self.begun + timeout);
        let mut look = self.begun + FIRST_LOOK;
        loop {
            let wake = limit.map_or(look, |limit| limit.min(look));
            match self
                .process
                .wait(lifeline, Some(wake))
                .map_err(|_| Abandoned)?
            {
                Woken::Ended => return Ok(Cause::Itself),
                Woken::Deadline => {
                    let now = Instant::now();
                    if limit.is_some_and(|limit| now >= limit) {
                        match self.later(job, limit) {
                            Some(later) => limit = Some(later),
                            None => return Ok(Cause::Timeout),
                        }
                    }
                    if now >= look {
                        if let Some(cause) = self.excess(job) {
                            return Ok(cause);
                        }
                        look = now + LATER_LOOKS;
                    }
                }
                Woken::Lifeline => match frame::read(&mut RawStdin(lifeline)) {
                    Ok(Some(Request::Stop)) => return Ok(Cause::Stop),
                    Ok(Some(Request::Pause)) => {
                        let (stopped, length) = self.pause(lifeline)?;
                        limit = limit.map(|limit| limit + length);
                        if stopped {
                            return Ok(Cause::Stop);
                        }
                    }
                    // One job at a time: nobody sends a second.
                    Ok(Some(_)) => {}
                    Ok(None) | Err(_) => return Err(Abandoned),
                },
            }
        }
    }

    /// Holds the job's processes until they may go on. Returns whether the run was stopped meanwhile, and how long it was.
    fn pause(&mut self, lifeline: BorrowedFd<'_>) -> Result<(bool, Duration), Abandoned> {
        let begun = Instant::now();
        let at = monotonic();
        tree::signal_all(Signal::STOP);
        let stopped = loop {
            match frame::read(&mut RawStdin(lifeline)) {
                Ok(Some(Request::Resume)) => break false,
                Ok(Some(Request::Stop)) => break true,
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return Err(Abandoned),
            }
        };
        tree::signal_all(Signal::CONT);
        let length = begun.elapsed();
        self.paused += length;
        self.pauses.push((at, length));
        Ok((stopped, length))
    }

    /// Whether it has written or taken more than it may.
    fn excess(&mut self, job: &JobRequest) -> Option<Cause> {
        self.look_at_report(job);
        if let Some(file) = &self.output {
            self.thinned = capture::thin(file, self.thinned, job.output_limit);
        }
        // A listing may print as many tests as there are; what it says beside them is what is bounded.
        let stdout = self.stdout.as_ref().filter(|_| job.report.is_some());
        let files = self.output.iter().chain(stdout);
        let written = files.filter_map(|file| file.metadata().ok());
        if written.map(|meta| meta.len()).sum::<u64>() > job.output_max {
            return Some(Cause::Output);
        }
        let most = job.limits.memory?;
        let taken = tree::memory();
        self.peak = self.peak.max(taken);
        (taken > most).then_some(Cause::Memory)
    }
}

/// Standard input without the buffer of `std::io::Stdin`, which `poll` can't see into.
pub struct RawStdin<'a>(pub BorrowedFd<'a>);

impl Read for RawStdin<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::retry_on_intr(|| {
            rustix::io::read(self.0, &mut *buffer)
        })?)
    }
}

/// Removes what the job leaves on disk, or keeps it where that was asked for.
fn clean_up(job: &JobRequest, place: &Place<'_>, ended: &mut Ended) {
    let failed = ended.status != Status::Exit(0) || ended.cause != Cause::Itself;
    let keep = !job.leave_tmp
        && match job.keep_tmp {
            KeepTmp::Never => false,
            KeepTmp::Failed => failed,
            KeepTmp::Always => true,
        };
    let (kept, trouble) = put_away(Path::new(&job.tmp), keep, place, || remove(job, place));
    ended.kept = kept;
    ended.trouble = trouble.or(ended.trouble.take());
}

/// Takes a temporary folder out of harm's way if it is kept, and removes it. Returns where it is kept, and what went wrong.
pub(super) fn put_away(
    tmp: &Path,
    keep: bool,
    place: &Place<'_>,
    remove: impl FnOnce() -> io::Result<()>,
) -> (Option<OsString>, Option<String>) {
    let mut trouble = None;
    let kept = keep.then(|| place.scratch.keep(tmp)).and_then(|kept| {
        let why =
            |error| trouble = Some(format!("its temporary folder could not be kept: {error}"));
        kept.map(Into::into).map_err(why).ok()
    });
    if let Err(error) = remove() {
        trouble = Some(format!(
            "its temporary folder could not be removed: {error}"
        ));
    }
    (kept, trouble)
}

fn remove(job: &JobRequest, place: &Place<'_>) -> io::Result<()> {
    if let Some(report) = &job.report {
        let _ = place.scratch.remove(Path::new(report));
    }
    if job.leave_tmp {
        return Ok(());
    }
    place.scratch.remove(Path::new(&job.tmp))
}

/// Whether something was short that may be there again in a moment.
fn is_shortage(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(
        errno,
        Some(Errno::AGAIN | Errno::NOMEM | Errno::MFILE | Errno::NFILE)
    )
}

/// Why a program did not start, and what to do about it.
fn explain(job: &JobRequest, error: &io::Error) -> String {
    let program = job
        .words
        .first()
        .map(|word| word.to_string_lossy())
        .unwrap_or_default();
    let path = Path::new(&job.folder).join(program.as_ref());
    let remedy = match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NOENT) if !Path::new(&job.folder).is_dir() => {
            format!("the folder {} does not exist", job.folder.to_string_lossy())
        }
        Some(Errno::NOENT) if program.contains('/') && path.exists() => no_interpreter(&path),
        Some(Errno::NOENT) if job.words.len() == 1 && program.contains(' ') => {
            "an array is a program and its arguments, one word each: split it, or write a string for the shell"
                .to_owned()
        }
        Some(Errno::NOENT) if program.contains('/') => {
            let folder = job.folder.to_string_lossy();
            format!("there is no such file: check the path, relative to {folder}")
        }
        Some(Errno::NOENT) => "it is not on PATH: install it, or give its path".to_owned(),
        Some(Errno::ACCESS) if program.contains('/') => no_access(&path, &program),
        Some(Errno::ACCESS) => {
            "the one that was found on PATH may not be executed: see its permissions".to_owned()
        }
        Some(Errno::NOEXEC) => {
            "it is no program: give it a first line such as `#!/bin/sh`".to_owned()
        }
        Some(Errno::TOOBIG) => "its arguments are too long: make `chunk-size` smaller".to_owned(),
        _ => return format!("can't start {program}: {error}"),
    };
    format!("can't start {program}: {error}; {remedy}")
}

/// Why the interpreter of a file that is there was not found.
fn no_interpreter(path: &Path) -> String {
    let mut head = Vec::new();
    // As much as the kernel looks at.
    let file = std::fs::File::open(path);
    let _ = file.and_then(|file| file.take(256).read_to_end(&mut head));
    let first = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if first.ends_with(b"\r") {
        return "its first line ends with a carriage return, as on Windows: save it with LF line ends".to_owned();
    }
    "the interpreter of its first line does not exist".to_owned()
}

/// Why a file that is there may not be executed.
fn no_access(path: &Path, program: &str) -> String {
    let is_noexec = |path: &Path| {
        let stat = rustix::fs::statvfs(path);
        stat.is_ok_and(|stat| stat.f_flag.contains(StatVfsMountFlags::NOEXEC))
    };
    let meta = path.metadata();
    match meta {
        Ok(meta) if meta.is_dir() => "it is a folder".to_owned(),
        Ok(meta) if meta.permissions().mode() & 0o111 == 0 => {
            format!("it is not executable: run `chmod +x {program}`")
        }
        Ok(_) if is_noexec(path) => {
            "its file system is mounted noexec: no program can run from there".to_owned()
        }
        Ok(_) => {
            "it, or the interpreter of its first line, may not be executed by this user".to_owned()
        }
        Err(_) => "a folder above it may not be entered by this user".to_owned(),
    }
}
