//! What is written down about a person: contacts and changes, and what makes a change a proof.
//!
//! An [`Assertion`] is what somebody says; it becomes a [`Change`] by being received. With `at`, `channel`, wording
//! version, wording hash and purposes it is proven (F25, D17); with less it is a claim and permits nothing. It must
//! never know an address: only the subject. What cannot be a record at all is a [`Refusal`] that names the field.

use std::collections::BTreeSet;
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use ring::digest;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::form::{Form, Scope};
use super::hex;
use super::purpose::Purpose;
use super::subject::Subject;
use super::text::check_text;
pub use super::text::{
    ADDRESS_OCTETS_MAX, AddressProblem, CONTROLLER_OCTETS_MAX, Refusal, TextProblem, check_address,
    check_controller,
};
use super::words::words;

/// Longest note of where a record came from, in octets.
pub const SOURCE_OCTETS_MAX: usize = 128;
/// The purposes that one combined yes may reach; never profiles outside mail, never fraud (law.md Q4).
const COMBINED: [Purpose; 2] = [Purpose::CampaignPerformance, Purpose::Personalisation];

/// How far the clock of whoever dates a change may be ahead of ours.
pub const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_mins(5);

words! {
    /// What a change does.
    ChangeKind, "state", {
        /// Consent to the purposes it names.
        Granted = "granted",
        /// No, to the purposes it names or to all.
        Refused = "refused",
        /// Consent taken back.
        Withdrawn = "withdrawn",
        /// Objection to a processing that needed no consent.
        Objected = "objected",
        /// The person's record is gone; what stays is that it is (D22).
        Erased = "erased",
    }
}

/// Name of a record: a hash of whose it is and what it says, so that the same content is the same record wherever and
/// whenever it arrives. It is what the ledger names as proof.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProofId([u8; 16]);

impl ProofId {
    /// A name read back from the register.
    pub fn from_bytes(octets: [u8; 16]) -> Self {
        Self(octets)
    }

    /// Its octets, for the register.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for ProofId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex::write(formatter, self.0.iter())
    }
}

impl fmt::Debug for ProofId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Serialize for ProofId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ProofId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let digits = String::deserialize(deserializer)?;
        hex::read(&digits)
            .map(Self)
            .ok_or_else(|| serde::de::Error::custom("not the 32 hex digits of a record's name"))
    }
}

impl std::str::FromStr for ProofId {
    type Err = TextProblem;

    fn from_str(digits: &str) -> Result<Self, TextProblem> {
        hex::read(digits).map(Self).ok_or(TextProblem::NotHex)
    }
}

/// What somebody says about one person's will, before it is received.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Assertion {
    /// What it does.
    #[serde(rename = "state")]
    pub kind: ChangeKind,
    /// To which purposes; none on a restriction means all, none on a grant makes it a claim.
    pub purposes: BTreeSet<Purpose>,
    /// When the person acted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// By which form.
    #[serde(flatten)]
    pub form: Form,
    /// The record that this one takes the place of, as whoever wrote it says; it decides nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub supersedes: Option<ProofId>,
    /// Where it came from, e.g. an import and its row. Not part of what it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

impl Assertion {
    /// One that says nothing but this.
    pub fn new(kind: ChangeKind) -> Self {
        Self {
            kind,
            purposes: BTreeSet::new(),
            at: None,
            form: Form::default(),
            supersedes: None,
            source: None,
        }
    }

    /// Whether it would be a proof (F25).
    pub fn is_proven(&self) -> bool {
        self.missing_for_proof().is_none()
    }

    /// The first field that is missing for it to be a proof.
    pub fn missing_for_proof(&self) -> Option<&'static str> {
        [
            ("at", self.at.is_some()),
            ("channel", self.form.channel.is_some()),
            ("wording_version", self.form.wording_version.is_some()),
            ("wording_sha256", self.form.wording_sha256.is_some()),
            ("purposes", !self.purposes.is_empty()),
        ]
        .into_iter()
        .find_map(|(field, present)| (!present).then_some(field))
    }

    /// Checks everything that does not depend on when it is received.
    ///
    /// # Errors
    /// Names the first field that cannot stand in a record.
    pub fn check(&self) -> Result<(), Refusal> {
        self.form.check()?;
        match &self.source {
            Some(source) => check_text("source", source, SOURCE_OCTETS_MAX),
            None => Ok(()),
        }
    }

    /// The refusal that receipt at this moment would meet for its date: a grant, proven or claimed,
    /// that comes from the future.
    pub fn ahead_of(&self, recorded_at: Timestamp) -> Option<Refusal> {
        let recorded_at = to_microsecond(recorded_at);
        match (self.kind, self.at.map(to_microsecond)) {
            (ChangeKind::Granted, Some(at)) if is_ahead(at, recorded_at) => {
                Some(Refusal::InTheFuture { field: "at", at })
            }
            _ => None,
        }
    }

    /// Hash of what it says, whoever it is about: the same content about the same person is the same record.
    pub fn content(&self) -> [u8; 32] {
        let purposes: Vec<&str> = self.purposes.iter().map(|word| word.as_str()).collect();
        let at = self.at.map(|at| to_microsecond(at).as_microsecond());
        let mut fields = vec![
            ("state", Some(self.kind.as_str().as_bytes().to_vec())),
            ("purposes", Some(purposes.join(" ").into_bytes())),
            ("at", at.map(|at| at.to_string().into_bytes())),
            (
                "supersedes",
                self.supersedes.map(|id| id.as_bytes().to_vec()),
            ),
        ];
        fields.extend(self.form.fields());
        content_of("pixelgate change 2", &fields)
    }

    /// Receives it: from now on it is a record.
    ///
    /// # Errors
    /// When it cannot be one.
    pub fn received(self, subject: &Subject, recorded_at: Timestamp) -> Result<Change, Refusal> {
        self.check()?;
        // To the microsecond, which is what the register holds: a record read back is the record that was written.
        let recorded_at = to_microsecond(recorded_at);
        if let Some(refusal) = self.ahead_of(recorded_at) {
            return Err(refusal);
        }
        let said = Self {
            at: self.at.map(to_microsecond),
            ..self
        };
        Ok(Change {
            id: name_of(subject, &said.content()),
            recorded_at,
            said,
        })
    }
}

/// A change as it stands in the register.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Its name.
    pub id: ProofId,
    /// When it was first received.
    pub recorded_at: Timestamp,
    /// What it says.
    #[serde(flatten)]
    pub said: Assertion,
}

/// From when a change counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It changes the state as of this moment.
    From(Timestamp),
    /// A grant without proof: it changes no state.
    Claim,
    /// A grant from the future that got into the store all the same: it counts for nothing.
    Void,
}

impl Change {
    /// Whether it has all that makes a proof.
    pub fn is_proven(&self) -> bool {
        self.said.is_proven()
    }

    /// From when it counts (DESIGN 5). A grant counts from its receipt at the latest: dated by a clock that is four minutes
    /// ahead it would stand above the withdrawal that comes a minute after it, for ever. A person may restrict without proving anything: a restriction always counts, from
    /// its first receipt where its date is missing or lies ahead.
    pub fn effect(&self) -> Effect {
        let at = self.said.at;
        let ahead = at.is_some_and(|at| is_ahead(at, self.recorded_at));
        match (self.said.kind, at) {
            (ChangeKind::Granted, _) if !self.is_proven() => Effect::Claim,
            (ChangeKind::Granted, _) if ahead => Effect::Void,
            (ChangeKind::Granted, Some(at)) => Effect::From(at.min(self.recorded_at)),
            (_, Some(at)) if !ahead => Effect::From(at),
            _ => Effect::From(self.recorded_at),
        }
    }

    /// The purposes it reaches. Erasure and a restriction that names none reach all of them; a combined yes reaches no
    /// further than what it may be combined with.
    pub fn reach(&self) -> Vec<Purpose> {
        let named = || self.said.purposes.iter().copied();
        match self.said.kind {
            ChangeKind::Erased => Purpose::ALL.to_vec(),
            ChangeKind::Granted if self.said.form.scope == Some(Scope::CombinedPersonalised) => {
                named()
                    .filter(|purpose| COMBINED.contains(purpose))
                    .collect()
            }
            _ if !self.said.purposes.is_empty() => named().collect(),
            ChangeKind::Granted => Purpose::CONSENT.to_vec(),
            ChangeKind::Refused | ChangeKind::Withdrawn | ChangeKind::Objected => {
                Purpose::ALL.to_vec()
            }
        }
    }
}

/// SHA-256 over named fields, each with its length before it so that no two contents run together.
pub(super) fn content_of(what: &str, fields: &[(&'static str, Option<Vec<u8>>)]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    let mut add = |octets: Option<&[u8]>| {
        // u64::MAX octets cannot be written, so it can stand for "left out".
        let length = octets.map_or(u64::MAX, |octets| octets.len() as u64);
        context.update(&length.to_be_bytes());
        context.update(octets.unwrap_or_default());
    };
    add(Some(what.as_bytes()));
    for (name, value) in fields {
        add(Some(name.as_bytes()));
        add(value.as_deref());
    }
    let mut content = [0; 32];
    for (octet, from) in content.iter_mut().zip(context.finish().as_ref()) {
        *octet = *from;
    }
    content
}

/// The name of a record: whose it is and what it says.
pub(super) fn name_of(subject: &Subject, content: &[u8; 32]) -> ProofId {
    let fields = [
        ("subject", Some(subject.as_bytes().to_vec())),
        ("content", Some(content.to_vec())),
    ];
    let [name @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] =
        content_of("pixelgate record 2", &fields);
    ProofId(name)
}

pub(super) fn is_ahead(at: Timestamp, recorded_at: Timestamp) -> bool {
    at.duration_since(recorded_at) > CLOCK_TOLERANCE
}

pub(super) fn to_microsecond(at: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at)
}

#[cfg(test)]
mod tests;
