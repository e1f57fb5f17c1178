//! One mail transaction over one connection to a server: MAIL, RCPT, DATA, dot, or RSET.
//!
//! Content goes out only behind a 354 to our DATA and only when at least one forward-path was accepted. It must never
//! know what the message is or what a fate leads to.
//! Failure before MAIL's reply is [`Unreachable`]; after that every forward-path has a reply or a [`Fate`], and a
//! connection that is not known to stand between two transactions is closed, never given back.

use std::time::Duration;

use tokio::time::Instant;

use crate::mime::splice::Spliced;
use crate::smtp::Protocol;
use crate::smtp::reply::{Reply, Severity};
use crate::smtp::stuffing::stuff;
use crate::smtp::transaction::{Mail, Rcpt};
use crate::smtp::xforward::Xforward;

use super::connection::{Connection, Exchange, Left};
use super::envelope::{Known, header_is_ascii};
use super::fate::{Fate, is_about_us};
use super::opening::{Ask, Opening, is_invitation, open, rcpt_commands, rcpt_replies};
use super::pool::Slot;
use super::replies;
use super::unreachable::{Step, Unreachable};

/// How long a RSET between two transactions may take, within `command_timeout_seconds`.
const RSET_PATIENCE: Duration = Duration::from_secs(5);

/// Where the transaction stands.
#[derive(Debug)]
enum State {
    /// MAIL was taken.
    Open(Box<Connection>),
    /// MAIL was refused with this reply.
    Declined(Reply),
    /// The connection failed.
    Lost,
}

/// One transaction whose MAIL was answered.
#[derive(Debug)]
pub(super) struct ServerTransaction {
    slot: Slot,
    state: State,
    accepted: usize,
    utf8: bool,
    header_must_be_ascii: bool,
}

/// The instants of a transaction whose message is known.
#[derive(Debug, Clone, Copy)]
struct Times {
    no_dot_after: Instant,
    until: Instant,
}

impl ServerTransaction {
    /// MAIL alone, live.
    pub(super) async fn begin(
        slot: Slot,
        mail: &Mail,
        xforward: &Xforward,
    ) -> Result<(Self, Reply), Unreachable> {
        let ask = Ask {
            mail,
            rcpts: &[],
            xforward,
            known: Known::Nothing,
            data: false,
        };
        let (transaction, opening) = Self::open(slot, &ask, None).await?;
        Ok((transaction, opening.mail))
    }

    /// MAIL and every RCPT, for a message that is known.
    pub(super) async fn rerun(
        slot: Slot,
        mail: &Mail,
        rcpts: &[Rcpt],
        xforward: &Xforward,
        message: &Spliced,
        until: Instant,
    ) -> Result<(Self, Vec<Reply>), Unreachable> {
        let ask = Ask {
            mail,
            rcpts,
            xforward,
            known: Known::of(message),
            data: false,
        };
        let times = times(&slot, until);
        let (transaction, opening) = Self::open(slot, &ask, Some(times.no_dot_after)).await?;
        Ok((transaction, each_rcpt(&opening, rcpts.len())))
    }

    /// The whole transaction, the envelope and DATA in one row; one fate for each RCPT.
    pub(super) async fn transact(
        mut slot: Slot,
        mail: &Mail,
        rcpts: &[Rcpt],
        xforward: &Xforward,
        message: &Spliced,
        until: Instant,
    ) -> (Vec<Fate>, Slot) {
        let ask = Ask {
            mail,
            rcpts,
            xforward,
            known: Known::of(message),
            data: true,
        };
        let times = times(&slot, until);
        let mut opening = match open(&mut slot, &ask, Some(times.no_dot_after)).await {
            Ok(opening) => opening,
            Err(error) => {
                let fates = vec![Fate::Down(error.to_reply()); rcpts.len()];
                slot.pool().counters.count(&fates);
                return (fates, slot);
            }
        };
        let replies = each_rcpt(&opening, rcpts.len());
        let mut transaction = Self::from(slot, &mut opening);
        let sent = match opening.data {
            Some(data) => transaction.send_behind(data, message, times).await,
            None => transaction.ask_and_send(message, times).await,
        };
        let mut sent = sent.into_iter();
        let fates = replies.into_iter().map(|reply| {
            if reply.is_done() {
                // As many fates as accepted forward-paths, so the second arm is never taken.
                sent.next()
                    .unwrap_or_else(|| Fate::Down(replies::connection_lost()))
            } else {
                Fate::undelivered(reply)
            }
        });
        let fates: Vec<Fate> = fates.collect();
        transaction.slot.pool().counters.count(&fates);
        (fates, transaction.slot)
    }

    async fn open(
        mut slot: Slot,
        ask: &Ask<'_>,
        until: Option<Instant>,
    ) -> Result<(Self, Opening), Unreachable> {
        let mut opening = open(&mut slot, ask, until).await?;
        Ok((Self::from(slot, &mut opening), opening))
    }

    /// Takes the connection out of what was answered.
    fn from(mut slot: Slot, opening: &mut Opening) -> Self {
        let state = match (opening.mail.is_done(), opening.connection.take()) {
            (true, Some(connection)) => State::Open(connection),
            (true, None) => State::Lost,
            (false, connection) => {
                if let Some(connection) = connection {
                    slot.keep(connection);
                }
                State::Declined(opening.mail.clone())
            }
        };
        Self {
            slot,
            state,
            accepted: opening.rcpts.iter().filter(|r| r.is_done()).count(),
            utf8: opening.utf8,
            header_must_be_ascii: opening.header_must_be_ascii,
        }
    }

    /// RCPT for each, one reply for each.
    pub(super) async fn rcpts(&mut self, rcpts: &[Rcpt]) -> Vec<Reply> {
        // Out of the state while replies are owed: whoever drops this future half-way leaves a lost transaction behind,
        // not one whose next reply belongs to the command before.
        let mut connection = match std::mem::replace(&mut self.state, State::Lost) {
            State::Open(connection) => connection,
            State::Declined(reply) => {
                let each = vec![reply.clone(); rcpts.len()];
                self.state = State::Declined(reply);
                return each;
            }
            State::Lost => return vec![replies::connection_lost(); rcpts.len()],
        };
        let (mut commands, mut dropped) = (Vec::new(), Vec::new());
        let refusals = rcpt_commands(rcpts, &connection, self.utf8, &mut commands, &mut dropped);
        let refusals = refusals.into_iter();
        let refusals = refusals
            .map(|ours| Some(self.slot.refusal(ours?)))
            .collect();
        let mut exchange: Exchange = connection.exchange(&commands, None).await;
        let pool = self.slot.pool();
        let mut missing = replies::connection_lost();
        match exchange.broken.take() {
            Some(error) => missing = pool.note(error).to_reply(),
            None => self.state = State::Open(connection),
        }
        for dropped in dropped {
            dropped.count(&pool.counters);
        }
        let replies = rcpt_replies(refusals, &mut exchange, pool, &missing);
        self.accepted += replies.iter().filter(|reply| reply.is_done()).count();
        replies
    }

    /// Whether the connection failed.
    pub(super) fn is_lost(&self) -> bool {
        matches!(self.state, State::Lost)
    }

    /// Until other mail waits for a connection.
    pub(super) async fn is_wanted(&self) {
        self.slot.pool().is_wanted().await;
    }

    /// RSET; the connection is kept when it is answered 2xx.
    pub(super) async fn reset(mut self) -> Slot {
        // A connection that is not answered is dropped all the same: nobody waits for it longer than this.
        let until = Instant::now() + RSET_PATIENCE;
        self.rset(Some(until)).await;
        self.slot
    }

    /// DATA and the message; one fate for each accepted forward-path.
    pub(super) async fn data(mut self, message: &Spliced, until: Instant) -> (Vec<Fate>, Slot) {
        let times = times(&self.slot, until);
        let fates = self.ask_and_send(message, times).await;
        self.slot.pool().counters.count(&fates);
        (fates, self.slot)
    }

    async fn ask_and_send(&mut self, message: &Spliced, times: Times) -> Vec<Fate> {
        if self.header_must_be_ascii && !header_is_ascii(message.pieces()) {
            self.slot.pool().counters.smtputf8_refused.one();
            self.rset(Some(times.until)).await;
            let refusal = self.slot.refusal(replies::needs_smtputf8());
            return self.each(Fate::undelivered(refusal));
        }
        if self.accepted == 0 {
            self.rset(Some(times.until)).await;
            return Vec::new();
        }
        if times.no_dot_after <= Instant::now() {
            self.slot.pool().counters.no_time_for_dot.one();
            self.rset(Some(times.until)).await;
            return self.each(Fate::Down(replies::no_time_for_dot()));
        }
        let State::Open(connection) = &mut self.state else {
            return self.each(Fate::Down(replies::connection_lost()));
        };
        let until = Some(times.no_dot_after);
        match connection.ask(Step::Data, "DATA", until).await {
            Ok(reply) => self.send_behind(reply, message, times).await,
            Err(error) => self.lost(error),
        }
    }

    /// The message, behind the reply to DATA; one fate for each accepted forward-path. Whatever is not 354 gets no
    /// content (RFC 5321 4.1.1.4).
    async fn send_behind(&mut self, data: Reply, message: &Spliced, times: Times) -> Vec<Fate> {
        if !is_invitation(&data) {
            return self.no_invitation(data, times).await;
        }
        if self.accepted == 0 {
            // RFC 2920 3.1 asks for a lone dot here. A server that invites a message for nobody counts forward-paths
            // otherwise than we do; it gets neither dot nor message, it is closed (promise 6).
            self.state = State::Lost;
            return Vec::new();
        }
        let State::Open(connection) = &mut self.state else {
            return self.each(Fate::Down(replies::connection_lost()));
        };
        match connection
            .content(stuff(message.pieces()), times.no_dot_after)
            .await
        {
            Left::WithDot => self.read_fates(times).await,
            Left::NoTime => {
                self.slot.pool().counters.no_time_for_dot.one();
                self.state = State::Lost;
                self.each(Fate::Down(replies::no_time_for_dot()))
            }
            Left::Broken(error) => self.lost(error),
        }
    }

    async fn no_invitation(&mut self, data: Reply, times: Times) -> Vec<Fate> {
        let sane = matches!(data.severity(), Severity::NotNow | Severity::Refused);
        if self.accepted > 0 && (is_about_us(&data) || !sane) {
            self.slot.pool().note(Unreachable::said(Step::Data, &data));
        }
        if sane {
            self.rset(Some(times.until)).await;
        } else {
            self.state = State::Lost;
        }
        self.each(Fate::undelivered(data))
    }

    /// The replies behind the dot: one for all (RFC 5321), or one for each accepted forward-path (RFC 2033 4.2).
    async fn read_fates(&mut self, times: Times) -> Vec<Fate> {
        let State::Open(mut connection) = std::mem::replace(&mut self.state, State::Lost) else {
            return self.each(Fate::Unknown(replies::no_answer_to_dot()));
        };
        let pool = self.slot.pool();
        let expected = match pool.settings().protocol {
            Protocol::Smtp => 1,
            Protocol::Lmtp => self.accepted,
        };
        let limit = Instant::now() + pool.settings().limits.dot_timeout();
        let by = times.until.min(limit);
        let mut fates = Vec::with_capacity(expected);
        let mut usable = true;
        while fates.len() < expected {
            match connection.reply(Step::Dot, by).await {
                Ok(reply) => {
                    if is_about_us(&reply) {
                        pool.note(Unreachable::said(Step::Dot, &reply));
                    }
                    usable &= reply.code() != 421 && reply.severity() != Severity::GoOn;
                    fates.push(Fate::of_dot(reply));
                }
                Err(error) => {
                    pool.note(error);
                    usable = false;
                    let forward_paths = self.accepted.saturating_sub(fates.len());
                    tracing::warn!(
                        forward_paths,
                        "no answer to the dot: what is sent again may arrive twice"
                    );
                    fates.resize(expected, Fate::Unknown(replies::no_answer_to_dot()));
                }
            }
        }
        if usable {
            self.slot.keep(connection);
        }
        match (expected, fates.first()) {
            (1, Some(fate)) => self.each(fate.clone()),
            _ => fates,
        }
    }

    /// The connection failed before the dot was out: nobody has the message.
    fn lost(&mut self, error: Unreachable) -> Vec<Fate> {
        let error = self.slot.pool().note(error);
        self.state = State::Lost;
        self.each(Fate::Down(error.to_reply()))
    }

    fn each(&self, fate: Fate) -> Vec<Fate> {
        vec![fate; self.accepted]
    }

    async fn rset(&mut self, until: Option<Instant>) {
        if let State::Open(mut connection) = std::mem::replace(&mut self.state, State::Lost) {
            match connection.ask(Step::Rset, "RSET", until).await {
                Ok(reply) if reply.is_done() => self.slot.keep(connection),
                Ok(reply) => drop(self.slot.pool().note(Unreachable::said(Step::Rset, &reply))),
                Err(error) => drop(self.slot.pool().note(error)),
            }
        }
    }
}

fn times(slot: &Slot, until: Instant) -> Times {
    Times {
        no_dot_after: slot.pool().settings().limits.no_dot_after(until),
        until,
    }
}

/// One reply for each RCPT, where a refused MAIL speaks for all.
fn each_rcpt(opening: &Opening, rcpts: usize) -> Vec<Reply> {
    if opening.mail.is_done() {
        opening.rcpts.clone()
    } else {
        vec![opening.mail.clone(); rcpts]
    }
}
