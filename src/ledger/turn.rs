//! What is done once a segment is closed: it is packed, what retention no longer holds is dropped, lost indexes are made
//! anew.
//!
//! On a thread of its own: it must never delay a line, nor touch the segment that grows. What fails stays as it lies, is
//! logged, and is tried again at the next turn and at the next start.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::thread::JoinHandle;

use jiff::civil::Date;
use jiff::{Span, Timestamp};
use tokio::sync::{mpsc, oneshot};

use super::dropped::{self, Dropped};
use super::index::Index;
use super::names::{Forms, Listing, SegmentName};
use super::packed::{self, Ended};
use super::segments::disk;
use super::writer::{Kind, Request};
use super::{LedgerError, Settings};

/// How much of all indexes is read whole at a start and once a day, the latest first, in octets.
const INDEX_CHECK_OCTETS_MAX: u64 = 1024 * 1024 * 1024;
/// A clock that leaps further than this past the last closed segment is not believed at once, in days: what retention
/// drops does not come back.
const LEAP_DAYS_MAX: i64 = 31;

/// A segment was begun.
#[derive(Debug, Clone)]
pub(super) struct Turn {
    /// Those before it are closed.
    pub(super) before: SegmentName,
    /// Today, UTC.
    pub(super) today: Date,
}

/// The thread that tends closed segments.
#[derive(Debug)]
pub(super) struct Tending {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Tending {
    /// Tends as long as turns may come. `lock` is held until it has ended: the directory is ours for so long.
    pub(super) fn start(
        settings: &Settings,
        turns: Receiver<Turn>,
        requests: mpsc::WeakSender<Request>,
        lock: Arc<File>,
    ) -> Result<Self, LedgerError> {
        let stop = Arc::new(AtomicBool::new(false));
        let tender = Tender {
            directory: settings.directory.clone(),
            retention_days: settings.retention_days,
            stop: Arc::clone(&stop),
            checked: None,
            tell: Box::new(move |head| tell(&requests, head)),
        };
        let thread = std::thread::Builder::new()
            .name("ledger-turn".to_owned())
            .spawn(move || {
                tender.run(&turns);
                drop(lock);
            })
            .map_err(|error| disk(&settings.directory, &error))?;
        Ok(Self { stop, thread })
    }

    /// Breaks off what is being packed; it is packed at the next start.
    pub(super) fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        if self.thread.join().is_err() {
            tracing::error!("the tending of ledger segments ended by a panic");
        }
    }
}

/// Writes into the ledger what is about to be dropped.
pub(super) type Tell = Box<dyn Fn(&Dropped) -> Result<(), LedgerError> + Send>;

/// Whoever tends.
pub(super) struct Tender {
    pub(super) directory: PathBuf,
    pub(super) retention_days: u32,
    pub(super) stop: Arc<AtomicBool>,
    /// The day on which indexes were read whole.
    pub(super) checked: Option<Date>,
    pub(super) tell: Tell,
}

/// On disk, and part of the chain, when it returns.
fn tell(requests: &mpsc::WeakSender<Request>, head: &Dropped) -> Result<(), LedgerError> {
    let requests = requests.upgrade().ok_or(LedgerError::Closed)?;
    let (answer, answered) = oneshot::channel();
    let request = Request {
        kind: Kind::Dropped,
        body: head.body()?,
        sync: true,
        answer,
    };
    let sent = requests.blocking_send(request);
    drop(requests);
    sent.map_err(|_| LedgerError::Closed)?;
    let told = answered.blocking_recv().map_err(|_| LedgerError::Closed)?;
    told.map(|_| ())
}

impl Tender {
    fn run(mut self, turns: &Receiver<Turn>) {
        while let Ok(mut turn) = turns.recv() {
            while let Ok(later) = turns.try_recv() {
                turn = later;
            }
            self.tend(&turn);
        }
    }

    /// Everything that is due; nothing of it is so urgent that a failure could not wait for the next turn.
    pub(super) fn tend(&mut self, turn: &Turn) {
        let complain = |error: LedgerError| tracing::error!(%error, "ledger segment not tended");
        let listing = match Listing::of(&self.directory) {
            Ok(listing) => listing,
            Err(error) => return complain(error),
        };
        for path in &listing.unfinished {
            if let Err(error) = packed::remove(&self.directory, path) {
                complain(error);
            }
        }
        let closed = listing.segments.into_iter();
        let mut closed: Vec<_> = closed.filter(|(name, _)| *name < turn.before).collect();
        match self.retain(&closed, turn.today) {
            Ok(dropped) => drop(closed.drain(..dropped)),
            Err(error) => complain(error),
        }
        let thorough = self.checked != Some(turn.today);
        let mut budget = if thorough { INDEX_CHECK_OCTETS_MAX } else { 0 };
        // The latest first: it is what is asked for.
        for (name, forms) in closed.iter().rev() {
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            if let Err(error) = self.tend_one(name, *forms, &mut budget) {
                complain(error);
            }
        }
        self.checked = Some(turn.today);
    }

    fn tend_one(
        &self,
        name: &SegmentName,
        forms: Forms,
        budget: &mut u64,
    ) -> Result<(), LedgerError> {
        if forms.plain {
            let ended = packed::pack(&self.directory, name, &self.stop)?;
            if ended == Ended::Packed {
                tracing::info!(segment = %name, "ledger segment packed");
            }
            return Ok(());
        }
        let index = packed::index(&self.directory, name);
        let whole = index.is_some_and(|_| self.whole(name, budget));
        if !whole {
            tracing::warn!(segment = %name, "ledger index is missing or damaged and is made anew");
            packed::index_again(&self.directory, name)?;
        }
        Ok(())
    }

    fn whole(&self, name: &SegmentName, budget: &mut u64) -> bool {
        let path = name.index(&self.directory);
        let octets = path.metadata().map_or(u64::MAX, |metadata| metadata.len());
        match budget.checked_sub(octets) {
            Some(rest) => {
                *budget = rest;
                Index::check(&path).is_ok()
            }
            None => true,
        }
    }

    /// Drops what is older than retention allows, the oldest first; how many segments went. Stops at the first that cannot
    /// be dropped: what remains is always the end of the chain.
    fn retain(&self, closed: &[(SegmentName, Forms)], today: Date) -> Result<usize, LedgerError> {
        let Some((latest, _)) = closed.last().filter(|_| self.retention_days > 0) else {
            return Ok(0);
        };
        let leap = latest.day.saturating_add(Span::new().days(LEAP_DAYS_MAX));
        let days = Span::new().days(i64::from(self.retention_days));
        let oldest = today.min(leap).saturating_sub(days);
        let due: Vec<_> = closed
            .iter()
            .map(|(name, _)| name)
            .take_while(|name| name.day < oldest)
            .collect();
        if due.is_empty() {
            return Ok(0);
        }
        let known = dropped::read(&self.directory)?;
        let rule = format!("retention_days = {}", self.retention_days);
        for name in &due {
            self.drop_one(name, known.contains_key(name), &rule)?;
        }
        Ok(due.len())
    }

    fn drop_one(&self, name: &SegmentName, known: bool, rule: &str) -> Result<(), LedgerError> {
        // A crash may have come between the head and the removal: what is told is not told twice.
        if !known && let Some(summary) = packed::summary(&self.directory, name)? {
            let head = Dropped::new(name, &summary, Timestamp::now(), rule);
            (self.tell)(&head)?;
            crash_point("drop_told");
            dropped::append(&self.directory, &head)?;
        }
        crash_point("head_kept");
        packed::remove_all(&self.directory, name)?;
        tracing::info!(segment = %name, rule, "ledger segment dropped");
        Ok(())
    }
}

/// A place where a test lets the process die.
#[cfg(not(test))]
pub(super) fn crash_point(_place: &str) {}

/// A place where a test lets the process die, as by `kill -9`.
#[cfg(test)]
pub(super) fn crash_point(place: &str) {
    if std::env::var("PIXELGATE_TEST_DIE_AT").as_deref() == Ok(place) {
        std::process::abort();
    }
}

#[cfg(test)]
#[path = "turn_tests.rs"]
pub(super) mod tests;
