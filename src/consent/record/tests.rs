use super::*;
use crate::consent::form::CHANNEL_OCTETS_MAX;
use crate::consent::subject::{KEY_OCTETS, LookupKey};

fn subject(address: &str) -> Subject {
    Subject::of(&LookupKey::new(&[1; KEY_OCTETS]), "shop", address)
}

fn moment(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn grant() -> Assertion {
    Assertion {
        purposes: BTreeSet::from([Purpose::CampaignPerformance]),
        at: Some(moment("2026-05-02T10:00:00Z")),
        form: Form {
            channel: Some("form".into()),
            wording_version: Some("v3".into()),
            wording_sha256: Some([9; 32]),
            ..Form::default()
        },
        ..Assertion::new(ChangeKind::Granted)
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
        ("channel", |a| a.form.channel = None),
        ("wording_version", |a| a.form.wording_version = None),
        ("wording_sha256", |a| a.form.wording_sha256 = None),
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
        Effect::From(moment("2026-05-02T09:55:00Z")),
        "from its receipt at the latest"
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
                at: at.map(moment),
                ..Assertion::new(kind)
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
    let others: [Forget; 16] = [
        |a| a.kind = ChangeKind::Withdrawn,
        |a| {
            a.purposes.insert(Purpose::Personalisation);
        },
        |a| a.at = Some("2026-05-02T10:00:00.000001Z".parse().unwrap()),
        |a| a.form.channel = None,
        |a| a.form.wording_version = Some("v4".into()),
        |a| a.form.wording_sha256 = Some([8; 32]),
        |a| a.form.collector = Some("agency".into()),
        |a| a.form.language = Some("fr".into()),
        |a| a.form.affirmative_act = Some("ticked".into()),
        |a| a.form.notice = Some("n1".into()),
        |a| a.form.controller_list = Some("l1".into()),
        |a| a.form.controllers_shown = ["ads".to_owned()].into(),
        |a| a.form.evidence_sha256 = Some([9; 32]),
        |a| a.form.scope = Some(Scope::PixelOnly),
        |a| a.supersedes = Some(ProofId::from_bytes([1; 16])),
        // Octets moved over the border between two fields.
        |a| {
            a.form.channel = Some("formv".into());
            a.form.wording_version = Some("3".into());
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
        assertion.form.channel = Some(text);
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
        ("\u{feff}a@example.net", AddressProblem::Control),
        ("a\u{200b}@example.net", AddressProblem::Control),
        ("a@example\u{ad}.net", AddressProblem::Control),
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

#[test]
fn where_it_came_from_is_no_part_of_the_name() {
    let first = received(grant(), "2026-06-02T10:00:00Z").unwrap().id;
    let mut imported = grant();
    imported.source = Some("abcd:17".into());
    assert_eq!(
        received(imported, "2026-06-02T10:00:00Z").unwrap().id,
        first
    );
}

#[test]
fn a_combined_yes_reaches_no_profile_and_no_fraud_q4() {
    let mut combined = grant();
    combined.purposes = Purpose::CONSENT.iter().copied().collect();
    combined.form.scope = Some(Scope::CombinedPersonalised);
    let change = received(combined, "2026-06-02T10:00:00Z").unwrap();
    assert_eq!(
        change.reach(),
        [Purpose::CampaignPerformance, Purpose::Personalisation]
    );
}

#[test]
fn a_list_of_controllers_has_a_limit_and_holds_no_address() {
    let mut assertion = grant();
    assertion.form.controllers_shown = (0..=2_000).map(|n| format!("partner {n}")).collect();
    let refused = assertion.check().unwrap_err().to_string();
    assert!(
        refused.contains("2001") && refused.contains("at most 2000"),
        "{refused}"
    );
    assertion.form.controllers_shown = ["a@b".to_owned()].into();
    assert!(assertion.check().is_err());
}

#[test]
fn a_form_is_read_back_as_it_was_written() {
    let form = Form {
        controllers_shown: ["ads".to_owned(), "cdp".to_owned()].into(),
        evidence_sha256: Some([7; 32]),
        scope: Some(Scope::PixelOnly),
        ..grant().form
    };
    let text = serde_json::to_string(&form).unwrap();
    assert_eq!(serde_json::from_str::<Form>(&text).unwrap(), form);
    assert!(serde_json::from_str::<Form>(&text.replace("channel", "chanel")).is_err());
}
