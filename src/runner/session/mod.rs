//! Sessions: a process that loads everything once, lists the tests, and is forked for those who run them, or runs them itself.
//!
//! The host lives in the care of a worker of its own, which ends it and all of its forks when it goes, and when `orchestrate`
//! does. What goes over its socket is the session protocol (docs/session-protocol.md); this module starts a host, connects to
//! it and lets it go. It knows nothing of jobs: `execute` runs them over the connections.

mod channel;
mod stream;

use std::ffi::OsString;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

pub use channel::{Connection, Heard, Told};

use super::discover::{Discovery, GroupLookup};
use super::list::{self, Listing};
use super::parts;
use crate::manifest::config::GroupConfig;
use crate::manifest::template::{Lookup, Name};
use crate::worker::Scratch;
use crate::worker::client::{Client, Clients};
use crate::worker::frame::{Ended, Home, JobRequest};
use stream::{Pipes, Stream};

/// How long a host may take until it has loaded and listed its tests.
pub const LONGEST: Duration = Duration::from_secs(30 * 60);
/// How often it is tried whether a host listens, and looked whether it is there at all.
const BETWEEN_TRIES: Duration = Duration::from_millis(2);
const TRIES_A_LOOK: u32 = 25;
/// The temporary folder of a host, in its worker's.
pub const HOST: &str = "host";
/// What a host writes that does not fork, in its worker's folder.
pub const OUTPUT: &str = "output";
/// The longest path of a socket: unix(7).
const MOST_PATH: usize = 107;
/// Folders for a socket whose path would be longer.
const SHORT_FOLDERS: [&str; 3] = ["/tmp", "/var/tmp", "/dev/shm"];

/// A host, once it was needed. Its users share it.
#[derive(Default)]
pub struct Session {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    client: Option<Client>,
    socket: PathBuf,
    /// Where the socket is, if the path of the worker's own folder is too long for it.
    short: Option<Scratch>,
    /// Instead of a socket, where the host does not fork.
    pipes: Option<Pipes>,
    /// How it ended, where that was noticed before anybody asked.
    ended: Option<Ended>,
    /// How many forks there were of it.
    forks: usize,
    /// Whether another fork is likely to be needed, so that it had better stay.
    stays: bool,
    /// Whether the host has left before its forks have.
    has_left: bool,
}

/// Makes a folder with a short path, for a socket alone.
fn short_folder() -> Result<Scratch, String> {
    let folders = SHORT_FOLDERS.iter().map(PathBuf::from);
    Scratch::in_one_of(folders, "socket").map_err(|error| {
        format!(
            "the path of its session's socket is longer than {MOST_PATH} bytes, and there is no shorter one ({}): \
             set TMPDIR to a shorter path, or `session = \"cold\"`",
            error.tried
        )
    })
}

/// How a host is started.
pub struct Start {
    /// The request that starts it.
    pub request: JobRequest,
    /// Whether it forks for its workers. Otherwise it is the one worker: it has pipes instead of a socket, and its output is a
    /// file that is known to others ([`OUTPUT`]).
    pub forks: bool,
}

/// How a host is started in the temporary folder that it gets.
pub type Prepare<'a> = dyn Fn(&Path) -> Result<Start, String> + 'a;

impl Session {
    /// A session that has a host, or will: one whose host has left is replaced by one whose host stays.
    pub fn with_host(session: &mut Arc<Self>) -> Arc<Self> {
        if session.state().has_left {
            let another = Self::default();
            another.stay();
            *session = Arc::new(another);
        }
        session.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection to the host, which is started if it is not there.
    ///
    /// # Errors
    /// Why there is none, with what the host said.
    pub fn connect(
        &self,
        clients: &Arc<Clients>,
        home: &Home,
        prepare: &Prepare<'_>,
    ) -> Result<Connection, String> {
        let mut state = self.state();
        // Where there are pipes, who had them is gone, and the host with him.
        if state.is_there() && state.pipes.is_none() {
            match state.connect(clients) {
                Ok(connection) => return Ok(connection),
                Err(NoConnection::Replaced(why)) => return Err(why),
                // It has died since; another takes its place.
                Err(NoConnection::Gone(_)) => state.client = None,
            }
        }
        state.start(clients, home, prepare)?;
        state.connect(clients).map_err(|why| match why {
            NoConnection::Gone(why) | NoConnection::Replaced(why) => why,
        })
    }

    /// The tests that the host has collected, with the names that `-k` looks in if they are asked for: they cost time.
    ///
    /// # Errors
    /// Why there are none, with what the host said.
    pub fn list(
        &self,
        clients: &Arc<Clients>,
        prepare: &Prepare<'_>,
        keywords: bool,
    ) -> Result<Listing, String> {
        let mut connection = self.connect(clients, &Home::Outside, prepare)?;
        let heard = hear_listing(&mut connection, keywords);
        heard.unwrap_or_else(|error| {
            let why = format!("its session host ended while it listed the tests ({error})");
            Err(self.last_words(&why))
        })
    }

    /// Why something went wrong, with how the host ended and what it said; then it is gone.
    #[must_use]
    pub fn last_words(&self, why: &str) -> String {
        match self.dismiss(Duration::from_secs(1)) {
            Some(Ok(ended)) => tell_end(why, ended),
            Some(Err(error)) => format!("{why}: {error}"),
            None => why.to_owned(),
        }
    }

    /// Waits for the host's end, but not for longer than `patience`; then it is killed. None if there was no host; an error if
    /// its worker is gone.
    pub fn dismiss(&self, patience: Duration) -> Option<io::Result<Ended>> {
        let mut state = self.state();
        let mut client = state.client.take()?;
        let ended = state.ended.take();
        Some(ended.map_or_else(|| client.dismiss(patience), Ok))
    }

    /// Whether the host has ended, though something that it has left may hold its connection open.
    pub fn has_ended(&self) -> bool {
        let mut state = self.state();
        if state.ended.is_none() {
            let look = |client: &mut Client| client.look().ok().flatten();
            state.ended = state.client.as_mut().and_then(look);
        }
        state.ended.is_some()
    }

    /// Does something with the worker that has the host in its care, if there is one.
    pub fn with_client<R>(&self, what: impl FnOnce(&mut Client) -> R) -> Option<R> {
        self.state().client.as_mut().map(what)
    }

    /// There is about to be one more fork, of `all` that are likely to be needed. Returns whether it is the last: then the host may
    /// leave. What it has in memory is the forks' too, and what they have written to since would be there once more for nobody.
    pub fn forks_last(&self, all: usize) -> bool {
        let mut state = self.state();
        state.forks += 1;
        state.forks == all && !state.stays
    }

    /// Its host has left.
    pub fn leave(&self) {
        self.state().has_left = true;
    }

    /// Has the host stay: a fork has broken off, and so may others.
    pub fn stay(&self) {
        self.state().stays = true;
    }

    /// Lets the host end, which it may take so long for. Returns how it did, if it was there.
    #[must_use]
    pub fn finish(&self, patience: Duration) -> Option<Ended> {
        let asked = {
            let state = self.state();
            state.has_left || state.ask_to_finish()
        };
        self.dismiss(if asked { patience } else { Duration::ZERO })?
            .ok()
    }
}

impl State {
    fn is_there(&self) -> bool {
        self.client.as_ref().is_some_and(Client::is_alive)
    }

    fn connect_to_socket(&self) -> io::Result<UnixStream> {
        let worker = self.client.as_ref().map_or(0, |client| client.pid);
        stream::connect(&self.socket, worker)
    }

    fn ask_to_finish(&self) -> bool {
        let stream = self.is_there().then(|| self.connect_to_socket());
        stream
            .and_then(Result::ok)
            .map(|stream| Connection::new(Stream::Socket(stream)))
            .is_some_and(|mut connection| connection.send(&json!({ "finish": {} })).is_ok())
    }

    fn start(
        &mut self,
        clients: &Arc<Clients>,
        home: &Home,
        prepare: &Prepare<'_>,
    ) -> Result<(), String> {
        let mut client = Client::start(clients, home)
            .map_err(|error| format!("can't start a worker: {error}"))?;
        let Start { mut request, forks } = prepare(&client.tmp.join(HOST))?;
        self.socket = client.tmp.join("session");
        self.ended = None;
        if forks {
            if self.socket.as_os_str().len() > MOST_PATH {
                if !matches!(home, Home::Outside) {
                    return Err(format!(
                        "the path of its session's socket is longer than {MOST_PATH} bytes, and a worker that lives in \
                         namespaces sees no other folder: set TMPDIR to a shorter path, or `session = \"cold\"`"
                    ));
                }
                let short = short_folder()?;
                self.socket = short.path().join("session");
                self.short = Some(short);
            }
            let socket = self.socket.as_os_str();
            request.env.push("ORCHESTRATE_SOCKET".as_ref(), socket);
        } else {
            let pipes = Pipes::new(&client.tmp);
            let pipes =
                pipes.map_err(|error| format!("can't make its session's pipes: {error}"))?;
            for (name, path) in pipes.variables() {
                request.env.push(name.as_ref(), path.as_os_str());
            }
            self.pipes = Some(pipes);
            request.stdout = Some(client.tmp.join(OUTPUT).into());
        }
        let ended = client.host(request);
        match ended.map_err(|error| format!("can't start its session: {error}"))? {
            None => {
                self.client = Some(client);
                Ok(())
            }
            Some(ended) => Err(tell_end("can't start its session", ended)),
        }
    }

    /// Waits until the host listens, or the run is being stopped.
    fn connect(&mut self, clients: &Clients) -> Result<Connection, NoConnection> {
        let until = Instant::now() + LONGEST;
        let mut tries = 0;
        loop {
            let stream = match &mut self.pipes {
                Some(pipes) => pipes.connect(),
                None => self.connect_to_socket().map(Stream::Socket),
            };
            let error = match stream {
                Ok(stream) => return Ok(Connection::new(stream)),
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    return Err(NoConnection::Replaced(format!(
                        "another process listens at {}, where its session host should, or has closed it: a test has put \
                         it there, and could forge results with it; find out which test does",
                        self.socket.display()
                    )));
                }
                Err(error) => error,
            };
            tries += 1;
            if tries % TRIES_A_LOOK == 0 {
                self.look(clients, until, &error)
                    .map_err(NoConnection::Gone)?;
            }
            thread::sleep(BETWEEN_TRIES);
        }
    }

    /// Whether it is worth while to try again to connect to the host.
    fn look(&mut self, clients: &Clients, until: Instant, error: &io::Error) -> Result<(), String> {
        let client = self.client.as_mut();
        let client = client.ok_or_else(|| format!("its session is gone: {error}"))?;
        match client.look() {
            Ok(None) => {}
            Ok(Some(ended)) => {
                self.client = None;
                return Err(tell_end("its session host ended at once", ended));
            }
            Err(error) => return Err(format!("its session's worker is gone: {error}")),
        }
        if clients.is_stopping() {
            return Err("the run was stopped".to_owned());
        }
        if Instant::now() > until {
            return Err(format!("its session host never listened: {error}"));
        }
        Ok(())
    }
}

/// Why there is no connection.
enum NoConnection {
    /// The host is not there, or does not answer.
    Gone(String),
    /// Another process has put itself in its place.
    Replaced(String),
}

/// The listing, or why there is none; an error of the connection where the host is gone.
fn hear_listing(
    connection: &mut Connection,
    keywords: bool,
) -> io::Result<Result<Listing, String>> {
    connection.send(&json!({ "list": { "keywords": keywords } }))?;
    let until = Instant::now() + LONGEST;
    let mut text = String::new();
    while let Some(line) = connection.line(Some(until))? {
        let line = String::from_utf8_lossy(line);
        text.push_str(&line);
        text.push('\n');
        // The last line, and the only one that is no test.
        if line.contains("\"event\"") && is_event(&line) {
            return Ok(list::jsonl::parse(&text));
        }
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}

fn is_event(line: &str) -> bool {
    let value: Result<serde_json::Value, _> = serde_json::from_str(line);
    value.is_ok_and(|value| value.get("event").is_some())
}

fn tell_end(why: &str, ended: Ended) -> String {
    let how = ended.status;
    let text = ended.output.into_text();
    format!("{why} ({how})\n{}", text.trim_end())
        .trim_end()
        .to_owned()
}

/// What a host's command may name: the files besides what `inner` knows.
pub struct SessionLookup<'a> {
    /// Whatever else may be named.
    pub inner: &'a dyn Lookup,
    /// The group's files.
    pub files: &'a [OsString],
    /// The host's temporary folder.
    pub tmp: &'a Path,
}

impl Lookup for SessionLookup<'_> {
    fn values(&self, name: &Name) -> Option<Vec<OsString>> {
        match name {
            Name::Files => Some(self.files.to_vec()),
            Name::Tmp => Some(vec![self.tmp.into()]),
            other => self.inner.values(other),
        }
    }
}

/// How a group's host is started.
///
/// # Errors
/// A variable that a template names is not set.
pub fn request(
    group: &GroupConfig,
    lookup: &SessionLookup<'_>,
    root: &Path,
    mut env: Vec<(OsString, OsString)>,
) -> Result<Start, String> {
    let command = group.runner.session.as_ref();
    let command =
        command.ok_or_else(|| format!("the runner `{}` has no session", group.runner.name))?;
    let (words, variables) =
        list::words(command, lookup, lookup.files).map_err(|unset| unset.with_remedy())?;
    env.extend(
        variables
            .into_iter()
            .map(|(name, value)| (name.into(), value)),
    );
    env.push(("TMPDIR".into(), lookup.tmp.into()));
    let folder = group.folder(root);
    let request = JobRequest {
        words: list::absolute_program(words, &folder, root),
        folder: folder.into(),
        env: env.into_iter().collect(),
        env_only: group.bounds.env_only.clone(),
        env_without: group.runner.env_without.clone(),
        tmp: lookup.tmp.into(),
        grace: group.tests.grace,
        capture: true,
        output_limit: group.bounds.output_limit,
        output_max: group.bounds.output_max,
        limits: group.bounds.limits.clone(),
        ..JobRequest::default()
    };
    let forks = group.runner.session_forks;
    Ok(Start { request, forks })
}

/// How a host is started for a whole group; `set` are variables that `before-all` has set.
///
/// # Errors
/// A variable that a template names is not set.
pub fn request_of_group(
    discovery: &Discovery,
    group: &GroupConfig,
    files: &[OsString],
    tmp: &Path,
    set: &[(OsString, OsString)],
) -> Result<Start, String> {
    let inner = GroupLookup { discovery, group };
    let mut env = Vec::new();
    for (name, template) in group.runner.env.iter().chain(&group.env) {
        let value = template
            .expand(&inner)
            .map_err(|unset| unset.with_remedy())?;
        env.push((name.into(), value));
    }
    env.push(("ORCHESTRATE_RUN_ID".into(), discovery.run.clone().into()));
    env.push(("ORCHESTRATE_GROUP".into(), group.name.as_str().into()));
    env.extend(set.iter().cloned());
    env.extend(parts::variable(discovery, group));
    let lookup = SessionLookup {
        inner: &inner,
        files,
        tmp,
    };
    discovery.see(group, &env);
    request(group, &lookup, &discovery.root, env)
}
