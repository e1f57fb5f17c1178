use std::collections::BTreeSet;
use std::sync::LazyLock;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::super::settings::{Enforcement, Tracker};
use super::*;
use crate::consent::fold::fold;
use crate::consent::purpose::Purpose;
use crate::consent::record::{Assertion, Change};
use crate::consent::{ChangeKind, Form, LookupKey, Profiles};

const HOSTS: [&str; 5] = [
    "open.example.com",
    "x.example.com",
    "deep.x.example.com",
    "elsewhere.example",
    "",
];
const PATTERNS: [&str; 4] = ["open.example.com", "*.example.com", "*.x.example.com", "*"];

fn subject() -> Subject {
    Subject::of(&LookupKey::new(&[7; 32]), "bakery", "reader@example.net")
}

fn change(kind: ChangeKind, purposes: &[Purpose], minute: i64, proven: bool) -> Change {
    let at = Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minute);
    let assertion = Assertion {
        purposes: purposes.iter().copied().collect(),
        at: Some(at),
        form: Form {
            channel: Some("form".to_owned()),
            wording_version: proven.then(|| "2026-04".to_owned()),
            wording_sha256: Some([1; 32]),
            ..Form::default()
        },
        ..Assertion::new(kind)
    };
    let received = Timestamp::UNIX_EPOCH + SignedDuration::from_mins(1_000);
    assertion.received(&subject(), received).unwrap()
}

fn purposes() -> impl Strategy<Value = Vec<Purpose>> {
    proptest::sample::subsequence(Purpose::ALL.to_vec(), 0..=Purpose::ALL.len())
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    // Mostly grants of much: otherwise hardly anything would ever be kept, and a property about keeping would say nothing.
    let kind = prop_oneof![
        4 => Just(ChangeKind::Granted),
        1 => proptest::sample::select(ChangeKind::ALL.to_vec()),
    ];
    let reach = prop_oneof![2 => Just(Purpose::ALL.to_vec()), 1 => purposes()];
    let one = (kind, reach, 0_i64..20, proptest::bool::weighted(0.8));
    proptest::collection::vec(one, 0..6).prop_map(|changes| {
        changes
            .iter()
            .map(|(kind, purposes, minute, proven)| change(*kind, purposes, *minute, *proven))
            .collect()
    })
}

fn streams() -> impl Strategy<Value = Stream> {
    let tracker = (proptest::sample::select(PATTERNS.to_vec()), purposes());
    let kind = proptest::sample::select(StreamKind::ALL.to_vec());
    (kind, proptest::collection::vec(tracker, 0..4)).prop_map(|(kind, trackers)| Stream {
        kind,
        trackers: trackers
            .into_iter()
            .map(|(pattern, purposes)| Tracker {
                hosts: vec![pattern.to_owned()],
                purposes,
                recipient: "us".to_owned(),
            })
            .collect(),
        ..Stream::built_in()
    })
}

/// Everything that a decision takes but the stream.
#[derive(Debug, Clone, Copy)]
struct Around {
    assigned: bool,
    stops: Stops,
    withdrawal: WithdrawalLink,
    ledger: bool,
    hold_over: bool,
}

impl Around {
    fn facts(self, stream: &Stream) -> Facts<'_> {
        Facts {
            stream,
            assigned: self.assigned,
            law: law(),
            stops: self.stops,
            withdrawal: self.withdrawal,
            ledger: self.ledger,
            hold_over: self.hold_over,
        }
    }
}

static PROFILES: LazyLock<Profiles> = LazyLock::new(|| Profiles::built_in().unwrap());

fn law() -> Law<'static> {
    Law {
        profiles: &PROFILES,
        country_default: Some("FR"),
        now: Timestamp::UNIX_EPOCH + SignedDuration::from_mins(2_000),
        grant_age_max: None,
    }
}

fn around() -> impl Strategy<Value = Around> {
    let mostly = || proptest::bool::weighted(0.85);
    let link = prop_oneof![
        2 => Just(WithdrawalLink::NotDemanded),
        2 => Just(WithdrawalLink::Present),
        1 => Just(WithdrawalLink::Absent),
    ];
    (
        mostly(),
        mostly(),
        mostly(),
        link,
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(
            |(assigned, ledger, no_strip_all, withdrawal, hold_over, hold_edits)| Around {
                assigned,
                stops: Stops {
                    strip_all: !no_strip_all,
                    hold_edits,
                },
                withdrawal,
                ledger,
                hold_over,
            },
        )
}

fn matters() -> impl Strategy<Value = Matter<'static>> {
    let host = || proptest::sample::select(HOSTS.to_vec());
    let why = || proptest::sample::select(Uninspectable::ALL.to_vec());
    prop_oneof![
        2 => host().prop_map(Matter::Finding),
        1 => (host(), why()).prop_map(|(host, why)| Matter::Fixed(host, why)),
        1 => why().prop_map(Matter::Blind),
    ]
}

fn keeps(matter: Matter<'_>, changes: &[Change], facts: &Facts<'_>) -> bool {
    decide(matter, Ok(&fold(changes)), facts).keeps()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_024))]

    #[test]
    fn a_restriction_more_never_keeps_more(
        changes in changes(), stream in streams(), around in around(), matter in matters(),
        kind in proptest::sample::select(vec![ChangeKind::Refused, ChangeKind::Withdrawn, ChangeKind::Objected, ChangeKind::Erased]),
        reach in purposes(), minute in 0_i64..20,
    ) {
        let facts = around.facts(&stream);
        let mut more = changes.clone();
        more.push(change(kind, &reach, minute, true));
        prop_assert!(!keeps(matter, &more, &facts) || keeps(matter, &changes, &facts));
    }

    #[test]
    fn a_grant_less_never_keeps_more(
        changes in changes(), stream in streams(), around in around(), matter in matters(), which in any::<proptest::sample::Index>(),
    ) {
        let facts = around.facts(&stream);
        let grants: Vec<usize> = (0..changes.len()).filter(|n| changes[*n].said.kind == ChangeKind::Granted).collect();
        if grants.is_empty() {
            return Ok(());
        }
        let mut fewer = changes.clone();
        fewer.remove(*which.get(&grants));
        prop_assert!(!keeps(matter, &fewer, &facts) || keeps(matter, &changes, &facts));
    }

    #[test]
    fn what_could_not_be_asked_never_keeps(
        stream in streams(), around in around(), matter in matters(), reason in proptest::sample::select(Reason::ALL.to_vec()),
    ) {
        let decision = decide(matter, Err(reason), &around.facts(&stream));
        prop_assert!(!decision.keeps());
        prop_assert_eq!(decision.basis, None);
        let said = if around.ledger { reason } else { Reason::LedgerUnavailable };
        prop_assert_eq!(decision.reason, Some(said));
    }

    #[test]
    fn what_stops_keeping_stops_it(changes in changes(), stream in streams(), around in around(), matter in matters()) {
        let kept = keeps(matter, &changes, &around.facts(&stream));
        let stopped = !around.ledger || around.stops.strip_all || !around.assigned
            || around.withdrawal == WithdrawalLink::Absent || stream.kind == StreamKind::ConsentRequest;
        prop_assert!(!(kept && stopped));
    }

    /// What is kept rests on proven grants and says which; what is not says why.
    #[test]
    fn every_decision_can_be_shown(changes in changes(), stream in streams(), around in around(), matter in matters()) {
        let decision = decide(matter, Ok(&fold(&changes)), &around.facts(&stream));
        if decision.keeps() {
            if let Some(Basis::Exempt(purpose)) = decision.basis {
                prop_assert_eq!((purpose, stream.kind), (Purpose::AuthSecurity, StreamKind::Authentication));
            } else {
                prop_assert_eq!(decision.basis, Some(Basis::Consent));
                prop_assert!(!decision.proofs.is_empty());
            }
            for proof in &decision.proofs {
                let record = changes.iter().find(|change| change.id == *proof).unwrap();
                prop_assert!(record.said.kind == ChangeKind::Granted && record.is_proven());
            }
            prop_assert_eq!(decision.reason, None);
        } else {
            prop_assert!(decision.reason.is_some());
            prop_assert_eq!(decision.basis, None);
        }
    }

    /// A stream that only looks on decides word for word what it would decide in earnest.
    #[test]
    fn a_shadow_changes_no_decision(
        changes in changes(), stream in streams(), around in around(), matter in matters(), share in 0_u8..=100,
    ) {
        let shadow = Shadow { shadow_until: jiff::civil::date(2026, 12, 1), by: "Ada".to_owned(), share_percent: share };
        let looking_on = Stream { enforcement: Enforcement::Shadow(shadow.clone()), ..stream.clone() };
        let standing = fold(&changes);
        prop_assert_eq!(
            decide(matter, Ok(&standing), &around.facts(&stream)),
            decide(matter, Ok(&standing), &around.facts(&looking_on))
        );
        prop_assert!(enforced(None, &subject()));
        prop_assert_eq!(enforced(Some(&shadow), &subject()), subject().percentile() < share);
    }

    /// A part nobody sees through needs what a finding at a host nobody named needs.
    #[test]
    fn blindness_is_judged_by_the_broadest_declaration(changes in changes(), stream in streams(), around in around()) {
        let facts = around.facts(&stream);
        prop_assert_eq!(
            keeps(Matter::Blind(Uninspectable::Charset), &changes, &facts),
            keeps(Matter::Finding("nobody.named.this"), &changes, &facts)
        );
    }

    /// Whatever may not stay is taken out, emptied, held or refused: no treatment forgets one.
    #[test]
    fn no_treatment_forgets_a_decision(
        changes in changes(), stream in streams(), around in around(),
        found in proptest::collection::vec((matters(), any::<bool>()), 0..5),
    ) {
        let facts = around.facts(&stream);
        let standing = fold(&changes);
        let decisions: Vec<Decision> = found.iter().map(|(matter, _)| decide(*matter, Ok(&standing), &facts)).collect();
        let places: Vec<Place> = found.iter().enumerate().map(|(n, (matter, emptiable))| match matter {
            Matter::Finding(_) => Place::Finding(n),
            Matter::Fixed(..) | Matter::Blind(_) => Place::Part { part: n, emptiable: *emptiable },
        }).collect();
        let gone: BTreeSet<usize> = (0..found.len()).filter(|n| !decisions[*n].keeps()).collect();
        match treatment(&decisions, &places, &facts) {
            Treatment::Forward { strip, empty } => {
                prop_assert_eq!(strip.union(&empty).copied().collect::<BTreeSet<_>>(), gone.clone());
                prop_assert!(gone.is_empty() || !around.stops.hold_edits);
            }
            Treatment::Held(_) | Treatment::Rejected(_) => prop_assert!(!gone.is_empty()),
        }
    }
}

fn quiet(stream: &Stream) -> Facts<'_> {
    Facts {
        stream,
        assigned: true,
        law: law(),
        stops: Stops::default(),
        withdrawal: WithdrawalLink::NotDemanded,
        ledger: true,
        hold_over: false,
    }
}

fn kind(kind: StreamKind) -> Stream {
    Stream {
        kind,
        ..Stream::built_in()
    }
}

/// The properties above would hold of a relay that never keeps anything; this one does not.
#[test]
fn a_proven_grant_of_the_declared_purpose_keeps() {
    let granted = fold(&[change(
        ChangeKind::Granted,
        &[Purpose::CampaignPerformance],
        1,
        true,
    )]);
    let stream = Stream::built_in();
    let decision = decide(
        Matter::Finding("any.example"),
        Ok(&granted),
        &quiet(&stream),
    );
    assert!(decision.keeps() && decision.proofs.len() == 1);
    let undeclared = Stream {
        trackers: Vec::new(),
        ..Stream::built_in()
    };
    let decision = decide(
        Matter::Finding("any.example"),
        Ok(&granted),
        &quiet(&undeclared),
    );
    assert_eq!(decision.reason, Some(Reason::Undeclared));
}

/// DESIGN 4 "Uninspectable", row by row.
#[test]
fn what_cannot_be_inspected_goes_by_the_kind_of_stream() {
    let nobody = Standing::default();
    for (of, action) in [
        (StreamKind::Marketing, Action::Rejected),
        (StreamKind::Prospecting, Action::Rejected),
        (StreamKind::ConsentRequest, Action::Rejected),
        (StreamKind::Requested, Action::Held),
        (StreamKind::Authentication, Action::Held),
    ] {
        let stream = kind(of);
        for why in Uninspectable::ALL {
            let action = match why {
                Uninspectable::Signed => Action::Rejected,
                _ => action,
            };
            for matter in [Matter::Blind(*why), Matter::Fixed("t.example", *why)] {
                let decision = decide(matter, Ok(&nobody), &quiet(&stream));
                assert_eq!(decision.action, action, "{of} {why:?}");
                assert_eq!(decision.uninspectable, Some(*why));
            }
        }
    }
}

#[test]
fn what_is_held_is_emptied_where_it_can_be_and_refused_once_the_hold_is_over() {
    let stream = kind(StreamKind::Requested);
    let facts = quiet(&stream);
    let held = decide(
        Matter::Blind(Uninspectable::Charset),
        Ok(&Standing::default()),
        &facts,
    );
    let place = |emptiable| Place::Part { part: 3, emptiable };
    let one = std::slice::from_ref(&held);
    assert_eq!(
        treatment(one, &[place(true)], &facts),
        Treatment::Forward {
            strip: BTreeSet::new(),
            empty: BTreeSet::from([3])
        }
    );
    assert!(matches!(
        treatment(one, &[place(false)], &facts),
        Treatment::Held(_)
    ));
    let over = Facts {
        hold_over: true,
        ..facts
    };
    assert!(matches!(
        treatment(one, &[place(false)], &over),
        Treatment::Rejected(_)
    ));
    assert!(
        matches!(
            treatment(one, &[place(true)], &over),
            Treatment::Forward { .. }
        ),
        "what can be emptied needs no hold"
    );
}

/// One copy that must not go outweighs whatever else could be done with it.
#[test]
fn a_rejected_matter_rejects_the_copy() {
    let stream = Stream::built_in();
    let facts = quiet(&stream);
    let nobody = Standing::default();
    let decisions = [
        decide(Matter::Finding("t.example"), Ok(&nobody), &facts),
        decide(
            Matter::Fixed("t.example", Uninspectable::Signed),
            Ok(&nobody),
            &facts,
        ),
    ];
    let places = [
        Place::Finding(0),
        Place::Part {
            part: 1,
            emptiable: false,
        },
    ];
    let Treatment::Rejected(cause) = treatment(&decisions, &places, &facts) else {
        panic!("not rejected");
    };
    assert_eq!(cause.uninspectable, Some(Uninspectable::Signed));
}

#[test]
fn a_demanded_link_that_is_absent_keeps_nothing() {
    let stream = Stream::built_in();
    let granted = fold(&[change(ChangeKind::Granted, Purpose::ALL, 1, true)]);
    for (withdrawal, kept) in [
        (WithdrawalLink::NotDemanded, true),
        (WithdrawalLink::Present, true),
        (WithdrawalLink::Absent, false),
    ] {
        let facts = Facts {
            withdrawal,
            ..quiet(&stream)
        };
        let decision = decide(Matter::Finding("t.example"), Ok(&granted), &facts);
        assert_eq!(decision.keeps(), kept);
        assert_eq!(decision.reason, (!kept).then_some(Reason::NoWithdrawalLink));
    }
}
