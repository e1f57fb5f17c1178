//! `fuzz/properties/reply.rs` says what holds.

#![no_main]

#[path = "../properties/reply.rs"]
mod reply;

libfuzzer_sys::fuzz_target!(|input: &[u8]| reply::hold(input));
