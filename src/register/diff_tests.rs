use std::io::Cursor;

use super::*;
use crate::consent::{Assertion, Form};
use crate::register::tests::{P1, Place, moment};
use crate::register::{Row, RowEntry};

fn record(
    register: &Register,
    controller: &str,
    address: &str,
    kind: ChangeKind,
    purposes: &[Purpose],
) {
    let row = Row {
        controller: controller.to_owned(),
        address: address.to_owned(),
        entry: RowEntry::Change(Assertion {
            purposes: purposes.iter().copied().collect(),
            at: Some(moment("2026-05-01T00:00:00Z")),
            form: Form {
                channel: Some("form".to_owned()),
                wording_version: Some("v1".to_owned()),
                wording_sha256: Some([7; 32]),
                ..Form::default()
            },
            ..Assertion::new(kind)
        }),
    };
    register
        .record(&row, moment("2026-11-22T12:00:00Z"))
        .unwrap();
}

fn diff(register: &Register, rows: &[(&str, &str)], show: usize) -> DiffReport {
    let mut text = "controller,address,state,purposes\n".to_owned();
    for (address, state) in rows {
        let purposes = if *state == "granted" {
            "campaign_performance"
        } else {
            ""
        };
        text += &format!("shop,{address},{state},{purposes}\n");
    }
    let evidence = Evidence::default();
    let options = Options {
        format: Format::Table,
        evidence: &evidence,
        controller: None,
        show,
    };
    register.diff(&mut Cursor::new(text), &options).unwrap()
}

/// Somebody for every difference, and one person of another controller.
fn stock(register: &Register) {
    let granted = ChangeKind::Granted;
    record(register, "shop", "same@example.net", granted, &[P1]);
    record(
        register,
        "shop",
        "withdrawn@example.net",
        ChangeKind::Withdrawn,
        &[],
    );
    record(
        register,
        "shop",
        "gone@example.net",
        ChangeKind::Erased,
        &[],
    );
    record(register, "shop", "kept@example.net", granted, &[P1]);
    record(
        register,
        "shop",
        "other@example.net",
        granted,
        &[Purpose::FraudDetection],
    );
    record(register, "shop", "here@example.net", granted, &[P1]);
    record(register, "shop", "silent@example.net", granted, &[P1]);
    record(register, "bank", "not.compared@example.net", granted, &[P1]);
    let claim = Row {
        controller: "shop".to_owned(),
        address: "claim@example.net".to_owned(),
        entry: RowEntry::Change(Assertion {
            purposes: [P1].into(),
            ..Assertion::new(granted)
        }),
    };
    register
        .record(&claim, moment("2026-11-22T12:00:00Z"))
        .unwrap();
}

#[test]
fn every_person_is_counted_once_under_the_most_dangerous_difference() {
    let place = Place::new();
    let register = place.open();
    stock(&register);
    let report = diff(
        &register,
        &[
            ("same@example.net", "granted"),
            ("withdrawn@example.net", "granted"),
            ("gone@example.net", "granted"),
            ("kept@example.net", "withdrawn"),
            ("claim@example.net", "granted"),
            ("other@example.net", "granted"),
            ("new@example.net", "granted"),
            ("no@example.net", "refused"),
            ("silent@example.net", ""),
            ("nobody@example.net", ""),
        ],
        20,
    );
    let expected: BTreeMap<Difference, u64> = [
        (Difference::RestrictedHere, 2),
        (Difference::RestrictedThere, 1),
        (Difference::ClaimedHere, 1),
        (Difference::OtherPurposesHere, 1),
        (Difference::GrantedThereUnknownHere, 1),
        (Difference::RestrictedThereUnknownHere, 1),
        (Difference::NoAnswerThere, 1),
        (Difference::OnlyHere, 1),
    ]
    .into();
    assert_eq!(report.differences, expected);
    assert_eq!(
        (
            report.rows,
            report.people,
            report.same,
            report.no_answer,
            report.only_there
        ),
        (10, 10, 1, 1, 3)
    );
    assert!(!report.is_equal());
    let dangerous = &report.examples[&Difference::RestrictedHere];
    let mut lines: Vec<_> = dangerous.iter().map(|example| example.line).collect();
    lines.sort();
    assert_eq!(lines, [Some(3), Some(4)]);
    let here = &report.examples[&Difference::OnlyHere][0];
    assert_eq!(
        (here.line, here.address.as_deref()),
        (None, Some("here@example.net"))
    );
}

#[test]
fn a_list_that_says_the_same_is_equal_and_the_latest_row_counts() {
    let place = Place::new();
    let register = place.open();
    record(
        &register,
        "shop",
        "a@example.net",
        ChangeKind::Granted,
        &[P1],
    );
    record(
        &register,
        "shop",
        "b@example.net",
        ChangeKind::Withdrawn,
        &[],
    );
    let report = diff(
        &register,
        &[("A@Example.NET", "granted"), ("b@example.net", "refused")],
        20,
    );
    assert!(report.is_equal(), "{report:?}");
    assert_eq!(report.same, 2);
    // A restriction without a date is of now, wherever it stands.
    let report = diff(
        &register,
        &[
            ("a@example.net", "withdrawn"),
            ("a@example.net", "granted"),
            ("b@example.net", "refused"),
        ],
        20,
    );
    assert_eq!(
        report.differences,
        [(Difference::RestrictedThere, 1)].into()
    );
    assert_eq!(report.people, 2);
}

#[test]
fn as_many_are_named_as_were_asked_for() {
    let place = Place::new();
    let register = place.open();
    let addresses: Vec<String> = (0..2_500).map(|n| format!("p{n}@example.net")).collect();
    let rows: Vec<(&str, &str)> = addresses
        .iter()
        .map(|address| (address.as_str(), "granted"))
        .collect();
    let report = diff(&register, &rows, 3);
    assert_eq!(
        report.differences[&Difference::GrantedThereUnknownHere],
        2_500
    );
    assert_eq!(
        report.examples[&Difference::GrantedThereUnknownHere].len(),
        3
    );
}

#[test]
fn a_row_that_is_wrong_stops_the_comparison() {
    let place = Place::new();
    let evidence = Evidence::default();
    let options = Options {
        format: Format::Table,
        evidence: &evidence,
        controller: None,
        show: 1,
    };
    let text = "controller,address,state\nshop,nobody,granted\n";
    let error = place
        .open()
        .diff(&mut Cursor::new(text), &options)
        .unwrap_err();
    assert!(
        matches!(error, ImportError::Rows { total: 1, .. }),
        "{error}"
    );
}

#[test]
fn a_row_of_the_list_is_thirty_two_octets() {
    assert_eq!(size_of::<There>(), 32);
}
