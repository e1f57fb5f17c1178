//! What remains of segments that retention dropped: their heads, in `heads.jsonl`, so that the chain still joins.
//!
//! Each is a line of the ledger first: `heads.jsonl` hangs on nothing, and whoever takes a segment away could write there
//! what he likes. Appended and synced before a file is removed; a line that a crash left unfinished is cut off by the next one. It must
//! never know why a segment is dropped. What stands there and is no head is an error: a chain is not joined by guesses.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::LedgerError;
use super::chain::Head;
use super::fit::{WORD_OCTETS_MAX, body};
use super::index::Summary;
use super::names::SegmentName;
use super::segments::{damaged, disk, sync_directory};

/// The most that is read of `heads.jsonl`, in octets: a hundred thousand segments.
const HEADS_OCTETS_MAX: u64 = 64 * 1024 * 1024;

/// The kind of the line that says what is about to be dropped.
pub(super) const KIND: &str = "dropped";

/// What remains of one segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// Its name, without an ending.
    pub file: String,
    /// Number of its first line.
    pub first_seq: u64,
    /// Number of its last line.
    pub last_seq: u64,
    /// The hash on which its first line hung, hex.
    pub first_prev: String,
    /// Hash of its last line, hex.
    pub last_hash: String,
    /// How many lines it had.
    pub lines: u64,
    /// When it was dropped.
    pub dropped_at: Timestamp,
    /// Under which rule.
    pub rule: String,
}

impl Dropped {
    pub(super) fn new(name: &SegmentName, summary: &Summary, at: Timestamp, rule: &str) -> Self {
        Self {
            file: name.to_string(),
            first_seq: summary.first_seq,
            last_seq: summary.last.seq,
            first_prev: summary.first_prev.clone(),
            last_hash: summary.last.hash.clone(),
            lines: summary.lines,
            dropped_at: at,
            rule: rule.to_owned(),
        }
    }

    /// As a line of the ledger says it.
    pub(super) fn body(&self) -> Result<String, LedgerError> {
        body(self)
    }

    /// The end of the chain up to it.
    pub(super) fn head(&self) -> Head {
        Head {
            seq: self.last_seq,
            hash: self.last_hash.clone(),
        }
    }

    /// Whether its own numbers agree.
    fn holds(&self) -> bool {
        let count = self.last_seq.checked_sub(self.first_seq).map(|n| n + 1);
        let short = self.rule.len() <= WORD_OCTETS_MAX;
        count == Some(self.lines) && self.first_seq > 0 && short
    }
}

/// What was dropped from a directory, by segment.
pub(super) type Heads = BTreeMap<SegmentName, Dropped>;

pub(super) fn path(directory: &Path) -> PathBuf {
    directory.join("heads.jsonl")
}

/// Reads the heads; none where nothing was ever dropped.
pub(super) fn read(directory: &Path) -> Result<Heads, LedgerError> {
    let path = path(directory);
    Ok(whole(&path)?.0)
}

/// The heads and how many octets of the file they take.
fn whole(path: &Path) -> Result<(Heads, u64), LedgerError> {
    let mut text = Vec::new();
    let read =
        File::open(path).and_then(|file| file.take(HEADS_OCTETS_MAX + 1).read_to_end(&mut text));
    match read {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok((Heads::new(), 0)),
        Err(error) => return Err(disk(path, &error)),
    }
    if text.len() as u64 > HEADS_OCTETS_MAX {
        return Err(damaged(path, "is longer than 64 MiB"));
    }
    let end = memchr::memrchr(b'\n', &text).map_or(0, |at| at + 1);
    let mut heads = Heads::new();
    let lines = text.get(..end).unwrap_or_default();
    for (line, number) in lines.split_inclusive(|octet| *octet == b'\n').zip(1..) {
        let problem = || damaged(path, &format!("line {number} is no head of a segment"));
        let head: Dropped = serde_json::from_slice(line).map_err(|_| problem())?;
        let name = SegmentName::parse(&head.file).filter(|_| head.holds());
        heads.insert(name.ok_or_else(problem)?, head);
    }
    Ok((heads, end as u64))
}

/// Adds a head and brings it to disk; only then may the segment go.
pub(super) fn append(directory: &Path, head: &Dropped) -> Result<(), LedgerError> {
    let path = path(directory);
    let (_, end) = whole(&path)?;
    let write = || -> io::Result<()> {
        let mut line = serde_json::to_vec(head)?;
        line.push(b'\n');
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&path)?;
        file.set_len(end)?;
        let written = file.write_all(&line).and_then(|()| file.sync_all());
        if written.is_err() {
            // A full disk takes half a line; what is left of it the next one cuts off too.
            let _ = file.set_len(end);
        }
        written
    };
    write().map_err(|error| disk(&path, &error))?;
    sync_directory(directory)
}
