//! The reply truth table: for every fault of a next hop what the client is told, which copies the next hop has, what is owed,
//! and, after `kill -9` and a new start, what is delivered in the end and who gets a failed DSN.
//!
//! What should come of a fault is one rule (`tests/truth/rule.rs`); every cell of fault x step x place x client's protocol x
//! next hop's protocol is run against it. The rows it gives are published in `tests/truth/table.md`, their classes in
//! `ARCHITECTURE.md`, "Who is told what".
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test stops at the first thing that is not as it should be"
)]

#[path = "support/authority.rs"]
mod authority;
#[path = "support/ill_mannered.rs"]
mod ill_mannered;
mod support;
#[path = "support/traffic.rs"]
mod traffic;

#[path = "truth/cells.rs"]
mod cells;
#[path = "truth/envelopes.rs"]
mod envelopes;
#[path = "truth/rule.rs"]
mod rule;
#[path = "truth/several_hops.rs"]
mod several_hops;
#[path = "truth/tls.rs"]
mod tls;
#[path = "truth/together.rs"]
mod together;
#[path = "truth/unreached.rs"]
mod unreached;

use std::fs;
use std::net::SocketAddr;
use std::sync::{Mutex, OnceLock};
use std::thread;

use tempfile::TempDir;

use ill_mannered::{IllMannered, Script};
use rule::Speaks;
use support::{Client, Config, Served, free_port};
use traffic::*;

/// The rule's own text is the published one, so that whoever changes the rule sees what changes for whom.
#[test]
fn the_published_rows_are_those_of_the_rule() {
    let published = fs::read_to_string("tests/truth/table.md").unwrap();
    let by_rule = rule::published();
    let missing: Vec<&str> = by_rule
        .lines()
        .filter(|line| !published.lines().any(|known| known == *line))
        .collect();
    let stale: Vec<&str> = published
        .lines()
        .filter(|line| line.starts_with('|') && !by_rule.lines().any(|known| known == *line))
        .collect();
    assert!(
        missing.is_empty() && stale.is_empty(),
        "not in tests/truth/table.md:\n{}\nnot of the rule:\n{}",
        missing.join("\n"),
        stale.join("\n")
    );
}

fn word(speaks: Speaks) -> &'static str {
    match speaks {
        Speaks::Smtp => "smtp",
        Speaks::Lmtp => "lmtp",
    }
}

fn script(hop: Speaks) -> Script {
    match hop {
        Speaks::Smtp => Script::smtp(),
        Speaks::Lmtp => Script::lmtp(),
    }
}

/// A register in which [`GRANTED`] have consented, made once.
fn seed() -> &'static TempDir {
    static SEED: OnceLock<TempDir> = OnceLock::new();
    SEED.get_or_init(|| {
        let mut served = start(&Config::default());
        assert!(served.stop().success());
        let seed = tempfile::tempdir().unwrap();
        fs::create_dir(seed.path().join("keys")).unwrap();
        for place in ["", "keys"] {
            for name in files(&served.directory().join(place)) {
                if place == "keys" || name.starts_with("consent.db") {
                    let file = served.directory().join(place).join(&name);
                    fs::copy(file, seed.path().join(place).join(name)).unwrap();
                }
            }
        }
        seed
    })
}

/// One relay with a listener for each protocol, before one next hop.
struct Relay {
    served: Served,
    config: Config,
    lmtp: SocketAddr,
}

impl Relay {
    /// `more`: lines of `[[next_hop]]` before its limits.
    fn start(hop: &IllMannered, speaks: Speaks, more: &[String]) -> Self {
        let lmtp = free_port();
        let mut next_hop = vec![
            format!("address = \"{}\"", hop.address()),
            format!("protocol = \"{}\"", word(speaks)),
        ];
        next_hop.extend_from_slice(more);
        next_hop.push("[next_hop.limits]".to_owned());
        // Enough for a busy machine, little enough for a test in which somebody is silent.
        next_hop.extend(
            [
                "connect_timeout_seconds = 4",
                "greeting_timeout_seconds = 4",
                "command_timeout_seconds = 4",
                "handshake_timeout_seconds = 4",
                "data_start_timeout_seconds = 4",
                "data_block_timeout_seconds = 4",
                "dot_timeout_seconds = 4",
                "connection_wait_seconds = 30",
                "hold_before_data_seconds = 60",
                "answer_within_seconds = 40",
                "dot_time_seconds = 5",
            ]
            .map(str::to_owned),
        );
        let config = Config {
            next_hop,
            spool: sleepy(),
            // A store or a ledger that is late strips, which is right, and not what these tests ask.
            consent: vec!["lookup_timeout_ms = 30000".to_owned()],
            tail: format!(
                "write_timeout_ms = 30000\n[[listener]]\naddress = \"{lmtp}\"\nprotocol = \"lmtp\"\n"
            ),
            seed: Some(seed().path().to_owned()),
            ..Config::default()
        };
        Self {
            served: Served::start(&config),
            config,
            lmtp,
        }
    }

    fn address(&self, client: Speaks) -> SocketAddr {
        match client {
            Speaks::Smtp => self.served.address(),
            Speaks::Lmtp => self.lmtp,
        }
    }

    /// kill -9, and a relay that delivers at once what is owed.
    fn kill_and_start_again(&mut self) {
        self.served.kill();
        let mut spool = eager();
        spool.push("connections = 16".to_owned());
        let config = Config {
            spool,
            ..self.config.clone()
        };
        self.served.start_again(&config);
    }
}

/// Does each of them, so many at once.
fn at_once<T: Sync, R: Send>(count: usize, all: &[T], act: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = Mutex::new(all.iter().enumerate());
    let done = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..count.min(all.len()) {
            scope.spawn(|| {
                loop {
                    let Some((at, one)) = next.lock().unwrap().next() else {
                        break;
                    };
                    let result = act(one);
                    done.lock().unwrap().push((at, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap();
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

/// What a client of this protocol is told for a letter to these.
fn send(relay: &Relay, client: Speaks, sender: &str, rcpts: &[&str], message: Vec<u8>) -> Told {
    let submission = Submission {
        mail: format!("<{sender}>"),
        lmtp: client == Speaks::Lmtp,
        ..Submission::new(rcpts, message)
    };
    submission.send(relay.address(client))
}

/// Whether replies begin as they should, one by one.
fn begin(told: &[String], expected: &[&str]) -> bool {
    told.len() == expected.len()
        && told
            .iter()
            .zip(expected)
            .all(|(told, expected)| told.starts_with(expected))
}

/// The first line that a listener says to somebody who connects.
fn greeting(relay: &Relay, client: Speaks) -> String {
    Client::connect(relay.address(client))
        .line()
        .unwrap_or_default()
}
