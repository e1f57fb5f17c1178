//! Does a URL carry something that could be an identifier? Asked of tiny images only, where a wrong yes costs nothing
//! the reader can see: the box stays, an invisible image becomes another invisible image.
//!
//! It knows no vendor and no recipient. It never fails.

use super::url::Url;

/// A path this long holds more than names.
const PATH_OCTETS_MAX: usize = 120;
/// Digits spread over a path, none of them in one long run.
const PATH_DIGITS_MAX: usize = 12;

/// Whether the URL has a query, or a path segment or host label that looks like an identifier (DESIGN 4, cold spacers).
pub(super) fn may_identify(url: &Url) -> bool {
    if url.query.as_deref().is_some_and(|query| !query.is_empty()) {
        return true;
    }
    let segments = url.segments();
    let digits = url.path.bytes().filter(u8::is_ascii_digit).count();
    let dates: usize = segments.iter().map(|segment| dated_digits(segment)).sum();
    url.path.len() > PATH_OCTETS_MAX
        || digits.saturating_sub(dates) > PATH_DIGITS_MAX
        || segments.iter().any(|segment| segment_identifies(segment))
        || url
            .host
            .split('.')
            .rev()
            .enumerate()
            // "d1a2b3c4.cloudfront.net" is somebody's storage; a token before a whole host name of its own is a reader.
            .any(|(above, label)| {
                let long = if above >= LABELS_ABOVE_MIN { 8 } else { 20 };
                label.len() >= long && segment_identifies(label)
            })
}

/// Whether the URL looks made for one person, asked of what nobody sees: stricter than [`may_identify`], since sizes and versions
/// stand in queries, and digests of content in the names of files.
pub(super) fn looks_individual(url: &Url) -> bool {
    let segments = url.segments();
    let (file, directories) = segments.split_last().unwrap_or((&"", &[]));
    let by_query = url.parameters().any(|(name, value)| {
        let name = name.to_ascii_lowercase();
        let counted = value.len() <= 13 && value.bytes().all(|octet| octet.is_ascii_digit());
        let versioned = (VERSIONS.contains(&name.as_str()) && value.len() <= 12)
            || (CLOCKS.contains(&name.as_str()) && counted);
        !versioned && (segment_identifies(value) || value.len() >= VALUE_OCTETS)
    });
    // "hero-0123abcd.jpg" is a picture under the digest of what it shows.
    let is_asset = file.rsplit_once('.').is_some_and(|(_, ending)| {
        let ending = ending.to_ascii_lowercase();
        url.query.is_none() && ASSETS.contains(&ending.as_str())
    });
    let by_host = url.host.split('.').rev().enumerate().any(|(above, label)| {
        above >= LABELS_ABOVE_MIN && label.len() >= 8 && segment_identifies(label)
    });
    by_query
        || by_host
        || directories
            .iter()
            .any(|segment| segment_identifies(segment))
        || (!is_asset && segment_identifies(file))
}

/// Whether it is anything but a font under a plain name.
pub(super) fn is_no_font(url: &Url) -> bool {
    let file = url.path.to_ascii_lowercase();
    url.query.is_some() || !FONTS.iter().any(|ending| file.ends_with(ending))
}

/// Endings of fonts.
const FONTS: [&str; 4] = [".woff2", ".woff", ".ttf", ".otf"];
/// A value this long says more than a size.
const VALUE_OCTETS: usize = 24;
/// Parameters that keep caches apart, not people.
const VERSIONS: [&str; 5] = ["v", "ver", "version", "rev", "build"];
/// Parameters that hold a time.
const CLOCKS: [&str; 3] = ["cb", "t", "ts"];
/// Labels above one that may be a token by itself: a host name with a label of its own.
const LABELS_ABOVE_MIN: usize = 3;
/// Endings of files that hold content.
const ASSETS: [&str; 9] = [
    "jpg", "jpeg", "png", "webp", "svg", "avif", "css", "woff", "woff2",
];

/// Years and dates are what sites file their pictures under.
fn dated_digits(segment: &str) -> usize {
    chunks(segment)
        .filter(|chunk| is_date(chunk))
        .map(str::len)
        .sum()
}

pub(super) fn segment_identifies(segment: &str) -> bool {
    !segment.is_ascii()
        || segment.contains(['@', '%', '~', '=', '|', '{', '$'])
        || chunks(segment).any(chunk_identifies)
        || is_dashed_identifier(segment)
}

fn chunks(segment: &str) -> impl Iterator<Item = &str> {
    segment
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|chunk| !chunk.is_empty())
}

/// A UUID and its like: several hex groups in a row, digits among them.
fn is_dashed_identifier(segment: &str) -> bool {
    let groups = segment
        .split('-')
        .filter(|group| group.len() >= 4 && group.bytes().all(|octet| octet.is_ascii_hexdigit()));
    let (mut count, mut digits) = (0_usize, 0_usize);
    for group in groups {
        count = count.saturating_add(1);
        digits = digits.saturating_add(group.bytes().filter(u8::is_ascii_digit).count());
    }
    count >= 3 && digits >= 3
}

pub(super) fn chunk_identifies(chunk: &str) -> bool {
    let length = chunk.len();
    let digits = chunk.bytes().filter(u8::is_ascii_digit).count();
    if digits == length {
        return length >= 4 && !is_date(chunk);
    }
    if is_dimension(chunk) {
        return false;
    }
    if digits > 0 {
        // Letters and digits in turn: "a8f3k2c9", not "banner2024" or "version12".
        let turns = turns(chunk, |octet| octet.is_ascii_digit());
        return (length >= 8 && turns >= 3)
            || (length >= 12 && turns >= 2 && digits >= 4)
            || digits >= 6;
    }
    let cases = turns(chunk, |octet| octet.is_ascii_uppercase());
    let vowels = chunk
        .bytes()
        .filter(|octet| {
            matches!(
                octet.to_ascii_lowercase(),
                b'a' | b'e' | b'i' | b'o' | b'u' | b'y'
            )
        })
        .count();
    length >= 24
        || (length >= 10 && cases >= 5)
        || (length >= 10 && vowels.saturating_mul(6) < length)
}

/// How often neighbours differ by `class`.
fn turns(chunk: &str, class: impl Fn(u8) -> bool) -> usize {
    chunk
        .as_bytes()
        .windows(2)
        .filter(|pair| matches!(pair, [a, b] if class(*a) != class(*b)))
        .count()
}

/// "1x1", "600x20", with a word before it: "spacer600x1".
fn is_dimension(chunk: &str) -> bool {
    let tail = chunk.trim_start_matches(|c: char| c.is_ascii_alphabetic() && c != 'x' && c != 'X');
    let mut numbers = tail.split(['x', 'X']);
    let number = |text: Option<&str>| {
        text.is_some_and(|text| {
            (1..=4).contains(&text.len()) && text.bytes().all(|octet| octet.is_ascii_digit())
        })
    };
    number(numbers.next()) && number(numbers.next()) && numbers.next().is_none()
}

/// A year, a month of a year or a day of one, between 1990 and 2039.
fn is_date(chunk: &str) -> bool {
    let number = |range: std::ops::Range<usize>| chunk.get(range)?.parse::<u32>().ok();
    let year = number(0..4).is_some_and(|year| (1990..2040).contains(&year));
    let month = || number(4..6).is_some_and(|month| (1..=12).contains(&month));
    let day = || number(6..8).is_some_and(|day| (1..=31).contains(&day));
    year && match chunk.len() {
        4 => true,
        6 => month(),
        8 => month() && day(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pixel::url::{Target, target};

    fn identifies(reference: &str) -> bool {
        match target(reference, None) {
            Target::Remote(url) => may_identify(&url),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn spacers_do_not() {
        for spacer in [
            "https://img.brand.example/spacer.gif",
            "https://img.brand.example/images/2024/05/1x1.gif",
            "https://img.brand.example/20240517/spacer600x1.png",
            "https://img.brand.example/emails/newsletter2024/blank_600x20.png",
            "https://img.brand.example/assets/v12/transparent-pixel.gif?",
            "https://d1a2b3c4d5e6f7.cloudfront.net/static/clear.gif",
            "https://brand.example/",
            "https://brand.example",
        ] {
            assert!(!identifies(spacer), "{spacer}");
        }
    }

    #[test]
    fn identifiers_do() {
        for tracker in [
            "https://t.brand.example/spacer.gif?u=1",
            "https://t.brand.example/o/48151623.gif",
            "https://t.brand.example/o/4711/p.gif",
            "https://t.brand.example/o/123e4567-e89b-12d3-a456-426614174000",
            "https://t.brand.example/a1b2/c3d4/e5f6/a7b8/c9d0/e1f2/a3b4/1.gif",
            "https://t.brand.example/o/AbCdEfGhIjKl.gif",
            "https://t.brand.example/pixel/a8f3k2c9.png",
            "https://t.brand.example/o/user@example.com.gif",
            "https://t.brand.example/o/mzxw6ytboi4dqnrzgq2tsmrx",
            "https://t.brand.example/o/bcdfghjklmnp.gif",
            "https://mzxw6ytboi4dqnrzgq2tsmrx.t.brand.example/o.gif",
            "https://t.brand.example/~x/~y/~z",
        ] {
            assert!(identifies(tracker), "{tracker}");
        }
    }
}
