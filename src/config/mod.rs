//! Configuration.
pub mod error;
