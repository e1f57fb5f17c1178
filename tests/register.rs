//! The register between processes: an import that is killed, and withdrawals that another process commits meanwhile.
//!
//! Each test is its own second process: started again with [`ROLE`] set, it plays the importer.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test says by failing where it failed; clippy spares only the functions marked as tests"
)]

use std::io::{BufRead, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use pixelgate::consent::{Assertion, ChangeKind, Purpose, State};
use pixelgate::register::import::{Evidence, Options};
use pixelgate::register::{Keys, Register, Row, RowEntry, Settings};

const ROLE: &str = "PIXELGATE_TEST_REGISTER";
const ROWS: u64 = 10_000;

fn open(directory: &Path) -> Register {
    let keys = Arc::new(Keys::open(&directory.join("keys")).unwrap());
    let settings = Settings {
        register: format!("sqlite:{}", directory.join("consent.db").display()),
        // Two busy cores are no reason to fail here.
        lookup_timeout_ms: 30_000,
        write_timeout_ms: 60_000,
        ..Settings::default()
    };
    Register::open(&settings, keys).unwrap()
}

/// The other process; it never outlives its test.
struct Other(Child);

impl Drop for Other {
    fn drop(&mut self) {
        // Already ended is as good as killed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn role() -> Option<PathBuf> {
    std::env::var_os(ROLE).map(PathBuf::from)
}

fn grants() -> String {
    let sha = "a".repeat(64);
    (0..ROWS)
        .map(|number| {
            format!(
                "{{\"controller\":\"shop\",\"address\":\"p{number}@example.net\",\"state\":\"granted\",\
                 \"purposes\":[\"campaign_performance\"],\"at\":\"2026-05-01T00:00:00Z\",\"channel\":\"form\",\
                 \"wording_version\":\"v1\",\"wording_sha256\":\"{sha}\"}}\n"
            )
        })
        .collect()
}

fn import(register: &Register) -> (u64, u64) {
    let evidence = Evidence::default();
    let options = Options {
        require_proof: true,
        ..Options::new(&evidence, Timestamp::now())
    };
    let report = register
        .import(&mut Cursor::new(grants()), &options)
        .unwrap();
    (report.recorded, report.already_there)
}

/// Starts this very test as the other process and waits until it says that it begins.
/// Its output must stay open, or it would fail by it.
fn start(test: &str, directory: &Path) -> (Other, impl BufRead + use<>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(ROLE, directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap());
    let begins = said
        .by_ref()
        .lines()
        .map_while(Result::ok)
        .any(|line| line == "begins");
    assert!(begins);
    (Other(child), said)
}

fn changes(register: &Register) -> u64 {
    register.verify(&[]).unwrap().changes
}

#[test]
fn a_killed_import_leaves_whole_batches_and_is_finished_by_running_it_again() {
    if let Some(directory) = role() {
        let register = open(&directory);
        println!("\nbegins");
        import(&register);
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let register = open(place.path());
    let mut killed_under_way = 0;
    for round in 1..=4 {
        let (mut child, _said) = start(
            "a_killed_import_leaves_whole_batches_and_is_finished_by_running_it_again",
            place.path(),
        );
        let enough = u64::min(round * 2_000, ROWS);
        let limit = Instant::now() + Duration::from_secs(60);
        while changes(&register) < enough && Instant::now() < limit {
            std::thread::sleep(Duration::from_millis(5));
        }
        child.0.kill().unwrap();
        child.0.wait().unwrap();
        // `verify` compares every standing with its records: a batch is there with its fold, or not at all.
        let there = changes(&register);
        assert!(there >= enough, "{there}");
        killed_under_way += u32::from(there < ROWS);
    }
    assert!(
        killed_under_way > 0,
        "every import was over before its kill"
    );
    let before = changes(&register);
    assert_eq!(import(&register), (ROWS - before, before));
    assert_eq!(import(&register), (0, ROWS));
    assert_eq!(changes(&register), ROWS);
}

#[test]
fn a_withdrawal_is_seen_by_the_next_look_up_while_another_process_imports() {
    if let Some(directory) = role() {
        let register = open(&directory);
        println!("\nbegins");
        import(&register);
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let register = open(place.path());
    let (mut child, _said) = start(
        "a_withdrawal_is_seen_by_the_next_look_up_while_another_process_imports",
        place.path(),
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    for number in (0..ROWS).step_by(250) {
        let address = format!("p{number}@example.net");
        let row = Row {
            controller: "shop".into(),
            address: address.clone(),
            entry: RowEntry::Change(Assertion::new(ChangeKind::Withdrawn)),
        };
        register.record(&row, Timestamp::now()).unwrap();
        let identity = register.keys().identity("shop", &address);
        let standing = runtime.block_on(register.look_up("shop", &[identity]));
        let state = standing.unwrap()[0].state(Purpose::CampaignPerformance);
        assert_eq!(state, State::Withdrawn, "{address}");
    }
    assert!(child.0.wait().unwrap().success());
    for number in (0..ROWS).step_by(250) {
        let standing = register.get("shop", &format!("p{number}@example.net"));
        let state = standing.unwrap().state(Purpose::CampaignPerformance);
        assert_eq!(
            state,
            State::Withdrawn,
            "an older grant lifted a withdrawal"
        );
    }
    assert_eq!(changes(&register), ROWS + ROWS / 250);
}
