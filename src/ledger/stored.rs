//! The lines of one segment, in whichever form it lies: plain while it grows, packed afterwards.
//!
//! Reads only. Where both forms are there the plain one counts: the packed one may be of an attempt that was cut short. It
//! must never know what a line says; what cannot be read is an error that names the line.

use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::frames::Unpacker;
use super::names::SegmentName;
use super::segments::{damaged, disk};
use super::{LINE_OCTETS_MAX, LedgerError};

/// How much of a file is read at once, in octets.
const READ_OCTETS: usize = 128 * 1024;

/// A segment that is being read.
pub(super) struct Stored {
    /// The file its lines come from.
    pub(super) path: PathBuf,
    /// The line that was read last, from 1.
    pub(super) line: u64,
    /// Octets at the end that are no whole line, known once the end is reached.
    pub(super) unfinished: u64,
    source: Source,
    octets: Vec<u8>,
}

enum Source {
    Plain(BufReader<File>),
    Packed { packed: Packed, at: usize },
}

/// A packed segment, frame by frame.
pub(super) struct Packed {
    reader: BufReader<File>,
    unpacker: Unpacker,
    /// The frame that was read last.
    pub(super) lines: Vec<u8>,
}

/// What keeps a segment from being read on.
#[derive(Debug)]
pub(super) enum Unread {
    /// The disk did not give it.
    Disk(io::Error),
    /// What is there is no segment.
    Damaged(String),
}

impl Packed {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let unpacker = Unpacker::new()?;
        Ok(Self {
            reader: BufReader::with_capacity(READ_OCTETS, File::open(path)?),
            unpacker,
            lines: Vec::new(),
        })
    }

    /// Reads the next frame into `lines`; how many octets of the file it takes, 0 at the end.
    pub(super) fn next(&mut self) -> Result<u64, Unread> {
        let read = self.unpacker.next(&mut self.reader, &mut self.lines);
        read.map_err(|error| match error.kind() {
            // What zstd does not take comes as `Other`, what is cut as `UnexpectedEof`.
            ErrorKind::Other | ErrorKind::InvalidData | ErrorKind::UnexpectedEof => {
                Unread::Damaged(format!("stands in a damaged frame: {error}"))
            }
            _ => Unread::Disk(error),
        })
    }

    /// The next frame is the one at this offset of the file.
    pub(super) fn seek(&mut self, offset: u64) -> io::Result<()> {
        self.reader.seek(SeekFrom::Start(offset)).map(|_| ())
    }
}

impl Stored {
    /// Opens a segment; none where it is there in neither form.
    pub(super) fn open(directory: &Path, name: &SegmentName) -> Result<Option<Self>, LedgerError> {
        // Between the two the plain file may give way to the packed one; then that is there.
        let path = name.plain(directory);
        let source = match File::open(&path) {
            Ok(file) => Source::Plain(BufReader::with_capacity(READ_OCTETS, file)),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Self::open_packed(directory, name);
            }
            Err(error) => return Err(disk(&path, &error)),
        };
        Ok(Some(Self::of(path, source)))
    }

    fn open_packed(directory: &Path, name: &SegmentName) -> Result<Option<Self>, LedgerError> {
        let path = name.packed(directory);
        match Packed::open(&path) {
            Ok(packed) => Ok(Some(Self::of(path, Source::Packed { packed, at: 0 }))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(disk(&path, &error)),
        }
    }

    fn of(path: PathBuf, source: Source) -> Self {
        Self {
            path,
            line: 0,
            unfinished: 0,
            source,
            octets: Vec::new(),
        }
    }

    /// The next line, without its line end.
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>, Unread> {
        self.line += 1;
        match &mut self.source {
            Source::Plain(reader) => {
                self.octets.clear();
                let most = LINE_OCTETS_MAX as u64;
                let read = reader
                    .by_ref()
                    .take(most)
                    .read_until(b'\n', &mut self.octets)
                    .map_err(Unread::Disk)? as u64;
                match self.octets.strip_suffix(b"\n") {
                    Some(whole) => Ok(Some(whole)),
                    None if read >= most => Err(too_long()),
                    None => {
                        self.unfinished = read;
                        Ok(None)
                    }
                }
            }
            Source::Packed { packed, at } => {
                if *at == packed.lines.len() {
                    *at = 0;
                    if packed.next()? == 0 {
                        return Ok(None);
                    }
                }
                let rest = packed.lines.get(*at..).unwrap_or_default();
                let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
                if end >= LINE_OCTETS_MAX {
                    return Err(too_long());
                }
                *at += end + 1;
                Ok(rest.get(..end))
            }
        }
    }

    /// What `next` failed of, as an error that names the file and the line.
    pub(super) fn error(&self, unread: Unread) -> LedgerError {
        match unread {
            Unread::Disk(error) => disk(&self.path, &error),
            Unread::Damaged(problem) => {
                damaged(&self.path, &format!("line {} {problem}", self.line))
            }
        }
    }
}

fn too_long() -> Unread {
    Unread::Damaged(format!("is longer than {LINE_OCTETS_MAX} octets"))
}
