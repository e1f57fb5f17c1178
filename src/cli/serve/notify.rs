//! What the service manager is told (sd_notify): ready, reloading, stopping, alive.
//!
//! Where nobody listens nothing is said. A word that cannot be said is logged and no more: mail does not depend on it.

use std::time::Duration;

use sd_notify::NotifyState;

fn say(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager was not told");
    }
}

/// Listening.
pub(super) fn ready() {
    say(&[NotifyState::Ready]);
}

/// The configuration is being read.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => say(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "the service manager was not told"),
    }
}

/// Draining.
pub(super) fn stopping() {
    say(&[NotifyState::Stopping]);
}

/// Says that the runtime still turns, as often as the service manager asks for it. Runs until dropped.
pub(super) async fn keep_alive() {
    let Some(patience) = sd_notify::watchdog_enabled() else {
        return std::future::pending().await;
    };
    let every = (patience / 2).max(Duration::from_millis(100));
    loop {
        say(&[NotifyState::Watchdog]);
        tokio::time::sleep(every).await;
    }
}
