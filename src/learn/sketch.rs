//! How many different ones: the least hashes of a set, exact while they are few.
//!
//! Keeps the `K` least of all 32-bit hashes that were added. While fewer were seen the count is exact; from then on the density of
//! the least ones tells it, with a standard error of `1 / sqrt(K - 2)` (K minimum values). The same set in any order, with any
//! repetitions, gives the same sketch. It must never know what was hashed. It cannot fail.

/// The `K` least hashes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Least<const K: usize> {
    /// Ascending, each once.
    values: Vec<u32>,
}

impl<const K: usize> Least<K> {
    /// Adds one; whether it is new, as far as that can be told.
    pub(super) fn add(&mut self, hash: u32) -> bool {
        match self.values.binary_search(&hash) {
            Ok(_) => false,
            // It is past the greatest of enough: whether it was there before nobody knows.
            Err(at) if at >= K => true,
            Err(at) => {
                self.values.truncate(K - 1);
                self.values.insert(at, hash);
                true
            }
        }
    }

    /// Whether the count is exact.
    pub(super) fn is_exact(&self) -> bool {
        self.values.len() < K
    }

    /// About how many different ones; never less than were kept.
    pub(super) fn count(&self) -> u64 {
        let kept = self.values.len() as u64;
        match self.values.last() {
            Some(last) if !self.is_exact() => density(K, *last).max(kept),
            _ => kept,
        }
    }

    /// At least so many: two standard errors less than [`Self::count`], and never less than were kept.
    pub(super) fn at_least(&self) -> u64 {
        let kept = self.values.len() as u64;
        if self.is_exact() {
            return kept;
        }
        kept.max(self.count().saturating_mul(margin(K)) / 100)
    }

    /// The hashes, ascending.
    pub(super) fn values(&self) -> &[u32] {
        &self.values
    }

    /// A sketch from its hashes; `None` where they are none.
    pub(super) fn of(values: Vec<u32>) -> Option<Self> {
        let ascending = values.is_sorted_by(|one, next| one < next);
        (values.len() <= K && ascending).then_some(Self { values })
    }

    /// Octets on the heap.
    pub(super) fn octets(&self) -> usize {
        self.values.capacity() * size_of::<u32>()
    }
}

/// How many different hashes there are when the `k`-th least is this.
pub(super) fn density(k: usize, last: u32) -> u64 {
    ((k as u64).saturating_sub(1) << 32) / (u64::from(last) + 1)
}

/// What is left of 100 after two standard errors.
pub(super) fn margin(k: usize) -> u64 {
    let k = (k as u64).saturating_sub(2);
    // 200 / sqrt(k), as integers.
    100_u64.saturating_sub((40_000 / k.max(1)).isqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Any good spreading of small numbers over 32 bits.
    fn spread(n: u32, seed: u32) -> u32 {
        let mut x = u64::from(n) << 32 | u64::from(seed) ^ 0x9e37_79b9;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((x ^ (x >> 31)) >> 16) as u32
    }

    #[test]
    fn few_are_counted_exactly_whatever_is_repeated() {
        let mut sketch = Least::<64>::default();
        for round in 0..3 {
            for n in 0..63 {
                assert_eq!(sketch.add(spread(n, 1)), round == 0);
            }
        }
        assert!(sketch.is_exact());
        assert_eq!((sketch.count(), sketch.at_least()), (63, 63));
    }

    #[test]
    fn many_are_counted_within_the_error_that_is_promised() {
        // The standard error of 64 is 12.7 %: of 200 sketches about 190 lie within two of them.
        for people in [200_u32, 1_000, 20_000] {
            let (mut within, mut not_over) = (0, 0);
            for seed in 0..200 {
                let mut sketch = Least::<64>::default();
                for n in 0..people {
                    sketch.add(spread(n, seed));
                }
                let error = sketch.count().abs_diff(u64::from(people)) * 100 / u64::from(people);
                within += u32::from(error <= 26);
                not_over += u32::from(sketch.at_least() <= u64::from(people));
            }
            assert!(within >= 180, "{people}: {within} of 200 within two errors");
            assert!(not_over >= 190, "{people}: {not_over} of 200 not over");
        }
    }

    #[test]
    fn order_and_repetition_do_not_matter() {
        let (mut one, mut other) = (Least::<16>::default(), Least::<16>::default());
        for n in 0..500 {
            one.add(spread(n, 7));
        }
        for n in (0..500).rev().chain(100..200) {
            other.add(spread(n, 7));
        }
        assert_eq!(one, other);
    }

    #[test]
    fn what_is_no_sketch_is_not_read_as_one() {
        assert!(Least::<4>::of(vec![1, 2, 3, 4]).is_some());
        assert!(Least::<4>::of(vec![1, 2, 3, 4, 5]).is_none());
        assert!(Least::<4>::of(vec![2, 2]).is_none());
        assert!(Least::<4>::of(vec![2, 1]).is_none());
    }
}
