//! What a listener says of its clients, and what is believed of one of them.
//!
//! Plain values. It must never open anything: certificates and logins were read before. Who is not named here may nothing.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;
use tokio_rustls::rustls::ServerConfig;

use super::dialog::{Barred, Leave};
use super::logins::Logins;
use super::stream::TlsFacts;
use crate::smtp::Protocol;
use crate::smtp::data::BareNewlines;
use crate::smtp::replies::Offers;

/// One listener, as its sessions see it.
#[derive(Debug, Clone, Default)]
pub struct Door {
    /// Its address as configured.
    pub listener: String,
    /// What it speaks.
    pub protocol: Protocol,
    /// Who may relay.
    pub trusted: Networks,
    /// Whose XFORWARD is believed.
    pub xforward: Networks,
    /// Whose XCLIENT is believed.
    pub xclient: Networks,
    /// Who begins with a PROXY header.
    pub proxy: Networks,
    /// Its TLS.
    pub tls: Option<Tls>,
    /// Who may log in.
    pub logins: Option<Arc<Logins>>,
    /// Whether a password may be said in clear.
    pub plaintext_auth: bool,
    /// What becomes of a bare LF.
    pub bare_newlines: BareNewlines,
    /// Whether a RCPT may be refused on its own.
    pub together: bool,
}

/// Addresses and networks. On a Unix socket, which has no addresses, any entry at all means everybody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks(pub Vec<IpNet>);

/// TLS on a listener.
#[derive(Debug, Clone)]
pub struct Tls {
    /// Certificate, key, and whose certificates are asked for.
    pub config: Arc<ServerConfig>,
    /// When it begins.
    pub mode: TlsMode,
}

/// When TLS begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TlsMode {
    /// At STARTTLS, where the client wants it.
    #[default]
    Starttls,
    /// At STARTTLS, and no mail before.
    Required,
    /// With the first octet.
    Implicit,
}

/// What is believed of one client.
#[derive(Debug, Clone, Default)]
pub struct Identity {
    /// Its address and port; `None` on a Unix socket, or where XCLIENT says it is not known.
    pub address: Option<SocketAddr>,
    /// Whether it came by a Unix socket, whose file mode says who may.
    pub local: bool,
    /// The name it proved.
    pub login: Option<String>,
    /// The name of its EHLO, where XCLIENT says another.
    pub helo: Option<String>,
    /// Its TLS.
    pub tls: Option<&'static str>,
}

impl Networks {
    /// Whether a client is among them. One whose address is not known is not.
    pub fn have(&self, client: &Identity) -> bool {
        match client.ip() {
            Some(address) => self.0.iter().any(|network| network.contains(&address)),
            None => client.local && !self.0.is_empty(),
        }
    }
}

impl Identity {
    /// The address alone.
    pub fn ip(&self) -> Option<IpAddr> {
        self.address.map(|address| address.ip().to_canonical())
    }
}

impl Door {
    /// Whether TLS begins with the first octet.
    pub fn is_implicit(&self) -> bool {
        self.tls
            .as_ref()
            .is_some_and(|tls| tls.mode == TlsMode::Implicit)
    }

    /// Whether a client may relay.
    pub fn trusts(&self, identity: &Identity) -> bool {
        identity.local || identity.login.is_some() || self.trusted.have(identity)
    }

    /// Whether a name is still one that may log in here.
    pub fn knows(&self, login: &str) -> bool {
        self.logins
            .as_ref()
            .is_some_and(|logins| logins.know(login))
    }

    /// Takes over what a handshake showed: a certificate that belongs to a login is as good as its password.
    pub fn secured(&self, identity: &mut Identity, facts: &TlsFacts) {
        identity.tls = Some(facts.version);
        if let (Some(logins), Some(certificate)) = (&self.logins, &facts.certificate) {
            identity.login = logins.of_certificate(certificate);
        }
    }

    /// What a client may do. `peer` is who really connected, `identity` what is believed.
    pub fn leave(&self, peer: &Identity, identity: &Identity) -> Leave {
        let secure = identity.tls.is_some();
        let wants_login = self
            .logins
            .as_ref()
            .is_some_and(|logins| logins.any_password());
        let mode = self.tls.as_ref().map(|tls| tls.mode);
        Leave {
            offers: Offers {
                starttls: self.tls.is_some() && !secure,
                auth: wants_login && identity.login.is_none() && (secure || self.plaintext_auth),
                requiretls: false,
                xforward: self.xforward.have(identity),
                xclient: self.xclient.have(peer),
            },
            tls_first: mode == Some(TlsMode::Required) && !secure,
            auth_needs_tls: wants_login && !secure && !self.plaintext_auth,
            barred: match (self.trusts(identity), self.logins.is_some()) {
                (true, _) => None,
                (false, true) => Some(Barred::LoginFirst),
                (false, false) => Some(Barred::NotTrusted),
            },
        }
    }

    /// Whether a client has to be greeted at all: it may relay, or may yet become somebody who does.
    pub fn greets(&self, peer: &Identity, identity: &Identity) -> bool {
        self.trusts(identity) || self.logins.is_some() || self.xclient.have(peer)
    }
}
