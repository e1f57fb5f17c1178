//! Whatever a next hop sends, the reply reader neither panics nor keeps more than its limits, any chunking reads the
//! same, and a reply that was read is safe to say to our own client.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pixelgate::smtp::reply::Reply;
use pixelgate::smtp::reply_reader::{ReplyError, ReplyLimits, ReplyReader};

fuzz_target!(|octets: &[u8]| {
    let whole = read(octets, octets.len().max(1));
    assert_eq!(whole, read(octets, 1));
    for reply in whole.0 {
        assert!((200..600).contains(&reply.code()));
        let wire = reply.to_wire();
        for line in wire.split_terminator("\r\n") {
            assert!(!line.chars().any(char::is_control));
        }
        assert_eq!(read(wire.as_bytes(), 7), (vec![reply], None));
    }
});

fn read(octets: &[u8], chunk: usize) -> (Vec<Reply>, Option<ReplyError>) {
    let mut reader = ReplyReader::new(ReplyLimits::default());
    let mut replies = Vec::new();
    for piece in octets.chunks(chunk) {
        let mut rest = piece;
        while !rest.is_empty() {
            match reader.push(rest) {
                Ok((used, reply)) => {
                    assert!(used > 0);
                    replies.extend(reply);
                    rest = &rest[used..];
                }
                Err(error) => return (replies, Some(error)),
            }
        }
    }
    (replies, None)
}
