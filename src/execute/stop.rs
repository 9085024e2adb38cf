//! Why a run stops early, and the thread that waits for it: a signal, or the run's own timeout.

use std::fmt;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Why a run stopped early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// This signal came.
    Signal(i32),
    /// `run.timeout` is over.
    Timeout,
    /// `max-fail` was reached.
    MaxFail,
}

impl Reason {
    /// Whether what runs is ended too.
    #[must_use]
    pub fn ends_jobs(self) -> bool {
        self != Self::MaxFail
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signal(signal) => match signal_hook::low_level::signal_name(*signal) {
                Some(name) => write!(f, "the run was stopped by {name}"),
                None => write!(f, "the run was stopped by signal {signal}"),
            },
            Self::Timeout => f.write_str("the run's timeout was over"),
            Self::MaxFail => f.write_str("the run stopped after max-fail failures"),
        }
    }
}

/// Tells a run to stop, from whichever thread.
#[derive(Debug)]
pub struct Stop {
    sender: Sender<Option<Reason>>,
    receiver: Mutex<Receiver<Option<Reason>>>,
}

impl Default for Stop {
    fn default() -> Self {
        let (sender, receiver) = mpsc::channel();
        Self {
            sender,
            receiver: Mutex::new(receiver),
        }
    }
}

impl Stop {
    /// What a signal handler's thread calls.
    pub fn handle(&self) -> impl Fn(Reason) + Send + 'static {
        let sender = self.sender.clone();
        move |reason| {
            let _ = sender.send(Some(reason));
        }
    }

    /// The run is over: nobody waits any more.
    pub fn finish(&self) {
        let _ = self.sender.send(None);
    }

    /// Waits for a reason, or for the deadline, and passes each on, until the run is over.
    pub fn watch(&self, deadline: Option<Instant>, on: impl Fn(Reason)) {
        let receiver = self.receiver.lock().unwrap_or_else(PoisonError::into_inner);
        let mut deadline = deadline;
        loop {
            let message = match deadline {
                Some(at) => receiver.recv_timeout(at.saturating_duration_since(Instant::now())),
                None => receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match message {
                Ok(Some(reason)) => on(reason),
                Err(RecvTimeoutError::Timeout) => {
                    deadline = None;
                    on(Reason::Timeout);
                }
                Ok(None) | Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }
}
