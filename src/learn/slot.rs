//! What is known of one slot, and what it says of a URL.
//!
//! Two periods, each half as long as anything is remembered: the older one answers while the newer has seen too little, and goes
//! when the next begins; so nothing older than `expire_after_days` decides, and nothing is forgotten overnight. It must never know
//! a URL, a host or a person. It cannot fail.

use super::Answer;
use super::sketch::{Least, margin};
use super::url::{SAMPLE, Transaction, Url, Urls};

/// Hashes kept of the people seen in a slot, and of the transactions.
pub(super) const SEEN: usize = 64;

/// People who have to have got a URL before it is everybody's (DESIGN 4) ...
const SHARED_PEOPLE_MIN: u64 = 20;
/// ... or this part of the slot's people, whichever is more ...
const SHARED_ONE_IN: u64 = 100;
/// ... in so many transactions.
const SHARED_TRANSACTIONS_MIN: u64 = 10;

/// Transactions before a slot may be individual (notes: nobody's three arms look individual over four).
const INDIVIDUAL_TRANSACTIONS_MIN: u64 = 4;
/// Of a hundred URLs so many may have come to different people ...
const REPEATED_PERCENT: u64 = 10;
/// ... and of a hundred transactions so many have to have had a URL of their own.
const OWN_PERCENT: u64 = 90;

/// A claim of so many people or more is only made where next to nothing came twice. Of 64 people who each get one picture out of
/// 300, two get the same one with a probability of 99.9 %; out of 500, of 98.5 %; out of 2,000, of 64 %.
pub(super) const CERTAIN_FROM: u64 = 64;
/// From so many transactions on, one URL that came twice is forgiven: somebody's test, a forwarded message.
const FORGIVES_ONE_FROM: u64 = 256;

/// What one slot is worth as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Too little was seen.
    Unknown,
    /// It was seen often enough, and people share URLs.
    Mixed,
    /// Nearly everybody has a URL of their own, seen for so many.
    Individual(u32),
}

/// What was seen in one period.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Period {
    /// The day on which it began, counted from 1970.
    pub(super) begun: u32,
    pub(super) people: Least<SEEN>,
    /// None while every transaction had one person: then they are the people.
    pub(super) transactions: Option<Least<SEEN>>,
    pub(super) urls: Urls,
}

impl Period {
    fn new(begun: u32) -> Self {
        Self {
            begun,
            ..Self::default()
        }
    }

    fn add(&mut self, url: u32, transaction: &Transaction) {
        if transaction.people.len() > 1 && self.transactions.is_none() {
            self.transactions = Some(self.people.clone());
        }
        for person in &transaction.people {
            self.people.add(*person);
        }
        // The same URL to the same people is a message that came twice, whole or to the rest of its people.
        let news = self.urls.add(url, transaction);
        if let Some(transactions) = self.transactions.as_mut().filter(|_| news) {
            transactions.add(transaction.hash);
        }
    }

    fn transactions(&self) -> &Least<SEEN> {
        self.transactions.as_ref().unwrap_or(&self.people)
    }

    fn shares(&self, url: &Url) -> bool {
        let Some(spread) = &url.spread else {
            return false;
        };
        let enough = SHARED_PEOPLE_MIN.max(self.people.count().div_ceil(SHARED_ONE_IN));
        spread.transactions.count() >= SHARED_TRANSACTIONS_MIN && spread.people.at_least() >= enough
    }

    /// Whether nearly every transaction had a URL of its own.
    fn kind(&self) -> Kind {
        let transactions = self.transactions();
        let seen = transactions.count();
        if seen < INDIVIDUAL_TRANSACTIONS_MIN {
            return Kind::Unknown;
        }
        let sampled = self.urls.sample.len() as u64;
        let in_sample = repeated(self.urls.sample.iter());
        if in_sample * 100 > sampled * REPEATED_PERCENT {
            return Kind::Mixed;
        }
        let own = self.urls.count().saturating_mul(sampled - in_sample) / sampled.max(1);
        // Two standard errors of what is not exact, in favour of nothing but what was seen.
        let mut least = seen.saturating_mul(OWN_PERCENT);
        for (exact, k) in [
            (self.urls.is_whole(), SAMPLE),
            (transactions.is_exact(), SEEN),
        ] {
            if !exact {
                least = least.saturating_mul(margin(k)) / 100;
            }
        }
        if own * 100 < least {
            return Kind::Mixed;
        }
        let certain = self.is_without_repeats(seen);
        // In a transaction with thirty people all of them get the same URL: that is one observation.
        let people = seen.min(self.people.count());
        let people = match certain {
            true => people,
            false => people.min(CERTAIN_FROM - 1),
        };
        Kind::Individual(u32::try_from(people).unwrap_or(u32::MAX))
    }

    /// Whether next to nothing came to two people, in the sample and beside it.
    fn is_without_repeats(&self, seen: u64) -> bool {
        let forgiven = u64::from(seen >= FORGIVES_ONE_FROM);
        let twice_at_most = self.urls.all().all(|url| url.transactions() <= 2);
        twice_at_most && repeated(self.urls.all()) <= forgiven
    }

    fn octets(&self) -> usize {
        let transactions = self.transactions.as_ref().map_or(0, Least::octets);
        self.people.octets() + transactions + self.urls.octets()
    }
}

fn repeated<'u>(urls: impl Iterator<Item = &'u Url>) -> u64 {
    urls.filter(|url| url.is_repeated()).count() as u64
}

/// One slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) now: Period,
    pub(super) before: Option<Box<Period>>,
}

impl Slot {
    pub(super) fn new(today: u32) -> Self {
        Self {
            now: Period::new(today),
            before: None,
        }
    }

    /// Adds a URL that came in a transaction.
    pub(super) fn add(&mut self, url: u32, transaction: &Transaction, today: u32, expire: u32) {
        // A clock that was set back.
        self.now.begun = self.now.begun.min(today);
        if today >= self.now.begun.saturating_add(expire.div_ceil(2)) {
            let before = std::mem::replace(&mut self.now, Period::new(today));
            self.before = counts(&before, today, expire).then(|| Box::new(before));
        }
        self.now.add(url, transaction);
    }

    /// What it says of a URL.
    pub(super) fn answer(&self, url: u32, today: u32, expire: u32) -> Answer {
        let mut came_again = false;
        for period in self.periods(today, expire) {
            let Some(known) = period.urls.get(url) else {
                continue;
            };
            if period.shares(known) {
                return Answer::Shared;
            }
            came_again |= known.is_repeated();
        }
        match self.kind(today, expire) {
            Kind::Individual(recipients) if !came_again => Answer::Individual { recipients },
            Kind::Individual(_) | Kind::Mixed | Kind::Unknown => Answer::Nothing,
        }
    }

    /// What it is as a whole: the newer period says, while it knows nothing the older.
    pub(super) fn kind(&self, today: u32, expire: u32) -> Kind {
        let mut said = Kind::Unknown;
        for period in self.periods(today, expire) {
            said = match (said, period.kind()) {
                (Kind::Unknown, kind) => kind,
                (Kind::Individual(newer), Kind::Individual(older)) => {
                    Kind::Individual(newer.max(older))
                }
                (said, _) => said,
            };
        }
        said
    }

    /// How many URLs are everybody's.
    pub(super) fn shared(&self, today: u32, expire: u32) -> usize {
        let periods = self.periods(today, expire);
        let each = periods.map(|period| period.urls.all().filter(|url| period.shares(url)).count());
        each.max().unwrap_or(0)
    }

    /// The people seen in it.
    pub(super) fn people(&self, today: u32, expire: u32) -> u64 {
        let periods = self.periods(today, expire);
        let each = periods.map(|period| period.people.count());
        each.max().unwrap_or(0)
    }

    fn periods(&self, today: u32, expire: u32) -> impl Iterator<Item = &Period> {
        let periods = std::iter::once(&self.now).chain(self.before.as_deref());
        periods.filter(move |period| counts(period, today, expire))
    }

    /// Whether anything of it still counts.
    pub(super) fn is_alive(&self, today: u32, expire: u32) -> bool {
        self.periods(today, expire).next().is_some()
    }

    /// Octets of it, itself included.
    pub(super) fn octets(&self) -> usize {
        let before = self.before.as_ref();
        let before = before.map_or(0, |period| size_of::<Period>() + period.octets());
        size_of::<Self>() + self.now.octets() + before
    }
}

/// Whether a period is young enough. One that lies ahead was seen under a clock that has since been set back.
fn counts(period: &Period, today: u32, expire: u32) -> bool {
    today.saturating_sub(period.begun) <= expire
}

#[cfg(test)]
#[path = "slot_tests.rs"]
mod tests;
