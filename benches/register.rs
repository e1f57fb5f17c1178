//! What the register costs: `cargo bench --bench register -- --subjects N`.
//!
//! Imports N people in batches of 1,000 with one form, then measures file size, look-ups from a warm cache and after the
//! file was dropped from the kernel's (as far as the kernel obeys), `verify`, and the memory of this process.
//! It measures; it fails only when the register does.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement says what it measured, and stops where it cannot"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use pixelgate::consent::{Assertion, ChangeKind, Form, Purpose};
use pixelgate::register::{Keys, Register, Row, RowEntry, Settings};

const BATCH: usize = 1_000;
const LOOKUPS: usize = 5_000;

fn main() {
    let mut words = std::env::args().skip(1);
    let mut subjects = 20_000usize;
    let mut directory = None;
    while let Some(word) = words.next() {
        match word.as_str() {
            "--subjects" => subjects = words.next().unwrap().parse().unwrap(),
            "--directory" => directory = words.next().map(PathBuf::from),
            // What cargo adds.
            _ => {}
        }
    }
    let scratch = tempfile::tempdir().unwrap();
    let directory = directory.unwrap_or_else(|| scratch.path().to_owned());
    let register = open(&directory);
    import(&register, subjects);
    sizes(&directory, subjects);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(look_ups(&register, subjects, "warm"));
    forget(&directory);
    runtime.block_on(look_ups(&register, subjects, "cold"));
    let begun = Instant::now();
    let verified = register.verify(&[]).unwrap();
    let took = begun.elapsed().as_secs_f64();
    let records = verified.changes;
    println!("verify: {records} records in {took:.1} s");
    println!("memory: {}", memory());
}

fn open(directory: &Path) -> Register {
    let keys = Arc::new(Keys::open(&directory.join("keys")).unwrap());
    let settings = Settings {
        register: format!("sqlite:{}", directory.join("consent.db").display()),
        lookup_timeout_ms: 60_000,
        write_timeout_ms: 60_000,
        ..Settings::default()
    };
    Register::open(&settings, keys).unwrap()
}

fn address(number: usize) -> String {
    format!("person.{number}@example.net")
}

fn import(register: &Register, subjects: usize) {
    let at: Timestamp = "2026-05-01T00:00:00Z".parse().unwrap();
    let form = Form {
        channel: Some("form".into()),
        collector: Some("shop.example".into()),
        wording_version: Some("2026-04".into()),
        wording_sha256: Some([7; 32]),
        language: Some("fr".into()),
        affirmative_act: Some("ticked a box that was not ticked".into()),
        notice: Some("n3".into()),
        ..Form::default()
    };
    let begun = Instant::now();
    let mut slowest = Duration::ZERO;
    for first in (0..subjects).step_by(BATCH) {
        let rows: Vec<Row> = (first..subjects.min(first + BATCH))
            .map(|number| Row {
                controller: "shop".into(),
                address: address(number),
                entry: RowEntry::Change(Assertion {
                    purposes: [Purpose::CampaignPerformance].into(),
                    at: Some(at),
                    form: form.clone(),
                    source: Some(format!("0f3a9c517d2e:{number}")),
                    ..Assertion::new(ChangeKind::Granted)
                }),
            })
            .collect();
        let batch = Instant::now();
        register.write_batch(&rows, Timestamp::now()).unwrap();
        slowest = slowest.max(batch.elapsed());
    }
    let took = begun.elapsed().as_secs_f64();
    let rate = subjects as f64 / took;
    println!(
        "import: {subjects} people in {took:.1} s, {rate:.0} rows/s, slowest batch {slowest:?}"
    );
}

fn sizes(directory: &Path, subjects: usize) {
    let octets =
        |name: &str| std::fs::metadata(directory.join(name)).map_or(0, |metadata| metadata.len());
    let (file, log) = (octets("consent.db"), octets("consent.db-wal"));
    let each = file / subjects.max(1) as u64;
    println!("size: {file} octets, {each} a person, write-ahead log {log}");
}

async fn look_ups(register: &Register, subjects: usize, cache: &str) {
    let mut times = Vec::with_capacity(LOOKUPS);
    for turn in 0..LOOKUPS {
        // Far apart, so that neighbours do not lie on the same page.
        let number = turn.wrapping_mul(7_919_777) % subjects.max(1);
        let identity = register.keys().identity("shop", &address(number));
        let begun = Instant::now();
        let standing = register.look_up("shop", &[identity]).await.unwrap();
        times.push(begun.elapsed());
        let known = standing.first().is_some_and(|one| !one.is_unknown());
        assert!(known, "person {number} was not found");
    }
    times.sort_unstable();
    let at = |percent: usize| times.get(times.len() * percent / 100).copied();
    let (p50, p99) = (at(50).unwrap(), at(99).unwrap());
    println!(
        "look-up, {cache} cache: p50 {p50:?}, p99 {p99:?}, most {:?}",
        times.last().unwrap()
    );
}

/// The kernel's pages of the file, dropped by `dd` (`posix_fadvise`), which needs no privilege.
fn forget(directory: &Path) {
    for name in ["consent.db", "consent.db-wal"] {
        let _ = std::process::Command::new("dd")
            .arg(format!("if={}", directory.join(name).display()))
            .args(["iflag=nocache", "count=0", "status=none"])
            .status();
    }
}

fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let lines = status
        .lines()
        .filter(|line| line.starts_with("VmHWM") || line.starts_with("VmRSS"));
    let words: Vec<String> = lines
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    words.join(", ")
}
