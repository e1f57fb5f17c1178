//! XFORWARD (Postfix XFORWARD_README): who the client's own client was, carried along for logging upstream.
//!
//! Values are decoded, checked and encoded anew, so that nothing a client wrote reaches a next hop's command line raw.
//! It must never know who may send the command (the session's allow-list) or to whom it goes.
//! What cannot be read is an [`XforwardError`] naming the attribute; nothing is guessed, shortened or dropped.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// Octets of one value on the wire, encoded.
pub const VALUE_OCTETS: usize = 255;
/// Octets of one command line that we write, CRLF included.
pub const LINE_OCTETS: usize = 512;
/// The value of an attribute that nobody knows; accepted in any case, written in this one.
pub const UNAVAILABLE: &str = "[UNAVAILABLE]";

/// What XFORWARD can carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Attribute {
    /// Host name of the original client.
    Name,
    /// Address of the original client; IPv6 as `IPV6:…`.
    Addr,
    /// TCP port of the original client.
    Port,
    /// `SMTP`, `ESMTP`, …
    Proto,
    /// What the original client said in HELO, EHLO or LHLO.
    Helo,
    /// The queue id in front.
    Ident,
    /// `LOCAL` or `REMOTE`.
    Source,
}

impl Attribute {
    /// All of them, in the order in which they are announced.
    pub const ALL: [Self; 7] = [
        Self::Name,
        Self::Addr,
        Self::Port,
        Self::Proto,
        Self::Helo,
        Self::Ident,
        Self::Source,
    ];

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Name => "NAME",
            Self::Addr => "ADDR",
            Self::Port => "PORT",
            Self::Proto => "PROTO",
            Self::Helo => "HELO",
            Self::Ident => "IDENT",
            Self::Source => "SOURCE",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|attribute| attribute.as_str().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for Attribute {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Why an XFORWARD command was not understood. The client is to blame and repeating it does not help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum XforwardError {
    /// No `NAME=value` at all.
    #[error("XFORWARD needs at least one attribute=value")]
    Empty,
    /// A word without `=`.
    #[error("XFORWARD arguments must be attribute=value")]
    NotAPair,
    /// An attribute we did not announce.
    #[error("unknown XFORWARD attribute")]
    UnknownAttribute,
    /// The same attribute twice in one command.
    #[error("XFORWARD {0} given twice")]
    Duplicate(Attribute),
    /// Longer than [`VALUE_OCTETS`] as it would go on.
    #[error("XFORWARD {0} is longer than {VALUE_OCTETS} octets")]
    TooLong(Attribute),
    /// A `+` not followed by two hexadecimal digits (RFC 3461 4).
    #[error("XFORWARD {0} is not valid xtext")]
    Xtext(Attribute),
    /// Decodes to something this attribute cannot be: a control character, not UTF-8, not an address, not a port.
    #[error("bad XFORWARD {0} value")]
    Value(Attribute),
}

/// The attributes of one transaction. Empty: the client sent no XFORWARD.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Xforward(pub BTreeMap<Attribute, String>);

impl Xforward {
    /// Takes over one parsed command. The first of a transaction makes every attribute unavailable that it does not
    /// name, so that attributes of the original client never mix with those of this session.
    pub fn update(&mut self, pairs: Vec<(Attribute, String)>) {
        if self.0.is_empty() {
            for attribute in Attribute::ALL {
                self.0.insert(attribute, UNAVAILABLE.to_owned());
            }
        }
        self.0.extend(pairs);
    }

    /// The decoded value, `None` where it was not given or is unavailable.
    pub fn get(&self, attribute: Attribute) -> Option<&str> {
        self.0
            .get(&attribute)
            .map(String::as_str)
            .filter(|value| *value != UNAVAILABLE)
    }

    /// Whether the client sent none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The commands that say this to a next hop, without CRLF: only attributes it announced, each line at most
    /// [`LINE_OCTETS`] with its CRLF. To be sent before every MAIL, because a next hop forgets them after each transaction.
    pub fn to_commands(&self, announced: &BTreeSet<String>) -> Vec<String> {
        let mut commands = Vec::new();
        let mut command = String::from("XFORWARD");
        for (attribute, value) in &self.0 {
            if !announced.contains(attribute.as_str()) {
                continue;
            }
            let mut encoded = encode(value);
            if encoded.len() > VALUE_OCTETS {
                // Cannot come from `parse`; a spool file edited by hand must not make an illegal command.
                encoded = UNAVAILABLE.to_owned();
            }
            let pair = format!(" {attribute}={encoded}");
            if command.len() + pair.len() + 2 > LINE_OCTETS {
                commands.push(std::mem::replace(&mut command, String::from("XFORWARD")));
            }
            command.push_str(&pair);
        }
        if command.len() > "XFORWARD".len() {
            commands.push(command);
        }
        commands
    }
}

/// Reads what stands behind `XFORWARD`.
pub fn parse(arguments: &str) -> Result<Vec<(Attribute, String)>, XforwardError> {
    let mut pairs: Vec<(Attribute, String)> = Vec::new();
    for word in arguments.split([' ', '\t']).filter(|word| !word.is_empty()) {
        let (name, raw) = word.split_once('=').ok_or(XforwardError::NotAPair)?;
        let attribute = Attribute::from_name(name).ok_or(XforwardError::UnknownAttribute)?;
        if pairs.iter().any(|(seen, _)| *seen == attribute) {
            return Err(XforwardError::Duplicate(attribute));
        }
        pairs.push((attribute, read_value(attribute, raw)?));
    }
    if pairs.is_empty() {
        return Err(XforwardError::Empty);
    }
    Ok(pairs)
}

fn read_value(attribute: Attribute, raw: &str) -> Result<String, XforwardError> {
    if raw.len() > VALUE_OCTETS {
        return Err(XforwardError::TooLong(attribute));
    }
    let octets = decode(raw.as_bytes()).ok_or(XforwardError::Xtext(attribute))?;
    let value = String::from_utf8(octets).map_err(|_| XforwardError::Value(attribute))?;
    if value.eq_ignore_ascii_case(UNAVAILABLE) {
        return Ok(UNAVAILABLE.to_owned());
    }
    if value.is_empty() || value.chars().any(char::is_control) || !fits(attribute, &value) {
        return Err(XforwardError::Value(attribute));
    }
    // Postfix before 2.3 sent values unencoded: what it wrote in 255 octets may need more from us.
    if encode(&value).len() > VALUE_OCTETS {
        return Err(XforwardError::TooLong(attribute));
    }
    Ok(value)
}

fn fits(attribute: Attribute, value: &str) -> bool {
    match attribute {
        Attribute::Addr => is_address(value),
        Attribute::Port => value.parse::<u16>().is_ok() && !value.starts_with('+'),
        Attribute::Source => {
            value.eq_ignore_ascii_case("LOCAL") || value.eq_ignore_ascii_case("REMOTE")
        }
        Attribute::Name | Attribute::Proto | Attribute::Ident => !value.contains(' '),
        Attribute::Helo => true,
    }
}

fn is_address(value: &str) -> bool {
    let v6 = value
        .split_at_checked("IPV6:".len())
        .filter(|(tag, _)| tag.eq_ignore_ascii_case("IPV6:"))
        .map(|(_, address)| address);
    match v6 {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        // Postfix before 2.3 wrote IPv6 without its tag.
        None => value.parse::<Ipv4Addr>().is_ok() || value.parse::<Ipv6Addr>().is_ok(),
    }
}

/// Decodes xtext (RFC 3461 4): `+` and two hexadecimal digits are one octet. `None` where a `+` is not followed by them.
pub fn decode(raw: &[u8]) -> Option<Vec<u8>> {
    let mut octets = Vec::with_capacity(raw.len());
    let mut rest = raw.iter();
    while let Some(&octet) = rest.next() {
        if octet == b'+' {
            let high = char::from(*rest.next()?).to_digit(16)?;
            let low = char::from(*rest.next()?).to_digit(16)?;
            octets.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            octets.push(octet);
        }
    }
    Some(octets)
}

/// Encodes as xtext: everything that is not a printable ASCII character other than `+` and `=` becomes `+XX`.
pub fn encode(value: &str) -> String {
    let mut encoded = String::with_capacity(value.len());
    for octet in value.bytes() {
        if octet.is_ascii_graphic() && octet != b'+' && octet != b'=' {
            encoded.push(char::from(octet));
        } else {
            let _ = write!(encoded, "+{octet:02X}");
        }
    }
    encoded
}

#[cfg(test)]
#[path = "xforward_tests.rs"]
mod tests;
