//! Messages made to take time, memory or stack: each of these once took a parser down.

use super::*;

/// Time must grow with the octets and nothing else. Unoptimised on a busy machine; quadratic time would be minutes.
#[track_caller]
fn assert_linear(name: &str, message: &str) {
    let message = message.replace('\n', "\r\n");
    let started = Instant::now();
    let tree = walk(message.as_bytes(), &Limits::default());
    let took = started.elapsed();
    let octets = message.len();
    println!(
        "{name}: {octets} octets, {} parts, {:?}, {took:?}",
        tree.parts.len(),
        tree.unread
    );
    assert!(took.as_secs() < 10, "{name}: {took:?}");
}

const MIXED: &str = "Content-Type: multipart/mixed; boundary=b\n\n";

#[test]
fn many_parts() {
    for (name, part, times) in [
        ("parts", "--b\n\nx\n", 100_000),
        ("no blank lines", "--b\nContent-Type: text/html\n", 9_000),
        ("prefixes", "--bb\n\nx\n", 100_000),
        ("hyphens", "--\n", 1_000_000),
        (
            "multiparts without delimiter",
            "--b\nContent-Type: multipart/mixed; boundary=none\n\n",
            9_000,
        ),
        (
            "multiparts without boundary",
            "--b\nContent-Type: multipart/mixed\n\n",
            9_000,
        ),
        (
            "two boundaries",
            "--b\nContent-Type: multipart/mixed; boundary=one; boundary=two\n\n",
            9_000,
        ),
    ] {
        assert_linear(name, &format!("{MIXED}{}", part.repeat(times)));
    }
}

#[test]
fn deep_nesting() {
    let nested: String = (0..40_000)
        .map(|depth| format!("Content-Type: multipart/mixed; boundary=b{depth}\n\n--b{depth}\n"))
        .collect();
    assert_linear("nesting", &nested);
    assert_linear(
        "messages",
        &"Content-Type: message/rfc822\n\n".repeat(60_000),
    );
    let alike: String = "Content-Type: multipart/mixed; boundary=b\n\n--b\n".repeat(40_000);
    assert_linear("one boundary", &alike);
}

#[test]
fn long_headers() {
    assert_linear(
        "fields",
        &format!("{}\n", "Content-Type: text/html; a=(\n".repeat(40_000)),
    );
    for (name, start, part, times) in [
        ("parentheses", "text/html", "(", 900_000),
        ("parameters", "multipart/mixed", "; boundary*1=a", 60_000),
        ("words", "multipart/mixed ", "a=b ", 200_000),
        ("quotes", "multipart/mixed; boundary", "=\"\\\"", 200_000),
        ("encoded words", "text/html; charset=", "=?a?q?", 1_300),
        ("folds", "text/html", "\n ;", 200_000),
    ] {
        assert_linear(
            name,
            &format!("Content-Type: {start}{}\n\n<p>", part.repeat(times)),
        );
    }
    assert_linear("junk", &format!("{}\n<p>", "<img src=x>\n".repeat(80_000)));
}

#[test]
fn bodies_that_look_like_html_everywhere() {
    assert_linear("tags", &format!("{MIXED}{}", "<".repeat(3_000_000)));
    let nested: String = (0..90)
        .map(|depth| format!("Content-Type: multipart/mixed; boundary=b{depth}x\n\n--b{depth}x\n"))
        .collect();
    assert_linear(
        "tags in nested multiparts",
        &format!("{nested}\n{}", "<".repeat(3_000_000)),
    );
}

#[test]
fn a_line_of_50_megabytes() {
    let message = [
        b"Content-Type: text/html\r\n\r\n<p>".to_vec(),
        vec![b'x'; 50_000_000],
    ]
    .concat();
    let started = Instant::now();
    assert_eq!(walk(&message, &Limits::default()).parts.len(), 1);
    assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
}
