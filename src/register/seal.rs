//! The address itself, encrypted: for the operator's own eyes (`consent get`, `history`, export), never for a decision.
//!
//! ChaCha20-Poly1305 with a random nonce; controller and subject are bound to it, so that a sealed address moved to
//! another row does not open. It must never know a file. What does not open is an error, never a wrong address.

use std::fmt;

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use thiserror::Error;

use crate::consent::Subject;

/// Octets before the nonce: format, then generation, big-endian.
const HEAD_OCTETS: usize = 5;
const FORMAT: u8 = 1;

/// Why an address was not sealed or opened. The machine or the register is to blame; permanent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SealError {
    /// No random numbers, or the cipher refused.
    #[error("the address could not be sealed")]
    Seal,
    /// Sealed under a key that is not here.
    #[error(
        "the address is sealed under sealing key {generation}, which is not in the key directory"
    )]
    NoKey {
        /// The generation that would open it.
        generation: u32,
    },
    /// Damaged, moved from another row, or of an unknown format.
    #[error("the sealed address is damaged or belongs to another record")]
    Damaged,
}

/// The sealing key of one generation.
pub(super) struct SealKey {
    generation: u32,
    key: LessSafeKey,
}

impl fmt::Debug for SealKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SealKey({})", self.generation)
    }
}

impl SealKey {
    pub(super) fn new(generation: u32, value: &[u8; 32]) -> Option<Self> {
        let key = UnboundKey::new(&CHACHA20_POLY1305, value).ok()?;
        Some(Self {
            generation,
            key: LessSafeKey::new(key),
        })
    }

    /// Format, generation, nonce, then the sealed octets.
    pub(super) fn seal(
        &self,
        controller: &str,
        subject: &Subject,
        address: &str,
    ) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new()
            .fill(&mut nonce)
            .map_err(|_| SealError::Seal)?;
        let head = self.head();
        let mut sealed = address.as_bytes().to_vec();
        self.key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                binding(&head, controller, subject),
                &mut sealed,
            )
            .map_err(|_| SealError::Seal)?;
        Ok([head.as_slice(), &nonce, &sealed].concat())
    }

    pub(super) fn unseal(
        &self,
        controller: &str,
        subject: &Subject,
        sealed: &[u8],
    ) -> Result<String, SealError> {
        let (head, rest) = sealed
            .split_first_chunk::<HEAD_OCTETS>()
            .ok_or(SealError::Damaged)?;
        let (nonce, rest) = rest
            .split_first_chunk::<NONCE_LEN>()
            .ok_or(SealError::Damaged)?;
        let [format, generation @ ..] = *head;
        if format != FORMAT {
            return Err(SealError::Damaged);
        }
        if generation != self.generation.to_be_bytes() {
            let generation = u32::from_be_bytes(generation);
            return Err(SealError::NoKey { generation });
        }
        let mut sealed = rest.to_vec();
        let plain = self
            .key
            .open_in_place(
                Nonce::assume_unique_for_key(*nonce),
                binding(head, controller, subject),
                &mut sealed,
            )
            .map_err(|_| SealError::Damaged)?;
        String::from_utf8(plain.to_vec()).map_err(|_| SealError::Damaged)
    }

    fn head(&self) -> [u8; HEAD_OCTETS] {
        let [a, b, c, d] = self.generation.to_be_bytes();
        [FORMAT, a, b, c, d]
    }
}

fn binding(head: &[u8], controller: &str, subject: &Subject) -> Aad<Vec<u8>> {
    let parts: [&[u8]; 4] = [head, subject.as_bytes(), &[0], controller.as_bytes()];
    Aad::from(parts.concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent::LookupKey;

    fn subject(address: &str) -> Subject {
        Subject::of(&LookupKey::new(&[1; 32]), "shop", address)
    }

    #[test]
    fn an_address_opens_in_its_own_row_only() {
        let key = SealKey::new(1, &[2; 32]).unwrap();
        let anna = subject("anna@example.net");
        let sealed = key.seal("shop", &anna, "Anna@example.net").unwrap();
        assert_eq!(
            key.unseal("shop", &anna, &sealed).as_deref(),
            Ok("Anna@example.net")
        );
        let damaged = Err(SealError::Damaged);
        assert_eq!(key.unseal("bank", &anna, &sealed), damaged);
        assert_eq!(key.unseal("shop", &subject("b@x"), &sealed), damaged);
        let other = SealKey::new(1, &[3; 32]).unwrap();
        assert_eq!(other.unseal("shop", &anna, &sealed), damaged);
        let later = SealKey::new(2, &[2; 32]).unwrap();
        assert_eq!(
            later.unseal("shop", &anna, &sealed),
            Err(SealError::NoKey { generation: 1 })
        );
    }

    #[test]
    fn every_changed_octet_and_every_cut_is_noticed() {
        let key = SealKey::new(1, &[2; 32]).unwrap();
        let anna = subject("anna@example.net");
        let sealed = key.seal("shop", &anna, "anna@example.net").unwrap();
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(key.unseal("shop", &anna, &changed).is_err(), "{at}");
            assert!(key.unseal("shop", &anna, &sealed[..at]).is_err(), "{at}");
        }
    }

    #[test]
    fn the_same_address_never_seals_to_the_same_octets() {
        let key = SealKey::new(1, &[2; 32]).unwrap();
        let anna = subject("anna@example.net");
        let sealed = |_| key.seal("shop", &anna, "anna@example.net").unwrap();
        let all: std::collections::BTreeSet<_> = (0..100).map(sealed).collect();
        assert_eq!(all.len(), 100);
    }
}
