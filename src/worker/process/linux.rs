//! Linux: `clone` with `CLONE_VM | CLONE_VFORK`, a pidfd, `poll`.
//!
//! The child runs on a stack of its own in our memory until it executes the program, and we sleep as long: nothing is copied,
//! whatever the size of our heap. So everything it needs is made before: what it runs is a handful of system calls over
//! pointers (vfork(2), signal-safety(7)).

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{CStr, CString, OsStr, OsString, c_char, c_int, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::ptr;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal};

use super::{Exit, Sink, Woken};
use crate::worker::frame::{EnvBlock, JobRequest, Status};
use crate::worker::level::Cgroup;

const STACK: usize = 64 * 1024;
const PAGE: usize = 4096;

/// What every start needs and none changes.
pub struct Spawner {
    null: OwnedFd,
    stack: Stack,
    environment: RefCell<Environment>,
}

/// A job's process, the head of a session and a process group of its own.
pub struct Process {
    pid: Pid,
    handle: OwnedFd,
    exit: Option<Exit>,
}

/// Memory for the child's few calls, with a page below it that can't be touched.
struct Stack {
    base: *mut c_void,
}

impl Stack {
    fn new() -> io::Result<Self> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at an address that the kernel chooses; it stays for the life of this value.
        unsafe {
            let base = libc::mmap(ptr::null_mut(), STACK + PAGE, access, flags, -1, 0);
            if base == libc::MAP_FAILED || libc::mprotect(base, PAGE, libc::PROT_NONE) != 0 {
                return Err(io::Error::last_os_error());
            }
            Ok(Self { base })
        }
    }

    fn top(&self) -> *mut c_void {
        // SAFETY: the end of the mapping, which is aligned to a page.
        unsafe { self.base.byte_add(STACK + PAGE) }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: the mapping was made in `new`, and no child runs on it: each has executed its program or gone.
        unsafe {
            libc::munmap(self.base, STACK + PAGE);
        }
    }
}

/// Our own environment, and what was made of it for the last job.
struct Environment {
    own: Vec<(OsString, CString)>,
    ready: Ready,
}

/// Our variables, or what of them is allowed, with those over it that jobs have in common. Most jobs of a worker have the same.
#[derive(Default)]
struct Ready {
    only: Option<Vec<OsString>>,
    without: Vec<OsString>,
    common: EnvBlock,
    entries: Vec<CString>,
    places: HashMap<OsString, usize>,
}

impl Environment {
    fn new() -> Self {
        let own = std::env::vars_os().filter_map(|(name, value)| {
            let text = entry(&name, &value).ok()?;
            Some((name, text))
        });
        let own: Vec<_> = own.collect();
        Self {
            ready: Ready::new(&own, &JobRequest::default()),
            own,
        }
    }

    /// What a job has in common with others.
    fn ready(&mut self, job: &JobRequest) -> &Ready {
        let is_same = self.ready.only == job.env_only
            && self.ready.without == job.env_without
            && self.ready.common == job.common;
        if !is_same {
            self.ready = Ready::new(&self.own, job);
        }
        &self.ready
    }
}

impl Ready {
    fn new(own: &[(OsString, CString)], job: &JobRequest) -> Self {
        let mut ready = Self {
            only: job.env_only.clone(),
            without: job.env_without.clone(),
            common: job.common.clone(),
            ..Self::default()
        };
        for (name, entry) in own {
            let only = ready.only.as_ref();
            let is_kept = !ready.without.contains(name);
            if is_kept && only.is_none_or(|only| only.contains(name)) {
                ready.put(name, entry);
            }
        }
        for (name, entry) in job.common.entries() {
            ready.put(name, entry);
        }
        ready
    }

    fn put(&mut self, name: &OsStr, entry: &CStr) {
        match self.places.get(name) {
            Some(place) => entry.clone_into(&mut self.entries[*place]),
            None => {
                self.places.insert(name.to_owned(), self.entries.len());
                self.entries.push(entry.to_owned());
            }
        }
    }

    /// The same with a job's own variables over it: later ones take the place of earlier ones of the same name.
    fn with<'a>(&'a self, job: &'a JobRequest) -> Vec<&'a CStr> {
        let mut list: Vec<_> = self.entries.iter().map(CString::as_c_str).collect();
        let mut more: HashMap<&OsStr, usize> = HashMap::new();
        for (name, entry) in job.env.entries() {
            let known = self.places.get(name).or_else(|| more.get(name));
            if let Some(place) = known {
                list[*place] = entry;
            } else {
                more.insert(name, list.len());
                list.push(entry);
            }
        }
        list
    }
}

fn entry(name: &OsStr, value: &OsStr) -> io::Result<CString> {
    let mut bytes = Vec::with_capacity(name.len() + value.len() + 2);
    bytes.extend_from_slice(name.as_bytes());
    bytes.push(b'=');
    bytes.extend_from_slice(value.as_bytes());
    text(bytes)
}

fn text(bytes: impl Into<Vec<u8>>) -> io::Result<CString> {
    CString::new(bytes).map_err(|_| has_nul())
}

fn has_nul() -> io::Error {
    let why = "an argument or a variable has a NUL byte";
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

/// Everything that the child reads; and where it writes why it could not go on.
struct Plan {
    programs: Vec<*const c_char>,
    arguments: Vec<*const c_char>,
    environment: Vec<*const c_char>,
    folder: *const c_char,
    input: c_int,
    output: c_int,
    /// Standard error; ours where it is negative.
    errors: c_int,
    limits: Vec<(libc::__rlimit_resource_t, libc::rlimit)>,
    /// Where it joins a control group, or a negative number.
    group: c_int,
    mask: libc::sigset_t,
    errno: c_int,
}

impl Spawner {
    /// Prepares what all starts share.
    ///
    /// # Errors
    /// No memory, or no `/dev/null`.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            null: rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?,
            stack: Stack::new()?,
            environment: RefCell::new(Environment::new()),
        })
    }

    /// Starts a job, in a control group if there is one.
    ///
    /// # Errors
    /// Why the program could not be executed, or the process not be made.
    pub fn start(
        &self,
        job: &JobRequest,
        sink: &Sink<'_>,
        group: Option<&Cgroup>,
    ) -> io::Result<Process> {
        let program = job
            .words
            .first()
            .ok_or_else(|| io::Error::other("the command is empty"))?;
        let programs = Self::candidates(job, program)?;
        let words = job.words.iter().map(|word| text(word.as_bytes()));
        let words: Vec<CString> = words.collect::<io::Result<_>>()?;
        let folder = text(job.folder.clone().into_vec())?;
        if job.env.is_broken() || job.common.is_broken() {
            return Err(has_nul());
        }
        let mut environment = self.environment.borrow_mut();
        let variables = environment.ready(job).with(job);
        let (output, errors) = match sink {
            Sink::Files(out, errors) => (out.as_raw_fd(), errors.as_raw_fd()),
            Sink::Through(fd) => (fd.as_raw_fd(), -1),
        };
        let ended = [ptr::null()];
        let mut plan = Plan {
            programs: programs.iter().map(|text| text.as_ptr()).collect(),
            arguments: words
                .iter()
                .map(|text| text.as_ptr())
                .chain(ended)
                .collect(),
            environment: variables
                .iter()
                .map(|text| text.as_ptr())
                .chain(ended)
                .collect(),
            folder: folder.as_ptr(),
            input: self.null.as_raw_fd(),
            output,
            errors,
            limits: limits(job),
            group: group.map_or(-1, |group| group.door.as_raw_fd()),
            mask: empty_mask(),
            errno: 0,
        };
        let (pid, handle) = self.clone(&mut plan)?;
        let mut process = Process {
            pid,
            handle,
            exit: None,
        };
        if plan.errno != 0 {
            process.exit()?;
            return Err(io::Error::from_raw_os_error(plan.errno));
        }
        Ok(process)
    }

    /// The paths to try: a name without a slash is looked for in the job's own `PATH` (execvp(3)).
    fn candidates(job: &JobRequest, program: &OsStr) -> io::Result<Vec<CString>> {
        if program.as_bytes().contains(&b'/') {
            return Ok(vec![text(program.as_bytes())?]);
        }
        let of_job = job.common.pairs().chain(job.env.pairs());
        let of_job = of_job.filter(|(name, _)| *name == "PATH").last();
        let path = match of_job {
            Some((_, path)) => path.to_owned(),
            None => std::env::var_os("PATH").unwrap_or("/usr/local/bin:/usr/bin:/bin".into()),
        };
        std::env::split_paths(&path)
            .map(|folder| text(folder.join(program).into_os_string().into_vec()))
            .collect()
    }

    fn clone(&self, plan: &mut Plan) -> io::Result<(Pid, OwnedFd)> {
        let mut handle: c_int = -1;
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD;
        // SAFETY: the child runs `child` on a stack that nothing else uses, while this thread sleeps in the call (CLONE_VFORK)
        // and so keeps everything alive that `plan` points to. All signals are blocked meanwhile: a handler of ours must not
        // run in the child, which shares our memory. The descriptor that is written to `handle` is ours alone.
        unsafe {
            let mut all = MaybeUninit::<libc::sigset_t>::zeroed();
            let mut before = MaybeUninit::<libc::sigset_t>::zeroed();
            libc::sigfillset(all.as_mut_ptr());
            libc::sigprocmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
            let pid = libc::clone(
                child,
                self.stack.top(),
                flags,
                ptr::from_mut(plan).cast(),
                &raw mut handle,
            );
            let error = io::Error::last_os_error();
            libc::sigprocmask(libc::SIG_SETMASK, before.as_ptr(), ptr::null_mut());
            // -1 is no process id, which `from_raw` insists on.
            match Pid::from_raw(pid.max(0)) {
                Some(pid) => Ok((pid, OwnedFd::from_raw_fd(handle))),
                None => Err(error),
            }
        }
    }
}

/// What a group limits; a hard limit of processor time is a second later, so that the soft one's signal is seen (setrlimit(2)).
fn limits(job: &JobRequest) -> Vec<(libc::__rlimit_resource_t, libc::rlimit)> {
    let same = |value: u64| libc::rlimit {
        rlim_cur: value,
        rlim_max: value,
    };
    let limits = &job.limits;
    let cpu = limits.cpu_seconds.map(|seconds| libc::rlimit {
        rlim_cur: seconds,
        rlim_max: seconds + 1,
    });
    [
        (libc::RLIMIT_CPU, cpu),
        (libc::RLIMIT_NOFILE, limits.open_files.map(same)),
        (libc::RLIMIT_FSIZE, limits.file_size.map(same)),
    ]
    .into_iter()
    .filter_map(|(resource, limit)| Some((resource, limit?)))
    .collect()
}

fn empty_mask() -> libc::sigset_t {
    let mut mask = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: `sigemptyset` initialises the set that it is given.
    unsafe {
        libc::sigemptyset(mask.as_mut_ptr());
        mask.assume_init()
    }
}

/// The child's whole life before the program: nothing here allocates, locks or unwinds.
extern "C" fn child(plan: *mut c_void) -> c_int {
    let plan: *mut Plan = plan.cast();
    // SAFETY: the parent made `plan`, sleeps, and reads `errno` only after this process has gone or executed the program.
    // Every pointer in it is to a NUL-terminated text or a list that ends with a null pointer.
    unsafe {
        (*plan).errno = go(&*plan);
        libc::_exit(127)
    }
}

/// Becomes the program; returns only why it could not.
unsafe fn go(plan: &Plan) -> c_int {
    // SAFETY: as in `child`; the calls are async-signal-safe, and what they change is the child's own.
    unsafe {
        let errno = || *libc::__errno_location();
        if libc::setsid() < 0
            || libc::chdir(plan.folder) < 0
            || libc::dup2(plan.input, 0) < 0
            || libc::dup2(plan.output, 1) < 0
            || (plan.errors >= 0 && libc::dup2(plan.errors, 2) < 0)
            || (plan.group >= 0 && libc::write(plan.group, c"0".as_ptr().cast(), 1) < 0)
        {
            return errno();
        }
        for (resource, limit) in &plan.limits {
            // A limit above the one that we have ourselves: ours stays, which is stricter.
            libc::setrlimit(*resource, limit);
        }
        libc::sigprocmask(libc::SIG_SETMASK, &raw const plan.mask, ptr::null_mut());
        let mut worst = libc::ENOENT;
        for program in &plan.programs {
            libc::execve(*program, plan.arguments.as_ptr(), plan.environment.as_ptr());
            match errno() {
                libc::ENOENT | libc::ENOTDIR => {}
                // Another folder of PATH may have one that can be executed.
                libc::EACCES => worst = libc::EACCES,
                other => return other,
            }
        }
        worst
    }
}

impl Process {
    /// Its process id, which is that of its group and session too.
    pub fn group(&self) -> Pid {
        self.pid
    }

    /// Waits until it has ended, something is on the lifeline, or the deadline has come.
    ///
    /// # Errors
    /// The kernel has no memory to wait with.
    pub fn wait(
        &mut self,
        lifeline: BorrowedFd<'_>,
        deadline: Option<Instant>,
    ) -> io::Result<Woken> {
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let timeout = left.and_then(|left| Timespec::try_from(left).ok());
            let mut polled = [
                PollFd::new(&self.handle, PollFlags::IN),
                PollFd::from_borrowed_fd(lifeline, PollFlags::IN),
            ];
            match poll(&mut polled, timeout.as_ref()) {
                Ok(0) => return Ok(Woken::Deadline),
                Ok(_) if !polled[0].revents().is_empty() => return Ok(Woken::Ended),
                Ok(_) => return Ok(Woken::Lifeline),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Sends a signal to its group.
    pub fn signal(&self, signal: Signal) {
        // The group may be gone already, which is what was wanted.
        let _ = rustix::process::kill_process_group(self.pid, signal);
    }

    /// Reaps it: waits until it has ended.
    ///
    /// # Errors
    /// Somebody else reaped it.
    pub fn exit(&mut self) -> io::Result<Exit> {
        if let Some(exit) = &self.exit {
            return Ok(exit.clone());
        }
        let mut status: c_int = 0;
        let mut usage = MaybeUninit::<libc::rusage>::zeroed();
        // SAFETY: both are written by the call, and an all-zero `rusage` is a valid one.
        let usage = unsafe {
            loop {
                let pid = self.pid.as_raw_nonzero().get();
                if libc::wait4(pid, &raw mut status, 0, usage.as_mut_ptr()) == pid {
                    break usage.assume_init();
                }
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        };
        let exit = Exit {
            status: if libc::WIFSIGNALED(status) {
                Status::Signal(libc::WTERMSIG(status))
            } else {
                Status::Exit(libc::WEXITSTATUS(status))
            },
            cpu: span(usage.ru_utime) + span(usage.ru_stime),
            // In KiB on Linux.
            memory: u64::try_from(usage.ru_maxrss).unwrap_or(0) * 1024,
        };
        self.exit = Some(exit.clone());
        Ok(exit)
    }
}

fn span(time: libc::timeval) -> Duration {
    Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or(0))
        + Duration::from_micros(u64::try_from(time.tv_usec).unwrap_or(0))
}
