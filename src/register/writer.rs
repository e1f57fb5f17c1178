//! Adding records: change, contact, and the standing that follows, in one transaction.
//!
//! The same content is the same record: it is added once and keeps its first `recorded_at`, so that an import can be run
//! again. It must never change or remove a record. When anything of a batch fails, nothing of it is written.

use std::collections::BTreeMap;

use jiff::Timestamp;
use ring::digest;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use serde::Serialize;

use super::RegisterError;
use super::database::Writing;
use super::keys::Keys;
use super::rows;
use crate::consent::record::{check_address, check_controller};
use crate::consent::{Assertion, Change, Contact, ProofId, Standing, State, Subject, fold};

/// One assertion about one person.
#[derive(Clone, PartialEq, Eq)]
pub struct Row {
    /// Whose consent register it concerns.
    pub controller: String,
    /// The person's address, as given.
    pub address: String,
    /// What is said.
    pub assertion: Assertion,
}

/// The address stays out of logs and panics.
impl std::fmt::Debug for Row {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "Row({}, .., {:?})",
            self.controller, self.assertion
        )
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
}

/// Writes rows down in one transaction.
pub(super) fn write_changes(
    writing: &mut Writing,
    keys: &Keys,
    batch: &[&Row],
    recorded_at: Timestamp,
) -> Result<Vec<Recorded>, RegisterError> {
    let transaction = writing
        .connection
        .transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut recorded = Vec::with_capacity(batch.len());
    let mut touched: BTreeMap<i64, (Subject, &Row)> = BTreeMap::new();
    for row in batch {
        check_controller(&row.controller)?;
        check_address(&row.address)?;
        let subject = keys.subject(&row.controller, &row.address);
        let change = row.assertion.clone().received(&subject, recorded_at)?;
        let subject_row = subject_row(&transaction, &subject, &row.controller)?;
        let new = insert_change(&transaction, subject_row, &change)?;
        if new {
            touched.insert(subject_row, (subject, row));
        }
        recorded.push(recorded_as(new));
    }
    for (subject_row, (subject, row)) in touched {
        let standing = fold(&rows::changes(&transaction, subject_row)?);
        rows::write_standing(&transaction, &subject, &standing)?;
        keep_address(&transaction, keys, subject_row, &subject, row, &standing)?;
    }
    transaction.commit()?;
    Ok(recorded)
}

/// Writes one contact record down.
pub(super) fn write_contact(
    writing: &mut Writing,
    keys: &Keys,
    controller: &str,
    address: &str,
    contact: &Contact,
    recorded_at: Timestamp,
) -> Result<Recorded, RegisterError> {
    check_controller(controller)?;
    check_address(address)?;
    let subject = keys.subject(controller, address);
    let transaction = writing
        .connection
        .transaction_with_behavior(TransactionBehavior::Immediate)?;
    let subject_row = subject_row(&transaction, &subject, controller)?;
    let informed = rows::joined(&contact.informed_purposes);
    let inserted = transaction.execute(
        "INSERT INTO contacts (id, subject, collected_at, informed_at, notice, informed_purposes, country, address_kind,
                               recorded_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (id) DO NOTHING",
        params![
            contact_name(&subject, contact, &informed).as_bytes(),
            subject_row,
            contact.collected_at.map(Timestamp::as_microsecond),
            contact.informed_at.map(Timestamp::as_microsecond),
            contact.notice,
            informed,
            contact.country,
            contact.address_kind.map(|kind| kind.as_str()),
            recorded_at.as_microsecond(),
        ],
    )?;
    let sealed = keys.seal().seal(controller, &subject, address.trim())?;
    let standing = rows::standing(&transaction, &subject)?;
    if !is_erased(&standing) {
        set_address(&transaction, subject_row, &sealed)?;
    }
    transaction.commit()?;
    Ok(recorded_as(inserted > 0))
}

fn recorded_as(new: bool) -> Recorded {
    if new {
        Recorded::New
    } else {
        Recorded::AlreadyThere
    }
}

fn subject_row(
    connection: &Connection,
    subject: &Subject,
    controller: &str,
) -> Result<i64, RegisterError> {
    let found = connection
        .prepare_cached("SELECT id FROM subjects WHERE subject = ?1")?
        .query_row(params![subject.as_bytes()], |row| row.get(0))
        .optional()?;
    if let Some(number) = found {
        return Ok(number);
    }
    connection
        .prepare_cached("INSERT INTO subjects (subject, controller) VALUES (?1, ?2)")?
        .execute(params![subject.as_bytes(), controller])?;
    Ok(connection.last_insert_rowid())
}

fn insert_change(
    connection: &Connection,
    subject_row: i64,
    change: &Change,
) -> Result<bool, RegisterError> {
    let inserted = connection
        .prepare_cached(
            "INSERT INTO changes (id, subject, state, purposes, at, recorded_at, channel, wording_version, wording_sha256)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (id) DO NOTHING",
        )?
        .execute(params![
            change.id.as_bytes(),
            subject_row,
            change.said.kind.as_str(),
            rows::joined(&change.said.purposes),
            change.said.at.map(Timestamp::as_microsecond),
            change.recorded_at.as_microsecond(),
            change.said.form.channel,
            change.said.form.wording_version,
            change.said.form.wording_sha256,
        ])?;
    Ok(inserted > 0)
}

/// The sealed address stays as long as the person does; of the erased nothing stays but that they are (D22). By the
/// standing and not by the row at hand, so that the order of rows does not matter.
fn keep_address(
    connection: &Connection,
    keys: &Keys,
    subject_row: i64,
    subject: &Subject,
    row: &Row,
    standing: &Standing,
) -> Result<(), RegisterError> {
    if is_erased(standing) {
        connection
            .prepare_cached("UPDATE subjects SET sealed_address = NULL WHERE id = ?1")?
            .execute(params![subject_row])?;
        return Ok(());
    }
    let sealed = keys
        .seal()
        .seal(&row.controller, subject, row.address.trim())?;
    set_address(connection, subject_row, &sealed)
}

fn set_address(
    connection: &Connection,
    subject_row: i64,
    sealed: &[u8],
) -> Result<(), RegisterError> {
    connection
        .prepare_cached(
            "UPDATE subjects SET sealed_address = ?2 WHERE id = ?1 AND sealed_address IS NULL",
        )?
        .execute(params![subject_row, sealed])?;
    Ok(())
}

fn is_erased(standing: &Standing) -> bool {
    let mut entries = standing.entries().peekable();
    entries.peek().is_some() && entries.all(|(_, entry)| entry.state == State::Erased)
}

/// Like a change's name: the same content is the same record.
fn contact_name(subject: &Subject, contact: &Contact, informed: &str) -> ProofId {
    let moment = |at: Option<Timestamp>| at.map(|at| at.as_microsecond().to_string());
    let collected = moment(contact.collected_at);
    let informed_at = moment(contact.informed_at);
    let fields: [Option<&[u8]>; 8] = [
        Some(b"pixelgate contact 1"),
        Some(subject.as_bytes()),
        collected.as_deref().map(str::as_bytes),
        informed_at.as_deref().map(str::as_bytes),
        contact.notice.as_deref().map(str::as_bytes),
        Some(informed.as_bytes()),
        contact.country.as_deref().map(str::as_bytes),
        contact.address_kind.map(|kind| kind.as_str().as_bytes()),
    ];
    let mut context = digest::Context::new(&digest::SHA256);
    for field in fields {
        let octets = field.map_or(u64::MAX, |field| field.len() as u64);
        context.update(&octets.to_be_bytes());
        context.update(field.unwrap_or_default());
    }
    let mut id = [0; 16];
    for (octet, from) in id.iter_mut().zip(context.finish().as_ref()) {
        *octet = *from;
    }
    ProofId::from_bytes(id)
}
