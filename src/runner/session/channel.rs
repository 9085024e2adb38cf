//! A connection to a session host, or to one of its forks: a JSON object a line, in both directions (docs/session-protocol.md).

use std::io;
use std::time::Instant;

use serde::Deserialize;
use serde_json::Value;

use super::stream::Stream;
use crate::outcome::Outcome;
use crate::worker::unknown_text;

/// The longest line that is read.
const MOST_BYTES: usize = 128 << 20;

/// How many characters a key has.
const KEY: usize = 16;

/// What a fork tells.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Told {
    /// It is there.
    Ready {
        /// Its process id; none where it is the host itself, which does not fork.
        #[serde(default)]
        pid: Option<u32>,
        /// That of the process above it which gathers what it leaves, if there is one.
        #[serde(default)]
        guard: Option<u32>,
        /// Whether its host has left, since this was to be the last fork.
        #[serde(default)]
        left: bool,
    },
    /// It could not be made.
    Refused {
        /// Why.
        message: String,
    },
    /// A test begins.
    Started {
        /// Its id.
        id: String,
        /// Where its output begins in the worker's, in bytes.
        #[serde(default)]
        written: Option<u64>,
    },
    /// A test has its result.
    Finished {
        /// Its id.
        id: String,
        /// How it ended.
        outcome: Outcome,
        /// Its duration.
        seconds: Option<f64>,
        /// Why, in a line.
        message: Option<String>,
        /// What it printed.
        output: Option<String>,
        /// The processes that it has left running, which may still end with the fork.
        #[serde(default)]
        left: Vec<u32>,
    },
    /// A chunk is over.
    Done {
        /// How many results of the chunk were sent, if it says so.
        #[serde(default)]
        results: Option<usize>,
        /// The test whose fixtures are still set up, so that an error of theirs may yet come.
        #[serde(default)]
        pending: Option<String>,
        /// Processor seconds of the chunk.
        #[serde(default)]
        cpu: f64,
        /// The fork's peak memory so far, in bytes.
        #[serde(default)]
        memory: u64,
    },
    /// Everything is torn down: it is about to end.
    Over,
    /// It has ended; its guard tells.
    Ended {
        /// Its exit code.
        exit: Option<i32>,
        /// The signal that ended it.
        signal: Option<i32>,
    },
    /// What a later version may tell.
    #[serde(other)]
    Other,
}

/// What came over a connection.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// This.
    Told(Told),
    /// A line that cannot be read, and why. It is torn where the other side died while it wrote.
    Unreadable(String),
    /// Nothing until then.
    Nothing,
    /// The other side is gone.
    End,
}

/// See the module.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    /// What was read and not yet taken, from `at` on.
    bytes: Vec<u8>,
    at: usize,
    /// What each line must begin with, where other processes can write into the connection.
    key: Option<String>,
}

impl Connection {
    /// A connection that was just made.
    #[must_use]
    pub fn new(stream: Stream) -> Self {
        let is_open = matches!(stream, Stream::Pipes { .. });
        Self {
            key: is_open.then(|| unknown_text(KEY)),
            stream,
            bytes: Vec::new(),
            at: 0,
        }
    }

    /// What the other side is to write before each object, if anything. Whoever else writes into a pipe does not know it.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// Sends an object.
    ///
    /// # Errors
    /// The other side is gone.
    pub fn send(&mut self, what: &Value) -> io::Result<()> {
        let mut text = what.to_string();
        text.push('\n');
        self.stream.send(text.as_bytes())
    }

    /// Says that there will be no more.
    pub fn finish(&mut self) {
        self.stream.finish();
    }

    /// The next line; none at the end, or when the time is over.
    ///
    /// # Errors
    /// [`io::ErrorKind::TimedOut`] when the time is over, or what broke the connection.
    pub fn line(&mut self, until: Option<Instant>) -> io::Result<Option<&[u8]>> {
        let mut looked = self.at;
        loop {
            let end = self.bytes[looked..].iter().position(|byte| *byte == b'\n');
            if let Some(end) = end {
                let line = self.at..looked + end;
                self.at = line.end + 1;
                return Ok(Some(&self.bytes[line]));
            }
            self.bytes.drain(..self.at);
            self.at = 0;
            looked = self.bytes.len();
            if looked > MOST_BYTES {
                return Err(io::Error::other("a line is too long"));
            }
            if !self.stream.wait(until)? {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let mut more = [0; 16 << 10];
            let read = match self.stream.read(&mut more) {
                // A process that is killed while it has something to read resets the connection.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => 0,
                read => read?,
            };
            if read == 0 {
                return Ok(None);
            }
            self.bytes.extend_from_slice(&more[..read]);
        }
    }

    /// What comes next. Empty lines are passed over.
    ///
    /// # Errors
    /// What broke the connection.
    pub fn next(&mut self, until: Instant) -> io::Result<Heard> {
        let key = self.key.clone().unwrap_or_default();
        loop {
            let line = match self.line(Some(until)) {
                Ok(Some(line)) => line,
                Ok(None) => return Ok(Heard::End),
                Err(error) if error.kind() == io::ErrorKind::TimedOut => return Ok(Heard::Nothing),
                Err(error) => return Err(error),
            };
            if line.trim_ascii().is_empty() {
                continue;
            }
            let Some(line) = line.strip_prefix(key.as_bytes()) else {
                let why = "it does not begin with the key of its session: another process may have written it";
                return Ok(Heard::Unreadable(why.to_owned()));
            };
            // What tests print need not be text.
            return Ok(match serde_json::from_str(&String::from_utf8_lossy(line)) {
                Ok(told) => Heard::Told(told),
                Err(error) => Heard::Unreadable(error.to_string()),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use super::*;

    #[test]
    fn lines_come_whole_and_torn_ones_are_told_from_empty_ones() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut connection = Connection::new(Stream::Socket(ours));
        let soon = || Instant::now() + Duration::from_millis(1);
        theirs
            .write_all(b"{\"event\":\"ready\",\"pid\":7}\n{\"event\":\"sta")
            .unwrap();
        let ready = Heard::Told(Told::Ready {
            pid: Some(7),
            guard: None,
            left: false,
        });
        assert_eq!(connection.next(soon()).unwrap(), ready);
        assert_eq!(connection.next(soon()).unwrap(), Heard::Nothing);
        theirs
            .write_all(b"\n\n{\"event\":\"ended\",\"signal\":9}\n{\"event\":\"new\"}\n")
            .unwrap();
        let torn = connection.next(soon()).unwrap();
        assert!(matches!(torn, Heard::Unreadable(_)), "{torn:?}");
        let killed = Told::Ended {
            exit: None,
            signal: Some(9),
        };
        assert_eq!(connection.next(soon()).unwrap(), Heard::Told(killed));
        assert_eq!(connection.next(soon()).unwrap(), Heard::Told(Told::Other));
        drop(theirs);
        assert_eq!(connection.next(soon()).unwrap(), Heard::End);
    }
}
