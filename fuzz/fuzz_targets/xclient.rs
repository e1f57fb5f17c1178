//! `fuzz/properties/xclient.rs` says what holds.

#![no_main]

#[path = "../properties/xclient.rs"]
mod xclient;

libfuzzer_sys::fuzz_target!(|input: &[u8]| xclient::hold(input));
