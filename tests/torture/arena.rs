//! Where hostile jobs run: a project whose every process can be found again, a temporary folder of its own, and a victim that
//! nobody may touch.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::Project;

/// When a run is taken for one that will never end.
const HANG: Duration = Duration::from_secs(30);
/// What a run may take beyond the time that its jobs are given: its own start, the scan for what is left.
const ALLOWANCE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(2);

/// See the module.
pub struct Arena {
    /// Before the project: fields are dropped in their order, and a folder can only be removed once nobody writes to it.
    tenants: Tenants,
    project: Project,
}

/// Every process of an arena.
struct Tenants {
    mark: String,
    /// The user whose the runs are, if they are another's.
    user: Option<u32>,
}

impl Arena {
    /// An arena with this manifest.
    pub fn new(manifest: &str) -> Self {
        Self::of(Project::with(manifest))
    }

    /// An arena around a project. Its path is the mark that its processes are found by.
    pub fn of(project: Project) -> Self {
        let mark = project.path().to_string_lossy().into_owned();
        let arena = Self {
            tenants: Tenants { mark, user: None },
            project,
        };
        fs::create_dir(arena.tmp()).unwrap();
        fs::create_dir(arena.path().join("log")).unwrap();
        fs::create_dir_all(arena.victim().join("0/1/2")).unwrap();
        fs::write(arena.victim().join("keep"), "untouched").unwrap();
        fs::write(arena.victim().join("0/keep"), "untouched").unwrap();
        arena
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        self.project.path()
    }

    /// What is `TMPDIR` for `orchestrate`.
    pub fn tmp(&self) -> PathBuf {
        self.path().join("tmp")
    }

    /// A folder that no job has any business with.
    pub fn victim(&self) -> PathBuf {
        self.path().join("victim")
    }

    pub fn file(mut self, name: &str, text: &str) -> Self {
        self.project = self.project.file(name, text);
        self
    }

    pub fn script(mut self, name: &str, body: &str) -> Self {
        self.project = self.project.script(name, body);
        self
    }

    /// Reads a file of the arena.
    pub fn read(&self, name: &str) -> String {
        self.project.read(name)
    }

    /// Adds a compiled program; `None` where there is no C compiler.
    pub fn program(self, name: &str) -> Option<Self> {
        let built = compiled(name)?;
        self.copy(&built, name);
        Some(self)
    }

    /// Makes runs another user's, who owns the arena: root would be allowed what is to be tried. `None` where that can't be.
    pub fn of_another_user(mut self) -> Option<Self> {
        // A user of this test's alone: limits are counted by user. Nobody has to be in a list of users to be one.
        static NEXT: AtomicU32 = AtomicU32::new(0);
        if !is_root() {
            return Some(self);
        }
        let reachable = self.path().ancestors().skip(1).all(|folder| {
            fs::metadata(folder).is_ok_and(|meta| meta.permissions().mode() & 0o001 != 0)
        });
        if !reachable {
            eprintln!("skipped: another user can't reach the temporary folder");
            return None;
        }
        let user =
            200_000 + std::process::id() % 100_000 * 50 + NEXT.fetch_add(1, Ordering::Relaxed);
        self.copy(Path::new(env!("CARGO_BIN_EXE_orchestrate")), "orchestrate");
        self.tenants.user = Some(user);
        self.give(self.path(), user);
        Some(self)
    }

    fn give(&self, path: &Path, user: u32) {
        if path == self.victim() {
            return;
        }
        std::os::unix::fs::lchown(path, Some(user), Some(user)).unwrap();
        if path.symlink_metadata().unwrap().is_dir() {
            for entry in fs::read_dir(path).unwrap().flatten() {
                self.give(&entry.path(), user);
            }
        }
    }

    /// Takes the right to write from whoever runs here.
    pub fn read_only(self) -> Self {
        if self.tenants.user.is_some() {
            chown(self.path(), Some(0), Some(0)).unwrap();
        }
        fs::set_permissions(self.path(), fs::Permissions::from_mode(0o555)).unwrap();
        self
    }

    /// By another process: a file that this one has open for writing can't be run, and its other threads fork.
    fn copy(&self, from: &Path, name: &str) {
        let copied = Command::new("cp")
            .arg(from)
            .arg(self.path().join(name))
            .status();
        assert!(copied.unwrap().success());
    }

    /// `orchestrate` with these arguments, its output in files.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let cleaned = self.project.command(arguments);
        let mut command = match self.tenants.user {
            Some(user) => {
                let mut command = Command::new(self.path().join("orchestrate"));
                command.args(arguments).current_dir(self.path());
                for (name, value) in cleaned.get_envs() {
                    match value {
                        Some(value) => command.env(name, value),
                        None => command.env_remove(name),
                    };
                }
                command.uid(user).gid(user);
                command
            }
            None => cleaned,
        };
        let file = |name: &str| fs::File::create(self.path().join("log").join(name)).unwrap();
        command
            .env("TMPDIR", self.tmp())
            .env("TORTURE_MARK", &self.tenants.mark)
            .stdin(Stdio::null())
            .stdout(file("stdout.txt"))
            .stderr(file("stderr.txt"));
        command
    }

    /// `orchestrate run`, which keeps its events.
    pub fn run_command(&self, arguments: &[&str]) -> Command {
        let events = self.path().join("log/events.jsonl");
        let report = format!("--report=jsonl={}", events.display());
        let mut all = vec!["run", report.as_str()];
        all.extend(arguments);
        self.command(&all)
    }

    /// Runs `orchestrate run` to its end.
    pub fn run(&self, arguments: &[&str]) -> End {
        self.finish(self.start(&mut self.run_command(arguments)))
    }

    /// Starts a command.
    pub fn start(&self, command: &mut Command) -> Started {
        let child = command.spawn();
        Started::from(&child.unwrap_or_else(|error| panic!("{error} in {}", self.path().display())))
    }

    /// Waits for its end, however it ends.
    pub fn finish(&self, started: Started) -> End {
        let Started { pid, begun } = started;
        let mut peaks = HashMap::new();
        let status = loop {
            if let Some(ended) = try_wait(pid) {
                break ended;
            }
            if begun.elapsed() > HANG {
                let left = self.survivors();
                self.tenants.clear();
                let _ = kill_process(pid, Signal::KILL);
                panic!("it hangs\nprocesses: {left:#?}\n{}", self.said());
            }
            sample(pid, &mut peaks);
            thread::sleep(PAUSE);
        };
        let elapsed = begun.elapsed();
        End {
            code: if libc::WIFEXITED(status) {
                libc::WEXITSTATUS(status)
            } else {
                -libc::WTERMSIG(status)
            },
            elapsed,
            peak_kib: peaks.values().sum(),
            said: self.said(),
            events: self.read("log/events.jsonl"),
        }
    }

    fn said(&self) -> String {
        ["log/stdout.txt", "log/stderr.txt"]
            .map(|name| fs::read(self.path().join(name)).unwrap_or_default())
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .concat()
    }

    /// Waits until a job has made a file.
    pub fn until_file(&self, name: &str) {
        let path = self.path().join(name);
        assert!(
            until(Duration::from_secs(20), || path.exists()),
            "{name} is not made\n{}",
            self.said()
        );
    }

    /// Every process that came from this arena.
    pub fn survivors(&self) -> Vec<(Pid, String)> {
        self.tenants.all()
    }

    /// Nothing is left, now: no process, no temporary file; and the victim is as it was.
    #[track_caller]
    pub fn is_clean(&self) {
        self.has_no_process();
        self.has_no_files();
        self.has_its_victim();
    }

    #[track_caller]
    pub fn has_no_process(&self) {
        let left = self.survivors();
        assert!(left.is_empty(), "left: {left:#?}");
    }

    #[track_caller]
    pub fn has_no_files(&self) {
        let left: Vec<_> = fs::read_dir(self.tmp())
            .unwrap()
            .flatten()
            .map(|entry| entry.path())
            .collect();
        assert!(left.is_empty(), "left: {left:#?}");
    }

    #[track_caller]
    pub fn has_its_victim(&self) {
        for name in ["keep", "0/keep"] {
            let text = fs::read_to_string(self.victim().join(name)).unwrap_or_default();
            assert_eq!(text, "untouched", "the victim's {name}");
        }
        assert!(self.victim().join("0/1/2").is_dir(), "the victim's folder");
    }

    /// A run is killed, and nothing of it goes on.
    #[track_caller]
    pub fn kill(&self, started: Started) {
        started.signal(Signal::KILL);
        self.is_soon_without_processes(Duration::ZERO);
        self.has_its_victim();
        self.finish(started).exits(-9);
    }

    /// No process is left soon: `orchestrate` itself was killed, so nobody tells when.
    #[track_caller]
    pub fn is_soon_without_processes(&self, grace: Duration) {
        let gone = until(grace + ALLOWANCE, || self.survivors().is_empty());
        assert!(gone, "left: {:#?}", self.survivors());
    }
}

impl Tenants {
    /// All of them: by what it runs, where it is, its arguments or its environment. A program of
    /// the arena can empty and change the others, but not what it runs.
    fn all(&self) -> Vec<(Pid, String)> {
        let mark = self.mark.as_bytes();
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let name = entry.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            if pid == std::process::id().cast_signed() {
                continue;
            }
            let leads_to = |name: &str| fs::read_link(entry.path().join(name)).unwrap_or_default();
            let text = |name: &str| fs::read(entry.path().join(name)).unwrap_or_default();
            let is_ours = leads_to("exe").as_os_str().as_bytes().starts_with(mark)
                || leads_to("cwd").as_os_str().as_bytes().starts_with(mark)
                || contains(&text("cmdline"), mark)
                || contains(&text("environ"), mark)
                || self
                    .user
                    .is_some_and(|user| user_of(&text("status")) == Some(user));
            if is_ours {
                let line = String::from_utf8_lossy(&text("cmdline")).replace('\0', " ");
                let state = String::from_utf8_lossy(&text("status"))
                    .lines()
                    .filter(|line| line.starts_with("State") || line.starts_with("PPid"))
                    .collect::<Vec<_>>()
                    .join(" ");
                found.push((Pid::from_raw(pid).unwrap(), format!("{line} {state}")));
            }
        }
        found.retain(|(_, what)| !what.contains("State:\tZ"));
        found
    }

    /// Kills whatever is left.
    fn clear(&self) {
        until(Duration::from_secs(5), || {
            let left = self.all();
            for (pid, _) in &left {
                let _ = kill_process(*pid, Signal::KILL);
            }
            left.is_empty()
        });
    }
}

impl Drop for Tenants {
    fn drop(&mut self) {
        self.clear();
        // What was made unreadable on purpose could not be removed with the folder.
        let _ = Command::new("chmod")
            .args(["-R", "u+rwX", &self.mark])
            .stderr(Stdio::null())
            .status();
    }
}

/// A run that was started.
#[derive(Clone, Copy)]
pub struct Started {
    pub pid: Pid,
    pub begun: Instant,
}

impl Started {
    pub fn from(child: &Child) -> Self {
        Self {
            pid: Pid::from_child(child),
            begun: Instant::now(),
        }
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).unwrap();
    }
}

/// What became of a run.
pub struct End {
    /// The exit code, or the signal with a minus.
    pub code: i32,
    pub elapsed: Duration,
    /// The peak of `orchestrate` and of its supervisors together, without the pages of their file.
    pub peak_kib: u64,
    /// All that it printed.
    pub said: String,
    events: String,
}

impl End {
    /// What it printed, for a person to read.
    pub fn shown(&self) -> String {
        self.said.chars().take(5000).collect()
    }

    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}", self.shown());
        self
    }

    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(
            self.said.contains(text),
            "{text:?} is not in:\n{}",
            self.shown()
        );
        self
    }

    /// It took no longer than its jobs were given, and the allowance.
    #[track_caller]
    pub fn within(self, given: Duration) -> Self {
        let most = given + ALLOWANCE;
        assert!(
            self.elapsed < most,
            "{:?}, not {most:?}\n{}",
            self.elapsed,
            self.shown()
        );
        self
    }

    /// The finished tests.
    pub fn finished(&self) -> Vec<Value> {
        let lines = self
            .events
            .lines()
            .map(|line| serde_json::from_str(line).unwrap());
        lines
            .filter(|event: &Value| event["event"] == "test-finished")
            .collect()
    }

    /// `id outcome` of every test, sorted.
    pub fn outcomes(&self) -> Vec<String> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let mut list: Vec<_> = self
            .finished()
            .iter()
            .map(|event| format!("{} {}", text(&event["id"]), text(&event["outcome"])))
            .collect();
        list.sort();
        list
    }

    /// Checks the outcomes; what was printed is shown where they are others.
    #[track_caller]
    pub fn ends<S: AsRef<str>>(self, outcomes: &[S]) -> Self {
        let outcomes: Vec<_> = outcomes.iter().map(AsRef::as_ref).collect();
        assert_eq!(self.outcomes(), outcomes, "{}", self.shown());
        self
    }

    /// Why a test ended so.
    pub fn message(&self, id: &str) -> String {
        let finished = self.finished();
        let test = finished.iter().find(|event| event["id"] == id);
        test.and_then(|test| test["message"].as_str())
            .unwrap_or_default()
            .to_owned()
    }
}

/// Whether something comes true in time.
pub fn until(most: Duration, mut is_true: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + most;
    loop {
        if is_true() {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        thread::sleep(PAUSE);
    }
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A program from `programs/`, compiled; `None` where there is no compiler.
pub fn compiled(name: &str) -> Option<PathBuf> {
    static ONE: Mutex<()> = Mutex::new(());
    let one = ONE.lock();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/torture/programs");
    let source = folder.join(name).with_extension("c");
    // Named by what it is made from, so that it is never stale and never written while it runs.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for file in [&source, &folder.join("mortal.h")] {
        for byte in fs::read(file).unwrap() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    let built = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("torture-{name}-{hash:016x}"));
    if built.exists() {
        return Some(built);
    }
    let temporary = built.with_extension(std::process::id().to_string());
    let compiler = Command::new("cc")
        .args(["-O1", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE", "-o"])
        .arg(&temporary)
        .arg(&source)
        .status();
    drop(one);
    match compiler {
        Ok(status) => {
            assert!(status.success(), "{} does not compile", source.display());
            fs::rename(&temporary, &built).unwrap();
            Some(built)
        }
        Err(error) => {
            let must = std::env::var_os("CI").is_some_and(|ci| ci == "true");
            assert!(!must, "there is no C compiler: {error}");
            eprintln!("skipped: no C compiler (`cc`: {error})");
            None
        }
    }
}

/// How it ended, if it has ended.
pub fn try_wait(pid: Pid) -> Option<i32> {
    let mut status = 0;
    // SAFETY: the status lives until the call returns; waitpid(2).
    let found =
        unsafe { libc::waitpid(pid.as_raw_nonzero().get(), &raw mut status, libc::WNOHANG) };
    assert!(found >= 0, "{}", io::Error::last_os_error());
    (found > 0).then_some(status)
}

/// Notes the peaks of a process and of its workers. What wait4(2) tells is of no use here: it counts the memory of whoever
/// started a process, too, which is that process's until it executes its program.
fn sample(pid: Pid, peaks: &mut HashMap<Pid, u64>) {
    let mut look = |pid: Pid| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let kib = |name: &str| -> Option<u64> {
            let value = status.lines().find_map(|line| line.strip_prefix(name));
            value.and_then(|text| text.split_whitespace().next()?.parse().ok())
        };
        // The pages of the program's file are the size of the build, and nobody else's loss.
        if let (Some(peak), Some(file)) = (kib("VmHWM:"), kib("RssFile:")) {
            let own = peaks.entry(pid).or_default();
            *own = peak.saturating_sub(file).max(*own);
        }
    };
    look(pid);
    let tasks = fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten();
    for task in tasks.flatten() {
        let list = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        for child in list.split_whitespace().filter_map(|id| id.parse().ok()) {
            let line = fs::read(format!("/proc/{child}/cmdline")).unwrap_or_default();
            if contains(&line, b"\0worker\0") {
                look(Pid::from_raw(child).unwrap());
            }
        }
    }
}

fn user_of(status: &[u8]) -> Option<u32> {
    let text = String::from_utf8_lossy(status);
    let line = text.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_whitespace().next()?.parse().ok()
}

pub fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// A TOML array of texts.
pub fn array<S: AsRef<str>>(texts: impl IntoIterator<Item = S>) -> String {
    let mut all = String::from("[");
    for text in texts {
        // A JSON text is a TOML text.
        let text = serde_json::to_string(text.as_ref()).unwrap();
        let _ = write!(all, "{text}, ");
    }
    all + "]"
}
