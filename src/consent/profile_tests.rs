use super::*;
use crate::consent::contact::Informed;

fn built_in() -> Profiles {
    Profiles::built_in().unwrap()
}

fn named(name: &str) -> Profile {
    let profiles = built_in();
    profiles
        .all()
        .iter()
        .find(|profile| profile.name == name)
        .unwrap()
        .clone()
}

fn facts(collected: &str, informed: &str, purposes: &[Purpose]) -> ContactFacts {
    let proof = ProofId::from_bytes;
    ContactFacts {
        collected: Some((collected.parse().unwrap(), proof([1; 16]))),
        informed: [Informed {
            at: informed.parse().unwrap(),
            purposes: purposes.iter().copied().collect(),
            record: proof([2; 16]),
        }]
        .into(),
        ..ContactFacts::default()
    }
}

const P1: Purpose = Purpose::CampaignPerformance;

fn legacy(contact: &ContactFacts, wanted: &[Purpose]) -> bool {
    let wanted = wanted.iter().copied().collect();
    let now = "2026-11-22T10:00:00Z".parse().unwrap();
    named("fr-2026").legacy(contact, &wanted, now).is_some()
}

#[test]
fn every_rule_names_its_source_and_none_claims_to_be_verified_unread() {
    for profile in built_in().all() {
        let sources = profile
            .consent
            .iter()
            .map(|rule| (&rule.source, rule.verified_on))
            .chain(
                profile
                    .exempt
                    .iter()
                    .map(|rule| (&rule.source, rule.verified_on)),
            )
            .chain(
                profile
                    .legacy
                    .iter()
                    .map(|rule| (&rule.source, rule.verified_on)),
            )
            .chain(
                profile
                    .combined
                    .iter()
                    .map(|rule| (&rule.source, rule.verified_on)),
            )
            .chain(
                profile
                    .ask_again
                    .iter()
                    .map(|rule| (&rule.source, rule.verified_on)),
            );
        for (source, verified_on) in sources {
            assert!(source.len() > 10, "{}", profile.name);
            assert_eq!(verified_on, None, "no primary text was read");
        }
    }
}

#[test]
fn every_consent_purpose_needs_consent_in_every_profile() {
    for profile in built_in().all() {
        for purpose in Purpose::CONSENT {
            for kind in StreamKind::ALL {
                assert_eq!(profile.exemption(*purpose, *kind), None);
            }
            assert!(
                profile
                    .consent
                    .iter()
                    .any(|rule| rule.purposes.contains(purpose))
            );
        }
    }
}

#[test]
fn the_day_before_is_counted_in_paris() {
    let told = "2026-06-10T08:00:00Z";
    assert!(legacy(&facts("2026-04-13T21:59:59Z", told, &[P1]), &[P1]));
    // 22:30 UTC on the 13th is the 14th in Paris: new (D8).
    assert!(!legacy(&facts("2026-04-13T22:30:00Z", told, &[P1]), &[P1]));
}

#[test]
fn told_from_the_first_day_to_the_last() {
    let old = "2025-09-01T08:00:00Z";
    for (told, counts) in [
        ("2026-04-13T21:59:59Z", false),
        ("2026-04-13T22:00:00Z", true),
        ("2026-07-14T21:59:59Z", true),
        ("2026-07-14T22:00:00Z", false),
        ("2026-08-01T10:00:00Z", false),
    ] {
        assert_eq!(legacy(&facts(old, told, &[P1]), &[P1]), counts, "{told}");
    }
}

#[test]
fn told_of_other_purposes_is_not_told() {
    let contact = facts("2025-09-01T08:00:00Z", "2026-06-10T08:00:00Z", &[P1]);
    assert!(!legacy(&contact, &[P1, Purpose::FraudDetection]));
    let never = ContactFacts {
        informed: BTreeSet::new(),
        ..contact.clone()
    };
    assert!(!legacy(&never, &[P1]));
    let new = ContactFacts {
        collected: None,
        ..contact
    };
    assert!(!legacy(&new, &[P1]));
}

#[test]
fn a_legacy_rule_may_end() {
    let mut profile = named("fr-2026");
    let contact = facts("2025-09-01T08:00:00Z", "2026-06-10T08:00:00Z", &[P1]);
    profile.legacy[0].holds_until = Some("2026-12-31".parse().unwrap());
    let wanted = [P1].into();
    let on = |day: &str| {
        profile
            .legacy(&contact, &wanted, day.parse().unwrap())
            .is_some()
    };
    assert!(on("2026-12-31T22:00:00Z"));
    assert!(!on("2026-12-31T23:30:00Z"), "it is January in Paris");
}

#[test]
fn a_country_has_its_own_profile_and_the_unknown_has_all() {
    let profiles = built_in();
    let names = |country| -> Vec<String> {
        profiles
            .for_country(country)
            .iter()
            .map(|profile| profile.name.clone())
            .collect()
    };
    assert_eq!(names(Some("FR")), ["fr-2026"]);
    assert_eq!(names(Some("IT")), ["it-2026"]);
    assert_eq!(names(Some("DE")).len(), 3);
    assert_eq!(names(None).len(), 3);
}

/// The first of two profiles for one country decided alone, so that the order of a list was law.
#[test]
fn every_profile_of_a_country_decides() {
    let (_, text) = BUILT_IN[0];
    let later = text.replace("name = \"fr-2026\"", "name = \"fr-2027\"");
    let later = Profile::read("fr-2027", &later).unwrap();
    let both = Profiles::new(vec![named("fr-2026"), later, named("it-2026")], &[]).unwrap();
    let names: Vec<&str> = both
        .for_country(Some("FR"))
        .iter()
        .map(|profile| profile.name.as_str())
        .collect();
    assert_eq!(names, ["fr-2026", "fr-2027"]);
}

#[test]
fn by_a_clock_that_was_set_back_nobody_was_told_yet() {
    let fr = named("fr-2026");
    let contact = facts("2025-09-01T08:00:00Z", "2026-06-10T08:00:00Z", &[P1]);
    let on = |now: &str| fr.legacy(&contact, &[P1].into(), now.parse().unwrap());
    assert!(on("2026-06-10T07:56:00Z").is_some());
    assert!(on("2026-06-10T07:54:00Z").is_none());
}

#[test]
fn what_is_off_is_switched_on_by_name_only() {
    let fr = || vec![named("fr-2026")];
    let on = |profiles: &Profiles| {
        profiles.all()[0]
            .exemption(Purpose::AggregateAnonymous, StreamKind::Marketing)
            .is_some()
    };
    assert!(!on(&Profiles::new(fr(), &[]).unwrap()));
    let switched = Profiles::new(fr(), &["fr-2026/aggregate_anonymous".to_owned()]).unwrap();
    assert!(on(&switched));
    for wrong in [
        "fr-2026/authentication",
        "aggregate_anonymous",
        "it-2026/aggregate_anonymous",
    ] {
        let refused = Profiles::new(fr(), &[wrong.to_owned()]);
        assert_eq!(refused, Err(ProfileError::NoSuchRule(wrong.to_owned())));
    }
    assert_eq!(Profiles::new(vec![], &[]), Err(ProfileError::None));
    let twice = vec![named("fr-2026"), named("fr-2026")];
    assert_eq!(
        Profiles::new(twice, &[]),
        Err(ProfileError::Twice("fr-2026".to_owned()))
    );
}

#[test]
fn a_profile_that_contradicts_itself_is_refused() {
    let (_, text) = BUILT_IN[0];
    let problem = |text: &str| match Profile::read("x", text) {
        Err(ProfileError::Malformed { problem, .. }) => problem,
        other => panic!("{other:?}"),
    };
    let both = text.replace(
        "\"fraud_detection\"",
        "\"fraud_detection\", \"auth_security\"",
    );
    assert!(problem(&both).contains("cannot both"));
    let consent = text.replace(
        "purpose = \"auth_security\"",
        "purpose = \"fraud_detection\"",
    );
    assert!(problem(&consent).contains("cannot both"));
    let turned = text.replace(
        "informed_until = \"2026-07-14\"",
        "informed_until = \"2026-01-14\"",
    );
    assert!(problem(&turned).contains("ends before"));
    assert!(problem(&text.replace("Europe/Paris", "Europe/Nowhere")).contains("time zone"));
    assert!(problem(&text.replace("title =", "titel =")).contains("titel"));
}
