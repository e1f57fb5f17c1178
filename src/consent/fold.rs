//! From records to state: what one person's changes add up to, purpose by purpose.
//!
//! The highest moment wins, at the same moment the more restrictive word (DESIGN 5). Every comparison is total, so the
//! result depends on the set of records alone, never on the order in which they came. It must never know a store.
//! It cannot fail: a record that counts for nothing changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;

use super::contact::ContactFacts;
use super::form::Scope;
use super::purpose::Purpose;
use super::record::{Change, ChangeKind, Effect, ProofId};
use super::words::words;

words! {
    /// Where one person stands on one purpose, the more restrictive the later in the list.
    State, "consent state", {
        /// Proven consent.
        Granted = "granted",
        /// Collected and informed before a country's dates; a profile decides what that is worth (D8).
        LegacyInformed = "legacy_informed",
        /// Nothing is recorded.
        Unknown = "unknown",
        /// A consent past the age that the operator set.
        Expired = "expired",
        /// No.
        Refused = "refused",
        /// No longer.
        Withdrawn = "withdrawn",
        /// Objection.
        Objected = "objected",
        /// Gone.
        Erased = "erased",
    }
}

impl From<ChangeKind> for State {
    fn from(kind: ChangeKind) -> Self {
        match kind {
            ChangeKind::Granted => Self::Granted,
            ChangeKind::Refused => Self::Refused,
            ChangeKind::Withdrawn => Self::Withdrawn,
            ChangeKind::Objected => Self::Objected,
            ChangeKind::Erased => Self::Erased,
        }
    }
}

/// The record that decides one purpose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// What it says.
    pub state: State,
    /// From when it counts.
    pub at: Timestamp,
    /// Its name.
    pub proof: ProofId,
    /// Who was named to the person as learning of the opens (D19); of a grant only.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub shown: BTreeSet<String>,
    /// Whether it is part of one yes to more than the pixel (F20); not every country's law takes that for consent.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub combined: bool,
}

impl Entry {
    /// What a change that counts from `at` says of each purpose it reaches.
    pub fn of(change: &Change, at: Timestamp) -> Self {
        let granted = change.said.kind == ChangeKind::Granted;
        let form = &change.said.form;
        Self {
            state: change.said.kind.into(),
            at,
            proof: change.id,
            shown: match granted {
                true => form.controllers_shown.clone(),
                false => BTreeSet::new(),
            },
            combined: granted && form.scope == Some(Scope::CombinedPersonalised),
        }
    }
}

/// Where one person stands with one controller. Empty means unknown, which permits nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Standing {
    entries: BTreeMap<Purpose, Entry>,
    claims: BTreeSet<Purpose>,
    /// What is known of the address beside its owner's will.
    #[serde(skip_serializing_if = "ContactFacts::is_empty")]
    pub contact: ContactFacts,
}

impl Standing {
    /// Builds a standing from what an engine holds; a claim on a purpose that has an entry is dropped.
    pub fn new(
        entries: impl IntoIterator<Item = (Purpose, Entry)>,
        claims: impl IntoIterator<Item = Purpose>,
    ) -> Self {
        let entries: BTreeMap<Purpose, Entry> = entries.into_iter().collect();
        let claims = claims
            .into_iter()
            .filter(|purpose| !entries.contains_key(purpose))
            .collect();
        Self {
            entries,
            claims,
            contact: ContactFacts::default(),
        }
    }

    /// The same with what is known of the address.
    #[must_use]
    pub fn with_contact(self, contact: ContactFacts) -> Self {
        Self { contact, ..self }
    }

    /// The record that decides this purpose, if there is one.
    pub fn entry(&self, purpose: Purpose) -> Option<&Entry> {
        self.entries.get(&purpose)
    }

    /// The state of this purpose.
    pub fn state(&self, purpose: Purpose) -> State {
        self.entry(purpose)
            .map_or(State::Unknown, |entry| entry.state)
    }

    /// Whether somebody asserted consent to this purpose without proof, and nothing else is known of it.
    pub fn is_claimed(&self, purpose: Purpose) -> bool {
        self.claims.contains(&purpose)
    }

    /// Every purpose that a record decides.
    pub fn entries(&self) -> impl Iterator<Item = (Purpose, &Entry)> {
        self.entries
            .iter()
            .map(|(purpose, entry)| (*purpose, entry))
    }

    /// Every purpose that is only claimed.
    pub fn claims(&self) -> impl Iterator<Item = Purpose> {
        self.claims.iter().copied()
    }

    /// Whether nothing at all is recorded of the person's will.
    pub fn is_unknown(&self) -> bool {
        self.entries.is_empty() && self.claims.is_empty()
    }
}

/// Adds the changes of one subject up.
pub fn fold(changes: &[Change]) -> Standing {
    let mut entries: BTreeMap<Purpose, Entry> = BTreeMap::new();
    let mut claims = BTreeSet::new();
    for change in changes {
        match change.effect() {
            Effect::Void => {}
            Effect::Claim => claims.extend(change.reach()),
            Effect::From(at) => {
                let entry = Entry::of(change, at);
                for purpose in change.reach() {
                    let prevails = entries
                        .get(&purpose)
                        .is_none_or(|held| prevails(&entry, held));
                    if prevails {
                        entries.insert(purpose, entry.clone());
                    }
                }
            }
        }
    }
    Standing::new(entries, claims)
}

/// Later wins; at the same moment the more restrictive; between equals the name, so that the proof shown is always the
/// same one.
fn prevails(entry: &Entry, held: &Entry) -> bool {
    (entry.at, entry.state, held.proof) > (held.at, held.state, entry.proof)
}

#[cfg(test)]
mod tests;
