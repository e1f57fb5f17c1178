use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::*;
use crate::consent::{AddressKind, Assertion, ChangeKind, Form, Purpose, State};

pub(super) const P1: Purpose = Purpose::CampaignPerformance;
const ANNA: &str = "anna.very.recognisable@example.net";

pub(super) fn moment(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A register in a directory of its own.
pub(super) struct Place {
    pub(super) directory: tempfile::TempDir,
}

impl Place {
    pub(super) fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    pub(super) fn settings(&self) -> Settings {
        Settings {
            register: format!("sqlite:{}", self.file().display()),
            ..Settings::default()
        }
    }

    pub(super) fn file(&self) -> PathBuf {
        self.directory.path().join("var/consent.db")
    }

    pub(super) fn keys(&self) -> Arc<Keys> {
        Arc::new(Keys::open(&self.directory.path().join("keys")).unwrap())
    }

    pub(super) fn open(&self) -> Register {
        Register::open(&self.settings(), self.keys()).unwrap()
    }
}

pub(super) fn row(address: &str, kind: ChangeKind, at: &str) -> Row {
    Row {
        controller: "shop".into(),
        address: address.into(),
        entry: RowEntry::Change(Assertion {
            purposes: BTreeSet::from([P1]),
            at: Some(moment(at)),
            form: Form {
                channel: Some("form".into()),
                wording_version: Some("v1".into()),
                wording_sha256: Some([5; 32]),
                ..Form::default()
            },
            ..Assertion::new(kind)
        }),
    }
}

pub(super) fn grant(address: &str) -> Row {
    row(address, ChangeKind::Granted, "2026-05-01T00:00:00Z")
}

pub(super) fn now() -> Timestamp {
    moment("2026-11-22T12:00:00Z")
}

async fn state(register: &Register, address: &str) -> State {
    let identity = register.keys().identity("shop", address);
    let standings = register.look_up("shop", &[identity]).await.unwrap();
    standings[0].state(P1)
}

#[tokio::test]
async fn what_was_recorded_is_looked_up_in_the_order_asked() {
    let place = Place::new();
    let register = place.open();
    assert_eq!(register.record(&grant(ANNA), now()).unwrap(), Recorded::New);
    let no = row("b@example.net", ChangeKind::Refused, "2026-05-01T00:00:00Z");
    register.record(&no, now()).unwrap();
    let subjects: Vec<_> = ["b@example.net", "nobody@example.net", ANNA, ANNA]
        .map(|address| register.keys().identity("shop", address))
        .to_vec();
    let standings = register.look_up("shop", &subjects).await.unwrap();
    let states: Vec<_> = standings.iter().map(|one| one.state(P1)).collect();
    assert_eq!(
        states,
        [
            State::Refused,
            State::Unknown,
            State::Granted,
            State::Granted
        ]
    );
    assert!(register.look_up("shop", &[]).await.unwrap().is_empty());
    // Another controller's subject is another person (D20).
    let there = [register.keys().identity("bank", ANNA)];
    assert!(register.look_up("bank", &there).await.unwrap()[0].is_unknown());
}

#[tokio::test]
async fn the_proof_that_permits_is_the_record_that_was_written() {
    let place = Place::new();
    let register = place.open();
    register.record(&grant(ANNA), now()).unwrap();
    let identity = register.keys().identity("shop", ANNA);
    let standing = register
        .look_up("shop", &[identity])
        .await
        .unwrap()
        .remove(0);
    let history = register.history("shop", ANNA).unwrap();
    assert_eq!(standing.entry(P1).unwrap().proof, history.changes[0].id);
    let record = register.proof(&history.changes[0].id).unwrap().unwrap();
    assert_eq!(record.change.as_ref(), Some(&history.changes[0]));
    assert_eq!((record.controller.as_str(), record.n), ("shop", 1));
    assert_eq!(record.subject, history.subject);
    let unknown = ProofId::from_bytes([7; 16]);
    assert_eq!(register.proof(&unknown).unwrap(), None);
}

#[test]
fn the_same_content_is_recorded_once_and_keeps_its_receipt() {
    let place = Place::new();
    let register = place.open();
    let mut undated = row(ANNA, ChangeKind::Withdrawn, "2026-05-01T00:00:00Z");
    undated.entry = RowEntry::Change(Assertion::new(ChangeKind::Withdrawn));
    assert_eq!(register.record(&undated, now()).unwrap(), Recorded::New);
    let later = moment("2026-12-24T00:00:00Z");
    let again = register.record(&undated, later).unwrap();
    assert_eq!(again, Recorded::AlreadyThere);
    let history = register.history("shop", ANNA).unwrap();
    assert_eq!(history.changes.len(), 1);
    assert_eq!(history.changes[0].recorded_at, now());
    assert_eq!(
        register.get("shop", ANNA).unwrap().entry(P1).unwrap().at,
        now()
    );
}

#[test]
fn history_shows_everything_with_the_address_as_given() {
    let place = Place::new();
    let register = place.open();
    register
        .record(&grant(" Anna@Example.NET "), now())
        .unwrap();
    let no = row(
        "anna@example.net",
        ChangeKind::Withdrawn,
        "2026-06-01T00:00:00Z",
    );
    register.record(&no, now()).unwrap();
    let contact = Contact {
        collected_at: Some(moment("2025-09-01T00:00:00Z")),
        informed_at: Some(moment("2026-06-10T00:00:00Z")),
        notice: Some("n2".into()),
        informed_purposes: BTreeSet::from([P1, Purpose::FraudDetection]),
        country: Some("FR".into()),
        address_kind: Some(AddressKind::Personal),
    };
    let record = || register.record_contact("shop", "ANNA@example.net", &contact, now());
    assert_eq!(record().unwrap(), Recorded::New);
    assert_eq!(record().unwrap(), Recorded::AlreadyThere);
    let history = register.history("shop", "anna@example.net").unwrap();
    assert_eq!(history.address.as_deref(), Some("Anna@Example.NET"));
    let kinds: Vec<_> = history
        .changes
        .iter()
        .map(|change| change.said.kind)
        .collect();
    assert_eq!(kinds, [ChangeKind::Granted, ChangeKind::Withdrawn]);
    assert_eq!(history.contacts.len(), 1);
    assert_eq!(history.contacts[0].contact, contact);
    assert_eq!(history.contacts[0].recorded_at, now());
    // What the contact records add up to comes with every look-up.
    let standing = register.get("shop", "anna@example.net").unwrap();
    assert_eq!(standing.contact.country(), Some("FR"));
    assert_eq!(standing.contact.address_kind, Some(AddressKind::Personal));
    assert!(!format!("{history:?}").to_lowercase().contains("anna"));
    let nobody = register.history("shop", "b@example.net").unwrap();
    assert!(nobody.address.is_none() && nobody.changes.is_empty());
}

#[test]
fn of_the_erased_nothing_stays_but_that_they_are() {
    let place = Place::new();
    let register = place.open();
    let address = || register.history("shop", ANNA).unwrap().address;
    register.record(&grant(ANNA), now()).unwrap();
    assert!(address().is_some());
    let erased = row(ANNA, ChangeKind::Erased, "2026-06-01T00:00:00Z");
    register.record(&erased, now()).unwrap();
    assert_eq!(address(), None);
    // S19: an older grant revives neither consent nor address; a newer one does.
    let older = row(ANNA, ChangeKind::Granted, "2026-05-15T00:00:00Z");
    register.record(&older, now()).unwrap();
    assert_eq!(address(), None);
    assert_eq!(register.get("shop", ANNA).unwrap().state(P1), State::Erased);
    let newer = row(ANNA, ChangeKind::Granted, "2026-07-01T00:00:00Z");
    register.record(&newer, now()).unwrap();
    assert_eq!(address().as_deref(), Some(ANNA));
    assert_eq!(
        register.get("shop", ANNA).unwrap().state(P1),
        State::Granted
    );
}

#[test]
fn what_cannot_be_a_record_is_refused_and_leaves_nothing() {
    let place = Place::new();
    let register = place.open();
    let future = row(ANNA, ChangeKind::Granted, "2026-11-22T12:05:01Z");
    assert!(matches!(
        register.record(&future, now()),
        Err(RegisterError::Refused(
            crate::consent::Refusal::InTheFuture { .. }
        ))
    ));
    assert!(matches!(
        register.record(&grant("Anna <a@example.net>"), now()),
        Err(RegisterError::Address(_))
    ));
    let mut nameless = grant(ANNA);
    nameless.controller = "a\0b".into();
    assert!(register.record(&nameless, now()).is_err());
    assert_eq!(register.verify(&[]).unwrap(), Verified::default());
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in directory.read_dir().unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files
}

#[test]
fn no_address_stands_in_clear_on_disk_and_files_are_the_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let register = place.open();
    for kind in ChangeKind::ALL {
        register
            .record(&row(ANNA, *kind, "2026-05-01T00:00:00Z"), now())
            .unwrap();
    }
    register
        .record(
            &row(
                "other.recognisable@example.net",
                ChangeKind::Refused,
                "2026-05-01T00:00:00Z",
            ),
            now(),
        )
        .unwrap();
    register
        .record_contact("shop", ANNA, &Contact::default(), now())
        .unwrap();
    let files = files_below(place.directory.path());
    let wal = files
        .iter()
        .any(|path| path.to_string_lossy().ends_with("-wal"));
    assert!(wal && files.len() >= 6, "{files:?}");
    for path in files {
        let octets = std::fs::read(&path).unwrap();
        for word in ["recognisable", "example.net"] {
            let found = memchr::memmem::find(&octets, word.as_bytes());
            assert_eq!(found, None, "{word} in {}", path.display());
        }
        let mode = path.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}", path.display());
    }
    // The same search does find what is there.
    let database = std::fs::read(place.file()).unwrap();
    let wal = std::fs::read(place.directory.path().join("var/consent.db-wal")).unwrap();
    let all = [database, wal].concat();
    assert!(memchr::memmem::find(&all, b"campaign_performance").is_some());
}

#[test]
fn another_key_is_refused_by_its_fingerprint() {
    let place = Place::new();
    drop(place.open());
    let elsewhere = Place::new();
    elsewhere.keys();
    for kind in ["lookup", "seal", "chain", "defence"] {
        let name = format!("keys/{kind}-1.key");
        let path = place.directory.path().join(&name);
        let good = std::fs::read(&path).unwrap();
        std::fs::copy(elsewhere.directory.path().join(&name), &path).unwrap();
        let error = Register::open(&place.settings(), place.keys()).unwrap_err();
        assert!(
            matches!(&error, RegisterError::OtherKey { kind: which, .. } if *which == kind),
            "{error}"
        );
        std::fs::write(&path, good).unwrap();
        place.open();
    }
}

#[test]
fn what_is_no_register_of_ours_is_refused_and_left_alone() {
    let place = Place::new();
    std::fs::create_dir_all(place.file().parent().unwrap()).unwrap();
    let foreign = rusqlite::Connection::open(place.file()).unwrap();
    foreign.execute_batch("CREATE TABLE t (a)").unwrap();
    drop(foreign);
    let error = Register::open(&place.settings(), place.keys()).unwrap_err();
    assert!(error.to_string().contains("not a consent register"));

    let later = Place::new();
    drop(later.open());
    let connection = rusqlite::Connection::open(later.file()).unwrap();
    connection.pragma_update(None, "user_version", 3).unwrap();
    drop(connection);
    let error = Register::open(&later.settings(), later.keys()).unwrap_err();
    assert!(error.to_string().contains("schema 3"), "{error}");

    let noise = Place::new();
    std::fs::create_dir_all(noise.file().parent().unwrap()).unwrap();
    std::fs::write(noise.file(), b"this is no database, whatever its name says").unwrap();
    let error = Register::open(&noise.settings(), noise.keys()).unwrap_err();
    assert!(matches!(error, RegisterError::Damaged(_)), "{error}");
    assert!(!error.is_transient());
}

#[test]
fn settings_name_the_key_that_is_wrong() {
    let checks: [(&str, Settings); 5] = [
        (
            "register",
            Settings {
                register: "postgres://x".into(),
                ..Settings::default()
            },
        ),
        (
            "register",
            Settings {
                register: "sqlite:".into(),
                ..Settings::default()
            },
        ),
        (
            "lookup_timeout_ms",
            Settings {
                lookup_timeout_ms: 0,
                ..Settings::default()
            },
        ),
        (
            "lookup_connections",
            Settings {
                lookup_connections: 65,
                ..Settings::default()
            },
        ),
        (
            "write_timeout_ms",
            Settings {
                write_timeout_ms: 600_001,
                ..Settings::default()
            },
        ),
    ];
    Settings::default().check().unwrap();
    for (key, settings) in checks {
        let error = settings.check().unwrap_err().to_string();
        assert!(error.contains(key), "{error}");
    }
    assert!(toml::from_str::<Settings>("registre = 'x'").is_err());
    assert_eq!(toml::from_str::<Settings>("").unwrap(), Settings::default());
}

#[tokio::test]
async fn one_process_sees_what_another_committed() {
    let place = Place::new();
    let (ours, theirs) = (place.open(), place.open());
    assert_eq!(state(&ours, ANNA).await, State::Unknown);
    theirs.record(&grant(ANNA), now()).unwrap();
    assert_eq!(state(&ours, ANNA).await, State::Granted);
    let no = row(ANNA, ChangeKind::Withdrawn, "2026-06-01T00:00:00Z");
    theirs.record(&no, now()).unwrap();
    assert_eq!(state(&ours, ANNA).await, State::Withdrawn);
}

#[tokio::test]
async fn a_register_that_was_replaced_or_lost_is_not_answered_from_memory() {
    let place = Place::new();
    let register = place.open();
    register.record(&grant(ANNA), now()).unwrap();
    assert_eq!(state(&register, ANNA).await, State::Granted);
    // The operator restores another file over it, whose Anna has withdrawn.
    let other = Place::new();
    std::fs::create_dir_all(other.directory.path().join("keys")).unwrap();
    for key in place.directory.path().join("keys").read_dir().unwrap() {
        let key = key.unwrap();
        let to = other.directory.path().join("keys").join(key.file_name());
        std::fs::copy(key.path(), to).unwrap();
    }
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(
        other.directory.path().join("keys"),
        PermissionsExt::from_mode(0o700),
    )
    .unwrap();
    let no = row(ANNA, ChangeKind::Withdrawn, "2026-06-01T00:00:00Z");
    other.open().record(&no, now()).unwrap();
    for suffix in ["", "-wal", "-shm"] {
        let name = |place: &Place| format!("{}{suffix}", place.file().display());
        match std::fs::exists(name(&other)).unwrap() {
            true => std::fs::rename(name(&other), name(&place)).unwrap(),
            false => std::fs::remove_file(name(&place)).unwrap_or_default(),
        }
    }
    assert_eq!(state(&register, ANNA).await, State::Withdrawn);
    std::fs::remove_file(place.file()).unwrap();
    let identity = register.keys().identity("shop", ANNA);
    let answer = register.look_up("shop", &[identity]).await;
    assert!(
        matches!(answer, Err(RegisterError::File { .. })),
        "{answer:?}"
    );
    // A write does not put an empty register in its place.
    assert!(register.record(&grant(ANNA), now()).is_err());
    assert!(!place.file().exists());
}

#[tokio::test]
async fn a_standing_that_cannot_be_read_whole_is_no_answer() {
    let place = Place::new();
    let register = place.open();
    register.record(&grant(ANNA), now()).unwrap();
    let connection = rusqlite::Connection::open(place.file()).unwrap();
    connection
        .execute("UPDATE standings SET state = 'granted_twice'", [])
        .unwrap();
    let identity = register.keys().identity("shop", ANNA);
    let answer = register.look_up("shop", &[identity]).await;
    assert!(
        matches!(answer, Err(RegisterError::Damaged(_))),
        "{answer:?}"
    );
    connection
        .execute("UPDATE standings SET state = 'granted'", [])
        .unwrap();
    assert_eq!(state(&register, ANNA).await, State::Granted);
}

#[tokio::test]
async fn a_look_up_waits_no_longer_than_it_may() {
    let place = Place::new();
    let settings = Settings {
        lookup_timeout_ms: 50,
        lookup_connections: 1,
        ..place.settings()
    };
    let register = Register::open(&settings, place.keys()).unwrap();
    register.record(&grant(ANNA), now()).unwrap();
    assert_eq!(state(&register, ANNA).await, State::Granted);
    // All connections taken, as when the disk hangs.
    let taken = register.readers.take_all_for_test().await;
    let begun = std::time::Instant::now();
    let identity = register.keys().identity("shop", ANNA);
    let error = register
        .look_up("shop", std::slice::from_ref(&identity))
        .await
        .unwrap_err();
    assert!(matches!(
        error,
        RegisterError::TimedOut { milliseconds: 50 }
    ));
    assert!(error.is_transient());
    assert!(begun.elapsed() < Duration::from_secs(2));
    drop(taken);
    assert_eq!(state(&register, ANNA).await, State::Granted);
    let many = vec![identity; LOOKUP_SUBJECTS_MAX + 1];
    let error = register.look_up("shop", &many).await.unwrap_err();
    assert!(matches!(error, RegisterError::TooMany { .. }));
}

#[tokio::test]
async fn readers_do_not_wait_for_a_writer_and_writers_say_that_they_do() {
    let place = Place::new();
    let settings = Settings {
        write_timeout_ms: 50,
        ..place.settings()
    };
    let register = Register::open(&settings, place.keys()).unwrap();
    register.record(&grant(ANNA), now()).unwrap();
    let other = rusqlite::Connection::open(place.file()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(state(&register, ANNA).await, State::Granted);
    let no = row(ANNA, ChangeKind::Withdrawn, "2026-06-01T00:00:00Z");
    let error = register.record(&no, now()).unwrap_err();
    assert!(matches!(error, RegisterError::Busy), "{error}");
    other.execute_batch("ROLLBACK").unwrap();
    register.record(&no, now()).unwrap();
    assert_eq!(state(&register, ANNA).await, State::Withdrawn);
}

#[test]
fn many_that_start_at_once_make_one_register() {
    let place = Place::new();
    let keys = place.keys();
    std::thread::scope(|scope| {
        for number in 0..6 {
            let (place, keys) = (&place, Arc::clone(&keys));
            scope.spawn(move || {
                let register = Register::open(&place.settings(), keys).unwrap();
                let address = format!("p{number}@example.net");
                register.record(&grant(&address), now()).unwrap();
            });
        }
    });
    assert_eq!(place.open().verify(&[]).unwrap().subjects, 6);
}
