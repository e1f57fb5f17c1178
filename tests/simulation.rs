//! Promises 3 and 6 over random faults: client, relay, next hop, spool and clock, each at its worst, in one process.
//!
//! A run is drawn from its seed: what clients send and where they break off, what the next hop does wrong at which step, when
//! the relay dies, the disk fails and time passes. Then everybody is polite, time passes, and what clients were told, what
//! the next hop took and what lies on disk is held against the promises (`simulation/model.rs`).
//!
//!     PIXELGATE_SIMULATION_SEED=42 cargo test --test simulation      one seed again, with what happened
//!     PIXELGATE_SIMULATION_SEEDS=5000 cargo test --test simulation   so many, from the first
//!     PIXELGATE_SIMULATION_FIRST=10000                               the first of them
//!
//! Draws depend on the seed alone; how the threads of one run overtake each other does not. A failure that hangs on that may
//! need its seed more than once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stdout,
    reason = "a test stops at the first thing that is not as it should be"
)]

#[path = "simulation/client.rs"]
mod client;
#[path = "simulation/clock.rs"]
mod clock;
#[path = "simulation/dice.rs"]
mod dice;
#[path = "simulation/mail.rs"]
mod mail;
#[path = "simulation/model.rs"]
mod model;
#[path = "simulation/next_hop.rs"]
mod next_hop;
#[path = "simulation/relay.rs"]
mod relay;
#[path = "simulation/run.rs"]
mod run;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use model::Counts;
use run::run;

/// Seeds of an ordinary test run.
const SEEDS: u64 = 300;
/// Runs at once: most of them wait for one another's threads.
const AT_ONCE: usize = 6;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name}={text}: not a number")),
    )
}

#[test]
fn promises_hold_over_random_faults() {
    if let Some(seed) = number("PIXELGATE_SIMULATION_SEED") {
        // What the relay says of it, beside what happened.
        tracing_subscriber::fmt()
            .with_test_writer()
            .without_time()
            .init();
        let run = run(seed);
        println!("{:?}", run.counts);
        assert!(
            run.violations.is_empty(),
            "seed {seed}: {:#?}",
            run.violations
        );
        return;
    }
    let first = number("PIXELGATE_SIMULATION_FIRST").unwrap_or(0);
    let end = first + number("PIXELGATE_SIMULATION_SEEDS").unwrap_or(SEEDS);
    let next = AtomicU64::new(first);
    let (failures, counts) = (Mutex::new(Vec::new()), Mutex::new(Counts::default()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        return;
                    }
                    let run = run(seed);
                    counts.lock().unwrap().add(run.counts);
                    if !run.violations.is_empty() {
                        let mut failures = failures.lock().unwrap();
                        // What happened in one of them: the same seed may take another way the next time.
                        if failures.is_empty() {
                            println!("seed {seed}\n{}", run.trace.join("\n"));
                        }
                        failures.push((seed, run.violations));
                    }
                }
            });
        }
    });
    let counts = counts.into_inner().unwrap();
    println!("seeds {first} to {end}: {counts:?}");
    let failures = failures.into_inner().unwrap();
    assert!(
        failures.is_empty(),
        "{} seeds failed (PIXELGATE_SIMULATION_SEED=N shows one): {failures:#?}",
        failures.len()
    );
    something_happened(&counts, end - first);
}

/// A simulation in which nothing goes wrong, or nothing goes well, shows nothing.
fn something_happened(counts: &Counts, seeds: u64) {
    if seeds < 100 {
        return;
    }
    // Of each in how many runs once, at least; it is several times as often.
    for (what, count, runs) in [
        ("acknowledged", counts.acknowledged, 1),
        ("copies", counts.copies, 1),
        ("kept", counts.kept, 1),
        ("kills", counts.kills, 1),
        ("owed", counts.owed, 1),
        ("faults", counts.faults, 1),
        ("smuggled", counts.smuggled, 2),
        ("unconfirmed", counts.unconfirmed, 4),
        ("reports", counts.reports, 15),
        ("twice", counts.twice, 15),
    ] {
        let least = usize::try_from(seeds / runs).unwrap();
        assert!(
            count >= least,
            "{what}: only {count} in {seeds} runs: {counts:?}"
        );
    }
}
