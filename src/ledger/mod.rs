//! The decision log: append-only, hash-chained, one writer for each directory (DESIGN 5 "Ledger").
//!
//! Takes plain values and writes lines; knows nothing of mail, consent or how a decision was reached. A line that could not
//! be written is an error for whoever asked (who then keeps no tracker), and a `gap` line as soon as writing works again.

pub mod chain;
pub mod line;
mod settings;
mod verify;
mod writer;

use std::path::PathBuf;
use std::sync::Mutex;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

pub use self::settings::Settings;
pub use self::verify::{Summary, VerifyError, read, verify};

use self::line::{Body, Intent, Outcome, Start};
use self::writer::{Request, Writer};

/// Why a line is not in the ledger.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Another process writes to the directory. Permanent while that one runs.
    #[error("ledger directory {} is in use by process {pid}", directory.display())]
    Locked {
        /// The directory.
        directory: PathBuf,
        /// What the other one wrote into the lock file.
        pid: String,
    },
    /// The disk refused. May pass by itself.
    #[error("ledger: {doing} {}: {source}", path.display())]
    Disk {
        /// What was being done.
        doing: &'static str,
        /// To which file or directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// What lies in the directory is not a ledger of ours; the operator has to look.
    #[error("ledger: {0}")]
    Damaged(#[from] VerifyError),
    /// A line could not be written down; the text says why.
    #[error("ledger: the line was not written: {0}")]
    NotWritten(String),
    /// More lines wait than `waiting_lines`, or one took longer than `write_timeout_ms`.
    #[error("ledger: the disk does not keep up")]
    Slow,
    /// The writer has ended.
    #[error("ledger: closed")]
    Closed,
}

/// One ledger directory, held by this process alone.
#[derive(Debug)]
pub struct Ledger {
    requests: mpsc::Sender<Request>,
    timeout: Duration,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Ledger {
    /// Takes the directory, finds the end of the chain, cuts a torn last line off (and says so in a `gap` line), and writes
    /// the `start` line. Blocking; for the start of the process.
    ///
    /// # Errors
    /// When another process has it, or it cannot be read or written.
    pub fn open(settings: &Settings, start: Start) -> Result<Self, LedgerError> {
        let mut writer = Writer::open(settings)?;
        writer.write_now(Body::Start(start))?;
        let (requests, receiver) = mpsc::channel(settings.waiting_lines.max(1));
        let thread = std::thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || writer.run(receiver))
            .map_err(|source| LedgerError::Disk {
                doing: "starting the writer of",
                path: settings.directory.clone(),
                source,
            })?;
        Ok(Self {
            requests,
            timeout: Duration::from_millis(settings.write_timeout_ms),
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Writes an intent before its effect; answers with its number. With `sync` it is on the disk, not only in the file.
    ///
    /// # Errors
    /// The line is not in the ledger: nothing may be kept on it.
    pub async fn intent(&self, intent: Intent, sync: bool) -> Result<u64, LedgerError> {
        self.write(Body::Intent(Box::new(intent)), sync).await
    }

    /// Writes how it went.
    ///
    /// # Errors
    /// The line is not in the ledger; a `gap` line will say so.
    pub async fn outcome(&self, outcome: Outcome) -> Result<u64, LedgerError> {
        self.write(Body::Outcome(outcome), false).await
    }

    async fn write(&self, body: Body, sync: bool) -> Result<u64, LedgerError> {
        let (written, answer) = oneshot::channel();
        self.requests
            .try_send(Request {
                body,
                sync,
                written,
            })
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => LedgerError::Slow,
                mpsc::error::TrySendError::Closed(_) => LedgerError::Closed,
            })?;
        match tokio::time::timeout(self.timeout, answer).await {
            Ok(Ok(result)) => result.map_err(LedgerError::NotWritten),
            Ok(Err(_)) => Err(LedgerError::Closed),
            Err(_) => Err(LedgerError::Slow),
        }
    }
}

impl Drop for Ledger {
    /// Waits for the lines that are under way.
    fn drop(&mut self) {
        let (closed, _) = mpsc::channel(1);
        self.requests = closed;
        let thread = self.thread.lock().ok().and_then(|mut thread| thread.take());
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the ledger's writer ended in a panic");
        }
    }
}

#[cfg(test)]
mod tests;
