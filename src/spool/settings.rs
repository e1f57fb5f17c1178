//! What `[spool]` in the configuration says, and when an owed entry is tried again.
//!
//! Pure: no clock and no disk, the caller gives the time. A value that makes no sense is named by
//! [`Settings::problem`], never repaired in silence.

use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

/// `[spool]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where entries lie; made with mode 0700 when missing. Default `var/spool`.
    pub directory: PathBuf,
    /// Most octets of messages and envelopes, dead ones included. Default 1 GiB. Past it: 452 4.3.1.
    pub bytes: u64,
    /// Most entries, dead ones included. Default 20,000. Past it: 452 4.3.1.
    pub entries: u64,
    /// Wait before the first repeated attempt, in seconds. Default 60. It doubles with each attempt.
    pub retry_first_seconds: u32,
    /// Longest wait between two attempts, in seconds. Default 1,800.
    pub retry_most_seconds: u32,
    /// Octets that stay free on the file system. Default 64 MiB.
    pub free_bytes: u64,
    /// Attempts at owed mail that run at once; new mail goes first. Default 4.
    pub connections: usize,
    /// Age at which the sender of what is still owed is told that it is late, in seconds; 0: never. Default 14,400 (4 hours).
    pub delayed_after_seconds: u32,
    /// Largest message that comes back whole in a failed DSN where RET=FULL asks for it, in octets; of a larger one, its
    /// header. Default 262,144 (256 KiB); 0: always the header alone.
    pub returned_octets: u32,
    /// How often the process may die over one entry before that entry is left alone. Default 3.
    pub crashes: u32,
    /// Age at which what is still owed becomes a failed DSN, in seconds. Default 432,000 (5 days).
    pub expire_after_seconds: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            directory: PathBuf::from("var/spool"),
            bytes: 1 << 30,
            entries: 20_000,
            retry_first_seconds: 60,
            free_bytes: 64 << 20,
            connections: 4,
            delayed_after_seconds: 4 * 60 * 60,
            returned_octets: 256 << 10,
            crashes: 3,
            retry_most_seconds: 1_800,
            expire_after_seconds: 5 * 24 * 60 * 60,
        }
    }
}

impl Settings {
    /// The first thing wrong with these values, naming the key; `None` when they can be used.
    pub fn problem(&self) -> Option<&'static str> {
        if self.directory.as_os_str().is_empty() {
            Some("spool.directory is empty")
        } else if self.bytes == 0 {
            Some("spool.bytes is 0: nothing could be kept")
        } else if self.entries == 0 {
            Some("spool.entries is 0: nothing could be kept")
        } else if self.connections == 0 {
            Some("spool.connections is 0: nothing would ever be delivered")
        } else if self.crashes == 0 {
            Some("spool.crashes is 0: every entry would be left alone")
        } else if self.retry_first_seconds == 0 {
            Some("spool.retry_first_seconds is 0: the next hop would be asked without a pause")
        } else if self.retry_most_seconds < self.retry_first_seconds {
            Some("spool.retry_most_seconds is less than spool.retry_first_seconds")
        } else if self.expire_after_seconds < self.retry_first_seconds {
            Some("spool.expire_after_seconds is less than spool.retry_first_seconds")
        } else {
            None
        }
    }

    /// How long to wait after the `attempts`-th failed attempt: doubling from the first wait to the longest.
    pub fn wait_after(&self, attempts: u32) -> SignedDuration {
        let doublings = attempts.saturating_sub(1).min(32);
        let seconds = u64::from(self.retry_first_seconds) << doublings;
        let bounded = seconds.min(u64::from(self.retry_most_seconds));
        SignedDuration::from_secs(i64::try_from(bounded).unwrap_or(i64::MAX))
    }

    /// The time of the next attempt after `attempts` failed ones.
    ///
    /// Up to a tenth earlier than [`Settings::wait_after`] says, so that what failed together does not come back together.
    pub fn next_attempt_at(&self, now: Timestamp, attempts: u32) -> Timestamp {
        let wait = self.wait_after(attempts);
        let tenth = u64::try_from(wait.as_millis() / 10).unwrap_or(0);
        let early = random().checked_rem(tenth.saturating_add(1)).unwrap_or(0);
        let early = SignedDuration::from_millis(i64::try_from(early).unwrap_or(0));
        now.saturating_add(wait.saturating_sub(early))
            .unwrap_or(Timestamp::MAX)
    }

    /// Whether an entry is due. One that lies further ahead than any wait could have put it was written under a
    /// clock that has since been set back: due as well, or it would sleep for as long as the clock was wrong.
    pub fn is_due(&self, next_attempt_at: Timestamp, now: Timestamp) -> bool {
        let longest = SignedDuration::from_secs(i64::from(self.retry_most_seconds));
        next_attempt_at <= now || next_attempt_at.duration_since(now) > longest
    }

    /// Whether the sender of what arrived at `arrived_at` should hear that it is late.
    pub fn is_late(&self, arrived_at: Timestamp, now: Timestamp) -> bool {
        let after = i64::from(self.delayed_after_seconds);
        after > 0 && now.duration_since(arrived_at) >= SignedDuration::from_secs(after)
    }

    /// When what arrived at `arrived_at` is given up.
    pub fn expires_at(&self, arrived_at: Timestamp) -> Timestamp {
        let after = SignedDuration::from_secs(i64::from(self.expire_after_seconds));
        arrived_at.saturating_add(after).unwrap_or(Timestamp::MAX)
    }

    /// Whether even the report about what arrived at `arrived_at` is given up: it has had as long as the copy had.
    pub fn is_past_reporting(&self, arrived_at: Timestamp, now: Timestamp) -> bool {
        now.duration_since(arrived_at)
            >= SignedDuration::from_secs(i64::from(self.expire_after_seconds).saturating_mul(2))
    }

    /// Whether what arrived at `arrived_at` is too old to be tried again.
    pub fn is_expired(&self, arrived_at: Timestamp, now: Timestamp) -> bool {
        now.duration_since(arrived_at)
            >= SignedDuration::from_secs(i64::from(self.expire_after_seconds))
    }
}

/// Any number. Where the system has none the wait is as long as it says.
fn random() -> u64 {
    use ring::rand::{SecureRandom as _, SystemRandom};
    let mut octets = [0; 8];
    match SystemRandom::new().fill(&mut octets) {
        Ok(()) => u64::from_be_bytes(octets),
        Err(_) => 0,
    }
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
