//! Any content of BDAT, in any chunks: every octet is content, no chunking changes the outcome, and a message that comes by chunks
//! is the one that would have come by DATA.

use pixelgate::smtp::data::{DataLimits, DataReader, Violation};
use pixelgate::smtp::stuffing::stuff;

const LIMITS: DataLimits = DataLimits {
    message_octets: 400,
    line_octets: 100,
    header_octets: 200,
};

fn by_chunks(content: &[u8], sizes: &[u8]) -> Result<Vec<u8>, Violation> {
    let mut reader = DataReader::chunked(LIMITS);
    let (mut at, mut message) = (0, Vec::new());
    let mut sizes = sizes.iter().cycle();
    while at < content.len() {
        let size = sizes
            .next()
            .map_or(content.len(), |size| usize::from(*size));
        if size == 0 {
            // BDAT 0 is lawful and says nothing.
            assert_eq!(reader.push(&[], &mut message), (0, None));
        }
        let chunk = &content[at..content.len().min(at + size.max(1))];
        let (consumed, outcome) = reader.push(chunk, &mut message);
        assert_eq!(
            (consumed, outcome),
            (chunk.len(), None),
            "an octet of a chunk was not content"
        );
        at += consumed;
    }
    reader.end(&mut message).map(|()| message)
}

fn by_data(wire: &[u8]) -> Result<Vec<u8>, Violation> {
    let mut reader = DataReader::new(LIMITS);
    let mut message = Vec::new();
    let (consumed, outcome) = reader.push(wire, &mut message);
    assert_eq!(consumed, wire.len(), "an end before the end");
    outcome.expect("its end").map(|()| message)
}

/// Holds for every input: how many sizes, the sizes, the content.
pub(crate) fn hold(input: &[u8]) {
    let Some((count, rest)) = input.split_first() else {
        return;
    };
    let (sizes, content) = rest.split_at(rest.len().min(usize::from(*count % 8)));
    let whole = by_chunks(content, &[]);
    assert_eq!(by_chunks(content, sizes), whole);
    assert_eq!(by_chunks(content, &[1]), whole);
    let Ok(message) = whole else {
        return;
    };
    assert!(!message.contains(&0));
    // Its octets, with a line end at its end.
    let rest = message
        .strip_prefix(content)
        .expect("octets of a chunk are kept");
    assert!(rest.is_empty() || rest == b"\r\n");
    let wire: Vec<u8> = stuff([&message[..]]).flatten().copied().collect();
    assert_eq!(by_data(&wire), Ok(message));
}
