//! The one that writes: takes lines as they come, writes those that wait together, syncs once for all that ask.
//!
//! While one sync runs the next lines gather, so that under load many messages share one, and alone none waits. It must
//! never know what a line says. After a failure everybody in the batch is told, nothing of the batch stays in the file,
//! and the first line that can be written again is a `gap` with the count of what is missing.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};

use super::chain::{self, Head};
use super::notice::{Gap, Start, StartFacts};
use super::segments::{Segments, Torn, disk};
use super::turn::Tending;
use super::{Clock, LedgerError, Seq, Settings};

/// The most lines and octets of one batch.
const BATCH_LINES_MAX: usize = 1_024;
const BATCH_OCTETS_MAX: usize = 8 * 1024 * 1024;
/// The most numbers of lines that one `gap` names.
const GAP_SEQS_MAX: usize = 64;

/// What kind of line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Start,
    Intent,
    Outcome,
    Gap,
    Head,
    Dropped,
}

impl Kind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Intent => "intent",
            Self::Outcome => "outcome",
            Self::Gap => "gap",
            Self::Head => "head",
            Self::Dropped => super::dropped::KIND,
        }
    }
}

/// One line that somebody waits for.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) kind: Kind,
    pub(super) body: String,
    pub(super) sync: bool,
    pub(super) answer: oneshot::Sender<Result<Seq, LedgerError>>,
}

pub(super) struct Writer {
    segments: Segments,
    node: String,
    clock: Clock,
    gaps: Vec<Gap>,
    /// Held for as long as we write.
    lock: Arc<File>,
}

impl Writer {
    pub(super) fn open(
        settings: &Settings,
        facts: &StartFacts,
        clock: Clock,
    ) -> Result<Self, LedgerError> {
        let lock = lock(&settings.directory)?;
        let (segments, torn) = Segments::open(settings)?;
        let now = clock();
        let mut writer = Self {
            segments,
            node: settings.node.clone(),
            clock,
            gaps: Vec::new(),
            lock: Arc::new(lock),
        };
        writer.report_torn(torn, now);
        let start = Start::new(facts).body()?;
        writer.write(&[(Kind::Start, start.as_str())], true)?;
        Ok(writer)
    }

    /// Has closed segments tended from now on; what is dropped is told through `requests`.
    pub(super) fn tend(
        &mut self,
        settings: &Settings,
        requests: mpsc::WeakSender<Request>,
    ) -> Result<Tending, LedgerError> {
        let (sender, turns) = std::sync::mpsc::channel();
        let tending = Tending::start(settings, turns, requests, Arc::clone(&self.lock))?;
        self.segments.tell(sender, (self.clock)());
        Ok(tending)
    }

    /// Writes until nobody can ask any longer.
    pub(super) fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        while let Some(first) = requests.blocking_recv() {
            let mut octets = first.body.len();
            let mut batch = vec![first];
            while batch.len() < BATCH_LINES_MAX
                && octets < BATCH_OCTETS_MAX
                && let Ok(next) = requests.try_recv()
            {
                octets += next.body.len();
                batch.push(next);
            }
            self.commit(batch);
        }
        if let Err(error) = self.write(&[], true) {
            tracing::error!(%error, "ledger not synced at its end");
        }
    }

    fn commit(&mut self, batch: Vec<Request>) {
        // Who gave up waiting has already done without: an intent written now would claim an effect that never was.
        let (gone, batch): (Vec<_>, Vec<_>) = batch
            .into_iter()
            .partition(|request| request.answer.is_closed());
        self.abandon(gone.len(), &[]);
        if batch.is_empty() {
            return;
        }
        let lines: Vec<(Kind, &str)> = batch
            .iter()
            .map(|request| (request.kind, request.body.as_str()))
            .collect();
        let sync = batch.iter().any(|request| request.sync);
        match self.write(&lines, sync) {
            Ok(first) => {
                let mut late = Vec::new();
                for (request, seq) in batch.into_iter().zip(first..) {
                    if request.answer.send(Ok(Seq(seq))).is_err() {
                        late.push(seq);
                    }
                }
                self.abandon(late.len(), &late);
            }
            Err(error) => {
                self.miss(batch.len());
                for request in batch {
                    // Whoever no longer waits needs no answer.
                    let _ = request.answer.send(Err(error.clone()));
                }
            }
        }
    }

    /// Writes the gaps that are still to be told, then these lines; returns the number of the first of these.
    fn write(&mut self, lines: &[(Kind, &str)], sync: bool) -> Result<u64, LedgerError> {
        if self.segments.is_lost() {
            self.resume()?;
        }
        let at = (self.clock)();
        let mut octets = Vec::new();
        let mut head: Head = self.segments.head().clone();
        for gap in &self.gaps {
            let body = gap.body()?;
            head = self.chained(&mut octets, &head, Kind::Gap, at, &body);
        }
        let first = head.seq + 1;
        for (kind, body) in lines {
            head = self.chained(&mut octets, &head, *kind, at, body);
        }
        let mark = self.segments.mark();
        if !octets.is_empty() {
            self.segments.append(&octets, head, at)?;
        }
        if sync && let Err(error) = self.segments.sync() {
            self.segments.take_back(mark);
            return Err(error);
        }
        self.gaps.clear();
        Ok(first)
    }

    fn chained(
        &self,
        octets: &mut Vec<u8>,
        head: &Head,
        kind: Kind,
        at: Timestamp,
        body: &str,
    ) -> Head {
        chain::append(octets, head, kind.as_str(), &self.node, at, body)
    }

    /// Finds the end again after a failure that left the file unknown. What is there beyond what was acknowledged must
    /// not be relied upon; what was acknowledged without a sync and is not there is lost.
    fn resume(&mut self) -> Result<(), LedgerError> {
        let expected = self.segments.head().seq;
        let torn = self.segments.resume()?;
        self.report_torn(torn, (self.clock)());
        let found = self.segments.head().seq;
        let beyond: Vec<u64> = (expected + 1..=found).take(GAP_SEQS_MAX).collect();
        let lines = |count| usize::try_from(count).unwrap_or(usize::MAX);
        if found > expected {
            self.count("abandoned", lines(found - expected), &beyond);
        } else if found < expected {
            self.count("lost", lines(expected - found), &[]);
        }
        Ok(())
    }

    fn report_torn(&mut self, torn: Vec<Torn>, now: Timestamp) {
        for torn in torn {
            self.gaps.push(Gap {
                cause: "torn_tail".to_owned(),
                // At least one line was there, how many more nobody can tell.
                lines: 1,
                since: now,
                until: now,
                seqs: Vec::new(),
                file: Some(torn.file),
                octets: Some(torn.octets),
                sha256: Some(torn.sha256),
            });
        }
    }

    fn miss(&mut self, lines: usize) {
        self.count("not_written", lines, &[]);
    }

    /// Told at once where that is possible: a line that must not be relied upon should not stand alone.
    fn abandon(&mut self, lines: usize, seqs: &[u64]) {
        if lines == 0 {
            return;
        }
        self.count("abandoned", lines, seqs);
        if let Err(error) = self.write(&[], false) {
            tracing::error!(%error, "ledger gap not written");
        }
    }

    fn count(&mut self, cause: &'static str, lines: usize, seqs: &[u64]) {
        let now = (self.clock)();
        let lines = lines as u64;
        let same = |gap: &&mut Gap| gap.cause == cause && gap.seqs.len() < GAP_SEQS_MAX;
        match self.gaps.iter_mut().find(same) {
            Some(gap) => {
                gap.lines += lines;
                gap.until = now;
                gap.seqs.extend_from_slice(seqs);
            }
            None => self.gaps.push(Gap {
                cause: cause.to_owned(),
                lines,
                since: now,
                until: now,
                seqs: seqs.to_vec(),
                file: None,
                octets: None,
                sha256: None,
            }),
        }
    }
}

/// Takes the directory for this process, or says who has it.
fn lock(directory: &Path) -> Result<File, LedgerError> {
    let path = directory.join("lock");
    let mut file = DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .and_then(|()| {
            OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(&path)
        })
        .map_err(|error| disk(&path, &error))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            let read = file.take(32).read_to_string(&mut pid);
            let pid = pid.trim();
            let known = read.is_ok() && !pid.is_empty() && pid.bytes().all(|o| o.is_ascii_digit());
            return Err(LedgerError::Taken {
                directory: directory.to_owned(),
                pid: if known { pid } else { "unknown" }.to_owned(),
            });
        }
        Err(TryLockError::Error(error)) => return Err(disk(&path, &error)),
    }
    file.set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(|error| disk(&path, &error))?;
    Ok(file)
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
