//! Whatever comes first on a connection behind a proxy: a header is read to its own end and no octet further, at any split; what
//! was cut short is no header; who is named is named by the header alone.

use std::future::Future as _;
use std::net::SocketAddr;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use pixelgate::server::proxy::read;
use tokio::io::AsyncReadExt as _;

/// What is read of these octets, given in two pieces, and how many are left.
fn said(octets: &[u8], cut: usize) -> (Result<Option<SocketAddr>, ()>, usize) {
    let (one, two) = octets.split_at(cut.min(octets.len()));
    let mut stream = one.chain(two);
    let read = {
        let mut reading = pin!(read(&mut stream));
        match reading
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Ready(read) => read.map_err(drop),
            Poll::Pending => panic!("all octets are there, and it waits"),
        }
    };
    let (one, two) = stream.into_inner();
    (read, one.len() + two.len())
}

/// Holds for every input: where it is cut, the octets.
pub(crate) fn hold(input: &[u8]) {
    let Some((cut, octets)) = input.split_first() else {
        return;
    };
    let (read, left) = said(octets, octets.len());
    for cut in [usize::from(*cut), 1, 12, 16] {
        assert_eq!(said(octets, cut), (read, left));
    }
    let Ok(client) = read else {
        return;
    };
    let header = &octets[..octets.len() - left];
    assert!(header.len() <= 16 + 2048);
    assert_eq!(
        said(header, 0),
        (Ok(client), 0),
        "what stands behind a header changes nothing"
    );
    for end in 0..header.len() {
        assert_eq!(said(&header[..end], 0).0, Err(()), "cut at {end}");
    }
    let longer = [header, b"EHLO x\r\n"].concat();
    assert_eq!(said(&longer, 0), (Ok(client), 8));
    if header.starts_with(b"PROXY ") {
        assert!(header.ends_with(b"\r\n") && header.len() <= 107);
        if let Some(client) = client {
            let family = if client.is_ipv4() { "TCP4" } else { "TCP6" };
            let ip = client.ip();
            let plain = format!("PROXY {family} {ip} {ip} {} 25\r\n", client.port());
            assert_eq!(said(plain.as_bytes(), 0), (Ok(Some(client)), 0));
        }
    }
}
