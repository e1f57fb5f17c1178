//! One transaction of a client from MAIL to end of data, live with the next hop (DESIGN 3 "Transit first").
//!
//! RCPT verdicts are the next hop's own. No octet of data goes upstream before the client's dot. A transaction that waits
//! too long for its client gives its connection back and is run again at the end of data. It must never know consent.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::time::Instant;

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
    mail: Option<Mail>,
    rcpts: Vec<Rcpt>,
    live: Option<Transit>,
    held_until: Option<Instant>,
    /// Whether `live` has every accepted forward-path in its envelope.
    whole: bool,
}

impl Open {
    pub(super) fn new(relay: Arc<Relay>, client: Client) -> Self {
        Self {
            relay,
            client,
            mail: None,
            rcpts: Vec::new(),
            live: None,
            held_until: None,
            whole: true,
        }
    }

    /// MAIL, answered by the next hop. After anything but 2xx the transaction is over.
    pub async fn mail(&mut self, mail: Mail) -> Reply {
        let reply = self.begin(&mail).await;
        if reply.is_done() {
            self.mail = Some(mail);
        }
        reply
    }

    /// RCPTs that stand together in the client's input, answered by the next hop one by one.
    pub async fn rcpts(&mut self, rcpts: Vec<Rcpt>) -> Vec<Reply> {
        if self.live.is_none() && !self.reopen().await {
            return vec![replies::next_hop_gone(); rcpts.len()];
        }
        let Some(transit) = self.live.as_mut() else {
            return vec![replies::next_hop_gone(); rcpts.len()];
        };
        let replies = transit.rcpts(&rcpts).await;
        let accepted = rcpts
            .into_iter()
            .zip(&replies)
            .filter(|(_, reply)| reply.is_done());
        self.rcpts.extend(accepted.map(|(rcpt, _)| rcpt));
        replies
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
        let journey = Journey {
            id: EntryId::fresh(arrived_at),
            arrived_at,
            client: self.client,
            mail,
            rcpts: self.rcpts,
            attempt: 1,
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
            Err(unreachable) => {
                tracing::error!(error = %unreachable, "no transaction with the next hop");
                unreachable.to_reply()
            }
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
        if self.rcpts.is_empty() {
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
