//! Another author's client speaks to our listener: lettre, over a kept connection. What it sends is what arrives.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that is not as it should be"
)]

mod support;

use lettre::address::Envelope;
use lettre::{Address, SmtpTransport, Transport};
use support::{Config, Served};

const PIXEL: &str = "https://click.example.com/wf/open?upn=u001.bGV0dHJl";

fn letter(number: usize) -> String {
    format!(
        "From: a@example.org\r\nTo: b@example.net\r\nSubject: {number}\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/html; charset=utf-8\r\n\r\n\
         <p>one\r\n.\r\n..two\r\n<img src=\"{PIXEL}\" width=\"1\" height=\"1\">\r\nlast"
    )
}

#[test]
fn what_lettre_sends_arrives_stripped_and_otherwise_whole() {
    let relay = Served::start(&Config::default());
    let address = relay.address();
    let client = SmtpTransport::builder_dangerous(address.ip().to_string())
        .port(address.port())
        .build();
    let envelope = |to: &[&str]| {
        let from: Address = "a@example.org".parse().unwrap();
        let to = to.iter().map(|to| to.parse().unwrap()).collect();
        Envelope::new(Some(from), to).unwrap()
    };
    for number in 0..3 {
        let reply = client
            .send_raw(
                &envelope(&["b@example.net", "c@example.net"]),
                letter(number).as_bytes(),
            )
            .unwrap();
        assert!(reply.is_positive(), "{reply:?}");
    }
    let mut copies = relay.outbox();
    copies.sort();
    assert_eq!(copies.len(), 3, "one body for both recipients");
    for (number, copy) in copies.iter().enumerate() {
        let copy = String::from_utf8(copy.clone()).unwrap();
        let start = copy.find("From: a@example.org").unwrap();
        let (_, body) = copy.split_at(start);
        // lettre ends every message with a line end of its own.
        let (before, after) = (letter(number), format!("{}\r\n", letter(number)));
        let (head, tail) = (
            before.split(PIXEL).next().unwrap(),
            after.split(PIXEL).nth(1).unwrap(),
        );
        assert!(!body.contains("click.example.com"), "{body}");
        assert!(
            body.starts_with(head.trim_end_matches("<img src=\"")),
            "{body}"
        );
        assert!(
            body.ends_with(tail.trim_start_matches("\" width=\"1\" height=\"1\"")),
            "{body}"
        );
    }
}

#[test]
fn lettre_hears_a_refusal_in_the_words_it_was_said_in() {
    let mut config = Config::default();
    config.limits.push("message_octets = 65536".to_owned());
    let relay = Served::start(&config);
    let address = relay.address();
    let client = SmtpTransport::builder_dangerous(address.ip().to_string())
        .port(address.port())
        .build();
    let to: Address = "b@example.net".parse().unwrap();
    let envelope = Envelope::new(None, vec![to]).unwrap();
    let large = format!("Subject: x\r\n\r\n{}\r\n", "0123456789\r\n".repeat(10_000));
    let error = client.send_raw(&envelope, large.as_bytes()).unwrap_err();
    assert!(error.is_permanent(), "{error}");
    assert_eq!(error.status().unwrap().to_string(), "552");
    assert!(relay.outbox().is_empty());
}
