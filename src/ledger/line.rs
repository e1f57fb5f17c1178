//! What an intent and an outcome say, field by field: the final line format (DESIGN 5, D21).
//!
//! Words, numbers and hashes only. It must never know how they came about. Every field that a message could influence is
//! checked to be a word, a number or a hash before it is written; one that is not makes the line an error, for an
//! address in clear would stay in the chain for ever.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::fit::{body, hash, hashes, optional, part, text, word, words};
use super::{Host, LedgerError};

/// What is about to be done with one message.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Intent {
    /// Our id of the message.
    pub id: String,
    /// Which attempt to deliver it, from 1.
    pub attempt: u32,
    /// The listener it came by.
    pub listener: String,
    /// The stream it belongs to.
    pub stream: String,
    /// The kind of that stream.
    pub stream_kind: String,
    /// The controller whose records decide.
    pub controller: String,
    /// SHA-256 of the message as the client sent it, hex.
    pub message_sha256: String,
    /// Its length, in octets.
    pub message_octets: u64,
    /// Keyed hash of its Message-ID, hex.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub message_id_hash: Option<String>,
    /// What the operator had switched on.
    pub enforcement: Enforcement,
    /// When the register answered; none when it did not, or was not asked.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub looked_up_at: Option<Timestamp>,
    /// Every finding, once.
    pub findings: Vec<Finding>,
    /// Recipients about whom the same was decided.
    pub groups: Vec<Group>,
    /// Parts that could not be inspected.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub uninspectable: Vec<Uninspectable>,
    /// Parts that are out of scope, by why.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub out_of_scope: BTreeMap<String, u64>,
    /// What tells of a reader and stays as it is.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub reported: Vec<Reported>,
    /// Domains whose DKIM signature the message bears.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub dkim_domains: Vec<Host>,
}

/// What the operator had switched on when it was decided.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Enforcement {
    /// `enforce` or `shadow`.
    pub mode: String,
    /// Until when the shadow lasts.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub shadow_until: Option<String>,
    /// Who ordered it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub by: Option<String>,
    /// Percent of subjects that are enforced all the same.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub share_percent: Option<u8>,
    /// `[stops] strip_all`.
    pub strip_all: bool,
    /// `[stops] hold_edits`.
    pub hold_edits: bool,
    /// `rules.disabled`.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub rules_disabled: Vec<String>,
}

/// One thing in the message that would load and looks like tracking.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Its number in this line.
    pub n: u32,
    /// The path of its part, `1.2`.
    pub part: String,
    /// The line of that part on which it stands.
    pub line: u64,
    /// By which element or property it would load.
    pub vector: String,
    /// From where.
    pub host: Host,
    /// Keyed hash of its URL, hex.
    pub url_hash: String,
    /// Why it looks like tracking: words, and names of rules.
    pub evidence: Vec<String>,
    /// What it is held to be.
    pub verdict: String,
    /// What stripping it means.
    pub treatment: String,
    /// The purposes that were declared for it; empty is undeclared.
    pub purposes: Vec<String>,
    /// The partner who learns of the opens, where the stream declares one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub partner: Option<String>,
}

/// Something that tells of a reader and is not for the relay to change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reported {
    /// What it is.
    pub kind: String,
    /// The path of its part, `1.2`.
    pub part: String,
    /// The line of that part, or of the header, on which it begins.
    pub line: u64,
}

/// Recipients about whom the same was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Who, as keyed hashes in hex.
    pub subjects: Vec<String>,
    /// What is done with their copy: `unchanged`, `stripped`, `held`, `rejected`.
    pub copy: String,
    /// Why, where the copy as a whole is held or rejected.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// Whether they are in shadow: decided, not done.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub shadow: bool,
    /// The country profile whose rules decided, by name and date: `fr-2026`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub profile: Option<String>,
    /// What was decided on each finding.
    pub decisions: Vec<Decision>,
    /// What was decided on each part that nobody can see into.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub parts: Vec<PartDecision>,
}

/// What was decided on one finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// The number of the finding.
    pub finding: u32,
    /// What is done to it.
    pub action: String,
    /// Why it may stay.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub basis: Option<String>,
    /// Why it may not.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// The records that this rests on, by name: proofs of a consent, or the refusal.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub records: Vec<String>,
}

/// What was decided on one part that nobody can see into: it counts as a tracker of the broadest declaration.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PartDecision {
    /// Its path, as in `uninspectable`.
    pub part: String,
    /// What is done to it.
    pub action: String,
    /// Why it may stay.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub basis: Option<String>,
    /// Why it may not.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// The records that this rests on, by name.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub records: Vec<String>,
}

/// A part that could not be inspected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uninspectable {
    /// Its path.
    pub part: String,
    /// Why.
    pub reason: String,
}

/// What was done with one message.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// Our id of the message.
    pub id: String,
    /// Which attempt this was.
    pub attempt: u32,
    /// What became of each recipient.
    pub fates: Vec<Fate>,
    /// The code that the client was answered with, where one was waiting.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub answered: Option<u16>,
    /// Domains whose DKIM signature no longer fits a copy that went out.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub dkim_broken: Vec<Host>,
}

/// Recipients who met the same fate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fate {
    /// `taken`, `not_now`, `refused`, `unknown`, or what our spool did with it.
    pub fate: String,
    /// The next hop's code; its text stays out, it often quotes the address.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub code: Option<u16>,
    /// Its enhanced status code.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub status: Option<String>,
    /// Who, as keyed hashes in hex.
    pub subjects: Vec<String>,
}

impl Intent {
    pub(super) fn body(mut self) -> Result<String, LedgerError> {
        self.shorten_parts();
        self.check()?;
        body(&self)
    }

    /// The path of a part deep inside others grows with every level, and how deep is the sender's choice: it must not
    /// make the line unfit, or what is kept on consent could not be recorded.
    fn shorten_parts(&mut self) {
        let findings = self.findings.iter_mut().map(|finding| &mut finding.part);
        let blind = self.uninspectable.iter_mut().map(|blind| &mut blind.part);
        let groups = self.groups.iter_mut().flat_map(|group| &mut group.parts);
        let decided = groups.map(|decision| &mut decision.part);
        for path in findings.chain(blind).chain(decided) {
            if let Some(shorter) = part(path) {
                *path = shorter;
            }
        }
    }

    fn check(&self) -> Result<(), LedgerError> {
        word("id", &self.id)?;
        for (field, value) in [
            ("listener", &self.listener),
            ("stream", &self.stream),
            ("controller", &self.controller),
        ] {
            text(field, value)?;
        }
        word("stream_kind", &self.stream_kind)?;
        hash("message_sha256", &self.message_sha256)?;
        optional(hash, "message_id_hash", self.message_id_hash.as_deref())?;
        self.enforcement.check()?;
        let mut numbers = BTreeSet::new();
        for finding in &self.findings {
            finding.check()?;
            numbers.insert(finding.n);
        }
        for group in &self.groups {
            group.check(&numbers)?;
        }
        for part in &self.uninspectable {
            word("uninspectable.part", &part.part)?;
            word("uninspectable.reason", &part.reason)?;
        }
        for reported in &self.reported {
            word("reported.kind", &reported.kind)?;
            word("reported.part", &reported.part)?;
        }
        words("out_of_scope", self.out_of_scope.keys())
    }
}

impl Enforcement {
    fn check(&self) -> Result<(), LedgerError> {
        word("enforcement.mode", &self.mode)?;
        optional(
            text,
            "enforcement.shadow_until",
            self.shadow_until.as_deref(),
        )?;
        // Who orders a shadow signs with a name; it is the operator's own and no recipient's.
        optional(text, "enforcement.by", self.by.as_deref())?;
        words("enforcement.rules_disabled", self.rules_disabled.iter())
    }
}

impl Finding {
    fn check(&self) -> Result<(), LedgerError> {
        word("finding.part", &self.part)?;
        word("finding.vector", &self.vector)?;
        hash("finding.url_hash", &self.url_hash)?;
        words("finding.evidence", self.evidence.iter())?;
        word("finding.verdict", &self.verdict)?;
        word("finding.treatment", &self.treatment)?;
        words("finding.purposes", self.purposes.iter())?;
        optional(text, "finding.partner", self.partner.as_deref())
    }
}

impl Group {
    fn check(&self, findings: &BTreeSet<u32>) -> Result<(), LedgerError> {
        hashes("group.subjects", &self.subjects)?;
        word("group.copy", &self.copy)?;
        optional(word, "group.reason", self.reason.as_deref())?;
        optional(word, "group.profile", self.profile.as_deref())?;
        for decision in &self.decisions {
            if !findings.contains(&decision.finding) {
                let field = "decision.finding";
                return Err(LedgerError::Unfit { field });
            }
            word("decision.action", &decision.action)?;
            optional(word, "decision.basis", decision.basis.as_deref())?;
            optional(word, "decision.reason", decision.reason.as_deref())?;
            hashes("decision.records", &decision.records)?;
        }
        self.parts.iter().try_for_each(PartDecision::check)
    }
}

impl PartDecision {
    fn check(&self) -> Result<(), LedgerError> {
        word("part.part", &self.part)?;
        word("part.action", &self.action)?;
        optional(word, "part.basis", self.basis.as_deref())?;
        optional(word, "part.reason", self.reason.as_deref())?;
        hashes("part.records", &self.records)
    }
}

impl Outcome {
    pub(super) fn body(&self) -> Result<String, LedgerError> {
        word("id", &self.id)?;
        for fate in &self.fates {
            word("fate", &fate.fate)?;
            optional(word, "fate.status", fate.status.as_deref())?;
            hashes("fate.subjects", &fate.subjects)?;
        }
        body(self)
    }
}
