//! What lies in the spool, taken through the same path as fresh mail when it is due; reports that are owed.
//!
//! Started by `server`, one entry after the other in each of a few turns. Every attempt decides anew: a withdrawal bites at
//! the next attempt. Whatever fails leaves the entry where it is, with its next time; only *taken* ends a debt, and a
//! report that nobody can get goes to `dead/`, never away.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

use super::deliver::{Keeper, Load, deadline};
use super::dsn::{self, Failed, Report};
use super::journey::{Journey, failed, rejected, still_owed, with_reply};
use super::{Judged, Relay};
use crate::next_hop::Fate;
use crate::smtp::path::{ForwardPath, Mailbox, ReversePath};
use crate::smtp::replies;
use crate::smtp::reply::Reply;
use crate::spool::{EntryId, Envelope, Owed, Owes, Recipient};

/// Between two looks while the next hop is down.
const WHILE_DOWN: Duration = Duration::from_secs(1);
/// Longest sleep between two looks at the spool, so that a clock set back cannot stop delivery and what the operator asks for
/// is done soon.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

impl Relay {
    /// Delivers what is owed whenever it is due, until `stop` says so.
    /// `relays` is the relay as it is configured now.
    pub async fn deliver_owed(
        mut relays: watch::Receiver<Arc<Self>>,
        mut stop: watch::Receiver<bool>,
    ) {
        while !*stop.borrow() {
            let relay = Arc::clone(&relays.borrow_and_update());
            relay.spool.serve_requests().await;
            let now = Timestamp::now();
            let due = relay.spool.due(now, relay.spool.settings().connections);
            if !due.is_empty() && relay.keeps_now() {
                // Each of them would find out for itself what is known: the next hop's own back-off says when it is asked.
                tokio::select! {
                    () = tokio::time::sleep(WHILE_DOWN) => {}
                    _ = stop.changed() => {}
                }
                continue;
            }
            if due.is_empty() {
                let sleep = relay
                    .spool
                    .next_due()
                    .map_or(LONGEST_SLEEP, |at| until(now, at).min(LONGEST_SLEEP));
                tokio::select! {
                    () = tokio::time::sleep(sleep) => {}
                    () = relay.spool.changed() => {}
                    _ = stop.changed() => {}
                }
                continue;
            }
            let attempts = due.into_iter().map(|id| {
                let relay = Arc::clone(&relay);
                tokio::task::spawn(async move { relay.attempt(&id).await })
            });
            for attempt in attempts.collect::<Vec<_>>() {
                // A panic in one entry costs that entry an attempt; dropping its claim gave it back.
                if let Err(error) = attempt.await {
                    tracing::error!(%error, "an attempt at an owed message broke off");
                }
            }
        }
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
        let (mut recipients, at_once) = self.deliver_debts(&owed).await;
        if self
            .spool
            .settings()
            .is_expired(owed.envelope.owed_since(), now)
        {
            recipients = recipients.into_iter().filter_map(expired).collect();
        }
        if !recipients.is_empty() && recipients != owed.envelope.recipients {
            // A report may take its time: whatever ends this attempt before its end, nobody gets a second copy for it.
            let envelope = Envelope {
                recipients: recipients.clone(),
                ..owed.envelope.clone()
            };
            if let Err(error) = owed.note(envelope).await {
                tracing::error!(%id, %error, "the spool could not note the outcome of an attempt");
            }
        }
        let reported = self.report_failures(&owed, recipients).await;
        self.put_back(owed, reported, now, at_once).await;
    }

    /// Tries every copy that is owed; answers with what is still owed to whom, and whether to try again at once, because
    /// what was decided no longer stood.
    async fn deliver_debts(&self, owed: &Owed) -> (Vec<Recipient>, bool) {
        let envelope = &owed.envelope;
        let (copies, mut others): (Vec<_>, Vec<_>) = envelope
            .recipients
            .iter()
            .cloned()
            .partition(|recipient| recipient.owes == Owes::Delivery);
        let Some(journey) = Journey::of_owed(envelope).filter(|journey| !journey.rcpts.is_empty())
        else {
            return (envelope.recipients.clone(), false);
        };
        let judged = self.judge(&journey, &owed.message).await;
        owed.is_decided();
        let judged = match judged {
            Ok(judged) => judged,
            Err(reply) => {
                others.extend(
                    copies
                        .into_iter()
                        .filter_map(|recipient| settle_refusal(recipient, &reply)),
                );
                return (others, false);
            }
        };
        let Judged {
            parcels,
            grounds,
            aside,
            intended,
            teaches: _,
        } = judged;
        let load = Load {
            message: &owed.message,
            parcels: &parcels,
            grounds: &grounds,
            aside: false,
            deadline: self.unhurried(),
        };
        let delivery = self.deliver(&journey, load, None, Keeper::Spool).await;
        self.conclude(&journey, intended, &delivery.fates, &aside, None)
            .await;
        for (index, recipient) in copies.into_iter().enumerate() {
            let left = match aside.get(&index) {
                Some(reply) if reply.code() >= 500 => rejected(recipient, reply),
                Some(reply) => Some(with_reply(recipient, reply)),
                None => still_owed(
                    recipient,
                    delivery.fates.get(index).and_then(Option::as_ref),
                ),
            };
            others.extend(left);
        }
        (others, delivery.outdated)
    }

    fn is_past_reporting(&self, owed: &Owed) -> bool {
        let settings = self.spool.settings();
        settings.is_past_reporting(owed.envelope.owed_since(), Timestamp::now())
    }

    /// When an attempt has to be over. No client waits, so the next hop gets its `dot_timeout` on top: cut off earlier, a
    /// slow one would take the same copy at every attempt.
    fn unhurried(&self) -> Instant {
        let limits = &self.next_hop.settings().limits;
        deadline(limits.answer_within() + Duration::from_secs(limits.dot_timeout_seconds))
    }

    /// Sends one report about all who failed; answers with what is still owed, or why the entry has to be given up.
    async fn report_failures(&self, owed: &Owed, recipients: Vec<Recipient>) -> Left {
        let (failures, rest): (Vec<_>, Vec<_>) = recipients
            .into_iter()
            .partition(|recipient| recipient.owes == Owes::FailedDsn);
        if failures.is_empty() {
            return Left::Owed(rest);
        }
        let ReversePath::Mailbox(to) = &owed.envelope.reverse_path else {
            return keep_or_give_up(
                rest,
                failures,
                "refused, and the reverse-path is null: nobody to report to",
            );
        };
        let fate = self
            .send_report(&owed.envelope, to, &owed.message, &failures)
            .await;
        match fate {
            Fate::Taken(_) => Left::Owed(rest),
            // Nothing can be reported about a report (RFC 5321 6.1).
            Fate::Refused(_) => {
                keep_or_give_up(rest, failures, "the next hop refused the failed DSN")
            }
            // Nor does one wait for ever.
            Fate::NotNow(_) | Fate::Down(_) | Fate::Unknown(_) if self.is_past_reporting(owed) => {
                keep_or_give_up(rest, failures, "the failed DSN itself expired")
            }
            Fate::NotNow(reply) | Fate::Down(reply) | Fate::Unknown(reply) => {
                tracing::info!(id = %owed.envelope.id, code = reply.code(), "a failed DSN waits");
                Left::Owed(rest.into_iter().chain(failures).collect())
            }
        }
    }

    async fn send_report(
        &self,
        envelope: &Envelope,
        to: &Mailbox,
        message: &[u8],
        failures: &[Recipient],
    ) -> Fate {
        let failures: Vec<Failed> = failures.iter().map(failure).collect();
        let report = dsn::build(&Report {
            reporter: &self.name,
            id: envelope.id.as_str(),
            to: to.as_str(),
            envelope_id: envelope.mail_parameters.get("ENVID"),
            arrived: envelope.arrived_at.as_second(),
            now: Timestamp::now().as_second(),
            failed: &failures,
            original: message,
        });
        match report {
            Ok(report) => {
                let until = self.unhurried();
                self.next_hop
                    .submit(
                        &ForwardPath::Mailbox(to.clone()),
                        Bytes::from(report),
                        until,
                    )
                    .await
            }
            Err(error) => {
                tracing::error!(id = %envelope.id, %error, "a failed DSN could not be written");
                Fate::NotNow(replies::internal_fault())
            }
        }
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

/// What an attempt leaves.
enum Left {
    /// These are still owed something.
    Owed(Vec<Recipient>),
    /// Nobody can be told about these.
    Dead(Vec<Recipient>, &'static str),
}

/// As long as somebody else is still owed a copy the entry stays where it is.
fn keep_or_give_up(rest: Vec<Recipient>, failures: Vec<Recipient>, why: &'static str) -> Left {
    if rest.is_empty() {
        Left::Dead(failures, why)
    } else {
        Left::Owed(rest.into_iter().chain(failures).collect())
    }
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

fn failure(recipient: &Recipient) -> Failed {
    let reply = recipient
        .last_reply
        .as_ref()
        .map_or_else(replies::expired, Reply::from);
    Failed {
        forward_path: recipient.forward_path.as_str().to_owned(),
        original_recipient: recipient.parameters.get("ORCPT").map(str::to_owned),
        code: reply.code(),
        status: reply.enhanced().map(str::to_owned),
        text: reply.text(),
    }
}

fn until(now: Timestamp, at: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO)
}
