//! `fuzz/properties/data.rs` says what holds.

#![no_main]

#[path = "../properties/data.rs"]
mod data;

libfuzzer_sys::fuzz_target!(|input: &[u8]| data::hold(input));
