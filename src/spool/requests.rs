//! What the operator sees of a spool and asks of it, from another process than the one that holds it.
//!
//! Looking needs no lock: envelopes are replaced by rename, so each is read whole. What is to change is asked for by a file in
//! `requests/`, which the process that holds the spool does and removes, or answers by renaming it; where nobody holds it,
//! whoever asks takes the lock and does it. It must never touch an entry that is being delivered.

use std::fs::{self, TryLockError};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::entry::{QUARANTINE, sha256};
use super::envelope::Stored;
use super::index::Stage;
use super::{EntryId, Envelope, Layout, Settings, Spool, SpoolError, blocking, disk, hand};

/// How long a running relay has for a request.
const PATIENCE: Duration = Duration::from_secs(15);

/// Where an entry stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Written ahead; its client has no answer yet.
    Prepared,
    /// Owed, and waiting for its time.
    Owed,
    /// Being delivered.
    InHand,
    /// Given up.
    Dead,
    /// Given up because the process died over it.
    Quarantine,
}

impl State {
    /// In a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Prepared => "prepared",
            Self::Owed => "owed",
            Self::InHand => "in_hand",
            Self::Dead => "dead",
            Self::Quarantine => "quarantine",
        }
    }
}

/// One entry, as its files say.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its name.
    pub id: EntryId,
    /// Where it stands.
    pub state: State,
    /// Octets of its message.
    pub octets: u64,
    /// Its envelope, or why that cannot be read.
    pub envelope: Result<Envelope, String>,
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// To try it now, from the beginning.
    Retry,
    /// To forget it: nobody who is owed something gets it.
    Drop,
}

/// How an answer to a request is written: the request by another name.
const BUSY: &str = "busy";
const UNKNOWN: &str = "unknown";
const FAILED: &str = "failed";
const ANSWERS: [&str; 3] = [BUSY, UNKNOWN, FAILED];

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// It was done.
    Yes,
    /// It is being delivered at this moment.
    Busy,
    /// There is no such entry.
    Unknown,
    /// It could not be done, and why.
    Failed(String),
    /// The relay that holds the spool did not do it in time.
    Unanswered,
}

impl Asked {
    fn word(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Drop => "drop",
        }
    }
}

/// Every entry of a spool, the oldest first.
///
/// # Errors
/// The directory cannot be read.
pub fn entries(directory: &Path) -> Result<Vec<Entry>, SpoolError> {
    let layout = Layout {
        directory: directory.to_owned(),
    };
    let held = is_held(&layout);
    let mut found = Vec::new();
    for (place, state) in [
        (layout.prepared(), State::Prepared),
        (layout.owed(), State::Owed),
        (layout.dead(), State::Dead),
    ] {
        let listing = match fs::read_dir(&place) {
            Ok(listing) => listing,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(disk::failed("reading the directory", &place)(error)),
        };
        for file in listing {
            let path = file
                .map_err(disk::failed("reading the directory", &place))?
                .path();
            let stem = path.file_name().and_then(|name| name.to_str());
            let id = stem
                .and_then(|name| name.strip_suffix(".json"))
                .and_then(EntryId::parse);
            // One that went away meanwhile was settled.
            if let Some(id) = id
                && let Some(entry) = read(&layout, held, &path, id, state)
            {
                found.push(entry);
            }
        }
    }
    found.sort_by(|one, other| one.id.cmp(&other.id));
    Ok(found)
}

/// One entry; `None` where there is none.
///
/// # Errors
/// As [`entries`].
pub fn entry(directory: &Path, id: &EntryId) -> Result<Option<Entry>, SpoolError> {
    let entries = entries(directory)?;
    Ok(entries.into_iter().find(|entry| entry.id == *id))
}

/// Where an entry's message lies.
pub fn message_file(directory: &Path, id: &EntryId) -> PathBuf {
    let directory = directory.to_owned();
    Layout { directory }.message_of(id)
}

/// A note that a process left which was killed says nothing of now.
fn is_in_hand(layout: &Layout, id: &EntryId) -> bool {
    hand::read(layout, id).is_some_and(|note| note.stage != hand::Stage::Idle)
}

fn read(layout: &Layout, held: bool, path: &Path, id: EntryId, state: State) -> Option<Entry> {
    let octets = fs::read(path).ok()?;
    let envelope = match Stored::parse(&octets) {
        Ok(stored) => Ok(stored.envelope),
        Err(error) => Err(error.to_string()),
    };
    let quarantined = envelope
        .as_ref()
        .ok()
        .and_then(|envelope| envelope.dead.as_ref())
        .is_some_and(|why| why.starts_with(QUARANTINE));
    let state = match state {
        State::Dead if quarantined => State::Quarantine,
        State::Owed if held && is_in_hand(layout, &id) => State::InHand,
        state => state,
    };
    let octets = fs::metadata(layout.message_of(&id)).map_or(0, |facts| facts.len());
    Some(Entry {
        id,
        state,
        octets,
        envelope,
    })
}

/// Whether a process holds the spool at this moment. Looks without getting in the way of one that starts (see `LOOKS`).
fn is_held(layout: &Layout) -> bool {
    let lock = fs::File::open(layout.directory.join("lock"));
    lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// Where requests are brought to: beside the process that holds the spool, or to the spool itself where none does.
#[derive(Debug)]
pub struct Desk(Place);

#[derive(Debug)]
enum Place {
    Held(Arc<Spool>),
    Beside(Layout),
}

impl Desk {
    /// Takes the spool where nobody holds it. Blocks.
    ///
    /// # Errors
    /// The disk refused, or nobody holds the spool and it is another user's.
    pub fn open(settings: &Settings) -> Result<Self, SpoolError> {
        let layout = Layout {
            directory: settings.directory.clone(),
        };
        if is_held(&layout) {
            return Ok(Self(Place::Beside(layout)));
        }
        is_ours(&layout.directory)?;
        match Spool::open_within(settings, Duration::ZERO) {
            Ok(spool) => Ok(Self(Place::Held(spool))),
            Err(SpoolError::Locked { .. }) => Ok(Self(Place::Beside(layout))),
            Err(error) => Err(error),
        }
    }

    /// Whether another process holds the spool, and does what is asked.
    pub fn is_beside(&self) -> bool {
        matches!(self.0, Place::Beside(_))
    }

    /// Asks the same of several entries; what came of each. Blocks.
    ///
    /// # Errors
    /// A request cannot be written.
    pub fn ask(&self, ids: &[EntryId], asked: Asked) -> Result<Vec<Done>, SpoolError> {
        match &self.0 {
            Place::Held(spool) => Ok(ids
                .iter()
                .map(|id| {
                    let done = spool.obey(id, asked);
                    done.unwrap_or_else(|error| Done::Failed(error.to_string()))
                })
                .collect()),
            Place::Beside(layout) => beside(layout, ids, asked),
        }
    }
}

/// A spool that this user cannot write as its owner must not be written by this user at all, root included.
fn is_ours(directory: &Path) -> Result<(), SpoolError> {
    let owner = fs::metadata(directory).map(|facts| facts.uid());
    let own = fs::metadata("/proc/self").map(|facts| facts.uid());
    match (owner, own) {
        (Ok(owner), Ok(own)) if owner != own => Err(SpoolError::NotOurs {
            directory: directory.to_owned(),
            owner,
        }),
        // Not there yet, or no such file system: what follows says what is wrong.
        _ => Ok(()),
    }
}

/// Writes the requests and waits for the answers, for as long as any comes.
fn beside(layout: &Layout, ids: &[EntryId], asked: Asked) -> Result<Vec<Done>, SpoolError> {
    let file = |id: &EntryId, word: &str| layout.requests().join(format!("{id}.{word}"));
    for id in ids {
        for word in ANSWERS {
            disk::remove(&file(id, word))?;
        }
        let request = file(id, asked.word());
        fs::write(&request, b"").map_err(disk::failed("writing", &request))?;
    }
    let mut done = vec![None; ids.len()];
    let mut until = Instant::now() + PATIENCE;
    while Instant::now() < until && done.contains(&None) {
        std::thread::sleep(Duration::from_millis(50));
        for (id, done) in ids.iter().zip(&mut done) {
            if done.is_some() || file(id, asked.word()).exists() {
                continue;
            }
            let said = |word: &str| fs::read_to_string(file(id, word)).ok();
            *done = Some(match (said(BUSY), said(UNKNOWN), said(FAILED)) {
                (Some(_), _, _) => Done::Busy,
                (_, Some(_), _) => Done::Unknown,
                (_, _, Some(why)) => Done::Failed(why),
                (None, None, None) => Done::Yes,
            });
            for word in ANSWERS {
                disk::remove(&file(id, word))?;
            }
            until = Instant::now() + PATIENCE;
        }
    }
    for (id, done) in ids.iter().zip(&done) {
        if done.is_none() {
            disk::remove(&file(id, asked.word()))?;
        }
    }
    let each = done.into_iter();
    Ok(each.map(|done| done.unwrap_or(Done::Unanswered)).collect())
}

impl Spool {
    /// Does what lies in `requests/`. What cannot be done is said there, and in the log.
    pub async fn serve_requests(self: &Arc<Self>) {
        let spool = Arc::clone(self);
        let served = blocking(move || {
            spool.serve();
            Ok(())
        });
        if let Err(error) = served.await {
            tracing::error!(%error, "requests about the spool could not be looked at");
        }
    }

    fn serve(&self) {
        let Ok(listing) = fs::read_dir(self.layout.requests()) else {
            return;
        };
        for path in listing.flatten().map(|file| file.path()) {
            let name = path.file_name().and_then(|name| name.to_str());
            let asked = name.and_then(|name| {
                let (id, word) = name.rsplit_once('.')?;
                let asked = [Asked::Retry, Asked::Drop];
                let asked = asked.into_iter().find(|asked| asked.word() == word)?;
                Some((EntryId::parse(id)?, asked))
            });
            let Some((id, asked)) = asked else {
                continue;
            };
            let answer = |word: &str| {
                let to = path.with_extension(word);
                fs::rename(&path, &to).map_err(disk::failed("renaming to", &to))
            };
            let answered = match self.obey(&id, asked) {
                Ok(Done::Busy) => answer(BUSY),
                Ok(Done::Unknown) => answer(UNKNOWN),
                Ok(Done::Yes | Done::Failed(_) | Done::Unanswered) => disk::remove(&path),
                Err(error) => {
                    tracing::error!(entry = %id, %error, "a request about an entry failed");
                    // Where even this cannot be written, the answer is empty.
                    let _ = fs::write(&path, error.to_string());
                    answer(FAILED)
                }
            };
            if let Err(error) = answered {
                tracing::error!(entry = %id, %error, "a request about an entry could not be answered");
            }
        }
    }

    /// Does it, under the lock.
    fn obey(&self, id: &EntryId, asked: Asked) -> Result<Done, SpoolError> {
        let state = self.index().state(id);
        match (state, asked) {
            (None, _) => return Ok(Done::Unknown),
            (Some(State::Prepared | State::InHand), _) => return Ok(Done::Busy),
            (Some(State::Owed), asked) => {
                // In our hands, so that no attempt begins meanwhile.
                let Some(fresher) = self.index().claim(id) else {
                    return Ok(Done::Busy);
                };
                match asked {
                    Asked::Retry => self.hurry(id, fresher)?,
                    Asked::Drop => {
                        if let Err(error) = self.forget(id) {
                            self.wait(id, Timestamp::now(), fresher);
                            return Err(error);
                        }
                    }
                }
            }
            (Some(_), Asked::Retry) => self.revive(id)?,
            (Some(_), Asked::Drop) => self.forget(id)?,
        }
        tracing::warn!(entry = %id, request = asked.word(), "done at the operator's request");
        self.changed.notify_one();
        Ok(Done::Yes)
    }

    fn wait(&self, id: &EntryId, next_attempt_at: Timestamp, fresher: Option<Box<Envelope>>) {
        let stage = Stage::Waiting {
            next_attempt_at,
            fresher,
        };
        self.index().set(id, stage);
    }

    /// Due now; in the file too, for a relay that starts later. A file that cannot be read is found so at the next attempt.
    fn hurry(&self, id: &EntryId, fresher: Option<Box<Envelope>>) -> Result<(), SpoolError> {
        let now = Timestamp::now();
        let owed = self.layout.owed_of(id);
        let hurried = fs::read(&owed)
            .map_err(disk::failed("reading", &owed))
            .and_then(|octets| {
                let Ok(mut stored) = Stored::parse(&octets) else {
                    return Ok(());
                };
                stored.envelope.next_attempt_at = now;
                let file = serde_json::to_vec(&stored).map_err(|source| SpoolError::Json {
                    id: id.clone(),
                    source,
                })?;
                disk::replace(&owed, &file)
            });
        // In this process it is due whatever the disk says.
        self.wait(id, now, fresher);
        hurried
    }

    /// From `dead/` back to what is owed, as if it had just arrived.
    fn revive(&self, id: &EntryId) -> Result<(), SpoolError> {
        let dead = self.layout.dead_of(id);
        let octets = fs::read(&dead).map_err(disk::failed("reading", &dead))?;
        let damaged = |why: String| SpoolError::Damaged {
            id: id.clone(),
            why,
        };
        let mut stored = Stored::parse(&octets).map_err(|error| damaged(error.to_string()))?;
        let message = fs::read(self.layout.message_of(id));
        if message.ok().map(|message| sha256(&message)).as_ref() != Some(&stored.message_sha256) {
            return Err(damaged(
                "its message is not the one that was written".to_owned(),
            ));
        }
        let now = Timestamp::now();
        let envelope = &mut stored.envelope;
        envelope.dead = None;
        envelope.attempts = 0;
        envelope.next_attempt_at = now;
        envelope.retried_at = Some(now);
        let file = serde_json::to_vec(&stored).map_err(|source| SpoolError::Json {
            id: id.clone(),
            source,
        })?;
        disk::replace(&self.layout.owed_of(id), &file)?;
        // `dead/` decides over `owed/` at start: until it is gone the entry is dead.
        disk::remove(&dead)?;
        disk::sync_parent(&dead)?;
        self.index().set_deaths(id, 0);
        self.wait(id, now, None);
        Ok(())
    }

    /// Every file of an entry that nobody else has in hand.
    fn forget(&self, id: &EntryId) -> Result<(), SpoolError> {
        for file in [self.layout.owed_of(id), self.layout.dead_of(id)] {
            disk::remove(&file)?;
            disk::sync_parent(&file)?;
        }
        disk::remove(&self.layout.message_of(id))?;
        hand::note(&self.layout, id, hand::Stage::Idle, 0);
        self.index().release(id);
        Ok(())
    }
}
