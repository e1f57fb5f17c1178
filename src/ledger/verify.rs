//! Reading a ledger back: does every line hang on the one before, from the first to the last?
//!
//! It must never write and takes no lock, so that an auditor can run it beside a live relay or on a copy. It stops at
//! the first line that does not fit and names it. Whoever can write the files can also write a whole new chain: only a
//! head kept elsewhere finds that.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use serde::Serialize;
use thiserror::Error;

use super::chain::{self, Head};
use super::segments::days;
use super::{LINE_OCTETS_MAX, LedgerError};

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Verified {
    /// Files.
    pub files: u64,
    /// Lines in all.
    pub lines: u64,
    /// Intents among them.
    pub intents: u64,
    /// Outcomes among them.
    pub outcomes: u64,
    /// Gaps among them.
    pub gaps: u64,
    /// Number of the last line.
    pub head_seq: u64,
    /// Hash of the last line.
    pub head_hash: String,
    /// Octets after the last whole line: one is being written, or a crash tore it and nobody has opened it since.
    pub unfinished_octets: u64,
}

/// Where the chain does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum VerifyError {
    /// A line that does not fit. Somebody changed the files, or the disk did.
    #[error("{file} line {line} {problem}")]
    Broken {
        /// The file.
        file: String,
        /// Its line, from 1.
        line: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// The files cannot be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Checks every line of a ledger's directory.
///
/// # Errors
/// Names the first line that does not fit, or what cannot be read.
pub fn verify(directory: &Path) -> Result<Verified, VerifyError> {
    let mut verified = Verified::default();
    let mut head = Head::start();
    let days = days(directory)?;
    let last = days.last().cloned();
    for day in days {
        let is_last = last.as_ref() == Some(&day);
        verify_file(directory, &day, is_last, &mut head, &mut verified)?;
        verified.files += 1;
    }
    verified.head_seq = head.seq;
    verified.head_hash = head.hash;
    Ok(verified)
}

fn verify_file(
    directory: &Path,
    day: &str,
    is_last: bool,
    head: &mut Head,
    verified: &mut Verified,
) -> Result<(), VerifyError> {
    let file = format!("{day}.jsonl");
    let path = directory.join(&file);
    let disk = |error| super::segments::disk(&path, &error);
    let mut reader = BufReader::new(File::open(&path).map_err(disk)?);
    let mut octets = Vec::new();
    for line in 1.. {
        octets.clear();
        let most = LINE_OCTETS_MAX as u64;
        let read = reader
            .by_ref()
            .take(most)
            .read_until(b'\n', &mut octets)
            .map_err(disk)?;
        let broken = |problem: String| VerifyError::Broken {
            file: file.clone(),
            line,
            problem,
        };
        let whole = match octets.strip_suffix(b"\n") {
            Some(whole) => whole,
            None if read == 0 => break,
            None if is_last && (read as u64) < most => {
                verified.unfinished_octets = read as u64;
                break;
            }
            None => return Err(broken("does not end".to_owned())),
        };
        let link = chain::read(whole).map_err(|error| broken(error.to_string()))?;
        if link.seq != head.seq + 1 {
            let problem = format!("has number {}, {} should follow", link.seq, head.seq + 1);
            return Err(broken(problem));
        }
        if link.prev != head.hash {
            return Err(broken("does not hang on the line before it".to_owned()));
        }
        verified.lines += 1;
        match link.kind.as_str() {
            "intent" => verified.intents += 1,
            "outcome" => verified.outcomes += 1,
            "gap" => verified.gaps += 1,
            _ => {}
        }
        *head = Head {
            seq: link.seq,
            hash: link.hash,
        };
    }
    Ok(())
}
