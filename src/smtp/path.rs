//! Reverse-path and forward-path (RFC 5321 4.1.2), kept octet for octet.
//!
//! A path is what stood between `<` and `>` on the wire and goes out exactly so: quotes, escapes, address literals,
//! case. It must never know whose address it is, nor normalise it. Parsing lives in `command`.

use std::fmt;

/// A mailbox as the client wrote it, e.g. `"a b"@example.com` or `x@[192.0.2.1]`; the quotes belong to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Mailbox {
    raw: String,
    at: usize,
}

impl Mailbox {
    /// Builds a mailbox from its octets; `at` is the offset of the `@` that parts local part and domain.
    /// `None` when `at` is not an `@` of `raw`, or when `raw` holds a control character or an angle bracket outside quotes is
    /// the parser's business, not checked here.
    pub fn new(raw: String, at: usize) -> Option<Self> {
        if raw.as_bytes().get(at) != Some(&b'@')
            || raw.bytes().any(|octet| octet < 0x20 || octet == 0x7f)
        {
            return None;
        }
        Some(Self { raw, at })
    }

    /// The whole mailbox, as it goes on the wire.
    pub fn as_str(&self) -> &str {
        &self.raw
    }

    /// The local part, quotes included.
    pub fn local_part(&self) -> &str {
        self.raw.get(..self.at).unwrap_or_default()
    }

    /// The domain or address literal, brackets included.
    pub fn domain(&self) -> &str {
        self.raw.get(self.at + 1..).unwrap_or_default()
    }

    /// Whether it needs SMTPUTF8 (RFC 6531).
    pub fn is_ascii(&self) -> bool {
        self.raw.is_ascii()
    }
}

/// The argument of MAIL FROM.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ReversePath {
    /// `<>`: bounces and notifications (RFC 5321 4.5.5).
    Null,
    /// A mailbox.
    Mailbox(Mailbox),
}

/// The argument of RCPT TO.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ForwardPath {
    /// `<postmaster>` without a domain, in the client's own spelling (RFC 5321 4.5.1).
    Postmaster(String),
    /// A mailbox.
    Mailbox(Mailbox),
}

impl ReversePath {
    /// What stands between the angle brackets; empty for the null path.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Null => "",
            Self::Mailbox(mailbox) => mailbox.as_str(),
        }
    }

    /// Whether this is `<>`.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }
}

impl ForwardPath {
    /// What stands between the angle brackets.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Postmaster(raw) => raw,
            Self::Mailbox(mailbox) => mailbox.as_str(),
        }
    }
}

impl fmt::Display for ReversePath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "<{}>", self.as_str())
    }
}

impl fmt::Display for ForwardPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "<{}>", self.as_str())
    }
}
