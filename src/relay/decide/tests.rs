//! What holds of every decision, whatever the records, the streams and the clock.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::LazyLock;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::super::settings::{Enforcement, Stream, Tracker};
use super::*;
use crate::consent::fold::fold;
use crate::consent::purpose::Purpose;
use crate::consent::record::{Assertion, Change};
use crate::consent::{AddressKind, ChangeKind, Contact, ContactFacts, Form, LookupKey, Profiles};

mod rows;

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

/// What contact records say: often an old address whose owner was informed in time.
fn contacts() -> impl Strategy<Value = ContactFacts> {
    let country = prop_oneof![3 => Just(Some("FR")), 1 => Just(Some("IT")), 1 => Just(None)];
    let kind = prop_oneof![
        6 => Just(None),
        1 => proptest::sample::select(AddressKind::ALL.to_vec()).prop_map(Some),
    ];
    let old = proptest::option::of(purposes());
    (country, kind, old).prop_map(|(country, address_kind, informed)| {
        let day = |text: &str| text.parse::<Timestamp>().ok();
        let contact = Contact {
            collected_at: day("2025-09-01T10:00:00Z"),
            informed_at: informed.as_ref().and(day("2026-06-10T10:00:00Z")),
            notice: informed.as_ref().map(|_| "2026-05".to_owned()),
            informed_purposes: informed.into_iter().flatten().collect(),
            country: country.map(str::to_owned),
            address_kind,
        };
        let received = "2026-07-01T00:00:00Z".parse().unwrap();
        ContactFacts::fold([&contact.received(&subject(), received).unwrap()])
    })
}

fn tracker(host: &str, purposes: &[Purpose], recipient: &str) -> Tracker {
    Tracker {
        hosts: vec![host.to_owned()],
        purposes: purposes.to_vec(),
        recipient: recipient.to_owned(),
    }
}

fn streams() -> impl Strategy<Value = Stream> {
    let recipient = prop_oneof![4 => Just("us"), 1 => Just("AdCo")];
    let tracker = (
        proptest::sample::select(PATTERNS.to_vec()),
        purposes(),
        recipient,
    );
    let kind = proptest::sample::select(StreamKind::ALL.to_vec());
    (kind, proptest::collection::vec(tracker, 0..4)).prop_map(|(kind, trackers)| Stream {
        kind,
        trackers: trackers
            .into_iter()
            .map(|(pattern, purposes, recipient)| self::tracker(pattern, &purposes, recipient))
            .collect(),
        ..Stream::built_in()
    })
}

fn assignment(stream: &Stream, assigned: bool, named: Option<BTreeSet<Purpose>>) -> Assignment<'_> {
    Assignment {
        stream,
        controller: Cow::Borrowed("bakery"),
        assigned,
        ignored: None,
        named,
    }
}

/// Everything that a decision takes but the stream.
#[derive(Debug, Clone)]
struct Around {
    assigned: bool,
    named: Option<BTreeSet<Purpose>>,
    stops: Stops,
    ledger: bool,
    hold_over: bool,
    country: Option<&'static str>,
    now: Timestamp,
    age_days: Option<i64>,
}

impl Around {
    fn decide(&self, stream: &Stream, matter: Matter<'_>, asked: Asked<'_>) -> Decision {
        decide(matter, asked, &self.facts(&self.assignment(stream)))
    }

    fn assignment<'a>(&self, stream: &'a Stream) -> Assignment<'a> {
        assignment(stream, self.assigned, self.named.clone())
    }

    fn facts<'a>(&self, assignment: &'a Assignment<'a>) -> Facts<'a> {
        Facts {
            assignment,
            law: Law {
                country_default: self.country,
                now: self.now,
                grant_age_max: self
                    .age_days
                    .map(|days| SignedDuration::from_hours(24 * days)),
                ..law()
            },
            stops: self.stops,
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
    let country = proptest::sample::select(vec![Some("FR"), Some("IT"), Some("DE"), None]);
    let named = prop_oneof![
        2 => Just(None),
        1 => purposes().prop_map(|named| Some(named.into_iter().collect())),
    ];
    // Some minutes, a day, a year after the records; and a clock that was set back.
    let clock =
        prop_oneof![5 => Just(2_000_i64), 1 => Just(525_600), 1 => Just(5), 1 => Just(-9_999)];
    let age = prop_oneof![3 => Just(None), 1 => Just(Some(30_i64))];
    let facts = (mostly(), mostly(), mostly(), any::<bool>(), any::<bool>());
    (facts, named, country, clock, age).prop_map(|(facts, named, country, minute, age_days)| {
        let (assigned, ledger, no_strip_all, hold_over, hold_edits) = facts;
        Around {
            assigned,
            named,
            stops: Stops {
                strip_all: !no_strip_all,
                hold_edits,
            },
            ledger,
            hold_over,
            country,
            now: Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minute),
            age_days,
        }
    })
}

fn matters() -> impl Strategy<Value = Matter<'static>> {
    let host = || proptest::sample::select(HOSTS.to_vec());
    let why = || proptest::sample::select(Uninspectable::ALL.to_vec());
    let sight = prop_oneof![
        2 => host().prop_map(Sight::Finding),
        1 => (host(), why()).prop_map(|(host, why)| Sight::Fixed(host, why)),
        1 => why().prop_map(Sight::Blind),
    ];
    let link = prop_oneof![
        2 => Just(WithdrawalLink::NotDemanded),
        2 => Just(WithdrawalLink::Present),
        1 => Just(WithdrawalLink::Absent),
    ];
    (sight, link).prop_map(|(sight, withdrawal)| Matter {
        sight,
        others: &[],
        image: None,
        withdrawal,
    })
}

/// What the records of one person add up to; every grant was given with the partner's name shown, or none was.
fn standing(changes: &[Change], contact: &ContactFacts, shown: bool) -> Standing {
    let mut changes = changes.to_vec();
    for change in changes.iter_mut().filter(|_| shown) {
        change.said.form.controllers_shown.insert("AdCo".to_owned());
    }
    fold(&changes).with_contact(contact.clone())
}

/// Every narrowing of these purposes that leaves something and makes no exemption of what needs consent.
fn narrowings(declared: &[Purpose]) -> Vec<Vec<Purpose>> {
    let exempt = |purposes: &[Purpose]| purposes.iter().all(|purpose| purpose.may_be_exempt());
    let sets = 1..1_u32 << declared.len();
    let narrowed = sets.map(|set| {
        let members = declared.iter().enumerate();
        let members = members.filter(|(n, _)| set & (1 << n) != 0);
        members.map(|(_, purpose)| *purpose).collect::<Vec<_>>()
    });
    narrowed
        .filter(|purposes| exempt(declared) || !exempt(purposes))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_024))]

    #[test]
    fn a_restriction_more_never_keeps_more(
        changes in changes(), contact in contacts(), shown in any::<bool>(), stream in streams(), around in around(),
        matter in matters(),
        kind in proptest::sample::select(vec![ChangeKind::Refused, ChangeKind::Withdrawn, ChangeKind::Objected, ChangeKind::Erased]),
        reach in purposes(), minute in 0_i64..20,
    ) {
        let mut more = changes.clone();
        more.push(change(kind, &reach, minute, true));
        let keeps = |changes: &[Change]| {
            let standing = standing(changes, &contact, shown);
            around.decide(&stream, matter, Ok(&standing)).keeps()
        };
        prop_assert!(!keeps(&more) || keeps(&changes));
    }

    /// At a clock that is right: by one that was set back a later grant hides an earlier one.
    #[test]
    fn a_grant_less_never_keeps_more(
        changes in changes(), contact in contacts(), shown in any::<bool>(), stream in streams(), around in around(),
        matter in matters(), which in any::<proptest::sample::Index>(),
    ) {
        let around = Around { now: around.now.max(law().now), ..around };
        let grants: Vec<usize> = (0..changes.len()).filter(|n| changes[*n].said.kind == ChangeKind::Granted).collect();
        if grants.is_empty() {
            return Ok(());
        }
        let mut fewer = changes.clone();
        fewer.remove(*which.get(&grants));
        let keeps = |changes: &[Change]| {
            let standing = standing(changes, &contact, shown);
            around.decide(&stream, matter, Ok(&standing)).keeps()
        };
        prop_assert!(!keeps(&fewer) || keeps(&changes));
    }

    /// Nothing recorded, at whatever moment by whatever clock, in whatever country: nothing stays but what a profile exempts.
    #[test]
    fn nobody_known_never_keeps(stream in streams(), around in around(), matter in matters()) {
        let decision = around.decide(&stream, matter, Ok(&Standing::default()));
        if decision.keeps() {
            prop_assert_eq!(decision.basis, Some(Basis::Exempt(Purpose::AuthSecurity)));
            prop_assert_eq!(stream.kind, StreamKind::Authentication);
        }
    }

    #[test]
    fn what_could_not_be_asked_never_keeps(
        stream in streams(), around in around(), matter in matters(), reason in proptest::sample::select(Reason::ALL.to_vec()),
    ) {
        let decision = around.decide(&stream, matter, Err(reason));
        prop_assert!(!decision.keeps());
        prop_assert_eq!(decision.basis, None);
        let said = if around.ledger { reason } else { Reason::LedgerUnavailable };
        prop_assert_eq!(decision.reason, Some(said));
    }

    #[test]
    fn what_stops_keeping_stops_it(
        changes in changes(), contact in contacts(), stream in streams(), around in around(), matter in matters(),
    ) {
        let decision = around.decide(&stream, matter, Ok(&standing(&changes, &contact, true)));
        let asked_for = !matches!(decision.basis, Some(Basis::Exempt(_)));
        let stopped = !around.ledger || around.stops.strip_all || contact.address_kind == Some(AddressKind::List)
            || asked_for && (!around.assigned || matter.withdrawal == WithdrawalLink::Absent
                || stream.kind == StreamKind::ConsentRequest);
        prop_assert!(!(decision.keeps() && stopped));
    }

    /// What is kept rests on records and says which; what is not says why.
    #[test]
    fn every_decision_can_be_shown(
        changes in changes(), contact in contacts(), stream in streams(), around in around(), matter in matters(),
    ) {
        let decision = around.decide(&stream, matter, Ok(&standing(&changes, &contact, true)));
        prop_assert_eq!(decision.basis.is_some(), decision.keeps());
        prop_assert_eq!(decision.reason.is_none(), decision.keeps());
        prop_assert!(decision.profile.is_some() || !around.ledger);
        let proofs = decision.proofs.iter().filter(|_| decision.keeps());
        let changed: Vec<&Change> =
            proofs.filter_map(|proof| changes.iter().find(|change| change.id == *proof)).collect();
        prop_assert!(changed.iter().all(|record| record.said.kind == ChangeKind::Granted && record.is_proven()));
        match decision.basis {
            Some(Basis::Consent) => prop_assert!(!changed.is_empty() && changed.len() == decision.proofs.len()),
            Some(Basis::LegacyNoObjection) => prop_assert!(decision.proofs.len() > changed.len()),
            Some(Basis::Exempt(_) | Basis::IndividualImage) => prop_assert!(decision.proofs.is_empty()),
            None => {}
        }
    }

    /// A stream that only looks on decides word for word what it would decide in earnest.
    #[test]
    fn a_shadow_changes_no_decision(
        changes in changes(), contact in contacts(), stream in streams(), around in around(), matter in matters(),
        share in 0_u8..=100,
    ) {
        let shadow = Shadow { shadow_until: jiff::civil::date(2026, 12, 1), by: "Ada".to_owned(), share_percent: share };
        let looking_on = Stream { enforcement: Enforcement::Shadow(shadow.clone()), ..stream.clone() };
        let standing = standing(&changes, &contact, true);
        prop_assert_eq!(
            around.decide(&stream, matter, Ok(&standing)),
            around.decide(&looking_on, matter, Ok(&standing))
        );
        prop_assert!(enforced(None, &subject()));
        prop_assert_eq!(enforced(Some(&shadow), &subject()), subject().percentile() < share);
    }

    /// `Pixelgate-Purpose` keeps nothing that no narrowing of the operator's own declaration would keep, and what the
    /// operator did not declare it does not keep at all.
    #[test]
    fn a_header_keeps_nothing_that_no_narrowing_keeps(
        changes in changes(), contact in contacts(), around in around(), named in purposes(),
        declared in proptest::sample::subsequence(Purpose::ALL.to_vec(), 0..=4),
        kind in proptest::sample::select(StreamKind::ALL.to_vec()),
    ) {
        let stream = |purposes: &[Purpose]| Stream {
            kind,
            trackers: match purposes { [] => Vec::new(), _ => vec![tracker("t.example", purposes, "us")] },
            ..Stream::built_in()
        };
        let matter = Matter { sight: Sight::Finding("t.example"), others: &[], image: None, withdrawal: WithdrawalLink::Present };
        let standing = standing(&changes, &contact, true);
        let plain = Around { named: None, ..around.clone() };
        let with = Around { named: Some(named.iter().copied().collect()), ..around };
        let decision = with.decide(&stream(&declared), matter, Ok(&standing));
        let mut narrower = narrowings(&declared);
        // What is left of a declaration that the header does not name is undeclared, the strictest there is.
        narrower.push(Vec::new());
        let some = narrower.iter().any(|purposes| plain.decide(&stream(purposes), matter, Ok(&standing)).keeps());
        prop_assert!(!decision.keeps() || some);
        if declared.iter().all(|purpose| named.contains(purpose)) {
            prop_assert_eq!(decision, plain.decide(&stream(&declared), matter, Ok(&standing)));
        }
    }

    /// A part nobody sees through stays only where a finding would, at whatever host of the stream it were.
    #[test]
    fn blindness_keeps_nothing_that_sight_would_not(
        changes in changes(), contact in contacts(), stream in streams(), around in around(), matter in matters(),
    ) {
        let standing = standing(&changes, &contact, true);
        let keeps = |sight| around.decide(&stream, Matter { sight, ..matter }, Ok(&standing)).keeps();
        let blind = keeps(Sight::Blind(Uninspectable::Charset));
        for host in HOSTS.into_iter().chain(["nobody.named.this"]) {
            prop_assert!(!blind || keeps(Sight::Finding(host)), "{host}");
        }
        if stream.trackers.is_empty() {
            prop_assert_eq!(blind, keeps(Sight::Finding("nobody.named.this")));
        }
    }

    /// Whatever may not stay is taken out, emptied, held or refused: no treatment forgets one.
    #[test]
    fn no_treatment_forgets_a_decision(
        changes in changes(), contact in contacts(), stream in streams(), around in around(),
        found in proptest::collection::vec((matters(), any::<bool>()), 0..5),
    ) {
        let assignment = around.assignment(&stream);
        let facts = around.facts(&assignment);
        let standing = standing(&changes, &contact, true);
        let decisions: Vec<Decision> = found.iter().map(|(matter, _)| decide(*matter, Ok(&standing), &facts)).collect();
        let places: Vec<Place> = found.iter().enumerate().map(|(n, (matter, emptiable))| match matter.sight {
            Sight::Finding(_) => Place::Finding(n),
            Sight::Fixed(..) | Sight::Blind(_) => Place::Part { part: n, emptiable: *emptiable },
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

    /// One class for matters that are decided alike: sorting them changes no decision.
    #[test]
    fn matters_of_one_class_are_decided_alike(
        changes in changes(), contact in contacts(), stream in streams(), around in around(),
        found in proptest::collection::vec(matters(), 0..8),
    ) {
        let assignment = around.assignment(&stream);
        let facts = around.facts(&assignment);
        let standing = standing(&changes, &contact, true);
        let together = Classes::new(found.iter().copied(), &assignment).decide(Ok(&standing), &facts);
        let apart: Vec<Decision> = found.iter().map(|matter| decide(*matter, Ok(&standing), &facts)).collect();
        prop_assert_eq!(together.iter().cloned().collect::<Vec<_>>(), apart);
    }
}
