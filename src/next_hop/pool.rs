//! The connections to each next hop, and which of several gets the next one.
//!
//! Per next hop at most `max_connections`, reused while fresh, ended with QUIT when stale.
//!
//! Of several the first that has not just failed is used; one that failed is set aside for a while that grows, and comes back
//! by itself. It must never know what a transaction is: it lends a connection that stands between two transactions and takes
//! back only such a one. Waiting for a connection is bounded and ends in [`Unreachable::Busy`].

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, timeout_at};

use crate::smtp::extensions::Extensions;
use crate::smtp::reply::Reply;

use super::connection::Connection;
use super::counters::Counters;
use super::greeting::{self, Login, back_off};
use super::replies;
use super::secure::Secure;
use super::settings::{Settings, SettingsError};
use super::unreachable::{Step, Unreachable};

/// A connection that nobody uses.
#[derive(Debug)]
struct Idle {
    connection: Box<Connection>,
    since: Instant,
}

/// Settings, with what stands in the files that they name.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) settings: Settings,
    pub(super) secure: Option<Secure>,
    pub(super) login: Option<Login>,
}

/// How a next hop did lately.
#[derive(Debug, Default)]
struct Health {
    /// In a row.
    failures: u32,
    /// Until when the others go first.
    aside_until: Option<Instant>,
}

/// Every next hop, in the operator's order.
#[derive(Debug)]
pub(super) struct Pools(Vec<Arc<Pool>>);

impl Pools {
    pub(super) fn new(
        settings: Vec<Settings>,
        counters: &Arc<Counters>,
    ) -> Result<Self, SettingsError> {
        let pools = settings
            .into_iter()
            .map(|settings| Pool::new(settings, Arc::clone(counters)).map(Arc::new));
        Ok(Self(pools.collect::<Result<_, _>>()?))
    }

    /// Each of them.
    pub(super) fn each(&self) -> impl Iterator<Item = &Arc<Pool>> {
        self.0.iter()
    }

    /// In the order in which they are tried now: those that are well as the operator has them, then the others, the one that
    /// comes back first before the rest.
    fn in_turn(&self) -> Vec<Arc<Pool>> {
        let now = Instant::now();
        let mut pools: Vec<_> = self.0.iter().map(|pool| (pool.aside(now), pool)).collect();
        // Stable: among those that are well the operator's order stays.
        pools.sort_by_key(|(aside, _)| *aside);
        pools
            .into_iter()
            .map(|(_, pool)| Arc::clone(pool))
            .collect()
    }

    /// Waits for the right to a connection to the first that is well. One that is busy is not one that is down: its mail waits
    /// for it, and goes nowhere else.
    pub(super) async fn slot(
        self: &Arc<Self>,
        until: Option<Instant>,
    ) -> Result<Slot, Unreachable> {
        let Some(pool) = self.in_turn().into_iter().next() else {
            return Err(Unreachable::Closed {
                step: Step::Connect,
            });
        };
        let permit = pool.permit(until).await?;
        Ok(Slot {
            pools: Arc::clone(self),
            pool,
            connection: None,
            permit,
        })
    }

    /// Whether none of them is well.
    pub(super) fn is_down(&self) -> bool {
        let now = Instant::now();
        self.0.iter().all(|pool| pool.aside(now).is_some())
    }
}

/// Every connection to one next hop.
#[derive(Debug)]
pub(super) struct Pool {
    ready: Ready,
    health: Mutex<Health>,
    pub(super) counters: Arc<Counters>,
    /// One permit for every connection in use. Idle ones need none: a connection is opened only under a permit and
    /// only when none is idle, so that busy and idle together never pass `max_connections`.
    permits: Arc<Semaphore>,
    /// How many wait for a permit.
    waiting: watch::Sender<usize>,
    idle: Mutex<Vec<Idle>>,
    announced: Mutex<Option<Extensions>>,
}

/// The right to one connection, and that connection once it was needed. Dropping it gives both back.
#[derive(Debug)]
pub(super) struct Slot {
    pools: Arc<Pools>,
    pool: Arc<Pool>,
    connection: Option<Box<Connection>>,
    permit: OwnedSemaphorePermit,
}

impl Pool {
    fn new(settings: Settings, counters: Arc<Counters>) -> Result<Self, SettingsError> {
        Ok(Self {
            permits: Arc::new(Semaphore::new(
                settings.limits.max_connections.min(Semaphore::MAX_PERMITS),
            )),
            ready: Ready {
                secure: settings.secure()?,
                login: settings.login()?,
                settings,
            },
            health: Mutex::default(),
            counters,
            waiting: watch::Sender::new(0),
            idle: Mutex::default(),
            announced: Mutex::default(),
        })
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.ready.settings
    }

    /// Until when it is set aside.
    fn aside(&self, now: Instant) -> Option<Instant> {
        lock(&self.health).aside_until.filter(|until| *until > now)
    }

    /// How many times it failed in a row.
    pub(super) fn failures(&self) -> u32 {
        lock(&self.health).failures
    }

    fn failed(&self) {
        let limits = &self.settings().limits;
        let mut health = lock(&self.health);
        // What fails while it is set aside, many connections at once among it, is the same failure.
        let now = Instant::now();
        if health.aside_until.is_some_and(|until| until > now) {
            return;
        }
        health.failures = health.failures.saturating_add(1);
        let wait = back_off(
            health.failures,
            Duration::from_secs(limits.backoff_first_seconds),
            Duration::from_secs(limits.backoff_most_seconds),
        );
        health.aside_until = Some(now + wait);
    }

    /// It took a MAIL command, or would have.
    pub(super) fn is_well(&self) {
        let mut health = lock(&self.health);
        if health.failures > 0 {
            tracing::info!(next_hop = %self.settings().address, failures = health.failures, "next hop is back");
        }
        *health = Health::default();
    }

    /// What the last connection's server announced; `None` while none was ever made.
    pub(super) fn announced(&self) -> Option<Extensions> {
        lock(&self.announced).clone()
    }

    /// Waits for the right to a connection.
    async fn permit(&self, until: Option<Instant>) -> Result<OwnedSemaphorePermit, Unreachable> {
        let limits = &self.settings().limits;
        let by = Instant::now() + limits.connection_wait();
        let by = until.map_or(by, |until| until.min(by));
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            return Ok(permit);
        }
        let _waiting = Waiting::among(&self.waiting);
        // The semaphore is never closed; if it were, nobody would get a connection, which is what Busy says.
        match timeout_at(by, Arc::clone(&self.permits).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => {
                self.counters.connections_busy.one();
                Err(self.note(Unreachable::Busy {
                    seconds: limits.connection_wait_seconds,
                }))
            }
        }
    }

    /// Until somebody waits for a connection.
    pub(super) async fn is_wanted(&self) {
        // The sender lives as long as we do; without one nobody would wait.
        let _ = self.waiting.subscribe().wait_for(|count| *count > 0).await;
    }

    /// Records a failure that is about us: the one place where it is logged and counted.
    pub(super) fn note(&self, error: Unreachable) -> Unreachable {
        self.counters.unreachable.one();
        tracing::error!(next_hop = %self.settings().address, %error, "next hop failed us");
        if error.is_of_the_hop() {
            self.failed();
        }
        error
    }

    /// Ends what has lain longer than `idle_seconds`. Runs until dropped.
    pub(super) async fn tend(&self) {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let limit = self.settings().limits.idle();
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
        let connection = greeting::open(&self.ready, until)
            .await
            .map_err(|error| self.note(error))?;
        self.counters.connections_opened.one();
        *lock(&self.announced) = Some(connection.extensions().clone());
        Ok(connection)
    }
}

impl Slot {
    /// What is said of mail that this next hop cannot carry: a refusal for good, unless one that is down at the moment may be able
    /// to, for all that is known of it.
    pub(super) fn refusal(&self, ours: Reply) -> Reply {
        let another = |has: fn(&Extensions) -> bool| {
            let others = self.pools.each();
            let others = others.filter(|pool| !Arc::ptr_eq(pool, &self.pool));
            let mut down = others.filter(|pool| pool.failures() > 0);
            down.any(|pool| pool.announced().is_none_or(|announced| has(&announced)))
        };
        match ours.enhanced() {
            Some("5.6.7") if another(|announced| announced.smtputf8) => {
                replies::not_this_one("4.6.7", "SMTPUTF8")
            }
            Some("5.7.30") if another(|announced| announced.requiretls) => {
                replies::not_this_one("4.7.30", "REQUIRETLS")
            }
            _ => ours,
        }
    }

    pub(super) fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// The connection of this slot, else an idle one, else a new one; with it, whether it was used before and may
    /// therefore have been closed meanwhile. A next hop that gives none is set aside, and the next one that was not `tried` is
    /// asked; each that failed is `tried` afterwards, so that none is asked twice for one message.
    pub(super) async fn connection(
        &mut self,
        tried: &mut Vec<Arc<Pool>>,
        until: Option<Instant>,
    ) -> Result<(Box<Connection>, bool), Unreachable> {
        loop {
            let error = match self.connection.take().or_else(|| self.pool.pop_idle()) {
                Some(connection) => return Ok((connection, true)),
                None => match self.pool.open(until).await {
                    Ok(connection) => return Ok((connection, false)),
                    Err(error) => error,
                },
            };
            tried.push(Arc::clone(&self.pool));
            if !self.go_on(tried, until).await {
                return Err(error);
            }
        }
    }

    /// Goes over to the next of the next hops that was not tried yet; `false` when there is none.
    pub(super) async fn go_on(&mut self, tried: &[Arc<Pool>], until: Option<Instant>) -> bool {
        let untried = |pool: &Arc<Pool>| !tried.iter().any(|other| Arc::ptr_eq(pool, other));
        for pool in self.pools.in_turn().into_iter().filter(untried) {
            // The right to the one that failed stays until there is a right to another: nobody waits while holding a connection.
            if let Ok(permit) = pool.permit(until).await {
                tracing::info!(next_hop = %pool.settings().address, "going over to the next of the next hops");
                self.permit = permit;
                self.pool = pool;
                return true;
            }
        }
        false
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

/// One who waits for a connection, until dropped.
struct Waiting<'a>(&'a watch::Sender<usize>);

impl<'a> Waiting<'a> {
    fn among(count: &'a watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count = count.saturating_add(1));
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}

/// No code panics while it holds one of these; what a poisoned one guards is still whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
