//! What lies in the spool, as an operator and a sender meet it: late mail and its report, a full disk, new mail beside much that
//! is owed, a next hop that is down, a message over which the process dies, a configuration that changed meanwhile, and
//! `pixelgate spool`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test stops at the first thing that is not as it should be"
)]

#[path = "support/ill_mannered.rs"]
mod ill_mannered;
mod support;
#[path = "support/traffic.rs"]
mod traffic;

#[path = "owed/beside.rs"]
mod beside;
#[path = "owed/commands.rs"]
mod commands;
#[path = "owed/delayed.rs"]
mod delayed;
#[path = "owed/down.rs"]
mod down;
#[path = "owed/full.rs"]
mod full;
#[path = "owed/gone.rs"]
mod gone;
#[path = "owed/quarantine.rs"]
mod quarantine;
#[path = "owed/several.rs"]
mod several;

use std::fs;
use std::thread::{self, sleep};
use std::time::Duration;

use ill_mannered::{Act, IllMannered, Rule, Script, Verb};
use support::{Client, Config, PATIENCE, Served};
use traffic::*;

const LATER: &str = "451 4.3.0 later";

fn count(hop: &IllMannered) -> [usize; 4] {
    FOUR.map(|address| copies(hop, address))
}

/// Mixed mail, of which the copies of [`UNKNOWN`] are not taken so many times.
fn later(times: usize) -> Rule {
    Rule::on(Verb::Dot, [Act::say(LATER)])
        .containing(BEN)
        .times(times)
}

fn mixed() -> Submission {
    Submission::new(&FOUR, letter())
}

/// `[spool]` that tries again at once, and more lines.
fn eager_and(more: &[&str]) -> Vec<String> {
    let more = more.iter().map(|line| (*line).to_owned());
    eager().into_iter().chain(more).collect()
}

#[track_caller]
fn assert_told(told: &Told, begins: &str, served: &Served) {
    let log = served.log();
    assert!(told.last().starts_with(begins), "{told:?}\n{log}");
}

/// Runs `pixelgate spool …` beside the relay or without one: exit code, standard output, standard error.
fn spool(served: &Served, arguments: &[&str]) -> (i32, String, String) {
    let words: Vec<&str> = ["spool"].iter().chain(arguments).copied().collect();
    let output = pixelgate(served, &words);
    let text = |octets: Vec<u8>| String::from_utf8(octets).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// `spool list --json`.
fn listed(served: &Served) -> Vec<serde_json::Value> {
    let (code, out, err) = spool(served, &["list", "--json"]);
    assert_eq!(code, 0, "{err}");
    out.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn ids(served: &Served) -> Vec<String> {
    let listed = listed(served).into_iter();
    listed
        .map(|entry| entry["id"].as_str().unwrap().to_owned())
        .collect()
}

/// A message of which nothing is left on the disk and every copy lies with the next hop once.
#[track_caller]
fn assert_all_delivered(hop: &IllMannered, served: &Served) {
    wait_until("the end of what is owed", served, || spool_is_empty(served));
    assert_eq!(count(hop), [1, 1, 1, 1], "{}", served.log());
    assert_own_variants(hop, &letter());
}
