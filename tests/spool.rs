//! The spool under strace: the order in which things reach the disk, and what is left when a call fails or the process
//! is killed at any of them. The process under strace is this very test, started again with `CHILD` set.
//!
//! `tests/run` runs these with `--ignored`, where strace is installed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bytes::Bytes;
use jiff::Timestamp;
use pixelgate::smtp::parameter::Parameters;
use pixelgate::smtp::path::{ForwardPath, ReversePath};
use pixelgate::spool::{EntryId, Envelope, Origin, Owes, Recipient, Settings, Spool, SpoolError};

/// Names the spool directory, and so the child.
const CHILD: &str = "PIXELGATE_SPOOL_CHILD";

const MESSAGE: &[u8] = b"Subject: durable\r\n\r\nbody\r\n";

/// More calls of one kind than an entry's life has.
const CALLS: usize = 40;

fn settings(directory: &Path) -> Settings {
    Settings {
        directory: directory.to_owned(),
        ..Settings::default()
    }
}

fn envelope(paths: &[&str]) -> Envelope {
    let recipient = |path: &&str| Recipient {
        forward_path: ForwardPath::parse(path).unwrap(),
        parameters: Parameters::default(),
        owes: Owes::Delivery,
        last_reply: None,
        possible_duplicate: false,
    };
    Envelope {
        id: EntryId::parse("e1").unwrap(),
        arrived_at: Timestamp::from_second(1_000).unwrap(),
        origin: Origin::Own,
        reverse_path: ReversePath::Null,
        mail_parameters: Parameters::default(),
        recipients: paths.iter().map(recipient).collect(),
        attempts: 0,
        next_attempt_at: Timestamp::from_second(1_060).unwrap(),
        delay_told_at: None,
        login_named: false,
        retried_at: None,
        dead: None,
        learned: Vec::new(),
    }
}

/// Says what came of a step, with one write that strace sees.
fn say(step: &str, result: Result<(), &SpoolError>) {
    let word = if result.is_ok() { "ok" } else { "error" };
    let mut out = std::io::stdout();
    out.write_all(format!("\n{step}={word}\n").as_bytes())
        .unwrap();
    out.flush().unwrap();
}

/// The child: writes an entry ahead, makes it owed, keeps it after an attempt, ends without a word, as if killed.
fn child(directory: &Path) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let spool = Spool::open(&settings(directory)).unwrap();
        let both = envelope(&["a@x.example", "b@x.example"]);
        let prepared = spool.prepare(both, Bytes::from_static(MESSAGE)).await;
        say("prepare", prepared.as_ref().map(|_| ()));
        let Ok(prepared) = prepared else { return };
        let owed = prepared
            .owe(envelope(&["b@x.example", "c@x.example"]))
            .await;
        say("owe", owed.as_ref().map(|_| ()));
        if owed.is_err() {
            return;
        }
        let id = EntryId::parse("e1").unwrap();
        let taken = spool.claim(&id).await.unwrap().unwrap();
        let kept = taken.keep(envelope(&["c@x.example"])).await;
        say("keep", kept.as_ref().map(|_| ()));
    });
    std::process::abort();
}

/// What the child said and what strace saw.
struct Ran {
    said: String,
    trace: String,
}

impl Ran {
    fn said(&self, what: &str) -> bool {
        self.said.lines().any(|line| line == what)
    }
}

fn under_strace(test: &str, directory: &Path, options: &[&str]) -> Ran {
    // Made beforehand, so that every call that is counted belongs to the entry.
    drop(Spool::open(&settings(directory)).unwrap());
    let trace = directory.join("../trace");
    let mut strace = Command::new("strace");
    strace
        .args(["-f", "-y", "-qq", "-s", "64", "-o"])
        .arg(&trace);
    strace.args(options);
    for path in [
        "messages",
        "messages/e1.eml",
        "prepared",
        "prepared/e1.json",
        "prepared/e1.json.tmp",
        "owed",
        "owed/e1.json",
        "owed/e1.json.tmp",
    ] {
        if options.contains(&"-P") {
            strace.arg("-P").arg(directory.join(path));
        }
    }
    let output = strace
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env(CHILD, directory)
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .output()
        .expect("strace is installed");
    Ran {
        said: String::from_utf8(output.stdout).unwrap(),
        trace: fs::read_to_string(&trace).unwrap(),
    }
}

fn child_directory() -> Option<PathBuf> {
    std::env::var_os(CHILD).map(PathBuf::from)
}

/// What a later process finds: the recipients that are owed, none where there is no entry. Never a damaged one.
fn found(directory: &Path) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let spool = Spool::open(&settings(directory)).unwrap();
        assert_eq!(spool.usage().dead, 0, "something could not be read back");
        let due = spool.due(Timestamp::from_second(9_999).unwrap(), 9);
        let Some(id) = due.first() else {
            return Vec::new();
        };
        let owed = spool.claim(id).await.unwrap().unwrap();
        assert_eq!(&owed.message[..], MESSAGE);
        owed.envelope
            .recipients
            .iter()
            .map(|recipient| recipient.forward_path.as_str().to_owned())
            .collect()
    })
}

/// The place of the first line behind `after` that holds all of `parts`.
#[track_caller]
fn next(lines: &[&str], after: usize, parts: &[&str]) -> usize {
    let found = lines
        .iter()
        .enumerate()
        .skip(after)
        .find(|(_, line)| parts.iter().all(|part| line.contains(part)));
    match found {
        Some((at, _)) => at + 1,
        None => panic!("no {parts:?} behind line {after} of\n{}", lines.join("\n")),
    }
}

#[test]
#[ignore = "needs strace"]
fn everything_is_on_disk_before_it_is_promised() {
    if let Some(directory) = child_directory() {
        return child(&directory);
    }
    let temporary = tempfile::tempdir().unwrap();
    let directory = temporary.path().join("spool");
    let ran = under_strace(
        "everything_is_on_disk_before_it_is_promised",
        &directory,
        &["-e", "trace=write,fsync,rename"],
    );
    let lines: Vec<&str> = ran.trace.lines().collect();
    let steps: [&[&str]; 15] = [
        &["write(", "messages/e1.eml>"],
        &["fsync(", "messages/e1.eml>"],
        &["fsync(", "spool/messages>"],
        &["write(", "prepared/e1.json.tmp>"],
        &["fsync(", "prepared/e1.json.tmp>"],
        &["rename(", "prepared/e1.json\")"],
        &["fsync(", "spool/prepared>"],
        &["write(1<", "prepare=ok"],
        &["fsync(", "owed/e1.json.tmp>"],
        &["rename(", "owed/e1.json\")"],
        &["fsync(", "spool/owed>"],
        &["write(1<", "owe=ok"],
        &["rename(", "owed/e1.json\")"],
        &["fsync(", "spool/owed>"],
        &["write(1<", "keep=ok"],
    ];
    let mut at = 0;
    for step in steps {
        at = next(&lines, at, step);
    }
    assert_eq!(found(&directory), ["c@x.example"]);
}

#[test]
#[ignore = "needs strace"]
fn a_call_that_fails_is_never_a_promise() {
    if let Some(directory) = child_directory() {
        return child(&directory);
    }
    let mut failures = 0;
    for (call, error) in [
        ("write", "ENOSPC"),
        ("fsync", "EIO"),
        ("rename", "EIO"),
        ("openat", "EMFILE"),
    ] {
        for n in 1..=CALLS {
            let temporary = tempfile::tempdir().unwrap();
            let directory = temporary.path().join("spool");
            let inject = format!("inject={call}:error={error}:when={n}");
            let ran = under_strace(
                "a_call_that_fails_is_never_a_promise",
                &directory,
                &[
                    "-e",
                    &format!("trace={call}"),
                    "-e",
                    &inject,
                    "-P",
                    "/nothing",
                ],
            );
            if !ran.trace.contains("(INJECTED)") {
                assert!(n > 1, "{call} was never made to fail");
                break;
            }
            assert!(n < CALLS, "{call}: more calls than expected");
            failures += 1;
            let found = found(&directory);
            let context = format!(
                "{call} {n}: said {:?}, found {found:?}\n{}",
                ran.said, ran.trace
            );
            if ran.said("keep=ok") {
                assert_eq!(found, ["c@x.example"], "{context}");
            } else if ran.said("owe=ok") {
                // A failed `keep` leaves the one or the other, both of which owe c.
                assert!(found.contains(&"c@x.example".to_owned()), "{context}");
            } else {
                // Answered 451, or never listening: the client comes again, so nothing may be owed as well.
                let refused = ran.said("prepare=error") || ran.said("owe=error");
                assert!(refused || !ran.said.contains('='), "{context}");
                assert_eq!(found, [""; 0], "{context}");
            }
        }
    }
    assert!(failures >= 15, "only {failures} calls were made to fail");
}

#[test]
#[ignore = "needs strace"]
fn killed_at_any_step_nothing_promised_is_lost() {
    if let Some(directory) = child_directory() {
        return child(&directory);
    }
    let mut kills = 0;
    for call in ["openat", "write", "fsync", "rename", "unlink"] {
        for n in 1..=CALLS {
            let temporary = tempfile::tempdir().unwrap();
            let directory = temporary.path().join("spool");
            // Killed at the entry of the call: it has not happened yet.
            let inject = format!("inject={call}:signal=KILL:when={n}");
            let ran = under_strace(
                "killed_at_any_step_nothing_promised_is_lost",
                &directory,
                &[
                    "-e",
                    &format!("trace={call}"),
                    "-e",
                    &inject,
                    "-P",
                    "/nothing",
                ],
            );
            if !ran.trace.contains("killed by SIGKILL") {
                assert!(n > 1, "never killed at {call}");
                break;
            }
            assert!(n < CALLS, "{call}: more calls than expected");
            kills += 1;
            let found = found(&directory);
            let context = format!(
                "{call} {n}: said {:?}, found {found:?}\n{}",
                ran.said, ran.trace
            );
            if ran.said("owe=ok") {
                assert!(found.contains(&"c@x.example".to_owned()), "{context}");
            }
            let whole = [
                &[][..],
                &["b@x.example", "c@x.example"][..],
                &["c@x.example"][..],
            ];
            assert!(whole.iter().any(|one| found == *one), "{context}");
            let left = |name: &str| fs::read_dir(directory.join(name)).unwrap().count();
            assert_eq!(left("prepared"), 0, "{context}");
            assert_eq!(
                left("messages"),
                usize::from(!found.is_empty()),
                "{context}"
            );
        }
    }
    assert!(kills >= 15, "killed only {kills} times");
}
