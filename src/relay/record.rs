//! The ledger lines of one message: intent before effect, outcome after (DESIGN 5 "Ledger", D21).
//!
//! Turns decisions into plain values: people become subjects, URLs keyed hashes, hosts what [`Host`] lets stand. It must
//! never write an address or URL in clear, and it decides nothing.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use ring::digest::{Context, SHA256};
use tokio::time::timeout;

use super::decide;
use super::examine::{ANSWER_AGE_MOST, Examined, Recipient};
use super::plan::{Cause, Treatment};
use super::settings::Shadow;
use super::survey::Found;
use super::{Journey, Relay};
use crate::consent::{Action, Subject};
use crate::ledger::{
    Decision, Enforcement, Fate as FateLine, Finding, Group, Host, Intent, LINE_OCTETS_MAX,
    LedgerError, Outcome, PartDecision, Reported, Uninspectable,
};
use crate::mime::trace;
use crate::next_hop::Fate;
use crate::pixel::Evidence;
use crate::register::Keys;
use crate::smtp::reply::Reply;

/// What an outcome line needs of its intent.
#[derive(Debug, Clone)]
pub(super) struct Intended {
    /// The subject of each forward-path.
    pub subjects: Vec<Subject>,
    /// Domains whose signature no longer fits a copy that goes out.
    pub dkim_broken: Vec<Host>,
}

impl Relay {
    /// Writes what is about to be done. It is on the disk, not only in the file, where something is kept.
    pub(super) async fn intend(
        &self,
        journey: &Journey,
        message: &[u8],
        examined: &Examined<'_>,
    ) -> Result<(), LedgerError> {
        let intent = self.intent(journey, message, examined)?;
        let keeps = examined.keeps();
        let written = self.ledger.intent(intent, keeps);
        if !keeps {
            return written.await.map(|_| ());
        }
        // Promise 8: what keeps something is written while the answer it rests on is fresh, or it is not done.
        let fresh = ANSWER_AGE_MOST.saturating_sub(examined.asked_at.elapsed());
        match timeout(fresh, written).await {
            Ok(written) => written.map(|_| ()),
            Err(_) => Err(LedgerError::TimedOut {
                milliseconds: u64::try_from(fresh.as_millis()).unwrap_or(u64::MAX),
            }),
        }
    }

    /// Writes how it went. A line that cannot be written is logged; the ledger notes the gap.
    pub(super) async fn conclude(
        &self,
        journey: &Journey,
        intended: Intended,
        fates: &[Option<Fate>],
        aside: &BTreeMap<usize, Reply>,
        answered: Option<u16>,
    ) {
        let lines = fate_lines(&intended.subjects, fates, aside);
        for line in &lines {
            let copies = u64::try_from(line.subjects.len()).unwrap_or(u64::MAX);
            self.counters.fates.add(&line.fate, copies);
        }
        tracing::info!(id = %journey.id, fates = %in_words(&lines), "done");
        let outcome = Outcome {
            id: journey.id.to_string(),
            attempt: journey.attempt,
            fates: lines,
            answered,
            dkim_broken: intended.dkim_broken,
        };
        if let Err(error) = self.ledger.outcome(outcome).await {
            tracing::error!(id = %journey.id, %error, "the outcome is not in the ledger");
            self.counters.events.add("ledger_line_missing", 1);
        }
    }

    fn intent(
        &self,
        journey: &Journey,
        message: &[u8],
        examined: &Examined<'_>,
    ) -> Result<Intent, LedgerError> {
        let keys = &self.examiner.keys;
        let survey = &examined.survey;
        let message_id = survey.header.message_id.as_deref();
        let findings = survey.findings.iter().enumerate();
        let uninspectable = survey.uninspectable().map(|(part, why)| Uninspectable {
            part: part_word(part),
            reason: why.as_str().to_owned(),
        });
        let out_of_scope = survey.out_of_scope.iter();
        let reported = survey.reported.iter().map(|reported| Reported {
            kind: reported.kind.as_str().to_owned(),
            part: part_word(&reported.path),
            line: reported.line as u64,
        });
        let groups = groups(examined)?;
        Ok(Intent {
            id: journey.id.to_string(),
            attempt: journey.attempt,
            listener: journey.client.listener.clone(),
            stream: examined.assignment.stream.name.clone(),
            stream_kind: examined.assignment.stream.kind.to_string(),
            controller: examined.assignment.controller.to_string(),
            message_sha256: message_sha256(message),
            message_octets: message.len() as u64,
            message_id_hash: message_id.map(|id| keys.ledger_hash("message-id", id.as_bytes())),
            enforcement: self.enforcement(examined.shadow),
            looked_up_at: examined.looked_up_at,
            findings: findings
                .map(|(n, found)| finding_line(keys, n, found, examined))
                .collect(),
            groups,
            uninspectable: uninspectable.collect(),
            out_of_scope: out_of_scope
                .map(|(why, count)| ((*why).to_owned(), *count as u64))
                .collect(),
            reported: reported.collect(),
            dkim_domains: dkim(keys, survey.header.dkim.iter()),
        })
    }

    fn enforcement(&self, shadow: Option<&Shadow>) -> Enforcement {
        let examiner = &self.examiner;
        Enforcement {
            mode: if shadow.is_some() {
                "shadow"
            } else {
                "enforce"
            }
            .to_owned(),
            shadow_until: shadow.map(|shadow| shadow.shadow_until.to_string()),
            by: shadow.map(|shadow| shadow.by.clone()),
            share_percent: shadow.map(|shadow| shadow.share_percent),
            strip_all: examiner.stops.strip_all,
            hold_edits: examiner.stops.hold_edits,
            rules_disabled: examiner.rules_disabled.clone(),
        }
    }

    /// What the outcome will need.
    pub(super) fn intended(&self, examined: &Examined<'_>) -> Intended {
        let recipients = examined.recipients.iter();
        let changed = examined
            .groups
            .iter()
            .any(|group| group.treatment.changes());
        let domains = examined.survey.header.dkim.iter().filter(|_| changed);
        Intended {
            subjects: recipients.map(|recipient| recipient.subject).collect(),
            dkim_broken: dkim(&self.examiner.keys, domains),
        }
    }
}

/// SHA-256 of the message without its trace fields, hex: the same for a message that comes again.
pub(super) fn message_sha256(message: &[u8]) -> String {
    let mut context = Context::new(&SHA256);
    for piece in trace::without_trace(message) {
        context.update(piece);
    }
    hex(context.finish().as_ref())
}

/// Lower-case hex.
pub fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |mut hex, octet| {
        let _ = write!(hex, "{octet:02x}");
        hex
    })
}

/// A host as it may be written down: a label that could be a person's own token is hashed.
pub fn shown_host(keys: &Keys, host: &str) -> Host {
    Host::new(host, |label| keys.ledger_hash("host", label.as_bytes()))
}

/// A URL as it may be written down.
pub fn shown_url(keys: &Keys, url: &str) -> String {
    keys.ledger_hash("url", url.as_bytes())
}

fn dkim<'a>(keys: &Keys, domains: impl Iterator<Item = &'a String>) -> Vec<Host> {
    domains.map(|domain| shown_host(keys, domain)).collect()
}

/// A disputed part is written `1.2?` for people; the ledger takes words only.
fn part_word(part: &str) -> String {
    part.replace('?', "-disputed")
}

fn number(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

fn finding_line(keys: &Keys, n: usize, found: &Found, examined: &Examined<'_>) -> Finding {
    let finding = &found.finding;
    let declared = examined.assignment.declared(&finding.host);
    Finding {
        n: number(n),
        part: part_word(&found.path),
        line: finding.line as u64,
        vector: finding.vector.as_str().to_owned(),
        host: shown_host(keys, &finding.host),
        url_hash: shown_url(keys, &finding.url),
        evidence: finding.evidence.iter().map(evidence).collect(),
        verdict: finding.verdict.as_str().to_owned(),
        treatment: finding.treatment.as_str().to_owned(),
        purposes: declared.purposes.iter().map(ToString::to_string).collect(),
        partner: declared.partner.map(str::to_owned),
    }
}

/// One piece of evidence in words: its reason code, and which rule or which size.
pub fn evidence(evidence: &Evidence) -> String {
    match evidence {
        Evidence::KnownEndpoint { rule, .. } => format!("{}:{rule}", evidence.as_str()),
        Evidence::Tiny { width, height } => format!("{}:{width}x{height}", evidence.as_str()),
        Evidence::Unseen { why } => format!("{}:{why}", evidence.as_str()),
        Evidence::Recipient { form } => format!("{}:{}", evidence.as_str(), form.as_str()),
        Evidence::Recurring { named } => format!("{}:{}", evidence.as_str(), named.as_str()),
        Evidence::Learned { recipients } => format!("{}:{recipients}", evidence.as_str()),
        Evidence::Operator { .. } | Evidence::Remote => evidence.as_str().to_owned(),
    }
}

/// Recipients with the same copy and the same decisions stand in one group of the line.
fn groups(examined: &Examined<'_>) -> Result<Vec<Group>, LedgerError> {
    let mut octets = 0;
    let mut lines: Vec<(&Recipient, Group)> = Vec::new();
    for group in &examined.groups {
        let first = lines.len();
        let recipients = group.recipients.iter();
        for recipient in recipients.filter_map(|index| examined.recipients.get(*index)) {
            let subject = recipient.subject.to_string();
            let same = lines.iter_mut().skip(first).find(|(other, _)| {
                other.decisions == recipient.decisions && other.enforced == recipient.enforced
            });
            match same {
                Some((_, line)) => line.subjects.push(subject),
                None => {
                    octets += recipient.decisions.iter().map(least_octets).sum::<usize>();
                    if octets > LINE_OCTETS_MAX {
                        return Err(LedgerError::TooLong { octets });
                    }
                    let line = group_line(recipient, subject, &group.treatment, examined);
                    lines.push((recipient, line));
                }
            }
        }
    }
    Ok(lines.into_iter().map(|(_, line)| line).collect())
}

/// What a decision takes in the line at the least, in octets: a line that cannot fit is not even made.
fn least_octets(decision: &decide::Decision) -> usize {
    40 + 35 * decision.proofs.len()
}

fn group_line(
    recipient: &Recipient,
    subject: String,
    treatment: &Treatment,
    examined: &Examined<'_>,
) -> Group {
    let survey = &examined.survey;
    let findings = recipient.decisions.iter().zip(&survey.findings);
    let decisions = findings.enumerate().map(|(n, (decision, found))| {
        let gone = treatment.strips(n) || treatment.empties(found.part);
        Decision {
            finding: number(n),
            action: effect(decision.action, gone, treatment).to_string(),
            basis: decision.basis.map(|basis| basis.to_string()),
            reason: decision.reason.map(|reason| reason.to_string()),
            records: decision.proofs.iter().map(ToString::to_string).collect(),
        }
    });
    let blind = recipient.decisions.iter().skip(survey.findings.len());
    let parts = blind.zip(&survey.blind).map(|(decision, blind)| {
        let gone = treatment.empties(blind.part);
        PartDecision {
            part: part_word(&blind.path),
            action: effect(decision.action, gone, treatment).to_string(),
            basis: decision.basis.map(|basis| basis.to_string()),
            reason: decision.reason.map(|reason| reason.to_string()),
            records: decision.proofs.iter().map(ToString::to_string).collect(),
        }
    });
    let mut profiles = recipient.decisions.iter();
    let (copy, cause) = match treatment {
        Treatment::Forward { .. } if treatment.changes() => ("stripped", None),
        Treatment::Forward { .. } => ("unchanged", None),
        Treatment::Held(cause) => ("held", Some(cause)),
        Treatment::Rejected(cause) => ("rejected", Some(cause)),
    };
    Group {
        subjects: vec![subject],
        copy: copy.to_owned(),
        reason: cause.map(cause_word),
        shadow: !recipient.enforced,
        profile: profiles.find_map(|decision| decision.profile.clone()),
        decisions: decisions.collect(),
        parts: parts.collect(),
    }
}

/// What becomes of a finding or a part in a copy that goes out, whatever was decided: an emptied part has none left, and what
/// a shadow forwards was not stripped.
fn effect(action: Action, gone: bool, treatment: &Treatment) -> Action {
    if !matches!(treatment, Treatment::Forward { .. }) {
        return action;
    }
    match (action, gone) {
        (_, true) => Action::Stripped,
        (Action::Stripped | Action::Held | Action::Rejected, false) => Action::WouldStrip,
        (other, false) => other,
    }
}

fn cause_word(cause: &Cause) -> String {
    match cause.uninspectable {
        Some(why) => format!("uninspectable:{}", why.as_str()),
        None => cause.reason.to_string(),
    }
}

fn fate_lines(
    subjects: &[Subject],
    fates: &[Option<Fate>],
    aside: &BTreeMap<usize, Reply>,
) -> Vec<FateLine> {
    let mut lines: Vec<FateLine> = Vec::new();
    for (index, subject) in subjects.iter().enumerate() {
        let line = fate_line(fates.get(index).and_then(Option::as_ref), aside.get(&index));
        let same = lines.iter_mut().find(|other| {
            other.fate == line.fate && other.code == line.code && other.status == line.status
        });
        match same {
            Some(other) => other.subjects.push(subject.to_string()),
            None => lines.push(FateLine {
                subjects: vec![subject.to_string()],
                ..line
            }),
        }
    }
    lines
}

fn fate_line(fate: Option<&Fate>, aside: Option<&Reply>) -> FateLine {
    let (word, reply) = match (fate, aside) {
        (_, Some(reply)) if reply.code() >= 500 => ("rejected", Some(reply)),
        (_, Some(reply)) => ("held", Some(reply)),
        (Some(Fate::Taken(reply)), None) => ("taken", Some(reply)),
        (Some(Fate::NotNow(reply) | Fate::Down(reply)), None) => ("not_now", Some(reply)),
        (Some(Fate::Refused(reply)), None) => ("refused", Some(reply)),
        (Some(Fate::Unknown(reply)), None) => ("unknown", Some(reply)),
        (None, None) => ("not_begun", None),
    };
    FateLine {
        fate: word.to_owned(),
        code: reply.map(Reply::code),
        status: reply.and_then(Reply::enhanced).map(str::to_owned),
        subjects: Vec::new(),
    }
}

fn in_words(fates: &[FateLine]) -> String {
    let words = fates
        .iter()
        .map(|fate| format!("{}={}", fate.fate, fate.subjects.len()));
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
