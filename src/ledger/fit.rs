//! What may stand in a line: words, numbers, hashes, and texts of the operator's.
//!
//! Pure. It must never know which line it checks. What does not fit is an error that names the field: an address in clear
//! would stay in the chain for ever.

use serde::Serialize;

use super::chain::hash_of;
use super::{LINE_OCTETS_MAX, LedgerError};

/// Longest word, in octets.
pub(super) const WORD_OCTETS_MAX: usize = 128;
/// Longest text of the operator's, in octets.
const TEXT_OCTETS_MAX: usize = 512;
/// What is shown of a longer part path, in octets, and how many digits of its hash.
const PART_SHOWN_OCTETS: usize = 80;
const PART_HASH_DIGITS: usize = 32;

/// One JSON object of at least one field.
pub(super) fn body(value: &impl Serialize) -> Result<String, LedgerError> {
    let text = serde_json::to_string(value).map_err(|_| LedgerError::Unfit { field: "line" })?;
    match text.len() {
        // Room for what the chain adds around it.
        octets if octets > LINE_OCTETS_MAX - 1024 => Err(LedgerError::TooLong { octets }),
        _ => Ok(text),
    }
}

pub(super) type Check = fn(&'static str, &str) -> Result<(), LedgerError>;

fn demand(field: &'static str, holds: bool) -> Result<(), LedgerError> {
    match holds {
        true => Ok(()),
        false => Err(LedgerError::Unfit { field }),
    }
}

/// A word of a closed list, an id, a part path, the name of a rule: no address and no URL fits.
pub(super) fn word(field: &'static str, value: &str) -> Result<(), LedgerError> {
    let letter = |octet: u8| octet.is_ascii_alphanumeric() || b"._:-".contains(&octet);
    let short = !value.is_empty() && value.len() <= WORD_OCTETS_MAX;
    demand(field, short && value.bytes().all(letter))
}

/// The path of a part, shortened where it is longer than a word: its first numbers, `..`, and a hash of the whole, so that
/// two parts stay two. None where it fits.
pub(super) fn part(path: &str) -> Option<String> {
    if path.len() <= WORD_OCTETS_MAX {
        return None;
    }
    let mut numbers = String::new();
    for number in path.split('.') {
        if numbers.len() + number.len() >= PART_SHOWN_OCTETS {
            break;
        }
        numbers.push_str(number);
        numbers.push('.');
    }
    let mut hash = hash_of(path.as_bytes());
    hash.truncate(PART_HASH_DIGITS);
    Some(format!("{numbers}.{hash}"))
}

/// 128 to 256 bits in hex.
pub(super) fn hash(field: &'static str, value: &str) -> Result<(), LedgerError> {
    let digit = |octet: u8| matches!(octet, b'0'..=b'9' | b'a'..=b'f');
    let long = (32..=64).contains(&value.len());
    demand(field, long && value.bytes().all(digit))
}

/// A text from the configuration.
pub(super) fn text(field: &'static str, value: &str) -> Result<(), LedgerError> {
    demand(field, value.len() <= TEXT_OCTETS_MAX)
}

pub(super) fn optional(
    check: Check,
    field: &'static str,
    value: Option<&str>,
) -> Result<(), LedgerError> {
    value.map_or(Ok(()), |value| check(field, value))
}

pub(super) fn words<'a>(
    field: &'static str,
    values: impl Iterator<Item = &'a String>,
) -> Result<(), LedgerError> {
    values.into_iter().try_for_each(|value| word(field, value))
}

pub(super) fn hashes(field: &'static str, values: &[String]) -> Result<(), LedgerError> {
    values.iter().try_for_each(|value| hash(field, value))
}
