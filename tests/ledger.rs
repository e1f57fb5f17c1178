//! The ledger against a real crash and a real full disk: a second process writes, and is killed or runs out of room.
//!
//! Each test is its own second process: started again with [`ROLE`] set, it plays the writer.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test says by failing where it failed; clippy spares only the functions marked as tests"
)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use pixelgate::ledger::{Enforcement, Intent, Ledger, LedgerError, Settings, StartFacts, verify};

const ROLE: &str = "PIXELGATE_TEST_LEDGER";

fn settings(directory: &Path) -> Settings {
    Settings {
        directory: directory.to_owned(),
        // Two busy cores and a slow disk are no reason to fail here.
        write_timeout_ms: 60_000,
        ..Settings::default()
    }
}

/// So small that segments are rolled and packed all the time.
fn small(directory: &Path) -> Settings {
    Settings {
        segment_octets: 64 << 10,
        ..settings(directory)
    }
}

fn intent(number: u64) -> Intent {
    Intent {
        id: format!("m{number}"),
        attempt: 1,
        stream_kind: "marketing".into(),
        message_sha256: "ab".repeat(32),
        enforcement: Enforcement {
            mode: "enforce".into(),
            ..Enforcement::default()
        },
        ..Intent::default()
    }
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

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
        .block_on(future)
}

/// Starts this very test as the other process, under a shell that may first set limits.
fn start(shell: &str, test: &str, directory: &Path) -> Other {
    let child = Command::new("bash")
        .args(["-c", &format!("{shell} exec \"$0\" \"$@\"")])
        .arg(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(ROLE, directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    Other(child)
}

/// The numbers that the other process says (on lines of their own: the test runner writes too) were written, as it says them.
fn written(child: &mut Other) -> impl Iterator<Item = u64> + use<> {
    BufReader::new(child.0.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok)
        .filter_map(|line| line.strip_prefix("written ")?.parse().ok())
}

#[test]
fn what_was_synced_before_a_kill_is_there_and_the_chain_goes_on() {
    if let Some(directory) = role() {
        let ledger = Ledger::open(&small(&directory), &StartFacts::default()).unwrap();
        for number in 0..1_000_000 {
            let seq = block_on(ledger.intent(intent(number), true)).unwrap();
            println!("\nwritten {}", seq.0);
        }
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("ledger");
    let mut told = 0;
    for round in 1..=5_usize {
        let mut child = start(
            "",
            "what_was_synced_before_a_kill_is_there_and_the_chain_goes_on",
            &directory,
        );
        let mut seqs = written(&mut child);
        let last = seqs.nth(150 * round).expect("the other process writes");
        child.0.kill().unwrap();
        child.0.wait().unwrap();
        // What it said between the last line that was read and its end counts as well.
        told = seqs.last().unwrap_or(last);
        let verified = verify(&directory).unwrap();
        assert!(verified.head_seq >= told, "{verified:?} {told}");
    }
    let ledger = Ledger::open(&small(&directory), &StartFacts::default()).unwrap();
    ledger.close();
    let verified = verify(&directory).unwrap();
    assert_eq!(verified.unfinished_octets, 0);
    assert!(verified.head_seq > told);
    assert!(verified.intents > 2_000);
    assert!(verified.files > 10);
    let names = std::fs::read_dir(&directory).unwrap();
    let names = names.map(|entry| entry.unwrap().path());
    assert!(
        names
            .filter(|path| path.extension().is_some_and(|ending| ending == "zst"))
            .count()
            > 0
    );
}

#[test]
fn a_disk_that_fills_and_empties_leaves_one_unbroken_chain_with_a_gap() {
    if let Some(directory) = role() {
        let ledger = Ledger::open(&settings(&directory), &StartFacts::default()).unwrap();
        let mut number = 0;
        let error = loop {
            match block_on(ledger.intent(intent(number), number % 10 == 0)) {
                Ok(_) => number += 1,
                Err(error) => break error,
            }
            assert!(number < 100_000, "the limit was never met");
        };
        assert!(matches!(error, LedgerError::Disk { .. }), "{error}");
        // The file ends with the last line that was acknowledged, and goes on failing without harm.
        assert_eq!(verify(&directory).unwrap().intents, number);
        for _ in 0..4 {
            assert!(block_on(ledger.intent(intent(number), true)).is_err());
        }
        assert_eq!(verify(&directory).unwrap().unfinished_octets, 0);
        let room = Command::new("prlimit")
            .args([
                "--pid",
                &std::process::id().to_string(),
                "--fsize=unlimited",
            ])
            .status();
        assert!(room.unwrap().success());
        let seq = block_on(ledger.intent(intent(number), true)).unwrap();
        ledger.close();
        println!("\nwritten {}", seq.0);
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("ledger");
    // Writes past 64 KiB fail with "file too large", half a line written, as on a full disk.
    let mut child = start(
        "trap '' XFSZ; ulimit -S -f 64;",
        "a_disk_that_fills_and_empties_leaves_one_unbroken_chain_with_a_gap",
        &directory,
    );
    let last = written(&mut child).last();
    assert!(child.0.wait().unwrap().success());
    let verified = verify(&directory).unwrap();
    assert_eq!(Some(verified.head_seq), last);
    assert_eq!(verified.gaps, 1);
    let text = std::fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| {
            path.extension()
                .is_some_and(|extension| extension == "jsonl")
        })
        .map(|path| std::fs::read_to_string(path).unwrap())
        .unwrap();
    let gap = text
        .lines()
        .find(|line| line.contains("\"kind\":\"gap\""))
        .unwrap();
    assert!(
        gap.contains("\"cause\":\"not_written\",\"lines\":5"),
        "{gap}"
    );
}

#[test]
fn a_second_process_is_refused_and_the_directory_is_free_once_the_first_is_killed() {
    if let Some(directory) = role() {
        let _ledger = Ledger::open(&settings(&directory), &StartFacts::default()).unwrap();
        println!("\nwritten {}", std::process::id());
        std::thread::sleep(Duration::from_secs(60));
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("ledger");
    let mut child = start(
        "",
        "a_second_process_is_refused_and_the_directory_is_free_once_the_first_is_killed",
        &directory,
    );
    let pid = written(&mut child).next().unwrap();
    let refused = Ledger::open(&settings(&directory), &StartFacts::default()).unwrap_err();
    assert_eq!(
        refused,
        LedgerError::Taken {
            directory: directory.clone(),
            pid: pid.to_string()
        }
    );
    child.0.kill().unwrap();
    child.0.wait().unwrap();
    Ledger::open(&settings(&directory), &StartFacts::default()).unwrap();
}
