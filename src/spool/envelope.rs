//! What is kept beside a message so that it can be decided and delivered again: who brought it, and what is owed.
//!
//! It knows no consent: a decision is made anew at every attempt (a withdrawal bites at once), never stored. An
//! envelope that cannot be read back is an error naming what was wrong, never a guess.

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::smtp::parameter::Parameters;
use crate::smtp::path::{ForwardPath, ReversePath};
use crate::smtp::reply::Reply;
use crate::smtp::transaction::{Mail, Rcpt};
use crate::smtp::xforward::Xforward;

/// The latest version of the envelope files that this build reads.
pub(super) const VERSION: u32 = 2;
/// The version that knows nothing of what was learned.
const WITHOUT_LEARNED: u32 = 1;

/// Most octets of a reply's text that are kept with a recipient; what is longer ends there.
const LAST_REPLY_OCTETS: usize = 2048;

/// Most octets of an entry's name.
const ID_OCTETS: usize = 64;

/// An entry's name, which is also the stem of its files: 1 to 64 of `A-Z a-z 0-9 _ -`, so that it can never leave
/// its directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EntryId(String);

impl EntryId {
    /// An id from its text; `None` when it is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = !text.is_empty()
            && text.len() <= ID_OCTETS
            && text
                .bytes()
                .all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_'));
        fits.then(|| Self(text.to_owned()))
    }

    /// A fresh id for an entry that arrives at `now`. Unique within this process; the directory's lock makes that
    /// enough, and a clash with an older file (a clock set back) is refused when the entry is written.
    pub fn fresh(now: Timestamp) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Self(format!(
            "{:x}-{count:x}",
            now.as_microsecond().unsigned_abs()
        ))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl TryFrom<String> for EntryId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("an id is 1 to 64 of A-Z a-z 0-9 _ -")
    }
}

impl From<EntryId> for String {
    fn from(id: EntryId) -> Self {
        id.0
    }
}

/// Everything about an entry but the message itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    /// Our id, the same in logs and ledger.
    pub id: EntryId,
    /// When the client's dot was read; what is owed expires by it.
    pub arrived_at: Timestamp,
    /// Who brought it.
    pub origin: Origin,
    /// The reverse-path.
    #[serde(with = "reverse_path")]
    pub reverse_path: ReversePath,
    /// The parameters of MAIL, as the client gave them.
    pub mail_parameters: Parameters,
    /// Every forward-path that is still owed something, in the client's order.
    pub recipients: Vec<Recipient>,
    /// Attempts made so far.
    pub attempts: u32,
    /// When to try next.
    pub next_attempt_at: Timestamp,
    /// When the sender was told that it is late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_told_at: Option<Timestamp>,
    /// Whether its login had rights of its own in the configuration by which it was accepted. If it has none any more, nothing
    /// is known about whose mail this is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub login_named: bool,
    /// When the operator had it tried anew; it expires by this then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retried_at: Option<Timestamp>,
    /// Why the entry lies in `dead/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead: Option<String>,
    /// What was known of its loads from other messages when it was judged: every attempt judges by the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub learned: Vec<Learned>,
}

/// What was known of one load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Learned {
    /// The load, by a hash of its slot and URL.
    pub load: u64,
    /// What was known.
    pub says: Says,
}

/// What may be known of a load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Says {
    /// Many people got this URL.
    Shared,
    /// Nearly everybody got another one, as seen for so many people.
    Individual(u32),
}

/// Who brought an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A client, with all that the decision needs to know of it.
    Client(Box<Client>),
    /// We wrote it ourselves (a DSN): nothing in it is examined.
    Own,
}

/// The connection a message came by, as far as deciding again needs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Client {
    /// The listener's address as configured.
    pub listener: String,
    /// `smtp` or `lmtp`.
    pub protocol: Protocol,
    /// Whether it said EHLO or LHLO (the `with` of our trace field).
    pub esmtp: bool,
    /// Its address; `None` on a Unix socket.
    pub address: Option<IpAddr>,
    /// Its port; `None` on a Unix socket.
    pub port: Option<u16>,
    /// The name it gave in EHLO, HELO or LHLO.
    pub helo: String,
    /// Its login, where it authenticated.
    pub login: Option<String>,
    /// The TLS it came by: `TLSv1.3`, `TLSv1.2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<String>,
    /// What it said by XFORWARD, decoded.
    pub xforward: Xforward,
    /// Our id of the session.
    pub session: String,
}

/// The protocol of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// RFC 5321.
    Smtp,
    /// RFC 2033.
    Lmtp,
}

/// One forward-path and what is owed to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipient {
    /// The forward-path.
    #[serde(with = "forward_path")]
    pub forward_path: ForwardPath,
    /// The parameters of RCPT, as the client gave them.
    pub parameters: Parameters,
    /// What is owed.
    pub owes: Owes,
    /// What the next hop, or we, last said about it.
    pub last_reply: Option<LastReply>,
    /// An earlier dot was never answered: this copy may already have arrived once.
    pub possible_duplicate: bool,
}

/// What is owed to a forward-path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Owes {
    /// Its copy.
    Delivery,
    /// A failed DSN to the reverse-path, for it was refused or rejected after another had been taken. Kept here,
    /// in the same file as the deliveries, so that no crash can lose the one while keeping the other.
    FailedDsn,
}

/// A reply as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LastReply {
    /// The three-digit code.
    pub code: u16,
    /// The text lines without codes.
    pub lines: Vec<String>,
}

impl Envelope {
    /// The version of its file: the least that says it all, so that an older build reads what it can read.
    pub(super) fn version(&self) -> u32 {
        match self.learned.is_empty() {
            true => WITHOUT_LEARNED,
            false => VERSION,
        }
    }

    /// Since when it is owed, as far as expiring goes.
    pub fn owed_since(&self) -> Timestamp {
        self.retried_at.unwrap_or(self.arrived_at)
    }

    /// The MAIL command to give again.
    pub fn mail(&self) -> Mail {
        Mail {
            reverse_path: self.reverse_path.clone(),
            parameters: self.mail_parameters.clone(),
        }
    }

    /// The forward-paths that are owed `what`.
    pub fn owed(&self, what: Owes) -> impl Iterator<Item = &Recipient> {
        self.recipients
            .iter()
            .filter(move |recipient| recipient.owes == what)
    }
}

impl Recipient {
    /// A forward-path that is owed its copy and was not tried yet.
    pub fn new(rcpt: &Rcpt) -> Self {
        Self {
            forward_path: rcpt.forward_path.clone(),
            parameters: rcpt.parameters.clone(),
            owes: Owes::Delivery,
            last_reply: None,
            possible_duplicate: false,
        }
    }

    /// Whether its sender wants to hear of this (`FAILURE`, `DELAY`). Who says nothing hears of both (RFC 3461 4.1).
    pub fn wants(&self, word: &str) -> bool {
        self.parameters.get("NOTIFY").is_none_or(|notify| {
            notify
                .split(',')
                .any(|asked| asked.eq_ignore_ascii_case(word))
        })
    }

    /// The RCPT command to give again.
    pub fn rcpt(&self) -> Rcpt {
        Rcpt {
            forward_path: self.forward_path.clone(),
            parameters: self.parameters.clone(),
        }
    }
}

impl From<&Reply> for LastReply {
    /// As much of it as a report needs: a next hop may say a thousand recipients each its hundred lines.
    fn from(reply: &Reply) -> Self {
        let mut left = LAST_REPLY_OCTETS;
        let mut lines = Vec::new();
        for line in reply.lines() {
            let end = line.floor_char_boundary(left);
            let kept = line.get(..end).unwrap_or_default();
            left = left.saturating_sub(kept.len().saturating_add(1));
            lines.push(kept.to_owned());
            if left == 0 || kept.len() < line.len() {
                break;
            }
        }
        Self {
            code: reply.code(),
            lines,
        }
    }
}

impl From<&LastReply> for Reply {
    fn from(kept: &LastReply) -> Self {
        Reply::new(kept.code, kept.lines.iter().cloned())
    }
}

/// The envelope file: the envelope, and by what the message is known to be the one that was written.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stored {
    /// [`Envelope::version`].
    pub(super) version: u32,
    /// Octets of the message file.
    pub(super) message_octets: u64,
    /// SHA-256 of the message file, hex.
    pub(super) message_sha256: String,
    /// The envelope.
    pub(super) envelope: Envelope,
}

/// Only the version, read before anything else.
#[derive(Debug, Deserialize)]
struct Versioned {
    version: u32,
}

/// Why an envelope file could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    /// Written by a later build: not ours to judge.
    #[error("version {0}, this build reads version {VERSION}")]
    Newer(u32),
    /// Not an envelope.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
}

impl Stored {
    /// Reads an envelope file; the version decides before any field does.
    pub(super) fn parse(octets: &[u8]) -> Result<Self, Unreadable> {
        let Versioned { version } = serde_json::from_slice(octets)?;
        if version > VERSION {
            return Err(Unreadable::Newer(version));
        }
        Ok(serde_json::from_slice(octets)?)
    }
}

/// A reverse-path as the text between its brackets.
mod reverse_path {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::smtp::path::ReversePath;

    pub(super) fn serialize<S: Serializer>(path: &ReversePath, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(path.as_str())
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<ReversePath, D::Error> {
        let text = String::deserialize(from)?;
        ReversePath::parse(&text).ok_or_else(|| D::Error::custom("not a reverse-path"))
    }
}

/// A forward-path as the text between its brackets.
mod forward_path {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::smtp::path::ForwardPath;

    pub(super) fn serialize<S: Serializer>(path: &ForwardPath, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(path.as_str())
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<ForwardPath, D::Error> {
        let text = String::deserialize(from)?;
        ForwardPath::parse(&text).ok_or_else(|| D::Error::custom("not a forward-path"))
    }
}

#[cfg(test)]
#[path = "envelope_tests.rs"]
mod tests;
