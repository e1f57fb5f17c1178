//! What an operator can show, end to end: `why`, the report and the extract over the ledger and register of a relay that
//! mail went through. Nothing printed names another recipient or shows a URL. Golden texts lie in `tests/account/`;
//! `PIXELGATE_GOLDEN=write cargo test --test account` writes them anew.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test stops at the first thing that is not as it should be"
)]

#[path = "support/fixture.rs"]
mod fixture;
#[path = "support/ill_mannered.rs"]
mod ill_mannered;
#[path = "decisions/scene.rs"]
#[allow(dead_code, reason = "each test binary uses its own part of this")]
mod scene;
mod support;

#[path = "account/extract.rs"]
mod extract;
#[path = "account/printed.rs"]
mod printed;
#[path = "account/report.rs"]
mod report;
#[path = "account/why.rs"]
mod why;
