//! Listeners: what the operator says of them, and the sockets.
//!
//! It knows addresses and networks, never what is spoken over them. What cannot be bound is an error naming the address; a
//! Unix socket left behind by a killed process is taken over, one that answers is not.

use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::{fmt, io};

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, de};
use tokio::net::{TcpListener, UnixListener, UnixStream};

use super::ServerError;
use crate::relay::speaks::Speaks;
use crate::smtp::Protocol;

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
