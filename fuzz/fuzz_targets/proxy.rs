//! `fuzz/properties/proxy.rs` says what holds.

#![no_main]

#[path = "../properties/proxy.rs"]
mod proxy;

libfuzzer_sys::fuzz_target!(|input: &[u8]| proxy::hold(input));
