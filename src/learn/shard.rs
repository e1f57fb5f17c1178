//! A part of the table: its slots, in the order in which they were seen last, and how many octets they take.
//!
//! Past its share of the cap the slot goes that was seen longest ago. It must never know what a slot stands for. It cannot fail.

use std::collections::{BTreeMap, HashMap};

use super::slot::Slot;
use super::url::Transaction;

/// What a slot costs beside itself: its places in the table and in the order, with the room that both keep free.
const PLACE_OCTETS: usize = 128;

/// A slot with its place in the order.
#[derive(Debug)]
struct Held {
    seen: u64,
    octets: usize,
    slot: Box<Slot>,
}

/// Some of the slots.
#[derive(Debug, Default)]
pub(super) struct Shard {
    slots: HashMap<u64, Held>,
    /// By when they were seen last.
    order: BTreeMap<u64, u64>,
    turn: u64,
    octets: usize,
}

impl Shard {
    pub(super) fn add(
        &mut self,
        key: u64,
        url: u32,
        transaction: &Transaction,
        (today, expire): (u32, u32),
        cap: usize,
    ) {
        let held = self.slots.remove(&key);
        let mut slot = match held {
            Some(held) => {
                self.forget(&held);
                held.slot
            }
            None => Box::new(Slot::new(today)),
        };
        slot.add(url, transaction, today, expire);
        self.put(key, slot, cap);
    }

    /// Puts a slot in as the one seen last; what does not fit under the cap goes.
    pub(super) fn put(&mut self, key: u64, slot: Box<Slot>, cap: usize) {
        let octets = slot.octets() + PLACE_OCTETS;
        self.turn += 1;
        let held = Held {
            seen: self.turn,
            octets,
            slot,
        };
        self.octets += octets;
        self.order.insert(self.turn, key);
        if let Some(twice) = self.slots.insert(key, held) {
            self.forget(&twice);
        }
        while self.octets > cap {
            let Some((_, oldest)) = self.order.pop_first() else {
                return;
            };
            if let Some(gone) = self.slots.remove(&oldest) {
                self.octets = self.octets.saturating_sub(gone.octets);
            }
        }
    }

    /// Drops whatever counts no more.
    pub(super) fn expire(&mut self, today: u32, expire: u32) {
        let Self {
            slots,
            order,
            octets,
            ..
        } = self;
        slots.retain(|_, held| {
            let alive = held.slot.is_alive(today, expire);
            if !alive {
                order.remove(&held.seen);
                *octets = octets.saturating_sub(held.octets);
            }
            alive
        });
    }

    fn forget(&mut self, held: &Held) {
        self.order.remove(&held.seen);
        self.octets = self.octets.saturating_sub(held.octets);
    }

    pub(super) fn get(&self, key: u64) -> Option<&Slot> {
        self.slots.get(&key).map(|held| &*held.slot)
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Octets of everything in it.
    pub(super) fn octets(&self) -> usize {
        self.octets
    }

    /// The slots, the one seen longest ago first.
    pub(super) fn all(&self) -> impl Iterator<Item = (u64, &Slot)> {
        let keys = self.order.values();
        keys.filter_map(|key| Some((*key, self.get(*key)?)))
    }
}
