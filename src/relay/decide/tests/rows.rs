//! Decisions row by row.

use super::*;

fn quiet<'a>(assignment: &'a Assignment<'a>) -> Facts<'a> {
    Facts {
        assignment,
        law: law(),
        stops: Stops::default(),
        ledger: true,
        hold_over: false,
    }
}

fn of(stream: &Stream) -> Assignment<'_> {
    assignment(stream, true, None)
}

fn seen(sight: Sight<'_>) -> Matter<'_> {
    Matter {
        sight,
        others: &[],
        image: None,
        withdrawal: WithdrawalLink::NotDemanded,
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
        seen(Sight::Finding("any.example")),
        Ok(&granted),
        &quiet(&of(&stream)),
    );
    assert!(decision.keeps() && decision.proofs.len() == 1);
    let undeclared = Stream {
        trackers: Vec::new(),
        ..Stream::built_in()
    };
    let decision = decide(
        seen(Sight::Finding("any.example")),
        Ok(&granted),
        &quiet(&of(&undeclared)),
    );
    assert_eq!(decision.reason, Some(Reason::Undeclared));
}

/// A tag that asks two hosts is kept only where both may be asked: the second may be a partner's, for another purpose.
#[test]
fn every_host_of_a_finding_has_to_be_permitted() {
    let granted = fold(&[change(
        ChangeKind::Granted,
        &[Purpose::CampaignPerformance],
        1,
        true,
    )]);
    let trackers = [
        ("open.shop.example", Purpose::CampaignPerformance),
        ("px.partner.example", Purpose::CrossChannelProfiling),
    ];
    let stream = Stream {
        trackers: trackers
            .map(|(host, purpose)| tracker(host, &[purpose], "us"))
            .to_vec(),
        ..Stream::built_in()
    };
    let (ours, partners) = (
        ["open.shop.example".to_owned()],
        ["px.partner.example".to_owned()],
    );
    for (others, kept) in [(&[][..], true), (&ours, true), (&partners, false)] {
        let matter = Matter {
            others,
            ..seen(Sight::Finding("open.shop.example"))
        };
        let assignment = of(&stream);
        assert_eq!(
            decide(matter, Ok(&granted), &quiet(&assignment)).keeps(),
            kept,
            "{others:?}"
        );
        let alone = Classes::new(
            [matter, seen(Sight::Finding("open.shop.example"))].into_iter(),
            &assignment,
        );
        let decisions = alone.decide(Ok(&granted), &quiet(&assignment));
        assert_eq!(
            decisions.iter().map(Decision::keeps).collect::<Vec<_>>(),
            [kept, true]
        );
    }
}

/// DESIGN 4 "Uninspectable", row by row.
#[test]
fn what_cannot_be_inspected_goes_by_the_kind_of_stream() {
    let nobody = Standing::default();
    for (kind_of, action) in [
        (StreamKind::Marketing, Action::Rejected),
        (StreamKind::Prospecting, Action::Rejected),
        (StreamKind::ConsentRequest, Action::Rejected),
        (StreamKind::Requested, Action::Held),
        (StreamKind::Authentication, Action::Held),
    ] {
        let stream = kind(kind_of);
        for why in Uninspectable::ALL {
            let action = match why {
                Uninspectable::Signed => Action::Rejected,
                _ => action,
            };
            for matter in [Sight::Blind(*why), Sight::Fixed("t.example", *why)].map(seen) {
                let decision = decide(matter, Ok(&nobody), &quiet(&of(&stream)));
                assert_eq!(decision.action, action, "{kind_of} {why:?}");
                assert_eq!(decision.uninspectable, Some(*why));
            }
        }
    }
}

#[test]
fn what_is_held_is_emptied_where_it_can_be_and_refused_once_the_hold_is_over() {
    let stream = kind(StreamKind::Requested);
    let assignment = of(&stream);
    let facts = quiet(&assignment);
    let held = decide(
        seen(Sight::Blind(Uninspectable::Charset)),
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
    let assignment = of(&stream);
    let facts = quiet(&assignment);
    let nobody = Standing::default();
    let decisions = [
        decide(seen(Sight::Finding("t.example")), Ok(&nobody), &facts),
        decide(
            seen(Sight::Fixed("t.example", Uninspectable::Signed)),
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
        let matter = Matter {
            sight: Sight::Finding("t.example"),
            others: &[],
            image: None,
            withdrawal,
        };
        let decision = decide(matter, Ok(&granted), &quiet(&of(&stream)));
        assert_eq!(decision.keeps(), kept);
        assert_eq!(decision.reason, (!kept).then_some(Reason::NoWithdrawalLink));
    }
}

/// One mail, the sender's own pixel declared, a foreign one not.
#[test]
fn what_is_declared_stays_on_consent_and_what_is_not_does_not() {
    let stream = Stream {
        trackers: vec![tracker(
            "open.example.com",
            &[Purpose::CampaignPerformance],
            "us",
        )],
        ..Stream::built_in()
    };
    let granted = fold(&[change(
        ChangeKind::Granted,
        &[Purpose::CampaignPerformance],
        1,
        true,
    )]);
    for (host, reason) in [
        ("open.example.com", None),
        ("ads.example", Some(Reason::Undeclared)),
    ] {
        let decision = decide(
            seen(Sight::Finding(host)),
            Ok(&granted),
            &quiet(&of(&stream)),
        );
        assert_eq!(decision.reason, reason, "{host}");
    }
}

/// D19: a partner's tracker rests on a consent that was given with the partner's name on the list.
#[test]
fn a_partner_has_to_be_on_the_list_that_was_shown() {
    let granted = |shown: bool| {
        let mut change = change(
            ChangeKind::Granted,
            &[Purpose::CampaignPerformance],
            1,
            true,
        );
        change
            .said
            .form
            .controllers_shown
            .extend(shown.then(|| "AdCo".to_owned()));
        fold(&[change])
    };
    for (recipient, shown, reason) in [
        ("us", false, None),
        ("us", true, None),
        ("AdCo", true, None),
        ("AdCo", false, Some(Reason::PartnerNotShown)),
        ("Others", true, Some(Reason::PartnerNotShown)),
    ] {
        let stream = Stream {
            trackers: vec![tracker(
                "t.example",
                &[Purpose::CampaignPerformance],
                recipient,
            )],
            ..Stream::built_in()
        };
        let standing = granted(shown);
        let decision = decide(
            seen(Sight::Finding("t.example")),
            Ok(&standing),
            &quiet(&of(&stream)),
        );
        assert_eq!(decision.reason, reason, "{recipient} {shown}");
    }
}
