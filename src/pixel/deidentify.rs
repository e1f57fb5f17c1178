//! A visible image without the person in its URL: the parameter that is wholly the identity goes, the rest stays as written.
//!
//! Only in the query, and only where the URL is not signed: a signature would no longer fit, and the image would not load. What
//! cannot be done so is blanked by the caller. It must never guess: a parameter goes when its whole value is an identity.

use super::knowledge::Knowledge;
use super::url::{Url, normal_query, percent_decode};

/// Names under which signatures and their dates stand, lower case.
const SIGNATURES: [&str; 28] = [
    "s",
    "ik-s",
    "md5",
    "hdnts",
    "hdnea",
    "checksum",
    "sig",
    "sign",
    "signature",
    "hmac",
    "mac",
    "hash",
    "token",
    "auth",
    "key",
    "apikey",
    "api_key",
    "policy",
    "key-pair-id",
    "expires",
    "expiry",
    "exp",
    "x-amz-signature",
    "x-amz-credential",
    "x-goog-signature",
    "se",
    "st",
    "verify",
];

/// The reference as it stands, without the parameters that are identities; `urls` are where it leads, more than one where clients
/// differ in the base. `None` where that would not be enough, or not safe.
pub(super) fn without_identity(
    reference: &str,
    urls: &[&Url],
    knowledge: &Knowledge<'_>,
) -> Option<String> {
    if urls.is_empty() {
        return None;
    }
    // Another reference than that for `&` may be anything, and what a client takes out of a URL stands in no range of ours.
    if reference.contains(['\t', '\r', '\n']) || references(reference) {
        return None;
    }
    let (before, rest) = reference.split_once('?')?;
    let (query, fragment) = match rest.split_once('#') {
        Some((query, fragment)) => (query, Some(fragment)),
        None => (rest, None),
    };
    let mut kept = String::with_capacity(query.len());
    let mut dropped = false;
    // Each piece comes with the separator before it, so that what stays stands as it stood.
    for piece in pieces(query) {
        let pair = piece.trim_start_matches(['&', ';']);
        let pair = pair.strip_prefix("amp;").unwrap_or(pair);
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let says_so = || urls.iter().all(|url| knowledge.own.is_identity(url, name));
        let is_identity = names_a_person(value, knowledge) || says_so();
        if is_identity {
            dropped = true;
            continue;
        }
        if is_signature(name) || may_sign(value) {
            return None;
        }
        kept.push_str(if kept.is_empty() { pair } else { piece });
    }
    let mut left = before.to_owned();
    if !kept.is_empty() {
        left.push('?');
        left.push_str(&kept);
    }
    if let Some(fragment) = fragment {
        left.push('#');
        left.push_str(fragment);
    }
    let query = normal_query(&kept.replace("&amp;", "&"));
    let clean = urls.iter().all(|url| {
        let requested = Url {
            query: Some(query.clone()).filter(|query| !query.is_empty()),
            ..(*url).clone()
        };
        let counts = knowledge.rules.look_up(&requested, true).is_some()
            || knowledge.own.endpoint(&requested).is_some();
        !counts && names_nobody(&requested.text(), knowledge)
    });
    let clean = clean && names_nobody(&left, knowledge);
    (dropped && clean).then_some(left)
}

fn names_nobody(text: &str, knowledge: &Knowledge<'_>) -> bool {
    knowledge.needles.found_in(text).is_none() && knowledge.recurring.in_url(text).is_empty()
}

fn pieces(query: &str) -> impl Iterator<Item = &str> {
    let mut starts: Vec<usize> = query
        .char_indices()
        .filter(|(_, c)| matches!(c, '&' | ';'))
        // The semicolon that ends "&amp;" separates nothing.
        .filter(|(at, c)| {
            *c != ';'
                || !query
                    .get(..*at)
                    .is_some_and(|before| before.ends_with("&amp"))
        })
        .map(|(at, _)| at)
        .collect();
    starts.insert(0, 0);
    starts.dedup();
    let ends: Vec<usize> = starts
        .iter()
        .skip(1)
        .copied()
        .chain([query.len()])
        .collect();
    starts
        .into_iter()
        .zip(ends)
        .filter_map(move |(start, end)| query.get(start..end))
        .filter(|piece| !piece.is_empty())
}

/// Whether a character reference other than `&amp;` stands in it.
fn references(reference: &str) -> bool {
    reference.split('&').skip(1).any(|rest| {
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '#'));
        let (name, rest) = rest.split_at(end.unwrap_or(rest.len()));
        let is_twice = name == "amp" && rest.starts_with(";amp");
        (rest.starts_with(';') && name != "amp") || name.starts_with('#') || is_twice
    })
}

/// Whether a value may be a signature whatever it is called: sixteen octets or more in hexadecimal.
fn may_sign(value: &str) -> bool {
    value.len() >= 32 && value.bytes().all(|octet| octet.is_ascii_hexdigit())
}

fn is_signature(name: &str) -> bool {
    let name = percent_decode(name, |_| true).to_ascii_lowercase();
    SIGNATURES.contains(&name.as_str()) || name.ends_with("signature")
}

/// Whether a value is nothing but a person: an address or its digest, or one recurring identifier.
fn names_a_person(value: &str, knowledge: &Knowledge<'_>) -> bool {
    if value.is_empty() {
        return false;
    }
    let plain = percent_decode(value, |_| true);
    let recurring = knowledge.recurring.in_url(&plain);
    knowledge.needles.is_wholly(value) || recurring.contains_key(plain.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pixel::url::{Target, target};
    use crate::pixel::{Named, Needles, Own, Recurring, Rules, Spot};

    fn without(reference: &str) -> Option<String> {
        let needles = Needles::of(["nadia@example.net"]);
        let recurring = Recurring::of([(Named::ReversePath, "b-a8f3k2c97d@m.example")], "");
        let own = Own {
            identities: vec![(Spot::parse("i.brand.example").unwrap(), "who".to_owned())],
            ..Own::default()
        };
        let knowledge = Knowledge {
            needles: &needles,
            recurring: &recurring,
            own: &own,
            ..Knowledge::of(Rules::built_in())
        };
        match target(&reference.replace("&amp;", "&"), None) {
            Target::Remote(url) => without_identity(reference, &[&url], &knowledge),
            _ => None,
        }
    }

    #[test]
    fn the_identity_goes_and_the_rest_stays_as_it_stood() {
        for (reference, left) in [
            (
                "https://i.brand.example/a.jpg?w=600&e=nadia%40example.net",
                "https://i.brand.example/a.jpg?w=600",
            ),
            (
                "https://i.brand.example/a.jpg?e=nadia@example.net&w=600&h=%20x",
                "https://i.brand.example/a.jpg?w=600&h=%20x",
            ),
            (
                "https://i.brand.example/a.jpg?e=nadia@example.net",
                "https://i.brand.example/a.jpg",
            ),
            (
                "https://i.brand.example/a.jpg?w=6&amp;r=a8f3k2c97d&amp;h=7#top",
                "https://i.brand.example/a.jpg?w=6&amp;h=7#top",
            ),
            (
                "https://i.brand.example/a.jpg?who=4711&w=600",
                "https://i.brand.example/a.jpg?w=600",
            ),
        ] {
            assert_eq!(without(reference).as_deref(), Some(left), "{reference}");
        }
    }

    #[test]
    fn what_is_not_safe_is_not_done() {
        for reference in [
            // Another reference, an identity inside a value, something that may sign, an endpoint that counts opens.
            "https://i.brand.example/a.jpg?e=nadia@example.net&#38;w=600",
            "https://i.brand.example/a.jpg?f=1&amp;e=nadia&#64;example.net",
            "https://i.brand.example/a.jpg?w=1&amp;amp;e=nadia@example.net",
            "https://i.brand.example/p?url=https%3A%2F%2Fcdn.example%2Fa.jpg%3Fe%3Dnadia%40example.net&w=6",
            "https://i.brand.example/a.jpg?e=nadia@example.net&x=0123456789abcdef0123456789abcdef",
            "https://i.brand.example/wf/open?upn=u001.x&e=nadia@example.net",
            "https://i.brand.example/a.jpg?e=nadia@example.net&sig=9f2c",
            "https://i.brand.example/a.jpg?e=nadia@example.net&X-Amz-Signature=9f2c",
            "https://i.brand.example/nadia@example.net.jpg?w=600",
            "https://i.brand.example/nadia@example.net.jpg?e=nadia@example.net",
            "https://i.brand.example/a.jpg?who2=4711",
            "https://i.brand.example/a.jpg",
        ] {
            assert_eq!(without(reference), None, "{reference}");
        }
    }
}
