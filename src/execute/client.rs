//! The engine's side of a worker: starting one, handing it a job, waiting for the end.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{self, BufReader};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use crate::worker::frame::{self, Ended, JobRequest, Reply, Request};

/// All workers that are there, so that they can be told to stop.
pub struct Clients {
    capture: bool,
    inputs: Mutex<Inputs>,
}

#[derive(Default)]
struct Inputs {
    stopping: bool,
    by_pid: HashMap<u32, Arc<Mutex<ChildStdin>>>,
}

impl Clients {
    /// No workers yet.
    pub fn new(capture: bool) -> Self {
        Self {
            capture,
            inputs: Mutex::new(Inputs::default()),
        }
    }

    fn inputs(&self) -> std::sync::MutexGuard<'_, Inputs> {
        self.inputs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells every worker to end the job that it runs, also those that are handed one just now.
    pub fn stop_all(&self) {
        let mut inputs = self.inputs();
        inputs.stopping = true;
        for input in inputs.by_pid.values() {
            send(input, &Request::Stop);
        }
    }
}

fn send(input: &Mutex<ChildStdin>, request: &Request) {
    let mut input = input.lock().unwrap_or_else(PoisonError::into_inner);
    // A worker that is gone is noticed by the lane that waits for its reply.
    let _ = frame::write(&mut *input, request);
}

/// A worker process.
pub struct Client<'a> {
    clients: &'a Clients,
    child: Child,
    input: Option<Arc<Mutex<ChildStdin>>>,
    output: BufReader<ChildStdout>,
    /// Its process id: `<pid>`.
    pub pid: u32,
    /// The folder that its jobs' temporary folders are made in.
    pub tmp: PathBuf,
    /// How many jobs it was handed.
    pub jobs: usize,
}

impl<'a> Client<'a> {
    /// Starts a worker.
    pub fn start(clients: &'a Clients) -> io::Result<Self> {
        let mut command = Command::new(this_program()?);
        command.arg("worker");
        // It must not see the terminal's Ctrl-C: it is told to stop, so that its job gets its grace.
        command
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        // A descriptor that the worker inherits stands in for its standard output, which carries frames.
        let through = if clients.capture {
            None
        } else {
            Some(rustix::io::dup(io::stdout())?)
        };
        if let Some(fd) = &through {
            command.arg("--output-fd").arg(fd.as_raw_fd().to_string());
        }
        let mut child = command.spawn()?;
        let missing = || io::Error::other("a worker has no pipes");
        let input = Arc::new(Mutex::new(child.stdin.take().ok_or_else(missing)?));
        let output = BufReader::new(child.stdout.take().ok_or_else(missing)?);
        let mut client = Self {
            clients,
            pid: child.id(),
            child,
            input: Some(input.clone()),
            output,
            tmp: PathBuf::new(),
            jobs: 0,
        };
        match frame::read(&mut client.output)? {
            Some(Reply::Ready { pid, tmp }) => {
                client.pid = pid;
                client.tmp = PathBuf::from(tmp);
            }
            Some(Reply::Failed(why)) => return Err(io::Error::other(why)),
            _ => return Err(io::Error::other("a worker ended before it began")),
        }
        clients.inputs().by_pid.insert(client.pid, input);
        Ok(client)
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
            if inputs.stopping {
                send(input, &Request::Stop);
            }
        }
        match frame::read(&mut self.output)? {
            Some(Reply::Ended(ended)) => Ok(*ended),
            Some(_) => Err(io::Error::other("a worker answered what it was not asked")),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

impl Drop for Client<'_> {
    fn drop(&mut self) {
        // Closing its lifeline is what ends a worker; the registry's share of it goes first.
        self.clients.inputs().by_pid.remove(&self.pid);
        self.input = None;
        let _ = self.child.wait();
    }
}

/// The running program itself, also if its file was replaced meanwhile, as a build of `orchestrate` by its own tests does.
fn this_program() -> io::Result<OsString> {
    if cfg!(target_os = "linux") {
        return Ok("/proc/self/exe".into());
    }
    std::env::current_exe().map(Into::into)
}
