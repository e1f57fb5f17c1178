//! Who a record speaks of: a keyed hash of controller and address, the only name a person has outside the register.
//!
//! HMAC-SHA256 under the look-up key, so that two controllers' lists cannot be joined and nobody without the key can
//! try addresses (DESIGN 5, D20). It must never keep or show an address. Nothing here fails: what is no address gets a
//! subject of its own, for which nothing is recorded.

use std::fmt;

use ring::hmac;
use serde::{Serialize, Serializer};

use super::hex;

/// Octets of a look-up key.
pub const KEY_OCTETS: usize = 32;

/// The key under which subjects are computed. Its value is never shown.
#[derive(Clone)]
pub struct LookupKey(hmac::Key);

impl LookupKey {
    /// The key with this value.
    pub fn new(value: &[u8; KEY_OCTETS]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, value))
    }
}

impl fmt::Debug for LookupKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("LookupKey(..)")
    }
}

/// One person as one controller knows them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject([u8; 32]);

impl Subject {
    /// The subject of an address, written as on the wire or in a list, for one controller.
    pub fn of(key: &LookupKey, controller: &str, address: &str) -> Self {
        // Controller names hold no NUL (the register and the configuration refuse control characters), so the
        // separator is unambiguous.
        let mut context = hmac::Context::with_key(&key.0);
        context.update(controller.as_bytes());
        context.update(&[0]);
        context.update(normalised(address).as_bytes());
        let tag = context.sign();
        let mut octets = [0; 32];
        for (octet, from) in octets.iter_mut().zip(tag.as_ref()) {
            *octet = *from;
        }
        Self(octets)
    }

    /// A subject read back from the register.
    pub fn from_bytes(octets: [u8; 32]) -> Self {
        Self(octets)
    }

    /// Its octets, for the register.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A number from 0 to 99 that stays the same for this subject: what `share_percent` compares with.
    pub fn percentile(&self) -> u8 {
        let [.., high, low] = self.0;
        u8::try_from(u16::from_be_bytes([high, low]) % 100).unwrap_or(99)
    }
}

/// The first 16 octets in hex: enough to be unique, as it stands in ledger and logs.
impl fmt::Display for Subject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex::write(formatter, self.0.iter().take(16))
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Serialize for Subject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The form of an address under which consent is looked up; the address on the wire is never changed.
///
/// Local parts are lower-cased although RFC 5321 2.4 lets a host tell `A` from `a`: no mailbox provider of any size
/// does, forms and lists spell the same person both ways, and a withdrawal that misses its grant by a capital letter
/// would leave the person tracked. `+tag` is *not* cut: whether it names the same mailbox is the provider's secret,
/// and a tag is often how a person tells controllers apart. Quotes are taken off because `"a"@x` and `a@x` are one
/// mailbox (RFC 5321 4.1.2). Domains are compared as A-labels (RFC 5890).
pub fn normalised(address: &str) -> String {
    let address = address.trim();
    let Some((local, domain)) = address.rsplit_once('@') else {
        return address.to_lowercase();
    };
    let mut key = unquoted(local).to_lowercase();
    key.push('@');
    key.push_str(&normalised_domain(domain));
    key
}

fn unquoted(local: &str) -> String {
    let Some(inner) = local
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
    else {
        return local.to_owned();
    };
    let mut plain = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => plain.extend(characters.next()),
            other => plain.push(other),
        }
    }
    plain
}

fn normalised_domain(domain: &str) -> String {
    if domain.starts_with('[') {
        return domain.to_ascii_lowercase();
    }
    // A trailing dot names the same domain (RFC 1034 3.1) and comes from lists, not from the wire.
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    idna::domain_to_ascii(domain).unwrap_or_else(|_| domain.to_lowercase())
}

#[cfg(test)]
mod tests;
