//! One transaction of a client from MAIL to end of data, live with the next hop (DESIGN 3 "Transit first").
//!
//! RCPT verdicts are the next hop's own. No octet of data goes upstream before the client's dot. A transaction that waits
//! too long for its client gives its connection back and is run again at the end of data. Where the operator has mail kept while
//! the next hop is down, what it did not answer is accepted here and owed (DESIGN 3). It must never know consent.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::time::Instant;

use super::deliver::mildest;
use super::recall::Answers;
use super::{Client, Journey, Relay};
use crate::next_hop::Transit;
use crate::smtp::replies;
use crate::smtp::reply::Reply;
use crate::smtp::transaction::{Mail, Rcpt};
use crate::spool::EntryId;

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
    held_until: Option<Instant>,
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
            held_until: None,
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

    async fn ask(&mut self, rcpts: &[Rcpt]) -> Vec<Reply> {
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
        if transit.is_lost() && self.relay.keeps() {
            // What it answered stands; what it did not is decided when it is back.
            self.live = None;
            self.kept = true;
            for reply in replies.iter_mut().filter(|reply| is_ours(reply)) {
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

    /// When the connection has to be given back, if the client has not finished by then.
    pub fn held_until(&self) -> Option<Instant> {
        self.live.as_ref().and(self.held_until)
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
        let journey = Journey {
            id: EntryId::fresh(arrived_at),
            arrived_at,
            client: self.client,
            mail,
            rcpts: self.rcpts,
            attempt: 1,
            together: self.together,
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
                    self.held_until = Some(
                        Instant::now() + self.relay.next_hop.settings().limits.hold_before_data(),
                    );
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
        true
    }
}

/// Whether a reply to RCPT is what we say in the place of one that never came.
fn is_ours(reply: &Reply) -> bool {
    reply.code() == 451
        && reply
            .enhanced()
            .is_some_and(|status| status.starts_with("4.4."))
}
