//! Reverse-path and forward-path (RFC 5321 4.1.2), kept octet for octet.
//!
//! A path is what stood between `<` and `>` on the wire and goes out exactly so: quotes, escapes, address literals,
//! case. It must never know whose address it is, nor normalise it.
//! What is not a path is `None`; the caller knows which command it came from and answers for it.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Octets of a local part, quotes included. RFC 5321 4.5.3.1.1 demands 64; return paths that encode a recipient are longer.
pub const LOCAL_PART_OCTETS: usize = 256;
/// Octets of a domain (RFC 5321 4.5.3.1.2).
pub const DOMAIN_OCTETS: usize = 255;
/// Octets of one label of a domain in ASCII (RFC 1035 2.3.4).
const LABEL_OCTETS: usize = 63;

/// A mailbox as the client wrote it, e.g. `"a b"@example.com` or `x@[192.0.2.1]`; the quotes belong to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Mailbox {
    raw: String,
    at: usize,
}

impl Mailbox {
    /// Builds a mailbox from its octets; `at` is the offset of the `@` that parts local part and domain.
    /// `None` when `at` is not an `@` of `raw`, or when `raw` holds a control character or an angle bracket outside quotes is
    /// the parser's business, not checked here.
    pub fn new(raw: String, at: usize) -> Option<Self> {
        if raw.as_bytes().get(at) != Some(&b'@')
            || raw.bytes().any(|octet| octet < 0x20 || octet == 0x7f)
        {
            return None;
        }
        Some(Self { raw, at })
    }

    /// Reads `local-part@domain` and nothing else.
    pub fn parse(text: &str) -> Option<Self> {
        let at = local_part_end(text)?;
        let domain = text.get(at..)?.strip_prefix('@')?;
        if at > LOCAL_PART_OCTETS || !is_domain(domain) {
            return None;
        }
        Self::new(text.to_owned(), at)
    }

    /// The whole mailbox, as it goes on the wire.
    pub fn as_str(&self) -> &str {
        &self.raw
    }

    /// The local part, quotes included.
    pub fn local_part(&self) -> &str {
        self.raw.get(..self.at).unwrap_or_default()
    }

    /// The domain or address literal, brackets included.
    pub fn domain(&self) -> &str {
        self.raw.get(self.at + 1..).unwrap_or_default()
    }

    /// Whether it needs SMTPUTF8 (RFC 6531).
    pub fn is_ascii(&self) -> bool {
        self.raw.is_ascii()
    }
}

/// The argument of MAIL FROM.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ReversePath {
    /// `<>`: bounces and notifications (RFC 5321 4.5.5).
    Null,
    /// A mailbox.
    Mailbox(Mailbox),
}

/// The argument of RCPT TO.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ForwardPath {
    /// `<postmaster>` without a domain, in the client's own spelling (RFC 5321 4.5.1).
    Postmaster(String),
    /// A mailbox.
    Mailbox(Mailbox),
}

impl ReversePath {
    /// Reads what stands between the angle brackets.
    pub fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self::Null);
        }
        Mailbox::parse(text).map(Self::Mailbox)
    }

    /// What stands between the angle brackets; empty for the null path.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Null => "",
            Self::Mailbox(mailbox) => mailbox.as_str(),
        }
    }

    /// Whether this is `<>`.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }
}

impl ForwardPath {
    /// Reads what stands between the angle brackets.
    pub fn parse(text: &str) -> Option<Self> {
        if text.eq_ignore_ascii_case("postmaster") {
            return Some(Self::Postmaster(text.to_owned()));
        }
        Mailbox::parse(text).map(Self::Mailbox)
    }

    /// What stands between the angle brackets.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Postmaster(raw) => raw,
            Self::Mailbox(mailbox) => mailbox.as_str(),
        }
    }
}

/// Parts `<…>` from what follows it, minding quoted local parts; a source route (`@a,@b:`) in front of the mailbox is
/// dropped, as RFC 5321 4.1.1.3 and appendix C advise: it names hosts to pass through, and the next hop is configured.
pub(super) fn split_bracketed(text: &str) -> Option<(&str, &str)> {
    let inside = text.strip_prefix('<')?;
    let mut quoted = false;
    let mut escaped = false;
    for (offset, octet) in inside.bytes().enumerate() {
        match octet {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'>' if !quoted => {
                let path = without_source_route(inside.get(..offset)?)?;
                return Some((path, inside.get(offset + 1..)?));
            }
            _ => {}
        }
    }
    None
}

fn without_source_route(path: &str) -> Option<&str> {
    let mut rest = path;
    while let Some(host) = rest.strip_prefix('@') {
        let literal = host.starts_with('[').then(|| host.find(']')).flatten();
        let end = literal.unwrap_or(0) + host.get(literal.unwrap_or(0)..)?.find([',', ':'])?;
        if !is_domain(host.get(..end)?) {
            return None;
        }
        let after = host.get(end..)?;
        match after.strip_prefix(':') {
            Some(mailbox) if !mailbox.is_empty() => return Some(mailbox),
            Some(_) => return None,
            None => {
                rest = after
                    .strip_prefix(',')
                    .filter(|next| next.starts_with('@'))?
            }
        }
    }
    Some(rest)
}

/// The offset of the `@` behind a local part. Dots may stand anywhere in an unquoted one: such addresses exist and a
/// relay has no say in it.
fn local_part_end(text: &str) -> Option<usize> {
    if let Some(inside) = text.strip_prefix('"') {
        let mut escaped = false;
        for (offset, character) in inside.char_indices() {
            match character {
                _ if character.is_control() => return None,
                _ if escaped && !character.is_ascii() => return None,
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => return Some(offset + 2),
                _ => {}
            }
        }
        return None;
    }
    let end = text.find(|character: char| !is_atom(character))?;
    (end > 0).then_some(end)
}

fn is_atom(character: char) -> bool {
    if character.is_ascii() {
        character.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(character)
    } else {
        is_international(character)
    }
}

fn is_international(character: char) -> bool {
    !character.is_ascii() && !character.is_control() && !character.is_whitespace()
}

/// Whether this is a domain (underscores tolerated, as in real host names) or an address literal.
pub(super) fn is_domain(text: &str) -> bool {
    if text.is_empty() || text.len() > DOMAIN_OCTETS {
        return false;
    }
    match text.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').is_some_and(is_literal),
        None => text.split('.').all(is_label),
    }
}

fn is_label(label: &str) -> bool {
    let hyphen_at_edge = label.starts_with('-') || label.ends_with('-');
    let too_long = label.is_ascii() && label.len() > LABEL_OCTETS;
    !label.is_empty()
        && !hyphen_at_edge
        && !too_long
        && label.chars().all(|character| {
            character.is_ascii_alphanumeric()
                || matches!(character, '-' | '_')
                || is_international(character)
        })
}

fn is_literal(inside: &str) -> bool {
    match inside.split_once(':') {
        None => inside.parse::<Ipv4Addr>().is_ok(),
        Some((tag, address)) if tag.eq_ignore_ascii_case("IPv6") => {
            address.parse::<Ipv6Addr>().is_ok()
        }
        Some((tag, content)) => {
            let tag_fits = tag.starts_with(|first: char| first.is_ascii_alphanumeric())
                && tag.ends_with(|last: char| last.is_ascii_alphanumeric())
                && tag
                    .bytes()
                    .all(|octet| octet.is_ascii_alphanumeric() || octet == b'-');
            let content_fits = !content.is_empty()
                && content
                    .bytes()
                    .all(|octet| octet.is_ascii_graphic() && !matches!(octet, b'[' | b'\\' | b']'));
            tag_fits && content_fits
        }
    }
}

impl fmt::Display for ReversePath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "<{}>", self.as_str())
    }
}

impl fmt::Display for ForwardPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "<{}>", self.as_str())
    }
}

impl Serialize for ReversePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl Serialize for ForwardPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ReversePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom("not a reverse-path"))
    }
}

impl<'de> Deserialize<'de> for ForwardPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom("not a forward-path"))
    }
}

#[cfg(test)]
#[path = "path_tests.rs"]
mod tests;
