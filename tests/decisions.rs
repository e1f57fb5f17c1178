//! Who keeps what, end to end through SMTP: streams, records, stops, shadow, and everything that can break while the relay
//! runs (DESIGN promises 1 and 5, section 5). After every scene the chain of the ledger holds, and neither ledger nor log nor
//! register shows an address or a URL of any message that went through.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that is not as it should be"
)]

#[path = "support/fixture.rs"]
mod fixture;
mod support;

#[path = "decisions/broken.rs"]
mod broken;
#[path = "decisions/narrow.rs"]
mod narrow;
#[path = "decisions/records.rs"]
mod records;
#[path = "decisions/scene.rs"]
mod scene;
#[path = "decisions/shadow.rs"]
mod shadow;
#[path = "decisions/streams.rs"]
mod streams;
#[path = "decisions/tenants.rs"]
mod tenants;
