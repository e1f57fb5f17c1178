//! What the register knows of rows already, without writing: for a dry run, and to compare a list with it.
//!
//! It must answer what writing would answer. It never writes; an answer that cannot be read is an error.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use crate::consent::record::Effect;
use crate::consent::{ProofId, Standing};
use crate::register::{
    Recorded, Register, RegisterError, Row, RowEntry, chain, people, rows, writer,
};

fn is_there(connection: &Connection, id: &ProofId) -> Result<bool, RegisterError> {
    let found: Option<i64> = connection
        .prepare_cached("SELECT 1 FROM records WHERE id = ?1")?
        .query_row(params![id.as_bytes()], |row| row.get(0))
        .optional()?;
    Ok(found.is_some())
}

impl Register {
    /// What [`Register::write_batch`] would answer for each row, if it stood alone.
    pub(super) fn would_record(
        &self,
        batch: &[Row],
        received_at: Timestamp,
    ) -> Result<Vec<Recorded>, RegisterError> {
        let reading = self.database.open_for_reading()?;
        let keys = self.keys();
        let snapshot = reading.connection.unchecked_transaction()?;
        let mut recorded = Vec::with_capacity(batch.len());
        for row in batch {
            let identity = keys.identity(&row.controller, &row.address);
            let Some(person) = people::find(&snapshot, &identity)? else {
                recorded.push(Recorded::New);
                continue;
            };
            let (content, counts) = match &row.entry {
                RowEntry::Change(said) => {
                    let change = said.clone().received(&identity.current(), received_at)?;
                    let counts = match change.effect() {
                        Effect::From(at) => Some(at),
                        Effect::Claim | Effect::Void => None,
                    };
                    (said.content(), counts)
                }
                RowEntry::Contact(contact) => {
                    let record = contact.clone().received(&identity.current(), received_at)?;
                    (contact.content(), writer::counts_from(&record))
                }
            };
            let id = chain::name(&keys, &person.seed, &content);
            recorded.push(if is_there(&snapshot, &id)? {
                Recorded::AlreadyThere
            } else if person
                .erased_at
                .is_some_and(|erased| counts.is_none_or(|at| at <= erased))
            {
                Recorded::Erased
            } else {
                Recorded::New
            });
        }
        snapshot.finish()?;
        Ok(recorded)
    }

    /// Where these people stand, the erased among them, at one moment.
    pub(in crate::register) fn standings(
        &self,
        people: &[(String, String)],
    ) -> Result<Vec<Standing>, RegisterError> {
        let reading = self.database.open_for_reading()?;
        let keys = self.keys();
        let snapshot = reading.connection.unchecked_transaction()?;
        let standings = people
            .iter()
            .map(|(controller, address)| {
                rows::standing(&snapshot, &keys.identity(controller, address))
            })
            .collect::<Result<_, _>>()?;
        snapshot.finish()?;
        Ok(standings)
    }
}
