//! The relay of a run: the library itself, one life in one thread with a runtime of its own whose clock stands still. To be killed
//! is to be polled no more, with the spool directory taken away at once: whatever its destructors do afterwards finds nothing,
//! as after kill -9.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::Timestamp;
use pixelgate::config;
use pixelgate::consent::{Assertion, ChangeKind, Form, Purpose};
use pixelgate::ledger::{Ledger, StartFacts};
use pixelgate::next_hop::NextHop;
use pixelgate::pixel::Rules;
use pixelgate::register::{self, Keys, Register, Row, RowEntry};
use pixelgate::relay::Relay;
use pixelgate::relay::examine::{Examiner, today};
use pixelgate::session::door::{Door, Identity};
use pixelgate::session::memory::Memory;
use pixelgate::session::{self, Peer, Shared};
use pixelgate::smtp::Protocol;
use pixelgate::spool::Spool;
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};

use crate::clock::{Clock, Order};
use crate::mail::PEOPLE;

/// What every relay of every run works with: who consented, and where decisions are written down.
#[derive(Debug)]
pub(crate) struct Stores {
    _directory: TempDir,
    ledger: Arc<Ledger>,
    register: Arc<Register>,
    keys: Arc<Keys>,
    rules: Arc<Rules>,
}

/// A directory in memory where there is one: what is tested here is order, not the disk.
pub(crate) fn directory() -> TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

impl Stores {
    pub(crate) fn shared() -> &'static Self {
        static STORES: OnceLock<Stores> = OnceLock::new();
        STORES.get_or_init(|| {
            let directory = directory();
            let keys = Arc::new(Keys::open(&directory.path().join("keys")).unwrap());
            let settings = register::Settings {
                register: format!("sqlite:{}", directory.path().join("consent.db").display()),
                lookup_timeout_ms: 60_000,
                lookup_connections: 16,
                ..register::Settings::default()
            };
            let register = Register::open(&settings, Arc::clone(&keys)).unwrap();
            for (address, consent) in PEOPLE {
                record(&register, address, consent);
            }
            let ledger = pixelgate::ledger::Settings {
                directory: directory.path().join("ledger"),
                write_timeout_ms: 60_000,
                ..Default::default()
            };
            Self {
                ledger: Ledger::open(&ledger, &StartFacts::default()).unwrap(),
                register: Arc::new(register),
                keys,
                rules: Arc::new(Rules::built_in().without(&[]).unwrap()),
                _directory: directory,
            }
        })
    }
}

fn record(register: &Register, address: &str, consent: u8) {
    let purposes = [Purpose::CampaignPerformance, Purpose::Personalisation];
    let granted: BTreeSet<Purpose> = purposes
        .into_iter()
        .enumerate()
        .filter(|(bit, _)| consent & 1 << bit != 0)
        .map(|(_, purpose)| purpose)
        .collect();
    if granted.is_empty() {
        return;
    }
    let row = Row {
        controller: "shop".into(),
        address: address.into(),
        entry: RowEntry::Change(Assertion {
            purposes: granted,
            at: Some("2026-05-02T09:14:00Z".parse().unwrap()),
            form: Form {
                channel: Some("form".into()),
                wording_version: Some("2026-04".into()),
                wording_sha256: Some([5; 32]),
                ..Form::default()
            },
            ..Assertion::new(ChangeKind::Granted)
        }),
    };
    register.record(&row, Timestamp::now()).unwrap();
}

/// How a relay is configured in a run.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    pub(crate) text: String,
    pub(crate) protocol: Protocol,
    pub(crate) together: bool,
    pub(crate) spool: PathBuf,
}

/// The name of the one listener; the configuration has it too.
pub(crate) const LISTENER: &str = "127.0.0.1:2525";

/// A relay at work.
#[derive(Debug)]
pub(crate) struct Life {
    thread: JoinHandle<()>,
    serves: Arc<AtomicBool>,
}

impl Life {
    /// Starts one. It serves whatever connects until it is told to end.
    pub(crate) fn begin(setting: &Setting, clock: &Arc<Clock>) -> Self {
        let (to, orders) = mpsc::unbounded_channel();
        clock.goes_to(to);
        let (setting, clock) = (setting.clone(), Arc::clone(clock));
        let serves = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&serves);
        let thread = std::thread::spawn(move || live(&setting, &clock, orders, &flag));
        Self { thread, serves }
    }

    /// Whether it is open for clients, or over already.
    pub(crate) fn serves(&self) -> bool {
        self.serves.load(Ordering::SeqCst) || self.is_over()
    }

    /// Whether it has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for its end.
    pub(crate) fn end(self) {
        self.thread.join().expect("the relay's thread");
    }
}

fn live(
    setting: &Setting,
    clock: &Arc<Clock>,
    orders: mpsc::UnboundedReceiver<Order>,
    serves: &AtomicBool,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    // A blocking task keeps a paused clock from running ahead whenever nothing is to be done: what a session waits for comes from
    // other threads.
    let (let_go, held) = std::sync::mpsc::channel::<()>();
    runtime.spawn_blocking(move || held.recv());
    let killed = runtime.block_on(serve(setting, clock, orders, serves));
    if killed {
        take_away(&setting.spool);
    }
    drop(let_go);
    drop(runtime);
    if killed {
        put_back(&setting.spool);
    }
}

fn taken_away(spool: &Path) -> PathBuf {
    spool.with_extension("dead")
}

fn take_away(spool: &Path) {
    std::fs::rename(spool, taken_away(spool)).unwrap();
}

fn put_back(spool: &Path) {
    // Nothing of the dead may have come to be at the old place.
    let _ = std::fs::remove_dir_all(spool);
    std::fs::rename(taken_away(spool), spool).unwrap();
}

async fn serve(
    setting: &Setting,
    clock: &Arc<Clock>,
    mut orders: mpsc::UnboundedReceiver<Order>,
    serves: &AtomicBool,
) -> bool {
    let shared = shared(setting);
    serves.store(true, Ordering::SeqCst);
    let door = Arc::new(Door {
        listener: LISTENER.to_owned(),
        protocol: setting.protocol,
        together: setting.together,
        ..Door::default()
    });
    let (_kept, doorway) = watch::channel(door);
    let (live, stopping) = (
        watch::Sender::new(Arc::clone(&shared)),
        watch::Sender::new(false),
    );
    let relays = watch::Sender::new(Arc::clone(&shared.relay));
    let owed = tokio::spawn(Relay::deliver_owed(
        relays.subscribe(),
        stopping.subscribe(),
    ));
    let next_hop = Arc::clone(&shared.relay.next_hop);
    tokio::spawn(async move { next_hop.tend().await });
    let mut sessions = tokio::task::JoinSet::new();
    while let Some(order) = orders.recv().await {
        match order {
            Order::Session(stream) => {
                let peer = Peer {
                    doorway: watch::Receiver::clone(&doorway),
                    identity: Identity {
                        local: true,
                        ..Identity::default()
                    },
                    session: session::fresh_id(),
                };
                let (live, stopping) = (live.subscribe(), stopping.subscribe());
                sessions.spawn(async move { session::run(stream, live, &peer, stopping).await });
            }
            Order::Pass(seconds) => {
                tokio::time::advance(Duration::from_secs(seconds)).await;
                clock.has_passed(seconds);
            }
            Order::Kill => return true,
            // As the server does it: what is under way gets its time, then it is cut off.
            Order::Stop => {
                stopping.send_replace(true);
                for _ in 0..100 {
                    tokio::time::advance(Duration::from_millis(300)).await;
                    if sessions.is_empty() && owed.is_finished() {
                        break;
                    }
                    while sessions.try_join_next().is_some() {}
                    let pause = || std::thread::sleep(Duration::from_micros(200));
                    let _ = tokio::task::spawn_blocking(pause).await;
                }
                sessions.shutdown().await;
                return false;
            }
        }
    }
    false
}

fn shared(setting: &Setting) -> Arc<Shared> {
    let stores = Stores::shared();
    let read = config::read(
        Path::new("simulation.toml"),
        &setting.text,
        today(Timestamp::now()),
    );
    let file = read.expect("the configuration of a run").file;
    let spool = Spool::open(&file.spool).expect("the spool opens");
    let relay = Relay {
        name: "relay.example".to_owned(),
        examiner: Examiner {
            name: "relay.example".to_owned(),
            settings: Arc::new(file.relay.clone()),
            stops: file.stops,
            streams: file.streams(),
            lawbook: file.lawbook().unwrap(),
            rules: Arc::clone(&stores.rules),
            rules_disabled: Vec::new(),
            learning: None,
            register: Arc::clone(&stores.register),
            keys: Arc::clone(&stores.keys),
        },
        next_hop: Arc::new(NextHop::in_order(file.next_hops.clone()).unwrap()),
        spool,
        ledger: Arc::clone(&stores.ledger),
        counters: Arc::default(),
        message_octets: u64::try_from(file.limits.message_octets).unwrap(),
    };
    Arc::new(Shared {
        hostname: "relay.example".to_owned(),
        memory: Memory::new(file.limits.memory_octets),
        limits: file.limits.clone(),
        spill_directory: file.spool.directory.clone(),
        counters: Arc::default(),
        relay: Arc::new(relay),
    })
}
