//! What may be read again only with a key: the address, for the operator's own eyes (`consent get`, `history`, export),
//! and the proof that is kept of the erased. Never for a decision.
//!
//! ChaCha20-Poly1305 with a random nonce; what it belongs to is bound to it (an address: controller and subject), so that
//! a sealed address moved to another row does not open. It must never know a file. What does not open is an error, never a wrong address.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use thiserror::Error;

use crate::consent::Subject;

/// Octets before the nonce: format, then generation, big-endian.
const HEAD_OCTETS: usize = 5;
const FORMAT: u8 = 1;

/// Why something was not sealed or opened. The machine or the register is to blame; permanent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SealError {
    /// No random numbers, or the cipher refused.
    #[error("nothing could be sealed: no random numbers from the system")]
    Seal,
    /// Sealed under a key that is not here.
    #[error(
        "it is sealed under sealing key {generation}, which is not in the key directory: put `seal-{generation}.key` back"
    )]
    NoKey {
        /// The generation that would open it.
        generation: u32,
    },
    /// Damaged, moved from another row, or of an unknown format.
    #[error("what is sealed is damaged or belongs to another record")]
    Damaged,
}

/// One sealing key.
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

    /// Format, generation, nonce, then the sealed octets; they open only together with what they are bound to.
    pub(super) fn seal_bound(&self, bound: &[&[u8]], plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new()
            .fill(&mut nonce)
            .map_err(|_| SealError::Seal)?;
        let head = self.head();
        let mut sealed = plain.to_vec();
        self.key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                binding(&head, bound),
                &mut sealed,
            )
            .map_err(|_| SealError::Seal)?;
        Ok([head.as_slice(), &nonce, &sealed].concat())
    }

    /// The octets that were sealed under this key and bound to the same.
    pub(super) fn unseal_bound(
        &self,
        bound: &[&[u8]],
        sealed: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        let (head, rest) = sealed
            .split_first_chunk::<HEAD_OCTETS>()
            .ok_or(SealError::Damaged)?;
        let (nonce, rest) = rest
            .split_first_chunk::<NONCE_LEN>()
            .ok_or(SealError::Damaged)?;
        let generation = generation(sealed)?;
        if generation != self.generation {
            return Err(SealError::NoKey { generation });
        }
        let mut sealed = rest.to_vec();
        self.key
            .open_in_place(
                Nonce::assume_unique_for_key(*nonce),
                binding(head, bound),
                &mut sealed,
            )
            .map(|plain| plain.to_vec())
            .map_err(|_| SealError::Damaged)
    }

    fn head(&self) -> [u8; HEAD_OCTETS] {
        let [a, b, c, d] = self.generation.to_be_bytes();
        [FORMAT, a, b, c, d]
    }
}

/// The sealing keys held: what is sealed is sealed under the current one, what is opened under the one it names.
#[derive(Debug, Clone)]
pub(super) struct Seals {
    current: u32,
    keys: Arc<BTreeMap<u32, SealKey>>,
}

impl Seals {
    /// None when the current key is not among them.
    pub(super) fn new(keys: Arc<BTreeMap<u32, SealKey>>, current: u32) -> Option<Self> {
        keys.contains_key(&current)
            .then_some(Self { current, keys })
    }

    /// The address, sealed for this person's row.
    pub(super) fn seal(
        &self,
        controller: &str,
        subject: &Subject,
        address: &str,
    ) -> Result<Vec<u8>, SealError> {
        let generation = self.current;
        self.keys
            .get(&generation)
            .ok_or(SealError::NoKey { generation })?
            .seal_bound(&row(controller, subject), address.as_bytes())
    }

    /// The address that was sealed for this person's row.
    pub(super) fn unseal(
        &self,
        controller: &str,
        subject: &Subject,
        sealed: &[u8],
    ) -> Result<String, SealError> {
        let generation = generation(sealed)?;
        let plain = self
            .keys
            .get(&generation)
            .ok_or(SealError::NoKey { generation })?
            .unseal_bound(&row(controller, subject), sealed)?;
        String::from_utf8(plain).map_err(|_| SealError::Damaged)
    }
}

/// The generation of the key under which these octets are sealed.
pub(super) fn generation(sealed: &[u8]) -> Result<u32, SealError> {
    match sealed.first_chunk::<HEAD_OCTETS>() {
        Some([FORMAT, generation @ ..]) => Ok(u32::from_be_bytes(*generation)),
        _ => Err(SealError::Damaged),
    }
}

fn row<'a>(controller: &'a str, subject: &'a Subject) -> [&'a [u8]; 2] {
    [controller.as_bytes(), subject.as_bytes()]
}

/// Each part with its length, so that no two lists of parts are the same octets.
fn binding(head: &[u8], bound: &[&[u8]]) -> Aad<Vec<u8>> {
    let mut octets = head.to_vec();
    for part in bound {
        octets.extend_from_slice(&(part.len() as u64).to_be_bytes());
        octets.extend_from_slice(part);
    }
    Aad::from(octets)
}

#[cfg(test)]
mod tests;
