//! Reading back: one person's records for the operator, and the check that every standing is what its records say.
//!
//! It must never write. A sealed address that does not open is an error, not a blank.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;

use super::RegisterError;
use super::database::Reading;
use super::keys::Keys;
use super::rows;
use crate::consent::{Change, Contact, Subject, fold};

/// Everything recorded of one person.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct History {
    /// The name under which ledger and logs know the person.
    pub subject: Subject,
    /// The address as it was given; none when nothing is recorded or the person is erased.
    pub address: Option<String>,
    /// Every change, oldest receipt first.
    pub changes: Vec<Change>,
    /// Every contact record with its receipt, oldest first.
    pub contacts: Vec<(Timestamp, Contact)>,
}

/// The address stays out of logs and panics.
impl std::fmt::Debug for History {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "History({}, ..)", self.subject)
    }
}

/// What `verify` saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// How many subjects.
    pub subjects: u64,
    /// How many changes.
    pub changes: u64,
}

pub(super) fn history(
    reading: &Reading,
    keys: &Keys,
    controller: &str,
    address: &str,
) -> Result<History, RegisterError> {
    let subject = keys.subject(controller, address);
    let found: Option<(i64, Option<Vec<u8>>)> = reading
        .connection
        .query_row(
            "SELECT id, sealed_address FROM subjects WHERE subject = ?1",
            params![subject.as_bytes()],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()?;
    let Some((subject_row, sealed)) = found else {
        return Ok(History {
            subject,
            address: None,
            changes: Vec::new(),
            contacts: Vec::new(),
        });
    };
    let address = sealed
        .map(|sealed| keys.seal().unseal(controller, &subject, &sealed))
        .transpose()?;
    Ok(History {
        subject,
        address,
        changes: rows::changes(&reading.connection, subject_row)?,
        contacts: contacts(&reading.connection, subject_row)?,
    })
}

fn contacts(
    connection: &Connection,
    subject_row: i64,
) -> Result<Vec<(Timestamp, Contact)>, RegisterError> {
    let mut statement = connection.prepare_cached(
        "SELECT collected_at, informed_at, notice, informed_purposes, country, address_kind, recorded_at
         FROM contacts WHERE subject = ?1 ORDER BY n",
    )?;
    let mut rows = statement.query(params![subject_row])?;
    let mut contacts = Vec::new();
    while let Some(row) = rows.next()? {
        let moment = |column| -> Result<Option<Timestamp>, RegisterError> {
            let at: Option<i64> = row.get(column)?;
            at.map(rows::moment).transpose()
        };
        let kind: Option<String> = row.get(5)?;
        let contact = Contact {
            collected_at: moment(0)?,
            informed_at: moment(1)?,
            notice: row.get(2)?,
            informed_purposes: rows::words(&row.get::<_, String>(3)?)?,
            country: row.get(4)?,
            address_kind: kind.map(|kind| rows::word(&kind)).transpose()?,
        };
        contacts.push((rows::moment(row.get(6)?)?, contact));
    }
    Ok(contacts)
}

pub(super) fn verify(reading: &Reading) -> Result<Verified, RegisterError> {
    let connection = &reading.connection;
    let snapshot = connection.unchecked_transaction()?;
    let mut verified = Verified {
        subjects: 0,
        changes: 0,
    };
    let mut statement = connection.prepare("SELECT id, subject FROM subjects ORDER BY id")?;
    let mut subjects = statement.query([])?;
    while let Some(row) = subjects.next()? {
        let subject = Subject::from_bytes(row.get(1)?);
        let changes = rows::changes(connection, row.get(0)?)?;
        if fold(&changes) != rows::standing(connection, &subject)? {
            let problem = format!("the standing of {subject} is not what its records say");
            return Err(RegisterError::Damaged(problem));
        }
        verified.subjects += 1;
        verified.changes += changes.len() as u64;
    }
    let strangers: i64 = connection.query_row(
        "SELECT count(*) FROM standings WHERE subject NOT IN (SELECT subject FROM subjects)",
        [],
        |row| row.get(0),
    )?;
    if strangers > 0 {
        let problem = format!("{strangers} standings belong to no subject");
        return Err(RegisterError::Damaged(problem));
    }
    drop(subjects);
    drop(statement);
    snapshot.finish()?;
    Ok(verified)
}
