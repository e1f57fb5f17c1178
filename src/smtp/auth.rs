//! AUTH PLAIN and AUTH LOGIN (RFC 4954, RFC 4616): what a client says, decoded.
//!
//! Pure: it must never know a password that is right. A name or password in it is never shown by `Debug`. What cannot be
//! read is the [`Reply`] that the client deserves; nothing is guessed.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::replies;
use super::reply::Reply;

/// Octets of one line of the exchange with its CRLF (RFC 4954 4).
pub const LINE_OCTETS: usize = 12_288;
/// Octets of a name or password, decoded.
const VALUE_OCTETS: usize = 1024;

/// How the client says who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// Everything in one message.
    Plain,
    /// Name and password, one after the other.
    Login,
}

/// `AUTH mechanism [initial-response]`.
#[derive(Clone, PartialEq, Eq)]
pub struct Start {
    /// The mechanism.
    pub mechanism: Mechanism,
    /// The initial response, still encoded; `=` stands for an empty one.
    pub initial: Option<String>,
}

impl fmt::Debug for Start {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("Start")
            .field(&self.mechanism)
            .finish_non_exhaustive()
    }
}

/// A name and the password that shall prove it.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The name.
    pub name: String,
    /// The password.
    pub password: Vec<u8>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Credentials")
    }
}

/// Reads what stands behind `AUTH`.
pub fn parse(argument: &str) -> Result<Start, Reply> {
    let mut words = argument.split([' ', '\t']).filter(|word| !word.is_empty());
    let mechanism = words
        .next()
        .ok_or_else(|| replies::syntax("AUTH mechanism"))?;
    let mechanism = match mechanism.to_ascii_uppercase().as_str() {
        "PLAIN" => Mechanism::Plain,
        "LOGIN" => Mechanism::Login,
        _ => return Err(replies::unknown_mechanism()),
    };
    let initial = words.next().map(str::to_owned);
    if words.next().is_some() {
        return Err(replies::syntax("AUTH mechanism initial-response"));
    }
    Ok(Start { mechanism, initial })
}

/// A response line to octets; `*` cancels (RFC 4954 4).
pub fn response(line: &[u8]) -> Result<Vec<u8>, Reply> {
    match line {
        b"*" => Err(replies::auth_cancelled()),
        b"=" => Ok(Vec::new()),
        encoded => STANDARD
            .decode(encoded)
            .map_err(|_| replies::auth_not_base64()),
    }
}

/// The message of PLAIN: authorization identity, NUL, name, NUL, password. Who speaks for somebody else is refused.
pub fn plain(message: &[u8]) -> Result<Credentials, Reply> {
    let mut parts = message.split(|octet| *octet == 0);
    let (Some(identity), Some(name), Some(password), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(replies::auth_malformed());
    };
    if !identity.is_empty() && identity != name {
        return Err(replies::auth_failed());
    }
    credentials(name, password)
}

/// The two messages of LOGIN.
pub fn credentials(name: &[u8], password: &[u8]) -> Result<Credentials, Reply> {
    let too_long = name.len() > VALUE_OCTETS || password.len() > VALUE_OCTETS;
    if too_long || name.is_empty() || password.is_empty() {
        return Err(replies::auth_malformed());
    }
    let name = std::str::from_utf8(name).map_err(|_| replies::auth_malformed())?;
    Ok(Credentials {
        name: name.to_owned(),
        password: password.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_read_and_mistakes_are_told() {
        let start = parse("plain AGEAYg==").unwrap();
        assert_eq!(start.mechanism, Mechanism::Plain);
        assert_eq!(start.initial.as_deref(), Some("AGEAYg=="));
        assert_eq!(parse("LOGIN").unwrap().initial, None);
        assert_eq!(parse("").unwrap_err().code(), 501);
        assert_eq!(parse("PLAIN a b").unwrap_err().code(), 501);
        assert_eq!(parse("CRAM-MD5").unwrap_err().code(), 504);
        assert!(!format!("{start:?}").contains("AGEAYg"));
    }

    #[test]
    fn plain_is_read_whole_or_refused() {
        let read = |text: &str| plain(text.as_bytes());
        let credentials = read("\0shop\0secret").unwrap();
        assert_eq!(credentials.name, "shop");
        assert_eq!(credentials.password, b"secret");
        assert!(!format!("{credentials:?}").contains("shop"));
        assert!(read("shop\0shop\0secret").is_ok());
        for (text, code) in [
            ("admin\0shop\0secret", 535),
            ("\0shop", 501),
            ("\0\0secret", 501),
            ("\0shop\0", 501),
            ("\0shop\0a\0b", 501),
            ("", 501),
        ] {
            assert_eq!(read(text).unwrap_err().code(), code, "{text:?}");
        }
        assert_eq!(plain(b"\0\xff\0secret").unwrap_err().code(), 501);
        let long = format!("\0{}\0x", "n".repeat(VALUE_OCTETS + 1));
        assert_eq!(read(&long).unwrap_err().code(), 501);
    }

    #[test]
    fn responses_are_base64_or_a_star() {
        assert_eq!(response(b"YWI=").unwrap(), b"ab");
        assert_eq!(response(b"=").unwrap(), b"");
        assert_eq!(response(b"*").unwrap_err().code(), 501);
        for wrong in [&b"YWI"[..], b"YW I=", b"\xff", b"YWI=\r"] {
            assert_eq!(response(wrong).unwrap_err().code(), 501);
        }
    }
}
