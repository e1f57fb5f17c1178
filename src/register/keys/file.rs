//! One key file: `KIND-N.key`, 0600, one line: its name and 64 hex digits.
//!
//! The name stands inside as well, so that one key put in another's place is noticed. It must never know a register.
//! What others can read, or is no key, is refused and left as it is.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use ring::digest;
use ring::rand::{SecureRandom, SystemRandom};

use super::{GENERATIONS_MAX, KeysError, Kind};

/// Octets of every key.
pub(super) const KEY_OCTETS: usize = 32;
/// The longest key file: a name, a blank, 64 hex digits, a line end.
const FILE_OCTETS_MAX: u64 = 256;

/// The value of a key.
pub(super) type Value = [u8; KEY_OCTETS];

/// Where the key of this kind and generation lies.
pub(super) fn path(directory: &Path, kind: Kind, generation: u32) -> PathBuf {
    directory.join(file_name(kind, generation))
}

fn file_name(kind: Kind, generation: u32) -> String {
    format!("{}-{generation}.key", kind.as_str())
}

fn line_name(kind: Kind, generation: u32) -> String {
    format!("pixelgate-{}-{generation}", kind.as_str())
}

/// The generations of which a file lies in the directory.
pub(super) fn generations(directory: &Path, kind: Kind) -> Result<BTreeSet<u32>, KeysError> {
    let at = |source| KeysError::File {
        path: directory.to_owned(),
        source,
    };
    let mut found = BTreeSet::new();
    for entry in directory.read_dir().map_err(at)? {
        let name = entry.map_err(at)?.file_name();
        let Some(number) = name
            .to_str()
            .and_then(|name| name.strip_prefix(kind.as_str()))
            .and_then(|rest| rest.strip_prefix('-'))
            .and_then(|rest| rest.strip_suffix(".key"))
        else {
            continue;
        };
        // `lookup-02.key` or `chain-2.key` was somebody's intention: to pass over it would be to guess which.
        let generation = number
            .parse()
            .ok()
            .filter(|generation| *generation > 0 && number == format!("{generation}"))
            .filter(|generation| kind.rotates() || *generation == super::FIRST_GENERATION)
            .ok_or_else(|| KeysError::Misnamed {
                path: directory.join(&name),
            })?;
        found.insert(generation);
        if found.len() > GENERATIONS_MAX {
            return Err(KeysError::TooMany {
                directory: directory.to_owned(),
                kind: kind.as_str(),
            });
        }
    }
    Ok(found)
}

/// The key in this file; none when there is no file.
pub(super) fn load(
    directory: &Path,
    kind: Kind,
    generation: u32,
) -> Result<Option<Value>, KeysError> {
    let path = path(directory, kind, generation);
    let at = |source| KeysError::File {
        path: path.clone(),
        source,
    };
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(at(error)),
    };
    let mode = file.metadata().map_err(at)?.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeysError::Exposed {
            path,
            mode,
            wanted: 0o600,
        });
    }
    let mut line = Vec::new();
    file.take(FILE_OCTETS_MAX)
        .read_to_end(&mut line)
        .map_err(at)?;
    let name = line_name(kind, generation);
    let value = std::str::from_utf8(&line)
        .ok()
        .and_then(|line| line.trim_end_matches('\n').strip_prefix(&name))
        .and_then(|rest| rest.strip_prefix(' '))
        .and_then(crate::consent::hex::read::<KEY_OCTETS>);
    match value {
        Some(value) => Ok(Some(value)),
        None => Err(KeysError::Malformed { path, name }),
    }
}

/// Makes the key where it is missing. Written whole under another name, then linked: whoever opens the key finds all of
/// it or nothing, and of two processes that start at once only one makes it.
pub(super) fn make(directory: &Path, kind: Kind, generation: u32) -> Result<(), KeysError> {
    let path = path(directory, kind, generation);
    let random = SystemRandom::new();
    let mut value = [0; KEY_OCTETS];
    let mut suffix = [0; 8];
    random.fill(&mut value).map_err(|_| KeysError::Random)?;
    random.fill(&mut suffix).map_err(|_| KeysError::Random)?;
    let draft = directory.join(format!(
        ".{}.{}",
        file_name(kind, generation),
        hex(suffix.iter())
    ));
    let line = format!("{} {}\n", line_name(kind, generation), hex(value.iter()));
    let written = write_key(&draft, &line);
    if written.is_ok() {
        is_the_owners(directory, &draft)?;
    }
    let written = written.and_then(|()| match std::fs::hard_link(&draft, &path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    });
    let removed = std::fs::remove_file(&draft);
    written
        .and(removed)
        .and_then(|()| File::open(directory)?.sync_all())
        .map_err(|source| KeysError::File { path, source })
}

/// A key that root makes in the relay's directory is one that the relay cannot read: from then on it would strip
/// everything.
fn is_the_owners(directory: &Path, draft: &Path) -> Result<(), KeysError> {
    let owner = |path: &Path| {
        path.metadata()
            .map(|metadata| metadata.uid())
            .map_err(|source| KeysError::File {
                path: path.to_owned(),
                source,
            })
    };
    let (owner, ours) = (owner(directory)?, owner(draft)?);
    if owner == ours {
        return Ok(());
    }
    // It was never a key; what cannot be removed is no key's name.
    let _ = std::fs::remove_file(draft);
    Err(KeysError::NotOurs {
        path: directory.to_owned(),
        owner,
        ours,
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

/// By what a register recognises this key.
pub(super) fn fingerprint(kind: Kind, value: &Value) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(b"pixelgate key fingerprint\0");
    context.update(kind.as_str().as_bytes());
    context.update(&[0]);
    context.update(value);
    hex(context.finish().as_ref().iter().take(16))
}

/// Octets in lower-case hex.
pub(in crate::register) fn hex<'a>(octets: impl Iterator<Item = &'a u8>) -> String {
    octets.map(|octet| format!("{octet:02x}")).collect()
}
