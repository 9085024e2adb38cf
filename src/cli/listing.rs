//! What a person sees while tests are listed, which may build them.

use std::collections::HashMap;
use std::io::{self, IsTerminal};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::say;
use crate::report::one_line;
use crate::runner::list::{Progress, Watch};

/// A listing is shown when it has run for so long: most are over before.
const SHOWN_AFTER: Duration = Duration::from_millis(500);
/// The same where there is no terminal, and what is shown stays.
const PRINTED_AFTER: Duration = Duration::from_secs(2);
/// How often a listing that says nothing is printed to be still there.
const SILENT_FOR: Duration = Duration::from_secs(30);

/// Shows listings: on a terminal a line each, with the last line of its tool's output; elsewhere what the tools print.
pub struct Listings {
    terminal: Option<MultiProgress>,
    shown: Mutex<HashMap<String, Shown>>,
}

#[derive(Default)]
struct Shown {
    bar: Option<ProgressBar>,
    /// Lines that are not printed yet, since the listing may be over in a moment.
    waiting: Vec<String>,
    /// When the listing was last heard of.
    heard: Duration,
}

impl Listings {
    /// On the standard error of this process.
    pub fn new() -> Self {
        let target = || ProgressDrawTarget::stderr_with_hz(10);
        Self {
            terminal: io::stderr()
                .is_terminal()
                .then(|| MultiProgress::with_draw_target(target())),
            shown: Mutex::default(),
        }
    }

    fn shown(&self) -> MutexGuard<'_, HashMap<String, Shown>> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch for Listings {
    fn look(&self, listings: &[Progress]) {
        let mut all = self.shown();
        for listing in listings {
            let shown = all.entry(listing.name.clone()).or_default();
            match &self.terminal {
                Some(terminal) => shown.draw(terminal, listing),
                None => shown.print(listing),
            }
        }
        all.retain(|name, shown| {
            let runs = listings.iter().any(|listing| listing.name == *name);
            if let (false, Some(bar)) = (runs, &shown.bar) {
                bar.finish_and_clear();
            }
            runs
        });
    }

    fn over(&self) {
        for (_, shown) in self.shown().drain() {
            if let Some(bar) = shown.bar {
                bar.finish_and_clear();
            }
        }
        if let Some(terminal) = &self.terminal {
            let _ = terminal.clear();
        }
    }
}

impl Shown {
    fn draw(&mut self, terminal: &MultiProgress, listing: &Progress) {
        if listing.running < SHOWN_AFTER && self.bar.is_none() {
            self.waiting.extend(listing.lines.last().cloned());
            return;
        }
        let bar = self.bar.get_or_insert_with(|| {
            let bar = terminal.add(ProgressBar::new_spinner());
            let style =
                ProgressStyle::with_template("{spinner} listing {prefix} ({elapsed})  {wide_msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.set_prefix(listing.name.clone());
            bar.set_elapsed(listing.running);
            bar
        });
        // Until a command says something, it speaks for itself.
        let said = listing.lines.last().or(self.waiting.last());
        if let Some(text) = said.or(listing
            .command
            .as_ref()
            .filter(|_| bar.message().is_empty()))
        {
            bar.set_message(one_line(text));
        }
        self.waiting.clear();
        bar.tick();
    }

    fn print(&mut self, listing: &Progress) {
        self.waiting.extend(listing.lines.iter().cloned());
        if listing.running < PRINTED_AFTER {
            return;
        }
        let name = &listing.name;
        if !self.waiting.is_empty() {
            self.heard = listing.running;
        } else if listing.running >= self.heard + SILENT_FOR {
            self.heard = listing.running;
            let seconds = listing.running.as_secs();
            say(clean!("listing {name}: it has run for {seconds} s"));
        }
        for line in self.waiting.drain(..) {
            say(clean!("listing {name}: {}", one_line(&line)));
        }
    }
}
