//! `fuzz/properties/ehlo.rs` says what holds.

#![no_main]

#[path = "../properties/ehlo.rs"]
mod ehlo;

libfuzzer_sys::fuzz_target!(|input: &[u8]| ehlo::hold(input));
