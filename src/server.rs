//! Listens, admits, and stops in order: one task per session, so that a fault in one message harms no other.
//!
//! It knows addresses, counts and signals. It must never know what a message or a command is.
//! A listener that cannot be bound ends the start with an error naming its address; trouble with accepting is logged and
//! waited out. It prints nothing.

mod doors;
mod listener;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use self::doors::{Doors, Place};
pub use self::listener::{Address, ListenerSettings};
use self::listener::{Socket, listen};
use crate::relay::Relay;
use crate::session::memory::Memory;
use crate::session::{self, Limits, Peer, Shared};
use crate::smtp::reply::Reply;

/// How long accepting pauses when the system has no more descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// Why the server could not start. The operator is to blame, or whoever holds the address.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address cannot be bound.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// As configured.
        address: Address,
        /// What the system says.
        source: io::Error,
    },
    /// The path of a Unix socket holds something else.
    #[error("cannot listen on unix:{}: the path exists and is not a socket", .0.display())]
    NotASocket(PathBuf),
    /// Another process listens on the Unix socket.
    #[error("cannot listen on unix:{}: another process does", .0.display())]
    InUse(PathBuf),
    /// Signals cannot be received.
    #[error("cannot receive signals: {0}")]
    Signals(io::Error),
}

#[derive(Debug)]
struct Listener {
    settings: ListenerSettings,
    socket: Socket,
}

/// A connection on its way to its session.
#[derive(Debug)]
enum Connection {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
}

/// The listeners, bound and not yet serving.
#[derive(Debug)]
pub struct Server {
    listeners: Vec<Listener>,
    shared: Arc<Shared>,
    drain: Duration,
    stopping: watch::Sender<bool>,
}

/// How a server stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Sessions whose transaction was still open when the time was up; their clients were not answered.
    pub cut_short: usize,
    /// When the time for everything that was still going on is up.
    pub until: Instant,
}

impl Server {
    /// Binds every listener, or none. `drain_seconds` is what open transactions get when the server is stopped.
    ///
    /// # Errors
    /// The first listener that cannot be bound.
    pub async fn bind(
        listeners: Vec<ListenerSettings>,
        hostname: String,
        limits: Limits,
        drain_seconds: u64,
        relay: Arc<Relay>,
    ) -> Result<Self, ServerError> {
        let mut bound = Vec::with_capacity(listeners.len());
        for settings in listeners {
            bound.push(Listener {
                socket: listen(&settings.address).await?,
                settings,
            });
        }
        Ok(Self {
            listeners: bound,
            shared: Arc::new(Shared {
                hostname,
                memory: Memory::new(limits.memory_octets),
                limits,
                relay,
            }),
            drain: Duration::from_secs(drain_seconds),
            stopping: watch::Sender::new(false),
        })
    }

    /// Turns true as soon as the server is told to stop.
    pub fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.subscribe()
    }

    /// Where it really listens: a port 0 is told as what the system chose.
    pub fn addresses(&self) -> Vec<Address> {
        self.listeners
            .iter()
            .map(|listener| {
                let configured = &listener.settings.address;
                listener
                    .socket
                    .address()
                    .unwrap_or_else(|_| configured.clone())
            })
            .collect()
    }

    /// Serves until SIGTERM or SIGINT, then drains: no new sessions, 421 to those without a transaction, `drain` for the
    /// others. A second signal ends the drain.
    ///
    /// # Errors
    /// Where signals cannot be received.
    pub async fn run(self) -> Result<Drained, ServerError> {
        let mut terminate = signal(SignalKind::terminate()).map_err(ServerError::Signals)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(ServerError::Signals)?;
        let (send, mut stops) = mpsc::channel(2);
        let signals = async move {
            loop {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                if send.send(()).await.is_err() {
                    return;
                }
            }
        };
        let mut served = pin!(self.run_until(&mut stops));
        tokio::select! {
            drained = &mut served => Ok(drained),
            () = signals => Ok(served.await),
        }
    }

    /// Serves until the first message on `stops`, then drains until the second or until the time is up.
    pub async fn run_until(self, stops: &mut mpsc::Receiver<()>) -> Drained {
        let (stopping, stopped) = (self.stopping.clone(), self.stopping.subscribe());
        let (send, mut accepted) = mpsc::channel(1);
        let mut accepting = JoinSet::new();
        for listener in self.listeners {
            accepting.spawn(accept(listener, send.clone()));
        }
        drop(send);
        let doors = Doors::new(&self.shared.limits);
        let mut sessions = JoinSet::new();
        loop {
            tokio::select! {
                Some((connection, settings)) = accepted.recv() => {
                    admit(connection, &settings, &self.shared, &doors, &stopped, &mut sessions);
                }
                Some(ended) = sessions.join_next() => report(ended),
                _ = stops.recv() => break,
            }
        }
        // The listeners close with their tasks: what still connects is refused by the system.
        accepting.shutdown().await;
        drop(accepted);
        tracing::info!(
            sessions = sessions.len(),
            drain_seconds = self.drain.as_secs(),
            "stopping"
        );
        stopping.send_replace(true);
        let until = Instant::now() + self.drain;
        drain(&mut sessions, until, stops).await;
        let cut_short = sessions.len();
        sessions.shutdown().await;
        tracing::info!(cut_short, "stopped");
        Drained { cut_short, until }
    }
}

async fn drain(sessions: &mut JoinSet<()>, until: Instant, stops: &mut mpsc::Receiver<()>) {
    loop {
        tokio::select! {
            ended = timeout_at(until, sessions.join_next()) => match ended {
                Ok(Some(ended)) => report(ended),
                Ok(None) | Err(_) => return,
            },
            _ = stops.recv() => return,
        }
    }
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(fault) = ended {
        tracing::error!(%fault, "a session broke off");
    }
}

async fn accept(listener: Listener, send: mpsc::Sender<(Connection, Arc<ListenerSettings>)>) {
    let settings = Arc::new(listener.settings.clone());
    loop {
        let connection = match &listener.socket {
            Socket::Tcp(socket) => socket
                .accept()
                .await
                .map(|(stream, peer)| Connection::Tcp(stream, peer)),
            Socket::Unix(socket, _) => socket
                .accept()
                .await
                .map(|(stream, _)| Connection::Unix(stream)),
        };
        match connection {
            Ok(connection) => {
                if send
                    .send((connection, Arc::clone(&settings)))
                    .await
                    .is_err()
                {
                    return;
                }
            }
            Err(error) => {
                tracing::error!(listener = %settings.address, %error, "cannot accept");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn admit(
    connection: Connection,
    settings: &ListenerSettings,
    shared: &Arc<Shared>,
    doors: &Doors,
    stopped: &watch::Receiver<bool>,
    sessions: &mut JoinSet<()>,
) {
    let address = match &connection {
        Connection::Tcp(_, peer) => Some(*peer),
        Connection::Unix(_) => None,
    };
    let ip = address.map(|address| address.ip().to_canonical());
    let place = match doors.enter(ip) {
        Ok(place) => place,
        Err(reply) => {
            tracing::info!(listener = %settings.address, client = ?ip, reply = %reply.text(), "client sent away");
            refuse(connection, &reply);
            return;
        }
    };
    let among = |networks: &[IpNet]| match ip {
        Some(ip) => networks.iter().any(|network| network.contains(&ip)),
        None => !networks.is_empty(),
    };
    let peer = Peer {
        listener: settings.address.to_string(),
        protocol: settings.protocol,
        address,
        trusted: ip.is_none() || among(&settings.trusted_networks),
        xforward: among(&settings.xforward_networks),
        session: session::fresh_id(),
    };
    let shared = Arc::clone(shared);
    let stopped = stopped.clone();
    match connection {
        Connection::Tcp(stream, _) => {
            // Without it every reply may wait 40 ms for an acknowledgement (notes/smtp.md 1).
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "no TCP_NODELAY");
            }
            sessions.spawn(serve(stream, shared, peer, stopped, place));
        }
        Connection::Unix(stream) => {
            sessions.spawn(serve(stream, shared, peer, stopped, place));
        }
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    shared: Arc<Shared>,
    peer: Peer,
    stopped: watch::Receiver<bool>,
    place: Place,
) {
    session::run(stream, &shared, &peer, stopped).await;
    drop(place);
}

/// Says why and closes, without waiting: a fresh connection has room for one line, and who does not read it loses it.
fn refuse(connection: Connection, reply: &Reply) {
    let wire = reply.to_wire();
    // Past the runtime, which does not know yet that the socket is writable; it stays non-blocking.
    let written = match connection {
        Connection::Tcp(stream, _) => stream
            .into_std()
            .and_then(|mut stream| stream.write_all(wire.as_bytes())),
        Connection::Unix(stream) => stream
            .into_std()
            .and_then(|mut stream| stream.write_all(wire.as_bytes())),
    };
    if let Err(error) = written {
        tracing::debug!(%error, "the refusal was not written");
    }
}
