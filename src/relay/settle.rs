//! After delivery: what is still owed goes into the spool, and the client is told (DESIGN 3).
//!
//! What can end half done was written ahead; here the entry becomes owed, or goes, before there is a 250. While no next hop takes
//! mail and the operator has it kept, everything is owed. It must never know why something was stripped. When the spool fails
//! the answer is 4xx and the client keeps its mail.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;

use super::deliver::{Delivery, Keeper};
use super::journey::{rejected, still_owed, with_reply};
use super::{Answer, Journey, Judged, Relay};
use crate::next_hop::Fate;
use crate::smtp::replies;
use crate::smtp::reply::Reply;
use crate::spool::{Envelope, Prepared, Recipient, SpoolError};

impl Relay {
    /// Writes ahead what may end half done; `None` where it cannot. On an error nothing may be sent.
    pub(super) async fn write_ahead(
        &self,
        journey: &Journey,
        message: &Bytes,
        judged: &Judged<'_>,
    ) -> Result<Option<Prepared>, SpoolError> {
        let several_ends = judged.parcels.len() > 1
            || !judged.aside.is_empty()
            || self.each_needs_the_spool(journey);
        match several_ends {
            true => self.prepare(journey, message).await.map(Some),
            false => Ok(None),
        }
    }

    /// Writes the entry ahead: everybody is owed their copy.
    pub(super) async fn prepare(
        &self,
        journey: &Journey,
        message: &Bytes,
    ) -> Result<Prepared, SpoolError> {
        let prepared = self.spool.prepare(journey.to_envelope(), message.clone());
        let prepared = prepared.await;
        if let Err(error) = &prepared {
            tracing::error!(id = %journey.id, %error, "the spool did not take the message");
        }
        prepared
    }

    /// Turns fates into the answer; what is owed lies in the spool before there is a 250.
    pub(super) async fn settle(
        &self,
        journey: &Journey,
        aside: &BTreeMap<usize, Reply>,
        mut delivery: Delivery,
        message: &Bytes,
        keeper: Keeper,
    ) -> (Answer, Vec<Option<Fate>>) {
        // All or none, and one of them was told no by name: the client keeps all of it.
        let refused = journey.together && !delivery.any_taken() && delivery.any_refused();
        let keeps = self.keeps() && delivery.is_down() && !refused;
        if keeper == Keeper::Client {
            let kept = keeps && self.keep_down(journey, &delivery, message).await;
            let each = delivery.fates.iter().enumerate().map(|(index, fate)| {
                match (fate, aside.get(&index)) {
                    (Some(Fate::Down(_)), _) if kept => replies::queued(journey.id.as_str()),
                    (Some(fate), _) => fate.reply().clone(),
                    (None, Some(reply)) => reply.clone(),
                    (None, None) => replies::internal_fault(),
                }
            });
            return (Answer::Each(each.collect()), delivery.fates);
        }
        let mut reply = delivery.one_reply();
        if keeps && delivery.prepared.is_none() && !delivery.any_taken() {
            match self.prepare(journey, message).await {
                Ok(prepared) => delivery.prepared = Some(prepared),
                Err(error) => reply = error_reply(&error),
            }
        }
        let Some(prepared) = delivery.prepared.take() else {
            return (Answer::One(reply), delivery.fates);
        };
        let taken = delivery.any_taken();
        let settled = if taken || keeps {
            prepared
                .owe(self.what_is_left(journey, aside, &delivery))
                .await
        } else {
            prepared.remove().await
        };
        match settled {
            Ok(()) if keeps && !taken => {
                self.counters.events.add("kept_while_down", 1);
                reply = replies::queued(journey.id.as_str());
            }
            Ok(()) => {}
            Err(error) => {
                tracing::error!(id = %journey.id, %error, "the rest could not be kept: the client keeps all of it");
                if taken || keeps {
                    reply = error_reply(&error);
                }
            }
        }
        (Answer::One(reply), delivery.fates)
    }

    /// The entry that stays: who is owed a copy, who a report.
    fn what_is_left(
        &self,
        journey: &Journey,
        aside: &BTreeMap<usize, Reply>,
        delivery: &Delivery,
    ) -> Envelope {
        let left = journey
            .rcpts
            .iter()
            .enumerate()
            .filter_map(|(index, rcpt)| {
                let recipient = Recipient::new(rcpt);
                match aside.get(&index) {
                    Some(reply) if reply.code() >= 500 => rejected(recipient, reply),
                    Some(reply) => Some(with_reply(recipient, reply)),
                    None => still_owed(
                        recipient,
                        delivery.fates.get(index).and_then(Option::as_ref),
                    ),
                }
            });
        let mut envelope = journey.envelope(left.collect());
        envelope.next_attempt_at = match delivery.outdated {
            true => Timestamp::now(),
            false => self.spool.settings().next_attempt_at(Timestamp::now(), 0),
        };
        envelope
    }

    /// Keeps the copies of an LMTP client for which the way was down; whether that succeeded.
    async fn keep_down(&self, journey: &Journey, delivery: &Delivery, message: &Bytes) -> bool {
        let down = |index: &usize| matches!(delivery.fates.get(*index), Some(Some(Fate::Down(_))));
        let left = journey.rcpts.iter().enumerate();
        let left = left.filter(|(index, _)| down(index));
        let mut envelope = journey.envelope(left.map(|(_, rcpt)| Recipient::new(rcpt)).collect());
        envelope.next_attempt_at = self.spool.settings().next_attempt_at(Timestamp::now(), 0);
        let kept = match self.spool.prepare(envelope.clone(), message.clone()).await {
            Ok(prepared) => prepared.owe(envelope).await,
            Err(error) => Err(error),
        };
        if let Err(error) = &kept {
            tracing::error!(id = %journey.id, %error, "the next hop is down and the spool did not take the message");
        }
        kept.is_ok()
    }
}

/// A full spool is said with its own code (RFC 5321 4.2.3).
pub(super) fn error_reply(error: &SpoolError) -> Reply {
    if error.is_full() {
        replies::spool_full()
    } else {
        replies::spool_failed()
    }
}
