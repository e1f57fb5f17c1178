//! Whatever a next hop sends, in any pieces: the same replies are read, no octet twice and none skipped, within the limits; and a
//! reply that was read is safe to say to our own client, who reads the same.

use pixelgate::smtp::reply::Reply;
use pixelgate::smtp::reply_reader::{ReplyError, ReplyLimits, ReplyReader};

const LIMITS: ReplyLimits = ReplyLimits {
    line_octets: 80,
    lines: 5,
};

/// What is read with these limits in pieces of this size: replies, an error, and octets used before it.
fn read(
    octets: &[u8],
    size: usize,
    limits: ReplyLimits,
) -> (Vec<Reply>, Option<ReplyError>, usize) {
    let mut reader = ReplyReader::new(limits);
    let (mut replies, mut used) = (Vec::new(), 0);
    for piece in octets.chunks(size.max(1)) {
        let mut rest = piece;
        while !rest.is_empty() {
            match reader.push(rest) {
                Ok((taken, reply)) => {
                    assert!(taken > 0 && taken <= rest.len());
                    assert!(reply.is_some() || taken == rest.len(), "octets are left");
                    assert_eq!(reader.is_between_replies(), reply.is_some());
                    used += taken;
                    if reply.is_some() {
                        // A reply ends with a line, and so does what was used.
                        assert!(octets[..used].ends_with(b"\r\n"));
                    }
                    replies.extend(reply);
                    rest = &rest[taken..];
                }
                Err(error) => return (replies, Some(error), used),
            }
        }
    }
    (replies, None, octets.len())
}

/// Holds for every input: the size of a piece, the octets.
pub(crate) fn hold(input: &[u8]) {
    let Some((size, octets)) = input.split_first() else {
        return;
    };
    let whole = read(octets, octets.len(), LIMITS);
    for size in [usize::from(*size), 1] {
        let (replies, error, _) = read(octets, size, LIMITS);
        assert_eq!((&replies, error), (&whole.0, whole.1));
    }
    for reply in whole.0 {
        assert!((200..600).contains(&reply.code()));
        assert!(reply.lines().len() <= LIMITS.lines);
        let wire = reply.to_wire();
        for line in wire.split_terminator("\r\n") {
            assert!(!line.chars().any(char::is_control), "{line:?}");
            assert_eq!(
                line.get(..3).and_then(|code| code.parse().ok()),
                Some(reply.code())
            );
        }
        // Escaping makes lines longer than they came.
        let (again, error, _) = read(wire.as_bytes(), 7, ReplyLimits::default());
        assert_eq!((again, error), (vec![reply], None));
    }
}
