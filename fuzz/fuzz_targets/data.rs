//! Any octets in any chunks: the end of data is where CRLF, dot, CRLF first stands, and no chunking changes the outcome.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pixelgate::smtp::data::{DataLimits, DataReader, Violation};

const LIMITS: DataLimits = DataLimits {
    message_octets: 400,
    line_octets: 100,
    header_octets: 200,
};

type Outcome = Option<(usize, Result<Vec<u8>, Violation>)>;

fn read(input: &[u8], chunk: usize) -> Outcome {
    let mut reader = DataReader::new(LIMITS);
    let (mut at, mut message) = (0, Vec::new());
    for piece in input.chunks(chunk) {
        let (consumed, outcome) = reader.push(piece, &mut message);
        at += consumed;
        if let Some(outcome) = outcome {
            return Some((at, outcome.map(|()| message)));
        }
    }
    None
}

fn end(input: &[u8]) -> Option<usize> {
    if input.starts_with(b".\r\n") {
        return Some(3);
    }
    let found = input.windows(5).position(|window| window == b"\r\n.\r\n");
    found.map(|start| start + 5)
}

fuzz_target!(|input: &[u8]| {
    let Some((chunk, input)) = input.split_first() else {
        return;
    };
    let whole = read(input, input.len().max(1));
    assert_eq!(read(input, usize::from(*chunk).max(1)), whole);
    assert_eq!(whole.as_ref().map(|(consumed, _)| *consumed), end(input));
    if let Some((_, Ok(message))) = whole {
        assert!(message.is_empty() || message.ends_with(b"\r\n"));
        assert!(message.len() <= LIMITS.message_octets);
        assert!(!message.contains(&0));
        let bare = message.iter().enumerate().any(|(at, octet)| match octet {
            b'\r' => message.get(at + 1) != Some(&b'\n'),
            b'\n' => at == 0 || message.get(at - 1) != Some(&b'\r'),
            _ => false,
        });
        assert!(!bare);
    }
});
