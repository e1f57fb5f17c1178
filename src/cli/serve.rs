//! `pixelgate serve`: everything opened in the order in which it may fail, then served until a signal.
//!
//! What another process holds ends the start with 75, what is not there with 69, what is configured wrong with 78; nothing
//! listens before all of it stands.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{timeout, timeout_at};

use super::consent::failure;
use super::{Exit, Failure, log};
use crate::config::{Config, File, load};
use crate::ledger::{Ledger, LedgerError, StartFacts, StreamShadow};
use crate::next_hop::NextHop;
use crate::pixel::Rules;
use crate::register::{Keys, Register};
use crate::relay::Relay;
use crate::relay::examine::{Examiner, today};
use crate::server::Server;
use crate::spool::{Spool, SpoolError};

/// How long the connections to the next hop may take for their QUIT, all together.
const FAREWELLS: Duration = Duration::from_secs(3);
/// How long the last publication of the register's heads may take.
const LAST_HEADS: Duration = Duration::from_secs(3);

pub(super) fn run(config: Option<PathBuf>) -> Result<(), Failure> {
    let config = read(config)?;
    log::start(config.file.log.format, config.file.log.level.level());
    for remark in &config.remarks {
        tracing::warn!("{remark}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Unavailable, error))?;
    let result = runtime.block_on(serve(config));
    // Blocking work that hangs on a disk must not keep a drained process alive.
    runtime.shutdown_timeout(Duration::from_secs(5));
    result
}

/// The configuration, or exit code 78.
pub(super) fn read(path: Option<PathBuf>) -> Result<Config, Failure> {
    load(path.as_deref(), today(Timestamp::now()))
        .map_err(|error| Failure::new(Exit::Config, error))
}

async fn serve(config: Config) -> Result<(), Failure> {
    let file = config.file;
    let spool = Spool::open(&file.spool).map_err(spool_failure)?;
    let ledger = Ledger::open(&file.ledger, &start_facts(&file)).map_err(ledger_failure)?;
    let mut next_hops = file.next_hops.clone();
    let next_hop = next_hops
        .pop()
        .ok_or_else(|| Failure::new(Exit::Config, "there is no [[next_hop]]"))?;
    let next_hop =
        Arc::new(NextHop::new(next_hop).map_err(|error| Failure::new(Exit::Config, error))?);
    let relay = Arc::new(Relay {
        name: file.server.name.clone(),
        examiner: examiner(&file)?,
        next_hop: Arc::clone(&next_hop),
        spool,
        ledger,
        message_octets: file.limits.message_octets as u64,
    });
    if let Err(error) = next_hop.reach().await {
        // Clients are told 421 until it is reached; a relay that gives up at boot because another starts later helps nobody.
        tracing::error!(%error, "the next hop is not reached yet");
    }
    let server = Server::bind(
        file.listeners,
        file.server.name,
        file.limits,
        file.server.drain_seconds,
        Arc::clone(&relay),
    )
    .await
    .map_err(|error| Failure::new(Exit::Unavailable, error))?;
    for address in server.addresses() {
        tracing::info!(%address, "listening");
    }
    // Told at the same moment as the sessions, so that nothing new is begun while they drain.
    let mut owed = tokio::spawn(Arc::clone(&relay).deliver_owed(server.stopping()));
    let mut heads = tokio::spawn(Arc::clone(&relay).publish_heads(server.stopping()));
    let tending = tokio::spawn({
        let next_hop = Arc::clone(&next_hop);
        async move { next_hop.tend().await }
    });
    let drained = server
        .run()
        .await
        .map_err(|error| Failure::new(Exit::Unavailable, error))?;
    tracing::info!(cut_short = drained.cut_short, "no more sessions");
    match timeout_at(drained.until, &mut owed).await {
        Ok(Ok(())) => {}
        Ok(Err(_)) => tracing::error!("delivery of what is owed ended in a panic"),
        // It stays owed; a dot that was sent and not answered may mean a second copy, as after any lost answer.
        Err(_) => tracing::warn!("an attempt at an owed message was cut short"),
    }
    tending.abort();
    if timeout(LAST_HEADS, &mut heads).await.is_err() {
        tracing::warn!("the heads of the register were not published once more");
    }
    if timeout(FAREWELLS, next_hop.close()).await.is_err() {
        tracing::debug!("not every connection got its QUIT");
    }
    Ok(())
}

/// What surveys and decides, with register and keys opened.
pub(super) fn examiner(file: &File) -> Result<Examiner, Failure> {
    let keys = Arc::new(
        Keys::open(&file.keys.directory).map_err(|error| Failure::new(Exit::Unavailable, error))?,
    );
    let register = Register::open(&file.consent, Arc::clone(&keys)).map_err(failure)?;
    let rules = Rules::built_in()
        .without(&file.rules.disabled)
        .map_err(|error| Failure::new(Exit::Config, error))?;
    Ok(Examiner {
        name: file.server.name.clone(),
        settings: file.relay.clone(),
        stops: file.stops,
        streams: file.streams(),
        lawbook: file
            .lawbook()
            .map_err(|error| Failure::new(Exit::Config, error))?,
        rules: Arc::new(rules),
        rules_disabled: file.rules.disabled.clone(),
        register: Arc::new(register),
        keys,
    })
}

/// What the operator has switched on, for the `start` line.
fn start_facts(file: &File) -> StartFacts {
    let today = today(Timestamp::now());
    let shadows = file.streams.iter().filter_map(|stream| {
        let shadow = stream.shadow(today)?;
        Some(StreamShadow {
            stream: stream.name.clone(),
            shadow_until: shadow.shadow_until.to_string(),
            by: shadow.by.clone(),
            share_percent: shadow.share_percent,
        })
    });
    let lawbook = file.lawbook();
    let profiles = lawbook.iter().flat_map(|lawbook| lawbook.profiles.all());
    StartFacts {
        rules_disabled: file.rules.disabled.clone(),
        profiles: profiles
            .into_iter()
            .map(|profile| profile.name.clone())
            .collect(),
        shadows: shadows.collect(),
        strip_all: file.stops.strip_all,
        hold_edits: file.stops.hold_edits,
    }
}

fn spool_failure(error: SpoolError) -> Failure {
    let exit = if matches!(error, SpoolError::Locked { .. }) {
        Exit::Again
    } else {
        Exit::Unavailable
    };
    Failure::new(exit, error)
}

fn ledger_failure(error: LedgerError) -> Failure {
    let exit = if matches!(error, LedgerError::Taken { .. }) {
        Exit::Again
    } else {
        Exit::Unavailable
    };
    Failure::new(exit, error)
}
