//! What is remembered of the URLs of one slot: a fair sample of all of them, and those that came again lately.
//!
//! The sample is the [`SAMPLE`] URLs with the least hashes. One that is in it at the end was in it from its first sight on, so what
//! it says of each is exact, and the same whatever the order. Beside it a few places are for URLs that are not in the sample, so
//! that one URL among a hundred thousand others is noticed when it comes again; what is counted there is at least true. It must
//! never know a URL. It cannot fail.

use super::sketch::{Least, density};

/// URLs in the sample.
pub(super) const SAMPLE: usize = 64;
/// URLs beside it.
pub(super) const BESIDE: usize = 16;
/// Hashes kept of the people who got a URL.
pub(super) const PEOPLE: usize = 32;
/// Hashes kept of the transactions in which a URL came.
pub(super) const TRANSACTIONS: usize = 16;

/// One transaction: its people, each hash once and ascending, and its own hash, which for one person is that person's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Transaction {
    pub(super) hash: u32,
    pub(super) people: Vec<u32>,
}

/// One URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Url {
    pub(super) hash: u32,
    /// The one person who got it; 0 where `spread` says more.
    pub(super) person: u32,
    pub(super) spread: Option<Box<Spread>>,
}

/// A URL that more than one person got.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Spread {
    pub(super) people: Least<PEOPLE>,
    pub(super) transactions: Least<TRANSACTIONS>,
}

impl Url {
    fn new(hash: u32, transaction: &Transaction) -> Self {
        let mut url = Self {
            hash,
            person: transaction.hash,
            spread: None,
        };
        if transaction.people.len() > 1 {
            let mut spread = Spread::default();
            spread.add(transaction);
            url.person = 0;
            url.spread = Some(Box::new(spread));
        }
        url
    }

    /// Whether somebody got it who had not.
    fn add(&mut self, transaction: &Transaction) -> bool {
        let person = self.person;
        match &mut self.spread {
            Some(spread) => spread.add(transaction),
            // The same person again: a message that came twice.
            None if transaction.people == [person] => false,
            None => {
                let mut spread = Spread::default();
                spread.add(&Transaction {
                    hash: person,
                    people: vec![person],
                });
                spread.add(transaction);
                self.person = 0;
                self.spread = Some(Box::new(spread));
                true
            }
        }
    }

    /// In how many transactions different people got it.
    pub(super) fn transactions(&self) -> u64 {
        let spread = self.spread.as_ref();
        spread.map_or(1, |spread| spread.transactions.count())
    }

    /// Whether different people got it in different transactions.
    pub(super) fn is_repeated(&self) -> bool {
        self.transactions() > 1
    }

    fn octets(&self) -> usize {
        self.spread.as_ref().map_or(0, |spread| {
            size_of::<Spread>() + spread.people.octets() + spread.transactions.octets()
        })
    }
}

impl Spread {
    /// A transaction all of whose people have it already is a message that came twice, whole or to the rest of its people.
    fn add(&mut self, transaction: &Transaction) -> bool {
        let mut news = false;
        for person in &transaction.people {
            news |= self.people.add(*person);
        }
        if news {
            self.transactions.add(transaction.hash);
        }
        news
    }
}

/// The URLs of one slot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Urls {
    /// Ascending by hash.
    pub(super) sample: Vec<Url>,
    /// The one seen last at the end.
    pub(super) beside: Vec<Url>,
}

impl Urls {
    /// Whether somebody got the URL who had not, as far as that can be told.
    pub(super) fn add(&mut self, hash: u32, transaction: &Transaction) -> bool {
        match self.sample.binary_search_by_key(&hash, |url| url.hash) {
            Ok(at) => self
                .sample
                .get_mut(at)
                .is_some_and(|url| url.add(transaction)),
            Err(at) if at < SAMPLE => {
                self.sample.insert(at, Url::new(hash, transaction));
                if self.sample.len() > SAMPLE
                    && let Some(last) = self.sample.pop()
                {
                    self.put_beside(last);
                }
                true
            }
            Err(_) => self.add_beside(hash, transaction),
        }
    }

    fn add_beside(&mut self, hash: u32, transaction: &Transaction) -> bool {
        let known = self.beside.iter().position(|url| url.hash == hash);
        let (url, news) = match known {
            Some(at) => {
                let mut url = self.beside.remove(at);
                let news = url.add(transaction);
                (url, news)
            }
            None => (Url::new(hash, transaction), true),
        };
        self.put_beside(url);
        news
    }

    /// Where there is no room the oldest goes that came once only; where all came again, the oldest.
    fn put_beside(&mut self, url: Url) {
        if self.beside.len() >= BESIDE {
            let once = self.beside.iter().position(|url| !url.is_repeated());
            self.beside.remove(once.unwrap_or(0));
        }
        self.beside.push(url);
    }

    pub(super) fn get(&self, hash: u32) -> Option<&Url> {
        let at = self.sample.binary_search_by_key(&hash, |url| url.hash);
        let sampled = at.ok().and_then(|at| self.sample.get(at));
        sampled.or_else(|| self.beside.iter().find(|url| url.hash == hash))
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Url> {
        self.sample.iter().chain(&self.beside)
    }

    /// Whether the sample holds all there were.
    pub(super) fn is_whole(&self) -> bool {
        self.sample.len() < SAMPLE
    }

    /// About how many different ones there were.
    pub(super) fn count(&self) -> u64 {
        let kept = self.sample.len() as u64;
        match self.sample.last() {
            Some(last) if !self.is_whole() => density(SAMPLE, last.hash).max(kept),
            _ => kept,
        }
    }

    pub(super) fn octets(&self) -> usize {
        let places = self.sample.capacity() + self.beside.capacity();
        places * size_of::<Url>() + self.all().map(Url::octets).sum::<usize>()
    }
}
