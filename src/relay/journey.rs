//! One transaction on its way through the relay: who brought it, its envelope, our id; as fresh mail and as a spool entry.
//!
//! A plain value. Both ways carry all that a decision needs, so what is owed is decided anew by the same code as fresh
//! mail. It must never hold a decision.

use jiff::Timestamp;
use ring::digest::{Context, SHA256};

use super::recall::Answers;
use super::{dsn, record};
use crate::mime::trace;
use crate::next_hop::Fate;
use crate::smtp::replies;
use crate::smtp::reply::Reply;
use crate::smtp::transaction::{Mail, Rcpt};
use crate::spool::{Client, EntryId, Envelope, LastReply, Origin, Owes, Protocol, Recipient};

/// One transaction after the client's dot.
#[derive(Debug, Clone)]
pub struct Journey {
    /// Our id, the same in the `Received:` field, log, ledger and spool.
    pub id: EntryId,
    /// When the client's dot was read.
    pub arrived_at: Timestamp,
    /// The connection it came by.
    pub client: Client,
    /// MAIL.
    pub mail: Mail,
    /// Every RCPT that was answered 250.
    pub rcpts: Vec<Rcpt>,
    /// Which attempt at it this is, from 1.
    pub attempt: u32,
    /// Whether all recipients are taken or none (`selective_rejects = false`).
    pub together: bool,
    /// Whether its login had rights of its own when it was accepted.
    pub login_named: bool,
    /// What is known of its loads from other messages; the same at every attempt.
    pub answers: Answers,
}

impl Journey {
    /// Our `Received:` field, line end included (RFC 5321 4.4), without a `for` clause: it would show one recipient to another.
    pub(super) fn received(&self, name: &str) -> Vec<u8> {
        trace::received_field(&trace::Received {
            helo: &self.client.helo,
            client: self.client.address,
            name,
            protocol: &self.protocol_word(),
            id: self.id.as_str(),
            date: &dsn::rfc5322(self.arrived_at.as_second()).unwrap_or_default(),
        })
    }

    /// The `with` word of RFC 3848 and RFC 6531 4.3: `S` for TLS, `A` for a login.
    fn protocol_word(&self) -> String {
        let utf8 = self.mail.parameters.has("SMTPUTF8");
        let word = match (self.client.protocol, utf8) {
            (Protocol::Lmtp, true) => "UTF8LMTP",
            (Protocol::Lmtp, false) => "LMTP",
            (Protocol::Smtp, true) => "UTF8SMTP",
            (Protocol::Smtp, false) if self.client.esmtp => "ESMTP",
            (Protocol::Smtp, false) => return "SMTP".to_owned(),
        };
        let tls = if self.client.tls.is_some() { "S" } else { "" };
        let login = if self.client.login.is_some() { "A" } else { "" };
        format!("{word}{tls}{login}")
    }

    /// The key under which the first sight of this mail is remembered: reverse-path, forward-paths and the message without
    /// its trace fields, as one digest.
    pub(super) fn hold_key(&self, message: &[u8]) -> String {
        let mut context = Context::new(&SHA256);
        context.update(self.mail.reverse_path.as_str().as_bytes());
        for rcpt in &self.rcpts {
            context.update(&[0]);
            context.update(rcpt.forward_path.as_str().as_bytes());
        }
        context.update(&[0]);
        context.update(record::message_sha256(message).as_bytes());
        record::hex(context.finish().as_ref())
    }

    /// The entry that is written ahead: everybody is owed their copy.
    pub(super) fn to_envelope(&self) -> Envelope {
        self.envelope(self.rcpts.iter().map(Recipient::new).collect())
    }

    /// The entry that stays when these are still owed something.
    pub(super) fn envelope(&self, recipients: Vec<Recipient>) -> Envelope {
        Envelope {
            id: self.id.clone(),
            arrived_at: self.arrived_at,
            origin: Origin::Client(Box::new(self.client.clone())),
            reverse_path: self.mail.reverse_path.clone(),
            mail_parameters: self.mail.parameters.clone(),
            recipients,
            attempts: 0,
            next_attempt_at: self.arrived_at,
            delay_told_at: None,
            login_named: self.login_named,
            retried_at: None,
            dead: None,
            learned: self.answers.given(),
        }
    }

    /// The transaction that delivers what an entry still owes; `None` for an entry of our own.
    pub(super) fn of_owed(envelope: &Envelope) -> Option<Self> {
        let Origin::Client(client) = &envelope.origin else {
            return None;
        };
        Some(Self {
            id: envelope.id.clone(),
            arrived_at: envelope.arrived_at,
            client: (**client).clone(),
            mail: envelope.mail(),
            rcpts: envelope.owed(Owes::Delivery).map(Recipient::rcpt).collect(),
            attempt: envelope.attempts.saturating_add(2),
            together: false,
            login_named: envelope.login_named,
            answers: Answers::fixed(&envelope.learned),
        })
    }
}

/// What is still owed to a forward-path after an attempt that ended so; `None`: nothing.
pub(super) fn still_owed(recipient: Recipient, fate: Option<&Fate>) -> Option<Recipient> {
    match fate {
        Some(Fate::Taken(_)) => None,
        Some(Fate::NotNow(reply) | Fate::Down(reply)) => Some(with_reply(recipient, reply)),
        Some(Fate::Unknown(reply)) => Some(Recipient {
            possible_duplicate: true,
            ..with_reply(recipient, reply)
        }),
        Some(Fate::Refused(reply)) => failed(recipient, reply),
        // Not begun: the attempt ended before its turn.
        None => Some(recipient),
    }
}

/// The forward-path will not be served: a report is owed, unless the sender asked for none (RFC 3461 4.1).
pub(super) fn failed(recipient: Recipient, reply: &Reply) -> Option<Recipient> {
    if !recipient.wants("FAILURE") {
        tracing::warn!(
            code = reply.code(),
            "a forward-path was refused after others had been taken; NOTIFY asks for no report"
        );
        return None;
    }
    Some(Recipient {
        owes: Owes::FailedDsn,
        ..with_reply(recipient, reply)
    })
}

/// A forward-path whose copy we do not let go while others' goes: a report is owed, with the code of a verdict on one
/// recipient (DESIGN 3, RFC 3463 5.7.1); the words stay those of the refusal.
pub(super) fn rejected(recipient: Recipient, reply: &Reply) -> Option<Recipient> {
    failed(recipient, &replies::for_one_recipient(reply))
}

pub(super) fn with_reply(recipient: Recipient, reply: &Reply) -> Recipient {
    Recipient {
        last_reply: Some(LastReply::from(reply)),
        ..recipient
    }
}
