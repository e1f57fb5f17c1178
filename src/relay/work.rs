//! How long the processor may work on one message: on reading it, and on reading every variant of it again.
//!
//! Every reader of this project is linear, so this bound is reached by what is large in every reading at once, or by a fault of
//! ours. Time of the processor, not of the clock: a busy machine makes no message uninspectable. It knows no message. Where
//! the system does not say how much was used, the other bounds of `[relay]` hold alone.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The work on one message, shared by the threads that take turns at it.
#[derive(Debug)]
pub struct Work {
    most: Duration,
    /// Nanoseconds of turns that have ended.
    spent: AtomicU64,
}

/// One turn, on one thread.
#[derive(Debug)]
pub struct Turn<'a> {
    work: &'a Work,
    began: Duration,
}

impl Work {
    /// So much, from `relay.examine_cpu_ms`.
    pub fn new(most: Duration) -> Self {
        Self {
            most,
            spent: AtomicU64::new(0),
        }
    }

    /// Begins a turn on this thread.
    pub fn turn(&self) -> Turn<'_> {
        Turn {
            work: self,
            began: used(),
        }
    }
}

impl Turn<'_> {
    /// Whether all the time of the message is used up.
    pub fn is_over(&self) -> bool {
        let before = Duration::from_nanos(self.work.spent.load(Ordering::Relaxed));
        before.saturating_add(self.so_far()) >= self.work.most
    }

    fn so_far(&self) -> Duration {
        used().saturating_sub(self.began)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let nanoseconds = u64::try_from(self.so_far().as_nanos()).unwrap_or(u64::MAX);
        self.work.spent.fetch_add(nanoseconds, Ordering::Relaxed);
    }
}

/// What the processor has done for this thread.
fn used() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or(0);
    Duration::new(seconds, nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keeps the processor at it until the turn is over.
    fn exhaust(turn: &Turn<'_>) {
        let mut number = 1_u64;
        while !turn.is_over() {
            number = number
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
        }
        assert_ne!(std::hint::black_box(number), 0);
    }

    #[test]
    fn turns_of_several_threads_add_up() {
        let work = Work::new(Duration::from_millis(20));
        assert!(!work.turn().is_over());
        std::thread::scope(|scope| {
            scope.spawn(|| exhaust(&work.turn()));
        });
        assert!(work.turn().is_over());
        assert!(Work::new(Duration::ZERO).turn().is_over());
    }

    #[test]
    fn waiting_is_no_work() {
        let work = Work::new(Duration::from_millis(20));
        let turn = work.turn();
        std::thread::sleep(Duration::from_millis(60));
        assert!(!turn.is_over());
    }
}
