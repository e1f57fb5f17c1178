//! Rows to words and back: how changes and standings stand in the tables.
//!
//! It must never decide anything. A word, length or moment that does not belong there makes the whole answer
//! `Damaged`: half of a person's standing could be the half that lacks the withdrawal.

use std::collections::BTreeSet;
use std::str::FromStr;

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};

use super::RegisterError;
use crate::consent::{Assertion, Change, Entry, Form, ProofId, Purpose, Standing, State, Subject};

/// Stands in the column `state` of a standing that is only claimed.
const CLAIMED: &str = "claimed";

/// Where one subject stands, by what is written.
pub(super) fn standing(
    connection: &Connection,
    subject: &Subject,
) -> Result<Standing, RegisterError> {
    let mut statement = connection
        .prepare_cached("SELECT purpose, state, at, proof FROM standings WHERE subject = ?1")?;
    let mut rows = statement.query(params![subject.as_bytes()])?;
    let mut entries = Vec::new();
    let mut claims = Vec::new();
    while let Some(row) = rows.next()? {
        let purpose: Purpose = word(text(row, 0)?)?;
        match text(row, 1)? {
            CLAIMED => claims.push(purpose),
            state => {
                let entry = Entry {
                    state: word::<State>(state)?,
                    at: moment(row.get(2)?)?,
                    proof: ProofId::from_bytes(row.get(3)?),
                    shown: BTreeSet::new(),
                    combined: false,
                };
                entries.push((purpose, entry));
            }
        }
    }
    Ok(Standing::new(entries, claims))
}

/// Writes a standing in place of the one that was there.
pub(super) fn write_standing(
    connection: &Connection,
    subject: &Subject,
    standing: &Standing,
) -> Result<(), RegisterError> {
    connection
        .prepare_cached("DELETE FROM standings WHERE subject = ?1")?
        .execute(params![subject.as_bytes()])?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO standings (subject, purpose, state, at, proof) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for (purpose, entry) in standing.entries() {
        insert.execute(params![
            subject.as_bytes(),
            purpose.as_str(),
            entry.state.as_str(),
            entry.at.as_microsecond(),
            entry.proof.as_bytes()
        ])?;
    }
    for purpose in standing.claims() {
        insert.execute(params![
            subject.as_bytes(),
            purpose.as_str(),
            CLAIMED,
            None::<i64>,
            None::<Vec<u8>>
        ])?;
    }
    Ok(())
}

/// Every change of a subject, by the number of its row, oldest receipt first.
pub(super) fn changes(
    connection: &Connection,
    subject_row: i64,
) -> Result<Vec<Change>, RegisterError> {
    let mut statement = connection.prepare_cached(
        "SELECT id, state, purposes, at, recorded_at, channel, wording_version, wording_sha256
         FROM changes WHERE subject = ?1 ORDER BY n",
    )?;
    let mut rows = statement.query(params![subject_row])?;
    let mut changes = Vec::new();
    while let Some(row) = rows.next()? {
        changes.push(Change {
            id: ProofId::from_bytes(row.get(0)?),
            recorded_at: moment(row.get(4)?)?,
            said: Assertion {
                purposes: words(text(row, 2)?)?,
                at: row.get::<_, Option<i64>>(3)?.map(moment).transpose()?,
                form: Form {
                    channel: row.get(5)?,
                    wording_version: row.get(6)?,
                    wording_sha256: row.get(7)?,
                    ..Form::default()
                },
                ..Assertion::new(word(text(row, 1)?)?)
            },
        });
    }
    Ok(changes)
}

/// A set of words as one text.
pub(super) fn joined(purposes: &BTreeSet<Purpose>) -> String {
    let words: Vec<&str> = purposes.iter().map(|purpose| purpose.as_str()).collect();
    words.join(" ")
}

pub(super) fn words<T: FromStr + Ord>(text: &str) -> Result<BTreeSet<T>, RegisterError>
where
    T::Err: ToString,
{
    text.split_ascii_whitespace().map(word).collect()
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

fn text<'a>(row: &'a Row<'_>, column: usize) -> Result<&'a str, RegisterError> {
    row.get_ref(column)?
        .as_str()
        .map_err(|error| RegisterError::Damaged(error.to_string()))
}
