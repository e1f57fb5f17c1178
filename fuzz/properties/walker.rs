//! Any octets as a message: the walk ends, its ranges nest, and edits of what it finds touch nothing else.

use bytes::Bytes;
use pixelgate::mime::charset::charset;
use pixelgate::mime::tree::{Limits, Part, Scope};
use pixelgate::mime::{Spliced, decode, same_outside, trace, walk};

const LIMITS: Limits = Limits {
    parts: 50,
    depth: 8,
    header_octets: 4_096,
    boundary_octets: 70,
    readings: 4,
    disorders: 20,
};

/// Cuts the middle third of a part by every encoding, and looks at what comes out.
fn edit(message: &[u8], part: &Part) {
    let raw = &message[part.body.clone()];
    for encoding in &part.encodings {
        let Ok(decoded) = decode(raw, *encoding) else {
            continue;
        };
        let _ = charset(&part.charsets, &decoded.bytes);
        let length = decoded.bytes.len();
        let edits = [(length / 3..length * 2 / 3, b"<p>".to_vec())];
        let Ok(splices) = decoded.splices(raw, part.body.start, &edits) else {
            continue;
        };
        let variant = Spliced::new(Bytes::copy_from_slice(message), splices.clone()).unwrap();
        let variant = variant.to_bytes();
        assert!(same_outside(message, &splices, &variant));
        let body = &variant[part.body.start..variant.len() - (message.len() - part.body.end)];
        let again = decode(body, *encoding).unwrap();
        let mut expected = decoded.bytes.to_vec();
        expected.splice(edits[0].0.clone(), edits[0].1.iter().copied());
        let printed = |octets: &[u8]| {
            let kept = octets.iter().filter(|octet| !octet.is_ascii_whitespace());
            kept.copied().collect::<Vec<u8>>()
        };
        // An identity body may gain a line end (see `Decoded::splices`).
        assert_eq!(printed(&again.bytes), printed(&expected));
    }
}

/// Holds for every input.
pub(crate) fn hold(message: &[u8]) {
    // What the SMTP layer refuses never gets here.
    let mut text = String::new();
    for chunk in message.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend((!chunk.invalid().is_empty()).then_some('\u{fffd}'));
    }
    let text = text.replace(['\r', '\0'], "").replace('\n', "\r\n");
    let message = text.into_bytes();
    let tree = walk(&message, &LIMITS);
    assert!(tree.parts.len() <= LIMITS.parts);
    for (place, part) in tree.parts.iter().enumerate() {
        assert!(part.header.end <= part.body.start && part.body.start <= part.body.end);
        assert!(part.body.end <= message.len());
        assert!(part.parent.is_none_or(|parent| parent < place));
        if let Some(parent) = part.parent.filter(|_| !part.is_disputed()) {
            let around = &tree.parts[parent].body;
            assert!(around.start <= part.body.start && part.body.end <= around.end);
        }
        if part.scope == Scope::Examine {
            edit(&message, part);
        }
    }
    let kept: usize = trace::without_trace(&message).map(<[u8]>::len).sum();
    assert!(kept <= message.len());
    for field in trace::own_fields(&message) {
        assert!(message[field.whole].len() >= "pixelgate-:".len());
    }
}
