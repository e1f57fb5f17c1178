//! What holds for any octets at all.

use proptest::prelude::*;

use super::*;

fn awkward() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        3 => Just("\r\n"),
        2 => Just("--b"),
        2 => Just("\r\n--b\r\n"),
        1 => Just("\r\n--b--\r\n"),
        1 => Just("\r\n--bb\r\n"),
        1 => Just("\r\n--c\r\n"),
        2 => Just("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"),
        1 => Just("Content-Type: multipart/digest; boundary=\"bb\"\r\n"),
        1 => Just("Content-Type: multipart/signed; boundary=c; boundary=b\r\n\r\n"),
        1 => Just("Content-Type: multipart/mixed\r\n\r\n"),
        2 => Just("Content-Type: text/html\r\n"),
        1 => Just("Content-Type: text/plain\r\n\r\n"),
        1 => Just("Content-Type: message/rfc822\r\n\r\n"),
        1 => Just("Content-Type: \"x\r\n"),
        1 => Just("Content-Transfer-Encoding: base64\r\n"),
        1 => Just("Content-Transfer-Encoding: quoted-printable (x)\r\n"),
        1 => Just("Content-Disposition: attachment\r\n"),
        1 => Just("\r\n<p><img src=x>"),
        1 => Just("=3Cimg="),
        1 => Just(" \r\n"),
        1 => Just("\t"),
        1 => Just("junk"),
        1 => Just(":"),
        1 => Just("\u{e9}"),
        1 => Just("-"),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat().into_bytes())
}

fn limits() -> impl Strategy<Value = Limits> {
    let small = Limits {
        parts: 5,
        depth: 3,
        header_octets: 60,
        boundary_octets: 2,
        readings: 1,
        disorders: 2,
    };
    prop_oneof![Just(Limits::default()), Just(small)]
}

fn inside(inner: &std::ops::Range<usize>, outer: &std::ops::Range<usize>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn ranges_nest_and_limits_hold(message in awkward(), limits in limits()) {
        let tree = walk(&message, &limits);
        prop_assert!(!tree.parts.is_empty() && tree.parts.len() <= limits.parts);
        prop_assert!(tree.disorders.len() <= limits.disorders);
        prop_assert_eq!(tree.parts[0].body.end, message.len());
        let mut end_of_siblings = HashMap::new();
        for (place, part) in tree.parts.iter().enumerate() {
            prop_assert!(part.header.start <= part.header.end && part.header.end <= part.body.start);
            prop_assert!(part.body.start <= part.body.end && part.body.end <= message.len());
            prop_assert!(!part.encodings.is_empty());
            prop_assert!(part.path.numbers.len() <= limits.depth + 1);
            let Some(parent) = part.parent else {
                prop_assert_eq!(place, 0);
                continue;
            };
            prop_assert!(parent < place);
            if !part.is_disputed() {
                prop_assert!(inside(&(part.header.start..part.body.end), &tree.parts[parent].body), "{:#?}", tree);
                let end = end_of_siblings.insert(parent, part.body.end);
                prop_assert!(end.is_none_or(|end| end <= part.header.start));
            }
        }
    }

    #[test]
    fn an_undisputed_tracker_is_always_seen(before in awkward(), after in awkward()) {
        // Whatever stands around it: an HTML part of the message proper, by the book, is examined or named as unread.
        let mut message = b"Content-Type: multipart/mixed; boundary=outer\r\n\r\n--outer\r\n".to_vec();
        message.extend_from_slice(&before);
        message.extend_from_slice(b"\r\n--outer\r\nContent-Type: text/html\r\n\r\n<img src=tracker>\r\n--outer\r\n");
        message.extend_from_slice(&after);
        let place = memchr::memmem::find(&message, b"<img src=tracker>").unwrap();
        let tree = walk(&message, &Limits::default());
        let examined = tree.parts.iter().any(|part| {
            matches!(part.scope, Scope::Examine | Scope::ExamineOnly(_))
                && part.body.contains(&place)
                && part.encodings.contains(&Encoding::Identity)
        });
        prop_assert!(examined || !tree.unread.is_empty(), "{}", message.escape_ascii());
    }

    #[test]
    fn walking_again_gives_the_same_tree(message in awkward()) {
        let tree = walk(&message, &Limits::default());
        prop_assert!(same_tree(&tree, &walk(&message, &Limits::default()), &[]));
    }
}
