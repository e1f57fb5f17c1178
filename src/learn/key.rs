//! The key of the table: without it nobody can tell whose slot, which URL or which person a hash in the table stands for.
//!
//! One line in a file of its own (`learn-1.key`, 0600) beside the other keys, made where it is missing. The table names the key it
//! was made under by a fingerprint: under another key it counts for nothing. It must never be shown.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};

use super::{LearnError, SlotName, disk};

/// The key's file in `[keys] directory`.
const FILE: &str = "learn-1.key";
const LINE: &str = "pixelgate-learn-1 ";
const FILE_OCTETS_MAX: u64 = 256;

/// Octets of the key.
pub(super) const OCTETS: usize = 32;
/// Octets of its fingerprint.
pub(super) const FINGERPRINT_OCTETS: usize = 16;

/// The key.
#[derive(Clone)]
pub(super) struct Key {
    value: [u8; OCTETS],
    mac: hmac::Key,
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Key")
    }
}

impl Key {
    pub(super) fn new(value: [u8; OCTETS]) -> Self {
        Self {
            value,
            mac: hmac::Key::new(hmac::HMAC_SHA256, &value),
        }
    }

    pub(super) fn fresh() -> Result<Self, LearnError> {
        let mut value = [0; OCTETS];
        SystemRandom::new()
            .fill(&mut value)
            .map_err(|_| LearnError::Random)?;
        Ok(Self::new(value))
    }

    pub(super) fn value(&self) -> &[u8; OCTETS] {
        &self.value
    }

    /// By what a table tells its key.
    pub(super) fn fingerprint(&self) -> [u8; FINGERPRINT_OCTETS] {
        let tag = self.tag("key", [""]);
        let mut fingerprint = [0; FINGERPRINT_OCTETS];
        for (octet, from) in fingerprint.iter_mut().zip(tag.as_ref()) {
            *octet = *from;
        }
        fingerprint
    }

    pub(super) fn slot(&self, name: &SlotName<'_>) -> u64 {
        let whose = [name.controller, name.stream];
        let what = [name.host, name.shape, name.kind];
        self.hash("slot", whose.into_iter().chain(what))
    }

    pub(super) fn url(&self, url: &str) -> u32 {
        short(self.hash("url", [url]))
    }

    /// A person to a controller: an address counts whatever its case.
    pub(super) fn person(&self, controller: &str, address: &str) -> u32 {
        short(self.hash("person", [controller, &address.to_lowercase()]))
    }

    /// Several people of one transaction, in order.
    pub(super) fn together(&self, people: &[u32]) -> u32 {
        let mut context = hmac::Context::with_key(&self.mac);
        context.update(b"together\0");
        for person in people {
            context.update(&person.to_be_bytes());
        }
        short(first(&context.sign()))
    }

    fn hash<'a>(&self, kind: &str, pieces: impl IntoIterator<Item = &'a str>) -> u64 {
        first(&self.tag(kind, pieces))
    }

    fn tag<'a>(&self, kind: &str, pieces: impl IntoIterator<Item = &'a str>) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.mac);
        context.update(kind.as_bytes());
        for piece in pieces {
            // With its length: no two lists of pieces run together to the same octets.
            context.update(&(piece.len() as u64).to_be_bytes());
            context.update(piece.as_bytes());
        }
        context.sign()
    }

    /// The key in this directory, made where there is none; whether it was made.
    pub(super) fn load_or_make(directory: &Path) -> Result<(Self, bool), LearnError> {
        if let Some(key) = Self::load(directory)? {
            return Ok((key, false));
        }
        let key = Self::fresh()?;
        key.store(directory)?;
        Ok((key, true))
    }

    /// The key in this directory, if there is one. What others can read, or is no key, is refused: it would be no secret.
    pub(super) fn load(directory: &Path) -> Result<Option<Self>, LearnError> {
        let path = path(directory);
        let failed = disk::failed("reading", &path);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let mode = match file.metadata() {
            Ok(facts) => facts.permissions().mode() & 0o7777,
            Err(error) => return Err(failed(error)),
        };
        if mode & 0o077 != 0 {
            return Err(LearnError::Exposed { path, mode });
        }
        let mut line = String::new();
        if file
            .take(FILE_OCTETS_MAX)
            .read_to_string(&mut line)
            .is_err()
        {
            return Err(LearnError::Malformed { path });
        }
        let value = line
            .trim_end_matches('\n')
            .strip_prefix(LINE)
            .and_then(read_hex);
        match value {
            Some(value) => Ok(Some(Self::new(value))),
            None => Err(LearnError::Malformed { path }),
        }
    }

    /// Puts it in this directory in place of whatever is there.
    pub(super) fn store(&self, directory: &Path) -> Result<(), LearnError> {
        disk::make_directory(directory)?;
        let hex: String = self
            .value
            .iter()
            .map(|octet| format!("{octet:02x}"))
            .collect();
        disk::replace(&path(directory), |file| writeln!(file, "{LINE}{hex}"))
    }

    /// Removes it: nothing made under it counts from then on.
    pub(super) fn remove(directory: &Path) -> Result<(), LearnError> {
        let path = path(directory);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(disk::failed("removing", &path)(error))
            }
            _ => Ok(()),
        }
    }
}

fn path(directory: &Path) -> PathBuf {
    directory.join(FILE)
}

fn first(tag: &hmac::Tag) -> u64 {
    let octets = tag.as_ref().iter().take(8);
    octets.fold(0, |hash, octet| hash << 8 | u64::from(*octet))
}

fn short(hash: u64) -> u32 {
    (hash >> 32) as u32
}

fn read_hex(text: &str) -> Option<[u8; OCTETS]> {
    let mut value = [0; OCTETS];
    if text.len() != OCTETS * 2 || !text.is_ascii() {
        return None;
    }
    for (octet, at) in value.iter_mut().zip((0..).step_by(2)) {
        *octet = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
    }
    Some(value)
}
