//! Adding records: change, contact, and the standing that follows, in one transaction.
//!
//! The same content about the same person is the same record: it is added once and keeps its first `recorded_at`, so that
//! an import can be run again. It must never change a record, and removes what one says only for an erasure. When
//! anything of a batch fails, nothing of it is written.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use serde::Serialize;

use super::chain::{Addition, Chains};
use super::database::Writing;
use super::erase::Erasure;
use super::keys::{Identity, KeyRing, Keys};
use super::people::{self, Person};
use super::rows::Told;
use super::{RegisterError, chain, payload, rows};
use crate::consent::record::{Effect, check_address, check_controller};
use crate::consent::{Assertion, Change, ChangeKind, Contact, ContactRecord, Form, ProofId, fold};

/// One thing to be written down about one person.
#[derive(Clone, PartialEq, Eq)]
pub struct Row {
    /// Whose consent register it concerns.
    pub controller: String,
    /// The person's address, as given.
    pub address: String,
    /// What is said.
    pub entry: RowEntry,
}

/// What a row says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(
    clippy::large_enum_variant,
    reason = "rows are changes but for a few, and live as long as one batch"
)]
pub enum RowEntry {
    /// What the person wants.
    Change(Assertion),
    /// What is known of the address.
    Contact(Contact),
}

impl Row {
    /// Whether it takes something away from whoever wants to track: what must not wait behind an import.
    pub fn is_restriction(&self) -> bool {
        match &self.entry {
            RowEntry::Change(assertion) => assertion.kind != ChangeKind::Granted,
            RowEntry::Contact(_) => false,
        }
    }
}

/// The address stays out of logs and panics.
impl std::fmt::Debug for Row {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Row({}, .., {:?})", self.controller, self.entry)
    }
}

/// What became of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Recorded {
    /// Written down.
    New,
    /// The same content was there; nothing changed.
    AlreadyThere,
    /// The person is erased and this counts from no later than that: nothing was stored (S19).
    Erased,
}

/// Writes rows down in one transaction.
pub(super) fn write_batch(
    writing: &mut Writing,
    (ring, keys): (&KeyRing, &Keys),
    batch: &[Row],
    recorded_at: Timestamp,
) -> Result<Vec<Recorded>, RegisterError> {
    let transaction = begin(writing, ring, keys)?;
    let mut pen = Pen::new(&transaction, keys, recorded_at);
    let recorded = batch
        .iter()
        .map(|row| pen.write(row))
        .collect::<Result<Vec<_>, _>>()?;
    pen.finish()?;
    transaction.commit()?;
    Ok(recorded)
}

/// Erases one person in one transaction.
pub(super) fn erase(
    writing: &mut Writing,
    (ring, keys): (&KeyRing, &Keys),
    (row, said): (&Row, &Assertion),
    recorded_at: Timestamp,
) -> Result<Erasure, RegisterError> {
    let transaction = begin(writing, ring, keys)?;
    let mut pen = Pen::new(&transaction, keys, recorded_at);
    let erasure = pen.erase(row, said)?;
    pen.finish()?;
    transaction.commit()?;
    Ok(erasure)
}

/// The write lock, with the keys that the register calls current.
pub(super) fn begin<'a>(
    writing: &'a mut Writing,
    ring: &KeyRing,
    keys: &Keys,
) -> Result<Transaction<'a>, RegisterError> {
    let transaction = writing
        .connection
        .transaction_with_behavior(TransactionBehavior::Immediate)?;
    ring.check(&transaction, keys)?;
    Ok(transaction)
}

/// What writes in one transaction.
pub(super) struct Pen<'a> {
    pub(super) connection: &'a Connection,
    pub(super) keys: &'a Keys,
    pub(super) chains: Chains<'a>,
    pub(super) recorded_at: Timestamp,
    forms: BTreeMap<Form, (i64, [u8; 32])>,
    touched: BTreeMap<i64, Touched>,
}

/// Whoever must be added up again at the end.
struct Touched {
    identity: Identity,
    controller: String,
    address: String,
    /// All that is told of them, where all of it was written in this transaction: then nothing needs to be read back.
    fresh: Option<Told>,
}

impl<'a> Pen<'a> {
    pub(super) fn new(connection: &'a Connection, keys: &'a Keys, recorded_at: Timestamp) -> Self {
        Self {
            connection,
            keys,
            chains: Chains::new(connection, keys),
            recorded_at,
            forms: BTreeMap::new(),
            touched: BTreeMap::new(),
        }
    }

    fn write(&mut self, row: &Row) -> Result<Recorded, RegisterError> {
        match &row.entry {
            RowEntry::Change(assertion) if assertion.kind == ChangeKind::Erased => {
                Ok(self.erase(row, assertion)?.recorded)
            }
            RowEntry::Change(assertion) => self.write_change(row, assertion),
            RowEntry::Contact(contact) => self.write_contact(row, contact),
        }
    }

    fn write_change(&mut self, row: &Row, said: &Assertion) -> Result<Recorded, RegisterError> {
        let identity = self.identity(row)?;
        let mut change = said
            .clone()
            .received(&identity.current(), self.recorded_at)?;
        let later = |erased_at| matches!(change.effect(), Effect::From(at) if at > erased_at);
        let place = self.place(row, &identity, said.content(), later)?;
        let (person, is_new) = match place {
            Place::Free(person, id, is_new) => {
                change.id = id;
                (person, is_new)
            }
            Place::Taken(recorded) => return Ok(recorded),
        };
        let n = self.add_change(&person, &change, None)?;
        let told = |told: &mut Told| told.changes.push((n, change));
        self.touch_with(&person, identity, row, (is_new, told));
        Ok(Recorded::New)
    }

    fn write_contact(&mut self, row: &Row, contact: &Contact) -> Result<Recorded, RegisterError> {
        let identity = self.identity(row)?;
        let content = contact.content();
        let mut record = contact
            .clone()
            .received(&identity.current(), self.recorded_at)?;
        let later = |erased_at| counts_from(&record).is_some_and(|at| at > erased_at);
        let (person, is_new) = match self.place(row, &identity, content, later)? {
            Place::Free(person, id, is_new) => {
                record.id = id;
                (person, is_new)
            }
            Place::Taken(recorded) => return Ok(recorded),
        };
        let payload = payload::of_contact(person.id, &record)?;
        let n = self.chains.add(
            person.controller,
            &Addition {
                id: record.id,
                person: Some(person.id),
                kind: payload::CONTACT,
                evidence: None,
                payload: &payload,
            },
        )?;
        let told = |told: &mut Told| told.contacts.push((n, record));
        self.touch_with(&person, identity, row, (is_new, told));
        Ok(Recorded::New)
    }

    pub(super) fn identity(&self, row: &Row) -> Result<Identity, RegisterError> {
        check_controller(&row.controller)?;
        check_address(&row.address)?;
        Ok(self.keys.identity(&row.controller, &row.address))
    }

    /// Whether this content still has its place in the chain, and the person's row, made where it is missing.
    fn place(
        &mut self,
        row: &Row,
        identity: &Identity,
        content: [u8; 32],
        later: impl FnOnce(Timestamp) -> bool,
    ) -> Result<Place, RegisterError> {
        let Some(person) = people::find(self.connection, identity)? else {
            let controller = people::controller_or_add(self.connection, &row.controller)?;
            let address = Some((row.controller.as_str(), row.address.trim()));
            let person = people::add(self.connection, self.keys, controller, identity, address)?;
            let id = chain::name(self.keys, &person.seed, &content);
            return Ok(Place::Free(person, id, true));
        };
        let id = chain::name(self.keys, &person.seed, &content);
        if self.is_there(&id)? {
            return Ok(Place::Taken(Recorded::AlreadyThere));
        }
        match person.erased_at {
            Some(erased_at) if !later(erased_at) => Ok(Place::Taken(Recorded::Erased)),
            _ => Ok(Place::Free(person, id, false)),
        }
    }

    /// Blanked records count: their content was received once and is not received again.
    pub(super) fn is_there(&self, id: &ProofId) -> Result<bool, RegisterError> {
        let found: Option<i64> = self
            .connection
            .prepare_cached("SELECT 1 FROM records WHERE id = ?1")?
            .query_row(params![id.as_bytes()], |row| row.get(0))
            .optional()?;
        Ok(found.is_some())
    }

    pub(super) fn add_change(
        &mut self,
        person: &Person,
        change: &Change,
        tombstone: Option<payload::Tombstone>,
    ) -> Result<i64, RegisterError> {
        let evidence = self.evidence(&change.said.form)?;
        let payload = payload::of_change(person.id, change, tombstone)?;
        self.chains.add(
            person.controller,
            &Addition {
                id: change.id,
                person: Some(person.id),
                kind: payload::CHANGE,
                evidence,
                payload: &payload,
            },
        )
    }

    fn evidence(&mut self, form: &Form) -> Result<Option<(i64, [u8; 32])>, RegisterError> {
        if *form == Form::default() {
            return Ok(None);
        }
        if let Some(known) = self.forms.get(form) {
            return Ok(Some(*known));
        }
        let body = payload::written(form)?;
        let sha256 = chain::sha256(body.as_bytes());
        let found: Option<i64> = self
            .connection
            .prepare_cached("SELECT id FROM evidence WHERE sha256 = ?1")?
            .query_row(params![sha256], |row| row.get(0))
            .optional()?;
        let row = match found {
            Some(row) => row,
            None => {
                self.connection
                    .prepare_cached("INSERT INTO evidence (sha256, body) VALUES (?1, ?2)")?
                    .execute(params![sha256, body])?;
                self.connection.last_insert_rowid()
            }
        };
        self.forms.insert(form.clone(), (row, sha256));
        Ok(Some((row, sha256)))
    }

    /// Of this person something was written or blanked.
    pub(super) fn touch(&mut self, person: &Person, identity: Identity, row: &Row) {
        let touched = Touched {
            identity,
            controller: row.controller.clone(),
            address: row.address.clone(),
            fresh: None,
        };
        self.touched.insert(person.id, touched);
    }

    fn touch_with(
        &mut self,
        person: &Person,
        identity: Identity,
        row: &Row,
        (is_new, tell): (bool, impl FnOnce(&mut Told)),
    ) {
        if let Some(touched) = self.touched.get_mut(&person.id) {
            if let Some(told) = &mut touched.fresh {
                tell(told);
            }
            return;
        }
        self.touch(person, identity, row);
        if is_new && let Some(touched) = self.touched.get_mut(&person.id) {
            tell(touched.fresh.insert(Told::default()));
        }
    }

    /// Adds everybody up again of whom something was written.
    pub(super) fn finish(mut self) -> Result<(), RegisterError> {
        for (id, touched) in std::mem::take(&mut self.touched) {
            let standing = |told: &Told| fold(&told.changes());
            if let Some(told) = &touched.fresh {
                rows::add_standing(self.connection, id, &standing(told))?;
                if !told.contacts.is_empty() {
                    rows::write_facts(self.connection, id, &told.facts())?;
                }
                continue;
            }
            let told = rows::told(self.connection, id)?;
            rows::write_standing(self.connection, id, &standing(&told))?;
            let person = people::by_id(self.connection, id)?;
            let facts = told.facts();
            if !(facts.is_empty() && person.contact.is_none()) {
                rows::write_facts(self.connection, id, &facts)?;
            }
            self.keep_address(&person, &touched, &told)?;
        }
        Ok(())
    }

    /// The sealed address stays as long as the person does; of the erased nothing stays but that they are (D22), until a
    /// newer grant or contact brings them back. By all records and not by the row at hand, so that the order of rows does
    /// not matter.
    fn keep_address(
        &self,
        person: &Person,
        touched: &Touched,
        told: &Told,
    ) -> Result<(), RegisterError> {
        if person.erased_at.is_some() && !told.is_back() {
            return people::forget_address(self.connection, person.id);
        }
        let current = touched.identity.generation();
        if person.sealed_address.is_some() && person.generation == current {
            return Ok(());
        }
        // The address as it was given first, where it can still be read; where not, a withdrawal is no less one, and the
        // address at hand is that of the same person.
        let address = people::address(self.keys, &touched.controller, person)
            .ok()
            .flatten()
            .unwrap_or_else(|| touched.address.trim().to_owned());
        let sealed = people::seal(
            self.keys,
            &touched.controller,
            &person.seed,
            &touched.identity.current(),
            &address,
        )?;
        people::carry(self.connection, person.id, &touched.identity, &sealed)
    }
}

/// Where a content goes.
enum Place {
    /// The person, the record's name, whether the person was made just now.
    Free(Person, ProofId, bool),
    Taken(Recorded),
}

/// The latest moment that a contact record speaks of; one without any is older than every erasure.
pub(super) fn counts_from(record: &ContactRecord) -> Option<Timestamp> {
    record.contact.collected_at.max(record.contact.informed_at)
}
