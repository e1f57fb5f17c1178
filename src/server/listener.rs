//! Listeners: what the operator says of them, and what their sessions go by.
//!
//! It knows addresses, networks and files, never what is spoken over a connection and nothing of sockets. What is missing or
//! wrong is an error naming it, and then there is no door at all.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fmt, io};

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, de};

use super::tls::{TlsError, TlsSettings};
use crate::relay::speaks::Speaks;
use crate::session::door::{Door, Networks};
use crate::session::logins::{Certificates, Logins, LoginsError};
use crate::smtp::Protocol;
use crate::smtp::data::BareNewlines;

/// Where a listener listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// `127.0.0.1:2525`, `[::1]:2525`.
    Tcp(SocketAddr),
    /// `unix:/run/pixelgate/smtp.sock`.
    Unix(PathBuf),
    /// `systemd:NAME`: sockets that the service manager opened, by their `FileDescriptorName`.
    Systemd(String),
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(formatter),
            Self::Unix(path) => write!(formatter, "unix:{}", path.display()),
            Self::Systemd(name) => write!(formatter, "systemd:{name}"),
        }
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if let Some(path) = text.strip_prefix("unix:") {
            if path.is_empty() {
                return Err(de::Error::custom("`unix:` needs a path"));
            }
            return Ok(Self::Unix(PathBuf::from(path)));
        }
        if let Some(name) = text.strip_prefix("systemd:") {
            // What separates names in LISTEN_FDNAMES cannot stand in one.
            if name.is_empty() || name.contains(|c: char| c == ':' || c.is_control()) {
                return Err(de::Error::custom(
                    "`systemd:` needs the FileDescriptorName of a socket unit",
                ));
            }
            return Ok(Self::Systemd(name.to_owned()));
        }
        text.parse().map(Self::Tcp).map_err(|_| {
            de::Error::custom(format!(
                "`{text}` is not an IP address with a port (127.0.0.1:2525, [::1]:2525), unix:/path or systemd:NAME"
            ))
        })
    }
}

/// `[[listener]]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerSettings {
    /// Where to listen.
    pub address: Address,
    /// What to speak.
    #[serde(default)]
    pub protocol: Protocol,
    /// Who may relay: addresses or networks; loopback where nothing is said. Not asked on a Unix socket, whose file mode
    /// says who may connect.
    #[serde(default = "loopback", deserialize_with = "networks")]
    pub trusted_networks: Vec<IpNet>,
    /// For which controllers its clients may speak; where nothing is said, for those that its streams name.
    #[serde(default)]
    pub controllers: Speaks,
    /// Whose XFORWARD is believed: addresses or networks; nobody's where nothing is said. On a Unix socket any entry at
    /// all means everybody who may connect.
    #[serde(default, deserialize_with = "networks")]
    pub xforward_networks: Vec<IpNet>,
    /// Who speaks for other clients by XCLIENT: addresses or networks; nobody where nothing is said.
    #[serde(default, deserialize_with = "networks")]
    pub xclient_networks: Vec<IpNet>,
    /// Who begins every connection with a PROXY header: addresses or networks; nobody where nothing is said.
    #[serde(default, deserialize_with = "networks")]
    pub proxy_networks: Vec<IpNet>,
    /// What becomes of a bare LF in a message.
    #[serde(default)]
    pub bare_newlines: BareNewlines,
    /// Whether one RCPT may be refused and another not; `false` for Postfix with `speed_adjust`.
    #[serde(default = "yes")]
    pub selective_rejects: bool,
    /// Certificate and key.
    pub tls: Option<TlsSettings>,
    /// Who may log in.
    pub auth: Option<AuthSettings>,
}

/// `auth` of a `[[listener]]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthSettings {
    /// `name:hash` lines as `pixelgate keys password` prints them.
    pub file: PathBuf,
    /// Whether a password may be said without TLS.
    #[serde(default)]
    pub plaintext: bool,
}

/// A listener whose TLS or logins cannot be had. The operator is to blame.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// Its TLS.
    #[error("{0}")]
    Tls(#[from] TlsError),
    /// The file of logins cannot be read.
    #[error("{}: {source}", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file of logins is not one.
    #[error("{}: {source}", file.display())]
    Logins {
        /// Which.
        file: PathBuf,
        /// What is wrong with it.
        source: LoginsError,
    },
    /// Nobody could log in.
    #[error("auth needs tls, or plaintext = true: a password in clear is not taken otherwise")]
    AuthWithoutTls,
    /// LMTP answers for each recipient.
    #[error("selective_rejects = false is for SMTP: LMTP answers for each recipient")]
    TogetherOverLmtp,
}

impl ListenerSettings {
    /// Reads certificates and logins, and puts together what its sessions go by.
    ///
    /// # Errors
    /// The first thing that is missing or wrong.
    pub fn door(&self, certificates: &Certificates) -> Result<Door, DoorError> {
        let tls = self.tls.as_ref().map(TlsSettings::load).transpose()?;
        let asks_for_certificates = self.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
        let logins = match &self.auth {
            Some(auth) if tls.is_none() && !auth.plaintext => {
                return Err(DoorError::AuthWithoutTls);
            }
            Some(AuthSettings { file, .. }) => {
                let text = std::fs::read_to_string(file).map_err(|source| DoorError::File {
                    file: file.clone(),
                    source,
                })?;
                let logins = Logins::read(&text, certificates.clone());
                Some(logins.map_err(|source| DoorError::Logins {
                    file: file.clone(),
                    source,
                })?)
            }
            None if asks_for_certificates => Some(Logins::of_certificates(certificates.clone())),
            None => None,
        };
        if !self.selective_rejects && self.protocol == Protocol::Lmtp {
            return Err(DoorError::TogetherOverLmtp);
        }
        Ok(Door {
            listener: self.address.to_string(),
            protocol: self.protocol,
            trusted: Networks(self.trusted_networks.clone()),
            xforward: Networks(self.xforward_networks.clone()),
            xclient: Networks(self.xclient_networks.clone()),
            proxy: Networks(self.proxy_networks.clone()),
            tls,
            logins: logins.map(Arc::new),
            plaintext_auth: self.auth.as_ref().is_some_and(|auth| auth.plaintext),
            bare_newlines: self.bare_newlines,
            together: !self.selective_rejects,
        })
    }

    /// Every file that its sessions depend on.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let tls = self.tls.iter().flat_map(TlsSettings::files);
        tls.chain(self.auth.iter().map(|auth| auth.file.as_path()))
    }
}

fn yes() -> bool {
    true
}

fn loopback() -> Vec<IpNet> {
    vec![
        IpNet::from(IpAddr::from([127, 0, 0, 1])),
        IpNet::from(IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])),
    ]
}

fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let network = |text: &String| {
        let address = || text.parse::<IpAddr>().map(IpNet::from);
        text.parse().or_else(|_| address()).map_err(|_| {
            de::Error::custom(format!(
                "`{text}` is not an address or a network (192.0.2.0/24)"
            ))
        })
    };
    Vec::<String>::deserialize(deserializer)?
        .iter()
        .map(network)
        .collect()
}

#[cfg(test)]
#[path = "listener_tests.rs"]
mod tests;
