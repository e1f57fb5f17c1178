//! Who speaks for others: PROXY headers, XCLIENT, XFORWARD, each believed of its own list only.

use std::io::Read;
use std::thread::sleep;
use std::time::Duration;

use crate::authority::{Authority, RELAY};
use crate::ill_mannered::{IllMannered, Script};
use crate::support::{Config, Served};
use crate::talk::{Talk, text_of};
use crate::traffic::config_for;

const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn version_2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let octets = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [V2, &[command, family], &octets, rest].concat()
}

fn of_client(address: [u8; 4]) -> Vec<u8> {
    let rest = [&address[..], &[127, 0, 0, 1], &[0xc3, 0x50, 0, 25]].concat();
    version_2(0x21, 0x11, &rest)
}

fn behind_a_proxy(more: &[&str]) -> Config {
    let listener = [
        "trusted_networks = [\"192.0.2.0/24\", \"2001:db8::/32\"]",
        "proxy_networks = [\"127.0.0.1\"]",
    ];
    Config {
        listener: listener
            .iter()
            .chain(more)
            .map(|&line| line.to_owned())
            .collect(),
        limits: vec![
            "handshake_timeout_seconds = 2".to_owned(),
            "sessions_per_address = 2".to_owned(),
        ],
        ..Config::default()
    }
}

#[test]
fn a_header_is_read_at_every_split_and_not_an_octet_further() {
    let served = Served::start(&behind_a_proxy(&[]));
    let six = [
        &[0x20, 1, 0x0d, 0xb8][..],
        &[0; 12],
        &[0; 16],
        &[0xc3, 0x50, 0, 25],
    ]
    .concat();
    let unix = vec![0; 216];
    for (header, greeting) in [
        (
            b"PROXY TCP4 192.0.2.7 127.0.0.1 50000 25\r\n".to_vec(),
            "220",
        ),
        (b"PROXY TCP6 2001:db8::7 ::1 50000 25\r\n".to_vec(), "220"),
        (of_client([192, 0, 2, 7]), "220"),
        (version_2(0x21, 0x21, &six), "220"),
        (of_client([198, 51, 100, 7]), "554 5.7.1"),
        // The proxy itself, which this listener does not trust: nobody is guessed.
        (b"PROXY UNKNOWN\r\n".to_vec(), "554 5.7.1"),
        (version_2(0x20, 0x00, b""), "554 5.7.1"),
        (
            version_2(0x20, 0x11, &of_client([192, 0, 2, 7])[16..]),
            "554 5.7.1",
        ),
        (version_2(0x21, 0x31, &unix), "554 5.7.1"),
    ] {
        let octets = [&header[..], b"EHLO client.example\r\n"].concat();
        for drip in [false, true] {
            let mut talk = Talk::tcp(served.address());
            match drip {
                false => talk.send(&octets),
                true => {
                    for octet in &octets {
                        talk.send(&[*octet]);
                        sleep(Duration::from_micros(300));
                    }
                }
            }
            talk.expect(greeting);
            if greeting == "220" {
                talk.expect("250");
            }
        }
    }
}

#[test]
fn what_is_no_header_is_told_nothing() {
    let served = Served::start(&behind_a_proxy(&[]));
    let too_long = [b"PROXY UNKNOWN ", &b"x".repeat(200)[..], b"\r\n"].concat();
    for octets in [
        &b"EHLO client.example\r\n"[..],
        b"PROXY TCP4 192.0.2.7\r\n",
        b"PROXY TCP4 192.0.2.777 127.0.0.1 50000 25\r\n",
        b"PROXY TCP4 192.0.2.7 127.0.0.1 50000 25\nEHLO a.example\n",
        b"PROXY TCP9 192.0.2.7 127.0.0.1 50000 25\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00",
        &too_long,
        &version_2(0x21, 0x11, &[192, 0, 2, 7]),
        &version_2(0x22, 0x11, &[0; 12]),
        &version_2(0x31, 0x11, &[0; 12]),
        &version_2(0x21, 0x12, &[0; 12]),
        &version_2(0x21, 0x11, &[0; 4000]),
    ] {
        let mut talk = Talk::tcp(served.address());
        talk.send(octets);
        assert!(talk.is_closed(), "{}", octets.escape_ascii());
    }
    // Short of its end: waited for, then closed.
    let mut talk = Talk::tcp(served.address());
    talk.send(b"PROXY TCP4 192.0.2.7 127.0.0.1 50000 2");
    assert!(talk.is_closed());
    assert!(served.log().contains("handshake_timeout_seconds"));
    let mut talk = Talk::tcp(served.address());
    talk.send(&of_client([192, 0, 2, 7]));
    talk.expect("220");
}

#[test]
fn the_client_behind_a_proxy_is_the_one_that_counts() {
    let hop = IllMannered::start(Script::smtp().also("XFORWARD NAME ADDR PORT PROTO HELO SOURCE"));
    let served = Served::start(&Config {
        next_hop: config_for(&hop).next_hop,
        ..behind_a_proxy(&[])
    });
    let mut talk = Talk::tcp(served.address());
    talk.send(&of_client([192, 0, 2, 7]));
    talk.expect("220");
    talk.says("EHLO client.example", "250");
    assert!(talk.mail("b@example.net", "proxied")[0].starts_with("250"));
    let message = hop.taken()[0].octets.clone();
    let received = text_of(&message);
    assert!(received.contains("[192.0.2.7]"), "{received}");
    assert!(!received.contains("127.0.0.1"), "{received}");
    // sessions_per_address counts clients, not the proxy.
    let come = |address: [u8; 4], greeting: &str| {
        let mut talk = Talk::tcp(served.address());
        talk.send(&of_client(address));
        let line = talk.expect(greeting);
        (talk, line)
    };
    let _second = come([192, 0, 2, 7], "220");
    let (_, refused) = come([192, 0, 2, 7], "421");
    assert!(
        refused[0].contains("sessions_per_address = 2"),
        "{refused:?}"
    );
    let _others = [8, 9, 10, 11].map(|last| come([192, 0, 2, last], "220"));
}

/// Where TLS comes first, nobody is told in clear why he is sent away.
#[test]
fn a_client_sent_away_behind_a_proxy_is_told_nothing_where_tls_comes_first() {
    let authority = Authority::new();
    let implicit = authority.sign(RELAY).listener(", mode = \"implicit\"");
    let served = Served::start(&behind_a_proxy(&[&implicit]));
    let come = || {
        let mut talk = Talk::tcp(served.address());
        talk.send(&of_client([192, 0, 2, 7]));
        talk
    };
    let mut there = [come(), come()];
    // Both are in before the third comes: each has been asked for its handshake.
    for talk in &mut there {
        talk.send(b"\x16\x03\x01");
    }
    sleep(Duration::from_millis(200));
    let mut third = come();
    let mut said = Vec::new();
    let _ = third.below().read_to_end(&mut said);
    assert_eq!(said, b"", "{}", said.escape_ascii());
    assert!(
        served.log().contains("client sent away"),
        "{}",
        served.log()
    );
}

#[test]
fn a_header_from_elsewhere_is_no_header() {
    let served = Served::start(&Config {
        listener: vec!["proxy_networks = [\"192.0.2.1\"]".to_owned()],
        ..Config::default()
    });
    let mut talk = Talk::tcp(served.address());
    talk.send(b"PROXY TCP4 192.0.2.7 127.0.0.1 50000 25\r\n");
    talk.expect("220");
    talk.expect("500");
    talk.says("EHLO client.example", "250");
    talk.says("XCLIENT ADDR=192.0.2.7", "550");
    talk.says("XFORWARD ADDR=192.0.2.7", "550");
    assert!(talk.mail("b@example.net", "own name")[0].starts_with("250"));
    let message = String::from_utf8(served.outbox()[0].clone()).unwrap();
    assert!(
        message.contains("[127.0.0.1]") && !message.contains("192.0.2.7"),
        "{message}"
    );
}

#[test]
fn xclient_makes_another_client_and_keeps_its_own_right() {
    let served = Served::start(&Config {
        listener: vec![
            "trusted_networks = [\"192.0.2.0/24\"]".to_owned(),
            "xclient_networks = [\"127.0.0.1\"]".to_owned(),
            "xforward_networks = [\"192.0.2.0/24\"]".to_owned(),
        ],
        ..Config::default()
    });
    let mut talk = Talk::tcp(served.address());
    talk.expect("220");
    let announced = talk.extensions();
    assert!(
        announced.iter().any(|line| line.starts_with("XCLIENT ")),
        "{announced:?}"
    );
    assert!(
        !announced.iter().any(|line| line.starts_with("XFORWARD")),
        "{announced:?}"
    );
    for wrong in [
        "XCLIENT",
        "XCLIENT ADDR",
        "XCLIENT ADDR=300.1.1.1",
        "XCLIENT HELO=a+0D+0Ab",
        "XCLIENT ROOT=1",
    ] {
        talk.says(wrong, "501");
    }
    talk.says(
        "XCLIENT NAME=mail.example ADDR=192.0.2.9 PORT=4321 HELO=mail.example",
        "220",
    );
    // Greeted anew: nothing said before holds, and the new client has its own rights.
    talk.says("MAIL FROM:<a@client.example>", "503");
    let announced = talk.extensions();
    assert!(
        announced.iter().any(|line| line.starts_with("XFORWARD")),
        "{announced:?}"
    );
    talk.says("MAIL FROM:<a@client.example>", "250");
    talk.says("XCLIENT ADDR=192.0.2.10", "503");
    talk.says("RSET", "250");
    assert!(talk.mail("b@example.net", "for another")[0].starts_with("250"));
    let message = String::from_utf8(served.outbox()[0].clone()).unwrap();
    assert!(message.contains("mail.example ([192.0.2.9])"), "{message}");
    // The client it becomes may be one that may nothing.
    talk.says("XCLIENT ADDR=[UNAVAILABLE]", "220");
    talk.says("EHLO client.example", "250");
    talk.says("MAIL FROM:<a@client.example>", "554");
    assert!(talk.is_closed());
}

/// The attributes belong to one message (XFORWARD_README): the next one of the same session is not the same client's.
#[test]
fn xforward_is_forgotten_behind_each_message() {
    let hop = IllMannered::start(Script::smtp().also("XFORWARD NAME ADDR PORT PROTO HELO SOURCE"));
    let mut config = config_for(&hop);
    config.listener = vec!["xforward_networks = [\"127.0.0.1\"]".to_owned()];
    let served = Served::start(&config);
    let mut talk = Talk::greeted(served.address());
    talk.says("XFORWARD NAME=first.example ADDR=192.0.2.1", "250");
    assert!(talk.mail("b@example.net", "first")[0].starts_with("250"));
    assert!(talk.mail("b@example.net", "second")[0].starts_with("250"));
    talk.says("XFORWARD NAME=third.example ADDR=192.0.2.3", "250");
    talk.says("RSET", "250");
    assert!(talk.mail("b@example.net", "third")[0].starts_with("250"));
    let said: Vec<String> = hop
        .taken()
        .iter()
        .map(|one| one.xforward.join(" "))
        .collect();
    assert!(
        said[0].contains("NAME=first.example") && said[0].contains("ADDR=192.0.2.1"),
        "{said:?}"
    );
    for later in &said[1..] {
        assert!(
            !later.contains("first.example") && !later.contains("third.example"),
            "{said:?}"
        );
        assert!(!later.contains("192.0.2."), "{said:?}");
    }
}
