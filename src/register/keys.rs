//! The keys: one under which people are looked up, one under which addresses are sealed, one for hashes in the ledger.
//!
//! They lie in a directory of their own (0700), one line a file (0600), made at first start and never shown. It must
//! never know what is in the register, beyond the fingerprints by which a register tells its own keys from others.
//! A key that others can read, or a file that is no key, is refused: a leaked look-up key undoes every hash.

use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use ring::digest;
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::seal::SealKey;
use crate::consent::{LookupKey, Subject};

const KEY_OCTETS: usize = 32;
/// The longest key file: a name, a blank, 64 hex digits, a line end.
const FILE_OCTETS_MAX: u64 = 256;
/// The generation that is made at first start.
const FIRST_GENERATION: u32 = 1;

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
    /// The system has no random numbers.
    #[error("no random numbers from the system")]
    Random,
}

/// All keys of one installation.
pub struct Keys {
    directory: PathBuf,
    lookup: LookupKey,
    seal: SealKey,
    ledger: hmac::Key,
    fingerprints: Vec<Fingerprint>,
}

/// How a register recognises a key without holding it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fingerprint {
    pub(super) kind: &'static str,
    pub(super) generation: u32,
    pub(super) hex: String,
}

impl fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Keys({})", self.directory.display())
    }
}

impl Keys {
    /// Reads the keys of a directory, making directory and keys where they are missing.
    ///
    /// # Errors
    /// When a file cannot be read or made, is no key, or is open to others.
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
        let mode = directory.metadata().map_err(at)?.permissions().mode() & 0o7777;
        // Who may write to the directory may put another key in place.
        if mode & 0o022 != 0 {
            return Err(KeysError::Exposed {
                path: directory.to_owned(),
                mode,
                wanted: 0o700,
            });
        }
        let mut fingerprints = Vec::new();
        let mut open = |kind: &'static str| {
            let value = load_or_make(directory, kind)?;
            fingerprints.push(Fingerprint {
                kind,
                generation: FIRST_GENERATION,
                hex: fingerprint(kind, &value),
            });
            Ok(value)
        };
        let lookup = open("lookup")?;
        let seal = open("seal")?;
        let ledger = load_or_make(directory, "ledger")?;
        Ok(Self {
            directory: directory.to_owned(),
            lookup: LookupKey::new(&lookup),
            seal: SealKey::new(FIRST_GENERATION, &seal).ok_or(KeysError::Random)?,
            ledger: hmac::Key::new(hmac::HMAC_SHA256, &ledger),
            fingerprints,
        })
    }

    /// The look-up key.
    pub fn lookup(&self) -> &LookupKey {
        &self.lookup
    }

    /// The subject of an address for a controller.
    pub fn subject(&self, controller: &str, address: &str) -> Subject {
        Subject::of(&self.lookup, controller, address)
    }

    /// A keyed hash for the ledger, 32 hex digits: of a URL, a Message-ID, a host label. `what` keeps hashes of
    /// different things apart.
    pub fn ledger_hash(&self, what: &str, value: &[u8]) -> String {
        let mut context = hmac::Context::with_key(&self.ledger);
        context.update(what.as_bytes());
        context.update(&[0]);
        context.update(value);
        hex(context.sign().as_ref().iter().take(16))
    }

    /// Where they lie.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn seal(&self) -> &SealKey {
        &self.seal
    }

    pub(super) fn fingerprints(&self) -> &[Fingerprint] {
        &self.fingerprints
    }
}

fn file_name(kind: &str) -> String {
    format!("{kind}-{FIRST_GENERATION}.key")
}

/// What stands before the value, so that one key put in another's place is noticed.
fn line_name(kind: &str) -> String {
    format!("pixelgate-{kind}-{FIRST_GENERATION}")
}

fn load_or_make(directory: &Path, kind: &str) -> Result<[u8; KEY_OCTETS], KeysError> {
    let path = directory.join(file_name(kind));
    match load(&path, kind)? {
        Some(value) => Ok(value),
        None => {
            make(directory, &path, kind)?;
            // Read back: another process may have been first, and its key is the one that counts.
            load(&path, kind)?.ok_or_else(|| KeysError::File {
                path,
                source: io::ErrorKind::NotFound.into(),
            })
        }
    }
}

fn load(path: &Path, kind: &str) -> Result<Option<[u8; KEY_OCTETS]>, KeysError> {
    let at = |source| KeysError::File {
        path: path.to_owned(),
        source,
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(at(error)),
    };
    let mode = file.metadata().map_err(at)?.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeysError::Exposed {
            path: path.to_owned(),
            mode,
            wanted: 0o600,
        });
    }
    let mut line = Vec::new();
    file.take(FILE_OCTETS_MAX)
        .read_to_end(&mut line)
        .map_err(at)?;
    let value = std::str::from_utf8(&line)
        .ok()
        .and_then(|line| line.trim_end_matches('\n').strip_prefix(&line_name(kind)))
        .and_then(|rest| rest.strip_prefix(' '))
        .and_then(from_hex::<KEY_OCTETS>);
    match value {
        Some(value) => Ok(Some(value)),
        None => Err(KeysError::Malformed {
            path: path.to_owned(),
            name: line_name(kind),
        }),
    }
}

/// Written whole under another name, then linked: whoever opens the key finds all of it or nothing, and of two
/// processes that start at once only one makes it.
fn make(directory: &Path, path: &Path, kind: &str) -> Result<(), KeysError> {
    let random = SystemRandom::new();
    let mut value = [0; KEY_OCTETS];
    let mut suffix = [0; 8];
    random.fill(&mut value).map_err(|_| KeysError::Random)?;
    random.fill(&mut suffix).map_err(|_| KeysError::Random)?;
    let draft = directory.join(format!(".{}.{}", file_name(kind), hex(suffix.iter())));
    let written = write_key(
        &draft,
        &format!("{} {}\n", line_name(kind), hex(value.iter())),
    )
    .and_then(|()| match std::fs::hard_link(&draft, path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    });
    let removed = std::fs::remove_file(&draft);
    written
        .and(removed)
        .and_then(|()| File::open(directory)?.sync_all())
        .map_err(|source| KeysError::File {
            path: path.to_owned(),
            source,
        })
}

fn write_key(path: &Path, line: &str) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(line.as_bytes())?;
    file.sync_all()
}

fn fingerprint(kind: &str, value: &[u8; KEY_OCTETS]) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(b"pixelgate key fingerprint\0");
    context.update(kind.as_bytes());
    context.update(&[0]);
    context.update(value);
    hex(context.finish().as_ref().iter().take(16))
}

pub(super) fn hex<'a>(octets: impl Iterator<Item = &'a u8>) -> String {
    octets.map(|octet| format!("{octet:02x}")).collect()
}

pub(super) fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || !text.bytes().all(|octet| octet.is_ascii_hexdigit()) {
        return None;
    }
    let mut octets = [0; N];
    for (octet, at) in octets.iter_mut().zip((0..).step_by(2)) {
        *octet = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
    }
    Some(octets)
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
