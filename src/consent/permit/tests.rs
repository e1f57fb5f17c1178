use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::consent::contact::{ContactFacts, Informed};

const FACTS: StreamFacts = StreamFacts {
    kind: StreamKind::Marketing,
    assigned: true,
    strip_all: false,
    withdrawal_link: WithdrawalLink::NotDemanded,
};

const P1: Purpose = Purpose::CampaignPerformance;
const P2: Purpose = Purpose::CrossChannelProfiling;

static PROFILES: LazyLock<Profiles> = LazyLock::new(|| Profiles::built_in().unwrap());

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The law of a country on the day of the scenarios.
fn law(country: Option<&'static str>) -> Law<'static> {
    Law {
        profiles: &PROFILES,
        country_default: country,
        now: at("2026-11-22T10:00:00Z"),
        grant_age_max: None,
    }
}

fn proof(number: u8) -> ProofId {
    ProofId::from_bytes([number; 16])
}

fn entry(state: State, number: u8) -> Entry {
    Entry {
        state,
        at: at("2026-05-02T10:00:00Z"),
        proof: proof(number),
        shown: BTreeSet::new(),
        combined: false,
    }
}

fn standing(entries: &[(Purpose, State, u8)]) -> Standing {
    let entries = entries.iter();
    Standing::new(
        entries.map(|(purpose, state, number)| (*purpose, entry(*state, *number))),
        [],
    )
}

/// Collected in 2025, told in time of these purposes.
fn legacy(purposes: &[Purpose]) -> ContactFacts {
    ContactFacts {
        collected: Some((at("2025-09-01T10:00:00Z"), proof(11))),
        informed: [Informed {
            at: at("2026-06-10T10:00:00Z"),
            purposes: purposes.iter().copied().collect(),
            record: proof(12),
        }]
        .into(),
        ..ContactFacts::default()
    }
}

fn said_so(
    wanted: Wanted<'_>,
    standing: &Standing,
    facts: &StreamFacts,
    law: &Law<'_>,
) -> Result<(Basis, Vec<ProofId>), Reason> {
    match permit(&wanted, standing, facts, law) {
        Permit::Kept { basis, proofs, .. } => Ok((basis, proofs)),
        Permit::Stripped { reason, .. } => Err(reason),
    }
}

fn reason(wanted: Wanted<'_>, standing: &Standing, facts: &StreamFacts) -> Reason {
    said_so(wanted, standing, facts, &law(Some("FR"))).unwrap_err()
}

#[test]
fn consent_to_all_purposes_keeps_and_names_its_proofs_in_every_country() {
    for country in [None, Some("FR"), Some("IT"), Some("DE")] {
        let both = standing(&[(P1, State::Granted, 1), (P2, State::Granted, 2)]);
        let kept = said_so(Wanted::declared(&[P2, P1]), &both, &FACTS, &law(country));
        assert_eq!(kept, Ok((Basis::Consent, vec![proof(1), proof(2)])));
        let one = standing(&[(P1, State::Granted, 1), (P2, State::Granted, 1)]);
        let kept = said_so(Wanted::declared(&[P1, P2]), &one, &FACTS, &law(country));
        assert_eq!(kept, Ok((Basis::Consent, vec![proof(1)])));
    }
}

#[test]
fn one_purpose_missing_strips_d3() {
    let one = standing(&[(P1, State::Granted, 1)]);
    assert_eq!(
        reason(Wanted::declared(&[P1, P2]), &one, &FACTS),
        Reason::PurposeMissing
    );
    // F12: an exempt use beside it does not help, and needs the consent as well.
    let mixed = [P1, Purpose::DeliverabilityHygiene];
    assert_eq!(
        reason(Wanted::declared(&mixed), &one, &FACTS),
        Reason::PurposeMissing
    );
}

#[test]
fn undeclared_needs_consent_to_every_consent_purpose_d2() {
    assert_eq!(
        reason(Wanted::undeclared(), &Standing::default(), &FACTS),
        Reason::NoConsent
    );
    let all: Vec<_> = Purpose::CONSENT
        .iter()
        .map(|purpose| (*purpose, State::Granted, 1))
        .collect();
    let four = standing(&all[1..]);
    assert_eq!(
        reason(Wanted::undeclared(), &four, &FACTS),
        Reason::Undeclared
    );
    assert_eq!(
        reason(Wanted::declared(&[]), &four, &FACTS),
        Reason::Undeclared
    );
    assert!(said_so(Wanted::undeclared(), &standing(&all), &FACTS, &law(None)).is_ok());
}

#[test]
fn what_the_person_said_is_the_reason_and_its_record_is_named() {
    for (state, expected) in [
        (State::Refused, Reason::Refused),
        (State::Withdrawn, Reason::Withdrawn),
        (State::Objected, Reason::Objected),
        (State::Erased, Reason::Erased),
        (State::Expired, Reason::Expired),
    ] {
        let person = standing(&[(P1, State::Granted, 1), (P2, state, 2)]);
        assert_eq!(
            permit(
                &Wanted::declared(&[P1, P2]),
                &person,
                &FACTS,
                &law(Some("FR"))
            ),
            Permit::Stripped {
                reason: expected,
                record: Some(proof(2)),
                profile: "fr-2026".to_owned(),
            }
        );
        // Nor does the legacy rule lift it: no objection means nothing said (D8).
        let told = standing(&[(P1, state, 2)]).with_contact(legacy(&[P1]));
        assert_eq!(reason(Wanted::declared(&[P1]), &told, &FACTS), expected);
    }
    for state in [State::Unknown, State::LegacyInformed] {
        let person = standing(&[(P1, state, 1)]);
        assert_eq!(
            reason(Wanted::declared(&[P1]), &person, &FACTS),
            Reason::NoConsent
        );
    }
}

#[test]
fn a_claim_permits_nothing_and_says_so_d18() {
    let claimed = Standing::new([], [P1]);
    assert_eq!(
        reason(Wanted::declared(&[P1]), &claimed, &FACTS),
        Reason::ClaimWithoutProof
    );
    assert_eq!(
        reason(Wanted::declared(&[P2]), &claimed, &FACTS),
        Reason::NoConsent
    );
}

#[test]
fn mail_that_asks_for_consent_keeps_nobody_d9() {
    let facts = StreamFacts {
        kind: StreamKind::ConsentRequest,
        ..FACTS
    };
    let person = standing(&[(P1, State::Granted, 1)]).with_contact(legacy(&[P1]));
    assert_eq!(
        reason(Wanted::declared(&[P1]), &person, &facts),
        Reason::ConsentRequest
    );
}

#[test]
fn stops_and_missing_facts_strip_whoever_consented() {
    let people = [
        standing(&[(P1, State::Granted, 1)]),
        Standing::default().with_contact(legacy(&[P1])),
    ];
    let wanted = Wanted::declared(&[P1]);
    let absent = StreamFacts {
        withdrawal_link: WithdrawalLink::Absent,
        ..FACTS
    };
    let unassigned = StreamFacts {
        assigned: false,
        ..FACTS
    };
    let stopped = StreamFacts {
        strip_all: true,
        ..FACTS
    };
    let present = StreamFacts {
        withdrawal_link: WithdrawalLink::Present,
        ..FACTS
    };
    for person in people {
        assert_eq!(reason(wanted, &person, &stopped), Reason::StripAll);
        assert_eq!(reason(wanted, &person, &unassigned), Reason::Unassigned);
        assert_eq!(reason(wanted, &person, &absent), Reason::NoWithdrawalLink);
        assert!(said_so(wanted, &person, &present, &law(Some("FR"))).is_ok());
    }
}

#[test]
fn old_addresses_told_in_time_go_on_in_france_only_d8() {
    let person = Standing::default().with_contact(legacy(&[P1]));
    let wanted = Wanted::declared(&[P1]);
    let kept = said_so(wanted, &person, &FACTS, &law(Some("FR")));
    assert_eq!(
        kept,
        Ok((Basis::LegacyNoObjection, vec![proof(11), proof(12)]))
    );
    for country in [None, Some("IT"), Some("DE")] {
        assert_eq!(
            said_so(wanted, &person, &FACTS, &law(country)),
            Err(Reason::NoConsent)
        );
    }
    // Of one purpose consent, of the other the notice.
    let both = standing(&[(P2, State::Granted, 1)]).with_contact(legacy(&[P1]));
    let kept = said_so(Wanted::declared(&[P1, P2]), &both, &FACTS, &law(Some("FR")));
    let records = vec![proof(1), proof(11), proof(12)];
    assert_eq!(kept, Ok((Basis::LegacyNoObjection, records)));
}

#[test]
fn the_record_s_country_comes_before_the_controller_s_and_two_are_none() {
    let living = |countries: &[&str]| {
        let contact = ContactFacts {
            countries: countries.iter().map(|code| (*code).to_owned()).collect(),
            ..legacy(&[P1])
        };
        Standing::default().with_contact(contact)
    };
    let kept = |countries: &[&str], default| {
        said_so(
            Wanted::declared(&[P1]),
            &living(countries),
            &FACTS,
            &law(default),
        )
        .is_ok()
    };
    assert!(kept(&["FR"], None));
    assert!(kept(&["FR"], Some("IT")));
    assert!(!kept(&["IT"], Some("FR")));
    assert!(!kept(&["FR", "IT"], Some("FR")));
    assert!(kept(&[], Some("FR")));
}

#[test]
fn a_partner_is_named_to_the_person_or_gets_nothing_d19() {
    let mut granted = entry(State::Granted, 1);
    let person =
        |entry: &Entry| Standing::new([(P1, entry.clone())], []).with_contact(legacy(&[P1]));
    let partner = Wanted::declared(&[P1]).for_partner("Ads SA");
    assert_eq!(
        reason(partner, &person(&granted), &FACTS),
        Reason::PartnerNotShown
    );
    assert!(
        said_so(
            Wanted::declared(&[P1]),
            &person(&granted),
            &FACTS,
            &law(None)
        )
        .is_ok()
    );
    granted.shown = ["Ads SA".to_owned()].into();
    assert!(said_so(partner, &person(&granted), &FACTS, &law(None)).is_ok());
    let other = Wanted::declared(&[P1]).for_partner("Other SA");
    assert_eq!(
        reason(other, &person(&granted), &FACTS),
        Reason::PartnerNotShown
    );
    // A notice names no partner.
    let told = Standing::default().with_contact(legacy(&[P1]));
    assert_eq!(reason(partner, &told, &FACTS), Reason::NoConsent);
    let security = Wanted::declared(&[Purpose::AuthSecurity]).for_partner("Ads SA");
    let facts = StreamFacts {
        kind: StreamKind::Authentication,
        ..FACTS
    };
    assert_eq!(reason(security, &told, &facts), Reason::NotExempt);
}

#[test]
fn a_list_never_and_a_role_by_its_own_record_d25() {
    let of = |kind, standing: Standing| {
        let contact = ContactFacts {
            address_kind: Some(kind),
            ..legacy(&[P1])
        };
        standing.with_contact(contact)
    };
    let granted = || standing(&[(P1, State::Granted, 1)]);
    let wanted = Wanted::declared(&[P1]);
    assert_eq!(
        reason(wanted, &of(AddressKind::List, granted()), &FACTS),
        Reason::ListAddress
    );
    assert!(
        said_so(
            wanted,
            &of(AddressKind::Role, granted()),
            &FACTS,
            &law(None)
        )
        .is_ok()
    );
    let role = of(AddressKind::Role, Standing::default());
    assert_eq!(reason(wanted, &role, &FACTS), Reason::NoConsent);
    let person = of(AddressKind::Personal, Standing::default());
    assert!(said_so(wanted, &person, &FACTS, &law(Some("FR"))).is_ok());
}

#[test]
fn one_yes_to_everything_counts_where_the_profile_says_so_q4() {
    let combined = Entry {
        combined: true,
        ..entry(State::Granted, 1)
    };
    let person = Standing::new([(P1, combined)], []);
    let wanted = Wanted::declared(&[P1]);
    assert!(said_so(wanted, &person, &FACTS, &law(Some("FR"))).is_ok());
    assert_eq!(
        said_so(wanted, &person, &FACTS, &law(None)),
        Err(Reason::ConsentScope)
    );
}

#[test]
fn a_grant_ages_where_the_operator_says_so_and_is_not_given_before_its_day() {
    let person = standing(&[(P1, State::Granted, 1)]);
    let wanted = Wanted::declared(&[P1]);
    let aged = |days: i64| Law {
        grant_age_max: Some(SignedDuration::from_hours(24 * days)),
        ..law(None)
    };
    assert!(said_so(wanted, &person, &FACTS, &aged(204)).is_ok());
    assert_eq!(
        said_so(wanted, &person, &FACTS, &aged(203)),
        Err(Reason::Expired)
    );
    let before = Law {
        now: at("2026-05-02T09:54:00Z"),
        ..law(None)
    };
    assert_eq!(
        said_so(wanted, &person, &FACTS, &before),
        Err(Reason::NoConsent)
    );
}

#[test]
fn a_yes_that_cannot_be_relied_on_permits_as_much_as_none() {
    let wanted = Wanted::declared(&[P1]);
    let told = Standing::default().with_contact(legacy(&[P1]));
    let stale = standing(&[(P1, State::Granted, 1)]).with_contact(legacy(&[P1]));
    let aged = Law {
        grant_age_max: Some(SignedDuration::from_hours(24)),
        ..law(Some("FR"))
    };
    let on_the_notice = Ok((Basis::LegacyNoObjection, vec![proof(11), proof(12)]));
    assert_eq!(said_so(wanted, &told, &FACTS, &aged), on_the_notice);
    assert_eq!(said_so(wanted, &stale, &FACTS, &aged), on_the_notice);
}

/// The country is open: two profiles exempt it, the strictest asks for consent, so it stays on consent and no report may
/// count it among the exempt.
#[test]
fn what_one_profile_keeps_by_consent_alone_is_not_called_exempt() {
    let security = Wanted::declared(&[Purpose::AuthSecurity]);
    let facts = StreamFacts {
        kind: StreamKind::Authentication,
        ..FACTS
    };
    let yes = standing(&[(Purpose::AuthSecurity, State::Granted, 1)]);
    let exempt = Basis::Exempt(Purpose::AuthSecurity);
    let by_country = |country| said_so(security, &yes, &facts, &law(country));
    assert_eq!(by_country(None), Ok((Basis::Consent, vec![proof(1)])));
    assert_eq!(by_country(Some("FR")), Ok((exempt, vec![])));
}

/// Whose country the records leave open waits as long as the strictest says, whatever the controller vouches for.
#[test]
fn two_countries_ask_again_as_late_as_the_later() {
    let mut no = standing(&[(P1, State::Refused, 1)]);
    assert_eq!(next_ask_after(&no, &law(Some("IT"))), None);
    no.contact.countries = ["FR", "IT"].map(str::to_owned).into();
    let later = next_ask_after(&no, &law(Some("IT")));
    assert_eq!(later, Some(at("2026-11-02T10:00:00Z")));
}

#[test]
fn exempt_purposes_stay_as_each_profile_says() {
    let nobody = Standing::default();
    let on = |kind| StreamFacts { kind, ..FACTS };
    let answer = |purpose, kind, country| {
        said_so(
            Wanted::declared(&[purpose]),
            &nobody,
            &on(kind),
            &law(country),
        )
        .map(|(basis, _)| basis)
    };
    use Purpose::{AggregateAnonymous, AuthSecurity, DeliverabilityHygiene, LegalProof};
    use StreamKind::{Authentication, Marketing, Prospecting, Requested};
    let needs_gate = Err(Reason::NeedsGate);
    let not_exempt = Err(Reason::NotExempt);
    for (purpose, kind, country, expected) in [
        (
            AuthSecurity,
            Authentication,
            Some("FR"),
            Ok(Basis::Exempt(AuthSecurity)),
        ),
        (
            AuthSecurity,
            Authentication,
            Some("IT"),
            Ok(Basis::Exempt(AuthSecurity)),
        ),
        (AuthSecurity, Authentication, None, not_exempt),
        (AuthSecurity, Requested, Some("FR"), not_exempt),
        (DeliverabilityHygiene, Requested, Some("FR"), needs_gate),
        (DeliverabilityHygiene, Requested, Some("IT"), not_exempt),
        (DeliverabilityHygiene, Marketing, Some("FR"), not_exempt),
        (DeliverabilityHygiene, Prospecting, Some("FR"), not_exempt),
        // Where all have to agree, one that says no speaks, not one that waits for the gate.
        (DeliverabilityHygiene, Requested, None, not_exempt),
        (AggregateAnonymous, Marketing, None, not_exempt),
        (AggregateAnonymous, Marketing, Some("IT"), needs_gate),
        (AggregateAnonymous, Marketing, Some("FR"), not_exempt),
        (LegalProof, Requested, Some("FR"), not_exempt),
    ] {
        assert_eq!(
            answer(purpose, kind, country),
            expected,
            "{purpose} {kind} {country:?}"
        );
    }
    let objected = standing(&[(AuthSecurity, State::Objected, 1)]);
    let wanted = Wanted::declared(&[AuthSecurity]);
    assert_eq!(
        reason(wanted, &objected, &on(Authentication)),
        Reason::Objected
    );
    let mixed = [AuthSecurity, P1];
    assert_eq!(
        reason(Wanted::declared(&mixed), &nobody, &on(Authentication)),
        Reason::NoConsent
    );
}

#[test]
fn a_no_may_be_asked_about_again_after_six_months_d23() {
    let person = standing(&[(P1, State::Refused, 1)]);
    let again = Some(at("2026-11-02T10:00:00Z"));
    assert_eq!(next_ask_after(&person, &law(Some("FR"))), again);
    assert_eq!(
        next_ask_after(&person, &law(None)),
        again,
        "the longest of all"
    );
    assert_eq!(next_ask_after(&person, &law(Some("IT"))), None);
    let granted = standing(&[(P1, State::Granted, 1)]);
    assert_eq!(next_ask_after(&granted, &law(Some("FR"))), None);
}

fn any_contact() -> impl Strategy<Value = ContactFacts> {
    (
        proptest::option::of(proptest::sample::select(AddressKind::ALL.to_vec())),
        proptest::sample::subsequence(vec!["FR", "IT", "DE"], 0..=2),
        proptest::sample::subsequence(Purpose::ALL.to_vec(), 0..=9),
    )
        .prop_map(|(kind, countries, purposes)| ContactFacts {
            address_kind: kind,
            countries: countries.into_iter().map(str::to_owned).collect(),
            ..legacy(&purposes)
        })
}

fn any_standing() -> impl Strategy<Value = Standing> {
    let state = prop_oneof![
        3 => Just(State::Granted),
        1 => proptest::sample::select(State::ALL.to_vec()),
    ];
    let entry_of =
        (state, 0_u8..4, any::<[bool; 2]>()).prop_map(|(state, number, [shown, combined])| Entry {
            shown: shown.then(|| "Ads SA".to_owned()).into_iter().collect(),
            combined,
            ..entry(state, number)
        });
    let entries =
        proptest::collection::vec((proptest::sample::select(Purpose::ALL), entry_of), 0..9);
    (entries, any_contact())
        .prop_map(|(entries, contact)| Standing::new(entries, []).with_contact(contact))
}

fn any_facts() -> impl Strategy<Value = StreamFacts> {
    let mostly = || proptest::bool::weighted(0.9);
    let kind = proptest::sample::select(StreamKind::ALL);
    (kind, mostly(), mostly(), 0_u8..4).prop_map(|(kind, assigned, go, link)| StreamFacts {
        kind,
        assigned,
        strip_all: !go,
        withdrawal_link: match link {
            0 | 1 => WithdrawalLink::NotDemanded,
            2 => WithdrawalLink::Present,
            _ => WithdrawalLink::Absent,
        },
    })
}

fn any_law() -> impl Strategy<Value = Law<'static>> {
    let country = proptest::sample::select(vec![None, Some("FR"), Some("IT"), Some("DE")]);
    (country, -400_i64..400, proptest::option::of(1_i64..400)).prop_map(|(country, days, age)| {
        Law {
            now: at("2026-11-22T10:00:00Z") + SignedDuration::from_hours(24 * days),
            grant_age_max: age.map(|days| SignedDuration::from_hours(24 * days)),
            ..law(country)
        }
    })
}

fn any_wanted() -> impl Strategy<Value = (Vec<Purpose>, bool)> {
    (
        proptest::sample::subsequence(Purpose::ALL.to_vec(), 0..=4),
        proptest::bool::weighted(0.2),
    )
}

fn wanted((purposes, partner): &(Vec<Purpose>, bool)) -> Wanted<'_> {
    Wanted {
        purposes: Some(purposes),
        partner: partner.then_some("Ads SA"),
    }
}

fn keeps(wanted: Wanted<'_>, person: &Standing, facts: &StreamFacts, law: &Law<'_>) -> bool {
    matches!(permit(&wanted, person, facts, law), Permit::Kept { .. })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn kept_on_consent_means_every_purpose_is_granted(
        asked in any_wanted(),
        person in any_standing(),
        facts in any_facts(),
        law in any_law(),
    ) {
        if let Permit::Kept { basis: Basis::Consent, proofs, .. } = permit(&wanted(&asked), &person, &facts, &law) {
            for purpose in wanted(&asked).needed() {
                let entry = person.entry(purpose).unwrap();
                prop_assert_eq!(entry.state, State::Granted);
                prop_assert!(proofs.contains(&entry.proof));
            }
            prop_assert!(facts.assigned && !facts.strip_all);
            prop_assert!(facts.withdrawal_link != WithdrawalLink::Absent);
            prop_assert!(facts.kind != StreamKind::ConsentRequest);
        }
    }

    #[test]
    fn a_no_never_adds_a_kept_and_neither_does_forgetting_a_yes(
        asked in any_wanted(),
        person in any_standing(),
        purpose in proptest::sample::select(Purpose::ALL),
        no in proptest::sample::select(vec![State::Refused, State::Withdrawn, State::Objected, State::Erased]),
        facts in any_facts(),
        law in any_law(),
    ) {
        let before = keeps(wanted(&asked), &person, &facts, &law);
        let entries = || person.entries().map(|(purpose, entry)| (purpose, entry.clone()));
        let refused = Standing::new(entries().chain([(purpose, entry(no, 9))]), [])
            .with_contact(person.contact.clone());
        prop_assert!(before || !keeps(wanted(&asked), &refused, &facts, &law));
        // Nor does forgetting what the person said yes to, whether or not it could be relied on.
        let yes = person.state(purpose) == State::Granted;
        let forgotten = Standing::new(entries().filter(|(other, _)| *other != purpose), [])
            .with_contact(person.contact.clone());
        prop_assert!(before || !yes || !keeps(wanted(&asked), &forgotten, &facts, &law));
    }

    #[test]
    fn nobody_of_whom_nothing_is_known_is_ever_kept_but_by_an_exemption(
        asked in any_wanted(),
        facts in any_facts(),
        law in any_law(),
    ) {
        let answer = permit(&wanted(&asked), &Standing::default(), &facts, &law);
        let exempt = matches!(answer, Permit::Kept { basis: Basis::Exempt(_), .. } | Permit::Stripped { .. });
        prop_assert!(exempt, "{:?}", answer);
    }

    #[test]
    fn a_country_that_is_not_known_keeps_no_more_than_any_other(
        asked in any_wanted(),
        person in any_standing(),
        facts in any_facts(),
        law in any_law(),
    ) {
        let anywhere = ContactFacts { countries: BTreeSet::new(), ..person.contact.clone() };
        let person = person.with_contact(anywhere);
        let of = |country_default| Law { country_default, ..law };
        let unknown = keeps(wanted(&asked), &person, &facts, &of(None));
        for country in ["FR", "IT"] {
            prop_assert!(!unknown || keeps(wanted(&asked), &person, &facts, &of(Some(country))));
        }
    }

    #[test]
    fn more_purposes_never_turn_stripped_into_kept(
        purposes in proptest::sample::subsequence(Purpose::ALL.to_vec(), 1..=4),
        more in proptest::sample::select(Purpose::ALL),
        person in any_standing(),
        facts in any_facts(),
        law in any_law(),
    ) {
        let stripped = !keeps(Wanted::declared(&purposes), &person, &facts, &law);
        let wider: Vec<_> = purposes.iter().copied().chain([more]).collect();
        let kept = keeps(Wanted::declared(&wider), &person, &facts, &law);
        prop_assert!(!(stripped && kept));
    }
}
