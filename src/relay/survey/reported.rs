//! What tells of a reader and is not ours to change: header fields that ask for a receipt, and HTML in a calendar entry, which
//! some clients show. It is named in the ledger and by `strip --explain`; no octet of it changes and nothing is decided about it.
//!
//! No value of a field is kept: it is somebody's address. It never fails: what cannot be read as a calendar has nothing to
//! report, and past [`REPORTED_MAX`] nothing more is listed.

use super::part::Reader;
use crate::mime::charset::{View, charset};
use crate::mime::header::{end_of_header, fields};
use crate::mime::transfer_encoding::decode_all;
use crate::mime::tree::{OutOfScope, Part, Scope, Tree};
use crate::pixel::{self, Document};

/// What is listed of one message.
const REPORTED_MAX: usize = 100;

/// Fields that ask whoever opens the message for a receipt: RFC 8098 2.1, and the ones that clients had before it.
const RECEIPT_FIELDS: [&str; 5] = [
    "Disposition-Notification-To",
    "Return-Receipt-To",
    "X-Confirm-Reading-To",
    "Read-Receipt-To",
    "Return-Receipt-Requested",
];

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reported {
    /// What it is.
    pub kind: ReportedKind,
    /// The part, in words.
    pub path: String,
    /// The line of the header or of the decoded part on which it begins, from 1.
    pub line: usize,
}

/// What is reported and left as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReportedKind {
    /// A header field that asks for a receipt when the message is opened.
    ReceiptRequest,
    /// HTML in a calendar entry, or a place where it would be fetched from.
    CalendarHtml,
    /// The same, and it would load what is a finding in an HTML part.
    CalendarTracker,
}

impl ReportedKind {
    /// Every one.
    pub const ALL: &'static [Self] = &[
        Self::ReceiptRequest,
        Self::CalendarHtml,
        Self::CalendarTracker,
    ];

    /// The word as it stands in the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReceiptRequest => "receipt_request",
            Self::CalendarHtml => "calendar_html",
            Self::CalendarTracker => "calendar_tracker",
        }
    }
}

/// All of one message.
pub(super) fn reported(message: &[u8], tree: &Tree, reader: Reader<'_>) -> Vec<Reported> {
    let mut reported = receipts(message);
    for part in tree.parts.iter().filter(|part| shows_calendar(part)) {
        calendar(message, part, reader, &mut reported);
    }
    reported.truncate(REPORTED_MAX);
    reported
}

fn receipts(message: &[u8]) -> Vec<Reported> {
    let end = end_of_header(message);
    let asks = fields(message, 0..end).filter(|field| {
        let mut names = RECEIPT_FIELDS.iter();
        names.any(|name| field.is(message, name))
    });
    asks.take(REPORTED_MAX)
        .map(|field| Reported {
            kind: ReportedKind::ReceiptRequest,
            path: "1".to_owned(),
            line: line_of(message, field.whole.start),
        })
        .collect()
}

/// Clients show a calendar entry whatever its disposition.
fn shows_calendar(part: &Part) -> bool {
    let hidden = matches!(
        part.scope,
        Scope::Unread(_) | Scope::OutOfScope(OutOfScope::Encrypted | OutOfScope::Report)
    );
    part.reads_as("text/calendar") && !hidden
}

/// The content lines of RFC 5545 3.1 that hold HTML or name a place of it.
fn calendar(message: &[u8], part: &Part, reader: Reader<'_>, reported: &mut Vec<Reported>) {
    let raw = message.get(part.body.clone()).unwrap_or_default();
    let Some(readings) = part
        .encodings
        .iter()
        .find_map(|encoding| decode_all(raw, *encoding).ok())
    else {
        return;
    };
    let octets = readings.octets.first().map_or(raw, |octets| octets);
    let Ok(charsets) = charset(&part.charsets, octets) else {
        return;
    };
    let read = charsets.readings.first();
    let Some(view) = read.and_then(|read| View::new(read.form, octets).ok()) else {
        return;
    };
    if view.octets().len() > reader.settings.html_octets {
        return;
    }
    for (line, text) in content_lines(view.octets()) {
        if reported.len() >= REPORTED_MAX || reader.turn.is_over() {
            return;
        }
        let Some(html) = html_of(&text) else {
            continue;
        };
        let examined = pixel::examine_at(
            &html,
            view.encoding(),
            Document::Html,
            &part.bases,
            &reader.knowledge,
            &reader.limits(),
        );
        let kind = match examined.is_ok_and(|seen| !seen.findings.is_empty()) {
            true => ReportedKind::CalendarTracker,
            false => ReportedKind::CalendarHtml,
        };
        reported.push(Reported {
            kind,
            path: part.path.to_string(),
            line,
        });
    }
}

/// The lines of a calendar, unfolded, with the number of the first of each.
fn content_lines(octets: &[u8]) -> Vec<(usize, Vec<u8>)> {
    let mut lines: Vec<(usize, Vec<u8>)> = Vec::new();
    for (number, line) in octets.split(|octet| *octet == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match (line, lines.last_mut()) {
            ([b' ' | b'\t', rest @ ..], Some((_, before))) => before.extend_from_slice(rest),
            _ => lines.push((number.saturating_add(1), line.to_vec())),
        }
    }
    lines
}

/// The HTML of a content line; empty where it stands elsewhere (ALTREP); `None` where there is none.
fn html_of(line: &[u8]) -> Option<Vec<u8>> {
    let mut quoted = false;
    let colon = line.iter().position(|octet| {
        quoted ^= *octet == b'"';
        *octet == b':' && !quoted
    })?;
    let (named, value) = line.split_at_checked(colon)?;
    let named = named.to_ascii_lowercase();
    let mut parameters = named.split(|octet| *octet == b';').skip(1);
    let is_html =
        |parameter: &[u8]| matches!(parameter, b"fmttype=text/html" | b"fmttype=\"text/html\"");
    let holds = parameters.clone().any(is_html);
    if holds {
        return Some(unescaped(value.get(1..).unwrap_or_default()));
    }
    parameters
        .any(|parameter| parameter.starts_with(b"altrep="))
        .then(Vec::new)
}

/// TEXT of RFC 5545 3.3.11 as it is meant.
fn unescaped(value: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(value.len());
    let mut octets = value.iter().copied();
    while let Some(octet) = octets.next() {
        text.push(match octet {
            b'\\' => match octets.next() {
                Some(b'n' | b'N') => b'\n',
                Some(other) => other,
                None => b'\\',
            },
            other => other,
        });
    }
    text
}

fn line_of(octets: &[u8], at: usize) -> usize {
    let before = octets.get(..at).unwrap_or_default();
    memchr::memchr_iter(b'\n', before).count().saturating_add(1)
}
