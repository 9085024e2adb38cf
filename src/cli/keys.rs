//! Keys at the terminal while a run goes on: `t` tells what runs.
//!
//! Only where we are in the foreground; the terminal is as it was before whenever we are not: at the end, while the run is
//! held, and when a second signal ends it at once.

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::getpgrp;
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, isatty, tcgetattr, tcgetpgrp, tcsetattr,
};
use signal_hook::consts::{SIGTTIN, SIGTTOU};

use crate::execute::Order;

static LISTENING: AtomicBool = AtomicBool::new(false);

/// What the terminal was before it was made to give us single keys.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// Gives the terminal back when it is dropped.
pub struct Keys;

impl Drop for Keys {
    fn drop(&mut self) {
        LISTENING.store(false, Ordering::Relaxed);
        give_back();
    }
}

/// Listens from now on, if there is a terminal.
pub fn listen(tell: impl Fn(Order) + Send + 'static) -> Option<Keys> {
    if !isatty(io::stdin()) || !isatty(io::stderr()) {
        return None;
    }
    // In the background, a terminal stops whoever reads from it or changes it; with a handler it only refuses.
    let ignored = Arc::new(AtomicBool::new(false));
    for signal in [SIGTTIN, SIGTTOU] {
        signal_hook::flag::register(signal, ignored.clone()).ok()?;
    }
    LISTENING.store(true, Ordering::Relaxed);
    take();
    let listener = move || {
        loop {
            let input = io::stdin();
            let mut polled = [PollFd::from_borrowed_fd(input.as_fd(), PollFlags::IN)];
            let second = Timespec {
                tv_sec: 1,
                tv_nsec: 0,
            };
            match poll(&mut polled, Some(&second)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => continue,
                Ok(_) if !is_foreground() => {
                    thread::sleep(std::time::Duration::from_secs(1));
                    continue;
                }
                Ok(_) => {}
                Err(_) => return,
            }
            let mut key = [0];
            match rustix::io::read(input.as_fd(), &mut key) {
                Ok(1) if key[0] == b't' => tell(Order::Tell),
                Ok(0) => return,
                Err(rustix::io::Errno::INTR) | Ok(_) => {}
                Err(_) => return,
            }
        }
    };
    thread::Builder::new()
        .name("keys".into())
        .spawn(listener)
        .ok()?;
    Some(Keys)
}

fn is_foreground() -> bool {
    tcgetpgrp(io::stdin()).is_ok_and(|group| group == getpgrp())
}

/// Asks the terminal for single keys, which it does not show; Ctrl-C and Ctrl-Z stay what they are.
pub fn take() {
    let mut held = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
    if held.is_some() || !LISTENING.load(Ordering::Relaxed) || !is_foreground() {
        return;
    }
    let Ok(before) = tcgetattr(io::stdin()) else {
        return;
    };
    let mut modes = before.clone();
    modes.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
    modes.special_codes[SpecialCodeIndex::VMIN] = 1;
    modes.special_codes[SpecialCodeIndex::VTIME] = 0;
    if tcsetattr(io::stdin(), OptionalActions::Now, &modes).is_ok() {
        *held = Some(before);
    }
}

/// Makes the terminal what it was.
pub fn give_back() {
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(before) = &before {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
    }
}
