//! BDAT (RFC 3030) through the whole relay to a next hop that has only DATA: octet for octet, wherever the chunks are cut.

use crate::ill_mannered::{IllMannered, Script};
use crate::support::{Config, Served};
use crate::talk::Talk;
use crate::traffic::{config_for, without_received};

const MESSAGE: &[u8] = b"Subject: a\r\n\r\n.b\r\n..\r\n.\r\nQUIT\r\nend\r\n";

fn bdat(pieces: &[&[u8]]) -> Vec<u8> {
    let mut wire = Vec::new();
    for (index, piece) in pieces.iter().enumerate() {
        let last = if index + 1 == pieces.len() {
            " LAST"
        } else {
            ""
        };
        wire.extend_from_slice(format!("BDAT {}{last}\r\n", piece.len()).as_bytes());
        wire.extend_from_slice(piece);
    }
    wire
}

#[test]
fn a_message_is_the_same_wherever_it_is_cut() {
    let hop = IllMannered::start(Script::smtp());
    let served = Served::start(&config_for(&hop));
    let mut talk = Talk::greeted(served.address());
    for cut in 0..=MESSAGE.len() {
        // Everything in one write: what is not counted exactly becomes a command.
        let mut wire = b"MAIL FROM:<a@client.example>\r\nRCPT TO:<b@example.net>\r\n".to_vec();
        wire.extend(bdat(&[&MESSAGE[..cut], &MESSAGE[cut..]]));
        talk.send(&wire);
        for _ in 0..4 {
            talk.expect("250");
        }
    }
    // The last one empty, and alone.
    talk.says("MAIL FROM:<a@client.example>", "250");
    talk.says("RCPT TO:<b@example.net>", "250");
    talk.send(&bdat(&[MESSAGE, b""]));
    talk.expect("250");
    talk.expect("250");
    let taken = hop.taken();
    assert_eq!(taken.len(), MESSAGE.len() + 2);
    for transaction in taken {
        assert_eq!(without_received(&transaction.octets), MESSAGE);
    }
}

#[test]
fn a_chunk_that_is_refused_is_still_content() {
    let served = Served::start(&Config {
        limits: vec![
            "message_octets = 65536".to_owned(),
            "memory_octets = 65536".to_owned(),
            "bad_commands = 100".to_owned(),
        ],
        ..Config::default()
    });
    let mut talk = Talk::greeted(served.address());
    let evil = b"MAIL FROM:<evil@client.example>\r\n";
    let chunk = bdat(&[evil]);
    // Before MAIL; after MAIL without a recipient; behind a message that was answered.
    talk.send(&chunk);
    talk.expect("503");
    talk.says("NOOP", "250");
    talk.says("MAIL FROM:<a@client.example>", "250");
    talk.send(&chunk);
    talk.expect("554");
    talk.says("RSET", "250");
    // Refused for its octets, told at its end, all of it read.
    for wrong in [
        &b"bare\nline\r\n"[..],
        b"bare\rline\r\n",
        b"nul\0\r\n",
        b"cr at the end\r",
    ] {
        talk.says("MAIL FROM:<a@client.example>", "250");
        talk.says("RCPT TO:<b@example.net>", "250");
        talk.send(&bdat(&[b"Subject: a\r\n\r\n", wrong, evil]));
        talk.expect("250");
        talk.expect("250");
        talk.expect("550 5.6.0");
    }
    // Too large for us: read to its end, then 552.
    talk.says("MAIL FROM:<a@client.example>", "250");
    talk.says("RCPT TO:<b@example.net>", "250");
    let large = [&b"x".repeat(900), &b"\r\n"[..]].concat().repeat(80);
    talk.send(&bdat(&[&large, evil]));
    talk.expect("250");
    talk.expect("552 5.3.4");
    talk.says("NOOP", "250");
    // A size that no limit would ever read ends the session, and nothing of it is run.
    talk.send(b"BDAT 99999999999 LAST\r\nMAIL FROM:<evil@client.example>\r\n");
    talk.expect("552 5.3.4");
    assert!(talk.is_closed());
    for nonsense in [
        "BDAT",
        "BDAT -1",
        "BDAT 1 LAST X",
        "BDAT x LAST",
        "BDAT 99999999999999999999",
    ] {
        let mut talk = Talk::greeted(served.address());
        talk.send(format!("{nonsense}\r\nMAIL FROM:<evil@client.example>\r\n").as_bytes());
        talk.expect("5");
        assert!(talk.is_closed(), "{nonsense}");
    }
    assert_eq!(served.outbox().len(), 0);
}

#[test]
fn chunks_are_no_way_around_the_time_or_the_patience() {
    let served = Served::start(&Config {
        limits: vec![
            "data_total_seconds = 1".to_owned(),
            "idle_commands = 20".to_owned(),
        ],
        ..Config::default()
    });
    let mut talk = Talk::greeted(served.address());
    talk.says("MAIL FROM:<a@client.example>", "250");
    talk.says("RCPT TO:<b@example.net>", "250");
    talk.send(b"BDAT 1\r\nS");
    talk.expect("250");
    std::thread::sleep(std::time::Duration::from_millis(1100));
    talk.send(b"BDAT 1\r\nu");
    talk.expect("421 4.4.2 Timeout (data_total_seconds = 1)");
    assert!(talk.is_closed());

    let mut talk = Talk::greeted(served.address());
    talk.says("MAIL FROM:<a@client.example>", "250");
    talk.says("RCPT TO:<b@example.net>", "250");
    talk.send("BDAT 0\r\n".repeat(30).as_bytes());
    let mut last = String::new();
    while let Some(line) = talk.line() {
        last = line;
    }
    assert!(
        last.starts_with("421 4.7.0") && last.contains("idle_commands"),
        "{last}"
    );
    assert_eq!(served.outbox().len(), 0);
}
