//! What many messages together say of a load: whether everybody gets the same URL in its place, or nearly everybody another one.
//!
//! A place is a *slot*: controller, stream, host, shape of the path, kind of element. For each, a few keyed hashes are kept, by
//! which different URLs, people and transactions are counted, and nothing that could be turned back into one. One transaction is
//! one observation, however many people it has; a message that comes twice is none. The table has a hard cap in octets and is
//! written to the disk now and then. It must never know mail, consent or a verdict: it takes plain strings. When anything is wrong
//! with what lies on the disk it starts empty and says so; knowing nothing acquits nobody and accuses nobody.

mod disk;
mod key;
mod settings;
mod shard;
mod sketch;
mod slot;
mod snapshot;
mod url;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use thiserror::Error;

pub use settings::Settings;

use self::key::Key;
use self::shard::Shard;
use self::slot::{CERTAIN_FROM, Kind, Slot};
use self::snapshot::{Holds, Writer};
use self::url::Transaction;

/// The table's file in `[learn] directory`.
const TABLE: &str = "table";
/// Parts of the table, each with a lock of its own: none is held longer than one of them takes.
const SHARDS: usize = 16;
/// Loads of one message that are learned from.
const LOADS_PER_MESSAGE: usize = 256;
/// Octets that an exported table may have and be read.
const EXPORT_OCTETS_MAX: u64 = 1 << 30;

/// Why there is no table. The machine or its operator is to blame; only [`Self::Locked`] is transient.
#[derive(Debug, Error)]
pub enum LearnError {
    /// A value of `[learn]` cannot be used.
    #[error("learn.{key} {problem}")]
    Setting {
        /// The key.
        key: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The disk did not do it.
    #[error("{doing} {path}: {source}")]
    Disk {
        /// What was to be done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody else writes there.
    #[error("a running relay writes to {directory}, and only one can")]
    Locked {
        /// Where.
        directory: PathBuf,
    },
    /// Not a table, or not whole.
    #[error("{path} is not a table of what was learned, or it is damaged")]
    Damaged {
        /// Which.
        path: PathBuf,
    },
    /// The key is no secret.
    #[error("{path} has mode {mode:04o}: a key is for its owner alone, run `chmod 0600 {path}`")]
    Exposed {
        /// Which.
        path: PathBuf,
        /// The mode it has.
        mode: u32,
    },
    /// It is not the key it should be.
    #[error("{path} is not the key of the table: move it away, and learning begins anew")]
    Malformed {
        /// Which.
        path: PathBuf,
    },
    /// The system has no random numbers.
    #[error("no random numbers from the system")]
    Random,
}

/// Where loads of many messages are one and the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotName<'a> {
    /// In whose name the mail is sent.
    pub controller: &'a str,
    /// Its stream.
    pub stream: &'a str,
    /// The host.
    pub host: &'a str,
    /// What stays the same in path and query.
    pub shape: &'a str,
    /// What loads it.
    pub kind: &'a str,
}

/// What is known of a URL in a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Answer {
    /// Nothing, or not enough.
    #[default]
    Nothing,
    /// Enough people got this very URL: at least 20 and one percent of all, in at least ten transactions.
    Shared,
    /// Nearly everybody gets a URL of their own in this slot.
    Individual {
        /// As seen for so many people. 64 and more is only said where next to no URL came to two of them.
        recipients: u32,
    },
}

/// One transaction, to be learned from.
#[derive(Debug, Clone)]
pub struct Observation<'a> {
    /// In whose name.
    pub controller: &'a str,
    /// In which stream.
    pub stream: &'a str,
    /// The forward-paths that got a copy, as between the brackets.
    pub forward_paths: Vec<&'a str>,
}

/// One load of a message: host, shape, kind, URL.
pub type Loaded<'a> = (&'a str, &'a str, &'a str, &'a str);

/// What the table holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Slots.
    pub slots: u64,
    /// Octets in memory.
    pub octets: u64,
    /// Messages that were learned from since the start.
    pub observations: u64,
    /// Slots in which nearly everybody has a URL of their own.
    pub individual: u64,
    /// Of these, those where that is certain enough for images that may be visible.
    pub certain: u64,
    /// Slots with a URL that is everybody's.
    pub shared: u64,
    /// Slots of which too little was seen.
    pub unknown: u64,
}

/// What one slot says, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotFigures {
    /// Its keyed hash.
    pub hash: u64,
    /// About how many people were seen.
    pub people: u64,
    /// Of these with a URL of their own; none: not individual.
    pub individual: Option<u32>,
    /// URLs that are everybody's.
    pub shared: u64,
}

/// The table.
#[derive(Debug)]
pub struct Learning {
    key: Key,
    shards: Vec<Mutex<Shard>>,
    octets: usize,
    expire: u32,
    /// Where it is kept; nowhere: a table that is only read.
    directory: Option<PathBuf>,
    /// Why what lay on the disk is not in it.
    cold: Option<String>,
    /// Held for as long as the table is written to.
    lock: Option<File>,
    observations: AtomicU64,
    /// The observations that the file on the disk knows of.
    written: AtomicU64,
}

impl Learning {
    /// The table of a relay: locked, and written by [`Self::write`]. A table that is damaged, or was made under another key, counts for
    /// nothing. Where another relay writes already, this one begins with what that one last wrote, and what it learns itself is not
    /// kept: nobody's mail waits for that.
    ///
    /// # Errors
    /// Directory or key cannot be made or read.
    pub fn open(settings: &Settings, keys: &Path) -> Result<Self, LearnError> {
        disk::make_directory(&settings.directory)?;
        let lock = match disk::lock(&settings.directory) {
            Ok(lock) => Some(lock),
            Err(locked @ LearnError::Locked { .. }) => {
                tracing::warn!("what is learned here is not kept: {locked}");
                None
            }
            Err(error) => return Err(error),
        };
        let (key, made) = Key::load_or_make(keys)?;
        if made {
            tracing::info!("a new key for what is learned: nothing is known yet");
        }
        let mut table = Self::new(settings, key);
        table.load(&settings.directory.join(TABLE));
        if let Some(why) = &table.cold {
            tracing::warn!("nothing is known of other messages: {why}");
        }
        table.directory = lock.is_some().then(|| settings.directory.clone());
        table.lock = lock;
        Ok(table)
    }

    /// The table that a relay left or writes, to be read; empty where there is none.
    ///
    /// # Errors
    /// The key cannot be read.
    pub fn look(settings: &Settings, keys: &Path) -> Result<Self, LearnError> {
        let key = Key::load(keys)?;
        let mut table = Self::new(settings, key.map_or_else(Key::fresh, Ok)?);
        table.load(&settings.directory.join(TABLE));
        Ok(table)
    }

    /// An exported table, to be read.
    ///
    /// # Errors
    /// It is not there, or is none.
    pub fn exported(settings: &Settings, file: &Path) -> Result<Self, LearnError> {
        match snapshot::read(file, EXPORT_OCTETS_MAX)? {
            Some(Holds::Export(key, slots)) => {
                let table = Self::new(settings, key);
                table.fill(slots);
                Ok(table)
            }
            Some(Holds::Table(..)) => Err(LearnError::Damaged {
                path: file.to_owned(),
            }),
            None => Err(disk::failed("reading", file)(
                io::ErrorKind::NotFound.into(),
            )),
        }
    }

    /// An empty one that is kept nowhere.
    ///
    /// # Errors
    /// No random numbers for its key.
    pub fn in_memory(settings: &Settings) -> Result<Self, LearnError> {
        Ok(Self::new(settings, Key::fresh()?))
    }

    fn new(settings: &Settings, key: Key) -> Self {
        Self {
            key,
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            octets: settings.octets,
            expire: settings.expire_after_days,
            directory: None,
            cold: None,
            lock: None,
            observations: AtomicU64::new(0),
            written: AtomicU64::new(0),
        }
    }

    fn load(&mut self, path: &Path) {
        let shown = path.display();
        self.cold = match snapshot::read(path, EXPORT_OCTETS_MAX) {
            Ok(Some(Holds::Table(fingerprint, slots))) if fingerprint == self.key.fingerprint() => {
                self.fill(slots);
                None
            }
            Ok(Some(_)) => Some(format!("{shown} was made under another key")),
            Ok(None) => None,
            Err(error) => Some(error.to_string()),
        };
    }

    /// Why the table that was there counts for nothing, where it does not.
    pub fn cold(&self) -> Option<&str> {
        self.cold.as_deref()
    }

    fn fill(&self, slots: Vec<(u64, Box<Slot>)>) {
        for (key, slot) in slots {
            if let Some(mut shard) = self.shard(key) {
                shard.put(key, slot, self.octets / SHARDS);
            }
        }
    }

    fn shard(&self, key: u64) -> Option<MutexGuard<'_, Shard>> {
        let number = usize::try_from(key % SHARDS as u64).ok()?;
        self.shards.get(number).map(locked)
    }

    fn shards(&self) -> impl Iterator<Item = MutexGuard<'_, Shard>> {
        self.shards.iter().map(locked)
    }

    /// Learns from one message that somebody got. `today` counts days from 1970.
    pub fn observe<'a>(
        &self,
        observation: &Observation<'_>,
        loads: impl Iterator<Item = Loaded<'a>>,
        today: u32,
    ) {
        let Some(transaction) = self.transaction(observation) else {
            return;
        };
        for (host, shape, kind, url) in loads.take(LOADS_PER_MESSAGE) {
            let slot = self.key.slot(&SlotName {
                controller: observation.controller,
                stream: observation.stream,
                host,
                shape,
                kind,
            });
            let url = self.key.url(url);
            if let Some(mut shard) = self.shard(slot) {
                let cap = self.octets / SHARDS;
                shard.add(slot, url, &transaction, (today, self.expire), cap);
            }
        }
        self.observations.fetch_add(1, Ordering::Relaxed);
    }

    fn transaction(&self, observation: &Observation<'_>) -> Option<Transaction> {
        let addresses = observation.forward_paths.iter();
        let hashes = addresses.map(|address| self.key.person(observation.controller, address));
        let mut people: Vec<u32> = hashes.collect();
        people.sort_unstable();
        people.dedup();
        let hash = match people.as_slice() {
            [] => return None,
            [alone] => *alone,
            together => self.key.together(together),
        };
        Some(Transaction { hash, people })
    }

    /// What is known of a URL in a slot.
    pub fn ask(&self, name: &SlotName<'_>, url: &str, today: u32) -> Answer {
        let (key, url) = (self.key.slot(name), self.key.url(url));
        let shard = self.shard(key);
        let slot = shard.as_ref().and_then(|shard| shard.get(key));
        slot.map_or(Answer::Nothing, |slot| slot.answer(url, today, self.expire))
    }

    /// What one slot says.
    pub fn of_slot(&self, name: &SlotName<'_>, today: u32) -> Option<SlotFigures> {
        let key = self.key.slot(name);
        let shard = self.shard(key)?;
        let slot = shard.get(key)?;
        Some(self.figures_of(key, slot, today))
    }

    fn figures_of(&self, hash: u64, slot: &Slot, today: u32) -> SlotFigures {
        SlotFigures {
            hash,
            people: slot.people(today, self.expire),
            individual: match slot.kind(today, self.expire) {
                Kind::Individual(recipients) => Some(recipients),
                Kind::Mixed | Kind::Unknown => None,
            },
            shared: slot.shared(today, self.expire) as u64,
        }
    }

    /// Slots, octets and observations, without looking into any slot.
    pub fn size(&self) -> Figures {
        let mut figures = Figures {
            observations: self.observations.load(Ordering::Relaxed),
            ..Figures::default()
        };
        for shard in self.shards() {
            figures.slots += shard.len() as u64;
            figures.octets += shard.octets() as u64;
        }
        figures
    }

    /// What the table says altogether, and the slots that are certainly individual, most people first.
    pub fn report(&self, today: u32) -> (Figures, Vec<SlotFigures>) {
        let mut figures = self.size();
        let mut certain = Vec::new();
        for shard in self.shards() {
            for (key, slot) in shard.all() {
                let of_slot = self.figures_of(key, slot, today);
                figures.shared += u64::from(of_slot.shared > 0);
                match slot.kind(today, self.expire) {
                    Kind::Unknown => figures.unknown += 1,
                    Kind::Mixed => {}
                    Kind::Individual(people) => {
                        figures.individual += 1;
                        if u64::from(people) >= CERTAIN_FROM {
                            figures.certain += 1;
                            certain.push(of_slot);
                        }
                    }
                }
            }
        }
        certain.sort_by_key(|slot| (std::cmp::Reverse(slot.people), slot.hash));
        (figures, certain)
    }

    /// Writes the table where it is kept, if it has changed since it was written; what counts no more goes first. Blocking.
    ///
    /// # Errors
    /// The disk; then the file is as it was.
    pub fn write(&self, today: u32) -> Result<(), LearnError> {
        let Some(directory) = &self.directory else {
            return Ok(());
        };
        let observations = self.observations.load(Ordering::Relaxed);
        if observations == self.written.load(Ordering::Relaxed) {
            return Ok(());
        }
        for mut shard in self.shards() {
            shard.expire(today, self.expire);
        }
        self.save(directory)?;
        self.written.store(observations, Ordering::Relaxed);
        Ok(())
    }

    fn save(&self, directory: &Path) -> Result<(), LearnError> {
        disk::replace(&directory.join(TABLE), |file| {
            self.put(Writer::table(file, &self.key)?)
        })
    }

    /// Writes the table with its key to a file of the owner's alone.
    ///
    /// # Errors
    /// The disk.
    pub fn export(&self, file: &Path) -> Result<(), LearnError> {
        disk::replace(file, |file| self.put(Writer::export(file, &self.key)?))
    }

    /// Puts this table with its key in the place of the one that is kept there, for a relay that does not run.
    ///
    /// # Errors
    /// The disk, or somebody writes there. Cut off half way, nothing is known afterwards.
    pub fn put_in_place(&self, settings: &Settings, keys: &Path) -> Result<(), LearnError> {
        disk::make_directory(&settings.directory)?;
        let _lock = disk::lock(&settings.directory)?;
        Key::remove(keys)?;
        self.save(&settings.directory)?;
        self.key.store(keys)
    }

    fn put(&self, mut writer: Writer<'_>) -> io::Result<()> {
        for shard in &self.shards {
            for (key, slot) in locked(shard).all() {
                writer.slot(key, slot);
            }
            writer.put()?;
        }
        writer.end()
    }
}

/// A panic of somebody who held it left nothing half done that could mislead: each slot stands for itself.
fn locked(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
