//! What an operator may say about one next hop (`[[next_hop]]`), with every limit and its default.
//!
//! It must never open anything. Every key has a unit in its name; an unknown key is an error, so that a typo never
//! leaves a limit at its default in silence. What contradicts itself is a [`SettingsError`] naming the key.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::address::Address;
use super::greeting::Login;
use super::secure::{Secure, SecureError, TlsMode, TlsSettings};
use crate::smtp::Protocol;
use crate::smtp::reply_reader::ReplyLimits;

/// One `[[next_hop]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// `host:port`, `unix:/path` or `maildir:directory`.
    pub address: Address,
    /// `smtp` or `lmtp`; of no meaning for a maildir. Default: `smtp`.
    #[serde(default)]
    pub protocol: Protocol,
    /// The name we give in EHLO or LHLO. Default: `localhost`.
    #[serde(default = "helo")]
    pub helo: String,
    /// Whether the next hop may be another pixelgate (it announces XPIXELGATE). Default: `false`, which refuses it, because
    /// the usual reason is a loop.
    #[serde(default)]
    pub chained: bool,
    /// TLS towards it. Default: none.
    #[serde(default)]
    pub tls: TlsSettings,
    /// Who we are to it. Default: nobody.
    #[serde(default)]
    pub auth: Option<AuthSettings>,
    /// The address we connect from. Default: the system's choice.
    #[serde(default)]
    pub source_address: Option<IpAddr>,
    /// `[next_hop.limits]`.
    #[serde(default)]
    pub limits: Limits,
}

/// `auth` of a `[[next_hop]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthSettings {
    /// The name.
    pub user: String,
    /// A file with the password on its first line.
    pub password_file: PathBuf,
    /// Whether it may be said without TLS. Default: `false`.
    #[serde(default)]
    pub plaintext: bool,
}

/// The limits of one next hop. Every time-out ends in a 451 to the client, never in a lost message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Connections at once, busy and idle together. Default: 50.
    pub max_connections: usize,
    /// How long a transaction waits for one of them. Default: 10.
    pub connection_wait_seconds: u64,
    /// How long a connection may lie unused before it is ended with QUIT. Default: 30.
    pub idle_seconds: u64,
    /// Resolving the name and connecting. Default: 15.
    pub connect_timeout_seconds: u64,
    /// A TLS handshake. Default: 20.
    pub handshake_timeout_seconds: u64,
    /// How long a next hop that failed is tried only after the others, at first; doubled with every further failure.
    /// Default: 5.
    pub backoff_first_seconds: u64,
    /// The longest of these times. Default: 60.
    pub backoff_most_seconds: u64,
    /// From the connection to the end of the greeting. Default: 60.
    pub greeting_timeout_seconds: u64,
    /// From a command (EHLO, XFORWARD, MAIL, RCPT, RSET) to the end of its reply. Default: 60.
    pub command_timeout_seconds: u64,
    /// From DATA to its 354. Default: 60.
    pub data_start_timeout_seconds: u64,
    /// For the next hop to take one block (64 KiB) of the message. Default: 60.
    pub data_block_timeout_seconds: u64,
    /// From the final dot to its reply, where no client waits for an answer earlier. Default: 600 (RFC 5321 4.5.3.2.6).
    pub dot_timeout_seconds: u64,
    /// How long a transaction may wait for its client before it is reset and its connection given back. Default: 10.
    pub hold_before_data_seconds: u64,
    /// The same while other mail waits for a connection, in milliseconds. Default: 250.
    pub hold_when_crowded_ms: u64,
    /// From the client's dot to our reply. Default: 90.
    pub answer_within_seconds: u64,
    /// No final dot is sent with less than this left of `answer_within_seconds`. Default: 30.
    pub dot_time_seconds: u64,
    /// Octets of one line of a reply. Default: 4096.
    pub reply_line_octets: usize,
    /// Lines of one reply. Default: 100.
    pub reply_lines: usize,
}

fn helo() -> String {
    "localhost".to_owned()
}

impl Default for Limits {
    fn default() -> Self {
        let reply = ReplyLimits::default();
        Self {
            max_connections: 50,
            connection_wait_seconds: 10,
            idle_seconds: 30,
            connect_timeout_seconds: 15,
            handshake_timeout_seconds: 20,
            backoff_first_seconds: 5,
            backoff_most_seconds: 60,
            greeting_timeout_seconds: 60,
            command_timeout_seconds: 60,
            data_start_timeout_seconds: 60,
            data_block_timeout_seconds: 60,
            dot_timeout_seconds: 600,
            hold_before_data_seconds: 10,
            hold_when_crowded_ms: 250,
            answer_within_seconds: 90,
            dot_time_seconds: 30,
            reply_line_octets: reply.line_octets,
            reply_lines: reply.lines,
        }
    }
}

/// Settings that cannot work. The operator is to blame; the text names the key and the repair.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// A limit that would let nothing through.
    #[error("next_hop.limits {key} must be at least {least}")]
    TooSmall {
        /// The key.
        key: &'static str,
        /// The smallest value that works.
        least: u64,
    },
    /// The dot would never be sent.
    #[error(
        "next_hop.limits dot_time_seconds ({dot}) must be less than answer_within_seconds ({answer})"
    )]
    NoTimeForDot {
        /// `dot_time_seconds`.
        dot: u64,
        /// `answer_within_seconds`.
        answer: u64,
    },
    /// TLS as it cannot be.
    #[error("next_hop {0}")]
    Tls(#[from] SecureError),
    /// What would be believed to protect, and does not.
    #[error(
        "next_hop tls.{key} is not looked at with tls.mode = \"{mode}\"; set another mode, or leave it out"
    )]
    TlsIdle {
        /// The key.
        key: &'static str,
        /// The mode.
        mode: &'static str,
    },
    /// The password cannot be read.
    #[error("next_hop auth.password_file {}: {why}", file.display())]
    Password {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Something that a directory has no use for.
    #[error("next_hop {0} is for servers, not for a maildir")]
    NotForMaildir(&'static str),
    /// A login that could never be said.
    #[error("next_hop auth without tls: set tls.mode, or auth.plaintext = true")]
    AuthWithoutTls,
    /// Next hops that are too different to stand in for each other.
    #[error(
        "several [[next_hop]] have to speak the same protocol, and a maildir stands alone: {0}"
    )]
    Different(String),
    /// No next hop at all.
    #[error("there is no [[next_hop]]")]
    None,
    /// Not a name that may stand behind EHLO.
    #[error("next_hop helo `{0}` is not a host name or address literal")]
    Helo(String),
}

impl Settings {
    /// Settings with every default, for an address.
    pub fn new(address: Address) -> Self {
        Self {
            address,
            protocol: Protocol::default(),
            helo: helo(),
            chained: false,
            tls: TlsSettings::default(),
            auth: None,
            source_address: None,
            limits: Limits::default(),
        }
    }

    /// Whether these settings can work at all.
    pub fn check(&self) -> Result<(), SettingsError> {
        let limits = &self.limits;
        let octets = |value: usize| u64::try_from(value).unwrap_or(u64::MAX);
        for (key, value, least) in [
            ("max_connections", octets(limits.max_connections), 1),
            ("connect_timeout_seconds", limits.connect_timeout_seconds, 1),
            (
                "greeting_timeout_seconds",
                limits.greeting_timeout_seconds,
                1,
            ),
            ("command_timeout_seconds", limits.command_timeout_seconds, 1),
            (
                "data_start_timeout_seconds",
                limits.data_start_timeout_seconds,
                1,
            ),
            (
                "data_block_timeout_seconds",
                limits.data_block_timeout_seconds,
                1,
            ),
            ("dot_timeout_seconds", limits.dot_timeout_seconds, 1),
            (
                "handshake_timeout_seconds",
                limits.handshake_timeout_seconds,
                1,
            ),
            ("backoff_first_seconds", limits.backoff_first_seconds, 1),
            (
                "backoff_most_seconds",
                limits.backoff_most_seconds,
                limits.backoff_first_seconds,
            ),
            ("reply_line_octets", octets(limits.reply_line_octets), 512),
            ("reply_lines", octets(limits.reply_lines), 1),
        ] {
            if value < least {
                return Err(SettingsError::TooSmall { key, least });
            }
        }
        if limits.dot_time_seconds >= limits.answer_within_seconds {
            return Err(SettingsError::NoTimeForDot {
                dot: limits.dot_time_seconds,
                answer: limits.answer_within_seconds,
            });
        }
        self.check_way()?;
        let fits = |octet: u8| octet.is_ascii_alphanumeric() || b".-_[]:".contains(&octet);
        if self.helo.is_empty() || self.helo.len() > 255 || !self.helo.bytes().all(fits) {
            return Err(SettingsError::Helo(self.helo.clone()));
        }
        Ok(())
    }
}

impl Settings {
    fn check_way(&self) -> Result<(), SettingsError> {
        if let Address::Maildir(_) = self.address {
            let given = [
                ("tls", self.tls != TlsSettings::default()),
                ("auth", self.auth.is_some()),
                ("source_address", self.source_address.is_some()),
            ];
            if let Some((key, _)) = given.into_iter().find(|(_, given)| *given) {
                return Err(SettingsError::NotForMaildir(key));
            }
        }
        self.check_tls()?;
        let in_clear = self.tls.mode == TlsMode::None;
        if self
            .auth
            .as_ref()
            .is_some_and(|auth| in_clear && !auth.plaintext)
        {
            return Err(SettingsError::AuthWithoutTls);
        }
        Ok(())
    }

    /// Nothing that is said of certificates may be passed over in silence.
    fn check_tls(&self) -> Result<(), SettingsError> {
        let tls = &self.tls;
        let (mode, any, verified) = match tls.mode {
            TlsMode::None => ("none", false, false),
            TlsMode::Opportunistic => ("opportunistic", true, false),
            TlsMode::Required => ("required", true, false),
            TlsMode::Verified => ("verified", true, true),
        };
        let given = [
            ("implicit", tls.implicit, any),
            ("name", tls.name.is_some(), any),
            ("ca_file", tls.ca_file.is_some(), verified),
            ("fingerprint", tls.fingerprint.is_some(), verified),
        ];
        match given
            .into_iter()
            .find(|(_, given, heeded)| *given && !heeded)
        {
            Some((key, ..)) => Err(SettingsError::TlsIdle { key, mode }),
            None => Ok(()),
        }
    }

    /// Every file that it rests on.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let password = self.auth.iter().map(|auth| auth.password_file.as_path());
        self.tls.files().chain(password)
    }

    /// What a TLS handshake needs; `None`: no TLS.
    pub(super) fn secure(&self) -> Result<Option<Secure>, SettingsError> {
        let host = match &self.address {
            Address::Tcp { host, .. } => Some(host.as_str()),
            Address::Unix(_) | Address::Maildir(_) => None,
        };
        Ok(self.tls.load(host)?)
    }

    /// Name and password.
    pub(super) fn login(&self) -> Result<Option<Login>, SettingsError> {
        let Some(auth) = &self.auth else {
            return Ok(None);
        };
        let wrong = |why: String| SettingsError::Password {
            file: auth.password_file.clone(),
            why,
        };
        let text = std::fs::read_to_string(&auth.password_file)
            .map_err(|error| wrong(error.to_string()))?;
        let password = text.lines().next().unwrap_or_default();
        if password.is_empty() || password.contains('\0') {
            return Err(wrong("its first line is no password".to_owned()));
        }
        Ok(Some(Login {
            user: auth.user.clone(),
            password: password.to_owned(),
            plaintext: auth.plaintext,
        }))
    }
}

impl Limits {
    /// Every wait, by its key.
    pub(crate) fn waits(&self) -> [(&'static str, u64); 13] {
        [
            ("handshake_timeout_seconds", self.handshake_timeout_seconds),
            ("backoff_first_seconds", self.backoff_first_seconds),
            ("backoff_most_seconds", self.backoff_most_seconds),
            ("connection_wait_seconds", self.connection_wait_seconds),
            ("idle_seconds", self.idle_seconds),
            ("connect_timeout_seconds", self.connect_timeout_seconds),
            ("greeting_timeout_seconds", self.greeting_timeout_seconds),
            ("command_timeout_seconds", self.command_timeout_seconds),
            (
                "data_start_timeout_seconds",
                self.data_start_timeout_seconds,
            ),
            (
                "data_block_timeout_seconds",
                self.data_block_timeout_seconds,
            ),
            ("dot_timeout_seconds", self.dot_timeout_seconds),
            ("hold_before_data_seconds", self.hold_before_data_seconds),
            ("answer_within_seconds", self.answer_within_seconds),
        ]
    }

    /// `answer_within_seconds`.
    pub fn answer_within(&self) -> Duration {
        Duration::from_secs(self.answer_within_seconds)
    }

    /// `dot_time_seconds`.
    pub fn dot_time(&self) -> Duration {
        Duration::from_secs(self.dot_time_seconds)
    }

    /// The last instant at which a final dot may leave when the answer is due at `until`.
    pub(super) fn no_dot_after(&self, until: Instant) -> Instant {
        // Before the first instant of the clock there is no time at all.
        until
            .checked_sub(self.dot_time())
            .unwrap_or_else(Instant::now)
    }

    /// `hold_before_data_seconds`.
    pub fn hold_before_data(&self) -> Duration {
        Duration::from_secs(self.hold_before_data_seconds)
    }

    /// `hold_when_crowded_ms`, which is never longer than [`Limits::hold_before_data`].
    pub fn hold_when_crowded(&self) -> Duration {
        Duration::from_millis(self.hold_when_crowded_ms).min(self.hold_before_data())
    }

    /// `connection_wait_seconds`.
    pub(super) fn connection_wait(&self) -> Duration {
        Duration::from_secs(self.connection_wait_seconds)
    }

    /// `idle_seconds`.
    pub(super) fn idle(&self) -> Duration {
        Duration::from_secs(self.idle_seconds)
    }

    /// `dot_timeout_seconds`.
    pub(super) fn dot_timeout(&self) -> Duration {
        Duration::from_secs(self.dot_timeout_seconds)
    }

    /// The limits of one reply.
    pub(super) fn reply(&self) -> ReplyLimits {
        ReplyLimits {
            line_octets: self.reply_line_octets,
            lines: self.reply_lines,
        }
    }
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
