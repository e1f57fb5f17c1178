//! `fuzz/properties/css.rs` says what holds.

#![no_main]

#[path = "../properties/css.rs"]
mod css;

libfuzzer_sys::fuzz_target!(|input: &[u8]| css::hold(input));
