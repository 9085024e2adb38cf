//! Why a run stops early, and the thread that waits for it: a signal, or the run's own timeout.

use std::fmt;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::manifest::model::StopAt;

/// Why a run stopped early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// This signal came.
    Signal(i32),
    /// The run took longer than its `timeout`.
    Timeout(Duration),
    /// So many tests have failed, which is `max-fail`: what runs is ended, or may end by itself.
    MaxFail(usize, StopAt),
    /// The system has no more threads for us.
    NoThreads,
}

impl Reason {
    /// Whether what runs is ended too.
    #[must_use]
    pub fn ends_jobs(self) -> bool {
        !matches!(self, Self::MaxFail(_, StopAt::Soon))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signal(signal) => match signal_hook::low_level::signal_name(*signal) {
                Some(name) => write!(f, "the run was stopped by {name}"),
                None => write!(f, "the run was stopped by signal {signal}"),
            },
            Self::Timeout(limit) => {
                write!(f, "the run timed out: `timeout` of `[run]` is {limit:?}")
            }
            Self::NoThreads => f.write_str("no thread could be started"),
            Self::MaxFail(1, _) => f.write_str("the run stopped after the first failed test"),
            Self::MaxFail(most, _) => {
                write!(f, "the run stopped after {most} failed tests (`max-fail`)")
            }
        }
    }
}

/// What a run can be told while it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// To stop in good order.
    Stop(Reason),
    /// To hold all jobs and stop this very process.
    Pause,
    /// To let them go on: somebody has continued this process.
    Continue,
    /// To tell what runs.
    Tell,
    /// To look whether something takes too long.
    Look,
}

/// Tells a run something, from whichever thread.
#[derive(Debug)]
pub struct Stop {
    sender: Sender<Option<Order>>,
    receiver: Mutex<Receiver<Option<Order>>>,
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
    pub fn handle(&self) -> impl Fn(Order) + Send + 'static {
        let sender = self.sender.clone();
        move |order| {
            let _ = sender.send(Some(order));
        }
    }

    /// The run is over: nobody waits any more.
    pub fn finish(&self) {
        let _ = self.sender.send(None);
    }

    /// Waits for orders, and for the deadline (with the time that led to it), and passes each on, until the run is over. A run that is held does not run out
    /// of time. Every `pause`, if there is one, it is time to look.
    pub fn watch(
        &self,
        limit: Option<(Instant, Duration)>,
        pause: Option<Duration>,
        on: impl Fn(Order),
    ) {
        let receiver = self.receiver.lock().unwrap_or_else(PoisonError::into_inner);
        let timeout = limit.map(|(_, timeout)| timeout);
        let mut deadline = limit.map(|(at, _)| at);
        let mut held = None;
        loop {
            let look = pause.map(|pause| Instant::now() + pause);
            let message = match deadline.into_iter().chain(look).min() {
                Some(at) => receiver.recv_timeout(at.saturating_duration_since(Instant::now())),
                None => receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match message {
                Ok(Some(order)) => {
                    match order {
                        Order::Pause => held = held.or(Some(Instant::now())),
                        Order::Continue => {
                            let held = held.take().map_or(Duration::ZERO, |at| at.elapsed());
                            deadline = deadline.map(|deadline| deadline + held);
                        }
                        _ => {}
                    }
                    on(order);
                }
                Err(RecvTimeoutError::Timeout) => {
                    if deadline.is_some_and(|at| Instant::now() >= at) {
                        deadline = None;
                        on(Order::Stop(Reason::Timeout(timeout.unwrap_or_default())));
                    } else {
                        on(Order::Look);
                    }
                }
                Ok(None) | Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }
}
