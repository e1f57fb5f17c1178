//! Trace fields and the few other fields of a message's own header that the relay reads, writes or removes.
//!
//! `Received:` (RFC 5321 4.4), `Pixelgate-*`, `DKIM-Signature` (RFC 6376 3.5). Values come in as plain text and are
//! cleaned here: nothing a client says can end a field or begin another. There is no `for` clause: it would tell one
//! recipient of another, and differ between variants.

use std::net::IpAddr;
use std::ops::Range;

use super::header::{Field, end_of_header, fields, readable};

#[cfg(test)]
mod tests;

/// The comment behind our name that marks a `Received:` field as one of a pixelgate.
const MARK: &str = "(pixelgate)";

/// Names of our own header fields begin so, whatever their case.
const OURS: &[u8] = b"pixelgate-";

/// Columns after which a field is folded (RFC 5322 2.1.1).
const FOLD_COLUMNS: usize = 78;

/// Octets kept of one word of a client in our field (RFC 5321 4.5.3.1.2).
const WORD_OCTETS: usize = 255;

/// How often a message was received, by the fields in its header.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReceivedCount {
    /// All `Received:` fields.
    pub all: usize,
    /// Those that a pixelgate of this name wrote.
    pub ours: usize,
}

/// What our `Received:` field says.
#[derive(Debug, Clone)]
pub struct Received<'a> {
    /// The argument of EHLO, HELO or LHLO.
    pub helo: &'a str,
    /// Where the client connected from; `None` on a Unix socket.
    pub client: Option<IpAddr>,
    /// Our own name.
    pub name: &'a str,
    /// `ESMTP`, `ESMTPSA`, `LMTP`, `UTF8SMTP` and so on (RFC 3848, RFC 6531).
    pub protocol: &'a str,
    /// Our identifier of the message.
    pub id: &'a str,
    /// The date as RFC 5322 3.3 writes it.
    pub date: &'a str,
}

/// One `Pixelgate-*` field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnField {
    /// Its name in lower case, e.g. `pixelgate-stream`.
    pub name: String,
    /// Its value on one line.
    pub value: String,
    /// Whether it stands on several lines.
    pub folded: bool,
    /// What to cut to remove it.
    pub whole: Range<usize>,
}

/// One `DKIM-Signature` field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DkimSignature {
    /// Its `d=`, in lower case.
    pub domain: Option<String>,
    /// What to cut to remove it.
    pub whole: Range<usize>,
}

/// Counts the `Received:` fields of a message; `name` is our own.
pub fn received_count(message: &[u8], name: &str) -> ReceivedCount {
    let mut count = ReceivedCount::default();
    for field in own_header(message).filter(|field| field.is(message, "Received")) {
        count.all += 1;
        let value = field.value_text(message);
        let words: Vec<&str> = value.split_ascii_whitespace().collect();
        let marked = words.windows(3).any(|words| match words {
            [by, host, mark] => {
                by.eq_ignore_ascii_case("by")
                    && host.eq_ignore_ascii_case(&clean(name))
                    && mark.trim_end_matches(';').eq_ignore_ascii_case(MARK)
            }
            _ => false,
        });
        count.ours += usize::from(marked);
    }
    count
}

/// Our `Received:` field with its line ends, to be put in front of a message.
pub fn received_field(received: &Received<'_>) -> Vec<u8> {
    let client = match received.client.map(|client| client.to_canonical()) {
        Some(IpAddr::V4(client)) => format!("([{client}])"),
        Some(IpAddr::V6(client)) => format!("([IPv6:{client}])"),
        None => "(local)".to_owned(),
    };
    let mut id = clean(received.id);
    id.push(';');
    let date = received.date.split_ascii_whitespace().map(clean);
    let words = ["from".to_owned(), clean(received.helo), client]
        .into_iter()
        .chain(["by".to_owned(), clean(received.name), MARK.to_owned()])
        .chain([
            "with".to_owned(),
            clean(received.protocol),
            "id".to_owned(),
            id,
        ])
        .chain(date);
    let mut field = String::from("Received:");
    let mut column = field.len();
    for word in words {
        if column + 1 + word.len() > FOLD_COLUMNS {
            field.push_str("\r\n\t");
            column = 1;
        } else {
            field.push(' ');
            column += 1;
        }
        field.push_str(&word);
        column += word.len();
    }
    field.push_str("\r\n");
    field.into_bytes()
}

/// One word of ours or of a client, fit for a structured field: no blanks, no specials that end or nest anything.
fn clean(word: &str) -> String {
    let cleaned: String = word
        .chars()
        .take(WORD_OCTETS)
        .map(|letter| match letter {
            'A'..='Z'
            | 'a'..='z'
            | '0'..='9'
            | '.'
            | '-'
            | '_'
            | ':'
            | '['
            | ']'
            | '+'
            | '='
            | '/'
            | ',' => letter,
            _ => '?',
        })
        .collect();
    match cleaned.is_empty() {
        true => "unknown".to_owned(),
        false => cleaned,
    }
}

/// The `Pixelgate-*` fields of a message: what they say, and what to cut; all of them are removed before delivery.
pub fn own_fields(message: &[u8]) -> Vec<OwnField> {
    own_header(message)
        .filter(|field| {
            let name = field.name_octets(message);
            name.get(..OURS.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(OURS))
        })
        .map(|field| OwnField {
            name: readable(field.name_octets(message)).to_ascii_lowercase(),
            value: field.value_text(message),
            folded: memchr::memchr2(b'\r', b'\n', field.value_octets(message)).is_some(),
            whole: field.whole,
        })
        .collect()
}

/// The `List-Unsubscribe` targets of a message (RFC 2369): what stands between angle brackets, blanks taken out; in a
/// field without brackets what stands between commas.
pub fn unsubscribe_targets(message: &[u8]) -> Vec<String> {
    let fields = own_header(message).filter(|field| field.is(message, "List-Unsubscribe"));
    fields
        .flat_map(|field| {
            let value = field.value_text(message);
            let pieces: Vec<&str> = match value.contains('<') {
                true => value
                    .split('<')
                    .skip(1)
                    .map(|piece| piece.split('>').next().unwrap_or(piece))
                    .collect(),
                false => value.split(',').collect(),
            };
            let targets = pieces
                .into_iter()
                .map(|piece| piece.split_whitespace().collect());
            targets.collect::<Vec<String>>()
        })
        .filter(|target| !target.is_empty())
        .collect()
}

/// The `DKIM-Signature` fields of a message.
pub fn dkim_signatures(message: &[u8]) -> Vec<DkimSignature> {
    own_header(message)
        .filter(|field| field.is(message, "DKIM-Signature"))
        .map(|field| {
            let value = field.value_text(message);
            let domain = value.split(';').find_map(|tag| {
                let (name, value) = tag.split_once('=')?;
                let value: String = value.split_ascii_whitespace().collect();
                (name.trim() == "d").then(|| value.to_ascii_lowercase())
            });
            DkimSignature {
                domain,
                whole: field.whole,
            }
        })
        .collect()
}

/// The octets of a message without its `Received:` and `Return-Path:` fields, which differ at every attempt of a client:
/// what to hash to know the same message again.
pub fn without_trace(message: &[u8]) -> impl Iterator<Item = &[u8]> {
    let traces = own_header(message)
        .filter(|field| field.is(message, "Received") || field.is(message, "Return-Path"))
        .map(|field| field.whole)
        .chain(std::iter::once(message.len()..message.len()));
    let mut at = 0;
    traces
        .map(move |trace| {
            let kept = message.get(at..trace.start).unwrap_or_default();
            at = trace.end;
            kept
        })
        .filter(|kept| !kept.is_empty())
}

/// The fields of the message's own header.
fn own_header(message: &[u8]) -> impl Iterator<Item = Field> {
    fields(message, 0..end_of_header(message))
}
