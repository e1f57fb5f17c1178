//! An address as it is written where `@` or dots may not stand: `anna-example.org`, `anna.at.example.org`, `anna_example_org`.
//!
//! Texts are compared word by word, whatever stands between the words. What a host name or somebody else's longer address would
//! look like does not count: a single dot before the local part (`maria.anna@`), between it and the domain (`news.example.org`),
//! or before more of a domain. It must never know what a match is good for. It cannot fail.

use std::collections::{HashMap, HashSet};

/// Endings of files that are named after an address.
const ENDINGS: [&str; 8] = ["gif", "png", "jpg", "jpeg", "webp", "svg", "html", "php"];

/// Local parts that stand before the name of a domain without meaning an address: `news-example.org` is a host or a campaign.
const ORDINARY: [&str; 81] = [
    "abuse",
    "accounts",
    "admin",
    "api",
    "app",
    "assets",
    "banner",
    "bestellung",
    "billing",
    "blank",
    "blog",
    "boutique",
    "buero",
    "cdn",
    "clear",
    "commande",
    "commandes",
    "contact",
    "contacto",
    "dot",
    "email",
    "hello",
    "help",
    "hero",
    "home",
    "http",
    "https",
    "image",
    "images",
    "img",
    "info",
    "jobs",
    "kontakt",
    "link",
    "links",
    "logo",
    "mail",
    "main",
    "marketing",
    "media",
    "my",
    "news",
    "newsletter",
    "noreply",
    "office",
    "online",
    "open",
    "orders",
    "photo",
    "photos",
    "pixel",
    "post",
    "prenotazioni",
    "press",
    "presse",
    "redaktion",
    "resize",
    "sale",
    "sales",
    "service",
    "services",
    "shop",
    "smtp",
    "spacer",
    "static",
    "store",
    "support",
    "team",
    "test",
    "track",
    "tracking",
    "transparent",
    "ufficio",
    "user",
    "vendite",
    "ventas",
    "vente",
    "verwaltung",
    "web",
    "webmaster",
    "www",
];

/// Whether this is a word that names nobody by itself.
pub(super) fn is_ordinary(local: &str) -> bool {
    local.chars().count() < LOCAL_LEAST || ORDINARY.binary_search(&local).is_ok()
}

/// Letters of a local part that may stand without its `@`.
const LOCAL_LEAST: usize = 3;

/// Local parts by domain, in words.
#[derive(Debug, Clone, Default)]
pub(super) struct Written {
    /// By the first word of the domain.
    domains: HashMap<String, Vec<Domain>>,
}

#[derive(Debug, Clone)]
struct Domain {
    words: Vec<String>,
    /// Words joined by blanks.
    locals: HashSet<String>,
    /// Words of the longest.
    longest: usize,
}

/// One word of a text and what stands before it.
struct Word<'t> {
    before: &'t str,
    word: &'t str,
}

impl Written {
    /// Adds an address, lower case.
    pub(super) fn add(&mut self, local: &str, domain: &str) {
        let (local, domain) = (owned(local), owned(domain));
        let Some(first) = domain.first().filter(|_| !local.is_empty()) else {
            return;
        };
        let known = self.domains.entry(first.clone()).or_default();
        let place = match known.iter().position(|known| known.words == domain) {
            Some(place) => place,
            None => {
                known.push(Domain {
                    words: domain,
                    locals: HashSet::new(),
                    longest: 0,
                });
                known.len().saturating_sub(1)
            }
        };
        if let Some(domain) = known.get_mut(place) {
            domain.longest = domain.longest.max(local.len());
            domain.locals.insert(local.join(" "));
        }
    }

    /// Whether one of them stands in a text, lower case.
    pub(super) fn stands_in(&self, text: &str) -> bool {
        self.find(text, false, |_, _| true)
    }

    /// The same where the local part may be the end of a longer one: `pre_anna@`, or `maria-anna@`, who is somebody else.
    pub(super) fn may_stand_in(&self, text: &str) -> bool {
        self.find(text, true, |_, _| true)
    }

    /// Whether a text, lower case, is one of them and nothing else.
    pub(super) fn is(&self, text: &str) -> bool {
        let trimmed = text.trim();
        let whole =
            trimmed.starts_with(char::is_alphanumeric) && trimmed.ends_with(char::is_alphanumeric);
        whole && self.find(trimmed, false, |before, behind| before == 0 && behind == 0)
    }

    /// Looks for an address, and asks of each how many words stand before and behind it.
    fn find(&self, text: &str, lax: bool, wanted: impl Fn(usize, usize) -> bool) -> bool {
        if self.domains.is_empty() {
            return false;
        }
        let words = words(text);
        words.iter().enumerate().any(|(at, word)| {
            let domains = self.domains.get(word.word).into_iter().flatten();
            domains.into_iter().any(|domain| {
                let Some(end) = domain.ends(&words, at) else {
                    return false;
                };
                let behind = words.len().saturating_sub(end);
                domain
                    .begins(&words, at, lax)
                    .filter(|start| !is_host(&words, *start, at, end))
                    .any(|before| wanted(before, behind))
            })
        })
    }
}

impl Domain {
    /// Where the domain that begins at this word ends; `None` where it is another, or goes on.
    fn ends(&self, words: &[Word<'_>], at: usize) -> Option<usize> {
        let mut next = at;
        for (number, wanted) in self.words.iter().enumerate() {
            let mut word = words.get(next)?;
            if number > 0 && word.word == "dot" && wanted != "dot" {
                next = next.saturating_add(1);
                word = words.get(next)?;
            }
            if word.word != wanted {
                return None;
            }
            next = next.saturating_add(1);
        }
        // Where its own words stand apart by something else, what follows a dot is another label.
        let dotted = self.words.len() < 2
            || next
                .checked_sub(1)
                .and_then(|last| words.get(last))
                .is_some_and(|last| last.before == ".");
        let goes_on = words.get(next).is_some_and(|behind| {
            let is_file = ENDINGS.contains(&behind.word)
                && words
                    .get(next.saturating_add(1))
                    .is_none_or(|further| further.before != ".");
            dotted && behind.before == "." && !is_file
        });
        (!goes_on).then_some(next)
    }

    /// For each of its local parts that ends before this word: how many words stand before it.
    fn begins(&self, words: &[Word<'_>], at: usize, lax: bool) -> impl Iterator<Item = usize> {
        let between = words.get(at).map(|word| word.before).unwrap_or_default();
        let in_words = at
            .checked_sub(1)
            .filter(|at| words.get(*at).is_some_and(|word| word.word == "at"));
        let ends = [
            // "anna@", "anna=": whatever the local part. "anna-": not where it is an ordinary word, and never a single dot, nor
            // what ends one parameter.
            Some((
                at,
                between.contains(['@', '=']),
                between != "." && !between.contains(['&', ';', '?', '#', '/', ':']),
            )),
            in_words.map(|at| (at, false, true)),
        ];
        ends.into_iter()
            .flatten()
            .filter(|(_, _, apart)| *apart)
            .flat_map(move |(end, plainly, _)| {
                (1..=self.longest).filter_map(move |count| {
                    let start = end.checked_sub(count)?;
                    let local: Vec<&str> = words
                        .get(start..end)?
                        .iter()
                        .map(|word| word.word)
                        .collect();
                    let local = local.join(" ");
                    let before = words.get(start)?.before;
                    // Somebody else's longer name.
                    let longer = before == "." || (!lax && matches!(before, "-" | "_"));
                    let own = start == 0 || !longer;
                    let names = plainly || (self.words.len() > 1 && !is_ordinary(&local));
                    (own && names && self.locals.contains(&local)).then_some(start)
                })
            })
    }
}

/// Whether this is all of the host of a URL: `https://the-paper.example/` is a sender's, not somebody at `paper.example`.
fn is_host(words: &[Word<'_>], start: usize, at: usize, end: usize) -> bool {
    let before = |at: usize| words.get(at).map(|word| word.before);
    before(start).is_some_and(|before| before.ends_with("://"))
        && before(end).is_none_or(|behind| behind.starts_with(['/', ':', '?', '#']))
        && before(at).is_some_and(|between| !between.contains('@'))
}

fn owned(text: &str) -> Vec<String> {
    words(text)
        .into_iter()
        .map(|word| word.word.to_owned())
        .collect()
}

/// The runs of letters and digits.
fn words(text: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let mut rest = text;
    loop {
        let Some(start) = rest.find(char::is_alphanumeric) else {
            return words;
        };
        let (before, from) = rest.split_at(start);
        let end = from
            .find(|c: char| !c.is_alphanumeric())
            .unwrap_or(from.len());
        let (word, behind) = from.split_at(end);
        words.push(Word { before, word });
        rest = behind;
    }
}
