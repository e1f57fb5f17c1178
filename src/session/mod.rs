//! One connection of a client, from greeting to close: reads lines, asks the dialog what they mean, asks the relay, answers.
//!
//! It knows the order of reading, writing and waiting. It must never know consent, HTML or the next hop's address.
//! A client that goes away, stalls or breaks a bound ends its own session only; an open transaction is abandoned and
//! nothing of it is forwarded. Once the relay has a whole message, the session waits for its answer whatever happens.

pub mod dialog;
pub mod limits;
pub mod memory;
mod transaction;
pub mod wire;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use self::dialog::{Bounds, Dialog, Step};
pub use self::limits::{LimitError, Limits};
use self::memory::Memory;
use self::wire::{Line, Lost, Wire, WireError};
use crate::relay::{Open, Relay};
use crate::smtp::Protocol;
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
    /// Where messages go.
    pub relay: Arc<Relay>,
}

/// Who connected, and what the listener says of it.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The listener's address as configured.
    pub listener: String,
    /// What the listener speaks.
    pub protocol: Protocol,
    /// Address and port; `None` on a Unix socket.
    pub address: Option<SocketAddr>,
    /// Whether it may relay.
    pub trusted: bool,
    /// Whether it may use XFORWARD.
    pub xforward: bool,
    /// Our id of this session.
    pub session: String,
}

impl Peer {
    fn ip(&self) -> Option<IpAddr> {
        self.address.map(|address| address.ip().to_canonical())
    }
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
    shared: &'a Shared,
    peer: &'a Peer,
    wire: Wire<S>,
    dialog: Dialog,
    xforward: Xforward,
    open: Option<Open>,
    /// RCPTs that stand together in the input and are asked for at once.
    group: Vec<Rcpt>,
    stopping: watch::Receiver<bool>,
}

/// Serves one connection to its end. `stopping` turns true when no new transaction may begin.
pub async fn run<S>(stream: S, shared: &Shared, peer: &Peer, stopping: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let limits = &shared.limits;
    let mut session = Session {
        wire: Wire::new(stream, limits.command_line_octets, limits.write_timeout()),
        dialog: Dialog::new(Bounds {
            protocol: peer.protocol,
            xforward: peer.xforward,
            recipients: limits.recipients,
            bad_commands: limits.bad_commands,
            idle_commands: limits.idle_commands,
        }),
        shared,
        peer,
        xforward: Xforward::default(),
        open: None,
        group: Vec::new(),
        stopping,
    };
    tracing::debug!(session = peer.session, listener = peer.listener, client = ?peer.ip(), "session begins");
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
        Err(reason) => tracing::debug!(session = peer.session, %reason, "session ends"),
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<'_, S> {
    async fn serve(&mut self) -> Result<(), WireError> {
        if let Err(reply) = self.admit().await {
            return self.dismiss(&reply);
        }
        self.wire.say(&replies::greeting(
            &self.shared.hostname,
            self.peer.protocol,
        ));
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
    /// they cost anything; when logins come, this moves to MAIL.
    async fn admit(&self) -> Result<(), Reply> {
        if !self.peer.trusted {
            return Err(replies::not_trusted());
        }
        self.shared.relay.ready().await
    }

    /// The last reply of a session that we end.
    fn dismiss(&mut self, reply: &Reply) -> Result<(), WireError> {
        tracing::info!(session = self.peer.session, client = ?self.peer.ip(), reply = %reply.text(), code = reply.code(), "client sent away");
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
            let held_until = self.open.as_ref().and_then(Open::held_until);
            tokio::select! {
                filled = self.wire.fill() => filled?,
                () = sleep_until(deadline) => return Ok(Err(replies::timed_out(limit, seconds))),
                () = sleep_until(held_until.unwrap_or(deadline)), if held_until.is_some() => self.release().await,
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
        let limits = &self.shared.limits;
        let command = match line {
            Line::Whole(octets) => Command::parse(&octets),
            Line::TooLong => Err(replies::command_too_long(limits.command_line_octets)),
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
        let flow = self.act(command).await?;
        if self.wire.is_full() {
            self.wire.flush().await?;
        }
        Ok(flow)
    }

    async fn act(&mut self, command: Result<Command, Reply>) -> Result<Flow, WireError> {
        match self.dialog.step(command) {
            Step::Rcpt(rcpt) => {
                self.group.push(rcpt);
                return Ok(Flow::GoOn);
            }
            Step::Say(reply) => {
                // A RCPT that is refused here must not overtake those that were asked before it.
                self.ask_group().await;
                self.wire.say(&reply);
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
        }
        Ok(Flow::GoOn)
    }

    async fn hello(&mut self, extended: bool) {
        self.reset().await;
        let mirrored = self.shared.relay.extensions().await;
        self.dialog
            .announced(mirrored.size.filter(|limit| *limit > 0));
        self.wire.say(&if extended {
            replies::extensions(&self.shared.hostname, &mirrored, self.peer.xforward)
        } else {
            replies::hello(&self.shared.hostname)
        });
    }

    async fn reset(&mut self) {
        self.xforward = Xforward::default();
        if let Some(open) = self.open.take() {
            open.abandon().await;
        }
    }

    async fn mail(&mut self, mail: Mail) -> Reply {
        let smtputf8 = mail.parameters.has("SMTPUTF8");
        let mut open = self.shared.relay.open(self.client());
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

/// Until no new transaction may begin. Whoever says so has gone: the same.
async fn stopped(stopping: &mut watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stopping| *stopping).await;
}
