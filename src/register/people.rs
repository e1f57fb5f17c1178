//! One person's row: found under every generation of the look-up key, made, carried over to the current one.
//!
//! It must never know what a record says. A person is never made twice: who stands under an older generation is found
//! there, inside the same write transaction that would add them.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::keys::{Identity, Keys, hex};
use super::{RegisterError, chain, rows};
use crate::consent::Subject;

/// A person's row.
#[derive(Debug, Clone)]
pub(super) struct Person {
    pub(super) id: i64,
    pub(super) controller: i64,
    pub(super) generation: u32,
    pub(super) subject: Subject,
    pub(super) seed: [u8; 16],
    pub(super) sealed_address: Option<Vec<u8>>,
    pub(super) contact: Option<String>,
    /// The moment of the latest tombstone.
    pub(super) erased_at: Option<Timestamp>,
}

const COLUMNS: &str =
    "id, controller, generation, subject, seed, sealed_address, contact, erased_at";

/// The person, wherever a rotation has left them.
pub(super) fn find(
    connection: &Connection,
    identity: &Identity,
) -> Result<Option<Person>, RegisterError> {
    for subject in identity.all() {
        let found = connection
            .prepare_cached(&format!(
                "SELECT {COLUMNS} FROM subjects WHERE subject = ?1"
            ))?
            .query_row(params![subject.as_bytes()], |row| Ok(read(row)))
            .optional()?;
        if let Some(person) = found {
            return person.map(Some);
        }
    }
    Ok(None)
}

/// The person of this row.
pub(super) fn by_id(connection: &Connection, id: i64) -> Result<Person, RegisterError> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM subjects WHERE id = ?1"))?
        .query_row(params![id], |row| Ok(read(row)))?
}

fn read(row: &rusqlite::Row<'_>) -> Result<Person, RegisterError> {
    Ok(Person {
        id: row.get(0)?,
        controller: row.get(1)?,
        generation: row.get(2)?,
        subject: Subject::from_bytes(row.get(3)?),
        seed: row.get(4)?,
        sealed_address: row.get(5)?,
        contact: row.get(6)?,
        erased_at: row
            .get::<_, Option<i64>>(7)?
            .map(rows::moment)
            .transpose()?,
    })
}

/// Makes the row of a person who has none; `address` with the controller's name.
pub(super) fn add(
    connection: &Connection,
    keys: &Keys,
    controller: i64,
    identity: &Identity,
    address: Option<(&str, &str)>,
) -> Result<Person, RegisterError> {
    let subject = identity.current();
    let seed = chain::seed(keys, &subject);
    let sealed_address = address
        .map(|(controller, address)| seal(keys, controller, &seed, &subject, address))
        .transpose()?;
    connection
        .prepare_cached(
            "INSERT INTO subjects (controller, generation, subject, seed, sealed_address)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            controller,
            identity.generation(),
            subject.as_bytes(),
            seed,
            sealed_address
        ])?;
    Ok(Person {
        id: connection.last_insert_rowid(),
        controller,
        generation: identity.generation(),
        subject,
        seed,
        sealed_address,
        contact: None,
        erased_at: None,
    })
}

/// The address, sealed for this row and no other: a sealed address with its subject put into another person's row does
/// not open there.
pub(super) fn seal(
    keys: &Keys,
    controller: &str,
    seed: &[u8; 16],
    subject: &Subject,
    address: &str,
) -> Result<Vec<u8>, RegisterError> {
    Ok(keys
        .seal()
        .seal(&place(controller, seed), subject, address)?)
}

/// The address as it was given; none when the person is gone.
pub(super) fn address(
    keys: &Keys,
    controller: &str,
    person: &Person,
) -> Result<Option<String>, RegisterError> {
    let place = place(controller, &person.seed);
    let sealed = person.sealed_address.as_deref();
    Ok(sealed
        .map(|sealed| keys.seal().unseal(&place, &person.subject, sealed))
        .transpose()?)
}

fn place(controller: &str, seed: &[u8; 16]) -> String {
    format!("{controller}\0{}", hex(seed.iter()))
}

/// Puts the person under the current generation, with their address.
pub(super) fn carry(
    connection: &Connection,
    id: i64,
    identity: &Identity,
    sealed_address: &[u8],
) -> Result<(), RegisterError> {
    connection
        .prepare_cached(
            "UPDATE subjects SET subject = ?2, generation = ?3, sealed_address = ?4 WHERE id = ?1",
        )?
        .execute(params![
            id,
            identity.current().as_bytes(),
            identity.generation(),
            sealed_address
        ])?;
    Ok(())
}

/// Takes the address away.
pub(super) fn forget_address(connection: &Connection, id: i64) -> Result<(), RegisterError> {
    connection
        .prepare_cached("UPDATE subjects SET sealed_address = NULL WHERE id = ?1")?
        .execute(params![id])?;
    Ok(())
}

/// The number of a controller's row.
pub(super) fn controller(
    connection: &Connection,
    name: &str,
) -> Result<Option<i64>, RegisterError> {
    Ok(connection
        .prepare_cached("SELECT id FROM controllers WHERE name = ?1")?
        .query_row(params![name], |row| row.get(0))
        .optional()?)
}

/// The name of a controller's row.
pub(super) fn controller_name(connection: &Connection, id: i64) -> Result<String, RegisterError> {
    Ok(connection
        .prepare_cached("SELECT name FROM controllers WHERE id = ?1")?
        .query_row(params![id], |row| row.get(0))?)
}

/// The same, made where it is missing.
pub(super) fn controller_or_add(connection: &Connection, name: &str) -> Result<i64, RegisterError> {
    if let Some(id) = controller(connection, name)? {
        return Ok(id);
    }
    connection
        .prepare_cached("INSERT INTO controllers (name) VALUES (?1)")?
        .execute(params![name])?;
    Ok(connection.last_insert_rowid())
}
