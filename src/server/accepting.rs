//! The listeners at work: a task for every socket, and the change from one set of listeners to another.
//!
//! It hands over connections and knows nothing of what becomes of them. Trouble with accepting is logged and waited out: it
//! passes, or the operator has to see it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::socket::Socket;
use super::{Address, Doorway};
use crate::session::door::Door;

/// How long accepting pauses when the system has no more descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// A connection on its way to its session.
#[derive(Debug)]
pub(super) enum Connection {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
}

/// A connection and where it came in.
pub(super) type Arrival = (Connection, watch::Receiver<Arc<Door>>);

/// Every listener that is at work.
#[derive(Debug)]
pub(super) struct Listeners {
    running: BTreeMap<String, Running>,
    send: mpsc::Sender<Arrival>,
}

/// One of them.
#[derive(Debug)]
struct Running {
    door: watch::Sender<Arc<Door>>,
    /// One task for each of its sockets.
    accepting: Vec<JoinHandle<()>>,
}

impl Listeners {
    /// None yet. What they accept goes to `send`.
    pub(super) fn new(send: mpsc::Sender<Arrival>) -> Self {
        Self {
            running: BTreeMap::new(),
            send,
        }
    }

    /// Starts what is new, tells what stays, ends what is gone. When it returns, what is gone listens no more.
    pub(super) async fn change(
        &mut self,
        sockets: Vec<(Address, Vec<Socket>)>,
        doorways: Vec<Doorway>,
    ) {
        let mut sockets: BTreeMap<String, Vec<Socket>> = sockets
            .into_iter()
            .map(|(address, sockets)| (address.to_string(), sockets))
            .collect();
        let mut gone = std::mem::take(&mut self.running);
        for (address, door) in doorways {
            let address = address.to_string();
            match (gone.remove(&address), sockets.remove(&address)) {
                (Some(listener), _) => {
                    listener.door.send_replace(door);
                    self.running.insert(address, listener);
                }
                (None, Some(sockets)) => {
                    let listener = Running::start(sockets, door, &self.send);
                    self.running.insert(address, listener);
                }
                (None, None) => tracing::error!(address, "a listener without a socket"),
            }
        }
        for (address, listener) in gone {
            tracing::info!(address, "no longer listening");
            listener.end().await;
        }
    }

    /// Ends all of them: what still connects is refused by the system, or waits in a socket of the service manager.
    pub(super) async fn close(self) {
        for listener in self.running.into_values() {
            listener.end().await;
        }
    }
}

impl Running {
    fn start(sockets: Vec<Socket>, door: Arc<Door>, send: &mpsc::Sender<Arrival>) -> Self {
        let (door, receiver) = watch::channel(door);
        let accepting = sockets
            .into_iter()
            .map(|socket| tokio::spawn(accept(socket, receiver.clone(), send.clone())));
        Self {
            accepting: accepting.collect(),
            door,
        }
    }

    async fn end(self) {
        for task in self.accepting {
            task.abort();
            // Its socket is closed when it has ended, and not before.
            let _ = task.await;
        }
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
        match connection {
            Ok(connection) => {
                if send.send((connection, door.clone())).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                tracing::error!(listener = %door.borrow().listener, %error, "cannot accept");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
