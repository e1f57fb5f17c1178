//! The clock of a run, and the end of the relay that goes by it. Time stands still unless somebody lets it pass, so a stall of ten
//! minutes takes milliseconds.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::DuplexStream;
use tokio::sync::mpsc::UnboundedSender;

/// What the relay's thread is told.
#[derive(Debug)]
pub(crate) enum Order {
    /// A client connects.
    Session(DuplexStream),
    /// So many seconds pass.
    Pass(u64),
    /// The relay dies.
    Kill,
    /// The relay is stopped: destructors run.
    Stop,
}

#[derive(Debug, Default)]
pub(crate) struct Clock {
    to: Mutex<Option<UnboundedSender<Order>>>,
    ordered: AtomicU64,
    passed: AtomicU64,
}

impl Clock {
    /// A relay begins to live.
    pub(crate) fn goes_to(&self, to: UnboundedSender<Order>) {
        self.passed.store(self.ordered(), Ordering::SeqCst);
        *self.to.lock().unwrap() = Some(to);
    }

    /// Tells the relay; `false` when there is none.
    pub(crate) fn tell(&self, order: Order) -> bool {
        let to = self.to.lock().unwrap();
        to.as_ref().is_some_and(|to| to.send(order).is_ok())
    }

    pub(crate) fn pass(&self, seconds: u64) {
        self.ordered.fetch_add(seconds, Ordering::SeqCst);
        self.tell(Order::Pass(seconds));
    }

    pub(crate) fn has_passed(&self, seconds: u64) {
        self.passed.fetch_add(seconds, Ordering::SeqCst);
    }

    pub(crate) fn kill(&self) {
        self.tell(Order::Kill);
    }

    /// Seconds that were to pass.
    pub(crate) fn ordered(&self) -> u64 {
        self.ordered.load(Ordering::SeqCst)
    }

    /// Seconds that did: never more than [`Clock::ordered`].
    pub(crate) fn passed(&self) -> u64 {
        self.passed.load(Ordering::SeqCst)
    }
}
