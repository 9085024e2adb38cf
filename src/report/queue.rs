//! The way from whoever has something to tell to the one thread that tells the reports.
//!
//! An event is taken up at once when there was none for a moment. Of those that follow one another faster, which is the rule
//! where jobs are short, many are taken up together, since waking the thread and writing a line cost as much as a short job's
//! start: an event waits [`PAUSE`] at the most. What must not wait, such as a hook's beginning, which the next run would have
//! to make up for, takes up those before it at once.

use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::event::{Event, Moment};

/// For how long events wait for others after some were taken up.
pub const PAUSE: Duration = Duration::from_millis(2);

/// How long nothing may happen until the reports can say that it does not.
const TICK: Duration = Duration::from_secs(1);

/// Tells events; the reports see the end of the run when it is dropped.
#[derive(Debug)]
pub struct Sender {
    queue: Arc<Queue>,
}

/// Takes up what the [`Sender`] tells.
#[derive(Debug)]
pub struct Receiver {
    queue: Arc<Queue>,
    /// When events were taken up last.
    last: Option<Instant>,
    pause: Duration,
    tick: Duration,
}

#[derive(Debug)]
struct Queue {
    /// When the run began.
    begun: Instant,
    /// The same in seconds since 1970: times are counted from here on, whatever becomes of the clock on the wall.
    begun_time: f64,
    waiting: Mutex<Waiting>,
    news: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    /// With the time at which each was told.
    events: Vec<(f64, Event)>,
    has_urgent: bool,
    is_over: bool,
    sleep: Sleep,
}

/// What wakes the receiver: to wake one that does not sleep would cost a system call all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Sleep {
    /// It is awake.
    #[default]
    None,
    /// Any event.
    Light,
    /// Only what is urgent.
    Deep,
}

/// The two ends of the way; times are told from `begun` on.
#[must_use]
pub fn queue(begun: Instant) -> (Sender, Receiver) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let begun_time = now.unwrap_or_default().saturating_sub(begun.elapsed());
    let queue = Arc::new(Queue {
        begun,
        begun_time: begun_time.as_secs_f64(),
        waiting: Mutex::default(),
        news: Condvar::new(),
    });
    let sender = Sender {
        queue: queue.clone(),
    };
    let receiver = Receiver {
        queue,
        last: None,
        pause: PAUSE,
        tick: TICK,
    };
    (sender, receiver)
}

/// Whether an event may wait for others: there are many of these, and they come in a row.
fn may_wait(event: &Event) -> bool {
    matches!(
        event,
        Event::JobStarted { .. }
            | Event::TestStarted { .. }
            | Event::TestFinished(_)
            | Event::TestRetried(_)
            | Event::JobFinished { .. }
    )
}

impl Queue {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Nothing under the lock panics.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the receiver look, if it sleeps.
    fn wake(&self, mut waiting: MutexGuard<'_, Waiting>) {
        let is_urgent = waiting.has_urgent || waiting.is_over;
        let wakes = match waiting.sleep {
            Sleep::None => false,
            Sleep::Light => true,
            Sleep::Deep => is_urgent,
        };
        if wakes {
            waiting.sleep = Sleep::None;
            drop(waiting);
            self.news.notify_one();
        }
    }
}

impl Sender {
    /// Tells an event.
    pub fn send(&self, event: Event) {
        let is_urgent = !may_wait(&event);
        self.put(event, is_urgent);
    }

    /// Tells an event that must not wait.
    pub fn send_now(&self, event: Event) {
        self.put(event, true);
    }

    fn put(&self, event: Event, is_urgent: bool) {
        let mut waiting = self.queue.waiting();
        waiting.has_urgent |= is_urgent;
        let at = self.queue.begun.elapsed().as_secs_f64();
        waiting.events.push((at, event));
        self.queue.wake(waiting);
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        let mut waiting = self.queue.waiting();
        waiting.is_over = true;
        self.queue.wake(waiting);
    }
}

impl Receiver {
    /// Waits for events, and for those that soon follow. None when the run is over; an empty list where nothing happens for a
    /// while.
    pub fn next(&mut self) -> Option<Vec<(f64, Event)>> {
        let mut waiting = self.queue.waiting();
        loop {
            let is_urgent = waiting.has_urgent || waiting.is_over;
            let pause = match self.last {
                Some(last) if !is_urgent => self.pause.saturating_sub(last.elapsed()),
                _ => Duration::ZERO,
            };
            if waiting.events.is_empty() {
                if waiting.is_over {
                    return None;
                }
                waiting.sleep = Sleep::Light;
                let news = self.queue.news.wait_timeout(waiting, self.tick);
                let (woken, timeout) = news.unwrap_or_else(PoisonError::into_inner);
                waiting = woken;
                if timeout.timed_out() && waiting.events.is_empty() && !waiting.is_over {
                    waiting.sleep = Sleep::None;
                    return Some(Vec::new());
                }
            } else if pause.is_zero() {
                waiting.sleep = Sleep::None;
                waiting.has_urgent = false;
                self.last = Some(Instant::now());
                return Some(mem::take(&mut waiting.events));
            } else {
                waiting.sleep = Sleep::Deep;
                let news = self.queue.news.wait_timeout(waiting, pause);
                waiting = news.unwrap_or_else(PoisonError::into_inner).0;
            }
        }
    }

    /// So many seconds after the run began.
    pub fn moment(&self, at: f64) -> Moment {
        Moment {
            at,
            time: Some(self.queue.begun_time + at),
        }
    }

    /// Now.
    pub fn now(&self) -> Moment {
        self.moment(self.queue.begun.elapsed().as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn patient() -> (Sender, Receiver) {
        let (sender, mut receiver) = queue(Instant::now());
        (receiver.pause, receiver.tick) = (HOUR, HOUR);
        (sender, receiver)
    }

    fn started(job: usize) -> Event {
        Event::JobStarted {
            job,
            group: "g".into(),
            worker: 0,
            pid: 1,
            attempt: 1,
            tests: Vec::new(),
            placement: crate::event::Placement::default(),
        }
    }

    fn warning() -> Event {
        Event::Warning {
            message: "look".into(),
        }
    }

    fn events(batch: Option<Vec<(f64, Event)>>) -> Vec<Event> {
        let batch = batch.unwrap_or_default();
        batch.into_iter().map(|(_, event)| event).collect()
    }

    #[test]
    fn the_first_is_taken_up_at_once_and_what_must_not_wait_takes_the_others_with_it() {
        let (sender, mut receiver) = patient();
        sender.send(started(1));
        assert_eq!(events(receiver.next()), [started(1)]);
        let (taken, seen) = std::sync::mpsc::channel();
        let reports = thread::spawn(move || {
            let batch = events(receiver.next());
            let _ = taken.send(());
            (batch, receiver)
        });
        sender.send(started(2));
        // It waits for an hour, if it does; if it does not, this will be seen more often than not.
        assert!(seen.recv_timeout(Duration::from_millis(20)).is_err());
        sender.send(warning());
        let (batch, mut receiver) = reports.join().unwrap();
        assert_eq!(batch, [started(2), warning()]);
        sender.send(started(3));
        sender.send_now(started(4));
        assert_eq!(events(receiver.next()), [started(3), started(4)]);
    }

    #[test]
    fn the_end_waits_for_nobody_and_loses_nothing() {
        let (sender, mut receiver) = patient();
        sender.send(warning());
        assert_eq!(receiver.next().map(|batch| batch.len()), Some(1));
        sender.send(started(1));
        let reports = thread::spawn(move || (events(receiver.next()), events(receiver.next())));
        drop(sender);
        assert_eq!(reports.join().unwrap(), (vec![started(1)], vec![]));
    }

    #[test]
    fn all_that_many_tell_arrives_in_the_order_of_its_times() {
        let (sender, mut receiver) = queue(Instant::now());
        let mut all = Vec::new();
        thread::scope(|scope| {
            let sender = &sender;
            for lane in 0..4 {
                scope.spawn(move || (0..500).for_each(|n| sender.send(started(lane * 500 + n))));
            }
            while all.len() < 2000 {
                all.extend(receiver.next().unwrap());
            }
        });
        assert!(all.is_sorted_by(|a, b| a.0 <= b.0));
        let mut jobs: Vec<_> = all
            .into_iter()
            .map(|(_, event)| match event {
                Event::JobStarted { job, .. } => job,
                other => panic!("{other:?}"),
            })
            .collect();
        jobs.sort_unstable();
        assert_eq!(jobs, (0..2000).collect::<Vec<_>>());
    }
}
