//! What a session does towards the next hop, seen from both ends: the real binary between a client and a next hop that
//! follows a script.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that is not as it should be"
)]

#[path = "support/ill_mannered.rs"]
mod ill_mannered;
mod support;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use ill_mannered::{Act, IllMannered, Rule, Script, Verb};
use support::{Client, Config, PATIENCE, Served, free_port};

fn towards(hop: &IllMannered) -> Config {
    Config {
        next_hop: vec![format!("address = \"{}\"", hop.address())],
        ..Config::default()
    }
}

/// A client that has been greeted.
fn greeted(served: &Served, hello: &str) -> Client {
    let mut client = Client::connect(served.address());
    expect(&mut client, &["220 "]);
    client.send(format!("{hello} client.example\r\n").as_bytes());
    assert!(client.reply().last().unwrap().starts_with("250 "));
    client
}

#[track_caller]
fn expect(client: &mut Client, prefixes: &[&str]) {
    for prefix in prefixes {
        let line = client.line();
        assert!(
            line.as_deref().is_some_and(|line| line.starts_with(prefix)),
            "wanted {prefix:?}, got {line:?}"
        );
    }
}

/// Until something is so, within patience.
#[track_caller]
fn wait_until(what: &str, mut so: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < until, "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn count(hop: &IllMannered, verb: &str) -> usize {
    let commands = hop.commands();
    commands
        .iter()
        .filter(|command| command.starts_with(verb))
        .count()
}

const ENVELOPE: &[u8] = b"MAIL FROM:<a@client.example>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n";

#[test]
fn verdicts_are_the_next_hops_own_and_in_the_clients_order() {
    let hop = IllMannered::start(
        Script::smtp()
            .rule(
                Rule::on(
                    Verb::Rcpt,
                    [Act::say("550-5.1.1 No such\r\n550 5.1.1 user here")],
                )
                .containing("gone"),
            )
            .rule(Rule::on(Verb::Rcpt, [Act::say("450 4.2.1 Over quota")]).containing("later")),
    );
    let served = Served::start(&towards(&hop));
    let mut client = greeted(&served, "EHLO");
    client.send(
        b"MAIL FROM:<a@client.example>\r\nRCPT TO:<one@example.com>\r\nRCPT TO:<gone@example.com>\r\nRCPT TO:<bad\r\n\
          RCPT TO:<later@example.com>\r\nRCPT TO:<two@example.com>\r\nDATA\r\n",
    );
    expect(
        &mut client,
        &["250", "250", "550-5.1.1 No such", "550 5.1.1 user here"],
    );
    expect(
        &mut client,
        &["501 5.1.3", "450 4.2.1 Over quota", "250", "354"],
    );
    client.send(b"Subject: x\r\n\r\nbody\r\n.\r\nQUIT\r\n");
    expect(&mut client, &["250", "221"]);
    let taken = hop.taken();
    assert_eq!(taken.len(), 1);
    let named = |name: &str| taken[0].rcpts.iter().any(|rcpt| rcpt.contains(name));
    assert!(named("<one@example.com>") && named("<two@example.com>"));
    assert_eq!(taken[0].rcpts.len(), 2, "{:?}", taken[0].rcpts);
}

#[test]
fn a_refused_mail_passes_verbatim_and_opens_nothing() {
    let hop = IllMannered::start(
        Script::smtp()
            .rule(Rule::on(Verb::Mail, [Act::say("550 5.7.1 Not from there")]).containing("spam")),
    );
    let served = Served::start(&towards(&hop));
    let mut client = greeted(&served, "EHLO");
    client.send(b"MAIL FROM:<spam@client.example>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n");
    expect(
        &mut client,
        &["550 5.7.1 Not from there", "503 5.5.1", "503 5.5.1"],
    );
    client.send(ENVELOPE);
    expect(&mut client, &["250", "250", "354"]);
    client.send(b".\r\n");
    expect(&mut client, &["250"]);
    assert_eq!(hop.taken().len(), 1);
}

#[test]
fn nothing_is_sent_when_every_rcpt_was_refused() {
    let hop =
        IllMannered::start(Script::smtp().at(Verb::Rcpt, [Act::say("550 5.1.1 No such user")]));
    let served = Served::start(&towards(&hop));
    let mut client = greeted(&served, "EHLO");
    client.send(ENVELOPE);
    expect(&mut client, &["250", "550 5.1.1 No such user", "554 5.5.1"]);
    client.send(b"QUIT\r\n");
    expect(&mut client, &["221"]);
    assert_eq!(count(&hop, "DATA"), 0);
}

/// DESIGN 3: the connection is given back after `hold_before_data`, and the transaction run again at the end of data.
fn held(hop: &IllMannered) -> Config {
    let mut config = towards(hop);
    config.next_hop.push("[next_hop.limits]".to_owned());
    config
        .next_hop
        .push("hold_before_data_seconds = 1".to_owned());
    config
}

#[test]
fn the_connection_is_given_back_while_the_client_thinks_between_commands() {
    let hop = IllMannered::start(Script::smtp());
    let served = Served::start(&held(&hop));
    let mut client = greeted(&served, "EHLO");
    client.send(b"MAIL FROM:<a@client.example>\r\nRCPT TO:<b@example.com>\r\n");
    expect(&mut client, &["250", "250"]);
    wait_until("RSET upstream", || count(&hop, "RSET") == 1);
    client.send(b"RCPT TO:<c@example.com>\r\nDATA\r\n");
    expect(&mut client, &["250", "354"]);
    client.send(b"Subject: late\r\n\r\nbody\r\n.\r\n");
    expect(&mut client, &["250"]);
    let taken = hop.taken();
    assert_eq!(taken.len(), 1);
    assert_eq!(taken[0].rcpts.len(), 2, "{:?}", taken[0].rcpts);
}

#[test]
fn the_connection_is_given_back_while_the_client_drips_its_message() {
    let hop = IllMannered::start(Script::smtp());
    let served = Served::start(&held(&hop));
    let mut client = greeted(&served, "EHLO");
    client.send(ENVELOPE);
    expect(&mut client, &["250", "250", "354"]);
    client.send(b"Subject: slow\r\n\r\nfirst ");
    wait_until("RSET upstream", || count(&hop, "RSET") == 1);
    assert_eq!(count(&hop, "DATA"), 0, "data before the client's dot");
    client.send(b"second\r\n.\r\n");
    expect(&mut client, &["250"]);
    let taken = hop.taken();
    assert_eq!(taken.len(), 1);
    assert!(
        taken[0]
            .octets
            .ends_with(b"Subject: slow\r\n\r\nfirst second\r\n")
    );
}

#[test]
fn a_client_that_goes_away_leaves_nothing_upstream() {
    let hop = IllMannered::start(Script::smtp());
    let served = Served::start(&towards(&hop));
    for sent in [
        &b"MAIL FROM:<a@client.example>\r\nRCPT TO:<b@example.com>\r\n"[..],
        ENVELOPE,
        b"MAIL FROM:<a@client.example>\r\nRCPT TO:<b@example.com>\r\nDATA\r\nSubject: cut\r\n\r\n.\r",
    ] {
        let mut client = greeted(&served, "EHLO");
        client.send(sent);
        expect(&mut client, &["250", "250"]);
        let before = count(&hop, "RSET") + hop.left();
        drop(client);
        wait_until("the transaction was ended upstream", || {
            count(&hop, "RSET") + hop.left() > before
        });
    }
    assert!(hop.transactions().is_empty());
    assert_eq!(count(&hop, "DATA"), 0);
}

#[test]
fn xforward_goes_before_its_mail_and_is_forgotten_after_the_message() {
    let hop = IllMannered::start(Script::smtp().also("XFORWARD NAME ADDR HELO"));
    let mut config = towards(&hop);
    config
        .listener
        .push("xforward_networks = [\"127.0.0.1\"]".to_owned());
    let served = Served::start(&config);
    let mut client = greeted(&served, "EHLO");
    client.send(b"XFORWARD NAME=client.example ADDR=192.0.2.9 IDENT=Q1\r\n");
    expect(&mut client, &["250"]);
    client.send(ENVELOPE);
    expect(&mut client, &["250", "250", "354"]);
    client.send(b".\r\n");
    expect(&mut client, &["250"]);
    client.send(ENVELOPE);
    expect(&mut client, &["250", "250", "354"]);
    client.send(b".\r\n");
    expect(&mut client, &["250"]);
    let taken = hop.taken();
    assert_eq!(
        taken[0].xforward,
        ["XFORWARD NAME=client.example ADDR=192.0.2.9 HELO=[UNAVAILABLE]"]
    );
    assert!(taken[1].xforward.is_empty(), "{:?}", taken[1].xforward);
}

#[test]
fn until_the_next_hop_was_reached_the_greeting_is_421() {
    let nobody = free_port();
    let config = Config {
        next_hop: vec![format!("address = \"{nobody}\"")],
        ..Config::default()
    };
    let served = Served::start(&config);
    for _ in 0..2 {
        let mut client = Client::connect(served.address());
        expect(&mut client, &["421 4.3.2"]);
        assert_eq!(client.line(), None);
    }
}

#[test]
fn an_lmtp_client_gets_each_fate() {
    let hop = IllMannered::start(
        Script::lmtp().rule(Rule::on(Verb::Dot, [Act::say("452 4.2.2 Full")]).containing("full")),
    );
    let mut config = towards(&hop);
    config.listener.push("protocol = \"lmtp\"".to_owned());
    config.next_hop.push("protocol = \"lmtp\"".to_owned());
    let served = Served::start(&config);
    let mut client = greeted(&served, "LHLO");
    client.send(
        b"MAIL FROM:<a@client.example>\r\nRCPT TO:<one@example.com>\r\nRCPT TO:<full@example.com>\r\n\
          RCPT TO:<three@example.com>\r\nDATA\r\n",
    );
    expect(&mut client, &["250", "250", "250", "250", "354"]);
    client.send(b"Subject: each\r\n\r\nbody\r\n.\r\nNOOP\r\n");
    expect(
        &mut client,
        &["250", "452 4.2.2 Full", "250", "250 2.0.0 Ok"],
    );
}

fn stopping(drain_seconds: u64) -> Config {
    Config {
        head: format!("[server]\ndrain_seconds = {drain_seconds}"),
        ..Config::default()
    }
}

#[test]
fn what_is_not_finished_in_time_is_cut_short_and_not_forwarded() {
    let mut served = Served::start(&stopping(1));
    let mut client = greeted(&served, "EHLO");
    client.send(ENVELOPE);
    expect(&mut client, &["250", "250", "354"]);
    client.send(b"Subject: never\r\n\r\n");
    let began = Instant::now();
    assert_eq!(served.stop().code(), Some(0));
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(900), "no drain: {took:?}");
    assert_eq!(client.line(), None);
    assert!(served.outbox().is_empty());
}

#[test]
fn a_second_signal_ends_the_drain() {
    let mut served = Served::start(&stopping(600));
    let mut client = greeted(&served, "EHLO");
    client.send(ENVELOPE);
    expect(&mut client, &["250", "250", "354"]);
    served.signal("TERM");
    let mut late = Client::connect_if_open(served.address());
    wait_until("no new sessions", || {
        late = Client::connect_if_open(served.address());
        late.is_none()
    });
    assert_eq!(served.stop().code(), Some(0));
    assert_eq!(client.line(), None);
}

#[test]
fn a_unix_socket_is_a_listener_too() {
    let config = Config {
        tail: "[[listener]]\naddress = \"unix:smtp.sock\"\nprotocol = \"lmtp\"".to_owned(),
        ..Config::default()
    };
    let mut served = Served::start(&config);
    let path = served.directory().join("smtp.sock");
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
        .write_all(b"LHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n.\r\nQUIT\r\n")
        .unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    assert!(said.starts_with("220 "), "{said}");
    assert!(
        said.contains("\r\n354 ") && said.ends_with("221 2.0.0 Bye\r\n"),
        "{said}"
    );
    assert_eq!(served.outbox().len(), 1);
    assert_eq!(served.stop().code(), Some(0));
    assert!(!path.exists(), "the socket was left behind");
}

#[test]
fn logs_name_no_mailbox() {
    let mut config = Config {
        tail: "[log]\nlevel = \"debug\"".to_owned(),
        ..Config::default()
    };
    config.limits.push("line_octets = 998".to_owned());
    let served = Served::start(&config);
    let mut client = greeted(&served, "EHLO");
    client.send(b"MAIL FROM:<secret-a@client.example>\r\nRCPT TO:<secret-b@example.com>\r\nRCPT TO:<secret-c\r\nDATA\r\n");
    expect(&mut client, &["250", "250", "501", "354"]);
    client.send(&[&b"x".repeat(999)[..], b"\r\n.\r\nsecret-d@example.com\r\n"].concat());
    expect(&mut client, &["550 5.6.0", "500"]);
    client.send(b"QUIT\r\n");
    expect(&mut client, &["221"]);
    wait_until("the refusal in the log", || {
        served.log().contains("line longer than 998")
    });
    assert!(!served.log().contains("secret-"), "{}", served.log());
}
