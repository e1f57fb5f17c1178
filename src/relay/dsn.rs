//! The failed delivery status notification (RFC 3464), headers of the original only.
//!
//! Built with mail-builder from plain values; knows no consent and no store. A report has exactly one reader, the
//! reverse-path of the message it reports on, who wrote the addresses in it. There is no report about a report
//! (RFC 5321 6.1): the caller never asks for one under a null reverse-path.

use mail_builder::MessageBuilder;
use mail_builder::headers::address::Address;
use mail_builder::headers::content_type::ContentType;
use mail_builder::headers::raw::Raw;
use mail_builder::mime::MimePart;

/// Longest run of the original's header that is returned, in octets; a longer one is cut at a line end and says so.
const RETURNED_HEADER_OCTETS: usize = 32 << 10;

/// One forward-path that will not be served.
#[derive(Debug, Clone)]
pub(super) struct Failed {
    /// The forward-path as the client wrote it.
    pub forward_path: String,
    /// ORCPT's value as given (`rfc822;user+2Bx@example.com`), still xtext.
    pub original_recipient: Option<String>,
    /// The next hop's reply, or ours.
    pub code: u16,
    /// Its text on one line.
    pub text: String,
    /// Its enhanced status code, where there is one.
    pub status: Option<String>,
}

/// What one report says.
#[derive(Debug)]
pub(super) struct Report<'a> {
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
    pub failed: &'a [Failed],
    /// The original message; only its header is returned.
    pub original: &'a [u8],
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
        MimePart::new(ContentType::new("message/delivery-status"), status(report))
            .transfer_encoding("7bit"),
        MimePart::new(
            ContentType::new("text/rfc822-headers"),
            returned_header(report.original),
        )
        .transfer_encoding("8bit"),
    ];
    MessageBuilder::new()
        .from(Address::new_address(
            Some("Mail Delivery System"),
            format!("MAILER-DAEMON@{}", report.reporter),
        ))
        .header("To", Raw::new(format!("<{}>", clean(report.to))))
        .subject("Undelivered mail: your message was not delivered to everybody")
        .date(report.now)
        .message_id(format!("{}.dsn@{}", report.id, report.reporter))
        .header("Auto-Submitted", Raw::new("auto-replied"))
        .body(MimePart::new(
            ContentType::new("multipart/report").attribute("report-type", "delivery-status"),
            parts,
        ))
        .write_to_vec()
}

fn explanation(report: &Report<'_>) -> String {
    let mut text = format!(
        "This is the mail relay at {}.\r\n\r\nYour message was not delivered to:\r\n",
        report.reporter
    );
    for failed in report.failed {
        text.push_str(&format!(
            "\r\n  <{}>\r\n    the answer was: {} {}\r\n",
            clean(&failed.forward_path),
            failed.code,
            clean(&failed.text)
        ));
    }
    text.push_str("\r\nOther recipients of the same message, if any, are not concerned.\r\n");
    text
}

/// The machine-readable part: one block for the message, one for each recipient (RFC 3464 2.1).
fn status(report: &Report<'_>) -> String {
    let mut text = String::new();
    if let Some(envelope_id) = report.envelope_id {
        text.push_str(&format!(
            "Original-Envelope-Id: {}\r\n",
            decode_xtext(envelope_id)
        ));
    }
    text.push_str(&format!("Reporting-MTA: dns; {}\r\n", report.reporter));
    if let Some(date) = rfc5322(report.arrived) {
        text.push_str(&format!("Arrival-Date: {date}\r\n"));
    }
    for failed in report.failed {
        text.push_str("\r\n");
        if let Some(original) = &failed.original_recipient {
            text.push_str(&format!(
                "Original-Recipient: {}\r\n",
                decode_xtext(original)
            ));
        }
        let kind = if failed.forward_path.is_ascii() {
            "rfc822"
        } else {
            "utf-8"
        };
        text.push_str(&format!(
            "Final-Recipient: {kind}; {}\r\n",
            clean(&failed.forward_path)
        ));
        let status = failed
            .status
            .clone()
            .unwrap_or_else(|| format!("{}.0.0", failed.code / 100));
        text.push_str(&format!("Action: failed\r\nStatus: {status}\r\n"));
        text.push_str(&format!(
            "Diagnostic-Code: smtp; {} {}\r\n",
            failed.code,
            folded(&clean(&failed.text))
        ));
    }
    text
}

fn returned_header(original: &[u8]) -> Vec<u8> {
    let end = memchr::memmem::find(original, b"\r\n\r\n").map_or(original.len(), |at| at + 2);
    let header = original.get(..end).unwrap_or(original);
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
        let mut octets = 0;
        for c in word.chars() {
            octets += c.len_utf8();
            if octets > 900 {
                folded.push_str("\r\n ");
                octets = c.len_utf8();
            }
            folded.push(c);
        }
        column += word.len() + 1;
    }
    folded
}

/// xtext (RFC 3461 4) to what it stands for, controls blanked; what is not xtext stays as it is.
fn decode_xtext(value: &str) -> String {
    let mut octets = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let hex = tail
            .get(..2)
            .and_then(|pair| std::str::from_utf8(pair).ok())
            .and_then(|pair| u8::from_str_radix(pair, 16).ok());
        match (first, hex) {
            (b'+', Some(octet)) => {
                octets.push(octet);
                rest = tail.get(2..).unwrap_or_default();
            }
            _ => {
                octets.push(*first);
                rest = tail;
            }
        }
    }
    clean(&String::from_utf8(octets).unwrap_or_else(|_| value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(text: &str) -> String {
        let failed = vec![Failed {
            forward_path: "gone@example.net".to_owned(),
            original_recipient: Some("rfc822;old+2Bname@example.net".to_owned()),
            code: 550,
            text: text.to_owned(),
            status: Some("5.1.1".to_owned()),
        }];
        let message = build(&Report {
            reporter: "relay.example.com",
            id: "X-1",
            to: "sender@example.org",
            envelope_id: Some("id+2B7"),
            arrived: 1_763_800_000,
            now: 1_763_800_100,
            failed: &failed,
            original: b"From: a@example.org\r\nSubject: hello\r\n\r\nsecret body\r\n",
        });
        String::from_utf8(message.unwrap()).unwrap()
    }

    #[test]
    fn a_report_says_who_failed_and_returns_the_header_only() {
        let text = report("5.1.1 no such user");
        assert!(
            text.contains("Final-Recipient: rfc822; gone@example.net\r\n"),
            "{text}"
        );
        assert!(
            text.contains("Original-Recipient: rfc822;old+name@example.net\r\n"),
            "{text}"
        );
        assert!(text.contains("Original-Envelope-Id: id+7\r\n"), "{text}");
        assert!(
            text.contains("Diagnostic-Code: smtp; 550 5.1.1 no such user\r\n"),
            "{text}"
        );
        assert!(text.contains("Subject: hello\r\n"), "{text}");
        assert!(!text.contains("secret body"), "{text}");
        assert!(text.contains("multipart/report"), "{text}");
        assert_eq!(
            text.matches('\n').count(),
            text.matches("\r\n").count(),
            "CRLF throughout"
        );
    }

    #[test]
    fn a_peer_cannot_write_lines_into_a_report() {
        let text = report("5.1.1 evil\r\nFinal-Recipient: rfc822; other@example.net");
        assert_eq!(text.matches("\r\nFinal-Recipient:").count(), 1, "{text}");
        for text in ["x".repeat(5_000), "\u{20ac}".repeat(2_000)] {
            let long = report(&text);
            assert!(long.lines().all(|line| line.len() <= 998));
        }
    }
}
