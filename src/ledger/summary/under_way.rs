//! The messages between their intent and the last fate of a copy, as many as fit.
//!
//! It holds subjects as numbers and shows them to nobody. What does not fit is the oldest, and is handed back to whoever
//! put in one too many.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use super::tally::Key;

/// Copies about which the same was decided.
#[derive(Debug, Clone)]
pub(super) struct Copies {
    /// Whose.
    pub(super) subjects: Vec<u128>,
    /// What each of them counts for.
    pub(super) each: Rc<[(Key, u64)]>,
    /// The fate that each of them is counted under, if any.
    pub(super) fate: Option<Key>,
}

/// A message that is under way.
#[derive(Debug)]
pub(super) struct Open {
    /// The row that it counts in.
    pub(super) row: usize,
    /// Its last attempt.
    pub(super) attempt: u32,
    /// The number of its last intent.
    pub(super) seq: u64,
    /// Whether any outcome was read.
    pub(super) concluded: bool,
    /// Copies that may still change.
    pub(super) copies: Vec<Copies>,
}

impl Open {
    /// Takes out one copy of this person's.
    pub(super) fn take_subject(&mut self, subject: u128) -> Option<Copies> {
        for copies in &mut self.copies {
            if let Some(at) = copies.subjects.iter().position(|known| *known == subject) {
                copies.subjects.swap_remove(at);
                return Some(Copies {
                    subjects: vec![subject],
                    each: Rc::clone(&copies.each),
                    fate: copies.fate,
                });
            }
        }
        None
    }

    fn size(&self) -> usize {
        self.copies.iter().map(|copies| copies.subjects.len()).sum()
    }
}

/// All of them, the oldest first.
#[derive(Debug)]
pub(super) struct UnderWay {
    by_id: HashMap<String, (u64, Open)>,
    by_age: BTreeMap<u64, String>,
    next: u64,
    copies: usize,
    messages_max: usize,
    copies_max: usize,
}

impl UnderWay {
    pub(super) fn new(messages_max: usize, copies_max: usize) -> Self {
        Self {
            by_id: HashMap::new(),
            by_age: BTreeMap::new(),
            next: 0,
            copies: 0,
            messages_max,
            copies_max,
        }
    }

    pub(super) fn take(&mut self, id: &str) -> Option<Open> {
        let (age, open) = self.by_id.remove(id)?;
        self.by_age.remove(&age);
        self.copies -= open.size();
        Some(open)
    }

    /// Puts one in; answers with those that no longer fit.
    pub(super) fn put(&mut self, id: &str, open: Open) -> Vec<Open> {
        self.copies += open.size();
        self.by_age.insert(self.next, id.to_owned());
        self.by_id.insert(id.to_owned(), (self.next, open));
        self.next += 1;
        let mut gone = Vec::new();
        while self.by_id.len() > self.messages_max || self.copies > self.copies_max {
            let Some((_, oldest)) = self.by_age.first_key_value() else {
                break;
            };
            let oldest = oldest.clone();
            gone.extend(self.take(&oldest));
        }
        gone
    }

    /// Those whose last intent has one of these numbers.
    pub(super) fn take_seqs(&mut self, seqs: &[u64]) -> Vec<(String, Open)> {
        if seqs.is_empty() {
            return Vec::new();
        }
        let ids: Vec<String> = self
            .by_id
            .iter()
            .filter(|(_, (_, open))| seqs.contains(&open.seq))
            .map(|(id, _)| id.clone())
            .collect();
        ids.into_iter()
            .filter_map(|id| self.take(&id).map(|open| (id, open)))
            .collect()
    }

    pub(super) fn take_all(&mut self) -> Vec<Open> {
        let ids: Vec<String> = std::mem::take(&mut self.by_age).into_values().collect();
        ids.iter().filter_map(|id| self.take(id)).collect()
    }
}

/// A subject of the ledger, 32 hex digits, as a number.
pub(super) fn subject(hex: &str) -> u128 {
    // What is no such number names nobody who could be met again.
    u128::from_str_radix(hex, 16).unwrap_or_default()
}
