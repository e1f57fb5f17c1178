//! Which parts are examined, edited, left alone, and why.

use super::*;

fn mixed(subtype: &str, parts: &[&str]) -> String {
    let parts: String = parts.iter().map(|part| format!("--b\n{part}\n")).collect();
    format!("Content-Type: multipart/{subtype}; boundary=b\n\n{parts}--b--\n")
}

fn scopes(message: &str) -> Vec<Scope> {
    shape(message)
        .into_iter()
        .skip(1)
        .map(|(_, _, scope, _)| scope)
        .collect()
}

const HTML: &str = "Content-Type: text/html\n\n<img src=x>";
const ATTACHED: &str =
    "Content-Type: text/html\nContent-Disposition: attachment; filename=a.html\n\n<img src=x>";
const ATTACHMENT: Scope = Scope::OutOfScope(OutOfScope::Attachment);

#[test]
fn rendered_types() {
    for (label, kind) in [
        ("text/html", Kind::Html),
        ("TEXT/HTML; charset=utf-8", Kind::Html),
        ("application/xhtml+xml", Kind::Html),
        ("text/x-amp-html", Kind::Amp),
        ("text/plain", Kind::Other),
        ("text/calendar", Kind::Other),
        ("image/svg+xml", Kind::Other),
        ("application/octet-stream", Kind::Other),
    ] {
        let found = tree(&format!("Content-Type: {label}\n\n<img src=x>\n"));
        assert_eq!(found.parts[0].kind, kind, "{label}");
        let expected = if kind == Kind::Other {
            Scope::NotRendered
        } else {
            Scope::Examine
        };
        assert_eq!(found.parts[0].scope, expected, "{label}");
    }
}

#[test]
fn attachments_are_left_alone_unless_a_client_shows_them() {
    assert_eq!(
        scopes(&mixed("mixed", &[HTML, ATTACHED])),
        [Scope::Examine, ATTACHMENT]
    );
    // The message itself, an alternative, and the root of multipart/related are shown whatever they call themselves.
    assert_eq!(tree(ATTACHED).parts[0].scope, Scope::Examine);
    assert_eq!(scopes(&mixed("alternative", &[ATTACHED])), [Scope::Examine]);
    assert_eq!(
        scopes(&mixed("related", &[ATTACHED, ATTACHED])),
        [Scope::Examine, ATTACHMENT]
    );
    let named = ATTACHED.replace("\n\n", "\nContent-ID: <root@x>\n\n");
    let message = mixed("related; start=\"<root@x>\"", &["\nplain", &named]);
    assert_eq!(scopes(&message), [Scope::NotRendered, Scope::Examine]);
    for disposition in [
        "inline",
        "foo",
        "attachment\nContent-Disposition: inline",
        "(x) inline",
        "",
    ] {
        let part = ATTACHED.replace("attachment; filename=a.html", disposition);
        assert_eq!(
            scopes(&mixed("mixed", &[&part])),
            [Scope::Examine],
            "{disposition}"
        );
    }
}

#[test]
fn an_attached_message_keeps_what_is_in_it_out_of_scope() {
    let attached =
        format!("Content-Type: message/rfc822\nContent-Disposition: attachment\n\n{HTML}");
    assert_eq!(
        scopes(&mixed("mixed", &[&attached])),
        [Scope::Container, ATTACHMENT]
    );
    let inline = format!("Content-Type: message/rfc822\n\n{ATTACHED}");
    assert_eq!(
        scopes(&mixed("mixed", &[&inline])),
        [Scope::Container, Scope::Examine]
    );
}

#[test]
fn below_a_signature_nothing_is_edited() {
    let signed = mixed(
        "signed",
        &[HTML, "Content-Type: application/pgp-signature\n\nx"],
    );
    assert_eq!(
        scopes(&signed),
        [Scope::ExamineOnly(ExamineOnly::Signed), Scope::NotRendered]
    );
    let around = mixed(
        "mixed",
        &[&signed.replace("=b", "=c").replace("--b", "--c"), HTML],
    );
    assert_eq!(
        scopes(&around),
        [
            Scope::Container,
            Scope::ExamineOnly(ExamineOnly::Signed),
            Scope::NotRendered,
            Scope::Examine
        ]
    );
}

#[test]
fn encrypted_and_report() {
    let encrypted = mixed(
        "encrypted",
        &[
            "Content-Type: application/pgp-encrypted\n\nVersion: 1",
            HTML,
        ],
    );
    assert_eq!(
        scopes(&encrypted),
        [Scope::OutOfScope(OutOfScope::Encrypted), Scope::Examine]
    );
    let returned = format!("Content-Type: message/rfc822\n\n{HTML}");
    let report = mixed(
        "report; report-type=delivery-status",
        &["\nfailed", &returned],
    );
    assert_eq!(
        scopes(&report),
        [
            Scope::NotRendered,
            Scope::Container,
            Scope::OutOfScope(OutOfScope::Report)
        ]
    );
}

#[test]
fn smime_is_judged_by_what_is_inside() {
    // ContentInfo, its type, and for SignedData: version, digests, data in one OCTET STRING.
    let body = |oid: u8, inside: &[u8]| {
        let oid = [
            b"\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07".as_slice(),
            &[oid],
        ]
        .concat();
        let cms = encodify::base64::MIME.encode([&oid, inside].concat());
        format!(
            "Content-Type: application/pkcs7-mime; smime-type=enveloped-data\n\
             Content-Transfer-Encoding: base64\n\n{cms}\n"
        )
    };
    let encrypted = tree(&body(3, b"\xa0\x80"));
    assert_eq!(
        encrypted.parts[0].scope,
        Scope::OutOfScope(OutOfScope::Encrypted)
    );
    let inner = b"Content-Type: text/html\r\n\r\n<img src=x>";
    let start = b"\xa0\x80\x30\x80\x02\x01\x01\x31\x00\x30\x80\x06\x01\x2a\xa0\x80\x04";
    let signed = [start.as_slice(), &[inner.len() as u8], inner].concat();
    for (inside, html) in [(signed.as_slice(), true), (b"not ASN.1 at all", false)] {
        let message = body(2, inside);
        let found = tree(&message);
        let part = &found.parts[0];
        assert_eq!(part.scope, Scope::ExamineOnly(ExamineOnly::Encoded));
        let message = message.replace('\n', "\r\n");
        let decoded = decode(&message.as_bytes()[part.body.clone()], Encoding::Base64).unwrap();
        let inner = part.message(&decoded.bytes);
        let kind = inner.map(|inner| walk(&inner, &Limits::default()).parts[0].kind);
        assert_eq!(kind, html.then_some(Kind::Html));
    }
}

#[test]
fn unlabelled_parts_that_begin_like_html() {
    for label in [
        "",
        "Content-Type: html\n",
        "Content-Type: text\n",
        "Content-Type: ;charset=x\n",
        "Content-Type:\n",
    ] {
        let examined = |body: &str| {
            tree(&format!("Subject: x\n{label}\n{body}\n")).parts[0].scope == Scope::Examine
        };
        assert!(examined("<html><img src=x>"), "{label}");
        assert!(!examined("  "), "{label}");
        assert!(examined("  <!-- x --><img src=x>"), "{label}");
        assert!(examined("<DIV class=x>"), "{label}");
        assert!(!examined("hello <img src=x>"), "{label}");
        assert!(!examined("<someone@example.com> wrote"), "{label}");
    }
    let encoded = encodify::base64::MIME.encode("<html><img src=x>");
    let message = format!("Content-Transfer-Encoding: base64\n\n{encoded}\n");
    assert_eq!(tree(&message).parts[0].kind, Kind::Html);
}
