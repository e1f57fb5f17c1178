use std::path::Path;

use super::super::file;
use super::*;

/// A register as far as keys are concerned, and a key directory.
struct Place {
    directory: tempfile::TempDir,
    connection: Connection,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch(include_str!("../../schema.sql"))
            .unwrap();
        let place = Self {
            directory,
            connection,
        };
        inscribe(&place.connection, &place.keys()).unwrap();
        place
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn keys(&self) -> Keys {
        Keys::open(self.path()).unwrap()
    }

    fn ring(&self) -> KeyRing {
        KeyRing::new(Path::new("consent.db"), Arc::new(self.keys()))
    }

    /// What another process does that rotates.
    fn rotate(&self, kind: Kind, generation: u32) {
        let keys = self.keys().with_new(kind, generation).unwrap();
        add(&self.connection, &keys, kind, generation).unwrap();
    }

    fn retire(&self, generation: u32) {
        self.connection
            .execute(
                "UPDATE fingerprints SET retired_at = 1 WHERE generation = ?1",
                params![generation],
            )
            .unwrap();
    }

    fn refused(&self) -> RegisterError {
        self.ring().recognise(&self.connection).unwrap_err()
    }
}

#[test]
fn the_current_generation_is_what_the_register_says_and_not_the_highest_file() {
    let place = Place::new();
    place.keys().with_new(Kind::Lookup, 2).unwrap();
    place.keys().with_new(Kind::Seal, 2).unwrap();
    let ring = place.ring();
    assert_eq!(ring.now().generations().lookup, 2, "no register was asked");
    ring.recognise(&place.connection).unwrap();
    let first = Generations { lookup: 1, seal: 1 };
    assert_eq!(ring.now().generations(), first);
    assert_eq!(generations(&place.connection).unwrap(), first);
}

#[test]
fn a_running_process_follows_a_rotation_and_asks_again() {
    let place = Place::new();
    let ring = place.ring();
    ring.recognise(&place.connection).unwrap();
    let before = ring.now();
    let asked = before.identity("shop", "a@x");
    ring.check_lookup(&place.connection, asked.generation())
        .unwrap();
    ring.check(&place.connection, &before).unwrap();
    place.rotate(Kind::Lookup, 2);
    for answer in [
        ring.check_lookup(&place.connection, asked.generation()),
        ring.check(&place.connection, &before),
    ] {
        let error = answer.unwrap_err();
        assert!(matches!(error, RegisterError::KeysRotated), "{error}");
        assert!(error.is_transient());
    }
    let after = ring.now();
    let again = after.identity("shop", "a@x");
    ring.check_lookup(&place.connection, again.generation())
        .unwrap();
    ring.check(&place.connection, &after).unwrap();
    assert_eq!(again.all(), [again.current(), asked.current()]);
    // A sealing key concerns who writes, and nobody who looks up.
    place.rotate(Kind::Seal, 2);
    ring.check_lookup(&place.connection, again.generation())
        .unwrap();
    let error = ring.check(&place.connection, &after).unwrap_err();
    assert!(matches!(error, RegisterError::KeysRotated), "{error}");
    assert_eq!(ring.now().generations(), Generations { lookup: 2, seal: 2 });
}

#[test]
fn a_process_without_the_new_file_says_which_and_goes_on_when_it_is_there() {
    let place = Place::new();
    let ring = place.ring();
    place.rotate(Kind::Lookup, 2);
    let (file, aside) = (
        place.path().join("lookup-2.key"),
        place.path().join("lookup-2.key.aside"),
    );
    std::fs::rename(&file, &aside).unwrap();
    for _ in 0..2 {
        let error = ring.check_lookup(&place.connection, 1).unwrap_err();
        assert!(matches!(error, RegisterError::MissingKey { .. }), "{error}");
        let text = error.to_string();
        assert!(
            text.contains("lookup-2.key") && text.contains("consent.db"),
            "{text}"
        );
        assert!(!error.is_transient());
    }
    assert_eq!(ring.now().generations().lookup, 1);
    std::fs::rename(&aside, &file).unwrap();
    let error = ring.check_lookup(&place.connection, 1).unwrap_err();
    assert!(matches!(error, RegisterError::KeysRotated), "{error}");
    assert_eq!(ring.now().generations().lookup, 2);
}

#[test]
fn every_key_of_a_register_is_compared_each_generation() {
    for (kind, generation) in [
        (Kind::Lookup, 1),
        (Kind::Lookup, 2),
        (Kind::Seal, 1),
        (Kind::Chain, 1),
        (Kind::Defence, 1),
    ] {
        let place = Place::new();
        place.rotate(Kind::Lookup, 2);
        let path = file::path(place.path(), kind, generation);
        std::fs::remove_file(&path).unwrap();
        file::make(place.path(), kind, generation).unwrap();
        let error = place.refused();
        assert!(matches!(error, RegisterError::OtherKey { .. }), "{error}");
        let text = error.to_string();
        let word = format!("{} key {generation}", kind.as_str());
        let theirs: String = place
            .connection
            .query_row(
                "SELECT fingerprint FROM fingerprints WHERE kind = ?1 AND generation = ?2",
                params![kind.as_str(), generation],
                |row| row.get(0),
            )
            .unwrap();
        let directory = place.path().display().to_string();
        for part in ["consent.db", &word, &theirs, &directory] {
            assert!(text.contains(part), "{text} lacks {part}");
        }
        let value = std::fs::read_to_string(&path).unwrap();
        let digits = value.trim().rsplit(' ').next().unwrap();
        assert!(!text.contains(digits));
    }
}

#[test]
fn an_older_generation_may_be_missing_only_when_nothing_stands_under_it() {
    let place = Place::new();
    place.rotate(Kind::Lookup, 2);
    place.rotate(Kind::Lookup, 4);
    let remove =
        |generation| std::fs::remove_file(file::path(place.path(), Kind::Lookup, generation));
    remove(2).unwrap();
    let error = place.refused();
    assert!(
        matches!(&error, RegisterError::MissingKey { generation: 2, file, .. } if file.ends_with("lookup-2.key")),
        "{error}"
    );
    place.retire(2);
    let ring = place.ring();
    ring.recognise(&place.connection).unwrap();
    assert_eq!(ring.now().identity("shop", "a@x").all().len(), 2);
    // Another key under the name of a retired one is still another key: old ledger lines would not be found under it.
    file::make(place.path(), Kind::Lookup, 2).unwrap();
    let error = place.refused();
    assert!(matches!(error, RegisterError::OtherKey { .. }), "{error}");
}

#[test]
fn a_register_that_names_no_key_of_some_kind_is_damaged() {
    for kind in ["lookup", "seal", "chain", "defence"] {
        let place = Place::new();
        place
            .connection
            .execute("DELETE FROM fingerprints WHERE kind = ?1", params![kind])
            .unwrap();
        let error = place.refused();
        assert!(
            matches!(error, RegisterError::Damaged(_)),
            "{kind}: {error}"
        );
    }
    let place = Place::new();
    place
        .connection
        .execute_batch("INSERT INTO fingerprints (kind, generation, fingerprint) VALUES ('front_door', 1, 'x')")
        .unwrap();
    assert!(matches!(place.refused(), RegisterError::Damaged(_)));
}

#[test]
fn a_new_register_takes_the_newest_key_and_no_older_one() {
    let place = Place::new();
    place.rotate(Kind::Lookup, 2);
    let other = Connection::open_in_memory().unwrap();
    other
        .execute_batch(include_str!("../../schema.sql"))
        .unwrap();
    inscribe(&other, &place.keys()).unwrap();
    assert_eq!(known_generations(&other, Kind::Lookup).unwrap(), [2]);
    // The older register's keys may go, then, as far as this one is concerned.
    std::fs::remove_file(place.path().join("lookup-1.key")).unwrap();
    place.ring().recognise(&other).unwrap();
}
