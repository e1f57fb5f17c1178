//! The register: who consented to what, on disk, with the keys that make it useless to a thief.
//!
//! Look-ups answer where people stand; records are added and never changed; the fold of `consent` is written beside
//! them in the same transaction. There is no cache: every look-up sees what every process has committed. It must never
//! know a message or a finding. An answer that does not come in time, or cannot be read whole, is an error and the
//! caller strips (`store_unavailable`); it is never an old or a partial answer.

mod database;
mod history;
mod readers;
mod rows;
mod seal;
mod writer;

pub mod announce;
pub mod import;
pub mod keys;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use history::{History, Verified};
pub use keys::{Identity, Keys, KeysError};
pub use seal::SealError;
pub use writer::{Recorded, Row};

use crate::consent::record::AddressProblem;
use crate::consent::{Contact, Refusal, Standing, Subject};
use database::{Database, Writing};
use keys::KeyRing;
use readers::Readers;

/// The most subjects one look-up may ask for; a message has 1,000 recipients at most.
pub const LOOKUP_SUBJECTS_MAX: usize = 10_000;

/// `[consent]` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Which engine and where: `sqlite:PATH`. Default: `sqlite:var/consent.db`.
    pub register: String,
    /// How long one message waits for the register before it is stripped, in milliseconds, 1 to 60000. Default: 1000.
    pub lookup_timeout_ms: u64,
    /// How many look-ups run at once, 1 to 64. Default: 4.
    pub lookup_connections: usize,
    /// How long a write waits for another process's write, in milliseconds, 1 to 600000. Default: 10000.
    pub write_timeout_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            register: "sqlite:var/consent.db".to_owned(),
            lookup_timeout_ms: 1_000,
            lookup_connections: 4,
            write_timeout_ms: 10_000,
        }
    }
}

impl Settings {
    /// Checks every value without opening anything.
    ///
    /// # Errors
    /// Names the first key whose value cannot be used.
    pub fn check(&self) -> Result<(), RegisterError> {
        self.path()?;
        let ranges: [(&'static str, u64, u64); 3] = [
            ("lookup_timeout_ms", self.lookup_timeout_ms, 60_000),
            (
                "lookup_connections",
                u64::try_from(self.lookup_connections).unwrap_or(u64::MAX),
                64,
            ),
            ("write_timeout_ms", self.write_timeout_ms, 600_000),
        ];
        for (key, value, most) in ranges {
            if value == 0 || value > most {
                let problem = format!("is {value}; it must lie between 1 and {most}");
                return Err(RegisterError::Setting { key, problem });
            }
        }
        Ok(())
    }

    fn path(&self) -> Result<PathBuf, RegisterError> {
        let problem = match self.register.strip_prefix("sqlite:") {
            Some("") => "names no file after `sqlite:`",
            Some(path) => return Ok(PathBuf::from(path)),
            None => "names an engine that is not known; this version knows `sqlite:PATH`",
        };
        Err(RegisterError::Setting {
            key: "register",
            problem: problem.to_owned(),
        })
    }
}

/// Why the register did not answer or did not take a record.
#[derive(Debug, Error)]
pub enum RegisterError {
    /// The configuration is to blame; permanent.
    #[error("[consent] {key} {problem}")]
    Setting {
        /// The key.
        key: &'static str,
        /// What is wrong with its value.
        problem: String,
    },
    /// The file cannot be made or opened. The machine is to blame.
    #[error("register {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not a register, or one of a later version. The operator is to blame; permanent.
    #[error("{path} {problem}")]
    NotOurs {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        problem: String,
    },
    /// The keys are not those it was made with. The operator is to blame; permanent.
    #[error(
        "register {path} was made with another {kind} key {generation} (its fingerprint {theirs}, the one in {keys} has \
         {ours}): put the right key file back"
    )]
    OtherKey {
        /// The register.
        path: PathBuf,
        /// The key directory.
        keys: PathBuf,
        /// Which key.
        kind: &'static str,
        /// Its generation.
        generation: u32,
        /// The fingerprint in the register.
        theirs: String,
        /// The fingerprint of the key at hand.
        ours: String,
    },
    /// A key that something in it stands under is gone. The operator is to blame; permanent.
    #[error(
        "register {path} needs {kind} key {generation} (fingerprint {theirs}), and {file} is not there: put that file back"
    )]
    MissingKey {
        /// The register.
        path: PathBuf,
        /// Which key.
        kind: &'static str,
        /// Its generation.
        generation: u32,
        /// Its fingerprint in the register.
        theirs: String,
        /// The file to put back.
        file: PathBuf,
    },
    /// The key directory cannot be read again. The machine or its operator is to blame.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// Another process has made a new generation of a key the current one; the keys at hand are the new ones by now.
    /// Transient: subjects are computed anew and the question is asked again.
    #[error("the register's keys have been rotated: ask again")]
    KeysRotated,
    /// No answer in time; transient.
    #[error("the register did not answer within {milliseconds} ms")]
    TimedOut {
        /// The bound, in milliseconds.
        milliseconds: u64,
    },
    /// Another process holds the write lock; transient.
    #[error("the register is being written by another process")]
    Busy,
    /// More subjects than one look-up may hold. The caller is to blame.
    #[error("{count} subjects in one look-up; at most {LOOKUP_SUBJECTS_MAX}")]
    TooMany {
        /// How many.
        count: usize,
    },
    /// Something in it cannot be read; permanent until repaired.
    #[error("the register is damaged: {0}")]
    Damaged(String),
    /// The engine failed; disk full, input or output error.
    #[error("register: {0}")]
    Engine(#[source] rusqlite::Error),
    /// The record cannot be taken. Whoever wrote it is to blame; permanent.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The address cannot be taken. Whoever wrote it is to blame; permanent.
    #[error(transparent)]
    Address(#[from] AddressProblem),
    /// The address could not be sealed or opened.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// Work was stopped under way, by a panic or at shutdown.
    #[error("the register's work was interrupted")]
    Interrupted,
}

impl RegisterError {
    /// Whether the same call may succeed later without anybody's doing.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::TimedOut { .. } | Self::Busy | Self::KeysRotated)
    }
}

impl From<rusqlite::Error> for RegisterError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => {
                Self::Busy
            }
            Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
                Self::Damaged(error.to_string())
            }
            _ => Self::Engine(error),
        }
    }
}

/// An open register.
#[derive(Debug)]
pub struct Register {
    database: Arc<Database>,
    readers: Readers,
    writer: Mutex<Option<Writing>>,
}

impl Register {
    /// Opens the register, making it where it is missing. Blocks; called at start.
    ///
    /// # Errors
    /// When settings, file or keys are not those of a register of ours.
    pub fn open(settings: &Settings, keys: Arc<Keys>) -> Result<Self, RegisterError> {
        settings.check()?;
        let database = Arc::new(Database {
            keys: KeyRing::new(&settings.path()?, keys),
            path: settings.path()?,
            read_wait: Duration::from_millis(settings.lookup_timeout_ms),
            write_wait: Duration::from_millis(settings.write_timeout_ms),
        });
        let writer = database.open_or_make()?;
        Ok(Self {
            readers: Readers::new(Arc::clone(&database), settings.lookup_connections),
            database,
            writer: Mutex::new(Some(writer)),
        })
    }

    /// The keys, with those generations as the current ones that the register calls so. To be asked anew for each message:
    /// another process may rotate them.
    pub fn keys(&self) -> Arc<Keys> {
        self.database.keys.now()
    }

    /// Where these subjects of this controller stand, in their order; unknown ones get an empty standing.
    ///
    /// # Errors
    /// When there is no whole answer within `lookup_timeout_ms`. Nothing of it may then be kept.
    pub async fn look_up(
        &self,
        controller: &str,
        subjects: &[Subject],
    ) -> Result<Vec<Standing>, RegisterError> {
        if subjects.len() > LOOKUP_SUBJECTS_MAX {
            let count = subjects.len();
            return Err(RegisterError::TooMany { count });
        }
        let answer = self.readers.look_up(subjects.to_vec()).await;
        if let Err(error) = &answer {
            tracing::warn!(controller, subjects = subjects.len(), %error, "consent look-up failed");
        }
        answer
    }

    /// Writes one change down, received at `recorded_at`. Blocks until it is on disk.
    ///
    /// # Errors
    /// When it cannot be a record, or the register cannot take it.
    pub fn record(&self, row: &Row, recorded_at: Timestamp) -> Result<Recorded, RegisterError> {
        self.write(|writing, keys| writer::write_changes(writing, keys, &[row], recorded_at))
            .map(|recorded| recorded.first().copied().unwrap_or(Recorded::AlreadyThere))
    }

    /// Writes one contact record down, received at `recorded_at`. Blocks until it is on disk.
    ///
    /// # Errors
    /// When it cannot be a record, or the register cannot take it.
    pub fn record_contact(
        &self,
        controller: &str,
        address: &str,
        contact: &Contact,
        recorded_at: Timestamp,
    ) -> Result<Recorded, RegisterError> {
        self.write(|writing, keys| {
            writer::write_contact(writing, keys, controller, address, contact, recorded_at)
        })
    }

    /// Where one person stands now. Blocks.
    ///
    /// # Errors
    /// When the register cannot be read.
    pub fn get(&self, controller: &str, address: &str) -> Result<Standing, RegisterError> {
        let subject = self.keys().subject(controller, address);
        let reading = self.database.open_for_reading()?;
        rows::standing(&reading.connection, &subject)
    }

    /// Everything recorded of one person, oldest receipt first, with the address as it was given: for the operator's
    /// own terminal, never for a log. Blocks.
    ///
    /// # Errors
    /// When the register cannot be read or the address does not open.
    pub fn history(&self, controller: &str, address: &str) -> Result<History, RegisterError> {
        let reading = self.database.open_for_reading()?;
        history::history(&reading, &self.keys(), controller, address)
    }

    /// Adds every person's records up again and compares with what is written beside them. Blocks, for as long as it
    /// takes.
    ///
    /// # Errors
    /// When the register cannot be read, or names the first subject whose standing is not what its records say.
    pub fn verify(&self) -> Result<Verified, RegisterError> {
        history::verify(&self.database.open_for_reading()?)
    }

    fn write<T>(
        &self,
        work: impl FnOnce(&mut Writing, &Keys) -> Result<T, RegisterError>,
    ) -> Result<T, RegisterError> {
        // After a panic the slot is empty, since what stood in it was taken out before.
        let mut slot = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut writing = match slot.take() {
            Some(writing) if self.database.is_current(&writing) => writing,
            _ => self.database.open_for_writing()?,
        };
        let result = work(&mut writing, &self.keys());
        // After an engine's error the connection is not trusted with the next write.
        if !matches!(
            result,
            Err(RegisterError::Engine(_) | RegisterError::Damaged(_))
        ) {
            *slot = Some(writing);
        }
        result
    }
}

#[cfg(test)]
mod tests;
