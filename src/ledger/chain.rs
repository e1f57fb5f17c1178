//! The hash chain: every line ends in SHA-256 of itself without that hash, and names the hash of the line before.
//!
//! Pure. A flipped octet, a removed or a reordered line is found by anybody with the files; a line that does not read is
//! said so, never skipped.

use ring::digest::{SHA256, digest};

use super::line::Line;

/// `prev` of the first line.
pub const FIRST: &str = "0000000000000000000000000000000000000000000000000000000000000000";

const MARK: &str = ",\"hash\":\"";
/// `,"hash":"` + 64 hex + `"}`.
const TAIL_OCTETS: usize = MARK.len() + 64 + 2;

/// The line as it is written, with its line end, and its hash.
///
/// # Errors
/// When a value has no JSON form, which the types here all have.
pub fn seal(line: &Line) -> Result<(String, String), serde_json::Error> {
    let mut text = serde_json::to_string(line)?;
    let hash = hex(digest(&SHA256, text.as_bytes()).as_ref());
    text.pop();
    text.push_str(MARK);
    text.push_str(&hash);
    text.push_str("\"}\n");
    Ok((text, hash))
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// It does not end in a hash.
    #[error("no hash at its end")]
    NoHash,
    /// Its octets were changed.
    #[error("its hash does not fit its text")]
    Changed,
    /// It is not a line of this format.
    #[error("not a ledger line: {0}")]
    Unreadable(String),
}

/// Reads one written line (without its line end); answers with it and its hash.
///
/// # Errors
/// What is wrong with it.
pub fn open(text: &str) -> Result<(Line, String), Broken> {
    let cut = text.len().checked_sub(TAIL_OCTETS).ok_or(Broken::NoHash)?;
    let (body, tail) = text.split_at_checked(cut).ok_or(Broken::NoHash)?;
    let hash = tail
        .strip_prefix(MARK)
        .and_then(|tail| tail.strip_suffix("\"}"))
        .ok_or(Broken::NoHash)?;
    let body = format!("{body}}}");
    if hex(digest(&SHA256, body.as_bytes()).as_ref()) != hash {
        return Err(Broken::Changed);
    }
    let line =
        serde_json::from_str(&body).map_err(|error| Broken::Unreadable(error.to_string()))?;
    Ok((line, hash.to_owned()))
}

/// Lower-case hex.
pub fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}
