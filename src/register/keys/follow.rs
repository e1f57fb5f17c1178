//! Which keys are the register's: compared at every opening, followed when another process has rotated them.
//!
//! The table `fingerprints` says it all: which keys the register was made with, which generation is the current one (the
//! highest that stands there, never the highest file), which older ones nothing stands under any more (`retired_at`).
//! It must never compute a subject or open an address. A key that is needed and missing, or another one under the same
//! name, is refused with the file to put back; nothing is looked up or written meanwhile.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rusqlite::{Connection, params};

use super::super::RegisterError;
use super::{Generations, Keys, Kind};

/// A key as the register knows it.
struct Known {
    kind: Kind,
    generation: u32,
    hex: String,
    retired: bool,
}

/// The keys in use, exchanged when the register says that there is a new generation.
#[derive(Debug)]
pub(in crate::register) struct KeyRing {
    register: PathBuf,
    keys: RwLock<Arc<Keys>>,
}

impl KeyRing {
    pub(in crate::register) fn new(register: &Path, keys: Arc<Keys>) -> Self {
        Self {
            register: register.to_owned(),
            keys: RwLock::new(keys),
        }
    }

    /// The keys as of the last time the register was asked.
    pub(in crate::register) fn now(&self) -> Arc<Keys> {
        // A panic between reading and exchanging cannot have left half of an `Arc`.
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// At every opening: are these the keys of this register? Where it is further than they are, the directory is read
    /// again, and from then on `now` answers with what the register calls current.
    pub(in crate::register) fn recognise(
        &self,
        connection: &Connection,
    ) -> Result<(), RegisterError> {
        let known = known(connection)?;
        let keys = self.now();
        let fitting = match self.fitting(&keys, &known) {
            Err(RegisterError::MissingKey { .. }) => self.fitting(&keys.read_again()?, &known)?,
            other => other?,
        };
        if fitting.generations() != keys.generations() {
            let Generations { lookup, seal } = fitting.generations();
            tracing::info!(lookup, seal, "the register's keys are of these generations");
            *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(fitting);
        }
        Ok(())
    }

    /// Inside a read transaction: may subjects of this generation of the look-up key be looked up? If not, the keys are
    /// followed and the caller asks again with new subjects.
    ///
    /// # Errors
    /// `KeysRotated` once the new keys are here, or why they are not.
    pub(in crate::register) fn check_lookup(
        &self,
        connection: &Connection,
        generation: u32,
    ) -> Result<(), RegisterError> {
        if generations(connection)?.lookup == generation {
            return Ok(());
        }
        self.recognise(connection)?;
        Err(RegisterError::KeysRotated)
    }

    /// Inside a write transaction, before anything is written: are these keys still the current ones? What was written
    /// under an older generation as if it were current would be missed by the rotation that is going through the rows.
    ///
    /// # Errors
    /// As `check_lookup`.
    pub(in crate::register) fn check(
        &self,
        connection: &Connection,
        keys: &Keys,
    ) -> Result<(), RegisterError> {
        if generations(connection)? == keys.generations() {
            return Ok(());
        }
        self.recognise(connection)?;
        Err(RegisterError::KeysRotated)
    }

    /// These keys with the register's generations as the current ones.
    fn fitting(&self, keys: &Keys, known: &[Known]) -> Result<Keys, RegisterError> {
        for kind in Kind::ALL
            .into_iter()
            .filter(|kind| kind.is_of_the_register())
        {
            if !known.iter().any(|known| known.kind == kind) {
                let problem = format!("it names no {} key", kind.as_str());
                return Err(RegisterError::Damaged(problem));
            }
        }
        for known in known {
            let ours = keys
                .fingerprints()
                .iter()
                .find(|ours| ours.kind == known.kind && ours.generation == known.generation);
            match ours {
                Some(ours) if ours.hex == known.hex => {}
                Some(ours) => {
                    return Err(RegisterError::OtherKey {
                        path: self.register.clone(),
                        keys: keys.directory().to_owned(),
                        kind: known.kind.as_str(),
                        generation: known.generation,
                        theirs: known.hex.clone(),
                        ours: ours.hex.clone(),
                    });
                }
                // Nothing stands under it any more.
                None if known.retired => {}
                None => {
                    return Err(RegisterError::MissingKey {
                        path: self.register.clone(),
                        kind: known.kind.as_str(),
                        generation: known.generation,
                        theirs: known.hex.clone(),
                        file: keys.path(known.kind, known.generation),
                    });
                }
            }
        }
        Ok(keys.with_generations(current(known)?)?)
    }
}

/// Writes the keys of a new register down, in the transaction that makes it.
pub(in crate::register) fn inscribe(
    connection: &Connection,
    keys: &Keys,
) -> Result<(), RegisterError> {
    let Generations { lookup, seal } = keys.generations();
    for ours in keys.fingerprints() {
        // Older generations are another register's; nothing of this one stands under them.
        let used = match ours.kind {
            Kind::Lookup => ours.generation == lookup,
            Kind::Seal => ours.generation == seal,
            _ => true,
        };
        if used {
            add(connection, keys, ours.kind, ours.generation)?;
        }
    }
    Ok(())
}

/// Writes one more key down: from then on it is the current one of its kind.
pub(in crate::register) fn add(
    connection: &Connection,
    keys: &Keys,
    kind: Kind,
    generation: u32,
) -> Result<(), RegisterError> {
    let ours = keys
        .fingerprints()
        .iter()
        .find(|ours| ours.kind == kind && ours.generation == generation);
    let Some(ours) = ours else {
        return Err(super::missing(keys.directory(), kind, generation).into());
    };
    connection.execute(
        "INSERT INTO fingerprints (kind, generation, fingerprint) VALUES (?1, ?2, ?3)",
        params![kind.as_str(), generation, ours.hex],
    )?;
    Ok(())
}

/// Every generation of this kind that the register has ever used.
pub(in crate::register) fn known_generations(
    connection: &Connection,
    kind: Kind,
) -> Result<Vec<u32>, RegisterError> {
    let mut statement = connection
        .prepare("SELECT generation FROM fingerprints WHERE kind = ?1 ORDER BY generation")?;
    let rows = statement.query_map(params![kind.as_str()], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The generations that the register calls current.
pub(in crate::register) fn generations(
    connection: &Connection,
) -> Result<Generations, RegisterError> {
    let mut statement =
        connection.prepare_cached("SELECT max(generation) FROM fingerprints WHERE kind = ?1")?;
    let mut of = |kind: Kind| -> Result<u32, RegisterError> {
        statement
            .query_row(params![kind.as_str()], |row| row.get::<_, Option<u32>>(0))?
            .ok_or_else(|| RegisterError::Damaged(format!("it names no {} key", kind.as_str())))
    };
    Ok(Generations {
        lookup: of(Kind::Lookup)?,
        seal: of(Kind::Seal)?,
    })
}

fn current(known: &[Known]) -> Result<Generations, RegisterError> {
    let of = |kind: Kind| {
        known
            .iter()
            .filter(|known| known.kind == kind)
            .map(|known| known.generation)
            .max()
            .ok_or_else(|| RegisterError::Damaged(format!("it names no {} key", kind.as_str())))
    };
    Ok(Generations {
        lookup: of(Kind::Lookup)?,
        seal: of(Kind::Seal)?,
    })
}

fn known(connection: &Connection) -> Result<Vec<Known>, RegisterError> {
    let mut statement = connection.prepare_cached(
        "SELECT kind, generation, fingerprint, retired_at IS NOT NULL FROM fingerprints
         ORDER BY kind, generation",
    )?;
    let mut rows = statement.query([])?;
    let mut known = Vec::new();
    while let Some(row) = rows.next()? {
        let word: String = row.get(0)?;
        let kind = Kind::ALL
            .into_iter()
            .find(|kind| kind.as_str() == word)
            .ok_or_else(|| RegisterError::Damaged(format!("it names a key of kind {word:?}")))?;
        known.push(Known {
            kind,
            generation: row.get(1)?,
            hex: row.get(2)?,
            retired: row.get(3)?,
        });
    }
    Ok(known)
}

#[cfg(test)]
mod tests;
