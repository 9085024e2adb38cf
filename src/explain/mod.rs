//! What a run's time went to, and what would have saved most of it.
//!
//! A [`Record`] is made from a run's events. Its jobs, with what each really took, are run again through the very scheduler under
//! a virtual clock, each time with one thing taken away: a lock, a `serial`, a start-up cost. What the run takes less then is what
//! that thing costs. Pure: events come in, numbers go out; it knows no file, no clock and no terminal.

mod cause;
mod change;
mod record;
mod scene;
mod straggler;
mod verdict;

pub use cause::Kind;
pub use record::Record;
pub use verdict::{Explanation, Finding, Part};

#[cfg(test)]
mod tests;
