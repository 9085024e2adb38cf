//! What is kept between runs: durations and outcomes in SQLite, journals in files. Advisory: what is missing or broken here
//! changes the order of tests, never a result.

mod folder;
mod store;

pub use folder::{Folder, RunFolder};
pub use store::{Recorder, Store};
