//! A next hop with bad manners, SMTP or LMTP: does what a script says at each verb and records what it was given.
//!
//! Without rules it is a polite server that takes everything, over TLS and behind a login where it is given them. It listens
//! on loopback only, in threads of this process; dropping it ends them. It can *stop* at a step until told to go on, so that
//! a test can kill its client there. Rules may be for one reverse-path, so that many dialogs share one server.
#![allow(
    dead_code,
    reason = "each test file that includes this uses its own part of it"
)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code: a panic here is a failed test"
)]

use std::collections::{BTreeSet, HashMap};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

/// How often a waiting thread looks whether it must end.
const POLL: Duration = Duration::from_millis(20);
/// What one connection may send before it is ended: a test that loops must not fill memory.
const CONNECTION_OCTETS: usize = 256 * 1024 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Verb {
    /// The greeting.
    Connect,
    /// EHLO or LHLO.
    Ehlo,
    Helo,
    /// STARTTLS; a handshake follows a 220.
    Starttls,
    /// AUTH, once all that belongs to it has come.
    Auth,
    Xforward,
    Mail,
    Rcpt,
    Data,
    /// The first octets behind a 354 have come.
    Content,
    /// `CRLF . CRLF` has come. In LMTP once for each accepted forward-path, with its RCPT line as text.
    Dot,
    Rset,
    Quit,
    /// Anything else, content that came where none was asked for among it.
    Other,
}

#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Lines with their codes, without the last CRLF: `"250-a\r\n250 b"`.
    Say(String),
    /// These octets and nothing else.
    Raw(Vec<u8>),
    /// A reply, an octet at a time.
    Drip(String, Duration),
    /// One line after the other, without end.
    Endless(String),
    Stall(Duration),
    /// Waits for [`IllMannered::go_on`].
    Stop(&'static str),
    /// The message counts as taken although nothing has been said.
    Take,
    /// From now on this rule goes before all others, once.
    Arm(Box<Rule>),
    Close,
}

impl Act {
    pub(crate) fn say(text: &str) -> Self {
        Self::Say(text.to_owned())
    }
}

/// When a rule applies. What is not given matches always.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    verb: Verb,
    acts: Vec<Act>,
    connection: Option<usize>,
    sender: Option<String>,
    transactions: Option<RangeInclusive<usize>>,
    nth: Option<usize>,
    containing: Option<String>,
    times: Option<usize>,
}

impl Rule {
    /// At this verb, these acts, then, unless something was said or the connection closed, the polite reply.
    pub(crate) fn on(verb: Verb, acts: impl IntoIterator<Item = Act>) -> Self {
        Self {
            verb,
            acts: acts.into_iter().collect(),
            connection: None,
            sender: None,
            transactions: None,
            nth: None,
            containing: None,
            times: None,
        }
    }

    /// Only on this connection, counted from 1.
    pub(crate) fn connection(mut self, number: usize) -> Self {
        self.connection = Some(number);
        self
    }

    /// Only in this transaction: MAIL commands of all connections, counted from 1; with [`Rule::of`], of this reverse-path.
    pub(crate) fn transaction(self, number: usize) -> Self {
        self.transactions(number..=number)
    }

    /// Only in these.
    pub(crate) fn transactions(mut self, numbers: RangeInclusive<usize>) -> Self {
        self.transactions = Some(numbers);
        self
    }

    /// Only in transactions with this reverse-path.
    pub(crate) fn of(mut self, sender: &str) -> Self {
        self.sender = Some(sender.to_owned());
        self
    }

    /// Only the nth of this verb in its transaction, counted from 1.
    pub(crate) fn nth(mut self, number: usize) -> Self {
        self.nth = Some(number);
        self
    }

    /// Only where the command (at the dot: the accepted RCPT lines) contains this.
    pub(crate) fn containing(mut self, text: &str) -> Self {
        self.containing = Some(text.to_owned());
        self
    }

    /// At most so often.
    pub(crate) fn times(mut self, times: usize) -> Self {
        self.times = Some(times);
        self
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Script {
    lmtp: bool,
    announce: Vec<String>,
    rules: Vec<Rule>,
    tls: Option<Arc<ServerConfig>>,
    implicit: bool,
    /// Who may log in, and the password.
    login: Option<(String, String)>,
}

impl Script {
    /// Announces PIPELINING, 8BITMIME, SMTPUTF8, DSN, ENHANCEDSTATUSCODES and SIZE 0.
    pub(crate) fn smtp() -> Self {
        let announce = [
            "PIPELINING",
            "8BITMIME",
            "SMTPUTF8",
            "DSN",
            "ENHANCEDSTATUSCODES",
            "SIZE 0",
        ];
        Self {
            lmtp: false,
            announce: announce.map(str::to_owned).to_vec(),
            rules: Vec::new(),
            tls: None,
            implicit: false,
            login: None,
        }
    }

    pub(crate) fn lmtp() -> Self {
        Self {
            lmtp: true,
            ..Self::smtp()
        }
    }

    /// Announces these instead.
    pub(crate) fn announce(mut self, keywords: &[&str]) -> Self {
        self.announce = keywords.iter().map(|&k| k.to_owned()).collect();
        self
    }

    /// Announces this too.
    pub(crate) fn also(mut self, keyword: &str) -> Self {
        self.announce.push(keyword.to_owned());
        self
    }

    /// Announces STARTTLS and does it.
    pub(crate) fn starttls(self, tls: Arc<ServerConfig>) -> Self {
        Self {
            tls: Some(tls),
            ..self.also("STARTTLS")
        }
    }

    /// TLS from the first octet.
    pub(crate) fn implicit_tls(self, tls: Arc<ServerConfig>) -> Self {
        Self {
            tls: Some(tls),
            implicit: true,
            ..self
        }
    }

    /// Announces these mechanisms and lets this name in with this password.
    pub(crate) fn login(self, mechanisms: &str, user: &str, password: &str) -> Self {
        Self {
            login: Some((user.to_owned(), password.to_owned())),
            ..self.also(&format!("AUTH {mechanisms}"))
        }
    }

    /// The first rule that matches applies.
    pub(crate) fn rule(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    /// At this verb, always.
    pub(crate) fn at(self, verb: Verb, acts: impl IntoIterator<Item = Act>) -> Self {
        self.rule(Rule::on(verb, acts))
    }
}

/// A transaction that came to its dot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Transaction {
    pub(crate) connection: usize,
    pub(crate) number: usize,
    /// Whether it came under TLS.
    pub(crate) secure: bool,
    /// Who had logged in.
    pub(crate) login: Option<String>,
    /// What stood before MAIL since the last transaction.
    pub(crate) xforward: Vec<String>,
    /// The whole command.
    pub(crate) mail: String,
    /// The accepted RCPT commands, whole.
    pub(crate) rcpts: Vec<String>,
    /// The RCPT commands whose copy was taken: all or none, in LMTP each by its own reply.
    pub(crate) taken: Vec<String>,
    /// The message without its stuffing.
    pub(crate) octets: Vec<u8>,
    /// The message as it came, with its stuffing and `CRLF . CRLF`.
    pub(crate) wire: Vec<u8>,
}

#[derive(Debug, Default)]
struct Records {
    transactions: Vec<Transaction>,
    /// Connection and line of every command, and of everything read where a command was due.
    commands: Vec<(usize, String)>,
    used: HashMap<usize, usize>,
    /// Rules of [`Act::Arm`].
    armed: Vec<Rule>,
    /// MAIL commands by their reverse-path.
    by_sender: HashMap<String, usize>,
    stopped: BTreeSet<&'static str>,
    released: BTreeSet<&'static str>,
    /// Connections that the client closed without QUIT.
    left: usize,
}

#[derive(Debug)]
struct Shared {
    script: Script,
    records: Mutex<Records>,
    changed: Condvar,
    ended: AtomicBool,
    connections: AtomicUsize,
    open: AtomicUsize,
    most_open: AtomicUsize,
    transactions: AtomicUsize,
}

/// The running server.
#[derive(Debug)]
pub(crate) struct IllMannered {
    address: SocketAddr,
    shared: Arc<Shared>,
    listening: Option<JoinHandle<()>>,
}

impl IllMannered {
    pub(crate) fn start(script: Script) -> Self {
        Self::start_on("127.0.0.1:0", script)
    }

    /// On an address of the test's own choice, where no other test takes the port when this one ends.
    pub(crate) fn start_on(address: &str, script: Script) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            script,
            records: Mutex::default(),
            changed: Condvar::new(),
            ended: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            most_open: AtomicUsize::new(0),
            transactions: AtomicUsize::new(0),
        });
        let for_thread = Arc::clone(&shared);
        let listening = thread::spawn(move || listen(&listener, &for_thread));
        Self {
            address,
            shared,
            listening: Some(listening),
        }
    }

    /// `127.0.0.1:port`.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every transaction that came to its dot, taken or not.
    pub(crate) fn transactions(&self) -> Vec<Transaction> {
        self.records().transactions.clone()
    }

    /// Those with this reverse-path.
    pub(crate) fn transactions_from(&self, sender: &str) -> Vec<Transaction> {
        let records = self.records();
        let all = records.transactions.iter();
        all.filter(|transaction| reverse_path(&transaction.mail) == sender)
            .cloned()
            .collect()
    }

    /// Those of which at least one copy was taken.
    pub(crate) fn taken(&self) -> Vec<Transaction> {
        let mut all = self.transactions();
        all.retain(|transaction| !transaction.taken.is_empty());
        all
    }

    /// Every line read where a command was due.
    pub(crate) fn commands(&self) -> Vec<String> {
        let records = self.records();
        records.commands.iter().map(|(_, l)| l.clone()).collect()
    }

    /// The same, of one connection counted from 1.
    pub(crate) fn commands_on(&self, connection: usize) -> Vec<String> {
        let records = self.records();
        let lines = records.commands.iter();
        lines
            .filter(|(number, _)| *number == connection)
            .map(|(_, line)| line.clone())
            .collect()
    }

    /// How many connections were accepted.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How many were open at the same time at most.
    pub(crate) fn most_open(&self) -> usize {
        self.shared.most_open.load(Ordering::SeqCst)
    }

    /// How many are open now.
    pub(crate) fn open(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }

    /// How many the client closed without QUIT.
    pub(crate) fn left(&self) -> usize {
        self.records().left
    }

    /// Waits until a connection stands at [`Act::Stop`] of this name; false when none comes in time.
    pub(crate) fn wait_stopped(&self, name: &str, time: Duration) -> bool {
        self.wait_for(time, |records| records.stopped.contains(name))
    }

    /// Lets every connection go on that stands, or will stand, at this name.
    pub(crate) fn go_on(&self, name: &'static str) {
        self.records().released.insert(name);
        self.shared.changed.notify_all();
    }

    /// Waits until so many transactions have come to their dot; false when they do not in time.
    pub(crate) fn wait_transactions(&self, count: usize, time: Duration) -> bool {
        self.wait_for(time, |records| records.transactions.len() >= count)
    }

    /// Waits until every connection is closed; false when one is still open.
    pub(crate) fn wait_all_closed(&self, time: Duration) -> bool {
        self.wait_for(time, |_| self.open() == 0)
    }

    fn wait_for(&self, time: Duration, done: impl Fn(&Records) -> bool) -> bool {
        let end = Instant::now() + time;
        let mut records = self.records();
        while !done(&records) {
            if Instant::now() >= end {
                return false;
            }
            records = self.shared.changed.wait_timeout(records, POLL).unwrap().0;
        }
        true
    }

    fn records(&self) -> MutexGuard<'_, Records> {
        self.shared.records.lock().unwrap()
    }
}

impl Drop for IllMannered {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.shared.changed.notify_all();
        // Wakes the listening thread, which joins the others.
        let _ = TcpStream::connect(self.address);
        if let Some(listening) = self.listening.take() {
            let _ = listening.join();
        }
    }
}

fn listen(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut threads = Vec::new();
    while let Ok((stream, _)) = listener.accept() {
        if shared.ended.load(Ordering::SeqCst) {
            break;
        }
        let number = shared.connections.fetch_add(1, Ordering::SeqCst) + 1;
        let open = shared.open.fetch_add(1, Ordering::SeqCst) + 1;
        shared.most_open.fetch_max(open, Ordering::SeqCst);
        let shared = Arc::clone(shared);
        threads.push(thread::spawn(move || {
            let mut connection = Connection::new(stream, number, &shared);
            // An error here is the client gone or a rule that closes: both are what tests ask for.
            let _ = connection.serve();
            drop(connection);
            shared.open.fetch_sub(1, Ordering::SeqCst);
            shared.changed.notify_all();
        }));
    }
    for thread in threads {
        let _ = thread.join();
    }
}

/// A socket, under TLS or not.
enum Socket {
    Clear(TcpStream),
    Secure(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Read for Socket {
    fn read(&mut self, octets: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Clear(stream) => stream.read(octets),
            Self::Secure(stream) => stream.read(octets),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match self {
            Self::Clear(stream) => stream.write(octets),
            Self::Secure(stream) => stream.write(octets),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Clear(stream) => stream.flush(),
            Self::Secure(stream) => stream.flush(),
        }
    }
}

/// A MAIL that was accepted.
#[derive(Debug, Clone, Default)]
struct Begun {
    /// Among all.
    number: usize,
    /// Among those of its reverse-path.
    of_sender: usize,
    line: String,
}

struct Connection<'a> {
    stream: Socket,
    input: Vec<u8>,
    read: usize,
    number: usize,
    shared: &'a Shared,
    login: Option<String>,
    xforward: Vec<String>,
    mail: Option<Begun>,
    rcpts: Vec<String>,
    /// How often each verb came in this transaction.
    seen: HashMap<Verb, usize>,
}

impl<'a> Connection<'a> {
    fn new(stream: TcpStream, number: usize, shared: &'a Shared) -> Self {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(POLL)).unwrap();
        stream
            .set_write_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        Self {
            stream: Socket::Clear(stream),
            input: Vec::new(),
            read: 0,
            number,
            shared,
            login: None,
            xforward: Vec::new(),
            mail: None,
            rcpts: Vec::new(),
            seen: HashMap::new(),
        }
    }

    fn serve(&mut self) -> io::Result<()> {
        if self.shared.script.implicit {
            self.handshake()?;
        }
        self.answer(Verb::Connect, "", "220 ill-mannered ready")?;
        loop {
            let line = self.line()?;
            let text = String::from_utf8(line)
                .unwrap_or_else(|error| error.into_bytes().escape_ascii().to_string());
            self.shared
                .records
                .lock()
                .unwrap()
                .commands
                .push((self.number, text.clone()));
            self.command(&text)?;
        }
    }

    fn command(&mut self, line: &str) -> io::Result<()> {
        let word = line.split(' ').next().unwrap_or_default();
        match word.to_ascii_uppercase().as_str() {
            "EHLO" | "LHLO" => {
                let mut lines = vec!["ill-mannered".to_owned()];
                lines.extend(self.shared.script.announce.iter().cloned());
                // The last line alone has a blank behind its code.
                let last = lines.pop().unwrap_or_default();
                let before: String = lines.iter().map(|l| format!("250-{l}\r\n")).collect();
                let reply = format!("{before}250 {last}");
                self.answer(Verb::Ehlo, line, &reply)?;
            }
            "HELO" => drop(self.answer(Verb::Helo, line, "250 ill-mannered")?),
            "STARTTLS" => {
                let polite = match self.shared.script.tls {
                    Some(_) => "220 2.0.0 go on",
                    None => "502 5.5.1 no TLS here",
                };
                if self.answer(Verb::Starttls, line, polite)? == 220 {
                    self.handshake()?;
                }
            }
            "AUTH" => self.auth(line)?,
            "XFORWARD" => {
                self.xforward.push(line.to_owned());
                self.answer(Verb::Xforward, line, "250 2.0.0 ok")?;
            }
            "MAIL" => self.mail(line)?,
            "RCPT" => {
                let polite = match self.mail {
                    Some(_) => "250 2.1.5 ok",
                    None => "503 5.5.1 MAIL first",
                };
                if self.answer(Verb::Rcpt, line, polite)? / 100 == 2 {
                    self.rcpts.push(line.to_owned());
                }
            }
            "DATA" => {
                let polite = match self.rcpts.is_empty() {
                    true => "554 5.5.1 no valid recipients",
                    false => "354 go on",
                };
                if self.answer(Verb::Data, line, polite)? == 354 {
                    self.content()?;
                }
            }
            "RSET" => {
                self.forget();
                self.answer(Verb::Rset, line, "250 2.0.0 forgotten")?;
            }
            "NOOP" => drop(self.answer(Verb::Other, line, "250 2.0.0 ok")?),
            "QUIT" => {
                self.answer(Verb::Quit, line, "221 2.0.0 bye")?;
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            _ => drop(self.answer(Verb::Other, line, "500 5.5.2 what?")?),
        }
        Ok(())
    }

    /// TLS from the next octet on; nothing that was said before it counts.
    fn handshake(&mut self) -> io::Result<()> {
        let Some(tls) = self.shared.script.tls.clone() else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        let Socket::Clear(stream) = &self.stream else {
            return Err(io::ErrorKind::AlreadyExists.into());
        };
        let mut stream = stream.try_clone()?;
        let mut session = ServerConnection::new(tls).map_err(io::Error::other)?;
        while session.is_handshaking() {
            self.check_ended()?;
            match session.complete_io(&mut stream) {
                Err(error) if !is_early(&error) => return Err(error),
                Ok(_) | Err(_) => {}
            }
        }
        self.stream = Socket::Secure(Box::new(StreamOwned::new(session, stream)));
        self.forget();
        Ok(())
    }

    fn auth(&mut self, line: &str) -> io::Result<()> {
        let Some((user, password)) = self.shared.script.login.clone() else {
            return self.say("502 5.5.1 no AUTH here");
        };
        let words: Vec<&str> = line.split(' ').collect();
        let given = match words[1..] {
            ["PLAIN", initial] => STANDARD.decode(initial).unwrap_or_default(),
            ["LOGIN"] => {
                let mut given = Vec::new();
                for question in ["Username:", "Password:"] {
                    self.say(&format!("334 {}", STANDARD.encode(question)))?;
                    let answer = self.line()?;
                    given.push(0);
                    given.extend(STANDARD.decode(answer).unwrap_or_default());
                }
                given
            }
            _ => return self.say("504 5.5.4 no such mechanism"),
        };
        let polite = match given == format!("\0{user}\0{password}").into_bytes() {
            true => "235 2.7.0 welcome",
            false => "535 5.7.8 no",
        };
        if self.answer(Verb::Auth, line, polite)? == 235 {
            self.login = Some(user);
        }
        Ok(())
    }

    fn mail(&mut self, line: &str) -> io::Result<()> {
        if self.mail.is_some() {
            return self.say("503 5.5.1 nested MAIL");
        }
        let number = self.shared.transactions.fetch_add(1, Ordering::SeqCst) + 1;
        let of_sender = {
            let mut records = self.shared.records.lock().unwrap();
            let count = records
                .by_sender
                .entry(reverse_path(line).to_owned())
                .or_default();
            *count += 1;
            *count
        };
        self.seen.clear();
        self.mail = Some(Begun {
            number,
            of_sender,
            line: line.to_owned(),
        });
        if self.answer(Verb::Mail, line, "250 2.1.0 ok")? / 100 != 2 {
            self.mail = None;
        }
        Ok(())
    }

    fn forget(&mut self) {
        self.mail = None;
        self.rcpts.clear();
        self.xforward.clear();
    }

    fn content(&mut self) -> io::Result<()> {
        let rcpts = self.rcpts.join("\n");
        self.more()?;
        self.perform(Verb::Content, &rcpts)?;
        let (wire, octets) = self.message()?;
        let begun = self.mail.clone().unwrap_or_default();
        // Recorded before it is answered: who has read the answer finds the record.
        let index = {
            let mut records = self.shared.records.lock().unwrap();
            records.transactions.push(Transaction {
                connection: self.number,
                number: begun.number,
                secure: matches!(self.stream, Socket::Secure(_)),
                login: self.login.clone(),
                xforward: self.xforward.clone(),
                mail: begun.line,
                rcpts: self.rcpts.clone(),
                taken: Vec::new(),
                octets,
                wire,
            });
            records.transactions.len() - 1
        };
        self.shared.changed.notify_all();
        let all = std::mem::take(&mut self.rcpts);
        let answered = match self.shared.script.lmtp {
            true => all
                .iter()
                .try_for_each(|rcpt| self.dot(index, rcpt, std::slice::from_ref(rcpt))),
            false => self.dot(index, &rcpts, &all),
        };
        self.forget();
        answered
    }

    /// One reply behind the dot, for these forward-paths.
    fn dot(&mut self, index: usize, text: &str, rcpts: &[String]) -> io::Result<()> {
        let acts = self.acts(Verb::Dot, text);
        let took = acts.iter().any(|act| match act {
            Act::Take => true,
            Act::Say(said) | Act::Drip(said, _) => said.starts_with('2'),
            Act::Raw(octets) => octets.starts_with(b"2"),
            _ => false,
        });
        if took || !acts.iter().any(says) {
            let mut records = self.shared.records.lock().unwrap();
            records.transactions[index].taken.extend_from_slice(rcpts);
        }
        match self.play(&acts)? {
            Some(_) => Ok(()),
            None => self.say("250 2.0.0 taken"),
        }
    }

    /// Plays the rule for this verb, or says the polite reply; the code of what was said.
    fn answer(&mut self, verb: Verb, text: &str, polite: &str) -> io::Result<u16> {
        match self.perform(verb, text)? {
            Some(code) => Ok(code),
            None => {
                self.say(polite)?;
                Ok(code(polite.as_bytes()))
            }
        }
    }

    fn perform(&mut self, verb: Verb, text: &str) -> io::Result<Option<u16>> {
        let acts = self.acts(verb, text);
        self.play(&acts)
    }

    /// The acts of the first rule that matches, counting its use.
    fn acts(&mut self, verb: Verb, text: &str) -> Vec<Act> {
        let seen = self.seen.entry(verb).or_default();
        *seen += 1;
        let nth = *seen;
        let mut records = self.shared.records.lock().unwrap();
        let armed = records.armed.iter();
        let mut armed = armed.map(|rule| self.matches(rule, verb, text, nth));
        if let Some(at) = armed.position(|matches| matches) {
            return records.armed.remove(at).acts;
        }
        for (index, rule) in self.shared.script.rules.iter().enumerate() {
            let used = records.used.entry(index).or_default();
            let left = rule.times.is_none_or(|times| *used < times);
            if left && self.matches(rule, verb, text, nth) {
                *used += 1;
                return rule.acts.clone();
            }
        }
        Vec::new()
    }

    /// Whether a rule applies to this verb, its times aside.
    fn matches(&self, rule: &Rule, verb: Verb, text: &str, nth: usize) -> bool {
        let begun = self.mail.as_ref();
        let number = |begun: &Begun| match rule.sender {
            Some(_) => begun.of_sender,
            None => begun.number,
        };
        rule.verb == verb
            && rule.connection.is_none_or(|number| number == self.number)
            && rule
                .sender
                .as_ref()
                .is_none_or(|sender| begun.is_some_and(|b| reverse_path(&b.line) == sender))
            && rule
                .transactions
                .as_ref()
                .is_none_or(|numbers| begun.is_some_and(|b| numbers.contains(&number(b))))
            && rule.nth.is_none_or(|number| number == nth)
            && rule.containing.as_ref().is_none_or(|c| text.contains(c))
    }

    fn play(&mut self, acts: &[Act]) -> io::Result<Option<u16>> {
        let mut said = None;
        for act in acts {
            match act {
                Act::Say(text) => {
                    self.say(text)?;
                    said.get_or_insert(code(text.as_bytes()));
                }
                Act::Raw(octets) => {
                    self.stream.write_all(octets)?;
                    said.get_or_insert(code(octets));
                }
                Act::Drip(text, gap) => {
                    for octet in format!("{text}\r\n").bytes() {
                        self.stream.write_all(&[octet])?;
                        self.wait(*gap)?;
                    }
                    said.get_or_insert(code(text.as_bytes()));
                }
                Act::Endless(line) => loop {
                    self.stream.write_all(format!("{line}\r\n").as_bytes())?;
                    self.wait(Duration::ZERO)?;
                },
                Act::Stall(time) => self.wait(*time)?,
                Act::Stop(name) => self.stop(name)?,
                Act::Take => {}
                Act::Arm(rule) => {
                    let mut records = self.shared.records.lock().unwrap();
                    records.armed.push((**rule).clone());
                }
                Act::Close => return Err(io::ErrorKind::ConnectionAborted.into()),
            }
        }
        Ok(said)
    }

    fn stop(&self, name: &'static str) -> io::Result<()> {
        let mut records = self.shared.records.lock().unwrap();
        records.stopped.insert(name);
        self.shared.changed.notify_all();
        while !records.released.contains(name) {
            self.check_ended()?;
            records = self.shared.changed.wait_timeout(records, POLL).unwrap().0;
        }
        Ok(())
    }

    fn wait(&self, time: Duration) -> io::Result<()> {
        let end = Instant::now() + time;
        loop {
            self.check_ended()?;
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            thread::sleep(left.min(POLL));
        }
    }

    fn check_ended(&self) -> io::Result<()> {
        match self.shared.ended.load(Ordering::SeqCst) {
            true => Err(io::ErrorKind::ConnectionAborted.into()),
            false => Ok(()),
        }
    }

    fn say(&mut self, text: &str) -> io::Result<()> {
        self.stream.write_all(format!("{text}\r\n").as_bytes())
    }

    /// Reads on until there is something to read.
    fn more(&mut self) -> io::Result<()> {
        while self.input.is_empty() {
            self.fill()?;
        }
        Ok(())
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut octets = [0; 16 * 1024];
        loop {
            self.check_ended()?;
            match self.stream.read(&mut octets) {
                Ok(0) => {
                    self.shared.records.lock().unwrap().left += 1;
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                Ok(count) => {
                    self.read += count;
                    assert!(self.read < CONNECTION_OCTETS, "endless client");
                    self.input.extend_from_slice(&octets[..count]);
                    return Ok(());
                }
                Err(error) if is_early(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn line(&mut self) -> io::Result<Vec<u8>> {
        let mut searched = 0;
        loop {
            if let Some(at) = find(&self.input[searched..], b"\r\n") {
                let end = searched + at;
                let line = self.input[..end].to_vec();
                self.input.drain(..end + 2);
                return Ok(line);
            }
            searched = self.input.len().saturating_sub(1);
            self.fill()?;
        }
    }

    /// The message as it came and without its stuffing.
    fn message(&mut self) -> io::Result<(Vec<u8>, Vec<u8>)> {
        let mut wire = Vec::new();
        let mut octets = Vec::new();
        loop {
            let line = self.line()?;
            wire.extend_from_slice(&line);
            wire.extend_from_slice(b"\r\n");
            if line == b"." {
                return Ok((wire, octets));
            }
            octets.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
            octets.extend_from_slice(b"\r\n");
        }
    }
}

fn says(act: &Act) -> bool {
    !matches!(act, Act::Stall(_) | Act::Stop(_) | Act::Arm(_))
}

/// Nothing has come yet.
fn is_early(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), WouldBlock | TimedOut | Interrupted)
}

/// What stands between the brackets of MAIL.
fn reverse_path(mail: &str) -> &str {
    let from = mail.find('<').map_or(0, |at| at + 1);
    let to = mail.find('>').unwrap_or(mail.len());
    mail.get(from..to).unwrap_or_default()
}

fn find(octets: &[u8], needle: &[u8]) -> Option<usize> {
    octets
        .windows(needle.len())
        .position(|window| window == needle)
}

/// The code at the start of a reply, 0 where there is none.
fn code(reply: &[u8]) -> u16 {
    reply
        .get(..3)
        .and_then(|digits| std::str::from_utf8(digits).ok())
        .and_then(|digits| digits.parse().ok())
        .unwrap_or(0)
}
