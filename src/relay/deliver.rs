//! Delivery of one transaction's variants, and what is written ahead of it (DESIGN 3).
//!
//! What can end half done is written to the spool before the first dot; if that fails nothing was sent. Each forward-path
//! ends with one fate. Knows variants and replies; it must never know why something was stripped. A fault of ours is 451,
//! never a 250.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::Relay;
use super::grounds::Grounds;
use super::journey::Journey;
use super::plan::Parcel;
use super::settle::error_reply;
use crate::next_hop::{Fate, Line, Transit, is_about_the_way};
use crate::smtp::replies;
use crate::smtp::reply::{Reply, Severity};
use crate::spool::Prepared;

/// What is open towards the next hop.
enum Way {
    /// A transaction whose envelope is accepted.
    Envelope(Transit),
    /// A connection between transactions.
    Line(Line),
    /// Nothing.
    None,
}

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
    pub message: &'a Bytes,
    /// How many forward-paths the transaction has.
    pub recipients: usize,
    /// One variant each.
    pub parcels: &'a [Parcel],
    /// What was decided rests on these.
    pub grounds: &'a Grounds<'a>,
    /// When our reply has to be out.
    pub deadline: Instant,
}

/// How it went: a fate for each forward-path of the transaction that a parcel was for.
pub(super) struct Delivery {
    /// By index of the forward-path.
    pub fates: Vec<Option<Fate>>,
    /// The spool entry that was written ahead, still to be settled.
    pub prepared: Option<Prepared>,
    /// Whether a copy was not sent because what was decided no longer stands: it is to be decided anew at once.
    pub outdated: bool,
    /// Whether any message was begun: its DATA was said.
    begun: bool,
}

impl Relay {
    /// Runs the parcels one after the other. `live` is the client's own transaction with the next hop, its envelope
    /// accepted and no data sent; `prepared` was written ahead.
    pub(super) async fn deliver(
        &self,
        journey: &Journey,
        load: Load<'_>,
        live: Option<Transit>,
        keeper: Keeper,
        prepared: Option<Prepared>,
    ) -> Delivery {
        let mut delivery = Delivery::new(load.recipients, prepared);
        let mut way = match live {
            // One transaction for everybody, and the next hop has the envelope already. Where the connection was lost among
            // its verdicts, those who were accepted are named again over another one, as for several variants.
            Some(transit) if one_for_all(&load, journey) && !transit.is_lost() => {
                Way::Envelope(transit)
            }
            Some(transit) => Way::Line(transit.reset().await),
            None => Way::None,
        };
        for parcel in load.parcels {
            way = self
                .deliver_parcel(journey, &load, parcel, way, keeper, &mut delivery)
                .await;
            if journey.together && !delivery.begun {
                break;
            }
            if keeper == Keeper::WriteAhead && delivery.is_the_clients(parcel) {
                break;
            }
        }
        delivery
    }

    async fn deliver_parcel(
        &self,
        journey: &Journey,
        load: &Load<'_>,
        parcel: &Parcel,
        way: Way,
        keeper: Keeper,
        delivery: &mut Delivery,
    ) -> Way {
        let (transit, accepted) = match way {
            Way::Envelope(transit) => (transit, parcel.recipients.clone()),
            Way::Line(line) => match self
                .envelope_again(journey, load, parcel, Some(line), delivery)
                .await
            {
                Ok(opened) => opened,
                Err(way) => return way,
            },
            Way::None => match self
                .envelope_again(journey, load, parcel, None, delivery)
                .await
            {
                Ok(opened) => opened,
                Err(way) => return way,
            },
        };
        let all_again = accepted.len() == parcel.recipients.len();
        if journey.together && !all_again && !delivery.begun {
            // All are served or none: the refusals are the answer.
            return Way::Line(transit.reset().await);
        }
        if keeper == Keeper::WriteAhead && !all_again && delivery.prepared.is_none() {
            match self.prepare(journey, load.message).await {
                Ok(prepared) => delivery.prepared = Some(prepared),
                Err(error) => {
                    delivery.fill(&Fate::NotNow(error_reply(&error)));
                    return Way::Line(transit.reset().await);
                }
            }
        }
        if !load
            .grounds
            .stand(&self.examiner, journey, &parcel.recipients)
            .await
        {
            tracing::warn!(id = %journey.id, copies = accepted.len(), "not sent as decided more than 5 s ago: decided anew");
            delivery.outdated = true;
            for recipient in accepted {
                delivery.set(recipient, Fate::NotNow(replies::outdated()));
            }
            return Way::Line(transit.reset().await);
        }
        delivery.begun = true;
        let (fates, line) = transit.data(&parcel.variant, load.deadline).await;
        for (recipient, fate) in accepted.into_iter().zip(fates) {
            if matches!(fate, Fate::Unknown(_)) {
                tracing::warn!(id = %journey.id, "possible duplicate: the dot was sent and not answered");
            }
            delivery.set(recipient, fate);
        }
        Way::Line(line)
    }

    /// MAIL and RCPT for one parcel again. `Err`: nobody was accepted, the fates say why.
    async fn envelope_again(
        &self,
        journey: &Journey,
        load: &Load<'_>,
        parcel: &Parcel,
        line: Option<Line>,
        delivery: &mut Delivery,
    ) -> Result<(Transit, Vec<usize>), Way> {
        let rcpts: Vec<_> = parcel
            .recipients
            .iter()
            .filter_map(|index| journey.rcpts.get(*index).cloned())
            .collect();
        let line = match line {
            Some(line) => Ok(line),
            None => self.next_hop.line(Some(load.deadline)).await,
        };
        let opened = match line {
            Ok(line) => {
                line.rerun(
                    &journey.mail,
                    &rcpts,
                    &journey.client.xforward,
                    &parcel.variant,
                    load.deadline,
                )
                .await
            }
            Err(unreachable) => Err(unreachable),
        };
        let (transit, replies) = match opened {
            Ok(opened) => opened,
            Err(unreachable) => {
                // A next hop that is busy is not down: nothing is kept for it (DESIGN 3).
                let fate = match unreachable.is_down() {
                    true => Fate::Down(unreachable.to_reply()),
                    false => Fate::NotNow(unreachable.to_reply()),
                };
                for recipient in &parcel.recipients {
                    delivery.set(*recipient, fate.clone());
                }
                return Err(Way::None);
            }
        };
        let mut accepted = Vec::with_capacity(replies.len());
        for (recipient, reply) in parcel.recipients.iter().zip(replies) {
            match reply.severity() {
                Severity::Done => accepted.push(*recipient),
                Severity::Refused => delivery.set(*recipient, Fate::Refused(reply)),
                // What we say in the place of an answer that never came.
                Severity::NotNow if is_about_the_way(&reply) => {
                    delivery.set(*recipient, Fate::Down(reply));
                }
                Severity::NotNow | Severity::GoOn => delivery.set(*recipient, Fate::NotNow(reply)),
            }
        }
        if accepted.is_empty() {
            return Err(Way::Line(transit.reset().await));
        }
        Ok((transit, accepted))
    }
}

impl Delivery {
    /// Nothing was begun, and this is the fate of everybody whose copy was to go.
    pub(super) fn not_begun(load: &Load<'_>, fate: &Fate, prepared: Option<Prepared>) -> Self {
        let people = load.parcels.iter().flat_map(|parcel| &parcel.recipients);
        let mut delivery = Self::new(load.recipients, prepared);
        for recipient in people {
            delivery.set(*recipient, fate.clone());
        }
        delivery
    }

    fn new(recipients: usize, prepared: Option<Prepared>) -> Self {
        Self {
            fates: vec![None; recipients],
            prepared,
            outdated: false,
            begun: false,
        }
    }

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
        self.fates
            .iter()
            .flatten()
            .any(|fate| matches!(fate, Fate::Taken(_)))
    }

    /// Whether the next hop has said no to anybody, for good or for now.
    pub(super) fn any_refused(&self) -> bool {
        let no = |fate: &Fate| matches!(fate, Fate::Refused(_) | Fate::NotNow(_));
        self.fates.iter().flatten().any(no)
    }

    /// Whether the way was down for anybody, and nobody's copy is in doubt: then all that is left can be kept.
    pub(super) fn is_down(&self) -> bool {
        let of = |wanted: fn(&Fate) -> bool| self.fates.iter().flatten().any(wanted);
        of(|fate| matches!(fate, Fate::Down(_))) && !of(|fate| matches!(fate, Fate::Unknown(_)))
    }

    /// Whether the transaction ends with this parcel and the client keeps all of it: nothing was taken, and the reply is
    /// about more than this parcel's people. Where all of them were refused by name, with nothing begun, that reply would
    /// bounce the others as if it were about them (DESIGN 3 has the first variant's reply as the answer): they get their
    /// turn instead.
    fn is_the_clients(&self, parcel: &Parcel) -> bool {
        let refused =
            |index: &usize| matches!(self.fates.get(*index), Some(Some(Fate::Refused(_))));
        !self.any_taken() && (self.begun || !parcel.recipients.iter().all(refused))
    }

    /// The one reply an SMTP client gets: the next hop's own words where anything was taken, else the mildest.
    pub(super) fn one_reply(&self) -> Reply {
        let taken = self.fates.iter().flatten().find_map(|fate| {
            if let Fate::Taken(reply) = fate {
                Some(reply.clone())
            } else {
                None
            }
        });
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
    first_refusal
        .cloned()
        .unwrap_or_else(replies::internal_fault)
}

/// Whether one variant serves everybody who was accepted.
fn one_for_all(load: &Load<'_>, journey: &Journey) -> bool {
    matches!(load.parcels, [only] if only.recipients.len() == journey.rcpts.len())
}

pub(super) async fn give_back(live: Option<Transit>) {
    if let Some(transit) = live {
        transit.reset().await;
    }
}

/// When the reply to the client has to be out.
pub(super) fn deadline(answer_within: Duration) -> Instant {
    Instant::now() + answer_within
}
