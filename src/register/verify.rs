//! The check that nothing was changed behind the register's back: every chain, every fold, every address, every head that
//! an auditor wrote down.
//!
//! One snapshot, read through from the first record to the last; what is held meanwhile are the blanked records whose note
//! is still to come. It must never write or repair. What does not fit is an error that names controller, number and
//! problem, never a person in clear. A chain recomputed by somebody with the chain key shows only against a head that was
//! written down elsewhere.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ring::hmac;
use rusqlite::{Connection, Row, params};
use serde::Serialize;

use super::RegisterError;
use super::chain::{self, Head};
use super::erase::{self, Victim};
use super::keys::{Keys, hex};
use super::payload::{self, Note};
use crate::consent::ProofId;

mod people;

/// Evidence whose hash was compared is not read again, up to so many.
const EVIDENCE_KNOWN_MAX: usize = 10_000;

/// What `verify` saw.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Verified {
    /// How many people, erased ones included.
    pub subjects: u64,
    /// How many records say what a person wants.
    pub changes: u64,
    /// How many records say what is known of an address.
    pub contacts: u64,
    /// Of how many records only the commitment is left.
    pub blanked: u64,
    /// How many notes say which and why.
    pub notes: u64,
    /// How many defence records open.
    pub defences: u64,
    /// The end of every chain: what an auditor writes down.
    pub heads: Vec<Head>,
}

pub(super) fn verify(
    connection: &Connection,
    keys: &Keys,
    heads: &[Head],
) -> Result<Verified, RegisterError> {
    let snapshot = connection.unchecked_transaction()?;
    let mut verified = Verified::default();
    let mut seen = Seen::default();
    let controllers = controllers(connection)?;
    for head in heads {
        if !controllers.iter().any(|(_, name)| *name == head.controller) {
            let problem = format!(
                "head {} was written down, and there is no such chain",
                head.n
            );
            return Err(fault(&head.controller, 0, problem));
        }
    }
    for (controller, name) in &controllers {
        let mut walk = Walk::new(connection, keys, (*controller, name), heads);
        walk.through(&mut verified, &mut seen)?;
    }
    let chained = verified.changes + verified.contacts + verified.blanked + verified.notes;
    let all: i64 = connection.query_row("SELECT count(*) FROM records", [], |row| row.get(0))?;
    let all = all.unsigned_abs();
    if chained != all {
        let problem = format!("{} records belong to no chain", all.abs_diff(chained));
        return Err(fault("?", 0, problem));
    }
    let people = people::verify(connection, keys, &controllers)?;
    verified.subjects = people.count;
    let said = verified.changes + verified.contacts + verified.blanked;
    if people.records != said {
        let problem = format!("{} records belong to nobody", said.abs_diff(people.records));
        return Err(fault("?", 0, problem));
    }
    verified.defences = defences(connection, keys, seen)?;
    snapshot.finish()?;
    Ok(verified)
}

fn controllers(connection: &Connection) -> Result<Vec<(i64, String)>, RegisterError> {
    let mut statement = connection.prepare("SELECT id, name FROM controllers ORDER BY name")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn fault(controller: &str, n: i64, problem: impl Into<String>) -> RegisterError {
    RegisterError::Unverified {
        controller: controller.to_owned(),
        n: n.unsigned_abs(),
        problem: problem.into(),
    }
}

/// What the notes of all chains say about defence records: digest to controller and number.
#[derive(Default)]
struct Seen {
    made: BTreeMap<String, (String, i64)>,
    ended: BTreeSet<String>,
}

/// One pass through one chain.
struct Walk<'a> {
    connection: &'a Connection,
    keys: &'a Keys,
    key: &'a hmac::Key,
    /// The number of the controller's row.
    controller: i64,
    name: &'a str,
    heads: BTreeMap<i64, Vec<&'a str>>,
    /// Blanked records by the note that is to name them.
    pending: BTreeMap<i64, Vec<Victim>>,
    evidence: HashMap<i64, [u8; 32]>,
}

impl<'a> Walk<'a> {
    fn new(
        connection: &'a Connection,
        keys: &'a Keys,
        (controller, name): (i64, &'a str),
        heads: &'a [Head],
    ) -> Self {
        let mut mine: BTreeMap<i64, Vec<&str>> = BTreeMap::new();
        for head in heads.iter().filter(|head| head.controller == name) {
            let n = i64::try_from(head.n).unwrap_or(i64::MAX);
            mine.entry(n).or_default().push(&head.hash);
        }
        Self {
            connection,
            keys,
            key: keys.chain(),
            controller,
            name,
            heads: mine,
            pending: BTreeMap::new(),
            evidence: HashMap::new(),
        }
    }

    fn fault(&self, n: i64, problem: impl Into<String>) -> RegisterError {
        fault(self.name, n, problem)
    }

    fn through(&mut self, verified: &mut Verified, seen: &mut Seen) -> Result<(), RegisterError> {
        let mut statement = self.connection.prepare(
            "SELECT n, id, person, kind, salt, payload, commitment, blanked_by, evidence, hash
             FROM records WHERE controller = ?1 ORDER BY n",
        )?;
        let mut rows = statement.query(params![self.controller])?;
        let mut previous = chain::beginning(self.key, self.name);
        let mut last = 0;
        while let Some(row) = rows.next()? {
            let n: i64 = row.get(0)?;
            if n != last + 1 {
                return Err(self.fault(last + 1, "is missing"));
            }
            let commitment = self.record(row, n, verified, seen)?;
            let hash = chain::link(self.key, &previous, n, &commitment);
            if self.get::<[u8; 32]>(row, 9, n)? != hash {
                let problem = "it, or one before it, is not the record that was written here";
                return Err(self.fault(n, problem));
            }
            let written_down = self.heads.remove(&n).unwrap_or_default();
            let digits = hex(hash.iter());
            if !written_down
                .iter()
                .all(|head| head.eq_ignore_ascii_case(&digits))
            {
                let problem = "its hash is not the one that was written down as head";
                return Err(self.fault(n, problem));
            }
            (previous, last) = (hash, n);
        }
        if let Some((n, _)) = self.heads.first_key_value() {
            let problem = format!("was written down as head, and the chain ends at {last}");
            return Err(self.fault(*n, problem));
        }
        if let Some((by, victims)) = self.pending.first_key_value() {
            let n = victims.first().map_or(0, |victim| victim.n);
            let problem = format!("is blanked by record {by}, which is not there");
            return Err(self.fault(n, problem));
        }
        if last > 0 {
            verified
                .heads
                .push(chain::head(self.name.to_owned(), last, &previous));
        }
        Ok(())
    }

    /// Checks one record by itself and answers with its commitment.
    fn record(
        &mut self,
        row: &Row<'_>,
        n: i64,
        verified: &mut Verified,
        seen: &mut Seen,
    ) -> Result<[u8; 32], RegisterError> {
        let kind: String = self.get(row, 3, n)?;
        let salt: Option<[u8; chain::SALT_OCTETS]> = self.get(row, 4, n)?;
        let payload: Option<String> = self.get(row, 5, n)?;
        let commitment: Option<[u8; 32]> = self.get(row, 6, n)?;
        let blanked_by: Option<i64> = self.get(row, 7, n)?;
        let evidence: Option<i64> = self.get(row, 8, n)?;
        match (salt, payload, commitment, blanked_by) {
            (Some(salt), Some(payload), None, None) => {
                self.count(&kind, n, verified)?;
                if matches!(kind.as_str(), payload::ERASURE | payload::EXPIRY) {
                    let id = ProofId::from_bytes(self.get(row, 1, n)?);
                    if id != chain::note_name(self.keys, self.controller, n) {
                        return Err(self.fault(n, "the note has another name than its place"));
                    }
                    self.note(n, &kind, &payload, seen)?;
                }
                let sha256 = evidence.map(|id| self.sha256(id, n)).transpose()?;
                Ok(chain::commitment(&salt, &payload, sha256.as_ref()))
            }
            (None, None, Some(commitment), Some(by)) if by > n && evidence.is_none() => {
                verified.blanked += 1;
                let id = ProofId::from_bytes(self.get(row, 1, n)?);
                let person: Option<i64> = self.get(row, 2, n)?;
                let person = person.unwrap_or_default();
                let victim = Victim {
                    n,
                    id,
                    person,
                    kind,
                };
                self.pending.entry(by).or_default().push(victim);
                Ok(commitment)
            }
            _ => Err(self.fault(n, "is neither whole nor blanked")),
        }
    }

    fn count(&self, kind: &str, n: i64, verified: &mut Verified) -> Result<(), RegisterError> {
        match kind {
            payload::CHANGE => verified.changes += 1,
            payload::CONTACT => verified.contacts += 1,
            payload::ERASURE | payload::EXPIRY => verified.notes += 1,
            other => return Err(self.fault(n, format!("is of the unknown kind {other:?}"))),
        }
        Ok(())
    }

    /// A note names exactly the records that are blanked in its name.
    fn note(
        &mut self,
        n: i64,
        kind: &str,
        payload: &str,
        seen: &mut Seen,
    ) -> Result<(), RegisterError> {
        let note: Note = payload::read(payload)
            .map_err(|error| self.fault(n, format!("cannot be read: {error}")))?;
        if note.kind != kind {
            return Err(self.fault(n, "holds the payload of another kind"));
        }
        let victims = self.pending.remove(&n).unwrap_or_default();
        let numbers: Vec<i64> = victims.iter().map(|victim| victim.n).collect();
        if numbers != note.blanked {
            let other = numbers
                .iter()
                .zip(&note.blanked)
                .find_map(|(is, said)| (is != said).then_some(is.min(said)))
                .or(numbers.get(note.blanked.len()))
                .or(note.blanked.get(numbers.len()))
                .copied();
            let problem = format!("record {n} blanks others than are blanked in its name");
            return Err(self.fault(other.unwrap_or(n), problem));
        }
        if erase::names(&victims) != note.names {
            let problem = "the records that it blanked have other names or people by now";
            return Err(self.fault(n, problem));
        }
        for digest in note.defence {
            if kind == payload::ERASURE {
                seen.made.insert(digest, (self.name.to_owned(), n));
            } else {
                seen.ended.insert(digest);
            }
        }
        Ok(())
    }

    fn sha256(&mut self, evidence: i64, n: i64) -> Result<[u8; 32], RegisterError> {
        if let Some(known) = self.evidence.get(&evidence) {
            return Ok(*known);
        }
        let (sha256, body): ([u8; 32], String) = self
            .connection
            .prepare_cached("SELECT sha256, body FROM evidence WHERE id = ?1")?
            .query_row(params![evidence], |row| Ok((row.get(0)?, row.get(1)?)))
            .map_err(|error| self.fault(n, format!("its evidence cannot be read: {error}")))?;
        if chain::sha256(body.as_bytes()) != sha256 {
            return Err(self.fault(n, "its evidence is not what it was recorded with"));
        }
        if self.evidence.len() >= EVIDENCE_KNOWN_MAX {
            self.evidence.clear();
        }
        self.evidence.insert(evidence, sha256);
        Ok(sha256)
    }

    fn get<T: rusqlite::types::FromSql>(
        &self,
        row: &Row<'_>,
        column: usize,
        n: i64,
    ) -> Result<T, RegisterError> {
        row.get(column)
            .map_err(|error| self.fault(n, format!("cannot be read: {error}")))
    }
}

/// Every defence record that a note names is there and opens; no other is.
fn defences(connection: &Connection, keys: &Keys, mut seen: Seen) -> Result<u64, RegisterError> {
    let mut statement = connection.prepare(
        "SELECT d.sealed, s.seed, d.made_at FROM defence d LEFT JOIN subjects s ON s.id = d.person",
    )?;
    let mut rows = statement.query([])?;
    let mut count = 0;
    while let Some(row) = rows.next()? {
        let sealed: Vec<u8> = row.get(0)?;
        let digest = hex(chain::sha256(&sealed).iter());
        let Some((controller, n)) = seen.made.remove(&digest) else {
            return Err(fault(
                "?",
                0,
                "a defence record is there that no erasure made",
            ));
        };
        let seed: Option<[u8; 16]> = row.get(1)?;
        let seed =
            seed.ok_or_else(|| fault(&controller, n, "its defence record belongs to nobody"))?;
        let made_at = super::rows::moment(row.get(2)?)?;
        erase::open(keys, &seed, made_at, &sealed).map_err(|error| {
            fault(
                &controller,
                n,
                format!("its defence record does not open: {error}"),
            )
        })?;
        count += 1;
    }
    let lost = seen
        .made
        .iter()
        .find(|(digest, _)| !seen.ended.contains(*digest));
    match lost {
        Some((_, (controller, n))) => Err(fault(
            controller,
            *n,
            "the defence record that it made is not there",
        )),
        None => Ok(count),
    }
}

#[cfg(test)]
mod tests;
