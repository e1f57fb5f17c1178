//! What a client may read about who it is and how it is heard: TLS, logins, XCLIENT; and about content in chunks.
//!
//! A login that fails is told without what was wrong with it. It must never know a state.

use super::{Reply, say};

/// 220: go on with the handshake.
pub fn ready_for_tls() -> Reply {
    say(220, "2.0.0 Ready to start TLS")
}

/// 454: STARTTLS where there is no certificate.
pub fn no_tls() -> Reply {
    say(502, "5.5.1 STARTTLS is not available here")
}

/// 530 (RFC 3207 4): this listener takes nothing in clear.
pub fn tls_first() -> Reply {
    say(530, "5.7.0 Must issue a STARTTLS command first")
}

/// 530 (RFC 4954 6): strangers have to say who they are.
pub fn login_first() -> Reply {
    say(530, "5.7.0 Authentication required")
}

/// 235: the password is right.
pub fn authenticated() -> Reply {
    say(235, "2.7.0 Authentication successful")
}

/// 334 with a challenge, encoded already.
pub fn challenge(encoded: &str) -> Reply {
    say(334, encoded)
}

/// 535: name or password is wrong; which one is not said.
pub fn auth_failed() -> Reply {
    say(535, "5.7.8 Authentication credentials invalid")
}

/// 421: too many of them.
pub fn too_many_auth_failures(limit: usize) -> Reply {
    say(
        421,
        format!("4.7.0 Too many failed logins (auth_failures = {limit})"),
    )
}

/// 501: the client gave up.
pub fn auth_cancelled() -> Reply {
    say(501, "5.7.0 Authentication cancelled")
}

/// 501: not base64.
pub fn auth_not_base64() -> Reply {
    say(501, "5.5.2 Cannot decode the response (base64)")
}

/// 501: base64, and then not what the mechanism says.
pub fn auth_malformed() -> Reply {
    say(501, "5.5.2 Response does not fit the mechanism")
}

/// 504: a mechanism that was not announced.
pub fn unknown_mechanism() -> Reply {
    say(504, "5.5.4 Unrecognized authentication mechanism")
}

/// 538 (RFC 4954 4.1 as 5.7.11): a password in clear is not wanted.
pub fn auth_needs_tls() -> Reply {
    say(
        538,
        "5.7.11 Encryption required for requested authentication mechanism",
    )
}

/// 454: the password could not be checked just now.
pub fn auth_unavailable() -> Reply {
    say(454, "4.7.0 Temporary authentication failure")
}

/// 250 for one chunk that is not the last.
pub fn chunk_taken(octets: u64) -> Reply {
    say(250, format!("2.0.0 {octets} octets received"))
}

/// 501 and the end: how much content follows is not known.
pub fn bad_bdat() -> Reply {
    say(
        501,
        "5.5.4 Syntax: BDAT octets [LAST]; closing, what follows could be content",
    )
}

/// 552 and the end: more than will be read, even to throw it away.
pub fn chunk_too_large(limit: u64) -> Reply {
    say(
        552,
        format!("5.3.4 Chunk too large; more than {limit} octets are not read (message_octets)"),
    )
}

/// 550 for XCLIENT.
pub fn xclient_not_allowed() -> Reply {
    say(550, "5.7.0 XCLIENT is not allowed from your address")
}
