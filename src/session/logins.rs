//! Who may log in: names with the hash of a password, or with the certificates that prove them.
//!
//! Passwords are held as Argon2 hashes only; a name that is unknown costs as much to refuse as a wrong password. It must
//! never log a password, nor a name that is not the operator's own. A file that cannot be read is an error naming its line.

use std::collections::BTreeMap;
use std::sync::Arc;

use argon2::Argon2;
use argon2::password_hash::PasswordVerifier as _;
use argon2::password_hash::phc::PasswordHash;
use ring::digest::{SHA256, digest};
use tokio::sync::Semaphore;

use crate::smtp::auth::Credentials;

/// Passwords that are checked at once: each takes tens of milliseconds and as many megabytes.
const AT_ONCE: usize = 2;
/// What an unknown name is checked against, so that it takes as long.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// A file of logins that is not one. The operator is to blame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoginsError {
    /// Not `name:hash`.
    #[error("line {0}: write NAME:HASH as `pixelgate keys password NAME` prints it")]
    NotALine(usize),
    /// A hash of another scheme, or a damaged one.
    #[error("line {0}: the hash is not an Argon2 hash ($argon2id$…)")]
    NotAHash(usize),
    /// The same name twice.
    #[error("line {0}: {1} stands there twice")]
    Twice(usize, String),
}

/// By what certificates a login is known (`[[login]]`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Certificates {
    /// SHA-256 of the whole certificate, to the login.
    pub by_sha256: BTreeMap<[u8; 32], String>,
    /// A DNS name in it, to the login.
    pub by_name: BTreeMap<String, String>,
}

/// Everybody who may log in at one listener.
#[derive(Debug)]
pub struct Logins {
    hashes: BTreeMap<String, String>,
    certificates: Certificates,
    turns: Arc<Semaphore>,
}

impl Logins {
    /// From the text of a file: `name:hash`, one a line; blank lines and lines that begin with `#` count for nothing.
    ///
    /// # Errors
    /// The first line that is wrong.
    pub fn read(text: &str, certificates: Certificates) -> Result<Self, LoginsError> {
        let mut hashes = BTreeMap::new();
        for (index, line) in text.lines().enumerate() {
            let (number, line) = (index + 1, line.trim());
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, hash) = line.split_once(':').ok_or(LoginsError::NotALine(number))?;
            if name.is_empty() || name.chars().any(char::is_whitespace) {
                return Err(LoginsError::NotALine(number));
            }
            if !hash.starts_with("$argon2") || PasswordHash::new(hash).is_err() {
                return Err(LoginsError::NotAHash(number));
            }
            if hashes.insert(name.to_owned(), hash.to_owned()).is_some() {
                return Err(LoginsError::Twice(number, name.to_owned()));
            }
        }
        Ok(Self {
            hashes,
            certificates,
            turns: Arc::new(Semaphore::new(AT_ONCE)),
        })
    }

    /// Nobody has a password; certificates alone.
    pub fn of_certificates(certificates: Certificates) -> Self {
        Self {
            hashes: BTreeMap::new(),
            certificates,
            turns: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// Whether anybody has a password.
    pub fn any_password(&self) -> bool {
        !self.hashes.is_empty()
    }

    /// Whether a name has a password or a certificate.
    pub fn know(&self, name: &str) -> bool {
        let certificates = &self.certificates;
        let mut proven = certificates
            .by_sha256
            .values()
            .chain(certificates.by_name.values());
        self.hashes.contains_key(name) || proven.any(|known| known == name)
    }

    /// Every name with a password.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.hashes.keys().map(String::as_str)
    }

    /// Whether the password is right; `None` where that could not be found out.
    pub async fn check(&self, credentials: Credentials) -> Option<bool> {
        let known = self.hashes.get(&credentials.name).cloned();
        let _turn = self.turns.acquire().await.ok()?;
        let checked = tokio::task::spawn_blocking(move || {
            let right = is_right(known.as_deref().unwrap_or(NOBODY), &credentials.password);
            right && known.is_some()
        });
        checked.await.ok()
    }

    /// To whom a certificate belongs.
    pub fn of_certificate(&self, der: &[u8]) -> Option<String> {
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(digest(&SHA256, der).as_ref());
        if let Some(name) = self.certificates.by_sha256.get(&sha256) {
            return Some(name.clone());
        }
        let der = tokio_rustls::rustls::pki_types::CertificateDer::from_slice(der);
        let certificate = webpki::EndEntityCert::try_from(&der).ok()?;
        let mut names = certificate.valid_dns_names();
        names.find_map(|name| {
            self.certificates
                .by_name
                .get(&name.to_ascii_lowercase())
                .cloned()
        })
    }
}

fn is_right(hash: &str, password: &[u8]) -> bool {
    PasswordHash::new(hash)
        .is_ok_and(|hash| Argon2::default().verify_password(password, &hash).is_ok())
}

/// The line of a login for the file, with a fresh salt.
///
/// # Errors
/// In words, where the system has no random octets.
pub fn line(name: &str, password: &[u8]) -> Result<String, String> {
    use argon2::password_hash::PasswordHasher as _;
    use ring::rand::{SecureRandom as _, SystemRandom};

    let mut salt = [0; 16];
    SystemRandom::new()
        .fill(&mut salt)
        .map_err(|_| "the system has no random octets".to_owned())?;
    let hash = Argon2::default()
        .hash_password_with_salt(password, &salt)
        .map_err(|error| error.to_string())?;
    Ok(format!("{name}:{hash}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_right_password_and_no_other() {
        let text = format!("# ours\n\n{}\n", line("shop", b"secret").unwrap());
        let logins = Logins::read(&text, Certificates::default()).unwrap();
        let check = async |name: &str, password: &[u8]| {
            let name = name.to_owned();
            let password = password.to_vec();
            logins.check(Credentials { name, password }).await
        };
        assert_eq!(check("shop", b"secret").await, Some(true));
        assert_eq!(check("shop", b"Secret").await, Some(false));
        assert_eq!(check("other", b"secret").await, Some(false));
        assert!(PasswordHash::new(NOBODY).is_ok());
        assert!(logins.any_password());
    }

    #[test]
    fn mistakes_name_their_line() {
        let read = |text: &str| Logins::read(text, Certificates::default()).unwrap_err();
        assert_eq!(read("shop"), LoginsError::NotALine(1));
        assert_eq!(read("\n:x"), LoginsError::NotALine(2));
        assert_eq!(read("shop:secret"), LoginsError::NotAHash(1));
        assert_eq!(read("shop:$6$abc$def"), LoginsError::NotAHash(1));
        let one = line("shop", b"a").unwrap();
        let twice = format!("{one}\n{one}");
        assert_eq!(read(&twice), LoginsError::Twice(2, "shop".to_owned()));
    }
}
