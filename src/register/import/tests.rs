use std::io::Cursor;

use proptest::prelude::*;

use super::*;
use crate::consent::{Purpose, Standing, State, fold};
use crate::register::tests::{P1, Place, moment};

mod evidence;

const SHA: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

fn options() -> Options<'static> {
    static NONE: std::sync::OnceLock<Evidence> = std::sync::OnceLock::new();
    Options {
        format: Format::Lines,
        evidence: NONE.get_or_init(Evidence::default),
        require_proof: false,
        dry_run: false,
        received_at: moment("2026-11-22T12:00:00Z"),
        progress: &|_| {},
    }
}

fn proven(address: &str, state: &str, at: &str) -> String {
    format!(
        r#"{{"controller":"shop","address":"{address}","state":"{state}","purposes":["campaign_performance"],"at":"{at}","channel":"form","wording_version":"v1","wording_sha256":"{SHA}"}}"#
    )
}

fn import(
    register: &Register,
    text: &str,
    options: &Options<'_>,
) -> Result<ImportReport, ImportError> {
    register.import(&mut Cursor::new(text.as_bytes()), options)
}

fn state(register: &Register, address: &str) -> State {
    register.get("shop", address).unwrap().state(P1)
}

#[test]
fn rows_are_counted_by_what_they_are() {
    let place = Place::new();
    let register = place.open();
    let text = [
        "\u{feff}".to_owned() + &proven("a@example.net", "granted", "2026-05-01T00:00:00Z"),
        proven("b@example.net", "withdrawn", "2026-05-01T02:00:00+02:00"),
        String::new(),
        r#"{"controller":"shop","address":"c@example.net","state":"granted"}"#.to_owned(),
        r#"{"controller":"shop","address":"d@example.net","state":"refused","purposes":null}"#
            .into(),
        proven("e@example.net", "granted", "2026-11-22T12:05:00.000001Z"),
    ]
    .join("\r\n");
    let report = import(&register, &text, &options()).unwrap();
    let refused_row = &report.refused_rows[0];
    assert_eq!((report.refused, refused_row.line), (1, 6));
    assert!(refused_row.problem.contains("`at`"), "{refused_row}");
    let expected = ImportReport {
        id: report.id.clone(),
        rows: 5,
        grants: 2,
        claims: 1,
        claims_by_reason: [("`at` is missing".to_owned(), 1)].into(),
        restrictions: 2,
        restrictions_by_kind: [("refused", 1), ("withdrawn", 1)].into(),
        restrictions_from_receipt: 1,
        recorded: 4,
        refused: 1,
        refused_rows: report.refused_rows.clone(),
        ..ImportReport::default()
    };
    assert_eq!(report, expected);
    assert_eq!(state(&register, "a@example.net"), State::Granted);
    assert_eq!(state(&register, "b@example.net"), State::Withdrawn);
    assert_eq!(state(&register, "c@example.net"), State::Unknown);
    assert!(
        register
            .get("shop", "c@example.net")
            .unwrap()
            .is_claimed(P1)
    );
    assert_eq!(state(&register, "d@example.net"), State::Refused);
    assert!(
        register
            .history("shop", "e@example.net")
            .unwrap()
            .changes
            .is_empty()
    );

    let again = Options {
        received_at: moment("2026-11-22T12:30:00Z"),
        ..options()
    };
    let report = import(&register, &text, &again).unwrap();
    // Half an hour later the fifth row is no longer from the future; the rest is there.
    assert_eq!(
        (report.recorded, report.already_there, report.refused),
        (1, 4, 0)
    );
    let history = register.history("shop", "d@example.net").unwrap();
    assert_eq!(history.changes[0].recorded_at, options().received_at);
}

#[test]
fn ten_thousand_booleans_grant_nothing_s16() {
    let place = Place::new();
    let register = place.open();
    let text: String = (0..10_000)
        .map(|n| format!("{{\"controller\":\"shop\",\"address\":\"p{n}@example.net\",\"state\":\"granted\",\"purposes\":[\"campaign_performance\"]}}\n"))
        .collect();
    let report = import(&register, &text, &options()).unwrap();
    assert_eq!(
        (report.rows, report.claims, report.recorded),
        (10_000, 10_000, 10_000)
    );
    for number in [0, 4_999, 9_999] {
        assert_eq!(
            state(&register, &format!("p{number}@example.net")),
            State::Unknown
        );
    }
}

/// A faulty row, and what the answer must say.
const FAULTS: &[(&str, &str)] = &[
    ("not json", "a row is one object"),
    (
        r#"["shop","a@example.net","granted",null,null,null,null,null]"#,
        "a row is one object",
    ),
    ("{", "column 1"),
    (
        r#"{"controller":"shop","address":"a@example.net","state":"granted","consent":1}"#,
        "unknown field `consent`",
    ),
    (
        r#"{"controller":"shop","address":"a@example.net","state":"granted","state":"refused"}"#,
        "duplicate field `state`",
    ),
    (
        r#"{"address":"a@example.net","state":"granted"}"#,
        "`controller` is missing",
    ),
    (
        r#"{"controller":" ","address":"a@example.net","state":"granted"}"#,
        "`controller` is empty",
    ),
    (
        r#"{"controller":"shop","state":"granted"}"#,
        "`address` is missing",
    ),
    (
        r#"{"controller":"shop","address":"anna","state":"granted"}"#,
        "`address` holds no",
    ),
    (
        r#"{"controller":"shop","address":7,"state":"granted"}"#,
        "`address` must be a text",
    ),
    (
        r#"{"controller":"shop","address":"a@example.net"}"#,
        "`state` is missing",
    ),
    (
        r#"{"controller":"shop","address":"a@example.net","state":"yes"}"#,
        "`state`: `yes` is no state",
    ),
    (
        r#"{"controller":"shop","address":"a@example.net","state":"granted","purposes":"all"}"#,
        "`purposes` must be a list",
    ),
    (
        r#"{"controller":"shop","address":"a@example.net","state":"granted","purposes":["all"]}"#,
        "`purposes`: `all` is no purpose",
    ),
    (
        r#"{"controller":"shop","address":"a@example.net","state":"granted","at":"2026-05-01"}"#,
        "`at` is not a moment",
    ),
    (
        r#"{"controller":"shop","address":"a@example.net","state":"granted","at":1777593600}"#,
        "`at` must be a text",
    ),
    (
        r#"{"controller":"shop","address":"a@example.net","state":"granted","channel":""}"#,
        "`channel` is empty",
    ),
    (
        r#"{"controller":"shop","address":"a@example.net","state":"granted","wording_sha256":"abc"}"#,
        "`wording_sha256` is not 64",
    ),
    (
        r#"{"controller":"shop","address":"a@example.net","state":"granted"} {}"#,
        "trailing",
    ),
];

#[test]
fn every_fault_names_its_line_and_field_and_nothing_is_written() {
    let place = Place::new();
    let register = place.open();
    let good = proven("good@example.net", "granted", "2026-05-01T00:00:00Z");
    for (bad, expected) in FAULTS {
        let text = format!("{good}\n\n{bad}\n");
        let error = import(&register, &text, &options())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("line 3") && error.contains(expected),
            "{bad}: {error}"
        );
        assert!(!error.contains("@example.net"), "{error}");
    }
    let long = format!(
        "{good}\n{}\n{good}\n",
        " ".repeat(10) + &"x".repeat(LINE_OCTETS_MAX + 1)
    );
    let error = import(&register, &long, &options())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("line 2: longer than 16384 octets"),
        "{error}"
    );
    assert_eq!(register.verify(&[]).unwrap().changes, 0);
}

#[test]
fn many_faults_are_counted_and_few_are_named() {
    let place = Place::new();
    let error = import(&place.open(), &"x\n".repeat(1_000), &options()).unwrap_err();
    let ImportError::Rows { rows, total } = &error else {
        panic!("{error}");
    };
    assert_eq!((rows.len(), *total), (ROWS_NAMED_MAX, 1_000));
}

#[test]
fn require_proof_refuses_the_whole_file_before_the_first_write() {
    let place = Place::new();
    let register = place.open();
    let strict = Options {
        require_proof: true,
        ..options()
    };
    let good = proven("a@example.net", "granted", "2026-05-01T00:00:00Z");
    let bare_withdrawal = r#"{"controller":"shop","address":"b@example.net","state":"withdrawn"}"#;
    let lines = vec![good.clone(); 3_000].join("\n");
    for (bad, problem) in [
        (
            good.replace("\"channel\":\"form\",", ""),
            "no proof, `channel` is missing",
        ),
        (
            good.replace("[\"campaign_performance\"]", "[]"),
            "no proof, `purposes` is missing",
        ),
        (
            proven("a@example.net", "granted", "2027-01-01T00:00:00Z"),
            "cannot come from the future",
        ),
    ] {
        let text = format!("{bare_withdrawal}\n{lines}\n{bad}\n");
        let error = import(&register, &text, &strict).unwrap_err().to_string();
        assert!(
            error.contains("line 3002") && error.contains(problem),
            "{error}"
        );
        assert_eq!(register.verify(&[]).unwrap().changes, 0);
    }
    // A restriction needs no proof.
    let text = format!("{bare_withdrawal}\n{good}\n");
    assert_eq!(import(&register, &text, &strict).unwrap().recorded, 2);
}

/// Gives a fault at the second line of the given reading.
struct Interrupted {
    inner: Cursor<Vec<u8>>,
    readings_left: u32,
    octets_left: usize,
}

impl Read for Interrupted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.readings_left > 0 {
            return self.inner.read(buffer);
        }
        if self.octets_left == 0 {
            return Err(io::Error::other("unplugged"));
        }
        let most = buffer.len().min(4096);
        let read = self.inner.read(&mut buffer[..most])?;
        self.octets_left = self.octets_left.saturating_sub(read);
        Ok(read)
    }
}

impl Seek for Interrupted {
    fn seek(&mut self, position: io::SeekFrom) -> io::Result<u64> {
        self.readings_left = self.readings_left.saturating_sub(1);
        self.inner.seek(position)
    }
}

#[test]
fn an_interrupted_import_has_its_restrictions_and_is_finished_by_running_it_again() {
    let place = Place::new();
    let register = place.open();
    let mut text: String = (0..3_000)
        .map(|n| {
            proven(
                &format!("p{n}@example.net"),
                "granted",
                "2026-05-01T00:00:00Z",
            ) + "\n"
        })
        .collect();
    text += &proven("last@example.net", "withdrawn", "2026-05-01T00:00:00Z");
    let mut reader = Interrupted {
        octets_left: text.len() / 2,
        inner: Cursor::new(text.clone().into_bytes()),
        // The hash, the check, the restrictions; then the rest.
        readings_left: 4,
    };
    let error = register.import(&mut reader, &options()).unwrap_err();
    assert!(matches!(error, ImportError::Read(_)), "{error}");
    assert_eq!(state(&register, "last@example.net"), State::Withdrawn);
    let before = register.verify(&[]).unwrap().changes;
    assert!((1..3_001).contains(&before), "{before}");
    let report = import(&register, &text, &options()).unwrap();
    assert_eq!(report.recorded + report.already_there, 3_001);
    assert_eq!(report.already_there, before);
    assert_eq!(register.verify(&[]).unwrap().changes, 3_001);
}

#[derive(Debug, Clone)]
struct Told {
    person: u8,
    state: &'static str,
    purposes: Vec<Purpose>,
    day: Option<u8>,
    proven: bool,
}

fn any_told() -> impl Strategy<Value = Told> {
    (
        0_u8..3,
        proptest::sample::select(vec![
            "granted",
            "granted",
            "refused",
            "withdrawn",
            "objected",
            "erased",
        ]),
        proptest::sample::subsequence(Purpose::ALL.to_vec(), 0..=2),
        proptest::option::weighted(0.9, 1_u8..5),
        any::<bool>(),
    )
        .prop_map(|(person, state, purposes, day, proven)| Told {
            person,
            state,
            purposes,
            day,
            proven,
        })
}

fn line(told: &Told) -> String {
    let mut row = serde_json::json!({
        "controller": "shop",
        "address": format!("p{}@example.net", told.person),
        "state": told.state,
        "purposes": told.purposes,
        "at": told.day.map(|day| format!("2026-05-0{day}T00:00:00Z")),
        "channel": "form",
    });
    if told.proven {
        row["wording_version"] = "v1".into();
        row["wording_sha256"] = SHA.into();
    }
    row.to_string()
}

fn standings(register: &Register) -> Vec<Standing> {
    (0..3)
        .map(|person| {
            register
                .get("shop", &format!("p{person}@example.net"))
                .unwrap()
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_order_and_any_batches_of_the_same_rows_give_the_same_standings(
        rows in proptest::collection::vec(any_told(), 1..16),
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..4),
        reversed in any::<bool>(),
    ) {
        let (whole, pieces) = (Place::new(), Place::new());
        let mut lines: Vec<String> = rows.iter().map(line).collect();
        let one = whole.open();
        import(&one, &lines.join("\n"), &options()).unwrap();
        if reversed {
            lines.reverse();
        }
        let many = pieces.open();
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(lines.len())).collect();
        ends.push(lines.len());
        for end in ends {
            // Pieces overlap: what was imported before is imported again.
            import(&many, &lines[..end].join("\n"), &options()).unwrap();
        }
        // The keys differ, hence the names of the records; compare what they say.
        let said = |register: &Register| -> Vec<Vec<_>> {
            standings(register)
                .iter()
                .map(|standing| Purpose::ALL.iter().map(|purpose| {
                    (standing.state(*purpose), standing.entry(*purpose).map(|entry| entry.at), standing.is_claimed(*purpose))
                }).collect())
                .collect()
        };
        prop_assert_eq!(said(&one), said(&many));
        one.verify(&[]).unwrap();
        many.verify(&[]).unwrap();
        let history = one.history("shop", "p0@example.net").unwrap();
        prop_assert_eq!(&fold(&history.changes), &standings(&one)[0]);
    }
}
