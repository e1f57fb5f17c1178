//! Chance that can be had again: everything that a run decides is drawn from its seed and from what is decided, never from
//! when, so that threads that overtake each other change no draw.

/// SplitMix64: small, and good enough to pick faults by.
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    /// Dice for one question. The same question gets the same throws.
    pub(crate) fn of(seed: u64, question: &str, numbers: &[u64]) -> Self {
        let mut dice = Self(seed ^ 0x9e37_79b9_7f4a_7c15);
        for octet in question.bytes() {
            dice.stir(u64::from(octet));
        }
        for number in numbers {
            dice.stir(*number);
        }
        dice
    }

    fn stir(&mut self, value: u64) {
        self.0 = self.0.wrapping_add(value);
        self.0 = self.next();
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// 0 up to, not including, `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end.max(1)).unwrap();
        usize::try_from(self.next() % end).unwrap()
    }

    /// True so many times of a hundred.
    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }

    pub(crate) fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }
}
