//! TLS on a listener: before the greeting and behind STARTTLS; what was said in clear never counts under it (RFC 3207 4.2, 6).

use std::io::Write as _;
use std::net::Shutdown;
use std::time::Duration;

use crate::authority::{Authority, RELAY};
use crate::support::{Client, Config, Served};
use crate::talk::{Talk, text_of, texts};

fn relay(authority: &Authority, more: &str) -> Config {
    Config {
        listener: vec![
            authority.sign(RELAY).listener(more),
            "xforward_networks = [\"127.0.0.1\"]".to_owned(),
        ],
        limits: vec!["handshake_timeout_seconds = 1".to_owned()],
        ..Config::default()
    }
}

#[test]
fn starttls_begins_anew_and_carries_mail() {
    let authority = Authority::new();
    let served = Served::start(&relay(&authority, ""));
    let client = authority.client(None);
    let mut talk = Talk::tcp(served.address());
    talk.expect("220");
    talk.says("STARTTLS", "503");
    assert!(talk.extensions().contains(&"STARTTLS".to_owned()));
    talk.says("XFORWARD NAME=in.clear", "250");
    talk.says("MAIL FROM:<a@client.example>", "250");
    talk.says("STARTTLS", "503");
    talk.says("RSET", "250");
    talk.says("STARTTLS now", "501");
    talk.says("STARTTLS", "220");
    let mut talk = talk.secured(&client);
    // Nothing that was said before holds.
    talk.says("MAIL FROM:<a@client.example>", "503");
    assert!(!talk.extensions().contains(&"STARTTLS".to_owned()));
    talk.says("STARTTLS", "502");
    assert!(talk.mail("b@example.net", "under TLS")[0].starts_with("250"));
    talk.says("QUIT", "221");
    assert!(talk.is_closed());
    let outbox = served.outbox();
    assert_eq!(texts(&outbox), ["under TLS"]);
    let received = text_of(&outbox[0]);
    assert!(received.contains("with ESMTPS"), "{received}");
}

/// Whoever sits in the middle may put commands behind a client's STARTTLS; under TLS they would be the client's
/// (CVE-2011-0411).
#[test]
fn what_stands_behind_starttls_in_clear_is_never_run() {
    let authority = Authority::new();
    let served = Served::start(&relay(&authority, ""));
    let client = authority.client(None);
    let injected = b"STARTTLS\r\nEHLO evil.example\r\nMAIL FROM:<evil@client.example>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n";
    for cut in [injected.len(), 12, 11, 15] {
        // In one write with STARTTLS, or so much of it; a line that TLS finishes is none either.
        let mut talk = Talk::greeted(served.address());
        talk.send(&injected[..cut]);
        talk.expect("220");
        let mut talk = talk.secured(&client);
        talk.says("NOOP", "250");
        talk.says("MAIL FROM:<a@client.example>", "503");
        talk.says("EHLO client.example", "250");
        talk.says("RCPT TO:<b@example.net>", "503");
        assert!(talk.mail("b@example.net", "true")[0].starts_with("250"));
        talk.says("QUIT", "221");
    }
    assert_eq!(texts(&served.outbox()), ["true"; 4]);
    // Behind the 220 it is no handshake, and the session is over without another word.
    let mut talk = Talk::greeted(served.address());
    talk.says("STARTTLS", "220");
    talk.send(b"NOOP\r\nEHLO evil.example\r\n");
    let mut last = Vec::new();
    let _ = std::io::Read::read_to_end(talk.below(), &mut last);
    assert!(
        !last.windows(3).any(|octets| octets == b"250"),
        "{}",
        last.escape_ascii()
    );
}

#[test]
fn no_mail_before_tls_where_it_is_required() {
    let authority = Authority::new();
    let served = Served::start(&relay(&authority, ", mode = \"required\""));
    let mut talk = Talk::greeted(served.address());
    talk.says("NOOP", "250");
    talk.says("MAIL FROM:<a@client.example>", "530 5.7.0");
    talk.says("RCPT TO:<b@example.net>", "503");
    talk.says("STARTTLS", "220");
    let mut talk = talk.secured(&authority.client(None));
    talk.says("EHLO client.example", "250");
    assert!(talk.mail("b@example.net", "at last")[0].starts_with("250"));
    assert_eq!(texts(&served.outbox()), ["at last"]);
}

#[test]
fn implicit_tls_says_nothing_in_clear() {
    let authority = Authority::new();
    let served = Served::start(&relay(&authority, ", mode = \"implicit\""));
    let mut talk = Talk::tls(served.address(), &authority.client(None));
    talk.expect("220");
    assert!(!talk.extensions().contains(&"STARTTLS".to_owned()));
    talk.says("STARTTLS", "502");
    assert!(talk.mail("b@example.net", "implicit")[0].starts_with("250"));
    assert_eq!(texts(&served.outbox()), ["implicit"]);
    // A client in clear is told nothing it could take for SMTP; a silent one is sent away in time.
    let mut talk = Talk::tcp(served.address());
    talk.send(b"EHLO client.example\r\n");
    let mut said = Vec::new();
    let _ = std::io::Read::read_to_end(talk.below(), &mut said);
    assert!(!said.starts_with(b"220"), "{}", said.escape_ascii());
    let mut silent = Talk::tcp(served.address());
    assert!(silent.is_closed(), "handshake_timeout_seconds = 1");
}

#[test]
fn a_handshake_that_stalls_or_fails_ends_its_own_session_only() {
    let authority = Authority::new();
    let served = Served::start(&relay(&authority, ""));
    let mut stalled = Talk::greeted(served.address());
    stalled.says("STARTTLS", "220");
    // A record that says it is long, and no more of it.
    stalled.send(b"\x16\x03\x01\x02\x00\x01");
    let stranger = Authority::new();
    let mut wrong = Talk::greeted(served.address());
    wrong.says("STARTTLS", "220");
    let mut wrong = wrong.secured(&stranger.client(None));
    wrong.send(b"NOOP\r\n");
    assert!(
        wrong.is_closed(),
        "the client does not believe the certificate"
    );
    assert!(stalled.is_closed(), "handshake_timeout_seconds = 1");
    let mut talk = Talk::starttls(served.address(), &authority.client(None));
    assert!(talk.mail("b@example.net", "alive")[0].starts_with("250"));
}

/// Exim's CVE-2026-45185: TLS that ends within a chunk. And a message whose end of data never came is no message.
#[test]
fn tls_that_ends_within_a_message_ends_the_message() {
    let authority = Authority::new();
    let served = Served::start(&relay(&authority, ""));
    let client = authority.client(None);
    for (command, content) in [
        ("BDAT 1000 LAST", "Subject: cut\r\n\r\ncut\r\n"),
        ("BDAT 1000", "Subject: cut\r\n\r\ncut\r\n"),
        ("DATA", "Subject: cut\r\n\r\ncut\r\n.\r"),
    ] {
        for in_clear in [false, true] {
            let mut talk = Talk::starttls(served.address(), &client);
            talk.says("MAIL FROM:<a@client.example>", "250");
            talk.says("RCPT TO:<b@example.net>", "250");
            talk.send(format!("{command}\r\n").as_bytes());
            if command == "DATA" {
                talk.expect("354");
            }
            talk.send(content.as_bytes());
            if in_clear {
                // Below TLS: an octet of the middle's own, where a record should be.
                let _ = talk.below().write_all(b"\r\n.\r\nQUIT\r\n");
            }
            let _ = talk.below().shutdown(Shutdown::Write);
            while let Some(line) = talk.line() {
                assert!(!line.starts_with("250"), "{line}");
            }
        }
    }
    let mut talk = Talk::starttls(served.address(), &client);
    assert!(talk.mail("b@example.net", "whole")[0].starts_with("250"));
    assert_eq!(texts(&served.outbox()), ["whole"]);
}

/// Nothing is waited for that was not begun: a handshake does not hold up the end.
#[test]
fn a_stop_does_not_wait_for_handshakes() {
    let authority = Authority::new();
    let mut config = relay(&authority, "");
    config.limits = vec!["handshake_timeout_seconds = 600".to_owned()];
    config
        .listener
        .push("proxy_networks = [\"127.0.0.2\"]".to_owned());
    config.tail = "[server]\ndrain_seconds = 600".to_owned();
    let mut served = Served::start(&config);
    let mut talk = Talk::greeted(served.address());
    talk.says("STARTTLS", "220");
    talk.send(b"\x16\x03\x01\x02\x00\x01");
    let mut idle = Client::connect(served.address());
    assert!(idle.line().is_some());
    std::thread::sleep(Duration::from_millis(100));
    assert!(served.stop().success(), "{}", served.log());
    assert!(talk.is_closed());
    assert_eq!(
        idle.line().as_deref(),
        Some("421 4.3.2 Service is being stopped, try again")
    );
}
