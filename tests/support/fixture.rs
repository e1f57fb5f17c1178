//! Messages with what should become of them (`tests/messages/NAME/`), and one transaction with a running relay.
//!
//! A fixture is a directory: `in.eml` as the client sends it; `WHY`; `out.eml`, the copy without our `Received:` field, or
//! `reply`, what the client is told instead, as words that all have to stand in it; and where they are needed `config.toml`
//! (tables behind those of every test), `consent.jsonl` (imported first), `from` (MAIL FROM with its brackets) and `mail`
//! (parameters of MAIL).
#![allow(dead_code, reason = "each test binary uses its own part of this")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that is not as it should be"
)]

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::support::{Client, Served};

/// Where fixtures lie.
pub(crate) const FIXTURES: &str = "tests/messages";
/// Who gets a fixture.
pub(crate) const READER: &str = "reader@example.net";
/// Every purpose that only consent permits.
pub(crate) const CONSENT_PURPOSES: [&str; 5] = [
    "campaign_performance",
    "personalisation",
    "cross_channel_profiling",
    "fraud_detection",
    "deliverability_other",
];

/// One message with what should become of it.
#[derive(Debug, Clone)]
pub(crate) struct Fixture {
    pub(crate) name: String,
    pub(crate) message: Vec<u8>,
    /// MAIL FROM, brackets included.
    pub(crate) from: String,
    /// Parameters of MAIL.
    pub(crate) mail: String,
    pub(crate) config: String,
    pub(crate) consent: Option<PathBuf>,
    pub(crate) expected: Expected,
}

/// What should become of it for somebody of whom no more is known than the fixture says.
#[derive(Debug, Clone)]
pub(crate) enum Expected {
    /// This copy, our `Received:` field aside.
    Copy(Option<Vec<u8>>),
    /// A reply with all of these words, and no copy.
    Reply(Vec<String>),
}

impl Fixture {
    pub(crate) fn read(name: &str) -> Self {
        let directory = Path::new(FIXTURES).join(name);
        let text = |file: &str| fs::read_to_string(directory.join(file)).ok();
        assert!(
            text("WHY").is_some_and(|why| !why.trim().is_empty()),
            "{name} does not say why"
        );
        let expected = match text("reply") {
            Some(reply) => {
                Expected::Reply(reply.split_ascii_whitespace().map(str::to_owned).collect())
            }
            None => Expected::Copy(fs::read(directory.join("out.eml")).ok()),
        };
        let consent = directory.join("consent.jsonl");
        Self {
            name: name.to_owned(),
            message: fs::read(directory.join("in.eml")).expect("in.eml"),
            from: text("from").map_or_else(
                || "<letter@news.example>".to_owned(),
                |from| from.trim().to_owned(),
            ),
            mail: text("mail").map_or_else(String::new, |mail| format!(" {}", mail.trim())),
            config: text("config.toml").unwrap_or_default(),
            consent: consent.exists().then_some(consent),
            expected,
        }
    }
}

/// The names of all fixtures, in order.
pub(crate) fn names() -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(FIXTURES)
        .expect(FIXTURES)
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("a name")
        })
        .collect();
    names.sort();
    names
}

/// One transaction with one write for the data; answers with the reply to it.
pub(crate) fn send(served: &Served, from: &str, to: &[&str], message: &[u8]) -> String {
    send_at(served.address(), from, to, message)
}

/// The same by a listener at this address.
pub(crate) fn send_at(address: SocketAddr, from: &str, to: &[&str], message: &[u8]) -> String {
    let client = Client::connect(address);
    talk(client, from, to, message, &mut |_| usize::MAX)
}

/// One transaction; `next` says how many octets the next write of the data has, given how many are left.
pub(crate) fn send_in(
    served: &Served,
    from: &str,
    to: &[&str],
    message: &[u8],
    next: &mut dyn FnMut(usize) -> usize,
) -> String {
    let client = Client::connect(served.address());
    talk(client, from, to, message, next)
}

fn talk(
    mut client: Client,
    from: &str,
    to: &[&str],
    message: &[u8],
    next: &mut dyn FnMut(usize) -> usize,
) -> String {
    told(&mut client, "220");
    client.send(b"EHLO client.example\r\n");
    told(&mut client, "250");
    client.send(format!("MAIL FROM:{from}\r\n").as_bytes());
    told(&mut client, "250");
    for path in to {
        client.send(format!("RCPT TO:<{path}>\r\n").as_bytes());
        told(&mut client, "250");
    }
    client.send(b"DATA\r\n");
    told(&mut client, "354");
    let octets = stuffed(message);
    let mut rest = octets.as_slice();
    while !rest.is_empty() {
        let (now, later) = rest.split_at(next(rest.len()).clamp(1, rest.len()));
        client.send(now);
        rest = later;
    }
    let reply = client.reply().join(" ");
    client.send(b"QUIT\r\n");
    told(&mut client, "221");
    reply
}

fn told(client: &mut Client, code: &str) {
    let reply = client.reply();
    assert!(
        reply.iter().all(|line| line.starts_with(code)),
        "{code} was expected: {reply:?}"
    );
}

/// The message as it goes over the wire, end of data included (RFC 5321 4.5.2).
pub(crate) fn stuffed(message: &[u8]) -> Vec<u8> {
    let mut octets = Vec::with_capacity(message.len() + 16);
    for line in message.split_inclusive(|octet| *octet == b'\n') {
        if line.starts_with(b".") {
            octets.push(b'.');
        }
        octets.extend_from_slice(line);
    }
    assert!(
        octets.is_empty() || octets.ends_with(b"\r\n"),
        "SMTP cannot carry a message without a line end at its end"
    );
    octets.extend_from_slice(b".\r\n");
    octets
}

/// One copy that the `maildir:` next hop took.
#[derive(Debug)]
pub(crate) struct Taken {
    /// Its forward-paths, in order.
    pub(crate) to: Vec<String>,
    /// Its octets.
    pub(crate) message: Vec<u8>,
}

impl Taken {
    /// The copy without the one field that is ours to add.
    pub(crate) fn without_received(&self) -> &[u8] {
        without_received(&self.message)
    }
}

/// Everything that the next hop took since the last time; the outbox is empty afterwards.
pub(crate) fn take_outbox(served: &Served) -> Vec<Taken> {
    let outbox = served.directory().join("outbox");
    let mut files: Vec<PathBuf> = fs::read_dir(outbox.join("new"))
        .expect("new/")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    let mut taken = Vec::new();
    for file in files {
        let name = file.file_name().expect("a name").to_string_lossy();
        let record = outbox.join("envelopes").join(format!("{name}.json"));
        let envelope: serde_json::Value =
            serde_json::from_slice(&fs::read(&record).expect("its envelope")).expect("JSON");
        let to = envelope["recipients"].as_array().expect("recipients");
        taken.push(Taken {
            to: to
                .iter()
                .map(|rcpt| {
                    let path = rcpt["forward_path"].as_str().expect("a forward-path");
                    path.trim_matches(['<', '>']).to_owned()
                })
                .collect(),
            message: fs::read(&file).expect("the copy"),
        });
        fs::remove_file(file).expect("removed");
        fs::remove_file(record).expect("removed");
    }
    taken
}

/// Cuts the one field that is ours to add (DESIGN promise 2): the first, `Received:`, with our mark and without `for`.
pub(crate) fn without_received(copy: &[u8]) -> &[u8] {
    assert!(
        copy.starts_with(b"Received: "),
        "no field of ours on top: {}",
        copy[..copy.len().min(200)].escape_ascii()
    );
    let mut end = 0;
    for line in copy.split_inclusive(|octet| *octet == b'\n') {
        if end > 0 && !line.starts_with(b"\t") && !line.starts_with(b" ") {
            break;
        }
        assert!(line.len() <= 1000, "a line of ours above 998 octets");
        end += line.len();
    }
    let field = String::from_utf8(copy[..end].to_vec()).expect("ASCII");
    assert!(!field.contains(" for "), "{field}");
    assert!(field.contains("by "), "{field}");
    &copy[end..]
}

/// One row of an import.
pub(crate) fn row(controller: &str, address: &str, state: &str, purposes: &[&str]) -> String {
    serde_json::json!({
        "controller": controller, "address": address, "state": state, "purposes": purposes, "at": "2026-05-02T09:14:00Z",
        "channel": "form", "wording_version": "2026-04",
        "wording_sha256": "3f0a377ba0a4a460ecb616f6507ce0d8cfa3e704025d4fda3ed0c5ca05468728"
    })
    .to_string()
}

/// Runs the binary over the configuration of a running relay, to its end.
pub(crate) fn pixelgate(served: &Served, arguments: &[&str], input: &[u8]) -> Output {
    pixelgate_in(served.directory(), arguments, input)
}

/// Runs the binary in a directory that holds `pixelgate.toml`, to its end.
pub(crate) fn pixelgate_in(directory: &Path, arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_pixelgate"))
        .args(["-c", "pixelgate.toml"])
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary");
    let mut stdin = child.stdin.take().expect("its input");
    let input = input.to_vec();
    let writing = std::thread::spawn(move || {
        // A command that needs no input closes it unread.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().expect("its end");
    writing.join().expect("the writer");
    output
}

/// Imports rows into the register of a running relay.
pub(crate) fn import(served: &Served, rows: &[String]) {
    let file = served.directory().join("import.jsonl");
    fs::write(&file, rows.join("\n") + "\n").expect("the rows");
    let output = pixelgate(
        served,
        &["consent", "import", file.to_str().expect("a path")],
        b"",
    );
    assert!(output.status.success(), "{output:?}");
}
