//! Mixed mail from both ends: a letter with one tracker, the people who get it, a client that sends it, consent that is
//! recorded by another process, and what lies in the spool.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test stops at the first thing that is not as it should be"
)]
#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::ill_mannered::{IllMannered, Transaction};
use crate::support::{Client, Config, PATIENCE, Served};

/// The one tracker of the letter: a known endpoint, and 1x1.
pub(crate) const TRACKER: &str = r#"<img src="https://click.example.com/wf/open?upn=u001.QUJDREVG" width="1" height="1" alt="">"#;
/// What must not be left of it.
pub(crate) const TRACE: &str = "wf/open";

/// Granted.
pub(crate) const ANNA: &str = "anna@one.example";
/// Unknown.
pub(crate) const BEN: &str = "ben@two.example";
/// Unknown, and in no header field.
pub(crate) const CLEO: &str = "cleo@three.example";
/// Granted.
pub(crate) const DORA: &str = "dora@four.example";

/// The four in the client's order.
pub(crate) const FOUR: [&str; 4] = [ANNA, BEN, CLEO, DORA];
/// Whose copy keeps the tracker.
pub(crate) const GRANTED: [&str; 2] = [ANNA, DORA];
/// Whose copy does not.
pub(crate) const UNKNOWN: [&str; 2] = [BEN, CLEO];

/// The reverse-path.
pub(crate) const SENDER: &str = "bounces@news.example.com";

/// The letter: text and HTML, lines that begin with dots, one tracker.
pub(crate) fn letter() -> Vec<u8> {
    let lines = [
        "From: The Crumb <letter@news.example.com>",
        "To: Anna <anna@one.example>, Ben <ben@two.example>",
        "Cc: Dora <dora@four.example>",
        "Subject: Three bread recipes",
        "Date: Sun, 22 Nov 2026 08:00:00 +0100",
        "Message-ID: <crumb.1@news.example.com>",
        "MIME-Version: 1.0",
        "Content-Type: multipart/alternative; boundary=\"crumb\"",
        "",
        "--crumb",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: 8bit",
        "",
        "..two dots, then one alone:",
        ".",
        "Chestnut flour is back at the mill, gr\u{fc}\u{df}e.",
        "",
        "--crumb",
        "Content-Type: text/html; charset=utf-8",
        "Content-Transfer-Encoding: 8bit",
        "",
        "<html><body><p>Chestnut flour is back at the mill, gr\u{fc}\u{df}e.</p>",
        TRACKER,
        "<p>.</p>",
        ".",
        "</body></html>",
        "--crumb--",
        "",
    ];
    lines.join("\r\n").into_bytes()
}

/// The letter in which nothing would load.
pub(crate) fn plain_letter() -> Vec<u8> {
    b"From: letter@news.example.com\r\nSubject: plain\r\n\r\nNothing to see.\r\n.\r\n".to_vec()
}

/// A letter whose HTML nobody can read (UTF-32): forbidden to whoever has not consented.
pub(crate) fn blind_letter() -> Vec<u8> {
    let mut letter = b"From: letter@news.example.com\r\nSubject: blind\r\nMIME-Version: 1.0\r\n\
        Content-Type: text/html; charset=utf-32\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        .to_vec();
    // "<p>a</p>" in UTF-32BE with its mark.
    letter.extend_from_slice(b"AAD+/wAAADwAAABwAAAAPgAAAGEAAAA8AAAALwAAAHAAAAA+\r\n");
    letter
}

/// Stuffed, with its dot.
pub(crate) fn on_the_wire(message: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    for line in message.split_inclusive(|octet| *octet == b'\n') {
        if line.starts_with(b".") {
            wire.push(b'.');
        }
        wire.extend_from_slice(line);
    }
    assert!(wire.ends_with(b"\r\n"), "the letter ends with a line end");
    wire.extend_from_slice(b".\r\n");
    wire
}

/// A relay in front of a scripted next hop, with time-outs that end a test and not an afternoon.
pub(crate) fn config_for(hop: &IllMannered) -> Config {
    Config {
        next_hop: next_hop_lines(hop, "smtp", &[]),
        spool: sleepy(),
        ..Config::default()
    }
}

/// `[[next_hop]]` and its limits; `more` replaces or adds.
pub(crate) fn next_hop_lines(hop: &IllMannered, protocol: &str, more: &[&str]) -> Vec<String> {
    let mut lines = vec![
        format!("address = \"{}\"", hop.address()),
        format!("protocol = \"{protocol}\""),
        "[next_hop.limits]".to_owned(),
    ];
    let limits = [
        "connect_timeout_seconds = 2",
        "greeting_timeout_seconds = 2",
        "command_timeout_seconds = 2",
        "data_start_timeout_seconds = 2",
        "data_block_timeout_seconds = 2",
        "dot_timeout_seconds = 2",
        "connection_wait_seconds = 2",
        "answer_within_seconds = 8",
        "dot_time_seconds = 2",
    ];
    let key = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
    for limit in limits {
        if !more.iter().any(|line| key(line) == key(limit)) {
            lines.push(limit.to_owned());
        }
    }
    lines.extend(more.iter().map(|&line| line.to_owned()));
    lines
}

/// `[spool]` that tries nothing again while a test looks at it.
pub(crate) fn sleepy() -> Vec<String> {
    vec![
        "retry_first_seconds = 3600".to_owned(),
        "retry_most_seconds = 3600".to_owned(),
    ]
}

/// `[spool]` that tries again at once. What a sleepy one put off lies further ahead than any of its waits could have
/// put it, so it is due at the start.
pub(crate) fn eager() -> Vec<String> {
    vec![
        "retry_first_seconds = 1".to_owned(),
        "retry_most_seconds = 1".to_owned(),
    ]
}

/// Runs `pixelgate ARGUMENTS -c CONFIG` beside the running relay.
pub(crate) fn pixelgate(served: &Served, arguments: &[&str]) -> Output {
    let directory = served.directory();
    Command::new(env!("CARGO_BIN_EXE_pixelgate"))
        .args(arguments)
        .arg("-c")
        .arg(directory.join("pixelgate.toml"))
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()
        .expect("the binary")
}

/// Records one change by the command line, in another process.
pub(crate) fn consent(served: &Served, address: &str, state: &str) {
    let at = jiff::Timestamp::now().to_string();
    let output = pixelgate(
        served,
        &[
            "consent",
            "set",
            "--to",
            address,
            "--state",
            state,
            "--purposes",
            "campaign_performance",
            "--at",
            &at,
            "--channel",
            "form",
            "--wording-version",
            "2026-04",
            "--wording-sha256",
            "3f0a377ba0a4a460ecb616f6507ce0d8cfa3e704025d4fda3ed0c5ca05468728",
        ],
    );
    assert!(output.status.success(), "consent set: {output:?}");
}

/// Starts a relay in which [`GRANTED`] have consented.
pub(crate) fn start(config: &Config) -> Served {
    let served = Served::start(config);
    grant(&served);
    served
}

/// Grants both by one import.
pub(crate) fn grant(served: &Served) {
    let rows = GRANTED.map(|address| {
        format!(
            "{{\"controller\":\"default\",\"address\":\"{address}\",\"state\":\"granted\",\"purposes\":[\"campaign_performance\"],\
             \"at\":\"2026-05-02T09:14:00Z\",\"channel\":\"form\",\"wording_version\":\"2026-04\",\
             \"wording_sha256\":\"3f0a377ba0a4a460ecb616f6507ce0d8cfa3e704025d4fda3ed0c5ca05468728\"}}\n"
        )
    });
    let file = served.directory().join("consent.jsonl");
    fs::write(&file, rows.concat()).unwrap();
    let output = pixelgate(served, &["consent", "import", &file.display().to_string()]);
    assert!(output.status.success(), "consent import: {output:?}");
}

/// One transaction as a client says it.
#[derive(Debug, Clone)]
pub(crate) struct Submission {
    /// What stands behind `MAIL FROM:`.
    pub(crate) mail: String,
    /// What stands behind each `RCPT TO:`.
    pub(crate) rcpts: Vec<String>,
    /// The message.
    pub(crate) message: Vec<u8>,
    /// How long the client waits between RCPT and DATA.
    pub(crate) pause: Duration,
    /// Whether the listener speaks LMTP.
    pub(crate) lmtp: bool,
}

/// The replies, each line by line joined with `|`; missing ones (connection gone) are not there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) greeting: String,
    pub(crate) mail: String,
    pub(crate) rcpts: Vec<String>,
    pub(crate) data: String,
    /// One, or one for each accepted forward-path over LMTP.
    pub(crate) dot: Vec<String>,
}

impl Told {
    /// The reply that settled it: the dot's, or the last before which the client went away.
    pub(crate) fn last(&self) -> &str {
        let replies = [&self.data, &self.mail, &self.greeting];
        let refused = |reply: &&&String| !reply.is_empty() && !reply.starts_with(['2', '3']);
        if let Some(reply) = self.dot.first() {
            return reply;
        }
        if let Some(reply) = self.rcpts.iter().find(|reply| !reply.starts_with('2')) {
            return reply;
        }
        replies.iter().find(refused).map_or("", |reply| reply)
    }
}

impl Submission {
    pub(crate) fn new(rcpts: &[&str], message: Vec<u8>) -> Self {
        Self {
            mail: format!("<{SENDER}>"),
            rcpts: rcpts.iter().map(|rcpt| format!("<{rcpt}>")).collect(),
            message,
            pause: Duration::ZERO,
            lmtp: false,
        }
    }

    /// Says all of it on a connection of its own; stops where the relay says no.
    pub(crate) fn send(&self, address: SocketAddr) -> Told {
        let mut told = Told::default();
        let Some((mut client, accepted)) = self.until_data(address, &mut told) else {
            return told;
        };
        client.send(&on_the_wire(&self.message));
        let replies = if self.lmtp { accepted } else { 1 };
        for _ in 0..replies {
            told.dot.push(said(&mut client));
        }
        client.send(b"QUIT\r\n");
        told
    }

    /// Says all of it until the relay says no or goes away; the last reply, `None` where the end came instead.
    pub(crate) fn attempt(&self, address: SocketAddr) -> Option<String> {
        let mut client = Client::connect(address);
        let mut commands = vec!["EHLO client.example".to_owned()];
        commands.push(format!("MAIL FROM:{}", self.mail));
        commands.extend(self.rcpts.iter().map(|rcpt| format!("RCPT TO:{rcpt}")));
        commands.push("DATA".to_owned());
        let mut reply = said_or_gone(&mut client)?;
        for command in commands {
            if !reply.starts_with('2') {
                return Some(reply);
            }
            client.send(format!("{command}\r\n").as_bytes());
            reply = said_or_gone(&mut client)?;
        }
        if !reply.starts_with('3') {
            return Some(reply);
        }
        client.send(&on_the_wire(&self.message));
        said_or_gone(&mut client)
    }

    /// Comes again as a queue does: after no reply and after a 4xx, until it hears 250.
    #[track_caller]
    pub(crate) fn retry(&self, address: SocketAddr) {
        let mut heard = Vec::new();
        while heard.len() < 5 {
            heard.push(self.attempt(address));
            match heard.last() {
                Some(Some(reply)) if reply.starts_with("250 ") => return,
                _ => sleep(Duration::from_millis(200)),
            }
        }
        panic!("never taken: {heard:?}");
    }

    /// Up to and including the 354; how many forward-paths were accepted.
    pub(crate) fn until_data(
        &self,
        address: SocketAddr,
        told: &mut Told,
    ) -> Option<(Client, usize)> {
        let mut client = Client::connect(address);
        told.greeting = said(&mut client);
        if !told.greeting.starts_with('2') {
            return None;
        }
        let hello = if self.lmtp { "LHLO" } else { "EHLO" };
        client.send(format!("{hello} client.example\r\n").as_bytes());
        client.reply();
        client.send(format!("MAIL FROM:{}\r\n", self.mail).as_bytes());
        told.mail = said(&mut client);
        if !told.mail.starts_with('2') {
            return None;
        }
        for rcpt in &self.rcpts {
            client.send(format!("RCPT TO:{rcpt}\r\n").as_bytes());
            told.rcpts.push(said(&mut client));
        }
        let accepted = told.rcpts.iter().filter(|r| r.starts_with('2')).count();
        if accepted == 0 {
            return None;
        }
        sleep(self.pause);
        client.send(b"DATA\r\n");
        told.data = said(&mut client);
        told.data.starts_with('3').then_some((client, accepted))
    }
}

/// The next reply in one text; `None` where the connection ended.
pub(crate) fn said_or_gone(client: &mut Client) -> Option<String> {
    let mut lines = Vec::new();
    loop {
        let line = client.line()?;
        let last = line.as_bytes().get(3) != Some(&b'-');
        lines.push(line);
        if last {
            return Some(lines.join("|"));
        }
    }
}

/// The next reply in one text.
pub(crate) fn said(client: &mut Client) -> String {
    client.reply().join("|")
}

/// The forward-path of `RCPT TO:<path> …`.
pub(crate) fn path_of(rcpt: &str) -> &str {
    let from = rcpt.find('<').map_or(0, |at| at + 1);
    let to = rcpt.rfind('>').unwrap_or(rcpt.len());
    &rcpt[from..to]
}

/// The forward-paths of RCPT commands.
pub(crate) fn paths(rcpts: &[String]) -> Vec<&str> {
    rcpts.iter().map(|rcpt| path_of(rcpt)).collect()
}

/// How many copies of mail in transit (DSNs aside) were taken for a forward-path.
pub(crate) fn copies(hop: &IllMannered, address: &str) -> usize {
    in_transit(hop)
        .iter()
        .filter(|transaction| paths(&transaction.taken).contains(&address))
        .count()
}

/// The transactions with a reverse-path that came to their dot.
pub(crate) fn in_transit(hop: &IllMannered) -> Vec<Transaction> {
    let mut all = hop.transactions();
    all.retain(|transaction| !is_report(transaction));
    all
}

/// The DSNs that were taken.
pub(crate) fn reports(hop: &IllMannered) -> Vec<Transaction> {
    let mut all = hop.taken();
    all.retain(is_report);
    all
}

fn is_report(transaction: &Transaction) -> bool {
    transaction.mail.starts_with("MAIL FROM:<>")
        && contains(&transaction.octets, b"multipart/report")
}

/// Whether octets hold these.
pub(crate) fn contains(octets: &[u8], needle: &[u8]) -> bool {
    octets.windows(needle.len()).any(|window| window == needle)
}

/// A copy without our one `Received:` field, which must be its first and must name nobody it is for.
#[track_caller]
pub(crate) fn without_received(copy: &[u8]) -> Vec<u8> {
    assert!(
        copy.starts_with(b"Received: "),
        "no trace field of ours:\n{}",
        copy.escape_ascii()
    );
    let mut end = 0;
    loop {
        let rest = &copy[end..];
        end += rest.iter().position(|octet| *octet == b'\n').unwrap() + 1;
        if !copy[end..].starts_with(b" ") && !copy[end..].starts_with(b"\t") {
            break;
        }
    }
    let field = &copy[..end];
    assert!(contains(field, b"pixelgate"), "{field:?}");
    for address in FOUR {
        assert!(!contains(field, address.as_bytes()), "{field:?}");
    }
    assert!(!contains(field, b" for "), "{field:?}");
    copy[end..].to_vec()
}

/// The copy of somebody who consented: the letter and our one field.
#[track_caller]
pub(crate) fn assert_kept(copy: &[u8], original: &[u8]) {
    let copy = without_received(copy);
    assert!(copy == original, "not the letter:\n{}", copy.escape_ascii());
}

/// The copy of somebody who did not: every octet of the letter but the tracker.
#[track_caller]
pub(crate) fn assert_stripped(copy: &[u8], original: &[u8]) {
    let copy = without_received(copy);
    let at = find(original, TRACKER.as_bytes());
    let (before, after) = (&original[..at], &original[at + TRACKER.len()..]);
    let shown = copy.escape_ascii().to_string();
    assert!(!contains(&copy, TRACE.as_bytes()), "tracked:\n{shown}");
    assert!(copy.starts_with(before), "changed before it:\n{shown}");
    assert!(copy.ends_with(after), "changed behind it:\n{shown}");
}

/// Whether a copy keeps the tracker; a copy that is neither the one variant nor the other fails the test.
#[track_caller]
pub(crate) fn is_kept(copy: &[u8], original: &[u8]) -> bool {
    let kept = contains(copy, TRACE.as_bytes());
    if kept {
        assert_kept(copy, original);
    } else {
        assert_stripped(copy, original);
    }
    kept
}

/// Nobody has the other variant: every message that was *given* (taken or not) holds what all its recipients may have.
#[track_caller]
pub(crate) fn assert_own_variants(hop: &IllMannered, original: &[u8]) {
    for transaction in in_transit(hop) {
        let kept = is_kept(&transaction.octets, original);
        for address in paths(&transaction.rcpts) {
            assert_eq!(
                kept,
                GRANTED.contains(&address),
                "{address} was given the other variant"
            );
        }
    }
}

#[track_caller]
fn find(octets: &[u8], needle: &[u8]) -> usize {
    let mut windows = octets.windows(needle.len());
    windows.position(|window| window == needle).unwrap()
}

/// What one entry owes one forward-path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Debt {
    pub(crate) to: String,
    /// `delivery` or `failed_dsn`.
    pub(crate) owes: String,
    /// Of the last reply; 0 where none is known.
    pub(crate) code: u16,
    pub(crate) possible_duplicate: bool,
}

/// What lies owed, entry by entry and in the order of each envelope.
pub(crate) fn owed(served: &Served) -> Vec<Debt> {
    debts(&served.directory().join("spool/owed"))
}

/// What was given up.
pub(crate) fn dead(served: &Served) -> Vec<Debt> {
    debts(&served.directory().join("spool/dead"))
}

fn debts(directory: &Path) -> Vec<Debt> {
    let mut debts = Vec::new();
    // The relay is at work: a file that is being written has another name, one that is gone is owed no more.
    for file in files(directory)
        .into_iter()
        .filter(|file| file.ends_with(".json"))
    {
        let octets = match fs::read(directory.join(&file)) {
            Ok(octets) => octets,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => panic!("{file}: {error}"),
        };
        let stored: serde_json::Value = serde_json::from_slice(&octets).unwrap();
        for recipient in stored["envelope"]["recipients"].as_array().unwrap() {
            debts.push(Debt {
                to: recipient["forward_path"].as_str().unwrap().to_owned(),
                owes: recipient["owes"].as_str().unwrap().to_owned(),
                code: recipient["last_reply"]["code"]
                    .as_u64()
                    .map_or(0, |code| u16::try_from(code).unwrap()),
                possible_duplicate: recipient["possible_duplicate"].as_bool().unwrap(),
            });
        }
    }
    debts
}

/// The names of the files in a directory, sorted; none where it is no directory.
pub(crate) fn files(directory: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Whether no message and no envelope lies in the spool.
pub(crate) fn spool_is_empty(served: &Served) -> bool {
    ["messages", "prepared", "owed", "dead"]
        .iter()
        .all(|part| files(&served.directory().join("spool").join(part)).is_empty())
}

/// Waits until something is so.
#[track_caller]
pub(crate) fn wait_until(what: &str, served: &Served, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(
            Instant::now() < until,
            "{what} never came; the log:\n{}",
            served.log()
        );
        sleep(Duration::from_millis(20));
    }
}

/// Puts a file where the spool or a maildir has a directory: nothing can be written there, not even by root.
pub(crate) fn block(directory: &Path) {
    fs::remove_dir_all(directory).unwrap();
    fs::write(directory, b"in the way").unwrap();
}
