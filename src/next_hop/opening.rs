//! The first row of commands of a transaction: XFORWARD, MAIL, as many RCPT as are known, perhaps DATA.
//!
//! Here alone a reused connection that turns out dead is replaced, once, and only while no reply to MAIL has come:
//! nothing has happened yet then. It must never send content.
//! Failure is [`Unreachable`] and has been logged; after a reply to MAIL there is none, only missing replies.

use std::sync::Arc;

use tokio::time::Instant;

use crate::smtp::reply::{Reply, Severity};
use crate::smtp::transaction::{Mail, Rcpt};
use crate::smtp::xforward::Xforward;

use super::connection::{Command, Connection, Exchange};
use super::envelope::{Dropped, Known, mail_line, rcpt_line};
use super::fate::{is_about_us, verdict};
use super::pool::{Pool, Slot};
use super::unreachable::{Step, Unreachable};

/// What is to be said.
pub(super) struct Ask<'a> {
    pub(super) mail: &'a Mail,
    pub(super) rcpts: &'a [Rcpt],
    pub(super) xforward: &'a Xforward,
    pub(super) known: Known,
    /// Whether DATA goes with it where the server takes PIPELINING; not knowing yet whether any forward-path is accepted.
    pub(super) data: bool,
}

/// What was answered.
pub(super) struct Opening {
    /// The reply to MAIL, the next hop's or our own, as our client may read it.
    pub(super) mail: Reply,
    /// One reply for each RCPT asked, as our client may read it; empty when MAIL was refused.
    pub(super) rcpts: Vec<Reply>,
    /// The reply to DATA, raw, when it was asked and came.
    pub(super) data: Option<Reply>,
    /// The connection, unless it failed.
    pub(super) connection: Option<Box<Connection>>,
    pub(super) utf8: bool,
    pub(super) header_must_be_ascii: bool,
}

/// The command lines of an [`Ask`], written for one connection.
struct Lines {
    commands: Vec<Command>,
    /// How many of them stand before MAIL.
    xforwards: usize,
    /// For each RCPT: `None` when it is among the commands, else our own refusal.
    refusals: Vec<Option<Reply>>,
    dropped: Vec<Dropped>,
    utf8: bool,
    header_must_be_ascii: bool,
}

impl Lines {
    fn write(ask: &Ask<'_>, connection: &Connection) -> Result<Self, Reply> {
        let extensions = connection.extensions();
        let mail = mail_line(ask.mail, extensions, ask.known)?;
        // A next hop forgets XFORWARD after each transaction, and connections are shared between clients.
        let mut commands: Vec<Command> = ask
            .xforward
            .to_commands(&extensions.xforward)
            .into_iter()
            .map(|line| Command::new(Step::Xforward, line))
            .collect();
        let xforwards = commands.len();
        commands.push(Command::new(Step::Mail, mail.line));
        let mut dropped = vec![mail.dropped];
        let refusals = rcpt_commands(
            ask.rcpts,
            connection,
            mail.utf8,
            &mut commands,
            &mut dropped,
        );
        if ask.data && extensions.pipelining {
            commands.push(Command::new(Step::Data, "DATA".to_owned()));
        }
        Ok(Self {
            commands,
            xforwards,
            refusals,
            dropped,
            utf8: mail.utf8,
            header_must_be_ascii: mail.header_must_be_ascii,
        })
    }
}

/// Appends the RCPT commands; for each forward-path `None`, or why it is not among them.
pub(super) fn rcpt_commands(
    rcpts: &[Rcpt],
    connection: &Connection,
    utf8: bool,
    commands: &mut Vec<Command>,
    dropped: &mut Vec<Dropped>,
) -> Vec<Option<Reply>> {
    let mut write = |rcpt: &Rcpt| match rcpt_line(rcpt, connection.extensions(), utf8) {
        Ok((line, without)) => {
            commands.push(Command::new(Step::Rcpt, line));
            dropped.push(without);
            None
        }
        Err(refusal) => Some(refusal),
    };
    rcpts.iter().map(&mut write).collect()
}

/// Joins our own refusals and the replies to the RCPT commands that were sent, in the order of the forward-paths.
/// Where a reply did not come because the connection failed, `missing` stands.
pub(super) fn rcpt_replies(
    refusals: Vec<Option<Reply>>,
    exchange: &mut Exchange,
    pool: &Pool,
    missing: &Reply,
) -> Vec<Reply> {
    let mut join = |refusal: Option<Reply>| match refusal {
        Some(ours) => {
            if ours.enhanced() == Some("5.6.7") {
                pool.counters.smtputf8_refused.one();
            }
            ours
        }
        None => match exchange.replies.pop_front() {
            Some(reply) => {
                if is_about_us(&reply) {
                    pool.note(Unreachable::said(Step::Rcpt, &reply));
                }
                verdict(reply)
            }
            None => missing.clone(),
        },
    };
    refusals.into_iter().map(&mut join).collect()
}

/// Says it, over the slot's connection. A next hop that fails before it has answered MAIL is set aside and the next one is
/// asked: nothing has happened yet then.
pub(super) async fn open(
    slot: &mut Slot,
    ask: &Ask<'_>,
    until: Option<Instant>,
) -> Result<Opening, Unreachable> {
    let mut tried = Vec::new();
    loop {
        let error = match open_once(slot, ask, &mut tried, until).await {
            Ok(opening) => {
                slot.pool().is_well();
                return Ok(opening);
            }
            Err(error) => error,
        };
        tried.push(Arc::clone(slot.pool()));
        if !error.is_of_the_hop() || !slot.go_on(&tried, until).await {
            return Err(error);
        }
    }
}

async fn open_once(
    slot: &mut Slot,
    ask: &Ask<'_>,
    tried: &mut Vec<Arc<Pool>>,
    until: Option<Instant>,
) -> Result<Opening, Unreachable> {
    let (mut connection, used) = slot.connection(tried, until).await?;
    if used {
        slot.pool().counters.connections_reused.one();
    }
    let mut said = say(ask, &mut connection, until).await;
    if used
        && said
            .as_ref()
            .is_ok_and(|(lines, sent)| is_stale(lines, sent))
    {
        connection = slot.replacement(until).await?;
        said = say(ask, &mut connection, until).await;
    }
    match said {
        Ok((mut lines, exchange)) => {
            let refusals = lines.refusals.into_iter();
            lines.refusals = refusals.map(|ours| Some(slot.refusal(ours?))).collect();
            let named_client = lines.xforwards > 0;
            let mut opening = read(lines, exchange, connection, slot.pool())?;
            if named_client && !opening.mail.is_done() {
                opening.connection = forgotten(opening.connection.take(), until).await;
            }
            Ok(opening)
        }
        Err(refusal) => {
            if refusal.enhanced() == Some("5.6.7") {
                slot.pool().counters.smtputf8_refused.one();
            }
            Ok(Opening {
                mail: slot.refusal(refusal),
                rcpts: Vec::new(),
                data: None,
                connection: Some(connection),
                utf8: false,
                header_must_be_ascii: false,
            })
        }
    }
}

/// The connection once it has forgotten whose mail it was told of. A next hop does so by itself at the end of a transaction; where
/// MAIL was refused there was none, and the next client may have nothing to say in the place of what the last one said.
async fn forgotten(
    connection: Option<Box<Connection>>,
    until: Option<Instant>,
) -> Option<Box<Connection>> {
    let mut connection = connection?;
    match connection.ask(Step::Rset, "RSET", until).await {
        Ok(reply) if reply.is_done() => Some(connection),
        Ok(_) | Err(_) => None,
    }
}

async fn say(
    ask: &Ask<'_>,
    connection: &mut Connection,
    until: Option<Instant>,
) -> Result<(Lines, Exchange), Reply> {
    let lines = Lines::write(ask, connection)?;
    let exchange = connection.exchange(&lines.commands, until).await;
    Ok((lines, exchange))
}

/// Whether the connection had been closed, or was being closed, before our MAIL was looked at.
fn is_stale(lines: &Lines, exchange: &Exchange) -> bool {
    exchange.replies.len() <= lines.xforwards
        && exchange
            .broken
            .as_ref()
            .is_some_and(Unreachable::may_be_stale)
}

fn read(
    lines: Lines,
    mut exchange: Exchange,
    connection: Box<Connection>,
    pool: &Pool,
) -> Result<Opening, Unreachable> {
    exchange
        .replies
        .drain(..lines.xforwards.min(exchange.replies.len()));
    let broken = exchange.broken.take().map(|error| pool.note(error));
    let Some(mail) = exchange.replies.pop_front() else {
        return Err(broken.unwrap_or(Unreachable::Closed { step: Step::Mail }));
    };
    if is_about_us(&mail) || mail.severity() == Severity::GoOn {
        return Err(pool.note(Unreachable::said(Step::Mail, &mail)));
    }
    let missing = broken.as_ref().map(Unreachable::to_reply);
    let mut opening = Opening {
        rcpts: Vec::new(),
        data: None,
        connection: broken.is_none().then_some(connection),
        utf8: lines.utf8,
        header_must_be_ascii: lines.header_must_be_ascii,
        mail,
    };
    if opening.mail.is_done() {
        for dropped in lines.dropped {
            dropped.count(&pool.counters);
        }
        let missing = missing.unwrap_or_else(super::replies::connection_lost);
        opening.rcpts = rcpt_replies(lines.refusals, &mut exchange, pool, &missing);
        opening.data = exchange.replies.pop_front();
    } else if exchange
        .replies
        .pop_back()
        .is_some_and(|last| is_invitation(&last))
    {
        // A server that asks for a message of a transaction it refused is not spoken to any further.
        opening.connection = None;
    }
    Ok(opening)
}

/// Whether this is the one reply behind which a message may be sent.
pub(super) fn is_invitation(reply: &Reply) -> bool {
    reply.code() == 354
}
