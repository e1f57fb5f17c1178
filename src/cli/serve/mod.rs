//! `pixelgate serve`: everything opened in the order in which it may fail, then served until a signal.
//!
//! What another process holds ends the start with 75, what is not there with 69, what is configured wrong with 78; nothing
//! listens before all of it stands.

mod build;
mod notify;
mod reload;
mod watched;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{timeout, timeout_at};

use self::build::Stores;
use self::reload::{Reload, Reloads, Times};
use self::watched::Watched;
use super::{Exit, Failure, log};
use crate::admin::Admin;
use crate::config::{Config, File, load};
use crate::learn::Learning;
use crate::ledger::{Ledger, LedgerError, StartFacts, StreamShadow};
use crate::relay::Relay;
use crate::relay::examine::{Examiner, today};
use crate::relay::recall::day;
use crate::server::Handed;
use crate::session::memory::Memory;
use crate::spool::{Spool, SpoolError};

/// How long the connections to the next hop may take for their QUIT, all together.
const FAREWELLS: Duration = Duration::from_secs(3);
/// Between two looks whether a next hop takes mail.
const REACH_AGAIN: Duration = Duration::from_secs(5);
/// How long the last publication of the register's heads may take.
const LAST_HEADS: Duration = Duration::from_secs(3);

pub(super) fn run(config: Option<PathBuf>) -> Result<(), Failure> {
    // Before there is a second thread: it changes the environment.
    let handed = Handed::take();
    let config = read(config)?;
    // At once: what changes from here on is read again, however long the start takes.
    let seen = reload::times([&config.file], &config.path);
    log::start(config.file.log.format, config.file.log.level.level());
    for remark in &config.remarks {
        tracing::warn!("{remark}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Unavailable, error))?;
    let result = runtime.block_on(serve(config, seen, handed));
    // Blocking work that hangs on a disk must not keep a drained process alive.
    runtime.shutdown_timeout(Duration::from_secs(5));
    result
}

/// The configuration, or exit code 78.
pub(super) fn read(path: Option<PathBuf>) -> Result<Config, Failure> {
    load(path.as_deref(), today(Timestamp::now()))
        .map_err(|error| Failure::new(Exit::Config, error))
}

/// Everything that is opened once.
fn open(file: &File) -> Result<Stores, Failure> {
    // The lock comes first: a second relay must not touch anything of ours.
    let spool = Spool::open(&file.spool).map_err(spool_failure)?;
    let ledger = Ledger::open(&file.ledger, &start_facts(file)).map_err(ledger_failure)?;
    let (keys, register) = build::register(file)?;
    let learning = build::learning(file)?;
    Ok(Stores {
        spool,
        ledger,
        register,
        keys,
        learning,
        memory: Memory::new(file.limits.memory_octets),
        counters: Arc::default(),
        sessions: Arc::default(),
    })
}

async fn serve(config: Config, seen: Times, handed: Handed) -> Result<(), Failure> {
    // Before anybody can see that we listen, and ask for a reload: a signal without a receiver ends the process.
    let hangup = signal(SignalKind::hangup());
    let Config { path, file, .. } = config;
    let stores = open(&file)?;
    let hop_files = reload::contents(&file);
    let shared = build::shared(&file, &stores, build::next_hop(&file)?)?;
    let server = build::server(&file, Arc::clone(&shared), handed).await?;
    for address in server.addresses() {
        tracing::info!(%address, "listening");
    }
    let admin = Admin::bind(&file.admin)
        .await
        .map_err(|error| Failure::new(Exit::Unavailable, error))?;
    let (relays, reloads) = (
        watch::Sender::new(Arc::clone(&shared.relay)),
        Arc::new(Reloads::default()),
    );
    // Told at the same moment as the sessions, so that nothing new is begun while they drain.
    let mut owed = tokio::spawn(Relay::deliver_owed(relays.subscribe(), server.stopping()));
    let mut heads = tokio::spawn(Relay::publish_heads(relays.subscribe(), server.stopping()));
    // A relay that a reload has replaced goes with its last transaction, and its next hop with it.
    drop(shared);
    let live = relays.subscribe();
    let watched = Arc::new(Watched {
        steering: server.steering(),
        stores: stores.clone(),
        reloads: Arc::clone(&reloads),
    });
    let beside = [
        tokio::spawn(observe(admin, watched)),
        tokio::spawn(reach(live.clone())),
        tokio::spawn(tend(live.clone())),
        tokio::spawn(remember(live.clone(), file.learn.snapshot_seconds)),
        tokio::spawn(notify::keep_alive()),
        tokio::spawn(
            Reload {
                path,
                hop_files,
                file,
                tried: None,
                stores,
                steering: server.steering(),
                relays,
                reloads,
            }
            .watch(seen, hangup),
        ),
    ];
    let mut stopping = server.stopping();
    tokio::spawn(async move {
        let _ = stopping.wait_for(|stopping| *stopping).await;
        notify::stopping();
    });
    notify::ready();
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
    for task in beside {
        task.abort();
    }
    leave(&live, &mut heads).await;
    Ok(())
}

/// What is still done when nothing goes on any more: mail does not depend on it.
async fn leave(relays: &watch::Receiver<Arc<Relay>>, heads: &mut tokio::task::JoinHandle<()>) {
    write_learned(relays).await;
    if timeout(LAST_HEADS, heads).await.is_err() {
        tracing::warn!("the heads of the register were not published once more");
    }
    let next_hop = Arc::clone(&relays.borrow().next_hop);
    if timeout(FAREWELLS, next_hop.close()).await.is_err() {
        tracing::debug!("not every connection got its QUIT");
    }
}

async fn observe(admin: Option<Admin>, watched: Arc<Watched>) {
    if let Some(admin) = admin {
        if let Some(address) = admin.address() {
            tracing::info!(%address, "admin listener");
        }
        admin.serve(watched).await;
    }
}

/// Asks the next hop before a client has to wait for it, and again while none takes mail: whoever goes by `/readyz` sends no
/// client that would find out. A relay that gives up at boot because another starts later helps nobody.
async fn reach(mut relays: watch::Receiver<Arc<Relay>>) {
    // A maildir takes mail without being asked; its directories are made all the same, and trouble with them is said at once.
    let mut is_new = true;
    loop {
        let next_hop = Arc::clone(&relays.borrow_and_update().next_hop);
        if std::mem::take(&mut is_new) || !next_hop.takes_mail() {
            tokio::select! {
                reached = next_hop.reach() => if let Err(error) = reached {
                    // What happened was logged where it happened.
                    tracing::debug!(%error, "no next hop takes mail");
                },
                changed = relays.changed() => match changed {
                    Ok(()) => {
                        is_new = true;
                        continue;
                    }
                    Err(_) => return,
                },
            }
        }
        tokio::select! {
            () = tokio::time::sleep(REACH_AGAIN) => {}
            changed = relays.changed() => match changed {
                Ok(()) => is_new = true,
                Err(_) => return,
            },
        }
    }
}

/// Writes down what was learned, now and then.
async fn remember(relays: watch::Receiver<Arc<Relay>>, seconds: u32) {
    loop {
        tokio::time::sleep(Duration::from_secs(u64::from(seconds))).await;
        write_learned(&relays).await;
    }
}

/// What cannot be written is only lost for the next start; it is tried again.
async fn write_learned(relays: &watch::Receiver<Arc<Relay>>) {
    let learning = relays.borrow().examiner.learning.clone();
    let Some(learning) = learning else {
        return;
    };
    let written = tokio::task::spawn_blocking(move || learning.write(day(Timestamp::now()))).await;
    if let Ok(Err(error)) = written {
        tracing::error!(%error, "what was learned could not be written down");
    }
}

/// Ends idle connections of whichever next hop is in force.
async fn tend(mut relays: watch::Receiver<Arc<Relay>>) {
    loop {
        let next_hop = Arc::clone(&relays.borrow_and_update().next_hop);
        tokio::select! {
            () = next_hop.tend() => {}
            changed = relays.changed() => if changed.is_err() { return; },
        }
    }
}

/// What surveys and decides, for a command that sends nothing and teaches nothing; `learning` is what it goes by.
pub(super) fn examiner(file: &File, learning: Option<Arc<Learning>>) -> Result<Examiner, Failure> {
    let (keys, register) = build::register(file)?;
    build::examiner(file, keys, register, learning)
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
