//! `[csv]` of the evidence file: how a table is to be read.
//!
//! It must never guess: what is not said has a default that stands beside its key, and what contradicts itself is an error
//! that names the key.

use std::collections::BTreeMap;

use encoding_rs::Encoding;
use serde::Deserialize;

use super::said::shown;

/// What stands between two texts in one field, where no mapping says otherwise.
pub const SEPARATOR: &str = "|";
/// `[csv]` of the evidence file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mapping {
    /// What stands between two fields. Default: `,`.
    pub delimiter: String,
    /// The name of its encoding (WHATWG). Default: `utf-8`.
    pub encoding: String,
    /// Whether the first line names the columns; otherwise they are `1`, `2`.. Default: true.
    pub header: bool,
    /// How moments are written (strptime), tried in turn. Default: ISO 8601.
    pub date_formats: Vec<String>,
    /// What stands between two texts in one field. Default: `|`.
    pub separator: String,
    /// What it says for a yes, beside `granted`; capitals do not matter.
    pub yes: Vec<String>,
    /// For a no, beside `refused`.
    pub no: Vec<String>,
    /// For a consent taken back, beside `withdrawn`.
    pub withdrawn: Vec<String>,
    /// For an objection, beside `objected`.
    pub objected: Vec<String>,
    /// For an erasure, beside `erased`.
    pub erased: Vec<String>,
    /// Field by field, the name of its column; columns that no field names are not read.
    pub columns: BTreeMap<String, String>,
    /// Field by field, what it is in every row.
    pub constant: BTreeMap<String, String>,
}

impl Default for Mapping {
    fn default() -> Self {
        Self {
            delimiter: ",".to_owned(),
            encoding: "utf-8".to_owned(),
            header: true,
            date_formats: Vec::new(),
            separator: SEPARATOR.to_owned(),
            yes: Vec::new(),
            no: Vec::new(),
            withdrawn: Vec::new(),
            objected: Vec::new(),
            erased: Vec::new(),
            columns: BTreeMap::new(),
            constant: BTreeMap::new(),
        }
    }
}

impl Mapping {
    /// What is wrong with it: the key, and the problem.
    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        if self.delimiter_octet().is_none() {
            return Err((
                "delimiter",
                "is not one ASCII character, such as \";\" or \"\\t\"".to_owned(),
            ));
        }
        if Encoding::for_label(self.encoding.as_bytes()).is_none() {
            let problem =
                "is no encoding; \"utf-8\" and \"windows-1252\" are the usual ones".to_owned();
            return Err(("encoding", problem));
        }
        if self.separator.is_empty() {
            return Err(("separator", "is empty".to_owned()));
        }
        let mut seen: BTreeMap<String, &'static str> = BTreeMap::new();
        for (key, state, words) in self.words() {
            for word in words.iter().map(String::as_str).chain([state]) {
                if word.trim().is_empty() {
                    return Err((
                        key,
                        "holds an empty word: an empty cell says nothing".to_owned(),
                    ));
                }
                if let Some(other) = seen.insert(word.trim().to_lowercase(), state)
                    && other != state
                {
                    return Err((
                        key,
                        format!("holds {}, which means `{other}` already", shown(word)),
                    ));
                }
            }
        }
        Ok(())
    }

    fn words(&self) -> [(&'static str, &'static str, &Vec<String>); 5] {
        [
            ("yes", "granted", &self.yes),
            ("no", "refused", &self.no),
            ("withdrawn", "withdrawn", &self.withdrawn),
            ("objected", "objected", &self.objected),
            ("erased", "erased", &self.erased),
        ]
    }

    pub(super) fn delimiter_octet(&self) -> Option<u8> {
        match self.delimiter.as_bytes() {
            [octet] if octet.is_ascii() && !matches!(octet, b'"' | b'\r' | b'\n') => Some(*octet),
            _ => None,
        }
    }

    /// Every word, in small letters, and the state it means.
    pub(super) fn states(&self) -> BTreeMap<String, &'static str> {
        self.words()
            .into_iter()
            .flat_map(|(_, state, words)| {
                let words = words.iter().map(String::as_str).chain([state]);
                words.map(move |word| (word.trim().to_lowercase(), state))
            })
            .collect()
    }
}
