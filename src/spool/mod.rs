//! What is owed and lies on disk: messages that one transaction could not finish, and when they are due.
//!
//! An entry is two files: `messages/ID.eml`, never changed, and an envelope, replaced by rename, whose directory is
//! the entry's state: `prepared/` (written ahead of the first dot; the client was never answered), `owed/` (the client
//! was answered 250) and `dead/` (given up, kept for the operator). The spool knows no consent, no next hop and no
//! reply texts; it stores what is owed and says when it is due.
//!
//! ```text
//!  written ahead ──▶ prepared ──settled, nothing owed──▶ gone
//!                       │ somebody was taken, or the way is down (rename, fsync of the directory, then 250)
//!                       ▼
//!                     owed ◀──kept for later── an attempt, in hand ──nothing owed──▶ gone
//!                       │ nobody can be told, cannot be read, or the process died over it `crashes` times
//!                       ▼
//!                     dead ──`spool retry`──▶ owed          ──`spool drop`──▶ gone
//! ```
//!
//! In hand is no state on disk but a note, `working/ID.note`: *deciding*, then *delivering*, with how often the process died
//! over the entry before. At start `dead` decides over `owed`, `owed` over `prepared`. `prepared` goes (its client was never
//! answered), `owed` stays, a message without envelope goes, requests go. A note that says *deciding* counts one death more, and
//! the count stays in the note, over any number of starts, until an attempt ends in order; a panic of an attempt counts as well.
//!
//! The limits `bytes`, `entries` and `free_bytes` are held against what is written ahead. What is owed already is delivered
//! however full the disk is: a note that cannot be written is done without, an outcome that cannot be written is remembered for
//! as long as this process lives.
//!
//! When it fails: an error before an `Ok` means that nothing may be built on the entry, so the caller answers
//! 451 4.3.1, never 250. What cannot be read back is moved to `dead/` with a log line, never removed in silence.

mod disk;
mod entry;
mod envelope;
mod hand;
mod holds;
mod index;
mod recovery;
mod requests;
mod settings;

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::{Notify, RwLock};

pub use entry::{Owed, Prepared};
pub use envelope::{
    Client, EntryId, Envelope, LastReply, Learned, Origin, Owes, Protocol, Recipient, Says,
};
pub use index::Usage;
pub use requests::{Asked, Desk, Done, Entry, State, entries, entry, message_file};
pub use settings::Settings;

use holds::Holds;
use index::Index;

/// Why the spool could not do something. All but [`SpoolError::Newer`] and [`SpoolError::Locked`] may pass by
/// themselves: the answer to a client is 451 (452 where [`SpoolError::is_full`]), never 250.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// Another relay has the directory.
    #[error("spool directory {} is in use by process {pid}", directory.display())]
    Locked {
        /// The directory.
        directory: PathBuf,
        /// What the other one wrote into the lock file.
        pid: String,
    },
    /// The disk refused.
    #[error("spool: {doing} {}: {source}", path.display())]
    Disk {
        /// What was being done.
        doing: &'static str,
        /// To which file or directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A limit of `[spool]` is reached.
    #[error("spool is full: spool.{limit} = {value}")]
    Full {
        /// The key of the limit.
        limit: &'static str,
        /// Its value.
        value: u64,
    },
    /// An entry file was written by a later build, which is ours neither to read nor to bury.
    #[error("spool: {} has {what}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Which version was found.
        what: String,
    },
    /// A directory of the spool is gone while another holds entries: a file system that is not mounted, a restore that is not
    /// whole. To go on would be to clear away what is owed.
    #[error(
        "spool: {} is missing although {} holds entries; put it back, or take the spool directory away as a whole",
        missing.display(), found.display()
    )]
    Incomplete {
        /// What is missing.
        missing: PathBuf,
        /// What is there.
        found: PathBuf,
    },
    /// An entry cannot be read back; it was moved to `dead/`.
    #[error("spool: entry {id} cannot be read back and lies in dead/: {why}")]
    Damaged {
        /// The entry.
        id: EntryId,
        /// What was wrong.
        why: String,
    },
    /// The caller's mistake: an envelope under another entry's id, or an id that is already in use.
    #[error("spool: entry {id}: {what}")]
    Misused {
        /// The entry.
        id: EntryId,
        /// What was asked of it.
        what: &'static str,
    },
    /// The directory is somebody else's: what this process wrote there its owner could not read.
    #[error(
        "spool directory {} belongs to uid {owner}; run this as that user", directory.display()
    )]
    NotOurs {
        /// The directory.
        directory: PathBuf,
        /// Whose it is.
        owner: u32,
    },
    /// An envelope could not be written as JSON.
    #[error("spool: envelope of {id}: {source}")]
    Json {
        /// The entry.
        id: EntryId,
        /// Why.
        source: serde_json::Error,
    },
    /// The task that did the disk work died.
    #[error("spool: the disk task died: {0}")]
    Task(#[from] tokio::task::JoinError),
}

impl SpoolError {
    /// Whether there was no room: ours by limit, or the disk's.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Full { .. } => true,
            Self::Disk { source, .. } => matches!(
                source.kind(),
                std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded
            ),
            _ => false,
        }
    }
}

/// Where the files of one spool lie.
#[derive(Debug, Clone)]
struct Layout {
    directory: PathBuf,
}

impl Layout {
    fn messages(&self) -> PathBuf {
        self.directory.join("messages")
    }

    fn prepared(&self) -> PathBuf {
        self.directory.join("prepared")
    }

    fn owed(&self) -> PathBuf {
        self.directory.join("owed")
    }

    fn dead(&self) -> PathBuf {
        self.directory.join("dead")
    }

    fn working(&self) -> PathBuf {
        self.directory.join("working")
    }

    fn requests(&self) -> PathBuf {
        self.directory.join("requests")
    }

    fn working_of(&self, id: &EntryId) -> PathBuf {
        self.working().join(format!("{id}.note"))
    }

    fn message_of(&self, id: &EntryId) -> PathBuf {
        self.messages().join(format!("{id}.eml"))
    }

    fn prepared_of(&self, id: &EntryId) -> PathBuf {
        self.prepared().join(format!("{id}.json"))
    }

    fn owed_of(&self, id: &EntryId) -> PathBuf {
        self.owed().join(format!("{id}.json"))
    }

    fn dead_of(&self, id: &EntryId) -> PathBuf {
        self.dead().join(format!("{id}.json"))
    }
}

/// One spool directory, held by this process alone.
#[derive(Debug)]
pub struct Spool {
    settings: Settings,
    layout: Layout,
    index: Mutex<Index>,
    holds: Arc<Holds>,
    changed: Notify,
    /// Whoever decides an entry holds it: shared, or alone (`entry::Turn`).
    deciding: Arc<RwLock<()>>,
    /// The lock goes with the handle, so it is kept for as long as the spool.
    _lock: File,
}

impl Spool {
    /// Takes the directory (made 0700 when missing), locks it, clears what a crash left and finds what is owed.
    /// Blocking; for the start of the process.
    pub fn open(settings: &Settings) -> Result<Arc<Self>, SpoolError> {
        Self::open_within(settings, LOOKS)
    }

    fn open_within(settings: &Settings, patience: Duration) -> Result<Arc<Self>, SpoolError> {
        let layout = Layout {
            directory: settings.directory.clone(),
        };
        disk::make_directory(&layout.directory)?;
        let lock = lock(&layout.directory, patience)?;
        recovery::is_whole(&layout)?;
        for directory in [
            layout.messages(),
            layout.prepared(),
            layout.owed(),
            layout.dead(),
            layout.working(),
            layout.requests(),
        ] {
            disk::make_directory(&directory)?;
        }
        disk::sync_directory(&layout.directory)?;
        // The name of the spool itself. Its parent may be closed to us (a state directory made by the service
        // manager, which is durable by then), so this one may fail.
        if let Err(error) = disk::sync_parent(&layout.directory) {
            tracing::debug!(%error, "could not sync the directory above the spool");
        }
        let index = recovery::recover(&layout, settings)?;
        let holds = Holds::open(&layout.directory, settings.expire_after_seconds);
        Ok(Arc::new(Self {
            settings: settings.clone(),
            layout,
            index: Mutex::new(index),
            holds: Arc::new(holds),
            changed: Notify::new(),
            deciding: Arc::default(),
            _lock: lock,
        }))
    }

    /// Writes an entry ahead of the first dot. On `Ok` message and envelope are durable as `prepared`; dropping the
    /// answer removes them.
    pub async fn prepare(
        self: &Arc<Self>,
        envelope: Envelope,
        message: Bytes,
    ) -> Result<Prepared, SpoolError> {
        let spool = Arc::clone(self);
        blocking(move || Prepared::write(spool, &envelope, &message)).await
    }

    /// Up to `at_most` entries that are due, the longest overdue first. None of them is in anybody's hands.
    pub fn due(&self, now: Timestamp, at_most: usize) -> Vec<EntryId> {
        self.index().due(now, at_most, &self.settings)
    }

    /// When the next entry is due; `None` when nothing waits.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.index().next_due()
    }

    /// Waits until something was added to what is owed, or given back.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Takes a due entry in hand and reads it. `None` when it is gone or in another's hands. Dropping the answer
    /// gives it back, to be tried again after the first wait.
    pub async fn claim(self: &Arc<Self>, id: &EntryId) -> Result<Option<Owed>, SpoolError> {
        let turn = entry::Turn::of(self, id).await;
        let (spool, id) = (Arc::clone(self), id.clone());
        blocking(move || Owed::claim(spool, &id, turn)).await
    }

    /// The first time a held message was seen, which is `now` when it never was. `key` is a digest made by the caller.
    pub async fn first_seen(&self, key: &str, now: Timestamp) -> Result<Timestamp, SpoolError> {
        let (holds, key) = (Arc::clone(&self.holds), key.to_owned());
        blocking(move || Ok(holds.first_seen(&key, now))).await
    }

    /// Whether a message of so many octets would find room now: within the limits of `[spool]` and of the file system.
    ///
    /// # Errors
    /// [`SpoolError::Full`] naming the limit.
    pub fn has_room(&self, octets: u64) -> Result<(), SpoolError> {
        self.index().has_room(octets, &self.settings)?;
        disk::has_room(&self.layout.directory, octets, self.settings.free_bytes)
    }

    /// How much lies in the spool.
    pub fn usage(&self) -> Usage {
        self.index().usage()
    }

    /// The settings it was opened with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        // Nothing panics while the lock is held; should it, the map is still whole after every single step.
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Disk work away from the reactor: an fsync may take as long as the disk likes.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SpoolError> + Send + 'static,
) -> Result<T, SpoolError> {
    tokio::task::spawn_blocking(work).await?
}

/// How long a process that starts waits for those that only look whether somebody holds the spool.
const LOOKS: Duration = Duration::from_millis(500);

/// Locks the directory for this process and leaves the pid in the lock file for the one that comes second.
fn lock(directory: &Path, patience: Duration) -> Result<File, SpoolError> {
    let path = directory.join("lock");
    let until = Instant::now() + patience;
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(disk::failed("opening", &path))?;
    let locked = loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(20));
            }
            locked => break locked,
        }
    };
    match locked {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            let _ = file.take(20).read_to_string(&mut pid);
            let pid = match pid.trim() {
                "" => "unknown".to_owned(),
                pid => pid.to_owned(),
            };
            let directory = directory.to_owned();
            return Err(SpoolError::Locked { directory, pid });
        }
        Err(TryLockError::Error(source)) => return Err(disk::failed("locking", &path)(source)),
    }
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(disk::failed("writing", &path))?;
    Ok(file)
}

#[cfg(test)]
mod tests;
