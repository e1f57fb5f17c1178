//! What many messages together say of a load, with the real binary: from which message on each slot of a campaign is known, and
//! that no verdict is wrong afterwards; that what is owed is judged as it was; that only mail that was let go teaches.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that is not as it should be"
)]

#[path = "learn/campaign.rs"]
mod campaign;
#[path = "support/ill_mannered.rs"]
mod ill_mannered;
#[path = "learn/judged_once.rs"]
mod judged_once;
#[path = "learn/lines.rs"]
mod lines;
mod support;
#[path = "support/traffic.rs"]
mod traffic;

/// A tiny image that everybody gets: taken for a tracker, by its query, until it is known to be everybody's.
const SPACER: &str = "https://i.shop.example/s/line.gif?v=7";

/// A message whose HTML has this in its body.
fn message(number: usize, body: &str) -> Vec<u8> {
    format!(
        "From: Shop <news@shop.example>\r\nSubject: Autumn\r\nMessage-ID: <{number}.autumn@shop.example>\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/html; charset=utf-8\r\n\r\n<html><body>\r\n<p>Autumn is here.</p>\r\n{body}\r\n</body></html>\r\n"
    )
    .into_bytes()
}

fn spacer() -> String {
    format!("<img src=\"{SPACER}\" width=\"1\" height=\"1\" alt=\"\">")
}
