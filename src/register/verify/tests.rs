use rusqlite::Connection;

use super::super::tests::{Place, grant, moment, now, row};
use super::super::{Head, Recorded, Register, RegisterError, Row, RowEntry, chain};
use crate::consent::{AddressKind, Assertion, ChangeKind, Contact, Form, Purpose};

const ANNA: &str = "anna@example.net";
const BEN: &str = "ben@example.net";

/// Two people and a third who is erased, in one chain; another controller beside it.
fn filled(place: &Place) -> Register {
    let register = place.open();
    let shown = |address: &str| {
        let mut row = grant(address);
        if let RowEntry::Change(said) = &mut row.entry {
            said.form.controllers_shown = ["partner".to_owned()].into();
        }
        row
    };
    for row in [
        grant(ANNA),
        shown(BEN),
        row(ANNA, ChangeKind::Withdrawn, "2026-06-01T00:00:00Z"),
        grant("carl@example.net"),
        Row {
            controller: "bank".into(),
            ..grant(ANNA)
        },
    ] {
        assert_eq!(register.record(&row, now()).unwrap(), Recorded::New);
    }
    let contact = Contact {
        informed_at: Some(moment("2026-06-10T00:00:00Z")),
        informed_purposes: [Purpose::CampaignPerformance].into(),
        country: Some("FR".into()),
        address_kind: Some(AddressKind::Personal),
        ..Contact::default()
    };
    for address in [BEN, "carl@example.net"] {
        register
            .record_contact("shop", address, &contact, now())
            .unwrap();
    }
    let erasure = register
        .erase("shop", "carl@example.net", now(), now())
        .unwrap();
    assert_eq!((erasure.blanked, erasure.defended), (2, 2));
    register
}

fn refused(register: &Register, heads: &[Head]) -> (String, u64, String) {
    match register.verify(heads) {
        Err(RegisterError::Unverified {
            controller,
            n,
            problem,
        }) => (controller, n, problem),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_register_that_nobody_touched_verifies_and_shows_its_heads() {
    let place = Place::new();
    let register = filled(&place);
    let verified = register.verify(&[]).unwrap();
    assert_eq!(verified.subjects, 4);
    assert_eq!(
        (
            verified.changes,
            verified.contacts,
            verified.blanked,
            verified.notes,
            verified.defences
        ),
        (5, 1, 2, 1, 1)
    );
    assert_eq!(verified.heads, register.heads().unwrap());
    let heads: Vec<_> = verified
        .heads
        .iter()
        .map(|head| (head.controller.as_str(), head.n))
        .collect();
    assert_eq!(heads, [("bank", 1), ("shop", 8)]);
    register.verify(&verified.heads).unwrap();
    // A head of yesterday holds for ever.
    register.record(&grant("dora@example.net"), now()).unwrap();
    register.verify(&verified.heads).unwrap();
}

/// What somebody with the file and without the keys may do to it, and what is said of it.
const FORGERIES: &[(&str, &str)] = &[
    // flipped octets
    ("UPDATE records SET payload = replace(payload, 'granted', 'refused') WHERE controller = 1 AND n = 2", "not the record"),
    ("UPDATE records SET payload = replace(payload, '2026-06-01', '2026-04-01') WHERE controller = 1 AND n = 3", "not the record"),
    ("UPDATE records SET salt = zeroblob(16) WHERE controller = 1 AND n = 1", "not the record"),
    ("UPDATE records SET hash = zeroblob(32) WHERE controller = 1 AND n = 8", "not the record"),
    ("UPDATE records SET id = randomblob(16) WHERE kind = 'erasure'", "another name than its place"),
    ("UPDATE subjects SET generation = 7 WHERE id = 1", "lookup-7.key is not there"),
    ("UPDATE records SET commitment = zeroblob(32) WHERE commitment IS NOT NULL", "not the record"),
    ("UPDATE evidence SET body = replace(body, 'partner', 'another')", "evidence is not what"),
    ("UPDATE evidence SET body = replace(body, 'partner', 'another'), sha256 = zeroblob(32)
      WHERE body LIKE '%partner%'", "evidence is not what"),
    ("UPDATE records SET evidence = (SELECT max(id) FROM evidence) WHERE controller = 1 AND n = 1", "not the record"),
    ("UPDATE records SET id = zeroblob(16) WHERE controller = 1 AND n = 2", "another name"),
    ("UPDATE records SET kind = 'contact' WHERE controller = 1 AND n = 2", "record"),
    // what is written beside
    ("UPDATE standings SET state = 'granted' WHERE state = 'withdrawn'", "the standing is not"),
    ("UPDATE standings SET at = at + 1 WHERE person = 1", "the standing is not"),
    ("DELETE FROM standings WHERE person = 1", "the standing is not"),
    ("DELETE FROM standings WHERE person = 3", "the standing is not"),
    ("UPDATE standings SET evidence = NULL", "the standing is not"),
    ("INSERT INTO standings SELECT 99, purpose, 'granted', at, proof, NULL FROM standings WHERE person = 1", "belong to nobody"),
    ("UPDATE subjects SET contact = replace(contact, 'FR', 'IT')", "contact records say"),
    ("UPDATE subjects SET contact = NULL WHERE id = 2", "contact records say"),
    ("UPDATE subjects SET erased_at = NULL", "moment of erasure"),
    ("UPDATE subjects SET erased_at = erased_at - 1 WHERE erased_at IS NOT NULL", "moment of erasure"),
    // removed, reordered, moved
    ("DELETE FROM records WHERE controller = 1 AND n = 3", "is missing"),
    ("DELETE FROM records WHERE controller = 1 AND n = 1", "is missing"),
    ("DELETE FROM records WHERE controller = 1 AND n = 8", "which is not there"),
    ("UPDATE records SET n = 100 WHERE controller = 1 AND n = 2;
      UPDATE records SET n = 2 WHERE controller = 1 AND n = 3;
      UPDATE records SET n = 3 WHERE controller = 1 AND n = 100", "not the record"),
    ("UPDATE records SET person = 2 WHERE controller = 1 AND n = 1", "another person"),
    ("UPDATE records SET person = 2 WHERE payload IS NULL", "other names or people"),
    ("UPDATE records SET id = randomblob(16) WHERE payload IS NULL AND n = 4", "other names or people"),
    ("UPDATE subjects SET subject = zeroblob(32) WHERE id = 3", "under another hash"),
    ("UPDATE subjects SET subject = zeroblob(32) WHERE id = 1", "damaged"),
    ("UPDATE subjects SET sealed_address = NULL WHERE id = 1", "has no address"),
    ("UPDATE subjects SET sealed_address = (SELECT sealed_address FROM subjects WHERE id = 1) WHERE id = 2", "damaged"),
    ("UPDATE subjects SET sealed_address = (SELECT sealed_address FROM subjects WHERE id = 1) WHERE id = 3", "still there"),
    // one person put in another's place, sealed address and all, then with what names the records
    (EXCHANGED, "damaged"),
    ("UPDATE subjects SET seed = zeroblob(16) WHERE id = 3", "another name"),
    ("UPDATE subjects SET seed = zeroblob(16) WHERE id = 2", "another name"),
    // tombstone and note
    ("DELETE FROM records WHERE controller = 1 AND n = 7", "is missing"),
    ("UPDATE records SET blanked_by = 7 WHERE blanked_by = 8", "blanks others than"),
    ("UPDATE records SET commitment = NULL, blanked_by = NULL WHERE n = 4", "neither whole nor blanked"),
    ("UPDATE records SET payload = NULL, salt = NULL, evidence = NULL, blanked_by = 8, commitment = zeroblob(32)
      WHERE controller = 1 AND n = 3", "not the record"),
    ("DELETE FROM defence", "not there"),
    ("UPDATE defence SET sealed = zeroblob(100)", "no erasure made"),
    ("INSERT INTO defence SELECT 77, person, made_at, sealed FROM defence", "no erasure made"),
    ("UPDATE records SET controller = 77 WHERE controller = 2", "belong to no chain"),
];

const EXCHANGED: &str = "CREATE TEMP TABLE t AS SELECT id, subject, sealed_address FROM subjects WHERE id IN (1, 2);
    UPDATE subjects SET subject = randomblob(32) WHERE id IN (1, 2);
    UPDATE subjects SET subject = (SELECT subject FROM t WHERE t.id = 3 - subjects.id),
        sealed_address = (SELECT sealed_address FROM t WHERE t.id = 3 - subjects.id) WHERE id IN (1, 2)";

#[test]
fn every_forgery_without_the_keys_is_found() {
    let mut missed = Vec::new();
    for (forgery, said) in FORGERIES {
        let place = Place::new();
        let register = filled(&place);
        let connection = Connection::open(place.file()).unwrap();
        let before: i64 = changes(&connection);
        connection
            .execute_batch("PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON")
            .unwrap();
        connection.execute_batch(forgery).unwrap();
        assert!(changes(&connection) > before, "changed nothing: {forgery}");
        match register.verify(&[]) {
            Err(error @ RegisterError::Unverified { .. }) if error.to_string().contains(said) => {}
            other => missed.push(format!("{forgery}: {other:?}")),
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}

fn changes(connection: &Connection) -> i64 {
    connection
        .query_row("SELECT total_changes()", [], |row| row.get(0))
        .unwrap()
}

#[test]
fn the_error_names_controller_and_record() {
    let place = Place::new();
    let register = filled(&place);
    let connection = Connection::open(place.file()).unwrap();
    connection
        .execute(
            "UPDATE records SET salt = zeroblob(16) WHERE controller = 1 AND n = 3",
            [],
        )
        .unwrap();
    let (controller, n, _) = refused(&register, &[]);
    assert_eq!((controller.as_str(), n), ("shop", 3));
    let text = register.verify(&[]).unwrap_err().to_string();
    assert!(!text.contains('@'), "{text}");
}

#[test]
fn a_chain_that_was_cut_or_recomputed_with_the_key_shows_against_a_head() {
    let place = Place::new();
    let register = filled(&place);
    register.record(&grant("dora@example.net"), now()).unwrap();
    let heads = register.heads().unwrap();
    let connection = Connection::open(place.file()).unwrap();
    // The last record and all that it did, gone: without the head nobody can know that it was there.
    connection
        .execute_batch(
            "PRAGMA foreign_keys = OFF; DELETE FROM records WHERE controller = 1 AND n = 9;
             DELETE FROM standings WHERE person = 5; DELETE FROM subjects WHERE id = 5",
        )
        .unwrap();
    register.verify(&[]).unwrap();
    let (controller, n, problem) = refused(&register, &heads);
    assert_eq!((controller.as_str(), n), ("shop", 9));
    assert!(problem.contains("ends at 8"), "{problem}");
    // Somebody with the key writes the same number again.
    register.record(&grant("emil@example.net"), now()).unwrap();
    register.verify(&[]).unwrap();
    let (_, n, problem) = refused(&register, &heads);
    assert_eq!(n, 9);
    assert!(problem.contains("written down as head"), "{problem}");
    let unknown = Head {
        controller: "nobody".into(),
        n: 1,
        hash: "00".repeat(32),
    };
    assert!(refused(&register, &[unknown]).2.contains("no such chain"));
}

#[test]
fn the_whole_chain_recomputed_with_the_key_shows_against_a_head_only() {
    let place = Place::new();
    let register = filled(&place);
    let heads = register.heads().unwrap();
    let keys = place.keys();
    let connection = Connection::open(place.file()).unwrap();
    // Ben's grant is received an hour earlier, and everything after it is signed again.
    connection
        .execute(
            "UPDATE records SET payload = replace(payload, 'recorded_at\":\"2026-11-22T12', 'recorded_at\":\"2026-11-22T11')
             WHERE controller = 1 AND n = 2",
            [],
        )
        .unwrap();
    let mut statement = connection
        .prepare(
            "SELECT n, salt, payload, commitment, (SELECT sha256 FROM evidence e WHERE e.id = r.evidence)
             FROM records r WHERE controller = 1 ORDER BY n",
        )
        .unwrap();
    let mut rows = statement.query([]).unwrap();
    let mut previous = chain::beginning(keys.chain(), "shop");
    while let Some(row) = rows.next().unwrap() {
        let n: i64 = row.get(0).unwrap();
        let commitment: Option<[u8; 32]> = row.get(3).unwrap();
        let commitment = commitment.unwrap_or_else(|| {
            let (salt, payload): (Vec<u8>, String) = (row.get(1).unwrap(), row.get(2).unwrap());
            let sha256: Option<[u8; 32]> = row.get(4).unwrap();
            chain::commitment(&salt, &payload, sha256.as_ref())
        });
        previous = chain::link(keys.chain(), &previous, n, &commitment);
        connection
            .execute(
                "UPDATE records SET hash = ?2 WHERE controller = 1 AND n = ?1",
                rusqlite::params![n, previous],
            )
            .unwrap();
    }
    register.verify(&[]).unwrap();
    assert_eq!(refused(&register, &heads).1, 8);
}

#[test]
fn set_erased_does_what_erase_does() {
    let place = Place::new();
    let register = place.open();
    register.record(&grant(ANNA), now()).unwrap();
    let erased = Row {
        controller: "shop".into(),
        address: ANNA.into(),
        entry: RowEntry::Change(Assertion {
            at: Some(now()),
            form: Form {
                channel: Some("phone".into()),
                ..Form::default()
            },
            ..Assertion::new(ChangeKind::Erased)
        }),
    };
    assert_eq!(register.record(&erased, now()).unwrap(), Recorded::New);
    let history = register.history("shop", ANNA).unwrap();
    assert_eq!(history.address, None);
    assert_eq!(history.erased_at, Some(now()));
    assert_eq!(history.changes.len(), 1);
    assert_eq!(history.blanked.len(), 1);
    assert_eq!(history.blanked[0].blanked.rule, "erased");
    let gone = register.proof(&history.blanked[0].id).unwrap().unwrap();
    assert!(gone.change.is_none() && gone.blanked.is_some());
    // What it rested on can still be answered for.
    let defence = register.defence("shop", ANNA).unwrap();
    assert_eq!(defence[0].changes[0].id, history.blanked[0].id);
    assert_eq!(
        defence[0].changes[0].said.form.channel.as_deref(),
        Some("form")
    );
    // S19: older is not stored, and neither is the very content that was blanked.
    let older = row(ANNA, ChangeKind::Granted, "2026-05-15T00:00:00Z");
    assert_eq!(register.record(&older, now()).unwrap(), Recorded::Erased);
    assert_eq!(
        register.record(&grant(ANNA), now()).unwrap(),
        Recorded::AlreadyThere
    );
    let undated = register
        .record_contact("shop", ANNA, &Contact::default(), now())
        .unwrap();
    assert_eq!(undated, Recorded::Erased);
    assert_eq!(
        register.erase("shop", ANNA, now(), now()).unwrap().recorded,
        Recorded::Erased
    );
    register.verify(&[]).unwrap();
}
