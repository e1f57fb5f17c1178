//! What one row says, in the words of the file: every field by its name, before anything is understood.
//!
//! JSON lines and tables both end here, so that one judgement serves both. It must never show a value in an error: a
//! value can be an address. A field that is not on the list is an error; nothing of a row is left unread.

use std::collections::BTreeMap;

use serde::Serialize;
use thiserror::Error;

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    /// One text.
    Text,
    /// Several.
    Texts,
}

/// Every field that a row may have. `source`, `record`, `recorded_at` and `standing` say how things were in the register that an
/// export was made from; they are read and not taken over.
const FIELDS: [(&str, Holds); 28] = [
    ("controller", Holds::Text),
    ("address", Holds::Text),
    ("list", Holds::Text),
    ("state", Holds::Text),
    ("purposes", Holds::Texts),
    ("at", Holds::Text),
    ("channel", Holds::Text),
    ("collector", Holds::Text),
    ("wording_version", Holds::Text),
    ("wording_sha256", Holds::Text),
    ("language", Holds::Text),
    ("affirmative_act", Holds::Text),
    ("notice", Holds::Text),
    ("controller_list", Holds::Text),
    ("controllers_shown", Holds::Texts),
    ("evidence_sha256", Holds::Text),
    ("scope", Holds::Text),
    ("supersedes", Holds::Text),
    ("collected_at", Holds::Text),
    ("informed_at", Holds::Text),
    ("informed_notice", Holds::Text),
    ("informed_purposes", Holds::Texts),
    ("country", Holds::Text),
    ("address_kind", Holds::Text),
    ("source", Holds::Text),
    ("record", Holds::Text),
    ("recorded_at", Holds::Text),
    ("standing", Holds::Text),
];

/// One row that cannot be taken, and why.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize)]
#[error("line {line}: {problem}")]
pub struct RowError {
    /// The line on which it begins, from 1.
    pub line: u64,
    /// What is wrong; it names the field and never the address.
    pub problem: String,
}

/// The names of all fields.
pub fn fields() -> Vec<&'static str> {
    FIELDS.iter().map(|(name, _)| *name).collect()
}

/// The name of a field as it stands in the list, when it does.
pub(super) fn field(name: &str) -> Option<&'static str> {
    FIELDS
        .iter()
        .find_map(|(known, _)| (*known == name).then_some(*known))
}

/// Whether the field holds several texts.
pub(super) fn holds_texts(name: &str) -> bool {
    FIELDS
        .iter()
        .any(|(known, holds)| *known == name && *holds == Holds::Texts)
}

/// One row. Fields that were left empty are not in it.
#[derive(Default)]
pub(super) struct Said {
    texts: BTreeMap<&'static str, String>,
    several: BTreeMap<&'static str, Vec<String>>,
    /// A table has a line for everybody, so its rows may say nothing: an empty cell is no answer.
    pub(super) of_table: bool,
    /// A line that sums a person up; its records have lines of their own.
    pub(super) is_summary: bool,
}

impl Said {
    pub(super) fn put(&mut self, field: &'static str, text: String) {
        self.texts.insert(field, text);
    }

    pub(super) fn put_several(&mut self, field: &'static str, texts: Vec<String>) {
        self.several.insert(field, texts);
    }

    pub(super) fn take(&mut self, field: &'static str) -> Option<String> {
        self.texts.remove(field)
    }

    pub(super) fn take_several(&mut self, field: &'static str) -> Vec<String> {
        self.several.remove(field).unwrap_or_default()
    }

    pub(super) fn has(&self, field: &'static str) -> bool {
        self.texts.contains_key(field) || self.several.contains_key(field)
    }

    pub(super) fn needed(&mut self, field: &'static str) -> Result<String, String> {
        self.take(field)
            .ok_or_else(|| format!("`{field}` is missing"))
    }
}

/// A word of a file as an error may show it: never when it could be an address, escaped and cut otherwise.
pub(super) fn shown(word: &str) -> String {
    if word.contains('@') {
        return "(it holds `@`)".to_owned();
    }
    let word: String = word.chars().take(64).flat_map(char::escape_debug).collect();
    format!("`{word}`")
}
