//! The chain of one controller's records: each is bound to all before it, under a key that the database does not hold.
//!
//! `hash(n) = HMAC(chain key, hash(n-1) ‖ n ‖ commitment)`, `commitment = SHA-256(salt ‖ payload ‖ evidence's SHA-256)`:
//! over commitments, so that a payload can go and the chain still be checked. It must never know what a payload means.
//! `n` is read inside the write transaction, so that two processes cannot give the same one; without a whole last record
//! nothing is added.

use std::collections::BTreeMap;

use ring::digest;
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;

use super::RegisterError;
use super::keys::{Keys, hex};
use crate::consent::{ProofId, Subject};

/// Octets of a salt.
pub(super) const SALT_OCTETS: usize = 16;

/// The end of one controller's chain, as an auditor writes it down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Head {
    /// Whose chain.
    pub controller: String,
    /// How many records it has.
    pub n: u64,
    /// The hash of the last, hex.
    pub hash: String,
}

/// One record about to be added.
pub(super) struct Addition<'a> {
    pub(super) id: ProofId,
    pub(super) person: Option<i64>,
    pub(super) kind: &'static str,
    pub(super) evidence: Option<(i64, [u8; 32])>,
    pub(super) payload: &'a str,
}

/// The ends of the chains that one transaction adds to.
pub(super) struct Chains<'a> {
    connection: &'a Connection,
    key: &'a hmac::Key,
    random: SystemRandom,
    ends: BTreeMap<i64, (i64, [u8; 32])>,
}

impl<'a> Chains<'a> {
    /// For a transaction that has the write lock.
    pub(super) fn new(transaction: &'a Connection, keys: &'a Keys) -> Self {
        Self {
            connection: transaction,
            key: keys.chain(),
            random: SystemRandom::new(),
            ends: BTreeMap::new(),
        }
    }

    /// The number that the next record of this controller will have.
    pub(super) fn next(&mut self, controller: i64) -> Result<i64, RegisterError> {
        Ok(self.end(controller)?.0 + 1)
    }

    /// Adds a record and answers with its number.
    pub(super) fn add(
        &mut self,
        controller: i64,
        addition: &Addition<'_>,
    ) -> Result<i64, RegisterError> {
        let (last, previous) = self.end(controller)?;
        let n = last + 1;
        let mut salt = [0; SALT_OCTETS];
        self.random
            .fill(&mut salt)
            .map_err(|_| super::KeysError::Random)?;
        let sha256 = addition.evidence.map(|(_, sha256)| sha256);
        let commitment = commitment(&salt, addition.payload, sha256.as_ref());
        let hash = link(self.key, &previous, n, &commitment);
        self.connection
            .prepare_cached(
                "INSERT INTO records (controller, n, id, person, kind, evidence, salt, payload, hash)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .execute(params![
                controller,
                n,
                addition.id.as_bytes(),
                addition.person,
                addition.kind,
                addition.evidence.map(|(row, _)| row),
                salt,
                addition.payload,
                hash
            ])?;
        self.ends.insert(controller, (n, hash));
        Ok(n)
    }

    fn end(&mut self, controller: i64) -> Result<(i64, [u8; 32]), RegisterError> {
        if let Some(end) = self.ends.get(&controller) {
            return Ok(*end);
        }
        let end = match last(self.connection, controller)? {
            Some(end) => end,
            None => {
                let name: String = self
                    .connection
                    .prepare_cached("SELECT name FROM controllers WHERE id = ?1")?
                    .query_row(params![controller], |row| row.get(0))?;
                (0, beginning(self.key, &name))
            }
        };
        self.ends.insert(controller, end);
        Ok(end)
    }
}

fn last(
    connection: &Connection,
    controller: i64,
) -> Result<Option<(i64, [u8; 32])>, RegisterError> {
    Ok(connection
        .prepare_cached(
            "SELECT n, hash FROM records WHERE controller = ?1 ORDER BY n DESC LIMIT 1",
        )?
        .query_row(params![controller], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?)
}

/// The end of every controller's chain, by name.
pub(super) fn heads(connection: &Connection) -> Result<Vec<Head>, RegisterError> {
    let mut statement = connection.prepare("SELECT id, name FROM controllers ORDER BY name")?;
    let mut rows = statement.query([])?;
    let mut heads = Vec::new();
    while let Some(row) = rows.next()? {
        if let Some((n, hash)) = last(connection, row.get(0)?)? {
            heads.push(head(row.get(1)?, n, &hash));
        }
    }
    Ok(heads)
}

pub(super) fn head(controller: String, n: i64, hash: &[u8; 32]) -> Head {
    Head {
        controller,
        n: n.unsigned_abs(),
        hash: hex(hash.iter()),
    }
}

/// Where a controller's chain starts: bound to the name, so that two controllers' chains cannot be exchanged.
pub(super) fn beginning(key: &hmac::Key, controller: &str) -> [u8; 32] {
    signed(key, &[b"pixelgate chain 2\0", controller.as_bytes()])
}

pub(super) fn link(
    key: &hmac::Key,
    previous: &[u8; 32],
    n: i64,
    commitment: &[u8; 32],
) -> [u8; 32] {
    signed(key, &[previous, &n.to_be_bytes(), commitment])
}

/// The evidence stands in a table of its own, once for all that rest on it; by its hash it is committed to here.
pub(super) fn commitment(salt: &[u8], payload: &str, evidence: Option<&[u8; 32]>) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(salt);
    context.update(payload.as_bytes());
    // A payload is JSON and holds no NUL.
    context.update(&[0]);
    context.update(evidence.map_or(&[], |sha256| sha256.as_slice()));
    whole(context.finish().as_ref())
}

/// What names a person for ever, through every rotation of the look-up key.
pub(super) fn seed(keys: &Keys, subject: &Subject) -> [u8; 16] {
    half(&signed(
        keys.chain(),
        &[b"pixelgate seed 2\0", subject.as_bytes()],
    ))
}

/// The name of a record: the same content about the same person is the same record. Keyed, so that a name that outlives
/// its record cannot be tried out against contents.
pub(super) fn name(keys: &Keys, seed: &[u8; 16], content: &[u8; 32]) -> ProofId {
    let name = signed(keys.chain(), &[b"pixelgate name 2\0", seed, content]);
    ProofId::from_bytes(half(&name))
}

/// The name of a record that is about the chain itself.
pub(super) fn note_name(keys: &Keys, controller: i64, n: i64) -> ProofId {
    let place = [controller.to_be_bytes(), n.to_be_bytes()].concat();
    ProofId::from_bytes(half(&signed(
        keys.chain(),
        &[b"pixelgate note 2\0", &place],
    )))
}

pub(super) fn sha256(octets: &[u8]) -> [u8; 32] {
    whole(digest::digest(&digest::SHA256, octets).as_ref())
}

fn signed(key: &hmac::Key, parts: &[&[u8]]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(key);
    for part in parts {
        context.update(part);
    }
    whole(context.sign().as_ref())
}

fn whole(octets: &[u8]) -> [u8; 32] {
    let mut whole = [0; 32];
    for (octet, from) in whole.iter_mut().zip(octets) {
        *octet = *from;
    }
    whole
}

fn half(octets: &[u8; 32]) -> [u8; 16] {
    let mut half = [0; 16];
    for (octet, from) in half.iter_mut().zip(octets) {
        *octet = *from;
    }
    half
}
