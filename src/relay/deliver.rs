//! Delivery of one transaction's variants, and what is written ahead of it (DESIGN 3).
//!
//! What can end half done is written to the spool before the first dot; if that fails nothing was sent. Each forward-path
//! ends with one fate. Knows variants and replies; it must never know why something was stripped. A fault of ours is 451,
//! never a 250.

use std::time::Duration;

use tokio::time::Instant;

use super::Relay;
use super::journey::Journey;
use super::plan::Parcel;
use crate::mime::splice::Spliced;
use crate::next_hop::{Fate, Transit};
use crate::smtp::reply::{Reply, Severity};
use crate::smtp::replies;
use crate::spool::Prepared;

/// Who keeps what is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keeper {
    /// The client: one reply for all, so what can end half done is written ahead (SMTP listener).
    WriteAhead,
    /// The client: every forward-path is answered for itself (LMTP listener).
    Client,
    /// The spool: the entry is there already.
    Spool,
}

/// What there is to deliver.
pub(super) struct Load<'a> {
    /// The message as the client sent it, for the spool.
    pub original: &'a Spliced,
    /// One variant each.
    pub parcels: &'a [Parcel],
    /// Whether forward-paths beside the parcels will be owed or reported (rejected, held).
    pub aside: bool,
    /// When our reply has to be out.
    pub deadline: Instant,
}

/// How it went: a fate for each forward-path of the transaction that a parcel was for.
pub(super) struct Delivery {
    /// By index of the forward-path.
    pub fates: Vec<Option<Fate>>,
    /// The spool entry that was written ahead, still to be settled.
    pub prepared: Option<Prepared>,
}

impl Relay {
    /// Runs the parcels one after the other. `live` is the client's own transaction with the next hop, its envelope
    /// accepted and no data sent.
    pub(super) async fn deliver(&self, journey: &Journey, load: Load<'_>, live: Option<Transit>, keeper: Keeper) -> Delivery {
        let mut delivery = Delivery { fates: vec![None; journey.rcpts.len()], prepared: None };
        let several_ends = load.parcels.len() > 1 || load.aside || (self.next_hop.answers_each() && journey.rcpts.len() > 1);
        if keeper == Keeper::WriteAhead && several_ends && !self.prepare(journey, &load, &mut delivery).await {
            give_back(live).await;
            return delivery;
        }
        let mut live = live;
        for parcel in load.parcels {
            let ours = if parcel.recipients.len() == journey.rcpts.len() { live.take() } else { None };
            if ours.is_none() {
                give_back(live.take()).await;
            }
            self.deliver_parcel(journey, &load, parcel, ours, keeper, &mut delivery).await;
            if keeper == Keeper::WriteAhead && !delivery.any_taken() {
                // Nothing taken by the first: its reply is the answer, the others were not begun.
                break;
            }
        }
        give_back(live).await;
        delivery
    }

    async fn deliver_parcel(&self, journey: &Journey, load: &Load<'_>, parcel: &Parcel, live: Option<Transit>, keeper: Keeper, delivery: &mut Delivery) {
        let (mut transit, accepted) = match live {
            Some(transit) => (transit, parcel.recipients.clone()),
            None => match self.envelope_again(journey, parcel, delivery).await {
                Some(opened) => opened,
                None => return,
            },
        };
        let all_again = accepted.len() == parcel.recipients.len();
        if keeper == Keeper::WriteAhead && !all_again && delivery.prepared.is_none() && !self.prepare(journey, load, delivery).await {
            transit.reset().await;
            return;
        }
        let fates = transit.data(&parcel.variant, load.deadline).await;
        for (recipient, fate) in accepted.into_iter().zip(fates) {
            delivery.set(recipient, fate);
        }
    }

    /// MAIL and RCPT for one parcel over a connection of our own. `None`: nobody was accepted, the fates say why.
    async fn envelope_again(&self, journey: &Journey, parcel: &Parcel, delivery: &mut Delivery) -> Option<(Transit, Vec<usize>)> {
        let rcpts: Vec<_> = parcel.recipients.iter().filter_map(|index| journey.rcpts.get(*index).cloned()).collect();
        let (transit, replies) = match self.next_hop.rerun(&journey.mail, &rcpts, &journey.client.xforward, &parcel.variant).await {
            Ok(opened) => opened,
            Err(failure) => {
                let fate = Fate::from_reply(failure.to_reply());
                for recipient in &parcel.recipients {
                    delivery.set(*recipient, fate.clone());
                }
                return None;
            }
        };
        let mut accepted = Vec::with_capacity(replies.len());
        for (recipient, reply) in parcel.recipients.iter().zip(replies) {
            if reply.is_done() {
                accepted.push(*recipient);
            } else {
                delivery.set(*recipient, Fate::from_reply(reply));
            }
        }
        if accepted.is_empty() {
            transit.reset().await;
            return None;
        }
        Some((transit, accepted))
    }

    /// Writes the entry ahead. On failure every forward-path without a fate is answered 451 4.3.1 and nothing is sent.
    async fn prepare(&self, journey: &Journey, load: &Load<'_>, delivery: &mut Delivery) -> bool {
        match self.spool.prepare(journey.to_envelope(), load.original.clone()).await {
            Ok(prepared) => {
                delivery.prepared = Some(prepared);
                true
            }
            Err(error) => {
                tracing::error!(id = journey.id, %error, "nothing sent: the spool did not take the message");
                delivery.fill(&Fate::NotNow(replies::spool_failed()));
                false
            }
        }
    }
}

impl Delivery {
    fn set(&mut self, recipient: usize, fate: Fate) {
        if let Some(slot) = self.fates.get_mut(recipient) {
            *slot = Some(fate);
        }
    }

    fn fill(&mut self, fate: &Fate) {
        for slot in self.fates.iter_mut().filter(|slot| slot.is_none()) {
            *slot = Some(fate.clone());
        }
    }

    /// Whether the next hop has taken anybody's copy.
    pub(super) fn any_taken(&self) -> bool {
        self.fates.iter().flatten().any(|fate| matches!(fate, Fate::Taken(_)))
    }

    /// The one reply an SMTP client gets: the next hop's own words where anything was taken, else the mildest.
    pub(super) fn one_reply(&self) -> Reply {
        let taken = self.fates.iter().flatten().find_map(|fate| if let Fate::Taken(reply) = fate { Some(reply.clone()) } else { None });
        taken.unwrap_or_else(|| mildest(self.fates.iter().flatten().map(Fate::reply)))
    }
}

/// The reply that promises the least harm: 4xx before 5xx, the first among equals.
pub(super) fn mildest<'a>(replies: impl Iterator<Item = &'a Reply>) -> Reply {
    let mut first_refusal = None;
    for reply in replies {
        match reply.severity() {
            Severity::Refused => first_refusal = first_refusal.or(Some(reply)),
            Severity::NotNow | Severity::GoOn | Severity::Done => return reply.clone(),
        }
    }
    first_refusal.cloned().unwrap_or_else(replies::internal_fault)
}

async fn give_back(live: Option<Transit>) {
    if let Some(transit) = live {
        transit.reset().await;
    }
}

/// When the reply to the client has to be out.
pub(super) fn deadline(answer_within: Duration) -> Instant {
    Instant::now() + answer_within
}
