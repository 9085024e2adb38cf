//! What is kept between runs: durations and outcomes in SQLite, journals in files. Advisory: what is missing or broken here
//! changes the order of tests, never a result.

mod aside;
mod folder;
mod journal;
mod store;

pub use folder::{Begun, Fate, Folder, RunFolder};
pub use journal::Journal;
pub use store::{Recorder, Store};
