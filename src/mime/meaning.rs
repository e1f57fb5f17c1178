//! What the MIME fields of one header mean, over all their plausible readings.
//!
//! A field that stands twice, or that readers take differently, gives a reading each; nothing is decided here.

use std::ops::Range;

use super::content_type::{self, Value};
use super::header::{Field, fields};
use super::transfer_encoding::{self, Encoding};
use super::tree::{Disposition, Dispute, Limits, MediaType};

/// The MIME fields of one part.
#[derive(Debug, Clone, Default)]
pub(super) struct Meaning {
    pub(super) readings: Vec<MediaType>,
    pub(super) boundaries: Vec<Vec<u8>>,
    pub(super) charsets: Vec<String>,
    pub(super) encodings: Vec<Encoding>,
    pub(super) disposition: Disposition,
    pub(super) content_id: Option<String>,
    pub(super) bases: Vec<String>,
    pub(super) start: Option<String>,
    /// No Content-Type that can be read.
    pub(super) unlabelled: bool,
    /// More readings than the limit, or a boundary that is too long.
    pub(super) overflows: bool,
    pub(super) disputes: Vec<Dispute>,
}

impl Meaning {
    /// Reads the MIME fields of a header.
    pub(super) fn of(message: &[u8], header: Range<usize>, limits: &Limits) -> Self {
        let mut meaning = Self::default();
        let (mut types, mut encodings, mut dispositions) = (0_usize, 0_usize, 0_usize);
        for field in fields(message, header) {
            let name = field.name_octets(message);
            // One comparison for the many fields that are not of MIME.
            if !name
                .get(..8)
                .is_some_and(|start| start.eq_ignore_ascii_case(b"content-"))
            {
                continue;
            }
            if field.is(message, "Content-Type") {
                types += 1;
                meaning.read_type(field.value_octets(message), limits);
            } else if field.is(message, "Content-Transfer-Encoding") {
                encodings += 1;
                meaning.read_encoding(field.value_octets(message));
            } else if field.is(message, "Content-Disposition") {
                dispositions += 1;
                meaning.read_disposition(field.value_octets(message));
            } else if field.is(message, "Content-ID") {
                meaning.content_id = Some(content_id(&field, message));
            } else if field.is(message, "Content-Base") || field.is(message, "Content-Location") {
                meaning.read_base(&field.value_text(message), limits);
            }
        }
        if types > 1 || encodings > 1 || dispositions > 1 {
            meaning.dispute(Dispute::DuplicateField);
        }
        if meaning.readings.is_empty() {
            meaning.unlabelled = true;
        }
        if meaning.encodings.is_empty() {
            meaning.encodings.push(Encoding::Identity);
        }
        meaning
    }

    /// Adds the readings of another header that some readers take for part of this one.
    pub(super) fn or(mut self, other: &Self, limits: &Limits) -> Self {
        for reading in &other.readings {
            add(
                &mut self.readings,
                reading.clone(),
                limits,
                &mut self.overflows,
            );
        }
        for boundary in &other.boundaries {
            add(
                &mut self.boundaries,
                boundary.clone(),
                limits,
                &mut self.overflows,
            );
        }
        for charset in &other.charsets {
            add(
                &mut self.charsets,
                charset.clone(),
                limits,
                &mut self.overflows,
            );
        }
        for encoding in &other.encodings {
            add(&mut self.encodings, *encoding, limits, &mut self.overflows);
        }
        if self.disposition != other.disposition {
            // By one of the two headers it is no attachment.
            self.disposition = Disposition::Unknown;
        }
        self.unlabelled |= other.unlabelled;
        self.overflows |= other.overflows;
        self
    }

    pub(super) fn is_multipart(&self) -> bool {
        self.readings.iter().any(MediaType::is_multipart)
    }

    pub(super) fn is_message(&self) -> bool {
        self.readings.iter().any(MediaType::is_message)
    }

    fn dispute(&mut self, dispute: Dispute) {
        if !self.disputes.contains(&dispute) {
            self.disputes.push(dispute);
        }
    }

    fn read_type(&mut self, value: &[u8], limits: &Limits) {
        let value = content_type::read(value);
        if value.disputed {
            self.dispute(Dispute::AmbiguousField);
        }
        self.overflows |= value.overflows;
        let mut malformed = value.tokens.is_empty();
        for token in &value.tokens {
            match token.split_once('/') {
                Some((kind, subtype)) if is_token(kind) && is_token(subtype) => {
                    let reading = MediaType(token.clone());
                    add(&mut self.readings, reading, limits, &mut self.overflows);
                }
                _ => malformed = true,
            }
        }
        if malformed {
            self.unlabelled = true;
            self.dispute(Dispute::MalformedContentType);
        }
        self.read_parameters(&value, limits);
    }

    fn read_parameters(&mut self, value: &Value, limits: &Limits) {
        for boundary in value.parameter("boundary") {
            if boundary.len() > limits.boundary_octets {
                self.overflows = true;
            } else if !boundary.is_empty() {
                add(
                    &mut self.boundaries,
                    boundary.to_vec(),
                    limits,
                    &mut self.overflows,
                );
            }
        }
        for charset in value.parameter("charset") {
            let charset = super::header::readable(charset);
            add(&mut self.charsets, charset, limits, &mut self.overflows);
        }
        let start = value.parameter("start").next().map(super::header::readable);
        self.start = self.start.take().or_else(|| start.map(|id| bare_id(&id)));
    }

    fn read_encoding(&mut self, value: &[u8]) {
        let (encodings, doubtful) = transfer_encoding::readings(value);
        if doubtful {
            self.dispute(Dispute::UnknownEncoding);
        }
        for encoding in encodings {
            if !self.encodings.contains(&encoding) {
                self.encodings.push(encoding);
            }
        }
    }

    /// A URL may be folded and stand in quotes (RFC 2557 4.4.2); without a colon it names no other place.
    fn read_base(&mut self, value: &str, limits: &Limits) {
        let base: String = value
            .chars()
            .filter(|octet| !octet.is_whitespace() && !matches!(octet, '"' | '<' | '>'))
            .collect();
        if base.contains(':') {
            add(&mut self.bases, base, limits, &mut self.overflows);
        }
    }

    fn read_disposition(&mut self, value: &[u8]) {
        for token in content_type::read(value).tokens {
            let read = match token.as_str() {
                "attachment" => Disposition::Attachment,
                "inline" => Disposition::Inline,
                _ => Disposition::Unknown,
            };
            self.disposition = combined(self.disposition, read);
        }
    }
}

/// Of two dispositions the one with which more clients render the part.
fn combined(one: Disposition, other: Disposition) -> Disposition {
    match (one, other) {
        (Disposition::Absent, only) | (only, Disposition::Absent) => only,
        (Disposition::Inline, _) | (_, Disposition::Inline) => Disposition::Inline,
        (Disposition::Unknown, _) | (_, Disposition::Unknown) => Disposition::Unknown,
        (Disposition::Attachment, Disposition::Attachment) => Disposition::Attachment,
    }
}

/// RFC 2045 5.1: what a type or subtype may be made of.
fn is_token(word: &str) -> bool {
    let special = |letter: char| "()<>@,;:\\\"/[]?=".contains(letter);
    let fits = |letter: char| letter.is_ascii_graphic() && !special(letter);
    !word.is_empty() && word.chars().all(fits)
}

fn add<T: PartialEq>(list: &mut Vec<T>, item: T, limits: &Limits, overflows: &mut bool) {
    if list.contains(&item) {
        return;
    }
    if list.len() >= limits.readings {
        *overflows = true;
        return;
    }
    list.push(item);
}

fn content_id(field: &Field, message: &[u8]) -> String {
    bare_id(&field.value_text(message))
}

/// A Content-ID without blanks and angle brackets.
pub(super) fn bare_id(id: &str) -> String {
    let id = id.trim();
    let id = id.strip_prefix('<').unwrap_or(id);
    id.strip_suffix('>').unwrap_or(id).to_owned()
}
