//! What is written down about a person: contacts and changes, and what makes a change a proof.
//!
//! An [`Assertion`] is what somebody says; it becomes a [`Change`] by being received. With `at`, `channel`, wording
//! version, wording hash and purposes it is proven (F25, D17); with less it is a claim and permits nothing. It must
//! never know an address: only the subject. What cannot be a record at all is a [`Refusal`] that names the field.

use std::collections::BTreeSet;
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use ring::digest;
use serde::{Serialize, Serializer};
use thiserror::Error;

use super::purpose::Purpose;
use super::subject::{Subject, write_hex};
use super::words::words;

/// Longest controller name, in octets.
pub const CONTROLLER_OCTETS_MAX: usize = 128;
/// Longest channel, in octets.
pub const CHANNEL_OCTETS_MAX: usize = 64;
/// Longest wording version, in octets.
pub const WORDING_VERSION_OCTETS_MAX: usize = 128;
/// Longest address: a path of RFC 5321 4.5.3.1.3 with room for UTF-8 (RFC 6531).
pub const ADDRESS_OCTETS_MAX: usize = 320;
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

words! {
    /// Whose mailbox an address is (D25).
    AddressKind, "address kind", {
        /// One person's.
        Personal = "personal",
        /// A function's, such as `info@`.
        Role = "role",
        /// Many subscribers'.
        List = "list",
    }
}

/// What a contact record says: when an address was collected and what its owner was told (D8).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Contact {
    /// When the address was collected; missing means new.
    pub collected_at: Option<Timestamp>,
    /// When the person was informed.
    pub informed_at: Option<Timestamp>,
    /// Version of the notice.
    pub notice: Option<String>,
    /// The purposes that the notice named.
    pub informed_purposes: BTreeSet<Purpose>,
    /// ISO 3166 country of the person.
    pub country: Option<String>,
    /// Whose mailbox it is.
    pub address_kind: Option<AddressKind>,
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
        write_hex(formatter, self.0.iter())
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

/// What somebody says about one person's will, before it is received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assertion {
    /// What it does.
    pub kind: ChangeKind,
    /// To which purposes; none on a restriction means all, none on a grant makes it a claim.
    pub purposes: BTreeSet<Purpose>,
    /// When the person acted.
    pub at: Option<Timestamp>,
    /// By which way: a form, a link in a mail, the telephone.
    pub channel: Option<String>,
    /// Which wording the person saw.
    pub wording_version: Option<String>,
    /// SHA-256 of that wording.
    pub wording_sha256: Option<[u8; 32]>,
}

/// Why an assertion cannot become a record. Whoever wrote it is to blame; permanent, but for `InTheFuture`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// A grant dated later than its receipt (DESIGN 5).
    #[error("`at` is {at}, more than 5 minutes after receipt: a grant cannot come from the future")]
    InTheFuture {
        /// The date it bears.
        at: Timestamp,
    },
    /// A text that is empty, too long, or holds what it may not.
    #[error("`{field}` {problem}")]
    Text {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        problem: TextProblem,
    },
}

/// What is wrong with a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TextProblem {
    /// Empty is neither given nor left out.
    #[error("is empty: name it or leave it out")]
    Empty,
    /// Past its limit.
    #[error("is longer than {limit} octets")]
    TooLong {
        /// The limit, in octets.
        limit: usize,
    },
    /// A control character.
    #[error("holds a control character")]
    Control,
    /// It looks like an address, which stands in clear nowhere.
    #[error("holds `@`: an address may not stand in clear here")]
    AddressInClear,
}

impl Assertion {
    /// Whether it would be a proof (F25).
    pub fn is_proven(&self) -> bool {
        self.missing_for_proof().is_none()
    }

    /// The first field that is missing for it to be a proof.
    pub fn missing_for_proof(&self) -> Option<&'static str> {
        [
            ("at", self.at.is_some()),
            ("channel", self.channel.is_some()),
            ("wording_version", self.wording_version.is_some()),
            ("wording_sha256", self.wording_sha256.is_some()),
            ("purposes", !self.purposes.is_empty()),
        ]
        .into_iter()
        .find_map(|(field, present)| (!present).then_some(field))
    }

    /// Checks everything that does not depend on when it is received.
    pub fn check(&self) -> Result<(), Refusal> {
        let texts = [
            ("channel", &self.channel, CHANNEL_OCTETS_MAX),
            (
                "wording_version",
                &self.wording_version,
                WORDING_VERSION_OCTETS_MAX,
            ),
        ];
        for (field, text, limit) in texts {
            if let Some(text) = text {
                check_text(field, text, limit)?;
            }
        }
        Ok(())
    }

    /// The refusal that receipt at this moment would meet for its date: a grant, proven or claimed,
    /// that comes from the future.
    pub fn ahead_of(&self, recorded_at: Timestamp) -> Option<Refusal> {
        let recorded_at = to_microsecond(recorded_at);
        match (self.kind, self.at.map(to_microsecond)) {
            (ChangeKind::Granted, Some(at)) if is_ahead(at, recorded_at) => {
                Some(Refusal::InTheFuture { at })
            }
            _ => None,
        }
    }

    /// Receives it: from now on it is a record.
    pub fn received(self, subject: &Subject, recorded_at: Timestamp) -> Result<Change, Refusal> {
        self.check()?;
        // To the microsecond, which is what the register holds: a record read back is the record that was written.
        let recorded_at = to_microsecond(recorded_at);
        if let Some(refusal) = self.ahead_of(recorded_at) {
            return Err(refusal);
        }
        let mut change = Change {
            id: ProofId([0; 16]),
            kind: self.kind,
            purposes: self.purposes,
            at: self.at.map(to_microsecond),
            recorded_at,
            channel: self.channel,
            wording_version: self.wording_version,
            wording_sha256: self.wording_sha256,
        };
        change.id = change.name(subject);
        Ok(change)
    }
}

/// A change as it stands in the register.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Its name.
    pub id: ProofId,
    /// What it does.
    pub kind: ChangeKind,
    /// To which purposes; none on a restriction means all.
    pub purposes: BTreeSet<Purpose>,
    /// When the person acted, as asserted.
    pub at: Option<Timestamp>,
    /// When it was first received.
    pub recorded_at: Timestamp,
    /// By which way.
    pub channel: Option<String>,
    /// Which wording the person saw.
    pub wording_version: Option<String>,
    /// SHA-256 of that wording.
    #[serde(serialize_with = "optional_hex")]
    pub wording_sha256: Option<[u8; 32]>,
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
        self.at.is_some()
            && self.channel.is_some()
            && self.wording_version.is_some()
            && self.wording_sha256.is_some()
            && !self.purposes.is_empty()
    }

    /// From when it counts (DESIGN 5). A person may restrict without proving anything: a restriction always counts, from
    /// its first receipt where its date is missing or lies ahead.
    pub fn effect(&self) -> Effect {
        let ahead = self.at.is_some_and(|at| is_ahead(at, self.recorded_at));
        match (self.kind, self.at) {
            (ChangeKind::Granted, _) if !self.is_proven() => Effect::Claim,
            (ChangeKind::Granted, _) if ahead => Effect::Void,
            (_, Some(at)) if !ahead => Effect::From(at),
            _ => Effect::From(self.recorded_at),
        }
    }

    /// The purposes it reaches. Erasure and a restriction that names none reach all of them.
    pub fn reach(&self) -> Vec<Purpose> {
        match self.kind {
            ChangeKind::Erased => Purpose::ALL.to_vec(),
            _ if !self.purposes.is_empty() => self.purposes.iter().copied().collect(),
            ChangeKind::Granted => Purpose::CONSENT.to_vec(),
            ChangeKind::Refused | ChangeKind::Withdrawn | ChangeKind::Objected => {
                Purpose::ALL.to_vec()
            }
        }
    }

    /// SHA-256 over every field but `recorded_at`, each with its length before it so that no two contents run together.
    fn name(&self, subject: &Subject) -> ProofId {
        let mut context = digest::Context::new(&digest::SHA256);
        let purposes: Vec<&str> = self.purposes.iter().map(|word| word.as_str()).collect();
        let at = self.at.map(|at| at.as_microsecond().to_string());
        let fields: [Option<&[u8]>; 8] = [
            Some(b"pixelgate change 1"),
            Some(subject.as_bytes()),
            Some(self.kind.as_str().as_bytes()),
            Some(&purposes.join(" ").into_bytes()),
            at.as_deref().map(str::as_bytes),
            self.channel.as_deref().map(str::as_bytes),
            self.wording_version.as_deref().map(str::as_bytes),
            self.wording_sha256.as_ref().map(<[u8; 32]>::as_slice),
        ];
        for field in fields {
            // u64::MAX octets cannot be written, so it can stand for "left out".
            let octets = field.map_or(u64::MAX, |field| field.len() as u64);
            context.update(&octets.to_be_bytes());
            context.update(field.unwrap_or_default());
        }
        let mut id = [0; 16];
        for (octet, from) in id.iter_mut().zip(context.finish().as_ref()) {
            *octet = *from;
        }
        ProofId(id)
    }
}

/// Whether a controller's name can stand in files, ledger and subject (no NUL, see [`Subject`]).
pub fn check_controller(controller: &str) -> Result<(), Refusal> {
    check_text("controller", controller, CONTROLLER_OCTETS_MAX)
}

/// Whether this can be an address in a list. What a client puts on the wire is judged elsewhere.
pub fn check_address(address: &str) -> Result<(), AddressProblem> {
    let address = address.trim();
    if address.len() > ADDRESS_OCTETS_MAX {
        return Err(AddressProblem::TooLong);
    }
    if address.chars().any(char::is_control) {
        return Err(AddressProblem::Control);
    }
    let (local, domain) = address.rsplit_once('@').ok_or(AddressProblem::NoAt)?;
    if local.is_empty() || domain.is_empty() {
        return Err(AddressProblem::HalfEmpty);
    }
    let quoted = local.len() >= 2 && local.starts_with('"') && local.ends_with('"');
    // `Anna <anna@example.net>` and `a@x, b@y` are lists, not an address; taken as one they would name nobody.
    let strange = |text: &str| {
        text.chars()
            .any(|c| c.is_whitespace() || "<>,;".contains(c))
    };
    if strange(domain) || (!quoted && (strange(local) || local.contains('@'))) {
        return Err(AddressProblem::Strange);
    }
    Ok(())
}

/// Why a text is no address. It never quotes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AddressProblem {
    /// Past the limit.
    #[error("`address` is longer than {ADDRESS_OCTETS_MAX} octets")]
    TooLong,
    /// A control character.
    #[error("`address` holds a control character")]
    Control,
    /// No `@`.
    #[error("`address` holds no `@`")]
    NoAt,
    /// Nothing before or after the `@`.
    #[error("`address` has an empty local part or domain")]
    HalfEmpty,
    /// A display name, a list, a blank.
    #[error(
        "`address` holds a blank, comma, semicolon, angle bracket or second `@`: give one bare address"
    )]
    Strange,
}

fn check_text(field: &'static str, text: &str, limit: usize) -> Result<(), Refusal> {
    let problem = if text.trim().is_empty() {
        TextProblem::Empty
    } else if text.len() > limit {
        TextProblem::TooLong { limit }
    } else if text.chars().any(char::is_control) {
        TextProblem::Control
    } else if text.contains('@') {
        TextProblem::AddressInClear
    } else {
        return Ok(());
    };
    Err(Refusal::Text { field, problem })
}

fn is_ahead(at: Timestamp, recorded_at: Timestamp) -> bool {
    at.duration_since(recorded_at) > CLOCK_TOLERANCE
}

fn to_microsecond(at: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at)
}

fn optional_hex<S: Serializer>(value: &Option<[u8; 32]>, serializer: S) -> Result<S::Ok, S::Error> {
    struct Hex<'a>(&'a [u8; 32]);
    impl fmt::Display for Hex<'_> {
        fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            write_hex(formatter, self.0.iter())
        }
    }
    match value {
        Some(octets) => serializer.collect_str(&Hex(octets)),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests;
