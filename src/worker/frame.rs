//! The frames between `orchestrate` and its workers: a length of four bytes, little-endian, then the message as postcard.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Read, Write};
use std::time::Duration;

use postcard::ser_flavors::Size;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

pub use super::level::{Confinement, Home, Level, Network, Walls};
pub use super::on_timeout::{JOB_PID, OnTimeout};
pub use super::progress::Clock;
pub use super::variables::EnvBlock;
use crate::manifest::model::StopSignal;

/// The longest frame that is read: reports and outputs have limits of their own that are far below.
const MOST_BYTES: u32 = 256 << 20;

/// How much of a frame is read at once.
const MOST_AT_ONCE: usize = 4 << 20;

/// What a worker is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// Run a job.
    Run(Box<JobRequest>),
    /// End the job that runs, with grace.
    Stop,
    /// Stop the job's processes and its clock, until `Resume`.
    Pause,
    /// Let them go on.
    Resume,
    /// Start a session host, which stays as long as the worker.
    Host(Box<JobRequest>),
    /// Tell whether the host is there.
    Look,
    /// Ask a process below the host to end, with its group; or end it and everything below it.
    Signal {
        /// Its process id.
        pid: u32,
        /// What asks it to end; none if it is killed.
        with: Option<StopSignal>,
    },
    /// End whatever is left of the host's processes that have ended.
    Settle {
        /// Wait first until this one has: what it leaves comes to the worker only then.
        after: Option<u32>,
        /// A folder of theirs to remove.
        tmp: OsString,
        /// Whether it is kept instead.
        keep: bool,
        /// Processes of which it is asked whether they are left.
        suspects: Vec<u32>,
    },
    /// Tell which of these processes do something still.
    Running(Vec<u32>),
    /// Wait for the host's end, for as long as this at the most.
    Dismiss(Duration),
    /// There will be no more: a lifeline that closes without this one's being said means that the run was killed.
    End,
}

/// A job, with nothing left to resolve.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JobRequest {
    /// The program and its arguments.
    pub words: Vec<OsString>,
    /// The folder it runs in.
    pub folder: OsString,
    /// Variables in addition to the worker's own, and to those that jobs have in common.
    pub env: EnvBlock,
    /// Variables below these, which many jobs of a worker have in common: they are made ready once.
    pub common: EnvBlock,
    /// Of the worker's own variables only these; `None` is all.
    pub env_only: Option<Vec<OsString>>,
    /// Names of the worker's own variables that it does not inherit.
    pub env_without: Vec<OsString>,
    /// Its private temporary folder, made before and removed after it.
    pub tmp: OsString,
    /// When that is kept.
    pub keep_tmp: KeepTmp,
    /// Whether it is there already, made for an earlier request.
    pub has_tmp: bool,
    /// Whether it stays for a later one.
    pub leave_tmp: bool,
    /// What becomes of processes that are left when it has ended.
    pub leftovers: Leftovers,
    /// The file that results are written to, if the runner writes one.
    pub report: Option<OsString>,
    /// Whether all that it prints is its report. Then it is captured in any case.
    pub output_is_report: bool,
    /// A file to be made for standard output, where that is wanted by itself; of a session host, for all of its output.
    pub stdout: Option<OsString>,
    /// A file to be made for captured output, where that is looked at while the job runs; else the file has no name.
    pub output: Option<OsString>,
    /// The longest it may take.
    pub timeout: Option<Duration>,
    /// How the report says that a test begins or ends. Then the timeout is each test's; otherwise it is the job's.
    pub clock: Clock,
    /// What is run when that is over, before it is ended.
    pub on_timeout: Option<OnTimeout>,
    /// From TERM to KILL.
    pub grace: Duration,
    /// What asks it to end.
    pub stop_signal: StopSignal,
    /// Whether output is captured; otherwise it goes where the worker's goes.
    pub capture: bool,
    /// The most bytes of output that are kept, half from its head and half from its tail.
    pub output_limit: u64,
    /// The most bytes of output it may write; then it is ended.
    pub output_max: u64,
    /// What it may use.
    pub limits: Limits,
    /// What holds its processes together.
    pub level: Level,
}

/// What a job may use; `None` is no limit of ours.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Memory of all its processes together, in bytes.
    pub memory: Option<u64>,
    /// Processor time of each process.
    pub cpu_seconds: Option<u64>,
    /// Open files of each process.
    pub open_files: Option<u64>,
    /// The longest file that it may write, in bytes.
    pub file_size: Option<u64>,
}

/// What becomes of processes that a job or a hook leaves running.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Leftovers {
    /// They are ended, and so is what a hook left for this job.
    #[default]
    End,
    /// They are ended; what a hook left for this job stays, for the hook after it.
    EndOwn,
    /// They stay until the job's last request.
    ForJob,
    /// They stay as long as the worker.
    ForWorker,
}

/// When a job's temporary folder outlives it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeepTmp {
    /// Never.
    #[default]
    Never,
    /// When its process did not end with exit code 0.
    Failed,
    /// Always.
    Always,
}

/// What a worker tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// It is there.
    Ready {
        /// The folder that its jobs' temporary folders are made in.
        tmp: OsString,
    },
    /// It could not begin at all.
    Failed(String),
    /// A job is over, and nothing of it is left; or the host has ended.
    Ended(Box<Ended>),
    /// The host is there.
    Hosted {
        /// Its process id.
        pid: u32,
    },
    /// What was left is ended.
    Settled(Settled),
    /// These do.
    Running(Vec<u32>),
}

/// What processes of a session left, now that it is ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Settled {
    /// How many processes that were.
    pub left: u32,
    /// Which of the suspects were left.
    pub outlived: Vec<u32>,
    /// Where the folder is, if it was kept.
    pub kept: Option<OsString>,
    /// What could not be cleaned up, and why.
    pub trouble: Option<String>,
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    /// How its process ended.
    pub status: Status,
    /// What ended it.
    pub cause: Cause,
    /// Its duration, without what it was paused.
    pub duration: Duration,
    /// Processor time of its process and of those that it waited for.
    pub cpu: Duration,
    /// The peak memory of the largest of them, or of all together where that is limited; in bytes.
    pub memory: u64,
    /// What it wrote.
    pub output: Output,
    /// What it left at [`JobRequest::report`].
    #[serde(with = "serde_bytes")]
    pub report: Option<Vec<u8>>,
    /// How many processes it left behind.
    pub leaked: u32,
    /// Where its temporary folder is, if it was kept.
    pub kept: Option<OsString>,
    /// What could not be cleaned up, and why.
    pub trouble: Option<String>,
}

impl Ended {
    /// A job that never began.
    #[must_use]
    pub fn not_started(why: String) -> Self {
        Self {
            status: Status::NotStarted(why),
            cause: Cause::Itself,
            duration: Duration::ZERO,
            cpu: Duration::ZERO,
            memory: 0,
            output: Output::default(),
            report: None,
            leaked: 0,
            kept: None,
            trouble: None,
        }
    }

    /// How a command failed that is not a job but runs for one or beside it, in words that come after its name. `limit` is
    /// the time that it had.
    #[must_use]
    pub fn why_failed(&self, limit: Option<Duration>) -> Option<String> {
        match (&self.status, self.cause) {
            (_, Cause::Timeout) => Some(format!(
                "timed out: it took longer than `hook-timeout` ({:?})",
                limit.unwrap_or_default()
            )),
            (_, Cause::Output) => Some("wrote more than `output-max`".to_owned()),
            (_, Cause::Memory) => Some("took more than `memory`".to_owned()),
            (_, Cause::Stop) => Some("was stopped with the run".to_owned()),
            (Status::Exit(0), _) => None,
            (Status::Exit(code), _) => Some(format!("exited with code {code}")),
            (Status::Signal(signal), _) => Some(format!("was killed by signal {signal}")),
            (Status::NotStarted(why), _) => Some(why.clone()),
        }
    }
}

/// What ended a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// It ended by itself.
    Itself,
    /// It took too long.
    Timeout,
    /// The run was stopped.
    Stop,
    /// It wrote more than it may.
    Output,
    /// It took more memory than it may.
    Memory,
    /// The kernel killed a process for want of memory while it ran.
    Starved,
    /// There were no processes, descriptors or memory to start it with: it may be tried again.
    Shortage,
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// It exited with this code.
    Exit(i32),
    /// This signal ended it.
    Signal(i32),
    /// It never began, and why.
    NotStarted(String),
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
            Self::NotStarted(why) => f.write_str(why),
        }
    }
}

/// Captured output.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Its beginning.
    #[serde(with = "serde_bytes")]
    pub head: Vec<u8>,
    /// Its end, where it is longer than what is kept.
    #[serde(with = "serde_bytes")]
    pub tail: Vec<u8>,
    /// All bytes that were written.
    pub total: u64,
}

impl Output {
    /// How many bytes were left out.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        let kept = (self.head.len() + self.tail.len()) as u64;
        self.total.saturating_sub(kept)
    }

    /// As text, with a line that says what was left out.
    #[must_use]
    pub fn into_text(self) -> String {
        let left_out = self.left_out();
        self.into_text_without(left_out)
    }

    /// The same where so many bytes were left out, whatever has become of the others since.
    #[must_use]
    pub fn into_text_without(self, left_out: u64) -> String {
        // Copied only where it is no text: it may be long.
        let mut text = String::from_utf8(self.head)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
        if left_out > 0 {
            text.push_str(&format!(
                "\n[{left_out} of {} bytes left out]\n",
                self.total
            ));
        }
        text.push_str(&String::from_utf8_lossy(&self.tail));
        text
    }
}

/// Writes a frame and flushes it.
///
/// # Errors
/// The other side is gone.
pub fn write<T: Serialize>(writer: &mut impl Write, message: &T) -> io::Result<()> {
    let size =
        postcard::serialize_with_flavor(message, Size::default()).map_err(io::Error::other)?;
    let length = u32::try_from(size)
        .ok()
        .filter(|length| *length <= MOST_BYTES);
    let length = length.ok_or_else(|| io::Error::other("a frame is too long"))?;
    // One buffer of the right size, and one write, so that a frame is never half there when its writer dies between two.
    let mut frame = Vec::with_capacity(size + 4);
    frame.extend_from_slice(&length.to_le_bytes());
    let frame = postcard::to_extend(message, frame).map_err(io::Error::other)?;
    writer.write_all(&frame)?;
    writer.flush()
}

/// Reads a frame; `None` at the end of the stream.
///
/// # Errors
/// A broken stream: it ends within a frame, or what is in it is none.
pub fn read<T: DeserializeOwned>(reader: &mut impl Read) -> io::Result<Option<T>> {
    let mut length = [0; 4];
    let begun = reader.read(&mut length)?;
    if begun == 0 {
        return Ok(None);
    }
    reader.read_exact(&mut length[begun..])?;
    let length = u32::from_le_bytes(length);
    if length > MOST_BYTES {
        return Err(io::Error::other("a frame is too long"));
    }
    let mut left = length as usize;
    let mut bytes = Vec::with_capacity(left.min(MOST_AT_ONCE));
    while left > 0 {
        // Not a buffer of that size at once: a broken length must not cost 256 MiB.
        let from = bytes.len();
        bytes.resize(from + left.min(MOST_AT_ONCE), 0);
        reader.read_exact(&mut bytes[from..])?;
        left -= bytes.len() - from;
    }
    postcard::from_bytes(&bytes)
        .map(Some)
        .map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn frames_come_back_as_they_went() {
        let request = Request::Run(Box::new(JobRequest {
            words: vec!["./a b".into(), "\u{e9}".into()],
            timeout: Some(Duration::from_millis(1500)),
            ..JobRequest::default()
        }));
        let mut bytes = Vec::new();
        write(&mut bytes, &request).unwrap();
        write(&mut bytes, &Request::Stop).unwrap();
        let mut reader = bytes.as_slice();
        assert_eq!(read(&mut reader).unwrap(), Some(request));
        assert_eq!(read(&mut reader).unwrap(), Some(Request::Stop));
        assert_eq!(read::<Request>(&mut reader).unwrap(), None);
    }

    #[test]
    fn output_says_what_was_left_out() {
        let output = Output {
            head: b"begin".to_vec(),
            tail: b"end".to_vec(),
            total: 1000,
        };
        assert_eq!(
            output.into_text(),
            "begin\n[992 of 1000 bytes left out]\nend"
        );
    }

    proptest! {
        #[test]
        fn broken_frames_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut reader = bytes.as_slice();
            while let Ok(Some(_)) = read::<Request>(&mut reader) {}
            let mut reader = bytes.as_slice();
            while let Ok(Some(_)) = read::<Reply>(&mut reader) {}
        }
    }
}
