use super::*;

const DATA: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01";

/// Tag, length as short as it goes, content.
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut octets = match length {
        0..0x80 => vec![tag, length as u8],
        0x80..0x100 => vec![tag, 0x81, length as u8],
        _ => vec![tag, 0x82, (length >> 8) as u8, length as u8],
    };
    octets.extend_from_slice(content);
    octets
}

fn unended(tag: u8, content: &[u8]) -> Vec<u8> {
    [&[tag, 0x80], content, b"\0\0"].concat()
}

type Wrap = fn(u8, &[u8]) -> Vec<u8>;

fn signed(wrap: Wrap, encapsulated: &[u8]) -> Vec<u8> {
    let digests = wrap(SET, &element(SEQUENCE, b"\x06\x01\x2a"));
    let inner = [
        element(INTEGER, b"\x01"),
        digests,
        wrap(SEQUENCE, encapsulated),
        element(SET, b""),
    ]
    .concat();
    wrap(
        SEQUENCE,
        &[SIGNED, &wrap(CONTEXT_0, &wrap(SEQUENCE, &inner))].concat(),
    )
}

#[test]
fn content_in_one_piece_and_in_many() {
    let message = b"Content-Type: text/html\r\n\r\n<img src=x>".repeat(9);
    let pieces: Vec<u8> = message
        .chunks(5)
        .flat_map(|piece| element(OCTET_STRING, piece))
        .collect();
    for wrap in [element as Wrap, unended as Wrap] {
        for string in [
            element(OCTET_STRING, &message),
            wrap(OCTET_STRING_IN_PIECES, &pieces),
        ] {
            let body = signed(wrap, &[DATA, &wrap(CONTEXT_0, &string)].concat());
            assert_eq!(signed_content(&body).as_deref(), Some(message.as_slice()));
            assert!(!is_encrypted(&body));
            for cut in 0..body.len() - 20 {
                // Cut anywhere: less, or nothing, never a panic.
                if let Some(content) = signed_content(&body[..cut]) {
                    assert!(content.len() <= message.len());
                }
            }
        }
        assert_eq!(
            signed_content(&signed(wrap, DATA)).as_deref(),
            Some(b"".as_slice())
        );
    }
}

#[test]
fn what_is_no_signed_data_has_no_content() {
    let enveloped = element(SEQUENCE, &[ENVELOPED, &element(CONTEXT_0, b"x")].concat());
    assert!(is_encrypted(&enveloped));
    assert_eq!(signed_content(&enveloped), None);
    for octets in [
        b"".as_slice(),
        b"\x30",
        b"\x30\x80",
        b"Content-Type: text/html\r\n\r\n",
        b"\x30\x89\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    ] {
        assert_eq!(signed_content(octets), None);
        assert!(!is_encrypted(octets));
    }
    // The identifier alone, in a text, makes nothing encrypted.
    assert!(!is_encrypted(
        &[b"Subject: ".as_slice(), ENVELOPED].concat()
    ));
    assert_eq!(signed_content(&b"\x30\x80".repeat(1_000_000)), None);
}
