//! Reports that are owed, and the news that something is late (RFC 3461 6.2): written from an entry, given to the next hop.
//!
//! What a sender asked for decides (NOTIFY, RET), nothing is said under a null reverse-path, and a report is never about a
//! report. A failed DSN is owed until it is taken or has had its time; a delayed one is tried beside the copies it is about and
//! owed to nobody. What comes back of a message holds nothing that would load when it is opened. It must never send a copy.

use bytes::Bytes;
use jiff::Timestamp;

use super::Relay;
use super::dsn::{self, Concerned, Kind, Report, Returned, Said, Takes};
use super::journey::Journey;
use super::owed::Left;
use crate::next_hop::Fate;
use crate::smtp::path::{ForwardPath, Mailbox, ReversePath};
use crate::smtp::replies;
use crate::smtp::reply::Reply;
use crate::spool::{Envelope, Owed, Owes, Recipient};

impl Relay {
    /// Sends one report about all who failed; answers with what is still owed, or why the entry has to be given up.
    pub(super) async fn report_failures(
        &self,
        owed: &mut Owed,
        recipients: Vec<Recipient>,
    ) -> Left {
        let (failures, rest): (Vec<_>, Vec<_>) = recipients
            .into_iter()
            .partition(|recipient| recipient.owes == Owes::FailedDsn);
        if failures.is_empty() {
            return Left::Owed(rest);
        }
        let ReversePath::Mailbox(to) = owed.envelope.reverse_path.clone() else {
            return keep_or_give_up(
                rest,
                failures,
                "refused, and the reverse-path is null: nobody to report to",
            );
        };
        // The message is read again: what the process dies of now is its content.
        owed.is_deciding().await;
        let returned = self.returned(&owed.envelope, &owed.message).await;
        owed.is_decided().await;
        let fate = self
            .send_report(Kind::Failed, owed, &to, &failures, returned)
            .await;
        match fate {
            Fate::Taken(_) => {
                self.counters.events.add("dsn_failed", 1);
                Left::Owed(rest)
            }
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

    /// Tells the sender once that copies are late; when that was. Where it cannot be told now it is tried at the next attempt,
    /// as long as there is one; a refusal, or silence behind the dot, is the end of it.
    pub(super) async fn tell_delay(&self, owed: &Owed, left: &[Recipient]) -> Option<Timestamp> {
        let (envelope, settings) = (&owed.envelope, self.spool.settings());
        let (since, now) = (envelope.owed_since(), Timestamp::now());
        if envelope.delay_told_at.is_some() || !settings.is_late(since, now) {
            return envelope.delay_told_at;
        }
        let ReversePath::Mailbox(to) = &envelope.reverse_path else {
            return None;
        };
        let late: Vec<_> = left
            .iter()
            .filter(|recipient| recipient.owes == Owes::Delivery && recipient.wants("DELAY"))
            .cloned()
            .collect();
        if late.is_empty() {
            return None;
        }
        let until = settings.expires_at(since).as_second();
        // Only a report of failure may return the message (RFC 3461 4.3).
        let fate = self
            .send_report(Kind::Delayed { until }, owed, to, &late, Returned::Header)
            .await;
        match fate {
            Fate::NotNow(reply) | Fate::Down(reply) => {
                tracing::info!(id = %envelope.id, code = reply.code(), "a delayed DSN was not taken");
                None
            }
            Fate::Refused(reply) => {
                tracing::warn!(id = %envelope.id, code = reply.code(), "a delayed DSN was refused; no other is sent");
                Some(now)
            }
            Fate::Taken(_) | Fate::Unknown(_) => {
                self.counters.events.add("dsn_delayed", 1);
                Some(now)
            }
        }
    }

    fn is_past_reporting(&self, owed: &Owed) -> bool {
        let settings = self.spool.settings();
        settings.is_past_reporting(owed.envelope.owed_since(), Timestamp::now())
    }

    async fn send_report(
        &self,
        kind: Kind,
        owed: &Owed,
        to: &Mailbox,
        recipients: &[Recipient],
        returned: Returned,
    ) -> Fate {
        let envelope = &owed.envelope;
        let concerned: Vec<Concerned> = recipients.iter().map(concerned).collect();
        let report = dsn::build(&Report {
            kind,
            reporter: &self.name,
            id: envelope.id.as_str(),
            to: to.as_str(),
            envelope_id: envelope.mail_parameters.get("ENVID"),
            arrived: envelope.arrived_at.as_second(),
            now: Timestamp::now().as_second(),
            concerned: &concerned,
            original: &owed.message,
            returned,
            takes: self.takes(envelope),
        });
        match report {
            Ok(report) => {
                let (to, until) = (ForwardPath::Mailbox(to.clone()), self.unhurried());
                self.next_hop.submit(&to, Bytes::from(report), until).await
            }
            Err(error) => {
                tracing::error!(id = %envelope.id, %error, "a DSN could not be written");
                Fate::NotNow(replies::internal_fault())
            }
        }
    }

    fn takes(&self, envelope: &Envelope) -> Takes {
        let announced = self.next_hop.extensions().unwrap_or_default();
        Takes {
            eight_bit: announced.eight_bit_mime,
            utf8: announced.smtputf8 && envelope.mail_parameters.has("SMTPUTF8"),
        }
    }

    /// What comes back with a report of failure: with RET=FULL the message as it would go to somebody who has agreed to
    /// nothing. Whoever reads bounces is not the recipient, and an open there would be counted as theirs.
    async fn returned(&self, envelope: &Envelope, message: &Bytes) -> Returned {
        let asked = envelope.mail_parameters.get("RET");
        if !asked.is_some_and(|ret| ret.eq_ignore_ascii_case("FULL")) {
            return Returned::Header;
        }
        let most = self.spool.settings().returned_octets;
        if u32::try_from(message.len()).is_ok_and(|octets| octets <= most) {
            let journey = Journey::of_owed(envelope);
            let harmless = match &journey {
                Some(journey) => self.without_trackers(journey, message).await,
                None => None,
            };
            return match harmless {
                Some(octets) if octets.is_ascii() || self.takes(envelope).eight_bit => {
                    Returned::Message(octets)
                }
                Some(_) => Returned::HeaderOnly(
                    "Your message is not returned, because the next mail server takes 7 bits only."
                        .to_owned(),
                ),
                None => Returned::HeaderOnly(
                    "Your message is not returned, because what it would load cannot be told."
                        .to_owned(),
                ),
            };
        }
        let octets = message.len();
        Returned::HeaderOnly(format!(
            "Your message is not returned: it has {octets} octets, and returned_octets is {most}."
        ))
    }

    async fn without_trackers(&self, journey: &Journey, message: &Bytes) -> Option<Vec<u8>> {
        let mut case = self.case(journey, message);
        case.received = None;
        let variant = self.examiner.without_trackers(&case).await?;
        Some(variant.to_bytes().to_vec())
    }
}

/// As long as somebody else is still owed a copy the entry stays where it is.
fn keep_or_give_up(rest: Vec<Recipient>, failures: Vec<Recipient>, why: &'static str) -> Left {
    if rest.is_empty() {
        Left::Dead(failures, why)
    } else {
        Left::Owed(rest.into_iter().chain(failures).collect())
    }
}

fn concerned(recipient: &Recipient) -> Concerned {
    let said = recipient.last_reply.as_ref().map(Reply::from);
    // A failure always has its reason; a delay may have none yet.
    let said = match recipient.owes {
        Owes::FailedDsn => Some(said.unwrap_or_else(replies::expired)),
        Owes::Delivery => said,
    };
    Concerned {
        forward_path: recipient.forward_path.as_str().to_owned(),
        original_recipient: recipient.parameters.get("ORCPT").map(str::to_owned),
        said: said.map(|reply| Said {
            code: reply.code(),
            status: reply.enhanced().map(str::to_owned),
            text: reply.text(),
        }),
    }
}
