//! What a summary comes to: rows by stream and day, how streams were switched, and what is missing.
//!
//! Plain values; it must never know how they were counted. Nothing here names a person.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

use super::NAMES_MAX;
use super::tally::Tally;

/// Which mail a row counts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// The day (UTC) of the first attempt.
    pub day: Date,
    /// The stream.
    pub stream: String,
    /// Its kind.
    pub stream_kind: String,
    /// The controller whose records decided.
    pub controller: String,
}

/// How a stream was switched, as its intents say it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Switched {
    /// The stream.
    pub stream: String,
    /// `enforce` or `shadow`.
    pub mode: String,
    /// Until when a shadow lasts.
    pub shadow_until: Option<String>,
    /// Who ordered it.
    pub by: Option<String>,
    /// Percent of subjects that are enforced all the same.
    pub share_percent: Option<u8>,
}

/// On which days something was so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Days {
    /// The first.
    pub first: Date,
    /// The last.
    pub last: Date,
    /// How many messages it was so for; none for what only a start line says.
    pub messages: u64,
}

/// Lines that are missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// The machine.
    pub node: String,
    /// Why, in the ledger's word.
    pub cause: String,
    /// How many lines; of a torn tail at least so many.
    pub lines: u64,
    /// Since when.
    pub since: Timestamp,
    /// Until when.
    pub until: Timestamp,
}

/// Everything that was counted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts {
    /// By stream and day, in order.
    pub rows: Vec<(Place, Tally)>,
    /// How streams were switched, and when.
    pub switched: BTreeMap<Switched, Days>,
    /// Detection rules that were switched off.
    pub rules_disabled: BTreeMap<String, Days>,
    /// `strip_all` and `hold_edits`, where they were on.
    pub stops: BTreeMap<String, Days>,
    /// Machines that wrote.
    pub nodes: BTreeSet<String>,
    /// Lines read.
    pub lines: u64,
    /// Starts of a relay.
    pub starts: u64,
    /// What is missing, the first `GAPS_MAX`.
    pub missing: Vec<Missing>,
    /// How many gaps there are.
    pub gaps: u64,
    /// How many lines are missing in all of them, at least.
    pub missing_lines: u64,
    /// Places where the numbers of lines jump although no gap says so: lines were removed.
    pub jumps: u64,
    /// Outcomes of messages of which no intent was read: the lines begin after it, or it is missing.
    pub without_intent: u64,
    /// Messages that had to be forgotten while they were under way.
    pub forgotten: u64,
}

/// Notes that something was so on a day; past [`NAMES_MAX`] different things nothing new is noted.
pub(super) fn note<K: Ord>(noted: &mut BTreeMap<K, Days>, what: K, day: Date, messages: u64) {
    if noted.len() >= NAMES_MAX && !noted.contains_key(&what) {
        return;
    }
    let days = noted.entry(what).or_insert(Days {
        first: day,
        last: day,
        messages: 0,
    });
    days.first = days.first.min(day);
    days.last = days.last.max(day);
    days.messages += messages;
}
