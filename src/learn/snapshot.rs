//! The table as octets: in a file of its own, and with its key for another machine.
//!
//! A line that names the format, the key (exported) or its fingerprint (kept), the slots from the one seen longest ago to the
//! one seen last, a SHA-256 of all that. Hashes, counts and days stand in it, nothing else. Whatever does not read back exactly is
//! no table; nothing of it is taken.

use std::fs::File;
use std::io::{self, Read as _, Write};
use std::path::Path;

use ring::digest::{Context, SHA256};

use super::LearnError;
use super::disk;
use super::key::{self, Key};
use super::sketch::Least;
use super::slot::{Period, Slot};
use super::url::{BESIDE, SAMPLE, Spread, Url, Urls};

const TABLE: &[u8] = b"pixelgate-learn-table 1\n";
const EXPORT: &[u8] = b"pixelgate-learn-export 1\n";
const DIGEST_OCTETS: usize = 32;

/// Before a slot, and behind the last.
const ANOTHER: u8 = 1;
const NO_MORE: u8 = 0;

/// Writes a table piece by piece.
pub(super) struct Writer<'a> {
    to: &'a mut dyn Write,
    digest: Context,
    piece: Vec<u8>,
}

impl<'a> Writer<'a> {
    /// A table that stays with its key.
    pub(super) fn table(to: &'a mut dyn Write, key: &Key) -> io::Result<Self> {
        Self::new(to, TABLE, &key.fingerprint())
    }

    /// A table that takes its key along.
    pub(super) fn export(to: &'a mut dyn Write, key: &Key) -> io::Result<Self> {
        Self::new(to, EXPORT, key.value())
    }

    fn new(to: &'a mut dyn Write, format: &[u8], key: &[u8]) -> io::Result<Self> {
        let mut writer = Self {
            to,
            digest: Context::new(&SHA256),
            piece: [format, key].concat(),
        };
        writer.put()?;
        Ok(writer)
    }

    /// Adds a slot to what [`Self::put`] will write: nobody waits for the disk while a slot is held.
    pub(super) fn slot(&mut self, key: u64, slot: &Slot) {
        self.piece.push(ANOTHER);
        self.piece.extend(key.to_be_bytes());
        self.period(&slot.now);
        self.piece.push(u8::from(slot.before.is_some()));
        if let Some(before) = &slot.before {
            self.period(before);
        }
    }

    pub(super) fn end(mut self) -> io::Result<()> {
        self.piece.push(NO_MORE);
        self.put()?;
        self.to.write_all(self.digest.finish().as_ref())
    }

    pub(super) fn put(&mut self) -> io::Result<()> {
        self.digest.update(&self.piece);
        self.to.write_all(&self.piece)?;
        self.piece.clear();
        Ok(())
    }

    fn number(&mut self, number: u32) {
        self.piece.extend(number.to_be_bytes());
    }

    /// Nothing that is kept has more than 255 of anything.
    fn few(&mut self, count: usize) {
        self.piece.push(u8::try_from(count).unwrap_or(u8::MAX));
    }

    fn least<const K: usize>(&mut self, sketch: &Least<K>) {
        self.few(sketch.values().len());
        for value in sketch.values() {
            self.number(*value);
        }
    }

    fn period(&mut self, period: &Period) {
        self.number(period.begun);
        self.least(&period.people);
        self.piece.push(u8::from(period.transactions.is_some()));
        if let Some(transactions) = &period.transactions {
            self.least(transactions);
        }
        self.urls(&period.urls.sample);
        self.urls(&period.urls.beside);
    }

    fn urls(&mut self, urls: &[Url]) {
        self.few(urls.len());
        for url in urls {
            self.number(url.hash);
            self.number(url.person);
            self.piece.push(u8::from(url.spread.is_some()));
            if let Some(spread) = &url.spread {
                self.least(&spread.people);
                self.least(&spread.transactions);
            }
        }
    }
}

/// What a file holds.
pub(super) enum Holds {
    /// Slots made under the key with this fingerprint.
    Table([u8; key::FINGERPRINT_OCTETS], Vec<(u64, Box<Slot>)>),
    /// Slots and their key.
    Export(Key, Vec<(u64, Box<Slot>)>),
}

/// Reads a file of at most so many octets; `None` where there is none.
pub(super) fn read(path: &Path, most: u64) -> Result<Option<Holds>, LearnError> {
    let failed = disk::failed("reading", path);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut octets = Vec::new();
    let length = file.take(most.saturating_add(1)).read_to_end(&mut octets);
    if length.map_err(failed)? as u64 > most {
        return Err(damaged(path));
    }
    parse(&octets).map(Some).ok_or_else(|| damaged(path))
}

fn damaged(path: &Path) -> LearnError {
    LearnError::Damaged {
        path: path.to_owned(),
    }
}

fn parse(octets: &[u8]) -> Option<Holds> {
    let (content, digest) = octets.split_at_checked(octets.len().checked_sub(DIGEST_OCTETS)?)?;
    if ring::digest::digest(&SHA256, content).as_ref() != digest {
        return None;
    }
    if let Some(rest) = content.strip_prefix(TABLE) {
        let (fingerprint, rest) = rest.split_first_chunk()?;
        return Some(Holds::Table(*fingerprint, Reader { rest }.slots()?));
    }
    let rest = content.strip_prefix(EXPORT)?;
    let (value, rest) = rest.split_first_chunk()?;
    Some(Holds::Export(Key::new(*value), Reader { rest }.slots()?))
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn octets<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (octets, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*octets)
    }

    fn few(&mut self) -> Option<usize> {
        self.octets::<1>().map(|[count]| usize::from(count))
    }

    fn yes(&mut self) -> Option<bool> {
        match self.octets()? {
            [0] => Some(false),
            [1] => Some(true),
            _ => None,
        }
    }

    fn number(&mut self) -> Option<u32> {
        self.octets().map(u32::from_be_bytes)
    }

    fn least<const K: usize>(&mut self) -> Option<Least<K>> {
        let count = self.few()?;
        let values: Option<Vec<u32>> = (0..count).map(|_| self.number()).collect();
        Least::of(values?)
    }

    fn slots(mut self) -> Option<Vec<(u64, Box<Slot>)>> {
        let mut slots = Vec::new();
        while self.octets()? == [ANOTHER] {
            let key = u64::from_be_bytes(self.octets()?);
            let now = self.period()?;
            let before = match self.yes()? {
                true => Some(Box::new(self.period()?)),
                false => None,
            };
            slots.push((key, Box::new(Slot { now, before })));
        }
        self.rest.is_empty().then_some(slots)
    }

    fn period(&mut self) -> Option<Period> {
        let begun = self.number()?;
        let people = self.least()?;
        let transactions = match self.yes()? {
            true => Some(self.least()?),
            false => None,
        };
        let (sample, beside) = (self.urls(SAMPLE)?, self.urls(BESIDE)?);
        let ascending = sample.is_sorted_by(|one, next| one.hash < next.hash);
        ascending.then_some(Period {
            begun,
            people,
            transactions,
            urls: Urls { sample, beside },
        })
    }

    fn urls(&mut self, most: usize) -> Option<Vec<Url>> {
        let count = self.few().filter(|count| *count <= most)?;
        let url = |_| {
            let (hash, person) = (self.number()?, self.number()?);
            let spread = match self.yes()? {
                true => Some(Box::new(Spread {
                    people: self.least()?,
                    transactions: self.least()?,
                })),
                false => None,
            };
            Some(Url {
                hash,
                person,
                spread,
            })
        };
        (0..count).map(url).collect()
    }
}
