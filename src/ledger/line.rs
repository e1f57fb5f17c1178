//! The lines of the ledger, format version 1, as plain values (DESIGN 5 "Ledger").
//!
//! One `intent` a message before effect: what was found, once, and what was decided, by groups of recipients with the same
//! decisions. One `outcome` after it. `start` when a process begins, `gap` where lines are missing. No address and no URL
//! stands in clear in any of them: people are subjects (keyed hashes), URLs are keyed hashes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The version of the format, in every line.
pub const VERSION: u32 = 1;

/// What a process runs with, at its start: every exception to "no proof, no pixel" is here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// The program's version.
    pub version: String,
    /// Streams that only look on, with the last day of that and who decided it.
    pub shadow: Vec<String>,
    /// Rules the operator has switched off.
    pub rules_disabled: Vec<String>,
    /// Stops that are on.
    pub stops: Vec<String>,
}

/// What was found in one message and what was decided, before anything is sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// Our id of the transaction.
    pub id: String,
    /// Our id of the session.
    pub session: String,
    /// The listener it came by.
    pub listener: String,
    /// The stream it was counted to.
    pub stream: String,
    /// In whose name it is sent.
    pub controller: String,
    /// The kind of the stream.
    pub stream_kind: String,
    /// `enforce`, or `shadow` with its terms.
    pub enforcement: String,
    /// SHA-256 of the message without its trace fields, hex.
    pub message_sha256: String,
    /// Keyed hash of its Message-ID, hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// What would load from it, each once.
    pub findings: Vec<FindingLine>,
    /// Parts that no reading sees through.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub uninspectable: Vec<BlindLine>,
    /// Parts that were not examined, counted by reason.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub out_of_scope: BTreeMap<String, usize>,
    /// Domains whose DKIM signature stands on the message; on a changed copy it no longer verifies.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub dkim: Vec<String>,
    /// Recipients with the same decisions.
    pub groups: Vec<GroupLine>,
}

/// One finding.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingLine {
    /// Number in this line, from 0.
    pub n: usize,
    /// The part, e.g. `1.2`.
    pub part: String,
    /// Line in the decoded part, from 1.
    pub line: usize,
    /// What would load it, e.g. `img`.
    pub vector: String,
    /// The host; a label that looks like a person's is hashed.
    pub host: String,
    /// Keyed hash of the URL, hex.
    pub url: String,
    /// `tracker`, `aggregate` or `individual_content`.
    pub verdict: String,
    /// Why it looks like that.
    pub evidence: Vec<String>,
    /// What stripping it means.
    pub treatment: String,
}

/// One part that could not be examined or edited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlindLine {
    /// The part.
    pub part: String,
    /// Why: one of the closed list of DESIGN 4.
    pub why: String,
}

/// Recipients about whom the same was decided.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupLine {
    /// Who, as subjects.
    pub subjects: Vec<String>,
    /// Whether the decisions act; not in a shadow.
    pub enforced: bool,
    /// What becomes of the copy: `untouched`, `changed`, `held`, `rejected`.
    pub copy: String,
    /// One for each finding, then one for each uninspectable part.
    pub decisions: Vec<DecisionLine>,
}

/// What was decided about one finding or part.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecisionLine {
    /// `kept`, `stripped`, …
    pub action: String,
    /// Why it may stay.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub basis: Option<String>,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// The record a keep rests on.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub proof: Option<String>,
}

/// How it went.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Our id of the transaction.
    pub id: String,
    /// `seq` of its intent, where one was written.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub intent: Option<u64>,
    /// One for each forward-path.
    pub fates: Vec<FateLine>,
}

/// What became of one copy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FateLine {
    /// Whose.
    pub subject: String,
    /// `taken`, `not_now`, `refused`, `unknown`, `rejected`, `held`, `not_begun`.
    pub fate: String,
    /// The reply's code.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub code: Option<u16>,
    /// Its enhanced status code.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub status: Option<String>,
}

/// Lines are missing here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Lines that could not be written; 0 where that is not known.
    pub lines: u64,
    /// What happened: `write_failed`, `torn_tail`.
    pub why: String,
}

/// The body of one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Body {
    /// A process begins.
    Start(Start),
    /// Before effect.
    Intent(Box<Intent>),
    /// After it.
    Outcome(Outcome),
    /// Lines are missing.
    Gap(Gap),
}

/// One line, but for its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// [`VERSION`].
    pub v: u32,
    /// The node that wrote it.
    pub node: String,
    /// Number of the line in this directory, from 1, without holes.
    pub seq: u64,
    /// When, UTC.
    pub at: jiff::Timestamp,
    /// Hash of the line before; 64 zeros for the first.
    pub prev: String,
    /// What it says.
    #[serde(flatten)]
    pub body: Body,
}
