//! Mail made so that two readers see two different things: whatever either sees is examined.

use super::*;

/// Whether some examined part holds the tracker once decoded by one of its encodings.
fn examined(message: &str) -> bool {
    let message = message.replace('\n', "\r\n");
    let tree = walk(message.as_bytes(), &Limits::default());
    let sees = |part: &Part| {
        let body = &message.as_bytes()[part.body.clone()];
        matches!(part.scope, Scope::Examine | Scope::ExamineOnly(_))
            && part.encodings.iter().any(|encoding| {
                decode(body, *encoding).is_ok_and(|decoded| {
                    memchr::memmem::find(&decoded.bytes, b"<img src=x>").is_some()
                })
            })
    };
    tree.parts.iter().any(sees)
}

#[track_caller]
fn assert_examined(message: &str, dispute: Dispute) {
    assert!(examined(message), "{:#?}", tree(message));
    let found = disputes(&tree(message));
    assert!(found.contains(&dispute), "{found:?}");
}

#[test]
fn two_content_types() {
    for (first, second) in [
        ("text/plain", "text/html"),
        ("text/html", "text/plain"),
        ("image/png", "text/html"),
    ] {
        let message = format!("Content-Type: {first}\nContent-Type: {second}\n\n<img src=x>\n");
        assert_examined(&message, Dispute::DuplicateField);
    }
}

#[test]
fn two_boundaries() {
    let part = |own: &str, other: &str| {
        format!(
            "--{own}\nContent-Type: text/plain\n\nx\n--{other}\nContent-Type: text/html\n\n<img src=x>\n--{own}--\n--{other}--\n"
        )
    };
    for fields in [
        "Content-Type: multipart/mixed; boundary=one\nContent-Type: multipart/mixed; boundary=two\n",
        "Content-Type: multipart/mixed; boundary=one; boundary=two\n",
        "Content-Type: multipart/mixed; boundary=one; boundary*0=tw; boundary*1=o\n",
        "Content-Type: multipart/mixed; boundary*=us-ascii''%74wo; boundary=one\n",
        "Content-Type: multipart/mixed; boundary=one; boundary=\"tw\\o\"\n",
    ] {
        for (own, other) in [("one", "two"), ("two", "one")] {
            let message = format!("{fields}\n{}", part(own, other));
            assert!(examined(&message), "{message}\n{:#?}", tree(&message));
        }
    }
}

#[test]
fn a_part_for_one_boundary_hidden_in_the_header_of_the_other() {
    let message = "Content-Type: multipart/mixed; boundary=one\nContent-Type: multipart/mixed; boundary=two\n\n\
        --one\nContent-Type: text/html\n\n--two\nX: <img src=x>\n\nplain\n--two--\n--one--\n";
    assert_examined(message, Dispute::DuplicateField);
}

#[test]
fn boundary_spellings() {
    for boundary in [
        "b",
        "\"b\"",
        "\"b \"",
        "b ",
        "(c)b",
        "b(c)",
        " \"b\" ; charset=x",
        "\"\\b\"",
        "b charset=x",
        "=?us-ascii?q?b?=",
    ] {
        let message = format!(
            "Content-Type: multipart/mixed; boundary={boundary}\n\n--b\nContent-Type: text/html\n\n<img src=x>\n--b--\n"
        );
        assert!(examined(&message), "{boundary}: {:#?}", tree(&message));
    }
    for label in [
        "multipart/mixed boundary=b",
        "multipart/mixed,boundary=b",
        "multipart/(c)mixed; boundary=b",
        "\"multipart/mixed\"; boundary=b",
        "multipart / mixed; boundary=b",
        "multipart/mixed; boundary=\"b",
    ] {
        let message = format!(
            "Content-Type: {label}\n\n--b\nContent-Type: text/html\n\n<img src=x>\n--b--\n"
        );
        assert!(examined(&message), "{label}: {:#?}", tree(&message));
    }
}

#[test]
fn type_spellings() {
    for label in [
        "text/(x)html",
        "text/html(x)",
        "\"text/html\"",
        "text/html charset=utf-8",
        "text/html, text/plain",
        "text / html",
        "text/html;",
        " text/html ;;; charset",
        "text/\n html",
        "=?us-ascii?q?text/html?=",
        "text\\html",
    ] {
        assert!(
            examined(&format!("Content-Type: {label}\n\n<img src=x>\n")),
            "{label}"
        );
    }
}

#[test]
fn a_line_that_only_starts_like_a_delimiter() {
    let message = "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n\nx\n--bc\nContent-Type: text/html\n\n<img src=x>\n--b--\n";
    assert_examined(message, Dispute::PossibleDelimiter);
    let part = tree(message)
        .parts
        .into_iter()
        .find(|part| part.kind == Kind::Html)
        .unwrap();
    assert_eq!(
        (part.scope, part.path.to_string()),
        (DISPUTED, "1.2?".to_owned())
    );
    // Behind the closing delimiter.
    let message = "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b--\n--b\nContent-Type: text/html\n\n<img src=x>\n--b--\n";
    assert_examined(message, Dispute::PossibleDelimiter);
}

#[test]
fn missing_ends() {
    let message = "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html\n\n<img src=x>\n";
    assert_examined(message, Dispute::Unterminated);
    let message = "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/alternative; boundary=c\n\n--c\n\
        Content-Type: text/html\n\n<img src=x>\n--b\n\nx\n--b--\n";
    assert_examined(message, Dispute::Unterminated);
}

#[test]
fn headers_that_do_not_end() {
    // The second header is the first one's continuation for readers that need an empty line.
    let message = "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html\n--b\nContent-Type: text/plain\n\n<img src=x>\n--b--\n";
    assert_examined(message, Dispute::NoBlankLine);
    // The body begins at the first line that is no field.
    let message = "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html\n<img src=x>\n--b--\n";
    assert_examined(message, Dispute::JunkInHeader);
    let message = "Content-Type: text/html\n<img src=x>\n\nplain\n";
    assert_examined(message, Dispute::JunkInHeader);
    // A line of blanks ends the header for some.
    let message = "Content-Type: text/html\n \n<img src=x>\n\nplain\n";
    assert!(examined(message), "{:#?}", tree(message));
}

#[test]
fn junk_in_a_header_is_not_a_second_body_unless_it_holds_a_tag() {
    let message = "From someone@example.com Mon Jan\nContent-Type: text/html\nbroken folding of <someone@example.com>\n\n<img src=x>\n";
    let found = tree(message);
    assert_eq!(found.parts.len(), 1, "{found:#?}");
    assert_eq!(found.parts[0].scope, Scope::Examine);
}

#[test]
fn html_outside_the_parts() {
    for encoded in ["<img src=x>", "=3Cimg src=x>"] {
        let message =
            format!("Content-Type: multipart/mixed; boundary=b\n\n{encoded}\n--b\n\nx\n--b--\n");
        assert_examined(&message, Dispute::HtmlOutsideParts);
        let message =
            format!("Content-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b--\n{encoded}\n");
        assert_examined(&message, Dispute::HtmlOutsideParts);
    }
}

#[test]
fn multiparts_that_are_none() {
    assert_examined(
        "Content-Type: multipart/mixed\n\n--b\nContent-Type: text/html\n\n<img src=x>\n--b--\n",
        Dispute::NoBoundary,
    );
    assert_examined(
        "Content-Type: multipart/mixed; boundary=b\n\n<img src=x>\n",
        Dispute::NoDelimiter,
    );
    let inner = encodify::base64::MIME
        .encode("--b\r\nContent-Type: text/html\r\n\r\n<img src=x>\r\n--b--\r\n");
    let message = format!(
        "Content-Type: multipart/mixed; boundary=b\nContent-Transfer-Encoding: base64\n\n{inner}\n"
    );
    assert_examined(&message, Dispute::EncodedMultipart);
    let found = tree(&message);
    assert_eq!(found.parts[0].kind, Kind::EncodedMessage);
    let message = message.replace('\n', "\r\n");
    let raw = &message.as_bytes()[found.parts[0].body.clone()];
    let decoded = decode(raw, Encoding::Base64).unwrap();
    let inner = walk(
        &found.parts[0].message(&decoded.bytes).unwrap(),
        &Limits::default(),
    );
    assert_eq!(inner.parts[1].kind, Kind::Html);
    let message = "Content-Type: multipart/mixed; boundary=b\nContent-Type: text/html\n\n<img src=x>\n--b\n\nx\n--b--\n";
    assert_examined(message, Dispute::DuplicateField);
}

#[test]
fn encodings_that_lie() {
    let base64 = encodify::base64::MIME.encode("<p><img src=x>");
    for (label, body) in [
        ("quoted-printable", "=3Cimg =\nsrc=3dx>"),
        ("Quoted-Printable (c)", "=3Cimg src=3Dx>"),
        ("quoted_printable", "=3Cimg src=3Dx>"),
        ("8bit+", "<img src=x>"),
        ("hexa", "<img src=x>"),
        ("base64", "<p><img src=x>"),
        ("base64", &base64),
        ("\"base64\"", &base64),
        ("base-64", &base64),
        ("7bit\nContent-Transfer-Encoding: base64", &base64),
        ("base64\nContent-Transfer-Encoding: 7bit", "<img src=x>"),
    ] {
        let message =
            format!("Content-Type: text/html\nContent-Transfer-Encoding: {label}\n\n{body}\n");
        assert!(examined(&message), "{label}: {:#?}", tree(&message));
    }
}

#[test]
fn the_second_reader_is_asked_where_structure_is_disputed() {
    // Where mail-parser cuts in the middle of a line, what it sees is still inside a part of ours.
    let message = "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html\n\n<p>--b\n<img src=x>\n--b--\n--b\n";
    assert!(!tree(message).second_reading_differs);
    // It takes `Content -Type` for a field name; we take the line for junk, and say that it sees more.
    let message = "Content -Type: text/html\n\nhello <img src=x>\n";
    assert!(tree(message).second_reading_differs, "{:#?}", tree(message));
}

/// What the second reader would take quadratic time or all of the stack for: it is not asked, and that counts against the mail.
#[test]
fn the_second_reader_is_not_asked_to_break_down() {
    let start = "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n\nx\n";
    for part in [
        "x--b\nContent-Type: multipart/mixed; boundary=none\n\n",
        "x--b\nContent-Type: message/RFC822\n\n",
    ] {
        let message = format!("{start}{}", part.repeat(40_000));
        let started = Instant::now();
        let found = tree(&message);
        assert_eq!(found.parts.len(), 2);
        assert!(
            found.second_reading_differs && started.elapsed().as_secs() < 10,
            "{:?}",
            started.elapsed()
        );
    }
    let message = format!(
        "{start}{}",
        "x--b\nContent-Type: message/rfc822\n\n".repeat(450)
    );
    assert!(!tree(&message).second_reading_differs);
}
