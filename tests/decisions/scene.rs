//! One relay with streams, and what it did with a message: the reply, the copies, the ledger's own words.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use pixelgate::ledger::verify;
use serde_json::Value;

use crate::fixture::{Taken, import, pixelgate, row, send_at, take_outbox};
use crate::support::{Config, Served};

/// Who reads. Neither half may be seen anywhere.
pub(crate) const NADIA: &str = "nadia.secretova@people-of.example";
pub(crate) const OTTO: &str = "otto.hiddenson@people-of.example";
/// What no file may show of the people and URLs that go through.
const SECRETS: [&str; 8] = [
    "secretova",
    "hiddenson",
    "people-of.example",
    "u001.bmFkaWE",
    "/wf/open",
    "9f2c41",
    "privacy/tracking",
    "letter-4711",
];
/// At an endpoint that the rules know.
pub(crate) const KNOWN: &str = "https://click.news.example/wf/open?upn=u001.bmFkaWE";
/// Only its size tells.
pub(crate) const TINY: &str = "https://t.example.net/o?u=9f2c41";

/// A running relay.
pub(crate) struct Scene {
    pub(crate) served: Served,
    config: Config,
}

/// What became of one message.
pub(crate) struct Told {
    pub(crate) reply: String,
    pub(crate) copies: Vec<Taken>,
    /// The last intent in the ledger.
    pub(crate) intent: Value,
}

/// A stream that declares every host for `campaign_performance`, with more lines of its own.
pub(crate) fn stream(name: &str, kind: &str, more: &str) -> String {
    let link = match more.contains("withdrawal_link") {
        true => "",
        false => "withdrawal_link = { elsewhere = \"in the account\" }\n",
    };
    let tracker = match more.contains("stream.tracker") {
        true => "",
        false => "[[stream.tracker]]\nhosts = [\"*\"]\npurposes = [\"campaign_performance\"]\n",
    };
    format!(
        "[[stream]]\nname = \"{name}\"\ncontroller = \"bakery\"\nkind = \"{kind}\"\n{link}{more}\n{tracker}"
    )
}

/// `[[stream.tracker]]` for some hosts.
pub(crate) fn tracker(hosts: &[&str], purposes: &[&str]) -> String {
    format!("[[stream.tracker]]\nhosts = {hosts:?}\npurposes = {purposes:?}\n")
}

/// A letter with these header lines and this in its HTML body.
pub(crate) fn letter_with(header: &str, html: &str) -> Vec<u8> {
    format!(
        "From: <letter@news.example>\r\nTo: <{NADIA}>\r\nMessage-ID: <letter-4711@news.example>\r\n{header}MIME-Version: 1.0\r\n\
         Content-Type: text/html; charset=utf-8\r\n\r\n<html><body>\r\n<p>bread</p>\r\n{html}\r\n</body></html>\r\n"
    )
    .into_bytes()
}

/// A letter with a pixel at a known endpoint.
pub(crate) fn letter() -> Vec<u8> {
    letter_with("", &pixel(KNOWN))
}

pub(crate) fn pixel(url: &str) -> String {
    format!("<img src=\"{url}\" width=\"1\" height=\"1\">")
}

impl Scene {
    pub(crate) fn start(tail: &str) -> Self {
        Self::start_with(Config {
            tail: tail.to_owned(),
            ..Config::default()
        })
    }

    pub(crate) fn start_with(config: Config) -> Self {
        let served = Served::start(&config);
        Self { served, config }
    }

    /// Stops it and starts it with other tables behind those of every test.
    pub(crate) fn start_again(&mut self, tail: &str) {
        assert!(self.served.stop().success());
        self.config.tail = tail.to_owned();
        let config = self.config.clone();
        self.served.start_again(&config);
    }

    pub(crate) fn grant(&self, address: &str, purposes: &[&str]) {
        self.record(address, "granted", purposes);
    }

    pub(crate) fn record(&self, address: &str, state: &str, purposes: &[&str]) {
        import(&self.served, &[row("bakery", address, state, purposes)]);
    }

    pub(crate) fn consent(&self, arguments: &[&str]) {
        let mut words = vec!["consent"];
        words.extend(arguments);
        let output = pixelgate(&self.served, &words, b"");
        assert!(output.status.success(), "{output:?}");
    }

    pub(crate) fn place(&self, name: &str) -> PathBuf {
        self.served.directory().join(name)
    }

    pub(crate) fn deliver(&self, to: &[&str], message: &[u8]) -> Told {
        self.deliver_by(self.served.address(), to, message)
    }

    /// The same by another listener.
    pub(crate) fn deliver_by(&self, address: SocketAddr, to: &[&str], message: &[u8]) -> Told {
        let reply = send_at(address, "<letter@news.example>", to, message);
        Told {
            reply,
            copies: take_outbox(&self.served),
            intent: self.lines("intent").pop().unwrap_or_default(),
        }
    }

    /// A letter to one person: whether its pixel stayed, and why not in the ledger's words.
    pub(crate) fn verdict(&self, to: &str, message: &[u8]) -> (bool, String) {
        let told = self.deliver(&[to], message);
        assert!(told.reply.starts_with("250 "), "{}", told.reply);
        (told.has(KNOWN), told.reason(0, 0))
    }

    /// The lines of one kind in the ledger, in order.
    pub(crate) fn lines(&self, kind: &str) -> Vec<Value> {
        let mut files = files_below(&self.place("ledger"));
        files.retain(|file| {
            file.extension()
                .is_some_and(|extension| extension == "jsonl")
        });
        files.sort();
        files
            .iter()
            .flat_map(|file| {
                let text = fs::read_to_string(file).expect("the ledger");
                text.lines()
                    .map(|line| serde_json::from_str::<Value>(line).expect("a line"))
                    .collect::<Vec<_>>()
            })
            .filter(|line| line["kind"] == kind)
            .collect()
    }

    /// The end of every scene.
    pub(crate) fn finish(mut self) {
        assert!(self.served.stop().success(), "{}", self.served.log());
        verify(&self.place("ledger")).expect("the chain of the ledger");
        let mut seen = 0;
        for name in ["ledger", "log", "consent.db", "consent.db-wal"] {
            let place = self.place(name);
            let files = if place.is_dir() {
                files_below(&place)
            } else {
                vec![place]
            };
            for file in files.iter().filter(|file| file.exists()) {
                seen += 1;
                shows_nothing(file);
            }
        }
        assert!(
            seen >= 4,
            "ledger, its lock, log and register were looked at"
        );
    }
}

impl Told {
    /// Whether any copy has this URL.
    pub(crate) fn has(&self, url: &str) -> bool {
        let copies = self.copies.iter();
        let holds = |octets: &[u8]| memchr::memmem::find(octets, url.as_bytes()).is_some();
        copies.into_iter().any(|copy| holds(&copy.message))
    }

    /// The copy that one person got.
    pub(crate) fn copy_to(&self, address: &str) -> &Taken {
        let copies: Vec<&Taken> = self
            .copies
            .iter()
            .filter(|copy| copy.to.iter().any(|to| to == address))
            .collect();
        assert_eq!(copies.len(), 1, "copies to one person");
        copies[0]
    }

    /// Why a finding did not stay for a group, or on which basis it did.
    pub(crate) fn reason(&self, group: usize, finding: usize) -> String {
        let decision = &self.intent["groups"][group]["decisions"][finding];
        let word = match decision["action"].as_str() {
            Some("kept") => decision["basis"].as_str(),
            _ => decision["reason"].as_str(),
        };
        word.unwrap_or("none").to_owned()
    }
}

/// Looks for what no file may show.
fn shows_nothing(file: &Path) {
    let octets = fs::read(file).expect("a file");
    let lower = octets.to_ascii_lowercase();
    for secret in SECRETS {
        assert!(
            memchr::memmem::find(&lower, secret.to_ascii_lowercase().as_bytes()).is_none(),
            "{} shows `{secret}`",
            file.display()
        );
    }
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    entries
        .map(|entry| entry.expect("an entry").path())
        .collect()
}

/// The search itself is not blind.
#[test]
#[should_panic(expected = "shows `hiddenson`")]
fn a_file_that_shows_somebody_is_seen() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), "x Otto.HIDDENSON@y").expect("written");
    shows_nothing(file.path());
}
