//! `fuzz/properties/command.rs` says what holds.

#![no_main]

#[path = "../properties/command.rs"]
mod command;

libfuzzer_sys::fuzz_target!(|input: &[u8]| command::hold(input));
