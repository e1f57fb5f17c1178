//! The one writer of a ledger directory: a thread of its own, because an fsync takes as long as the disk likes.
//!
//! Lines that wait together are written in one go and share one fsync. A line that fails is cut off the file again, so the
//! chain stays whole; what is missing becomes a `gap` line. Knows lines, not what they are for.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};

use super::chain::{self, FIRST};
use super::line::{Body, Gap, Line, VERSION};
use super::verify::segments;
use super::{LedgerError, Settings};

/// One line somebody waits for.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) body: Body,
    pub(super) sync: bool,
    pub(super) written: oneshot::Sender<Result<u64, String>>,
}

/// Lines taken together at most.
const BATCH: usize = 512;

/// The end of the chain and the file it is in.
#[derive(Debug)]
pub(super) struct Writer {
    directory: PathBuf,
    node: String,
    seq: u64,
    head: String,
    segment: Option<Segment>,
    /// Lines that could not be written since the last one that could.
    lost: u64,
    _lock: File,
}

/// The day file in use.
#[derive(Debug)]
struct Segment {
    day: String,
    path: PathBuf,
    file: File,
    /// Octets that are whole lines.
    len: u64,
}

fn disk(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> LedgerError {
    let path = path.to_owned();
    move |source| LedgerError::Disk {
        doing,
        path,
        source,
    }
}

impl Writer {
    pub(super) fn open(settings: &Settings) -> Result<Self, LedgerError> {
        let directory = settings.directory.clone();
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&directory)
            .map_err(disk("making", &directory))?;
        let lock = lock(&directory)?;
        let mut writer = Self {
            directory,
            node: settings.node.clone(),
            seq: 0,
            head: FIRST.to_owned(),
            segment: None,
            lost: 0,
            _lock: lock,
        };
        writer.find_end()?;
        Ok(writer)
    }

    /// Writes one line at once and syncs it.
    pub(super) fn write_now(&mut self, body: Body) -> Result<u64, LedgerError> {
        let seq = self.append(body).map_err(LedgerError::NotWritten)?;
        self.sync().map_err(LedgerError::NotWritten)?;
        Ok(seq)
    }

    /// Serves requests until nobody can ask any more.
    pub(super) fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        let mut batch = Vec::new();
        while let Some(first) = requests.blocking_recv() {
            batch.push(first);
            while batch.len() < BATCH {
                match requests.try_recv() {
                    Ok(request) => batch.push(request),
                    Err(_) => break,
                }
            }
            self.serve(&mut batch);
        }
    }

    fn serve(&mut self, batch: &mut Vec<Request>) {
        let sync = batch.iter().any(|request| request.sync);
        let mut waiting = Vec::with_capacity(batch.len());
        for request in batch.drain(..) {
            let result = self.close_gap().and_then(|()| self.append(request.body));
            if result.is_err() {
                self.lost += 1;
            }
            waiting.push((request.sync, request.written, result));
        }
        let synced = if sync { self.sync() } else { Ok(()) };
        for (wants_sync, written, result) in waiting {
            let result = match (&synced, wants_sync) {
                (Err(why), true) => result.and(Err(why.clone())),
                _ => result,
            };
            // Whoever asked may have stopped waiting; the line is there all the same.
            let _ = written.send(result);
        }
    }

    fn close_gap(&mut self) -> Result<(), String> {
        if self.lost == 0 {
            return Ok(());
        }
        self.append(Body::Gap(Gap {
            lines: self.lost,
            why: "write_failed".to_owned(),
        }))?;
        tracing::warn!(
            lines = self.lost,
            "the ledger takes lines again; a gap is noted"
        );
        self.lost = 0;
        Ok(())
    }

    /// Appends one line; on error the file ends where it ended before.
    fn append(&mut self, body: Body) -> Result<u64, String> {
        let at = Timestamp::now();
        let line = Line {
            v: VERSION,
            node: self.node.clone(),
            seq: self.seq + 1,
            at,
            prev: self.head.clone(),
            body,
        };
        let (text, hash) = chain::seal(&line).map_err(|error| error.to_string())?;
        let segment = self.segment_of(at).map_err(|error| error.to_string())?;
        if let Err(error) = segment.file.write_all(text.as_bytes()) {
            // Half a line would break the chain for ever. Where even this fails, the next start cuts it off.
            let cut = segment
                .file
                .set_len(segment.len)
                .and_then(|()| segment.file.seek(SeekFrom::Start(segment.len)));
            if let Err(cut) = cut {
                tracing::error!(error = %cut, "half a line could not be cut off the ledger");
                self.segment = None;
            }
            return Err(error.to_string());
        }
        segment.len += text.len() as u64;
        self.seq += 1;
        self.head = hash;
        Ok(self.seq)
    }

    /// The next write goes to a device that is always full; the one after that to the file again.
    #[cfg(test)]
    pub(super) fn fill_disk(&mut self) {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        if let Some(segment) = &mut self.segment {
            segment.file = full;
        }
    }

    fn sync(&mut self) -> Result<(), String> {
        self.segment.as_ref().map_or(Ok(()), |segment| {
            segment.file.sync_data().map_err(|error| error.to_string())
        })
    }

    fn segment_of(&mut self, at: Timestamp) -> Result<&mut Segment, LedgerError> {
        let day = at.strftime("%Y-%m-%d").to_string();
        // A clock set back goes on in the younger file: lines stay in the order of their numbers.
        let current = self.segment.take().filter(|segment| segment.day >= day);
        let segment = match current {
            Some(segment) => segment,
            None => Segment::open(&self.directory, day)?,
        };
        Ok(self.segment.insert(segment))
    }

    /// Reads the last day file to its end and cuts off what is not a whole line there.
    fn find_end(&mut self) -> Result<(), LedgerError> {
        let files = segments(&self.directory)?;
        for path in files.iter().rev() {
            let day = path
                .file_stem()
                .and_then(|stem| stem.to_str())
                .unwrap_or_default()
                .to_owned();
            let mut segment = Segment::open(&self.directory, day)?;
            let mut octets = Vec::new();
            segment
                .file
                .seek(SeekFrom::Start(0))
                .and_then(|_| segment.file.read_to_end(&mut octets))
                .map_err(disk("reading", path))?;
            let whole = octets
                .iter()
                .rposition(|octet| *octet == b'\n')
                .map_or(0, |at| at + 1);
            let torn = whole < octets.len();
            if torn {
                tracing::warn!(octets = octets.len() - whole, file = %path.display(), "a torn last line is cut off the ledger");
                segment.cut(whole as u64)?;
            }
            octets.truncate(whole);
            let last = octets
                .get(..whole.saturating_sub(1))
                .unwrap_or_default()
                .rsplit(|octet| *octet == b'\n')
                .next();
            let last = last.filter(|last| !last.is_empty());
            if let Some(last) = last {
                let text = std::str::from_utf8(last).unwrap_or_default();
                let (line, hash) = chain::open(text).map_err(|broken| {
                    LedgerError::NotWritten(format!("{}: the last line: {broken}", path.display()))
                })?;
                (self.seq, self.head) = (line.seq, hash);
                self.segment = Some(segment);
            }
            if torn {
                self.write_now(Body::Gap(Gap {
                    lines: 0,
                    why: "torn_tail".to_owned(),
                }))?;
            }
            if last.is_some() || torn {
                break;
            }
        }
        Ok(())
    }
}

impl Segment {
    fn open(directory: &Path, day: String) -> Result<Self, LedgerError> {
        let path = directory.join(format!("{day}.jsonl"));
        let new = !path.exists();
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(disk("opening", &path))?;
        let len = file
            .seek(SeekFrom::End(0))
            .map_err(disk("opening", &path))?;
        if new {
            File::open(directory)
                .and_then(|directory| directory.sync_all())
                .map_err(disk("syncing", directory))?;
        }
        Ok(Self {
            day,
            path,
            file,
            len,
        })
    }

    fn cut(&mut self, len: u64) -> Result<(), LedgerError> {
        self.file
            .set_len(len)
            .and_then(|()| self.file.seek(SeekFrom::Start(len)))
            .map_err(disk("cutting", &self.path))?;
        self.len = len;
        Ok(())
    }
}

fn lock(directory: &Path) -> Result<File, LedgerError> {
    let path = directory.join("lock");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(disk("opening", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            let _ = file.take(20).read_to_string(&mut pid);
            let pid = if pid.trim().is_empty() {
                "unknown".to_owned()
            } else {
                pid.trim().to_owned()
            };
            return Err(LedgerError::Locked {
                directory: directory.to_owned(),
                pid,
            });
        }
        Err(TryLockError::Error(source)) => return Err(disk("locking", &path)(source)),
    }
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(disk("writing", &path))?;
    Ok(file)
}
