//! The law as sentences, each a test: S1 to S20 and the duties of `law.md` that no other test shows, end to end. The real
//! binary relays real SMTP; the register is filled by its command line only; what stays is compared octet by octet, and the
//! line in the ledger is read back: action, basis or reason, the records it rests on, the profile that decided.
//!
//! S18 (an upstream that stamps a pixel of its own behind us) is not here: it is what `doctor` is for, which does not exist
//! yet. S5, S7, S11 and S17 stand in the form that holds without the gate: what would be `reduced` or `counted` is stripped.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that is not as it should be"
)]

#[path = "support/fixture.rs"]
mod fixture;
#[path = "support/ill_mannered.rs"]
mod ill_mannered;
mod support;
#[path = "support/traffic.rs"]
mod traffic;

#[path = "law/asked.rs"]
mod asked;
#[path = "law/attempts.rs"]
mod attempts;
#[path = "law/duties.rs"]
mod duties;
#[path = "law/exempt.rs"]
mod exempt;
#[path = "law/legacy.rs"]
mod legacy;
#[path = "law/letters.rs"]
mod letters;
#[path = "law/parts.rs"]
mod parts;
#[path = "law/press.rs"]
mod press;
#[path = "law/tenants.rs"]
mod tenants;
