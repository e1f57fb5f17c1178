//! One person under every look-up key held, so that a row that a rotation has not reached yet is found all the same.
//!
//! It must never hold the address. It remembers which generation was current when it was made: the register refuses an
//! identity of another generation than its own, so that nobody is taken for unknown because of a rotation.

use crate::consent::{LookupKey, Subject};

/// The subjects of one person for one controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    generation: u32,
    current: Subject,
    all: Box<[Subject]>,
}

impl Identity {
    pub(super) fn of(
        generation: u32,
        current: &LookupKey,
        others: &[LookupKey],
        controller: &str,
        address: &str,
    ) -> Self {
        let subject = |key| Subject::of(key, controller, address);
        let current = subject(current);
        Self {
            generation,
            current,
            all: std::iter::once(current)
                .chain(others.iter().map(subject))
                .collect(),
        }
    }

    /// Under the current key: the name by which a line of today's ledger or log knows the person.
    pub fn current(&self) -> Subject {
        self.current
    }

    /// Under every key held: the current one first, then from new to old. Rows and lines written before a rotation bear
    /// one of the others.
    pub fn all(&self) -> &[Subject] {
        &self.all
    }

    /// The generation of the look-up key that was current when this was made.
    pub fn generation(&self) -> u32 {
        self.generation
    }
}
