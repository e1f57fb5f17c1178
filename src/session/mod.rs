//! One connection of a client, from greeting to close: reads lines, asks the dialog what they mean, asks the relay, answers.
//!
//! It knows the order of reading, writing and waiting. It must never know consent, HTML or the next hop's address.
//! A client that goes away, stalls or breaks a bound ends its own session only; an open transaction is abandoned and
//! nothing of it is forwarded. Once the relay has a whole message, the session waits for its answer whatever happens.

mod body;
mod chunks;
pub mod counters;
pub mod dialog;
pub mod door;
pub mod limits;
mod login;
pub mod logins;
pub mod memory;
pub mod stream;
mod transaction;
pub mod wire;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use self::chunks::Chunks;
use self::counters::Counters;
use self::dialog::{Bounds, Dialog, Step};
use self::door::{Door, Identity, TlsMode};
pub use self::limits::{LimitError, Limits};
use self::memory::Memory;
use self::wire::{Line, Lost, Wire, WireError};
use crate::relay::{Open, Relay};
use crate::smtp::command::Command;
use crate::smtp::replies;
use crate::smtp::reply::Reply;
use crate::smtp::transaction::{Mail, Rcpt};
use crate::smtp::xforward::Xforward;

/// RCPTs handed to the relay at once, so that their answers do not wait for all of a long list.
const RCPT_GROUP: usize = 100;

/// What all sessions share.
#[derive(Debug)]
pub struct Shared {
    /// Our name in greeting and EHLO.
    pub hostname: String,
    /// What one client may take.
    pub limits: Limits,
    /// Room for mail in memory.
    pub memory: Memory,
    /// Where a message that is being read goes on when memory is full.
    pub spill_directory: PathBuf,
    /// Where messages go.
    pub relay: Arc<Relay>,
    /// What clients did and were told; the same over every reload.
    pub counters: Arc<Counters>,
}

/// What sessions share as it stands now: another value after every reload, which a session takes up with its next MAIL.
pub type Live = watch::Receiver<Arc<Shared>>;

/// Who connected, and where.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The listener, as it stands now: after a reload it may be another.
    pub doorway: watch::Receiver<Arc<Door>>,
    /// Who it is, before it has said anything.
    pub identity: Identity,
    /// Our id of this session.
    pub session: String,
}

/// An id for a new session: unlike any other of this process, and unlike those of earlier ones unless the clock went back.
pub fn fresh_id() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let started = jiff::Timestamp::now().as_millisecond();
    format!("{started:x}.{count:x}")
}

/// Whether the loop goes on.
enum Flow {
    /// Read the next command.
    GoOn,
    /// Write what is gathered and close.
    Close,
}

/// One connection at work.
struct Session<'a, S> {
    live: Live,
    shared: Arc<Shared>,
    peer: &'a Peer,
    /// The listener, as it stood at the last MAIL.
    door: Arc<Door>,
    /// What is believed of the client by now.
    identity: Identity,
    auth_failures: usize,
    wire: Wire<S>,
    dialog: Dialog,
    xforward: Xforward,
    open: Option<Open>,
    /// RCPTs that stand together in the input and are asked for at once.
    group: Vec<Rcpt>,
    /// The message as far as it came in chunks.
    chunks: Option<Chunks>,
    stopping: watch::Receiver<bool>,
}

/// Serves one connection to its end. `stopping` turns true when no new transaction may begin.
pub async fn run<S>(stream: S, live: Live, peer: &Peer, stopping: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let shared = Arc::clone(&live.borrow());
    let door = Arc::clone(&peer.doorway.borrow());
    let limits = &shared.limits;
    shared.counters.session();
    let wire = Wire::new(stream, limits.command_line_octets, limits.write_timeout());
    let mut session = Session {
        wire: wire.counting(Arc::clone(&shared.counters)),
        dialog: Dialog::new(bounds(door.protocol, limits)),
        shared: Arc::clone(&shared),
        live,
        peer,
        door,
        identity: peer.identity.clone(),
        auth_failures: 0,
        xforward: Xforward::default(),
        open: None,
        group: Vec::new(),
        chunks: None,
        stopping,
    };
    tracing::debug!(session = peer.session, listener = session.door.listener, client = ?peer.identity.ip(), "session begins");
    let ended = session.serve().await;
    if let Some(open) = session.open.take() {
        open.abandon().await;
    }
    let closed = match ended {
        Ok(()) => session.wire.close().await,
        Err(error) => Err(error),
    };
    match closed {
        Ok(()) => tracing::debug!(session = peer.session, "session ends"),
        Err(reason) => {
            if let Some(word) = reason.as_str() {
                shared.counters.broken_off(word);
            }
            tracing::debug!(session = peer.session, %reason, "session ends");
        }
    }
}

/// What `[limits]` says of a dialog.
fn bounds(protocol: crate::smtp::Protocol, limits: &Limits) -> Bounds {
    Bounds {
        protocol,
        recipients: limits.recipients,
        bad_commands: limits.bad_commands,
        idle_commands: limits.idle_commands,
    }
}

/// Says why a client is not served and closes.
pub async fn turn_away<S>(stream: S, live: &Live, reply: &Reply)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let limits = live.borrow().limits.clone();
    let mut wire = Wire::new(stream, limits.command_line_octets, limits.write_timeout());
    wire.say(reply);
    // It is sent away; whether it reads why is its own matter.
    let _ = wire.close().await;
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<'_, S> {
    async fn serve(&mut self) -> Result<(), WireError> {
        if self.tls_mode() == Some(TlsMode::Implicit) {
            self.handshake().await?;
        }
        if let Err(reply) = self.admit().await {
            return self.dismiss(&reply);
        }
        self.greet();
        let mut patience = (
            "greeting_timeout_seconds",
            self.shared.limits.greeting_timeout_seconds,
        );
        loop {
            let line = match self.next_line(patience).await? {
                Ok(line) => line,
                Err(reply) => return self.dismiss(&reply),
            };
            patience = (
                "command_timeout_seconds",
                self.shared.limits.command_timeout_seconds,
            );
            match self.obey(line).await? {
                Flow::GoOn => {}
                Flow::Close => return Ok(()),
            }
        }
    }

    /// Whether this client is served at all. A relay has nothing for strangers, so they are told at the greeting, before
    /// they cost anything; unless they may log in, or speak for somebody else, and then at MAIL.
    async fn admit(&self) -> Result<(), Reply> {
        if !self.door.greets(&self.peer.identity, &self.identity) {
            return Err(replies::not_trusted());
        }
        self.shared.relay.ready().await
    }

    fn greet(&mut self) {
        self.allow();
        let hostname = &self.shared.hostname;
        let greeting = replies::greeting(hostname, self.door.protocol);
        self.wire.say(&greeting);
    }

    /// Tells the dialog what the client may do, after anything that changes it.
    fn allow(&mut self) {
        let leave = self.door.leave(&self.peer.identity, &self.identity);
        self.dialog.allow(leave);
    }

    /// The last reply of a session that we end.
    fn dismiss(&mut self, reply: &Reply) -> Result<(), WireError> {
        tracing::info!(session = self.peer.session, client = ?self.identity.ip(), reply = %reply.text(), code = reply.code(), "client sent away");
        self.shared.counters.sent_away(reply);
        self.wire.say(reply);
        Ok(())
    }

    /// The next line, waited for within `patience`; or the reply with which the session ends instead. While it waits,
    /// everything gathered is asked and written (RFC 2920 3.2), and a connection held upstream is given back in time.
    async fn next_line(
        &mut self,
        (limit, seconds): (&str, u64),
    ) -> Result<Result<Line, Reply>, WireError> {
        if let Some(line) = self.wire.line() {
            return Ok(Ok(line));
        }
        self.ask_group().await;
        self.wire.flush().await?;
        let deadline = Instant::now() + Duration::from_secs(seconds);
        loop {
            tokio::select! {
                filled = self.wire.fill() => filled?,
                () = sleep_until(deadline) => return Ok(Err(replies::timed_out(limit, seconds))),
                () = is_due_back(self.open.as_ref()) => self.release().await,
                () = stopped(&mut self.stopping), if self.open.is_none() => return Ok(Err(replies::stopping())),
            }
            if let Some(line) = self.wire.line() {
                return Ok(Ok(line));
            }
        }
    }

    async fn release(&mut self) {
        if let Some(open) = &mut self.open {
            tracing::debug!(
                session = self.peer.session,
                "waiting for the client: next hop's connection given back"
            );
            open.release().await;
        }
    }

    async fn obey(&mut self, line: Line) -> Result<Flow, WireError> {
        let limits = self.shared.limits.clone();
        let mut names_recipient = false;
        let command = match line {
            Line::Whole(octets) => {
                let verb = octets.get(..4).unwrap_or_default();
                names_recipient = verb.eq_ignore_ascii_case(b"RCPT");
                Command::parse(&octets)
            }
            // What follows a BDAT is content, however the line was meant.
            Line::TooLong(verb) if verb.eq_ignore_ascii_case(b"BDAT") => Ok(Command::BadBdat),
            Line::TooLong(verb) => {
                names_recipient = verb.eq_ignore_ascii_case(b"RCPT");
                Err(replies::command_too_long(limits.command_line_octets))
            }
            Line::Lost(lost) => {
                self.ask_group().await;
                self.dismiss(&match lost {
                    Lost::BareLineEnd => replies::bare_line_end_in_command(),
                    Lost::Endless => replies::command_too_long(limits.command_line_octets),
                })?;
                return Ok(Flow::Close);
            }
        };
        let joins = matches!(command, Ok(Command::Rcpt(_)));
        if !joins || self.group.len() >= RCPT_GROUP.min(self.dialog.room()) {
            self.ask_group().await;
        }
        let flow = self.act(command, names_recipient).await?;
        if self.wire.is_full() {
            self.wire.flush().await?;
        }
        Ok(flow)
    }

    /// Does what a command means now. `names_recipient`: it is a RCPT, understood or not.
    async fn act(
        &mut self,
        command: Result<Command, Reply>,
        names_recipient: bool,
    ) -> Result<Flow, WireError> {
        if matches!(command, Ok(Command::Mail(_))) {
            self.take_up();
        }
        match self.dialog.step(command) {
            Step::Rcpt(rcpt) => {
                self.group.push(rcpt);
                return Ok(Flow::GoOn);
            }
            Step::Say(reply) => {
                // A RCPT that is refused here must not overtake those that were asked before it.
                self.ask_group().await;
                match &mut self.open {
                    Some(open) if names_recipient && open.is_together() => {
                        open.refuse_all(reply);
                        let told = replies::recipient_ok();
                        // It counts as accepted until the end of data, where the whole message is refused.
                        self.dialog.rcpts_answered(std::slice::from_ref(&told));
                        self.wire.say(&told);
                    }
                    _ => self.wire.say(&reply),
                }
            }
            Step::Close(reply) => {
                self.ask_group().await;
                if reply.is_done() {
                    self.wire.say(&reply);
                } else {
                    self.dismiss(&reply)?;
                }
                return Ok(Flow::Close);
            }
            Step::Hello { extended } => self.hello(extended).await,
            Step::Reset => {
                self.reset().await;
                self.wire.say(&replies::ok());
            }
            Step::Xforward(pairs) => {
                self.xforward.update(pairs);
                self.wire.say(&replies::ok());
            }
            Step::Mail(_) if *self.stopping.borrow() => {
                self.dismiss(&replies::stopping())?;
                return Ok(Flow::Close);
            }
            Step::Mail(mail) => {
                let reply = self.mail(mail).await;
                self.wire.say(&reply);
            }
            Step::Data => return self.data().await,
            Step::Chunk { octets, last } => return self.chunk(octets, last).await,
            Step::Swallow { octets, reply } => return self.swallow(octets, reply).await,
            Step::Starttls => return self.starttls().await,
            Step::Auth(start) => return self.auth(start).await,
            Step::Xclient(said) => return self.xclient(said).await,
        }
        Ok(Flow::GoOn)
    }

    /// What a reload brought holds from the next transaction on, for who may send as well.
    fn take_up(&mut self) {
        if self.open.is_some() {
            return;
        }
        self.shared = Arc::clone(&self.live.borrow());
        let limits = &self.shared.limits;
        self.dialog.bound(bounds(self.door.protocol, limits));
        self.wire.limit_lines(limits.command_line_octets);
        self.wire.limit_writes(limits.write_timeout());
        let door = Arc::clone(&self.peer.doorway.borrow());
        // A listener that speaks another protocol now does so with its next clients.
        if Arc::ptr_eq(&door, &self.door) || door.protocol != self.door.protocol {
            return;
        }
        self.door = door;
        let vouched = self.door.xclient.have(&self.peer.identity);
        let knows = |login: &String| self.door.knows(login);
        if !vouched && !self.identity.login.as_ref().is_none_or(knows) {
            self.identity.login = None;
        }
        self.allow();
    }

    async fn hello(&mut self, extended: bool) {
        self.reset().await;
        let mirrored = self.shared.relay.extensions().await;
        // RFC 8689 4.2: under TLS, and only what the way on can keep.
        let requiretls = mirrored.requiretls && self.identity.tls.is_some();
        self.dialog.offer_requiretls(requiretls);
        self.dialog
            .announced(mirrored.size.filter(|limit| *limit > 0));
        self.wire.say(&if extended {
            replies::extensions(&self.shared.hostname, &mirrored, self.dialog.offers())
        } else {
            replies::hello(&self.shared.hostname)
        });
    }

    async fn reset(&mut self) {
        self.xforward = Xforward::default();
        self.chunks = None;
        if let Some(open) = self.open.take() {
            open.abandon().await;
        }
    }

    async fn mail(&mut self, mail: Mail) -> Reply {
        let smtputf8 = mail.parameters.has("SMTPUTF8");
        let mut open = self.shared.relay.open(self.client(), self.door.together);
        let reply = open.mail(mail).await;
        if reply.is_done() {
            self.open = Some(open);
            self.dialog.mail_accepted(smtputf8);
        }
        reply
    }

    /// Asks for the RCPTs that were gathered, and says their answers.
    async fn ask_group(&mut self) {
        if self.group.is_empty() {
            return;
        }
        let rcpts = std::mem::take(&mut self.group);
        let asked = rcpts.len();
        let mut answers = match &mut self.open {
            Some(open) => open.rcpts(rcpts).await,
            None => Vec::new(),
        };
        // Fewer answers than questions would shift every later reply by one.
        answers.resize_with(asked, replies::internal_fault);
        self.dialog.rcpts_answered(&answers);
        for answer in &answers {
            self.wire.say(answer);
        }
    }
}

/// Until the connection that a transaction holds upstream has to be given back.
async fn is_due_back(open: Option<&Open>) {
    match open {
        Some(open) => open.is_due_back().await,
        None => std::future::pending().await,
    }
}

/// Until no new transaction may begin. Whoever says so has gone: the same.
async fn stopped(stopping: &mut watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stopping| *stopping).await;
}
