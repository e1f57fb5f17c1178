//! Lines that are not about one message: what a start found switched on, what is missing, the head of another chain.
//!
//! Words, numbers and hashes, and texts of the operator's own. It must never know who reads or writes them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::LedgerError;
use super::fit::{body, hash, optional, text, words};

/// What a `start` line says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Start {
    /// Version of the program.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// What the operator had switched on.
    #[serde(flatten)]
    pub facts: StartFacts,
}

/// What the operator had switched on at a start. Every list is written, empty ones too: an auditor reads that nothing was
/// switched off, not that nobody said.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct StartFacts {
    /// Detection rules that are switched off.
    pub rules_disabled: Vec<String>,
    /// Country profiles that are loaded, by name and date.
    pub profiles: Vec<String>,
    /// Streams that only look on.
    pub shadows: Vec<StreamShadow>,
    /// `[stops] strip_all`.
    pub strip_all: bool,
    /// `[stops] hold_edits`.
    pub hold_edits: bool,
}

/// One stream that only looks on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StreamShadow {
    /// The stream.
    pub stream: String,
    /// The last day (UTC) of looking on.
    pub shadow_until: String,
    /// Who ordered it.
    pub by: String,
    /// Percent of subjects that are enforced all the same.
    pub share_percent: u8,
}

/// The end of the chain of a consent register, published so that the register cannot be rewritten unnoticed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterHead {
    /// Whose chain.
    pub controller: String,
    /// Number of its last record.
    pub n: u64,
    /// Hash of that record, hex; written as `head`, for `hash` is the line's own.
    #[serde(rename = "head")]
    pub hash: String,
}

/// What a `gap` line says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// `not_written`: lines that the disk did not take. `abandoned`: lines whose effect did not follow, because nobody
    /// waited for them any longer. `torn_tail`: what a crash left unfinished. `lost`: lines that the disk took and no
    /// longer has.
    pub cause: String,
    /// How many lines; of a torn tail at least so many.
    pub lines: u64,
    /// Since when.
    pub since: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// Numbers of lines that are there but must not be relied upon.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub seqs: Vec<u64>,
    /// The file a torn tail was cut off.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub file: Option<String>,
    /// How long it was, in octets.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub octets: Option<u64>,
    /// SHA-256 of it, hex.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sha256: Option<String>,
}

impl Start {
    pub(super) fn new(facts: &StartFacts) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            facts: facts.clone(),
        }
    }

    pub(super) fn body(&self) -> Result<String, LedgerError> {
        words("start.rules_disabled", self.facts.rules_disabled.iter())?;
        words("start.profiles", self.facts.profiles.iter())?;
        for shadow in &self.facts.shadows {
            text("start.stream", &shadow.stream)?;
            text("start.shadow_until", &shadow.shadow_until)?;
            text("start.by", &shadow.by)?;
        }
        body(self)
    }
}

impl RegisterHead {
    pub(super) fn body(&self) -> Result<String, LedgerError> {
        text("head.controller", &self.controller)?;
        hash("head.hash", &self.hash)?;
        body(self)
    }
}

impl Gap {
    pub(super) fn body(&self) -> Result<String, LedgerError> {
        optional(text, "gap.file", self.file.as_deref())?;
        body(self)
    }
}
