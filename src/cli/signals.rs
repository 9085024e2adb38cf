//! Signals: the first INT, TERM or HUP stops the run in good order, the second ends it at once. TSTP holds it, USR1 asks what
//! runs. A HUP that was ignored when we started, as by `nohup`, stays so: the run outlives its terminal.

use std::io;
use std::process;
use std::thread;

use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGTSTP, SIGUSR1};
use signal_hook::iterator::Signals;

use super::{exit, keys};
use crate::execute::{Order, Reason};
use crate::worker::is_ignored;

/// Listens from now on.
pub fn listen(tell: impl Fn(Order) + Send + 'static) -> io::Result<()> {
    let mut list = vec![SIGINT, SIGTERM, SIGTSTP, SIGCONT, SIGUSR1];
    if !is_ignored(SIGHUP) {
        list.push(SIGHUP);
    }
    let mut signals = Signals::new(list)?;
    thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            let mut is_stopping = false;
            for signal in signals.forever() {
                match signal {
                    SIGTSTP => {
                        keys::give_back();
                        tell(Order::Pause);
                    }
                    SIGCONT => {
                        keys::take();
                        tell(Order::Continue);
                    }
                    SIGUSR1 => tell(Order::Tell),
                    // The lifelines of all workers close with us: they kill what is below them and go.
                    _ if is_stopping => {
                        keys::give_back();
                        process::exit(i32::from(exit::of_signal(signal)));
                    }
                    _ => {
                        is_stopping = true;
                        tell(Order::Stop(Reason::Signal(signal)));
                    }
                }
            }
        })?;
    Ok(())
}
