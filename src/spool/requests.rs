//! What the operator sees of a spool and asks of it, from another process than the one that holds it.
//!
//! Looking needs no lock: envelopes are replaced by rename, so each is read whole. What is to change is asked for by a file in
//! `requests/`, which the process that holds the spool does and removes; where nobody holds it, whoever asks takes the lock and
//! does it. It must never touch an entry that is being delivered.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::entry::QUARANTINE;
use super::envelope::Stored;
use super::index::Stage;
use super::{EntryId, Envelope, Layout, Settings, Spool, SpoolError, blocking, disk};

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

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// It was done.
    Yes,
    /// It is being delivered at this moment.
    Busy,
    /// There is no such entry.
    Unknown,
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
                && let Some(entry) = read(&layout, &path, id, state)
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

fn read(layout: &Layout, path: &Path, id: EntryId, state: State) -> Option<Entry> {
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
        State::Owed if layout.working_of(&id).exists() => State::InHand,
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

/// Asks whoever holds the spool, or does it where nobody does. Blocks.
///
/// # Errors
/// The disk refused.
pub fn ask(settings: &Settings, id: &EntryId, asked: Asked) -> Result<Done, SpoolError> {
    match Spool::open(settings) {
        Ok(spool) => return spool.obey(id, asked),
        Err(SpoolError::Locked { .. }) => {}
        Err(error) => return Err(error),
    }
    let layout = Layout {
        directory: settings.directory.clone(),
    };
    let request = layout.requests().join(format!("{id}.{}", asked.word()));
    let refused = layout.requests().join(format!("{id}.busy"));
    let unknown = layout.requests().join(format!("{id}.unknown"));
    for answer in [&refused, &unknown] {
        disk::remove(answer)?;
    }
    fs::write(&request, b"").map_err(disk::failed("writing", &request))?;
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        for (answer, done) in [(&refused, Done::Busy), (&unknown, Done::Unknown)] {
            if answer.exists() {
                disk::remove(answer)?;
                return Ok(done);
            }
        }
        if !request.exists() {
            return Ok(Done::Yes);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    disk::remove(&request)?;
    Ok(Done::Unanswered)
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
            let answer = match self.obey(&id, asked) {
                Ok(Done::Yes | Done::Unanswered) => disk::remove(&path),
                Ok(Done::Busy) => disk::rename(&path, &path.with_extension("busy")),
                Ok(Done::Unknown) => disk::rename(&path, &path.with_extension("unknown")),
                Err(error) => Err(error),
            };
            if let Err(error) = answer {
                tracing::error!(entry = %id, %error, "a request about an entry failed");
            }
        }
    }

    /// Does it, under the lock.
    fn obey(&self, id: &EntryId, asked: Asked) -> Result<Done, SpoolError> {
        let state = self.index().state(id);
        let done = match (state, asked) {
            (None, _) => return Ok(Done::Unknown),
            (Some(State::Prepared | State::InHand), _) => return Ok(Done::Busy),
            (Some(State::Owed), Asked::Retry) => {
                let now = Timestamp::now();
                self.write_due(id, now)?;
                self.index().hurry(id, now)
            }
            (Some(_), Asked::Retry) => self.revive(id)?,
            (Some(_), Asked::Drop) => self.forget(id)?,
        };
        if !done {
            return Ok(Done::Busy);
        }
        tracing::warn!(entry = %id, request = asked.word(), "done at the operator's request");
        self.changed.notify_one();
        Ok(Done::Yes)
    }

    /// In the file too, for a relay that starts later. A file that cannot be read is found so at the next attempt.
    fn write_due(&self, id: &EntryId, now: Timestamp) -> Result<(), SpoolError> {
        let owed = self.layout.owed_of(id);
        let octets = fs::read(&owed).map_err(disk::failed("reading", &owed))?;
        let Ok(mut stored) = Stored::parse(&octets) else {
            return Ok(());
        };
        stored.envelope.next_attempt_at = now;
        let json = |source| SpoolError::Json {
            id: id.clone(),
            source,
        };
        let file = serde_json::to_vec(&stored).map_err(json)?;
        disk::replace(&owed, &file)
    }

    /// From `dead/` back to what is owed, as if it had just arrived.
    fn revive(&self, id: &EntryId) -> Result<bool, SpoolError> {
        let dead = self.layout.dead_of(id);
        let octets = fs::read(&dead).map_err(disk::failed("reading", &dead))?;
        let unreadable = |why: String| SpoolError::Damaged {
            id: id.clone(),
            why,
        };
        let mut stored = Stored::parse(&octets).map_err(|error| unreadable(error.to_string()))?;
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
        let mut index = self.index();
        index.set_deaths(id, 0);
        let stage = Stage::Waiting {
            next_attempt_at: now,
            fresher: None,
        };
        index.set(id, stage);
        Ok(true)
    }

    /// Every file of an entry that nobody has in hand.
    fn forget(&self, id: &EntryId) -> Result<bool, SpoolError> {
        // Claimed for the moment, so that no attempt begins.
        let state = self.index().state(id);
        if state == Some(State::Owed) && self.index().claim(id).is_none() {
            return Ok(false);
        }
        for file in [self.layout.owed_of(id), self.layout.dead_of(id)] {
            disk::remove(&file)?;
            disk::sync_parent(&file)?;
        }
        disk::remove(&self.layout.message_of(id))?;
        self.index().release(id);
        Ok(true)
    }
}
