//! Reading a ledger back: does every line hang on the one before, from the first to the last?
//!
//! It must never write and takes no lock, so that an auditor can run it beside a live relay or on a copy. It stops at
//! the first line that does not fit and names it. Segments that are gone are accepted only where their head
//! was kept, a line of the chain says that they were dropped, and none before them is still there.
//! Whoever can write the files can also write a whole new chain, or leave off its end: only a head kept elsewhere finds
//! that.

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;

use serde::Serialize;
use thiserror::Error;

use super::LedgerError;
use super::chain::{self, Head};
use super::dropped::{self, Dropped, Heads};
use super::names::{Listing, SegmentName};
use super::stored::{Stored, Unread};

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Verified {
    /// Segments that are there.
    pub files: u64,
    /// Segments that retention dropped and whose heads join the chain.
    pub dropped: u64,
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

/// A line that an auditor wrote down: its number and its hash, `SEQ:HEX`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditHead {
    /// The number, from 1.
    pub seq: u64,
    /// The hash, 64 hex digits.
    pub hash: String,
}

impl FromStr for AuditHead {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "must be SEQ:HEX, a line's number and its hash of 64 hex digits".to_owned();
        let (seq, hash) = text.split_once(':').ok_or_else(wrong)?;
        let seq: u64 = seq.parse().map_err(|_| wrong())?;
        let hash = hash.to_ascii_lowercase();
        let digits = hash.len() == 64 && hash.bytes().all(|octet| octet.is_ascii_hexdigit());
        match seq > 0 && digits {
            true => Ok(Self { seq, hash }),
            false => Err(wrong()),
        }
    }
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
    /// A whole segment that does not fit: one before it is missing, or what was kept of it is not of it.
    #[error("{file} {problem}")]
    Segment {
        /// The segment, or the file that speaks of it.
        file: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A line that an auditor wrote down is not to be found.
    #[error("line {seq} of the head that was given {problem}")]
    Head {
        /// The number that was given.
        seq: u64,
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
    verify_against(directory, &[])
}

/// Checks every line of a ledger's directory, and that these lines are among them.
///
/// # Errors
/// Names the first line that does not fit, or what cannot be read.
pub fn verify_against(directory: &Path, heads: &[AuditHead]) -> Result<Verified, VerifyError> {
    // In this order: what retention drops in between is in the heads by the time its files are gone.
    let listing = Listing::of(directory)?;
    let dropped = dropped::read(directory)?;
    let mut walk = Walk {
        directory,
        head: Head::start(),
        wanted: heads
            .iter()
            .map(|head| (head.seq, head.hash.as_str()))
            .collect(),
        verified: Verified::default(),
        told: Vec::new(),
        vanished: false,
    };
    if walk.wanted.len() < heads.len() {
        let twice = heads
            .iter()
            .find(|head| walk.wanted.get(&head.seq) != Some(&head.hash.as_str()));
        if let Some(twice) = twice {
            let problem = "was given twice, with two hashes".to_owned();
            return Err(VerifyError::Head {
                seq: twice.seq,
                problem,
            });
        }
    }
    let gone = dropped
        .keys()
        .filter(|name| !listing.segments.contains_key(name));
    let mut names: Vec<&SegmentName> = listing.segments.keys().chain(gone).collect();
    names.sort();
    let mut last_gone = None;
    for name in names {
        match dropped
            .get(name)
            .filter(|_| !listing.segments.contains_key(name))
        {
            Some(head) => {
                walk.oldest_first(head)?;
                walk.dropped(head)?;
                last_gone = Some(head);
            }
            None => walk.segment(name, listing.last() == Some(name), dropped.get(name))?,
        }
    }
    walk.was_told(last_gone)?;
    walk.finish(&dropped)
}

struct Walk<'a> {
    directory: &'a Path,
    head: Head,
    /// Lines that are still to be met.
    wanted: BTreeMap<u64, &'a str>,
    verified: Verified,
    /// What lines of the chain say was dropped.
    told: Vec<Dropped>,
    /// A segment was dropped while this read.
    vanished: bool,
}

impl Walk<'_> {
    fn segment(
        &mut self,
        name: &SegmentName,
        is_last: bool,
        kept: Option<&Dropped>,
    ) -> Result<(), VerifyError> {
        let Some(mut stored) = Stored::open(self.directory, name)? else {
            // Dropped since the directory was listed.
            let missing = || VerifyError::Segment {
                file: name.to_string(),
                problem: "is gone".to_owned(),
            };
            let heads = dropped::read(self.directory)?;
            self.vanished = true;
            return self.dropped(heads.get(name).ok_or_else(missing)?);
        };
        let file = stored.path.file_name().unwrap_or_default();
        let file = file.to_string_lossy().into_owned();
        loop {
            let line = stored.line + 1;
            let broken = |problem: String| {
                let file = file.clone();
                VerifyError::Broken {
                    file,
                    line,
                    problem,
                }
            };
            match stored.next() {
                Ok(Some(octets)) => self.line(octets, broken)?,
                Ok(None) => {
                    if stored.unfinished > 0 && !is_last {
                        return Err(broken("does not end".to_owned()));
                    }
                    break;
                }
                Err(Unread::Damaged(problem)) => return Err(broken(problem)),
                Err(unread) => return Err(stored.error(unread).into()),
            }
        }
        self.verified.unfinished_octets += stored.unfinished;
        self.verified.files += 1;
        match kept.is_some_and(|kept| kept.head() != self.head) {
            true => Err(VerifyError::Segment {
                file: "heads.jsonl".to_owned(),
                problem: format!("keeps another head of {name} than its lines have"),
            }),
            false => Ok(()),
        }
    }

    fn line(
        &mut self,
        octets: &[u8],
        broken: impl Fn(String) -> VerifyError,
    ) -> Result<(), VerifyError> {
        let link = chain::read(octets).map_err(|error| broken(error.to_string()))?;
        let next = self.head.seq + 1;
        if link.seq != next {
            return Err(broken(format!(
                "has number {}, {next} should follow",
                link.seq
            )));
        }
        if link.prev != self.head.hash {
            return Err(broken("does not hang on the line before it".to_owned()));
        }
        let verified = &mut self.verified;
        verified.lines += 1;
        match link.kind.as_str() {
            "intent" => verified.intents += 1,
            "outcome" => verified.outcomes += 1,
            "gap" => verified.gaps += 1,
            dropped::KIND => {
                let told = serde_json::from_slice(octets);
                let told = told.map_err(|_| broken("does not say what was dropped".to_owned()))?;
                self.told.push(told);
            }
            _ => {}
        }
        if self
            .wanted
            .remove(&link.seq)
            .is_some_and(|hash| hash != link.hash)
        {
            return Err(broken(format!(
                "has hash {}, not that of the head that was given",
                link.hash
            )));
        }
        self.head = Head {
            seq: link.seq,
            hash: link.hash,
        };
        Ok(())
    }

    /// Retention drops the oldest first: what is gone from among what is there, it did not drop.
    fn oldest_first(&self, gone: &Dropped) -> Result<(), VerifyError> {
        match self.verified.files {
            0 => Ok(()),
            _ => Err(VerifyError::Segment {
                file: gone.file.clone(),
                problem: "is gone, and older ones are still there".to_owned(),
            }),
        }
    }

    /// Whoever can take a file away can write into `heads.jsonl`, too. Of what was gone before this began the last must be
    /// named by a line that is still there; that line was written before it went.
    fn was_told(&self, last_gone: Option<&Dropped>) -> Result<(), VerifyError> {
        match last_gone {
            Some(gone) if !self.vanished && !self.told.contains(gone) => {
                Err(VerifyError::Segment {
                    file: gone.file.clone(),
                    problem: "is gone, and no line of the ledger says that it was dropped"
                        .to_owned(),
                })
            }
            _ => Ok(()),
        }
    }

    fn dropped(&mut self, dropped: &Dropped) -> Result<(), VerifyError> {
        if dropped.first_seq != self.head.seq + 1 || dropped.first_prev != self.head.hash {
            return Err(VerifyError::Segment {
                file: "heads.jsonl".to_owned(),
                problem: format!(
                    "keeps a head of {} that does not hang on what is before it",
                    dropped.file
                ),
            });
        }
        self.head = dropped.head();
        self.verified.dropped += 1;
        let differs = |hash: &str| hash != dropped.last_hash;
        match self.wanted.remove(&dropped.last_seq).is_some_and(differs) {
            true => Err(VerifyError::Head {
                seq: dropped.last_seq,
                problem: format!("has another hash in what is kept of {}", dropped.file),
            }),
            false => Ok(()),
        }
    }

    fn finish(mut self, dropped: &Heads) -> Result<Verified, VerifyError> {
        if let Some((seq, _)) = self.wanted.pop_first() {
            let within = |head: &&Dropped| (head.first_seq..=head.last_seq).contains(&seq);
            let problem = match dropped.values().find(within) {
                Some(head) => format!(
                    "cannot be compared: {} was dropped at {} under `{}`, of its lines only the last is known",
                    head.file, head.dropped_at, head.rule
                ),
                None => format!("is not there: the ledger ends at {}", self.head.seq),
            };
            return Err(VerifyError::Head { seq, problem });
        }
        self.verified.head_seq = self.head.seq;
        self.verified.head_hash = self.head.hash;
        Ok(self.verified)
    }
}
