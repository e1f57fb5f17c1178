//! `fuzz/properties/auth.rs` says what holds.

#![no_main]

#[path = "../properties/auth.rs"]
mod auth;

libfuzzer_sys::fuzz_target!(|input: &[u8]| auth::hold(input));
