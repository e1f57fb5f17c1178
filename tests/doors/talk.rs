//! A client that sees octets over whatever kind of connection: TCP, a Unix socket, TLS.
#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::authority::under_tls;
use crate::support::PATIENCE;

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

pub(crate) struct Talk {
    stream: Stream,
    unread: Vec<u8>,
}

impl Talk {
    pub(crate) fn tcp(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).expect("a connection");
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self::over(Stream::Tcp(stream))
    }

    pub(crate) fn unix(path: &Path) -> Self {
        let stream = UnixStream::connect(path).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self::over(Stream::Unix(stream))
    }

    /// TLS from the first octet.
    pub(crate) fn tls(address: SocketAddr, config: &Arc<ClientConfig>) -> Self {
        Self::tcp(address).secured(config)
    }

    /// Greeted, and EHLO said.
    pub(crate) fn greeted(address: SocketAddr) -> Self {
        let mut talk = Self::tcp(address);
        talk.expect("220");
        talk.says("EHLO client.example", "250");
        talk
    }

    /// Greeted, STARTTLS, and EHLO said again.
    pub(crate) fn starttls(address: SocketAddr, config: &Arc<ClientConfig>) -> Self {
        let mut talk = Self::greeted(address);
        talk.says("STARTTLS", "220");
        let mut talk = talk.secured(config);
        talk.says("EHLO client.example", "250");
        talk
    }

    fn over(stream: Stream) -> Self {
        Self {
            stream,
            unread: Vec::new(),
        }
    }

    /// The same connection from here on under TLS; the handshake happens with the next octets.
    pub(crate) fn secured(self, config: &Arc<ClientConfig>) -> Self {
        assert!(self.unread.is_empty(), "{:?}", self.unread);
        match self.stream {
            Stream::Tcp(stream) => Self::over(Stream::Tls(Box::new(under_tls(stream, config)))),
            Stream::Unix(_) | Stream::Tls(_) => panic!("TLS over TCP only"),
        }
    }

    /// The connection below, so that something can be said past TLS.
    pub(crate) fn below(&mut self) -> &mut TcpStream {
        match &mut self.stream {
            Stream::Tcp(stream) => stream,
            Stream::Tls(stream) => &mut stream.sock,
            Stream::Unix(_) => panic!("TCP only"),
        }
    }

    /// The certificate that the relay showed.
    pub(crate) fn certificate(&self) -> CertificateDer<'static> {
        match &self.stream {
            Stream::Tls(stream) => stream.conn.peer_certificates().unwrap()[0]
                .clone()
                .into_owned(),
            Stream::Tcp(_) | Stream::Unix(_) => panic!("TLS only"),
        }
    }

    /// In one write. The other side may have closed: what it said is read afterwards.
    pub(crate) fn send(&mut self, octets: &[u8]) {
        let stream: &mut dyn Write = match &mut self.stream {
            Stream::Tcp(stream) => stream,
            Stream::Unix(stream) => stream,
            Stream::Tls(stream) => stream,
        };
        let _ = stream.write_all(octets).and_then(|()| stream.flush());
    }

    /// The next line without its CRLF; `None` at the end of the connection, however it ended.
    pub(crate) fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.unread.iter().position(|octet| *octet == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                let line = String::from_utf8(line).expect("replies are UTF-8");
                return Some(line.strip_suffix("\r\n").expect("CRLF").to_owned());
            }
            let mut octets = [0; 4096];
            let stream: &mut dyn Read = match &mut self.stream {
                Stream::Tcp(stream) => stream,
                Stream::Unix(stream) => stream,
                Stream::Tls(stream) => stream,
            };
            match stream.read(&mut octets) {
                Ok(0) => return None,
                Ok(count) => self.unread.extend_from_slice(&octets[..count]),
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    panic!("no line in time")
                }
                Err(_) => return None,
            }
        }
    }

    /// Whether the connection ends without another word.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.line().is_none()
    }

    /// Whether nothing at all arrives for this long.
    pub(crate) fn is_silent(&mut self, time: Duration) -> bool {
        let mut octet = [0];
        self.below().set_read_timeout(Some(time)).unwrap();
        let peeked = self.below().peek(&mut octet);
        self.below().set_read_timeout(Some(PATIENCE)).unwrap();
        matches!(peeked, Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
    }

    /// Every line of the next reply.
    pub(crate) fn reply(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self
                .line()
                .unwrap_or_else(|| panic!("a reply, not the end; {lines:?}"));
            let last = line.as_bytes().get(3) != Some(&b'-');
            lines.push(line);
            if last {
                return lines;
            }
        }
    }

    #[track_caller]
    pub(crate) fn expect(&mut self, prefix: &str) -> Vec<String> {
        let reply = self.reply();
        assert!(
            reply.iter().all(|line| line.starts_with(prefix)),
            "wanted {prefix}: {reply:?}"
        );
        reply
    }

    /// Sends a line and takes its reply.
    #[track_caller]
    pub(crate) fn says(&mut self, line: &str, prefix: &str) -> Vec<String> {
        self.send(format!("{line}\r\n").as_bytes());
        self.expect(prefix)
    }

    /// What EHLO announces.
    #[track_caller]
    pub(crate) fn extensions(&mut self) -> Vec<String> {
        let lines = self.says("EHLO client.example", "250");
        lines[1..].iter().map(|line| line[4..].to_owned()).collect()
    }

    /// One whole transaction; answers with the reply to its end of data.
    #[track_caller]
    pub(crate) fn mail(&mut self, to: &str, text: &str) -> Vec<String> {
        self.says("MAIL FROM:<letter@news.example>", "250");
        self.says(&format!("RCPT TO:<{to}>"), "250");
        self.says("DATA", "354");
        self.send(format!("Subject: test\r\n\r\n{text}\r\n.\r\n").as_bytes());
        self.reply()
    }
}

/// Octets that are UTF-8.
pub(crate) fn text_of(octets: &[u8]) -> String {
    String::from_utf8(octets.to_vec()).expect("UTF-8")
}

/// One-line messages in an outbox, by their text.
pub(crate) fn texts(outbox: &[Vec<u8>]) -> Vec<String> {
    let text = |message: &Vec<u8>| {
        let message = text_of(message);
        let (_, body) = message.split_once("\r\n\r\n").expect("a body");
        body.trim_end().to_owned()
    };
    let mut texts: Vec<String> = outbox.iter().map(text).collect();
    texts.sort();
    texts
}
