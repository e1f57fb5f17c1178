//! The index beside a packed segment: which frames name a subject or a message, and where the frames are.
//!
//! Pages of 4 KiB, each with a checksum of its own, so that it is searched without being read: a head page with what the
//! segment holds, a table of frames, then keys in order. A key is the first 64 bits of a subject or of the keyed hash of a
//! Message-ID; who shares them with somebody else costs one frame more to look at, since every line is compared in full.
//! It must never be believed where it is damaged: that is an error, and whoever reads scans instead.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use ring::digest;
use serde::Deserialize;
use thiserror::Error;

use super::chain::{self, Head};

const MAGIC: &[u8; 8] = b"pxgidx\0\x01";
const PAGE_OCTETS: usize = 4096;
const CHECKSUM_OCTETS: usize = 16;
const ROOM_OCTETS: usize = PAGE_OCTETS - CHECKSUM_OCTETS;
/// Key and number of a frame.
const KEY_OCTETS: usize = 12;
const KEYS_PER_PAGE: u64 = (ROOM_OCTETS / KEY_OCTETS) as u64;
/// See [`Frame`].
const FRAME_OCTETS: usize = 96;
const FRAMES_PER_PAGE: u64 = (ROOM_OCTETS / FRAME_OCTETS) as u64;
/// Digits of a key.
const KEY_DIGITS: usize = 16;

/// Why an index is not used.
#[derive(Debug, Error)]
pub(super) enum Unusable {
    /// The disk did not give it, or it is not there.
    #[error("{0}")]
    Disk(#[from] io::Error),
    /// It is not what was written.
    #[error("{0}")]
    Damaged(&'static str),
}

/// What a whole segment holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) lines: u64,
    pub(super) first_seq: u64,
    /// The hash on which its first line hangs, hex.
    pub(super) first_prev: String,
    /// Its last line.
    pub(super) last: Head,
    /// Length of the packed file, in octets.
    pub(super) packed: u64,
}

/// One frame of the packed file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) offset: u64,
    /// Its length, packed and not, in octets.
    pub(super) packed: u32,
    pub(super) octets: u32,
    pub(super) first_seq: u64,
    pub(super) last_seq: u64,
    /// Hashes of its first and last line, hex.
    pub(super) first_hash: String,
    pub(super) last_hash: String,
}

/// The first 64 bits of a hash in hex; none where it is no such thing.
pub(super) fn key(hash: &str) -> Option<u64> {
    u64::from_str_radix(hash.get(..KEY_DIGITS)?, 16).ok()
}

/// An index in the making. It reads every line, so that what does not hang together is never packed.
#[derive(Debug)]
pub(super) struct Builder {
    frames: Vec<Frame>,
    keys: Vec<(u64, u32)>,
    lines: u64,
    first_prev: String,
    last: Option<Head>,
}

/// What a line is found by.
#[derive(Deserialize)]
struct Keyed {
    #[serde(default)]
    message_id_hash: Option<String>,
    #[serde(default)]
    groups: Vec<Named>,
    #[serde(default)]
    fates: Vec<Named>,
}

#[derive(Deserialize)]
struct Named {
    subjects: Vec<String>,
}

impl Builder {
    pub(super) fn new() -> Self {
        Self {
            frames: Vec::new(),
            keys: Vec::new(),
            lines: 0,
            first_prev: String::new(),
            last: None,
        }
    }

    /// Takes the lines of the next frame, which takes `packed` octets of the file.
    pub(super) fn frame(&mut self, lines: &[u8], packed: u64) -> Result<(), String> {
        let number = u32::try_from(self.frames.len()).map_err(|_| "too many frames".to_owned())?;
        let mut first = None;
        let mut keys = Vec::new();
        for line in lines.split_inclusive(|octet| *octet == b'\n') {
            self.lines += 1;
            let problem = |text: String| format!("line {} {text}", self.lines);
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            let link = chain::read(line).map_err(|error| problem(error.to_string()))?;
            match &self.last {
                Some(last) if link.seq != last.seq + 1 || link.prev != last.hash => {
                    return Err(problem("does not hang on the line before it".to_owned()));
                }
                Some(_) => {}
                None => self.first_prev = link.prev,
            }
            let keyed: Keyed =
                serde_json::from_slice(line).map_err(|error| problem(error.to_string()))?;
            let named = keyed.groups.iter().chain(&keyed.fates);
            let hashes = named
                .flat_map(|named| &named.subjects)
                .chain(&keyed.message_id_hash);
            keys.extend(hashes.filter_map(|hash| key(hash)));
            let head = Head {
                seq: link.seq,
                hash: link.hash,
            };
            first.get_or_insert_with(|| head.clone());
            self.last = Some(head);
        }
        keys.sort_unstable();
        keys.dedup();
        self.keys.extend(keys.into_iter().map(|key| (key, number)));
        let (Some(first), Some(last)) = (first, &self.last) else {
            return Err("a frame without lines".to_owned());
        };
        let number = |octets| u32::try_from(octets).map_err(|_| "too large a frame".to_owned());
        self.frames.push(Frame {
            offset: self.packed(),
            packed: number(packed)?,
            octets: number(lines.len() as u64)?,
            first_seq: first.seq,
            last_seq: last.seq,
            first_hash: first.hash,
            last_hash: last.hash.clone(),
        });
        Ok(())
    }

    /// How many lines it was given.
    pub(super) fn lines(&self) -> u64 {
        self.lines
    }

    /// How many octets of the packed file its frames take.
    fn packed(&self) -> u64 {
        let end = |frame: &Frame| frame.offset + u64::from(frame.packed);
        self.frames.last().map_or(0, end)
    }

    /// What the segment holds; none where it holds no line.
    pub(super) fn summary(&self) -> Option<Summary> {
        Some(Summary {
            lines: self.lines,
            first_seq: self.frames.first()?.first_seq,
            first_prev: self.first_prev.clone(),
            last: self.last.clone()?,
            packed: self.packed(),
        })
    }

    /// Writes the index and brings it to disk.
    pub(super) fn write(mut self, path: &Path) -> io::Result<()> {
        let empty = || io::Error::new(io::ErrorKind::InvalidInput, "no lines");
        let summary = self.summary().ok_or_else(empty)?;
        self.keys.sort_unstable();
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path)?;
        let mut pages = Pages {
            file: BufWriter::new(file),
            number: 0,
        };
        let mut head = Vec::from(MAGIC);
        let counts = [self.frames.len() as u64, self.keys.len() as u64];
        let seqs = [summary.lines, summary.first_seq, summary.last.seq];
        for number in counts.iter().chain(&seqs).chain([&summary.packed]) {
            head.extend(number.to_le_bytes());
        }
        head.extend(binary(&summary.first_prev)?);
        head.extend(binary(&summary.last.hash)?);
        pages.page(&head)?;
        for frames in self.frames.chunks(FRAMES_PER_PAGE as usize) {
            let mut page = Vec::with_capacity(ROOM_OCTETS);
            for frame in frames {
                frame.write(&mut page)?;
            }
            pages.page(&page)?;
        }
        for keys in self.keys.chunks(KEYS_PER_PAGE as usize) {
            let mut page = Vec::with_capacity(ROOM_OCTETS);
            for (key, frame) in keys {
                page.extend(key.to_le_bytes());
                page.extend(frame.to_le_bytes());
            }
            pages.page(&page)?;
        }
        pages
            .file
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?
            .sync_all()
    }
}

struct Pages<W> {
    file: W,
    number: u64,
}

impl<W: Write> Pages<W> {
    fn page(&mut self, content: &[u8]) -> io::Result<()> {
        let mut page = content.to_vec();
        page.resize(ROOM_OCTETS, 0);
        let checksum = checksum(self.number, &page);
        self.file.write_all(&page)?;
        self.file.write_all(&checksum)?;
        self.number += 1;
        Ok(())
    }
}

/// The number is part of it: a page of another place does not fit.
fn checksum(number: u64, content: &[u8]) -> Vec<u8> {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(&number.to_le_bytes());
    context.update(content);
    let digest = context.finish();
    digest
        .as_ref()
        .iter()
        .copied()
        .take(CHECKSUM_OCTETS)
        .collect()
}

impl Frame {
    fn write(&self, page: &mut Vec<u8>) -> io::Result<()> {
        page.extend(self.offset.to_le_bytes());
        page.extend(self.packed.to_le_bytes());
        page.extend(self.octets.to_le_bytes());
        page.extend(self.first_seq.to_le_bytes());
        page.extend(self.last_seq.to_le_bytes());
        page.extend(binary(&self.first_hash)?);
        page.extend(binary(&self.last_hash)?);
        Ok(())
    }

    fn read(cut: &mut Cut<'_>) -> Option<Self> {
        Some(Self {
            offset: cut.u64()?,
            packed: cut.u32()?,
            octets: cut.u32()?,
            first_seq: cut.u64()?,
            last_seq: cut.u64()?,
            first_hash: cut.hash()?,
            last_hash: cut.hash()?,
        })
    }
}

/// An index that is being searched.
#[derive(Debug)]
pub(super) struct Index {
    file: File,
    frames: u64,
    keys: u64,
    pub(super) summary: Summary,
}

impl Index {
    /// Reads the head page, and that the file is as long as it says.
    pub(super) fn open(path: &Path) -> Result<Self, Unusable> {
        let file = File::open(path)?;
        let octets = file.metadata()?.len();
        let page = page(&file, 0)?;
        let mut cut = Cut(&page);
        if cut.take(MAGIC.len()) != Some(MAGIC) {
            return Err(Unusable::Damaged("is no index that this version knows"));
        }
        let short = Unusable::Damaged("its head page is too short");
        let read = |cut: &mut Cut<'_>| {
            let (frames, keys) = (cut.u64()?, cut.u64()?);
            let (lines, first_seq, last_seq, packed) =
                (cut.u64()?, cut.u64()?, cut.u64()?, cut.u64()?);
            let (first_prev, hash) = (cut.hash()?, cut.hash()?);
            let last = Head {
                seq: last_seq,
                hash,
            };
            let summary = Summary {
                lines,
                first_seq,
                first_prev,
                last,
                packed,
            };
            Some((frames, keys, summary))
        };
        let (frames, keys, summary) = read(&mut cut).ok_or(short)?;
        let index = Self {
            file,
            frames,
            keys,
            summary,
        };
        let pages = 1 + index.frame_pages() + index.key_pages();
        match pages.checked_mul(PAGE_OCTETS as u64) == Some(octets) {
            true => Ok(index),
            false => Err(Unusable::Damaged("does not have the length that it says")),
        }
    }

    /// Reads every page.
    pub(super) fn check(path: &Path) -> Result<Self, Unusable> {
        let index = Self::open(path)?;
        for number in 0..1 + index.frame_pages() + index.key_pages() {
            page(&index.file, number)?;
        }
        Ok(index)
    }

    fn frame_pages(&self) -> u64 {
        self.frames.div_ceil(FRAMES_PER_PAGE)
    }

    fn key_pages(&self) -> u64 {
        self.keys.div_ceil(KEYS_PER_PAGE)
    }

    /// The last frame.
    pub(super) fn last_frame(&self) -> Result<Frame, Unusable> {
        let none = Unusable::Damaged("has no frames");
        self.frame(self.frames.checked_sub(1).ok_or(none)?)
    }

    fn frame(&self, number: u64) -> Result<Frame, Unusable> {
        let none = Unusable::Damaged("names a frame that is not there");
        if number >= self.frames {
            return Err(none);
        }
        let page = page(&self.file, 1 + number / FRAMES_PER_PAGE)?;
        let at = (number % FRAMES_PER_PAGE) as usize * FRAME_OCTETS;
        let mut cut = Cut(page.get(at..).unwrap_or_default());
        Frame::read(&mut cut).ok_or(none)
    }

    /// The frames in which these keys stand, in order, each once.
    pub(super) fn frames_of(&self, keys: &[u64]) -> Result<Vec<Frame>, Unusable> {
        let mut numbers = Vec::new();
        for key in keys {
            self.search(*key, &mut numbers)?;
        }
        numbers.sort_unstable();
        numbers.dedup();
        numbers
            .into_iter()
            .map(|number| self.frame(number))
            .collect()
    }

    fn search(&self, wanted: u64, numbers: &mut Vec<u64>) -> Result<(), Unusable> {
        // The first page whose last key is not below the wanted one; from there on as long as it stands there.
        let (mut low, mut high) = (0, self.key_pages());
        let mut held: Option<(u64, Vec<(u64, u32)>)> = None;
        while low < high {
            let middle = low + (high - low) / 2;
            let page = self.keys(middle)?;
            match page.last().is_some_and(|(key, _)| *key < wanted) {
                true => low = middle + 1,
                false => {
                    high = middle;
                    held = Some((middle, page));
                }
            }
        }
        for number in low..self.key_pages() {
            let page = match held.take() {
                Some((held, page)) if held == number => page,
                _ => self.keys(number)?,
            };
            let same = page.iter().filter(|(key, _)| *key == wanted);
            numbers.extend(same.map(|(_, frame)| u64::from(*frame)));
            if page.last().is_none_or(|(key, _)| *key > wanted) {
                break;
            }
        }
        Ok(())
    }

    fn keys(&self, number: u64) -> Result<Vec<(u64, u32)>, Unusable> {
        let before = number * KEYS_PER_PAGE;
        let count = self.keys.saturating_sub(before).min(KEYS_PER_PAGE);
        let page = page(&self.file, 1 + self.frame_pages() + number)?;
        let mut cut = Cut(&page);
        let keys = (0..count).map(|_| Some((cut.u64()?, cut.u32()?)));
        let keys: Option<Vec<_>> = keys.collect();
        keys.ok_or(Unusable::Damaged("a page of keys is too short"))
    }
}

/// The content of a page, checked.
fn page(file: &File, number: u64) -> Result<Vec<u8>, Unusable> {
    let mut page = vec![0; PAGE_OCTETS];
    file.read_exact_at(&mut page, number * PAGE_OCTETS as u64)?;
    let sum = page.split_off(ROOM_OCTETS);
    match checksum(number, &page) == sum {
        true => Ok(page),
        false => Err(Unusable::Damaged("a page does not fit its checksum")),
    }
}

/// Octets that are read from the front.
struct Cut<'a>(&'a [u8]);

impl<'a> Cut<'a> {
    fn take(&mut self, octets: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(octets)?;
        self.0 = rest;
        Some(taken)
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn hash(&mut self) -> Option<String> {
        Some(chain::hex(self.take(32)?))
    }
}

/// A SHA-256 in hex as octets.
fn binary(hash: &str) -> io::Result<Vec<u8>> {
    let wrong = || io::Error::new(io::ErrorKind::InvalidInput, "no SHA-256 in hex");
    let digit = |octet: &u8| char::from(*octet).to_digit(16);
    let pairs = hash.as_bytes().chunks_exact(2);
    let octets = pairs.map(|pair| match pair {
        [high, low] => Some((digit(high)? * 16 + digit(low)?) as u8),
        _ => None,
    });
    let octets: Vec<u8> = octets.collect::<Option<_>>().ok_or_else(wrong)?;
    match octets.len() {
        32 => Ok(octets),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
#[path = "index_tests.rs"]
mod tests;
