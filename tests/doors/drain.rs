//! SIGTERM with sessions in every state: what is begun is finished, once; what is not begun is sent away; nothing waits for
//! nothing.

use std::thread;
use std::time::Duration;

use crate::authority::{Authority, RELAY};
use crate::ill_mannered::{Act, IllMannered, Rule, Script, Verb};
use crate::support::{Config, PATIENCE, Served};
use crate::talk::{Talk, text_of};
use crate::traffic::{config_for, next_hop_lines};

const STOP: &str = "behind the dot";
const BYE: &str = "421 4.3.2 Service is being stopped";

fn begun(served: &Served, to: &str) -> Talk {
    let mut talk = Talk::greeted(served.address());
    talk.says("MAIL FROM:<a@client.example>", "250");
    talk.says(&format!("RCPT TO:<{to}>"), "250");
    talk
}

fn relay(authority: &Authority, hop: &IllMannered) -> Served {
    let limits = [
        "dot_timeout_seconds = 60",
        "answer_within_seconds = 90",
        "hold_before_data_seconds = 60",
    ];
    let logins = authority.path().join("logins");
    std::fs::write(
        &logins,
        pixelgate::session::logins::line("shop", b"x").unwrap(),
    )
    .unwrap();
    Served::start(&Config {
        listener: vec![
            authority.sign(RELAY).listener(""),
            format!(
                "auth = {{ file = \"{}\", plaintext = true }}",
                logins.display()
            ),
        ],
        next_hop: next_hop_lines(hop, "smtp", &limits),
        limits: vec!["handshake_timeout_seconds = 600".to_owned()],
        tail: "[server]\ndrain_seconds = 15".to_owned(),
        ..config_for(hop)
    })
}

/// The text of each message that it took, in order.
fn taken_by(hop: &IllMannered) -> Vec<String> {
    let text = |octets: &[u8]| {
        let text = text_of(octets);
        text.split_once("\r\n\r\n").unwrap().1.trim_end().to_owned()
    };
    let mut texts: Vec<String> = hop.taken().iter().map(|one| text(&one.octets)).collect();
    texts.sort();
    texts
}

#[test]
fn what_is_begun_is_finished_once_and_the_rest_is_sent_away() {
    let stands = Rule::on(Verb::Dot, [Act::Take, Act::Stop(STOP)])
        .transaction(1)
        .times(1);
    let hop = IllMannered::start(Script::smtp().rule(stands));
    let authority = Authority::new();
    let mut served = relay(&authority, &hop);
    // The first at the next hop: its dot is taken and not answered yet.
    let mut waiting = begun(&served, "waiting@example.net");
    waiting.says("DATA", "354");
    waiting.send(b"Subject: a\r\n\r\nwaiting\r\n.\r\n");
    assert!(hop.wait_stopped(STOP, PATIENCE));
    let mut silent = Talk::tcp(served.address());
    silent.expect("220");
    let mut idle = Talk::greeted(served.address());
    let mut asked = Talk::greeted(served.address());
    asked.says("AUTH LOGIN", "334");
    let mut shaking = Talk::greeted(served.address());
    shaking.says("STARTTLS", "220");
    shaking.send(b"\x16\x03\x01\x02\x00\x01");
    let mut chosen = begun(&served, "chosen@example.net");
    let mut reading = begun(&served, "reading@example.net");
    reading.says("DATA", "354");
    reading.send(b"Subject: a\r\n\r\nrea");
    let mut chunked = begun(&served, "chunked@example.net");
    chunked.send(b"BDAT 14\r\nSubject: a\r\n\r\n");
    chunked.expect("250");
    let mut in_chunk = begun(&served, "inchunk@example.net");
    in_chunk.send(b"BDAT 23 LAST\r\nSubject: a\r\n\r\n");

    thread::sleep(Duration::from_millis(200));
    served.signal("TERM");
    for gone in [&mut silent, &mut idle, &mut asked] {
        gone.expect(BYE);
        assert!(gone.is_closed());
    }
    assert!(shaking.is_closed());
    hop.go_on(STOP);
    waiting.expect("250");
    reading.send(b"ding\r\n.\r\n");
    reading.expect("250");
    chunked.send(b"BDAT 9 LAST\r\nchunked\r\n");
    chunked.expect("250");
    in_chunk.send(b"inchunk\r\n");
    in_chunk.expect("250");
    chosen.says("DATA", "354");
    chosen.send(b"Subject: a\r\n\r\nchosen\r\n.\r\nMAIL FROM:<next@client.example>\r\n");
    chosen.expect("250");
    // What is begun now would not be finished.
    chosen.expect(BYE);
    for told in [&mut waiting, &mut reading, &mut chunked, &mut in_chunk] {
        told.expect(BYE);
    }
    assert!(served.wait().success(), "{}", served.log());
    let taken = taken_by(&hop);
    assert_eq!(
        taken,
        ["chosen", "chunked", "inchunk", "reading", "waiting"]
    );
}
