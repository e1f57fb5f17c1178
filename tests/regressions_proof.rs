//! What an attack on the proof found: a withdrawal that an import passed over, an erased person who stayed, a dry run that
//! counted otherwise than the run, what an erasure left in the files; and every history that is honest verifies, in
//! whatever order it came about.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test says by failing where it failed; clippy spares only the functions marked as tests"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use pixelgate::consent::{Assertion, ChangeKind, Contact, Form, Purpose, State};
use pixelgate::register::import::{Evidence, ImportReport, Options};
use pixelgate::register::keys::Kind;
use pixelgate::register::rotate::RotateError;
use pixelgate::register::{Keys, Register, Retention, Row, RowEntry, Settings};

const ANNA: &str = "anna@example.net";
const P: Purpose = Purpose::CampaignPerformance;

fn open(directory: &Path) -> Register {
    let keys = Arc::new(Keys::open(&directory.join("keys")).unwrap());
    let settings = Settings {
        register: format!("sqlite:{}", directory.join("consent.db").display()),
        lookup_timeout_ms: 30_000,
        write_timeout_ms: 60_000,
        ..Settings::default()
    };
    Register::open(&settings, keys).unwrap()
}

fn moment(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn proven(purposes: &[Purpose], at: Timestamp) -> Assertion {
    Assertion {
        purposes: purposes.iter().copied().collect(),
        at: Some(at),
        form: Form {
            channel: Some("form".to_owned()),
            wording_version: Some("v1".to_owned()),
            wording_sha256: Some([7; 32]),
            ..Form::default()
        },
        ..Assertion::new(ChangeKind::Granted)
    }
}

fn row(controller: &str, address: &str, said: Assertion) -> Row {
    Row {
        controller: controller.to_owned(),
        address: address.to_owned(),
        entry: RowEntry::Change(said),
    }
}

fn import(register: &Register, lines: &[String], at: Timestamp, dry_run: bool) -> ImportReport {
    let evidence = Evidence::default();
    let options = Options {
        dry_run,
        ..Options::new(&evidence, at)
    };
    let text = lines.join("\n");
    register
        .import(&mut Cursor::new(text.into_bytes()), &options)
        .unwrap()
}

fn undated(state: &str, purposes: &str) -> String {
    format!(
        "{{\"controller\":\"shop\",\"address\":\"{ANNA}\",\"state\":\"{state}\",\"purposes\":[{purposes}]}}"
    )
}

#[test]
fn two_undated_withdrawals_of_one_person_in_one_list_both_count() {
    let place = tempfile::tempdir().unwrap();
    let register = open(place.path());
    let both = [Purpose::CampaignPerformance, Purpose::Personalisation];
    let list = [
        undated("withdrawn", "\"campaign_performance\""),
        undated("withdrawn", "\"personalisation\""),
    ];
    import(&register, &list, moment("2026-05-01T00:00:00Z"), false);
    let again = proven(&both, moment("2026-06-01T00:00:00Z"));
    let received = moment("2026-06-02T00:00:00Z");
    register
        .record(&row("shop", ANNA, again), received)
        .unwrap();
    let standing = register.get("shop", ANNA).unwrap();
    assert!(
        both.iter()
            .all(|purpose| standing.state(*purpose) == State::Granted)
    );
    // Another list of another day says so again.
    let mut later = list.to_vec();
    later.push(undated("withdrawn", "\"fraud_detection\""));
    let report = import(&register, &later, moment("2026-07-01T00:00:00Z"), false);
    assert_eq!(report.renewed, 2);
    let standing = register.get("shop", ANNA).unwrap();
    for purpose in both {
        assert_eq!(standing.state(purpose), State::Withdrawn, "{purpose:?}");
    }
    // The same list once more is the same statement.
    let grant = proven(&both, moment("2026-07-02T00:00:00Z"));
    let received = moment("2026-07-02T00:00:00Z");
    register
        .record(&row("shop", ANNA, grant), received)
        .unwrap();
    let report = import(&register, &later, moment("2026-07-03T00:00:00Z"), false);
    assert_eq!((report.renewed, report.recorded), (0, 0));
    register.verify(&[]).unwrap();
}

#[test]
fn who_came_back_by_a_contact_alone_is_erased_again_by_an_undated_list() {
    let place = tempfile::tempdir().unwrap();
    let register = open(place.path());
    let list = [undated("erased", "")];
    import(&register, &list, moment("2026-05-01T00:00:00Z"), false);
    let contact = Contact {
        collected_at: Some(moment("2026-06-01T00:00:00Z")),
        country: Some("FR".to_owned()),
        ..Contact::default()
    };
    let received = moment("2026-06-02T00:00:00Z");
    register
        .record_contact("shop", ANNA, &contact, received)
        .unwrap();
    assert!(register.history("shop", ANNA).unwrap().address.is_some());
    let mut later = list.to_vec();
    later.push(undated("erased", "\"campaign_performance\""));
    later.truncate(1);
    later.push(undated("withdrawn", "").replace(ANNA, "ben@example.net"));
    import(&register, &later, moment("2026-07-01T00:00:00Z"), false);
    let history = register.history("shop", ANNA).unwrap();
    assert_eq!(history.address, None);
    assert!(history.contacts.is_empty());
    register.verify(&[]).unwrap();
}

#[test]
fn a_dry_run_counts_what_the_run_then_does() {
    let place = tempfile::tempdir().unwrap();
    let register = open(place.path());
    let at = moment("2026-05-01T00:00:00Z");
    let grant = |address: &str| row("shop", address, proven(&[P], at));
    for address in [ANNA, "ben@example.net"] {
        register.record(&grant(address), at).unwrap();
    }
    register
        .erase(
            "shop",
            "ben@example.net",
            moment("2026-06-01T00:00:00Z"),
            at,
        )
        .unwrap();
    let dated = "{\"controller\":\"shop\",\"address\":\"ben@example.net\",\"state\":\"erased\",\
                 \"at\":\"2026-04-01T00:00:00Z\"}";
    // The same withdrawal twice; and an erasure older than the one that is known.
    let list = [
        undated("withdrawn", ""),
        undated("withdrawn", ""),
        dated.to_owned(),
    ];
    let now = moment("2026-07-01T00:00:00Z");
    let dry = import(&register, &list, now, true);
    let wet = import(&register, &list, now, false);
    assert_eq!(
        ImportReport {
            dry_run: false,
            ..dry
        },
        wet
    );
}

fn found(directory: &Path, mark: &[u8]) -> Vec<String> {
    let mut files = Vec::new();
    for file in ["consent.db", "consent.db-wal"] {
        let octets = std::fs::read(directory.join(file)).unwrap_or_default();
        if octets.windows(mark.len()).any(|window| window == mark) {
            files.push(file.to_owned());
        }
    }
    files
}

#[test]
fn of_what_was_erased_nothing_stays_in_the_files_however_it_was_erased() {
    let place = tempfile::tempdir().unwrap();
    let register = open(place.path());
    let at = moment("2026-05-01T00:00:00Z");
    let marked = |number: usize| {
        let mut said = proven(&[P], at);
        said.source = Some(format!("mark-of-{number:04}-{}", "x".repeat(number % 90)));
        row("shop", &format!("p{number}@example.net"), said)
    };
    let rows: Vec<Row> = (0..400).map(marked).collect();
    register.write_batch(&rows, at).unwrap();
    let sealed: Vec<Vec<u8>> = {
        let reader = rusqlite::Connection::open(place.path().join("consent.db")).unwrap();
        let mut all = reader
            .prepare("SELECT sealed_address FROM subjects ORDER BY id")
            .unwrap();
        let rows = all.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    };
    // Somebody reads meanwhile, so that the log cannot be cut.
    let reader = rusqlite::Connection::open(place.path().join("consent.db")).unwrap();
    reader
        .execute_batch("BEGIN; SELECT count(*) FROM records")
        .ok();
    let count: i64 = reader
        .query_row("SELECT count(*) FROM records", [], |row| row.get(0))
        .unwrap();
    assert_eq!(count, 400);
    let now = moment("2026-07-01T00:00:00Z");
    for number in (0..10).map(|step| step * 7) {
        let address = format!("p{number}@example.net");
        register.erase("shop", &address, now, now).unwrap();
    }
    drop(reader);
    assert!(register.empty_log().unwrap());
    // By a list, in one transaction.
    let erased = |number: usize| {
        format!(
            "{{\"controller\":\"shop\",\"address\":\"p{number}@example.net\",\"state\":\"erased\"}}"
        )
    };
    let list: Vec<String> = (100..300).map(erased).collect();
    import(&register, &list, now, false);
    let gone = (0..10).map(|step| step * 7).chain(100..300);
    for number in gone {
        let mark = format!("mark-of-{number:04}-");
        // The address is gone from both. Of a payload, which holds none, SQLite may leave a copy in the slack of a page that
        // was divided long before; in the log, where the last octets stand, there is none.
        assert_eq!(found(place.path(), &sealed[number]), [""; 0], "{number}");
        let left = found(place.path(), mark.as_bytes());
        assert!(!left.contains(&"consent.db-wal".to_owned()), "{mark}");
    }
    assert_eq!(found(place.path(), b"mark-of-0399-"), ["consent.db"]);
    register.verify(&[]).unwrap();
}

#[test]
fn a_person_who_is_put_under_another_generation_than_their_own_is_found() {
    let place = tempfile::tempdir().unwrap();
    let register = open(place.path());
    let at = moment("2026-05-01T00:00:00Z");
    register
        .record(&row("shop", ANNA, proven(&[P], at)), at)
        .unwrap();
    register.rotate(Kind::Lookup, &mut |_| {}).unwrap();
    register.verify(&[]).unwrap();
    let connection = rusqlite::Connection::open(place.path().join("consent.db")).unwrap();
    let forged = connection
        .execute("UPDATE subjects SET generation = 1", [])
        .unwrap();
    assert_eq!(forged, 1);
    let error = register.verify(&[]).unwrap_err().to_string();
    assert!(error.contains("another key than is said"), "{error}");
}

/// What `pixelgate consent` answers.
fn consent(directory: &Path, arguments: &[&str]) -> (i32, String) {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_pixelgate"))
        .args(["-c", "pixelgate.toml", "consent"])
        .args(arguments)
        .current_dir(directory)
        .output()
        .unwrap();
    let code = output.status.code().unwrap();
    (code, String::from_utf8(output.stderr).unwrap())
}

#[test]
fn nothing_is_no_proof_neither_a_register_that_is_gone_nor_a_ledger_that_never_was() {
    let place = tempfile::tempdir().unwrap();
    let config = "[[listener]]\naddress = \"127.0.0.1:2525\"\n\
                  [[next_hop]]\naddress = \"127.0.0.1:10026\"\n";
    std::fs::write(place.path().join("pixelgate.toml"), config).unwrap();
    let (code, told) = consent(place.path(), &["verify"]);
    assert!(
        code == 65 && told.contains("there is no register"),
        "{told}"
    );
    assert!(!place.path().join("var").exists(), "made by looking");
    let withdrawn = ["set", "--to", ANNA, "--state", "withdrawn"];
    let (code, told) = consent(place.path(), &withdrawn);
    assert_eq!(code, 0, "{told}");
    assert_eq!(consent(place.path(), &["verify"]).0, 0);
    std::fs::create_dir(place.path().join("empty")).unwrap();
    for ledger in ["empty", "nowhere"] {
        let (code, told) = consent(place.path(), &["verify", "--ledger", ledger]);
        assert!(code == 65 || code == 69, "{ledger}: {code} {told}");
    }
}

/// A small generator: the seed says the whole history.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most
    }
}

/// What should be so of one person: when they last said yes, when they last said no.
#[derive(Default)]
struct Expected {
    yes: Option<Timestamp>,
    no: Option<Timestamp>,
    /// Said no once without a date.
    undated: bool,
}

impl Expected {
    fn granted(&self) -> bool {
        self.yes > self.no
    }
}

const PEOPLE: [(&str, &str); 6] = [
    ("shop", ANNA),
    ("bank", ANNA),
    ("shop", "ben@example.net"),
    ("shop", "carl@example.net"),
    ("bank", "dora@example.net"),
    ("shop", "Emil@Example.NET"),
];

fn rotate(register: &Register, lookup: bool) {
    let kind = if lookup { Kind::Lookup } else { Kind::Seal };
    match register.rotate(kind, &mut |_| {}) {
        Ok(rotated) => assert_eq!(rotated.damaged, 0),
        // As many keys as there may be.
        Err(RotateError::Full { .. }) => {}
        Err(error) => panic!("{error}"),
    }
}

fn expire(register: &Register, now: Timestamp) {
    let retention = Retention {
        claims_days: 5,
        superseded_days: 5,
        contacts_superseded_days: 5,
        defence_days: 20,
    };
    register.expire(&retention, now).unwrap();
}

fn some_step(
    register: &Register,
    dice: &mut Dice,
    now: Timestamp,
    expected: &mut BTreeMap<usize, Expected>,
) -> String {
    let who = usize::try_from(dice.roll(6)).unwrap();
    let (controller, address) = PEOPLE[who];
    let person = expected.entry(who).or_default();
    let days = i64::try_from(dice.roll(40)).unwrap();
    let at = now - SignedDuration::from_hours(24 * days);
    let mut restriction = Assertion::new(ChangeKind::Withdrawn);
    let choice = dice.roll(11);
    match choice {
        0..=2 => {
            register
                .record(&row(controller, address, proven(&[P], at)), now)
                .unwrap();
            person.yes = person.yes.max(Some(at));
        }
        3 => {
            restriction.at = Some(at);
            register
                .record(&row(controller, address, restriction), now)
                .unwrap();
            person.no = person.no.max(Some(at));
        }
        4 => {
            let claim = Assertion {
                at: Some(at),
                ..Assertion::new(ChangeKind::Granted)
            };
            register
                .record(&row(controller, address, claim), now)
                .unwrap();
        }
        5 => {
            register.erase(controller, address, at, now).unwrap();
            person.no = person.no.max(Some(at));
        }
        6 => {
            let contact = Contact {
                collected_at: Some(at),
                country: Some("FR".to_owned()),
                ..Contact::default()
            };
            register
                .record_contact(controller, address, &contact, now)
                .unwrap();
        }
        7 => {
            // The second line makes every list another one.
            let list = [
                format!(
                    "{{\"controller\":\"{controller}\",\"address\":\"{address}\",\"state\":\"refused\"}}"
                ),
                format!(
                    "{{\"controller\":\"other\",\"address\":\"x{now}@example.net\",\"state\":\"refused\"}}"
                ),
            ];
            import(register, &list, now, false);
            if !person.undated || person.granted() {
                person.no = person.no.max(Some(now));
            }
            person.undated = true;
        }
        8 => rotate(register, days % 2 == 0),
        _ => expire(register, now),
    }
    format!("{choice} {controller} {address} at {at} on {now}")
}

#[test]
fn whatever_honest_history_verifies_and_no_withdrawal_is_lost_in_it() {
    for seed in 1..=12 {
        let place = tempfile::tempdir().unwrap();
        let register = open(place.path());
        let mut dice = Dice(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed));
        let mut now = moment("2026-01-01T00:00:00Z");
        let mut expected = BTreeMap::new();
        let mut heads = Vec::new();
        let mut told = Vec::new();
        for _ in 0..60 {
            now += SignedDuration::from_secs(3_600 + i64::try_from(dice.roll(200_000)).unwrap());
            told.push(some_step(&register, &mut dice, now, &mut expected));
            let verified = register.verify(&heads);
            let verified =
                verified.unwrap_or_else(|error| panic!("seed {seed}: {error}\n{told:#?}"));
            heads.extend(verified.heads);
            heads.dedup();
            for (who, person) in &expected {
                let (controller, address) = PEOPLE[*who];
                let is = register.get(controller, address).unwrap().state(P) == State::Granted;
                assert_eq!(is, person.granted(), "seed {seed}: {address}\n{told:#?}");
            }
        }
        // Another process sees the same.
        open(place.path()).verify(&heads).unwrap();
        assert!(
            told.iter()
                .map(|step| step.get(..2))
                .collect::<BTreeSet<_>>()
                .len()
                > 8
        );
    }
}
