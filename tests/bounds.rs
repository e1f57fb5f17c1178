//! What one client can take of a relay, and all of them together: each bound has a name, is told where somebody still listens,
//! and keeps nobody else from being served. Figures are printed, not asserted, but for limits that are far away.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test stops at the first thing that is not as it should be"
)]

#[path = "doors/authority.rs"]
mod authority;
mod support;
#[path = "doors/talk.rs"]
mod talk;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use support::{Config, PATIENCE, Served};
use talk::{Talk, texts};

fn limited(limits: &[&str]) -> Config {
    Config {
        limits: limits.iter().map(|&limit| limit.to_owned()).collect(),
        ..Config::default()
    }
}

/// Resident memory in KiB.
fn resident(served: &Served) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", served.pid())).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_ascii_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap()
}

#[track_caller]
fn is_served(served: &Served, text: &str) {
    let mut talk = Talk::greeted(served.address());
    assert!(talk.mail("b@example.net", text)[0].starts_with("250"));
    talk.says("QUIT", "221");
}

/// The last line before the end.
fn last_words(talk: &mut Talk) -> String {
    let mut last = String::new();
    while let Some(line) = talk.line() {
        last = line;
    }
    last
}

/// Strangers may come in where they may log in; they do not keep those out who may send by their address.
#[test]
fn strangers_leave_places_for_those_who_are_trusted() {
    let directory = tempfile::tempdir().unwrap();
    let logins = directory.path().join("logins");
    fs::write(
        &logins,
        pixelgate::session::logins::line("shop", b"x").unwrap(),
    )
    .unwrap();
    let path = directory.path().join("smtp.sock");
    let served = Served::start(&Config {
        listener: vec![
            "trusted_networks = [\"192.0.2.1\"]".to_owned(),
            format!(
                "auth = {{ file = \"{}\", plaintext = true }}",
                logins.display()
            ),
        ],
        tail: format!("[[listener]]\naddress = \"unix:{}\"", path.display()),
        ..limited(&["sessions = 5", "sessions_reserved = 2"])
    });
    let strangers: Vec<Talk> = (0..3).map(|_| Talk::greeted(served.address())).collect();
    let refused = Talk::tcp(served.address()).expect("421");
    assert!(refused[0].contains("sessions = 3"), "{refused:?}");
    let mut trusted: Vec<Talk> = (0..2)
        .map(|_| {
            let mut talk = Talk::unix(&path);
            talk.expect("220");
            talk
        })
        .collect();
    let refused = Talk::unix(&path).expect("421");
    assert!(refused[0].contains("sessions = 5"), "{refused:?}");
    trusted[0].says("EHLO client.example", "250");
    assert!(trusted[0].mail("b@example.net", "trusted")[0].starts_with("250"));
    drop(strangers);
    assert_eq!(texts(&served.outbox()), ["trusted"]);
}

/// Commands without end and nobody who reads the replies: what is not read is not written, and what cannot be written ends it.
#[test]
fn a_client_that_never_reads_costs_little_and_not_for_long() {
    let served = Served::start(&limited(&[
        "write_timeout_seconds = 2",
        "idle_commands = 100000000",
        "bad_commands = 100000000",
    ]));
    is_served(&served, "before");
    let before = resident(&served);
    let commands = b"EHLO client.example\r\nNOPE\r\n".repeat(2000);
    let mut writers: Vec<TcpStream> = (0..4)
        .map(|_| {
            let stream = TcpStream::connect_timeout(&served.address(), PATIENCE).unwrap();
            stream.set_nonblocking(true).unwrap();
            stream
        })
        .collect();
    let begun = Instant::now();
    let (mut written, mut most, mut ended) = ([0_usize; 4], 0, [false; 4]);
    while !ended.iter().all(|ended| *ended) {
        assert!(begun.elapsed() < PATIENCE, "still open:\n{}", served.log());
        for (index, stream) in writers.iter_mut().enumerate() {
            match stream.write(&commands) {
                Ok(count) => written[index] += count,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => ended[index] = true,
            }
        }
        most = most.max(resident(&served));
        sleep(Duration::from_millis(5));
    }
    println!(
        "written {written:?} octets of commands; memory {before} KiB before, {most} KiB at most"
    );
    assert!(most < before + 16 * 1024, "{before} KiB, then {most} KiB");
    is_served(&served, "after");
}

#[test]
fn lines_and_pipelines_without_end_are_told_which_bound_they_met() {
    let served = Served::start(&limited(&[
        "command_line_octets = 1024",
        "idle_commands = 50",
        "bad_commands = 10",
    ]));
    // Too long, and then whole: refused, and the next one counts.
    let mut talk = Talk::greeted(served.address());
    talk.says(
        &"x".repeat(5000),
        "500 5.5.2 Command line too long (command_line_octets = 1024)",
    );
    talk.says("NOOP", "250");
    // Without an end.
    let mut talk = Talk::greeted(served.address());
    talk.send(&vec![b'x'; 1 << 20]);
    assert!(last_words(&mut talk).contains("command_line_octets = 1024"));
    for (command, limit) in [
        ("NOOP\r\n", "idle_commands = 50"),
        ("RSET\r\n", "idle_commands = 50"),
        ("EHLO client.example\r\n", "idle_commands = 50"),
        ("VRFY a\r\n", "idle_commands = 50"),
        ("NOPE\r\n", "bad_commands = 10"),
        ("RCPT TO:<b@example.net>\r\n", "bad_commands = 10"),
        (
            "MAIL FROM:<a@client.example>\r\nRSET\r\n",
            "idle_commands = 50",
        ),
    ] {
        let mut talk = Talk::greeted(served.address());
        talk.send(command.repeat(3000).as_bytes());
        let last = last_words(&mut talk);
        assert!(
            last.starts_with("421") && last.contains(limit),
            "{command}: {last}"
        );
    }
    is_served(&served, "after");
}

#[test]
fn whoever_drips_is_told_when_the_time_is_up() {
    let served = Served::start(&limited(&[
        "data_total_seconds = 2",
        "command_timeout_seconds = 2",
    ]));
    let mut message = Talk::greeted(served.address());
    message.says("MAIL FROM:<a@client.example>", "250");
    message.says("RCPT TO:<b@example.net>", "250");
    message.says("DATA", "354");
    let mut command = Talk::greeted(served.address());
    // An octet now and then is not a command now and then.
    for _ in 0..12 {
        message.send(b"x");
        command.send(b"N");
        sleep(Duration::from_millis(250));
    }
    let last = last_words(&mut message);
    assert_eq!(last, "421 4.4.2 Timeout (data_total_seconds = 2)");
    let last = last_words(&mut command);
    assert_eq!(last, "421 4.4.2 Timeout (command_timeout_seconds = 2)");
    is_served(&served, "after");
    assert_eq!(texts(&served.outbox()), ["after"]);
}

/// Slow clients, each in the midst of a large message: what they sent lies in files without a name, and comes out whole.
#[test]
fn messages_that_come_slowly_do_not_stay_in_memory() {
    const CLIENTS: usize = 20;
    const OCTETS: usize = 4 << 20;
    let served = Served::start(&limited(&[
        "reading_memory_octets = 1048576",
        "session_memory_octets = 65536",
        "memory_octets = 67108864",
        "memory_wait_seconds = 20",
    ]));
    is_served(&served, "before");
    let before = resident(&served);
    let line = |client: usize| format!("client {client} {}\r\n", "x".repeat(900));
    let body = |client: usize| line(client).repeat(OCTETS / line(client).len());
    let mut talks: Vec<Talk> = (0..CLIENTS)
        .map(|client| {
            let mut talk = Talk::greeted(served.address());
            talk.says("MAIL FROM:<a@client.example>", "250");
            talk.says("RCPT TO:<b@example.net>", "250");
            talk.says("DATA", "354");
            talk.send(format!("Subject: a\r\n\r\n{}", body(client)).as_bytes());
            talk
        })
        .collect();
    is_served(&served, "beside them");
    let held = resident(&served);
    println!(
        "{CLIENTS} clients with {OCTETS} octets each: {before} KiB before, {held} KiB meanwhile"
    );
    let sent = u64::try_from(CLIENTS * OCTETS / 1024).unwrap();
    assert!(
        held - before < sent / 2,
        "{before} KiB, then {held} KiB of {sent} KiB"
    );
    let names = |directory: &str| {
        let entries = fs::read_dir(served.directory().join(directory)).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name())
            .collect::<Vec<_>>()
    };
    let visible: Vec<_> = names("spool")
        .into_iter()
        .filter(|name| name.to_string_lossy().contains("tmp."))
        .collect();
    assert!(visible.is_empty(), "{visible:?}");
    for talk in &mut talks {
        talk.send(b".\r\n");
        talk.expect("250");
    }
    let outbox = served.outbox();
    assert_eq!(outbox.len(), CLIENTS + 2);
    for client in 0..CLIENTS {
        let wanted = body(client);
        let whole = outbox
            .iter()
            .any(|message| message.ends_with(wanted.as_bytes()));
        assert!(whole, "the message of client {client} is not whole");
    }
}

/// Where memory is too small even for what a file gives back, the client hears which bound it was, and comes again.
#[test]
fn a_message_that_finds_no_room_is_told_so_at_its_end() {
    let served = Served::start(&limited(&[
        "message_octets = 100000",
        "memory_octets = 150000",
        "reading_memory_octets = 1",
        "session_memory_octets = 1000",
        "memory_wait_seconds = 1",
    ]));
    let large = ["x".repeat(900).as_str(); 100].join("\r\n");
    let mut one = Talk::greeted(served.address());
    assert!(
        one.mail("b@example.net", &large)[0].starts_with("250"),
        "alone there is room"
    );
    // Held by somebody who never comes to an end, in memory as far as it may be.
    let mut holders: Vec<Talk> = Vec::new();
    for _ in 0..3 {
        let mut talk = Talk::greeted(served.address());
        talk.says("MAIL FROM:<a@client.example>", "250");
        talk.says("RCPT TO:<b@example.net>", "250");
        talk.says("DATA", "354");
        talk.send(b"Subject: a\r\n\r\nx\r\n");
        holders.push(talk);
    }
    sleep(Duration::from_millis(300));
    let told = one.mail("b@example.net", &large);
    assert!(
        told[0].starts_with("452 4.3.1") && told[0].contains("memory_octets = 150000"),
        "{told:?}"
    );
    drop(holders);
    sleep(Duration::from_millis(300));
    assert!(one.mail("b@example.net", &large)[0].starts_with("250"));
}

/// A flood of connections is answered one line each, and those that are in are served throughout.
#[test]
fn a_flood_of_connections_is_turned_away() {
    let served = Served::start(&limited(&["sessions = 20", "sessions_per_address = 15"]));
    let mut inside = Talk::greeted(served.address());
    let mut held: Vec<TcpStream> = Vec::new();
    let mut refused = 0;
    for _ in 0..300 {
        let mut stream = TcpStream::connect_timeout(&served.address(), PATIENCE).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut greeting = [0; 3];
        stream.read_exact(&mut greeting).unwrap();
        match &greeting {
            b"220" => held.push(stream),
            b"421" => refused += 1,
            other => panic!("{}", other.escape_ascii()),
        }
    }
    assert_eq!((held.len(), refused), (14, 286));
    assert!(inside.mail("b@example.net", "inside")[0].starts_with("250"));
    drop(held);
    sleep(Duration::from_millis(300));
    is_served(&served, "after");
}
