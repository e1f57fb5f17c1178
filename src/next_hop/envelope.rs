//! MAIL and RCPT as command lines for one connection: which parameters go, by what its server announced.
//!
//! Values go out as the client wrote them, never encoded anew. It must never know the connection itself or the
//! message beyond its size and whether its header is ASCII.
//! What cannot be sent is the [`Reply`] the client deserves; what is left out is counted, never silently.

use std::fmt::Write as _;

use crate::mime::splice::Spliced;
use crate::smtp::extensions::Extensions;
use crate::smtp::parameter::Parameter;
use crate::smtp::reply::Reply;
use crate::smtp::transaction::{Mail, Rcpt};

use super::counters::Counters;
use super::replies;

/// Octets by which a message may grow on its way through us: the same that our own SIZE is less than the next hop's.
pub const SIZE_ALLOWANCE_OCTETS: u64 = 4 * 1024;

/// What is known of the message when its envelope is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// The client has not sent it.
    Nothing,
    /// One variant, whole.
    Message { octets: u64, header_is_ascii: bool },
}

impl Known {
    pub(super) fn of(message: &Spliced) -> Self {
        Self::Message {
            octets: u64::try_from(message.len()).unwrap_or(u64::MAX),
            header_is_ascii: header_is_ascii(message.pieces()),
        }
    }
}

/// What was left out of the lines of one envelope.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Dropped {
    eight_bit_mime: u64,
    smtputf8: u64,
    dsn_parameters: u64,
    auth_parameters: u64,
}

impl Dropped {
    /// Counts it, once the lines were sent and MAIL was taken.
    pub(super) fn count(self, counters: &Counters) {
        counters.eight_bit_mime_dropped.add(self.eight_bit_mime);
        counters.smtputf8_dropped.add(self.smtputf8);
        counters.dsn_parameters_dropped.add(self.dsn_parameters);
        counters.auth_parameters_dropped.add(self.auth_parameters);
    }
}

/// The MAIL line of one envelope.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct MailLine {
    pub(super) line: String,
    pub(super) dropped: Dropped,
    /// Whether RCPT lines of this transaction may hold UTF-8.
    pub(super) utf8: bool,
    /// Whether SMTPUTF8 was left out, so that the header must turn out to be ASCII.
    pub(super) header_must_be_ascii: bool,
}

/// Writes MAIL for a server that announced `extensions`.
pub(super) fn mail_line(
    mail: &Mail,
    extensions: &Extensions,
    known: Known,
) -> Result<MailLine, Reply> {
    let mut dropped = Dropped::default();
    let mut line = format!("MAIL FROM:{}", mail.reverse_path);
    let utf8 = mail.parameters.has("SMTPUTF8") && extensions.smtputf8;
    let header_must_be_ascii = mail.parameters.has("SMTPUTF8") && !extensions.smtputf8;
    for parameter in &mail.parameters.0 {
        match parameter.keyword.as_str() {
            "SIZE" => {
                if extensions.size.is_some() {
                    let _ = write!(line, " SIZE={}", size(parameter, known)?);
                }
            }
            "BODY" => {
                if extensions.eight_bit_mime {
                    push(&mut line, parameter)?;
                } else if parameter.value.as_deref() != Some("7BIT") {
                    // The octets go out unchanged: re-encoding would break promise 2 and every signature.
                    dropped.eight_bit_mime += 1;
                }
            }
            "SMTPUTF8" => {
                if extensions.smtputf8 {
                    push(&mut line, parameter)?;
                } else {
                    dropped.smtputf8 += 1;
                }
            }
            // RFC 8689 4.2.1: over a connection that gives what was asked for, or not at all.
            "REQUIRETLS" if extensions.requiretls => push(&mut line, parameter)?,
            "REQUIRETLS" => return Err(replies::needs_requiretls()),
            "RET" | "ENVID" => push_dsn(&mut line, parameter, extensions, &mut dropped)?,
            // RFC 4954 5: only between servers that trust each other's AUTH, which we cannot vouch for.
            "AUTH" => dropped.auth_parameters += 1,
            _ => return Err(replies::unknown_parameter()),
        }
    }
    let header_is_utf8 = matches!(
        known,
        Known::Message {
            header_is_ascii: false,
            ..
        }
    );
    if (!utf8 && !line.is_ascii()) || (header_must_be_ascii && header_is_utf8) {
        return Err(replies::needs_smtputf8());
    }
    check_writable(&line)?;
    Ok(MailLine {
        line,
        dropped,
        utf8,
        header_must_be_ascii,
    })
}

/// Writes RCPT for a server that announced `extensions`, in a transaction that may or may not hold UTF-8.
pub(super) fn rcpt_line(
    rcpt: &Rcpt,
    extensions: &Extensions,
    utf8: bool,
) -> Result<(String, Dropped), Reply> {
    let mut dropped = Dropped::default();
    let mut line = format!("RCPT TO:{}", rcpt.forward_path);
    for parameter in &rcpt.parameters.0 {
        match parameter.keyword.as_str() {
            "NOTIFY" | "ORCPT" => push_dsn(&mut line, parameter, extensions, &mut dropped)?,
            _ => return Err(replies::unknown_parameter()),
        }
    }
    if !utf8 && !line.is_ascii() {
        return Err(replies::needs_smtputf8());
    }
    check_writable(&line)?;
    Ok((line, dropped))
}

/// RFC 1870 6.1: the size of what is sent, not of what came. Before it is known, the client's word and what we may add.
fn size(parameter: &Parameter, known: Known) -> Result<u64, Reply> {
    match known {
        Known::Message { octets, .. } => Ok(octets),
        Known::Nothing => parameter
            .value
            .as_deref()
            .and_then(|octets| octets.parse::<u64>().ok())
            .map(|octets| octets.saturating_add(SIZE_ALLOWANCE_OCTETS))
            .ok_or_else(replies::not_writable),
    }
}

fn push(line: &mut String, parameter: &Parameter) -> Result<(), Reply> {
    line.push(' ');
    line.push_str(&parameter.keyword);
    if let Some(value) = &parameter.value {
        if value.contains(' ') {
            return Err(replies::not_writable());
        }
        line.push('=');
        line.push_str(value);
    }
    Ok(())
}

fn push_dsn(
    line: &mut String,
    parameter: &Parameter,
    extensions: &Extensions,
    dropped: &mut Dropped,
) -> Result<(), Reply> {
    if extensions.dsn {
        return push(line, parameter);
    }
    dropped.dsn_parameters += 1;
    Ok(())
}

/// Promise 6 at the last place where it can be kept: no path and no value makes a second command.
fn check_writable(line: &str) -> Result<(), Reply> {
    match line.bytes().any(|octet| octet < 0x20 || octet == 0x7f) {
        true => Err(replies::not_writable()),
        false => Ok(()),
    }
}

/// Whether the header section (up to the first empty line) needs no SMTPUTF8.
pub(super) fn header_is_ascii<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> bool {
    let mut line_octets = 0_usize;
    for &octet in pieces.flatten() {
        match octet {
            b'\n' if line_octets == 0 => return true,
            b'\n' => line_octets = 0,
            b'\r' => {}
            0x80.. => return false,
            _ => line_octets += 1,
        }
    }
    true
}

#[cfg(test)]
#[path = "envelope_tests.rs"]
mod tests;
