//! What clients did and were told, counted for whoever shows numbers.
//!
//! Labels are words of our own; it must never hold anything a client said. Counting cannot fail; a number only grows while the
//! program runs, over every reload.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::relay::counters::Tally;
use crate::smtp::data::Violation;
use crate::smtp::replies;
use crate::smtp::reply::Reply;

/// The numbers of all sessions.
#[derive(Debug, Default)]
pub struct Counters {
    sessions: AtomicU64,
    /// By the first digit of the code, from 2.
    replies: [AtomicU64; 4],
    /// Clients that were told to go, and connections that broke off, by reason.
    pub ended: Tally,
    /// Messages refused while they were read, by reason.
    pub refused: Tally,
    /// TLS handshakes, by how they ended.
    pub handshakes: Tally,
    /// Logins with a password, by how they ended.
    pub logins: Tally,
}

impl Counters {
    /// Sessions begun.
    pub fn sessions(&self) -> u64 {
        self.sessions.load(Ordering::Relaxed)
    }

    /// Replies, by class: `2xx` to `5xx`.
    pub fn replies(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let numbers = self.replies.iter().map(|one| one.load(Ordering::Relaxed));
        ["2xx", "3xx", "4xx", "5xx"].into_iter().zip(numbers)
    }

    /// A session begins.
    pub(super) fn session(&self) {
        self.sessions.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn reply(&self, reply: &Reply) {
        let class = usize::from(reply.code() / 100).saturating_sub(2);
        if let Some(number) = self.replies.get(class) {
            number.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A client was told to go, with this reply of ours.
    pub fn sent_away(&self, reply: &Reply) {
        self.ended.add(&why(reply), 1);
    }

    /// A connection ended without a word of ours.
    pub fn broken_off(&self, why: &str) {
        self.ended.add(why, 1);
    }

    pub(super) fn refused(&self, violation: Violation) {
        let word = match violation {
            Violation::BareCr => "bare_cr",
            Violation::BareLf => "bare_lf",
            Violation::Nul => "nul",
            Violation::TooLarge(_) => "message_octets",
            Violation::LineTooLong(_) => "line_octets",
            Violation::HeaderTooLarge(_) => "header_octets",
            Violation::Memory(_) => "memory_octets",
            Violation::Endless(_) => "endless",
        };
        self.refused.add(word, 1);
    }
}

/// In a word: the limit that the reply names, or what it is about.
fn why(reply: &Reply) -> String {
    if let Some(limit) = limit_named(&reply.text()) {
        return limit.to_owned();
    }
    let word = match () {
        () if *reply == replies::not_trusted() => "not_trusted",
        () if *reply == replies::stopping() => "stopping",
        () if *reply == replies::never_reached() => "next_hop_never_reached",
        () if *reply == replies::not_smtp() => "not_smtp",
        () if *reply == replies::bare_line_end_in_command() => "bare_line_end",
        () if *reply == replies::bad_bdat() => "bad_bdat",
        () => "other",
    };
    word.to_owned()
}

/// `key` of a `(key = 5)` or `(key)` at the end of a text.
fn limit_named(text: &str) -> Option<&str> {
    let (_, inside) = text.rsplit_once('(')?;
    let (inside, _) = inside.split_once(')')?;
    let key = inside.split_once(" = ").map_or(inside, |(key, _)| key);
    let is_key = key.contains('_') || key == "sessions";
    let plain = key
        .bytes()
        .all(|octet| octet.is_ascii_lowercase() || octet == b'_');
    (is_key && plain).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_sent_away_for_a_word_of_ours() {
        for (reply, word) in [
            (replies::too_many_sessions(5), "sessions"),
            (replies::too_many_from_address(5), "sessions_per_address"),
            (
                replies::timed_out("greeting_timeout_seconds", 60),
                "greeting_timeout_seconds",
            ),
            (replies::too_many_bad_commands(20), "bad_commands"),
            (replies::too_many_idle_commands(20), "idle_commands"),
            (replies::too_many_auth_failures(3), "auth_failures"),
            (replies::command_too_long(4096), "command_line_octets"),
            (replies::chunk_too_large(4096), "message_octets"),
            (replies::not_trusted(), "not_trusted"),
            (replies::stopping(), "stopping"),
            (replies::never_reached(), "next_hop_never_reached"),
            (replies::not_smtp(), "not_smtp"),
            (replies::bad_bdat(), "bad_bdat"),
            (replies::internal_fault(), "other"),
        ] {
            assert_eq!(why(&reply), word, "{}", reply.text());
        }
    }

    #[test]
    fn replies_are_counted_by_class() {
        let counters = Counters::default();
        for reply in [
            replies::ok(),
            replies::ok(),
            replies::go_ahead(),
            replies::nul(),
        ] {
            counters.reply(&reply);
        }
        let classes: Vec<_> = counters.replies().collect();
        assert_eq!(classes, [("2xx", 2), ("3xx", 1), ("4xx", 0), ("5xx", 1)]);
    }
}
