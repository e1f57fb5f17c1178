//! The recipients of a message as they may stand in a URL: their addresses in clear, in some encoding, or as a digest.
//!
//! A digest of 128 bits or a whole address does not match by chance, so what is found here is proof (DESIGN 4). Nothing is kept of
//! anybody but for the time of one message. It must never know consent, nor whose address stands for what. Work on one URL is
//! bounded; past a bound nothing more is found, as in a URL that was encrypted.

mod decode;
mod short;
mod written;

use std::collections::{HashMap, HashSet};

use md5::{Digest as _, Md5};
use ring::digest::{
    Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA384, SHA512, digest as digested,
};

use self::decode::Decoded;
use self::short::Short;
use self::written::Written;
use super::url::{Url, percent_decode};

/// Decodings inside one another.
const DEPTH_MAX: usize = 3;
/// Texts that one URL is turned into at most.
const TEXTS_MAX: usize = 64;
/// Octets of all of them.
const OCTETS_MAX: usize = 256 << 10;
/// Rounds of percent-decoding.
const PERCENT_ROUNDS: usize = 3;

/// How a recipient stands in a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// The address, percent-encoded or not.
    Plain,
    /// The address inside an encoding, by its name.
    Encoded(&'static str),
    /// A digest of the address, by its name.
    Digest(&'static str),
    /// The local part alone, or how a digest begins: proof only of what nobody sees.
    Fragment,
}

impl Form {
    /// The name for ledger and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Encoded(name) | Self::Digest(name) => name,
            Self::Fragment => "fragment",
        }
    }
}

/// What names the recipients of one message.
#[derive(Debug, Clone, Default)]
pub struct Needles {
    /// Local parts by domain, lower case.
    plain: HashMap<String, HashSet<String>>,
    digests: HashMap<Vec<u8>, &'static str>,
    written: Written,
    short: Short,
}

impl Needles {
    /// Of these addresses, as they stand between the brackets.
    pub fn of<'a>(addresses: impl IntoIterator<Item = &'a str>) -> Self {
        let mut needles = Self::default();
        for address in addresses {
            needles.add(address);
        }
        let digests = needles.digests.keys().map(Vec::as_slice);
        needles.short.digests(digests);
        needles
    }

    fn add(&mut self, address: &str) {
        let Some((local, domain)) = address.rsplit_once('@') else {
            return;
        };
        let bare = local.split_once('+').map_or(local, |(bare, _)| bare);
        let (ascii, unicode) = (
            idna::domain_to_ascii(domain).ok(),
            idna::domain_to_unicode(domain).0,
        );
        let domains: HashSet<String> = [Some(domain.to_owned()), ascii, Some(unicode)]
            .into_iter()
            .flatten()
            .map(|domain| domain.to_lowercase())
            .collect();
        for domain in domains {
            for local in [local, bare].into_iter().filter(|local| !local.is_empty()) {
                let known = self.plain.entry(domain.clone()).or_default();
                if known.insert(local.to_lowercase()) {
                    self.written.add(&local.to_lowercase(), &domain);
                    self.short.local(local);
                    self.add_digests(&format!("{}@{domain}", local.to_lowercase()));
                    self.add_digests(&format!("{local}@{domain}"));
                    self.add_digests(&format!("{local}@{domain}").to_uppercase());
                }
            }
        }
        self.add_digests(address);
    }

    fn add_digests(&mut self, address: &str) {
        let octets = address.as_bytes();
        self.digests.insert(Md5::digest(octets).to_vec(), "md5");
        let sha: [(&'static Algorithm, &'static str); 4] = [
            (&SHA1_FOR_LEGACY_USE_ONLY, "sha1"),
            (&SHA256, "sha256"),
            (&SHA384, "sha384"),
            (&SHA512, "sha512"),
        ];
        for (algorithm, name) in sha {
            let digest = digested(algorithm, octets);
            self.digests.insert(digest.as_ref().to_vec(), name);
        }
    }

    /// Whether there is nobody to look for.
    pub fn is_empty(&self) -> bool {
        self.plain.is_empty()
    }

    /// How one of them stands in this text of a URL, if at all.
    pub(super) fn found_in(&self, text: &str) -> Option<Form> {
        if self.is_empty() {
            return None;
        }
        let mut search = Search {
            needles: self,
            seen: HashSet::new(),
            octets: 0,
        };
        search.text(text, Form::Plain, DEPTH_MAX)
    }

    /// Whether a value is one of them and nothing else: an address, its digest, or one encoding of exactly that.
    pub(super) fn is_wholly(&self, value: &str) -> bool {
        let mut value = value.to_owned();
        for _ in 0..PERCENT_ROUNDS {
            value = percent_decode(&value, |_| true);
        }
        let is_address = |text: &str| self.written.is(&text.to_lowercase());
        let mut decoded = decode::all(&value).into_iter();
        is_address(&value)
            || decoded.any(|decoded| {
                self.digests.contains_key(&decoded.octets)
                    || decoded.text().is_some_and(|text| is_address(&text))
            })
    }

    /// How a fragment of one of them stands by itself in a URL: asked of what nobody sees, where a wrong yes costs nothing.
    pub(super) fn fragment_in(&self, url: &Url) -> Option<Form> {
        let stands = || self.written.may_stand_in(&url.text().to_lowercase());
        (self.short.stands_in(url) || stands()).then_some(Form::Fragment)
    }
}

/// One search through a URL and all it can be turned into.
struct Search<'n> {
    needles: &'n Needles,
    seen: HashSet<String>,
    octets: usize,
}

impl Search<'_> {
    fn text(&mut self, text: &str, form: Form, depth: usize) -> Option<Form> {
        let mut text = text.to_owned();
        for _ in 0..=PERCENT_ROUNDS {
            if let Some(found) = self.once(&text, form, depth) {
                return Some(found);
            }
            let decoded = percent_decode(&text, |_| true);
            // JSON writes some letters as references to themselves.
            let decoded = decoded.replace("\\u0040", "@").replace("\\/", "/");
            if decoded == text {
                break;
            }
            text = decoded;
        }
        None
    }

    fn once(&mut self, text: &str, form: Form, depth: usize) -> Option<Form> {
        self.octets = self.octets.saturating_add(text.len());
        let full = self.seen.len() >= TEXTS_MAX || self.octets > OCTETS_MAX;
        if full || !self.seen.insert(text.to_owned()) {
            return None;
        }
        if self.needles.written.stands_in(&text.to_lowercase()) {
            return Some(form);
        }
        for token in tokens(text) {
            for decoded in decode::all(token) {
                if let Some(found) = self.decoded(decoded, depth) {
                    return Some(found);
                }
            }
        }
        None
    }

    fn decoded(&mut self, decoded: Decoded, depth: usize) -> Option<Form> {
        if let Some(name) = self.needles.digests.get(&decoded.octets) {
            return Some(Form::Digest(name));
        }
        let depth = depth.checked_sub(1)?;
        let text = decoded.text()?;
        self.text(&text, Form::Encoded(decoded.by), depth)
    }
}

/// The runs of a text that may be an encoding of something, longest first where they lie inside one another: whole values, then
/// what stands between their separators.
fn tokens(text: &str) -> impl Iterator<Item = &str> {
    /// The shortest address, "a@b.c", in base64.
    const LEAST: usize = 7;
    let whole = text.split([
        '?', '&', ';', '#', '"', '\'', ' ', '{', '}', '<', '>', '(', ')',
    ]);
    let values = whole
        .clone()
        .filter_map(|pair| pair.split_once('=').map(|(_, value)| value));
    let pieces =
        text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '+' | '=')));
    let labels = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '+'));
    whole
        .chain(values)
        .chain(pieces)
        .chain(labels)
        .filter(|token| token.len() >= LEAST)
}

#[cfg(test)]
mod tests;
