use super::*;
use crate::ledger::{Decision, Gap, Host};

const ANNA: &str = "000000000000000000000000000000a1";
const OTHER: &str = "000000000000000000000000000000b2";

fn group(subject: &str, action: &str, why: &str) -> Group {
    Group {
        subjects: vec![subject.to_owned()],
        copy: "unchanged".to_owned(),
        reason: None,
        shadow: false,
        profile: None,
        decisions: vec![Decision {
            finding: 0,
            action: action.to_owned(),
            basis: (action == "kept").then(|| why.to_owned()),
            reason: (action != "kept").then(|| why.to_owned()),
            records: Vec::new(),
        }],
        parts: Vec::new(),
    }
}

fn intent(attempt: u32, controller: &str, groups: Vec<Group>) -> Body {
    Body::Intent(Box::new(Intent {
        id: "m".to_owned(),
        attempt,
        controller: controller.to_owned(),
        message_id_hash: Some("0".repeat(32)),
        findings: vec![Finding {
            n: 0,
            part: "1".to_owned(),
            line: 1,
            vector: "img".to_owned(),
            host: Host::new("open.example", |_| String::new()),
            url_hash: "0".repeat(32),
            evidence: vec!["tiny:1x1".to_owned()],
            verdict: "tracker".to_owned(),
            treatment: "blank".to_owned(),
            purposes: Vec::new(),
            partner: None,
        }],
        groups,
        ..Intent::default()
    }))
}

fn outcome(attempt: u32, fate: &str) -> Body {
    let fates = [(fate, ANNA), ("refused", OTHER)].map(|(fate, subject)| crate::ledger::Fate {
        fate: fate.to_owned(),
        code: None,
        status: None,
        subjects: vec![subject.to_owned()],
    });
    Body::Outcome(Outcome {
        id: "m".to_owned(),
        attempt,
        fates: fates.into(),
        ..Outcome::default()
    })
}

fn asked(bodies: Vec<Body>, day: Option<&str>, message_id: Option<&str>) -> Vec<Message> {
    let lines = (1..).zip(bodies).map(|(seq, body)| Line {
        node: "local".to_owned(),
        seq,
        at: "2026-11-22T10:00:00Z".parse().unwrap(),
        body,
    });
    let wanted = Wanted {
        controller: "bakery",
        subjects: &[ANNA.to_owned()],
        day: day.map(|day| day.parse().unwrap()),
        message_ids: message_id.map(|hash| vec![hash.to_owned()]),
        rules: &Rules::built_in(),
    };
    told(lines.collect(), &wanted, &Person::nobody("bakery"))
}

fn seen(messages: &[Message]) -> Vec<(u32, &str, bool, Option<&str>)> {
    let attempts = messages.iter().flat_map(|message| &message.attempts);
    let seen = attempts.map(|attempt| {
        let action = attempt
            .trackers
            .first()
            .map_or("none", |tracker| tracker.decided.action.as_str());
        let fate = attempt.fate.as_ref().map(|fate| fate.fate.as_str());
        (attempt.attempt, action, attempt.void, fate)
    });
    seen.collect()
}

/// Each attempt has its own decision and fate, and both are the person's own, not the neighbour's.
#[test]
fn every_attempt_stands_with_its_own_fate() {
    let groups = |action| {
        vec![
            group(OTHER, "stripped", "no_consent"),
            group(ANNA, action, "consent"),
        ]
    };
    let messages = asked(
        vec![
            intent(1, "bakery", groups("kept")),
            outcome(1, "not_now"),
            intent(2, "bakery", groups("stripped")),
            outcome(2, "taken"),
        ],
        None,
        None,
    );
    let expected = [
        (1, "kept", false, Some("not_now")),
        (2, "stripped", false, Some("taken")),
    ];
    assert_eq!(seen(&messages), expected);
}

/// Decided again before anything was sent: what was decided first was never done.
#[test]
fn only_the_last_decision_of_an_attempt_is_told() {
    let anna = |action| vec![group(ANNA, action, "consent")];
    let bodies = vec![
        intent(1, "bakery", anna("kept")),
        intent(1, "bakery", anna("stripped")),
        outcome(1, "taken"),
    ];
    assert_eq!(
        seen(&asked(bodies, None, None)),
        [(1, "stripped", false, Some("taken"))]
    );
}

#[test]
fn a_void_line_is_told_as_void() {
    let gap = Body::Gap(Gap {
        cause: "abandoned".to_owned(),
        lines: 1,
        since: "2026-11-22T10:00:00Z".parse().unwrap(),
        until: "2026-11-22T10:00:00Z".parse().unwrap(),
        seqs: vec![1],
        file: None,
        octets: None,
        sha256: None,
    });
    let bodies = vec![
        intent(1, "bakery", vec![group(ANNA, "kept", "consent")]),
        gap,
        outcome(1, "taken"),
    ];
    assert_eq!(
        seen(&asked(bodies, None, None)),
        [(1, "kept", true, Some("taken"))]
    );
}

#[test]
fn mail_to_others_of_others_and_of_other_days_is_not_told() {
    let one = |controller, subject| {
        vec![intent(
            1,
            controller,
            vec![group(subject, "kept", "consent")],
        )]
    };
    assert_eq!(asked(one("bakery", ANNA), None, None).len(), 1);
    assert_eq!(asked(one("bakery", OTHER), None, None).len(), 0);
    assert_eq!(asked(one("butcher", ANNA), None, None).len(), 0);
    assert_eq!(
        asked(one("bakery", ANNA), Some("2026-11-22"), None).len(),
        1
    );
    assert_eq!(
        asked(one("bakery", ANNA), Some("2026-11-23"), None).len(),
        0
    );
    assert_eq!(
        asked(one("bakery", ANNA), None, Some(&"0".repeat(32))).len(),
        1
    );
    assert_eq!(
        asked(one("bakery", ANNA), None, Some(&"1".repeat(32))).len(),
        0
    );
}
