//! The connections to one next hop: at most `max_connections`, reused while fresh, ended with QUIT when stale.
//!
//! It must never know what a transaction is: it lends a connection that stands between two transactions and takes
//! back only such a one. Waiting for a connection is bounded and ends in [`Unreachable::Busy`].

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use crate::smtp::extensions::Extensions;

use super::connection::Connection;
use super::counters::Counters;
use super::settings::Settings;
use super::unreachable::Unreachable;

/// A connection that nobody uses.
#[derive(Debug)]
struct Idle {
    connection: Box<Connection>,
    since: Instant,
}

/// Every connection to one next hop.
#[derive(Debug)]
pub(super) struct Pool {
    pub(super) settings: Settings,
    pub(super) counters: Arc<Counters>,
    /// One permit for every connection in use. Idle ones need none: a connection is opened only under a permit and
    /// only when none is idle, so that busy and idle together never pass `max_connections`.
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Idle>>,
    announced: Mutex<Option<Extensions>>,
}

/// The right to one connection, and that connection once it was needed. Dropping it gives both back.
#[derive(Debug)]
pub(super) struct Slot {
    pool: Arc<Pool>,
    connection: Option<Box<Connection>>,
    _permit: OwnedSemaphorePermit,
}

impl Pool {
    pub(super) fn new(settings: Settings, counters: Arc<Counters>) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(
                settings.limits.max_connections.min(Semaphore::MAX_PERMITS),
            )),
            settings,
            counters,
            idle: Mutex::default(),
            announced: Mutex::default(),
        }
    }

    /// What the last connection's server announced; `None` while none was ever made.
    pub(super) fn announced(&self) -> Option<Extensions> {
        lock(&self.announced).clone()
    }

    /// Waits for the right to a connection.
    pub(super) async fn slot(
        self: &Arc<Self>,
        until: Option<Instant>,
    ) -> Result<Slot, Unreachable> {
        let limits = &self.settings.limits;
        let by = Instant::now() + limits.connection_wait();
        let by = until.map_or(by, |until| until.min(by));
        // The semaphore is never closed; if it were, nobody would get a connection, which is what Busy says.
        match timeout_at(by, Arc::clone(&self.permits).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(Slot {
                pool: Arc::clone(self),
                connection: None,
                _permit: permit,
            }),
            Ok(Err(_)) | Err(_) => {
                self.counters.connections_busy.one();
                Err(self.note(Unreachable::Busy {
                    seconds: limits.connection_wait_seconds,
                }))
            }
        }
    }

    /// Records a failure that is about us: the one place where it is logged and counted.
    pub(super) fn note(&self, error: Unreachable) -> Unreachable {
        self.counters.unreachable.one();
        tracing::error!(next_hop = %self.settings.address, %error, "next hop failed us");
        error
    }

    /// Ends what has lain longer than `idle_seconds`. Runs until dropped.
    pub(super) async fn tend(&self) {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let limit = self.settings.limits.idle();
            self.end(|idle| idle.since.elapsed() >= limit).await;
        }
    }

    /// Ends every idle connection.
    pub(super) async fn close(&self) {
        self.end(|_| true).await;
    }

    async fn end(&self, chosen: impl Fn(&Idle) -> bool) {
        let ended: Vec<Idle> = {
            let mut idle = lock(&self.idle);
            idle.extract_if(.., |idle| chosen(idle)).collect()
        };
        for mut idle in ended {
            idle.connection.farewell().await;
        }
    }

    fn pop_idle(&self) -> Option<Box<Connection>> {
        // The youngest is on top. One that has lain too long and was closed for it is found stale and replaced.
        lock(&self.idle).pop().map(|idle| idle.connection)
    }

    async fn open(&self, until: Option<Instant>) -> Result<Box<Connection>, Unreachable> {
        let connection = Connection::open(&self.settings, until)
            .await
            .map_err(|error| self.note(error))?;
        self.counters.connections_opened.one();
        *lock(&self.announced) = Some(connection.extensions().clone());
        Ok(connection)
    }
}

impl Slot {
    pub(super) fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// The connection of this slot, else an idle one, else a new one; with it, whether it was used before and may
    /// therefore have been closed meanwhile.
    pub(super) async fn connection(
        &mut self,
        until: Option<Instant>,
    ) -> Result<(Box<Connection>, bool), Unreachable> {
        match self.connection.take().or_else(|| self.pool.pop_idle()) {
            Some(connection) => Ok((connection, true)),
            None => Ok((self.pool.open(until).await?, false)),
        }
    }

    /// Ends one idle connection, for a client that opens its own under this slot: busy and idle together stay within
    /// `max_connections`.
    pub(super) async fn make_room(&mut self) {
        if let Some(mut connection) = self.connection.take().or_else(|| self.pool.pop_idle()) {
            connection.farewell().await;
        }
    }

    /// A connection in place of one that was found dead.
    pub(super) async fn replacement(
        &mut self,
        until: Option<Instant>,
    ) -> Result<Box<Connection>, Unreachable> {
        self.pool.counters.connections_stale.one();
        self.pool.open(until).await
    }

    /// Takes back a connection that stands between two transactions.
    pub(super) fn keep(&mut self, connection: Box<Connection>) {
        self.connection = Some(connection);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            // Before the permit is released, which happens when the fields are dropped behind this.
            lock(&self.pool.idle).push(Idle {
                connection,
                since: Instant::now(),
            });
        }
    }
}

/// No code panics while it holds one of these; what a poisoned one guards is still whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
