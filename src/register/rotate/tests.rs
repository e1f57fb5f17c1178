use std::collections::BTreeSet;
use std::sync::Arc;

use super::*;
use crate::consent::{Assertion, ChangeKind, Form, Purpose, State};
use crate::register::{Identity, Keys, Recorded, Row, RowEntry, Settings};

const P1: Purpose = Purpose::CampaignPerformance;
const GRANTED_AT: &str = "2026-05-01T00:00:00Z";
const LATER: &str = "2026-06-01T00:00:00Z";
const LAST: &str = "2026-07-01T00:00:00Z";

struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn open_with(&self, keys: &str) -> Result<Register, RegisterError> {
        let settings = Settings {
            register: format!("sqlite:{}", self.path("consent.db").display()),
            lookup_timeout_ms: 30_000,
            write_timeout_ms: 30_000,
            ..Settings::default()
        };
        Register::open(&settings, Arc::new(Keys::open(&self.path(keys)).unwrap()))
    }

    fn open(&self) -> Register {
        self.open_with("keys").unwrap()
    }

    fn sql(&self, sql: &str) -> usize {
        let connection = Connection::open(self.path("consent.db")).unwrap();
        connection.execute(sql, []).unwrap()
    }
}

fn moment(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn now() -> Timestamp {
    moment("2026-11-22T12:00:00Z")
}

fn address(number: usize) -> String {
    format!("P{number}@example.net")
}

fn row(address: &str, kind: ChangeKind, at: &str) -> Row {
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

fn grants(count: usize) -> Vec<Row> {
    (0..count)
        .map(|number| row(&address(number), ChangeKind::Granted, GRANTED_AT))
        .collect()
}

fn write(register: &Register, rows: &[Row]) -> Vec<Recorded> {
    rows.chunks(1_000)
        .flat_map(|batch| register.write_batch(batch, now()).unwrap())
        .collect()
}

/// As the relay asks: subjects under every key held, once more when the keys have been rotated.
fn states(register: &Register, addresses: &[String]) -> Vec<State> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    for _ in 0..2 {
        let keys = register.keys();
        let all: Vec<Identity> = addresses
            .iter()
            .map(|address| keys.identity("shop", address))
            .collect();
        match runtime.block_on(register.look_up("shop", &all)) {
            Ok(standings) => return standings.iter().map(|one| one.state(P1)).collect(),
            Err(RegisterError::KeysRotated) => {}
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the keys were followed and are still not those of the register");
}

fn state(register: &Register, address: &str) -> State {
    states(register, &[address.to_owned()])[0]
}

fn rotate(register: &Register, kind: Kind) -> Rotated {
    register.rotate(kind, &mut |_| {}).unwrap()
}

fn tally(generation: u32, living: u64, erased: u64) -> Tally {
    Tally {
        generation,
        living,
        erased,
    }
}

#[test]
fn everybody_is_found_after_each_rotation_and_a_rerun_of_an_import_is_known() {
    let place = Place::new();
    let register = place.open();
    let rows = grants(2_300);
    write(&register, &rows);
    for number in (0..2_300).step_by(100) {
        let no = row(&address(number), ChangeKind::Withdrawn, LATER);
        register.record(&no, now()).unwrap();
    }
    let everybody: Vec<String> = (0..2_300).map(address).collect();
    let before = states(&register, &everybody);
    let named = register.keys().identity("shop", &address(7));
    for (kind, generation) in [
        (Kind::Lookup, 2),
        (Kind::Seal, 2),
        (Kind::Lookup, 3),
        (Kind::Seal, 3),
    ] {
        let outlook = register.rotation_outlook(kind).unwrap();
        assert_eq!(
            (outlook.current, outlook.next),
            (generation - 1, generation)
        );
        assert_eq!(outlook.tallies, [tally(generation - 1, 2_300, 0)]);
        assert!(!outlook.unfinished);
        let mut steps = Vec::new();
        let rotated = register.rotate(kind, &mut |step| steps.push(step)).unwrap();
        assert_eq!(rotated.generation, generation);
        assert_eq!((rotated.carried, rotated.damaged), (2_300, 0));
        assert_eq!(rotated.tallies, [tally(generation, 2_300, 0)]);
        assert_eq!(rotated.retired, (1..generation).collect::<Vec<_>>());
        assert!(!rotated.resumed && rotated.strangers.is_empty());
        let end = Step::Carried {
            done: 2_300,
            of: 2_300,
        };
        assert!(steps.contains(&end) && steps.len() >= 9, "{steps:?}");
        assert_eq!(states(&register, &everybody), before);
        register.verify(&[]).unwrap();
    }
    let again = write(&register, &rows);
    assert!(again.iter().all(|one| *one == Recorded::AlreadyThere));
    let history = register.history("shop", "p7@EXAMPLE.net").unwrap();
    assert_eq!(history.address.as_deref(), Some("P7@example.net"));
    // Lines in the ledger from before name the person otherwise; the keys held still tell whom.
    let identity = register.keys().identity("shop", &address(7));
    assert_ne!(identity.current(), named.current());
    assert!(identity.all().contains(&named.current()));
    // Nothing stands under the older keys, so nothing is missed without them.
    for file in ["lookup-1.key", "lookup-2.key", "seal-1.key", "seal-2.key"] {
        std::fs::remove_file(place.path("keys").join(file)).unwrap();
    }
    let register = place.open();
    assert_eq!(states(&register, &everybody), before);
    assert!(
        register
            .history("shop", &address(7))
            .unwrap()
            .address
            .is_some()
    );
    register.verify(&[]).unwrap();
}

#[test]
fn who_was_erased_stays_erased_under_the_old_key_and_comes_back_only_with_a_newer_proof() {
    let place = Place::new();
    let register = place.open();
    let anna = "anna@example.net";
    write(&register, &grants(3));
    register
        .record(&row(anna, ChangeKind::Granted, GRANTED_AT), now())
        .unwrap();
    register
        .record(&row(anna, ChangeKind::Erased, LATER), now())
        .unwrap();
    let rotated = rotate(&register, Kind::Lookup);
    assert_eq!(rotated.tallies, [tally(1, 0, 1), tally(2, 3, 0)]);
    assert!(rotated.retired.is_empty(), "{rotated:?}");
    register.verify(&[]).unwrap();
    // S19.
    for at in [GRANTED_AT, "2026-05-15T00:00:00Z"] {
        let older = row(anna, ChangeKind::Granted, at);
        let recorded = register.record(&older, now()).unwrap();
        assert_ne!(recorded, Recorded::New);
        assert_eq!(state(&register, anna), State::Erased);
    }
    assert_eq!(register.history("shop", anna).unwrap().address, None);
    // Without the old key nobody could tell: it is asked for.
    let key = place.path("keys").join("lookup-1.key");
    std::fs::rename(&key, place.path("aside")).unwrap();
    let error = place.open_with("keys").unwrap_err();
    assert!(matches!(error, RegisterError::MissingKey { .. }), "{error}");
    assert!(error.to_string().contains("lookup-1.key"), "{error}");
    std::fs::rename(place.path("aside"), &key).unwrap();
    let newer = row(anna, ChangeKind::Granted, LAST);
    assert_eq!(register.record(&newer, now()).unwrap(), Recorded::New);
    assert_eq!(state(&register, anna), State::Granted);
    register.verify(&[]).unwrap();
    let outlook = register.rotation_outlook(Kind::Lookup).unwrap();
    assert_eq!(outlook.tallies, [tally(2, 4, 0)]);
    let rotated = rotate(&register, Kind::Lookup);
    assert_eq!(rotated.retired, [1, 2]);
    assert_eq!(state(&register, anna), State::Granted);
    // The older grant is still older than the erasure.
    let older = row(anna, ChangeKind::Granted, "2026-05-20T00:00:00Z");
    assert_eq!(register.record(&older, now()).unwrap(), Recorded::Erased);
    register.verify(&[]).unwrap();
}

#[test]
fn another_process_follows_and_nothing_is_written_under_the_old_key_as_current() {
    let place = Place::new();
    let (here, there) = (place.open(), place.open());
    write(&here, &grants(10));
    assert_eq!(state(&there, &address(3)), State::Granted);
    let stale = there.keys().identity("shop", &address(3));
    rotate(&here, Kind::Lookup);
    rotate(&here, Kind::Seal);
    // Asked with subjects of before: no answer, not the answer that nobody is known.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let answer = runtime.block_on(there.look_up("shop", &[stale]));
    assert!(
        matches!(answer, Err(RegisterError::KeysRotated)),
        "{answer:?}"
    );
    assert_eq!(state(&there, &address(3)), State::Granted);
    // A third, which has looked up nothing since, writes.
    for kind in [Kind::Lookup, Kind::Seal] {
        let other = place.open();
        rotate(&here, kind);
        let no = row(&address(4), ChangeKind::Withdrawn, LATER);
        let new = row("new@example.net", ChangeKind::Granted, GRANTED_AT);
        for row in [&no, &new] {
            // Its keys are of before; the write is begun anew with those of now, and not sent away.
            other.record(row, now()).unwrap();
        }
        let outlook = here.rotation_outlook(kind).unwrap();
        assert_eq!(outlook.tallies, [tally(outlook.current, 11, 0)]);
    }
    assert_eq!(state(&here, &address(4)), State::Withdrawn);
    assert_eq!(state(&here, "new@example.net"), State::Granted);
    here.verify(&[]).unwrap();
}

#[test]
fn a_process_whose_key_directory_lacks_the_new_file_answers_nothing_and_writes_nothing() {
    let place = Place::new();
    let here = place.open();
    write(&here, &grants(2));
    let copy = |names: &[&str]| {
        std::fs::create_dir_all(place.path("elsewhere")).unwrap();
        for name in names {
            let from = place.path("keys").join(name);
            std::fs::copy(from, place.path("elsewhere").join(name)).unwrap();
        }
    };
    copy(&[
        "lookup-1.key",
        "seal-1.key",
        "chain-1.key",
        "defence-1.key",
        "ledger-1.key",
    ]);
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(place.path("elsewhere"), PermissionsExt::from_mode(0o700)).unwrap();
    let there = place.open_with("elsewhere").unwrap();
    assert_eq!(state(&there, &address(0)), State::Granted);
    rotate(&here, Kind::Lookup);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    for _ in 0..2 {
        let identity = there.keys().identity("shop", &address(0));
        let error = runtime
            .block_on(there.look_up("shop", &[identity]))
            .unwrap_err();
        assert!(error.to_string().contains("lookup-2.key"), "{error}");
        let no = row(&address(0), ChangeKind::Withdrawn, LATER);
        let error = there.record(&no, now()).unwrap_err();
        assert!(error.to_string().contains("lookup-2.key"), "{error}");
    }
    assert_eq!(state(&here, &address(0)), State::Granted);
    copy(&["lookup-2.key"]);
    assert_eq!(state(&there, &address(0)), State::Granted);
}

#[test]
fn a_row_that_is_not_its_persons_stays_and_keeps_the_rotation_unfinished() {
    let place = Place::new();
    let register = place.open();
    write(&register, &grants(30));
    register.verify(&[]).unwrap();
    let sealed = |number: usize| -> (Vec<u8>, Vec<u8>) {
        Connection::open(place.path("consent.db"))
            .unwrap()
            .query_row(
                "SELECT subject, sealed_address FROM subjects WHERE id = ?1",
                params![i64::try_from(number).unwrap()],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .unwrap()
    };
    // One octet flipped, and one address moved to another person's row.
    place.sql(
        "UPDATE subjects SET sealed_address =
             CAST(substr(sealed_address, 1, 20) || x'00' || substr(sealed_address, 22) AS BLOB) WHERE id = 3",
    );
    let (_, second) = sealed(2);
    place.sql(&format!(
        "UPDATE subjects SET sealed_address = x'{}' WHERE id = 5",
        keys::hex(second.iter())
    ));
    for (kind, resumed) in [
        (Kind::Lookup, false),
        (Kind::Lookup, true),
        (Kind::Seal, false),
    ] {
        let rotated = rotate(&register, kind);
        assert_eq!((rotated.generation, rotated.resumed), (2, resumed));
        let carried = if resumed { 0 } else { 28 };
        assert_eq!((rotated.carried, rotated.damaged), (carried, 2));
        assert_eq!(rotated.damaged_subjects.len(), 2);
        assert!(rotated.retired.is_empty());
        assert_eq!(rotated.tallies, [tally(1, 2, 0), tally(2, 28, 0)]);
        assert!(register.rotation_outlook(kind).unwrap().unfinished);
    }
    // A withdrawal is taken all the same, and with the address at hand the row is whole again.
    for (number, left) in [(2, 1), (4, 0)] {
        let no = row(&address(number), ChangeKind::Withdrawn, LATER);
        register.record(&no, now()).unwrap();
        assert_eq!(state(&register, &address(number)), State::Withdrawn);
        let yes = row(&address(number), ChangeKind::Granted, LAST);
        register.record(&yes, now()).unwrap();
        let rotated = rotate(&register, Kind::Lookup);
        assert_eq!((rotated.generation, rotated.resumed), (2, true));
        assert_eq!(rotated.damaged, left);
    }
    rotate(&register, Kind::Seal);
    assert!(!register.rotation_outlook(Kind::Seal).unwrap().unfinished);
    register.verify(&[]).unwrap();
    let everybody: Vec<String> = (0..30).map(address).collect();
    let found = states(&register, &everybody);
    assert!(found.iter().all(|state| *state == State::Granted));
}

#[test]
fn a_row_that_names_another_person_is_not_made_right_by_carrying_it() {
    let place = Place::new();
    let register = place.open();
    write(&register, &grants(3));
    // Somebody with the sealing key: the address of another opens in this row.
    let connection = Connection::open(place.path("consent.db")).unwrap();
    let person = super::super::people::by_id(&connection, 2).unwrap();
    let sealed = super::super::people::seal(
        &register.keys(),
        "shop",
        &person.seed,
        &person.subject,
        "mallory@example.net",
    )
    .unwrap();
    connection
        .execute(
            "UPDATE subjects SET sealed_address = ?1 WHERE id = 2",
            params![sealed],
        )
        .unwrap();
    let rotated = rotate(&register, Kind::Lookup);
    assert_eq!((rotated.carried, rotated.damaged), (2, 1));
    assert_eq!(rotated.damaged_subjects, [person.subject.to_string()]);
    assert_eq!(state(&register, "mallory@example.net"), State::Unknown);
    assert_eq!(state(&register, &address(1)), State::Granted);
}

#[test]
fn one_rotation_at_a_time_and_only_of_keys_that_have_generations() {
    let place = Place::new();
    let register = place.open();
    write(&register, &grants(3));
    let other = place.open();
    let mut refused = 0;
    register
        .rotate(Kind::Lookup, &mut |_| {
            let error = other.rotate(Kind::Seal, &mut |_| {}).unwrap_err();
            assert!(matches!(error, RotateError::Elsewhere { .. }), "{error}");
            assert!(error.is_transient());
            refused += 1;
        })
        .unwrap();
    assert!(refused >= 4, "{refused}");
    rotate(&other, Kind::Seal);
    for kind in [Kind::Chain, Kind::Defence, Kind::Ledger] {
        let error = register.rotate(kind, &mut |_| {}).unwrap_err();
        assert!(matches!(error, RotateError::Single { .. }), "{error}");
        assert!(register.rotation_outlook(kind).is_err());
    }
}

#[test]
fn an_outlook_makes_and_writes_nothing() {
    let place = Place::new();
    let register = place.open();
    write(&register, &grants(3));
    let listing = || -> Vec<_> {
        let names = place.path("keys").read_dir().unwrap();
        names.map(|entry| entry.unwrap().file_name()).collect()
    };
    let before = listing();
    register.rotation_outlook(Kind::Lookup).unwrap();
    register.rotation_outlook(Kind::Seal).unwrap();
    assert_eq!(listing(), before);
    assert_eq!(register.keys().generations().lookup, 1);
}

#[test]
fn a_key_that_was_made_and_not_used_is_never_used_later() {
    let place = Place::new();
    let register = place.open();
    write(&register, &grants(3));
    register.keys().with_new(Kind::Lookup, 2).unwrap();
    let register = place.open();
    assert_eq!(register.keys().generations().lookup, 1);
    let rotated = rotate(&register, Kind::Lookup);
    assert_eq!((rotated.generation, rotated.strangers), (3, vec![2]));
    assert_eq!(state(&register, &address(1)), State::Granted);
    // As many as are looked up, and no more.
    for generation in 4..=16 {
        rotate(&register, Kind::Lookup);
        assert_eq!(register.keys().generations().lookup, generation);
    }
    let error = register.rotate(Kind::Lookup, &mut |_| {}).unwrap_err();
    assert!(matches!(error, RotateError::Full { .. }), "{error}");
    let error = register.rotation_outlook(Kind::Lookup).unwrap_err();
    assert!(matches!(error, RotateError::Full { .. }), "{error}");
    assert_eq!(state(&register, &address(1)), State::Granted);
}

#[test]
fn nothing_of_the_old_values_is_left_in_the_files() {
    let place = Place::new();
    let register = place.open();
    write(&register, &grants(500));
    let old = register.keys().subject("shop", &address(77));
    let holds = || {
        ["consent.db", "consent.db-wal"].iter().any(|name| {
            let octets = std::fs::read(place.path(name)).unwrap_or_default();
            memchr::memmem::find(&octets, old.as_bytes()).is_some()
        })
    };
    assert!(holds());
    let rotated = rotate(&register, Kind::Lookup);
    assert!(rotated.log_emptied);
    assert!(!holds(), "the hash under a leaked key is still to be read");
}
