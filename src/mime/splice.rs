//! A message and what is put in place of some of its octets: the only form in which a changed message exists.
//!
//! Promise 2 by construction: a variant is the client's octets plus a sorted list of replaced ranges, never a new
//! serialisation. It must never know why a range is replaced, nor what MIME is.
//! Ranges that overlap, run backwards or reach past the end are refused as a whole: no half-applied edit exists.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

#[cfg(test)]
mod tests;

/// One replaced range of a message. An empty range inserts, an empty replacement cuts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Splice {
    /// Octets of the original that do not appear in the variant.
    pub range: Range<usize>,
    /// Octets that stand in their place.
    pub replacement: Bytes,
}

impl Splice {
    /// Puts `replacement` in place of `range`.
    pub fn new(range: Range<usize>, replacement: impl Into<Bytes>) -> Self {
        Self {
            range,
            replacement: replacement.into(),
        }
    }

    /// Removes `range`.
    pub fn cut(range: Range<usize>) -> Self {
        Self::new(range, Bytes::new())
    }

    /// Inserts `text` before the octet at `at`.
    pub fn insert(at: usize, text: impl Into<Bytes>) -> Self {
        Self::new(at..at, text)
    }
}

/// Splices that do not fit one another or the message: a fault of whoever made them, never of the peer, and permanent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Overlap {
    /// Two ranges share an octet.
    #[error("splices {first:?} and {second:?} overlap")]
    Shared {
        /// The range that starts earlier.
        first: Range<usize>,
        /// The range that starts inside it.
        second: Range<usize>,
    },
    /// A range ends before it starts.
    #[error("splice {range:?} runs backwards")]
    Backwards {
        /// The range as given.
        range: Range<usize>,
    },
    /// A range reaches past the end of the message.
    #[error("splice {range:?} reaches past the end of a message of {octets} octets")]
    PastEnd {
        /// The range as given.
        range: Range<usize>,
        /// How long the message is.
        octets: usize,
    },
}

/// An original message and the splices that make one variant of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spliced {
    original: Bytes,
    splices: Vec<Splice>,
    len: usize,
}

impl Spliced {
    /// Joins a message and its splices, in any order. Insertions at one place keep the order given, and stand before
    /// a replacement that begins there.
    pub fn new(original: Bytes, mut splices: Vec<Splice>) -> Result<Self, Overlap> {
        splices.sort_by_key(|splice| (splice.range.start, splice.range.end));
        let mut len = original.len();
        let mut before: Option<&Range<usize>> = None;
        for splice in &splices {
            let range = &splice.range;
            if range.end < range.start {
                return Err(Overlap::Backwards {
                    range: range.clone(),
                });
            }
            if range.end > original.len() {
                return Err(Overlap::PastEnd {
                    range: range.clone(),
                    octets: original.len(),
                });
            }
            if let Some(first) = before.filter(|first| range.start < first.end) {
                return Err(Overlap::Shared {
                    first: first.clone(),
                    second: range.clone(),
                });
            }
            // Cannot run below zero: the ranges are disjoint parts of the original.
            len = len - range.len() + splice.replacement.len();
            before = Some(range);
        }
        Ok(Self {
            original,
            splices,
            len,
        })
    }

    /// The message as the client sent it.
    pub fn untouched(original: Bytes) -> Self {
        Self {
            len: original.len(),
            original,
            splices: Vec::new(),
        }
    }

    /// Whether the variant is the original, octet for octet, because nothing is spliced.
    pub fn is_untouched(&self) -> bool {
        self.splices.is_empty()
    }

    /// The octets of the variant in order, as non-empty slices of the original and of the replacements; nothing is copied.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let ends = self.splices.iter().map(|splice| splice.range.end);
        let starts = std::iter::once(0).chain(ends);
        let gaps = starts.zip(
            self.splices
                .iter()
                .map(Some)
                .chain(std::iter::once(None::<&Splice>)),
        );
        gaps.flat_map(|(start, splice)| {
            let (end, replacement) = match splice {
                Some(splice) => (splice.range.start, splice.replacement.as_ref()),
                None => (self.original.len(), [].as_slice()),
            };
            [
                self.original.get(start..end).unwrap_or_default(),
                replacement,
            ]
        })
        .filter(|piece| !piece.is_empty())
    }

    /// How many octets the variant has.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the variant has no octets.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The variant in one piece; free where nothing is spliced.
    pub fn to_bytes(&self) -> Bytes {
        if self.is_untouched() {
            return self.original.clone();
        }
        let mut whole = BytesMut::with_capacity(self.len);
        for piece in self.pieces() {
            whole.extend_from_slice(piece);
        }
        whole.freeze()
    }

    /// The message as the client sent it.
    pub fn original(&self) -> &Bytes {
        &self.original
    }

    /// What is replaced, in order of place.
    pub fn splices(&self) -> &[Splice] {
        &self.splices
    }
}

/// Promise 2 in code: whether `variant` is `original` with exactly these ranges replaced. Judges the octets alone, however
/// the variant was made, so that a fault in [`Spliced`] cannot hide itself. Splices that do not fit are `false`.
pub fn same_outside(original: &[u8], splices: &[Splice], variant: &[u8]) -> bool {
    let mut order: Vec<&Splice> = splices.iter().collect();
    order.sort_by_key(|splice| (splice.range.start, splice.range.end));
    let mut read = 0;
    let mut rest = variant;
    for splice in order {
        let Some(kept) = original.get(read..splice.range.start) else {
            return false;
        };
        let Some(after) = rest
            .strip_prefix(kept)
            .and_then(|after| after.strip_prefix(splice.replacement.as_ref()))
        else {
            return false;
        };
        if splice.range.end < splice.range.start {
            return false;
        }
        read = splice.range.end;
        rest = after;
    }
    original.get(read..).is_some_and(|kept| kept == rest)
}
