//! Why the register did not answer or did not take a record: who is to blame, and whether it passes by itself.
//!
//! It must never hold an address.

use std::path::PathBuf;

use thiserror::Error;

use super::{KeysError, LOOKUP_SUBJECTS_MAX, SealError};
use crate::consent::Refusal;
use crate::consent::record::AddressProblem;

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
    /// The configuration is to blame; permanent.
    #[error("[retention] {key} {problem}")]
    Retention {
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
    /// A chain, or what is written beside it, is not what its records say. Whoever changed the file is to blame; permanent.
    #[error("the register does not verify: {controller}, record {n}: {problem}")]
    Unverified {
        /// Whose chain.
        controller: String,
        /// Which record; 0 where it is none in particular.
        n: u64,
        /// What does not fit.
        problem: String,
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
