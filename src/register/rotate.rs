//! A new generation of the look-up or sealing key: made, made the current one, then every row carried over to it, while
//! mail, withdrawals and imports go on.
//!
//! The first write is small: the new key's fingerprint, which makes it the current one. From then on nothing new stands
//! under the old one, and everybody is found under both. The rows follow in batches that give way to restrictions. It
//! can be killed at any moment; the next run goes on where rows are left. It must never show an address, and never make a
//! key that it does not then use. A row that does not open is left where it is, counted and named, and the rotation
//! stays unfinished: its person is found all the same. Who is erased has no address, so that row stays under the old
//! look-up key, which has to be kept.

mod carry;

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use serde::Serialize;
use thiserror::Error;

use super::database::{Database, Writing};
use super::keys::{self, GENERATIONS_MAX, KeysError, Kind};
use super::{Register, RegisterError};

/// Damaged rows that are named; further ones are counted.
const NAMED_MAX: usize = 20;
/// How often the write-ahead log is tried to be emptied, and how long between two times: readers come and go.
const LOG_TRIES: u32 = 40;
const LOG_PAUSE: Duration = Duration::from_millis(50);

/// Why a key was not rotated.
#[derive(Debug, Error)]
pub enum RotateError {
    /// Another process is rotating a key of this register. Transient.
    #[error("another process is rotating a key of {path}: try again when it has finished")]
    Elsewhere {
        /// The register.
        path: PathBuf,
    },
    /// The lock beside the register cannot be taken. The machine is to blame.
    #[error("{path}: {source}")]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Keys of this kind have no generations. The caller is to blame.
    #[error("the {kind} key has no generations")]
    Single {
        /// Which.
        kind: &'static str,
    },
    /// As many generations lie in the key directory as are looked up. The operator is to blame.
    #[error(
        "{GENERATIONS_MAX} {kind} keys lie in the key directory, which is the most: move away those that the last rotation \
         said are not needed"
    )]
    Full {
        /// Which.
        kind: &'static str,
    },
    /// The register did not answer or did not take a write. What was carried stays carried; run it again.
    #[error(transparent)]
    Register(#[from] RegisterError),
    /// The new key cannot be made. The machine is to blame.
    #[error(transparent)]
    Keys(#[from] KeysError),
}

impl RotateError {
    /// Whether the same call may succeed later without anybody's doing.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Elsewhere { .. } => true,
            Self::Register(error) => error.is_transient(),
            _ => false,
        }
    }
}

impl From<rusqlite::Error> for RotateError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Register(error.into())
    }
}

/// What stands under one generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Which; 0 where what is sealed does not say.
    pub generation: u32,
    /// People with an address, who can be carried over.
    pub living: u64,
    /// People without, who cannot: the erased. None under a sealing key.
    pub erased: u64,
}

/// What a rotation would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outlook {
    /// The current generation.
    pub current: u32,
    /// Whether an earlier rotation to it was interrupted: then that one is finished and no key is made.
    pub unfinished: bool,
    /// The generation that all would stand under.
    pub next: u32,
    /// What stands where now.
    pub tallies: Vec<Tally>,
}

/// What a rotation did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rotated {
    /// The generation that is current now.
    pub generation: u32,
    /// Whether this finished an earlier rotation, and no key was made.
    pub resumed: bool,
    /// Rows carried over by this run.
    pub carried: u64,
    /// Rows that could not be carried, because what is sealed in them does not open or is not theirs.
    pub damaged: u64,
    /// The first of them, by the name that ledger and logs use.
    pub damaged_subjects: Vec<String>,
    /// What stands where now.
    pub tallies: Vec<Tally>,
    /// Generations under which nothing stands any more: this register does not need their files.
    pub retired: Vec<u32>,
    /// Files in the key directory that this register never used.
    pub strangers: Vec<u32>,
    /// Whether the old values are gone from the file beside the database, too; false where a reader was in the way.
    pub log_emptied: bool,
}

/// How far it is, told after the step is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The key file is made. Nothing stands under it, it is no current key.
    Made {
        /// Its generation.
        generation: u32,
    },
    /// It is the current one.
    Current {
        /// Its generation.
        generation: u32,
    },
    /// A batch is written, and about to be committed.
    Batch,
    /// So many rows of so many are carried over.
    Carried {
        /// Rows looked at by this run.
        done: u64,
        /// Rows there were to carry.
        of: u64,
    },
    /// All are; the old generations are about to be called retired.
    Counted,
}

impl Register {
    /// What `rotate` would do; nothing is made or written. Blocks, and reads every row.
    ///
    /// # Errors
    /// When the register cannot be read or the key has no generations.
    pub fn rotation_outlook(&self, kind: Kind) -> Result<Outlook, RotateError> {
        rotating(kind)?;
        let reading = self.database.open_for_reading()?;
        let current = current(&self.database, kind);
        let unfinished = is_unfinished(&reading.connection, kind)?;
        let next = match unfinished {
            true => current,
            false => self.next_generation(&reading.connection, kind)?,
        };
        Ok(Outlook {
            current,
            unfinished,
            next,
            tallies: carry::tallies(&reading.connection, kind)?,
        })
    }

    /// Makes the next generation of this key and carries every row over to it; an interrupted rotation is finished
    /// instead. Blocks for as long as it takes; other processes go on meanwhile. `step` is told after each step.
    ///
    /// # Errors
    /// When another rotation runs, a key cannot be made, or the register does not take a write. Run it again then: what
    /// was done stays done.
    pub fn rotate(&self, kind: Kind, step: &mut dyn FnMut(Step)) -> Result<Rotated, RotateError> {
        rotating(kind)?;
        let _alone = alone(&self.database.path)?;
        let mut writing = self.database.open_for_writing()?;
        let resumed = is_unfinished(&writing.connection, kind)?;
        if !resumed {
            self.begin(&mut writing, kind, step)?;
        }
        let carried = carry::all(&self.database, &mut writing, kind, step)?;
        let tallies = carry::tallies(&writing.connection, kind)?;
        step(Step::Counted);
        self.finish(&mut writing, kind, &tallies)?;
        let known = keys::known_generations(&writing.connection, kind)?;
        let now = self.database.keys.now();
        Ok(Rotated {
            generation: current(&self.database, kind),
            resumed,
            carried: carried.rows,
            damaged: carried.damaged,
            damaged_subjects: carried.subjects,
            tallies,
            retired: retired(&writing.connection, kind)?,
            strangers: now
                .held(kind)
                .into_iter()
                .filter(|generation| !known.contains(generation))
                .collect(),
            log_emptied: empty_the_log(&writing),
        })
    }

    /// Never a number that was used before, also not by a rotation that was not committed: nobody knows who has seen
    /// that file meanwhile.
    fn next_generation(&self, connection: &Connection, kind: Kind) -> Result<u32, RotateError> {
        let keys = self.database.keys.now().read_again()?;
        let held = keys.held(kind);
        if held.len() >= GENERATIONS_MAX {
            let kind = kind.as_str();
            return Err(RotateError::Full { kind });
        }
        let known = keys::known_generations(connection, kind)?;
        let most = held.iter().chain(&known).max().copied().unwrap_or(0);
        most.checked_add(1).ok_or(RotateError::Full {
            kind: kind.as_str(),
        })
    }

    /// The key on disk first, then its fingerprint in the register: what is current can always be read.
    fn begin(
        &self,
        writing: &mut Writing,
        kind: Kind,
        step: &mut dyn FnMut(Step),
    ) -> Result<(), RotateError> {
        let generation = self.next_generation(&writing.connection, kind)?;
        let keys = self.database.keys.now().with_new(kind, generation)?;
        step(Step::Made { generation });
        let transaction = writing
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        self.database.keys.check(&transaction, &keys)?;
        keys::add(&transaction, &keys, kind, generation)?;
        transaction.execute(
            "UPDATE fingerprints SET unfinished = 1 WHERE kind = ?1 AND generation = ?2",
            params![kind.as_str(), generation],
        )?;
        transaction.commit().map_err(RegisterError::from)?;
        self.database.keys.recognise(&writing.connection)?;
        step(Step::Current { generation });
        Ok(())
    }

    /// No row comes under an older generation any more, so what was counted outside the write can only have become less.
    fn finish(
        &self,
        writing: &mut Writing,
        kind: Kind,
        tallies: &[Tally],
    ) -> Result<(), RotateError> {
        let current = current(&self.database, kind);
        let left = |tally: &&Tally| tally.generation != current;
        let whole = tallies.iter().filter(left).all(|tally| tally.living == 0);
        let transaction = writing
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        if whole {
            transaction.execute(
                "UPDATE fingerprints SET unfinished = 0 WHERE kind = ?1",
                params![kind.as_str()],
            )?;
        }
        for generation in keys::known_generations(&transaction, kind)? {
            let used = tallies.iter().any(|tally| tally.generation == generation);
            if generation != current && !used {
                transaction.execute(
                    "UPDATE fingerprints SET retired_at = ?3
                     WHERE kind = ?1 AND generation = ?2 AND retired_at IS NULL",
                    params![kind.as_str(), generation, Timestamp::now().as_microsecond()],
                )?;
            }
        }
        transaction.commit()?;
        Ok(())
    }
}

fn rotating(kind: Kind) -> Result<(), RotateError> {
    match kind.rotates() {
        true => Ok(()),
        false => Err(RotateError::Single {
            kind: kind.as_str(),
        }),
    }
}

fn current(database: &Database, kind: Kind) -> u32 {
    let generations = database.keys.now().generations();
    match kind {
        Kind::Seal => generations.seal,
        _ => generations.lookup,
    }
}

fn is_unfinished(connection: &Connection, kind: Kind) -> Result<bool, RegisterError> {
    let found = connection
        .query_row(
            "SELECT 1 FROM fingerprints WHERE kind = ?1 AND unfinished <> 0",
            params![kind.as_str()],
            |_| Ok(()),
        )
        .optional()?;
    Ok(found.is_some())
}

fn retired(connection: &Connection, kind: Kind) -> Result<Vec<u32>, RegisterError> {
    let mut statement = connection.prepare(
        "SELECT generation FROM fingerprints WHERE kind = ?1 AND retired_at IS NOT NULL
         ORDER BY generation",
    )?;
    let rows = statement.query_map(params![kind.as_str()], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// What was written over in the database may still stand in its write-ahead log: under a key that leaked, that is the
/// very thing a rotation is to end.
fn empty_the_log(writing: &Writing) -> bool {
    (0..LOG_TRIES).any(|_| {
        let cut = writing.cut_the_log();
        if !cut {
            std::thread::sleep(LOG_PAUSE);
        }
        cut
    })
}

/// One rotation at a time; a dead process's lock goes with it.
fn alone(register: &Path) -> Result<File, RotateError> {
    let mut name = register.as_os_str().to_owned();
    name.push(".rotation");
    let path = PathBuf::from(name);
    let lock = |source| RotateError::Lock {
        path: path.clone(),
        source,
    };
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(&path)
        .map_err(lock)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(RotateError::Elsewhere {
            path: register.to_owned(),
        }),
        Err(TryLockError::Error(source)) => Err(lock(source)),
    }
}

#[cfg(test)]
mod tests;
