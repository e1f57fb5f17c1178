//! The delivery status notification (RFC 3464): failed, and delayed.
//!
//! Built with mail-builder from plain values; knows no consent and no store. A report has exactly one reader, the
//! reverse-path of the message it reports on, who wrote the addresses in it. There is no report about a report
//! (RFC 5321 6.1): the caller never asks for one under a null reverse-path. Nothing that a client or a next hop said may
//! start a line or a field here.

use mail_builder::MessageBuilder;
use mail_builder::headers::address::Address;
use mail_builder::headers::content_type::ContentType;
use mail_builder::headers::raw::Raw;
use mail_builder::mime::MimePart;
use ring::digest::{Context, SHA256};

use super::record::hex;
use crate::smtp::xforward;

/// Longest run of the original's header that is returned, in octets; a longer one is cut at a line end and says so.
const RETURNED_HEADER_OCTETS: usize = 32 << 10;
/// Longest piece of a field that is written without a fold, in characters; lines of ours stay under 998 octets (RFC 5322
/// 2.1.1), of which a character may take four.
const PIECE: usize = 240;

/// What a report says happened (RFC 3464 2.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// They will not be served.
    Failed,
    /// They are not served yet; it is tried until then, seconds since 1970.
    Delayed { until: i64 },
}

/// One forward-path that a report is about.
#[derive(Debug, Clone)]
pub(super) struct Concerned {
    /// The forward-path as the client wrote it.
    pub forward_path: String,
    /// ORCPT's value as given (`rfc822;user+2Bx@example.com`), still xtext.
    pub original_recipient: Option<String>,
    /// What was said last, where anything was.
    pub said: Option<Said>,
}

/// A reply, the next hop's or ours.
#[derive(Debug, Clone)]
pub(super) struct Said {
    pub code: u16,
    /// Its text on one line.
    pub text: String,
    /// Its enhanced status code, where there is one.
    pub status: Option<String>,
}

/// What comes back of the original.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Returned {
    /// Its header: nobody asked for more.
    Header,
    /// Its header, and the sentence that says why not all of it.
    HeaderOnly(String),
    /// These octets.
    Message(Vec<u8>),
}

/// What the next hop takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Takes {
    /// 8BITMIME.
    pub eight_bit: bool,
    /// SMTPUTF8, and the sender of the original used it.
    pub utf8: bool,
}

/// What one report says.
#[derive(Debug)]
pub(super) struct Report<'a> {
    pub kind: Kind,
    /// Our name.
    pub reporter: &'a str,
    /// Our id of the transaction.
    pub id: &'a str,
    /// Whom it goes to: the reverse-path of the original.
    pub to: &'a str,
    /// ENVID as given, still xtext.
    pub envelope_id: Option<&'a str>,
    /// When the original came in, seconds since 1970.
    pub arrived: i64,
    /// Now, seconds since 1970.
    pub now: i64,
    /// Who is not served.
    pub concerned: &'a [Concerned],
    /// The original message.
    pub original: &'a [u8],
    /// What of it comes back.
    pub returned: Returned,
    /// What the next hop takes.
    pub takes: Takes,
}

impl Kind {
    fn action(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Delayed { .. } => "delayed",
        }
    }

    fn subject(self) -> &'static str {
        match self {
            Self::Failed => "Undelivered mail: your message was not delivered to everybody",
            Self::Delayed { .. } => {
                "Delayed mail: your message has not been delivered to everybody yet"
            }
        }
    }
}

/// The message, CRLF throughout.
///
/// # Errors
/// When the builder could not write, which a buffer in memory does not cause.
pub(super) fn build(report: &Report<'_>) -> std::io::Result<Vec<u8>> {
    let parts = vec![
        MimePart::new(
            ContentType::new("text/plain").attribute("charset", "utf-8"),
            explanation(report),
        ),
        status_part(report),
        returned_part(report),
    ];
    MessageBuilder::new()
        .from(Address::new_address(
            Some("Mail Delivery System"),
            format!("MAILER-DAEMON@{}", report.reporter),
        ))
        .header("To", Raw::new(format!("<{}>", clean(report.to))))
        .subject(report.kind.subject())
        .date(report.now)
        .message_id(message_id(report))
        .header("Auto-Submitted", Raw::new("auto-replied"))
        .body(MimePart::new(
            ContentType::new("multipart/report").attribute("report-type", "delivery-status"),
            parts,
        ))
        .write_to_vec()
}

/// The same for a report that is sent again, another for one about other people or of another kind: who reads mail drops what
/// they take for a second copy.
fn message_id(report: &Report<'_>) -> String {
    let mut context = Context::new(&SHA256);
    for concerned in report.concerned {
        context.update(concerned.forward_path.as_bytes());
        context.update(&[0]);
    }
    let whom = hex(context.finish().as_ref());
    format!(
        "{}.{}.{}@{}",
        report.id,
        report.kind.action(),
        whom.get(..12).unwrap_or_default(),
        report.reporter
    )
}

fn explanation(report: &Report<'_>) -> String {
    let mut text = format!("This is the mail relay at {}.\r\n\r\n", report.reporter);
    text.push_str(match report.kind {
        Kind::Failed => "Your message was not delivered to:\r\n",
        Kind::Delayed { .. } => {
            "This is a warning only. You need not send your message again.\r\n\r\nIt has not been delivered yet to:\r\n"
        }
    });
    for concerned in report.concerned {
        text.push_str(&format!("\r\n  <{}>\r\n", clean(&concerned.forward_path)));
        if let Some(said) = &concerned.said {
            let (code, words) = (said.code, clean(&said.text));
            text.push_str(&format!("    the answer was: {code} {words}\r\n"));
        }
    }
    if let Kind::Delayed { until } = report.kind
        && let Some(date) = rfc5322(until)
    {
        text.push_str(&format!("\r\nIt is tried again until {date}.\r\n"));
    }
    text.push_str("\r\nOther recipients of the same message, if any, are not concerned.\r\n");
    match &report.returned {
        Returned::Header => {}
        Returned::HeaderOnly(why) => text.push_str(&format!("\r\n{why} Its header is below.\r\n")),
        Returned::Message(_) => text
            .push_str("\r\nYour message is below, without what would load when it is opened.\r\n"),
    }
    if !matches!(report.returned, Returned::Message(_))
        && header_of(report.original).len() > RETURNED_HEADER_OCTETS
    {
        text.push_str(&format!(
            "\r\nThe header is cut after {RETURNED_HEADER_OCTETS} octets.\r\n"
        ));
    }
    text
}

/// The machine-readable part. In UTF-8 only where it has to be and may be (RFC 6533 4 and 5).
fn status_part(report: &Report<'_>) -> MimePart<'static> {
    let text = status(report, report.takes.utf8);
    let (kind, encoding) = match text.is_ascii() {
        true => ("message/delivery-status", "7bit"),
        false => ("message/global-delivery-status", "8bit"),
    };
    // As octets: text would be given a charset, and this is none.
    MimePart::new(ContentType::new(kind), text.into_bytes()).transfer_encoding(encoding)
}

fn returned_part(report: &Report<'_>) -> MimePart<'static> {
    let header = header_of(report.original);
    let global = !header.is_ascii() && report.takes.utf8;
    let (kind, octets) = match &report.returned {
        Returned::Message(octets) if global => ("message/global", octets.clone()),
        Returned::Message(octets) => ("message/rfc822", octets.clone()),
        _ if global => ("message/global-headers", cut(header)),
        _ => ("text/rfc822-headers", cut(header)),
    };
    let whole = matches!(report.returned, Returned::Message(_));
    let encoding = match octets.is_ascii() {
        true => Some("7bit"),
        // A message in a message is never encoded (RFC 2046 5.2.1); a header is, where 8 bits do not go.
        false if whole || report.takes.eight_bit => Some("8bit"),
        false => None,
    };
    let part = MimePart::new(ContentType::new(kind), octets);
    match encoding {
        Some(encoding) => part.transfer_encoding(encoding),
        None => part,
    }
}

/// One block for the message, one for each recipient (RFC 3464 2.1). ASCII unless `utf8`.
fn status(report: &Report<'_>, utf8: bool) -> String {
    let mut text = String::new();
    let mut field = |name: &str, value: &str| {
        text.push_str(&format!("{name}: {}\r\n", in_pieces(value)));
    };
    if let Some(envelope_id) = report.envelope_id {
        field("Original-Envelope-Id", &decoded(envelope_id, utf8));
    }
    field("Reporting-MTA", &format!("dns; {}", report.reporter));
    if let Some(date) = rfc5322(report.arrived) {
        field("Arrival-Date", &date);
    }
    for concerned in report.concerned {
        text.push_str("\r\n");
        text.push_str(&block(concerned, report.kind, utf8));
    }
    text
}

fn block(concerned: &Concerned, kind: Kind, utf8: bool) -> String {
    let mut text = String::new();
    let mut field = |name: &str, value: &str| {
        text.push_str(&format!("{name}: {value}\r\n"));
    };
    if let Some(original) = &concerned.original_recipient {
        field("Original-Recipient", &in_pieces(&decoded(original, utf8)));
    }
    field(
        "Final-Recipient",
        &in_pieces(&typed(&concerned.forward_path, utf8)),
    );
    field("Action", kind.action());
    let class = match kind {
        Kind::Failed => 5,
        Kind::Delayed { .. } => 4,
    };
    match &concerned.said {
        None => field("Status", &format!("{class}.0.0")),
        Some(said) => {
            // A status of another class than its code says nothing (RFC 3463 2).
            let class = (said.code / 100).to_string();
            let fits = |status: &&String| status.starts_with(&class);
            let plain = format!("{class}.0.0");
            field(
                "Status",
                said.status.as_ref().filter(fits).unwrap_or(&plain),
            );
            let words = shown(&clean(&said.text), utf8);
            field(
                "Diagnostic-Code",
                &format!("smtp; {} {}", said.code, folded(&words)),
            );
        }
    }
    if let Kind::Delayed { until } = kind
        && let Some(date) = rfc5322(until)
    {
        field("Will-Retry-Until", &date);
    }
    text
}

/// A forward-path with its type: as it is, or where only ASCII may stand as utf-8-addr-xtext (RFC 6533 3).
fn typed(path: &str, utf8: bool) -> String {
    let path = clean(path);
    if path.is_ascii() {
        return format!("rfc822; {path}");
    }
    if utf8 {
        return format!("utf-8; {path}");
    }
    let mut address = String::from("utf-8; ");
    for c in path.chars() {
        match c {
            '\\' | '+' | '=' => address.push_str(&format!("\\x{{{:02X}}}", u32::from(c))),
            c if c.is_ascii() => address.push(c),
            c => address.push_str(&format!("\\x{{{:X}}}", u32::from(c))),
        }
    }
    address
}

/// Words of others where only ASCII may stand.
fn shown(text: &str, utf8: bool) -> String {
    match utf8 || text.is_ascii() {
        true => text.to_owned(),
        false => text
            .chars()
            .map(|c| if c.is_ascii() { c } else { '?' })
            .collect(),
    }
}

/// xtext (RFC 3461 4) to what it stands for. What is none, or may not stand here, stays as it was given.
fn decoded(value: &str, utf8: bool) -> String {
    let text = xforward::decode(value.as_bytes()).and_then(|octets| String::from_utf8(octets).ok());
    match text {
        Some(text) if utf8 || text.is_ascii() => clean(&text),
        _ => shown(&clean(value), utf8),
    }
}

fn header_of(original: &[u8]) -> &[u8] {
    let end = match original.starts_with(b"\r\n") {
        // No header at all.
        true => 0,
        false => memchr::memmem::find(original, b"\r\n\r\n").map_or(original.len(), |at| at + 2),
    };
    original.get(..end).unwrap_or(original)
}

fn cut(header: &[u8]) -> Vec<u8> {
    if header.len() <= RETURNED_HEADER_OCTETS {
        return header.to_vec();
    }
    let cut = header.get(..RETURNED_HEADER_OCTETS).unwrap_or(header);
    let end = memchr::memmem::rfind(cut, b"\r\n").map_or(0, |at| at + 2);
    cut.get(..end).unwrap_or_default().to_vec()
}

/// RFC 5322 date in UTC; `None` for a time outside the calendar.
pub(super) fn rfc5322(seconds: i64) -> Option<String> {
    let timestamp = jiff::Timestamp::from_second(seconds).ok()?;
    jiff::fmt::rfc2822::to_string(&timestamp.to_zoned(jiff::tz::TimeZone::UTC)).ok()
}

/// Nothing from a peer may start a line of its own here.
fn clean(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// A diagnostic may be as long as a peer's reply; lines of ours stay under 998 octets (RFC 5322 2.1.1).
fn folded(text: &str) -> String {
    let mut folded = String::new();
    let mut column = 0;
    for word in text.split(' ') {
        if column > 0 && column + word.len() > 70 {
            folded.push_str("\r\n ");
            column = 0;
        } else if column > 0 {
            folded.push(' ');
        }
        folded.push_str(&in_pieces(word));
        column += word.len() + 1;
    }
    folded
}

fn in_pieces(word: &str) -> String {
    let mut pieces = String::with_capacity(word.len());
    for (index, c) in word.chars().enumerate() {
        if index > 0 && index % PIECE == 0 {
            pieces.push_str("\r\n ");
        }
        pieces.push(c);
    }
    pieces
}

#[cfg(test)]
#[path = "dsn_tests.rs"]
mod tests;
