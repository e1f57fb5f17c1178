use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::smtp::parameter::Parameters;
use crate::smtp::path::{ForwardPath, Mailbox, ReversePath};

fn everything() -> Extensions {
    Extensions {
        eight_bit_mime: true,
        smtputf8: true,
        dsn: true,
        size: Some(0),
        ..Extensions::default()
    }
}

fn parameter(keyword: &str, value: Option<&str>) -> Parameter {
    Parameter {
        keyword: keyword.to_owned(),
        value: value.map(str::to_owned),
    }
}

fn mail(parameters: Vec<Parameter>) -> Mail {
    Mail {
        reverse_path: ReversePath::Null,
        parameters: Parameters(parameters),
    }
}

fn line(parameters: Vec<Parameter>, extensions: &Extensions) -> Result<MailLine, Reply> {
    mail_line(&mail(parameters), extensions, Known::Nothing)
}

#[test]
fn body_7bit_needs_no_counting() {
    let written = line(
        vec![parameter("BODY", Some("7BIT"))],
        &Extensions::default(),
    )
    .unwrap();
    assert_eq!(written.line, "MAIL FROM:<>");
    assert_eq!(written.dropped, Dropped::default());
    let written = line(vec![parameter("BODY", Some("7BIT"))], &everything()).unwrap();
    assert_eq!(written.line, "MAIL FROM:<> BODY=7BIT");
}

#[test]
fn an_unknown_parameter_is_not_forwarded() {
    let refused = line(vec![parameter("FOO", Some("1"))], &everything()).unwrap_err();
    assert_eq!(refused.code(), 555);
}

#[test]
fn a_size_that_is_no_number_is_not_forwarded() {
    for value in [None, Some(""), Some("1x"), Some("-1")] {
        let refused = line(vec![parameter("SIZE", value)], &everything()).unwrap_err();
        assert_eq!(refused.code(), 554);
    }
    let huge = u64::MAX.to_string();
    let written = line(vec![parameter("SIZE", Some(&huge))], &everything()).unwrap();
    assert_eq!(
        written.line,
        format!("MAIL FROM:<> SIZE={huge}"),
        "no overflow"
    );
}

#[test]
fn the_header_ends_at_the_first_empty_line() {
    let ascii = |pieces: &[&[u8]]| header_is_ascii(pieces.iter().copied());
    assert!(ascii(&[b"a: b\r\n\r\n\xff"]));
    assert!(ascii(&[b"a: b\r", b"\n", b"\r\n", b"\xff"]));
    assert!(ascii(&[b"\r\n\xff"]));
    assert!(ascii(&[]));
    assert!(!ascii(&[b"a: \xc3\xa9\r\n\r\n"]));
    assert!(!ascii(&[b"a: b\r\n", b"c: \xff"]));
}

#[test]
fn what_is_known_is_that_of_the_variant() {
    let message = Spliced::untouched(Bytes::from_static(b"a: \xff\r\n\r\n"));
    assert_eq!(
        Known::of(&message),
        Known::Message {
            octets: 8,
            header_is_ascii: false
        }
    );
}

proptest! {
    /// Promise 6: whatever stands in a value or a path, a line is one line, and no parameter comes to it by a value.
    #[test]
    fn a_line_is_one_command(value in "\\PC{0,20}|[ -~\r\n\0\t]{0,20}", local in "[ -~\r\n\u{e9}]{1,12}") {
        let mut mail = mail(vec![
            parameter("SMTPUTF8", None),
            parameter("ENVID", Some(&value)),
        ]);
        let raw = format!("{local}@x.example");
        if let Some(mailbox) = Mailbox::new(raw.clone(), local.len()) {
            mail.reverse_path = ReversePath::Mailbox(mailbox);
        }
        if let Ok(written) = mail_line(&mail, &everything(), Known::Nothing) {
            prop_assert!(!written.line.bytes().any(|octet| octet < 0x20 || octet == 0x7f));
            let suffix = format!(" SMTPUTF8 ENVID={value}");
            prop_assert!(written.line.ends_with(&suffix));
            prop_assert!(!value.contains(' '));
        }
        let rcpt = Rcpt {
            forward_path: ForwardPath::Postmaster(raw),
            parameters: Parameters(vec![parameter("ORCPT", Some(&value))]),
        };
        if let Ok((line, _)) = rcpt_line(&rcpt, &everything(), true) {
            prop_assert!(!line.bytes().any(|octet| octet < 0x20 || octet == 0x7f));
        }
    }
}
