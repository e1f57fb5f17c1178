//! A ledger read back as what was said: for reports, for one person's question, for an auditor.
//!
//! Any number of directories, one after the other. It takes no lock and never writes, so that it can run beside a live
//! relay. What cannot be read is an error that names the file; the unfinished line at the end of a directory that is being
//! written is passed over. Whether the chain holds is `verify`'s question.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use jiff::civil::Date;
use memchr::memmem::Finder;
use serde::Deserialize;

use super::index::{Frame, Unusable, key};
use super::names::{Listing, SegmentName};
use super::segments::{damaged, disk};
use super::stored::{Packed, Stored, Unread};
use super::{Gap, Intent, LedgerError, Outcome, RegisterHead, Start, chain, packed};

/// Several directories, as they were when they were opened.
#[derive(Debug, Clone)]
pub struct Ledgers {
    segments: Vec<Place>,
    remarks: Arc<Mutex<Vec<String>>>,
}

/// One segment of one of them.
#[derive(Debug, Clone)]
struct Place {
    directory: PathBuf,
    name: SegmentName,
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
    /// Notes which segments there are.
    ///
    /// # Errors
    /// When a directory cannot be listed.
    pub fn open(directories: &[PathBuf]) -> Result<Self, LedgerError> {
        let mut segments = Vec::new();
        for directory in directories {
            let listing = Listing::of(directory)?;
            segments.extend(listing.segments.into_keys().map(|name| Place {
                directory: directory.clone(),
                name,
            }));
        }
        Ok(Self {
            segments,
            remarks: Arc::default(),
        })
    }

    /// The days of which there are lines, in order.
    pub fn days(&self) -> Vec<Date> {
        let days: BTreeSet<Date> = self.segments.iter().map(|place| place.name.day).collect();
        days.into_iter().collect()
    }

    /// What an operator should know about the looking up so far: indexes that were missing or damaged.
    pub fn remarks(&self) -> Vec<String> {
        self.remarks
            .lock()
            .map_or_else(|_| Vec::new(), |remarks| remarks.clone())
    }

    fn remark(&self, text: String) {
        if let Ok(mut remarks) = self.remarks.lock() {
            remarks.push(text);
        }
    }

    fn chosen(&self, from: Option<Date>, to: Option<Date>) -> Vec<Place> {
        let segments = self.segments.iter();
        segments
            .filter(|place| from.is_none_or(|from| place.name.day >= from))
            .filter(|place| to.is_none_or(|to| place.name.day <= to))
            .cloned()
            .collect()
    }

    /// Every line of these days (UTC, both included; the day is that of the segment), by directory, then in order.
    pub fn lines(
        &self,
        from: Option<Date>,
        to: Option<Date>,
    ) -> impl Iterator<Item = Result<Line, LedgerError>> + use<> {
        let chosen = self.chosen(from, to);
        chosen.into_iter().flat_map(|place| PlaceLines::new(&place))
    }

    /// Every line of these days as it stands there, without its line end.
    ///
    /// # Errors
    /// When a file cannot be read, or what `each` says.
    pub fn each_raw<E: From<LedgerError>>(
        &self,
        from: Option<Date>,
        to: Option<Date>,
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        for place in self.chosen(from, to) {
            scan(&place, |line| each(line))?;
        }
        Ok(())
    }

    /// The intents and outcomes that name one of these subjects (32 hex digits each). An outcome names everybody whom its
    /// intent names, so both come. Gaps that declare lines void come too, where they stand near: an intent that was
    /// written too late claims what was not done.
    ///
    /// # Errors
    /// When a file cannot be read, or a line that would be shown was changed.
    pub fn of_subjects(
        &self,
        subjects: &[String],
        from: Option<Date>,
        to: Option<Date>,
    ) -> Result<Vec<Line>, LedgerError> {
        let wanted = |line: &Line| match &line.body {
            Body::Gap(gap) => !gap.seqs.is_empty(),
            _ => line.subjects().any(|subject| subjects.contains(subject)),
        };
        let mut texts = subjects.to_vec();
        texts.push("\"kind\":\"gap\"".to_owned());
        let places = self.chosen(from, to);
        let found = self.look_up(&places, subjects, &texts, wanted)?;
        Ok(found.into_iter().map(|(_, line)| line).collect())
    }

    /// The intents of messages with this keyed hash of their Message-ID, and their outcomes.
    ///
    /// # Errors
    /// When a file cannot be read, or a line that would be shown was changed.
    pub fn of_message_id(
        &self,
        hash: &str,
        from: Option<Date>,
        to: Option<Date>,
    ) -> Result<Vec<Line>, LedgerError> {
        let places = self.chosen(from, to);
        let hash = [hash.to_owned()];
        let mut found = self.look_up(&places, &hash, &hash, |line| {
            matches!(&line.body, Body::Intent(intent) if intent.message_id_hash.as_ref() == hash.first())
        })?;
        // An outcome does not repeat the Message-ID: it is found by who is named, and told by the id of the message.
        let mut ids = BTreeSet::new();
        let mut named = BTreeSet::new();
        for (_, line) in &found {
            if let Body::Intent(intent) = &line.body {
                ids.insert(intent.id.clone());
                named.extend(line.subjects().next().cloned());
            }
        }
        let (ids, named) = (Vec::from_iter(ids), Vec::from_iter(named));
        found.extend(self.look_up(
            &places,
            &named,
            &ids,
            |line| matches!(&line.body, Body::Outcome(outcome) if ids.contains(&outcome.id)),
        )?);
        found.sort_by_key(|(place, line)| (*place, line.seq));
        Ok(found.into_iter().map(|(_, line)| line).collect())
    }

    /// Lines that are wanted, among those in which one of the `texts` stands, among those that the index finds by the
    /// hashes; with the number of their segment.
    fn look_up(
        &self,
        places: &[Place],
        hashes: &[String],
        texts: &[String],
        wanted: impl Fn(&Line) -> bool,
    ) -> Result<Vec<(usize, Line)>, LedgerError> {
        // A hash too short for the index could stand anywhere, or nowhere: it is looked for everywhere.
        let keys: Option<Vec<u64>> = hashes.iter().map(|hash| key(hash)).collect();
        let finders: Vec<Finder<'_>> = texts.iter().map(Finder::new).collect();
        let mut found = Vec::new();
        for (number, place) in places.iter().enumerate() {
            let mut each = |line: &[u8]| {
                if !finders.iter().any(|finder| finder.find(line).is_some()) {
                    return Ok(());
                }
                let line = place.line(line)?;
                if wanted(&line) {
                    found.push((number, line));
                }
                Ok(())
            };
            match keys.as_ref().map(|keys| self.frames(place, keys)) {
                Some(Some(frames)) => scan_frames(place, &frames, &mut each)?,
                _ => scan(place, &mut each)?,
            }
        }
        Ok(found)
    }

    /// The frames of a packed segment in which these keys stand; none where it must be read whole.
    fn frames(&self, place: &Place, keys: &[u64]) -> Option<Vec<Frame>> {
        let (directory, name) = (&place.directory, &place.name);
        if name.plain(directory).exists() {
            return None;
        }
        let index = packed::index(directory, name);
        let missing = Unusable::Damaged("is missing, damaged, or of another file");
        let frames = index.ok_or(missing).and_then(|index| index.frames_of(keys));
        frames
            .map_err(|error| {
                let path = name.index(directory);
                let path = path.display();
                self.remark(format!("{path} {error}: the whole segment was read; remove it, and the relay makes it anew"));
            })
            .ok()
    }
}

impl Place {
    /// A line that is going to be shown: it must be the one that was written.
    fn line(&self, octets: &[u8]) -> Result<Line, LedgerError> {
        let path = self.directory.join(self.name.to_string());
        let problem = |problem: String| damaged(&path, &format!("holds a line that {problem}"));
        chain::read(octets).map_err(|error| problem(error.to_string()))?;
        Line::read(octets).map_err(|error| problem(format!("cannot be understood: {error}")))
    }
}

/// Gives every line of a segment; one that was dropped since it was listed has none.
fn scan<E: From<LedgerError>>(
    place: &Place,
    mut each: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let Some(mut stored) = Stored::open(&place.directory, &place.name)? else {
        return Ok(());
    };
    loop {
        match stored.next() {
            Ok(Some(line)) => each(line)?,
            Ok(None) => return Ok(()),
            Err(unread) => return Err(stored.error(unread).into()),
        }
    }
}

/// Gives every line of some frames of a packed segment.
fn scan_frames(
    place: &Place,
    frames: &[Frame],
    mut each: impl FnMut(&[u8]) -> Result<(), LedgerError>,
) -> Result<(), LedgerError> {
    if frames.is_empty() {
        return Ok(());
    }
    let path = place.name.packed(&place.directory);
    let failed = |error| disk(&path, &error);
    let mut packed = Packed::open(&path).map_err(failed)?;
    for frame in frames {
        packed.seek(frame.offset).map_err(failed)?;
        let read = packed.next();
        let seqs = format!("lines {} to {}", frame.first_seq, frame.last_seq);
        match read {
            Ok(octets) if octets == u64::from(frame.packed) => {}
            Ok(_) => {
                return Err(damaged(
                    &path,
                    &format!("{seqs} are not where the index says"),
                ));
            }
            Err(Unread::Damaged(problem)) => {
                return Err(damaged(&path, &format!("what holds {seqs} {problem}")));
            }
            Err(Unread::Disk(error)) => return Err(failed(error)),
        }
        let lines = packed.lines.split_inclusive(|octet| *octet == b'\n');
        for line in lines {
            each(line.strip_suffix(b"\n").unwrap_or(line))?;
        }
    }
    Ok(())
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

struct PlaceLines {
    stored: Option<Stored>,
    failed: Option<LedgerError>,
}

impl PlaceLines {
    fn new(place: &Place) -> Self {
        match Stored::open(&place.directory, &place.name) {
            Ok(stored) => Self {
                stored,
                failed: None,
            },
            Err(error) => Self {
                stored: None,
                failed: Some(error),
            },
        }
    }

    fn read(&mut self) -> Option<Result<Line, LedgerError>> {
        let stored = self.stored.as_mut()?;
        let line = match stored.next() {
            Ok(line) => line.map(Line::read),
            Err(unread) => return Some(Err(stored.error(unread))),
        };
        let problem =
            |error| stored.error(Unread::Damaged(format!("cannot be understood: {error}")));
        line.map(|line| line.map_err(problem))
    }
}

impl Iterator for PlaceLines {
    type Item = Result<Line, LedgerError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(error) = self.failed.take() {
            return Some(Err(error));
        }
        let line = self.read();
        if !matches!(line, Some(Ok(_))) {
            self.stored = None;
        }
        line
    }
}
