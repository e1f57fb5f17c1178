use proptest::prelude::*;

use super::*;

fn read(octets: &[u8]) -> Result<Vec<Reply>, ReplyError> {
    read_in_chunks(octets, octets.len().max(1))
}

fn read_in_chunks(octets: &[u8], chunk: usize) -> Result<Vec<Reply>, ReplyError> {
    let mut reader = ReplyReader::new(ReplyLimits {
        line_octets: 64,
        lines: 5,
    });
    let mut replies = Vec::new();
    for piece in octets.chunks(chunk) {
        let mut rest = piece;
        while !rest.is_empty() {
            let (used, reply) = reader.push(rest)?;
            assert!(used > 0, "no progress on {rest:?}");
            rest = &rest[used..];
            replies.extend(reply);
        }
    }
    Ok(replies)
}

#[test]
fn single_multi_and_code_only() {
    let replies = read(b"220 hi\r\n250-a\r\n250-b\r\n250 c\r\n250\r\n354 \r\n").unwrap();
    assert_eq!(
        replies,
        [
            Reply::new(220, ["hi"]),
            Reply::new(250, ["a", "b", "c"]),
            Reply::new(250, [""]),
            Reply::new(354, [""]),
        ]
    );
}

#[test]
fn a_code_alone_may_end_or_continue_a_reply() {
    assert_eq!(
        read(b"250-\r\n250\r\n").unwrap(),
        [Reply::new(250, ["", ""])]
    );
}

#[test]
fn disagreeing_codes_are_not_a_reply() {
    assert_eq!(
        read(b"250-ok\r\n550 no\r\n"),
        Err(ReplyError::CodesDisagree {
            first: 250,
            then: 550
        })
    );
}

#[test]
fn garbage_is_refused() {
    for garbage in [
        &b"\r\n"[..],
        b"25\r\n",
        b"hello\r\n",
        b"150 preliminary\r\n",
        b"650 high\r\n",
        b"2x0 a\r\n",
        b"250\ttab\r\n",
        b"2500 long\r\n",
        b"\x00\xff\r\n",
    ] {
        assert_eq!(read(garbage), Err(ReplyError::NoCode), "{garbage:?}");
    }
}

#[test]
fn only_crlf_ends_a_line() {
    assert_eq!(read(b"250 ok\n"), Err(ReplyError::BareLf));
    // A lone CR ends nothing and reaches our client as a blank (promise 6).
    assert_eq!(
        read(b"250 a\r250 b\x00\x1bc\r\r\n").unwrap(),
        [Reply::new(250, ["a 250 b  c "])]
    );
}

#[test]
fn octets_that_are_not_utf8_are_escaped() {
    let replies = read(b"550 caf\xe9 caf\xc3\xa9\r\n").unwrap();
    assert_eq!(replies[0].text(), "caf\\xE9 caf\u{e9}");
}

#[test]
fn escaping_cannot_make_an_overlong_line() {
    let mut line = b"550 ".to_vec();
    line.resize(900, 0xff);
    line.extend_from_slice(b"\r\n");
    let mut reader = ReplyReader::new(ReplyLimits::default());
    let (_, reply) = reader.push(&line).unwrap();
    let wire = reply.unwrap().to_wire();
    assert!(wire.lines().all(|line| line.len() <= 998), "{wire}");
    let text: String = wire.lines().filter_map(|line| line.get(4..)).collect();
    assert_eq!(text.matches("\\xFF").count(), 896, "nothing is cut");
}

#[test]
fn endless_input_ends_in_an_error() {
    let long = vec![b'2'; 1000];
    assert_eq!(read(&long), Err(ReplyError::LineTooLong { limit: 64 }));
    assert_eq!(
        read_in_chunks(&long, 1),
        Err(ReplyError::LineTooLong { limit: 64 })
    );
    let many = b"250-more\r\n".repeat(6);
    assert_eq!(read(&many), Err(ReplyError::TooManyLines { limit: 5 }));
}

#[test]
fn the_limits_themselves_are_allowed() {
    let mut line = b"250 ".to_vec();
    line.resize(62, b'x');
    line.extend_from_slice(b"\r\n");
    assert_eq!(read(&line).unwrap().len(), 1);
    let mut five = b"250-more\r\n".repeat(4);
    five.extend_from_slice(b"250 last\r\n");
    assert_eq!(read(&five).unwrap()[0].lines().len(), 5);
}

#[test]
fn between_replies_is_known() {
    let mut reader = ReplyReader::new(ReplyLimits::default());
    assert!(reader.is_between_replies());
    reader.push(b"25").unwrap();
    assert!(!reader.is_between_replies());
    reader.push(b"0-a\r\n").unwrap();
    assert!(!reader.is_between_replies());
    reader.push(b"250 b\r\n").unwrap();
    assert!(reader.is_between_replies());
}

proptest! {
    /// However the network cuts it, the same replies come out.
    #[test]
    fn any_chunking_reads_the_same(
        octets in prop::collection::vec(
            prop::sample::select(b"250- x5\r\n\xff".to_vec()), 0..120),
        chunk in 1usize..20,
    ) {
        prop_assert_eq!(read(&octets), read_in_chunks(&octets, chunk));
    }

    /// A reply that was read and is written again reads back as itself, and holds no control but its own CRLF.
    #[test]
    fn what_is_read_is_safe_to_say(
        text in prop::collection::vec(any::<u8>().prop_filter("not LF", |o| *o != b'\n'), 0..50),
    ) {
        let mut line = b"550 ".to_vec();
        line.extend_from_slice(&text);
        line.extend_from_slice(b"\r\n");
        let mut reader = ReplyReader::new(ReplyLimits::default());
        let (_, reply) = reader.push(&line).unwrap();
        let reply = reply.unwrap();
        let wire = reply.to_wire();
        prop_assert!(!wire.trim_end_matches("\r\n").chars().any(char::is_control));
        let (used, again) = ReplyReader::new(ReplyLimits::default()).push(wire.as_bytes()).unwrap();
        prop_assert_eq!(used, wire.len());
        prop_assert_eq!(again.unwrap(), reply);
    }
}
