//! Identifiers that a message carries in places where one recipient is named: the reverse-path (VERP) and `List-Unsubscribe`.
//!
//! The same identifier in one image's URL, and in no other, makes that image one person's own (DESIGN 4). Account ids of a sender recur
//! in the URL of every image; an identifier that stands in two is the sender's. It must never know whose identifier it is. What
//! looks like a word or a date is none.

use std::collections::{HashMap, HashSet};

use super::identifier::chunk_identifies;
use super::url::percent_decode;

/// Letters and digits of an identifier that can be told from a word.
const LEAST: usize = 8;
/// Identifiers of one message.
const IDENTIFIERS_MAX: usize = 256;

/// Where the recipient is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Named {
    /// In the reverse-path.
    ReversePath,
    /// In `List-Unsubscribe`.
    ListUnsubscribe,
}

impl Named {
    /// The name for ledger and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReversePath => "reverse_path",
            Self::ListUnsubscribe => "list_unsubscribe",
        }
    }
}

/// The identifiers of one message.
#[derive(Debug, Clone, Default)]
pub struct Recurring(HashMap<String, Named>);

impl Recurring {
    /// What stands in these places; `known` is text of the message that names everybody alike (subject, domain of the
    /// author): what stands there, too, names nobody.
    pub fn of<'a>(places: impl IntoIterator<Item = (Named, &'a str)>, known: &str) -> Self {
        let shared: HashSet<String> = identifiers(known).collect();
        let mut found = HashMap::new();
        for (named, text) in places {
            for identifier in identifiers(text) {
                if found.len() < IDENTIFIERS_MAX && !shared.contains(&identifier) {
                    found.entry(identifier).or_insert(named);
                }
            }
        }
        Self(found)
    }

    /// Without these.
    #[must_use]
    pub fn without(&self, identifiers: &[String]) -> Self {
        let mut left = self.clone();
        left.0
            .retain(|identifier, _| !identifiers.contains(identifier));
        left
    }

    /// Whether there is nothing to look for.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those that stand in a URL, with where they are known from.
    pub(super) fn in_url<'r>(&'r self, url: &str) -> HashMap<&'r str, Named> {
        if self.is_empty() {
            return HashMap::new();
        }
        identifiers(url)
            .filter_map(|identifier| {
                let (identifier, named) = self.0.get_key_value(&identifier)?;
                Some((identifier.as_str(), *named))
            })
            .collect()
    }
}

/// The identifiers in a text: runs of letters and digits, and such runs joined by `-` or `_` as one (UUID, base64url).
fn identifiers(text: &str) -> impl Iterator<Item = String> {
    let text = percent_decode(text, |_| true);
    let joined = pieces(&text, |c| {
        c.is_ascii_alphanumeric() || matches!(c, '-' | '_')
    });
    let runs = pieces(&text, |c| c.is_ascii_alphanumeric());
    let all: HashSet<String> = joined
        .chain(runs)
        .filter(|piece| piece.len() >= LEAST && identifies(piece))
        .map(str::to_owned)
        .collect();
    all.into_iter()
}

fn pieces(text: &str, inside: impl Fn(char) -> bool) -> impl Iterator<Item = &str> {
    text.split(move |c| !inside(c))
}

/// Whether some run in it is no word, no date and no size.
fn identifies(piece: &str) -> bool {
    piece
        .split(['-', '_'])
        .any(|run| run.len() >= LEAST && chunk_identifies(run))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_url(reverse_path: &str, unsubscribe: &str, known: &str, url: &str) -> Vec<&'static str> {
        let places = [
            (Named::ReversePath, reverse_path),
            (Named::ListUnsubscribe, unsubscribe),
        ];
        let recurring = Recurring::of(places, known);
        let mut from: Vec<_> = recurring
            .in_url(url)
            .into_values()
            .map(Named::as_str)
            .collect();
        from.sort_unstable();
        from.dedup();
        from
    }

    #[test]
    fn what_recurs_is_found_whatever_stands_around_it() {
        let url = "https://i.brand.example/hero.jpg?r=a8f3k2c97d";
        assert_eq!(
            in_url("bounce-a8f3k2c97d-12@m.example", "", "", url),
            ["reverse_path"]
        );
        assert_eq!(
            in_url("a@m.example", "https://u.example/u/a8f3k2c97d", "", url),
            ["list_unsubscribe"]
        );
        assert_eq!(
            in_url("a@m.example", "https://u.example/?x=%618f3k2c97d", "", url),
            ["list_unsubscribe"]
        );
        let uuid = "https://i.brand.example/123e4567-e89b-12d3-a456-426614174000.png";
        assert_eq!(
            in_url(
                "123e4567-e89b-12d3-a456-426614174000@m.example",
                "",
                "",
                uuid
            ),
            ["reverse_path"]
        );
    }

    #[test]
    fn what_names_nobody_is_not() {
        let url = "https://i.brand.example/newsletter/20261128/hero600x400/a8f3k2c97d.jpg";
        assert!(in_url("newsletter-20261128@m.example", "", "", url).is_empty());
        assert!(in_url("bounce-b8f3k2c97d@m.example", "", "", url).is_empty());
        let known = "News from a8f3k2c97d.example";
        assert!(in_url("bounce-a8f3k2c97d@m.example", "", known, url).is_empty());
    }
}
