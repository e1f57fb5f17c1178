use std::path::PathBuf;
use std::time::Instant;

use super::super::splice::{Splice, Spliced, same_outside};
use super::super::transfer_encoding::Encoding;
use super::super::tree::{Disposition, Dispute, OutOfScope, same_tree};
use super::super::{Attached, Decoded, decode};
use super::*;

fn tree(message: &str) -> Tree {
    walk(message.replace('\n', "\r\n").as_bytes(), &Limits::default())
}

/// Path, kind, scope and body of every part.
fn shape(message: &str) -> Vec<(String, Kind, Scope, String)> {
    let message = message.replace('\n', "\r\n");
    walk(message.as_bytes(), &Limits::default())
        .parts
        .iter()
        .map(|part| {
            let body = message.get(part.body.clone()).unwrap();
            let body = if part.scope == Scope::Container {
                ""
            } else {
                body
            };
            (
                part.path.to_string(),
                part.kind,
                part.scope,
                body.to_owned(),
            )
        })
        .collect()
}

fn leaf(path: &str, kind: Kind, scope: Scope, body: &str) -> (String, Kind, Scope, String) {
    (path.to_owned(), kind, scope, body.to_owned())
}

fn container(path: &str, kind: Kind) -> (String, Kind, Scope, String) {
    leaf(path, kind, Scope::Container, "")
}

fn disputes(tree: &Tree) -> Vec<Dispute> {
    let mut found: Vec<Dispute> = Vec::new();
    for disorder in &tree.disorders {
        if !found.contains(&disorder.what) {
            found.push(disorder.what);
        }
    }
    found
}

const DISPUTED: Scope = Scope::ExamineOnly(ExamineOnly::Disputed);

mod evasions;
mod hostile;
mod properties;
mod scopes;

#[test]
fn a_message_without_parts() {
    assert_eq!(
        shape("Subject: x\nContent-Type: text/html\n\n<p>x</p>\n"),
        [leaf("1", Kind::Html, Scope::Examine, "<p>x</p>\r\n")]
    );
    assert_eq!(
        shape("Subject: x\n\nplain <img src=x>\n"),
        [leaf(
            "1",
            Kind::Other,
            Scope::NotRendered,
            "plain <img src=x>\r\n"
        )]
    );
    assert_eq!(
        shape("Subject: x\n"),
        [leaf("1", Kind::Other, Scope::NotRendered, "")]
    );
    assert_eq!(shape(""), [leaf("1", Kind::Other, Scope::NotRendered, "")]);
}

#[test]
fn nested_parts_and_their_ranges() {
    let message = "Content-Type: multipart/mixed; boundary=\"outer\"\n\npreamble\n--outer\n\
        Content-Type: multipart/alternative; boundary=inner\n\n--inner\n\nplain\n--inner\n\
        Content-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n<p>\n\n--inner--\n\n\
        --outer\nContent-Type: image/png\nContent-Disposition: attachment\n\n....\n--outer--\nepilogue\n";
    assert_eq!(
        shape(message),
        [
            container("1", Kind::Multipart),
            container("1.1", Kind::Multipart),
            leaf("1.1.1", Kind::Other, Scope::NotRendered, "plain"),
            leaf("1.1.2", Kind::Html, Scope::Examine, "<p>\r\n"),
            leaf("1.2", Kind::Other, Scope::NotRendered, "...."),
        ]
    );
    let tree = tree(message);
    assert!(tree.disorders.is_empty(), "{:?}", tree.disorders);
    assert_eq!(tree.parts[3].encodings, [Encoding::QuotedPrintable]);
    assert_eq!(tree.parts[3].charsets, ["utf-8"]);
    assert_eq!(tree.parts[3].parent, Some(1));
    assert_eq!(tree.parts[4].disposition, Disposition::Attachment);
}

#[test]
fn a_boundary_that_begins_like_another() {
    let message = "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/alternative; boundary=bb\n\n\
        --bb\nContent-Type: text/html\n\n<p>1\n--bb--\n--b\nContent-Type: text/html\n\n<p>2\n--b--\n";
    let expected = [
        container("1", Kind::Multipart),
        container("1.1", Kind::Multipart),
        leaf("1.1.1", Kind::Html, Scope::Examine, "<p>1"),
        leaf("1.2", Kind::Html, Scope::Examine, "<p>2"),
    ];
    assert_eq!(shape(message), expected);
    assert!(tree(message).disorders.is_empty());
}

#[test]
fn messages_inside_messages() {
    let message = "Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: in a digest\nContent-Type: text/html\n\n<p>\n\
        --b\nContent-Type: message/rfc822\n\nContent-Type: multipart/mixed; boundary=c\n\n--c\nContent-Type: text/html\n\n<b>\n--c--\n\
        --b--\n";
    assert_eq!(
        shape(message),
        [
            container("1", Kind::Multipart),
            container("1.1", Kind::Message),
            leaf("1.1.1", Kind::Html, Scope::Examine, "<p>"),
            container("1.2", Kind::Message),
            container("1.2.1", Kind::Multipart),
            leaf("1.2.1.1", Kind::Html, Scope::Examine, "<b>"),
        ]
    );
}

#[test]
fn an_encoded_message_is_a_leaf() {
    let inner = encodify::base64::MIME.encode("Content-Type: text/html\r\n\r\n<img src=x>");
    let message = format!(
        "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: message/rfc822\n\
         Content-Transfer-Encoding: base64\n\n{inner}\n--b--\n"
    );
    let tree = tree(&message);
    let part = &tree.parts[1];
    assert_eq!(
        (part.kind, part.scope),
        (
            Kind::EncodedMessage,
            Scope::ExamineOnly(ExamineOnly::Encoded)
        )
    );
    let message = message.replace('\n', "\r\n");
    let Decoded { bytes, .. } =
        decode(&message.as_bytes()[part.body.clone()], part.encodings[0]).unwrap();
    let inner = part.message(&bytes).unwrap();
    assert_eq!(walk(&inner, &Limits::default()).parts[0].kind, Kind::Html);
}

#[test]
fn limits_are_named_not_passed_over() {
    let parts = "--b\n\nx\n".repeat(20);
    let message = format!("Content-Type: multipart/mixed; boundary=b\n\n{parts}--b--\n")
        .replace('\n', "\r\n");
    let limits = Limits {
        parts: 10,
        ..Limits::default()
    };
    let tree = walk(message.as_bytes(), &limits);
    assert_eq!((tree.parts.len(), tree.unread), (10, vec![Unread::Parts]));

    let mut message = String::new();
    for depth in 0..12 {
        message.push_str(&format!(
            "Content-Type: multipart/mixed; boundary=b{depth}x\n\n--b{depth}x\n"
        ));
    }
    message.push_str("Content-Type: text/html\n\n<img src=x>\n");
    let message = message.replace('\n', "\r\n");
    let limits = Limits {
        depth: 10,
        ..Limits::default()
    };
    let tree = walk(message.as_bytes(), &limits);
    assert_eq!(tree.unread, [Unread::Depth]);
    let last = tree.parts.last().unwrap();
    assert_eq!(last.scope, Scope::Unread(Unread::Depth));
    assert_eq!(last.body.end, message.len());

    let message = format!(
        "X-Long: {}\r\nContent-Type: text/html\r\n\r\n<p>",
        "x".repeat(2_000)
    );
    let limits = Limits {
        header_octets: 1_000,
        ..Limits::default()
    };
    assert_eq!(walk(message.as_bytes(), &limits).unread, [Unread::Header]);
}

#[test]
fn the_tree_of_a_variant_is_the_same_only_moved() {
    let message = "Content-Type: multipart/mixed; boundary=b\nPixelgate-Stream: x\n\n--b\nContent-Type: text/html\n\n\
        <p>1</p>--b\n<img>\n--b\nContent-Type: text/html\n\n<img>\n--b--\n"
        .replace('\n', "\r\n");
    let before = walk(message.as_bytes(), &Limits::default());
    let at = |text: &str| message.find(text).unwrap();
    let variant = |splices: Vec<Splice>| {
        let variant = Spliced::new(message.clone().into(), splices.clone())
            .unwrap()
            .to_bytes();
        same_tree(&before, &walk(&variant, &Limits::default()), &splices)
    };
    let last = message.rfind("<img>").unwrap();
    assert!(variant(vec![
        Splice::insert(0, "Received: by us\r\n"),
        Splice::cut(at("Pixelgate-")..at("\r\n--b")),
        Splice::cut(at("<img>")..at("<img>") + 5),
        Splice::new(last..last + 5, "<p>"),
    ]));
    // An edit that makes a delimiter, one that empties the header of a part, one that cuts a delimiter.
    assert!(!variant(vec![Splice::cut(
        at("<p>1</p>")..at("--b\r\n<img>")
    )]));
    let field = message.rfind("Content-Type").unwrap();
    assert!(!variant(vec![Splice::cut(field..field + 23)]));
    assert!(!variant(vec![Splice::cut(
        at("\r\n--b\r\nContent-Type: text/html\r\n\r\n<img>")..last
    )]));
}

/// Real messages, read in place, LF brought to CRLF.
fn real_mail() -> Vec<(String, Vec<u8>)> {
    let near = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/realmail");
    let directory = std::env::var_os("PIXELGATE_REALMAIL")
        .map_or(near, PathBuf::from)
        .join("mail");
    let mut mail: Vec<(String, Vec<u8>)> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let raw = std::fs::read(&path).unwrap();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, with_crlf(&raw))
        })
        .collect();
    mail.sort();
    mail
}

fn with_crlf(raw: &[u8]) -> Vec<u8> {
    let mut whole = Vec::with_capacity(raw.len() + raw.len() / 40);
    for line in raw.split_inclusive(|octet| *octet == b'\n') {
        let content = line.strip_suffix(b"\n").unwrap_or(line);
        whole.extend_from_slice(content.strip_suffix(b"\r").unwrap_or(content));
        whole.extend_from_slice(if line.ends_with(b"\n") { b"\r\n" } else { b"" });
    }
    whole
}

/// Every HTML leaf that mail-parser finds is one of ours, range for range, or a disorder is recorded.
#[test]
#[ignore = "needs the real messages"]
fn real_mail_agrees_with_mail_parser() {
    let mut agreed = 0;
    let mut disputed = 0;
    for (name, message) in real_mail() {
        let tree = walk(&message, &Limits::default());
        assert!(tree.unread.is_empty(), "{name}");
        let theirs = second_reading::html_ranges(&message).unwrap();
        let ours: Vec<_> = tree
            .parts
            .iter()
            .filter(|part| part.kind == Kind::Html)
            .collect();
        for range in &theirs {
            let same = ours.iter().any(|part| part.body == *range);
            assert!(
                same || !tree.disorders.is_empty(),
                "{name}: {range:?} is none of {:?}",
                ours.iter().map(|part| &part.body).collect::<Vec<_>>()
            );
            agreed += usize::from(same);
        }
        if !tree.disorders.is_empty() || ours.len() != theirs.len() {
            disputed += 1;
            println!(
                "{name}: theirs {} ours {} differs {} {:?}",
                theirs.len(),
                ours.len(),
                tree.second_reading_differs,
                disputes(&tree)
            );
            for part in &tree.parts {
                println!(
                    "    {} {:?} {:?} {:?} {:?} {:?}",
                    part.path,
                    part.kind,
                    part.scope,
                    part.readings
                        .iter()
                        .map(ToString::to_string)
                        .collect::<Vec<_>>(),
                    part.encodings,
                    part.charsets
                );
            }
        }
    }
    println!("{agreed} HTML parts agree, {disputed} messages disputed");
    assert!(agreed > 60);
}

/// Every image cut from every HTML part: the edits and nothing else, and the tree only moved.
#[test]
#[ignore = "needs the real messages"]
fn real_mail_loses_its_images_and_nothing_else() {
    let mut images = 0;
    for (name, message) in real_mail() {
        let before = walk(&message, &Limits::default());
        let mut all = Vec::new();
        for part in before
            .parts
            .iter()
            .filter(|part| part.scope == Scope::Examine)
        {
            let raw = &message[part.body.clone()];
            let Ok(decoded) = decode(raw, part.encodings[0]) else {
                println!("{name}: {} cannot be decoded", part.path);
                continue;
            };
            let edits: Vec<_> = memchr::memmem::find_iter(&decoded.bytes, b"<img ")
                .filter_map(|at| {
                    let length = memchr::memchr(b'>', &decoded.bytes[at..])?;
                    Some((at..at + length + 1, Vec::new()))
                })
                .collect();
            images += edits.len();
            all.extend(decoded.splices(raw, part.body.start, &edits).unwrap());
        }
        let variant = Spliced::new(message.clone().into(), all.clone())
            .unwrap()
            .to_bytes();
        let after = walk(&variant, &Limits::default());
        assert!(same_outside(&message, &all, &variant), "{name}");
        assert!(same_tree(&before, &after, &all), "{name}");
        for (old, new) in before.parts.iter().zip(&after.parts) {
            let raw = &variant[new.body.clone()];
            let decoded = decode(raw, new.encodings[0]);
            if let (Scope::Examine, Ok(decoded)) = (old.scope, decoded) {
                assert!(
                    memchr::memmem::find(&decoded.bytes, b"<img ").is_none(),
                    "{name}"
                );
                let without = cut_images(
                    &decode(&message[old.body.clone()], old.encodings[0])
                        .unwrap()
                        .bytes,
                );
                let bare = |octets: &[u8]| -> Vec<u8> {
                    octets
                        .iter()
                        .copied()
                        .filter(|octet| !matches!(octet, b'\r' | b'\n'))
                        .collect()
                };
                // An identity body may keep a line end where two long lines would have joined.
                match new.encodings[0] {
                    Encoding::Identity => {
                        assert_eq!(bare(&decoded.bytes), bare(&without), "{name}")
                    }
                    _ => assert_eq!(decoded.bytes, without, "{name}"),
                }
            } else if old.scope != Scope::Container {
                assert_eq!(raw, &message[old.body.clone()], "{name}");
            }
        }
    }
    println!("{images} images");
    assert!(images > 1_000);
}

fn cut_images(html: &[u8]) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut rest = html;
    while let Some(at) = memchr::memmem::find(rest, b"<img ") {
        kept.extend_from_slice(&rest[..at]);
        let Some(length) = memchr::memchr(b'>', &rest[at..]) else {
            rest = &rest[at..];
            break;
        };
        rest = &rest[at + length + 1..];
    }
    kept.extend_from_slice(rest);
    kept
}

#[test]
#[ignore = "a measurement, not a test; needs the real messages"]
fn walk_speed() {
    let mail = real_mail();
    let octets: usize = mail.iter().map(|(_, message)| message.len()).sum();
    let rounds: u32 = 20;
    let started = Instant::now();
    for _ in 0..rounds {
        for (_, message) in &mail {
            assert!(!walk(message, &Limits::default()).parts.is_empty());
        }
    }
    let took = started.elapsed() / rounds;
    println!(
        "{} messages, {octets} octets in {took:?}: {:.0} MB/s",
        mail.len(),
        octets as f64 / took.as_secs_f64() / 1e6
    );
}

#[test]
fn out_of_scope_reasons_are_kept_by_promotion() {
    let message = "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html\n\n<iframe src=\"cid:a%40b\">\n\
        --b\nContent-Type: text/html\nContent-Disposition: attachment\nContent-ID: <a@b>\n\n<img src=x>\n--b--\n";
    let mut tree = tree(message);
    assert_eq!(
        tree.parts[2].scope,
        Scope::OutOfScope(OutOfScope::Attachment)
    );
    let mut attached = Attached::of(&tree);
    assert!(attached.promote(&mut tree, ["other"]).is_empty());
    assert_eq!(attached.promote(&mut tree, ["a%40b"]), [2]);
    assert!(attached.promote(&mut tree, ["a%40b"]).is_empty());
    assert_eq!(tree.parts[2].scope, Scope::Examine);
}
