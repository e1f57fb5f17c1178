//! Another configuration for a running relay: at SIGHUP, and when a file it rests on has changed.
//!
//! Read, checked and built whole, then put in place at once; what is wrong changes nothing and is said once. It must never
//! touch a session: each takes up the new value with its next MAIL. What can only be read at the start is named and stays.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use ring::digest::{SHA256, digest};
use tokio::signal::unix::Signal;
use tokio::sync::watch;

use super::build::{self, Stores};
use super::{Failure, start_facts};
use crate::config::File;
use crate::next_hop::NextHop;
use crate::relay::Relay;
use crate::server::Steering;

/// How often the files are looked at.
const EVERY: Duration = Duration::from_secs(5);
/// Between two looks at the connections of a next hop that was replaced.
const RETIRING: Duration = Duration::from_secs(1);

/// Files, and when they changed; one that is not there has no time.
pub(super) type Times = BTreeMap<PathBuf, Option<SystemTime>>;

/// What a file holds, as a digest; `None` where it cannot be read.
pub(super) type Contents = (PathBuf, Option<[u8; 32]>);

/// How often it went well, and how often not.
#[derive(Debug, Default)]
pub(super) struct Reloads {
    pub(super) done: AtomicU64,
    pub(super) failed: AtomicU64,
}

/// A running relay and its configuration.
pub(super) struct Reload {
    pub(super) path: PathBuf,
    /// In force.
    pub(super) file: File,
    /// Read since then, and not in force: something that it names is missing or wrong.
    pub(super) tried: Option<File>,
    /// What stands in the files of the next hops in force.
    pub(super) hop_files: Vec<Contents>,
    pub(super) stores: Stores,
    pub(super) steering: Steering,
    pub(super) relays: watch::Sender<Arc<Relay>>,
    pub(super) reloads: Arc<Reloads>,
}

impl Reload {
    /// Watches until dropped.
    pub(super) async fn watch(mut self, mut seen: Times, hangup: io::Result<Signal>) {
        let mut hangup = match hangup {
            Ok(hangup) => hangup,
            Err(error) => {
                tracing::error!(%error, "SIGHUP cannot be received: files are only looked at every 5 s");
                return self.poll(seen).await;
            }
        };
        loop {
            tokio::select! {
                _ = hangup.recv() => {
                    tracing::info!("SIGHUP: reading the configuration");
                    super::notify::reloading();
                    // Before it is read: what changes while it is read is read again.
                    seen = self.times();
                    self.once().await;
                    let mut watched = self.times();
                    watched.extend(seen);
                    seen = watched;
                    super::notify::ready();
                }
                () = tokio::time::sleep(EVERY) => seen = self.look(seen).await,
            }
        }
    }

    async fn poll(&mut self, mut seen: Times) {
        loop {
            tokio::time::sleep(EVERY).await;
            seen = self.look(seen).await;
        }
    }

    /// Reads again when a file is another than before.
    async fn look(&mut self, seen: Times) -> Times {
        let now = self.times();
        let changed = |(file, time): (&PathBuf, &Option<SystemTime>)| {
            seen.get(file).is_some_and(|before| before != time)
        };
        if !now.iter().any(changed) {
            return now;
        }
        tracing::info!("a file of the configuration has changed");
        self.once().await;
        // What changed while it was read is read again: the times from before count. Other files may be watched by now.
        let mut times = self.times();
        for (file, time) in &mut times {
            if let Some(before) = now.get(file) {
                *time = *before;
            }
        }
        times
    }

    /// When each file changed that the configuration in force rests on, or the one that was tried since.
    fn times(&self) -> Times {
        times([&self.file].into_iter().chain(&self.tried), &self.path)
    }

    async fn once(&mut self) {
        match self.replace().await {
            Ok(()) => {
                self.reloads.done.fetch_add(1, Ordering::Relaxed);
                tracing::info!(file = %self.path.display(), "the configuration is in force");
            }
            Err(failure) => {
                self.reloads.failed.fetch_add(1, Ordering::Relaxed);
                tracing::error!(file = %self.path.display(), error = %failure.message, "not reloaded: the relay goes on as before");
            }
        }
    }

    async fn replace(&mut self) -> Result<(), Failure> {
        let config = super::read(Some(self.path.clone()))?;
        self.tried = Some(config.file.clone());
        let old = self.steering.shared();
        // Before they are read to build one: what changes meanwhile is another file at the next look.
        let hop_files = contents(&config.file);
        let kept = self.file.next_hops == config.file.next_hops && self.hop_files == hop_files;
        let next_hop = match kept {
            true => Arc::clone(&old.relay.next_hop),
            false => build::next_hop(&config.file)?,
        };
        let shared = build::shared(&config.file, &self.stores, next_hop)?;
        let doorways = build::doorways(&config.file)?;
        self.steering
            .replace(doorways, Arc::clone(&shared))
            .await
            .map_err(|error| Failure::new(crate::cli::Exit::Unavailable, error))?;
        self.relays.send_replace(Arc::clone(&shared.relay));
        if !kept {
            tokio::spawn(retire(Arc::clone(&old.relay.next_hop)));
        }
        for remark in &config.remarks {
            tracing::warn!("{remark}");
        }
        for what in only_at_start(&self.file, &config.file) {
            tracing::warn!("{what} is read at the start only: restart to change it");
        }
        if let Err(error) = self.stores.ledger.changed(start_facts(&config.file)).await {
            tracing::error!(%error, "the ledger did not take the line about the new configuration");
        }
        self.file = config.file;
        self.hop_files = hop_files;
        self.tried = None;
        Ok(())
    }
}

/// What stands in the files of the next hops. A next hop that stays as it is keeps its connections and what is known of its
/// health, so it is exchanged only when one of these, or its settings, are others.
pub(super) fn contents(file: &File) -> Vec<Contents> {
    let files = file.next_hops.iter().flat_map(|next_hop| next_hop.files());
    let known = files.map(|path| {
        let octets = std::fs::read(path).ok();
        let digest = octets.and_then(|octets| digest(&SHA256, &octets).as_ref().try_into().ok());
        (path.to_owned(), digest)
    });
    known.collect()
}

/// When each file changed that these configurations rest on.
pub(super) fn times<'a>(files: impl IntoIterator<Item = &'a File>, path: &Path) -> Times {
    let files = files.into_iter();
    files.flat_map(|file| build::times(path, file)).collect()
}

/// Ends a next hop that another one has replaced. Transactions that are under way keep it, and give their connections back to
/// it: those end as they come, until nobody has it any more.
async fn retire(next_hop: Arc<NextHop>) {
    loop {
        next_hop.close().await;
        if Arc::strong_count(&next_hop) == 1 {
            return;
        }
        tokio::time::sleep(RETIRING).await;
    }
}

/// What differs and cannot be changed now.
fn only_at_start(old: &File, new: &File) -> Vec<&'static str> {
    [
        ("[spool]", old.spool != new.spool),
        ("[ledger]", old.ledger != new.ledger),
        ("[consent]", old.consent != new.consent),
        ("[keys]", old.keys != new.keys),
        ("[learn]", old.learn != new.learn),
        ("[log]", old.log != new.log),
        ("[admin]", old.admin != new.admin),
        (
            "server.drain_seconds",
            old.server.drain_seconds != new.server.drain_seconds,
        ),
    ]
    .into_iter()
    .filter_map(|(what, differs)| differs.then_some(what))
    .collect()
}
