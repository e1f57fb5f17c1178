//! What names a recipient by less than an address: the local part alone, as it is or encoded, and how a digest begins.
//!
//! By itself between two separators; an ordinary word is none. Six letters of a digest match one token in a million by chance, and a
//! local part may be anybody's name: proof only of what nobody sees. It must never be asked of anything else. It cannot fail.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::super::url::Url;
use super::decode;
use super::written::is_ordinary;

/// Octets of a digest that are enough.
const BEGINNING: usize = 3;

/// The fragments of the recipients of one message.
#[derive(Debug, Clone, Default)]
pub(super) struct Short {
    /// Local parts, lower case, and their encodings.
    words: HashSet<String>,
    beginnings: HashSet<Vec<u8>>,
}

impl Short {
    /// Adds a local part.
    pub(super) fn local(&mut self, local: &str) {
        let lower = local.to_lowercase();
        if is_ordinary(&lower) {
            return;
        }
        for spelled in [local, &lower] {
            self.words.insert(STANDARD_NO_PAD.encode(spelled));
            let hex = spelled.bytes().map(|octet| format!("{octet:02x}"));
            self.words.insert(hex.collect());
        }
        self.words.insert(lower);
    }

    /// Adds the digests of addresses.
    pub(super) fn digests<'d>(&mut self, digests: impl Iterator<Item = &'d [u8]>) {
        let beginnings = digests.filter_map(|digest| digest.get(..BEGINNING));
        self.beginnings.extend(beginnings.map(<[u8]>::to_vec));
    }

    /// Whether one of them stands by itself in a segment, a value or a label.
    pub(super) fn stands_in(&self, url: &Url) -> bool {
        if self.words.is_empty() && self.beginnings.is_empty() {
            return false;
        }
        let segments = url.segments().into_iter();
        let values = url.parameters().flat_map(|(name, value)| [name, value]);
        let mut pieces = segments.chain(values).chain(url.host.split('.'));
        pieces.any(|piece| {
            let stem = piece.rsplit_once('.').map_or(piece, |(stem, _)| stem);
            let parts = piece.split(|c: char| !c.is_alphanumeric());
            [piece, stem]
                .into_iter()
                .chain(parts)
                .any(|word| self.is(word))
        })
    }

    fn is(&self, word: &str) -> bool {
        let word = word.trim_end_matches('=');
        if self.words.contains(word) || self.words.contains(&word.to_lowercase()) {
            return true;
        }
        // Six letters of hexadecimal, or four of base64, are so many octets.
        word.len() >= BEGINNING * 2 && self.begins_digest(word)
    }

    fn begins_digest(&self, word: &str) -> bool {
        let even = word.len() - word.len() % 2;
        let fours = word.len() - word.len() % 4;
        let cut = [even, fours]
            .into_iter()
            .filter_map(|length| word.get(..length));
        cut.flat_map(decode::all).any(|decoded| {
            let beginning = decoded.octets.get(..BEGINNING);
            beginning.is_some_and(|beginning| self.beginnings.contains(beginning))
        })
    }
}
