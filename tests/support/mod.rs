//! The real binary under test: a configuration in a temporary directory, a process on a free loopback port, and its end.
//!
//! Every wait is bounded. What was started is ended by its own process id when it goes out of scope, failed test or not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test stops at the first thing that is not as it should be"
)]
#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long anything that is expected may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A configuration text: one listener, one next hop, everything else in the temporary directory.
#[derive(Debug, Clone, Default)]
pub(crate) struct Config {
    /// Lines for `[[listener]]` besides its address.
    pub(crate) listener: Vec<String>,
    /// Lines for `[limits]`.
    pub(crate) limits: Vec<String>,
    /// `[[next_hop]]` lines; none: `maildir:` in the temporary directory.
    pub(crate) next_hop: Vec<String>,
    /// Lines for `[consent]` besides its register.
    pub(crate) consent: Vec<String>,
    /// Lines for `[spool]` besides its directory.
    pub(crate) spool: Vec<String>,
    /// Text that stands before the first table: top-level keys.
    pub(crate) head: String,
    /// Text behind everything else: further tables.
    pub(crate) tail: String,
    /// A program and its arguments that becomes the relay (`exec`): what it inherits is set there.
    pub(crate) under: Vec<String>,
    /// A directory with the register and the keys to begin with; none: new ones.
    pub(crate) seed: Option<PathBuf>,
}

impl Config {
    /// The text, for a listener at `address` and files under `directory`.
    pub(crate) fn text(&self, address: &str, directory: &Path) -> String {
        let place = |name: &str| directory.join(name).display().to_string();
        let next_hop = if self.next_hop.is_empty() {
            format!("address = \"maildir:{}\"", place("outbox"))
        } else {
            self.next_hop.join("\n")
        };
        format!(
            "{}\n[[listener]]\naddress = \"{address}\"\n{}\n[[next_hop]]\n{next_hop}\n[limits]\n{}\n[consent]\nregister = \"sqlite:{}\"\n{}\n\
             [keys]\ndirectory = \"{}\"\n[spool]\ndirectory = \"{}\"\n{}\n[ledger]\ndirectory = \"{}\"\n{}\n",
            self.head,
            self.listener.join("\n"),
            self.limits.join("\n"),
            place("consent.db"),
            self.consent.join("\n"),
            place("keys"),
            place("spool"),
            self.spool.join("\n"),
            place("ledger"),
            self.tail,
        )
    }
}

/// A running `pixelgate serve`.
#[derive(Debug)]
pub(crate) struct Served {
    child: Child,
    address: SocketAddr,
    directory: TempDir,
}

impl Served {
    /// Starts it and waits until it listens.
    pub(crate) fn start(config: &Config) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        if let Some(seed) = &config.seed {
            copy_files(seed, directory.path());
        }
        // The port is free now; somebody may take it before the relay does, and then the next one is tried.
        for _ in 0..5 {
            let address = free_port();
            let text = config.text(&address.to_string(), directory.path());
            fs::write(directory.path().join("pixelgate.toml"), text).expect("the configuration");
            let mut child = spawn(config, directory.path());
            if wait_until_listening(&mut child, address) {
                return Self {
                    child,
                    address,
                    directory,
                };
            }
        }
        let log = fs::read_to_string(directory.path().join("log")).unwrap_or_default();
        panic!("serve did not listen; its log:\n{log}");
    }

    /// Starts it again over the same files, after [`Served::kill`] or [`Served::stop`]; at the same port, for mail of a
    /// listener that is gone is nobody's, or at another one where somebody took it.
    pub(crate) fn start_again(&mut self, config: &Config) {
        assert!(
            self.child.try_wait().expect("its state").is_some(),
            "still running"
        );
        for attempt in 0..5 {
            if attempt > 0 {
                self.address = free_port();
            }
            let text = config.text(&self.address.to_string(), self.directory.path());
            fs::write(self.directory.path().join("pixelgate.toml"), text)
                .expect("the configuration");
            self.child = spawn(config, self.directory.path());
            if wait_until_listening(&mut self.child, self.address) {
                return;
            }
        }
        panic!("serve did not listen again:\n{}", self.log());
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The temporary directory with its files.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// What it logged so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// The messages that the `maildir:` next hop took, in the order of their names.
    pub(crate) fn outbox(&self) -> Vec<Vec<u8>> {
        files_in(&self.directory.path().join("outbox/new"))
    }

    /// The envelopes beside them.
    pub(crate) fn envelopes(&self) -> Vec<Vec<u8>> {
        files_in(&self.directory.path().join("outbox/envelopes"))
    }

    /// Sends a signal by name (`TERM`, `INT`).
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &self.pid().to_string()])
            .status();
        assert!(sent.expect("kill").success(), "no signal to {}", self.pid());
    }

    /// Whether it ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("its state").is_some()
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("its state") {
                return status;
            }
            assert!(Instant::now() < until, "still running:\n{}", self.log());
            sleep(Duration::from_millis(10));
        }
    }

    /// SIGTERM and its end.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait()
    }

    /// SIGKILL and its end.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("SIGKILL");
        self.child.wait().expect("its end");
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The register and the keys of a relay that has ended.
fn copy_files(from: &Path, to: &Path) {
    let keys = to.join("keys");
    fs::create_dir(&keys).expect("a directory for keys");
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o700)).expect("its mode");
    for place in ["", "keys"] {
        for found in fs::read_dir(from.join(place)).expect("the seed") {
            let found = found.expect("an entry");
            let name = found.file_name().into_string().expect("a name");
            if place == "keys" || name.starts_with("consent.db") {
                fs::copy(found.path(), to.join(place).join(name)).expect("a copy");
            }
        }
    }
}

fn spawn(config: &Config, directory: &Path) -> Child {
    let log = File::create(directory.join("log")).expect("the log");
    let binary = env!("CARGO_BIN_EXE_pixelgate");
    let mut command = match config.under.split_first() {
        None => Command::new(binary),
        Some((program, arguments)) => {
            let mut command = Command::new(program);
            command.args(arguments).arg(binary);
            command
        }
    };
    command
        .args(["serve", "-c"])
        .arg(directory.join("pixelgate.toml"))
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::from(log.try_clone().expect("the log")))
        .stderr(Stdio::from(log))
        .spawn()
        .expect("the binary")
}

/// A loopback port that nobody listens on at this moment, and that no connection is given by the system: those come from 32768
/// on, and one of them would be in the way a moment later. No two callers of this process get the same.
pub(crate) fn free_port() -> SocketAddr {
    const FIRST: u32 = 10_000;
    const PORTS: u32 = 22_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    for _ in 0..PORTS {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + std::process::id().wrapping_mul(97).wrapping_add(number) % PORTS;
        let port = u16::try_from(port).expect("a port");
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)) {
            return listener.local_addr().expect("its address");
        }
    }
    panic!("no free port");
}

/// Whether it listens; `false` when it ended. Asks the kernel and opens no connection, which would count as a session.
fn wait_until_listening(child: &mut Child, address: SocketAddr) -> bool {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        if child.try_wait().expect("its state").is_some() {
            return false;
        }
        if is_listening(child.id(), address) {
            return true;
        }
        sleep(Duration::from_millis(5));
    }
    false
}

/// Whether this process, or one that it started (under strace), listens there. Somebody else may have taken the port since
/// it was free; then the relay is about to end.
fn is_listening(pid: u32, address: SocketAddr) -> bool {
    const LISTEN: &str = "0A";
    let port = format!(":{:04X}", address.port());
    let table = fs::read_to_string("/proc/net/tcp").expect("the kernel's table of sockets");
    table.lines().any(|line| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        words.get(1).is_some_and(|local| local.ends_with(&port))
            && words.get(3) == Some(&LISTEN)
            && words.get(9).is_some_and(|inode| holds(pid, inode))
    })
}

fn holds(pid: u32, inode: &str) -> bool {
    let name = format!("socket:[{inode}]");
    // A process that ends meanwhile holds nothing.
    let open = fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten();
    let own = open
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .any(|link| link.to_str() == Some(&name));
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    own || children
        .unwrap_or_default()
        .split_ascii_whitespace()
        .filter_map(|child| child.parse().ok())
        .any(|child| holds(child, inode))
}

fn files_in(directory: &Path) -> Vec<Vec<u8>> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    paths
        .iter()
        .map(|path| fs::read(path).expect("a file of the outbox"))
        .collect()
}

/// A client that sees octets, not replies.
#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
}

impl Client {
    /// Connects; the greeting is not read.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::connect_if_open(address).expect("a connection")
    }

    /// Connects, where somebody listens.
    pub(crate) fn connect_if_open(address: SocketAddr) -> Option<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
        stream.set_nodelay(true).expect("TCP_NODELAY");
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("a read timeout");
        stream
            .set_write_timeout(Some(PATIENCE))
            .expect("a write timeout");
        let reader = BufReader::new(stream.try_clone().expect("the same connection"));
        Some(Self { stream, reader })
    }

    /// Writes these octets in one write. The other side may have closed: what it said is read afterwards.
    pub(crate) fn send(&mut self, octets: &[u8]) {
        let _ = self.stream.write_all(octets);
    }

    /// The next line without its CRLF; `None` at the end of the connection.
    pub(crate) fn line(&mut self) -> Option<String> {
        let mut octets = Vec::new();
        match self.reader.read_until(b'\n', &mut octets) {
            Ok(0) => return None,
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
            Err(error) => panic!("no line: {error}"),
        }
        let line = String::from_utf8(octets).expect("replies are UTF-8");
        Some(
            line.strip_suffix("\r\n")
                .expect("replies end in CRLF")
                .to_owned(),
        )
    }

    /// All lines of the next reply, codes included.
    pub(crate) fn reply(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.line().expect("a reply, not the end");
            let last = line.as_bytes().get(3) != Some(&b'-');
            lines.push(line);
            if last {
                return lines;
            }
        }
    }

    /// Whether nothing at all arrives for this long.
    pub(crate) fn is_silent(&mut self, time: Duration) -> bool {
        self.stream
            .set_read_timeout(Some(time))
            .expect("a read timeout");
        let mut octet = [0];
        let read = self.reader.read(&mut octet);
        self.stream
            .set_read_timeout(Some(PATIENCE))
            .expect("a read timeout");
        matches!(read, Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut))
    }
}
