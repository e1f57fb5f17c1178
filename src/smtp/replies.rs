//! Every text of our own that a client may read: codes (RFC 5321 4.2), enhanced codes (RFC 3463), one sentence.
//!
//! What is wrong is named, and the limit where it is one; never an address, a URL, a file, or how we are built inside.
//! Our own trouble is always 4xx: the mail is not to blame and the client shall try again.
//! It must never know a state: who asks for a reply has decided that it fits.

mod secure;

pub use secure::*;

use super::Protocol;
use super::extensions::Extensions;
use super::parameter::ParameterError;
use super::reply::Reply;
use super::xclient;
use super::xforward::{Attribute, XforwardError};

fn say(code: u16, text: impl Into<String>) -> Reply {
    Reply::new(code, [text.into()])
}

// --- the session ---------------------------------------------------------------------------------------------------

/// The greeting.
pub fn greeting(hostname: &str, protocol: Protocol) -> Reply {
    match protocol {
        Protocol::Smtp => say(220, format!("{hostname} ESMTP pixelgate")),
        Protocol::Lmtp => say(220, format!("{hostname} LMTP pixelgate")),
    }
}

/// What a client may use now, beside what every client may.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Offers {
    /// STARTTLS: there is a certificate and no TLS yet.
    pub starttls: bool,
    /// AUTH: there are logins, and nobody can listen or the operator does not mind.
    pub auth: bool,
    /// REQUIRETLS (RFC 8689): the connection has TLS, and so has the way on.
    pub requiretls: bool,
    /// XFORWARD.
    pub xforward: bool,
    /// XCLIENT.
    pub xclient: bool,
}

/// The reply to EHLO or LHLO: what is ours, what the next hop has, and what this client may use.
pub fn extensions(hostname: &str, mirrored: &Extensions, offers: Offers) -> Reply {
    let mut lines = vec![
        hostname.to_owned(),
        "PIPELINING".to_owned(),
        "ENHANCEDSTATUSCODES".to_owned(),
        "CHUNKING".to_owned(),
    ];
    match mirrored.size {
        None => {}
        Some(0) => lines.push("SIZE".to_owned()),
        Some(octets) => lines.push(format!("SIZE {octets}")),
    }
    for (announced, keyword) in [
        (mirrored.eight_bit_mime, "8BITMIME"),
        (mirrored.smtputf8, "SMTPUTF8"),
        (mirrored.dsn, "DSN"),
    ] {
        if announced {
            lines.push(keyword.to_owned());
        }
    }
    for (offered, line) in [
        (offers.starttls, "STARTTLS".to_owned()),
        (offers.auth, "AUTH PLAIN LOGIN".to_owned()),
        (offers.requiretls, "REQUIRETLS".to_owned()),
        (
            offers.xclient,
            format!("XCLIENT {}", xclient::ATTRIBUTES.join(" ")),
        ),
    ] {
        if offered {
            lines.push(line);
        }
    }
    if offers.xforward {
        let names = Attribute::ALL.map(Attribute::as_str).join(" ");
        lines.push(format!("XFORWARD {names}"));
    }
    lines.push("XPIXELGATE".to_owned());
    Reply::new(250, lines)
}

/// The reply to HELO.
pub fn hello(hostname: &str) -> Reply {
    say(250, hostname)
}

/// 221: the client said QUIT.
pub fn bye() -> Reply {
    say(221, "2.0.0 Bye")
}

/// 250 for RSET, NOOP, XFORWARD.
pub fn ok() -> Reply {
    say(250, "2.0.0 Ok")
}

/// 252 for VRFY: we do not know mailboxes.
pub fn not_verified() -> Reply {
    say(252, "2.5.2 Cannot verify, but will try to deliver")
}

/// 214 for HELP.
pub fn help() -> Reply {
    say(
        214,
        "2.0.0 EHLO LHLO HELO MAIL RCPT DATA BDAT RSET NOOP QUIT VRFY HELP XFORWARD",
    )
}

/// 354 for DATA.
pub fn go_ahead() -> Reply {
    say(354, "End data with <CR><LF>.<CR><LF>")
}

/// 554 at the greeting: the client's network is not trusted.
pub fn not_trusted() -> Reply {
    say(
        554,
        "5.7.1 Relaying denied: your address is not in trusted_networks",
    )
}

/// 421: we are being stopped.
pub fn stopping() -> Reply {
    say(421, "4.3.2 Service is being stopped, try again")
}

/// 421: the client was silent for too long.
pub fn timed_out(limit: &str, seconds: u64) -> Reply {
    say(421, format!("4.4.2 Timeout ({limit} = {seconds})"))
}

/// 421: as many sessions as we take.
pub fn too_many_sessions(limit: usize) -> Reply {
    say(
        421,
        format!("4.3.2 Too many sessions (sessions = {limit}), try again"),
    )
}

/// 421: as many sessions from this address as we take.
pub fn too_many_from_address(limit: usize) -> Reply {
    say(
        421,
        format!(
            "4.7.0 Too many sessions from your address (sessions_per_address = {limit}), try again"
        ),
    )
}

/// 421: the client has sent more wrong commands than we answer.
pub fn too_many_bad_commands(limit: usize) -> Reply {
    say(
        421,
        format!("4.7.0 Too many bad commands (bad_commands = {limit})"),
    )
}

/// 421: the client has sent more commands that move no mail than we answer.
pub fn too_many_idle_commands(limit: usize) -> Reply {
    say(
        421,
        format!("4.7.0 Too many commands without a message (idle_commands = {limit})"),
    )
}

// --- commands ------------------------------------------------------------------------------------------------------

/// 500: no such command.
pub fn unknown_command() -> Reply {
    say(500, "5.5.1 Unknown command")
}

/// 500, then the connection is closed: another protocol is being spoken.
pub fn not_smtp() -> Reply {
    say(500, "5.5.1 This is a mail server; closing")
}

/// 500: the line was consumed.
pub fn command_too_long(limit: usize) -> Reply {
    say(
        500,
        format!("5.5.2 Command line too long (command_line_octets = {limit})"),
    )
}

/// 500, then the connection is closed: a CR or LF alone in a command line.
pub fn bare_line_end_in_command() -> Reply {
    say(500, "5.5.2 Command lines end with <CR><LF>; closing")
}

/// 500: a control character in a command line.
pub fn control_in_command() -> Reply {
    say(500, "5.5.2 Control character in command")
}

/// 500: octets that are not UTF-8 in a command line.
pub fn command_not_utf8() -> Reply {
    say(500, "5.5.2 Command is not ASCII or UTF-8")
}

/// 501: an argument is missing or not understood; `form` is the legal form.
pub fn syntax(form: &str) -> Reply {
    say(501, format!("5.5.4 Syntax: {form}"))
}

/// 501: the command takes no argument.
pub fn no_argument(verb: &str) -> Reply {
    say(501, format!("5.5.4 {verb} takes no argument"))
}

/// 501: not a reverse-path.
pub fn bad_reverse_path() -> Reply {
    say(501, "5.1.7 Bad reverse-path syntax")
}

/// 501: not a forward-path.
pub fn bad_forward_path() -> Reply {
    say(501, "5.1.3 Bad forward-path syntax")
}

/// 550 to MAIL: an international address without the SMTPUTF8 parameter (RFC 6531 3.5).
pub fn reverse_path_needs_smtputf8() -> Reply {
    say(550, "5.6.7 Non-ASCII reverse-path without SMTPUTF8")
}

/// 553 to RCPT: an international address without the SMTPUTF8 parameter (RFC 6531 3.5).
pub fn forward_path_needs_smtputf8() -> Reply {
    say(553, "5.6.7 Non-ASCII forward-path without SMTPUTF8")
}

/// 502: known, not offered here.
pub fn not_implemented(verb: &str) -> Reply {
    say(502, format!("5.5.1 {verb} not available"))
}

/// 503: not now; `why` says what is missing.
pub fn bad_sequence(why: &str) -> Reply {
    say(503, format!("5.5.1 {why}"))
}

/// 503: the client has not introduced itself.
pub fn hello_first(protocol: Protocol) -> Reply {
    match protocol {
        Protocol::Smtp => bad_sequence("EHLO first"),
        Protocol::Lmtp => bad_sequence("LHLO first"),
    }
}

/// 500: the introduction of the other protocol (RFC 2033 4.1).
pub fn wrong_hello(protocol: Protocol) -> Reply {
    match protocol {
        Protocol::Smtp => say(500, "5.5.1 This is SMTP: use EHLO"),
        Protocol::Lmtp => say(500, "5.5.1 This is LMTP: use LHLO"),
    }
}

/// 550: XFORWARD from a client that may not use it.
pub fn xforward_not_allowed() -> Reply {
    say(
        550,
        "5.7.0 XFORWARD denied: your address is not in xforward_networks",
    )
}

/// 552 to MAIL: the announced SIZE is over the limit.
pub fn size_over_limit(limit: u64) -> Reply {
    say(552, format!("5.3.4 SIZE over the limit of {limit} octets"))
}

/// 452 to RCPT: as many recipients as one message may have (RFC 5321 4.5.3.1.10).
pub fn too_many_recipients(limit: usize) -> Reply {
    say(
        452,
        format!("4.5.3 Too many recipients (recipients = {limit})"),
    )
}

/// 554 to DATA: no RCPT was accepted (RFC 5321 3.3).
pub fn no_valid_recipients() -> Reply {
    say(554, "5.5.1 No valid recipients")
}

impl From<ParameterError> for Reply {
    fn from(error: ParameterError) -> Self {
        match error {
            ParameterError::Unknown => say(555, "5.5.4 Unknown parameter"),
            ParameterError::BinaryMime => say(554, "5.6.3 BODY=BINARYMIME not supported"),
            ParameterError::SizeOverflow => say(552, "5.3.4 SIZE over any limit"),
            ParameterError::Syntax | ParameterError::Duplicate(_) | ParameterError::Value(_) => {
                say(501, format!("5.5.4 {error}"))
            }
        }
    }
}

impl From<XforwardError> for Reply {
    fn from(error: XforwardError) -> Self {
        say(501, format!("5.5.4 {error}"))
    }
}

// --- the message ---------------------------------------------------------------------------------------------------

/// 550: a CR without LF in the message.
pub fn bare_cr() -> Reply {
    say(550, "5.6.0 Message refused: bare <CR> (RFC 5321 2.3.8)")
}

/// 550: an LF without CR in the message.
pub fn bare_lf() -> Reply {
    say(550, "5.6.0 Message refused: bare <LF> (RFC 5321 2.3.8)")
}

/// 550: a NUL in the message.
pub fn nul() -> Reply {
    say(550, "5.6.0 Message refused: NUL octet (RFC 5322 4)")
}

/// 552: the message is longer than we take.
pub fn message_too_large(limit: usize) -> Reply {
    say(
        552,
        format!("5.3.4 Message too large (message_octets = {limit})"),
    )
}

/// 550: a line is longer than we take.
pub fn line_too_long(limit: usize) -> Reply {
    say(550, format!("5.6.0 Line too long (line_octets = {limit})"))
}

/// 550: the header section is longer than we take.
pub fn header_too_large(limit: usize) -> Reply {
    say(
        550,
        format!("5.6.0 Header section too large (header_octets = {limit})"),
    )
}

/// 452: all sessions together hold as much mail in memory as they may.
pub fn memory_full(limit: u64) -> Reply {
    say(
        452,
        format!("4.3.1 No memory for the message (memory_octets = {limit}), try again"),
    )
}

// --- ours ----------------------------------------------------------------------------------------------------------

/// 451: something in us failed; nothing is known to have been sent.
pub fn internal_fault() -> Reply {
    say(451, "4.3.0 Internal fault, try again")
}

/// 451: what was decided about the message is too old to act on, and is not the same any more.
pub fn outdated() -> Reply {
    say(451, "4.3.0 Decided anew before sending, try again")
}

/// 421 at the greeting: the next hop was never reached, so nothing is known of what it can do.
pub fn never_reached() -> Reply {
    say(421, "4.3.2 Next hop not reached yet, try again")
}

/// 451: the next hop was there and is not any more.
pub fn next_hop_gone() -> Reply {
    say(451, "4.4.2 Next hop not reachable, try again")
}

/// 250 for MAIL while the next hop is down and the spool has room.
pub fn sender_ok() -> Reply {
    say(250, "2.1.0 Ok")
}

/// 250 for RCPT, ours: the next hop is not asked now, or its refusal is told at the end of the message.
pub fn recipient_ok() -> Reply {
    say(250, "2.1.5 Ok")
}

/// 250: the message lies in the spool.
pub fn queued(id: &str) -> Reply {
    say(250, format!("2.0.0 Ok: queued as {id}"))
}

/// 550: content that may not go out as it is and cannot be changed. Never 5.1.x, which would cost the recipient their
/// place on the list.
pub fn rejected(why: &str) -> Reply {
    say(550, format!("5.6.0 Message refused, address valid: {why}"))
}

/// The same refusal where it concerns one recipient and others are served, for a report: 5.7.1 (RFC 3463 3.8).
pub fn for_one_recipient(refusal: &Reply) -> Reply {
    let text = refusal.text();
    let words = match refusal.enhanced() {
        Some(enhanced) => text.strip_prefix(enhanced).unwrap_or(&text),
        None => &text,
    };
    say(refusal.code(), format!("5.7.1 {}", words.trim_start()))
}

/// 451: content that may not go out as it is and cannot be changed; it is refused for good after `hold_limit`.
pub fn held(why: &str) -> Reply {
    say(451, format!("4.6.0 Message held, try again: {why}"))
}

/// 451: the spool could not be written (DESIGN 3: nothing was sent).
pub fn spool_failed() -> Reply {
    say(451, "4.3.1 Spool cannot be written, try again")
}

/// 554, in a DSN: what was owed was retried until it expired.
pub fn expired() -> Reply {
    say(554, "5.4.7 Delivery time expired")
}

/// 554: too many `Received:` fields, the message goes in circles (RFC 5321 6.3).
pub fn loops(fields: usize) -> Reply {
    say(
        554,
        format!("5.4.6 Too many hops ({fields} Received fields)"),
    )
}

/// 554: the message came through this relay too often.
pub fn loops_through_us(fields: usize) -> Reply {
    say(
        554,
        format!("5.4.6 Mail loop: {fields} Received fields of this relay"),
    )
}

/// 452: the spool has no room (`spool.bytes`, `spool.entries`); nothing was sent.
pub fn spool_full() -> Reply {
    say(
        452,
        "4.3.1 Spool full (spool.bytes, spool.entries), try again",
    )
}
