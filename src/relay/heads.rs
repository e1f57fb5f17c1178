//! The heads of the register's chains, published into the ledger every hour (DESIGN 5 "Chain").
//!
//! Whoever can rewrite the register and has its chain key can make a new chain that verifies; a head in a ledger that was
//! copied away an hour later finds it. It must never know a record. What cannot be read or written is logged and tried
//! again an hour later; mail goes on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::Relay;
use crate::ledger::RegisterHead;

/// How long the register may be rewritten unnoticed.
const EVERY: Duration = Duration::from_secs(3600);

impl Relay {
    /// Publishes every head that has moved: at once, every hour, and once more when `stop` says so.
    pub async fn publish_heads(
        relays: watch::Receiver<Arc<Self>>,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut published = BTreeMap::new();
        loop {
            // Not kept for the hour: a relay that a reload has replaced goes when its last transaction does.
            let relay = Arc::clone(&relays.borrow());
            relay.publish(&mut published).await;
            drop(relay);
            if *stop.borrow() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                _ = stop.changed() => {}
            }
        }
    }

    async fn publish(&self, published: &mut BTreeMap<String, RegisterHead>) {
        let register = Arc::clone(&self.examiner.register);
        let asked = tokio::task::spawn_blocking(move || {
            // What another process erased while mail was looked up may still stand in the log.
            if let Err(error) = register.empty_log() {
                tracing::warn!(%error, "the register's write-ahead log cannot be emptied");
            }
            register.heads()
        });
        let heads = match asked.await {
            Ok(Ok(heads)) => heads,
            Ok(Err(error)) => {
                tracing::error!(%error, "the heads of the register cannot be read");
                return;
            }
            Err(_) => return,
        };
        for head in heads {
            let line = RegisterHead {
                controller: head.controller.clone(),
                n: head.n,
                hash: head.hash,
            };
            // Number and hash: a chain that was made anew with as many records has moved, too.
            if published.get(&head.controller) == Some(&line) {
                continue;
            }
            // The ledger says in the log why it did not take a line.
            if self.ledger.head(line.clone()).await.is_ok() {
                published.insert(head.controller, line);
            }
        }
    }
}
