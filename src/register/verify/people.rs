//! Person by person: what is written beside the records is what the records add up to.
//!
//! It must never show an address; a person is named by subject.

use rusqlite::{Connection, params};

use super::super::keys::{Generations, Keys};
use super::super::people::{self, Person};
use super::super::rows::{self, Told};
use super::super::{RegisterError, chain};
use super::fault;
use crate::consent::record::Effect;
use crate::consent::{ChangeKind, fold};

/// What was seen.
pub(super) struct Seen {
    pub(super) count: u64,
    /// Records about them.
    pub(super) records: u64,
}

pub(super) fn verify(
    connection: &Connection,
    keys: &Keys,
    controllers: &[(i64, String)],
) -> Result<Seen, RegisterError> {
    let mut seen = Seen {
        count: 0,
        records: 0,
    };
    let mut standings = 0;
    let mut statement = connection.prepare("SELECT id FROM subjects ORDER BY id")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let person = people::by_id(connection, row.get(0)?)?;
        let name = controllers
            .iter()
            .find_map(|(id, name)| (*id == person.controller).then_some(name.as_str()))
            .ok_or_else(|| fault("?", 0, "a person belongs to no controller"))?;
        let check = Check {
            connection,
            keys,
            name,
            person: &person,
        };
        let told = rows::told(connection, person.id)
            .map_err(|error| check.fault(None, error.to_string()))?;
        standings += check.all(&told)?;
        seen.count += 1;
        seen.records += (told.changes.len() + told.contacts.len() + told.blanked.len()) as u64;
    }
    let all: i64 = connection.query_row("SELECT count(*) FROM standings", [], |row| row.get(0))?;
    let all = all.unsigned_abs();
    if all != standings {
        let problem = format!("{} standings belong to nobody", all.abs_diff(standings));
        return Err(fault("?", 0, problem));
    }
    Ok(seen)
}

struct Check<'a> {
    connection: &'a Connection,
    keys: &'a Keys,
    name: &'a str,
    person: &'a Person,
}

impl Check<'_> {
    fn fault(&self, n: Option<i64>, problem: impl std::fmt::Display) -> RegisterError {
        let problem = format!("{}: {problem}", self.person.subject);
        fault(self.name, n.unwrap_or(0), problem)
    }

    /// Answers with how many standings there are.
    fn all(&self, told: &Told) -> Result<u64, RegisterError> {
        self.names(told)?;
        self.one_chain()?;
        self.tombstone(told)?;
        self.address(told)?;
        let should = fold(&told.changes()).with_contact(told.facts());
        let last = told.changes.last().map(|(n, _)| *n);
        let is = rows::standing_of(
            self.connection,
            self.person.id,
            self.person.contact.as_deref(),
        )
        .map_err(|error| self.fault(last, error))?;
        if is.contact != should.contact {
            let last = told.contacts.last().map(|(n, _)| *n);
            let problem = "what is known of the address is not what the contact records say";
            return Err(self.fault(last, problem));
        }
        if is != should {
            return Err(self.fault(last, "the standing is not what the records say"));
        }
        Ok((is.entries().count() + is.claims().count()) as u64)
    }

    fn names(&self, told: &Told) -> Result<(), RegisterError> {
        let changes = told
            .changes
            .iter()
            .map(|(n, change)| (*n, change.id, change.said.content()));
        let contacts = told
            .contacts
            .iter()
            .map(|(n, record)| (*n, record.id, record.contact.content()));
        for (n, id, content) in changes.chain(contacts) {
            if chain::name(self.keys, &self.person.seed, &content) != id {
                return Err(self.fault(Some(n), "the record has another name than its content"));
            }
        }
        Ok(())
    }

    fn one_chain(&self) -> Result<(), RegisterError> {
        let elsewhere: i64 = self
            .connection
            .prepare_cached("SELECT count(*) FROM records WHERE person = ?1 AND controller <> ?2")?
            .query_row(params![self.person.id, self.person.controller], |row| {
                row.get(0)
            })?;
        match elsewhere {
            0 => Ok(()),
            _ => Err(self.fault(None, "records of the person stand in another chain")),
        }
    }

    fn tombstone(&self, told: &Told) -> Result<(), RegisterError> {
        let erasures = told.changes.iter().filter_map(|(n, change)| {
            match (change.said.kind, change.effect()) {
                (ChangeKind::Erased, Effect::From(at)) => Some((at, *n)),
                _ => None,
            }
        });
        let last = erasures.max();
        if last.map(|(at, _)| at) != self.person.erased_at {
            let n = last.map(|(_, n)| n);
            return Err(self.fault(n, "the moment of erasure is not what the records say"));
        }
        let Some((_, n)) = last else { return Ok(()) };
        let stone = told.tombstones.iter().find(|(at, _)| *at == n);
        let (_, stone) = stone.ok_or_else(|| {
            self.fault(
                Some(n),
                "the erasure does not say under which hash it holds",
            )
        })?;
        // Who came back may have been carried to another key; then the address is what is compared.
        let held = (
            stone.generation == self.person.generation,
            stone.subject == super::hex(self.person.subject.as_bytes().iter()),
        );
        if held != (true, true) && self.person.sealed_address.is_none() {
            return Err(self.fault(Some(n), "the erasure holds under another hash"));
        }
        Ok(())
    }

    fn of_its_generation(&self, address: &str) -> Result<bool, RegisterError> {
        let lookup = self.person.generation;
        let current = self.keys.generations();
        let keys = match lookup == current.lookup {
            true => None,
            false => {
                let then = Generations { lookup, ..current };
                let keys = self.keys.with_generations(then);
                Some(keys.map_err(|error| self.fault(None, error))?)
            }
        };
        let keys = keys.as_ref().unwrap_or(self.keys);
        Ok(keys.identity(self.name, address).current() == self.person.subject)
    }

    fn address(&self, told: &Told) -> Result<(), RegisterError> {
        let gone = self.person.erased_at.is_some() && !told.is_back();
        match (&self.person.sealed_address, gone) {
            (None, true) => Ok(()),
            (Some(_), true) => Err(self.fault(None, "an address of the erased is still there")),
            (None, false) => Err(self.fault(None, "a living person has no address")),
            (Some(_), false) => {
                let address = people::address(self.keys, self.name, self.person)
                    .map_err(|error| self.fault(None, error))?;
                let address = address.unwrap_or_default();
                let identity = self.keys.identity(self.name, &address);
                if !identity.all().contains(&self.person.subject) {
                    return Err(self.fault(None, "the hash is not that of the sealed address"));
                }
                // A rotation goes by the generation: a false one would have the key retired that finds this person.
                match self.of_its_generation(&address)? {
                    true => Ok(()),
                    false => Err(self.fault(None, "the hash is of another key than is said")),
                }
            }
        }
    }
}
