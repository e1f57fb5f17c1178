//! Octets as hex digits, as they stand in files and in the register.

use std::fmt;

use serde::{Deserialize, Deserializer, Serializer};

/// Writes lower-case digits.
pub(super) fn write<'a>(
    formatter: &mut fmt::Formatter<'_>,
    octets: impl Iterator<Item = &'a u8>,
) -> fmt::Result {
    octets
        .into_iter()
        .try_for_each(|octet| write!(formatter, "{octet:02x}"))
}

/// Reads exactly `N` octets, in digits of either case; `None` for anything else.
pub fn read<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || !text.bytes().all(|octet| octet.is_ascii_hexdigit()) {
        return None;
    }
    let mut octets = [0; N];
    for (octet, at) in octets.iter_mut().zip((0..).step_by(2)) {
        *octet = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
    }
    Some(octets)
}

/// An optional SHA-256 for serde.
pub(super) mod optional_sha256 {
    use super::{Deserialize, Deserializer, Serializer, fmt};

    struct Digits<'a>(&'a [u8; 32]);

    impl fmt::Display for Digits<'_> {
        fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            super::write(formatter, self.0.iter())
        }
    }

    pub(in super::super) fn serialize<S: Serializer>(
        value: &Option<[u8; 32]>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(octets) => serializer.collect_str(&Digits(octets)),
            None => serializer.serialize_none(),
        }
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<[u8; 32]>, D::Error> {
        let Some(digits) = Option::<String>::deserialize(deserializer)? else {
            return Ok(None);
        };
        super::read(&digits)
            .map(Some)
            .ok_or_else(|| serde::de::Error::custom("not 64 hex digits"))
    }
}
