//! One run: what is drawn for it, its lives, its faults, its polite end.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use pixelgate::smtp::Protocol;
use pixelgate::spool::{self, Owes, State};
use tempfile::TempDir;
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinHandle;

use crate::client::Client;
use crate::clock::{Clock, Order};
use crate::dice::Dice;
use crate::model::{Counts, Model};
use crate::next_hop::{NextHop, serve};
use crate::relay::{LISTENER, Life, Setting, directory};

/// What a run came to.
pub(crate) struct Run {
    pub(crate) violations: Vec<String>,
    pub(crate) trace: Vec<String>,
    pub(crate) counts: Counts,
}

/// Directories of a spool that may be gone for a while.
const DISKS: [&str; 3] = ["prepared", "owed", "messages"];

struct World {
    seed: u64,
    dice: Dice,
    directory: TempDir,
    setting: Setting,
    clock: Arc<Clock>,
    model: Arc<Mutex<Model>>,
    hop: Arc<NextHop>,
    /// Accepting connections, while the next hop is up.
    listening: Option<JoinHandle<()>>,
    tcp: Option<std::net::SocketAddr>,
    life: Option<Life>,
    lives: usize,
    /// The directory that is gone.
    disk: Option<&'static str>,
    deadliness: u64,
    next_number: usize,
    /// Deaths that are still to come.
    strikes: Vec<JoinHandle<()>>,
}

/// Plays one seed to its end.
pub(crate) fn run(seed: u64) -> Run {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut world = World::new(seed).await;
        world.play().await;
        let mut model = world.model.lock().unwrap();
        let model = std::mem::take(&mut *model);
        Run {
            violations: model.violations,
            trace: model.trace,
            counts: model.counts,
        }
    })
}

impl World {
    async fn new(seed: u64) -> Self {
        let mut dice = Dice::of(seed, "world", &[]);
        let directory = directory();
        let (clock, model) = (Arc::new(Clock::default()), Arc::default());
        let (lmtp_in, lmtp_out) = (dice.chance(30), dice.chance(30));
        let tcp = match dice.chance(20) {
            true => Some(TcpListener::bind("127.0.0.1:0").await.unwrap()),
            false => None,
        };
        let address = match &tcp {
            Some(listener) => listener.local_addr().unwrap().to_string(),
            None => format!("unix:{}", directory.path().join("hop").display()),
        };
        let mut announce = vec!["8BITMIME", "SIZE 0"];
        announce.extend(dice.chance(70).then_some("PIPELINING"));
        announce.extend(dice.chance(50).then_some("DSN"));
        let deadliness = dice.pick(&[0, 0, 3, 10, 25]);
        let hop = Arc::new(NextHop {
            seed,
            lmtp: lmtp_out,
            announce,
            meanness: dice.pick(&[0, 3, 6, 10, 20]),
            deadliness,
            polite: AtomicBool::new(false),
            clock: Arc::clone(&clock),
            model: Arc::clone(&model),
            life: AtomicUsize::new(0),
            connections: AtomicU64::new(0),
            asked: Mutex::default(),
        });
        let spool = directory.path().join("spool");
        let setting = Setting {
            text: configuration(&mut dice, &address, lmtp_out, &spool),
            protocol: if lmtp_in {
                Protocol::Lmtp
            } else {
                Protocol::Smtp
            },
            together: dice.chance(10),
            spool,
        };
        let mut world = Self {
            seed,
            dice,
            directory,
            setting,
            clock,
            model,
            hop,
            listening: None,
            tcp: tcp.as_ref().map(|listener| listener.local_addr().unwrap()),
            life: None,
            lives: 0,
            disk: None,
            deadliness,
            next_number: 1,
            strikes: Vec::new(),
        };
        world.say(format!(
            "seed {seed}: {:?} in, lmtp out {lmtp_out}, meanness {}, deadliness {deadliness}\n{}",
            world.setting.protocol, world.hop.meanness, world.setting.text
        ));
        world.come_up(tcp);
        world
    }

    fn say(&self, text: String) {
        self.model.lock().unwrap().say(text);
    }

    /// The next hop listens.
    fn come_up(&mut self, tcp: Option<TcpListener>) {
        let hop = Arc::clone(&self.hop);
        if let Some(listener) = tcp {
            self.listening = Some(tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let _ = stream.set_nodelay(true);
                    tokio::spawn(serve(Arc::clone(&hop), stream));
                }
            }));
            return;
        }
        let path = self.directory.path().join("hop");
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).unwrap();
        self.listening = Some(tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(Arc::clone(&hop), stream));
            }
        }));
    }

    /// Up or down; what listens by TCP stays up, for its port could be somebody else's by then.
    fn turn(&mut self, up: bool) {
        if self.tcp.is_some() || up == self.listening.is_some() {
            return;
        }
        self.say(format!("next hop is up: {up}"));
        match self.listening.take() {
            Some(listening) => {
                listening.abort();
                let _ = std::fs::remove_file(self.directory.path().join("hop"));
            }
            None => self.come_up(None),
        }
    }

    async fn begin(&mut self) {
        self.hop.life.store(self.lives, Ordering::SeqCst);
        self.say(format!("life {}", self.lives));
        let life = Life::begin(&self.setting, &self.clock);
        // What it finds at its start is not taken away from under it.
        while !life.serves() {
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        self.life = Some(life);
    }

    /// Ends a life, its own way or by this order, and counts what it had in its hands.
    async fn end(&mut self, order: Order) {
        let Some(life) = self.life.take() else {
            return;
        };
        self.say(format!("{order:?} ends life {}", self.lives));
        let killed = life.is_over() || matches!(order, Order::Kill);
        self.clock.tell(order);
        while !life.is_over() {
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
        life.end();
        self.mend_disk();
        // What was in hand when it was killed is owed like the rest.
        let owed = self.owed(&[State::Owed, State::InHand]);
        let prepared = self.owed(&[State::Prepared]);
        let mut model = self.model.lock().unwrap();
        model.counts.owed += owed.len();
        model.say(format!("owed then: {owed:?}"));
        model.counts.kills += usize::from(killed);
        model.ended(self.lives, &owed, &prepared);
        drop(model);
        self.lives += 1;
    }

    /// Copies that entries in these states are about.
    fn owed(&self, states: &[State]) -> BTreeSet<(usize, String)> {
        let mut found = BTreeSet::new();
        for entry in spool::entries(&self.setting.spool).unwrap_or_default() {
            let Some(envelope) = entry.envelope.ok() else {
                let mut model = self.model.lock().unwrap();
                model.violate(format!("entry {} cannot be read", entry.id));
                continue;
            };
            let number = self
                .model
                .lock()
                .unwrap()
                .by_sender(envelope.reverse_path.as_str());
            if !states.contains(&entry.state) {
                continue;
            }
            for recipient in &envelope.recipients {
                let copy = recipient.owes == Owes::Delivery || entry.state == State::Dead;
                if let (Some(number), true) = (number, copy) {
                    found.insert((number, recipient.forward_path.as_str().to_owned()));
                }
            }
        }
        found
    }

    fn break_disk(&mut self) {
        let name = self.dice.pick(&DISKS);
        let place = self.setting.spool.join(name);
        // Not yet there, or going away with its relay at this moment.
        if std::fs::rename(&place, place.with_extension("gone")).is_ok() {
            self.say(format!("the disk fails: {name}"));
            self.disk = Some(name);
            self.spoil();
        }
    }

    fn mend_disk(&mut self) {
        if let Some(name) = self.disk.take() {
            self.spoil();
            let place = self.setting.spool.join(name);
            let gone = place.with_extension("gone");
            if gone.exists() {
                let _ = std::fs::remove_dir_all(&place);
                std::fs::rename(gone, place).unwrap();
            }
            self.say("the disk is well".to_owned());
        }
    }

    /// Whatever was ever sent may be owed now, and what became of it could not be noted.
    fn spoil(&self) {
        let mut model = self.model.lock().unwrap();
        for submission in model.submissions.values_mut() {
            submission.disk_failed = true;
        }
    }

    async fn play(&mut self) {
        self.begin().await;
        let rounds = 2 + self.dice.below(4);
        for _ in 0..rounds {
            self.round().await;
        }
        self.make_peace().await;
        self.model.lock().unwrap().check();
    }

    async fn round(&mut self) {
        if self.disk.is_some() {
            self.mend_disk();
        } else if self.dice.chance(6) {
            self.break_disk();
        }
        let up = self.listening.is_some();
        let turn = self.dice.chance(if up { 8 } else { 60 });
        if turn {
            self.turn(!up);
        }
        let sessions: Vec<_> = (0..1 + self.dice.below(3))
            .map(|_| self.connect())
            .collect();
        if self.deadliness > 0 && self.dice.chance(25) {
            self.strike_soon();
        }
        for session in sessions {
            let _ = session.await;
        }
        if self.disk.is_some() {
            self.spoil();
        }
        self.tick().await;
        if self.dice.chance(50) {
            self.hurry().await;
        }
        if self.life.as_ref().is_some_and(Life::is_over) || self.dice.chance(20) {
            let order = match self.dice.chance(70) {
                true => Order::Kill,
                false => Order::Stop,
            };
            self.end(order).await;
            if self.dice.chance(30) {
                let hours = self.dice.pick(&[1, 5, 130]);
                self.let_pass(hours);
            }
            self.begin().await;
        }
    }

    /// A client with one session.
    fn connect(&mut self) -> JoinHandle<()> {
        let (ours, theirs) = tokio::io::duplex(16 * 1024);
        self.clock.tell(Order::Session(theirs));
        let numbers: Vec<usize> = (0..1 + self.dice.below(3))
            .map(|more| self.next_number + more)
            .collect();
        self.next_number += numbers.len();
        let first = u64::try_from(numbers[0]).unwrap();
        let client = Client {
            stream: ours,
            lmtp: self.setting.protocol == Protocol::Lmtp,
            clock: Arc::clone(&self.clock),
            model: Arc::clone(&self.model),
            dice: Dice::of(self.seed, "client", &[first]),
            deadliness: self.deadliness,
            input: Vec::new(),
        };
        tokio::spawn(async move { client.run(&numbers).await })
    }

    /// Death at no step in particular, within a few milliseconds of real time.
    fn strike_soon(&mut self) {
        let after = Duration::from_micros(self.dice.next() % 8_000);
        let clock = Arc::clone(&self.clock);
        self.strikes.push(tokio::spawn(async move {
            tokio::time::sleep(after).await;
            clock.kill();
        }));
    }

    /// A few seconds, and real time for the other threads.
    async fn tick(&self) {
        for _ in 0..3 {
            self.clock.pass(1);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// What is owed is asked for, as `pixelgate spool retry` asks.
    async fn hurry(&self) {
        let requests = self.setting.spool.join("requests");
        for entry in spool::entries(&self.setting.spool).unwrap_or_default() {
            if entry.state == State::Owed {
                let _ = std::fs::write(requests.join(format!("{}.retry", entry.id)), b"");
            }
        }
        self.tick().await;
    }

    /// So many hours pass while no relay lives: every time in the spool lies so much further back.
    fn let_pass(&self, hours: i64) {
        self.say(format!("{hours} hours pass"));
        for place in ["owed", "dead"] {
            let Ok(files) = std::fs::read_dir(self.setting.spool.join(place)) else {
                continue;
            };
            for file in files {
                let path = file.unwrap().path();
                if path
                    .extension()
                    .is_some_and(|extension| extension == "json")
                {
                    earlier(&path, hours);
                }
            }
        }
    }

    /// Everybody is polite, and time passes, until nothing is owed.
    async fn make_peace(&mut self) {
        self.hop.polite.store(true, Ordering::SeqCst);
        // One that came late would end the last life, and what is owed would be owed for ever.
        for strike in self.strikes.drain(..) {
            let _ = strike.await;
        }
        self.turn(true);
        self.end(Order::Stop).await;
        let_all_room(&mut self.setting.text);
        self.let_pass(1);
        self.begin().await;
        for _ in 0..400 {
            self.tick().await;
            let waiting = self.owed_at_all();
            if waiting == 0 {
                break;
            }
            self.hurry().await;
        }
        self.end(Order::Stop).await;
        let dead = self.owed(&[State::Dead, State::Quarantine]);
        let left = self.owed_at_all();
        let files = std::fs::read_dir(self.setting.spool.join("messages"))
            .unwrap()
            .count();
        let dead_entries = spool::entries(&self.setting.spool).unwrap().len();
        let mut model = self.model.lock().unwrap();
        if left > 0 {
            model.violate(format!("{left} entries are owed for ever"));
        }
        if files != dead_entries {
            model.violate(format!("{files} messages for {dead_entries} entries"));
        }
        model.dead = dead;
    }

    fn owed_at_all(&self) -> usize {
        let entries = spool::entries(&self.setting.spool).unwrap_or_default();
        let alive = |state| !matches!(state, State::Dead | State::Quarantine);
        entries.iter().filter(|entry| alive(entry.state)).count()
    }
}

fn configuration(dice: &mut Dice, address: &str, lmtp: bool, spool: &Path) -> String {
    let protocol = if lmtp { "lmtp" } else { "smtp" };
    let down = if dice.chance(30) { "spool" } else { "tempfail" };
    let mixed = if dice.chance(10) {
        "strictest"
    } else {
        "split"
    };
    let entries = if dice.chance(10) { 2 } else { 1000 };
    let connections = dice.pick(&[2, 4, 50]);
    format!(
        "[[listener]]\naddress = \"{LISTENER}\"\n[[next_hop]]\naddress = \"{address}\"\nprotocol = \"{protocol}\"\n\
         [next_hop.limits]\nmax_connections = {connections}\n\
         [relay]\nwhen_next_hop_down = \"{down}\"\nmixed_consent = \"{mixed}\"\n[spool]\ndirectory = \"{}\"\nentries = {entries}\n\
         crashes = 100\n[[stream]]\nname = \"crumb\"\ncontroller = \"shop\"\nkind = \"marketing\"\n\
         withdrawal_link = {{ elsewhere = \"in the account\" }}\n\
         [[stream.tracker]]\nhosts = [\"a.track.example\"]\npurposes = [\"campaign_performance\"]\n\
         [[stream.tracker]]\nhosts = [\"b.track.example\"]\npurposes = [\"personalisation\"]\n",
        spool.display()
    )
}

fn let_all_room(text: &mut String) {
    *text = text.replace("entries = 2\n", "entries = 1000\n");
}

/// Puts every time in an envelope file so many hours back.
fn earlier(path: &Path, hours: i64) {
    let mut file: serde_json::Value =
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let envelope = file["envelope"].as_object_mut().unwrap();
    for key in [
        "arrived_at",
        "next_attempt_at",
        "delay_told_at",
        "retried_at",
    ] {
        if let Some(time) = envelope.get_mut(key).filter(|time| !time.is_null()) {
            let then: Timestamp = time.as_str().unwrap().parse().unwrap();
            *time = (then - SignedDuration::from_hours(hours))
                .to_string()
                .into();
        }
    }
    std::fs::write(path, serde_json::to_vec(&file).unwrap()).unwrap();
}
