//! The ledger's files where the process dies at each step, where the disk is full, and where somebody reads meanwhile.
//!
//! A test that dies is its own second process: started again with [`ROLE`] set, it does the work.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use super::read::Ledgers;
use super::tests::{clock, lines};
use super::turn::tests::{DAY, assert_tended, filled, message, settings, tend, tender, turn};
use super::*;

const ROLE: &str = "PIXELGATE_TEST_CRASH";
const SIGABRT: i32 = 6;

/// Runs a test of this file as a process of its own, under limits, until it ends or dies at a place.
fn other_process(test: &str, directory: &Path, limits: &str, die_at: &str) -> ExitStatus {
    Command::new("bash")
        .args(["-c", &format!("ulimit -c 0; {limits} exec \"$0\" \"$@\"")])
        .arg(std::env::current_exe().unwrap())
        .args([&format!("ledger::crash_tests::{test}"), "--exact"])
        .env(ROLE, directory)
        .env("PIXELGATE_TEST_DIE_AT", die_at)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap()
}

fn role() -> Option<PathBuf> {
    std::env::var_os(ROLE).map(PathBuf::from)
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in from.read_dir().unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

/// Four days of which the first is due, at the end of which the other process dies.
fn due(directory: &Path) -> Settings {
    Settings {
        retention_days: 2,
        ..settings(directory)
    }
}

#[test]
fn wherever_packing_or_dropping_dies_every_line_is_there_once_and_it_is_done_the_next_time() {
    if let Some(directory) = role() {
        tender(&due(&directory)).tend(&turn(&directory, "1970-01-04"));
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let original = filled(&place.path().join("original"), 4, 40).directory;
    let whole = verify(&original).unwrap();
    let first_day = lines(&original)
        .iter()
        .filter(|line| line["at"].as_str().unwrap().starts_with("1970-01-01"))
        .count() as u64;
    let told = |directory: &Path| {
        let lines = lines(directory);
        lines
            .iter()
            .filter(|line| line["kind"] == "dropped")
            .count() as u64
    };
    let places = [
        "drop_told",
        "head_kept",
        "one_form_gone",
        "packed_aside",
        "packed_named",
        "index_aside",
        "index_named",
        "plain_gone",
    ];
    for die_at in places {
        let directory = place.path().join(die_at);
        copy(&original, &directory);
        let test = "wherever_packing_or_dropping_dies_every_line_is_there_once_and_it_is_done_the_next_time";
        // It dies at the first segment, then, where that got further, at the next one, and so on.
        let mut deaths = 0;
        while other_process(test, &directory, "", die_at).signal() == Some(SIGABRT) {
            deaths += 1;
            assert!(deaths < 100, "{die_at}");
            let verified = verify(&directory).unwrap();
            assert_eq!(verified.head_seq, whole.head_seq + told(&directory));
            let read = lines(&directory).len() as u64;
            assert_eq!(read, verified.lines, "{die_at}");
            assert!(read >= whole.lines - first_day, "{die_at}");
            if deaths == 3 {
                break;
            }
        }
        assert!(deaths > 0, "{die_at} was never met");
        tender(&due(&directory)).tend(&turn(&directory, "1970-01-04"));
        assert_tended(&directory);
        let verified = verify(&directory).unwrap();
        let told = told(&directory);
        assert_eq!(verified.lines, whole.lines - first_day + told, "{die_at}");
        assert_eq!(verified.head_seq, whole.head_seq + told);
        assert!(verified.dropped > 0);
        let ended = other_process(test, &directory, "", die_at);
        assert!(ended.success(), "nothing is left to do after {die_at}");
    }
}

#[test]
fn wherever_a_new_segment_is_begun_a_death_leaves_a_chain_that_goes_on() {
    if let Some(directory) = role() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let day = directory.join("../day");
        let day: i64 = std::fs::read_to_string(day).unwrap().parse().unwrap();
        let seconds = Arc::new(AtomicI64::new(day * DAY + 9));
        let ledger = Ledger::open_untended(&settings(&directory), clock(&seconds));
        for number in 0..120 {
            let (intent, _) = message(number);
            runtime.block_on(ledger.intent(intent, true)).unwrap();
        }
        return;
    }
    // By size, on the same day; and by day.
    for day in [0, 1] {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("day"), day.to_string()).unwrap();
        let settings = filled(&place.path().join("ledger"), 1, 10);
        let directory = &settings.directory;
        let before = verify(directory).unwrap();
        let test = "wherever_a_new_segment_is_begun_a_death_leaves_a_chain_that_goes_on";
        let died = other_process(test, directory, "", "segment_begun");
        assert_eq!(died.signal(), Some(SIGABRT));
        let after = verify(directory).unwrap();
        assert!(after.lines >= before.lines);
        // The segment that was begun is empty; the chain goes on in it, and the one before can be packed.
        let empty = tests::files(directory).pop().unwrap();
        assert_eq!(empty.metadata().unwrap().len(), 0);
        let seconds = Arc::new(AtomicI64::new(day * DAY + 10));
        Ledger::open_untended(&settings, clock(&seconds)).close();
        assert!(empty.metadata().unwrap().len() > 0);
        assert_eq!(verify(directory).unwrap().lines, after.lines + 1);
        tend(&settings);
        assert_tended(directory);
        assert_eq!(verify(directory).unwrap().lines, after.lines + 1);
    }
}

#[test]
fn a_disk_that_fills_while_a_segment_is_packed_leaves_it_plain_until_there_is_room() {
    if let Some(directory) = role() {
        tend(&settings(&directory));
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let settings = filled(place.path(), 1, 150);
    let directory = &settings.directory;
    let before = lines(directory);
    let files = tests::files(directory);
    let test = "a_disk_that_fills_while_a_segment_is_packed_leaves_it_plain_until_there_is_room";
    // 64 KiB: room for a part of a packed segment; half a write is done, then "file too large".
    let ended = other_process(test, directory, "trap '' XFSZ; ulimit -S -f 64;", "");
    assert!(ended.success());
    for file in &files {
        assert!(file.exists());
    }
    let names: Vec<_> = directory.read_dir().unwrap().collect();
    assert_eq!(
        names.len(),
        files.len() + 1,
        "the lock, and nothing half done"
    );
    assert_eq!(lines(directory), before);
    tend(&settings);
    assert_tended(directory);
    let packed = names::Listing::of(directory).unwrap();
    let packed = packed.segments.keys().next().unwrap().packed(directory);
    assert!(packed.metadata().unwrap().len() > 64 << 10);
    assert_eq!(lines(directory), before);
}

#[test]
fn readers_beside_a_relay_that_rolls_packs_and_drops_always_see_one_chain() {
    let place = tempfile::tempdir().unwrap();
    let settings = Settings {
        segment_octets: 64 << 10,
        ..settings(place.path())
    };
    let ledger = Ledger::open(&settings, &StartFacts::default()).unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let writing = std::thread::spawn({
        let (ledger, done) = (Arc::clone(&ledger), Arc::clone(&done));
        move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .unwrap();
            for number in 0..400 {
                let (intent, outcome) = message(number);
                runtime.block_on(ledger.intent(intent, true)).unwrap();
                runtime.block_on(ledger.outcome(outcome)).unwrap();
            }
            done.store(true, Ordering::SeqCst);
        }
    });
    let (_, known) = (message(0), message(0).0.groups[0].subjects[0].clone());
    let (mut seen, mut rounds) = (0, 0);
    while !done.load(Ordering::SeqCst) {
        let verified = verify(&settings.directory).unwrap();
        assert!(verified.lines >= seen);
        seen = verified.lines;
        let ledgers = Ledgers::open(std::slice::from_ref(&settings.directory)).unwrap();
        let count = ledgers.lines(None, None).map(Result::unwrap).count() as u64;
        assert!(count >= seen, "{count} {seen}");
        let found = ledgers.of_subjects(std::slice::from_ref(&known), None, None);
        assert!(found.unwrap().len() == 2 || seen < 3);
        rounds += 1;
    }
    writing.join().unwrap();
    ledger.close();
    let verified = verify(&settings.directory).unwrap();
    assert_eq!((verified.lines, verified.intents), (801, 400));
    assert!(rounds > 1);
    // What was broken off when the ledger closed is done at the next start.
    let again = Ledger::open(&settings, &StartFacts::default()).unwrap();
    let until = std::time::Instant::now() + Duration::from_secs(60);
    let waiting = |directory: &Path| {
        let segments = names::Listing::of(directory).unwrap().segments;
        segments.values().filter(|forms| forms.plain).count()
    };
    while waiting(&settings.directory) > 1 {
        assert!(std::time::Instant::now() < until, "it was never packed");
        std::thread::sleep(Duration::from_millis(20));
    }
    again.close();
    assert_tended(&settings.directory);
    assert_eq!(verify(&settings.directory).unwrap().lines, 802);
}
