//! `fuzz/properties/chunks.rs` says what holds.

#![no_main]

#[path = "../properties/chunks.rs"]
mod chunks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| chunks::hold(input));
