use proptest::prelude::*;

use super::*;
use crate::smtp::data::{DataLimits, DataReader};

fn wire(pieces: &[&[u8]]) -> Vec<u8> {
    stuff(pieces.iter().copied()).flatten().copied().collect()
}

/// The rule of RFC 5321 4.5.2, an octet at a time: the independent reading.
fn slow(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut line_start = true;
    for &octet in message {
        if line_start && octet == b'.' {
            out.push(b'.');
        }
        out.push(octet);
        line_start = octet == b'\n';
    }
    if !(message.is_empty() || message.ends_with(b"\r\n")) {
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b".\r\n");
    out
}

#[test]
fn dots_at_line_starts_are_doubled() {
    assert_eq!(
        wire(&[b".a\r\nb.\r\n..c\r\n.\r\n"]),
        b"..a\r\nb.\r\n...c\r\n..\r\n.\r\n"
    );
}

#[test]
fn an_empty_message_is_one_dot() {
    assert_eq!(wire(&[]), b".\r\n");
    assert_eq!(wire(&[b"", b""]), b".\r\n");
}

#[test]
fn a_message_without_crlf_gets_one() {
    assert_eq!(wire(&[b"a"]), b"a\r\n.\r\n");
    assert_eq!(wire(&[b"a\r"]), b"a\r\r\n.\r\n");
    assert_eq!(wire(&[b"a\n"]), b"a\n\r\n.\r\n");
    assert_eq!(wire(&[b"."]), b"..\r\n.\r\n");
}

#[test]
fn line_starts_are_seen_across_pieces() {
    assert_eq!(wire(&[b"a\r\n", b".b\r\n"]), b"a\r\n..b\r\n.\r\n");
    assert_eq!(
        wire(&[b"a\r", b"\n", b"", b".", b"\r\n"]),
        b"a\r\n..\r\n.\r\n"
    );
    assert_eq!(wire(&[b"a", b".\r\n"]), b"a.\r\n.\r\n");
}

#[test]
fn runs_without_dots_are_not_cut_or_copied() {
    let message = b"line one\r\nline two\r\n".repeat(50);
    let slices: Vec<&[u8]> = stuff([message.as_slice()]).collect();
    assert_eq!(slices.len(), 2);
    assert!(std::ptr::eq(slices[0].as_ptr(), message.as_ptr()));
}

proptest! {
    #[test]
    fn agrees_with_the_slow_reading_however_it_is_cut(
        message in prop::collection::vec(prop::sample::select(b"..\r\n\r\nab".to_vec()), 0..80),
        cuts in prop::collection::vec(0usize..80, 0..6),
    ) {
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(message.len())).collect();
        cuts.sort_unstable();
        cuts.push(message.len());
        let mut pieces = Vec::new();
        let mut start = 0;
        for cut in cuts {
            pieces.push(&message[start..cut]);
            start = cut;
        }
        prop_assert_eq!(wire(&pieces), slow(&message));
    }

    /// Whatever the message holds, `CRLF . CRLF` stands once in its wire form: at the end.
    #[test]
    fn only_the_end_looks_like_the_end(
        message in prop::collection::vec(prop::sample::select(b"..\r\n\r\na".to_vec()), 0..80),
    ) {
        let mut octets = b"\r\n".to_vec();
        octets.extend(wire(&[message.as_slice()]));
        let ends: Vec<usize> = memchr::memmem::find_iter(&octets, b"\r\n.\r\n").collect();
        prop_assert_eq!(ends, [octets.len() - 5]);
    }

    /// The reader of the listening side is the inverse, wherever the message is cut and the network cuts.
    #[test]
    fn what_is_stuffed_is_read_back(
        lines in prop::collection::vec("[.]{0,3}[ a.]{0,6}", 0..12),
        cut in 0usize..200,
        chunk in 1usize..9,
    ) {
        let message: Vec<u8> = lines.iter().flat_map(|line| format!("{line}\r\n").into_bytes()).collect();
        let (before, behind) = message.split_at(cut.min(message.len()));
        let mut reader = DataReader::new(DataLimits {
            message_octets: 1000,
            line_octets: 1000,
            header_octets: 1000,
        });
        let octets = wire(&[before, behind]);
        let (mut read, mut back) = (0, Vec::new());
        let mut end = None;
        for piece in octets.chunks(chunk) {
            let (used, done) = reader.push(piece, &mut back);
            read += used;
            end = end.or(done);
        }
        prop_assert_eq!(read, octets.len());
        prop_assert_eq!(end, Some(Ok(())));
        prop_assert_eq!(back, message);
    }
}
