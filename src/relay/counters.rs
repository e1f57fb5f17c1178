//! What was done with mail, counted for whoever shows numbers.
//!
//! Labels are words of the configuration and of our own. It must never hold anything about one mail or one person. Counting
//! cannot fail; a number only grows while the program runs, over every reload.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Numbers by a word.
#[derive(Debug, Default)]
pub struct Tally(Mutex<BTreeMap<String, u64>>);

impl Tally {
    /// Adds to the number of a word.
    pub fn add(&self, word: &str, by: u64) {
        let mut numbers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match numbers.get_mut(word) {
            Some(number) => *number += by,
            None => {
                numbers.insert(word.to_owned(), by);
            }
        }
    }

    /// Every word with its number.
    pub fn each(&self) -> Vec<(String, u64)> {
        let numbers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        numbers
            .iter()
            .map(|(word, number)| (word.clone(), *number))
            .collect()
    }
}

/// The numbers of a relay.
#[derive(Debug, Default)]
pub struct Counters {
    /// Messages decided, by stream.
    pub messages: Tally,
    /// Of these, by stream, those of which some copy was changed.
    pub changed: Tally,
    /// Of these, by stream, those for which the stream only looked on (DESIGN 5).
    pub shadowed: Tally,
    /// Parts that could not be inspected or edited, by reason.
    pub uninspectable: Tally,
    /// What was not looked at, by reason.
    pub out_of_scope: Tally,
    /// What tells of a reader and stays as it is, by kind.
    pub reported: Tally,
    /// What was decided, finding by recipient, by action.
    pub actions: Tally,
    /// Why it was not kept, finding by recipient, by reason.
    pub reasons: Tally,
    /// What became of copies, by fate.
    pub fates: Tally,
    /// Single events, by name.
    pub events: Tally,
}
