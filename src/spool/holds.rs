//! When a held message was first seen, so that a client's repeated attempts come to an end (`hold_limit`).
//!
//! It knows digests and times only. A bounded table, kept in `holds.json` beside the entries. When it cannot be read
//! it is empty, with a warning: the wait starts anew, and nothing held is let through by that. When it cannot be
//! written it goes on in memory, with a warning.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::disk;

/// Most messages in the table. Past it the one first seen longest ago goes; if it comes again its wait starts anew.
pub(super) const HOLDS: usize = 10_000;

/// Most octets of the file: more than a full table needs.
const FILE_OCTETS: u64 = 4 << 20;

/// The version of the file.
const VERSION: u32 = 1;

/// The file.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    version: u32,
    first_seen: BTreeMap<String, Timestamp>,
}

/// The table and where it is kept.
#[derive(Debug)]
pub(super) struct Holds {
    path: PathBuf,
    keep_for: SignedDuration,
    table: Mutex<BTreeMap<String, Timestamp>>,
}

impl Holds {
    /// Reads the table; a missing one is empty, so is a damaged one.
    pub(super) fn open(directory: &Path, keep_for_seconds: u32) -> Self {
        let path = directory.join("holds.json");
        let table = read(&path).unwrap_or_else(|why| {
            tracing::warn!(file = %path.display(), %why, "the table of held messages cannot be read; waits start anew");
            BTreeMap::new()
        });
        Self {
            path,
            keep_for: SignedDuration::from_secs(i64::from(keep_for_seconds)),
            table: Mutex::new(table),
        }
    }

    /// The first time `key` was seen, now if it never was. Blocking.
    pub(super) fn first_seen(&self, key: &str, now: Timestamp) -> Timestamp {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        // One from the future was written under a clock since set back; it would lengthen the wait, never shorten it.
        if let Some(first) = table.get(key).filter(|first| **first <= now) {
            return *first;
        }
        table.retain(|_, first| now.duration_since(*first) < self.keep_for);
        if table.len() >= HOLDS && !table.contains_key(key) {
            let oldest = table.iter().min_by_key(|(_, first)| **first);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                table.remove(&oldest);
            }
        }
        table.insert(key.to_owned(), now);
        if let Err(why) = self.write(&table) {
            tracing::warn!(%why, "the table of held messages cannot be written; after a restart waits start anew");
        }
        now
    }

    fn write(&self, table: &BTreeMap<String, Timestamp>) -> Result<(), String> {
        let file = Table {
            version: VERSION,
            first_seen: table.clone(),
        };
        let octets = serde_json::to_vec(&file).map_err(|error| error.to_string())?;
        disk::replace(&self.path, &octets).map_err(|error| error.to_string())
    }
}

fn read(path: &Path) -> Result<BTreeMap<String, Timestamp>, String> {
    let length = match fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(error.to_string()),
    };
    if length > FILE_OCTETS {
        return Err(format!("{length} octets, at most {FILE_OCTETS} are read"));
    }
    let octets = fs::read(path).map_err(|error| error.to_string())?;
    let table: Table = serde_json::from_slice(&octets).map_err(|error| error.to_string())?;
    if table.version != VERSION {
        return Err(format!("version {}", table.version));
    }
    if table.first_seen.len() > HOLDS {
        return Err(format!("more than {HOLDS} keys"));
    }
    Ok(table.first_seen)
}

#[cfg(test)]
#[path = "holds_tests.rs"]
mod tests;
