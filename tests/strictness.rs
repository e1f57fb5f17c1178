//! Promise 6, *one message in, one message out*, over TCP with the real binary: whatever a client or a next hop says, cut
//! wherever, exactly one message reaches the next hop or none, with no octet pair in it that anybody could take for another end,
//! and nobody's words become a second command, header field or reply.
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

#[path = "strictness/chunks.rs"]
mod chunks;
#[path = "strictness/data.rs"]
mod data;
#[path = "strictness/envelope.rs"]
mod envelope;
#[path = "strictness/outbound.rs"]
mod outbound;

use std::net::SocketAddr;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use ill_mannered::{IllMannered, Script, Transaction};
use support::{Client, Config, Served};
use traffic::*;

/// Between two pieces: they arrive apart.
const GAP: Duration = Duration::from_millis(4);
/// Dialogs at work at once.
const AT_ONCE: usize = 8;
/// Lines that we write, or that are a peer's and go through our hands as text (RFC 5322 2.1.1).
const LINE_OCTETS: usize = 998;

fn relay(hop: &IllMannered, listener: &[&str]) -> Served {
    Served::start(&Config {
        listener: listener.iter().map(|&line| line.to_owned()).collect(),
        ..config_for(hop)
    })
}

/// A client that has said EHLO.
fn greeted(address: SocketAddr) -> Client {
    let mut client = Client::connect(address);
    assert!(said(&mut client).starts_with("220 "));
    client.send(b"EHLO client.example\r\n");
    assert!(said(&mut client).starts_with("250"));
    client
}

/// A client whose transaction stands before DATA.
fn begun(address: SocketAddr, sender: &str) -> Client {
    let mut client = greeted(address);
    client.send(format!("MAIL FROM:<{sender}>\r\n").as_bytes());
    assert!(said(&mut client).starts_with("250 "));
    client.send(b"RCPT TO:<reader@example.net>\r\n");
    assert!(said(&mut client).starts_with("250 "));
    client
}

/// Sends octets in pieces that arrive apart.
fn send_cut(client: &mut Client, octets: &[u8], cuts: &[usize]) {
    let mut before = 0;
    for &cut in cuts.iter().chain([&octets.len()]) {
        if cut > before {
            client.send(&octets[before..cut]);
            before = cut;
            if cut < octets.len() {
                thread::sleep(GAP);
            }
        }
    }
}

/// Every reply that is left until QUIT is answered; each begins with its code.
fn until_bye(client: &mut Client) -> Vec<String> {
    client.send(b"QUIT\r\n");
    let mut replies = Vec::new();
    while let Some(reply) = said_or_gone(client) {
        let bye = reply.starts_with("221");
        replies.push(reply);
        if bye {
            break;
        }
    }
    replies
}

/// What left for the next hop holds no line end but CRLF, no NUL, and one end of data, at its end.
#[track_caller]
fn assert_one_message(transaction: &Transaction) {
    let wire = &transaction.wire;
    let framed = [b"\r\n", wire.as_slice()].concat();
    let count = |needle: &[u8]| {
        framed
            .windows(needle.len())
            .filter(|w| *w == needle)
            .count()
    };
    let shown = wire.escape_ascii().to_string();
    assert_eq!(count(b"\r\n.\r\n"), 1, "{shown}");
    assert!(framed.ends_with(b"\r\n.\r\n"), "{shown}");
    assert_eq!(count(b"\r"), count(b"\r\n"), "a bare CR: {shown}");
    assert_eq!(count(b"\n"), count(b"\r\n"), "a bare LF: {shown}");
    assert_eq!(count(b"\0"), 0, "a NUL: {shown}");
}

/// Nothing that was read where commands are due holds a control character, and none is longer than a command may be.
#[track_caller]
fn assert_plain_commands(hop: &IllMannered) {
    for line in hop.commands() {
        assert!(!line.chars().any(char::is_control), "{line:?}");
        assert!(line.len() <= 4096, "{line:?}");
        let verbs = [
            "EHLO",
            "LHLO",
            "HELO",
            "XFORWARD",
            "MAIL FROM:<",
            "RCPT TO:<",
            "DATA",
            "RSET",
            "QUIT",
        ];
        assert!(verbs.iter().any(|verb| line.starts_with(verb)), "{line:?}");
    }
}

/// Does each of them, some at once; those that fail are named.
fn each<T: Sync + std::fmt::Debug>(all: &[T], act: impl Fn(&T) + Sync) {
    let next = Mutex::new(all.iter());
    let failed = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let Some(one) = next.lock().unwrap().next() else {
                        break;
                    };
                    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| act(one)));
                    if done.is_err() {
                        failed.lock().unwrap().push(format!("{one:?}"));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(
        failed.is_empty(),
        "{} failed:\n{}",
        failed.len(),
        failed.join("\n")
    );
}
