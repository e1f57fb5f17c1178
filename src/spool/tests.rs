use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use jiff::SignedDuration;

use super::*;
use crate::smtp::parameter::Parameters;
use crate::smtp::path::{ForwardPath, ReversePath};
use crate::smtp::xforward::Xforward;

const MESSAGE: &[u8] = b"Subject: x\r\n\r\nbody \x00\xff\r\n";

fn settings(directory: &Path) -> Settings {
    Settings {
        directory: directory.join("spool"),
        ..Settings::default()
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn recipient(path: &str) -> Recipient {
    Recipient {
        forward_path: ForwardPath::parse(path).unwrap(),
        parameters: Parameters::default(),
        owes: Owes::Delivery,
        last_reply: None,
        possible_duplicate: false,
    }
}

fn envelope(id: &str, paths: &[&str]) -> Envelope {
    Envelope {
        id: EntryId::parse(id).unwrap(),
        arrived_at: at(1_000),
        origin: Origin::Client(Box::new(Client {
            tls: None,
            listener: "127.0.0.1:2525".into(),
            protocol: Protocol::Smtp,
            esmtp: true,
            address: Some("127.0.0.1".parse().unwrap()),
            port: Some(1),
            helo: "client.example".into(),
            login: None,
            xforward: Xforward::default(),
            session: "s".into(),
        })),
        reverse_path: ReversePath::Null,
        mail_parameters: Parameters::default(),
        recipients: paths.iter().map(|path| recipient(path)).collect(),
        attempts: 1,
        next_attempt_at: at(1_060),
        delay_told_at: None,
        login_named: false,
        retried_at: None,
        dead: None,
        learned: Vec::new(),
    }
}

/// The names of all files under the spool but the lock.
fn files(settings: &Settings) -> Vec<String> {
    let mut names = Vec::new();
    for directory in ["messages", "prepared", "owed", "dead"] {
        for found in fs::read_dir(settings.directory.join(directory)).unwrap() {
            let name = found.unwrap().file_name().into_string().unwrap();
            names.push(format!("{directory}/{name}"));
        }
    }
    names.sort();
    names
}

async fn owe(spool: &Arc<Spool>, id: &str, paths: &[&str]) {
    let envelope = envelope(id, paths);
    let prepared = spool
        .prepare(envelope.clone(), Bytes::from_static(MESSAGE))
        .await
        .unwrap();
    prepared.owe(envelope).await.unwrap();
}

fn id(text: &str) -> EntryId {
    EntryId::parse(text).unwrap()
}

#[tokio::test]
async fn the_way_of_an_entry_from_prepared_to_done() {
    let temporary = tempfile::tempdir().unwrap();
    let settings = settings(temporary.path());
    let spool = Spool::open(&settings).unwrap();
    let whole = envelope("e1", &["a@x.example", "b@x.example"]);
    let prepared = spool
        .prepare(whole, Bytes::from_static(MESSAGE))
        .await
        .unwrap();
    assert_eq!(files(&settings), ["messages/e1.eml", "prepared/e1.json"]);
    assert_eq!(spool.usage().prepared, 1);
    assert_eq!(spool.due(at(9_999), 9), [], "prepared is not owed");

    prepared
        .owe(envelope("e1", &["b@x.example"]))
        .await
        .unwrap();
    assert_eq!(files(&settings), ["messages/e1.eml", "owed/e1.json"]);
    spool.changed().await;
    assert_eq!(spool.next_due(), Some(at(1_060)));
    assert_eq!(spool.due(at(1_059), 9), []);
    assert_eq!(spool.due(at(1_060), 9), [id("e1")]);

    let owed = spool.claim(&id("e1")).await.unwrap().unwrap();
    assert_eq!(&owed.message[..], MESSAGE);
    assert_eq!(owed.envelope, envelope("e1", &["b@x.example"]));
    assert_eq!(spool.due(at(9_999), 9), [], "in hand");
    assert!(spool.claim(&id("e1")).await.unwrap().is_none());

    let mut later = owed.envelope.clone();
    later.attempts = 2;
    later.next_attempt_at = at(1_180);
    owed.keep(later.clone()).await.unwrap();
    assert_eq!(spool.due(at(1_179), 9), []);
    let owed = spool.claim(&id("e1")).await.unwrap().unwrap();
    assert_eq!(owed.envelope, later);
    owed.done().await.unwrap();
    assert_eq!(files(&settings), [""; 0]);
    assert_eq!(spool.usage(), Usage::default());
}

#[tokio::test]
async fn what_is_dropped_unsettled_goes_the_safe_way() {
    let temporary = tempfile::tempdir().unwrap();
    let settings = settings(temporary.path());
    let spool = Spool::open(&settings).unwrap();
    let prepared = spool
        .prepare(envelope("e1", &["a@x.example"]), Bytes::new())
        .await
        .unwrap();
    drop(prepared);
    assert_eq!(files(&settings), [""; 0]);
    assert_eq!(spool.usage(), Usage::default());

    owe(&spool, "e2", &["a@x.example"]).await;
    let owed = spool.claim(&id("e2")).await.unwrap().unwrap();
    let now = Timestamp::now();
    drop(owed);
    let next = spool.next_due().unwrap();
    // The first wait, or up to a tenth less.
    assert!(next >= now + SignedDuration::from_secs(54), "{next} {now}");
    assert!(spool.claim(&id("e2")).await.unwrap().is_some());
}

#[tokio::test]
async fn an_envelope_that_owes_nothing_removes_the_entry() {
    let temporary = tempfile::tempdir().unwrap();
    let settings = settings(temporary.path());
    let spool = Spool::open(&settings).unwrap();
    owe(&spool, "e1", &[]).await;
    let prepared = spool
        .prepare(envelope("e2", &["a@x.example"]), Bytes::new())
        .await
        .unwrap();
    prepared.remove().await.unwrap();
    assert_eq!(files(&settings), [""; 0]);
}

#[tokio::test]
async fn a_restart_keeps_what_is_owed_and_clears_what_was_never_answered() {
    let temporary = tempfile::tempdir().unwrap();
    let settings = settings(temporary.path());
    let spool = Spool::open(&settings).unwrap();
    owe(&spool, "owed", &["a@x.example"]).await;
    let prepared = spool
        .prepare(
            envelope("ahead", &["a@x.example"]),
            Bytes::from_static(b"x"),
        )
        .await
        .unwrap();
    // As kill -9 leaves it: nothing is dropped, but the lock goes with the process.
    std::mem::forget(prepared);
    let directory = settings.directory.clone();
    fs::copy(
        directory.join("owed/owed.json"),
        directory.join("prepared/owed.json"),
    )
    .unwrap();
    fs::write(directory.join("messages/orphan.eml"), "x").unwrap();
    fs::write(directory.join("owed/half.json.tmp"), "{").unwrap();
    fs::write(directory.join("owed/README"), "not ours").unwrap();
    unlock(spool);

    let spool = Spool::open(&settings).unwrap();
    assert_eq!(
        files(&settings),
        ["messages/owed.eml", "owed/README", "owed/owed.json"]
    );
    let owed = spool.claim(&id("owed")).await.unwrap().unwrap();
    assert_eq!(&owed.message[..], MESSAGE);
    let usage = spool.usage();
    assert_eq!((usage.owed, usage.prepared, usage.dead), (1, 0, 0));
}

/// Lets go of the directory while handles to entries are still about, as the end of the process does.
fn unlock(spool: Arc<Spool>) {
    spool._lock.unlock().unwrap();
}

#[tokio::test]
async fn what_cannot_be_read_back_is_dead_and_kept() {
    let temporary = tempfile::tempdir().unwrap();
    let settings = settings(temporary.path());
    let spool = Spool::open(&settings).unwrap();
    for name in ["cut", "short", "gone", "other", "good"] {
        owe(&spool, name, &["a@x.example"]).await;
    }
    unlock(spool);
    let directory = &settings.directory;
    let envelope = fs::read(directory.join("owed/cut.json")).unwrap();
    fs::write(directory.join("owed/cut.json"), &envelope[..40]).unwrap();
    fs::write(directory.join("messages/short.eml"), "less").unwrap();
    fs::remove_file(directory.join("messages/gone.eml")).unwrap();
    fs::copy(
        directory.join("owed/good.json"),
        directory.join("owed/other.json"),
    )
    .unwrap();

    let spool = Spool::open(&settings).unwrap();
    assert_eq!(spool.due(at(9_999), 9), [id("good")]);
    assert_eq!((spool.usage().owed, spool.usage().dead), (1, 4));
    assert_eq!(
        files(&settings),
        [
            "dead/cut.json",
            "dead/gone.json",
            "dead/other.json",
            "dead/short.json",
            "messages/cut.eml",
            "messages/good.eml",
            "messages/other.eml",
            "messages/short.eml",
            "owed/good.json",
        ]
    );
    unlock(spool);
    let spool = Spool::open(&settings).unwrap();
    assert_eq!(spool.usage().dead, 4, "the dead stay");
}

#[tokio::test]
async fn a_message_changed_on_disk_is_not_delivered() {
    let temporary = tempfile::tempdir().unwrap();
    let settings = settings(temporary.path());
    let spool = Spool::open(&settings).unwrap();
    owe(&spool, "e1", &["a@x.example"]).await;
    let mut octets = MESSAGE.to_vec();
    octets[3] ^= 1;
    fs::write(settings.directory.join("messages/e1.eml"), octets).unwrap();
    let error = spool.claim(&id("e1")).await.unwrap_err();
    assert!(matches!(error, SpoolError::Damaged { .. }), "{error}");
    assert_eq!(files(&settings), ["dead/e1.json", "messages/e1.eml"]);
    assert_eq!(spool.due(at(9_999), 9), []);
}

#[tokio::test]
async fn an_entry_of_a_later_build_stops_the_start_and_stays() {
    let temporary = tempfile::tempdir().unwrap();
    let settings = settings(temporary.path());
    drop(Spool::open(&settings).unwrap());
    fs::write(settings.directory.join("owed/e1.json"), "{\"version\":3}").unwrap();
    let error = Spool::open(&settings).unwrap_err();
    assert!(matches!(error, SpoolError::Newer { .. }), "{error}");
    assert!(error.to_string().contains("e1.json"), "{error}");
    assert_eq!(files(&settings), ["owed/e1.json"]);
}

#[tokio::test]
async fn the_given_up_are_kept_with_the_reason() {
    let temporary = tempfile::tempdir().unwrap();
    let settings = settings(temporary.path());
    let spool = Spool::open(&settings).unwrap();
    owe(&spool, "e1", &["a@x.example"]).await;
    let owed = spool.claim(&id("e1")).await.unwrap().unwrap();
    owed.dead("null reverse-path, refused 550").await.unwrap();
    assert_eq!(files(&settings), ["dead/e1.json", "messages/e1.eml"]);
    let text = fs::read_to_string(settings.directory.join("dead/e1.json")).unwrap();
    assert!(text.contains("null reverse-path, refused 550"), "{text}");
    assert_eq!(spool.usage().dead, 1);
    // A crash between the two steps leaves both: the dead one decides.
    fs::copy(
        settings.directory.join("dead/e1.json"),
        settings.directory.join("owed/e1.json"),
    )
    .unwrap();
    unlock(spool);
    let spool = Spool::open(&settings).unwrap();
    assert_eq!((spool.usage().owed, spool.usage().dead), (0, 1));
    assert_eq!(files(&settings), ["dead/e1.json", "messages/e1.eml"]);
}

/// A file system that is not mounted yet must not look like a spool that owes nothing.
#[tokio::test]
async fn a_spool_of_which_a_part_is_gone_is_not_cleared() {
    for part in ["owed", "messages", "prepared", "dead"] {
        let temporary = tempfile::tempdir().unwrap();
        let settings = settings(temporary.path());
        let spool = Spool::open(&settings).unwrap();
        owe(&spool, "e1", &["a@x.example"]).await;
        unlock(spool);
        let (here, away) = (settings.directory.join(part), temporary.path().join("away"));
        fs::rename(&here, &away).unwrap();
        let refused = Spool::open(&settings).unwrap_err();
        assert!(
            matches!(refused, SpoolError::Incomplete { ref missing, .. } if *missing == here),
            "{refused}"
        );
        fs::rename(&away, &here).unwrap();
        let spool = Spool::open(&settings).unwrap();
        assert_eq!(spool.usage().owed, 1, "{part}");
        assert_eq!(files(&settings), ["messages/e1.eml", "owed/e1.json"]);
    }
    // A start that was cut off while it made the directories is no loss.
    let temporary = tempfile::tempdir().unwrap();
    let settings = settings(temporary.path());
    fs::create_dir_all(settings.directory.join("messages")).unwrap();
    assert_eq!(Spool::open(&settings).unwrap().usage().owed, 0);
}

#[tokio::test]
async fn the_limits_are_held_and_named() {
    let temporary = tempfile::tempdir().unwrap();
    let mut settings = settings(temporary.path());
    settings.entries = 2;
    settings.bytes = 4_000;
    let spool = Spool::open(&settings).unwrap();
    let large = Bytes::from(vec![b'x'; 4_000]);
    let error = spool
        .prepare(envelope("e0", &["a@x.example"]), large)
        .await
        .unwrap_err();
    assert!(error.is_full());
    assert_eq!(error.to_string(), "spool is full: spool.bytes = 4000");
    owe(&spool, "e1", &["a@x.example"]).await;
    owe(&spool, "e2", &["a@x.example"]).await;
    let error = spool
        .prepare(envelope("e3", &["a@x.example"]), Bytes::new())
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "spool is full: spool.entries = 2");
    let owed = spool.claim(&id("e1")).await.unwrap().unwrap();
    owed.done().await.unwrap();
    owe(&spool, "e3", &["a@x.example"]).await;
    assert_eq!(spool.usage().owed, 2);
}

#[tokio::test]
async fn an_id_in_use_is_refused_and_its_entry_stays() {
    let temporary = tempfile::tempdir().unwrap();
    let settings = settings(temporary.path());
    let spool = Spool::open(&settings).unwrap();
    owe(&spool, "e1", &["a@x.example"]).await;
    let again = spool
        .prepare(envelope("e1", &["b@x.example"]), Bytes::new())
        .await;
    assert!(matches!(again, Err(SpoolError::Misused { .. })));
    let prepared = spool
        .prepare(envelope("e2", &["b@x.example"]), Bytes::new())
        .await
        .unwrap();
    let wrong = prepared.owe(envelope("e1", &["b@x.example"])).await;
    assert!(matches!(wrong, Err(SpoolError::Misused { .. })));
    assert_eq!(files(&settings), ["messages/e1.eml", "owed/e1.json"]);
    let owed = spool.claim(&id("e1")).await.unwrap().unwrap();
    assert_eq!(owed.envelope, envelope("e1", &["a@x.example"]));
    let foreign = owed.keep(envelope("e2", &["a@x.example"])).await;
    assert!(matches!(foreign, Err(SpoolError::Misused { .. })));
    assert!(spool.next_due().is_some(), "given back");
}

#[tokio::test]
async fn a_second_relay_is_told_who_has_the_directory() {
    let temporary = tempfile::tempdir().unwrap();
    let settings = settings(temporary.path());
    let spool = Spool::open(&settings).unwrap();
    let text = Spool::open(&settings).unwrap_err().to_string();
    let pid = std::process::id().to_string();
    assert!(text.contains(&pid), "{text}");
    assert!(text.contains("spool"), "{text}");
    drop(spool);
    Spool::open(&settings).unwrap();
}

#[tokio::test]
async fn nobody_else_may_read_it() {
    let temporary = tempfile::tempdir().unwrap();
    let settings = settings(temporary.path());
    let spool = Spool::open(&settings).unwrap();
    owe(&spool, "e1", &["a@x.example"]).await;
    for (path, mode) in [
        (".", 0o700),
        ("owed", 0o700),
        ("lock", 0o600),
        ("messages/e1.eml", 0o600),
        ("owed/e1.json", 0o600),
    ] {
        let metadata = fs::metadata(settings.directory.join(path)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, mode, "{path}");
    }
}

#[tokio::test]
async fn when_the_owed_envelope_cannot_be_written_nothing_is_left() {
    let temporary = tempfile::tempdir().unwrap();
    let settings = settings(temporary.path());
    let spool = Spool::open(&settings).unwrap();
    let envelope = envelope("e1", &["a@x.example"]);
    let prepared = spool.prepare(envelope.clone(), Bytes::new()).await.unwrap();
    fs::remove_dir(settings.directory.join("owed")).unwrap();
    let error = prepared.owe(envelope.clone()).await.unwrap_err();
    assert!(matches!(error, SpoolError::Disk { .. }), "{error}");
    fs::create_dir(settings.directory.join("owed")).unwrap();
    assert_eq!(files(&settings), [""; 0]);
    assert_eq!(spool.usage(), Usage::default());

    fs::remove_dir(settings.directory.join("prepared")).unwrap();
    let failed = spool.prepare(envelope.clone(), Bytes::new()).await;
    assert!(matches!(failed, Err(SpoolError::Disk { .. })));
    fs::create_dir(settings.directory.join("prepared")).unwrap();
    assert_eq!(files(&settings), [""; 0]);
    assert_eq!(spool.usage(), Usage::default());
}

#[tokio::test]
async fn an_outcome_the_disk_would_not_take_is_not_forgotten() {
    let temporary = tempfile::tempdir().unwrap();
    let settings = settings(temporary.path());
    let spool = Spool::open(&settings).unwrap();
    owe(&spool, "e1", &["a@x.example", "b@x.example"]).await;
    let owed = spool.claim(&id("e1")).await.unwrap().unwrap();
    let mut left = owed.envelope.clone();
    left.recipients.remove(0);
    // A directory in the way of the temporary file: every write of the envelope fails.
    let in_the_way = settings.directory.join("owed/e1.json.tmp");
    fs::create_dir(&in_the_way).unwrap();
    owed.keep(left.clone()).await.unwrap_err();
    fs::remove_dir(&in_the_way).unwrap();
    let owed = spool.claim(&id("e1")).await.unwrap().unwrap();
    assert_eq!(owed.envelope, left, "a had its copy");
    drop(owed);
    let owed = spool.claim(&id("e1")).await.unwrap().unwrap();
    assert_eq!(owed.envelope, left, "and is not forgotten when given back");
}

#[tokio::test]
async fn the_longest_overdue_come_first() {
    let temporary = tempfile::tempdir().unwrap();
    let settings = settings(temporary.path());
    let spool = Spool::open(&settings).unwrap();
    for (name, next) in [("a", 1_300), ("b", 1_100), ("c", 1_200), ("d", 5_000)] {
        let mut envelope = envelope(name, &["a@x.example"]);
        envelope.next_attempt_at = at(next);
        let prepared = spool.prepare(envelope.clone(), Bytes::new()).await.unwrap();
        prepared.owe(envelope).await.unwrap();
    }
    let due = spool.due(at(4_000), 2);
    assert_eq!(due, [id("b"), id("c")]);
    assert_eq!(spool.due(at(4_000), 9).len(), 3);
}

#[tokio::test]
async fn what_could_not_be_read_back_is_refused_before_the_first_dot() {
    let temporary = tempfile::tempdir().unwrap();
    let settings = settings(temporary.path());
    let spool = Spool::open(&settings).unwrap();
    let mut odd = envelope("e1", &["a@x.example"]);
    // A path that no client could have given: text that is not one.
    odd.recipients[0].forward_path = ForwardPath::Postmaster("not a path".to_owned());
    let refused = spool.prepare(odd, Bytes::new()).await;
    assert!(matches!(refused, Err(SpoolError::Json { .. })));
    assert_eq!(files(&settings), [""; 0]);
    assert_eq!(spool.usage(), Usage::default());
}

/// The states of an entry as somebody sees them who does not hold the spool.
fn seen(settings: &Settings, name: &str) -> Option<State> {
    let found = entry(&settings.directory, &id(name)).unwrap();
    found.map(|entry| entry.state)
}

fn ask(settings: &Settings, name: &str, asked: Asked) -> Done {
    let desk = Desk::open(settings).unwrap();
    desk.ask(&[id(name)], asked).unwrap().remove(0)
}

/// Every death stays counted, whatever else the process dies of in between; an attempt that ends in order ends the count.
#[tokio::test]
async fn the_count_of_deaths_survives_the_deaths_that_are_not_its_own() {
    let temporary = tempfile::tempdir().unwrap();
    let settings = settings(temporary.path());
    let spool = Spool::open(&settings).unwrap();
    owe(&spool, "e1", &["a@x.example"]).await;
    let note = spool.layout.working_of(&id("e1"));
    drop(spool);
    for death in 1..settings.crashes {
        fs::write(&note, format!("deciding {}\n", death - 1)).unwrap();
        // Started and killed again, in the midst of nothing and on the way to a next hop.
        for left in [format!("idle {death}\n"), format!("delivering {death}\n")] {
            drop(Spool::open(&settings).unwrap());
            assert_eq!(
                fs::read_to_string(&note).unwrap(),
                format!("idle {death}\n")
            );
            fs::write(&note, left).unwrap();
        }
    }
    assert_eq!(seen(&settings, "e1"), Some(State::Owed));
    let spool = Spool::open(&settings).unwrap();
    let owed = spool.claim(&id("e1")).await.unwrap().unwrap();
    let last = format!("deciding {}\n", settings.crashes - 1);
    assert_eq!(fs::read_to_string(&note).unwrap(), last);
    let envelope = owed.envelope.clone();
    owed.keep(envelope).await.unwrap();
    assert!(!note.exists(), "an attempt that ends in order");
    drop(spool);
    fs::write(&note, last).unwrap();
    let spool = Spool::open(&settings).unwrap();
    assert_eq!(seen(&settings, "e1"), Some(State::Quarantine));
    assert!(!note.exists() && spool.usage().dead == 1);
}

/// What is asked in vain is answered, and does not come back at the next start.
#[tokio::test]
async fn a_request_that_cannot_be_done_says_why() {
    let temporary = tempfile::tempdir().unwrap();
    let settings = settings(temporary.path());
    drop(Spool::open(&settings).unwrap());
    fs::write(settings.directory.join("dead/e1.json"), "{}").unwrap();
    let failed = ask(&settings, "e1", Asked::Retry);
    assert!(
        matches!(&failed, Done::Failed(why) if why.contains("e1")),
        "{failed:?}"
    );
    let request = settings.directory.join("requests/e1.retry");
    fs::write(&request, "").unwrap();
    let spool = Spool::open(&settings).unwrap();
    assert!(!request.exists(), "nobody waits for it any more");
    fs::write(&request, "").unwrap();
    spool.serve_requests().await;
    let answer = fs::read_to_string(settings.directory.join("requests/e1.failed")).unwrap();
    assert!(answer.contains("cannot be read back"), "{answer}");
    assert!(!request.exists());
}

#[tokio::test]
async fn free_bytes_are_kept_free_and_what_is_owed_is_delivered_all_the_same() {
    let temporary = tempfile::tempdir().unwrap();
    let mut settings = settings(temporary.path());
    let spool = Spool::open(&settings).unwrap();
    owe(&spool, "e1", &["a@x.example"]).await;
    drop(spool);
    settings.free_bytes = u64::MAX / 2;
    let spool = Spool::open(&settings).unwrap();
    let refused = spool
        .prepare(envelope("e2", &["a@x.example"]), Bytes::new())
        .await;
    assert!(matches!(
        refused,
        Err(SpoolError::Full {
            limit: "free_bytes",
            ..
        })
    ));
    assert_eq!(files(&settings), ["messages/e1.eml", "owed/e1.json"]);
    // Nor is a note needed that the disk does not take.
    fs::create_dir(disk::unfinished(&spool.layout.working_of(&id("e1")))).unwrap();
    let owed = spool.claim(&id("e1")).await.unwrap().unwrap();
    owed.done().await.unwrap();
    assert_eq!(files(&settings), [""; 0]);
}

#[tokio::test]
async fn an_entry_that_the_process_dies_over_is_left_alone_and_can_be_tried_again() {
    let temporary = tempfile::tempdir().unwrap();
    let settings = settings(temporary.path());
    let spool = Spool::open(&settings).unwrap();
    owe(&spool, "e1", &["a@x.example"]).await;
    owe(&spool, "e2", &["b@x.example"]).await;
    drop(spool);
    for death in 1..=settings.crashes {
        let spool = Spool::open(&settings).unwrap();
        let mut other = spool.claim(&id("e2")).await.unwrap().unwrap();
        other.is_decided().await;
        let in_hand = spool.claim(&id("e1")).await.unwrap().unwrap();
        assert_eq!(seen(&settings, "e1"), Some(State::InHand), "death {death}");
        // As if killed: nothing of it is dropped in order, but for the lock.
        let notes = fs::read(spool.layout.working_of(&id("e1"))).unwrap();
        drop((in_hand, other));
        fs::write(spool.layout.working_of(&id("e1")), notes).unwrap();
        drop(spool);
    }
    let spool = Spool::open(&settings).unwrap();
    assert_eq!(seen(&settings, "e1"), Some(State::Quarantine));
    assert_eq!(
        seen(&settings, "e2"),
        Some(State::Owed),
        "it was decided each time"
    );
    assert!(spool.claim(&id("e1")).await.unwrap().is_none());
    assert_eq!((spool.usage().owed, spool.usage().dead), (1, 1));
    drop(spool);
    assert_eq!(ask(&settings, "e1", Asked::Retry), Done::Yes);
    assert_eq!(seen(&settings, "e1"), Some(State::Owed));
    let spool = Spool::open(&settings).unwrap();
    let owed = spool.claim(&id("e1")).await.unwrap().unwrap();
    assert_eq!(&owed.message[..], MESSAGE);
    assert_eq!(owed.envelope.dead, None);
    assert!(owed.envelope.retried_at.is_some());
}

#[tokio::test]
async fn after_a_death_each_is_decided_alone_so_that_only_one_can_be_found_dying() {
    let temporary = tempfile::tempdir().unwrap();
    let settings = settings(temporary.path());
    let names = ["e1", "e2", "e3"];
    let spool = Spool::open(&settings).unwrap();
    for name in names {
        owe(&spool, name, &["a@x.example"]).await;
    }
    // As if killed while it decides the first two.
    let first = spool.claim(&id("e1")).await.unwrap().unwrap();
    let second = spool.claim(&id("e2")).await.unwrap().unwrap();
    let notes = names.map(|name| fs::read(spool.layout.working_of(&id(name))).ok());
    assert_eq!(notes.iter().flatten().count(), 2);
    drop((first, second));
    for (name, note) in names.iter().zip(&notes) {
        if let Some(note) = note {
            fs::write(spool.layout.working_of(&id(name)), note).unwrap();
        }
    }
    drop(spool);

    let spool = Spool::open(&settings).unwrap();
    let mut first = spool.claim(&id("e1")).await.unwrap().unwrap();
    let waits = async |name| {
        let id = id(name);
        tokio::select! {
            claimed = spool.claim(&id) => panic!("{name} beside e1: {claimed:?}"),
            () = tokio::time::sleep(Duration::from_millis(50)) => {}
        }
    };
    waits("e2").await;
    waits("e3").await;
    first.is_decided().await;
    let mut second = spool.claim(&id("e2")).await.unwrap().unwrap();
    second.is_decided().await;
    // One over which nobody died stands in nobody's way.
    let third = spool.claim(&id("e3")).await.unwrap().unwrap();
    drop((first, second, third));
}

#[tokio::test]
async fn an_attempt_that_panics_counts_and_one_that_ends_makes_the_count_nothing() {
    let temporary = tempfile::tempdir().unwrap();
    let settings = settings(temporary.path());
    let spool = Spool::open(&settings).unwrap();
    owe(&spool, "e1", &["a@x.example"]).await;
    let fall = async || {
        let spool = Arc::clone(&spool);
        let attempt = tokio::spawn(async move {
            let _owed = spool.claim(&id("e1")).await.unwrap().unwrap();
            std::panic::panic_any("a message that nobody can read");
        });
        assert!(attempt.await.unwrap_err().is_panic());
    };
    for _ in 1..settings.crashes {
        fall().await;
        assert_eq!(seen(&settings, "e1"), Some(State::Owed));
    }
    let owed = spool.claim(&id("e1")).await.unwrap().unwrap();
    let envelope = owed.envelope.clone();
    owed.keep(envelope).await.unwrap();
    for _ in 1..settings.crashes {
        fall().await;
    }
    assert_eq!(seen(&settings, "e1"), Some(State::Owed));
    fall().await;
    assert_eq!(seen(&settings, "e1"), Some(State::Quarantine));
    assert_eq!(spool.next_due(), None);
}

#[tokio::test]
async fn what_is_asked_is_done_by_whoever_holds_the_spool() {
    let temporary = tempfile::tempdir().unwrap();
    let settings = settings(temporary.path());
    let spool = Spool::open(&settings).unwrap();
    for name in ["e1", "e2", "e3"] {
        owe(&spool, name, &["a@x.example"]).await;
    }
    let in_hand = spool.claim(&id("e3")).await.unwrap().unwrap();
    let asked_for = async |name: &str, asked: Asked| {
        let (settings, name) = (settings.clone(), name.to_owned());
        let asking = tokio::task::spawn_blocking(move || ask(&settings, &name, asked));
        while !asking.is_finished() {
            spool.serve_requests().await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        asking.await.unwrap()
    };
    assert_eq!(asked_for("e1", Asked::Drop).await, Done::Yes);
    assert_eq!(seen(&settings, "e1"), None);
    assert_eq!(asked_for("e1", Asked::Drop).await, Done::Unknown);
    assert_eq!(asked_for("e2", Asked::Retry).await, Done::Yes);
    assert!(spool.next_due().unwrap() <= Timestamp::now());
    assert_eq!(asked_for("e3", Asked::Drop).await, Done::Busy);
    assert_eq!(asked_for("e3", Asked::Retry).await, Done::Busy);
    assert_eq!(&in_hand.message[..], MESSAGE);
    in_hand.done().await.unwrap();
    assert_eq!(files(&settings), ["messages/e2.eml", "owed/e2.json"]);
    assert!(
        fs::read_dir(settings.directory.join("requests"))
            .unwrap()
            .next()
            .is_none()
    );
}
