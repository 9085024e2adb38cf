//! Signals: the first stops the run in good order, the second ends it at once.

use std::io;
use std::process;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::exit;
use crate::execute::Reason;

/// Listens from now on.
pub fn listen(stop: impl Fn(Reason) + Send + 'static) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            for (count, signal) in signals.forever().enumerate() {
                if count > 0 {
                    // The lifelines of all workers close with us: they kill what is below them and go.
                    process::exit(i32::from(exit::of_signal(signal)));
                }
                stop(Reason::Signal(signal));
            }
        })?;
    Ok(())
}
