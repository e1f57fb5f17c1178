//! `fuzz/properties/walker.rs` says what holds.

#![no_main]

#[path = "../properties/walker.rs"]
mod walker;

libfuzzer_sys::fuzz_target!(|input: &[u8]| walker::hold(input));
