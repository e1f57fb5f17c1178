//! What happened towards one next hop, counted for whoever shows numbers.
//!
//! It must never hold anything about a mail. Counting cannot fail; a counter only grows while the program runs.

use std::sync::atomic::{AtomicU64, Ordering};

use super::fate::Fate;

/// One number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, by: u64) {
        // Relaxed: each number stands alone, nothing is ordered by it.
        self.0.fetch_add(by, Ordering::Relaxed);
    }

    pub(super) fn one(&self) {
        self.add(1);
    }

    /// The number now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The numbers of one next hop.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections that were greeted and accepted.
    pub connections_opened: Counter,
    /// Transactions begun on a connection that had been used before.
    pub connections_reused: Counter,
    /// Reused connections that turned out dead at MAIL and were replaced.
    pub connections_stale: Counter,
    /// Transactions that found no free connection within `connection_wait_seconds`.
    pub connections_busy: Counter,
    /// Failures that are about us or the network and not about a mail; the log names each.
    pub unreachable: Counter,
    /// Forward-paths whose copy was taken.
    pub taken: Counter,
    /// Forward-paths not taken for now.
    pub not_now: Counter,
    /// Forward-paths refused at or behind the message.
    pub refused: Counter,
    /// Forward-paths whose copy may or may not exist: possible duplicates.
    pub unknown: Counter,
    /// Messages not ended with a dot because less than `dot_time_seconds` was left.
    pub no_time_for_dot: Counter,
    /// MAIL commands sent without the client's BODY=8BITMIME, the octets unchanged.
    pub eight_bit_mime_dropped: Counter,
    /// MAIL commands sent without the client's SMTPUTF8, envelope and header being ASCII.
    pub smtputf8_dropped: Counter,
    /// Transactions or forward-paths refused because they need SMTPUTF8.
    pub smtputf8_refused: Counter,
    /// RET, ENVID, NOTIFY, ORCPT parameters dropped, one by one.
    pub dsn_parameters_dropped: Counter,
    /// AUTH= parameters dropped.
    pub auth_parameters_dropped: Counter,
}

impl Counters {
    pub(super) fn count(&self, fates: &[Fate]) {
        for fate in fates {
            match fate {
                Fate::Taken(_) => self.taken.one(),
                Fate::NotNow(_) | Fate::Down(_) => self.not_now.one(),
                Fate::Refused(_) => self.refused.one(),
                Fate::Unknown(_) => self.unknown.one(),
            }
        }
    }
}
