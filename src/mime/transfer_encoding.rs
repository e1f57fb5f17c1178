//! Content-Transfer-Encoding: what it may mean, decoding as clients do, and edits of the decoded octets as splices of the raw ones.
//!
//! Splice, never re-serialise: an edit touches the raw octets that carry it and no others. It must never know what the
//! octets mean, nor which edits are wise. What readers decode differently is [`Undecodable`]: never a guess.

use std::borrow::Cow;
use std::ops::Range;

use super::splice::Splice;

mod base64;
mod identity;
mod quoted_printable;
#[cfg(test)]
mod tests;

/// Octets of a line that we write (RFC 2045 6.7 and 6.8).
const LINE_OCTETS: usize = 76;

/// Octets of a line that we lengthen (RFC 5321 4.5.3.1.6, without its CRLF).
const LINE_OCTETS_HARD: usize = 998;

/// A transfer encoding (RFC 2045 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// 7bit, 8bit, binary, absent, or a word that every client ignores.
    Identity,
    /// Quoted-printable.
    QuotedPrintable,
    /// Base64.
    Base64,
    /// Something some clients decode and we do not.
    Unknown,
}

/// Why a body cannot be decoded; the sender's mail is to blame, and trying again does not help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Undecodable {
    /// An encoding that only some clients know.
    #[error("transfer encoding not known here")]
    UnknownEncoding,
    /// Base64 goes on after its padding: some clients stop there, others do not.
    #[error("base64 goes on behind its padding")]
    Disagree,
}

/// Why edits cannot be made splices. All of it is permanent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SpliceError {
    /// The edits overlap or reach past the end: the caller's fault.
    #[error("edits overlap or reach past the end")]
    Edits,
    /// The raw body is not the one that was decoded: the caller's fault.
    #[error("not the body that was decoded")]
    OtherBody,
    /// A line of the result could be taken for a delimiter, and the encoding has no way to write it otherwise.
    #[error("the edit would leave a line that starts with two hyphens")]
    Delimiter,
    /// A replacement holds a line longer than 998 octets, and the encoding has no way to break it.
    #[error("a line of the replacement is longer than 998 octets")]
    LineTooLong,
    /// A replacement for an identity body holds a bare CR, a bare LF or a NUL.
    #[error("the replacement holds a bare CR, a bare LF or a NUL")]
    BareNewline,
}

/// A decoded body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded<'a> {
    /// The decoded octets; borrowed where decoding changes nothing.
    pub bytes: Cow<'a, [u8]>,
    encoding: Encoding,
}

/// One edit: decoded octets and what stands in their place.
pub(super) type Edit = (Range<usize>, Vec<u8>);

/// Decodes a body as clients do: leniently, and with an error where they differ.
pub fn decode(body: &[u8], encoding: Encoding) -> Result<Decoded<'_>, Undecodable> {
    let bytes = match encoding {
        Encoding::Identity => Cow::Borrowed(body),
        Encoding::QuotedPrintable => quoted_printable::decode(body),
        Encoding::Base64 => Cow::Owned(base64::decode(body)?),
        Encoding::Unknown => return Err(Undecodable::UnknownEncoding),
    };
    Ok(Decoded { bytes, encoding })
}

/// All that readers make of one body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readings<'a> {
    /// The decoded octets, the likeliest first, each once; never empty.
    pub octets: Vec<Cow<'a, [u8]>>,
    /// Whether [`decode`] gives the first of them; edits are made of that one alone.
    pub settled: bool,
}

/// Decodes a body in every way that readers do: those who stop at the padding of base64, start anew behind it or skip it,
/// and those who take its other alphabet (RFC 4648 5) as well.
pub fn decode_all(body: &[u8], encoding: Encoding) -> Result<Readings<'_>, Undecodable> {
    if encoding != Encoding::Base64 {
        return decode(body, encoding).map(|decoded| Readings {
            octets: vec![decoded.bytes],
            settled: true,
        });
    }
    let (first, settled) = base64::to_padding(body);
    let mut octets: Vec<Cow<'_, [u8]>> = vec![Cow::Owned(first)];
    for other in base64::other_readings(body, settled) {
        if !octets.iter().any(|known| **known == *other) {
            octets.push(Cow::Owned(other));
        }
    }
    Ok(Readings { octets, settled })
}

impl Decoded<'_> {
    /// The encoding it was decoded from.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Turns edits of the decoded octets into splices of the raw body, which begins at `offset` in its message.
    ///
    /// Decoding the spliced body gives the decoded octets with exactly these edits, with one exception: where cutting a
    /// line end would join two lines of an identity body to more than 998 octets, a CRLF is kept behind the replacement.
    pub fn splices(
        &self,
        raw_body: &[u8],
        offset: usize,
        edits: &[(Range<usize>, Vec<u8>)],
    ) -> Result<Vec<Splice>, SpliceError> {
        let mut edits = edits.to_vec();
        edits.sort_by_key(|(range, _)| (range.start, range.end));
        self.check(&edits)?;
        let mut splices = match self.encoding {
            Encoding::Identity => identity::splices(raw_body, &self.bytes, edits)?,
            Encoding::QuotedPrintable => quoted_printable::splices(raw_body, &self.bytes, edits)?,
            Encoding::Base64 => base64::splices(raw_body, &self.bytes, edits)?,
            Encoding::Unknown => return Err(SpliceError::OtherBody),
        };
        for splice in &mut splices {
            splice.range.start += offset;
            splice.range.end += offset;
        }
        Ok(splices)
    }

    fn check(&self, edits: &[Edit]) -> Result<(), SpliceError> {
        let mut end = 0;
        for (range, _) in edits {
            if range.start < end || range.end < range.start || range.end > self.bytes.len() {
                return Err(SpliceError::Edits);
            }
            end = range.end;
        }
        Ok(())
    }
}

/// Every plausible reading of a Content-Transfer-Encoding value, the likeliest first, and whether there is any doubt.
pub(super) fn readings(value: &[u8]) -> (Vec<Encoding>, bool) {
    let tokens = super::content_type::read(value).tokens;
    let token = tokens.first().map_or("", String::as_str);
    let whole = value.trim_ascii().to_ascii_lowercase();
    let ours = of_token(token);
    // mail-parser, and clients that compare the whole value, take anything but the bare word for identity.
    let exact = match whole.as_slice() {
        b"base64" => Encoding::Base64,
        b"quoted-printable" => Encoding::QuotedPrintable,
        _ => Encoding::Identity,
    };
    match ours {
        Some(Encoding::Unknown) => (vec![Encoding::Unknown], true),
        Some(ours) if ours == exact => (vec![ours], false),
        Some(ours) => (vec![ours, exact], true),
        None => (guesses(&whole), true),
    }
}

/// The encoding a word stands for; `None` for words of nobody.
fn of_token(token: &str) -> Option<Encoding> {
    Some(match token {
        "7bit" | "8bit" | "binary" | "" => Encoding::Identity,
        "quoted-printable" => Encoding::QuotedPrintable,
        "base64" => Encoding::Base64,
        // What some clients decode although no standard names it.
        "x-uuencode" | "x-uue" | "uuencode" | "uue" | "x-yencode" | "yenc" | "x-binhex"
        | "binhex" | "mac-binhex40" | "x-gzip64" | "x-gzip" | "gzip" => Encoding::Unknown,
        _ => return None,
    })
}

/// Misspelt words (`8bit+`, `hexa`, `quoted_printable`, `base-64`): identity, and what they may have meant.
fn guesses(whole: &[u8]) -> Vec<Encoding> {
    let holds = |word: &[u8]| memchr::memmem::find(whole, word).is_some();
    let mut guesses = vec![Encoding::Identity];
    if holds(b"quoted") || holds(b"printable") || whole == b"qp" || whole == b"q" {
        guesses.push(Encoding::QuotedPrintable);
    }
    if holds(b"base64")
        || holds(b"base-64")
        || holds(b"base_64")
        || whole == b"b64"
        || whole == b"b"
    {
        guesses.push(Encoding::Base64);
    }
    guesses
}
