//! How many octets of mail all sessions hold together, so that many large messages at once cannot exhaust the machine.
//!
//! Counts what is read from clients; it knows no message. Where there is no room the answer is no, never a wait: a client
//! that is told 452 comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Octets are taken in steps, so that the count is touched once per chunk and not once per line.
const STEP_OCTETS: u64 = 64 << 10;

/// The room for mail, shared by all sessions.
#[derive(Debug, Clone)]
pub struct Memory {
    limit: u64,
    used: Arc<AtomicU64>,
}

impl Memory {
    /// Room for so many octets.
    pub fn new(limit: u64) -> Self {
        Self {
            limit,
            used: Arc::default(),
        }
    }

    /// The same room, larger or smaller; what is in it stays in it.
    #[must_use]
    pub fn with_limit(&self, limit: u64) -> Self {
        Self {
            limit,
            used: Arc::clone(&self.used),
        }
    }

    /// The room in octets.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Octets in use.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// A share that holds nothing yet.
    pub fn share(&self) -> Share {
        Share {
            memory: self.clone(),
            octets: 0,
        }
    }
}

/// What one message holds; given back when dropped.
#[derive(Debug)]
pub struct Share {
    memory: Memory,
    octets: u64,
}

impl Share {
    /// Makes sure that the share covers `octets`; `false` when there is no room, and then nothing changes.
    pub fn cover(&mut self, octets: usize) -> bool {
        let wanted = u64::try_from(octets).unwrap_or(u64::MAX);
        if wanted <= self.octets {
            return true;
        }
        let least = wanted - self.octets;
        let step = least.div_ceil(STEP_OCTETS).saturating_mul(STEP_OCTETS);
        // The last octets before the limit are less than a step.
        [step, least].into_iter().any(|more| self.take(more))
    }

    /// Covers exactly `octets`, the length of a message that is whole; `false` when there is no room.
    pub fn fit(&mut self, octets: usize) -> bool {
        let wanted = u64::try_from(octets).unwrap_or(u64::MAX);
        if wanted > self.octets {
            return self.take(wanted - self.octets);
        }
        let surplus = self.octets - wanted;
        self.octets = wanted;
        self.memory.used.fetch_sub(surplus, Ordering::Relaxed);
        true
    }

    /// Gives all of it back: the message is refused and no longer held, only read to its end.
    pub fn release(&mut self) {
        let octets = std::mem::take(&mut self.octets);
        self.memory.used.fetch_sub(octets, Ordering::Relaxed);
    }

    fn take(&mut self, more: u64) -> bool {
        let room = |used: u64| {
            used.checked_add(more)
                .filter(|total| *total <= self.memory.limit)
        };
        let order = Ordering::Relaxed;
        let taken = self.memory.used.fetch_update(order, order, room).is_ok();
        if taken {
            self.octets += more;
        }
        taken
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_never_exceed_the_room_and_come_back() {
        let memory = Memory::new(3 * STEP_OCTETS);
        let mut one = memory.share();
        let mut two = memory.share();
        assert!(one.cover(1));
        assert!(one.cover(STEP_OCTETS as usize));
        assert_eq!(memory.used(), STEP_OCTETS);
        assert!(two.cover(STEP_OCTETS as usize + 1));
        assert_eq!(memory.used(), 3 * STEP_OCTETS);
        assert!(!one.cover(STEP_OCTETS as usize + 1));
        assert!(one.cover(10));
        drop(two);
        assert!(one.cover(STEP_OCTETS as usize + 1));
        assert!(one.cover(3 * STEP_OCTETS as usize));
        assert!(!one.cover(3 * STEP_OCTETS as usize + 1));
        assert!(!one.cover(usize::MAX));
        assert!(one.fit(10));
        assert_eq!(memory.used(), 10);
        assert!(!one.fit(3 * STEP_OCTETS as usize + 1));
        assert!(one.fit(3 * STEP_OCTETS as usize));
        one.release();
        assert_eq!(memory.used(), 0);
        assert!(one.cover(1));
        drop(one);
        assert_eq!(memory.used(), 0);
        assert!(Memory::new(10).share().cover(10));
        assert!(!Memory::new(10).share().cover(11));
    }
}
