//! Rotating keys while everything goes on: killed at every step, beside withdrawals by command line, under a running relay,
//! with key files that are missing, wrong or open to others.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that is not as it should be"
)]

#[path = "support/fixture.rs"]
mod fixture;
mod support;

#[path = "keys/files.rs"]
mod files;
#[path = "keys/killed.rs"]
mod killed;
#[path = "keys/running.rs"]
mod running;
#[path = "keys/shop.rs"]
mod shop;
