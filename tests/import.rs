//! Imports from the command line: the samples of `docs/import.md`, imports that are killed, withdrawals meanwhile.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that is not as it should be"
)]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use pixelgate::consent::{Assertion, ChangeKind, Purpose, State};
use pixelgate::register::{Keys, Register, Row, RowEntry, Settings, announce};
use tempfile::TempDir;

const P1: Purpose = Purpose::CampaignPerformance;
const DATA: i32 = 65;
const SHA: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// What a command ended with.
#[derive(Debug)]
struct Ended {
    code: i32,
    out: String,
    err: String,
}

/// A directory with a configuration.
struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        desk.write(
            "pixelgate.toml",
            "[[listener]]\naddress = \"127.0.0.1:2525\"\nprotocol = \"smtp\"\n\
             [[next_hop]]\naddress = \"maildir:outbox\"\n\
             [consent]\nregister = \"sqlite:consent.db\"\nlookup_timeout_ms = 30000\nwrite_timeout_ms = 60000\n\
             [keys]\ndirectory = \"keys\"\n",
        );
        desk
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.path().join(name), text).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pixelgate"));
        command
            .args(["-c", "pixelgate.toml", "consent"])
            .args(arguments)
            .current_dir(self.0.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        let output = self.command(arguments).output().unwrap();
        Ended {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    fn start(&self, arguments: &[&str]) -> Running {
        Running(
            self.command(arguments)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap(),
        )
    }

    fn open(&self) -> Register {
        let at = |name: &str| self.0.path().join(name);
        let settings = Settings {
            register: format!("sqlite:{}", at("consent.db").display()),
            lookup_timeout_ms: 30_000,
            write_timeout_ms: 60_000,
            ..Settings::default()
        };
        Register::open(&settings, Arc::new(Keys::open(&at("keys")).unwrap())).unwrap()
    }

    fn sample(&self) {
        for name in ["esp-export.csv", "esp-evidence.toml", "esp-wording.txt"] {
            fs::copy(sample(name), self.0.path().join(name)).unwrap();
        }
    }
}

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("config/try")
        .join(name)
}

/// A process that never outlives its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How many, by the words behind the number.
#[track_caller]
fn number(ended: &Ended, what: &str) -> u64 {
    let line = ended.out.lines().find(|line| {
        line.trim_start()
            .split_once(' ')
            .is_some_and(|(_, words)| words.trim() == what)
    });
    let line = line.unwrap_or_else(|| panic!("no line says {what:?}: {ended:?}"));
    line.split_whitespace().next().unwrap().parse().unwrap()
}

const IMPORT: [&str; 4] = [
    "import",
    "--evidence",
    "esp-evidence.toml",
    "esp-export.csv",
];

#[test]
fn the_sample_of_a_mail_service_says_what_counts_and_why_the_rest_does_not() {
    let desk = Desk::new();
    desk.sample();
    let dry = desk.run(&[&["import", "--dry-run"], &IMPORT[1..]].concat());
    assert_eq!(dry.code, 0, "{dry:?}");
    assert!(dry.out.contains("nothing was written"), "{dry:?}");
    assert_eq!(number(&dry, "records would be written"), 12);
    assert_eq!(desk.open().verify(&[]).unwrap().changes, 0);
    let ended = desk.run(&IMPORT);
    assert_eq!(ended.code, 0, "{ended:?}");
    for (what, count) in [
        ("rows", 7),
        ("grants with proof", 2),
        ("claims: a yes without proof, which permits nothing", 2),
        ("`at` is missing", 1),
        ("dated outside the validity of list `lettre`", 1),
        ("refused", 1),
        ("withdrawn", 1),
        (
            "contact records: collected, informed, country, kind of address",
            7,
        ),
        ("records written", 12),
        ("there already", 1),
        ("of them more than once in this file", 1),
    ] {
        assert_eq!(number(&ended, what), count, "{what}");
    }
    assert!(
        ended.out.contains("columns not read: `Nom`"),
        "{}",
        ended.out
    );
    assert!(!ended.out.contains("example.net"), "{}", ended.out);
    // The digest of the words is the one that any tool gives.
    let words = fs::read(sample("esp-wording.txt")).unwrap();
    let digest = ring::digest::digest(&ring::digest::SHA256, &words);
    let hex: String = digest
        .as_ref()
        .iter()
        .map(|octet| format!("{octet:02x}"))
        .collect();
    assert!(ended.out.contains(&hex), "{}", ended.out);
    let register = desk.open();
    let state = |name: &str| {
        register
            .get("default", &format!("{name}@example.net"))
            .unwrap()
            .state(P1)
    };
    assert_eq!(state("nadia"), State::Granted);
    assert_eq!(state("quentin"), State::Withdrawn);
    assert_eq!(state("paul"), State::Refused);
    for claimed in ["omar", "rosa", "sofia"] {
        assert_eq!(state(claimed), State::Unknown, "{claimed}");
    }
    let again = desk.run(&IMPORT);
    assert_eq!(
        (
            number(&again, "records written"),
            number(&again, "there already")
        ),
        (0, 13)
    );
}

#[test]
fn an_evidence_file_that_is_wrong_is_answered_with_line_and_nearest_key() {
    let desk = Desk::new();
    desk.sample();
    let text = fs::read_to_string(sample("esp-evidence.toml")).unwrap();
    for (from, to, words) in [
        (
            "wording_version",
            "wording_versoin",
            "did you mean `wording_version`?",
        ),
        (
            "address = \"E-mail\"",
            "adress = \"E-mail\"",
            "did you mean `address`?",
        ),
        ("esp-wording.txt", "gone.txt", "`wording_file` gone.txt"),
        ("Europe/Paris", "Europe/Pari", "`time_zone`"),
        ("\"E-mail\"", "\"Email\"", "`Email`, which is not there"),
    ] {
        desk.write("wrong.toml", &text.replacen(from, to, 1));
        let ended = desk.run(&["import", "--evidence", "wrong.toml", "esp-export.csv"]);
        assert_eq!(ended.code, DATA, "{ended:?}");
        assert!(ended.err.contains(words), "{words}: {}", ended.err);
        let placed = ended.err.contains("wrong.toml:") || ended.err.contains("line 1");
        assert!(
            placed && !ended.err.contains("example.net"),
            "{}",
            ended.err
        );
    }
    assert_eq!(desk.open().verify(&[]).unwrap().changes, 0);
}

#[test]
fn list_and_register_are_compared_and_a_difference_is_an_exit_code() {
    let desk = Desk::new();
    desk.sample();
    desk.run(&IMPORT);
    let diff = ["diff", "--evidence", "esp-evidence.toml", "esp-export.csv"];
    let ended = desk.run(&diff);
    // The two claims: the list says yes, and nothing here proves it.
    assert_eq!(ended.code, DATA, "{ended:?}");
    assert_eq!(
        number(&ended, "granted there, here a claim without proof"),
        2
    );
    assert_eq!(number(&ended, "same in both"), 3);
    assert!(!ended.out.contains("example.net"), "{ended:?}");
    desk.run(&["set", "--to", "nadia@example.net", "--state", "withdrawn"]);
    let ended = desk.run(&[&diff[..], &["--addresses"]].concat());
    assert_eq!(number(&ended, "withdrawn here, still granted there"), 1);
    assert!(
        ended.out.contains("line 2, subject") && ended.out.contains("nadia@example.net"),
        "{ended:?}"
    );
    desk.write(
        "same.csv",
        "controller,address,state\ndefault,nadia@example.net,withdrawn\n",
    );
    let ended = desk.run(&["diff", "--controller", "shop", "same.csv"]);
    assert_eq!(
        (ended.code, number(&ended, "rows compared")),
        (0, 0),
        "{ended:?}"
    );
}

#[test]
fn an_export_is_an_import() {
    let desk = Desk::new();
    desk.sample();
    desk.run(&IMPORT);
    for format in ["jsonl", "csv"] {
        let ended = desk.run(&["export", "--format", format]);
        assert_eq!(ended.code, 0, "{ended:?}");
        assert!(ended.err.contains("6 people with 12 records"), "{ended:?}");
        let other = Desk::new();
        let name = format!("everybody.{format}");
        other.write(&name, &ended.out);
        let imported = other.run(&["import", &name]);
        assert_eq!(
            (imported.code, number(&imported, "records written")),
            (0, 12),
            "{imported:?}"
        );
        let (first, second) = (desk.open(), other.open());
        for person in ["nadia", "omar", "paul", "quentin", "rosa", "sofia"] {
            let state = |register: &Register| {
                register
                    .get("default", &format!("{person}@example.net"))
                    .unwrap()
                    .state(P1)
            };
            assert_eq!(state(&first), state(&second), "{person}");
        }
    }
    let one = desk.run(&["export", "--to", "nadia@example.net"]);
    assert!(
        one.out.contains("nadia@example.net") && !one.out.contains("omar@"),
        "{one:?}"
    );
}

#[test]
fn yes_alone_proves_nothing_s16() {
    let desk = Desk::new();
    let mut text = "address,state\n".to_owned();
    for number in 0..10_000 {
        writeln!(text, "p{number}@example.net,1").unwrap();
    }
    desk.write("yes.csv", &text);
    desk.write("yes.toml", "[csv]\nyes = [\"1\"]\n[csv.columns]\naddress = \"address\"\nstate = \"state\"\n[csv.constant]\ncontroller = \"default\"\n");
    let ended = desk.run(&["import", "--evidence", "yes.toml", "yes.csv"]);
    assert_eq!(
        (
            number(&ended, "grants with proof"),
            number(&ended, "`at` is missing")
        ),
        (0, 10_000)
    );
    let refused = desk.run(&[
        "import",
        "--require-proof",
        "--evidence",
        "yes.toml",
        "yes.csv",
    ]);
    assert_eq!(refused.code, DATA);
    assert!(
        refused.err.contains("10000 rows are wrong") && refused.err.contains("and 9980 more"),
        "{}",
        refused.err
    );
    let register = desk.open();
    for number in [0, 1, 9_999] {
        let standing = register
            .get("default", &format!("p{number}@example.net"))
            .unwrap();
        assert_eq!(standing.state(P1), State::Unknown);
    }
}

/// Grants, with withdrawals of every tenth between them.
fn mixed(rows: u64) -> String {
    let mut text = String::new();
    for number in 0..rows {
        let state = if number % 10 == 0 {
            "withdrawn"
        } else {
            "granted"
        };
        writeln!(
            text,
            "{{\"controller\":\"default\",\"address\":\"p{number}@example.net\",\"state\":\"{state}\",\
             \"purposes\":[\"campaign_performance\"],\"at\":\"2026-05-01T00:00:00Z\",\"channel\":\"form\",\
             \"wording_version\":\"v1\",\"wording_sha256\":\"{SHA}\"}}"
        )
        .unwrap();
    }
    text
}

#[test]
fn killed_at_any_moment_an_import_leaves_whole_batches_and_is_completed_by_the_next() {
    const ROWS: u64 = 6_000;
    let desk = Desk::new();
    desk.write("rows.jsonl", &mixed(ROWS));
    let changes = |desk: &Desk| desk.open().verify(&[]).unwrap().changes;
    // Moments that no clock of ours chose: the low digits of the time of day.
    let mut killed_under_way = 0;
    for round in 0..5_u64 {
        let mut running = desk.start(&["import", "rows.jsonl"]);
        let jitter = u64::try_from(Timestamp::now().as_nanosecond() % 200).unwrap();
        std::thread::sleep(Duration::from_millis(100 + 250 * round + jitter));
        running.0.kill().unwrap();
        let code = running.0.wait().unwrap().code();
        // `verify` recomputes the chain and every fold: a batch is there whole, or not at all.
        let there = changes(&desk);
        assert!(there <= ROWS);
        killed_under_way += u32::from(code.is_none() && there < ROWS);
        if there > ROWS / 10 {
            // Restrictions go first, so none is missing once a grant is there.
            let register = desk.open();
            for number in (0..ROWS).step_by(500) {
                let standing = register
                    .get("default", &format!("p{number}@example.net"))
                    .unwrap();
                assert_eq!(standing.state(P1), State::Withdrawn, "p{number}");
            }
        }
    }
    assert!(
        killed_under_way > 0,
        "every import was over before its kill"
    );
    let before = changes(&desk);
    let ended = desk.run(&["import", "rows.jsonl"]);
    assert_eq!(
        (
            number(&ended, "records written"),
            number(&ended, "there already")
        ),
        (ROWS - before, before)
    );
    assert_eq!(changes(&desk), ROWS);
    let history = desk.open().history("default", "p7@example.net").unwrap();
    let source = history.changes[0].said.source.clone().unwrap();
    let id = ended
        .out
        .lines()
        .find_map(|line| line.strip_prefix("import "))
        .unwrap();
    assert_eq!(source, format!("{id}:8"));
}

#[test]
fn an_import_steps_aside_for_withdrawals_and_loses_none() {
    const ROWS: u64 = 20_000;
    let desk = Desk::new();
    desk.write("rows.jsonl", &mixed(ROWS));
    let register = desk.open();
    let mut running = desk.start(&["import", "rows.jsonl"]);
    let mut meanwhile = 0;
    for number in (1..ROWS).step_by(500) {
        let row = Row {
            controller: "default".to_owned(),
            address: format!("p{number}@example.net"),
            entry: RowEntry::Change(Assertion::new(ChangeKind::Withdrawn)),
        };
        register.record(&row, Timestamp::now()).unwrap();
        meanwhile += u32::from(running.0.try_wait().unwrap().is_none());
    }
    assert!(running.0.wait().unwrap().success());
    assert!(
        meanwhile > 0,
        "the import was over before the first withdrawal"
    );
    for number in (1..ROWS).step_by(500) {
        let standing = register
            .get("default", &format!("p{number}@example.net"))
            .unwrap();
        assert_eq!(standing.state(P1), State::Withdrawn, "p{number}");
    }
    register.verify(&[]).unwrap();
}

#[test]
fn while_a_restriction_is_announced_an_import_waits_after_its_batch() {
    const ROWS: u64 = 4_000;
    let desk = Desk::new();
    desk.write("rows.jsonl", &mixed(ROWS));
    let register = desk.open();
    let guard = announce::restriction(&desk.0.path().join("consent.db"));
    assert!(guard.is_announced());
    let mut running = desk.start(&["import", "rows.jsonl"]);
    let until = Instant::now() + Duration::from_secs(60);
    while register.heads().unwrap().is_empty() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
    }
    let first = register.verify(&[]).unwrap().changes;
    std::thread::sleep(Duration::from_millis(800));
    // One batch, and no second one for as long as the announcement lasts.
    assert_eq!(register.verify(&[]).unwrap().changes, first);
    assert!(
        (1..=1_000).contains(&first) && running.0.try_wait().unwrap().is_none(),
        "{first}"
    );
    drop(guard);
    assert!(running.0.wait().unwrap().success());
    assert_eq!(register.verify(&[]).unwrap().changes, ROWS);
}
