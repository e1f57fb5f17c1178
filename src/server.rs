//! Listens, admits, and stops in order: one task per session, so that a fault in one message harms no other.
//!
//! It knows addresses, counts and signals. It must never know what a message or a command is.
//! A listener that cannot be bound ends the start with an error naming its address; trouble with accepting is logged and
//! waited out. It prints nothing.

mod accepting;
mod doors;
mod handed;
mod listener;
pub mod proxy;
mod socket;
mod tls;

use std::io::{self, Write};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use self::accepting::{Arrival, Connection, Listeners};
use self::doors::{Doors, Place};
pub use self::handed::Handed;
pub use self::listener::{Address, AuthSettings, DoorError, ListenerSettings};
use self::socket::{Socket, listen};
pub use self::tls::{TlsError, TlsSettings};
use crate::session::door::{Door, Identity};
use crate::session::{self, Live, Peer, Shared};
use crate::smtp::reply::Reply;

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

/// Everything that a running server goes over to at once.
#[derive(Debug)]
struct Change {
    /// Bound for it.
    sockets: Vec<(Address, Vec<Socket>)>,
    /// Every doorway after it.
    doorways: Vec<Doorway>,
    shared: Arc<Shared>,
    /// Told when it is done.
    done: oneshot::Sender<()>,
}

/// Changes what a running server listens on and what its sessions share.
#[derive(Debug, Clone)]
pub struct Steering {
    live: watch::Sender<Arc<Shared>>,
    changes: mpsc::Sender<Change>,
    /// The addresses that are bound, as configured.
    bound: watch::Receiver<Vec<Address>>,
    handed: Handed,
    doors: Doors,
    stopping: watch::Receiver<bool>,
}

impl Steering {
    /// Sessions at this moment.
    pub fn sessions(&self) -> usize {
        self.doors.taken()
    }

    /// Whether the server was told to stop.
    pub fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// What sessions share now.
    pub fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.live.borrow())
    }

    /// Goes over to other listeners and another shared value, or changes nothing; when it returns, the change is done. Sessions
    /// of a listener that is gone go on to their end; every session takes up the new values with its next MAIL.
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
                sockets.push((address.clone(), listen(address, &self.handed).await?));
            }
        }
        let (done, told) = oneshot::channel();
        let change = Change {
            sockets,
            doorways,
            shared,
            done,
        };
        // A server that has stopped listening has nothing to change any more.
        if self.changes.send(change).await.is_ok() {
            let _ = told.await;
        }
        Ok(())
    }
}

/// The listeners, bound and not yet serving.
#[derive(Debug)]
pub struct Server {
    sockets: Vec<(Address, Vec<Socket>)>,
    doorways: Vec<Doorway>,
    handed: Handed,
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
    /// Binds every listener, or none; those at `systemd:NAME` are among `handed`. `drain_seconds` is what open transactions get
    /// when the server is stopped.
    ///
    /// # Errors
    /// The first listener that cannot be bound.
    pub async fn bind(
        doorways: Vec<Doorway>,
        shared: Arc<Shared>,
        handed: Handed,
        drain_seconds: u64,
    ) -> Result<Self, ServerError> {
        let mut sockets = Vec::with_capacity(doorways.len());
        for (address, _) in &doorways {
            sockets.push((address.clone(), listen(address, &handed).await?));
        }
        let bound = doorways.iter().map(|(address, _)| address.clone());
        Ok(Self {
            bound: watch::Sender::new(bound.collect()),
            doors: Doors::new(&shared.limits),
            sockets,
            doorways,
            handed,
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
            handed: self.handed.clone(),
            doors: self.doors.clone(),
            stopping: self.stopping.subscribe(),
        }
    }

    /// Where it really listens: a port 0 is told as what the system chose.
    pub fn addresses(&self) -> Vec<Address> {
        self.sockets
            .iter()
            .flat_map(|(configured, sockets)| {
                let real = |socket: &Socket| socket.address().unwrap_or_else(|| configured.clone());
                sockets.iter().map(real)
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
        let mut listeners = Listeners::new(send);
        listeners.change(self.sockets, self.doorways).await;
        let mut changes = self.changes.1;
        let doors = self.doors;
        let mut sessions = JoinSet::new();
        loop {
            tokio::select! {
                Some(arrival) = accepted.recv() => {
                    admit(arrival, self.live.subscribe(), &doors, &stopped, &mut sessions);
                }
                Some(ended) = sessions.join_next() => report(ended),
                Some(next) = changes.recv() => {
                    let addresses = next.doorways.iter().map(|(address, _)| address.clone());
                    self.bound.send_replace(addresses.collect());
                    doors.limit(&next.shared.limits);
                    self.live.send_replace(next.shared);
                    listeners.change(next.sockets, next.doorways).await;
                    let _ = next.done.send(());
                }
                _ = stops.recv() => break,
            }
        }
        drop(changes);
        listeners.close().await;
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

fn admit(
    (connection, doorway): Arrival,
    live: Live,
    doors: &Doors,
    stopped: &watch::Receiver<bool>,
    sessions: &mut JoinSet<()>,
) {
    let door = Arc::clone(&doorway.borrow());
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
            live.borrow().counters.sent_away(&reply);
            // Where TLS comes first a word in clear would only look like an attack.
            if !door.is_implicit() {
                refuse(connection, &reply);
            }
            return;
        }
    };
    let peer = Peer {
        doorway,
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
        match introduced(&mut stream, &mut peer, &mut way).await {
            Some(Ok(())) => {}
            // Where TLS comes first a word in clear would only look like an attack.
            Some(Err(_)) if peer.doorway.borrow().is_implicit() => return,
            Some(Err(reply)) => return session::turn_away(stream, &way.live, &reply).await,
            None => return,
        }
    }
    session::run(stream, way.live, &peer, way.stopped).await;
    drop(way.place);
}

/// Reads for whom a proxy speaks. `None`: it did not say so as it should, and is told nothing: it is not our proxy. An error is
/// told to the client that it speaks for.
async fn introduced<S: AsyncRead + Unpin>(
    stream: &mut S,
    peer: &mut Peer,
    way: &mut Way,
) -> Option<Result<(), Reply>> {
    let (door, shared) = (
        Arc::clone(&peer.doorway.borrow()),
        Arc::clone(&way.live.borrow()),
    );
    let header = tokio::select! {
        header = timeout(shared.limits.handshake_timeout(), proxy::read(stream)) => header,
        // Nothing was begun, so nothing has to be finished.
        _ = way.stopped.wait_for(|stopped| *stopped) => return None,
    };
    let why = match header {
        Ok(Ok(None)) => return Some(Ok(())),
        Ok(Ok(Some(client))) => {
            peer.identity.address = Some(client);
            peer.identity.local = false;
            let trusted = door.trusts(&peer.identity);
            let place = way.place.become_one_of(peer.identity.ip(), trusted);
            if let Err(reply) = &place {
                tracing::info!(listener = %door.listener, client = ?peer.identity.ip(), reply = %reply.text(), "client sent away");
                shared.counters.sent_away(reply);
            }
            return Some(place);
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => "no PROXY header in time (handshake_timeout_seconds)".to_owned(),
    };
    tracing::info!(listener = %door.listener, proxy = ?peer.identity.ip(), why, "connection closed");
    shared.counters.broken_off("proxy_header");
    None
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
