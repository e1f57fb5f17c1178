//! Where a next hop is: `host:port`, `unix:/path` or `maildir:directory`, read once from the configuration.
//!
//! It must never resolve a name or touch a file; whether anything answers there is learned when connecting.
//! What cannot be read is an [`AddressError`] that shows the repair; the operator is to blame.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The address of one next hop.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// A host name or IP address (IPv6 without its brackets) and a port, connected by TCP.
    Tcp {
        /// Resolved anew for every connection.
        host: String,
        /// Never 0.
        port: u16,
    },
    /// A stream socket in the file system.
    Unix(PathBuf),
    /// A directory that takes every message: no server at all.
    Maildir(PathBuf),
}

/// Why an address was not understood. The operator is to blame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// No port behind the last colon.
    #[error("`{0}` has no port; write HOST:PORT, [IPV6]:PORT, unix:/path or maildir:directory")]
    NoPort(String),
    /// The port is not a number from 1 to 65535.
    #[error("`{0}` has a port that is not a number from 1 to 65535")]
    BadPort(String),
    /// Nothing, or something that cannot be a host, before the port.
    #[error("`{0}` has no host; write IPv6 addresses in brackets, e.g. [::1]:25")]
    BadHost(String),
    /// `unix:` or `maildir:` with nothing behind it.
    #[error("`{0}` names no path")]
    NoPath(String),
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let path = |path: &str| match path {
            "" => Err(AddressError::NoPath(text.to_owned())),
            path => Ok(PathBuf::from(path)),
        };
        if let Some(socket) = text.strip_prefix("unix:") {
            return path(socket).map(Self::Unix);
        }
        if let Some(directory) = text.strip_prefix("maildir:") {
            return path(directory).map(Self::Maildir);
        }
        let (host, port) = text
            .rsplit_once(':')
            .ok_or_else(|| AddressError::NoPort(text.to_owned()))?;
        let port = port
            .parse()
            .ok()
            .filter(|port| *port != 0)
            .ok_or_else(|| AddressError::BadPort(text.to_owned()))?;
        let bracketed = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let plausible = match bracketed {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => {
                !host.is_empty()
                    && host
                        .bytes()
                        .all(|octet| octet.is_ascii_alphanumeric() || b".-_".contains(&octet))
            }
        };
        if !plausible {
            return Err(AddressError::BadHost(text.to_owned()));
        }
        Ok(Self::Tcp {
            host: bracketed.unwrap_or(host).to_owned(),
            port,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => {
                write!(formatter, "[{host}]:{port}")
            }
            Self::Tcp { host, port } => write!(formatter, "{host}:{port}"),
            Self::Unix(path) => write!(formatter, "unix:{}", path.display()),
            Self::Maildir(path) => write!(formatter, "maildir:{}", path.display()),
        }
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_and_write_the_same() {
        for text in [
            "127.0.0.1:10026",
            "mx.example.net:25",
            "[::1]:25",
            "unix:/run/mta.sock",
            "maildir:var/outbox",
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = |text: &str| text.parse::<Address>().unwrap_err();
        assert!(matches!(error("localhost"), AddressError::NoPort(_)));
        assert!(matches!(error("localhost:smtp"), AddressError::BadPort(_)));
        assert!(matches!(error("localhost:0"), AddressError::BadPort(_)));
        assert!(matches!(error("::1:25"), AddressError::BadHost(_)));
        assert!(matches!(error("[::g]:25"), AddressError::BadHost(_)));
        assert!(matches!(error(":25"), AddressError::BadHost(_)));
        assert!(matches!(error("a b:25"), AddressError::BadHost(_)));
        assert!(matches!(error("unix:"), AddressError::NoPath(_)));
        assert!(matches!(error("maildir:"), AddressError::NoPath(_)));
    }
}
