//! What the register says of one person: where they stand now, and the records that decisions rest on.
//!
//! It shows records of that person only; a name that is nobody's record here, or somebody else's, is said to be unknown.
//! What was blanked is shown as such. Sealed defence records are opened only where that was asked for.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::messages::Message;
use crate::consent::record::Effect;
use crate::consent::{Change, ChangeKind, ContactRecord, Purpose, Standing};
use crate::register::{Blanked, Register, RegisterError};

/// One person as one controller knows them.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Person {
    pub(super) controller: String,
    /// Where they stand now.
    pub(super) standing: Standing,
    /// Since when the person is erased.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) erased_at: Option<Timestamp>,
    /// Whether something of an erased person is kept sealed and was not opened.
    pub(super) sealed: bool,
    /// Their records by name; only those that a message shown rests on.
    pub(super) records: BTreeMap<String, Record>,
    #[serde(skip)]
    restrictions: Vec<Change>,
}

/// One record.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Record {
    /// A change of the person's will.
    Change(Box<Change>),
    /// What is known of the address.
    Contact(Box<ContactRecord>),
    /// Only its commitment is left.
    Blanked(Blanked),
    /// It was blanked; this is what was kept sealed of it.
    Defence {
        /// When it was sealed.
        sealed_at: Timestamp,
        /// What it says.
        record: Box<Record>,
    },
    /// No record of this person in this register.
    Unknown,
}

/// What the person said after something was kept.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Later {
    pub(super) state: String,
    pub(super) at: Timestamp,
}

impl Person {
    /// Somebody of whom nothing is recorded.
    #[cfg(test)]
    pub(super) fn nobody(controller: &str) -> Self {
        Self {
            controller: controller.to_owned(),
            standing: Standing::default(),
            erased_at: None,
            sealed: false,
            records: BTreeMap::new(),
            restrictions: Vec::new(),
        }
    }

    pub(super) fn of(
        register: &Register,
        controller: &str,
        address: &str,
        open: bool,
    ) -> Result<Self, RegisterError> {
        let history = register.history(controller, address)?;
        let mut records = BTreeMap::new();
        for gone in history.blanked {
            records.insert(gone.id.to_string(), Record::Blanked(gone.blanked));
        }
        let defence = register.defence(controller, address)?;
        let sealed = !defence.is_empty() && !open;
        for kept in defence.into_iter().filter(|_| open) {
            let changes = kept
                .changes
                .into_iter()
                .map(|change| (change.id, Record::Change(Box::new(change))));
            let contacts = kept
                .contacts
                .into_iter()
                .map(|contact| (contact.id, Record::Contact(Box::new(contact))));
            for (id, record) in changes.chain(contacts) {
                let record = Record::Defence {
                    sealed_at: kept.made_at,
                    record: Box::new(record),
                };
                records.insert(id.to_string(), record);
            }
        }
        let restrictions = history
            .changes
            .iter()
            .filter(|change| change.said.kind != ChangeKind::Granted);
        let restrictions = restrictions.cloned().collect();
        for change in history.changes {
            records.insert(change.id.to_string(), Record::Change(Box::new(change)));
        }
        for contact in history.contacts {
            records.insert(contact.id.to_string(), Record::Contact(Box::new(contact)));
        }
        Ok(Self {
            controller: controller.to_owned(),
            standing: register.get(controller, address)?,
            erased_at: history.erased_at,
            sealed,
            records,
            restrictions,
        })
    }

    /// The first restriction that counts from after a moment, about something that was kept then.
    pub(super) fn later(
        &self,
        kept_at: Timestamp,
        action: &str,
        purposes: &[String],
    ) -> Option<Later> {
        if !matches!(action, "kept" | "reduced" | "counted") {
            return None;
        }
        let touches = |purpose: &Purpose| {
            purposes.is_empty() || purposes.iter().any(|word| word == purpose.as_str())
        };
        let later = self
            .restrictions
            .iter()
            .filter_map(|change| match change.effect() {
                Effect::From(at) if at > kept_at && change.reach().iter().any(touches) => {
                    Some(Later {
                        state: change.said.kind.to_string(),
                        at,
                    })
                }
                _ => None,
            });
        later.min_by_key(|later| later.at)
    }

    /// Forgets every record that no message shown rests on, and notes those that are nobody's here.
    pub(super) fn keep_mentioned(&mut self, messages: &[Message]) {
        let own = messages
            .iter()
            .filter(|message| message.controller == self.controller);
        let mut mentioned = BTreeMap::new();
        for id in own.flat_map(Message::records) {
            if !mentioned.contains_key(id) {
                let record = self.records.remove(id).unwrap_or(Record::Unknown);
                mentioned.insert(id.clone(), record);
            }
        }
        self.records = mentioned;
    }
}
