//! `fuzz/properties/html.rs` says what holds.

#![no_main]

#[path = "../properties/html.rs"]
mod html;

libfuzzer_sys::fuzz_target!(|input: &[u8]| html::hold(input));
