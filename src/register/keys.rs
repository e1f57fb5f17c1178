//! The keys: under which people are looked up, addresses are sealed, the chain is bound, what is kept of the erased is
//! sealed, and hashes in the ledger are made.
//!
//! They lie in a directory of their own (0700), one line a file (0600), made at first start and never shown. Look-up and
//! sealing key have generations; which of them is the current one is what the *register* says, never what lies in the
//! directory: the file of a rotation that was not committed is no current key. It must never know what is in the
//! register, beyond the fingerprints by which a register tells its own keys from others. A key that others can read, or
//! a file that is no key, is refused: a leaked look-up key undoes every hash.

mod file;
mod follow;
mod identity;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ring::hmac;
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub(super) use file::hex;
pub(super) use follow::{KeyRing, add, inscribe, known_generations};
pub use identity::Identity;

use super::seal::{SealKey, Seals};
use crate::consent::{LookupKey, Subject};
use file::Value;

/// The generation that is made at first start.
const FIRST_GENERATION: u32 = 1;
/// The most generations of one kind that may lie in the directory: each costs every look-up one more question.
pub const GENERATIONS_MAX: usize = 16;

/// `[keys]` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where the keys lie; made 0700 at first start. Default: `var/keys`.
    pub directory: PathBuf,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            directory: PathBuf::from("var/keys"),
        }
    }
}

/// Why there are no keys. The machine or its operator is to blame; none is transient.
#[derive(Debug, Error)]
pub enum KeysError {
    /// A file or directory could not be made, read or synced.
    #[error("key file {path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others may read or write it.
    #[error(
        "{path} has mode {mode:04o}: a key is for its owner alone, run `chmod {wanted:04o} {path}`"
    )]
    Exposed {
        /// Which.
        path: PathBuf,
        /// The mode it has.
        mode: u32,
        /// The mode it should have.
        wanted: u32,
    },
    /// It is not the key it should be.
    #[error("{path} is not a key: it should be one line, `{name} ` and 64 hex digits")]
    Malformed {
        /// Which.
        path: PathBuf,
        /// The name that should stand first.
        name: String,
    },
    /// Its name is almost that of a key.
    #[error(
        "{path} is not the name of a key: they are `lookup-N.key` and `seal-N.key` with N from 1 without leading zeros, \
         `chain-1.key`, `defence-1.key` and `ledger-1.key`"
    )]
    Misnamed {
        /// Which.
        path: PathBuf,
    },
    /// More generations than are looked up.
    #[error(
        "{directory} has more than {GENERATIONS_MAX} {kind} keys: move those that the last rotation said may go elsewhere"
    )]
    TooMany {
        /// Where.
        directory: PathBuf,
        /// Of which kind.
        kind: &'static str,
    },
    /// It is needed and not there.
    #[error(
        "{path} is not there: put it back from the backup; only to begin anew, with an empty register, move the key directory \
         and the register away"
    )]
    Missing {
        /// Which.
        path: PathBuf,
    },
    /// A key made here could not be read by whoever runs the relay.
    #[error(
        "{path} belongs to user {owner}, and this is user {ours}: a key made now could not be read by the relay; run it as \
         the user of the relay"
    )]
    NotOurs {
        /// The key directory.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who makes the key.
        ours: u32,
    },
    /// The system has no random numbers.
    #[error("no random numbers from the system")]
    Random,
}

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// People are looked up under it.
    Lookup,
    /// Addresses are sealed under it.
    Seal,
    /// The register's chain is bound by it.
    Chain,
    /// What is kept of the erased is sealed under it.
    Defence,
    /// Hashes in the ledger are made under it.
    Ledger,
}

impl Kind {
    const ALL: [Self; 5] = [
        Self::Lookup,
        Self::Seal,
        Self::Chain,
        Self::Defence,
        Self::Ledger,
    ];

    /// The word in file names and texts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lookup => "lookup",
            Self::Seal => "seal",
            Self::Chain => "chain",
            Self::Defence => "defence",
            Self::Ledger => "ledger",
        }
    }

    /// Whether it has generations.
    pub fn rotates(self) -> bool {
        matches!(self, Self::Lookup | Self::Seal)
    }

    /// Whether the register holds its fingerprint. The ledger's hashes are the ledger's.
    fn is_of_the_register(self) -> bool {
        self != Self::Ledger
    }
}

/// Which generation is the current one, by what a register says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Generations {
    /// Of the look-up key.
    pub lookup: u32,
    /// Of the sealing key.
    pub seal: u32,
}

/// How a register recognises a key without holding it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fingerprint {
    pub(super) kind: Kind,
    pub(super) generation: u32,
    pub(super) hex: String,
}

/// All keys of one installation. Cheap to clone.
#[derive(Clone)]
pub struct Keys {
    held: Arc<Held>,
    current: Generations,
    lookup: LookupKey,
    /// The other look-up keys, from new to old: rows that a rotation has not reached stand under one of them.
    others: Arc<[LookupKey]>,
    seal: Seals,
}

/// What lies in the directory.
struct Held {
    directory: PathBuf,
    lookup: BTreeMap<u32, LookupKey>,
    seal: Arc<BTreeMap<u32, SealKey>>,
    chain: hmac::Key,
    defence: SealKey,
    ledger: hmac::Key,
    fingerprints: Vec<Fingerprint>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "Keys({}, lookup {}, seal {})",
            self.held.directory.display(),
            self.current.lookup,
            self.current.seal
        )
    }
}

impl Keys {
    /// Reads the keys of a directory, making directory and keys at the first start. Until a register has said
    /// which generation is current (`Register::open`, then `Register::keys`), the newest is taken for it.
    ///
    /// # Errors
    /// When a file cannot be read or made, is no key, is open to others, or has gone since the first start.
    pub fn open(directory: &Path) -> Result<Self, KeysError> {
        let at = |source| KeysError::File {
            path: directory.to_owned(),
            source,
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(at)?;
        is_ours_alone(directory)?;
        // The ledger's key is made last and looked for first: where it is, a first start came to its end, and what is
        // missing now has been lost.
        let complete = is_there(directory, Kind::Ledger)?;
        let mut made = Vec::new();
        for kind in Kind::ALL {
            if is_there(directory, kind)? {
                continue;
            }
            if complete {
                return Err(missing(directory, kind, FIRST_GENERATION));
            }
            // Of two processes that start at once one makes it, and its key is the one that both read below.
            file::make(directory, kind, FIRST_GENERATION)?;
            made.push(kind);
        }
        if made == [Kind::Ledger] {
            tracing::warn!(
                directory = %directory.display(),
                "the ledger key was missing and is made anew: hashes in older lines of the ledger cannot be compared with newer ones"
            );
        }
        Self::read(directory)
    }

    /// The same directory read again; nothing is made.
    ///
    /// # Errors
    /// As `open`, and when a key has gone.
    pub(super) fn read_again(&self) -> Result<Self, KeysError> {
        is_ours_alone(self.directory())?;
        Self::read(self.directory())
    }

    fn read(directory: &Path) -> Result<Self, KeysError> {
        let mut fingerprints = Vec::new();
        let mut values = BTreeMap::new();
        for kind in Kind::ALL {
            for generation in file::generations(directory, kind)? {
                // Gone since the directory was listed: as if it had not been there.
                let Some(value) = file::load(directory, kind, generation)? else {
                    continue;
                };
                if kind.is_of_the_register() {
                    fingerprints.push(Fingerprint {
                        kind,
                        generation,
                        hex: file::fingerprint(kind, &value),
                    });
                }
                values.insert((kind, generation), value);
            }
        }
        let of = |wanted: Kind| {
            values
                .iter()
                .filter(move |((kind, _), _)| *kind == wanted)
                .map(|((_, generation), value)| (*generation, value))
        };
        let seal = of(Kind::Seal)
            .map(|(generation, value)| Ok((generation, seal_key(generation, value)?)))
            .collect::<Result<_, KeysError>>()?;
        let single = |kind: Kind| {
            values
                .get(&(kind, FIRST_GENERATION))
                .ok_or_else(|| missing(directory, kind, FIRST_GENERATION))
        };
        let newest = |kind: Kind| {
            of(kind)
                .next_back()
                .map(|(generation, _)| generation)
                .ok_or_else(|| missing(directory, kind, FIRST_GENERATION))
        };
        let newest = Generations {
            lookup: newest(Kind::Lookup)?,
            seal: newest(Kind::Seal)?,
        };
        let held = Held {
            directory: directory.to_owned(),
            lookup: of(Kind::Lookup)
                .map(|(generation, value)| (generation, LookupKey::new(value)))
                .collect(),
            seal: Arc::new(seal),
            chain: hmac::Key::new(hmac::HMAC_SHA256, single(Kind::Chain)?),
            defence: seal_key(FIRST_GENERATION, single(Kind::Defence)?)?,
            ledger: hmac::Key::new(hmac::HMAC_SHA256, single(Kind::Ledger)?),
            fingerprints,
        };
        Self::of(Arc::new(held), newest)
    }

    fn of(held: Arc<Held>, current: Generations) -> Result<Self, KeysError> {
        let lookup = held
            .lookup
            .get(&current.lookup)
            .ok_or_else(|| missing(&held.directory, Kind::Lookup, current.lookup))?;
        let others = held
            .lookup
            .iter()
            .rev()
            .filter(|(generation, _)| **generation != current.lookup)
            .map(|(_, key)| key);
        let (lookup, others) = (lookup.clone(), others.cloned().collect());
        let seal = Seals::new(Arc::clone(&held.seal), current.seal)
            .ok_or_else(|| missing(&held.directory, Kind::Seal, current.seal))?;
        Ok(Self {
            held,
            current,
            lookup,
            others,
            seal,
        })
    }

    /// The same keys, with these generations as the current ones.
    ///
    /// # Errors
    /// When one of them is not held; names its file.
    pub(super) fn with_generations(&self, current: Generations) -> Result<Self, KeysError> {
        Self::of(Arc::clone(&self.held), current)
    }

    /// The current generations.
    pub fn generations(&self) -> Generations {
        self.current
    }

    /// The current look-up key.
    pub fn lookup(&self) -> &LookupKey {
        &self.lookup
    }

    /// The subjects of an address for a controller under every look-up key held, the current one first.
    pub fn identity(&self, controller: &str, address: &str) -> Identity {
        Identity::of(
            self.current.lookup,
            &self.lookup,
            &self.others,
            controller,
            address,
        )
    }

    /// The subject of an address for a controller under the current look-up key.
    pub fn subject(&self, controller: &str, address: &str) -> Subject {
        Subject::of(&self.lookup, controller, address)
    }

    /// A keyed hash for the ledger, 32 hex digits: of a URL, a Message-ID, a host label. `what` keeps hashes of
    /// different things apart.
    pub fn ledger_hash(&self, what: &str, value: &[u8]) -> String {
        let mut context = hmac::Context::with_key(&self.held.ledger);
        context.update(what.as_bytes());
        context.update(&[0]);
        context.update(value);
        hex(context.sign().as_ref().iter().take(16))
    }

    /// Where they lie.
    pub fn directory(&self) -> &Path {
        &self.held.directory
    }

    /// Seals under the current sealing key, opens under any held.
    pub(super) fn seal(&self) -> &Seals {
        &self.seal
    }

    /// Under which the register's chain is bound.
    pub(super) fn chain(&self) -> &hmac::Key {
        &self.held.chain
    }

    /// Under which the proof is sealed that past keeps for the erased rested on.
    pub(super) fn defence(&self) -> &SealKey {
        &self.held.defence
    }

    /// Of every key held that a register knows, uncommitted ones included.
    pub(super) fn fingerprints(&self) -> &[Fingerprint] {
        &self.held.fingerprints
    }

    /// The generations of this kind that lie in the directory.
    pub(super) fn held(&self, kind: Kind) -> Vec<u32> {
        self.fingerprints()
            .iter()
            .filter(|ours| ours.kind == kind)
            .map(|ours| ours.generation)
            .collect()
    }

    /// Where the key of this kind and generation lies or would lie.
    pub fn path(&self, kind: Kind, generation: u32) -> PathBuf {
        file::path(&self.held.directory, kind, generation)
    }

    /// Makes the key of a new generation and reads everything again; the current generations stay what they were.
    ///
    /// # Errors
    /// As `open`.
    pub(super) fn with_new(&self, kind: Kind, generation: u32) -> Result<Self, KeysError> {
        file::make(self.directory(), kind, generation)?;
        self.read_again()?.with_generations(self.current)
    }
}

fn is_there(directory: &Path, kind: Kind) -> Result<bool, KeysError> {
    Ok(!file::generations(directory, kind)?.is_empty())
}

/// Who may write to the directory may put another key in place.
fn is_ours_alone(directory: &Path) -> Result<(), KeysError> {
    let metadata = directory.metadata().map_err(|source| KeysError::File {
        path: directory.to_owned(),
        source,
    })?;
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o022 == 0 {
        return Ok(());
    }
    Err(KeysError::Exposed {
        path: directory.to_owned(),
        mode,
        wanted: 0o700,
    })
}

fn missing(directory: &Path, kind: Kind, generation: u32) -> KeysError {
    KeysError::Missing {
        path: file::path(directory, kind, generation),
    }
}

fn seal_key(generation: u32, value: &Value) -> Result<SealKey, KeysError> {
    SealKey::new(generation, value).ok_or(KeysError::Random)
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
