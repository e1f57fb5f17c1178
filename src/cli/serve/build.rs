//! From a checked configuration to what a server works with: what is opened once, and what every reload makes anew.
//!
//! Knows every module's way of being made and nothing of serving. What cannot be had is a [`Failure`] with its exit code, and
//! then nothing was made.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use crate::cli::consent::failure;
use crate::cli::{Exit, Failure, learn};
use crate::config::File;
use crate::learn::Learning;
use crate::ledger::Ledger;
use crate::next_hop::NextHop;
use crate::pixel::Rules;
use crate::register::{Keys, Register};
use crate::relay::Relay;
use crate::relay::counters::Counters;
use crate::relay::examine::Examiner;
use crate::server::{Address, Doorway, Handed, Server};
use crate::session::Shared;
use crate::session::counters::Counters as SessionCounters;
use crate::session::memory::Memory;
use crate::spool::Spool;

/// What is opened once and outlives every reload.
#[derive(Debug, Clone)]
pub(super) struct Stores {
    pub(super) spool: Arc<Spool>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) register: Arc<Register>,
    pub(super) keys: Arc<Keys>,
    pub(super) learning: Option<Arc<Learning>>,
    pub(super) memory: Memory,
    pub(super) counters: Arc<Counters>,
    pub(super) sessions: Arc<SessionCounters>,
}

/// Keys and register.
pub(super) fn register(file: &File) -> Result<(Arc<Keys>, Arc<Register>), Failure> {
    let keys = Arc::new(
        Keys::open(&file.keys.directory).map_err(|error| Failure::new(Exit::Unavailable, error))?,
    );
    let register = Register::open(&file.consent, Arc::clone(&keys)).map_err(failure)?;
    Ok((keys, Arc::new(register)))
}

/// What is learned over many messages.
pub(super) fn learning(file: &File) -> Result<Option<Arc<Learning>>, Failure> {
    if !file.learn.enabled {
        return Ok(None);
    }
    let opened = Learning::open(&file.learn, &file.keys.directory);
    opened
        .map(|table| Some(Arc::new(table)))
        .map_err(learn::failure)
}

/// What surveys and decides.
pub(super) fn examiner(
    file: &File,
    keys: Arc<Keys>,
    register: Arc<Register>,
    learning: Option<Arc<Learning>>,
) -> Result<Examiner, Failure> {
    let wrong = |error: &dyn std::fmt::Display| Failure::new(Exit::Config, error);
    let rules = Rules::built_in()
        .without(&file.rules.disabled)
        .map_err(|error| wrong(&error))?;
    Ok(Examiner {
        name: file.server.name.clone(),
        settings: Arc::new(file.relay.clone()),
        stops: file.stops,
        streams: file.streams(),
        lawbook: file.lawbook().map_err(|error| wrong(&error))?,
        rules: Arc::new(rules),
        rules_disabled: file.rules.disabled.clone(),
        register,
        keys,
        learning,
    })
}

/// What sessions share. A next hop whose settings and files are as they were is kept, with its connections.
pub(super) fn shared(
    file: &File,
    stores: &Stores,
    next_hop: Arc<NextHop>,
) -> Result<Arc<Shared>, Failure> {
    let relay = Relay {
        name: file.server.name.clone(),
        examiner: examiner(
            file,
            Arc::clone(&stores.keys),
            Arc::clone(&stores.register),
            stores.learning.clone(),
        )?,
        next_hop,
        spool: Arc::clone(&stores.spool),
        ledger: Arc::clone(&stores.ledger),
        counters: Arc::clone(&stores.counters),
        message_octets: u64::try_from(file.limits.message_octets).unwrap_or(u64::MAX),
    };
    Ok(Arc::new(Shared {
        hostname: file.server.name.clone(),
        memory: stores.memory.with_limit(file.limits.memory_octets),
        limits: file.limits.clone(),
        // Where the spool was opened, whatever the configuration says by now.
        spill_directory: stores.spool.settings().directory.clone(),
        relay: Arc::new(relay),
        counters: Arc::clone(&stores.sessions),
    }))
}

/// The way out.
pub(super) fn next_hop(file: &File) -> Result<Arc<NextHop>, Failure> {
    NextHop::in_order(file.next_hops.clone())
        .map(Arc::new)
        .map_err(|error| Failure::new(Exit::Config, error))
}

/// The listeners with their certificates and logins.
pub(super) fn doorways(file: &File) -> Result<Vec<Doorway>, Failure> {
    let certificates = file.certificates();
    let doors = file.listeners.iter().map(|listener| {
        let door = listener.door(&certificates).map_err(|error| {
            Failure::new(
                Exit::Config,
                format_args!("listener {}: {error}", listener.address),
            )
        })?;
        Ok((listener.address.clone(), Arc::new(door)))
    });
    doors.collect()
}

/// Binds what is configured, or takes what was handed over for it.
pub(super) async fn server(
    file: &File,
    shared: Arc<Shared>,
    handed: Handed,
) -> Result<Server, Failure> {
    for name in handed.names() {
        let address = Address::Systemd(name.to_owned());
        if !file
            .listeners
            .iter()
            .any(|listener| listener.address == address)
        {
            tracing::warn!(%address, "handed over by the service manager, and no [[listener]] has it");
        }
    }
    Server::bind(doorways(file)?, shared, handed, file.server.drain_seconds)
        .await
        .map_err(|error| Failure::new(Exit::Unavailable, error))
}

/// When each file changed that the running configuration rests on. A file that is not there has no time.
pub(super) fn times(path: &std::path::Path, file: &File) -> Vec<(PathBuf, Option<SystemTime>)> {
    let listeners = file.listeners.iter().flat_map(|listener| listener.files());
    let next_hops = file.next_hops.iter().flat_map(|next_hop| next_hop.files());
    // A name without either is that of a profile that comes with us.
    let profiles = file.law.profiles.iter();
    let profiles = profiles.filter(|name| name.contains('/') || name.ends_with(".toml"));
    let profiles = profiles.map(std::path::Path::new);
    [path]
        .into_iter()
        .chain(listeners)
        .chain(next_hops)
        .chain(profiles)
        .map(|file| {
            let changed = std::fs::metadata(file).and_then(|facts| facts.modified());
            (file.to_owned(), changed.ok())
        })
        .collect()
}
