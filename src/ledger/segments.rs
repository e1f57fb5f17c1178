//! The open end of a ledger: the segment that grows, rolled by day and size, and continued after a crash.
//!
//! It must never know what a line says. What was not wholly written is cut off, so that the file always ends with a
//! whole line; a tail that a crash left torn is moved aside, not thrown away, and reported so that a `gap` line can tell.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::chain::{self, Head, NoLink};
use super::names::{Listing, SegmentName};
use super::turn::{Turn, crash_point};
use super::{LedgerError, Settings, dropped, packed};

/// The most that is moved aside as a torn tail, in octets: several of the longest lines.
const TORN_OCTETS_MAX: u64 = 64 * 1024 * 1024;
/// How much of a file's end is read at first to find its last whole line, in octets.
const TAIL_OCTETS: u64 = 64 * 1024;

/// The open end of the ledger.
#[derive(Debug)]
pub(super) struct Segments {
    directory: PathBuf,
    node: String,
    /// From this size on lines go into the next segment, in octets.
    octets_most: u64,
    current: Option<Segment>,
    /// The latest segment there is.
    last: Option<SegmentName>,
    head: Head,
    /// What the disk holds is not known: the end must be found again.
    lost: bool,
    /// Who is told that every segment before this one is closed.
    closed: Option<Sender<Turn>>,
}

#[derive(Debug)]
struct Segment {
    name: SegmentName,
    path: PathBuf,
    file: File,
    octets: u64,
    /// The file is a stand-in, whose failures a test wants to see.
    #[cfg(test)]
    believed_in_place: bool,
}

/// A tail that was moved aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Torn {
    /// Name of the file it was cut off.
    pub(super) file: String,
    /// How long it was.
    pub(super) octets: u64,
    /// SHA-256 of it.
    pub(super) sha256: String,
}

/// Where the ledger ended at some moment.
#[derive(Debug, Clone)]
pub(super) struct Mark {
    head: Head,
    segment: Option<SegmentName>,
    octets: u64,
}

impl Segments {
    /// Opens the end of the chain, making the directory where it is missing.
    pub(super) fn open(settings: &Settings) -> Result<(Self, Vec<Torn>), LedgerError> {
        make_directory(&settings.directory)?;
        let mut segments = Self {
            directory: settings.directory.clone(),
            node: settings.node.clone(),
            octets_most: settings.segment_octets,
            current: None,
            last: None,
            head: Head::start(),
            lost: true,
            closed: None,
        };
        let torn = segments.resume()?;
        Ok((segments, torn))
    }

    /// From now on `closed` is told of every segment that is begun: those before it are closed.
    pub(super) fn tell(&mut self, closed: Sender<Turn>, now: Timestamp) {
        self.closed = Some(closed);
        if let Some(segment) = &self.current {
            self.turned(segment.name.clone(), day_of(now));
        }
    }

    fn turned(&self, before: SegmentName, today: Date) {
        if let Some(closed) = &self.closed {
            // Nobody there means that nothing is tended, which is said where that ended.
            let _ = closed.send(Turn { before, today });
        }
    }

    /// Looks for the last whole line, from the last file back, and makes the ledger end there.
    pub(super) fn resume(&mut self) -> Result<Vec<Torn>, LedgerError> {
        let directory = self.directory.clone();
        // Until the end is found again the old head stands, so that a second attempt begins where this one did.
        self.current = None;
        self.lost = true;
        let listing = Listing::of(&directory)?;
        let mut current = None;
        let mut head = None;
        let mut torn = Vec::new();
        for (name, forms) in listing.segments.iter().rev() {
            if !forms.plain {
                head = Some(packed::end(&directory, name)?);
                break;
            }
            let mut segment = Segment::open(&directory, name.clone())?;
            let end = last_line(&mut segment)?;
            let whole = end.as_ref().map_or(0, |(octets, _)| *octets);
            if whole < segment.octets {
                // Only what was being written when the machine stopped may be torn: the end of the last file that
                // holds anything.
                if !torn.is_empty() {
                    return Err(damaged(&segment.path, "holds no whole line at its end"));
                }
                torn.push(segment.set_aside(whole, &directory)?);
            }
            if listing.last() == Some(name) {
                current = Some(segment);
            }
            if let Some((_, last)) = end {
                head = Some(last);
                break;
            }
        }
        // Where retention left no segment the chain goes on from what it kept.
        let kept = || -> Result<_, LedgerError> {
            let last = dropped::read(&directory)?.pop_last();
            Ok(last.map(|(name, dropped)| (name, dropped.head())))
        };
        self.last = listing.last().cloned();
        self.head = match head {
            Some(head) => head,
            None => match kept()? {
                Some((name, head)) => {
                    self.last = self.last.take().max(Some(name));
                    head
                }
                None => Head::start(),
            },
        };
        self.current = current;
        self.lost = false;
        Ok(torn)
    }

    /// The end of the chain.
    pub(super) fn head(&self) -> &Head {
        &self.head
    }

    /// Whether the next batch must find the end again first: after a failure, or because the file was moved away under
    /// us. Written there, lines would be acknowledged that nobody finds.
    pub(super) fn is_lost(&self) -> bool {
        let moved = |segment: &Segment| !segment.is_in_place();
        self.lost || self.current.as_ref().is_some_and(moved)
    }

    pub(super) fn mark(&self) -> Mark {
        Mark {
            head: self.head.clone(),
            segment: self.current.as_ref().map(|segment| segment.name.clone()),
            octets: self.current.as_ref().map_or(0, |segment| segment.octets),
        }
    }

    /// Appends octets that carry the chain to `head`, in the file of the day. All of them are there, or none.
    pub(super) fn append(
        &mut self,
        octets: &[u8],
        head: Head,
        at: Timestamp,
    ) -> Result<(), LedgerError> {
        let day = day_of(at);
        let fits = |segment: &Segment| {
            let name = &segment.name;
            // A clock that was set back does not open an earlier file again: names of files tell the order of lines.
            name.day >= day && name.node == self.node && segment.octets < self.octets_most
        };
        if !self.current.as_ref().is_some_and(fits) {
            self.turn_to(day)?;
        }
        let Some(segment) = &mut self.current else {
            return Err(disk(&self.directory, &io::ErrorKind::NotFound.into()));
        };
        if let Err(error) = segment.file.write_all(octets) {
            let failure = disk(&segment.path, &error);
            if segment.file.set_len(segment.octets).is_err() {
                self.current = None;
                self.lost = true;
            }
            return Err(failure);
        }
        segment.octets += octets.len() as u64;
        self.head = head;
        Ok(())
    }

    /// Brings everything appended to disk.
    pub(super) fn sync(&mut self) -> Result<(), LedgerError> {
        match &self.current {
            None => Ok(()),
            Some(segment) => segment
                .file
                .sync_data()
                .map_err(|error| disk(&segment.path, &error)),
        }
    }

    /// Takes back what was appended since the mark, after a sync that failed: nobody was told that it is there. The
    /// file is opened anew before the next line, since after a failed sync nothing is known of what the disk holds.
    pub(super) fn take_back(&mut self, mark: Mark) {
        if let Some(segment) = self.current.take() {
            let same = mark.segment.as_ref() == Some(&segment.name);
            let octets = if same { mark.octets } else { 0 };
            if let Err(error) = segment.file.set_len(octets) {
                tracing::error!(path = %segment.path.display(), %error, "ledger lines could not be taken back");
            }
        }
        self.head = mark.head;
        self.lost = true;
    }

    fn turn_to(&mut self, day: Date) -> Result<(), LedgerError> {
        if let Some(segment) = &self.current {
            // The last lines of a segment are on disk before the first of the next, or a crash could leave a hole.
            segment
                .file
                .sync_data()
                .map_err(|error| disk(&segment.path, &error))?;
        }
        let name = SegmentName::following(self.last.as_ref(), day, &self.node);
        let begun = Segment::begin(&self.directory, name.clone())
            .and_then(|segment| sync_directory(&self.directory).map(|()| segment));
        if begun.is_err() {
            // The file may be there or not.
            self.lost = true;
        }
        self.current = Some(begun?);
        self.last = Some(name.clone());
        crash_point("segment_begun");
        self.turned(name, day);
        Ok(())
    }

    /// Puts another file in place of the current one, to see what its failures do.
    #[cfg(test)]
    pub(super) fn replace_file_for_test(&mut self, file: File) {
        if let Some(segment) = &mut self.current {
            segment.file = file;
            segment.believed_in_place = true;
        }
    }
}

impl Segment {
    /// Makes the file of a segment that is not there yet.
    fn begin(directory: &Path, name: SegmentName) -> Result<Self, LedgerError> {
        let path = name.plain(directory);
        let mut options = OpenOptions::new();
        options.create_new(true).mode(0o600);
        Self::opened(name, path, &mut options)
    }

    fn open(directory: &Path, name: SegmentName) -> Result<Self, LedgerError> {
        let path = name.plain(directory);
        // Never made here: an empty file would stand for one that was packed meanwhile.
        Self::opened(name, path, &mut OpenOptions::new())
    }

    fn opened(
        name: SegmentName,
        path: PathBuf,
        options: &mut OpenOptions,
    ) -> Result<Self, LedgerError> {
        let opened = options
            .read(true)
            .append(true)
            .open(&path)
            .and_then(|file| Ok((file.metadata()?.len(), file)));
        let (octets, file) = opened.map_err(|error| disk(&path, &error))?;
        Ok(Self {
            name,
            path,
            file,
            octets,
            #[cfg(test)]
            believed_in_place: false,
        })
    }

    fn is_in_place(&self) -> bool {
        #[cfg(test)]
        if self.believed_in_place {
            return true;
        }
        let here = std::fs::metadata(&self.path);
        let ours = self.file.metadata();
        matches!((here, ours), (Ok(here), Ok(ours)) if (here.dev(), here.ino()) == (ours.dev(), ours.ino()))
    }

    /// Moves everything from `whole` on into a file beside it.
    fn set_aside(&mut self, whole: u64, directory: &Path) -> Result<Torn, LedgerError> {
        let octets = self.octets - whole;
        if octets > TORN_OCTETS_MAX {
            return Err(damaged(
                &self.path,
                "ends with more than 64 MiB that are no whole line",
            ));
        }
        let mut tail = Vec::new();
        let path = directory.join(format!(
            "{}.torn-{}",
            self.name,
            Timestamp::now().as_nanosecond()
        ));
        let moved = self
            .file
            .seek(SeekFrom::Start(whole))
            .and_then(|_| self.file.read_to_end(&mut tail))
            .and_then(|_| {
                let mut aside = OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .mode(0o600)
                    .open(&path)?;
                aside.write_all(&tail)?;
                aside.sync_all()?;
                File::open(directory)?.sync_all()?;
                self.file.set_len(whole)?;
                self.file.sync_all()
            });
        moved.map_err(|error| disk(&self.path, &error))?;
        self.octets = whole;
        tracing::warn!(path = %self.path.display(), octets, aside = %path.display(), "torn ledger tail set aside");
        Ok(Torn {
            file: self.name.plain_file(),
            octets,
            sha256: chain::hash_of(&tail),
        })
    }
}

/// The offset after the last whole line of the chain, and its head; none when there is no such line.
fn last_line(segment: &mut Segment) -> Result<Option<(u64, Head)>, LedgerError> {
    let mut window = TAIL_OCTETS;
    loop {
        let from = segment.octets.saturating_sub(window);
        let mut tail = Vec::new();
        segment
            .file
            .seek(SeekFrom::Start(from))
            .and_then(|_| segment.file.read_to_end(&mut tail))
            .map_err(|error| disk(&segment.path, &error))?;
        let mut end = tail.len();
        while let Some(line_end) = memchr::memrchr(b'\n', tail.get(..end).unwrap_or_default()) {
            let before = tail.get(..line_end).unwrap_or_default();
            let begin = match memchr::memrchr(b'\n', before) {
                Some(previous) => previous + 1,
                None if from == 0 => 0,
                // It begins before the window.
                None => break,
            };
            match chain::read(before.get(begin..).unwrap_or_default()) {
                Ok(link) => {
                    let head = Head {
                        seq: link.seq,
                        hash: link.hash,
                    };
                    return Ok(Some((from + line_end as u64 + 1, head)));
                }
                Err(error @ NoLink::Version(_)) => {
                    return Err(damaged(&segment.path, &format!("its last line {error}")));
                }
                Err(NoLink::Form | NoLink::Hash) => end = begin,
            }
        }
        if from == 0 {
            return Ok(None);
        }
        if window > TORN_OCTETS_MAX {
            return Err(damaged(
                &segment.path,
                "holds no whole line in its last 64 MiB",
            ));
        }
        window *= 4;
    }
}

fn day_of(at: Timestamp) -> Date {
    at.to_zoned(TimeZone::UTC).date()
}

fn make_directory(directory: &Path) -> Result<(), LedgerError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|error| disk(directory, &error))
}

pub(super) fn sync_directory(directory: &Path) -> Result<(), LedgerError> {
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(|error| disk(directory, &error))
}

pub(super) fn disk(path: &Path, error: &io::Error) -> LedgerError {
    LedgerError::Disk {
        path: path.to_owned(),
        problem: error.to_string(),
    }
}

pub(super) fn damaged(path: &Path, problem: &str) -> LedgerError {
    LedgerError::Damaged {
        path: path.to_owned(),
        problem: problem.to_owned(),
    }
}
