use super::*;
use proptest::prelude::*;

/// What is read, and what is left for the session.
fn said(octets: &[u8]) -> (Result<Option<String>, ()>, Vec<u8>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut stream = octets;
        let read = read(&mut stream).await;
        let read = read.map(|client| client.map(|client| client.to_string()));
        (read.map_err(drop), stream.to_vec())
    })
}

fn version_2_of(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [&SIGNATURE[..], &[command, family], &length, rest].concat()
}

#[test]
fn both_versions_name_the_client_and_leave_the_rest() {
    let four = [&[192, 0, 2, 7][..], &[127, 0, 0, 1], &[0x1f, 0x90, 0, 25]].concat();
    let with_more = [&four[..], b"\x04\x00\x01x"].concat();
    let mut six = vec![0; 36];
    six[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
    six[15] = 1;
    six[33] = 25;
    for (header, client) in [
        (
            b"PROXY TCP4 192.0.2.7 127.0.0.1 8080 25\r\n".to_vec(),
            Some("192.0.2.7:8080"),
        ),
        (
            b"PROXY TCP6 2001:db8::1 ::1 25 25\r\n".to_vec(),
            Some("[2001:db8::1]:25"),
        ),
        (b"PROXY UNKNOWN\r\n".to_vec(), None),
        (b"PROXY UNKNOWN what ever\r\n".to_vec(), None),
        (version_2_of(0x21, 0x11, &four), Some("192.0.2.7:8080")),
        (version_2_of(0x21, 0x11, &with_more), Some("192.0.2.7:8080")),
        (version_2_of(0x21, 0x21, &six), Some("[2001:db8::1]:25")),
        (version_2_of(0x20, 0x11, &four), None),
        (version_2_of(0x20, 0x00, b""), None),
        (version_2_of(0x21, 0x31, &[0; 216]), None),
    ] {
        let octets = [&header[..], b"EHLO x\r\n"].concat();
        let (read, rest) = said(&octets);
        assert_eq!(read, Ok(client.map(str::to_owned)), "{header:?}");
        assert_eq!(rest, b"EHLO x\r\n", "{header:?}");
        for cut in 0..header.len() {
            assert_eq!(said(&header[..cut]).0, Err(()), "{header:?} cut at {cut}");
        }
    }
}

#[test]
fn nothing_else_is_a_header() {
    let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(100));
    for octets in [
        &b"EHLO client.example\r\n"[..],
        b"PROXY TCP4 192.0.2.7 127.0.0.1 8080\r\n",
        b"PROXY TCP4 192.0.2.7 127.0.0.1 8080 25 1\r\n",
        b"PROXY TCP4 2001:db8::1 ::1 25 25\r\n",
        b"PROXY TCP4 192.0.2.7 127.0.0.1 70000 25\r\n",
        b"PROXY TCP4 192.0.2.7 127.0.0.1 +25 25\r\n",
        b"PROXY TCP4 192.0.2.7 127.0.0.1 025 25\r\n",
        b"PROXY TCP4 192.0.2.7 127.0.0.1 25 25\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n",
        b"PROXY UDP4 192.0.2.7 127.0.0.1 25 25\r\n",
        b"proxy TCP4 192.0.2.7 127.0.0.1 25 25\r\n",
        long.as_bytes(),
    ] {
        assert_eq!(said(octets).0, Err(()), "{octets:?}");
    }
    for (command, family, rest) in [
        (0x22, 0x11, vec![0; 12]),
        (0x11, 0x11, vec![0; 12]),
        (0x21, 0x11, vec![0; 11]),
        (0x21, 0x21, vec![0; 35]),
        (0x21, 0x12, vec![0; 12]),
        (0x21, 0x11, vec![0; REST_OCTETS + 1]),
    ] {
        let octets = version_2_of(command, family, &rest);
        assert_eq!(said(&octets).0, Err(()), "{command:x} {family:x}");
    }
}

proptest! {
    #[test]
    fn no_octets_make_it_fall_over(start in 0usize..3, octets in proptest::collection::vec(any::<u8>(), 0..200)) {
        let begin: &[u8] = [&b""[..], b"PROXY ", &SIGNATURE][start];
        let _ = said(&[begin, &octets].concat());
    }
}
