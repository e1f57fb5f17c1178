//! Any octets behind DATA, in any pieces: the end is where CRLF, dot, CRLF first stands and nowhere else, no octet behind it is
//! consumed, no splitting changes the outcome, and what was read is the message without its stuffing.

use pixelgate::smtp::data::{BareNewlines, DataLimits, DataReader, Violation};

const LIMITS: DataLimits = DataLimits {
    message_octets: 400,
    line_octets: 100,
    header_octets: 200,
};

type Outcome = Option<(usize, Result<Vec<u8>, Violation>)>;

/// Reads pieces of these sizes, in turn.
fn read(input: &[u8], sizes: &[u8], newlines: BareNewlines) -> Outcome {
    let mut reader = DataReader::new(LIMITS).with_newlines(newlines);
    let (mut at, mut message) = (0, Vec::new());
    let mut sizes = sizes.iter().cycle();
    while at < input.len() {
        let size = sizes
            .next()
            .map_or(input.len(), |size| usize::from(*size).max(1));
        let piece = &input[at..input.len().min(at + size)];
        let (consumed, outcome) = reader.push(piece, &mut message);
        assert!(consumed <= piece.len());
        at += consumed;
        if let Some(outcome) = outcome {
            return Some((at, outcome.map(|()| message)));
        }
        assert_eq!(consumed, piece.len(), "octets before the end are left");
    }
    None
}

/// RFC 5321 4.1.1.4, as short as it can be said.
fn end(input: &[u8]) -> Option<usize> {
    if input.starts_with(b".\r\n") {
        return Some(3);
    }
    let found = input.windows(5).position(|window| window == b"\r\n.\r\n");
    found.map(|start| start + 5)
}

fn bare(octets: &[u8]) -> bool {
    octets.iter().enumerate().any(|(at, octet)| match octet {
        b'\r' => octets.get(at + 1) != Some(&b'\n'),
        b'\n' => at == 0 || octets.get(at - 1) != Some(&b'\r'),
        _ => false,
    })
}

/// RFC 5321 4.5.2, from the other end.
fn unstuffed(wire: &[u8]) -> Vec<u8> {
    let lines = wire.split_inclusive(|octet| *octet == b'\n');
    let lines = lines.flat_map(|line| line.strip_prefix(b".").unwrap_or(line));
    lines.copied().collect()
}

/// Holds for every input: how many sizes, the sizes, the octets.
pub(crate) fn hold(input: &[u8]) {
    let Some((count, rest)) = input.split_first() else {
        return;
    };
    let (sizes, input) = rest.split_at(rest.len().min(usize::from(*count % 8)));
    for newlines in [BareNewlines::Refuse, BareNewlines::Normalize] {
        let whole = read(input, &[], newlines);
        assert_eq!(read(input, sizes, newlines), whole);
        assert_eq!(read(input, &[1], newlines), whole);
        // An end that a longer input would show elsewhere is none.
        let endless = matches!(whole, Some((_, Err(Violation::Endless(_)))));
        assert!(endless || whole.as_ref().map(|(consumed, _)| *consumed) == end(input));
        let Some((consumed, Ok(message))) = whole else {
            continue;
        };
        assert!(message.is_empty() || message.ends_with(b"\r\n"));
        assert!(message.len() <= LIMITS.message_octets);
        assert!(!message.contains(&0) && !bare(&message));
        if newlines == BareNewlines::Refuse {
            let wire = &input[..consumed - 3];
            assert!(!bare(wire), "a bare line end was taken");
            assert_eq!(message, unstuffed(wire));
        }
    }
}
