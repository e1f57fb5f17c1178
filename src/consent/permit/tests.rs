use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::consent::fold::Entry;

const FACTS: StreamFacts = StreamFacts {
    kind: StreamKind::Marketing,
    assigned: true,
    strip_all: false,
    withdrawal_link: WithdrawalLink::NotDemanded,
    auth_security_exempt: false,
};

const P1: Purpose = Purpose::CampaignPerformance;
const P2: Purpose = Purpose::CrossChannelProfiling;

fn proof(number: u8) -> ProofId {
    ProofId::from_bytes([number; 16])
}

fn standing(entries: &[(Purpose, State, u8)]) -> Standing {
    Standing::new(
        entries.iter().map(|(purpose, state, number)| {
            let entry = Entry {
                state: *state,
                at: Timestamp::UNIX_EPOCH,
                proof: proof(*number),
            };
            (*purpose, entry)
        }),
        [],
    )
}

fn reason(wanted: Wanted<'_>, standing: &Standing, facts: &StreamFacts) -> Reason {
    match permit(wanted, standing, facts) {
        Permit::Stripped { reason, .. } => reason,
        Permit::Kept { basis, .. } => panic!("kept on {basis}"),
    }
}

#[test]
fn consent_to_all_purposes_keeps_and_names_its_proofs() {
    let both = standing(&[(P1, State::Granted, 1), (P2, State::Granted, 2)]);
    assert_eq!(
        permit(Wanted::Declared(&[P2, P1]), &both, &FACTS),
        Permit::Kept {
            basis: Basis::Consent,
            proofs: vec![proof(1), proof(2)]
        }
    );
    let one = standing(&[(P1, State::Granted, 1), (P2, State::Granted, 1)]);
    assert_eq!(
        permit(Wanted::Declared(&[P1, P2]), &one, &FACTS),
        Permit::Kept {
            basis: Basis::Consent,
            proofs: vec![proof(1)]
        }
    );
}

#[test]
fn one_purpose_missing_strips_d3() {
    let one = standing(&[(P1, State::Granted, 1)]);
    let wanted = Wanted::Declared(&[P1, P2]);
    assert_eq!(reason(wanted, &one, &FACTS), Reason::PurposeMissing);
    // F12: an exempt use beside it does not help, and needs the consent as well.
    let mixed = [P1, Purpose::DeliverabilityHygiene];
    assert_eq!(
        reason(Wanted::Declared(&mixed), &one, &FACTS),
        Reason::PurposeMissing
    );
}

#[test]
fn undeclared_needs_consent_to_every_consent_purpose_d2() {
    let nothing = Standing::default();
    assert_eq!(
        reason(Wanted::Undeclared, &nothing, &FACTS),
        Reason::NoConsent
    );
    let four: Vec<_> = Purpose::CONSENT
        .iter()
        .skip(1)
        .map(|purpose| (*purpose, State::Granted, 1))
        .collect();
    assert_eq!(
        reason(Wanted::Undeclared, &standing(&four), &FACTS),
        Reason::Undeclared
    );
    assert_eq!(
        reason(Wanted::Declared(&[]), &standing(&four), &FACTS),
        Reason::Undeclared
    );
    let all: Vec<_> = Purpose::CONSENT
        .iter()
        .map(|purpose| (*purpose, State::Granted, 1))
        .collect();
    assert!(matches!(
        permit(Wanted::Undeclared, &standing(&all), &FACTS),
        Permit::Kept { .. }
    ));
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
            permit(Wanted::Declared(&[P1, P2]), &person, &FACTS),
            Permit::Stripped {
                reason: expected,
                record: Some(proof(2))
            }
        );
    }
    for state in [State::Unknown, State::LegacyInformed] {
        let person = standing(&[(P1, state, 1)]);
        let wanted = Wanted::Declared(&[P1]);
        assert_eq!(reason(wanted, &person, &FACTS), Reason::NoConsent);
    }
}

#[test]
fn a_claim_permits_nothing_and_says_so_d18() {
    let claimed = Standing::new([], [P1]);
    assert_eq!(
        reason(Wanted::Declared(&[P1]), &claimed, &FACTS),
        Reason::ClaimWithoutProof
    );
    assert_eq!(
        reason(Wanted::Declared(&[P2]), &claimed, &FACTS),
        Reason::NoConsent
    );
}

#[test]
fn mail_that_asks_for_consent_keeps_nobody_d9() {
    let person = standing(&[(P1, State::Granted, 1)]);
    let facts = StreamFacts {
        kind: StreamKind::ConsentRequest,
        ..FACTS
    };
    assert_eq!(
        reason(Wanted::Declared(&[P1]), &person, &facts),
        Reason::ConsentRequest
    );
}

#[test]
fn stops_and_missing_facts_strip_whoever_consented() {
    let person = standing(&[(P1, State::Granted, 1)]);
    let wanted = Wanted::Declared(&[P1]);
    for (facts, expected) in [
        (
            StreamFacts {
                strip_all: true,
                ..FACTS
            },
            Reason::StripAll,
        ),
        (
            StreamFacts {
                assigned: false,
                ..FACTS
            },
            Reason::Unassigned,
        ),
        (
            StreamFacts {
                withdrawal_link: WithdrawalLink::Absent,
                ..FACTS
            },
            Reason::NoWithdrawalLink,
        ),
    ] {
        assert_eq!(reason(wanted, &person, &facts), expected);
    }
    let present = StreamFacts {
        withdrawal_link: WithdrawalLink::Present,
        ..FACTS
    };
    assert!(matches!(
        permit(wanted, &person, &present),
        Permit::Kept { .. }
    ));
}

#[test]
fn exempt_purposes_wait_for_the_gate_or_for_a_profile() {
    let nobody = Standing::default();
    let hygiene = Wanted::Declared(&[Purpose::DeliverabilityHygiene]);
    let authentication = StreamFacts {
        kind: StreamKind::Authentication,
        ..FACTS
    };
    let requested = StreamFacts {
        kind: StreamKind::Requested,
        ..FACTS
    };
    let prospecting = StreamFacts {
        kind: StreamKind::Prospecting,
        ..FACTS
    };
    assert_eq!(reason(hygiene, &nobody, &requested), Reason::NeedsGate);
    assert_eq!(reason(hygiene, &nobody, &prospecting), Reason::NotExempt);
    let security = Wanted::Declared(&[Purpose::AuthSecurity]);
    assert_eq!(
        reason(security, &nobody, &authentication),
        Reason::NotExempt
    );
    let objected = standing(&[(Purpose::DeliverabilityHygiene, State::Objected, 1)]);
    assert_eq!(reason(hygiene, &objected, &requested), Reason::Objected);
}

#[test]
fn a_profile_exempts_auth_security_alone_on_authentication_streams_d4() {
    let nobody = Standing::default();
    let authentication = StreamFacts {
        kind: StreamKind::Authentication,
        auth_security_exempt: true,
        ..FACTS
    };
    assert_eq!(
        permit(
            Wanted::Declared(&[Purpose::AuthSecurity]),
            &nobody,
            &authentication
        ),
        Permit::Kept {
            basis: Basis::Exempt(Purpose::AuthSecurity),
            proofs: vec![]
        }
    );
    for kind in StreamKind::ALL {
        let facts = StreamFacts {
            kind: *kind,
            ..authentication
        };
        if *kind != StreamKind::Authentication {
            reason(Wanted::Declared(&[Purpose::AuthSecurity]), &nobody, &facts);
        }
        reason(
            Wanted::Declared(&[Purpose::AuthSecurity, P1]),
            &nobody,
            &facts,
        );
        reason(Wanted::Undeclared, &nobody, &facts);
    }
}

fn any_standing() -> impl Strategy<Value = Standing> {
    proptest::collection::vec(
        (
            proptest::sample::select(Purpose::ALL),
            proptest::sample::select(State::ALL),
            0_u8..4,
        ),
        0..9,
    )
    .prop_map(|entries| standing(&entries))
}

fn any_facts() -> impl Strategy<Value = StreamFacts> {
    (
        proptest::sample::select(StreamKind::ALL),
        any::<[bool; 3]>(),
        0_u8..3,
    )
        .prop_map(
            |(kind, [assigned, strip_all, auth_security_exempt], link)| StreamFacts {
                kind,
                assigned,
                strip_all,
                auth_security_exempt,
                withdrawal_link: match link {
                    0 => WithdrawalLink::NotDemanded,
                    1 => WithdrawalLink::Present,
                    _ => WithdrawalLink::Absent,
                },
            },
        )
}

proptest! {
    #[test]
    fn kept_on_consent_means_every_purpose_is_granted(
        purposes in proptest::sample::subsequence(Purpose::ALL.to_vec(), 0..=4),
        person in any_standing(),
        facts in any_facts(),
    ) {
        let wanted = Wanted::Declared(&purposes);
        if let Permit::Kept { basis: Basis::Consent, proofs } = permit(wanted, &person, &facts) {
            let needed = if purposes.is_empty() { Purpose::CONSENT } else { &purposes };
            for purpose in needed {
                let entry = person.entry(*purpose).unwrap();
                prop_assert_eq!(entry.state, State::Granted);
                prop_assert!(proofs.contains(&entry.proof));
            }
            prop_assert!(facts.assigned && !facts.strip_all);
            prop_assert!(facts.withdrawal_link != WithdrawalLink::Absent);
            prop_assert!(facts.kind != StreamKind::ConsentRequest);
        }
    }

    #[test]
    fn more_purposes_never_turn_stripped_into_kept(
        purposes in proptest::sample::subsequence(Purpose::ALL.to_vec(), 1..=4),
        more in proptest::sample::select(Purpose::ALL),
        person in any_standing(),
        facts in any_facts(),
    ) {
        let stripped = matches!(permit(Wanted::Declared(&purposes), &person, &facts), Permit::Stripped { .. });
        let wider: Vec<_> = purposes.iter().copied().chain([more]).collect();
        let kept = matches!(permit(Wanted::Declared(&wider), &person, &facts), Permit::Kept { .. });
        prop_assert!(!(stripped && kept));
    }
}
