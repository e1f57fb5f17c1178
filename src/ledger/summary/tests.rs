//! What is counted of handwritten lines: retries, decisions that change, voids, jumps, limits, and that sums hold.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that is not as it should be"
)]

use proptest::prelude::*;

use super::super::read::{Body, Line};
use super::super::{
    Decision, Fate, Finding, Gap, Group, Host, Intent, Outcome, Reported, Start, Uninspectable,
};
use super::*;

fn person(n: u64) -> String {
    format!("{n:032x}")
}

fn finding(n: u32, host: &str, rule: Option<&str>) -> Finding {
    Finding {
        n,
        part: "1".to_owned(),
        line: 1,
        vector: "img".to_owned(),
        host: Host::new(host, |_| "0".repeat(32)),
        url_hash: "0".repeat(32),
        evidence: vec![rule.map_or_else(
            || "tiny:1x1".to_owned(),
            |rule| format!("known_endpoint:{rule}"),
        )],
        verdict: "tracker".to_owned(),
        treatment: "blank".to_owned(),
        purposes: vec!["campaign_performance".to_owned()],
        partner: None,
    }
}

/// One group: its people, and what is decided on findings 0, 1, ...
fn group(people: &[u64], copy: &str, decided: &[(&str, &str)]) -> Group {
    let decisions = decided
        .iter()
        .enumerate()
        .map(|(n, (action, why))| Decision {
            finding: u32::try_from(n).unwrap(),
            action: (*action).to_owned(),
            basis: (*action == "kept").then(|| (*why).to_owned()),
            reason: (*action != "kept").then(|| (*why).to_owned()),
            records: Vec::new(),
        });
    Group {
        subjects: people.iter().map(|n| person(*n)).collect(),
        copy: copy.to_owned(),
        reason: None,
        shadow: decided.iter().any(|(action, _)| *action == "would_strip"),
        profile: None,
        decisions: decisions.collect(),
        parts: Vec::new(),
    }
}

fn intent(id: &str, attempt: u32, groups: Vec<Group>) -> Body {
    Body::Intent(Box::new(Intent {
        id: id.to_owned(),
        attempt,
        stream: "letters".to_owned(),
        stream_kind: "marketing".to_owned(),
        controller: "bakery".to_owned(),
        findings: vec![
            finding(0, "open.mail.example", Some("a-rule")),
            finding(1, "t.example.net", None),
        ],
        groups,
        ..Intent::default()
    }))
}

fn outcome(id: &str, attempt: u32, answered: Option<u16>, fates: &[(&str, &[u64])]) -> Body {
    let fates = fates.iter().map(|(fate, people)| Fate {
        fate: (*fate).to_owned(),
        code: None,
        status: None,
        subjects: people.iter().map(|n| person(*n)).collect(),
    });
    Body::Outcome(Outcome {
        id: id.to_owned(),
        attempt,
        fates: fates.collect(),
        answered,
        dkim_broken: Vec::new(),
    })
}

fn counted(bodies: Vec<Body>) -> Counts {
    counted_on(
        bodies
            .into_iter()
            .map(|body| ("2026-11-22T10:00:00Z", body))
            .collect(),
    )
}

fn counted_on(bodies: Vec<(&str, Body)>) -> Counts {
    let mut summary = Summary::new(|finding| finding.evidence[0].clone());
    for (seq, (at, body)) in (1..).zip(bodies) {
        summary.line(&Line {
            node: "local".to_owned(),
            seq,
            at: at.parse().unwrap(),
            body,
        });
    }
    summary.finish()
}

fn total(counts: &Counts) -> Tally {
    let mut total = Tally::default();
    counts.rows.iter().for_each(|(_, tally)| total.merge(tally));
    total
}

fn words(tally: &Tally, measure: Measure) -> Vec<(String, u64)> {
    tally
        .each(measure)
        .map(|(words, count)| (words.join(" "), count))
        .collect()
}

fn pairs(list: &[(&str, u64)]) -> Vec<(String, u64)> {
    list.iter()
        .map(|(words, count)| ((*words).to_owned(), *count))
        .collect()
}

const KEPT: [(&str, &str); 2] = [("kept", "consent"), ("stripped", "undeclared")];
const GONE: [(&str, &str); 2] = [("stripped", "no_consent"), ("stripped", "undeclared")];

#[test]
fn one_message_is_counted_copy_by_copy() {
    let counts = counted(vec![
        intent(
            "m",
            1,
            vec![
                group(&[1], "stripped", &KEPT),
                group(&[2, 3], "stripped", &GONE),
            ],
        ),
        outcome("m", 1, Some(250), &[("taken", &[1, 2, 3])]),
    ]);
    let total = total(&counts);
    let sums = [
        Measure::Messages,
        Measure::MessagesWithTrackers,
        Measure::Attempts,
        Measure::Retries,
        Measure::Recipients,
        Measure::Trackers,
        Measure::WithoutOutcome,
    ];
    assert_eq!(
        sums.map(|measure| total.sum(measure)),
        [1, 1, 1, 0, 3, 6, 0]
    );
    let expected = pairs(&[
        ("kept consent known_endpoint:a-rule", 1),
        ("stripped no_consent known_endpoint:a-rule", 2),
        ("stripped undeclared tiny:1x1", 3),
    ]);
    assert_eq!(words(&total, Measure::Trackers), expected);
    assert_eq!(words(&total, Measure::Fates), pairs(&[("taken", 3)]));
    assert_eq!(words(&total, Measure::Answers), pairs(&[("accepted", 1)]));
}

/// A withdrawal between two attempts: the retry's decision counts, for whom it is about and nobody else.
#[test]
fn the_last_decision_before_the_end_counts() {
    let counts = counted_on(vec![
        (
            "2026-11-21T23:59:00Z",
            intent("m", 1, vec![group(&[1, 2], "stripped", &KEPT)]),
        ),
        (
            "2026-11-21T23:59:01Z",
            outcome("m", 1, Some(250), &[("taken", &[1]), ("not_now", &[2])]),
        ),
        (
            "2026-11-22T00:04:00Z",
            intent("m", 2, vec![group(&[2], "stripped", &GONE)]),
        ),
        (
            "2026-11-22T00:04:01Z",
            outcome("m", 2, None, &[("taken", &[2])]),
        ),
    ]);
    assert_eq!(counts.rows.len(), 1, "on the day of its first attempt");
    let total = total(&counts);
    let expected = pairs(&[
        ("kept consent known_endpoint:a-rule", 1),
        ("stripped no_consent known_endpoint:a-rule", 1),
        ("stripped undeclared tiny:1x1", 2),
    ]);
    assert_eq!(words(&total, Measure::Trackers), expected);
    assert_eq!(words(&total, Measure::Fates), pairs(&[("taken", 2)]));
    let sums = [
        Measure::Messages,
        Measure::Attempts,
        Measure::Retries,
        Measure::Recipients,
    ];
    assert_eq!(sums.map(|measure| total.sum(measure)), [1, 2, 1, 2]);
}

/// Asked again within one attempt because the answer grew old: no retry, and the last intent counts.
#[test]
fn decided_again_within_an_attempt_is_no_retry() {
    let counts = counted(vec![
        intent("m", 1, vec![group(&[1], "unchanged", &KEPT)]),
        intent("m", 1, vec![group(&[1], "stripped", &GONE)]),
        outcome("m", 1, Some(250), &[("taken", &[1])]),
    ]);
    let total = total(&counts);
    assert_eq!(
        (total.sum(Measure::Attempts), total.sum(Measure::Recipients)),
        (1, 1)
    );
    assert_eq!(words(&total, Measure::Copies), pairs(&[("stripped ", 1)]));
    assert_eq!(total.sum(Measure::Trackers), 2);
}

/// One mailbox written twice in an envelope is two copies.
#[test]
fn one_person_twice_in_an_envelope_is_two_copies() {
    let counts = counted(vec![
        intent("m", 1, vec![group(&[1, 1], "stripped", &GONE)]),
        outcome("m", 1, Some(250), &[("taken", &[1]), ("not_now", &[1])]),
        intent("m", 2, vec![group(&[1], "stripped", &GONE)]),
        outcome("m", 2, None, &[("taken", &[1])]),
    ]);
    let total = total(&counts);
    assert_eq!(
        (total.sum(Measure::Recipients), total.sum(Measure::Trackers)),
        (2, 4)
    );
    assert_eq!(words(&total, Measure::Fates), pairs(&[("taken", 2)]));
}

/// An attempt at a message of earlier days is no message of these days.
#[test]
fn a_retry_of_a_message_from_before_is_counted_apart() {
    let counts = counted(vec![
        intent("m", 2, vec![group(&[1], "stripped", &GONE)]),
        outcome("m", 2, None, &[("taken", &[1])]),
    ]);
    let total = total(&counts);
    assert_eq!(
        (total.sum(Measure::Messages), total.sum(Measure::Trackers)),
        (0, 0)
    );
    assert_eq!(total.sum(Measure::RetriesOfEarlier), 1);
    assert_eq!(counts.without_intent, 0);
}

#[test]
fn what_a_gap_declares_void_was_not_done() {
    let counts = counted(vec![
        intent("m", 1, vec![group(&[1], "unchanged", &KEPT)]),
        Body::Gap(Gap {
            cause: "abandoned".to_owned(),
            lines: 1,
            since: "2026-11-22T10:00:00Z".parse().unwrap(),
            until: "2026-11-22T10:00:01Z".parse().unwrap(),
            seqs: vec![1],
            file: None,
            octets: None,
            sha256: None,
        }),
        outcome("m", 1, Some(250), &[("taken", &[1])]),
    ]);
    let total = total(&counts);
    assert_eq!(
        (total.sum(Measure::Trackers), total.sum(Measure::Recipients)),
        (0, 0)
    );
    assert_eq!(
        (total.sum(Measure::Messages), total.sum(Measure::Void)),
        (1, 1)
    );
    assert_eq!(
        (counts.gaps, counts.missing_lines, counts.missing.len()),
        (1, 1, 1)
    );
}

#[test]
fn what_is_under_way_at_the_end_has_no_outcome() {
    let counts = counted(vec![intent("m", 1, vec![group(&[1], "stripped", &GONE)])]);
    assert_eq!(total(&counts).sum(Measure::WithoutOutcome), 1);
    let counts = counted(vec![outcome("m", 1, Some(250), &[("taken", &[1])])]);
    assert_eq!(counts.without_intent, 1);
}

#[test]
fn a_number_that_jumps_is_told() {
    let mut summary = Summary::new(|_| String::new());
    let line = |seq| Line {
        node: "local".to_owned(),
        seq,
        at: "2026-11-22T10:00:00Z".parse().unwrap(),
        body: Body::Start(Start::default()),
    };
    for seq in [5, 6, 8, 9] {
        summary.line(&line(seq));
    }
    summary.next_directory();
    for seq in [1, 2] {
        summary.line(&line(seq));
    }
    assert_eq!(summary.finish().jumps, 1);
}

#[test]
fn parts_that_were_not_looked_into_are_counted_as_parts() {
    let Body::Intent(mut intent) = intent("m", 1, vec![group(&[1, 2], "unchanged", &[])]) else {
        unreachable!()
    };
    let blind = |part: &str, reason: &str| Uninspectable {
        part: part.to_owned(),
        reason: reason.to_owned(),
    };
    intent.uninspectable = vec![
        blind("1", "charset"),
        blind("2", "charset"),
        blind("3", "size"),
    ];
    intent.out_of_scope.insert("attachment".to_owned(), 4);
    let asked = |line| Reported {
        kind: "receipt_request".to_owned(),
        part: "1".to_owned(),
        line,
    };
    intent.reported = vec![asked(6), asked(7)];
    let counts = counted(vec![Body::Intent(intent)]);
    let total = total(&counts);
    assert_eq!(
        words(&total, Measure::UninspectableParts),
        pairs(&[("charset", 2), ("size", 1)])
    );
    assert_eq!(total.sum(Measure::UninspectableMessages), 1);
    assert_eq!(
        words(&total, Measure::OutOfScopeParts),
        pairs(&[("attachment", 4)])
    );
    assert_eq!(
        words(&total, Measure::Reported),
        pairs(&[("receipt_request", 2)])
    );
}

#[test]
fn signatures_that_break_are_counted_by_copy_and_domain() {
    let signed = |id: &str, groups| {
        let Body::Intent(mut intent) = intent(id, 1, groups) else {
            unreachable!()
        };
        intent.dkim_domains = vec![Host::new("news.example", |_| String::new())];
        Body::Intent(intent)
    };
    let looked_on = [("would_strip", "no_consent"), ("would_strip", "undeclared")];
    let kept = [("kept", "consent"), ("kept", "consent")];
    let counts = counted(vec![
        signed(
            "a",
            vec![
                group(&[1, 2], "stripped", &GONE),
                group(&[3], "unchanged", &kept),
            ],
        ),
        signed("b", vec![group(&[1, 2, 3], "unchanged", &looked_on)]),
    ]);
    let total = total(&counts);
    assert_eq!(
        words(&total, Measure::DkimBroken),
        pairs(&[("news.example", 2)])
    );
    assert_eq!(
        words(&total, Measure::DkimWouldBreak),
        pairs(&[("news.example", 3)])
    );
    assert_eq!(total.sum(Measure::ShadowCopies), 3);
}

/// A sender who invents hosts cannot fill the memory of a report.
#[test]
fn names_past_the_limit_are_counted_together() {
    let mut summary = Summary::new(|finding| finding.host.as_str().to_owned());
    for n in 0..NAMES_MAX as u64 + 50 {
        let Body::Intent(mut intent) =
            intent(&format!("m{n}"), 1, vec![group(&[1], "stripped", &GONE)])
        else {
            unreachable!()
        };
        intent.findings[0] = finding(0, &format!("h{n}.example"), None);
        let at = "2026-11-22T10:00:00Z".parse().unwrap();
        summary.line(&Line {
            node: "local".to_owned(),
            seq: n + 1,
            at,
            body: Body::Intent(intent),
        });
    }
    // The vendor of a known endpoint comes last and has its name all the same.
    let last = intent("last", 1, vec![group(&[1], "stripped", &GONE)]);
    let at = "2026-11-22T10:00:00Z".parse().unwrap();
    summary.line(&Line {
        node: "local".to_owned(),
        seq: NAMES_MAX as u64 + 51,
        at,
        body: last,
    });
    let total = total(&summary.finish());
    let named = words(&total, Measure::Trackers);
    assert!(named.contains(&("stripped no_consent open.mail.example".to_owned(), 1)));
    let others = words(&total, Measure::Trackers);
    let others = others
        .iter()
        .find(|(words, _)| words.contains(OTHERS))
        .unwrap();
    assert_eq!(others.1, 51, "one name is that of the other finding");
    assert_eq!(
        total.sum(Measure::Trackers),
        2 * (NAMES_MAX as u64 + 51),
        "nothing is lost"
    );
}

#[test]
fn what_no_longer_fits_is_told() {
    let mut way = UnderWay::new(2, 100);
    let open = |row| Open {
        row,
        attempt: 1,
        seq: 1,
        concluded: false,
        copies: Vec::new(),
    };
    assert!(way.put("a", open(0)).is_empty());
    assert!(way.put("b", open(1)).is_empty());
    let gone = way.put("c", open(2));
    assert_eq!(
        gone.iter().map(|open| open.row).collect::<Vec<_>>(),
        [0],
        "the oldest"
    );
    assert!(way.take("a").is_none() && way.take("b").is_some());
    let mut way = UnderWay::new(10, 3);
    let copies = |n: u128| Copies {
        subjects: (0..n).collect(),
        each: [].into(),
        fate: None,
    };
    let with = |n| Open {
        copies: vec![copies(n)],
        ..open(0)
    };
    assert!(way.put("a", with(2)).is_empty());
    assert_eq!(way.put("b", with(2)).len(), 1);
}

#[test]
fn a_masked_label_is_a_star() {
    let host = Host::new("3f9c2b7d11e2.k7x2m9q.open.example", |_| "0".repeat(32));
    assert_eq!(without_masks(host.as_str()), "*.open.example");
    assert_eq!(without_masks("open.example"), "open.example");
}

/// One message after the other, each with some attempts; whatever happens to them, the sums hold.
fn message(n: usize) -> impl Strategy<Value = Vec<Body>> {
    let copy = prop_oneof![Just(KEPT), Just(GONE)];
    let fate = prop_oneof![
        Just("taken"),
        Just("not_now"),
        Just("unknown"),
        Just("refused"),
        Just("rejected")
    ];
    let attempts = prop::collection::vec(prop::collection::vec((copy, fate), 4), 1..4);
    (attempts, prop_oneof![Just(250), Just(451), Just(554)]).prop_map(
        move |(attempts, answered)| {
            let id = format!("m{n}");
            let mut owed: Vec<u64> = (0..4).collect();
            let mut bodies = Vec::new();
            for (at, decided) in (1..).zip(attempts) {
                let those = |person: &u64| decided[usize::try_from(*person).unwrap()];
                let groups = owed
                    .iter()
                    .map(|person| group(&[*person], "stripped", &those(person).0));
                bodies.push(intent(&id, at, groups.collect()));
                let fates: Vec<(&str, Vec<u64>)> = owed
                    .iter()
                    .map(|person| (those(person).1, vec![*person]))
                    .collect();
                let fates: Vec<(&str, &[u64])> = fates
                    .iter()
                    .map(|(fate, people)| (*fate, people.as_slice()))
                    .collect();
                bodies.push(outcome(&id, at, (at == 1).then_some(answered), &fates));
                owed.retain(|person| matches!(those(person).1, "not_now" | "unknown"));
                if owed.is_empty() || answered != 250 {
                    break;
                }
            }
            bodies
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn sums_hold_whatever_happens(messages in (message(0), message(1), message(2)), order in any::<u64>()) {
        // The lines of the messages lie between one another, each message's own in their order.
        let mut waiting = [messages.0, messages.1, messages.2].map(std::collections::VecDeque::from);
        let mut bodies = Vec::new();
        let mut dice = order;
        while waiting.iter().any(|lines| !lines.is_empty()) {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let which = usize::try_from((dice >> 33) % 3).unwrap();
            bodies.extend(waiting[which].pop_front());
        }
        let counts = counted(bodies);
        let total = total(&counts);
        prop_assert_eq!(total.sum(Measure::Messages), 3);
        prop_assert_eq!(total.sum(Measure::Recipients), 12);
        prop_assert_eq!(total.sum(Measure::Copies), 12);
        prop_assert_eq!(total.sum(Measure::Fates), 12);
        prop_assert_eq!(total.sum(Measure::Trackers), 24);
        prop_assert_eq!(total.sum(Measure::Declared), 24);
        prop_assert_eq!(total.sum(Measure::Attempts), 3 + total.sum(Measure::Retries));
        prop_assert_eq!(total.sum(Measure::WithoutOutcome), 0);
    }
}
