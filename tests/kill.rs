//! Promise 3 at its hardest: the relay dies, or the disk fails it, at every step of a mixed transaction. Each
//! forward-path gets at least one copy of its own variant and never another, and 250 is never said before what it
//! promises lies on the disk.
//!
//! The next hop stops the relay where a test wants it; `kill -9` and a new start follow, and a client that comes again as
//! Postfix would. What needs strace is run by `tests/run` with `--ignored`, where strace is installed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test stops at the first thing that is not as it should be"
)]
#![allow(clippy::too_many_lines, reason = "a truth table is one flat list")]

#[path = "support/ill_mannered.rs"]
mod ill_mannered;
mod support;
#[path = "support/traffic.rs"]
mod traffic;

#[path = "kill/calls.rs"]
mod calls;
#[path = "kill/failing.rs"]
mod failing;
#[path = "kill/order.rs"]
mod order;
#[path = "kill/steps.rs"]
mod steps;
#[path = "kill/tracer.rs"]
mod tracer;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use ill_mannered::{Act, IllMannered, Rule, Script, Verb};
use support::{Config, PATIENCE, Served};
use traffic::*;

/// Relays at work at once.
const AT_ONCE: usize = 4;

/// Two variants, [`GRANTED`] in transaction 2 and [`UNKNOWN`] in transaction 3.
fn mixed() -> Submission {
    Submission::new(&FOUR, letter())
}

/// A next hop that may take its time: only the tests end a wait.
fn patient(hop: &IllMannered) -> Config {
    let limits = [
        "command_timeout_seconds = 60",
        "data_start_timeout_seconds = 60",
        "dot_timeout_seconds = 60",
        "answer_within_seconds = 90",
    ];
    Config {
        next_hop: next_hop_lines(hop, "smtp", &limits),
        ..config_for(hop)
    }
}

/// The relay dies and comes again, trying at once what it owes.
fn die_and_come_again(served: &mut Served, config: &Config) {
    served.kill();
    served.start_again(&Config {
        spool: eager(),
        under: Vec::new(),
        ..config.clone()
    });
}

fn count(hop: &IllMannered) -> [usize; 4] {
    FOUR.map(|address| copies(hop, address))
}

/// Runs cases, a few at once; every case is run, those that fail are named.
fn run<T: Send>(cases: Vec<T>, name: fn(&T) -> String, test: fn(&T)) {
    let cases = Mutex::new(cases.into_iter());
    let failed = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let case = cases.lock().unwrap().next();
                    let Some(case) = case else { break };
                    if catch_unwind(AssertUnwindSafe(|| test(&case))).is_err() {
                        failed.lock().unwrap().push(name(&case));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "cases that failed: {failed:#?}");
}
