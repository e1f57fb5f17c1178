use proptest::prelude::*;

use super::*;
use crate::consent::form::Form;
use crate::consent::record::Assertion;
use crate::consent::subject::{KEY_OCTETS, LookupKey, Subject};

const P1: Purpose = Purpose::CampaignPerformance;
const P2: Purpose = Purpose::FraudDetection;

fn moment(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn change(kind: ChangeKind, purposes: &[Purpose], at: Option<i64>, recorded_at: i64) -> Change {
    let subject = Subject::of(&LookupKey::new(&[1; KEY_OCTETS]), "shop", "a@example.net");
    let assertion = Assertion {
        purposes: purposes.iter().copied().collect(),
        at: at.map(moment),
        form: Form {
            channel: Some("form".into()),
            wording_version: Some("v1".into()),
            wording_sha256: Some([3; 32]),
            ..Form::default()
        },
        ..Assertion::new(kind)
    };
    assertion.received(&subject, moment(recorded_at)).unwrap()
}

fn claim(purposes: &[Purpose]) -> Change {
    let mut change = change(ChangeKind::Granted, purposes, Some(50), 100);
    change.said.form.wording_sha256 = None;
    change
}

#[test]
fn nothing_recorded_is_unknown() {
    assert!(fold(&[]).is_unknown());
    assert_eq!(fold(&[]).state(P1), State::Unknown);
}

#[test]
fn the_later_moment_wins_whatever_came_first() {
    let yes = change(ChangeKind::Granted, &[P1], Some(100), 1000);
    let no = change(ChangeKind::Withdrawn, &[P1], Some(200), 300);
    assert_eq!(fold(&[yes.clone(), no.clone()]).state(P1), State::Withdrawn);
    assert_eq!(fold(&[no, yes]).state(P1), State::Withdrawn);
}

#[test]
fn at_the_same_moment_the_more_restrictive_wins() {
    let ladder = [
        (ChangeKind::Granted, State::Granted),
        (ChangeKind::Refused, State::Refused),
        (ChangeKind::Withdrawn, State::Withdrawn),
        (ChangeKind::Objected, State::Objected),
        (ChangeKind::Erased, State::Erased),
    ];
    for (low, (softer, _)) in ladder.iter().enumerate() {
        for (harder, state) in ladder.iter().skip(low) {
            let pair = [
                change(*softer, &[P1], Some(100), 200),
                change(*harder, &[P1], Some(100), 100),
            ];
            assert_eq!(fold(&pair).state(P1), *state, "{softer} {harder}");
        }
    }
}

#[test]
fn a_grant_replaces_the_purposes_it_names_and_no_other() {
    let no = change(ChangeKind::Refused, &[], Some(100), 100);
    let yes = change(ChangeKind::Granted, &[P1], Some(200), 200);
    let standing = fold(&[no, yes.clone()]);
    assert_eq!(standing.state(P1), State::Granted);
    assert_eq!(standing.entry(P1).map(|entry| entry.proof), Some(yes.id));
    assert_eq!(standing.state(P2), State::Refused);
}

#[test]
fn a_claim_changes_no_state_and_lifts_no_restriction() {
    let standing = fold(&[claim(&[P1])]);
    assert_eq!(standing.state(P1), State::Unknown);
    assert!(standing.is_claimed(P1) && !standing.is_claimed(P2));
    let mut late = claim(&[P1]);
    late.said.at = Some(moment(90));
    let standing = fold(&[
        change(ChangeKind::Withdrawn, &[P1], Some(60), 60),
        late.clone(),
    ]);
    assert_eq!(standing.state(P1), State::Withdrawn);
    assert!(!standing.is_claimed(P1));
    // A claim that names nothing is about consent as such.
    assert!(fold(&[claim(&[])]).is_claimed(P2));
}

#[test]
fn an_erased_person_is_not_revived_by_an_older_grant() {
    let erased = change(ChangeKind::Erased, &[], Some(500), 500);
    let older = change(ChangeKind::Granted, &[P1], Some(400), 900);
    let newer = change(ChangeKind::Granted, &[P1], Some(600), 900);
    assert_eq!(
        fold(&[erased.clone(), older.clone()]).state(P1),
        State::Erased
    );
    let standing = fold(&[erased, older, newer]);
    assert_eq!(standing.state(P1), State::Granted);
    assert_eq!(standing.state(P2), State::Erased);
}

#[test]
fn an_undated_restriction_counts_from_its_receipt() {
    let yes = change(ChangeKind::Granted, &[P1], Some(100), 100);
    let no = change(ChangeKind::Withdrawn, &[P1], None, 150);
    let again = change(ChangeKind::Granted, &[P1], Some(160), 160);
    assert_eq!(fold(&[yes.clone(), no.clone()]).state(P1), State::Withdrawn);
    assert_eq!(fold(&[again, yes, no]).state(P1), State::Granted);
}

/// The form's clock is four minutes ahead of ours; the person withdraws a minute later, by the telephone.
#[test]
fn a_grant_from_a_fast_clock_does_not_outlast_the_withdrawal_after_it() {
    let yes = change(ChangeKind::Granted, &[P1], Some(1_240), 1_000);
    for at in [None, Some(1_060)] {
        for kind in [ChangeKind::Withdrawn, ChangeKind::Erased] {
            let no = change(kind, &[], at, 1_060);
            assert_eq!(fold(&[no, yes.clone()]).state(P1), kind.into(), "{at:?}");
        }
    }
    assert_eq!(fold(&[yes]).state(P1), State::Granted);
}

fn any_change() -> impl Strategy<Value = Change> {
    (
        proptest::sample::select(ChangeKind::ALL),
        proptest::sample::subsequence(Purpose::ALL.to_vec(), 0..=3),
        proptest::option::of(0_i64..6),
        0_i64..6,
        any::<bool>(),
    )
        .prop_map(|(kind, purposes, at, recorded, proven)| {
            // Ten minutes a step, so that dates fall ahead of receipt by more than the tolerance; receipt of a grant
            // is moved after it, as an engine would have refused it.
            let at = at.map(|at| at * 600);
            let recorded = match (kind, at) {
                (ChangeKind::Granted, Some(at)) => at.max(recorded * 600),
                _ => recorded * 600,
            };
            let mut change = change(kind, &purposes, at, recorded);
            if !proven {
                change.said.form.channel = None;
            }
            change
        })
}

proptest! {
    #[test]
    fn any_order_and_any_duplication_give_the_same_states(
        changes in proptest::collection::vec(any_change(), 0..12),
        order in any::<u64>(),
        copies in proptest::collection::vec(any::<proptest::sample::Index>(), 0..6),
    ) {
        let expected = fold(&changes);
        let mut shuffled = changes.clone();
        if !changes.is_empty() {
            shuffled.extend(copies.iter().map(|index| changes[index.index(changes.len())].clone()));
        }
        let mut seed = order;
        for last in (1..shuffled.len()).rev() {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let other = usize::try_from(seed >> 33).unwrap() % (last + 1);
            shuffled.swap(last, other);
        }
        prop_assert_eq!(fold(&shuffled), expected);
    }

    #[test]
    fn one_more_restriction_never_grants_anything(
        changes in proptest::collection::vec(any_change(), 0..10),
        more in any_change().prop_filter("a restriction", |change| change.said.kind != ChangeKind::Granted),
    ) {
        let before = fold(&changes);
        let after = fold(&[changes, vec![more]].concat());
        for purpose in Purpose::ALL {
            let granted = after.state(*purpose) == State::Granted;
            prop_assert!(!granted || before.state(*purpose) == State::Granted);
        }
    }

    #[test]
    fn one_grant_less_never_grants_anything(
        changes in proptest::collection::vec(any_change(), 0..10),
        gone in any_change().prop_filter("a grant", |change| change.said.kind == ChangeKind::Granted),
    ) {
        let after = fold(&changes);
        let before = fold(&[changes, vec![gone]].concat());
        for purpose in Purpose::ALL {
            let granted = after.state(*purpose) == State::Granted;
            prop_assert!(!granted || before.state(*purpose) == State::Granted);
        }
    }

    #[test]
    fn only_a_proven_grant_grants(changes in proptest::collection::vec(any_change(), 0..10)) {
        let standing = fold(&changes);
        for (purpose, entry) in standing.entries().filter(|(_, entry)| entry.state == State::Granted) {
            let proof = changes.iter().find(|change| change.id == entry.proof && change.is_proven());
            prop_assert!(proof.is_some_and(|change| change.said.purposes.contains(&purpose)));
        }
    }
}
