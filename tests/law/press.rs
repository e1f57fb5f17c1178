//! One relay of a publisher, filled by the command line, and what it did with a message: the reply, the copies, and what
//! the ledger says of one person. At its end the chains of ledger and register hold, and no file shows anybody.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use jiff::{Span, Timestamp};
use serde_json::{Value, json};

use crate::fixture::{Taken, pixelgate, send, take_outbox};
use crate::ill_mannered::IllMannered;
use crate::support::{Config, Served};

/// Who reads.
pub(crate) const NADIA: &str = "nadia.secretova@people-of.example";
pub(crate) const OTTO: &str = "otto.hiddenson@people-of.example";
/// Whose mail it is, unless a test says otherwise.
pub(crate) const PRESS: &str = "press";
/// One country's rules alone.
pub(crate) const FRANCE: &str = "[law]\nprofiles = [\"fr-2026\"]\n";
pub(crate) const ITALY: &str = "[law]\nprofiles = [\"it-2026\"]\n";
pub(crate) const STRICT: &str = "[law]\nprofiles = [\"strict-edpb\"]\n";
/// Long ago, and after every date in a profile.
pub(crate) const MAY: &str = "2026-05-02T09:14:00Z";
/// What no file may show of the people and URLs that go through.
const SECRETS: [&str; 8] = [
    "secretova",
    "hiddenson",
    "people-of.example",
    "9f2c41d07a",
    "77c01fe2b9",
    "issue=2026-47",
    "privacy/tracking",
    "issue-4711",
];

/// A stream of the publisher's that checks for its link.
pub(crate) fn stream(kind: &str, trackers: &[String]) -> String {
    stream_of("week", PRESS, kind, trackers)
}

/// One with a name, and a controller.
pub(crate) fn stream_of(name: &str, controller: &str, kind: &str, trackers: &[String]) -> String {
    format!(
        "[[stream]]\nname = \"{name}\"\ncontroller = \"{controller}\"\nkind = \"{kind}\"\n\
         withdrawal_link = {{ url_prefix = \"https://press.example/privacy/\" }}\n{}",
        trackers.concat()
    )
}

/// What a host's pixels are for.
pub(crate) fn tracker(host: &str, purposes: &[&str]) -> String {
    format!("[[stream.tracker]]\nhosts = [\"{host}\"]\npurposes = {purposes:?}\n")
}

/// The publisher's pixel for this, nothing else declared.
pub(crate) fn own(purposes: &[&str]) -> Vec<String> {
    vec![tracker("open.press.example", purposes)]
}

/// A change with everything that a proof needs.
pub(crate) fn change(address: &str, state: &str, purposes: &[&str], at: &str) -> Value {
    json!({
        "controller": PRESS, "address": address, "state": state, "purposes": purposes, "at": at,
        "channel": "form", "wording_version": "2026-04",
        "wording_sha256": "3f0a377ba0a4a460ecb616f6507ce0d8cfa3e704025d4fda3ed0c5ca05468728"
    })
}

/// A grant long ago.
pub(crate) fn grant(address: &str, purposes: &[&str]) -> Value {
    change(address, "granted", purposes, MAY)
}

/// When an address in France was collected, and when its owner was told of the pixels.
pub(crate) fn contact(address: &str, collected_at: &str, informed_at: Option<&str>) -> Value {
    let mut row = json!({
        "controller": PRESS, "address": address, "collected_at": collected_at, "country": "FR"
    });
    if let Some(informed_at) = informed_at {
        row["informed_at"] = informed_at.into();
        row["informed_notice"] = "2026-06".into();
        row["informed_purposes"] = json!(["campaign_performance"]);
    }
    row
}

/// So many days before today.
pub(crate) fn days_ago(days: i64) -> String {
    (Timestamp::now() - Span::new().hours(24 * days)).to_string()
}

pub(crate) fn now() -> String {
    Timestamp::now().to_string()
}

/// A running relay.
pub(crate) struct Press {
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

impl Press {
    pub(crate) fn start(tail: &str) -> Self {
        Self::start_with(Config {
            tail: tail.to_owned(),
            ..Config::default()
        })
    }

    /// In front of a scripted next hop that is given what is owed again at once.
    pub(crate) fn start_before(hop: &IllMannered, tail: &str) -> Self {
        Self::start_with(Config {
            next_hop: vec![format!("address = \"{}\"", hop.address())],
            spool: vec![
                "retry_first_seconds = 3600".to_owned(),
                "retry_most_seconds = 3600".to_owned(),
            ],
            tail: tail.to_owned(),
            ..Config::default()
        })
    }

    pub(crate) fn start_with(config: Config) -> Self {
        let served = Served::start(&config);
        Self { served, config }
    }

    /// Stops it and starts it with another configuration of the same files.
    pub(crate) fn start_again(&mut self, change: impl FnOnce(&mut Config)) {
        assert!(self.served.stop().success(), "{}", self.served.log());
        change(&mut self.config);
        let config = self.config.clone();
        self.served.start_again(&config);
    }

    pub(crate) fn place(&self, name: &str) -> PathBuf {
        self.served.directory().join(name)
    }

    /// A command of the binary, to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        pixelgate(&self.served, arguments, b"")
    }

    /// The same; it succeeds, and this is what it says.
    #[track_caller]
    pub(crate) fn said(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let told = String::from_utf8(output.stdout).expect("UTF-8");
        let errors = String::from_utf8(output.stderr).expect("UTF-8");
        assert!(
            output.status.success(),
            "{arguments:?} {}: {told}{errors}",
            output.status
        );
        told
    }

    /// `consent import` of these rows.
    #[track_caller]
    pub(crate) fn import(&self, rows: &[Value]) -> String {
        let lines: Vec<String> = rows.iter().map(|row| format!("{row}\n")).collect();
        self.import_file("rows.jsonl", &lines.concat(), &[])
    }

    /// `consent import` of a file, which is gone afterwards.
    #[track_caller]
    pub(crate) fn import_file(&self, name: &str, text: &str, options: &[&str]) -> String {
        let file = self.place(name);
        fs::write(&file, text).expect("the file");
        let mut arguments = vec!["consent", "import", name];
        arguments.extend(options);
        let told = self.said(&arguments);
        fs::remove_file(file).expect("removed");
        told
    }

    /// `consent set` of something that happened now.
    #[track_caller]
    pub(crate) fn set(&self, address: &str, state: &str) {
        self.said(&[
            "consent",
            "set",
            "--controller",
            PRESS,
            "--to",
            address,
            "--state",
            state,
        ]);
    }

    #[track_caller]
    pub(crate) fn history(&self, controller: &str, address: &str) -> Value {
        let arguments = [
            "consent",
            "history",
            "--controller",
            controller,
            "--to",
            address,
        ];
        serde_json::from_str(&self.said(&arguments)).expect("JSON")
    }

    /// The names of a person's records of this state (`contact` for contact records), oldest receipt first.
    #[track_caller]
    pub(crate) fn records(&self, address: &str, state: &str) -> Vec<String> {
        let history = self.history(PRESS, address);
        let (list, key) = match state {
            "contact" => ("contacts", None),
            state => ("changes", Some(state)),
        };
        let all = history[list].as_array().expect("a list").iter();
        all.filter(|record| key.is_none_or(|state| record["state"] == state))
            .map(|record| record["id"].as_str().expect("a name").to_owned())
            .collect()
    }

    /// A message in one transaction of its own.
    pub(crate) fn deliver(&self, to: &[&str], message: &[u8]) -> Told {
        let reply = send(&self.served, "<letter@press.example>", to, message);
        let copies = match self.place("outbox").exists() {
            true => take_outbox(&self.served),
            false => Vec::new(),
        };
        Told {
            reply,
            copies,
            intent: self.lines("intent").pop().unwrap_or_default(),
        }
    }

    /// A message to one person, who gets exactly this; what the ledger says of the pixel at that host.
    #[track_caller]
    pub(crate) fn gets(&self, to: &str, message: &[u8], copy: &[u8], host: &str) -> String {
        let told = self.deliver(&[to], message);
        assert!(told.reply.starts_with("250 "), "{}", told.reply);
        same(told.copy_to(to).without_received(), copy);
        self.verdict(&told.intent, PRESS, to, host)
    }

    /// What an intent says of one person and the pixel at one host: `ACTION WORD PROFILE`.
    #[track_caller]
    pub(crate) fn verdict(&self, intent: &Value, controller: &str, to: &str, host: &str) -> String {
        let (group, decision) = self.decision(intent, controller, to, host);
        let word = decision["basis"].as_str().or(decision["reason"].as_str());
        format!(
            "{} {} {}",
            decision["action"].as_str().expect("an action"),
            word.expect("a basis or a reason"),
            group["profile"].as_str().unwrap_or("-")
        )
    }

    /// The records that this decision rests on.
    #[track_caller]
    pub(crate) fn rests_on(&self, intent: &Value, to: &str, host: &str) -> Vec<String> {
        let (_, decision) = self.decision(intent, PRESS, to, host);
        let none = Vec::new();
        let records = decision["records"].as_array().unwrap_or(&none).iter();
        records
            .map(|record| record.as_str().expect("a name").to_owned())
            .collect()
    }

    #[track_caller]
    fn decision(&self, intent: &Value, controller: &str, to: &str, host: &str) -> (Value, Value) {
        assert_eq!(intent["controller"], controller);
        let subject = self.history(controller, to)["subject"].clone();
        let list = |value: &Value| value.as_array().cloned().expect("a list");
        let findings = list(&intent["findings"]);
        let of_host = findings.iter().filter(|finding| finding["host"] == host);
        let numbers: Vec<&Value> = of_host.map(|finding| &finding["n"]).collect();
        assert_eq!(numbers.len(), 1, "findings at {host}: {intent}");
        let groups = list(&intent["groups"]);
        let mut own = groups
            .iter()
            .filter(|group| list(&group["subjects"]).contains(&subject));
        let group = own.next().expect("a group with this person");
        assert!(own.next().is_none(), "one group for one person: {intent}");
        let decisions = list(&group["decisions"]);
        let mut about = decisions
            .into_iter()
            .filter(|decision| decision["finding"] == *numbers[0]);
        (group.clone(), about.next().expect("a decision about it"))
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
                let whole = text.lines().filter(|line| line.ends_with('}'));
                whole
                    .map(|line| serde_json::from_str::<Value>(line).expect("a line"))
                    .collect::<Vec<_>>()
            })
            .filter(|line| line["kind"] == kind)
            .collect()
    }

    /// The end of every test.
    pub(crate) fn finish(mut self) {
        assert!(self.served.stop().success(), "{}", self.served.log());
        pixelgate::ledger::verify(&self.place("ledger")).expect("the chain of the ledger");
        let mut seen = 0;
        for name in ["ledger", "log", "consent.db", "consent.db-wal"] {
            let place = self.place(name);
            let files = match place.is_dir() {
                true => files_below(&place),
                false => vec![place],
            };
            for file in files.iter().filter(|file| file.exists()) {
                seen += 1;
                shows_nothing(file);
            }
        }
        assert!(seen >= 4, "ledger, lock, log and register were looked at");
    }
}

impl Told {
    /// The copy that one person got.
    #[track_caller]
    pub(crate) fn copy_to(&self, address: &str) -> &Taken {
        let theirs = |copy: &&Taken| copy.to.iter().any(|to| to == address);
        let copies: Vec<&Taken> = self.copies.iter().filter(theirs).collect();
        assert_eq!(copies.len(), 1, "copies to one person");
        copies[0]
    }
}

/// Octet by octet, and readable where it is not so.
#[track_caller]
pub(crate) fn same(copy: &[u8], expected: &[u8]) {
    assert_eq!(
        copy.escape_ascii().to_string().replace("\\r\\n", "\n"),
        expected.escape_ascii().to_string().replace("\\r\\n", "\n")
    );
    assert_eq!(copy, expected);
}

/// Looks for what no file may show.
fn shows_nothing(file: &Path) {
    let octets = fs::read(file).expect("a file").to_ascii_lowercase();
    for secret in SECRETS {
        let secret = secret.to_ascii_lowercase();
        assert!(
            memchr::memmem::find(&octets, secret.as_bytes()).is_none(),
            "{} shows `{secret}`",
            file.display()
        );
    }
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten();
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
