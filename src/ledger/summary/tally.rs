//! Counts by measure and words, kept as numbers while they grow.
//!
//! It must never know what a measure means. Past its limit a list of names takes no new ones: they count as `(others)`.

use std::collections::{BTreeMap, HashMap};

use super::{NAMES_MAX, OTHERS};

/// Most words of the ledger's closed lists, texts of the operator's included, that are told apart.
const WORDS_MAX: usize = 10_000;
/// Stands for a word that is not there.
const NONE: u32 = u32::MAX;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Measure {
    /// Messages.
    Messages,
    /// Messages in which at least one tracker was found.
    MessagesWithTrackers,
    /// Attempts to deliver them.
    Attempts,
    /// Attempts after the first.
    Retries,
    /// Attempts at messages that were counted before the lines begin.
    RetriesOfEarlier,
    /// Messages whose intent must not be relied upon: a gap says so. Nothing was kept in them.
    Void,
    /// Messages without an outcome: under way when the lines end, or cut off by a crash.
    WithoutOutcome,
    /// Recipients of all messages, each as often as they were written to.
    Recipients,
    /// Copies by what was done with them, and why: action on the copy, reason.
    Copies,
    /// Copies of people who are in shadow.
    ShadowCopies,
    /// Those among them that would be changed.
    WouldChangeCopies,
    /// One tracker in one copy: action, basis or reason, vendor.
    Trackers,
    /// One part that nobody can see into, in one copy: action, basis or reason.
    BlindParts,
    /// One tracker in one copy, as it was declared: host, purposes, partner.
    Declared,
    /// Copies by country profile.
    Profiles,
    /// Changed copies of messages that bear a signature of this domain.
    DkimBroken,
    /// Copies that would be changed if the stream were not in shadow, likewise.
    DkimWouldBreak,
    /// Copies by fate.
    Fates,
    /// Messages by what the client was told.
    Answers,
    /// Messages with a part that could not be inspected.
    UninspectableMessages,
    /// Such parts by reason.
    UninspectableParts,
    /// Parts out of scope by reason.
    OutOfScopeParts,
    /// What tells of a reader and stays as it is, by `kind`.
    Reported,
}

/// A measure and up to three words, as numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    measure: Measure,
    words: [u32; 3],
}

/// The key of these words.
pub(super) fn key<const N: usize>(measure: Measure, words: [u32; N]) -> Key {
    let mut all = [NONE; 3];
    for (slot, word) in all.iter_mut().zip(words) {
        *slot = word;
    }
    Key {
        measure,
        words: all,
    }
}

/// Counts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tally {
    growing: HashMap<Key, u64>,
    named: BTreeMap<Measure, BTreeMap<Vec<String>, u64>>,
}

impl Tally {
    pub(super) fn add(&mut self, key: Key, count: u64) {
        *self.growing.entry(key).or_default() += count;
    }

    /// Takes back what was added; never below nothing.
    pub(super) fn take(&mut self, key: Key, count: u64) {
        if let Some(left) = self.growing.get_mut(&key) {
            *left = left.saturating_sub(count);
            if *left == 0 {
                self.growing.remove(&key);
            }
        }
    }

    /// The same counts under their names.
    pub(super) fn named(self, names: &Names) -> Self {
        let mut named: BTreeMap<Measure, BTreeMap<Vec<String>, u64>> = BTreeMap::new();
        for (key, count) in self.growing {
            let words = key.words.iter().filter(|word| **word != NONE);
            let words = words.map(|word| names.text(*word)).collect();
            *named
                .entry(key.measure)
                .or_default()
                .entry(words)
                .or_default() += count;
        }
        Self {
            growing: HashMap::new(),
            named,
        }
    }

    /// Adds the counts of another row.
    pub fn merge(&mut self, other: &Self) {
        for (measure, counts) in &other.named {
            let own = self.named.entry(*measure).or_default();
            for (words, count) in counts {
                *own.entry(words.clone()).or_default() += count;
            }
        }
    }

    /// Everything counted under a measure.
    pub fn sum(&self, measure: Measure) -> u64 {
        self.each(measure).map(|(_, count)| count).sum()
    }

    /// The counts under a measure, each with its words.
    pub fn each(&self, measure: Measure) -> impl Iterator<Item = (&[String], u64)> {
        let counts = self.named.get(&measure).into_iter().flatten();
        counts.map(|(words, count)| (words.as_slice(), *count))
    }
}

/// Texts and their numbers.
#[derive(Debug, Default)]
pub(super) struct Names {
    texts: Vec<String>,
    numbers: HashMap<String, u32>,
    words: usize,
    vendors: HashMap<String, u32>,
    hosts: HashMap<String, u32>,
}

impl Names {
    /// A word of a closed list.
    pub(super) fn word(&mut self, text: &str) -> u32 {
        if !self.numbers.contains_key(text) {
            self.words += 1;
        }
        let room = self.words <= WORDS_MAX;
        self.number(if room { text } else { OTHERS })
    }

    /// The name of a vendor.
    pub(super) fn vendor(&mut self, text: &str) -> u32 {
        if let Some(known) = self.vendors.get(text) {
            return *known;
        }
        if self.vendors.len() >= NAMES_MAX {
            return self.number(OTHERS);
        }
        let number = self.number(text);
        self.vendors.insert(text.to_owned(), number);
        number
    }

    /// The name of a host.
    pub(super) fn host(&mut self, text: &str) -> u32 {
        if let Some(known) = self.hosts.get(text) {
            return *known;
        }
        if self.hosts.len() >= NAMES_MAX {
            return self.number(OTHERS);
        }
        let number = self.number(text);
        self.hosts.insert(text.to_owned(), number);
        number
    }

    fn text(&self, number: u32) -> String {
        let at = usize::try_from(number).unwrap_or(usize::MAX);
        self.texts.get(at).cloned().unwrap_or_default()
    }

    fn number(&mut self, text: &str) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = u32::try_from(self.texts.len()).unwrap_or(NONE - 1);
        self.texts.push(text.to_owned());
        self.numbers.insert(text.to_owned(), number);
        number
    }
}
