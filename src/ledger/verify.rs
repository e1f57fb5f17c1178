//! Checks a ledger directory from its files alone: every hash, every link, every number.
//!
//! Reads, never writes. The first thing wrong ends it, with file and line.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use super::chain::{self, Broken, FIRST};
use super::line::{Body, Line};

/// What a whole ledger holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Lines.
    pub lines: u64,
    /// Intents among them.
    pub intents: u64,
    /// Outcomes.
    pub outcomes: u64,
    /// Gaps.
    pub gaps: u64,
    /// Hash of the last line, to be kept elsewhere.
    pub head: String,
}

/// What is wrong, and where.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// A file could not be read.
    #[error("{}: {source}", file.display())]
    Read {
        /// The file or directory.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A line is broken.
    #[error("{}:{line}: {broken}", file.display())]
    Line {
        /// The file.
        file: PathBuf,
        /// The line in it, from 1.
        line: u64,
        /// What is wrong with it.
        broken: Broken,
    },
    /// A line does not follow the one before: something was removed or moved.
    #[error("{}:{line}: does not follow the line before it", file.display())]
    Unlinked {
        /// The file.
        file: PathBuf,
        /// The line in it, from 1.
        line: u64,
    },
}

/// The day files of a ledger directory, oldest first.
pub(super) fn segments(directory: &Path) -> Result<Vec<PathBuf>, VerifyError> {
    let failed = |source| VerifyError::Read {
        file: directory.to_owned(),
        source,
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "jsonl")
        {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Checks everything in a directory.
///
/// # Errors
/// The first thing that is wrong.
pub fn verify(directory: &Path) -> Result<Summary, VerifyError> {
    let mut summary = Summary {
        head: FIRST.to_owned(),
        ..Summary::default()
    };
    read(directory, |line, hash| {
        summary.lines += 1;
        summary.head = hash;
        match line.body {
            Body::Intent(_) => summary.intents += 1,
            Body::Outcome(_) => summary.outcomes += 1,
            Body::Gap(_) => summary.gaps += 1,
            Body::Start(_) => {}
        }
    })?;
    Ok(summary)
}

/// Reads every line in order, checking the chain on the way.
///
/// # Errors
/// The first thing that is wrong; the lines before it were handed over.
pub fn read(directory: &Path, mut each: impl FnMut(Line, String)) -> Result<(), VerifyError> {
    let mut before: Option<(u64, String)> = None;
    for file in segments(directory)? {
        let reader = fs::File::open(&file).map_err(|source| VerifyError::Read {
            file: file.clone(),
            source,
        })?;
        for (number, text) in BufReader::new(reader).lines().enumerate() {
            let number = number as u64 + 1;
            let text = text.map_err(|source| VerifyError::Read {
                file: file.clone(),
                source,
            })?;
            let (line, hash) = chain::open(&text).map_err(|broken| VerifyError::Line {
                file: file.clone(),
                line: number,
                broken,
            })?;
            let linked = match &before {
                // The first line there is: older days may have been taken away whole.
                None => line.seq != 1 || line.prev == FIRST,
                Some((seq, hash)) => line.seq == seq + 1 && line.prev == *hash,
            };
            if !linked {
                return Err(VerifyError::Unlinked { file, line: number });
            }
            before = Some((line.seq, hash.clone()));
            each(line, hash);
        }
    }
    Ok(())
}
