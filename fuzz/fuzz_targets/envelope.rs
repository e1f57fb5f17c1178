//! `fuzz/properties/envelope.rs` says what holds.

#![no_main]

#[path = "../properties/envelope.rs"]
mod envelope;

libfuzzer_sys::fuzz_target!(|input: &[u8]| envelope::hold(input));
