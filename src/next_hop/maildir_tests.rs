use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::mime::splice::Splice;
use crate::next_hop::{NextHop, Settings};
use crate::smtp::parameter::Parameter;
use crate::smtp::path::{ForwardPath, Mailbox, ReversePath};
use crate::smtp::xforward::Xforward;

const MESSAGE: &[u8] = b"Subject: x\r\n\r\n.\r\ncaf\xc3\xa9\r\n";

fn next_hop(directory: &Path) -> NextHop {
    let address = format!("maildir:{}", directory.display());
    NextHop::new(Settings::new(address.parse().unwrap())).unwrap()
}

fn mail() -> Mail {
    let parameter = |keyword: &str, value: &str| Parameter {
        keyword: keyword.to_owned(),
        value: Some(value.to_owned()),
    };
    Mail {
        reverse_path: ReversePath::Null,
        parameters: Parameters(vec![parameter("SIZE", "1"), parameter("ENVID", "a+2Bb")]),
    }
}

fn rcpts() -> [Rcpt; 2] {
    ["a@x.example", "\"b c\"@y.example"].map(|address| Rcpt {
        forward_path: ForwardPath::Mailbox(
            Mailbox::new(address.to_owned(), address.rfind('@').unwrap()).unwrap(),
        ),
        parameters: Parameters::default(),
    })
}

fn later() -> Instant {
    Instant::now() + Duration::from_secs(90)
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

async fn send(next_hop: &NextHop, message: &Spliced) -> Vec<Fate> {
    let xforward = Xforward::default();
    next_hop
        .transact(&mail(), &rcpts(), &xforward, message, later())
        .await
}

#[tokio::test]
async fn each_variant_is_one_file_with_its_envelope_and_no_octet_more() {
    let directory = tempfile::tempdir().unwrap();
    let outbox = directory.path().join("var/outbox");
    let next_hop = next_hop(&outbox);
    let original = Spliced::untouched(Bytes::from_static(MESSAGE));
    let variant = Spliced::new(Bytes::from_static(MESSAGE), vec![Splice::cut(0..9)]).unwrap();
    for message in [&original, &variant] {
        let fates = send(&next_hop, message).await;
        assert!(
            fates.len() == 2 && fates.iter().all(Fate::is_taken),
            "{fates:?}"
        );
    }
    let new = names(&outbox.join("new"));
    assert_eq!(new.len(), 2);
    let mut octets: Vec<Vec<u8>> = new
        .iter()
        .map(|name| fs::read(outbox.join("new").join(name)).unwrap())
        .collect();
    octets.sort_by_key(|octets| std::cmp::Reverse(octets.len()));
    assert_eq!(octets[0], MESSAGE);
    assert_eq!(octets[1], MESSAGE[9..]);
    assert_eq!(names(&outbox.join("tmp")), [""; 0]);
    let expected: Vec<String> = new.iter().map(|name| format!("{name}.json")).collect();
    assert_eq!(names(&outbox.join("envelopes")), expected);
    for name in &new {
        let size = fs::metadata(outbox.join("new").join(name)).unwrap().len();
        let json = fs::read(outbox.join("envelopes").join(format!("{name}.json"))).unwrap();
        let envelope: StoredEnvelope = serde_json::from_slice(&json).unwrap();
        assert_eq!(envelope.reverse_path, "");
        assert_eq!(
            envelope.mail_parameters.get("SIZE"),
            Some(size.to_string().as_str())
        );
        assert_eq!(envelope.mail_parameters.get("ENVID"), Some("a+2Bb"));
        let to: Vec<&str> = envelope
            .recipients
            .iter()
            .map(|r| r.forward_path.as_str())
            .collect();
        assert_eq!(to, ["a@x.example", "\"b c\"@y.example"]);
    }
}

#[tokio::test]
async fn directories_and_files_are_for_the_owner_alone() {
    let directory = tempfile::tempdir().unwrap();
    let outbox = directory.path().join("outbox");
    let next_hop = next_hop(&outbox);
    next_hop.reach().await.unwrap();
    send(&next_hop, &Spliced::untouched(Bytes::from_static(MESSAGE))).await;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&outbox), 0o700);
    for part in ["tmp", "new", "cur", "envelopes"] {
        let part = outbox.join(part);
        assert_eq!(mode(&part), 0o700);
        for name in names(&part) {
            assert_eq!(mode(&part.join(name)), 0o600);
        }
    }
}

#[tokio::test]
async fn it_announces_what_it_can_carry() {
    let directory = tempfile::tempdir().unwrap();
    let next_hop = next_hop(directory.path());
    let extensions = next_hop.extensions().unwrap();
    assert!(extensions.eight_bit_mime && extensions.smtputf8 && extensions.dsn);
    assert_eq!(extensions.size, Some(0));
    assert!(extensions.xforward.is_empty() && !extensions.pipelining);
    assert!(!next_hop.answers_each());
}

#[tokio::test]
async fn what_cannot_be_written_is_not_now_and_leaves_nothing() {
    // A file where a directory must be: fails for root as for anybody.
    for broken in ["tmp", "new", "envelopes"] {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(broken), b"").unwrap();
        let next_hop = next_hop(directory.path());
        let fates = send(&next_hop, &Spliced::untouched(Bytes::from_static(MESSAGE))).await;
        assert!(
            fates
                .iter()
                .all(|fate| matches!(fate, Fate::Down(reply) if reply.code() == 451)),
            "{broken}: {fates:?}"
        );
        assert_eq!(next_hop.counters().unreachable.get(), 1);
        assert!(next_hop.reach().await.is_err());
    }
}

#[test]
fn a_failed_rename_takes_the_message_and_its_envelope_away() {
    let directory = tempfile::tempdir().unwrap();
    let maildir = Maildir::new(directory.path().to_owned(), Arc::default());
    maildir.make_directories().unwrap();
    fs::remove_dir(directory.path().join("new")).unwrap();
    let envelope = StoredEnvelope {
        version: 1,
        reverse_path: String::new(),
        mail_parameters: Parameters::default(),
        recipients: Vec::new(),
    };
    let message = Spliced::untouched(Bytes::from_static(MESSAGE));
    assert!(matches!(
        maildir.write(&envelope, &message),
        Written::Nothing(_)
    ));
    assert_eq!(names(&directory.path().join("tmp")), [""; 0]);
    assert_eq!(names(&directory.path().join("envelopes")), [""; 0]);
}

#[tokio::test]
async fn nothing_is_stored_without_time_or_without_forward_paths() {
    let directory = tempfile::tempdir().unwrap();
    let next_hop = next_hop(directory.path());
    let message = Spliced::untouched(Bytes::from_static(MESSAGE));
    let soon = Instant::now() + Duration::from_secs(29);
    let fates = next_hop
        .transact(&mail(), &rcpts(), &Xforward::default(), &message, soon)
        .await;
    assert!(fates.iter().all(|fate| matches!(fate, Fate::Down(_))));
    let (transit, _) = next_hop.begin(&mail(), &Xforward::default()).await.unwrap();
    let (fates, line) = transit.data(&message, later()).await;
    assert!(fates.is_empty());
    let (mut transit, _) = line.begin(&mail(), &Xforward::default()).await.unwrap();
    assert_eq!(transit.rcpts(&rcpts()).await.len(), 2);
    drop(transit.reset().await);
    assert!(
        !directory.path().join("new").exists() || names(&directory.path().join("new")).is_empty()
    );
}
