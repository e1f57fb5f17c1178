//! TLS towards a next hop: what the operator asks of it, and what a handshake needs for that.
//!
//! By rustls with ring. It must never decide what becomes of mail: a handshake that fails is an error, and whether another way
//! is tried is the connection's business. A file that cannot be read is an error naming it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{
    CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    self, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};

/// `tls` of a `[[next_hop]]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsSettings {
    /// What is asked of it.
    pub mode: TlsMode,
    /// Whether it begins with the first octet (port 465) instead of at STARTTLS.
    pub implicit: bool,
    /// The authorities that are believed, PEM; the system's where nothing is said.
    pub ca_file: Option<PathBuf>,
    /// The name in the certificate; the host of the address where nothing is said.
    pub name: Option<String>,
    /// The SHA-256 of the one certificate that is believed, hex; no authority is asked then.
    pub fingerprint: Option<Fingerprint>,
}

/// What is asked of a next hop's TLS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TlsMode {
    /// In clear, whatever it offers.
    #[default]
    None,
    /// TLS where it offers it, with any certificate; in clear where it does not or where the handshake fails.
    Opportunistic,
    /// TLS or no mail; any certificate.
    Required,
    /// TLS or no mail, with a certificate that proves the name.
    Verified,
}

/// A SHA-256, in the file as hex with or without colons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(pub [u8; 32]);

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let hex: String = self.0.iter().map(|octet| format!("{octet:02x}")).collect();
        to.serialize_str(&hex)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let digits = text.strip_prefix("sha256:").unwrap_or(&text);
        let digits: String = digits.chars().filter(|c| *c != ':').collect();
        let mut octets = [0; 32];
        let read = digits.len() == 64 && digits.is_ascii();
        for (index, octet) in octets.iter_mut().enumerate().take_while(|_| read) {
            let pair = digits.get(2 * index..2 * index + 2).unwrap_or_default();
            *octet = u8::from_str_radix(pair, 16)
                .map_err(|_| de::Error::custom(format!("`{text}` is not hexadecimal")))?;
        }
        match read {
            true => Ok(Self(octets)),
            false => Err(de::Error::custom(format!(
                "`{text}` is not a SHA-256: 64 hexadecimal digits"
            ))),
        }
    }
}

/// Settings that cannot work, or files that are not what they should be. The operator is to blame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecureError {
    /// A file.
    #[error("{}: {why}", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// No authority at all.
    #[error("tls: the system has no certificate authorities; name some with ca_file")]
    NoAuthorities,
    /// Not a name that a certificate could have.
    #[error("tls.name `{0}` is neither a host name nor an address")]
    Name(String),
    /// A socket has no name.
    #[error("tls.mode = \"verified\" over a Unix socket needs tls.name or tls.fingerprint")]
    NoName,
    /// What rustls says.
    #[error("tls: {0}")]
    Rustls(String),
}

/// What a handshake needs.
#[derive(Debug, Clone)]
pub(super) struct Secure {
    pub(super) mode: TlsMode,
    pub(super) implicit: bool,
    pub(super) name: ServerName<'static>,
    pub(super) config: Arc<ClientConfig>,
}

impl TlsSettings {
    /// Every file it rests on.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.ca_file.iter().map(PathBuf::as_path)
    }

    /// Reads the files. `None`: everything goes in clear. `host` is that of the address.
    pub(super) fn load(&self, host: Option<&str>) -> Result<Option<Secure>, SecureError> {
        if self.mode == TlsMode::None {
            return Ok(None);
        }
        let name = self.name.as_deref().or(host);
        let named = match name {
            Some(name) => ServerName::try_from(name.to_owned())
                .map_err(|_| SecureError::Name(name.to_owned()))?,
            // Nobody looks at it: no name is checked.
            None if self.mode != TlsMode::Verified || self.fingerprint.is_some() => {
                ServerName::try_from("localhost").map_err(|_| SecureError::NoName)?
            }
            None => return Err(SecureError::NoName),
        };
        let provider = Arc::new(ring::default_provider());
        let verifier: Arc<dyn ServerCertVerifier> = match (self.mode, self.fingerprint) {
            (TlsMode::Verified, None) => {
                let roots = Arc::new(self.authorities()?);
                WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
                    .build()
                    .map_err(|error| SecureError::Rustls(error.to_string()))?
            }
            (TlsMode::Verified, pin) => Arc::new(Lenient {
                provider: Arc::clone(&provider),
                pin,
            }),
            _ => Arc::new(Lenient {
                provider: Arc::clone(&provider),
                pin: None,
            }),
        };
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| SecureError::Rustls(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        Ok(Some(Secure {
            mode: self.mode,
            implicit: self.implicit,
            name: named,
            config: Arc::new(config),
        }))
    }

    fn authorities(&self) -> Result<RootCertStore, SecureError> {
        let mut roots = RootCertStore::empty();
        let Some(file) = &self.ca_file else {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            return match roots.is_empty() {
                true => Err(SecureError::NoAuthorities),
                false => Ok(roots),
            };
        };
        let wrong = |why: String| SecureError::File {
            file: file.clone(),
            why,
        };
        let certificates = CertificateDer::pem_file_iter(file)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| wrong(error.to_string()))?;
        if certificates.is_empty() {
            return Err(wrong("no certificate in PEM".to_owned()));
        }
        for certificate in certificates {
            roots
                .add(certificate)
                .map_err(|error| wrong(error.to_string()))?;
        }
        Ok(roots)
    }
}

/// Asks for no authority: any certificate will do, or the one that is pinned. That its holder has the key is checked as ever.
#[derive(Debug)]
struct Lenient {
    provider: Arc<CryptoProvider>,
    pin: Option<Fingerprint>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let seen = ::ring::digest::digest(&::ring::digest::SHA256, end_entity);
        match self.pin {
            Some(pin) if seen.as_ref() != pin.0.as_slice() => Err(rustls::Error::General(
                "the certificate is not the one that tls.fingerprint names".to_owned(),
            )),
            _ => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
