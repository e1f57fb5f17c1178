//! Rows to words and back: how records, evidence and standings stand in the tables.
//!
//! It must never decide anything. A word, length or moment that does not belong there makes the whole answer
//! `Damaged`: half of a person's standing could be the half that lacks the withdrawal.

use std::str::FromStr;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::RegisterError;
use super::keys::Identity;
use super::payload::{self, Known, Note, Said, Tombstone};
use crate::consent::{
    Change, ChangeKind, ContactFacts, ContactRecord, Entry, Form, ProofId, Purpose, Scope,
    Standing, State,
};

/// Stands in the column `state` of a standing that is only claimed.
const CLAIMED: &str = "claimed";

/// Everything in the chain about one person, in its order.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) changes: Vec<(i64, Change)>,
    pub(super) contacts: Vec<(i64, ContactRecord)>,
    pub(super) blanked: Vec<Gap>,
    /// Under which hash each erasure among the changes holds.
    pub(super) tombstones: Vec<(i64, Tombstone)>,
}

/// A record of which only the commitment is left.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gap {
    pub(super) n: i64,
    pub(super) id: ProofId,
    pub(super) blanked_by: i64,
}

impl Told {
    pub(super) fn changes(&self) -> Vec<Change> {
        self.changes
            .iter()
            .map(|(_, change)| change.clone())
            .collect()
    }

    /// Whether an erased person has come back: by a newer grant or contact; a restriction alone is none.
    pub(super) fn is_back(&self) -> bool {
        let grant = |(_, change): &(i64, Change)| change.said.kind == ChangeKind::Granted;
        !self.contacts.is_empty() || self.changes.iter().any(grant)
    }

    pub(super) fn facts(&self) -> ContactFacts {
        ContactFacts::fold(self.contacts.iter().map(|(_, record)| record))
    }
}

/// Where one person stands, by what is written.
pub(super) fn standing(
    connection: &Connection,
    identity: &Identity,
) -> Result<Standing, RegisterError> {
    let mut statement =
        connection.prepare_cached("SELECT id, contact FROM subjects WHERE subject = ?1")?;
    for subject in identity.all() {
        let found: Option<(i64, Option<String>)> = statement
            .query_row(params![subject.as_bytes()], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()?;
        if let Some((person, contact)) = found {
            return standing_of(connection, person, contact.as_deref());
        }
    }
    Ok(Standing::default())
}

/// The same by the number of the person's row.
pub(super) fn standing_of(
    connection: &Connection,
    person: i64,
    contact: Option<&str>,
) -> Result<Standing, RegisterError> {
    let mut statement = connection.prepare_cached(
        "SELECT s.purpose, s.state, s.at, s.proof, e.body
         FROM standings s LEFT JOIN evidence e ON e.id = s.evidence WHERE s.person = ?1",
    )?;
    let mut rows = statement.query(params![person])?;
    let mut entries = Vec::new();
    let mut claims = Vec::new();
    while let Some(row) = rows.next()? {
        let purpose: Purpose = word(text(row, 0)?)?;
        match text(row, 1)? {
            CLAIMED => claims.push(purpose),
            state => {
                let form = form(row, 4)?;
                let entry = Entry {
                    state: word::<State>(state)?,
                    at: moment(row.get(2)?)?,
                    proof: ProofId::from_bytes(row.get(3)?),
                    combined: form.scope == Some(Scope::CombinedPersonalised),
                    shown: form.controllers_shown,
                };
                entries.push((purpose, entry));
            }
        }
    }
    let facts = match contact {
        Some(json) => payload::read(json)?,
        None => ContactFacts::default(),
    };
    Ok(Standing::new(entries, claims).with_contact(facts))
}

/// Writes a standing in place of the one that was there.
pub(super) fn write_standing(
    connection: &Connection,
    person: i64,
    standing: &Standing,
) -> Result<(), RegisterError> {
    connection
        .prepare_cached("DELETE FROM standings WHERE person = ?1")?
        .execute(params![person])?;
    add_standing(connection, person, standing)
}

/// Writes a standing where there was none.
pub(super) fn add_standing(
    connection: &Connection,
    person: i64,
    standing: &Standing,
) -> Result<(), RegisterError> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO standings (person, purpose, state, at, proof, evidence) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for (purpose, entry) in standing.entries() {
        // Only where the form says more than the state: most look-ups then read no evidence at all.
        let evidence: Option<i64> = match entry.combined || !entry.shown.is_empty() {
            true => connection
                .prepare_cached("SELECT evidence FROM records WHERE id = ?1")?
                .query_row(params![entry.proof.as_bytes()], |row| row.get(0))?,
            false => None,
        };
        insert.execute(params![
            person,
            purpose.as_str(),
            entry.state.as_str(),
            entry.at.as_microsecond(),
            entry.proof.as_bytes(),
            evidence
        ])?;
    }
    for purpose in standing.claims() {
        insert.execute(params![
            person,
            purpose.as_str(),
            CLAIMED,
            None::<i64>,
            None::<Vec<u8>>,
            None::<i64>
        ])?;
    }
    Ok(())
}

/// Writes down what the contact records add up to.
pub(super) fn write_facts(
    connection: &Connection,
    person: i64,
    facts: &ContactFacts,
) -> Result<(), RegisterError> {
    let json = match facts.is_empty() {
        true => None,
        false => Some(payload::written(facts)?),
    };
    connection
        .prepare_cached("UPDATE subjects SET contact = ?2 WHERE id = ?1")?
        .execute(params![person, json])?;
    Ok(())
}

/// Everything in the chain about one person.
pub(super) fn told(connection: &Connection, person: i64) -> Result<Told, RegisterError> {
    let mut statement = connection.prepare_cached(
        "SELECT r.n, r.id, r.kind, r.payload, r.blanked_by, e.body
         FROM records r LEFT JOIN evidence e ON e.id = r.evidence WHERE r.person = ?1 ORDER BY r.n",
    )?;
    let mut rows = statement.query(params![person])?;
    let mut told = Told::default();
    while let Some(row) = rows.next()? {
        let (n, id) = (row.get(0)?, ProofId::from_bytes(row.get(1)?));
        if let Some(blanked_by) = row.get(4)? {
            told.blanked.push(Gap { n, id, blanked_by });
            continue;
        }
        match text(row, 2)? {
            payload::CHANGE => {
                let said: Said = payload::read(text(row, 3)?)?;
                is_about(person, said.person, n)?;
                if let Some(tombstone) = &said.tombstone {
                    told.tombstones.push((n, tombstone.clone()));
                }
                told.changes.push((n, said.change(id, form(row, 5)?)?));
            }
            payload::CONTACT => {
                let known: Known = payload::read(text(row, 3)?)?;
                is_about(person, known.person, n)?;
                told.contacts.push((n, known.record(id)?));
            }
            // Notes are about the chain.
            payload::ERASURE | payload::EXPIRY => {}
            other => {
                let problem = format!("record {n} is of kind {other:?}");
                return Err(RegisterError::Damaged(problem));
            }
        }
    }
    Ok(told)
}

fn is_about(person: i64, named: i64, n: i64) -> Result<(), RegisterError> {
    if person == named {
        return Ok(());
    }
    let problem = format!("record {n} was written about another person");
    Err(RegisterError::Damaged(problem))
}

/// The note that blanked a record.
pub(super) fn note(
    connection: &Connection,
    controller: i64,
    n: i64,
) -> Result<Note, RegisterError> {
    let payload: Option<String> = connection
        .prepare_cached("SELECT payload FROM records WHERE controller = ?1 AND n = ?2")?
        .query_row(params![controller, n], |row| row.get(0))
        .optional()?
        .flatten();
    let payload =
        payload.ok_or_else(|| RegisterError::Damaged(format!("record {n} is missing")))?;
    payload::read(&payload)
}

fn form(row: &Row<'_>, column: usize) -> Result<Form, RegisterError> {
    match row.get_ref(column)?.as_str_or_null() {
        Ok(Some(body)) => payload::read(body),
        Ok(None) => Ok(Form::default()),
        Err(error) => Err(RegisterError::Damaged(error.to_string())),
    }
}

pub(super) fn word<T: FromStr>(text: &str) -> Result<T, RegisterError>
where
    T::Err: ToString,
{
    text.parse()
        .map_err(|error: T::Err| RegisterError::Damaged(error.to_string()))
}

pub(super) fn moment(microsecond: i64) -> Result<Timestamp, RegisterError> {
    Timestamp::from_microsecond(microsecond)
        .map_err(|error| RegisterError::Damaged(error.to_string()))
}

pub(super) fn text<'a>(row: &'a Row<'_>, column: usize) -> Result<&'a str, RegisterError> {
    row.get_ref(column)?
        .as_str()
        .map_err(|error| RegisterError::Damaged(error.to_string()))
}
