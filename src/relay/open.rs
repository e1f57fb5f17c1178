//! One transaction of a client from MAIL to end of data, live with the next hop (DESIGN 3 "Transit first").
//!
//! RCPT verdicts are the next hop's own. No octet of data goes upstream before the client's dot. A transaction that waits
//! too long for its client, or a while when other mail waits, gives its connection back and is run again at the end of data. Where the operator has mail kept while
//! the next hop is down, what it did not answer is accepted here and owed (DESIGN 3). It must never know consent.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::time::{Instant, sleep_until};

use super::deliver::mildest;
use super::recall::Answers;
use super::{Client, Journey, Protocol, Relay};
use crate::next_hop::{Transit, is_about_the_way};
use crate::smtp::replies;
use crate::smtp::reply::Reply;
use crate::smtp::transaction::{Mail, Rcpt};
use crate::spool::{EntryId, SpoolError};

/// What the client is answered after its dot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// SMTP: one reply for the message.
    One(Reply),
    /// LMTP: one for each accepted forward-path, in order (RFC 2033 4.2).
    Each(Vec<Reply>),
}

/// A transaction in progress.
#[derive(Debug)]
pub struct Open {
    relay: Arc<Relay>,
    client: Client,
    /// Whether all recipients are taken or none.
    together: bool,
    /// The refusal that all of them share, told at the end of data.
    refusal: Option<Reply>,
    mail: Option<Mail>,
    rcpts: Vec<Rcpt>,
    live: Option<Transit>,
    /// Since when there is a connection.
    held_since: Instant,
    /// Whether `live` has every accepted forward-path in its envelope.
    whole: bool,
    /// Whether nobody is asked any more: the next hop is down, and the spool takes it all.
    kept: bool,
}

impl Open {
    pub(super) fn new(relay: Arc<Relay>, client: Client, together: bool) -> Self {
        Self {
            relay,
            client,
            together,
            refusal: None,
            mail: None,
            rcpts: Vec::new(),
            live: None,
            held_since: Instant::now(),
            whole: true,
            kept: false,
        }
    }

    /// MAIL, answered by the next hop. After anything but 2xx the transaction is over.
    pub async fn mail(&mut self, mail: Mail) -> Reply {
        let reply = match self.relay.keeps_now() {
            // Not asked: it failed a moment ago, and each client would wait for it to fail again.
            true => self.keep(&mail),
            false => self.begin(&mail).await,
        };
        if reply.is_done() {
            self.mail = Some(mail);
        }
        reply
    }

    /// RCPTs that stand together in the client's input, answered by the next hop one by one.
    pub async fn rcpts(&mut self, rcpts: Vec<Rcpt>) -> Vec<Reply> {
        let mut replies = self.ask(&rcpts).await;
        for reply in replies.iter_mut().filter(|reply| !reply.is_done()) {
            if self.together {
                self.refuse_all(reply.clone());
                *reply = replies::recipient_ok();
            }
        }
        let accepted = rcpts
            .into_iter()
            .zip(&replies)
            .filter(|(_, reply)| reply.is_done());
        self.rcpts.extend(accepted.map(|(rcpt, _)| rcpt));
        replies
    }

    /// One forward-path is refused, so the whole transaction will be: with the mildest of all refusals, at its end.
    pub fn refuse_all(&mut self, refusal: Reply) {
        let known = self.refusal.take();
        self.refusal = Some(mildest(known.iter().chain([&refusal])));
    }

    /// Whether all recipients are taken or none.
    pub fn is_together(&self) -> bool {
        self.together
    }

    /// The next hop's verdicts. Where its answers may differ for each and the spool has no room for what that may leave, one
    /// forward-path goes and the client brings the others in transactions of their own (452, RFC 5321 4.5.3.1.10).
    async fn ask(&mut self, rcpts: &[Rcpt]) -> Vec<Reply> {
        let mut replies = Vec::with_capacity(rcpts.len());
        if self.is_cramped(rcpts.len()) {
            let mut taken = !self.rcpts.is_empty();
            for rcpt in rcpts {
                let reply = match taken {
                    true => replies::spool_full(),
                    false => {
                        let each = self.ask_next_hop(std::slice::from_ref(rcpt)).await;
                        each.into_iter()
                            .next()
                            .unwrap_or_else(replies::next_hop_gone)
                    }
                };
                taken |= reply.is_done();
                replies.push(reply);
            }
        } else {
            replies.extend(self.ask_next_hop(rcpts).await);
        }
        replies
    }

    /// Whether so many more forward-paths would need the spool, and it is full: known before any data.
    fn is_cramped(&self, more: usize) -> bool {
        let each = self.client.protocol == Protocol::Smtp && self.relay.next_hop.answers_each();
        each && self.rcpts.len().saturating_add(more) > 1 && self.has_room().is_err()
    }

    fn has_room(&self) -> Result<(), SpoolError> {
        let announced = self.mail.as_ref().and_then(|mail| mail.parameters.size());
        let room = self.relay.spool.has_room(announced.unwrap_or(0));
        if let Err(error) = &room {
            tracing::error!(%error, "this transaction needs the spool");
        }
        room
    }

    async fn ask_next_hop(&mut self, rcpts: &[Rcpt]) -> Vec<Reply> {
        if !self.kept && self.live.is_none() && !self.reopen().await {
            return vec![replies::next_hop_gone(); rcpts.len()];
        }
        if self.kept {
            return vec![replies::recipient_ok(); rcpts.len()];
        }
        let Some(transit) = self.live.as_mut() else {
            return vec![replies::next_hop_gone(); rcpts.len()];
        };
        let mut replies = transit.rcpts(rcpts).await;
        if self.relay.keeps() && replies.iter().any(is_about_the_way) {
            // What it answered stands; what it did not is decided when it is back.
            self.live = None;
            self.kept = true;
            for reply in replies.iter_mut().filter(|reply| is_about_the_way(reply)) {
                *reply = replies::recipient_ok();
            }
        }
        replies
    }

    /// The next hop is down and mail is kept meanwhile: accepted as far as there is room for it.
    fn keep(&mut self, mail: &Mail) -> Reply {
        match self
            .relay
            .spool
            .has_room(mail.parameters.size().unwrap_or(0))
        {
            Ok(()) => {
                self.kept = true;
                replies::sender_ok()
            }
            Err(error) => {
                tracing::error!(%error, "the next hop is down and the spool has no room");
                replies::spool_full()
            }
        }
    }

    /// Until the connection has to be given back: the client took too long, or took a while and other mail waits for one.
    /// For ever where there is none. A few slow clients would otherwise keep everybody waiting.
    pub async fn is_due_back(&self) {
        let Some(live) = &self.live else {
            return std::future::pending().await;
        };
        let limits = &self.relay.next_hop.settings().limits;
        sleep_until(self.held_since + limits.hold_when_crowded()).await;
        tokio::select! {
            () = sleep_until(self.held_since + limits.hold_before_data()) => {}
            () = live.is_wanted() => {}
        }
    }

    /// Gives the connection back; the envelope is given again at the end of data.
    pub async fn release(&mut self) {
        if let Some(transit) = self.live.take() {
            transit.reset().await;
        }
    }

    /// The client's dot was read: the journey of the message. Runs to its end even if the client goes away.
    pub async fn end_of_data(mut self, message: Vec<u8>) -> Answer {
        let arrived_at = Timestamp::now();
        let Some(mail) = self.mail.take() else {
            return Answer::One(replies::internal_fault());
        };
        if !self.whole {
            self.release().await;
        }
        if let Some(refusal) = self.refusal.take() {
            self.release().await;
            tracing::info!(
                code = refusal.code(),
                "refused for all: one recipient was (selective_rejects)"
            );
            return Answer::One(refusal);
        }
        let named = |login: &String| self.relay.examiner.streams.names_login(login);
        let login_named = self.client.login.as_ref().is_some_and(named);
        let journey = Journey {
            id: EntryId::fresh(arrived_at),
            arrived_at,
            client: self.client,
            mail,
            rcpts: self.rcpts,
            attempt: 1,
            together: self.together,
            login_named,
            answers: Answers::default(),
        };
        self.relay
            .forward(&journey, Bytes::from(message), self.live)
            .await
    }

    /// RSET, or the client is gone: nothing was sent, nothing is kept.
    pub async fn abandon(mut self) {
        self.release().await;
    }

    async fn begin(&mut self, mail: &Mail) -> Reply {
        match self.relay.next_hop.begin(mail, &self.client.xforward).await {
            Ok((transit, reply)) => {
                if reply.is_done() {
                    self.live = Some(transit);
                    self.held_since = Instant::now();
                } else {
                    drop(transit.reset().await);
                }
                reply
            }
            // Logged where it happened.
            Err(unreachable) if self.relay.keeps() && unreachable.is_down() => self.keep(mail),
            Err(unreachable) => unreachable.to_reply(),
        }
    }

    /// The connection was given back while the client was still naming recipients: MAIL and the accepted RCPTs again.
    async fn reopen(&mut self) -> bool {
        let Some(mail) = self.mail.clone() else {
            return false;
        };
        if !self.begin(&mail).await.is_done() {
            return false;
        }
        if self.kept || self.rcpts.is_empty() {
            return true;
        }
        let Some(transit) = self.live.as_mut() else {
            return false;
        };
        let again = transit.rcpts(&self.rcpts).await;
        // Somebody who was accepted is not any more: this transaction cannot carry the data, but its verdicts on further
        // recipients are true; the end of data sorts out the rest.
        self.whole = again.iter().all(Reply::is_done);
        if self.together {
            // Where mail is kept for a next hop that is down, no answer is no refusal.
            let kept = |reply: &Reply| self.relay.keeps() && is_about_the_way(reply);
            let refusals: Vec<_> = again
                .into_iter()
                .filter(|reply| !reply.is_done() && !kept(reply))
                .collect();
            for refusal in refusals {
                self.refuse_all(refusal);
            }
        }
        true
    }
}
