//! `pixelgate ledger` as an auditor meets it: exit codes and texts, beside a relay that writes, and without one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that is not as it should be"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use pixelgate::ledger::{Enforcement, Intent, Ledger, Settings, StartFacts, verify};
use tempfile::TempDir;

const USAGE: i32 = 64;
const DATA: i32 = 65;
const UNAVAILABLE: i32 = 69;
const CONFIG: i32 = 78;

fn pixelgate(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pixelgate"))
        .args(arguments)
        .current_dir(directory)
        .output()
        .unwrap()
}

fn out(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn err(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

fn settings(directory: PathBuf, node: &str) -> Settings {
    Settings {
        directory,
        node: node.to_owned(),
        write_timeout_ms: 60_000,
        segment_octets: 64 << 10,
        ..Settings::default()
    }
}

/// An open ledger with some hundred lines, of which the first segments are closed.
fn written(directory: PathBuf, node: &str) -> Arc<Ledger> {
    let ledger = Ledger::open(&settings(directory, node), &StartFacts::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    for number in 0..300 {
        let intent = Intent {
            id: format!("m{number}"),
            attempt: 1,
            stream_kind: "marketing".into(),
            message_sha256: "ab".repeat(32),
            enforcement: Enforcement {
                mode: "enforce".into(),
                ..Enforcement::default()
            },
            ..Intent::default()
        };
        runtime
            .block_on(ledger.intent(intent, number == 299))
            .unwrap();
    }
    ledger
}

fn place() -> (TempDir, PathBuf) {
    let place = tempfile::tempdir().unwrap();
    let ledger = place.path().join("ledger");
    (place, ledger)
}

#[test]
fn verify_runs_beside_the_writer_without_its_lock_and_changes_nothing() {
    let (place, directory) = place();
    let ledger = written(directory.clone(), "a");
    let output = pixelgate(place.path(), &["ledger", "verify", "--ledger", "ledger"]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let text = out(&output);
    assert!(text.starts_with("ledger: whole: 301 lines in "), "{text}");
    assert!(text.contains("(300 intents, 0 outcomes, 0 gaps)"), "{text}");
    ledger.close();
    let verified = verify(&directory).unwrap();
    let head = format!("head {}:{}\n", verified.head_seq, verified.head_hash);
    assert!(text.ends_with(&head), "{text}");
    let names = |directory: &Path| {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap())
            .map(|entry| {
                (
                    entry.file_name(),
                    entry.metadata().unwrap().modified().unwrap(),
                )
            })
            .collect();
        names.sort();
        names
    };
    let before = names(&directory);
    for arguments in [["ledger", "verify"], ["ledger", "export"]] {
        let arguments = [&arguments[..], &["--ledger", "ledger"]].concat();
        assert_eq!(pixelgate(place.path(), &arguments).status.code(), Some(0));
    }
    assert_eq!(names(&directory), before);
}

#[test]
fn verify_ends_with_65_and_names_what_does_not_fit() {
    let (place, directory) = place();
    written(directory.clone(), "a").close();
    let verified = verify(&directory).unwrap();
    let run = |more: &[&str]| {
        let arguments = [&["ledger", "verify", "--ledger", "ledger"][..], more].concat();
        let output = pixelgate(place.path(), &arguments);
        (output.status.code().unwrap(), err(&output).to_owned())
    };
    let head = |seq: u64, hash: &str| format!("{seq}:{hash}");
    let right = head(verified.head_seq, &verified.head_hash.to_uppercase());
    assert_eq!(run(&["--head", &right]), (0, String::new()));
    let (code, text) = run(&["--head", &head(5, &verified.head_hash)]);
    assert_eq!(code, DATA, "{text}");
    assert!(
        text.contains("not that of the head that was given"),
        "{text}"
    );
    let (code, text) = run(&["--head", &head(9_999, &verified.head_hash)]);
    assert_eq!(code, DATA, "{text}");
    assert!(text.contains("the ledger ends at 301"), "{text}");
    assert_eq!(run(&["--head", "12"]).0, USAGE);
    assert_eq!(run(&["--head", &right, "--ledger", "other"]).0, USAGE);
    // One octet of the last file.
    let mut files: Vec<PathBuf> = fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "jsonl"))
        .collect();
    files.sort();
    let file = files.pop().unwrap();
    let mut octets = fs::read(&file).unwrap();
    octets[30] ^= 1;
    fs::write(&file, octets).unwrap();
    let (code, text) = run(&[]);
    assert_eq!(code, DATA);
    let name = file.file_name().unwrap().to_str().unwrap();
    assert!(text.contains(&format!("{name} line 1 ")), "{text}");
    // The other one is checked all the same.
    written(place.path().join("other"), "b").close();
    let arguments = [
        "ledger", "verify", "--ledger", "ledger", "--ledger", "other",
    ];
    let output = pixelgate(place.path(), &arguments);
    assert_eq!(output.status.code(), Some(DATA));
    assert!(
        out(&output).starts_with("other: whole: "),
        "{}",
        out(&output)
    );
}

#[test]
fn export_gives_every_line_of_every_node_as_it_stands_there() {
    let (place, directory) = place();
    written(directory.clone(), "a").close();
    written(place.path().join("other"), "b").close();
    let arguments = [
        "ledger", "export", "--ledger", "ledger", "--ledger", "other",
    ];
    let output = pixelgate(place.path(), &arguments);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let lines: Vec<serde_json::Value> = out(&output)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 602);
    for (lines, node) in lines.chunks(301).zip(["a", "b"]) {
        let mut previous = "0".repeat(64);
        for (line, seq) in lines.iter().zip(1..) {
            assert_eq!(
                (line["node"].as_str(), line["seq"].as_u64()),
                (Some(node), Some(seq))
            );
            assert_eq!(line["prev"], previous);
            previous = line["hash"].as_str().unwrap().to_owned();
        }
    }
    // What was exported is a ledger of its own again.
    let copy = place.path().join("copy");
    fs::create_dir(&copy).unwrap();
    let ours: String = out(&output)
        .lines()
        .take(301)
        .map(|line| format!("{line}\n"))
        .collect();
    fs::write(copy.join("2026-01-01.jsonl"), ours).unwrap();
    assert_eq!(verify(&copy).unwrap().lines, 301);
    let days = |from: &str, to: &str| {
        let arguments = [
            "ledger", "export", "--ledger", "copy", "--from", from, "--to", to,
        ];
        out(&pixelgate(place.path(), &arguments)).lines().count()
    };
    assert_eq!(days("2026-01-01", "2026-01-01"), 301);
    assert_eq!(days("2026-01-02", "2026-12-31"), 0);
    assert_eq!(days("2025-01-01", "2025-12-31"), 0);
}

#[test]
fn the_configured_ledger_is_meant_where_none_is_named() {
    let (place, directory) = place();
    written(directory, "a").close();
    let text = "[[listener]]\naddress = \"127.0.0.1:2525\"\n[[next_hop]]\naddress = \"maildir:outbox\"\n[ledger]\ndirectory = \"ledger\"\n";
    fs::write(place.path().join("c.toml"), text).unwrap();
    let run = |arguments: &[&str]| {
        let output = pixelgate(place.path(), arguments);
        (
            output.status.code().unwrap(),
            out(&output).to_owned() + err(&output),
        )
    };
    let (code, text) = run(&["-c", "c.toml", "ledger", "verify"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.starts_with("ledger: whole: 301 lines"), "{text}");
    assert_eq!(run(&["-c", "none.toml", "ledger", "verify"]).0, CONFIG);
    let (code, text) = run(&["ledger", "verify", "--ledger", "nowhere"]);
    assert_eq!(code, UNAVAILABLE, "{text}");
    fs::create_dir(place.path().join("empty")).unwrap();
    let (code, text) = run(&["ledger", "verify", "--ledger", "empty"]);
    assert_eq!(code, DATA);
    assert!(text.contains("there is no ledger"), "{text}");
    assert_eq!(run(&["ledger", "export", "--from", "yesterday"]).0, USAGE);
    assert_eq!(run(&["ledger"]).0, USAGE);
}
