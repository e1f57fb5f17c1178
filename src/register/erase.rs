//! Erasure (D22): a tombstone, every older record of the person blanked, what they would have to answer for sealed away.
//!
//! All of it in one write transaction. The chain keeps number, commitment and hash of what was blanked, and a note that
//! says which, when and under which rule. The proof that past keeps rested on goes into a defence record under a key of
//! its own. It must never leave an address, nor lift a restriction that is newer than the erasure.

use jiff::Timestamp;
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

use super::RegisterError;
use super::chain::{self, Addition};
use super::keys::{Identity, Keys, hex};
use super::payload::{self, Known, Note, Said};
use super::people::{self, Person};
use super::rows::{self, Told};
use super::writer::{Pen, Recorded, Row, counts_from};
use crate::consent::record::Effect;
use crate::consent::{Assertion, Change, ChangeKind, ContactRecord, Form, ProofId};

/// The rule that an erasure's note names.
pub(super) const RULE: &str = "erased";

/// What an erasure did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Erasure {
    /// Whether it was written, or the person was erased already.
    pub recorded: Recorded,
    /// The name of the tombstone.
    pub tombstone: ProofId,
    /// How many records were blanked.
    pub blanked: u64,
    /// How many of them were sealed away as defence.
    pub defended: u64,
}

/// What is kept of an erased person's records, to answer for what rested on them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Defence {
    /// When it was made: its period runs from here.
    pub made_at: Timestamp,
    /// Every grant with proof.
    pub changes: Vec<Change>,
    /// Every contact record by which the person was informed.
    pub contacts: Vec<ContactRecord>,
}

/// A record that is blanked, or is about to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Victim {
    pub(super) n: i64,
    pub(super) id: ProofId,
    pub(super) person: i64,
    pub(super) kind: String,
}

/// One record as it is sealed: its payload, as the chain had committed to it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    id: ProofId,
    kind: String,
    payload: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    form: Option<Form>,
}

impl Pen<'_> {
    pub(super) fn erase(&mut self, row: &Row, said: &Assertion) -> Result<Erasure, RegisterError> {
        let identity = self.identity(row)?;
        let mut change = said
            .clone()
            .received(&identity.current(), self.recorded_at)?;
        let person = match people::find(self.connection, &identity)? {
            Some(person) => person,
            // Nothing is known of them; the tombstone holds against whatever is imported later.
            None => {
                let controller = people::controller_or_add(self.connection, &row.controller)?;
                people::add(self.connection, self.keys, controller, &identity, None)?
            }
        };
        change.id = chain::name(self.keys, &person.seed, &said.content());
        let at = match change.effect() {
            Effect::From(at) => at,
            Effect::Claim | Effect::Void => change.recorded_at,
        };
        let already = |recorded| Erasure {
            recorded,
            tombstone: change.id,
            blanked: 0,
            defended: 0,
        };
        if self.is_there(&change.id)? {
            return Ok(already(Recorded::AlreadyThere));
        }
        if person.erased_at.is_some_and(|erased_at| erased_at >= at) {
            return Ok(already(Recorded::Erased));
        }
        let erasure = self.bury(&person, &change, at)?;
        self.touch(&person, identity, row);
        Ok(erasure)
    }

    fn bury(
        &mut self,
        person: &Person,
        change: &Change,
        at: Timestamp,
    ) -> Result<Erasure, RegisterError> {
        let told = rows::told(self.connection, person.id)?;
        let victims = victims(person.id, &told, at);
        let defence = self.defend(person, &told, at)?;
        let tombstone = payload::tombstone(person.generation, &person.subject);
        let defended = defence.as_ref().map_or(0, |(count, _)| *count);
        self.add_change(person, change, Some(tombstone))?;
        if !victims.is_empty() {
            let note = Note {
                kind: payload::ERASURE.to_owned(),
                recorded_at: change.recorded_at,
                rule: RULE.to_owned(),
                days: None,
                person: Some(person.id),
                blanked: Vec::new(),
                names: String::new(),
                defence: defence.into_iter().map(|(_, sha256)| sha256).collect(),
            };
            self.blank(person.controller, note, &victims)?;
        }
        self.connection
            .prepare_cached("UPDATE subjects SET erased_at = ?2 WHERE id = ?1")?
            .execute(params![person.id, at.as_microsecond()])?;
        Ok(Erasure {
            recorded: Recorded::New,
            tombstone: change.id,
            blanked: victims.len() as u64,
            defended,
        })
    }

    /// Takes what these records say out of the chain and adds the note that says so.
    pub(super) fn blank(
        &mut self,
        controller: i64,
        mut note: Note,
        victims: &[Victim],
    ) -> Result<(), RegisterError> {
        note.blanked = victims.iter().map(|victim| victim.n).collect();
        note.names = names(victims);
        let n = self.chains.next(controller)?;
        let payload = payload::written(&note)?;
        let kind = match note.kind.as_str() {
            payload::ERASURE => payload::ERASURE,
            _ => payload::EXPIRY,
        };
        self.chains.add(
            controller,
            &Addition {
                id: chain::note_name(self.keys, controller, n),
                person: note.person,
                kind,
                evidence: None,
                payload: &payload,
            },
        )?;
        for victim in victims {
            blank_one(self.connection, controller, victim.n, n)?;
        }
        Ok(())
    }

    fn defend(
        &self,
        person: &Person,
        told: &Told,
        at: Timestamp,
    ) -> Result<Option<(u64, String)>, RegisterError> {
        let mut kept = Vec::new();
        for (_, change) in &told.changes {
            let proven = change.said.kind == ChangeKind::Granted
                && matches!(change.effect(), Effect::From(from) if from <= at);
            if proven {
                kept.push(Kept {
                    id: change.id,
                    kind: payload::CHANGE.to_owned(),
                    payload: payload::of_change(person.id, change, None)?,
                    form: Some(change.said.form.clone()),
                });
            }
        }
        for (_, record) in &told.contacts {
            if record.contact.informed_at.is_some() && is_over(record, at) {
                kept.push(Kept {
                    id: record.id,
                    kind: payload::CONTACT.to_owned(),
                    payload: payload::of_contact(person.id, record)?,
                    form: None,
                });
            }
        }
        if kept.is_empty() {
            return Ok(None);
        }
        let json = payload::written(&kept)?;
        let sealed = self
            .keys
            .defence()
            .seal_bound(&[person.seed.as_slice()], json.as_bytes())?;
        self.connection.execute(
            "INSERT INTO defence (person, made_at, sealed) VALUES (?1, ?2, ?3)",
            params![person.id, self.recorded_at.as_microsecond(), sealed],
        )?;
        let sha256 = hex(chain::sha256(&sealed).iter());
        Ok(Some((kept.len() as u64, sha256)))
    }
}

/// What an erasure at this moment reaches: everything about the person that does not count from later.
fn victims(person: i64, told: &Told, at: Timestamp) -> Vec<Victim> {
    let victim = |n: i64, id: ProofId, kind: &str| Victim {
        n,
        id,
        person,
        kind: kind.to_owned(),
    };
    let mut victims: Vec<_> = told
        .changes
        .iter()
        .filter(|(_, change)| !matches!(change.effect(), Effect::From(from) if from > at))
        .map(|(n, change)| victim(*n, change.id, payload::CHANGE))
        .collect();
    let contacts = told
        .contacts
        .iter()
        .filter(|(_, record)| is_over(record, at));
    victims.extend(contacts.map(|(n, record)| victim(*n, record.id, payload::CONTACT)));
    victims.sort_unstable_by_key(|victim| victim.n);
    victims
}

fn is_over(record: &ContactRecord, at: Timestamp) -> bool {
    counts_from(record).is_none_or(|from| from <= at)
}

fn blank_one(
    connection: &Connection,
    controller: i64,
    n: i64,
    by: i64,
) -> Result<(), RegisterError> {
    let (salt, payload, sha256): (Vec<u8>, String, Option<[u8; 32]>) = connection
        .prepare_cached(
            "SELECT r.salt, r.payload, e.sha256 FROM records r LEFT JOIN evidence e ON e.id = r.evidence
             WHERE r.controller = ?1 AND r.n = ?2",
        )?
        .query_row(params![controller, n], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
    let commitment = chain::commitment(&salt, &payload, sha256.as_ref());
    connection
        .prepare_cached(
            "UPDATE records SET salt = NULL, payload = NULL, evidence = NULL, commitment = ?3, blanked_by = ?4
             WHERE controller = ?1 AND n = ?2",
        )?
        .execute(params![controller, n, commitment, by])?;
    Ok(())
}

/// SHA-256 over names, people and kinds in the order of their numbers, hex: nothing else binds them once the payload is
/// gone.
pub(super) fn names(victims: &[Victim]) -> String {
    let mut octets = Vec::new();
    for victim in victims {
        octets.extend_from_slice(victim.id.as_bytes());
        octets.extend_from_slice(&victim.person.to_be_bytes());
        octets.extend_from_slice(victim.kind.as_bytes());
        octets.push(0);
    }
    hex(chain::sha256(&octets).iter())
}

/// What was sealed away of one person.
pub(super) fn defence(
    connection: &Connection,
    keys: &Keys,
    identity: &Identity,
) -> Result<Vec<Defence>, RegisterError> {
    let Some(person) = people::find(connection, identity)? else {
        return Ok(Vec::new());
    };
    let mut statement =
        connection.prepare("SELECT made_at, sealed FROM defence WHERE person = ?1 ORDER BY id")?;
    let mut rows = statement.query(params![person.id])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        let sealed: Vec<u8> = row.get(1)?;
        all.push(open(
            keys,
            &person.seed,
            rows::moment(row.get(0)?)?,
            &sealed,
        )?);
    }
    Ok(all)
}

pub(super) fn open(
    keys: &Keys,
    seed: &[u8; 16],
    made_at: Timestamp,
    sealed: &[u8],
) -> Result<Defence, RegisterError> {
    let octets = keys.defence().unseal_bound(&[seed.as_slice()], sealed)?;
    let kept: Vec<Kept> = serde_json::from_slice(&octets)
        .map_err(|error| RegisterError::Damaged(error.to_string()))?;
    let mut defence = Defence {
        made_at,
        changes: Vec::new(),
        contacts: Vec::new(),
    };
    for record in kept {
        match record.kind.as_str() {
            payload::CHANGE => {
                let said: Said = payload::read(&record.payload)?;
                let form = record.form.unwrap_or_default();
                defence.changes.push(said.change(record.id, form)?);
            }
            _ => {
                let known: Known = payload::read(&record.payload)?;
                defence.contacts.push(known.record(record.id)?);
            }
        }
    }
    Ok(defence)
}
