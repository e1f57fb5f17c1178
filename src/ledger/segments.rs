//! The files of a ledger: one per UTC day, appended to, never changed, and continued after a crash.
//!
//! It must never know what a line says. What was not wholly written is cut off, so that the file always ends with a
//! whole line; a tail that a crash left torn is moved aside, not thrown away, and reported so that a `gap` line can tell.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::LedgerError;
use super::chain::{self, Head, NoLink};

/// The most that is moved aside as a torn tail, in octets: several of the longest lines.
const TORN_OCTETS_MAX: u64 = 64 * 1024 * 1024;
/// How much of a file's end is read at first to find its last whole line, in octets.
const TAIL_OCTETS: u64 = 64 * 1024;

/// The open end of the ledger.
#[derive(Debug)]
pub(super) struct Segments {
    directory: PathBuf,
    current: Option<Segment>,
    head: Head,
}

#[derive(Debug)]
struct Segment {
    day: String,
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
    day: Option<String>,
    octets: u64,
}

impl Segments {
    /// Opens the end of the chain, making the directory where it is missing.
    pub(super) fn open(directory: &Path) -> Result<(Self, Vec<Torn>), LedgerError> {
        make_directory(directory)?;
        let mut segments = Self {
            directory: directory.to_owned(),
            current: None,
            head: Head::start(),
        };
        let torn = segments.resume()?;
        Ok((segments, torn))
    }

    /// Looks for the last whole line, from the last file back, and makes the ledger end there.
    pub(super) fn resume(&mut self) -> Result<Vec<Torn>, LedgerError> {
        let directory = self.directory.clone();
        // Until the end is found again the old head stands, so that a second attempt begins where this one did.
        self.current = None;
        let mut current = None;
        let mut head = Head::start();
        let mut torn = Vec::new();
        for day in days(&directory)?.into_iter().rev() {
            let mut segment = Segment::open(&directory, &day)?;
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
            current.get_or_insert(segment);
            if let Some((_, last)) = end {
                head = last;
                break;
            }
        }
        self.current = current;
        self.head = head;
        Ok(torn)
    }

    /// The end of the chain.
    pub(super) fn head(&self) -> &Head {
        &self.head
    }

    /// Whether the next batch must find the end again first: after a failure, or because the file was moved away under
    /// us. Written there, lines would be acknowledged that nobody finds.
    pub(super) fn is_lost(&self) -> bool {
        match &self.current {
            None => self.head.seq > 0,
            Some(segment) => !segment.is_in_place(),
        }
    }

    pub(super) fn mark(&self) -> Mark {
        Mark {
            head: self.head.clone(),
            day: self.current.as_ref().map(|segment| segment.day.clone()),
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
        let day = at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d").to_string();
        // A clock that was set back does not open an earlier file again: names of files tell the order of lines.
        if self
            .current
            .as_ref()
            .is_none_or(|segment| segment.day < day)
        {
            self.turn_to(&day)?;
        }
        let Some(segment) = &mut self.current else {
            return Err(disk(&self.directory, &io::ErrorKind::NotFound.into()));
        };
        if let Err(error) = segment.file.write_all(octets) {
            let failure = disk(&segment.path, &error);
            if segment.file.set_len(segment.octets).is_err() {
                self.current = None;
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
            let same = mark.day.as_ref() == Some(&segment.day);
            let octets = if same { mark.octets } else { 0 };
            if let Err(error) = segment.file.set_len(octets) {
                tracing::error!(path = %segment.path.display(), %error, "ledger lines could not be taken back");
            }
        }
        self.head = mark.head;
    }

    fn turn_to(&mut self, day: &str) -> Result<(), LedgerError> {
        if let Some(segment) = &self.current {
            // The last lines of a day are on disk before the first of the next, or a crash could leave a hole.
            segment
                .file
                .sync_data()
                .map_err(|error| disk(&segment.path, &error))?;
        }
        let segment = Segment::open(&self.directory, day)?;
        if segment.octets > 0 {
            return Err(damaged(
                &segment.path,
                "exists already and is not the end of the chain",
            ));
        }
        sync_directory(&self.directory)?;
        self.current = Some(segment);
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
    fn open(directory: &Path, day: &str) -> Result<Self, LedgerError> {
        let path = directory.join(format!("{day}.jsonl"));
        let opened = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&path)
            .and_then(|file| Ok((file.metadata()?.len(), file)));
        let (octets, file) = opened.map_err(|error| disk(&path, &error))?;
        Ok(Self {
            day: day.to_owned(),
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
            self.day,
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
            file: format!("{}.jsonl", self.day),
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

/// The days that have a file, in order.
pub(super) fn days(directory: &Path) -> Result<Vec<String>, LedgerError> {
    let failed = |error: io::Error| disk(directory, &error);
    let mut days = Vec::new();
    for entry in directory.read_dir().map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let day = name.to_str().and_then(|name| name.strip_suffix(".jsonl"));
        if let Some(day) = day.filter(|day| is_day(day)) {
            days.push(day.to_owned());
        }
    }
    days.sort();
    Ok(days)
}

fn is_day(name: &str) -> bool {
    name.len() == 10
        && name.bytes().zip(0..).all(|(octet, at)| match at {
            4 | 7 => octet == b'-',
            _ => octet.is_ascii_digit(),
        })
}

fn make_directory(directory: &Path) -> Result<(), LedgerError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|error| disk(directory, &error))
}

fn sync_directory(directory: &Path) -> Result<(), LedgerError> {
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
