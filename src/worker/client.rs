//! The engine's side of a worker: starting one, handing it a job, waiting for the end.

use std::collections::{HashMap, HashSet};
use std::io::{self, BufReader};
use std::net::Shutdown;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use super::frame::{self, Ended, Home, JobRequest, Reply, Request, Settled, Walls};
use super::inherited;
use super::pass;
use super::program;
use super::scratch;
use super::tree::kill_strays;
use crate::manifest::model::StopSignal;

/// All workers that are there, so that they can be told to stop.
pub struct Clients {
    /// What a worker removes if we are killed before we could.
    run_folder: Option<PathBuf>,
    inputs: Mutex<Inputs>,
}

#[derive(Default)]
struct Inputs {
    /// Whether jobs write where we do.
    through: bool,
    /// What workers keep open for as long as they live.
    hold: Option<Arc<OwnedFd>>,
    stopping: bool,
    /// Those whose jobs are being ended, whoever they are: see [`Client::serves`].
    ended: HashSet<usize>,
    /// Since when all is held, if it is.
    paused: Option<Instant>,
    /// How long all was held before.
    held: Duration,
    by_pid: HashMap<u32, Worker>,
}

struct Worker {
    /// Its lifeline; none once it may go.
    input: Option<Arc<Mutex<UnixStream>>>,
    /// Whom it works for.
    serves: Option<usize>,
    /// What it runs must not be ended early: a hook that takes back what another has done.
    to_its_end: bool,
    /// Whether it alone was asked to end what it runs, or is about to.
    is_asked: bool,
}

impl Worker {
    fn tell(&self, request: &Request) {
        if let Some(input) = &self.input {
            send(input, request);
        }
    }
}

impl Clients {
    /// No workers yet.
    pub fn new(run_folder: Option<&Path>) -> Arc<Self> {
        Arc::new(Self {
            run_folder: run_folder.map(Path::to_owned),
            inputs: Mutex::new(Inputs::default()),
        })
    }

    /// What workers that start from now on are to know: whether output is captured, and what they keep open.
    pub fn begin(&self, capture: bool, hold: Option<Arc<OwnedFd>>) {
        let mut inputs = self.inputs();
        inputs.through = !capture;
        inputs.hold = hold;
    }

    /// Whether everything is being ended.
    pub fn is_stopping(&self) -> bool {
        self.inputs().stopping
    }

    /// Whether the jobs of those that workers serve by this number are being ended.
    pub fn is_stopping_for(&self, served: usize) -> bool {
        let inputs = self.inputs();
        inputs.stopping || inputs.ended.contains(&served)
    }

    /// Tells every worker that serves by this number to end the job that it runs, also those that are handed one just now.
    pub fn stop_those_of(&self, served: usize) {
        let mut inputs = self.inputs();
        inputs.ended.insert(served);
        let workers = inputs.by_pid.values();
        let theirs = workers.filter(|worker| worker.serves == Some(served) && !worker.to_its_end);
        theirs.for_each(|worker| worker.tell(&Request::Stop));
    }

    /// How long everything was held, all in all.
    pub fn held(&self) -> Duration {
        let inputs = self.inputs();
        inputs.held
            + inputs
                .paused
                .map_or(Duration::ZERO, |since| since.elapsed())
    }

    fn inputs(&self) -> std::sync::MutexGuard<'_, Inputs> {
        self.inputs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells every worker to end the job that it runs, also those that are handed one just now.
    pub fn stop_all(&self) {
        let mut inputs = self.inputs();
        inputs.stopping = true;
        for worker in inputs.by_pid.values().filter(|worker| !worker.to_its_end) {
            worker.tell(&Request::Stop);
        }
    }

    /// Tells a worker to end the job that it runs, if it is one of ours and nothing that must not be ended early.
    pub fn stop_one(&self, pid: u32) {
        let mut inputs = self.inputs();
        let worker = inputs.by_pid.get_mut(&pid);
        if let Some(worker) = worker.filter(|worker| !worker.to_its_end) {
            worker.tell(&Request::Stop);
            // It may not have been handed the job yet.
            worker.is_asked = true;
        }
    }

    /// Whether what a worker runs must not be ended early.
    pub fn must_end(&self, pid: u32) -> bool {
        let inputs = self.inputs();
        let worker = inputs.by_pid.get(&pid);
        worker.is_some_and(|worker| worker.to_its_end)
    }

    /// Holds every job, and its clock, until [`Clients::resume_all`].
    pub fn pause_all(&self) {
        self.tell_all(true, &Request::Pause);
    }

    /// Lets every job go on.
    pub fn resume_all(&self) {
        self.tell_all(false, &Request::Resume);
    }

    fn tell_all(&self, paused: bool, request: &Request) {
        let mut inputs = self.inputs();
        if paused {
            inputs.paused = inputs.paused.or_else(|| Some(Instant::now()));
        } else if let Some(since) = inputs.paused.take() {
            inputs.held += since.elapsed();
        }
        for worker in inputs.by_pid.values() {
            worker.tell(request);
        }
    }

    /// Ends what came to us from workers that were killed. No worker starts meanwhile, since a new one would be taken for such.
    fn end_strays(&self) {
        let inputs = self.inputs();
        let ours = inputs
            .by_pid
            .keys()
            .filter_map(|pid| i32::try_from(*pid).ok());
        kill_strays(&ours.collect());
    }
}

fn strange() -> io::Error {
    io::Error::other("a worker answered what it was not asked")
}

fn send(input: &Mutex<UnixStream>, request: &Request) {
    let mut input = input.lock().unwrap_or_else(PoisonError::into_inner);
    // A worker that is gone is noticed by the lane that waits for its reply.
    let _ = frame::write(&mut *input, request);
}

/// A worker process.
pub struct Client {
    clients: Arc<Clients>,
    child: Child,
    input: Option<Arc<Mutex<UnixStream>>>,
    output: BufReader<UnixStream>,
    /// Its process id: `<pid>`.
    pub pid: u32,
    /// The folder that its jobs' temporary folders are made in.
    pub tmp: PathBuf,
    /// The namespaces that it lives in, where they are its own.
    namespaces: Option<Arc<Vec<OwnedFd>>>,
    /// Folders in it that outlive a request.
    made: HashSet<PathBuf>,
    /// The process id of the session host in its care, or of the last one.
    pub host: u32,
    /// Whether it did not answer.
    is_lost: bool,
    /// How many jobs it was handed.
    pub jobs: usize,
}

impl Client {
    /// Starts a worker.
    ///
    /// # Errors
    /// There is no process, descriptor or folder to be had for it, or it can't live there.
    pub fn start(clients: &Arc<Clients>, home: &Home) -> io::Result<Self> {
        let is_confined = !matches!(home, Home::Outside);
        let mut command = Command::new(program::for_ourselves()?);
        command.arg("worker");
        inherited::set(&mut command);
        // A socket and not a pipe: a job could open a pipe through /proc and forge what goes over it, and nobody can open a
        // socket so (proc_pid_fd(5)).
        let (ours, theirs) = UnixStream::pair()?;
        // It must not see the terminal's Ctrl-C: it is told to stop, so that its job gets its grace.
        command
            .process_group(0)
            .stdin(OwnedFd::from(theirs.try_clone()?))
            .stdout(OwnedFd::from(theirs));
        if let Some(folder) = &clients.run_folder {
            command.arg("--run-folder").arg(folder);
        }
        if is_confined {
            command.arg("--confined");
        }
        // A descriptor that the worker inherits stands in for its standard output, which carries frames.
        let mut inputs = clients.inputs();
        let through = if inputs.through {
            Some(rustix::io::dup(io::stdout())?)
        } else {
            None
        };
        if let Some(fd) = &through {
            command.arg("--output-fd").arg(fd.as_raw_fd().to_string());
        }
        let input = Arc::new(Mutex::new(ours.try_clone()?));
        let output = BufReader::new(ours);
        // Inherited: only what was opened with close-on-exec is not.
        let _hold = inputs.hold.as_ref().map(rustix::io::dup).transpose()?;
        let shared = match home {
            Home::With(namespaces, _) => namespaces.iter().map(rustix::io::dup).collect(),
            _ => Ok(Vec::new()),
        };
        let shared: Vec<OwnedFd> = shared?;
        let child = command.spawn()?;
        // The command holds the other end, and a worker's end is seen only when nobody has it.
        drop(command);
        let worker = Worker {
            input: Some(input.clone()),
            serves: None,
            to_its_end: false,
            is_asked: false,
        };
        inputs.by_pid.insert(child.id(), worker);
        drop(inputs);
        let mut client = Self {
            clients: clients.clone(),
            pid: child.id(),
            child,
            input: Some(input),
            output,
            tmp: PathBuf::new(),
            namespaces: None,
            made: HashSet::new(),
            host: 0,
            is_lost: false,
            jobs: 0,
        };
        let walls = match home {
            Home::Outside => None,
            Home::Own(confinement) => Some(Walls::Own(confinement.clone())),
            Home::With(_, folder) => Some(Walls::Shared {
                namespaces: shared.iter().map(AsRawFd::as_raw_fd).collect(),
                folder: folder.clone(),
            }),
        };
        if let (Some(walls), Some(input)) = (walls, &client.input) {
            let mut input = input.lock().unwrap_or_else(PoisonError::into_inner);
            frame::write(&mut *input, &walls)?;
            drop(input);
            let namespaces = pass::receive(client.output.get_ref())?;
            client.namespaces = Some(Arc::new(namespaces));
        }
        match frame::read(&mut client.output)? {
            Some(Reply::Ready { tmp }) => {
                client.tmp = PathBuf::from(tmp);
                Ok(client)
            }
            Some(Reply::Failed(why)) => Err(io::Error::other(why)),
            _ => Err(io::Error::other("a worker ended before it began")),
        }
    }

    /// Where a worker lives that is to live where this one does.
    #[must_use]
    pub fn home(&self) -> Home {
        let namespaces = self.namespaces.clone();
        namespaces.map_or(Home::Outside, |namespaces| {
            Home::With(namespaces, self.tmp.clone())
        })
    }

    /// Whether it can be handed a job.
    pub fn is_alive(&self) -> bool {
        if self.is_lost {
            return false;
        }
        let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) else {
            return false;
        };
        let over = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        matches!(waitid(WaitId::Pid(pid), over), Ok(None))
    }

    /// Waits for the worker's answer; one that was stopped, as a job may do to it, is made to go on.
    fn answer(&mut self) -> io::Result<Option<Reply>> {
        const LOOK: Timespec = Timespec {
            tv_sec: 1,
            tv_nsec: 0,
        };
        loop {
            let mut polled = [PollFd::new(self.output.get_ref(), PollFlags::IN)];
            let is_silent = matches!(poll(&mut polled, Some(&LOOK)), Ok(0));
            if !is_silent {
                return frame::read(&mut self.output);
            }
            let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
            if let Some(pid) = pid {
                let stopped = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG;
                if let Ok(Some(_)) = waitid(WaitId::Pid(pid), stopped) {
                    let _ = kill_process(pid, Signal::CONT);
                }
            }
        }
    }

    /// It works for whoever has this number, and its jobs are ended with theirs.
    pub fn serves(&self, served: usize) {
        if let Some(worker) = self.clients.inputs().by_pid.get_mut(&self.child.id()) {
            worker.serves = Some(served);
        }
    }

    /// What it is handed from now on was not asked to end yet.
    pub fn asked_anew(&self) {
        if let Some(worker) = self.clients.inputs().by_pid.get_mut(&self.child.id()) {
            worker.is_asked = false;
        }
    }

    /// Whether a folder below its own was asked for before.
    pub fn made_tmp(&mut self, path: &Path) -> bool {
        !self.made.insert(path.to_owned())
    }

    /// Runs a hook that takes back what another has done: it is not ended with the run.
    ///
    /// # Errors
    /// The worker is gone.
    pub fn run_to_its_end(&mut self, job: JobRequest) -> io::Result<Ended> {
        self.to_its_end(true);
        let ended = self.run(job);
        self.to_its_end(false);
        ended
    }

    fn to_its_end(&self, yes: bool) {
        if let Some(worker) = self.clients.inputs().by_pid.get_mut(&self.child.id()) {
            worker.to_its_end = yes;
        }
    }

    /// Runs a job; waits until it has ended.
    ///
    /// # Errors
    /// The worker is gone: whatever ran is killed by then.
    pub fn run(&mut self, job: JobRequest) -> io::Result<Ended> {
        self.jobs += 1;
        if let Some(input) = &self.input {
            // Under the lock of all inputs, so that a stop comes either before, and is seen here, or after the job.
            let inputs = self.clients.inputs();
            send(input, &Request::Run(Box::new(job)));
            let worker = inputs.by_pid.get(&self.child.id());
            let served = worker.and_then(|worker| worker.serves);
            let is_ended = served.is_some_and(|served| inputs.ended.contains(&served));
            let is_asked = worker.is_some_and(|worker| worker.is_asked);
            let is_stopping = inputs.stopping || is_ended || is_asked;
            if is_stopping && !worker.is_some_and(|worker| worker.to_its_end) {
                send(input, &Request::Stop);
            }
            if inputs.paused.is_some() {
                send(input, &Request::Pause);
            }
        }
        match self.reply()? {
            Reply::Ended(ended) => Ok(*ended),
            _ => Err(self.lost(strange())),
        }
    }

    /// Starts a session host, which stays until it is dismissed.
    ///
    /// # Errors
    /// The worker is gone; what is wrong with the host is told as its end.
    pub fn host(&mut self, request: JobRequest) -> io::Result<Option<Ended>> {
        self.ask(&Request::Host(Box::new(request)));
        match self.reply()? {
            Reply::Hosted { pid } => {
                self.host = pid;
                Ok(None)
            }
            Reply::Ended(ended) => Ok(Some(*ended)),
            _ => Err(self.lost(strange())),
        }
    }

    /// Looks whether the host is there; how it ended if it is not.
    ///
    /// # Errors
    /// The worker is gone.
    pub fn look(&mut self) -> io::Result<Option<Ended>> {
        self.ask(&Request::Look);
        match self.reply()? {
            Reply::Hosted { .. } => Ok(None),
            Reply::Ended(ended) => Ok(Some(*ended)),
            _ => Err(self.lost(strange())),
        }
    }

    /// Asks a process below the host to end, or ends it and all below it.
    pub fn signal(&self, pid: u32, with: Option<StopSignal>) {
        self.ask(&Request::Signal { pid, with });
    }

    /// Ends what processes of the session have left behind once `after` has ended, and removes the folder that one of them had.
    ///
    /// # Errors
    /// The worker is gone.
    pub fn settle(
        &mut self,
        after: Option<u32>,
        tmp: &Path,
        keep: bool,
        suspects: Vec<u32>,
    ) -> io::Result<Settled> {
        let tmp = tmp.into();
        self.ask(&Request::Settle {
            after,
            tmp,
            keep,
            suspects,
        });
        match self.reply()? {
            Reply::Settled(settled) => Ok(settled),
            _ => Err(self.lost(strange())),
        }
    }

    /// Which of these processes do something still. The worker may know them by other numbers than we do.
    ///
    /// # Errors
    /// The worker is gone.
    pub fn running(&mut self, pids: Vec<u32>) -> io::Result<Vec<u32>> {
        self.ask(&Request::Running(pids));
        match self.reply()? {
            Reply::Running(pids) => Ok(pids),
            _ => Err(self.lost(strange())),
        }
    }

    /// Waits for the host's end, but not for longer than `patience`; then it is killed.
    ///
    /// # Errors
    /// The worker is gone.
    pub fn dismiss(&mut self, patience: Duration) -> io::Result<Ended> {
        self.ask(&Request::Dismiss(patience));
        match self.reply()? {
            Reply::Ended(ended) => Ok(*ended),
            _ => Err(self.lost(strange())),
        }
    }

    fn ask(&self, request: &Request) {
        if let Some(input) = &self.input {
            send(input, request);
        }
    }

    fn reply(&mut self) -> io::Result<Reply> {
        match self.answer() {
            Ok(Some(reply)) => Ok(reply),
            Ok(None) => Err(self.lost(io::Error::other("a worker was killed"))),
            Err(error) => Err(self.lost(error)),
        }
    }

    /// The worker does not answer as it should: it is not asked again.
    fn lost(&mut self, why: io::Error) -> io::Error {
        self.is_lost = true;
        // What it ran has come to us, and must not go on.
        let _ = self.child.kill();
        if self.namespaces.is_some() {
            // What lives behind the walls ends with the process that holds them, and not before.
            self.until_ended();
        }
        self.clients.end_strays();
        why
    }
}

impl Client {
    /// Waits until its process has ended, and leaves it there.
    fn until_ended(&self) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let over = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            let _ = retry_on_intr(|| waitid(WaitId::Pid(pid), over));
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Closing its lifeline is what ends a worker; the registry's share of it goes first.
        let process = self.child.id();
        if let Some(worker) = self.clients.inputs().by_pid.get_mut(&process) {
            worker.input = None;
        }
        if let Some(input) = self.input.take() {
            // What nobody says to a worker that we leave by being killed.
            send(&input, &Request::End);
        }
        let _ = self.output.get_ref().shutdown(Shutdown::Both);
        // It stays in the registry until it is reaped: as long, its number is its own and it is no stray.
        self.until_ended();
        let mut inputs = self.clients.inputs();
        let _ = self.child.wait();
        inputs.by_pid.remove(&process);
        drop(inputs);
        // It has done so itself, unless it was killed.
        if !self.tmp.as_os_str().is_empty() {
            let _ = scratch::remove(&self.tmp);
        }
    }
}
