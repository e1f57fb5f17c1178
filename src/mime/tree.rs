//! What walking a message yields: its parts, every plausible reading of each, and every disorder met.
//!
//! Plain values without behaviour that depends on the octets. They must never know what a tracker is or what a client
//! of SMTP is. What could not be read is a value here too ([`Unread`]), never an absence.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use super::splice::Splice;
use super::transfer_encoding::Encoding;

/// Bounds of one walk. What lies past them is not read and named in [`Tree::unread`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Parts of one message, disputed ones included.
    pub parts: usize,
    /// Containers inside one another.
    pub depth: usize,
    /// Octets of the header of one part.
    pub header_octets: usize,
    /// Octets of one boundary (RFC 2046 allows 70).
    pub boundary_octets: usize,
    /// Different readings of one field of one part, and of the structure of one message.
    pub readings: usize,
    /// Disorders remembered; further ones are not listed.
    pub disorders: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            parts: 10_000,
            depth: 100,
            header_octets: 1024 * 1024,
            boundary_octets: 255,
            readings: 6,
            disorders: 1_000,
        }
    }
}

/// A message as its parts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    /// Parts in order of place, parents before children; disputed ones stand at the end.
    pub parts: Vec<Part>,
    /// What was not in order. Empty for well-formed mail.
    pub disorders: Vec<Disorder>,
    /// The second reader found an HTML part in octets that no part of ours examines.
    pub second_reading_differs: bool,
    /// What was not read, each reason once. Not empty: the message cannot be called inspected.
    pub unread: Vec<Unread>,
}

/// One part, or one disputed reading of some octets as a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its place, as a name for ledger and logs.
    pub path: PartPath,
    /// Index of the part around it; `None` for the message itself.
    pub parent: Option<usize>,
    /// Its header, the empty line included.
    pub header: Range<usize>,
    /// Its body, without the line end that belongs to the delimiter after it.
    pub body: Range<usize>,
    /// What it is for us.
    pub kind: Kind,
    /// Whether a client renders it, and what may be done to it.
    pub scope: Scope,
    /// Every plausible media type, the likeliest first; empty where no label can be read.
    pub readings: Vec<MediaType>,
    /// Every plausible transfer encoding, the likeliest first; never empty.
    pub encodings: Vec<Encoding>,
    /// Every charset label found, as written, the likeliest first.
    pub charsets: Vec<String>,
    /// Content-Disposition.
    pub disposition: Disposition,
    /// Content-ID without its angle brackets.
    pub content_id: Option<String>,
    /// What relative references in it are relative to: Content-Base and Content-Location, its own and those of the parts
    /// around it (RFC 2557 4.2, 5), where they hold a colon; some clients go by them.
    pub bases: Vec<String>,
    pub(super) labels: Labels,
}

/// What only the scope rules need to know of a part.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Labels {
    /// No Content-Type, or one that cannot be read: clients guess.
    pub(super) unlabelled: bool,
    /// Some reading of structure sees a part here, another does not.
    pub(super) disputed: bool,
    /// `start` of multipart/related (RFC 2387 3.2).
    pub(super) start: Option<String>,
    /// Under multipart/signed.
    pub(super) signed: bool,
    /// The boundary of a multipart in which it stands on no line.
    pub(super) undivided: Option<Vec<u8>>,
    /// Place among its siblings, from 1.
    pub(super) ordinal: u32,
    /// Beyond a limit: the octets are there, what is in them was not read.
    pub(super) unread: Option<Unread>,
}

/// A part's place: "1" is the message, "1.2" its second part. A trailing "?" marks a disputed reading.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartPath {
    pub(super) numbers: Vec<u32>,
    pub(super) disputed: bool,
}

impl fmt::Display for PartPath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, number) in self.numbers.iter().enumerate() {
            let dot = if place == 0 { "" } else { "." };
            write!(out, "{dot}{number}")?;
        }
        out.write_str(if self.disputed { "?" } else { "" })
    }
}

/// What a part is, over all its readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Split at a boundary into parts.
    Multipart,
    /// A message in identity encoding, walked like the one around it.
    Message,
    /// A message (or a whole multipart, or S/MIME that is signed but not encrypted) inside base64 or quoted-printable:
    /// decode it, then walk what [`Part::message`] finds in it.
    EncodedMessage,
    /// HTML by at least one reading, or unlabelled and beginning like HTML.
    Html,
    /// AMP for e-mail, and HTML by no reading.
    Amp,
    /// Anything else.
    Other,
}

/// What may be done with a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Examine and edit.
    Examine,
    /// Examine, never edit.
    ExamineOnly(ExamineOnly),
    /// HTML or a message that no client renders by itself.
    OutOfScope(OutOfScope),
    /// Only holds other parts.
    Container,
    /// No client renders it as HTML.
    NotRendered,
    /// Beyond a limit: not read at all.
    Unread(Unread),
}

/// Why a part may be examined but not edited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExamineOnly {
    /// Under multipart/signed: any edit breaks the signature.
    Signed,
    /// Not every reader agrees that this is a part, or where it begins.
    Disputed,
    /// [`Kind::EncodedMessage`].
    Encoded,
}

/// Why a part is not examined although it could be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutOfScope {
    /// Content-Disposition: attachment, by every reading.
    Attachment,
    /// Encrypted.
    Encrypted,
    /// Under multipart/report.
    Report,
}

/// Why something was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unread {
    /// More containers inside one another than [`Limits::depth`].
    Depth,
    /// More parts than [`Limits::parts`].
    Parts,
    /// A header longer than [`Limits::header_octets`], or a boundary longer than [`Limits::boundary_octets`].
    Header,
    /// More readings than [`Limits::readings`].
    Readings,
}

/// Content-Disposition over all its readings (RFC 2183).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Disposition {
    /// No such field.
    #[default]
    Absent,
    /// `inline` by at least one reading.
    Inline,
    /// `attachment` by every reading.
    Attachment,
    /// Something else: clients render it.
    Unknown,
}

/// `type/subtype` in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MediaType(pub(super) String);

impl MediaType {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether clients render it as HTML.
    pub fn is_html(&self) -> bool {
        matches!(self.as_str(), "text/html" | "application/xhtml+xml")
    }

    /// Whether it is AMP for e-mail.
    pub fn is_amp(&self) -> bool {
        self.as_str() == "text/x-amp-html"
    }

    /// Whether it holds parts.
    pub fn is_multipart(&self) -> bool {
        self.as_str().starts_with("multipart/")
    }

    /// Whether it holds a message. A fragment (RFC 2046 5.2.2) counts: the first one begins with a header.
    pub fn is_message(&self) -> bool {
        matches!(
            self.as_str(),
            "message/rfc822" | "message/global" | "message/news" | "message/partial"
        )
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// Something readers of mail may disagree on, and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disorder {
    /// Offset in the message.
    pub at: usize,
    /// What it is.
    pub what: Dispute,
}

/// What is not in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dispute {
    /// A MIME field stands twice.
    DuplicateField,
    /// A MIME field has more than one plausible reading.
    AmbiguousField,
    /// A Content-Type without type and subtype.
    MalformedContentType,
    /// A transfer encoding no client knows.
    UnknownEncoding,
    /// A line in a header that is no field.
    JunkInHeader,
    /// A header that no empty line ends.
    NoBlankLine,
    /// A multipart without a boundary parameter.
    NoBoundary,
    /// A multipart whose boundary stands on no line.
    NoDelimiter,
    /// A multipart without its closing delimiter.
    Unterminated,
    /// A line that starts like a delimiter, or is one of a multipart already closed.
    PossibleDelimiter,
    /// Preamble or epilogue hold HTML.
    HtmlOutsideParts,
    /// A multipart with base64 or quoted-printable (RFC 2045 6.4 forbids it).
    EncodedMultipart,
    /// Octets in a base64 body that no base64 has.
    JunkInBase64,
}

impl Part {
    /// Whether any reading is this media type.
    pub fn reads_as(&self, media_type: &str) -> bool {
        self.readings
            .iter()
            .any(|reading| reading.as_str() == media_type)
    }

    /// Whether not every reader agrees that this is a part.
    pub fn is_disputed(&self) -> bool {
        self.labels.disputed
    }

    /// The message to walk in the decoded octets of a [`Kind::EncodedMessage`]: all of them, those of a multipart below a
    /// header that names its boundary, or what a signed S/MIME body wraps.
    /// `None`: the wrapping cannot be read, so what is inside cannot be called inspected.
    pub fn message<'a>(&self, decoded: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        if super::scope::is_pkcs7(self) {
            return super::cms::signed_content(decoded);
        }
        let Some(boundary) = &self.labels.undivided else {
            return Some(Cow::Borrowed(decoded));
        };
        let mut whole = b"Content-Type: multipart/mixed; boundary=\"".to_vec();
        for octet in boundary
            .iter()
            .filter(|octet| !matches!(octet, b'\r' | b'\n'))
        {
            if matches!(octet, b'"' | b'\\') {
                whole.push(b'\\');
            }
            whole.push(*octet);
        }
        whole.extend_from_slice(b"\"\r\n\r\n");
        whole.extend_from_slice(decoded);
        Some(Cow::Owned(whole))
    }
}

/// Whether `after`, the tree of a variant, is `before` moved by `splices`: same parts, same readings, same scopes, the
/// ranges where the splices put them. Parts cut or emptied, and delimiters made by an edit, show here.
pub fn same_tree(before: &Tree, after: &Tree, splices: &[Splice]) -> bool {
    let mut order: Vec<&Splice> = splices.iter().collect();
    order.sort_by_key(|splice| (splice.range.start, splice.range.end));
    let moved = |place: usize, is_end: bool| {
        order
            .iter()
            .take_while(|splice| splice.range.end <= place)
            // An insertion at the start of a body belongs to the body, one at its end as well.
            .filter(|splice| is_end || splice.range.start < place)
            .fold(place, |place, splice| {
                (place + splice.replacement.len()).saturating_sub(splice.range.len())
            })
    };
    before.unread == after.unread
        && before.parts.len() == after.parts.len()
        && before.parts.iter().zip(&after.parts).all(|(old, new)| {
            old.path == new.path
                && old.parent == new.parent
                && old.kind == new.kind
                && old.scope == new.scope
                && old.readings == new.readings
                && old.encodings == new.encodings
                && old.charsets == new.charsets
                && old.disposition == new.disposition
                && moved(old.body.start, false) == new.body.start
                && moved(old.body.end, true) == new.body.end
        })
}
