//! Sockets that the service manager opened and handed over (sd_listen_fds(3)): `LISTEN_FDS`, by the names in `LISTEN_FDNAMES`.
//!
//! Taken over once, before anything else runs, and kept: a listener that a reload removes and another one brings back gets its
//! socket again. It must never guess: without a name that fits there is no socket.

use std::io;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::sync::Arc;

use listenfd::ListenFd;

use super::socket::Socket;

/// What systemd calls a socket without a name.
const NO_NAME: &str = "unknown";

/// Everything that was handed over.
#[derive(Debug, Clone, Default)]
pub struct Handed(Arc<Vec<(String, Listening)>>);

#[derive(Debug)]
enum Listening {
    Tcp(TcpListener),
    Unix(UnixListener),
    /// A datagram socket, a pipe: nothing that mail comes in by.
    Other(String),
}

impl Handed {
    /// Takes over what is meant for this process; nothing where the service manager handed nothing over.
    pub fn take() -> Self {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let mut handed = ListenFd::from_env();
        let sockets = (0..handed.len()).map(|index| {
            let name = names.next().filter(|name| !name.is_empty());
            let name = name.unwrap_or(NO_NAME).to_owned();
            (name, Listening::of(&mut handed, index))
        });
        Self(Arc::new(sockets.collect()))
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// Every socket of a name, ready to accept.
    pub(super) fn sockets(&self, name: &str) -> io::Result<Vec<Socket>> {
        let of_that_name = self.0.iter().filter(|(other, _)| other == name);
        of_that_name
            .map(|(_, listening)| listening.socket())
            .collect()
    }
}

impl Listening {
    fn of(handed: &mut ListenFd, index: usize) -> Self {
        if let Ok(Some(socket)) = handed.take_tcp_listener(index) {
            return Self::Tcp(socket);
        }
        match handed.take_unix_listener(index) {
            Ok(Some(socket)) => Self::Unix(socket),
            Ok(None) => Self::Other("no such descriptor".to_owned()),
            Err(error) => Self::Other(error.to_string()),
        }
    }

    /// A second descriptor of the same socket, so that the first outlives the listener.
    fn socket(&self) -> io::Result<Socket> {
        match self {
            Self::Tcp(socket) => {
                let socket = socket.try_clone()?;
                socket.set_nonblocking(true)?;
                tokio::net::TcpListener::from_std(socket).map(Socket::Tcp)
            }
            Self::Unix(socket) => {
                let socket = socket.try_clone()?;
                socket.set_nonblocking(true)?;
                tokio::net::UnixListener::from_std(socket).map(|socket| Socket::Unix(socket, None))
            }
            Self::Other(why) => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("neither a TCP nor a Unix stream socket ({why})"),
            )),
        }
    }
}
