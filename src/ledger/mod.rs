//! The ledger: every decision written down before it takes effect, in lines that hang together.
//!
//! One directory, one writer, segments by UTC day and size, JSON lines chained by SHA-256 (DESIGN 5, D21). It takes plain values
//! and must never know how a decision was made, nor an address or a URL: subjects and URLs come as keyed hashes, hosts
//! through [`Host`]. What cannot be written is an error and the caller keeps nothing; the chain stays valid, and once
//! writing works again a `gap` line says how many lines are missing since when.

mod chain;
mod dropped;
mod fit;
mod frames;
mod host;
mod index;
mod line;
mod names;
mod notice;
mod packed;
pub mod read;
mod segments;
mod settings;
mod stored;
pub mod summary;
mod turn;
mod verify;
mod writer;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

pub use dropped::Dropped;
pub use host::Host;
pub use line::{
    Decision, Enforcement, Fate, Finding, Group, Intent, Outcome, PartDecision, Reported,
    Uninspectable,
};
pub use notice::{Gap, RegisterHead, Start, StartFacts, StreamShadow};
pub use settings::Settings;
use turn::Tending;
pub use verify::{AuditHead, Verified, VerifyError, verify, verify_against};
use writer::{Kind, Request, Writer};

/// The longest line, in octets: a thousand recipients, each with a proof of their own for each of many findings.
pub const LINE_OCTETS_MAX: usize = 16 * 1024 * 1024;

/// Why a line was not written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LedgerError {
    /// The configuration is to blame; permanent.
    #[error("[ledger] {key} {problem}")]
    Setting {
        /// The key.
        key: &'static str,
        /// What is wrong with its value.
        problem: String,
    },
    /// Another process writes here. The operator is to blame; it ends when that process does.
    #[error("ledger {directory} is written by another process, pid {pid}")]
    Taken {
        /// The directory.
        directory: PathBuf,
        /// The process, or `unknown`.
        pid: String,
    },
    /// The disk did not take or give it: full, read-only, failing. Transient as far as anybody can tell.
    #[error("ledger {path}: {problem}")]
    Disk {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        problem: String,
    },
    /// The files are not a ledger that this version can go on with. The operator is to blame; permanent.
    #[error("ledger {path}: {problem}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Not written in time; transient.
    #[error("the ledger did not take the line within {milliseconds} ms")]
    TimedOut {
        /// The bound, in milliseconds.
        milliseconds: u64,
    },
    /// A value that may not stand in the ledger. The caller is to blame; permanent.
    #[error("`{field}` holds what may not stand in the ledger")]
    Unfit {
        /// The field.
        field: &'static str,
    },
    /// Past the limit. The message is to blame; permanent.
    #[error("a line of {octets} octets; at most {LINE_OCTETS_MAX}")]
    TooLong {
        /// Its length, in octets.
        octets: usize,
    },
    /// The ledger was closed.
    #[error("the ledger is closed")]
    Closed,
}

impl LedgerError {
    /// Whether the same call may succeed later without anybody's doing.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Disk { .. } | Self::TimedOut { .. })
    }
}

/// The number of a line, from 1, never used twice in one directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Seq(pub u64);

/// Tells the time.
type Clock = Box<dyn Fn() -> Timestamp + Send>;

/// An open ledger; the only one of its directory.
#[derive(Debug)]
pub struct Ledger {
    running: Mutex<Option<Running>>,
    wait: Duration,
}

#[derive(Debug)]
struct Running {
    requests: mpsc::Sender<Request>,
    thread: JoinHandle<()>,
    tending: Option<Tending>,
}

impl Ledger {
    /// Takes the directory, repairs a torn tail, writes a `start` line with what is switched on. Blocks; called at start.
    ///
    /// # Errors
    /// When another process has it, the disk fails, or its files cannot be continued.
    pub fn open(settings: &Settings, facts: &StartFacts) -> Result<Arc<Self>, LedgerError> {
        Self::open_at(settings, facts, Box::new(Timestamp::now))
    }

    fn open_at(
        settings: &Settings,
        facts: &StartFacts,
        clock: Clock,
    ) -> Result<Arc<Self>, LedgerError> {
        settings.check()?;
        let mut writer = Writer::open(settings, facts, clock)?;
        let (requests, receiver) = mpsc::channel(settings.queue_lines);
        // Weak: whoever tends does not keep the ledger open.
        let tending = Some(writer.tend(settings, requests.downgrade())?);
        Self::run(settings, writer, (requests, receiver), tending)
    }

    /// Closed segments stay as they are, for a test that tends them itself.
    #[cfg(test)]
    fn open_untended(settings: &Settings, clock: Clock) -> Arc<Self> {
        let opened = Writer::open(settings, &StartFacts::default(), clock).and_then(|writer| {
            Self::run(settings, writer, mpsc::channel(settings.queue_lines), None)
        });
        opened.unwrap_or_else(|error| std::panic::panic_any(error.to_string()))
    }

    fn run(
        settings: &Settings,
        writer: Writer,
        (requests, receiver): (mpsc::Sender<Request>, mpsc::Receiver<Request>),
        tending: Option<Tending>,
    ) -> Result<Arc<Self>, LedgerError> {
        let thread = std::thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || writer.run(receiver))
            .map_err(|error| LedgerError::Disk {
                path: settings.directory.clone(),
                problem: format!("no thread to write it: {error}"),
            })?;
        Ok(Arc::new(Self {
            running: Mutex::new(Some(Running {
                requests,
                thread,
                tending,
            })),
            wait: Duration::from_millis(settings.write_timeout_ms),
        }))
    }

    /// Writes what is about to be done. With `sync` it is on disk when this returns: wherever something is kept.
    ///
    /// # Errors
    /// When it was not written, or not in time. Then nothing of it may be done: keep nothing.
    pub async fn intent(&self, intent: Intent, sync: bool) -> Result<Seq, LedgerError> {
        self.append(Kind::Intent, intent.body()?, sync).await
    }

    /// Writes what was done.
    ///
    /// # Errors
    /// When it was not written, or not in time; a `gap` line will say so.
    pub async fn outcome(&self, outcome: Outcome) -> Result<Seq, LedgerError> {
        self.append(Kind::Outcome, outcome.body()?, false).await
    }

    /// Publishes the end of a consent register's chain; it is on disk when this returns.
    ///
    /// # Errors
    /// When it was not written, or not in time.
    pub async fn head(&self, head: RegisterHead) -> Result<Seq, LedgerError> {
        self.append(Kind::Head, head.body()?, true).await
    }

    /// What the operator has switched on from here on, after the configuration was read again.
    ///
    /// # Errors
    /// The line was not taken.
    pub async fn changed(&self, facts: StartFacts) -> Result<Seq, LedgerError> {
        self.append(Kind::Start, Start::new(&facts).body()?, true)
            .await
    }

    /// Writes everything that waits, syncs, and gives the directory back. Blocks.
    pub fn close(&self) {
        let running = match self.running.lock() {
            Ok(mut running) => running.take(),
            Err(poisoned) => poisoned.into_inner().take(),
        };
        if let Some(running) = running {
            drop(running.requests);
            if running.thread.join().is_err() {
                tracing::error!("the ledger's writer ended by a panic");
            }
            if let Some(tending) = running.tending {
                tending.stop();
            }
        }
    }

    async fn append(&self, kind: Kind, body: String, sync: bool) -> Result<Seq, LedgerError> {
        let requests = self
            .running
            .lock()
            .ok()
            .and_then(|running| running.as_ref().map(|running| running.requests.clone()))
            .ok_or(LedgerError::Closed)?;
        let written = async {
            let (answer, answered) = oneshot::channel();
            let request = Request {
                kind,
                body,
                sync,
                answer,
            };
            requests
                .send(request)
                .await
                .map_err(|_| LedgerError::Closed)?;
            answered.await.map_err(|_| LedgerError::Closed)?
        };
        let result = tokio::time::timeout(self.wait, written)
            .await
            .unwrap_or_else(|_| {
                Err(LedgerError::TimedOut {
                    milliseconds: u64::try_from(self.wait.as_millis()).unwrap_or(u64::MAX),
                })
            });
        if let Err(error) = &result {
            tracing::error!(kind = kind.as_str(), %error, "ledger line not written");
        }
        result
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod tests;
