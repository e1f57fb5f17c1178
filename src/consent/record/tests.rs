use super::*;
use crate::consent::subject::{KEY_OCTETS, LookupKey};

fn subject(address: &str) -> Subject {
    Subject::of(&LookupKey::new(&[1; KEY_OCTETS]), "shop", address)
}

fn moment(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn grant() -> Assertion {
    Assertion {
        kind: ChangeKind::Granted,
        purposes: BTreeSet::from([Purpose::CampaignPerformance]),
        at: Some(moment("2026-05-02T10:00:00Z")),
        channel: Some("form".into()),
        wording_version: Some("v3".into()),
        wording_sha256: Some([9; 32]),
    }
}

fn received(assertion: Assertion, at: &str) -> Result<Change, Refusal> {
    assertion.received(&subject("a@example.net"), moment(at))
}

/// Forgets one of the five things that make a proof.
type Forget = fn(&mut Assertion);

#[test]
fn anything_less_than_the_five_fields_is_a_claim() {
    assert!(grant().is_proven());
    let less: [(&str, Forget); 5] = [
        ("at", |a| a.at = None),
        ("channel", |a| a.channel = None),
        ("wording_version", |a| a.wording_version = None),
        ("wording_sha256", |a| a.wording_sha256 = None),
        ("purposes", |a| a.purposes.clear()),
    ];
    for (field, forget) in less {
        let mut assertion = grant();
        forget(&mut assertion);
        assert_eq!(assertion.missing_for_proof(), Some(field));
        let change = received(assertion, "2026-05-02T10:00:01Z").unwrap();
        assert!(!change.is_proven());
        assert_eq!(change.effect(), Effect::Claim, "{field}");
    }
}

#[test]
fn a_grant_from_the_future_is_refused_past_five_minutes() {
    let on_time = received(grant(), "2026-05-02T09:55:00Z").unwrap();
    assert_eq!(
        on_time.effect(),
        Effect::From(moment("2026-05-02T10:00:00Z"))
    );
    let refusal = received(grant(), "2026-05-02T09:54:59.999999Z").unwrap_err();
    assert!(matches!(refusal, Refusal::InTheFuture { .. }));
    // One that got into a store by another way counts for nothing.
    let mut smuggled = on_time;
    smuggled.recorded_at = moment("2026-05-01T00:00:00Z");
    assert_eq!(smuggled.effect(), Effect::Void);
}

#[test]
fn a_restriction_needs_no_proof_and_no_credible_date() {
    for kind in [
        ChangeKind::Refused,
        ChangeKind::Withdrawn,
        ChangeKind::Objected,
        ChangeKind::Erased,
    ] {
        for (at, from) in [
            (None, "2026-06-01T00:00:00Z"),
            (Some("2026-06-01T00:05:00.000001Z"), "2026-06-01T00:00:00Z"),
            (Some("2036-06-01T00:00:00Z"), "2026-06-01T00:00:00Z"),
            (Some("2026-06-01T00:05:00Z"), "2026-06-01T00:05:00Z"),
            (Some("2026-05-01T00:00:00Z"), "2026-05-01T00:00:00Z"),
        ] {
            let bare = Assertion {
                kind,
                purposes: BTreeSet::new(),
                at: at.map(moment),
                channel: None,
                wording_version: None,
                wording_sha256: None,
            };
            let change = received(bare, "2026-06-01T00:00:00Z").unwrap();
            assert_eq!(change.effect(), Effect::From(moment(from)), "{kind} {at:?}");
            assert_eq!(change.reach(), Purpose::ALL);
        }
    }
}

#[test]
fn erasure_reaches_everything_whatever_it_names() {
    let mut assertion = grant();
    assertion.kind = ChangeKind::Erased;
    let change = received(assertion, "2026-06-01T00:00:00Z").unwrap();
    assert_eq!(change.reach(), Purpose::ALL);
}

#[test]
fn the_same_content_is_the_same_record() {
    let first = received(grant(), "2026-05-02T10:00:00Z").unwrap();
    let again = received(grant(), "2026-08-02T10:00:00Z").unwrap();
    assert_eq!(first.id, again.id);
    let elsewhere = grant()
        .received(
            &subject("b@example.net"),
            moment("2026-05-02T10:00:00.000001Z"),
        )
        .unwrap();
    assert_ne!(first.id, elsewhere.id);
}

#[test]
fn every_field_is_part_of_the_name() {
    let first = received(grant(), "2026-06-02T10:00:00Z").unwrap().id;
    let others: [Forget; 7] = [
        |a| a.kind = ChangeKind::Withdrawn,
        |a| {
            a.purposes.insert(Purpose::Personalisation);
        },
        |a| a.at = Some("2026-05-02T10:00:00.000001Z".parse().unwrap()),
        |a| a.channel = None,
        |a| a.wording_version = Some("v4".into()),
        |a| a.wording_sha256 = Some([8; 32]),
        // Octets moved over the border between two fields.
        |a| {
            a.channel = Some("formv".into());
            a.wording_version = Some("3".into());
        },
    ];
    for (number, change) in others.into_iter().enumerate() {
        let mut assertion = grant();
        change(&mut assertion);
        let id = received(assertion, "2026-06-02T10:00:00Z").unwrap().id;
        assert_ne!(id, first, "{number}");
    }
}

#[test]
fn texts_are_bounded_and_hold_no_address() {
    for (text, problem) in [
        (" ".to_owned(), TextProblem::Empty),
        (
            "x".repeat(CHANNEL_OCTETS_MAX + 1),
            TextProblem::TooLong {
                limit: CHANNEL_OCTETS_MAX,
            },
        ),
        ("a\nb".to_owned(), TextProblem::Control),
        ("mail to anna@x".to_owned(), TextProblem::AddressInClear),
    ] {
        let mut assertion = grant();
        assertion.channel = Some(text);
        let field = "channel";
        assert_eq!(assertion.check(), Err(Refusal::Text { field, problem }));
    }
    assert!(check_controller("shop/fr").is_ok());
    assert!(check_controller("a\0b").is_err());
    assert!(check_controller(&"x".repeat(CONTROLLER_OCTETS_MAX + 1)).is_err());
}

#[test]
fn only_one_bare_address_is_an_address() {
    for good in [
        "a@example.net",
        " a@example.net ",
        "\"a b@c\"@example.net",
        "ü@example.net",
        "x@[192.0.2.1]",
    ] {
        assert_eq!(check_address(good), Ok(()), "{good}");
    }
    for (bad, problem) in [
        ("anna", AddressProblem::NoAt),
        ("@example.net", AddressProblem::HalfEmpty),
        ("a@", AddressProblem::HalfEmpty),
        ("Anna <a@example.net>", AddressProblem::Strange),
        ("a@example.net, b@example.net", AddressProblem::Strange),
        ("a b@example.net", AddressProblem::Strange),
        ("a@b@example.net", AddressProblem::Strange),
        ("a\0@example.net", AddressProblem::Control),
    ] {
        assert_eq!(check_address(bad), Err(problem), "{bad}");
    }
    let long = format!("{}@x", "a".repeat(ADDRESS_OCTETS_MAX));
    assert_eq!(check_address(&long), Err(AddressProblem::TooLong));
}

#[test]
fn words_are_closed_lists() {
    assert_eq!("withdrawn".parse(), Ok(ChangeKind::Withdrawn));
    for bad in ["Granted", "yes", "", "unknown", "legacy_informed"] {
        let error = bad.parse::<ChangeKind>().unwrap_err();
        assert!(error.to_string().contains("granted, refused"), "{error}");
    }
    for purpose in Purpose::ALL {
        let text = serde_json::to_string(purpose).unwrap();
        assert_eq!(serde_json::from_str::<Purpose>(&text).unwrap(), *purpose);
    }
}
