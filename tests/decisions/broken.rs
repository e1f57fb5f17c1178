//! What breaks while the relay runs: nothing is kept, mail is delivered, and it heals without a restart.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::scene::{KNOWN, NADIA, OTTO, Scene, letter, stream};

const A: &str = "campaign_performance";

fn scene() -> Scene {
    let scene = Scene::start(&stream("letters", "marketing", ""));
    scene.grant(NADIA, &[A]);
    assert!(scene.verdict(NADIA, &letter()).0, "kept at first");
    scene
}

fn not_asked(scene: &Scene) {
    let began = Instant::now();
    let told = scene.deliver(&[NADIA], &letter());
    assert!(told.reply.starts_with("250 "), "{}", told.reply);
    assert!(!told.has(KNOWN));
    assert_eq!(told.reason(0, 0), "store_unavailable");
    assert!(told.intent.get("looked_up_at").is_none(), "{}", told.intent);
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "the wait for the register is bounded"
    );
}

/// Moves the register's files away, so that the next look-up opens what stands there instead.
fn put_aside(scene: &Scene) -> Vec<(PathBuf, PathBuf)> {
    ["consent.db", "consent.db-wal", "consent.db-shm"]
        .iter()
        .filter_map(|name| {
            let (here, there) = (scene.place(name), scene.place(&format!("aside-{name}")));
            fs::rename(&here, &there).ok().map(|()| (here, there))
        })
        .collect()
}

fn put_back(files: Vec<(PathBuf, PathBuf)>) {
    for (here, there) in files {
        fs::rename(there, here).unwrap();
    }
}

#[test]
fn a_register_that_is_gone() {
    let scene = scene();
    let files = put_aside(&scene);
    not_asked(&scene);
    put_back(files);
    assert!(scene.verdict(NADIA, &letter()).0, "healed");
    scene.finish();
}

#[test]
fn a_register_that_is_corrupt() {
    let scene = scene();
    let files = put_aside(&scene);
    fs::write(scene.place("consent.db"), "no database ".repeat(1_000)).unwrap();
    not_asked(&scene);
    fs::remove_file(scene.place("consent.db")).unwrap();
    put_back(files);
    assert!(scene.verdict(NADIA, &letter()).0, "healed");
    scene.finish();
}

/// A page in the middle is torn; what the file still says in its first page does not count.
#[test]
fn a_register_with_torn_pages() {
    let scene = scene();
    Connection::open(scene.place("consent.db"))
        .unwrap()
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .unwrap();
    let mut octets = fs::read(scene.place("consent.db")).unwrap();
    assert!(octets.len() > 8_192);
    octets[4_096..].fill(0xa5);
    let files = put_aside(&scene);
    fs::write(scene.place("consent.db"), octets).unwrap();
    not_asked(&scene);
    for name in ["consent.db", "consent.db-wal", "consent.db-shm"] {
        let _ = fs::remove_file(scene.place(name));
    }
    put_back(files);
    assert!(scene.verdict(NADIA, &letter()).0, "healed");
    scene.finish();
}

/// An empty file of the right name is not an empty register.
#[test]
fn a_register_that_is_empty() {
    let scene = scene();
    let files = put_aside(&scene);
    fs::write(scene.place("consent.db"), "").unwrap();
    not_asked(&scene);
    for name in ["consent.db", "consent.db-wal", "consent.db-shm"] {
        let _ = fs::remove_file(scene.place(name));
    }
    put_back(files);
    assert!(scene.verdict(NADIA, &letter()).0, "healed");
    scene.finish();
}

#[test]
fn a_register_that_somebody_holds_locked() {
    let scene = scene();
    let copy = scene.place("copy.db");
    let database = Connection::open(scene.place("consent.db")).unwrap();
    database
        .execute("VACUUM INTO ?1", [copy.to_str().unwrap()])
        .unwrap();
    drop(database);
    // Outside WAL a writer that commits keeps readers out.
    let holder = Connection::open(&copy).unwrap();
    holder.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let files = put_aside(&scene);
    fs::rename(&copy, scene.place("consent.db")).unwrap();
    not_asked(&scene);
    holder.execute_batch("COMMIT").unwrap();
    drop(holder);
    assert!(scene.verdict(NADIA, &letter()).0, "free again");
    fs::remove_file(scene.place("consent.db")).unwrap();
    put_back(files);
    assert!(scene.verdict(NADIA, &letter()).0, "the old one is back");
    scene.finish();
}

/// The register of another key: its subjects would all be strangers, or worse.
#[test]
fn a_register_made_with_another_key() {
    let scene = scene();
    let other = Scene::start(&stream("letters", "marketing", ""));
    other.grant(OTTO, &[A]);
    let files = put_aside(&scene);
    Connection::open(other.place("consent.db"))
        .unwrap()
        .execute(
            "VACUUM INTO ?1",
            [scene.place("consent.db").to_str().unwrap()],
        )
        .unwrap();
    not_asked(&scene);
    fs::remove_file(scene.place("consent.db")).unwrap();
    put_back(files);
    other.finish();
    scene.finish();
}

/// The ledger's directory gone, a file in its place.
pub(crate) struct Away {
    here: PathBuf,
    there: PathBuf,
}

pub(crate) fn take_the_ledger_away(scene: &Scene) -> Away {
    let away = Away {
        here: scene.place("ledger"),
        there: scene.place("ledger-away"),
    };
    fs::rename(&away.here, &away.there).unwrap();
    fs::write(&away.here, "in the way").unwrap();
    away
}

impl Away {
    pub(crate) fn back(self) {
        fs::remove_file(&self.here).unwrap();
        fs::rename(&self.there, &self.here).unwrap();
    }
}

#[test]
fn a_ledger_that_cannot_be_written_keeps_nothing_and_tells_the_gap() {
    let scene = scene();
    let away = take_the_ledger_away(&scene);
    let reply = crate::fixture::send(
        &scene.served,
        "<letter@news.example>",
        &[NADIA, OTTO],
        &letter(),
    );
    assert!(reply.starts_with("250 "), "{reply}");
    let copies = crate::fixture::take_outbox(&scene.served);
    assert_eq!(copies.len(), 1, "the same for both: stripped");
    assert!(
        !copies[0]
            .message
            .escape_ascii()
            .to_string()
            .contains("upn=")
    );
    away.back();
    assert!(scene.verdict(NADIA, &letter()).0, "kept again");
    let gaps = scene.lines("gap");
    assert_eq!(gaps.len(), 1);
    assert_eq!(
        (&gaps[0]["cause"], &gaps[0]["lines"]),
        (&"not_written".into(), &2.into()),
        "an intent and an outcome"
    );
    scene.finish();
}
