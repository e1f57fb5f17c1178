//! The messages to one person, put together from their lines: every attempt, what was decided, what became of the copy.
//!
//! It takes from a line only what concerns the person asked about, and never who else got the message.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::super::report::vendor;
use super::person::{Later, Person};
use crate::ledger::read::{Body, Line};
use crate::ledger::summary::without_masks;
use crate::ledger::{Finding, Group, Intent, Outcome};
use crate::pixel::Rules;

/// What is looked for.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    /// In whose name it was sent.
    pub(super) controller: &'a str,
    /// The person, under every generation of the look-up key.
    pub(super) subjects: &'a [String],
    /// Decided on this day.
    pub(super) day: Option<Date>,
    /// With one of these hashes.
    pub(super) message_ids: Option<Vec<String>>,
    /// Whose vendors are named.
    pub(super) rules: &'a Rules,
}

/// One message to the person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Message {
    /// Our id of it.
    pub(super) id: String,
    pub(super) node: String,
    pub(super) controller: String,
    pub(super) stream: String,
    pub(super) stream_kind: String,
    pub(super) listener: String,
    /// Parts that are out of scope, by why.
    pub(super) out_of_scope: BTreeMap<String, u64>,
    /// What tells of a reader and stayed as it was, by kind.
    pub(super) reported: BTreeMap<String, u64>,
    /// What was decided, in order.
    pub(super) attempts: Vec<Attempt>,
}

/// What was decided at one attempt, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Attempt {
    pub(super) attempt: u32,
    pub(super) decided_at: Timestamp,
    /// When the register answered; none when it did not, or was not asked.
    pub(super) looked_up_at: Option<Timestamp>,
    /// The ledger declares this line void: it was not done, and nothing was kept.
    pub(super) void: bool,
    pub(super) profile: Option<String>,
    /// Whether the person was in shadow: decided, not done.
    pub(super) shadow: bool,
    pub(super) shadow_until: Option<String>,
    pub(super) shadow_by: Option<String>,
    pub(super) stops: Vec<&'static str>,
    pub(super) rules_disabled: Vec<String>,
    /// `unchanged`, `stripped`, `held` or `rejected`.
    pub(super) copy: String,
    pub(super) copy_reason: Option<String>,
    pub(super) trackers: Vec<Tracker>,
    /// Parts that nobody can see into.
    pub(super) parts: Vec<Part>,
    pub(super) fate: Option<Fate>,
    /// The code that the client was answered with.
    pub(super) answered: Option<u16>,
}

/// One finding, and what was decided on it for this person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Tracker {
    /// Where it stands.
    pub(super) part: String,
    pub(super) line: u64,
    /// What loads it, and what takes it out.
    pub(super) vector: String,
    pub(super) treatment: String,
    pub(super) host: String,
    pub(super) vendor: String,
    pub(super) evidence: Vec<String>,
    pub(super) verdict: String,
    pub(super) purposes: Vec<String>,
    pub(super) partner: Option<String>,
    pub(super) decided: Decided,
}

/// One part that could not be inspected, and what was decided on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Part {
    pub(super) part: String,
    /// Why it could not be inspected.
    pub(super) why: String,
    pub(super) decided: Option<Decided>,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Decided {
    pub(super) action: String,
    pub(super) basis: Option<String>,
    pub(super) reason: Option<String>,
    /// The records it rests on.
    pub(super) records: Vec<String>,
    /// What the person said later about something that was kept.
    pub(super) later: Option<Later>,
}

/// What became of the copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Fate {
    pub(super) at: Timestamp,
    pub(super) fate: String,
    pub(super) code: Option<u16>,
    pub(super) status: Option<String>,
}

impl Tracker {
    /// Whether another is the same but for its line.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let other = Self {
            line: self.line,
            ..other.clone()
        };
        *self == other
    }
}

impl Message {
    pub(super) fn last_decided_at(&self) -> Option<Timestamp> {
        self.attempts.iter().map(|attempt| attempt.decided_at).max()
    }

    /// The names of every record that a decision about it rests on.
    pub(super) fn records(&self) -> impl Iterator<Item = &String> {
        self.attempts.iter().flat_map(|attempt| {
            let trackers = attempt.trackers.iter().map(|tracker| &tracker.decided);
            let parts = attempt
                .parts
                .iter()
                .filter_map(|part| part.decided.as_ref());
            trackers.chain(parts).flat_map(|decided| &decided.records)
        })
    }
}

/// The messages of one directory that are wanted.
pub(super) fn told(lines: Vec<Line>, wanted: &Wanted<'_>, person: &Person) -> Vec<Message> {
    let mut void = BTreeSet::new();
    let mut by_id: BTreeMap<String, Vec<Line>> = BTreeMap::new();
    for line in lines {
        match &line.body {
            Body::Intent(intent) => by_id.entry(intent.id.clone()).or_default().push(line),
            Body::Outcome(outcome) => by_id.entry(outcome.id.clone()).or_default().push(line),
            Body::Gap(gap) => void.extend(&gap.seqs),
            _ => {}
        }
    }
    let messages = by_id.into_values().filter_map(|mut lines| {
        lines.sort_by_key(|line| line.seq);
        message(&lines, &void, wanted, person)
    });
    messages.collect()
}

fn message(
    lines: &[Line],
    void: &BTreeSet<u64>,
    wanted: &Wanted<'_>,
    person: &Person,
) -> Option<Message> {
    let mut message: Option<Message> = None;
    let mut on_the_day = wanted.day.is_none();
    let mut is_it = wanted.message_ids.is_none();
    for line in lines {
        match &line.body {
            Body::Intent(intent) => {
                let Some(group) = group_of(intent, wanted) else {
                    continue;
                };
                on_the_day |= wanted.day == Some(line.at.to_zoned(TimeZone::UTC).date());
                let hash = intent.message_id_hash.as_ref();
                is_it |= wanted
                    .message_ids
                    .as_ref()
                    .zip(hash)
                    .is_some_and(|(ids, hash)| ids.contains(hash));
                let mut attempt = attempt(line.at, intent, group, wanted, person);
                attempt.void = void.contains(&line.seq);
                let message = message.get_or_insert_with(|| opened(&line.node, intent));
                // Decided again within one attempt: the last decision is the one that was acted upon.
                message
                    .attempts
                    .retain(|before| before.attempt != attempt.attempt || before.fate.is_some());
                message.attempts.push(attempt);
            }
            Body::Outcome(outcome) => {
                let attempts = message.iter_mut().flat_map(|message| &mut message.attempts);
                if let Some(attempt) = attempts
                    .rev()
                    .find(|attempt| attempt.attempt == outcome.attempt)
                {
                    attempt.fate = fate(line.at, outcome, wanted);
                    attempt.answered = outcome.answered;
                }
            }
            _ => {}
        }
    }
    message.filter(|_| on_the_day && is_it)
}

fn group_of<'a>(intent: &'a Intent, wanted: &Wanted<'_>) -> Option<&'a Group> {
    let named = |group: &&Group| {
        group
            .subjects
            .iter()
            .any(|subject| wanted.subjects.contains(subject))
    };
    intent
        .groups
        .iter()
        .find(named)
        .filter(|_| intent.controller == wanted.controller)
}

fn opened(node: &str, intent: &Intent) -> Message {
    Message {
        id: intent.id.clone(),
        node: node.to_owned(),
        controller: intent.controller.clone(),
        stream: intent.stream.clone(),
        stream_kind: intent.stream_kind.clone(),
        listener: intent.listener.clone(),
        out_of_scope: intent.out_of_scope.clone(),
        reported: reported(intent),
        attempts: Vec::new(),
    }
}

fn reported(intent: &Intent) -> BTreeMap<String, u64> {
    let mut kinds = BTreeMap::new();
    for reported in &intent.reported {
        *kinds.entry(reported.kind.clone()).or_insert(0) += 1;
    }
    kinds
}

fn attempt(
    at: Timestamp,
    intent: &Intent,
    group: &Group,
    wanted: &Wanted<'_>,
    person: &Person,
) -> Attempt {
    let enforcement = &intent.enforcement;
    let stops = [
        ("strip_all", enforcement.strip_all),
        ("hold_edits", enforcement.hold_edits),
    ];
    let known: BTreeMap<u32, &Finding> = intent
        .findings
        .iter()
        .map(|finding| (finding.n, finding))
        .collect();
    let trackers = group.decisions.iter().filter_map(|decision| {
        let finding = known.get(&decision.finding)?;
        let later = person.later(at, &decision.action, &finding.purposes);
        Some(Tracker {
            part: finding.part.clone(),
            line: finding.line,
            vector: finding.vector.clone(),
            treatment: finding.treatment.clone(),
            host: without_masks(finding.host.as_str()),
            vendor: vendor(wanted.rules, finding),
            evidence: finding.evidence.clone(),
            verdict: finding.verdict.clone(),
            purposes: finding.purposes.clone(),
            partner: finding.partner.clone(),
            decided: Decided {
                action: decision.action.clone(),
                basis: decision.basis.clone(),
                reason: decision.reason.clone(),
                records: decision.records.clone(),
                later,
            },
        })
    });
    Attempt {
        attempt: intent.attempt,
        decided_at: at,
        looked_up_at: intent.looked_up_at,
        void: false,
        profile: group.profile.clone(),
        shadow: group.shadow,
        shadow_until: enforcement.shadow_until.clone(),
        shadow_by: enforcement.by.clone(),
        stops: stops
            .into_iter()
            .filter(|(_, on)| *on)
            .map(|(stop, _)| stop)
            .collect(),
        rules_disabled: enforcement.rules_disabled.clone(),
        copy: group.copy.clone(),
        copy_reason: group.reason.clone(),
        trackers: trackers.collect(),
        parts: parts(at, intent, group, person),
        fate: None,
        answered: None,
    }
}

/// The parts that nobody can see into, with what was decided on them.
fn parts(at: Timestamp, intent: &Intent, group: &Group, person: &Person) -> Vec<Part> {
    let parts = intent.uninspectable.iter().map(|part| {
        let decided = group.parts.iter().find(|decided| decided.part == part.part);
        Part {
            part: part.part.clone(),
            why: part.reason.clone(),
            decided: decided.map(|decided| Decided {
                action: decided.action.clone(),
                basis: decided.basis.clone(),
                reason: decided.reason.clone(),
                records: decided.records.clone(),
                later: person.later(at, &decided.action, &[]),
            }),
        }
    });
    parts.collect()
}

fn fate(at: Timestamp, outcome: &Outcome, wanted: &Wanted<'_>) -> Option<Fate> {
    let fate = outcome.fates.iter().find(|fate| {
        fate.subjects
            .iter()
            .any(|subject| wanted.subjects.contains(subject))
    })?;
    Some(Fate {
        at,
        fate: fate.fate.clone(),
        code: fate.code,
        status: fate.status.clone(),
    })
}

#[cfg(test)]
#[path = "messages_tests.rs"]
mod tests;
