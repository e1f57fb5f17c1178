use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::Value;

use super::read::Body;
use super::*;

const SUBJECT: &str = "00112233445566778899aabbccddeeff";

fn hash(seed: u8) -> String {
    format!("{seed:02x}").repeat(32)
}

pub(super) fn intent(id: &str) -> Intent {
    Intent {
        id: id.into(),
        attempt: 1,
        listener: "127.0.0.1:2525".into(),
        stream: "default".into(),
        stream_kind: "marketing".into(),
        controller: "default".into(),
        message_sha256: hash(1),
        message_octets: 1234,
        message_id_hash: Some(hash(2)),
        enforcement: Enforcement {
            mode: "enforce".into(),
            ..Enforcement::default()
        },
        looked_up_at: Some(Timestamp::UNIX_EPOCH),
        findings: vec![Finding {
            n: 1,
            part: "1.2".into(),
            line: 40,
            vector: "img".into(),
            host: Host::new("3f9c2b7d11e2.open.example", |_| hash(3)),
            url_hash: hash(4),
            evidence: vec!["known_endpoint:example-open".into(), "tiny".into()],
            verdict: "tracker".into(),
            treatment: "blank_in_place".into(),
            purposes: vec!["campaign_performance".into()],
            partner: None,
        }],
        groups: vec![Group {
            subjects: vec![SUBJECT.into()],
            copy: "stripped".into(),
            reason: None,
            shadow: false,
            profile: None,
            parts: vec![],
            decisions: vec![Decision {
                finding: 1,
                action: "stripped".into(),
                basis: None,
                reason: Some("no_consent".into()),
                records: vec![],
            }],
        }],
        out_of_scope: BTreeMap::from([("attachment".to_owned(), 2)]),
        reported: vec![Reported {
            kind: "receipt_request".into(),
            part: "1".into(),
            line: 6,
        }],
        ..Intent::default()
    }
}

pub(super) fn outcome(id: &str) -> Outcome {
    Outcome {
        id: id.into(),
        attempt: 1,
        fates: vec![Fate {
            fate: "taken".into(),
            code: Some(250),
            status: Some("2.0.0".into()),
            subjects: vec![SUBJECT.into()],
        }],
        answered: Some(250),
        dkim_broken: vec![],
    }
}

pub(super) fn settings(directory: &Path) -> Settings {
    Settings {
        directory: directory.join("ledger"),
        ..Settings::default()
    }
}

/// The plain files of all segments, in order.
pub(super) fn files(directory: &Path) -> Vec<PathBuf> {
    let listing = names::Listing::of(directory).unwrap();
    let names = listing.segments.keys();
    names.map(|name| name.plain(directory)).collect()
}

/// The lines of all segments, in order.
pub(super) fn lines(directory: &Path) -> Vec<Value> {
    let ledgers = read::Ledgers::open(&[directory.to_owned()]).unwrap();
    let mut lines = Vec::new();
    let each = |line: &[u8]| {
        lines.push(serde_json::from_slice(line).unwrap());
        Ok::<(), LedgerError>(())
    };
    ledgers.each_raw(None, None, each).unwrap();
    lines
}

pub(super) fn kinds(directory: &Path) -> Vec<String> {
    lines(directory)
        .iter()
        .map(|line| line["kind"].as_str().unwrap().to_owned())
        .collect()
}

/// A clock that a test sets, in seconds.
pub(super) fn clock(seconds: &Arc<AtomicI64>) -> Clock {
    let seconds = Arc::clone(seconds);
    Box::new(move || Timestamp::from_second(seconds.load(Ordering::SeqCst)).unwrap())
}

#[tokio::test]
async fn a_line_is_what_the_documents_say() {
    let place = tempfile::tempdir().unwrap();
    let settings = settings(place.path());
    let ledger = Ledger::open(&settings, &StartFacts::default()).unwrap();
    assert_eq!(ledger.intent(intent("m1"), true).await, Ok(Seq(2)));
    assert_eq!(ledger.outcome(outcome("m1")).await, Ok(Seq(3)));
    ledger.close();
    let directory = &settings.directory;
    assert_eq!(kinds(directory), ["start", "intent", "outcome"]);
    let file = files(directory).remove(0);
    let stem = file.file_name().unwrap().to_str().unwrap();
    let day = stem.strip_suffix(".local.0001.jsonl").unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    let mut previous = "0".repeat(64);
    for (line, seq) in text.lines().zip(1..) {
        let opening = format!(
            "{{\"v\":1,\"kind\":\"{}\",\"node\":\"local\",\"seq\":{seq},\"at\":\"",
            ["", "start", "intent", "outcome"][seq]
        );
        assert!(line.starts_with(&opening), "{line}");
        let (content, tail) = line.rsplit_once(",\"hash\":\"").unwrap();
        let digest = ring::digest::digest(&ring::digest::SHA256, content.as_bytes());
        let hex: String = digest.as_ref().iter().map(|o| format!("{o:02x}")).collect();
        assert_eq!(tail, format!("{hex}\"}}"));
        let value: Value = serde_json::from_str(line).unwrap();
        assert_eq!(value["prev"], previous);
        assert!(value["at"].as_str().unwrap().starts_with(day));
        previous = hex;
    }
    let second: Value = serde_json::from_str(text.lines().nth(1).unwrap()).unwrap();
    assert_eq!(
        second["findings"][0]["host"],
        format!("~{}.open.example", "03".repeat(8))
    );
    assert_eq!(second["groups"][0]["decisions"][0]["reason"], "no_consent");
    // What was written reads back as what was said.
    assert_eq!(
        serde_json::from_value::<Intent>(second).unwrap(),
        intent("m1")
    );
    let third: Value = serde_json::from_str(text.lines().nth(2).unwrap()).unwrap();
    assert_eq!(
        serde_json::from_value::<Outcome>(third).unwrap(),
        outcome("m1")
    );
    let verified = verify(directory).unwrap();
    assert_eq!(
        (
            verified.lines,
            verified.intents,
            verified.outcomes,
            verified.gaps
        ),
        (3, 1, 1, 0)
    );
    assert_eq!((verified.head_seq, verified.head_hash), (3, previous));
}

#[tokio::test]
async fn the_chain_goes_on_over_days_and_restarts_whatever_the_clock_does() {
    let place = tempfile::tempdir().unwrap();
    let settings = settings(place.path());
    let seconds = Arc::new(AtomicI64::new(86_400 * 10 + 86_399));
    let ledger = Ledger::open_at(&settings, &StartFacts::default(), clock(&seconds)).unwrap();
    ledger.intent(intent("before"), false).await.unwrap();
    seconds.fetch_add(1, Ordering::SeqCst);
    ledger.intent(intent("after"), true).await.unwrap();
    // Set back by two days: no earlier file is opened again.
    seconds.fetch_sub(86_400 * 2, Ordering::SeqCst);
    ledger.intent(intent("earlier"), false).await.unwrap();
    drop(ledger);
    seconds.fetch_add(86_400 * 4, Ordering::SeqCst);
    let ledger = Ledger::open_at(&settings, &StartFacts::default(), clock(&seconds)).unwrap();
    assert_eq!(ledger.intent(intent("later"), true).await, Ok(Seq(6)));
    ledger.close();
    let listing = names::Listing::of(&settings.directory).unwrap();
    let names: Vec<_> = listing.segments.keys().map(ToString::to_string).collect();
    assert_eq!(
        names,
        [
            "1970-01-11.local.0001",
            "1970-01-12.local.0001",
            "1970-01-14.local.0001"
        ]
    );
    let seqs: Vec<_> = lines(&settings.directory)
        .iter()
        .map(|line| line["seq"].as_u64().unwrap())
        .collect();
    assert_eq!(seqs, [1, 2, 3, 4, 5, 6]);
    assert_eq!(verify(&settings.directory).unwrap().files, 3);
}

#[test]
fn a_second_writer_is_told_where_and_who() {
    let place = tempfile::tempdir().unwrap();
    let settings = settings(place.path());
    let first = Ledger::open(&settings, &StartFacts::default()).unwrap();
    let error = Ledger::open(&settings, &StartFacts::default()).unwrap_err();
    let expected = LedgerError::Taken {
        directory: settings.directory.clone(),
        pid: std::process::id().to_string(),
    };
    assert_eq!(error, expected);
    assert!(
        error
            .to_string()
            .contains("ledger is written by another process, pid ")
    );
    drop(first);
    Ledger::open(&settings, &StartFacts::default()).unwrap();
}

#[tokio::test]
async fn a_closed_ledger_takes_nothing() {
    let place = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(&settings(place.path()), &StartFacts::default()).unwrap();
    ledger.close();
    ledger.close();
    assert_eq!(
        ledger.intent(intent("m"), true).await,
        Err(LedgerError::Closed)
    );
}

/// Appends to the last file as a crash or a hand would.
fn spoil(directory: &Path, spoil: impl FnOnce(&mut Vec<u8>)) {
    let path = files(directory).pop().unwrap();
    let mut octets = std::fs::read(&path).unwrap();
    spoil(&mut octets);
    std::fs::write(&path, octets).unwrap();
}

async fn three_lines(settings: &Settings) {
    let ledger = Ledger::open(settings, &StartFacts::default()).unwrap();
    ledger.intent(intent("m1"), true).await.unwrap();
    ledger.intent(intent("m2"), true).await.unwrap();
    ledger.close();
}

#[tokio::test]
async fn a_torn_tail_is_set_aside_and_told() {
    let tails: [(&str, &[u8]); 4] = [
        ("half a line", br#"{"v":1,"kind":"intent","node":"local","se"#),
        ("zeros", &[0; 5000]),
        ("noise with line ends", b"a\nb\n\n"),
        ("a line that does not fit its hash", b"{\"v\":1,\"kind\":\"intent\",\"node\":\"local\",\"seq\":4,\"at\":\"\",\"prev\":\"\",\"hash\":\"00\"}\n"),
    ];
    for (what, tail) in tails {
        let place = tempfile::tempdir().unwrap();
        let settings = settings(place.path());
        three_lines(&settings).await;
        spoil(&settings.directory, |octets| octets.extend_from_slice(tail));
        let ledger = Ledger::open(&settings, &StartFacts::default()).unwrap();
        assert_eq!(
            ledger.intent(intent("m3"), true).await,
            Ok(Seq(6)),
            "{what}"
        );
        ledger.close();
        verify(&settings.directory).unwrap();
        assert_eq!(
            kinds(&settings.directory),
            ["start", "intent", "intent", "gap", "start", "intent"]
        );
        let gap = lines(&settings.directory).remove(3);
        assert_eq!(gap["cause"], "torn_tail");
        assert_eq!(gap["octets"], tail.len());
        let aside = settings
            .directory
            .read_dir()
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let aside: Vec<_> = aside
            .filter(|path| path.to_string_lossy().contains(".torn-"))
            .collect();
        assert_eq!(aside.len(), 1);
        assert_eq!(std::fs::read(&aside[0]).unwrap(), tail, "{what}");
    }
}

#[tokio::test]
async fn every_place_where_the_last_line_can_be_cut_is_repaired() {
    let place = tempfile::tempdir().unwrap();
    let original = settings(place.path());
    three_lines(&original).await;
    let file = files(&original.directory).remove(0);
    let whole = std::fs::read(&file).unwrap();
    let last = memchr::memrchr(b'\n', &whole[..whole.len() - 1]).unwrap() + 1;
    for cut in (last..whole.len())
        .step_by(7)
        .chain([last, whole.len() - 1])
    {
        let place = tempfile::tempdir().unwrap();
        let settings = settings(place.path());
        std::fs::create_dir(&settings.directory).unwrap();
        std::fs::write(
            settings.directory.join(file.file_name().unwrap()),
            &whole[..cut],
        )
        .unwrap();
        Ledger::open(&settings, &StartFacts::default())
            .unwrap()
            .close();
        let verified = verify(&settings.directory).unwrap();
        let gaps = u64::from(cut > last);
        assert_eq!((verified.lines, verified.gaps), (3 + gaps, gaps), "{cut}");
    }
}

#[tokio::test]
async fn a_line_longer_than_the_window_is_found_again() {
    let place = tempfile::tempdir().unwrap();
    let settings = settings(place.path());
    let mut long = intent("m1");
    long.groups[0].subjects = vec![SUBJECT.into(); 30_000];
    let ledger = Ledger::open(&settings, &StartFacts::default()).unwrap();
    ledger.intent(long.clone(), true).await.unwrap();
    ledger.close();
    spoil(&settings.directory, |octets| {
        octets.extend_from_slice(&[b'x'; 300_000])
    });
    Ledger::open(&settings, &StartFacts::default())
        .unwrap()
        .close();
    assert_eq!(
        kinds(&settings.directory),
        ["start", "intent", "gap", "start"]
    );
    long.groups[0].subjects = vec![SUBJECT.into(); LINE_OCTETS_MAX / SUBJECT.len()];
    let ledger = Ledger::open(&settings, &StartFacts::default()).unwrap();
    let refused = ledger.intent(long, true).await;
    assert!(
        matches!(refused, Err(LedgerError::TooLong { .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn files_of_another_format_or_without_a_whole_line_stop_the_start() {
    let place = tempfile::tempdir().unwrap();
    let settings = settings(place.path());
    three_lines(&settings).await;
    let later = br#"{"v":2,"kind":"intent","seq":4,"prev":"","hash":""}"#;
    spoil(&settings.directory, |octets| {
        octets.extend_from_slice(later);
        octets.push(b'\n');
    });
    let error = Ledger::open(&settings, &StartFacts::default()).unwrap_err();
    assert!(error.to_string().contains("has format 2"), "{error}");
    spoil(&settings.directory, |octets| *octets = b"a\nb\n".to_vec());
    let path = settings.directory.join("9999-01-01.jsonl");
    std::fs::write(path, b"c\n").unwrap();
    let error = Ledger::open(&settings, &StartFacts::default()).unwrap_err();
    assert!(matches!(error, LedgerError::Damaged { .. }), "{error}");
}

#[tokio::test]
async fn verify_names_the_line_that_was_changed_removed_or_moved() {
    let place = tempfile::tempdir().unwrap();
    let settings = settings(place.path());
    three_lines(&settings).await;
    let directory = &settings.directory;
    let path = files(directory).remove(0);
    let good = std::fs::read(&path).unwrap();
    let line_of = |octets: Vec<u8>| {
        std::fs::write(&path, octets).unwrap();
        match verify(directory).unwrap_err() {
            VerifyError::Broken { line, .. } => line,
            error => panic!("{error}"),
        }
    };
    let ends: Vec<usize> = memchr::memchr_iter(b'\n', &good).collect();
    for at in (0..good.len()).filter(|at| !ends.contains(at)) {
        let mut changed = good.clone();
        changed[at] ^= 1;
        let expected = ends.iter().filter(|end| **end < at).count() as u64 + 1;
        assert_eq!(line_of(changed), expected, "octet {at}");
    }
    let rows: Vec<&[u8]> = good.split_inclusive(|octet| *octet == b'\n').collect();
    assert_eq!(line_of([rows[1], rows[2]].concat()), 1);
    assert_eq!(line_of([rows[0], rows[2]].concat()), 2);
    assert_eq!(line_of([rows[0], rows[2], rows[1]].concat()), 2);
    assert_eq!(line_of([rows[0], rows[1], rows[1]].concat()), 3);
    std::fs::write(&path, &good).unwrap();
    verify(directory).unwrap();
    std::fs::write(&path, &good[..good.len() - 1]).unwrap();
    assert!(verify(directory).unwrap().unfinished_octets > 0);
}

/// Puts an address where it has no business.
type Smuggle = fn(&mut Intent, String);

#[tokio::test]
async fn no_field_that_a_message_reaches_takes_an_address_or_a_url() {
    let ways: [Smuggle; 19] = [
        |line, text| line.id = text,
        |line, text| line.stream_kind = text,
        |line, text| line.message_sha256 = text,
        |line, text| line.message_id_hash = Some(text),
        |line, text| line.findings[0].part = text,
        |line, text| line.findings[0].vector = text,
        |line, text| line.findings[0].url_hash = text,
        |line, text| line.findings[0].evidence = vec![text],
        |line, text| line.findings[0].verdict = text,
        |line, text| line.findings[0].treatment = text,
        |line, text| line.groups[0].subjects = vec![text],
        |line, text| line.groups[0].copy = text,
        |line, text| line.groups[0].decisions[0].action = text,
        |line, text| line.groups[0].decisions[0].basis = Some(text),
        |line, text| line.groups[0].decisions[0].reason = Some(text),
        |line, text| line.groups[0].decisions[0].records = vec![text],
        |line, text| {
            line.out_of_scope.insert(text, 1);
        },
        |line, text| line.reported[0].kind = text,
        |line, text| line.reported[0].part = text,
    ];
    let place = tempfile::tempdir().unwrap();
    let settings = settings(place.path());
    let ledger = Ledger::open(&settings, &StartFacts::default()).unwrap();
    for (number, smuggle) in ways.iter().enumerate() {
        for text in ["anna@secret.example", "https://secret.example/x", "", "a b"] {
            let mut line = intent("m1");
            smuggle(&mut line, text.to_owned());
            let refused = ledger.intent(line, true).await;
            assert!(
                matches!(refused, Err(LedgerError::Unfit { .. })),
                "{number} {text}"
            );
        }
    }
    let mut stranger = intent("m1");
    stranger.groups[0].decisions[0].finding = 2;
    assert!(ledger.intent(stranger, true).await.is_err());
    let mut fate = outcome("m1");
    fate.fates[0].status = Some("<anna@secret.example>: no".into());
    assert!(ledger.outcome(fate).await.is_err());
    let mut hosts = intent("m1");
    hosts.findings[0].host = Host::new("anna@secret.example/x?y", |_| hash(9));
    hosts.dkim_domains = vec![Host::new("anna@secret.example", |_| hash(9))];
    ledger.intent(hosts, true).await.unwrap();
    ledger.close();
    for entry in settings.directory.read_dir().unwrap() {
        let path = entry.unwrap().path();
        let octets = std::fs::read(&path).unwrap();
        assert!(memchr::memmem::find(&octets, b"anna").is_none());
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o077, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_messages_at_once_share_syncs_and_each_gets_its_own_number() {
    let place = tempfile::tempdir().unwrap();
    let settings = settings(place.path());
    let ledger = Ledger::open(&settings, &StartFacts::default()).unwrap();
    let tasks: Vec<_> = (0..200)
        .map(|number| {
            let ledger = Arc::clone(&ledger);
            tokio::spawn(async move {
                let id = format!("m{number}");
                let seq = ledger.intent(intent(&id), number % 2 == 0).await.unwrap();
                (seq, id)
            })
        })
        .collect();
    let mut told = BTreeMap::new();
    for task in tasks {
        let (seq, id) = task.await.unwrap();
        assert_eq!(told.insert(seq.0, id), None);
    }
    ledger.close();
    let written: BTreeMap<u64, String> = lines(&settings.directory)
        .iter()
        .filter(|line| line["kind"] == "intent")
        .map(|line| {
            (
                line["seq"].as_u64().unwrap(),
                line["id"].as_str().unwrap().to_owned(),
            )
        })
        .collect();
    assert_eq!(written, told);
    verify(&settings.directory).unwrap();
}

#[test]
fn settings_name_the_key_that_is_wrong() {
    let checks: [(&str, Settings); 7] = [
        (
            "node",
            Settings {
                node: "a b".into(),
                ..Settings::default()
            },
        ),
        (
            "node",
            Settings {
                node: String::new(),
                ..Settings::default()
            },
        ),
        (
            "write_timeout_ms",
            Settings {
                write_timeout_ms: 60_001,
                ..Settings::default()
            },
        ),
        (
            "queue_lines",
            Settings {
                queue_lines: 0,
                ..Settings::default()
            },
        ),
        (
            "segment_octets",
            Settings {
                segment_octets: (64 << 10) - 1,
                ..Settings::default()
            },
        ),
        (
            "segment_octets",
            Settings {
                segment_octets: (1 << 30) + 1,
                ..Settings::default()
            },
        ),
        (
            "retention_days",
            Settings {
                retention_days: 36_501,
                ..Settings::default()
            },
        ),
    ];
    Settings::default().check().unwrap();
    for (key, settings) in checks {
        let error = settings.check().unwrap_err();
        assert!(
            error.to_string().contains(key) && !error.is_transient(),
            "{error}"
        );
    }
    assert!(toml::from_str::<Settings>("nodes = 'x'").is_err());
    assert_eq!(toml::from_str::<Settings>("").unwrap(), Settings::default());
}

#[tokio::test]
async fn a_part_deep_inside_others_does_not_make_the_line_unfit() {
    let place = tempfile::tempdir().unwrap();
    let settings = settings(place.path());
    let ledger = Ledger::open(&settings, &StartFacts::default()).unwrap();
    // As deep as `[relay] depth` lets it be by default, and one with large numbers.
    let deep = vec!["1"; 100].join(".");
    let wide = vec!["10000"; 100].join(".");
    let mut line = intent("m1");
    for path in [&deep, &wide] {
        line.uninspectable.push(Uninspectable {
            part: path.clone(),
            reason: "encoded_message".into(),
        });
        line.groups[0].parts.push(PartDecision {
            part: path.clone(),
            action: "kept".into(),
            basis: Some("consent".into()),
            reason: None,
            records: vec![SUBJECT.into()],
        });
    }
    line.findings[0].part = deep.clone();
    ledger.intent(line, true).await.unwrap();
    ledger.close();
    let written = lines(&settings.directory).remove(1);
    let parts = &written["groups"][0]["parts"];
    for at in 0..2 {
        let word = parts[at]["part"].as_str().unwrap();
        assert!(word.len() <= fit::WORD_OCTETS_MAX && word.contains(".."));
        assert_eq!(parts[at]["part"], written["uninspectable"][at]["part"]);
    }
    assert!(parts[0]["part"].as_str().unwrap().starts_with("1.1.1.1."));
    assert_ne!(parts[0]["part"], parts[1]["part"]);
    assert_eq!(written["findings"][0]["part"], parts[0]["part"]);
}

#[tokio::test]
async fn starts_and_heads_say_what_they_were_told_and_read_back() {
    let place = tempfile::tempdir().unwrap();
    let settings = settings(place.path());
    let facts = StartFacts {
        rules_disabled: vec!["tiny".into()],
        profiles: vec!["fr-2026".into()],
        shadows: vec![StreamShadow {
            stream: "newsletter".into(),
            shadow_until: "2026-12-20".into(),
            by: "Ada".into(),
            share_percent: 10,
        }],
        strip_all: true,
        hold_edits: false,
    };
    let ledger = Ledger::open(&settings, &facts).unwrap();
    let head = RegisterHead {
        controller: "shop".into(),
        n: 7,
        hash: hash(5),
    };
    ledger.head(head.clone()).await.unwrap();
    let mut bad = head.clone();
    bad.hash = "anna@secret.example".into();
    assert!(ledger.head(bad).await.is_err());
    ledger.close();
    let ledgers = read::Ledgers::open(std::slice::from_ref(&settings.directory)).unwrap();
    let read: Vec<_> = ledgers.lines(None, None).map(Result::unwrap).collect();
    let Body::Start(start) = &read[0].body else {
        panic!("{:?}", read[0]);
    };
    assert_eq!((start.pid, &start.facts), (std::process::id(), &facts));
    assert_eq!(read[1].body, Body::Head(head));
    assert_eq!((read[1].node.as_str(), read[1].seq), ("local", 2));
}

#[test]
fn lines_of_version_0_1_are_still_understood() {
    let opening = "\"v\":1,\"node\":\"local\",\"seq\":1,\"at\":\"2026-05-02T09:14:00.000000Z\",\"prev\":\"00\"";
    let read = |kind: &str, body: &str| {
        let line = format!("{{\"kind\":\"{kind}\",{opening},{body},\"hash\":\"00\"}}");
        read::Line::read(line.as_bytes()).unwrap().body
    };
    let Body::Start(start) = read("start", "\"version\":\"0.1.0\",\"pid\":7") else {
        panic!("no start");
    };
    assert_eq!((start.pid, start.facts), (7, StartFacts::default()));
    // The profile stood in the intent, and was never written.
    let old = r#""id":"m1","attempt":1,"listener":"l","stream":"s","stream_kind":"marketing","controller":"c","profile":"none",
        "message_sha256":"00","message_octets":1,"enforcement":{"mode":"enforce","strip_all":false,"hold_edits":false},
        "findings":[],"groups":[{"subjects":["00"],"copy":"unchanged","decisions":[]}]"#;
    let Body::Intent(intent) = read("intent", old) else {
        panic!("no intent");
    };
    assert_eq!(intent.groups[0].parts, []);
    assert_eq!(read("later", "\"x\":1"), Body::Other("later".to_owned()));
}
