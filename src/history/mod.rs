//! What is kept between runs: results and what they cost in SQLite, journals in files. Advisory: what is missing or broken here
//! changes the order of tests, never a result.

mod aside;
mod commit;
mod database;
mod exchange;
mod folder;
mod journal;
mod last;
mod load;
mod look;
mod recorder;
mod store;

pub use commit::commit;
pub use database::{DatabaseError, FORGOTTEN, KEPT};
pub use exchange::{ExchangeError, export, import};
pub use folder::{Begun, Fate, Folder, JOURNAL, Kept, RunFolder, is_run_id};
pub use journal::Journal;
pub use last::{Unfinished, inside, unfinished};
pub use look::{Known, Try, look, prune};
pub use recorder::Recorder;
pub use store::Store;
