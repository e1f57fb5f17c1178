//! What lies in the spool, taken through the same path as fresh mail when it is due.
//!
//! Started by `server`. New mail goes first: what is owed takes at most `spool.connections`, and at most half of what a next
//! hop takes at once. Every attempt decides anew: a withdrawal bites at the next attempt. Whatever fails leaves the entry where
//! it is, with its next time; only *taken* ends a debt, and a report that nobody can get goes to `dead/`, never away.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;

use super::deliver::{Keeper, Load, deadline};
use super::grounds::Grounds;
use super::journey::{Journey, failed, rejected, still_owed, with_reply};
use super::plan::Parcel;
use super::record::Intended;
use super::{Judged, Relay};
use crate::next_hop::Fate;
use crate::smtp::replies;
use crate::smtp::reply::Reply;
use crate::spool::{EntryId, Envelope, Owed, Owes, Recipient};

/// Between two looks while the next hop is down.
const WHILE_DOWN: Duration = Duration::from_secs(1);
/// Longest sleep between two looks at the spool, so that a clock set back cannot stop delivery and what the operator asks for
/// is done soon.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);
/// Shortest: an entry that is about to be taken in hand still counts as waiting.
const SHORTEST_SLEEP: Duration = Duration::from_millis(20);

/// Attempts that are under way.
#[derive(Debug, Default)]
struct Attempts {
    tasks: JoinSet<()>,
    entries: BTreeMap<Id, EntryId>,
}

impl Attempts {
    fn start(&mut self, relay: &Arc<Relay>, id: EntryId) {
        let (relay, entry) = (Arc::clone(relay), id.clone());
        let task = self.tasks.spawn(async move { relay.attempt(&entry).await });
        self.entries.insert(task.id(), id);
    }

    fn has(&self, id: &EntryId) -> bool {
        self.entries.values().any(|entry| entry == id)
    }

    /// Waits for one of them to end; `false` where there is none.
    async fn one_ended(&mut self) -> bool {
        let task = match self.tasks.join_next_with_id().await {
            None => return false,
            Some(Ok((task, ()))) => task,
            // A panic in one entry costs that entry an attempt; dropping its claim gave it back.
            Some(Err(error)) => {
                tracing::error!(%error, "an attempt at an owed message broke off");
                error.id()
            }
        };
        self.entries.remove(&task);
        true
    }
}

impl Relay {
    /// Delivers what is owed whenever it is due, until `stop` says so; then what is under way comes to its end.
    /// `relays` is the relay as it is configured now.
    pub async fn deliver_owed(
        mut relays: watch::Receiver<Arc<Self>>,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut attempts = Attempts::default();
        while !*stop.borrow() {
            let relay = Arc::clone(&relays.borrow_and_update());
            relay.spool.serve_requests().await;
            let sleep = relay.start_due(&mut attempts);
            tokio::select! {
                () = tokio::time::sleep(sleep) => {}
                () = relay.spool.changed() => {}
                true = attempts.one_ended() => {}
                _ = stop.changed() => {}
            }
        }
        while attempts.one_ended().await {}
    }

    /// Begins attempts at what is due, as far as they find room beside new mail; how long to sleep if nothing happens.
    fn start_due(self: &Arc<Self>, attempts: &mut Attempts) -> Duration {
        let now = Timestamp::now();
        let (under_way, most) = (attempts.entries.len(), self.attempts_at_once());
        let due = self.spool.due(now, under_way.saturating_add(most));
        if !due.is_empty() && self.keeps_now() {
            // Each of them would find out for itself what is known: the next hop's own back-off says when it is asked.
            return WHILE_DOWN;
        }
        for id in due {
            if attempts.entries.len() >= most {
                return LONGEST_SLEEP;
            }
            if !attempts.has(&id) {
                attempts.start(self, id);
            }
        }
        let next = self.spool.next_due();
        next.map_or(LONGEST_SLEEP, |at| {
            until(now, at).clamp(SHORTEST_SLEEP, LONGEST_SLEEP)
        })
    }

    /// How many attempts may run. Half of the connections, at the least, are there for new mail, however slow the next hop is;
    /// where there is but one, they take turns.
    fn attempts_at_once(&self) -> usize {
        let hops = self.next_hop.all().iter();
        let least = hops.map(|hop| hop.limits.max_connections).min();
        let half = least.map_or(1, |connections| (connections / 2).max(1));
        self.spool.settings().connections.min(half)
    }

    /// One attempt at one entry.
    async fn attempt(&self, id: &EntryId) {
        let mut owed = match self.spool.claim(id).await {
            Ok(Some(owed)) => owed,
            Ok(None) => return,
            Err(error) => {
                tracing::error!(%id, %error, "an owed message could not be taken up");
                return;
            }
        };
        let now = Timestamp::now();
        let Tried {
            mut recipients,
            at_once,
            conclusion,
        } = self.deliver_debts(&mut owed).await;
        if self
            .spool
            .settings()
            .is_expired(owed.envelope.owed_since(), now)
        {
            recipients = recipients.into_iter().filter_map(expired).collect();
        }
        // The ledger and reports may take their time: whatever ends this attempt before its end, nobody gets a second copy for it.
        if recipients.is_empty() {
            self.put_back(owed, Left::Owed(recipients), now, false)
                .await;
            return self.conclude_attempt(conclusion).await;
        }
        self.note_progress(&mut owed, recipients.clone()).await;
        self.conclude_attempt(conclusion).await;
        let told = self.tell_delay(&owed, &recipients).await;
        if told != owed.envelope.delay_told_at {
            owed.envelope.delay_told_at = told;
            self.note(&mut owed).await;
        }
        let reported = self.report_failures(&mut owed, recipients).await;
        self.put_back(owed, reported, now, at_once).await;
    }

    /// Tries every copy that is owed.
    async fn deliver_debts(&self, owed: &mut Owed) -> Tried {
        let envelope = &owed.envelope.clone();
        let (copies, mut others): (Vec<_>, Vec<_>) = envelope
            .recipients
            .iter()
            .cloned()
            .partition(|recipient| recipient.owes == Owes::Delivery);
        let Some(journey) = Journey::of_owed(envelope).filter(|journey| !journey.rcpts.is_empty())
        else {
            return Tried::not(envelope.recipients.clone());
        };
        let judged = self
            .judge(
                &journey,
                &owed.message,
                self.examiner.settings.mixed_consent,
            )
            .await;
        owed.is_decided().await;
        let judged = match judged {
            Ok(judged) => judged,
            Err(reply) => {
                others.extend(
                    copies
                        .into_iter()
                        .filter_map(|recipient| settle_refusal(recipient, &reply)),
                );
                return Tried::not(others);
            }
        };
        let Judged {
            parcels,
            grounds,
            aside,
            intended,
            teaches: _,
        } = judged;
        let progress = Progress {
            copies,
            others,
            aside,
            fates: vec![None; journey.rcpts.len()],
        };
        let (progress, at_once) = self
            .deliver_each(owed, &journey, &parcels, &grounds, progress)
            .await;
        Tried {
            recipients: progress.left(),
            at_once,
            conclusion: Some(Conclusion {
                journey,
                intended,
                fates: progress.fates,
                aside: progress.aside,
            }),
        }
    }

    /// Each variant by itself; how far that came, and whether something was decided too long ago.
    async fn deliver_each(
        &self,
        owed: &mut Owed,
        journey: &Journey,
        parcels: &[Parcel],
        grounds: &Grounds<'_>,
        mut progress: Progress,
    ) -> (Progress, bool) {
        let message = owed.message.clone();
        let mut outdated = false;
        for (number, parcel) in parcels.iter().enumerate() {
            let load = Load {
                message: &message,
                recipients: journey.rcpts.len(),
                parcels: std::slice::from_ref(parcel),
                grounds,
                deadline: self.unhurried(),
            };
            let delivery = self.deliver(journey, load, None, Keeper::Spool, None).await;
            outdated |= delivery.outdated;
            progress.take(delivery.fates);
            if number + 1 < parcels.len() {
                // The next one may take its time: whatever ends this attempt, nobody who has a copy gets a second one.
                self.note_progress(owed, progress.left()).await;
            }
        }
        (progress, outdated)
    }

    async fn conclude_attempt(&self, conclusion: Option<Conclusion>) {
        if let Some(of) = conclusion {
            self.conclude(&of.journey, of.intended, &of.fates, &of.aside, None)
                .await;
        }
    }

    /// Writes down in the midst of an attempt who is still owed something.
    async fn note_progress(&self, owed: &mut Owed, recipients: Vec<Recipient>) {
        if recipients.is_empty() || recipients == owed.envelope.recipients {
            return;
        }
        owed.envelope.recipients = recipients;
        self.note(owed).await;
    }

    async fn note(&self, owed: &mut Owed) {
        let (id, envelope) = (owed.envelope.id.clone(), owed.envelope.clone());
        if let Err(error) = owed.note(envelope).await {
            tracing::error!(%id, %error, "the spool could not note the outcome of an attempt");
        }
    }

    /// When an attempt has to be over. No client waits, so the next hop gets its `dot_timeout` on top: cut off earlier, a
    /// slow one would take the same copy at every attempt.
    pub(super) fn unhurried(&self) -> Instant {
        let limits = &self.next_hop.settings().limits;
        deadline(limits.answer_within() + Duration::from_secs(limits.dot_timeout_seconds))
    }

    async fn put_back(&self, mut owed: Owed, left: Left, now: Timestamp, at_once: bool) {
        let id = owed.envelope.id.clone();
        let written = match left {
            Left::Dead(recipients, why) => {
                tracing::error!(%id, why, "an owed message lies in spool/dead");
                owed.envelope.recipients = recipients;
                owed.dead(why).await
            }
            Left::Owed(recipients) if recipients.is_empty() => owed.done().await,
            Left::Owed(recipients) => {
                let attempts = owed.envelope.attempts.saturating_add(1);
                let next_attempt_at = match at_once {
                    true => Timestamp::now(),
                    false => self.spool.settings().next_attempt_at(now, attempts),
                };
                let envelope = Envelope {
                    recipients,
                    attempts,
                    next_attempt_at,
                    ..owed.envelope.clone()
                };
                owed.keep(envelope).await
            }
        };
        if let Err(error) = written {
            tracing::error!(%id, %error, "the spool could not note the outcome of an attempt");
        }
    }
}

/// What an attempt came to.
struct Tried {
    /// What is still owed to whom.
    recipients: Vec<Recipient>,
    /// Whether to try again at once, because what was decided no longer stood.
    at_once: bool,
    conclusion: Option<Conclusion>,
}

impl Tried {
    /// Nothing was decided.
    fn not(recipients: Vec<Recipient>) -> Self {
        Self {
            recipients,
            at_once: false,
            conclusion: None,
        }
    }
}

/// What the ledger is told of an attempt, once the spool has it.
struct Conclusion {
    journey: Journey,
    intended: Intended,
    fates: Vec<Option<Fate>>,
    aside: BTreeMap<usize, Reply>,
}

/// How far an attempt has come.
struct Progress {
    /// Who was owed a copy, by index of the forward-path.
    copies: Vec<Recipient>,
    /// Who is owed something else.
    others: Vec<Recipient>,
    aside: BTreeMap<usize, Reply>,
    fates: Vec<Option<Fate>>,
}

impl Progress {
    fn take(&mut self, fates: Vec<Option<Fate>>) {
        for (known, fate) in self.fates.iter_mut().zip(fates) {
            if fate.is_some() {
                *known = fate;
            }
        }
    }

    /// Who is still owed something.
    fn left(&self) -> Vec<Recipient> {
        let copies = self.copies.iter().cloned().enumerate();
        let left = copies.filter_map(|(index, recipient)| match self.aside.get(&index) {
            Some(reply) if reply.code() >= 500 => rejected(recipient, reply),
            Some(reply) => Some(with_reply(recipient, reply)),
            None => still_owed(recipient, self.fates.get(index).and_then(Option::as_ref)),
        });
        self.others.iter().cloned().chain(left).collect()
    }
}

/// What an attempt leaves.
pub(super) enum Left {
    /// These are still owed something.
    Owed(Vec<Recipient>),
    /// Nobody can be told about these.
    Dead(Vec<Recipient>, &'static str),
}

/// A refusal of ours of the whole owed message: 5xx ends in a report, 4xx waits.
fn settle_refusal(recipient: Recipient, reply: &Reply) -> Option<Recipient> {
    if reply.code() >= 500 {
        failed(recipient, reply)
    } else {
        Some(with_reply(recipient, reply))
    }
}

fn expired(recipient: Recipient) -> Option<Recipient> {
    if recipient.owes == Owes::FailedDsn {
        return Some(recipient);
    }
    let reply = recipient
        .last_reply
        .as_ref()
        .map_or_else(replies::expired, Reply::from);
    failed(recipient, &reply)
}

fn until(now: Timestamp, at: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO)
}
