//! `orchestrate` as a user runs it: the real binary in a folder of its own.

mod admission;
mod bounds;
mod commands;
mod docs;
mod explain;
mod found;
mod history;
mod hooks;
mod kept;
mod listings;
mod manifests;
mod on_timeout;
mod outcomes;
mod overlap;
mod placements;
mod plans;
mod pools;
mod reports;
mod retries;
mod selection;
mod session;
mod shards;
mod signals;
mod support;
mod templates;
mod timeouts;
