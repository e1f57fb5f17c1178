//! What an intent and an outcome say, field by field: the final line format (DESIGN 5, D21).
//!
//! Words, numbers and hashes only. It must never know how they came about. Every field that a message could influence is
//! checked to be a word, a number or a hash before it is written; one that is not makes the line an error, for an
//! address in clear would stay in the chain for ever.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Host, LINE_OCTETS_MAX, LedgerError};

/// Longest word, in octets.
const WORD_OCTETS_MAX: usize = 128;
/// Longest text of the operator's, in octets.
const TEXT_OCTETS_MAX: usize = 512;

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
    /// Country profile and its date, once profiles decide.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub profile: Option<String>,
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
    /// What was decided on each finding.
    pub decisions: Vec<Decision>,
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
    pub(super) fn body(&self) -> Result<String, LedgerError> {
        self.check()?;
        body(self)
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
        optional(text, "profile", self.profile.as_deref())?;
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
        words("finding.purposes", self.purposes.iter())
    }
}

impl Group {
    fn check(&self, findings: &BTreeSet<u32>) -> Result<(), LedgerError> {
        hashes("group.subjects", &self.subjects)?;
        word("group.copy", &self.copy)?;
        optional(word, "group.reason", self.reason.as_deref())?;
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
        Ok(())
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

/// One JSON object of at least one field.
pub(super) fn body(value: &impl Serialize) -> Result<String, LedgerError> {
    let text = serde_json::to_string(value).map_err(|_| LedgerError::Unfit { field: "line" })?;
    match text.len() {
        // Room for what the chain adds around it.
        octets if octets > LINE_OCTETS_MAX - 1024 => Err(LedgerError::TooLong { octets }),
        _ => Ok(text),
    }
}

type Check = fn(&'static str, &str) -> Result<(), LedgerError>;

fn demand(field: &'static str, holds: bool) -> Result<(), LedgerError> {
    match holds {
        true => Ok(()),
        false => Err(LedgerError::Unfit { field }),
    }
}

/// A word of a closed list, an id, a part path, the name of a rule: no address and no URL fits.
fn word(field: &'static str, value: &str) -> Result<(), LedgerError> {
    let letter = |octet: u8| octet.is_ascii_alphanumeric() || b"._:-".contains(&octet);
    let short = !value.is_empty() && value.len() <= WORD_OCTETS_MAX;
    demand(field, short && value.bytes().all(letter))
}

/// 128 to 256 bits in hex.
fn hash(field: &'static str, value: &str) -> Result<(), LedgerError> {
    let digit = |octet: u8| matches!(octet, b'0'..=b'9' | b'a'..=b'f');
    let long = (32..=64).contains(&value.len());
    demand(field, long && value.bytes().all(digit))
}

/// A text from the configuration.
fn text(field: &'static str, value: &str) -> Result<(), LedgerError> {
    demand(field, value.len() <= TEXT_OCTETS_MAX)
}

fn optional(check: Check, field: &'static str, value: Option<&str>) -> Result<(), LedgerError> {
    value.map_or(Ok(()), |value| check(field, value))
}

fn words<'a>(
    field: &'static str,
    values: impl Iterator<Item = &'a String>,
) -> Result<(), LedgerError> {
    values.into_iter().try_for_each(|value| word(field, value))
}

fn hashes(field: &'static str, values: &[String]) -> Result<(), LedgerError> {
    values.iter().try_for_each(|value| hash(field, value))
}
