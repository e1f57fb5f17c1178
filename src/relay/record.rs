//! The ledger lines of one message: intent before effect, outcome after (DESIGN 5 "Ledger", D21).
//!
//! Turns decisions into plain values: people become subjects, URLs keyed hashes, a host label that could be a person's own
//! is hashed too. It must never write an address or URL in clear, and it decides nothing.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use ring::digest::{Context, SHA256};

use super::decide::Decision;
use super::examine::{Examined, Recipient};
use super::plan::Treatment;
use super::settings::Shadow;
use super::survey::Found;
use super::{Journey, Relay};
use crate::consent::{LookupKey, Subject};
use crate::ledger::LedgerError;
use crate::ledger::line::{
    BlindLine, DecisionLine, FateLine, FindingLine, GroupLine, Intent, Outcome,
};
use crate::mime::trace;
use crate::next_hop::Fate;
use crate::smtp::reply::Reply;

/// What an outcome line refers back to.
#[derive(Debug, Clone)]
pub(super) struct Intended {
    /// Number of the intent line; `None` where the ledger did not take it.
    pub seq: Option<u64>,
    /// The subject of each forward-path.
    pub subjects: Vec<Subject>,
}

/// Shortest host label that is taken for a person's own token when letters and digits are mixed in it.
const TOKEN_LABEL_OCTETS: usize = 16;

impl Relay {
    /// Writes what is about to be done. It is on the disk, not only in the file, where something is kept.
    pub(super) async fn intend(
        &self,
        journey: &Journey,
        message: &[u8],
        examined: &Examined<'_>,
    ) -> Result<u64, LedgerError> {
        let intent = self.intent(journey, message, examined);
        self.ledger.intent(intent, examined.keeps()).await
    }

    /// Writes how it went. A line that cannot be written is logged; the ledger notes the gap.
    pub(super) async fn conclude(
        &self,
        journey: &Journey,
        intended: &Intended,
        fates: &[Option<Fate>],
        aside: &BTreeMap<usize, Reply>,
    ) {
        let fates = intended
            .subjects
            .iter()
            .enumerate()
            .map(|(index, subject)| {
                fate_line(
                    subject,
                    fates.get(index).and_then(Option::as_ref),
                    aside.get(&index),
                )
            });
        let outcome = Outcome {
            id: journey.id.to_string(),
            intent: intended.seq,
            fates: fates.collect(),
        };
        tracing::info!(id = %journey.id, fates = %in_words(&outcome.fates), "done");
        if let Err(error) = self.ledger.outcome(outcome).await {
            tracing::error!(id = %journey.id, %error, "the outcome is not in the ledger");
        }
    }

    fn intent(&self, journey: &Journey, message: &[u8], examined: &Examined<'_>) -> Intent {
        let key = self.examiner.keys.lookup();
        let survey = &examined.survey;
        Intent {
            id: journey.id.to_string(),
            session: journey.client.session.clone(),
            listener: journey.client.listener.clone(),
            stream: examined.stream.name.clone(),
            controller: examined.stream.controller.clone(),
            stream_kind: examined.stream.kind.to_string(),
            enforcement: enforcement(examined.shadow),
            message_sha256: message_sha256(message),
            message_id: survey
                .header
                .message_id
                .as_deref()
                .map(|id| keyed(key, "message-id", id)),
            findings: survey
                .findings
                .iter()
                .enumerate()
                .map(|(n, found)| finding_line(key, n, found))
                .collect(),
            uninspectable: survey
                .uninspectable()
                .map(|(part, why)| BlindLine {
                    part: part.to_string(),
                    why: why.as_str().to_owned(),
                })
                .collect(),
            out_of_scope: survey
                .out_of_scope
                .iter()
                .map(|(why, count)| ((*why).to_owned(), *count))
                .collect(),
            dkim: survey.header.dkim.clone(),
            groups: groups(examined),
        }
    }
}

/// SHA-256 of the message without its trace fields, hex: the same for a message that comes again.
pub(super) fn message_sha256(message: &[u8]) -> String {
    let mut context = Context::new(&SHA256);
    for piece in trace::without_trace(message) {
        context.update(piece);
    }
    crate::ledger::chain::hex(context.finish().as_ref())
}

fn enforcement(shadow: Option<&Shadow>) -> String {
    match shadow {
        None => "enforce".to_owned(),
        Some(shadow) => format!(
            "shadow until {} by {}, {} percent enforced",
            shadow.shadow_until, shadow.by, shadow.share_percent
        ),
    }
}

fn finding_line(key: &LookupKey, n: usize, found: &Found) -> FindingLine {
    let finding = &found.finding;
    FindingLine {
        n,
        part: found.path.clone(),
        line: finding.line,
        vector: finding.vector.to_string(),
        host: shown_host(key, &finding.host),
        url: keyed(key, "url", &finding.url),
        verdict: finding.verdict.to_string(),
        evidence: finding.evidence.iter().map(ToString::to_string).collect(),
        treatment: finding.treatment.to_string(),
    }
}

/// A host as it may be written down: `abcd1234abcd1234.t.example` names a person as surely as an address does.
pub fn shown_host(key: &LookupKey, host: &str) -> String {
    let mut shown = String::with_capacity(host.len());
    for (index, label) in host.split('.').enumerate() {
        if index > 0 {
            shown.push('.');
        }
        let mixed = label.bytes().any(|octet| octet.is_ascii_digit())
            && label.bytes().any(|octet| octet.is_ascii_alphabetic());
        if label.len() >= TOKEN_LABEL_OCTETS && mixed || label.len() >= 2 * TOKEN_LABEL_OCTETS {
            let hash = keyed(key, "host", label);
            let _ = write!(shown, "~{}", hash.get(..8).unwrap_or_default());
        } else {
            shown.push_str(label);
        }
    }
    shown
}

/// A keyed hash of something that may name a person, hex; `what` keeps kinds apart.
pub fn keyed(key: &LookupKey, what: &str, value: &str) -> String {
    crate::ledger::chain::hex(key.hash(what, value).get(..16).unwrap_or_default())
}

/// Recipients with the same copy and the same decisions stand on one line.
fn groups(examined: &Examined<'_>) -> Vec<GroupLine> {
    let mut lines: Vec<(&[Decision], GroupLine)> = Vec::new();
    for group in &examined.groups {
        let copy = copy_word(&group.treatment);
        let first = lines.len();
        for recipient in group
            .recipients
            .iter()
            .filter_map(|index| examined.recipients.get(*index))
        {
            let subject = recipient.subject.to_string();
            let same = lines.iter_mut().skip(first).find(|(decisions, line)| {
                *decisions == recipient.decisions && line.enforced == recipient.enforced
            });
            match same {
                Some((_, line)) => line.subjects.push(subject),
                None => lines.push((&recipient.decisions, group_line(recipient, subject, copy))),
            }
        }
    }
    lines.into_iter().map(|(_, line)| line).collect()
}

fn group_line(recipient: &Recipient, subject: String, copy: &str) -> GroupLine {
    let decisions = recipient.decisions.iter().map(|decision| DecisionLine {
        action: decision.action.to_string(),
        basis: decision.basis.map(|basis| basis.to_string()),
        reason: decision.reason.map(|reason| reason.to_string()),
        proof: (!decision.proofs.is_empty()).then(|| {
            decision
                .proofs
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(" ")
        }),
    });
    GroupLine {
        subjects: vec![subject],
        enforced: recipient.enforced,
        copy: copy.to_owned(),
        decisions: decisions.collect(),
    }
}

fn copy_word(treatment: &Treatment) -> &'static str {
    match treatment {
        Treatment::Forward { .. } if treatment.changes() => "changed",
        Treatment::Forward { .. } => "untouched",
        Treatment::Held(_) => "held",
        Treatment::Rejected(_) => "rejected",
    }
}

fn fate_line(subject: &Subject, fate: Option<&Fate>, aside: Option<&Reply>) -> FateLine {
    let (word, reply) = match (fate, aside) {
        (_, Some(reply)) if reply.code() >= 500 => ("rejected", Some(reply)),
        (_, Some(reply)) => ("held", Some(reply)),
        (Some(Fate::Taken(reply)), None) => ("taken", Some(reply)),
        (Some(Fate::NotNow(reply)), None) => ("not_now", Some(reply)),
        (Some(Fate::Refused(reply)), None) => ("refused", Some(reply)),
        (Some(Fate::Unknown(reply)), None) => ("unknown", Some(reply)),
        (None, None) => ("not_begun", None),
    };
    FateLine {
        subject: subject.to_string(),
        fate: word.to_owned(),
        code: reply.map(Reply::code),
        status: reply.and_then(Reply::enhanced).map(str::to_owned),
    }
}

fn in_words(fates: &[FateLine]) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for fate in fates {
        *counts.entry(fate.fate.as_str()).or_default() += 1;
    }
    counts
        .iter()
        .map(|(word, count)| format!("{word}={count}"))
        .collect::<Vec<_>>()
        .join(" ")
}
