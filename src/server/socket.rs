//! The sockets of listeners: bound here, or handed over by the service manager.
//!
//! It knows addresses and the file system, never a session. What cannot be bound is an error naming the address; a Unix socket
//! left behind by a killed process is taken over, one that answers is not.

use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, UnixListener, UnixStream};

use super::handed::Handed;
use super::{Address, ServerError};

/// Who may connect to our Unix sockets: owner and group.
const SOCKET_MODE: u32 = 0o660;

/// One socket that is listened on.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpListener),
    /// With the file that goes with it; none where the service manager made it.
    Unix(
        UnixListener,
        #[expect(dead_code, reason = "held until it is dropped")] Option<SocketFile>,
    ),
}

/// The file of a Unix socket of ours; removed when dropped, unless somebody has put another one in its place.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// Device and inode.
    identity: Option<(u64, u64)>,
}

impl Socket {
    /// Where it really listens; `None` where that has no name.
    pub(super) fn address(&self) -> Option<Address> {
        match self {
            Self::Tcp(socket) => socket.local_addr().ok().map(Address::Tcp),
            Self::Unix(socket, _) => {
                let address = socket.local_addr().ok()?;
                address
                    .as_pathname()
                    .map(|path| Address::Unix(path.to_owned()))
            }
        }
    }
}

/// Binds an address, or takes what was handed over under its name. Never empty.
pub(super) async fn listen(address: &Address, handed: &Handed) -> Result<Vec<Socket>, ServerError> {
    let failed = |source| ServerError::Bind {
        address: address.clone(),
        source,
    };
    match address {
        Address::Tcp(tcp) => {
            let socket = TcpListener::bind(tcp).await.map_err(failed)?;
            Ok(vec![Socket::Tcp(socket)])
        }
        Address::Unix(path) => {
            remove_stale(path).await?;
            let listener = UnixListener::bind(path).map_err(failed)?;
            let file = SocketFile::of(path);
            let mode = std::fs::Permissions::from_mode(SOCKET_MODE);
            std::fs::set_permissions(path, mode).map_err(failed)?;
            Ok(vec![Socket::Unix(listener, Some(file))])
        }
        Address::Systemd(name) => match handed.sockets(name).map_err(failed)? {
            sockets if sockets.is_empty() => Err(ServerError::NotHandedOver(name.clone())),
            sockets => Ok(sockets),
        },
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

fn identity(path: &Path) -> Option<(u64, u64)> {
    let found = std::fs::symlink_metadata(path).ok()?;
    Some((found.dev(), found.ino()))
}

impl SocketFile {
    fn of(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            identity: identity(path),
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.identity.is_some() && identity(&self.path) == self.identity {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
#[path = "socket_tests.rs"]
mod tests;
