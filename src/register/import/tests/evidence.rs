//! Rows and the evidence of their list, through a whole import.

use super::*;

const EVIDENCE: &str = r#"
time_zone = "Europe/Paris"
[csv]
delimiter = ";"
date_formats = ["%d/%m/%Y %H:%M", "%d/%m/%Y"]
yes = ["oui"]
no = ["non"]
withdrawn = ["retrait"]
[csv.columns]
address = "mail"
state = "pixel"
at = "date"
list = "liste"
collected_at = "inscrit"
[[list]]
name = "newsletter"
controller = "shop"
channel = "form"
wording = "I agree that opens are measured."
wording_version = "v3"
language = "en"
purposes = ["campaign_performance", "personalisation"]
valid_from = "2026-05-01"
valid_until = "2026-06-30"
informed_at = "2026-06-10T09:00:00Z"
informed_notice = "n2"
informed_purposes = ["campaign_performance"]
country = "FR"
[[list]]
name = "bare"
controller = "shop"
channel = "form"
[[list]]
controller = "shop"
"#;

fn understood(text: &str) -> Evidence {
    let written: Written = toml::from_str(text).unwrap();
    Evidence::new(&written, text, std::path::Path::new(".")).unwrap()
}

fn table(register: &Register, rows: &str) -> ImportReport {
    let evidence = understood(EVIDENCE);
    let options = Options {
        format: Format::Table,
        evidence: &evidence,
        ..options()
    };
    let text = format!("mail;pixel;date;liste;inscrit\n{rows}");
    import(register, &text, &options).unwrap()
}

fn lines(register: &Register, row: &str) -> Result<ImportReport, ImportError> {
    let evidence = understood(EVIDENCE);
    let options = Options {
        evidence: &evidence,
        ..options()
    };
    import(register, row, &options)
}

#[test]
fn a_yes_with_the_evidence_of_its_list_is_a_proof() {
    let place = Place::new();
    let register = place.open();
    let report = table(
        &register,
        "a@example.net;oui;02/05/2026 12:30;newsletter;\n",
    );
    assert_eq!((report.grants, report.claims, report.recorded), (1, 0, 1));
    let history = register.history("shop", "a@example.net").unwrap();
    let said = &history.changes[0].said;
    assert_eq!(said.at, Some(moment("2026-05-02T10:30:00Z")));
    assert_eq!(said.form.wording_version.as_deref(), Some("v3"));
    assert_eq!(said.form.language.as_deref(), Some("en"));
    assert_eq!(said.purposes.len(), 2);
    assert_eq!(said.source, Some(format!("{}:2", report.id)));
    assert_eq!(state(&register, "a@example.net"), State::Granted);
}

#[test]
fn a_yes_is_a_claim_for_a_reason() {
    let place = Place::new();
    let register = place.open();
    let report = table(
        &register,
        "a@example.net;oui;30/04/2026;newsletter;\n\
         b@example.net;oui;01/07/2026 00:00;newsletter;\n\
         c@example.net;oui;;newsletter;\n\
         d@example.net;oui;02/05/2026;bare;\n\
         e@example.net;oui;02/05/2026;;\n\
         f@example.net;;02/05/2026;newsletter;\n",
    );
    let reasons: Vec<(&str, u64)> = report
        .claims_by_reason
        .iter()
        .map(|(reason, number)| (reason.as_str(), *number))
        .collect();
    assert_eq!(
        reasons,
        [
            ("`at` is missing", 1),
            ("`channel` is missing", 1),
            ("`wording_version` is missing", 1),
            ("dated outside the validity of list `newsletter`", 2),
        ]
    );
    assert_eq!((report.grants, report.claims, report.empty), (0, 5, 1));
    for person in ["a", "b", "c", "d", "e", "f"] {
        let address = format!("{person}@example.net");
        assert_eq!(state(&register, &address), State::Unknown, "{person}");
    }
    let unknown = r#"{"controller":"shop","address":"g@example.net","state":"granted","at":"2026-05-02T00:00:00Z","list":"other"}"#;
    let report = lines(&register, unknown).unwrap();
    assert!(
        report
            .claims_by_reason
            .contains_key("no evidence for list `other`"),
        "{report:?}"
    );
}

#[test]
fn a_day_that_only_partly_lies_in_the_validity_is_outside() {
    let place = Place::new();
    let register = place.open();
    let text = EVIDENCE.replace("\"2026-05-01\"", "\"2026-05-02T10:00:00\"");
    let evidence = understood(&text);
    let options = Options {
        format: Format::Table,
        evidence: &evidence,
        ..options()
    };
    let rows = "mail;pixel;date;liste;inscrit\n\
                a@example.net;oui;02/05/2026;newsletter;\n\
                b@example.net;oui;02/05/2026 10:00;newsletter;\n";
    let report = import(&register, rows, &options).unwrap();
    assert_eq!((report.grants, report.claims), (1, 1));
    assert_eq!(state(&register, "b@example.net"), State::Granted);
}

#[test]
fn on_one_day_the_restriction_wins_whichever_came_first() {
    let place = Place::new();
    let register = place.open();
    table(
        &register,
        "a@example.net;oui;02/05/2026;newsletter;\n\
         a@example.net;retrait;02/05/2026;newsletter;\n\
         b@example.net;retrait;02/05/2026;newsletter;\n\
         b@example.net;oui;02/05/2026 18:00;newsletter;\n\
         c@example.net;retrait;02/05/2026;newsletter;\n\
         c@example.net;oui;03/05/2026;newsletter;\n",
    );
    assert_eq!(state(&register, "a@example.net"), State::Withdrawn);
    assert_eq!(state(&register, "b@example.net"), State::Withdrawn);
    assert_eq!(state(&register, "c@example.net"), State::Granted);
    let restriction = &register.history("shop", "a@example.net").unwrap().changes[0];
    // It is no answer to the form, so the form is not said of it.
    assert_eq!(restriction.said.form.wording_version, None);
    assert!(restriction.said.purposes.is_empty());
}

#[test]
fn row_and_evidence_that_contradict_each_other_are_an_error_that_names_both() {
    let place = Place::new();
    let register = place.open();
    let row = |more: &str| {
        format!(
            r#"{{"address":"a@example.net","list":"newsletter","state":"granted","at":"2026-05-02T00:00:00Z",{more}}}"#
        )
    };
    for (more, words) in [
        (
            r#""controller":"bank""#,
            vec!["`controller`", "\"bank\"", "\"shop\""],
        ),
        (
            r#""channel":"phone""#,
            vec!["`channel`", "\"phone\"", "\"form\"", "list `newsletter`"],
        ),
        (
            r#""wording_version":"v2""#,
            vec!["`wording_version`", "\"v2\"", "\"v3\""],
        ),
        (
            r#""purposes":["fraud_detection"]"#,
            vec!["`purposes`", "fraud_detection"],
        ),
        (r#""country":"IT""#, vec!["`country`", "\"IT\"", "\"FR\""]),
    ] {
        let error = lines(&register, &row(more)).unwrap_err().to_string();
        for word in words {
            assert!(error.contains(word), "{more}: {error}");
        }
    }
    let sha = format!(r#""wording_sha256":"{SHA}""#);
    assert!(
        lines(&register, &row(&sha))
            .unwrap_err()
            .to_string()
            .contains("aaaaaaaaaaaaaaaa...")
    );
    // The same thing said twice is no contradiction, and fewer purposes are a narrower yes.
    let fine = row(r#""channel":"form","purposes":["personalisation"]"#);
    assert_eq!(lines(&register, &fine).unwrap().grants, 1);
    let standing = register.get("shop", "a@example.net").unwrap();
    assert_eq!(standing.state(P1), State::Unknown);
    assert_eq!(standing.state(Purpose::Personalisation), State::Granted);
    // A whole proof of its own that the list's dates deny.
    let own = proven("b@example.net", "granted", "2026-07-02T00:00:00Z")
        .replace("{\"controller\"", "{\"list\":\"newsletter\",\"controller\"");
    let error = lines(&register, &own).unwrap_err().to_string();
    assert!(error.contains("outside the validity"), "{error}");
}

#[test]
fn an_old_base_comes_with_when_it_was_collected_and_informed() {
    let place = Place::new();
    let register = place.open();
    let report = table(
        &register,
        "old@example.net;;;newsletter;01/09/2025\n\
         new@example.net;;;newsletter;11/06/2026\n\
         none@example.net;non;01/06/2026;newsletter;\n",
    );
    assert_eq!(
        (
            report.contacts,
            report.uninformed,
            report.restrictions,
            report.empty
        ),
        (2, 1, 1, 0)
    );
    let contact = |address: &str| {
        register.history("shop", address).unwrap().contacts[0]
            .contact
            .clone()
    };
    let old = contact("old@example.net");
    // A bare day of collection ends it: later permits less (D8).
    assert_eq!(
        old.collected_at.unwrap().to_string(),
        "2025-09-01T21:59:59.999999Z"
    );
    assert_eq!(old.informed_at, Some(moment("2026-06-10T09:00:00Z")));
    assert_eq!(
        (old.notice.as_deref(), old.country.as_deref()),
        (Some("n2"), Some("FR"))
    );
    assert!(old.informed_purposes.contains(&P1));
    let new = contact("new@example.net");
    assert_eq!(
        (new.informed_at, new.country.as_deref()),
        (None, Some("FR"))
    );
    let refused = register.history("shop", "none@example.net").unwrap();
    // A no can be the answer to the form.
    assert_eq!(
        refused.changes[0].said.form.wording_version.as_deref(),
        Some("v3")
    );
    assert!(refused.contacts.is_empty());
}

#[test]
fn a_dry_run_counts_what_the_run_then_does_and_writes_nothing() {
    let place = Place::new();
    let register = place.open();
    let text = [
        proven("a@example.net", "granted", "2026-05-01T00:00:00Z"),
        proven("a@example.net", "granted", "2026-05-01T00:00:00Z"),
        proven("b@example.net", "withdrawn", "2026-05-01T00:00:00Z"),
        proven("gone@example.net", "granted", "2026-05-01T00:00:00Z"),
        proven("late@example.net", "granted", "2027-05-01T00:00:00Z"),
        r#"{"controller":"shop","address":"c@example.net","state":"refused","at":"2027-01-01T00:00:00Z"}"#.to_owned(),
        r#"{"controller":"shop","address":"d@example.net","collected_at":"2025-01-01T00:00:00Z","country":"FR"}"#.to_owned(),
    ]
    .join("\n");
    let erased = r#"{"controller":"shop","address":"gone@example.net","state":"erased","at":"2026-10-01T00:00:00Z"}"#;
    import(&register, erased, &options()).unwrap();
    let before = register.verify(&[]).unwrap();
    let dry = Options {
        dry_run: true,
        ..options()
    };
    let would = import(&register, &text, &dry).unwrap();
    assert_eq!(register.verify(&[]).unwrap(), before);
    assert_eq!(
        (
            would.recorded,
            would.already_there,
            would.erased,
            would.refused,
            would.duplicates
        ),
        (4, 1, 1, 1, 1)
    );
    assert_eq!(would.restrictions_from_receipt, 1);
    let did = import(&register, &text, &options()).unwrap();
    assert_eq!(
        ImportReport {
            dry_run: false,
            ..would
        },
        did
    );
    let again = import(&register, &text, &dry).unwrap();
    assert_eq!(
        (again.recorded, again.already_there, again.erased),
        (0, 5, 1)
    );
    assert_eq!(did.id, again.id);
}

#[test]
fn an_undated_withdrawal_of_a_later_list_takes_back_a_later_consent() {
    let place = Place::new();
    let register = place.open();
    let list = r#"{"controller":"shop","address":"a@example.net","state":"withdrawn"}"#;
    let on = |text: &str, day: &str| {
        let options = Options {
            received_at: moment(day),
            ..options()
        };
        import(&register, text, &options).unwrap()
    };
    on(list, "2026-06-01T00:00:00Z");
    let yes = proven("a@example.net", "granted", "2026-07-01T00:00:00Z");
    on(&yes, "2026-07-01T00:00:00Z");
    assert_eq!(state(&register, "a@example.net"), State::Granted);
    // The same file is the same import: it has been said, and the consent is newer.
    assert_eq!(on(list, "2026-08-01T00:00:00Z").renewed, 0);
    assert_eq!(state(&register, "a@example.net"), State::Granted);
    // The next export is another one, and says so of its own day.
    let next = format!("{list}\n\n");
    assert_eq!(on(&next, "2026-09-01T00:00:00Z").renewed, 1);
    assert_eq!(state(&register, "a@example.net"), State::Withdrawn);
    // Run again it changes nothing, also after a newer consent.
    on(
        &proven("a@example.net", "granted", "2026-10-01T00:00:00Z"),
        "2026-10-01T00:00:00Z",
    );
    assert_eq!(on(&next, "2026-11-01T00:00:00Z").renewed, 0);
    assert_eq!(state(&register, "a@example.net"), State::Granted);
}

#[test]
fn a_contact_line_has_no_fields_of_a_change() {
    let place = Place::new();
    let register = place.open();
    let error = lines(
        &register,
        r#"{"controller":"shop","address":"a@example.net","collected_at":"2025-01-01T00:00:00Z","notice":"n1"}"#,
    )
    .unwrap_err()
    .to_string();
    assert!(error.contains("`notice` belongs to a `state`"), "{error}");
}

#[test]
fn reasons_that_a_file_makes_up_are_counted_together_past_a_limit() {
    let place = Place::new();
    let rows: String = (0..200)
        .map(|n| format!("{{\"controller\":\"shop\",\"address\":\"a@example.net\",\"state\":\"granted\",\"at\":\"2026-05-01T00:00:00Z\",\"list\":\"l{n}\"}}\n"))
        .collect();
    let report = lines(&place.open(), &rows).unwrap();
    assert_eq!(report.claims, 200);
    assert_eq!(report.claims_by_reason.len(), 51);
    assert_eq!(report.claims_by_reason.values().sum::<u64>(), 200);
}
