use super::*;
use proptest::prelude::*;
use tokio::io::{DuplexStream, duplex};

fn pair(line_octets: usize) -> (DuplexStream, Wire<DuplexStream>) {
    let (client, server) = duplex(1 << 20);
    (
        client,
        Wire::new(server, line_octets, Duration::from_millis(200)),
    )
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// Everything a wire makes of octets that arrive in these pieces, until the first line that loses the way.
async fn lines(line_octets: usize, pieces: &[&[u8]]) -> Vec<Line> {
    let (mut client, mut wire) = pair(line_octets);
    let mut lines = Vec::new();
    for piece in pieces {
        if piece.is_empty() {
            continue;
        }
        client.write_all(piece).await.unwrap();
        wire.fill().await.unwrap();
        while let Some(line) = wire.line() {
            let lost = matches!(line, Line::Lost(_));
            lines.push(line);
            if lost {
                return lines;
            }
        }
    }
    lines
}

fn whole(text: &str) -> Line {
    Line::Whole(text.as_bytes().to_vec())
}

#[tokio::test]
async fn pipelined_lines_come_one_by_one() {
    let expected = [whole("NOOP"), whole(""), whole("RSET")];
    assert_eq!(lines(64, &[b"NOOP\r\n\r\nRSET\r\nQU"]).await, expected);
    assert_eq!(
        lines(64, &[b"NOOP\r", b"\n\r", b"\nRSE", b"T\r\nQU"]).await,
        expected
    );
}

#[tokio::test]
async fn bare_line_ends_lose_the_way() {
    let lost = || Line::Lost(Lost::BareLineEnd);
    assert_eq!(lines(64, &[b"NOOP\n"]).await, [lost()]);
    assert_eq!(lines(64, &[b"NO\rOP\r\n"]).await, [lost()]);
    assert_eq!(lines(64, &[b"NOOP\r\r\n"]).await, [lost()]);
    assert_eq!(lines(64, &[b"NOOP\r\n\n"]).await, [whole("NOOP"), lost()]);
    let long = [b"x".repeat(100), b"\ry".to_vec()].concat();
    assert_eq!(lines(64, &[&long]).await, [lost()]);
}

#[tokio::test]
async fn a_line_at_the_limit_passes_and_one_octet_more_is_consumed_and_told() {
    let at = format!("{}\r\n", "x".repeat(62));
    assert_eq!(lines(64, &[at.as_bytes()]).await, [whole(at.trim_end())]);
    let over = format!("x{at}NOOP\r\n");
    for cut in 0..over.len() {
        let (one, two) = over.as_bytes().split_at(cut);
        assert_eq!(
            lines(64, &[one, two]).await,
            [Line::TooLong(b"xxxx".to_vec()), whole("NOOP")],
            "cut at {cut}"
        );
    }
}

#[tokio::test]
async fn an_endless_line_is_given_up() {
    let piece = [b'x'; 512];
    let found = lines(64, &[&piece[..]; 3]).await;
    assert_eq!(found, [Line::Lost(Lost::Endless)]);
}

#[tokio::test]
async fn replies_are_gathered_into_one_write() {
    let (mut client, mut wire) = pair(64);
    for text in ["one", "two"] {
        wire.say(&Reply::new(250, [text]));
    }
    let mut seen = [0; 64];
    let nothing = timeout(Duration::from_millis(20), client.read(&mut seen)).await;
    assert!(nothing.is_err(), "written before the flush");
    wire.flush().await.unwrap();
    let octets = client.read(&mut seen).await.unwrap();
    assert_eq!(&seen[..octets], b"250 one\r\n250 two\r\n");
}

#[tokio::test]
async fn a_client_that_never_reads_is_dropped_in_time() {
    let (_client, server) = duplex(16);
    let mut wire = Wire::new(server, 64, Duration::from_millis(50));
    wire.say(&Reply::new(250, ["more than sixteen octets of reply"]));
    assert!(matches!(wire.flush().await, Err(WireError::NotRead(_))));
}

#[tokio::test]
async fn what_was_pipelined_behind_a_message_stays() {
    let (mut client, mut wire) = pair(64);
    client.write_all(b"a\r\n.\r\nQUIT\r\n").await.unwrap();
    wire.fill_data().await.unwrap();
    assert_eq!(wire.input(), b"a\r\n.\r\nQUIT\r\n");
    wire.consume(6);
    wire.message_read();
    assert_eq!(wire.line(), Some(whole("QUIT")));
    drop(client);
    assert!(matches!(wire.fill().await, Err(WireError::Closed)));
}

#[tokio::test]
async fn the_last_reply_is_read_although_input_was_left() {
    let (mut client, mut wire) = pair(64);
    client.write_all(b"left\r\nunread\r\n").await.unwrap();
    wire.say(&Reply::new(421, ["bye"]));
    let closing = tokio::spawn(wire.close());
    let mut seen = Vec::new();
    client.read_to_end(&mut seen).await.unwrap();
    assert_eq!(seen, b"421 bye\r\n");
    drop(client);
    closing.await.unwrap().unwrap();
}

fn octets() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        3 => Just(b"\r\n".to_vec()),
        1 => Just(b"\r".to_vec()),
        1 => Just(b"\n".to_vec()),
        5 => proptest::collection::vec(any::<u8>(), 0..30),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// The lines of octets by looking at all of them at once.
fn model(limit: usize, octets: &[u8]) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut rest = octets;
    while let Some(end) = rest.iter().position(|octet| *octet == b'\n') {
        let line = &rest[..end];
        rest = &rest[end + 1..];
        let content = line.strip_suffix(b"\r");
        lines.push(match content {
            None => Line::Lost(Lost::BareLineEnd),
            Some(content) if content.contains(&b'\r') => Line::Lost(Lost::BareLineEnd),
            Some(content) if content.len() + 2 > limit => Line::TooLong(content[..4].to_vec()),
            Some(content) => Line::Whole(content.to_vec()),
        });
        if matches!(lines.last(), Some(Line::Lost(_))) {
            break;
        }
    }
    lines
}

proptest! {
    #[test]
    fn lines_do_not_depend_on_chunks(octets in octets(), cuts in proptest::collection::vec(any::<usize>(), 0..6)) {
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (octets.len() + 1)).collect();
        ends.push(octets.len());
        ends.sort_unstable();
        let mut pieces = Vec::new();
        let mut start = 0;
        for end in ends {
            pieces.push(&octets[start..end]);
            start = end;
        }
        let expected = model(40, &octets);
        let mut found = runtime().block_on(lines(40, &pieces));
        // A bare CR in a line that is too long may be told before the line has ended.
        if found.last() == Some(&Line::Lost(Lost::BareLineEnd)) && expected.len() < found.len() {
            found.pop();
            prop_assert!(octets.contains(&b'\r'));
        }
        prop_assert_eq!(found, expected);
    }
}

/// Octets that somebody, somewhere, takes for a line end: content, or the end of the session, wherever they are cut.
#[tokio::test]
async fn nothing_but_crlf_ends_a_line_at_any_split() {
    for odd in [
        &b"\0"[..],
        b"\x0b",
        b"\x0c",
        b"\x85",
        b"\xc2\x85",
        b"\x8d\x8a",
        b"\xe2\x80\xa8",
    ] {
        let content = [b"NO", odd, b"OP"].concat();
        let octets = [&content[..], b"\r\nQUIT\r\n"].concat();
        for cut in 0..=octets.len() {
            let (one, two) = octets.split_at(cut);
            let found = lines(64, &[one, two]).await;
            let expected = [Line::Whole(content.clone()), whole("QUIT")];
            assert_eq!(found, expected, "{odd:?} cut at {cut}");
        }
    }
    for end in [
        &b"\n"[..],
        b"\r\r\n",
        b"\n\r",
        b"\0\n",
        b"\rX\r\n",
        b"\r\0\n",
    ] {
        let octets = [b"NOOP", end, b"QUIT\r\n"].concat();
        for cut in 0..=octets.len() {
            let (one, two) = octets.split_at(cut);
            let found = lines(64, &[one, two]).await;
            assert_eq!(
                found,
                [Line::Lost(Lost::BareLineEnd)],
                "{end:?} cut at {cut}"
            );
        }
    }
}
