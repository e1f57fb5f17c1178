//! How one line hangs on the one before: what is hashed, and how a line is read back.
//!
//! A line is `{"v":1,"kind":..,"node":..,"seq":..,"at":..,"prev":..,<body>,"hash":..}`; `hash` is the SHA-256 of every octet
//! before `,"hash":`, `prev` the hash of the line before, 64 zeros for the first. Octets are hashed, not values, so that
//! nobody needs to agree on how JSON is written. Pure; it must never know a file.

use jiff::Timestamp;
use ring::digest;
use serde::Deserialize;
use thiserror::Error;

/// Version of the line format.
pub(super) const VERSION: u32 = 1;
/// `,"hash":"` + 64 digits + `"}`.
const TAIL_OCTETS: usize = TAIL_OPEN.len() + HASH_DIGITS + TAIL_CLOSE.len();
const TAIL_OPEN: &[u8] = b",\"hash\":\"";
const TAIL_CLOSE: &[u8] = b"\"}";
const HASH_DIGITS: usize = 64;

/// The end of the chain so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) seq: u64,
    pub(super) hash: String,
}

impl Head {
    /// Before the first line.
    pub(super) fn start() -> Self {
        Self {
            seq: 0,
            hash: "0".repeat(HASH_DIGITS),
        }
    }
}

/// Adds one line, with its line end, to `octets`; returns the new head. `body` is one JSON object with at least one field.
pub(super) fn append(
    octets: &mut Vec<u8>,
    head: &Head,
    kind: &str,
    node: &str,
    at: Timestamp,
    body: &str,
) -> Head {
    let begin = octets.len();
    let seq = head.seq + 1;
    let opening = format!(
        "{{\"v\":{VERSION},\"kind\":\"{kind}\",\"node\":\"{node}\",\"seq\":{seq},\"at\":\"{at:.6}\",\"prev\":\"{}\",",
        head.hash
    );
    octets.extend_from_slice(opening.as_bytes());
    let fields = body.strip_prefix('{').unwrap_or(body);
    let fields = fields.strip_suffix('}').unwrap_or(fields);
    octets.extend_from_slice(fields.as_bytes());
    let hash = hash_of(octets.get(begin..).unwrap_or_default());
    octets.extend_from_slice(TAIL_OPEN);
    octets.extend_from_slice(hash.as_bytes());
    octets.extend_from_slice(TAIL_CLOSE);
    octets.push(b'\n');
    Head { seq, hash }
}

/// What the chain knows of a line.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Link {
    pub(super) v: u32,
    pub(super) kind: String,
    pub(super) seq: u64,
    pub(super) prev: String,
    pub(super) hash: String,
}

/// Why octets are no line of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum NoLink {
    #[error("is no line of a ledger")]
    Form,
    #[error("has format {0}; this version knows {VERSION}")]
    Version(u32),
    #[error("was changed: its hash does not fit")]
    Hash,
}

/// Reads a line, without its line end, and checks that it is what was hashed.
pub(super) fn read(line: &[u8]) -> Result<Link, NoLink> {
    let link: Link = serde_json::from_slice(line).map_err(|_| NoLink::Form)?;
    if link.v != VERSION {
        return Err(NoLink::Version(link.v));
    }
    let cut = line.len().checked_sub(TAIL_OCTETS).ok_or(NoLink::Form)?;
    let (content, tail) = line.split_at_checked(cut).ok_or(NoLink::Form)?;
    let hash = hash_of(content);
    let expected = [TAIL_OPEN, hash.as_bytes(), TAIL_CLOSE].concat();
    if tail != expected || link.hash != hash {
        return Err(NoLink::Hash);
    }
    Ok(link)
}

pub(super) fn hash_of(octets: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, octets).as_ref())
}

/// Lower-case hex.
pub(super) fn hex(octets: &[u8]) -> String {
    const DIGITS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f',
    ];
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or('0');
    octets
        .iter()
        .flat_map(|octet| [digit(octet >> 4), digit(octet & 15)])
        .collect()
}
