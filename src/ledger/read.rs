//! A ledger read back as what was said: for reports, for one person's question, for an auditor.
//!
//! Any number of directories, one after the other. It takes no lock and never writes, so that it can run beside a live
//! relay. What cannot be read is an error that names the file; the unfinished line at the end of a directory that is being
//! written is passed over. Whether the chain holds is `verify`'s question.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Deserialize;

use super::segments::{damaged, days, disk};
use super::{Gap, Intent, LINE_OCTETS_MAX, LedgerError, Outcome, RegisterHead, Start};

/// Several directories, as they were when they were opened.
#[derive(Debug, Clone)]
pub struct Ledgers {
    segments: Vec<(Date, PathBuf)>,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The machine that wrote it.
    pub node: String,
    /// Its number in its directory.
    pub seq: u64,
    /// When it was written.
    pub at: Timestamp,
    /// What it says.
    pub body: Body,
}

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// A process began to write.
    Start(Start),
    /// What was about to be done with a message.
    Intent(Box<Intent>),
    /// What was done with it.
    Outcome(Outcome),
    /// Lines are missing.
    Gap(Gap),
    /// The end of a consent register's chain.
    Head(RegisterHead),
    /// A kind of line that this version does not know, by its word.
    Other(String),
}

impl Ledgers {
    /// Notes which files there are.
    ///
    /// # Errors
    /// When a directory cannot be listed.
    pub fn open(directories: &[PathBuf]) -> Result<Self, LedgerError> {
        let mut segments = Vec::new();
        for directory in directories {
            for name in days(directory)? {
                if let Ok(day) = name.parse() {
                    segments.push((day, directory.join(format!("{name}.jsonl"))));
                }
            }
        }
        Ok(Self { segments })
    }

    /// The days of which there are lines, in order.
    pub fn days(&self) -> Vec<Date> {
        let days: BTreeSet<Date> = self.segments.iter().map(|(day, _)| *day).collect();
        days.into_iter().collect()
    }

    /// Every line of these days (UTC, both included), by directory, then in order.
    pub fn lines(
        &self,
        from: Option<Date>,
        to: Option<Date>,
    ) -> impl Iterator<Item = Result<Line, LedgerError>> + use<> {
        let chosen: Vec<PathBuf> = self
            .segments
            .iter()
            .filter(|(day, _)| from.is_none_or(|from| *day >= from))
            .filter(|(day, _)| to.is_none_or(|to| *day <= to))
            .map(|(_, path)| path.clone())
            .collect();
        chosen.into_iter().flat_map(|path| FileLines::new(&path))
    }

    /// The intents and outcomes that name one of these subjects (32 hex digits each). An outcome names everybody whom its
    /// intent names, so both come.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn of_subjects(
        &self,
        subjects: &[String],
        from: Option<Date>,
        to: Option<Date>,
    ) -> Result<Vec<Line>, LedgerError> {
        let wanted = |line: &Line| line.subjects().any(|subject| subjects.contains(subject));
        self.lines(from, to)
            .filter(|line| line.as_ref().map_or(true, wanted))
            .collect()
    }

    /// The intents of messages with this keyed hash of their Message-ID, and their outcomes.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn of_message_id(
        &self,
        hash: &str,
        from: Option<Date>,
        to: Option<Date>,
    ) -> Result<Vec<Line>, LedgerError> {
        let mut ids = BTreeSet::new();
        let mut found = Vec::new();
        for line in self.lines(from, to) {
            let line = line?;
            let wanted = match &line.body {
                Body::Intent(intent) if intent.message_id_hash.as_deref() == Some(hash) => {
                    ids.insert(intent.id.clone());
                    true
                }
                Body::Outcome(outcome) => ids.contains(&outcome.id),
                _ => false,
            };
            if wanted {
                found.push(line);
            }
        }
        Ok(found)
    }
}

impl Line {
    /// Everybody whom it names.
    pub fn subjects(&self) -> Box<dyn Iterator<Item = &String> + '_> {
        match &self.body {
            Body::Intent(intent) => {
                Box::new(intent.groups.iter().flat_map(|group| &group.subjects))
            }
            Body::Outcome(outcome) => {
                Box::new(outcome.fates.iter().flat_map(|fate| &fate.subjects))
            }
            _ => Box::new(std::iter::empty()),
        }
    }

    /// Reads one line, without its line end.
    pub(super) fn read(octets: &[u8]) -> Result<Self, serde_json::Error> {
        let opening: Opening = serde_json::from_slice(octets)?;
        let body = match opening.kind.as_str() {
            "start" => Body::Start(serde_json::from_slice(octets)?),
            "intent" => Body::Intent(serde_json::from_slice(octets)?),
            "outcome" => Body::Outcome(serde_json::from_slice(octets)?),
            "gap" => Body::Gap(serde_json::from_slice(octets)?),
            "head" => Body::Head(serde_json::from_slice(octets)?),
            _ => Body::Other(opening.kind),
        };
        Ok(Self {
            node: opening.node,
            seq: opening.seq,
            at: opening.at,
            body,
        })
    }
}

/// What every line begins with.
#[derive(Deserialize)]
struct Opening {
    kind: String,
    node: String,
    seq: u64,
    at: Timestamp,
}

struct FileLines {
    path: PathBuf,
    reader: Option<BufReader<File>>,
    failed: Option<LedgerError>,
    number: u64,
}

impl FileLines {
    fn new(path: &Path) -> Self {
        let opened = File::open(path).map_err(|error| disk(path, &error));
        let (reader, failed) = match opened {
            Ok(file) => (Some(BufReader::new(file)), None),
            Err(error) => (None, Some(error)),
        };
        Self {
            path: path.to_owned(),
            reader,
            failed,
            number: 0,
        }
    }

    fn read(&mut self) -> Result<Option<Line>, LedgerError> {
        let Some(reader) = &mut self.reader else {
            return Ok(None);
        };
        let mut octets = Vec::new();
        reader
            .by_ref()
            .take(LINE_OCTETS_MAX as u64)
            .read_until(b'\n', &mut octets)
            .map_err(|error| disk(&self.path, &error))?;
        self.number += 1;
        let Some(whole) = octets.strip_suffix(b"\n") else {
            return Ok(None);
        };
        let problem = |error| damaged(&self.path, &format!("line {}: {error}", self.number));
        Line::read(whole).map(Some).map_err(problem)
    }
}

impl Iterator for FileLines {
    type Item = Result<Line, LedgerError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(error) = self.failed.take() {
            return Some(Err(error));
        }
        let line = self.read().transpose();
        if !matches!(line, Some(Ok(_))) {
            self.reader = None;
        }
        line
    }
}
