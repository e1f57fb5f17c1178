use std::fs;

use jiff::{SignedDuration, Timestamp};

use super::{HOLDS, Holds};

const DAY: u32 = 86_400;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

#[test]
fn the_first_sight_is_kept_across_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let holds = Holds::open(directory.path(), DAY);
    assert_eq!(holds.first_seen("a", at(100)), at(100));
    assert_eq!(holds.first_seen("a", at(200)), at(100));
    drop(holds);
    let holds = Holds::open(directory.path(), DAY);
    assert_eq!(holds.first_seen("a", at(300)), at(100));
    assert_eq!(holds.first_seen("b", at(300)), at(300));
}

#[test]
fn a_lost_or_damaged_table_starts_the_wait_anew() {
    for damage in ["", "{", "{\"version\":9,\"first_seen\":{}}", "\0\0\0"] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("holds.json");
        Holds::open(directory.path(), DAY).first_seen("a", at(100));
        assert!(path.exists());
        fs::write(&path, damage).unwrap();
        let holds = Holds::open(directory.path(), DAY);
        assert_eq!(holds.first_seen("a", at(300)), at(300), "{damage:?}");
    }
}

#[test]
fn a_table_too_large_is_not_read() {
    let directory = tempfile::tempdir().unwrap();
    let file = fs::File::create(directory.path().join("holds.json")).unwrap();
    file.set_len(super::FILE_OCTETS + 1).unwrap();
    let holds = Holds::open(directory.path(), DAY);
    assert_eq!(holds.first_seen("a", at(300)), at(300));
}

#[test]
fn a_full_table_gives_up_the_oldest() {
    let directory = tempfile::tempdir().unwrap();
    let holds = Holds::open(directory.path(), u32::MAX);
    {
        let mut table = holds.table.lock().unwrap();
        for n in 0..HOLDS {
            let first = at(1_000 + i64::try_from(n).unwrap());
            table.insert(format!("{n:05}"), first);
        }
    }
    let now = at(1_000_000);
    assert_eq!(holds.first_seen("new", now), now);
    assert_eq!(holds.first_seen("00001", now), at(1_001));
    assert_eq!(holds.table.lock().unwrap().len(), HOLDS);
    assert_eq!(holds.first_seen("00000", now), now, "the oldest had to go");
    let again = Holds::open(directory.path(), u32::MAX);
    assert_eq!(
        again.first_seen("new", now + SignedDuration::from_secs(9)),
        now
    );
}

#[test]
fn what_is_older_than_any_entry_is_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let holds = Holds::open(directory.path(), DAY);
    holds.first_seen("old", at(0));
    holds.first_seen("new", at(i64::from(DAY)));
    let table = holds.table.lock().unwrap();
    assert_eq!(table.keys().collect::<Vec<_>>(), ["new"]);
}

#[test]
fn a_first_sight_in_the_future_counts_from_now() {
    let directory = tempfile::tempdir().unwrap();
    let holds = Holds::open(directory.path(), DAY);
    holds.first_seen("a", at(9_000));
    assert_eq!(holds.first_seen("a", at(100)), at(100));
}

#[test]
fn a_table_that_cannot_be_written_lives_in_memory() {
    let directory = tempfile::tempdir().unwrap();
    let holds = Holds::open(&directory.path().join("gone"), DAY);
    assert_eq!(holds.first_seen("a", at(100)), at(100));
    assert_eq!(holds.first_seen("a", at(200)), at(100));
}
