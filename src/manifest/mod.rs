//! The manifest: its model, loading, validation, templates, and resolution to a [`Config`].
//!
//! Data goes one way: text, [`source`], [`validate`], [`model`], [`resolve`], [`config`]. Everything after this folder is
//! given a [`Config`] that is valid by type.

#[cfg(test)]
mod agreement;
pub mod config;
pub mod detect;
pub mod load;
pub mod model;
pub mod pattern;
pub mod problem;
pub mod resolve;
pub mod retry;
pub mod schema;
pub mod source;
pub mod template;
pub mod validate;

pub use config::Config;
pub use load::{LoadError, load};
pub use model::Manifest;
pub use resolve::Choices;
