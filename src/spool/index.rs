//! What lies in the spool, in memory: sizes against the limits, and which entry is due.
//!
//! Pure bookkeeping; the files are the truth and this is rebuilt from them at start. One slot per entry, so its memory
//! is bounded by `spool.entries`.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{EntryId, Envelope, Settings, SpoolError};

/// How much lies in the spool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Entries written ahead and not settled.
    pub prepared: u64,
    /// Entries that are owed, those being delivered included.
    pub owed: u64,
    /// Entries given up and kept.
    pub dead: u64,
    /// Octets of all of them.
    pub octets: u64,
}

/// Where an entry stands.
#[derive(Debug)]
pub(super) enum Stage {
    /// Written ahead.
    Prepared,
    /// Owed; `fresher` is the envelope after an attempt whose outcome the disk would not take. Without it the next
    /// attempt would go by the old file and send a second copy to those who already had theirs.
    Waiting {
        next_attempt_at: Timestamp,
        fresher: Option<Box<Envelope>>,
    },
    /// Owed and being delivered.
    Claimed,
    /// Given up.
    Dead,
}

#[derive(Debug)]
struct Slot {
    octets: u64,
    stage: Stage,
    /// How often the process died, or an attempt fell over, in a row.
    deaths: u32,
}

/// All entries.
#[derive(Debug, Default)]
pub(super) struct Index {
    slots: BTreeMap<EntryId, Slot>,
    octets: u64,
}

impl Index {
    /// Takes up an entry that was found on disk. No limit here: what is there is there.
    pub(super) fn found(&mut self, id: EntryId, octets: u64, stage: Stage) {
        self.octets = self.octets.saturating_add(octets);
        let slot = Slot {
            octets,
            stage,
            deaths: 0,
        };
        self.slots.insert(id, slot);
    }

    /// Reserves room for a new entry before a byte of it is written.
    pub(super) fn reserve(
        &mut self,
        id: &EntryId,
        octets: u64,
        settings: &Settings,
    ) -> Result<(), SpoolError> {
        if self.slots.contains_key(id) {
            return Err(SpoolError::Misused {
                id: id.clone(),
                what: "the id is already in use",
            });
        }
        self.has_room(octets, settings)?;
        self.found(id.clone(), octets, Stage::Prepared);
        Ok(())
    }

    /// Whether another entry of so many octets is within the limits.
    pub(super) fn has_room(&self, octets: u64, settings: &Settings) -> Result<(), SpoolError> {
        if u64::try_from(self.slots.len()).unwrap_or(u64::MAX) >= settings.entries {
            return Err(SpoolError::Full {
                limit: "entries",
                value: settings.entries,
            });
        }
        if self.octets.saturating_add(octets) > settings.bytes {
            return Err(SpoolError::Full {
                limit: "bytes",
                value: settings.bytes,
            });
        }
        Ok(())
    }

    /// How often the process died over an entry.
    pub(super) fn deaths(&self, id: &EntryId) -> u32 {
        self.slots.get(id).map_or(0, |slot| slot.deaths)
    }

    /// Notes how often.
    pub(super) fn set_deaths(&mut self, id: &EntryId, deaths: u32) {
        if let Some(slot) = self.slots.get_mut(id) {
            slot.deaths = deaths;
        }
    }

    /// Whether it waits, is in hand, is dead; `None` where there is none.
    pub(super) fn state(&self, id: &EntryId) -> Option<super::State> {
        self.slots.get(id).map(|slot| match slot.stage {
            Stage::Prepared => super::State::Prepared,
            Stage::Waiting { .. } => super::State::Owed,
            Stage::Claimed => super::State::InHand,
            Stage::Dead => super::State::Dead,
        })
    }

    /// Moves an entry to another stage.
    pub(super) fn set(&mut self, id: &EntryId, stage: Stage) {
        if let Some(slot) = self.slots.get_mut(id) {
            slot.stage = stage;
        }
    }

    /// Takes a waiting entry in hand: its fresher envelope where there is one. `None` when it does not wait.
    pub(super) fn claim(&mut self, id: &EntryId) -> Option<Option<Box<Envelope>>> {
        let slot = self.slots.get_mut(id)?;
        let Stage::Waiting { fresher, .. } = &mut slot.stage else {
            return None;
        };
        let fresher = fresher.take();
        slot.stage = Stage::Claimed;
        Some(fresher)
    }

    /// Forgets an entry and gives its room back.
    pub(super) fn release(&mut self, id: &EntryId) {
        if let Some(slot) = self.slots.remove(id) {
            self.octets = self.octets.saturating_sub(slot.octets);
        }
    }

    /// The entries that are due, the longest overdue first.
    pub(super) fn due(&self, now: Timestamp, at_most: usize, settings: &Settings) -> Vec<EntryId> {
        let mut due: Vec<_> = self
            .waiting()
            .filter(|(at, _)| settings.is_due(*at, now))
            .collect();
        due.sort_unstable();
        due.into_iter()
            .take(at_most)
            .map(|(_, id)| id.clone())
            .collect()
    }

    /// When the next one is due.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.waiting().map(|(at, _)| at).min()
    }

    /// Sums.
    pub(super) fn usage(&self) -> Usage {
        let mut usage = Usage {
            octets: self.octets,
            ..Usage::default()
        };
        for slot in self.slots.values() {
            match slot.stage {
                Stage::Prepared => usage.prepared += 1,
                Stage::Waiting { .. } | Stage::Claimed => usage.owed += 1,
                Stage::Dead => usage.dead += 1,
            }
        }
        usage
    }

    fn waiting(&self) -> impl Iterator<Item = (Timestamp, &EntryId)> {
        self.slots.iter().filter_map(|(id, slot)| match slot.stage {
            Stage::Waiting {
                next_attempt_at, ..
            } => Some((next_attempt_at, id)),
            Stage::Prepared | Stage::Claimed | Stage::Dead => None,
        })
    }
}
