//! Certificates and keys of a listener, from their files to what a handshake needs.
//!
//! TLS 1.2 and 1.3 by rustls with ring. It must never know a session. What cannot be read or does not fit together is an error
//! naming the file; nothing is served with half of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{self, RootCertStore, ServerConfig};

use crate::session::door::{Tls, TlsMode};

/// `tls` of a `[[listener]]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSettings {
    /// The certificate and those that lead to it from an authority, PEM.
    pub certificate: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
    /// When TLS begins.
    #[serde(default)]
    pub mode: TlsMode,
    /// Clients are asked for a certificate of one of these authorities, PEM.
    pub client_ca: Option<PathBuf>,
    /// Whether a client without one is turned away in the handshake.
    #[serde(default)]
    pub client_required: bool,
}

/// Why there is no TLS. The operator is to blame; repeating helps where a file was in the midst of being replaced.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file that is not there or is not PEM.
    #[error("{}: {why}", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// They do not fit together.
    #[error("certificate {} and key {}: {source}", certificate.display(), key.display())]
    Pair {
        /// The certificate.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// `client_required` without `client_ca`.
    #[error("tls.client_required needs tls.client_ca: whose certificates shall be asked for?")]
    NoAuthority,
}

impl TlsSettings {
    /// Every file it is made of.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        [
            Some(&self.certificate),
            Some(&self.key),
            self.client_ca.as_ref(),
        ]
        .into_iter()
        .flatten()
        .map(PathBuf::as_path)
    }

    /// Reads the files and makes what a handshake needs of them.
    ///
    /// # Errors
    /// The first file that is wrong.
    pub fn load(&self) -> Result<Tls, TlsError> {
        let chain = certificates(&self.certificate)?;
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|error| TlsError::File {
            file: self.key.clone(),
            why: format!("no private key in PEM: {error}"),
        })?;
        let pair = |source| TlsError::Pair {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            source,
        };
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(pair)?;
        let builder = match &self.client_ca {
            None if self.client_required => return Err(TlsError::NoAuthority),
            None => builder.with_no_client_auth(),
            Some(file) => {
                let wrong = |why: String| TlsError::File {
                    file: file.clone(),
                    why,
                };
                let roots = Arc::new(authorities(file)?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
                let verifier = match self.client_required {
                    true => verifier.build(),
                    false => verifier.allow_unauthenticated().build(),
                };
                let verifier = verifier.map_err(|error| wrong(error.to_string()))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let config = builder.with_single_cert(chain, key).map_err(pair)?;
        Ok(Tls {
            config: Arc::new(config),
            mode: self.mode,
        })
    }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let wrong = |why: String| TlsError::File {
        file: file.to_owned(),
        why,
    };
    let certificates = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| wrong(error.to_string()))?;
    match certificates.is_empty() {
        true => Err(wrong("no certificate in PEM".to_owned())),
        false => Ok(certificates),
    }
}

fn authorities(file: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        roots.add(certificate).map_err(|error| TlsError::File {
            file: file.to_owned(),
            why: error.to_string(),
        })?;
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(directory: &Path, name: &str) -> TlsSettings {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let (certificate, key) = (
            directory.join(format!("{name}.pem")),
            directory.join(format!("{name}.key")),
        );
        std::fs::write(&certificate, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        TlsSettings {
            certificate,
            key,
            mode: TlsMode::Starttls,
            client_ca: None,
            client_required: false,
        }
    }

    #[test]
    fn a_pair_is_read_and_every_mistake_names_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let one = settings(directory.path(), "one.example");
        let other = settings(directory.path(), "other.example");
        one.load().unwrap();
        assert_eq!(one.files().count(), 2);
        let said = |settings: &TlsSettings| settings.load().map(drop).unwrap_err().to_string();
        let mut wrong = one.clone();
        wrong.key = other.key.clone();
        assert!(
            said(&wrong).contains("other.example.key"),
            "{}",
            said(&wrong)
        );
        wrong.key = directory.path().join("none.key");
        assert!(said(&wrong).contains("none.key"));
        let mut wrong = one.clone();
        wrong.certificate = one.key.clone();
        assert!(
            said(&wrong).contains("no certificate in PEM"),
            "{}",
            said(&wrong)
        );
        let mut wrong = one.clone();
        wrong.client_required = true;
        assert!(said(&wrong).contains("client_ca"));
        wrong.client_ca = Some(one.certificate.clone());
        wrong.load().unwrap();
        wrong.client_ca = Some(directory.path().join("none.pem"));
        assert!(said(&wrong).contains("none.pem"));
    }
}
