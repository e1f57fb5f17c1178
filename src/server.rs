//! Listens, admits, and stops in order: one task per session, so that a fault in one message harms no other.
//!
//! It knows addresses, counts and signals. It must never know what a message or a command is.
//! A listener that cannot be bound ends the start with an error naming its address; trouble with accepting is logged and
//! waited out. It prints nothing.

mod doors;
mod listener;
pub mod proxy;
mod tls;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use self::doors::{Doors, Place};
pub use self::listener::{Address, AuthSettings, DoorError, ListenerSettings};
use self::listener::{Socket, listen};
pub use self::tls::{TlsError, TlsSettings};
use crate::session::door::{Door, Identity};
use crate::session::{self, Live, Peer, Shared};
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
    /// A socket that the service manager should have handed over.
    #[error(
        "cannot listen on systemd:{0}: no socket of that name was handed over (LISTEN_FDNAMES)"
    )]
    NotHandedOver(String),
    /// Signals cannot be received.
    #[error("cannot receive signals: {0}")]
    Signals(io::Error),
}

/// What is listened on: the address, and what its sessions go by.
pub type Doorway = (Address, Arc<Door>);

/// A connection on its way to its session.
#[derive(Debug)]
enum Connection {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
}

/// A connection and where it came in.
type Arrival = (Connection, Arc<Door>);

/// Sockets that were bound for a change, and every doorway after it.
#[derive(Debug)]
struct Change {
    sockets: Vec<(Address, Socket)>,
    doorways: Vec<Doorway>,
}

/// Changes what a running server listens on and what its sessions share.
#[derive(Debug, Clone)]
pub struct Steering {
    live: watch::Sender<Arc<Shared>>,
    changes: mpsc::Sender<Change>,
    /// The addresses that are bound, as configured.
    bound: watch::Receiver<Vec<Address>>,
    doors: Doors,
}

impl Steering {
    /// Sessions at this moment.
    pub fn sessions(&self) -> usize {
        self.doors.taken()
    }

    /// What sessions share now.
    pub fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.live.borrow())
    }

    /// Goes over to other listeners and another shared value, or changes nothing. Sessions of a listener that is gone go on to
    /// their end; every session takes up the new value with its next MAIL.
    ///
    /// # Errors
    /// The first address that cannot be bound.
    pub async fn replace(
        &self,
        doorways: Vec<Doorway>,
        shared: Arc<Shared>,
    ) -> Result<(), ServerError> {
        let bound = self.bound.borrow().clone();
        let mut sockets = Vec::new();
        for (address, _) in &doorways {
            if !bound.contains(address) {
                sockets.push((address.clone(), listen(address).await?));
            }
        }
        // A server that has stopped listening has nothing to change any more.
        let _ = self.changes.send(Change { sockets, doorways }).await;
        self.live.send_replace(shared);
        Ok(())
    }
}

/// One listener at work.
#[derive(Debug)]
struct Running {
    door: watch::Sender<Arc<Door>>,
    accepting: AbortHandle,
}

/// The listeners, bound and not yet serving.
#[derive(Debug)]
pub struct Server {
    sockets: Vec<(Address, Socket)>,
    doorways: Vec<Doorway>,
    live: watch::Sender<Arc<Shared>>,
    changes: (mpsc::Sender<Change>, mpsc::Receiver<Change>),
    bound: watch::Sender<Vec<Address>>,
    doors: Doors,
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
        doorways: Vec<Doorway>,
        shared: Arc<Shared>,
        drain_seconds: u64,
    ) -> Result<Self, ServerError> {
        let mut sockets = Vec::with_capacity(doorways.len());
        for (address, _) in &doorways {
            sockets.push((address.clone(), listen(address).await?));
        }
        let bound = doorways.iter().map(|(address, _)| address.clone());
        Ok(Self {
            bound: watch::Sender::new(bound.collect()),
            doors: Doors::new(&shared.limits),
            sockets,
            doorways,
            live: watch::Sender::new(shared),
            changes: mpsc::channel(1),
            drain: Duration::from_secs(drain_seconds),
            stopping: watch::Sender::new(false),
        })
    }

    /// Turns true as soon as the server is told to stop.
    pub fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.subscribe()
    }

    /// What sessions share, now and after every change.
    pub fn live(&self) -> Live {
        self.live.subscribe()
    }

    /// For whoever reloads the configuration.
    pub fn steering(&self) -> Steering {
        Steering {
            live: self.live.clone(),
            changes: self.changes.0.clone(),
            bound: self.bound.subscribe(),
            doors: self.doors.clone(),
        }
    }

    /// Where it really listens: a port 0 is told as what the system chose.
    pub fn addresses(&self) -> Vec<Address> {
        self.sockets
            .iter()
            .map(|(configured, socket)| socket.address().unwrap_or_else(|_| configured.clone()))
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
        let (stopping, stopped) = (self.stopping, self.bound);
        let stopped = (stopped, stopping.subscribe());
        let (send, mut accepted) = mpsc::channel(1);
        let (mut accepting, mut running) = (JoinSet::new(), BTreeMap::new());
        let first = Change {
            sockets: self.sockets,
            doorways: self.doorways,
        };
        change(&mut running, &mut accepting, &send, first);
        let mut changes = self.changes.1;
        let doors = self.doors;
        let mut sessions = JoinSet::new();
        loop {
            tokio::select! {
                Some(arrival) = accepted.recv() => {
                    admit(arrival, self.live.subscribe(), &doors, &stopped.1, &mut sessions);
                }
                Some(ended) = sessions.join_next() => report(ended),
                Some(next) = changes.recv() => {
                    stopped.0.send_replace(next.doorways.iter().map(|(address, _)| address.clone()).collect());
                    change(&mut running, &mut accepting, &send, next);
                    doors.limit(&self.live.borrow().limits);
                }
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

/// Starts what is new, tells what stays, ends what is gone.
fn change(
    running: &mut BTreeMap<String, Running>,
    accepting: &mut JoinSet<()>,
    send: &mpsc::Sender<Arrival>,
    change: Change,
) {
    let mut sockets: BTreeMap<String, Socket> = change
        .sockets
        .into_iter()
        .map(|(address, socket)| (address.to_string(), socket))
        .collect();
    let mut gone = std::mem::take(running);
    for (address, door) in change.doorways {
        let address = address.to_string();
        match (gone.remove(&address), sockets.remove(&address)) {
            (Some(listener), _) => {
                listener.door.send_replace(door);
                running.insert(address, listener);
            }
            (None, Some(socket)) => {
                let (sender, receiver) = watch::channel(door);
                let accepting = accepting.spawn(accept(socket, receiver, send.clone()));
                let door = sender;
                running.insert(address, Running { door, accepting });
            }
            (None, None) => tracing::error!(address, "a listener without a socket"),
        }
    }
    for (address, listener) in gone {
        tracing::info!(address, "no longer listening");
        listener.accepting.abort();
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

async fn accept(socket: Socket, door: watch::Receiver<Arc<Door>>, send: mpsc::Sender<Arrival>) {
    loop {
        let connection = match &socket {
            Socket::Tcp(socket) => socket
                .accept()
                .await
                .map(|(stream, peer)| Connection::Tcp(stream, peer)),
            Socket::Unix(socket, _) => socket
                .accept()
                .await
                .map(|(stream, _)| Connection::Unix(stream)),
        };
        let door = Arc::clone(&door.borrow());
        match connection {
            Ok(connection) => {
                if send.send((connection, door)).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                tracing::error!(listener = %door.listener, %error, "cannot accept");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn admit(
    (connection, door): Arrival,
    live: Live,
    doors: &Doors,
    stopped: &watch::Receiver<bool>,
    sessions: &mut JoinSet<()>,
) {
    let address = match &connection {
        Connection::Tcp(_, peer) => Some(*peer),
        Connection::Unix(_) => None,
    };
    let identity = Identity {
        address,
        local: address.is_none(),
        ..Identity::default()
    };
    let proxied = door.proxy.have(&identity);
    // Everybody behind a proxy has the proxy's address until it says otherwise.
    let ip = identity.ip().filter(|_| !proxied);
    let place = match doors.enter(ip, proxied || door.trusts(&identity)) {
        Ok(place) => place,
        Err(reply) => {
            tracing::info!(listener = %door.listener, client = ?identity.ip(), reply = %reply.text(), "client sent away");
            refuse(connection, &reply);
            return;
        }
    };
    let peer = Peer {
        door,
        identity,
        session: session::fresh_id(),
    };
    let way = Way {
        live,
        stopped: stopped.clone(),
        place,
        proxied,
    };
    match connection {
        Connection::Tcp(stream, _) => {
            // Without it every reply may wait 40 ms for an acknowledgement.
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "no TCP_NODELAY");
            }
            sessions.spawn(serve(stream, peer, way));
        }
        Connection::Unix(stream) => {
            sessions.spawn(serve(stream, peer, way));
        }
    }
}

/// What a session needs beside its connection.
struct Way {
    live: Live,
    stopped: watch::Receiver<bool>,
    place: Place,
    proxied: bool,
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, mut peer: Peer, mut way: Way) {
    if way.proxied {
        let within = way.live.borrow().limits.handshake_timeout();
        match timeout(within, proxy::read(&mut stream)).await {
            Ok(Ok(Some(client))) => {
                peer.identity.address = Some(client);
                peer.identity.local = false;
                let trusted = peer.door.trusts(&peer.identity);
                if let Err(reply) = way.place.become_one_of(peer.identity.ip(), trusted) {
                    tracing::info!(listener = %peer.door.listener, client = ?peer.identity.ip(), reply = %reply.text(), "client sent away");
                    return session::turn_away(stream, &way.live, &reply).await;
                }
            }
            Ok(Ok(None)) => {}
            Ok(Err(error)) => {
                tracing::info!(listener = %peer.door.listener, proxy = ?peer.identity.ip(), %error, "connection closed");
                return;
            }
            Err(_) => {
                tracing::info!(listener = %peer.door.listener, proxy = ?peer.identity.ip(), "no PROXY header in time (handshake_timeout_seconds)");
                return;
            }
        }
    }
    session::run(stream, way.live, &peer, way.stopped).await;
    drop(way.place);
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
