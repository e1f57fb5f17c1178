//! A host name as it may stand in the ledger: the vendor stays readable, a label that looks like one person's does not.
//!
//! Trackers put identifiers into wildcard labels (`3f9c…e1.open.example`); such a label is replaced by `~` and a keyed
//! hash. It must never know whose it is. In doubt a label is hashed: the ledger loses a word, nobody loses a secret.

use serde::{Deserialize, Serialize};

/// Longest host that is shown label by label, in octets (RFC 1035 2.3.4).
const HOST_OCTETS_MAX: usize = 255;
/// A label longer than this is nobody's word.
const LABEL_OCTETS_WORD: usize = 24;

/// A host name without anything that could name a person.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Host(String);

impl Host {
    /// The host as it may be written down; `hash` gives the keyed hash of a label in hex.
    pub fn new(host: &str, hash: impl Fn(&str) -> String) -> Self {
        let masked = |label: &str| {
            let digits: String = hash(label)
                .chars()
                .filter(char::is_ascii_hexdigit)
                .take(16)
                .collect();
            format!("~{digits}")
        };
        let host = host.to_ascii_lowercase();
        if host.len() > HOST_OCTETS_MAX {
            return Self(masked(&host));
        }
        if host.parse::<std::net::Ipv4Addr>().is_ok() || is_ipv6_literal(&host) {
            return Self(host);
        }
        let label = |label: &str| match is_individual(label) {
            true => masked(label),
            false => label.to_owned(),
        };
        let labels: Vec<String> = host.split('.').map(label).collect();
        Self(labels.join("."))
    }

    /// What stands in the ledger.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_ipv6_literal(host: &str) -> bool {
    host.strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .is_some_and(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok())
}

/// Whether a label could be an identifier and not a word somebody chose for a service.
fn is_individual(label: &str) -> bool {
    let strange = |octet: u8| !(octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_');
    if label.len() > LABEL_OCTETS_WORD || label.bytes().any(strange) {
        return true;
    }
    // `xn--` labels are words in another script.
    if label.starts_with("xn--") {
        return false;
    }
    // Between hyphens: `eu-west-1` is three words, `3f9c2b7d-11e2` is two tokens.
    label
        .split(['-', '_'])
        .any(|piece| is_token(piece.as_bytes()))
}

fn is_token(piece: &[u8]) -> bool {
    let digits = piece.iter().filter(|octet| octet.is_ascii_digit()).count();
    let hex = piece.iter().all(u8::is_ascii_hexdigit);
    let changes = piece
        .windows(2)
        .filter(|pair| matches!(pair, [a, b] if a.is_ascii_digit() != b.is_ascii_digit()))
        .count();
    let vowels = piece.iter().any(|octet| b"aeiouy".contains(octet));
    match piece.len() {
        0..=4 => false,
        5..=7 => digits >= 5 || changes >= 3 || (hex && digits >= 3),
        // No word has eight letters without a vowel, nor eight hexadecimal digits with a number among them.
        _ => digits >= 4 || changes >= 3 || (hex && digits > 0) || !vowels,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(host: &str) -> String {
        Host::new(host, |label| format!("{:032x}", label.len())).0
    }

    #[test]
    fn vendors_stay_readable() {
        for host in [
            "open.example.com",
            "eu-west-1.links.mailer.example",
            "e.email-marketing.example",
            "u4.ct.vendor.example",
            "t2.brevo.example",
            "track360.example",
            "mandrillapp.example",
            "xn--bcher-kva.example",
            "192.0.2.17",
            "[2001:db8::1]",
            "localhost",
        ] {
            assert_eq!(shown(host), host);
        }
        assert_eq!(shown("OPEN.Example.COM"), "open.example.com");
    }

    #[test]
    fn labels_that_look_like_one_persons_are_hashed() {
        for (host, rest) in [
            ("3f9c2b7d11e2.open.example", "open.example"),
            ("deadbeef1.open.example", "open.example"),
            ("anna=40example.open.example", "open.example"),
            ("a%40b.open.example", "open.example"),
            ("user123456.open.example", "open.example"),
            ("k7x2m9q.open.example", "open.example"),
            ("0193a2b4-7c11-7000.open.example", "open.example"),
            (
                "averyveryverylonglabelthatnobodychose.open.example",
                "open.example",
            ),
        ] {
            let shown = shown(host);
            let (first, tail) = shown.split_once('.').unwrap();
            assert!(first.starts_with('~') && first.len() == 17, "{shown}");
            assert_eq!(tail, rest);
        }
        let masked = shown("anna@example.net/?q=1");
        assert!(
            !masked.contains("anna") && !masked.contains('/'),
            "{masked}"
        );
        assert_eq!(shown(&"a.".repeat(200)).len(), 17);
        // What the hash gives is not trusted to be hex.
        let host = Host::new("anna=40x.example", |label| format!("@{label}@"));
        assert!(!host.as_str().contains('@') && !host.as_str().contains("nn"));
    }
}
