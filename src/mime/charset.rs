//! In which charset octets can be examined as HTML: by label, by byte-order mark, and by what clients do without a label.
//!
//! Only charsets in which ASCII octets mean ASCII can be: tags stand there in clear. Anything else is [`Uninspectable`],
//! never "no finding". A label nobody knows is read as clients read it, and said to be doubtful.

use encoding_rs::{Encoding, ISO_2022_JP, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

#[cfg(test)]
mod tests;

/// Labels that encoding_rs does not know, of charsets in which a tag need not be ASCII; one a line.
const REFUSED: &str = include_str!("charsets_refused.txt");

/// How far into the HTML a `<meta>` charset is looked for (as in the HTML standard).
const META_OCTETS: usize = 1024;

/// The charsets to examine a part in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charsets {
    /// Every plausible one, the likeliest first; never empty, all of them ASCII-compatible.
    pub encodings: Vec<&'static Encoding>,
    /// A label is unknown, or labels and byte-order mark disagree.
    pub doubtful: bool,
}

/// Why octets cannot be examined as HTML; the sender's mail is to blame, for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Uninspectable {
    /// UTF-16 or UTF-32, by label or byte-order mark.
    #[error("wide charset")]
    Wide,
    /// A charset with shift states, in which tags can hide: UTF-7, ISO-2022, HZ.
    #[error("charset with shift states")]
    Stateful,
    /// A charset that is known to be another alphabet altogether, or that encoding_rs replaces.
    #[error("charset that is not ASCII-compatible")]
    NotAscii,
}

/// The charsets a part's labels, and its decoded octets, stand for.
pub fn charset<S: AsRef<str>>(labels: &[S], decoded: &[u8]) -> Result<Charsets, Uninspectable> {
    if decoded.starts_with(b"\xff\xfe") || decoded.starts_with(b"\xfe\xff") {
        return Err(Uninspectable::Wide);
    }
    let mut found = Charsets {
        encodings: Vec::new(),
        doubtful: labels.len() > 1,
    };
    for label in labels {
        match by_label(label.as_ref())? {
            Some(encoding) => found.add(encoding),
            None => found.doubtful = true,
        }
    }
    let labelled = !found.encodings.is_empty();
    if decoded.starts_with(b"\xef\xbb\xbf") {
        found.doubtful |= labelled && !found.encodings.contains(&UTF_8);
        found.add(UTF_8);
    }
    if let Some(meta) = meta_label(decoded) {
        match by_label(&meta) {
            Ok(Some(encoding)) => {
                found.doubtful |= labelled && !found.encodings.contains(&encoding);
                found.add(encoding);
            }
            // UTF-16 in ASCII octets: the HTML standard reads it as UTF-8.
            Ok(None) | Err(Uninspectable::Wide) => {}
            // With a label in the header, clients go by that.
            Err(_) if labelled => found.doubtful = true,
            Err(refused) => return Err(refused),
        }
    }
    if !labelled && holds_shift(decoded) {
        return Err(Uninspectable::Stateful);
    }
    if found.encodings.is_empty() {
        let is_utf8 = std::str::from_utf8(decoded).is_ok();
        found.add(if is_utf8 { UTF_8 } else { WINDOWS_1252 });
    }
    Ok(found)
}

impl Charsets {
    fn add(&mut self, encoding: &'static Encoding) {
        if !self.encodings.contains(&encoding) {
            self.encodings.push(encoding);
        }
    }
}

/// The encoding of one label; `None` for a label nobody knows.
fn by_label(label: &str) -> Result<Option<&'static Encoding>, Uninspectable> {
    let bare =
        label.trim_matches(|octet: char| octet.is_whitespace() || matches!(octet, '"' | '\''));
    let bare = bare.split([';', ' ', '\t', '"']).next().unwrap_or(bare);
    let Some(encoding) = Encoding::for_label(bare.as_bytes()) else {
        let lower = bare.to_ascii_lowercase();
        return match REFUSED.lines().any(|refused| refused == lower) {
            true if lower.contains("32") || lower.contains("ucs") => Err(Uninspectable::Wide),
            true if lower.starts_with("ibm") || lower.contains("ebcdic") => {
                Err(Uninspectable::NotAscii)
            }
            true => Err(Uninspectable::Stateful),
            false => Ok(None),
        };
    };
    if encoding == UTF_16LE || encoding == UTF_16BE {
        Err(Uninspectable::Wide)
    } else if encoding == ISO_2022_JP {
        Err(Uninspectable::Stateful)
    } else if encoding.is_ascii_compatible() {
        Ok(Some(encoding))
    } else {
        Err(Uninspectable::NotAscii)
    }
}

/// ISO 2022 designations (ESC $, ESC paren): readers that guess a charset go by them.
fn holds_shift(decoded: &[u8]) -> bool {
    memchr::memchr_iter(0x1b, decoded)
        .any(|escape| matches!(decoded.get(escape + 1), Some(b'$' | b'(' | b')')))
}

/// What a `<meta>` at the start of the HTML names as charset.
fn meta_label(decoded: &[u8]) -> Option<String> {
    let start = decoded.get(..META_OCTETS.min(decoded.len()))?;
    let lower = start.to_ascii_lowercase();
    let meta = memchr::memmem::find(&lower, b"<meta")?;
    let after = lower.get(meta..)?;
    let label = memchr::memmem::find(after, b"charset")?;
    let value = after.get(label + b"charset".len()..)?.trim_ascii_start();
    let value = value.strip_prefix(b"=")?.trim_ascii_start();
    let value = value
        .strip_prefix(b"\"")
        .or_else(|| value.strip_prefix(b"'"))
        .unwrap_or(value);
    let end = value.iter().position(|octet| {
        matches!(octet, b'"' | b'\'' | b'>' | b';' | b'/') || octet.is_ascii_whitespace()
    });
    String::from_utf8(value.get(..end?)?.to_vec()).ok()
}
