//! The PROXY header, versions 1 and 2 (HAProxy's proxy-protocol.txt): who the client of the proxy in front of us is.
//!
//! Read before anything else of a connection, octet for octet and no octet further, from peers on the list only. It must never
//! guess: what is not exactly a header ends the connection without a word, for whoever sent it is not our proxy.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// What version 2 begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Octets of a header of version 1, CRLF included.
const LINE_OCTETS: usize = 107;
/// Octets behind the first 16 of a header of version 2: addresses and additional values.
const REST_OCTETS: usize = 2048;

/// Why a header was not read. The peer is to blame, or the network.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The connection ended or failed.
    #[error("no PROXY header: {0}")]
    Io(#[from] io::Error),
    /// Something else came.
    #[error("not a PROXY header: {0}")]
    NotOne(&'static str),
}

/// Reads a header. `None`: the proxy speaks for itself, or does not say for whom.
///
/// # Errors
/// The connection is to be closed.
pub async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Option<SocketAddr>, ProxyError> {
    // No header is shorter than 12 octets, so nothing behind it is read here.
    let mut start = [0; 12];
    stream.read_exact(&mut start).await?;
    if start == SIGNATURE {
        return version_2(stream).await;
    }
    if !start.starts_with(b"PROXY ") {
        return Err(ProxyError::NotOne("it begins otherwise"));
    }
    let mut line = start.to_vec();
    while !line.ends_with(b"\r\n") {
        if line.len() == LINE_OCTETS {
            return Err(ProxyError::NotOne("longer than 107 octets"));
        }
        line.push(stream.read_u8().await?);
    }
    line.truncate(line.len() - 2);
    let line = std::str::from_utf8(&line).map_err(|_| ProxyError::NotOne("not ASCII"))?;
    version_1(line)
}

/// `PROXY TCP4 client server port port`, without its CRLF.
fn version_1(line: &str) -> Result<Option<SocketAddr>, ProxyError> {
    let words: Vec<&str> = line.split(' ').collect();
    let (family, client, server, ports) = match words.as_slice() {
        ["PROXY", "UNKNOWN", ..] => return Ok(None),
        ["PROXY", family, client, server, from, to] => (*family, *client, *server, [*from, *to]),
        _ => return Err(ProxyError::NotOne("not six words")),
    };
    let address = |text: &str| -> Option<IpAddr> {
        match family {
            "TCP4" => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
            "TCP6" => text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            _ => None,
        }
    };
    let port = |text: &str| {
        let plain = text.bytes().all(|octet| octet.is_ascii_digit());
        let unpadded = text == "0" || !text.starts_with('0');
        text.parse::<u16>().ok().filter(|_| plain && unpadded)
    };
    match (address(client), address(server), ports.map(port)) {
        (Some(client), Some(_), [Some(from), Some(_)]) => Ok(Some((client, from).into())),
        _ => Err(ProxyError::NotOne("an address or a port is wrong")),
    }
}

/// Everything behind the signature.
async fn version_2<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Option<SocketAddr>, ProxyError> {
    let command = stream.read_u8().await?;
    let family = stream.read_u8().await?;
    let octets = usize::from(stream.read_u16().await?);
    if octets > REST_OCTETS {
        return Err(ProxyError::NotOne("longer than 2064 octets"));
    }
    let mut rest = vec![0; octets];
    stream.read_exact(&mut rest).await?;
    let local = match command {
        0x20 => true,
        0x21 => false,
        _ => return Err(ProxyError::NotOne("neither LOCAL nor PROXY of version 2")),
    };
    let client =
        match family {
            0x11 => client_of::<4>(&rest, 8)?
                .map(|(octets, port)| (Ipv4Addr::from(octets), port).into()),
            0x21 => client_of::<16>(&rest, 32)?
                .map(|(octets, port)| (Ipv6Addr::from(octets), port).into()),
            // UNSPEC and Unix sockets: nothing that could be believed.
            0x00 | 0x31 => None,
            _ => return Err(ProxyError::NotOne("a family that SMTP does not use")),
        };
    Ok(client.filter(|_| !local))
}

/// The client's address and port from behind two addresses of `N` octets each.
fn client_of<const N: usize>(
    rest: &[u8],
    ports_at: usize,
) -> Result<Option<([u8; N], u16)>, ProxyError> {
    let short = || ProxyError::NotOne("too short for its addresses");
    let octets = rest.get(..N).and_then(|octets| octets.try_into().ok());
    let port = rest
        .get(ports_at..ports_at + 4)
        .and_then(|ports| ports.get(..2))
        .and_then(|port| port.try_into().ok());
    match (octets, port) {
        (Some(octets), Some(port)) => Ok(Some((octets, u16::from_be_bytes(port)))),
        _ => Err(short()),
    }
}

#[cfg(test)]
#[path = "proxy_tests.rs"]
mod tests;
