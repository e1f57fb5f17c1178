//! The configuration file as it is written: TOML, every key known, every default in one place beside its key.
//!
//! Each module owns its settings; this file only puts them together. An unknown key is an error.

use serde::Deserialize;

use super::law::{Controller, LawSection};
use crate::relay::speaks::Speaks;
use crate::relay::streams::Streams;
use crate::session::logins::Certificates;

use crate::{admin, learn, ledger, next_hop, register, relay, server, session, spool};

/// The whole file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// `[[listener]]`.
    #[serde(default, rename = "listener")]
    pub listeners: Vec<server::ListenerSettings>,
    /// `[[next_hop]]`, in order.
    #[serde(default, rename = "next_hop")]
    pub next_hops: Vec<next_hop::Settings>,
    /// `[[login]]`.
    #[serde(default, rename = "login")]
    pub logins: Vec<Login>,
    /// `[server]`.
    #[serde(default)]
    pub server: ServerSection,
    /// `[limits]`.
    #[serde(default)]
    pub limits: session::Limits,
    /// `[relay]`.
    #[serde(default)]
    pub relay: relay::settings::Settings,
    /// `[consent]`.
    #[serde(default)]
    pub consent: register::Settings,
    /// `[retention]`.
    #[serde(default)]
    pub retention: register::Retention,
    /// `[keys]`.
    #[serde(default)]
    pub keys: register::keys::Settings,
    /// `[spool]`.
    #[serde(default)]
    pub spool: spool::Settings,
    /// `[learn]`.
    #[serde(default)]
    pub learn: learn::Settings,
    /// `[ledger]`.
    #[serde(default)]
    pub ledger: ledger::Settings,
    /// `[stops]`.
    #[serde(default)]
    pub stops: relay::settings::Stops,
    /// `[rules]`.
    #[serde(default)]
    pub rules: relay::settings::RuleSettings,
    /// `[admin]`.
    #[serde(default)]
    pub admin: admin::Settings,
    /// `[log]`.
    #[serde(default)]
    pub log: Log,
    /// `[law]`.
    #[serde(default)]
    pub law: LawSection,
    /// `[[controller]]`.
    #[serde(default, rename = "controller")]
    pub controllers: Vec<Controller>,
    /// `[[stream]]`; none means the built-in one.
    #[serde(default, rename = "stream")]
    pub streams: Vec<relay::settings::Stream>,
}

impl File {
    /// The streams, and for whom each listener may speak.
    pub fn streams(&self) -> Streams {
        let doors = self.listeners.iter();
        let doors = doors.map(|door| (door.address.to_string(), door.controllers.clone()));
        let logins = self.logins.iter();
        let logins =
            logins.filter_map(|login| Some((login.name.clone(), login.controllers.clone()?)));
        Streams::new(self.streams.clone(), doors).with_logins(logins)
    }

    /// By what certificates logins are known.
    pub fn certificates(&self) -> Certificates {
        let mut certificates = Certificates::default();
        for login in &self.logins {
            for sha256 in &login.certificate_sha256 {
                certificates.by_sha256.insert(sha256.0, login.name.clone());
            }
            for name in &login.certificate_names {
                let name = name.to_ascii_lowercase();
                certificates.by_name.insert(name, login.name.clone());
            }
        }
        certificates
    }
}

/// `[[login]]`: somebody who proves a name, by password or by certificate.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// The name, as in the file of passwords.
    pub name: String,
    /// For which controllers it may speak; where nothing is said, for those of the listener.
    pub controllers: Option<Speaks>,
    /// The SHA-256 of its certificates, hex.
    #[serde(default)]
    pub certificate_sha256: Vec<next_hop::secure::Fingerprint>,
    /// DNS names in its certificates.
    #[serde(default)]
    pub certificate_names: Vec<String>,
}

/// `[server]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerSection {
    /// Our name in the greeting, in `Received:` and in reports.
    pub name: String,
    /// What open transactions get when the server is stopped, in seconds.
    pub drain_seconds: u64,
}

impl Default for ServerSection {
    fn default() -> Self {
        // The kernel's name for this machine; where it has none that fits, the name every machine has.
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let name = name.trim();
        let fits = !name.is_empty()
            && name
                .bytes()
                .all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'-'));
        Self {
            name: if fits {
                name.to_owned()
            } else {
                "localhost".to_owned()
            },
            drain_seconds: 30,
        }
    }
}

/// `[log]`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// `text` or `json`, to standard error.
    pub format: LogFormat,
    /// `error`, `warn`, `info` or `debug`.
    pub level: LogLevel,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// One line of words.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// How much is logged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// What somebody has to look at now.
    Error,
    /// What somebody should look at.
    Warn,
    /// One line a message.
    #[default]
    Info,
    /// Sessions as well.
    Debug,
}

impl LogLevel {
    /// As tracing has it.
    pub fn level(self) -> tracing::Level {
        match self {
            Self::Error => tracing::Level::ERROR,
            Self::Warn => tracing::Level::WARN,
            Self::Info => tracing::Level::INFO,
            Self::Debug => tracing::Level::DEBUG,
        }
    }
}
