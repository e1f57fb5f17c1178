//! A closed segment packed, its index written, its last line found again.
//!
//! Whatever moment the machine stops at, the lines lie whole in one form at least: the packed file gets its name once it is
//! on disk and was read back, and only when that name and the index are on disk does the plain file go. What does not hang
//! together is left as it lies: an error, never a repair. It must never know when or why it is called.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use ring::digest::{Context, SHA256};

use super::LedgerError;
use super::chain::{self, Head};
use super::frames::{FRAME_OCTETS, Packer};
use super::index::{Builder, Index, Summary};
use super::names::{SegmentName, unfinished};
use super::segments::{damaged, disk, sync_directory};
use super::stored::{Packed, Stored, Unread};
use super::turn::crash_point;

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// The segment lies packed, with its index.
    Packed,
    /// It held nothing and is gone.
    Empty,
    /// We were asked to stop; nothing changed.
    Stopped,
}

/// Packs a closed segment.
pub(super) fn pack(
    directory: &Path,
    name: &SegmentName,
    stop: &AtomicBool,
) -> Result<Ended, LedgerError> {
    let plain = name.plain(directory);
    let packed = name.packed(directory);
    let octets = plain
        .metadata()
        .map_err(|error| disk(&plain, &error))?
        .len();
    let there = packed.try_exists().map_err(|error| disk(&packed, &error))?;
    match (octets, there) {
        (0, false) => {
            remove(directory, &plain)?;
            return Ok(Ended::Empty);
        }
        (_, true) => match same(directory, name)? {
            Some(true) => return settle(directory, name).map(|()| Ended::Packed),
            Some(false) => {
                let problem = "and its packed form differ; neither is touched";
                return Err(damaged(&plain, problem));
            }
            // An attempt that the disk spoilt: the plain file is whole, it is made again.
            None if octets > 0 => {}
            None => {
                return Err(damaged(
                    &packed,
                    "cannot be read, and its plain form is empty",
                ));
            }
        },
        _ => {}
    }
    let aside = unfinished(&packed);
    let made = make(directory, name, &aside, stop);
    if !matches!(made, Ok(Some(_))) {
        // What cannot be removed now is removed as a leftover at the next turn.
        let _ = std::fs::remove_file(&aside);
    }
    let Some(builder) = made? else {
        return Ok(Ended::Stopped);
    };
    crash_point("packed_aside");
    rename(&aside, &packed)?;
    crash_point("packed_named");
    write_index(directory, name, builder)?;
    settle(directory, name)?;
    Ok(Ended::Packed)
}

/// Writes the packed file under its unfinished name, brings it to disk and reads it back. None: asked to stop.
fn make(
    directory: &Path,
    name: &SegmentName,
    aside: &Path,
    stop: &AtomicBool,
) -> Result<Option<Builder>, LedgerError> {
    let failed = |error: io::Error| disk(aside, &error);
    let mut packer = Packer::new().map_err(failed)?;
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(aside)
        .map_err(failed)?;
    let mut file = BufWriter::new(file);
    let mut plain = Context::new(&SHA256);
    let builder = build(directory, name, |lines| {
        if stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        plain.update(lines);
        let frame = packer.pack(lines).map_err(failed)?;
        file.write_all(&frame).map_err(failed)?;
        Ok(Some(frame.len() as u64))
    })?;
    let Some(builder) = builder else {
        return Ok(None);
    };
    let file = file
        .into_inner()
        .map_err(|error| failed(error.into_error()))?;
    file.sync_all().map_err(failed)?;
    let read_back = digest(aside)?;
    match read_back.as_ref().map(AsRef::as_ref) == Some(plain.finish().as_ref()) {
        true => Ok(Some(builder)),
        false => Err(damaged(aside, "does not read back as what was packed")),
    }
}

/// Reads a segment frame by frame, giving the lines of each to `sink`, which says how many octets the frame takes packed.
/// None as soon as `sink` says none.
fn build(
    directory: &Path,
    name: &SegmentName,
    mut sink: impl FnMut(&[u8]) -> Result<Option<u64>, LedgerError>,
) -> Result<Option<Builder>, LedgerError> {
    let gone = || disk(&name.plain(directory), &ErrorKind::NotFound.into());
    let mut stored = Stored::open(directory, name)?.ok_or_else(gone)?;
    let path = stored.path.clone();
    let mut builder = Builder::new();
    let mut frame = Vec::with_capacity(2 * FRAME_OCTETS);
    loop {
        let line = match stored.next() {
            Ok(line) => line,
            Err(unread) => return Err(stored.error(unread)),
        };
        let ended = line.is_none();
        if let Some(line) = line {
            frame.extend_from_slice(line);
            frame.push(b'\n');
        }
        if frame.len() >= FRAME_OCTETS || (ended && !frame.is_empty()) {
            let Some(packed) = sink(&frame)? else {
                return Ok(None);
            };
            let taken = builder.frame(&frame, packed);
            taken.map_err(|problem| damaged(&path, &problem))?;
            frame.clear();
        }
        if ended {
            break;
        }
    }
    match stored.unfinished {
        0 => Ok(Some(builder)),
        _ => Err(damaged(&path, "is closed and does not end with a line")),
    }
}

/// SHA-256 of what a packed file holds; none where it cannot be unpacked.
fn digest(path: &Path) -> Result<Option<ring::digest::Digest>, LedgerError> {
    let mut packed = Packed::open(path).map_err(|error| disk(path, &error))?;
    let mut context = Context::new(&SHA256);
    loop {
        match packed.next() {
            Ok(0) => return Ok(Some(context.finish())),
            Ok(_) => context.update(&packed.lines),
            Err(Unread::Damaged(_)) => return Ok(None),
            Err(Unread::Disk(error)) => return Err(disk(path, &error)),
        }
    }
}

/// Whether both forms hold the same; none where the packed one cannot be read.
fn same(directory: &Path, name: &SegmentName) -> Result<Option<bool>, LedgerError> {
    let path = name.plain(directory);
    let mut plain = File::open(&path).map_err(|error| disk(&path, &error))?;
    let mut context = Hashing(Context::new(&SHA256));
    io::copy(&mut plain, &mut context).map_err(|error| disk(&path, &error))?;
    let plain = context.0.finish();
    let packed = digest(&name.packed(directory))?;
    Ok(packed.map(|packed| packed.as_ref() == plain.as_ref()))
}

struct Hashing(Context);

impl Write for Hashing {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.update(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The packed file has its name: index and directory are brought to disk, then the plain file goes.
fn settle(directory: &Path, name: &SegmentName) -> Result<(), LedgerError> {
    if index(directory, name).is_none() {
        index_again(directory, name)?;
    }
    sync_directory(directory)?;
    crash_point("index_named");
    remove(directory, &name.plain(directory))?;
    crash_point("plain_gone");
    Ok(())
}

/// The index of a packed segment; none where it is not there, damaged, or of another file.
pub(super) fn index(directory: &Path, name: &SegmentName) -> Option<Index> {
    let index = Index::open(&name.index(directory)).ok()?;
    let octets = name.packed(directory).metadata().ok()?.len();
    (index.summary.packed == octets).then_some(index)
}

/// Makes the index of a packed segment anew.
pub(super) fn index_again(directory: &Path, name: &SegmentName) -> Result<(), LedgerError> {
    write_index(directory, name, builder(directory, name)?)
}

/// Reads a packed segment for its index.
fn builder(directory: &Path, name: &SegmentName) -> Result<Builder, LedgerError> {
    let path = name.packed(directory);
    let mut packed = Packed::open(&path).map_err(|error| disk(&path, &error))?;
    let mut builder = Builder::new();
    loop {
        match packed.next() {
            Ok(0) => return Ok(builder),
            Ok(octets) => {
                let taken = builder.frame(&packed.lines, octets);
                taken.map_err(|problem| damaged(&path, &problem))?;
            }
            Err(Unread::Damaged(problem)) => {
                let problem = format!("what follows line {} {problem}", builder.lines());
                return Err(damaged(&path, &problem));
            }
            Err(Unread::Disk(error)) => return Err(disk(&path, &error)),
        }
    }
}

fn write_index(directory: &Path, name: &SegmentName, builder: Builder) -> Result<(), LedgerError> {
    let path = name.index(directory);
    let aside = unfinished(&path);
    builder.write(&aside).map_err(|error| {
        let _ = std::fs::remove_file(&aside);
        disk(&aside, &error)
    })?;
    crash_point("index_aside");
    rename(&aside, &path)
}

/// What a closed segment holds, from its index or by reading it; none where it holds nothing.
pub(super) fn summary(
    directory: &Path,
    name: &SegmentName,
) -> Result<Option<Summary>, LedgerError> {
    if name.plain(directory).exists() {
        let built = build(directory, name, |_| Ok(Some(0)))?;
        return Ok(built.and_then(|builder| builder.summary()));
    }
    match index(directory, name) {
        Some(index) => Ok(Some(index.summary)),
        None => Ok(builder(directory, name)?.summary()),
    }
}

/// The last line of a packed segment.
pub(super) fn end(directory: &Path, name: &SegmentName) -> Result<Head, LedgerError> {
    let path = name.packed(directory);
    let indexed = index(directory, name).and_then(|index| {
        let frame = index.last_frame().ok()?;
        let mut packed = Packed::open(&path).ok()?;
        packed.seek(frame.offset).ok()?;
        packed.next().ok()?;
        let line = packed.lines.strip_suffix(b"\n")?;
        let begin = memchr::memrchr(b'\n', line).map_or(0, |at| at + 1);
        let link = chain::read(line.get(begin..)?).ok()?;
        (link.hash == index.summary.last.hash).then_some(index.summary.last)
    });
    match indexed {
        Some(head) => Ok(head),
        None => {
            let summary = builder(directory, name)?.summary();
            summary
                .map(|summary| summary.last)
                .ok_or_else(|| damaged(&path, "holds no line"))
        }
    }
}

/// Removes all forms of a segment; the index last, so that what a crash leaves is still found.
pub(super) fn remove_all(directory: &Path, name: &SegmentName) -> Result<(), LedgerError> {
    for path in [
        name.plain(directory),
        name.packed(directory),
        name.index(directory),
    ] {
        remove(directory, &path)?;
        crash_point("one_form_gone");
    }
    Ok(())
}

fn rename(from: &Path, to: &PathBuf) -> Result<(), LedgerError> {
    std::fs::rename(from, to).map_err(|error| disk(to, &error))
}

/// Removes a file, or finds it gone, and brings that to disk.
pub(super) fn remove(directory: &Path, path: &Path) -> Result<(), LedgerError> {
    match std::fs::remove_file(path) {
        Ok(()) => sync_directory(directory),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(disk(path, &error)),
    }
}
