//! What a record says, as the JSON that the chain commits to.
//!
//! Each payload names its kind and whom it is about (`subjects.id`, the same through every rotation), so that a record
//! moved to another person or read as another kind does not fit. It must never hold an address. The form is not part of
//! it: it stands once in `evidence`, and the commitment takes its hash in.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::RegisterError;
use super::keys::hex;
use crate::consent::{
    Assertion, Change, ChangeKind, Contact, ContactRecord, Form, ProofId, Purpose, Subject,
};

/// A change of somebody's will, tombstones included.
pub(super) const CHANGE: &str = "change";
/// What is known of an address.
pub(super) const CONTACT: &str = "contact";
/// Which records an erasure blanked.
pub(super) const ERASURE: &str = "erasure";
/// Which records a retention period ended.
pub(super) const EXPIRY: &str = "expiry";

/// A change.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Said {
    kind: String,
    pub(super) person: i64,
    recorded_at: Timestamp,
    state: ChangeKind,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    purposes: BTreeSet<Purpose>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    supersedes: Option<ProofId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) tombstone: Option<Tombstone>,
}

/// Of whom nothing else is left: the keyed hash under which an older re-import would come back (S19).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tombstone {
    pub(super) generation: u32,
    pub(super) subject: String,
}

/// A contact record.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Known {
    kind: String,
    pub(super) person: i64,
    recorded_at: Timestamp,
    contact: Contact,
}

/// Which records went, when, under which rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Note {
    pub(super) kind: String,
    pub(super) recorded_at: Timestamp,
    /// `erased`, or the retention period by its key.
    pub(super) rule: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) days: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) person: Option<i64>,
    /// Their numbers, in order.
    pub(super) blanked: Vec<i64>,
    /// SHA-256 over their names in that order: from now on nothing else binds them.
    pub(super) names: String,
    /// SHA-256 of each defence record made (erasure) or ended (expiry), hex.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) defence: Vec<String>,
}

pub(super) fn of_change(
    person: i64,
    change: &Change,
    tombstone: Option<Tombstone>,
) -> Result<String, RegisterError> {
    let said = &change.said;
    written(&Said {
        kind: CHANGE.to_owned(),
        person,
        recorded_at: change.recorded_at,
        state: said.kind,
        purposes: said.purposes.clone(),
        at: said.at,
        supersedes: said.supersedes,
        source: said.source.clone(),
        tombstone,
    })
}

pub(super) fn tombstone(generation: u32, subject: &Subject) -> Tombstone {
    Tombstone {
        generation,
        subject: hex(subject.as_bytes().iter()),
    }
}

pub(super) fn of_contact(person: i64, record: &ContactRecord) -> Result<String, RegisterError> {
    written(&Known {
        kind: CONTACT.to_owned(),
        person,
        recorded_at: record.recorded_at,
        contact: record.contact.clone(),
    })
}

pub(super) fn written(payload: &impl Serialize) -> Result<String, RegisterError> {
    serde_json::to_string(payload).map_err(|error| RegisterError::Damaged(error.to_string()))
}

pub(super) fn read<T: DeserializeOwned>(payload: &str) -> Result<T, RegisterError> {
    serde_json::from_str(payload).map_err(|error| RegisterError::Damaged(error.to_string()))
}

impl Said {
    pub(super) fn change(self, id: ProofId, form: Form) -> Result<Change, RegisterError> {
        expect(&self.kind, CHANGE)?;
        Ok(Change {
            id,
            recorded_at: self.recorded_at,
            said: Assertion {
                purposes: self.purposes,
                at: self.at,
                form,
                supersedes: self.supersedes,
                source: self.source,
                ..Assertion::new(self.state)
            },
        })
    }
}

impl Known {
    pub(super) fn record(self, id: ProofId) -> Result<ContactRecord, RegisterError> {
        expect(&self.kind, CONTACT)?;
        Ok(ContactRecord {
            id,
            recorded_at: self.recorded_at,
            contact: self.contact,
        })
    }
}

fn expect(kind: &str, wanted: &str) -> Result<(), RegisterError> {
    if kind == wanted {
        return Ok(());
    }
    let problem = format!("a record of kind {wanted} holds the payload of another kind");
    Err(RegisterError::Damaged(problem))
}
