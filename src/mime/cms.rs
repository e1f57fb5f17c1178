//! The message inside an S/MIME body that is signed but not encrypted (RFC 8551 3.5.2, RFC 5652 5.1).
//!
//! Clients unwrap it and render what is inside, so we look as well. Only the wrapping is read, iteratively and within the
//! octets; no signature is checked. What is no such wrapping gives `None`, and the caller cannot call it inspected.

use std::borrow::Cow;

/// Object identifiers (RFC 5652 5.1 and 6.1, RFC 5083 2), the tag and length included.
const SIGNED: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02";
const ENVELOPED: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03";
const AUTH_ENVELOPED: &[u8] = b"\x06\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01\x17";

const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const OCTET_STRING_IN_PIECES: u8 = 0x24;
const OBJECT_IDENTIFIER: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const CONTEXT_0: u8 = 0xa0;

/// Containers inside one another while looking for the end of one whose length is not given.
const DEPTH: usize = 32;

/// Whether the first octets of a CMS body say that it is encrypted; its label does not count.
pub(super) fn is_encrypted(octets: &[u8]) -> bool {
    let inside = Element::read(octets).filter(|outer| outer.tag == SEQUENCE);
    inside.is_some_and(|outer| {
        outer.rest.starts_with(ENVELOPED) || outer.rest.starts_with(AUTH_ENVELOPED)
    })
}

/// What is signed: the content of a SignedData, its pieces joined. Empty where only certificates are in it.
pub(super) fn signed_content(octets: &[u8]) -> Option<Cow<'_, [u8]>> {
    let outer = Element::of(SEQUENCE, octets)?;
    let content = Element::of(CONTEXT_0, outer.rest.strip_prefix(SIGNED)?)?;
    let signed = Element::of(SEQUENCE, content.rest)?;
    let after_version = Element::of(INTEGER, signed.rest)?.after()?;
    let after_digests = Element::of(SET, after_version)?.after()?;
    let encapsulated = Element::of(SEQUENCE, after_digests)?;
    let after_type = Element::of(OBJECT_IDENTIFIER, encapsulated.rest)?.after()?;
    if after_type.first() != Some(&CONTEXT_0) || encapsulated.is_behind(after_type) {
        return Some(Cow::Borrowed(&[]));
    }
    pieces(Element::of(CONTEXT_0, after_type)?.rest)
}

/// An OCTET STRING in one piece, or in pieces that are OCTET STRINGs themselves (X.690 8.7.3).
fn pieces(octets: &[u8]) -> Option<Cow<'_, [u8]>> {
    let string = Element::read(octets)?;
    if string.tag == OCTET_STRING {
        return Some(Cow::Borrowed(string.content()?));
    }
    if string.tag != OCTET_STRING_IN_PIECES {
        return None;
    }
    let mut joined = Vec::new();
    let mut rest = match string.length {
        Some(_) => string.content()?,
        None => string.rest,
    };
    while !(rest.is_empty() || string.length.is_none() && rest.starts_with(b"\0\0")) {
        let piece = Element::of(OCTET_STRING, rest)?;
        joined.extend_from_slice(piece.content()?);
        rest = piece.after()?;
    }
    Some(Cow::Owned(joined))
}

/// One tag and length, and what follows them.
struct Element<'a> {
    tag: u8,
    /// `None`: ended by two zero octets (X.690 8.1.3.6).
    length: Option<usize>,
    rest: &'a [u8],
}

impl<'a> Element<'a> {
    fn of(tag: u8, octets: &'a [u8]) -> Option<Self> {
        Self::read(octets).filter(|element| element.tag == tag)
    }

    fn read(octets: &'a [u8]) -> Option<Self> {
        let (tag, octets) = octets.split_first()?;
        let (first, octets) = octets.split_first()?;
        let long = usize::from(first & 0x7f);
        let (length, rest) = match first {
            0x80 => (None, octets),
            0x81..=0x84 => {
                let (length, rest) = octets.split_at_checked(long)?;
                let length = length
                    .iter()
                    .fold(0, |sum, octet| sum << 8 | usize::from(*octet));
                (Some(length), rest)
            }
            0x85.. => return None,
            _ => (Some(long), octets),
        };
        Some(Self {
            tag: *tag,
            length,
            rest,
        })
    }

    /// The octets inside, where their number is given.
    fn content(&self) -> Option<&'a [u8]> {
        self.rest.get(..self.length?)
    }

    /// What stands behind the element.
    fn after(&self) -> Option<&'a [u8]> {
        if let Some(length) = self.length {
            return self.rest.get(length..);
        }
        let mut rest = self.rest;
        let mut open = 1;
        while open > 0 {
            if let Some(after) = rest.strip_prefix(b"\0\0") {
                open -= 1;
                rest = after;
                continue;
            }
            let inner = Self::read(rest)?;
            match inner.length {
                Some(length) => rest = inner.rest.get(length..)?,
                None if open < DEPTH => {
                    open += 1;
                    rest = inner.rest;
                }
                None => return None,
            }
        }
        Some(rest)
    }

    /// Whether `place`, a tail of the same octets, begins behind this element.
    fn is_behind(&self, place: &[u8]) -> bool {
        let end = self
            .length
            .and_then(|length| self.rest.len().checked_sub(length));
        end.is_some_and(|left| place.len() <= left)
    }
}

#[cfg(test)]
mod tests;
