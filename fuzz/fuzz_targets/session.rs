//! `fuzz/properties/session.rs` says what holds.

#![no_main]

#[path = "../properties/session.rs"]
mod session;

libfuzzer_sys::fuzz_target!(|input: &[u8]| session::hold(input));
