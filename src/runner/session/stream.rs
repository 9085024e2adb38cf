//! What a connection to a session goes over: a socket, or two named pipes where the host can't have sockets.
//!
//! It knows bytes alone. Nobody may hold us up: who writes waits only so long for a host to read.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::worker::make_pipe;
#[cfg(target_os = "linux")]
use crate::worker::{descends_from, listener_of};

/// How long a host that takes orders may take to read one. It waits for them, so that only one that is gone is slow, whose pipe
/// something that it has left keeps open.
const SLOWEST_READER: Duration = Duration::from_secs(60);

/// Both directions of a connection.
#[derive(Debug)]
pub enum Stream {
    /// A socket.
    Socket(UnixStream),
    /// Two pipes.
    Pipes {
        /// To the host; none once there is no more to say.
        orders: Option<File>,
        /// From it.
        answers: File,
        /// The name of `answers`, until something has come from it: the host has opened it then.
        name: Option<PathBuf>,
    },
}

/// Connects to the socket of a host that is in the care of `worker`. A test of another group could put a socket of its own in its
/// place, and forge results there: who listens must be below that worker.
///
/// # Errors
/// Nobody listens; [`io::ErrorKind::PermissionDenied`] if somebody else does.
pub fn connect(path: &Path, worker: u32) -> io::Result<UnixStream> {
    let stream = UnixStream::connect(path)?;
    #[cfg(target_os = "linux")]
    {
        let listener = listener_of(&stream)?;
        let worker = i32::try_from(worker).map_err(io::Error::other)?;
        if !listener.is_some_and(|listener| descends_from(listener, worker)) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = worker;
    Ok(stream)
}

/// The pipes of a host that serves one worker, before that has opened them.
#[derive(Debug)]
pub struct Pipes {
    orders: PathBuf,
    answers: PathBuf,
    /// Opened at once, so that the host need not wait for a reader.
    reader: Option<File>,
}

impl Pipes {
    /// Makes them in a folder.
    ///
    /// # Errors
    /// It can't be written.
    pub fn new(folder: &Path) -> io::Result<Self> {
        let (orders, answers) = (folder.join("orders"), folder.join("answers"));
        make_pipe(&orders)?;
        make_pipe(&answers)?;
        let reader = Some(open(OpenOptions::new().read(true), &answers)?);
        Ok(Self {
            orders,
            answers,
            reader,
        })
    }

    /// The variables that tell a host of them.
    #[must_use]
    pub fn variables(&self) -> [(&'static str, &Path); 2] {
        [
            ("ORCHESTRATE_ORDERS", &self.orders),
            ("ORCHESTRATE_ANSWERS", &self.answers),
        ]
    }

    /// The connection, if the host has opened its end by now. There is only one. From then on nobody else can open `orders`
    /// by its name.
    ///
    /// # Errors
    /// It has not, or there was one.
    pub fn connect(&mut self) -> io::Result<Stream> {
        // Refused as long as nobody reads: fifo(7).
        let orders = Some(open(OpenOptions::new().write(true), &self.orders)?);
        let answers = self.reader.take();
        let answers = answers.ok_or_else(|| io::Error::other("it serves one worker alone"))?;
        fs::remove_file(&self.orders)?;
        let name = Some(self.answers.clone());
        Ok(Stream::Pipes {
            orders,
            answers,
            name,
        })
    }
}

fn open(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    options.custom_flags(flags).open(path)
}

impl Stream {
    /// Sends bytes.
    ///
    /// # Errors
    /// The other side is gone.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut orders = match self {
            Self::Socket(stream) => return stream.write_all(bytes),
            Self::Pipes { orders, .. } => orders.as_ref().ok_or(io::ErrorKind::BrokenPipe)?,
        };
        let until = Instant::now() + SLOWEST_READER;
        let mut left = bytes;
        while !left.is_empty() {
            match orders.write(left) {
                Ok(written) => left = &left[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if !wait(orders.as_fd(), PollFlags::OUT, Some(until))? {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Says that there will be no more.
    pub fn finish(&mut self) {
        match self {
            Self::Socket(stream) => {
                let _ = stream.shutdown(std::net::Shutdown::Write);
            }
            Self::Pipes { orders, .. } => *orders = None,
        }
    }

    /// What has come, once [`Stream::wait`] says that something has; nothing at the end.
    ///
    /// # Errors
    /// What broke the connection.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Socket(stream) => stream.read(buffer),
            Self::Pipes { answers, name, .. } => {
                let read = answers.read(buffer)?;
                if let Some(name) = name.take() {
                    fs::remove_file(name)?;
                }
                Ok(read)
            }
        }
    }

    /// Waits until there is something to read. Returns whether there is.
    ///
    /// # Errors
    /// The kernel has no memory to wait with.
    pub fn wait(&self, until: Option<Instant>) -> io::Result<bool> {
        let fd = match self {
            Self::Socket(stream) => stream.as_fd(),
            Self::Pipes { answers, .. } => answers.as_fd(),
        };
        wait(fd, PollFlags::IN, until)
    }
}

fn wait(fd: BorrowedFd<'_>, what: PollFlags, until: Option<Instant>) -> io::Result<bool> {
    loop {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let timeout = left.and_then(|left| Timespec::try_from(left).ok());
        let mut polled = [PollFd::from_borrowed_fd(fd, what)];
        match poll(&mut polled, timeout.as_ref()) {
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipes_connect_once_somebody_reads_and_only_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut pipes = Pipes::new(folder.path()).unwrap();
        assert!(pipes.connect().is_err());
        let [(_, orders), _] = pipes
            .variables()
            .map(|(name, path)| (name, path.to_owned()));
        // As a host does, but without waiting for us.
        let mut read = open(OpenOptions::new().read(true), &orders).unwrap();
        let mut stream = pipes.connect().unwrap();
        assert!(!stream.wait(Some(Instant::now())).unwrap());
        stream.send(b"a").unwrap();
        let mut buffer = [0; 4];
        assert_eq!(read.read(&mut buffer).unwrap(), 1);
        stream.finish();
        assert_eq!(read.read(&mut buffer).unwrap(), 0);
        assert!(stream.send(b"b").is_err());
    }

    #[test]
    fn what_is_written_to_somebody_who_reads_arrives_whole_and_to_nobody_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let mut pipes = Pipes::new(folder.path()).unwrap();
        let [(_, orders), _] = pipes
            .variables()
            .map(|(name, path)| (name, path.to_owned()));
        let reader = std::thread::spawn(move || std::fs::read(orders).unwrap());
        let mut stream = loop {
            match pipes.connect() {
                Ok(stream) => break stream,
                Err(_) => std::thread::yield_now(),
            }
        };
        let much = vec![b'x'; 1 << 20];
        stream.send(&much).unwrap();
        stream.finish();
        assert_eq!(reader.join().unwrap(), much);
        assert!(stream.send(b"y").is_err());
    }
}
