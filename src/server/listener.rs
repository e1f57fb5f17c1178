//! Listeners: what the operator says of them, and the sockets.
//!
//! It knows addresses and networks, never what is spoken over them. What cannot be bound is an error naming the address; a
//! Unix socket left behind by a killed process is taken over, one that answers is not.

use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fmt, io};

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, de};
use tokio::net::{TcpListener, UnixListener, UnixStream};

use super::ServerError;
use super::tls::{TlsError, TlsSettings};
use crate::relay::speaks::Speaks;
use crate::session::door::{Door, Networks};
use crate::session::logins::{Certificates, Logins, LoginsError};
use crate::smtp::Protocol;
use crate::smtp::data::BareNewlines;

/// Who may connect to our Unix sockets: owner and group.
const SOCKET_MODE: u32 = 0o660;

/// Where a listener listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// `127.0.0.1:2525`, `[::1]:2525`.
    Tcp(SocketAddr),
    /// `unix:/run/pixelgate/smtp.sock`.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(formatter),
            Self::Unix(path) => write!(formatter, "unix:{}", path.display()),
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
        text.parse().map(Self::Tcp).map_err(|_| {
            de::Error::custom(format!(
                "`{text}` is not an IP address with a port (127.0.0.1:2525, [::1]:2525) or unix:/path"
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

#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

impl Socket {
    /// Where it really listens.
    pub(super) fn address(&self) -> io::Result<Address> {
        match self {
            Self::Tcp(socket) => socket.local_addr().map(Address::Tcp),
            Self::Unix(_, path) => Ok(Address::Unix(path.clone())),
        }
    }
}

pub(super) async fn listen(address: &Address) -> Result<Socket, ServerError> {
    let failed = |source| ServerError::Bind {
        address: address.clone(),
        source,
    };
    match address {
        Address::Tcp(tcp) => TcpListener::bind(tcp)
            .await
            .map(Socket::Tcp)
            .map_err(failed),
        Address::Unix(path) => {
            remove_stale(path).await?;
            let listener = UnixListener::bind(path).map_err(failed)?;
            let mode = std::fs::Permissions::from_mode(SOCKET_MODE);
            std::fs::set_permissions(path, mode).map_err(failed)?;
            Ok(Socket::Unix(listener, path.clone()))
        }
    }
}

/// A socket that a killed process left behind is in the way; one that answers is somebody else's.
async fn remove_stale(path: &Path) -> Result<(), ServerError> {
    let failed = |source| ServerError::Bind {
        address: Address::Unix(path.to_owned()),
        source,
    };
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(ServerError::NotASocket(path.to_owned()));
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path).await {
        Ok(_) => Err(ServerError::InUse(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(failed)
        }
        Err(error) => Err(failed(error)),
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self {
            let _ = std::fs::remove_file(path);
        }
    }
}

#[cfg(test)]
#[path = "listener_tests.rs"]
mod tests;
