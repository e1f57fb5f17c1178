//! Reading back: one person's records for the operator, one record by its name, everybody for an export.
//!
//! It must never write. A sealed address that does not open is an error, not a blank.

use std::ops::ControlFlow;

use jiff::Timestamp;
use rusqlite::{Connection, params};
use serde::Serialize;

use super::RegisterError;
use super::keys::{Identity, Keys};
use super::payload::{self, Known, Said};
use super::people;
use super::rows::{self, Gap, Told};
use crate::consent::{Change, ContactRecord, Form, ProofId, Standing, Subject, fold};

/// Everything recorded of one person.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct History {
    /// The name under which ledger and logs know the person.
    pub subject: Subject,
    /// The address as it was given; none when nothing is recorded or the person is erased.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The moment of the latest tombstone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub erased_at: Option<Timestamp>,
    /// Every change, oldest receipt first.
    pub changes: Vec<Change>,
    /// Every contact record, oldest receipt first.
    pub contacts: Vec<ContactRecord>,
    /// Every record of which only the commitment is left.
    pub blanked: Vec<Gone>,
}

/// The address stays out of logs and panics.
impl std::fmt::Debug for History {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "History({}, ..)", self.subject)
    }
}

/// When and why a record was blanked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Blanked {
    /// When.
    pub at: Timestamp,
    /// Under which rule: `erased`, or a key of `[retention]`.
    pub rule: String,
    /// The number of the note that says so, in the same chain.
    pub by: u64,
}

/// A record of which only the commitment is left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gone {
    /// Its number in the controller's chain.
    pub n: u64,
    /// Its name, as the ledger may know it.
    pub id: ProofId,
    /// When and why.
    #[serde(flatten)]
    pub blanked: Blanked,
}

/// One record by its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProofRecord {
    /// Whose register it stands in.
    pub controller: String,
    /// Its number in that controller's chain.
    pub n: u64,
    /// Whom it is about, under the look-up key they stand under now.
    pub subject: Subject,
    /// What it says, if it is a change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<Change>,
    /// What it says, if it is a contact record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact: Option<ContactRecord>,
    /// When and why nothing of that is left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blanked: Option<Blanked>,
}

/// One living person, for an export.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Person {
    /// Whose register.
    pub controller: String,
    /// The name under which ledger and logs know the person.
    pub subject: Subject,
    /// The address as it was given.
    pub address: String,
    /// Where they stand.
    pub standing: Standing,
    /// Every change, oldest receipt first.
    pub changes: Vec<Change>,
    /// Every contact record, oldest receipt first.
    pub contacts: Vec<ContactRecord>,
}

/// The address stays out of logs and panics.
impl std::fmt::Debug for Person {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Person({}, ..)", self.subject)
    }
}

/// Inside the caller's read transaction.
pub(super) fn history(
    connection: &Connection,
    keys: &Keys,
    controller: &str,
    identity: &Identity,
) -> Result<History, RegisterError> {
    let Some(person) = people::find(connection, identity)? else {
        return Ok(History {
            subject: identity.current(),
            address: None,
            erased_at: None,
            changes: Vec::new(),
            contacts: Vec::new(),
            blanked: Vec::new(),
        });
    };
    let address = people::address(keys, controller, &person)?;
    let told = rows::told(connection, person.id)?;
    let blanked = told
        .blanked
        .iter()
        .map(|gap| gone(connection, person.controller, gap))
        .collect::<Result<_, _>>()?;
    let (changes, contacts) = apart(told);
    Ok(History {
        subject: identity.current(),
        address,
        erased_at: person.erased_at,
        changes,
        contacts,
        blanked,
    })
}

fn apart(told: Told) -> (Vec<Change>, Vec<ContactRecord>) {
    let changes = told.changes.into_iter().map(|(_, change)| change);
    let contacts = told.contacts.into_iter().map(|(_, record)| record);
    (changes.collect(), contacts.collect())
}

fn gone(connection: &Connection, controller: i64, gap: &Gap) -> Result<Gone, RegisterError> {
    Ok(Gone {
        n: gap.n.unsigned_abs(),
        id: gap.id,
        blanked: blanked(connection, controller, gap.blanked_by)?,
    })
}

fn blanked(connection: &Connection, controller: i64, by: i64) -> Result<Blanked, RegisterError> {
    let note = rows::note(connection, controller, by)?;
    Ok(Blanked {
        at: note.recorded_at,
        rule: note.rule,
        by: by.unsigned_abs(),
    })
}

pub(super) fn proof(
    connection: &Connection,
    id: &ProofId,
) -> Result<Option<ProofRecord>, RegisterError> {
    let snapshot = connection.unchecked_transaction()?;
    let mut statement = connection.prepare_cached(
        "SELECT r.controller, r.n, r.person, r.kind, r.payload, r.blanked_by, e.body
         FROM records r LEFT JOIN evidence e ON e.id = r.evidence
         WHERE r.id = ?1 AND r.kind IN ('change', 'contact')",
    )?;
    let mut found = statement.query(params![id.as_bytes()])?;
    let Some(row) = found.next()? else {
        return Ok(None);
    };
    let (controller, n): (i64, i64) = (row.get(0)?, row.get(1)?);
    let mut record = ProofRecord {
        controller: people::controller_name(connection, controller)?,
        n: n.unsigned_abs(),
        subject: people::by_id(connection, row.get(2)?)?.subject,
        change: None,
        contact: None,
        blanked: None,
    };
    if let Some(by) = row.get(5)? {
        record.blanked = Some(blanked(connection, controller, by)?);
    } else if rows::text(row, 3)? == payload::CHANGE {
        let said: Said = payload::read(rows::text(row, 4)?)?;
        let body: Option<String> = row.get(6)?;
        let form = match body {
            Some(body) => payload::read(&body)?,
            None => Form::default(),
        };
        record.change = Some(said.change(*id, form)?);
    } else {
        let known: Known = payload::read(rows::text(row, 4)?)?;
        record.contact = Some(known.record(*id)?);
    }
    drop(found);
    drop(statement);
    snapshot.finish()?;
    Ok(Some(record))
}

pub(super) fn each<B>(
    connection: &Connection,
    keys: &Keys,
    controller: Option<&str>,
    mut show: impl FnMut(Person) -> ControlFlow<B>,
) -> Result<ControlFlow<B>, RegisterError> {
    let snapshot = connection.unchecked_transaction()?;
    let only = match controller {
        Some(name) => match people::controller(connection, name)? {
            Some(id) => Some(id),
            None => return Ok(ControlFlow::Continue(())),
        },
        None => None,
    };
    let mut statement = connection.prepare(
        "SELECT s.id, c.name
         FROM subjects s JOIN controllers c ON c.id = s.controller
         WHERE s.sealed_address IS NOT NULL AND (?1 IS NULL OR s.controller = ?1) ORDER BY s.id",
    )?;
    let mut people = statement.query(params![only])?;
    while let Some(row) = people.next()? {
        let person = people::by_id(connection, row.get(0)?)?;
        let controller: String = row.get(1)?;
        let told = rows::told(connection, person.id)?;
        let standing = fold(&told.changes()).with_contact(told.facts());
        let address = people::address(keys, &controller, &person)?.unwrap_or_default();
        let (changes, contacts) = apart(told);
        let person = Person {
            controller,
            subject: person.subject,
            address,
            standing,
            changes,
            contacts,
        };
        if let ControlFlow::Break(value) = show(person) {
            return Ok(ControlFlow::Break(value));
        }
    }
    drop(people);
    drop(statement);
    snapshot.finish()?;
    Ok(ControlFlow::Continue(()))
}
