//! `fuzz/properties/xforward.rs` says what holds.

#![no_main]

#[path = "../properties/xforward.rs"]
mod xforward;

libfuzzer_sys::fuzz_target!(|input: &[u8]| xforward::hold(input));
